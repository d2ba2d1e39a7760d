package supervise

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/testkit"
	"github.com/session-init/session-init/supervise/cgroup"
)

// cpuTimer adds the CPU time of this process, which makes children, and that
// of the children, to a benchmark's result, for each operation.
func cpuTimer(b *testing.B) (stop func()) {
	used := func(who int) int64 {
		var u unix.Rusage
		unix.Getrusage(who, &u)
		return u.Utime.Nano() + u.Stime.Nano()
	}
	self, children := used(unix.RUSAGE_SELF), used(unix.RUSAGE_CHILDREN)
	b.ResetTimer()
	return func() {
		b.StopTimer()
		b.ReportMetric(float64(used(unix.RUSAGE_SELF)-self)/float64(b.N), "self-ns/op")
		b.ReportMetric(float64(used(unix.RUSAGE_CHILDREN)-children)/float64(b.N), "child-ns/op")
	}
}

// withHeaps runs a benchmark with an empty heap and with 256 MB in it.
func withHeaps(b *testing.B, f func(b *testing.B)) {
	for _, size := range []int{0, 256 << 20} {
		b.Run(fmt.Sprintf("heap=%dMB", size>>20), func(b *testing.B) {
			heap := make([]byte, size)
			for i := 0; i < len(heap); i += 4096 {
				heap[i] = 1
			}
			f(b)
			runtime.KeepAlive(heap)
		})
		runtime.GC()
	}
}

// benchSpawn takes processes from Start to Exited, some in flight at a time;
// with an owner in the Spec each has one of its own.
func benchSpawn(b *testing.B, inFlight int, sharing, file bool, spec Spec, opts Options) {
	if file {
		opts.SlotFile = filepath.Join(b.TempDir(), "slots")
	}
	ends := make(chan error, inFlight)
	s, err := New(opts, func(batch []Event) {
		for _, ev := range batch {
			switch ev := ev.(type) {
			case Exited:
				ends <- nil
			case SpawnFailed:
				ends <- ev.SpawnError
			}
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close(context.Background())
	s.send(func() { s.sharing = sharing && haveVM })
	stop := cpuTimer(b)
	wait := func() {
		if err := <-ends; err != nil {
			b.Fatal(err)
		}
	}
	for i := range b.N {
		if i >= inFlight {
			wait()
		}
		spec.ID = ProcID(i + 1)
		if spec.Owner != 0 {
			spec.Owner = uint64(i + 1)
		}
		s.Start(spec)
	}
	for range min(b.N, inFlight) {
		wait()
	}
	stop()
}

// BenchmarkSpawn: what a process costs from Start to Exited, by the way of
// its making and by how many are in flight. A copy of our memory is made for a
// few kinds of jobs only. BenchmarkForkExec is the floor.
func BenchmarkSpawn(b *testing.B) {
	for _, way := range []struct {
		name          string
		sharing, file bool
		spec          Spec
	}{
		{"member", true, false, Spec{}},
		{"member-slotfile", true, true, Spec{}},
		{"leader", true, false, Spec{Leader: true}},
		{"member-copy", false, false, Spec{}},
		{"leader-copy", false, false, Spec{Leader: true}},
	} {
		way.spec.Path = "/bin/true"
		for _, n := range []int{8, 256} {
			if !way.sharing && n > 8 {
				continue // memory for hundreds of copies is not what we measure
			}
			b.Run(fmt.Sprintf("%s/inflight=%d", way.name, n), func(b *testing.B) {
				withHeaps(b, func(b *testing.B) { benchSpawn(b, n, way.sharing, way.file, way.spec, Options{}) })
			})
		}
	}
}

// BenchmarkGroups: the same with an owner for each process, without cgroups and
// with them.
func BenchmarkGroups(b *testing.B) {
	for _, groups := range []Groups{NoGroups, OwnGroups} {
		b.Run(fmt.Sprintf("groups=%t", groups != NoGroups), func(b *testing.B) {
			if groups != NoGroups {
				dir, _, err := cgroup.Open("", "", true)
				testkit.NeedGroups(b, err)
				dir.Close()
			}
			benchSpawn(b, 8, true, false, Spec{Path: "/bin/true", Owner: 1}, Options{Groups: groups})
		})
	}
}

// BenchmarkGroupsRunning: owners that all run at once, each with a group that
// was not there before, from the first start to the last end.
func BenchmarkGroupsRunning(b *testing.B) {
	for _, groups := range []Groups{NoGroups, OwnGroups} {
		b.Run(fmt.Sprintf("groups=%t", groups != NoGroups), func(b *testing.B) {
			if groups != NoGroups {
				dir, _, err := cgroup.Open("", "", true)
				testkit.NeedGroups(b, err)
				dir.Close()
			}
			benchRunning(b, Options{Groups: groups})
		})
	}
}

// benchRunning starts 200 processes, waits until they run, and ends them.
func benchRunning(b *testing.B, opts Options) {
	const n = 200
	news := make(chan error, n)
	s, err := New(opts, func(batch []Event) {
		for _, ev := range batch {
			switch ev := ev.(type) {
			case Spawned, Exited:
				news <- nil
			case SpawnFailed:
				news <- ev.SpawnError
			}
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close(context.Background())
	wait := func() {
		for range n {
			if err := <-news; err != nil {
				b.Fatal(err)
			}
		}
	}
	id := ProcID(0)
	stop := cpuTimer(b)
	for range b.N {
		first := id
		for range n {
			id++
			s.Start(Spec{ID: id, Owner: uint64(id), Path: "/bin/sleep", Argv: []string{"sleep", "1000"}})
		}
		wait()
		for one := first + 1; one <= id; one++ {
			s.Kill(one, unix.SIGKILL, false)
		}
		wait()
		// The next have to make theirs.
		done := make(chan bool)
		s.send(func() {
			for len(s.groups.free) > 0 {
				last := len(s.groups.free) - 1
				s.groups.discard(s.groups.free[last])
				s.groups.free = s.groups.free[:last]
			}
			done <- true
		})
		<-done
	}
	stop()
}

// BenchmarkForkExec is Go's own way, which makes session leaders only.
func BenchmarkForkExec(b *testing.B) {
	withHeaps(b, func(b *testing.B) {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		attr := &syscall.ProcAttr{Sys: &syscall.SysProcAttr{Setsid: true}}
		stop := cpuTimer(b)
		left := b.N
		reap := func(flags int) {
			for left > 0 {
				pid, err := unix.Wait4(-1, nil, flags, nil)
				if pid == 0 || err == unix.ECHILD {
					return
				}
				if err != nil {
					b.Fatal(err)
				}
				left--
			}
		}
		for range b.N {
			if _, err := syscall.ForkExec("/bin/true", []string{"true"}, attr); err != nil {
				b.Fatal(err)
			}
			reap(unix.WNOHANG)
		}
		reap(0)
		stop()
	})
}

// BenchmarkReap: orphans that a shell leaves to us, in floods of 1000; the
// floor is what their making costs, which is in child-ns.
func BenchmarkReap(b *testing.B) {
	const flood = 1000
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	orphans := make(chan int, 1<<16)
	s, err := New(Options{}, func(batch []Event) {
		orphans <- len(batch)
	})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close(context.Background())
	stop := cpuTimer(b)
	for done := 0; done < b.N; done += flood {
		s.Start(Spec{ID: ProcID(done + 1), Path: self, Env: []string{"SUPERVISE_FIXTURE=orphans", fmt.Sprintf("ORPHANS=%d", flood)}})
		// All of them, and Spawned and Exited.
		for n := 0; n < flood+2; {
			n += <-orphans
		}
	}
	stop()
}
