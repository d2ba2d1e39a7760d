package supervise

import (
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// refuse has the first forks fail; n < 0: all of them. It returns how many were
// asked for so far.
func (w *world) refuse(n int, fail func(*child) (int, syscall.Errno)) *atomic.Int32 {
	asked := new(atomic.Int32)
	done := make(chan struct{})
	w.send(func() {
		fork := w.forking
		w.forking = func(c *child) (int, syscall.Errno) {
			if k := asked.Add(1); n < 0 || int(k) <= n {
				return fail(c)
			}
			return fork(c)
		}
		close(done)
	})
	<-done
	return asked
}

func failWith(errno syscall.Errno) func(*child) (int, syscall.Errno) {
	return func(*child) (int, syscall.Errno) { return 0, errno }
}

// failSecond makes a first child that cannot make the second.
//
//go:norace
func failSecond(c *child) (int, syscall.Errno) {
	atomic.StoreUint32(&c.slot.step, uint32(StepFork))
	atomic.StoreUint32(&c.slot.errno, uint32(unix.EAGAIN))
	beforeFork()
	pid, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, forkFlags, 0, uintptr(unsafe.Pointer(c.told())), 0, 0, 0)
	if errno == 0 && pid == 0 {
		for {
			syscall.RawSyscall(unix.SYS_EXIT_GROUP, 1, 0, 0)
		}
	}
	afterFork()
	return int(pid), errno
}

// retrying returns what was said of the process.
func retrying(all []Event, id ProcID) (said []string) {
	for _, ev := range all {
		if r, is := ev.(Retrying); is && r.ID == id {
			said = append(said, r.Error())
		}
	}
	return said
}

// TestRetryClaimed: an abstract socket that somebody lets go of soon is waited
// for, and nothing is said of it.
func TestRetryClaimed(t *testing.T) {
	w := newWorld(t, Options{})
	name := fmt.Sprintf("@session-init-test-%d", unix.Getpid())
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: name}); err != nil {
		t.Fatal(err)
	}
	spec := sleeper(1)
	spec.Owner, spec.Notify = 1, name
	tried := make(chan bool, 1)
	w.atOnce(func() {
		w.Start(spec)
		w.send(func() {
			tried <- w.isPostponed(1)
			unix.Close(fd)
		})
	})
	if !<-tried {
		t.Error("it is not to be tried again")
	}
	w.spawned(1)
	if said := retrying(w.events(), 1); len(said) > 0 {
		t.Errorf("it was said: %q; want nothing", said)
	}
}

// TestRetry: what runs out for a moment costs a start that moment only.
func TestRetry(t *testing.T) {
	for _, c := range []struct {
		name string
		fail func(*child) (int, syscall.Errno)
		want string
	}{
		{"no more processes", failWith(unix.EAGAIN), "cannot fork: resource temporarily unavailable: trying again"},
		{"no memory", failWith(unix.ENOMEM), "cannot fork: cannot allocate memory: trying again"},
		{"none for the second child", failSecond, "cannot fork: resource temporarily unavailable: trying again"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, Options{})
			asked := w.refuse(2, c.fail)
			spec := sleeper(1)
			spec.Owner = 1
			w.Start(spec)
			w.spawned(1)
			if n := asked.Load(); n != 3 {
				t.Errorf("%d forks; want 3", n)
			}
			if said := retrying(w.events(), 1); len(said) != 1 || said[0] != c.want {
				t.Errorf("it said %q; want %q once", said, c.want)
			}
			w.Kill(1, unix.SIGTERM, true)
			if end := w.exited(1); end.Left {
				t.Error("something was left behind")
			}
		})
	}
}

// TestRetryDescriptors: the same for descriptors, which the kernel refuses.
func TestRetryDescriptors(t *testing.T) {
	w := newWorld(t, Options{})
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	restore := func() { unix.Setrlimit(unix.RLIMIT_NOFILE, &was) }
	t.Cleanup(restore)
	w.atOnce(func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 0, Max: was.Max}); err != nil {
			t.Error(err)
		}
		w.Start(sleeper(1))
		w.send(restore)
	})
	w.await("first try to fail", func(all []Event) bool { return len(retrying(all, 1)) > 0 })
	w.spawned(1)
	if said, want := retrying(w.events(), 1), "cannot make a pipe: too many open files: trying again"; said[0] != want {
		t.Errorf("it said %q; want %q", said, want)
	}
}

// TestRetryEnds: tries are few, and none is left afterwards.
func TestRetryEnds(t *testing.T) {
	w := newWorld(t, Options{})
	asked := w.refuse(-1, failWith(unix.EAGAIN))
	w.Start(sleeper(1))
	if why, want := w.failed(1).Error(), "cannot fork: resource temporarily unavailable"; why != want {
		t.Errorf("it failed with %q; want %q", why, want)
	}
	if n := int(asked.Load()); n != 1+len(retryPauses) {
		t.Errorf("%d forks; want %d", n, 1+len(retryPauses))
	}
	sleeps := make(chan bool)
	w.send(func() { sleeps <- len(w.postponed) == 0 && w.tryAgain(-1) < 0 })
	if !<-sleeps {
		t.Error("the thread has something to try again still")
	}
}

// TestNoRetry: what will not pass is told at once.
func TestNoRetry(t *testing.T) {
	w := newWorld(t, Options{})
	asked := w.refuse(-1, failWith(unix.ENOSYS))
	w.Start(sleeper(1))
	w.failed(1)
	if n := asked.Load(); n != 1 || len(retrying(w.events(), 1)) != 0 {
		t.Errorf("%d forks, %q; want 1 and nothing", n, retrying(w.events(), 1))
	}
}

// TestRetryCalledOff: a process that is to end is not tried again, and its
// number is taken until then.
func TestRetryCalledOff(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(*world)
	}{
		{"Kill", func(w *world) { w.Kill(1, unix.SIGTERM, true) }},
		{"KillAll", func(w *world) { w.KillAll(unix.SIGTERM) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, Options{})
			w.refuse(-1, failWith(unix.EAGAIN))
			taken, over := make(chan bool, 1), make(chan bool, 1)
			w.atOnce(func() {
				w.Start(sleeper(1))
				w.send(func() { taken <- w.isPostponed(1) && !w.isPostponed(2) })
				c.end(w)
				w.send(func() { over <- len(w.postponed) == 0 })
			})
			if !<-taken {
				t.Error("it is not to be tried again")
			}
			if !<-over {
				t.Error("it is to be tried again still")
			}
			if why := w.failed(1); why.Errno != unix.EAGAIN {
				t.Errorf("it failed with %v", why)
			}
			if said := retrying(w.events(), 1); len(said) != 1 {
				t.Errorf("it was said: %q; want that it is tried again", said)
			}
		})
	}
}
