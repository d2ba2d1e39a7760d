package supervise

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// noted waits until the fixture has noted what is wanted, no more and no less.
func noted(t *testing.T, file string, want ...int) {
	t.Helper()
	text := ""
	for _, sig := range want {
		text += fmt.Sprintln(sig)
	}
	var got []byte
	poll(t, fmt.Sprintf("signals %v", want), func() bool {
		got, _ = os.ReadFile(file)
		return len(got) >= len(text)
	})
	if string(got) != text {
		t.Errorf("signals noted: %q; want %q", strings.Fields(string(got)), strings.Fields(text))
	}
}

// TestTracedSignals: a process that is traced gets each signal once, and job
// control goes on.
func TestTracedSignals(t *testing.T) {
	signals := compile(t, "signals") // before a supervisor takes its children
	w := newWorld(t, Options{})
	file := filepath.Join(t.TempDir(), "signals")
	w.Start(Spec{ID: 1, Path: signals, Argv: []string{"signals", file, "child"}, Follow: FollowFork})
	pid := w.spawned(1)
	noted(t, file, 0)
	if got := statusLine(t, pid, "TracerPid"); got == "0" {
		t.Fatal("it is not traced")
	}
	want := []int{0}
	for _, sig := range []syscall.Signal{unix.SIGHUP, unix.SIGUSR1, unix.SIGWINCH, unix.SIGHUP} {
		unix.Kill(pid, sig)
		want = append(want, int(sig))
		noted(t, file, want...)
	}
	for range 2 {
		unix.Kill(pid, unix.SIGSTOP)
		poll(t, "a group stop", func() bool {
			state := statField(t, pid, 3)
			return state == "T" || state == "t"
		})
		// What comes now waits for SIGCONT.
		unix.Kill(pid, unix.SIGUSR1)
		noted(t, file, want...)
		unix.Kill(pid, unix.SIGCONT)
		poll(t, "its continuation", func() bool { return statField(t, pid, 3) == "S" })
		poll(t, "two signals", func() bool {
			text, _ := os.ReadFile(file)
			return strings.Count(string(text), "\n") == len(want)+2
		})
		text, _ := os.ReadFile(file)
		if !strings.HasSuffix(string(text), "10\n18\n") && !strings.HasSuffix(string(text), "18\n10\n") {
			t.Errorf("after the stop: %q", text)
		}
		for _, line := range strings.Fields(string(text))[len(want):] {
			var sig int
			fmt.Sscan(line, &sig)
			want = append(want, sig)
		}
	}
	// While it is stopped it is let go: the stop stays.
	unix.Kill(pid, unix.SIGSTOP)
	poll(t, "a stop", func() bool { return statField(t, pid, 3) != "S" })
	w.Settle(1)
	w.await("settled", func(all []Event) bool { return count[Settled](all) == 1 })
	poll(t, "a stop without a tracer", func() bool {
		return statusLine(t, pid, "TracerPid") == "0" && statField(t, pid, 3) == "T"
	})
	unix.Kill(pid, unix.SIGCONT)
	noted(t, file, append(want, int(unix.SIGCONT))...)
	if all := w.events(); count[UnexpectedStop](all)+count[SelfStopped](all) > 0 {
		t.Errorf("a stop from outside was taken for its own: %+v", all)
	}
}

// TestParentWaits: the end of a process that its own parent waits for is
// reported once, with its status.
func TestParentWaits(t *testing.T) {
	signals := compile(t, "signals")
	for _, end := range []syscall.Signal{unix.SIGKILL, unix.SIGTERM} {
		t.Run(signalName(end), func(t *testing.T) {
			w := newWorld(t, Options{})
			file := filepath.Join(t.TempDir(), "signals")
			w.Start(Spec{ID: 1, Path: signals, Argv: []string{"signals", file}, Follow: FollowFork})
			main := w.spawned(1)
			noted(t, file, 0)
			w.await("a fork", func(all []Event) bool { return count[Forked](all) == 1 })
			pid := w.of(1).pid
			poll(t, "no trace", func() bool {
				return statusLine(t, pid, "TracerPid") == "0" && statusLine(t, main, "TracerPid") == "0"
			})
			w.Kill(1, end, false)
			if got := w.exited(1); got.Pid != pid || got.Signal != end || got.Unknown {
				t.Errorf("%d ended by %v: %+v", pid, end, got)
			}
			if gone(main) {
				t.Error("the parent has ended too")
			}
			// A signal by ID can meet nobody now.
			w.Kill(1, unix.SIGKILL, true)
		})
	}
}

// TestSelfStop: a process that stops itself is continued, declared or not;
// one that another stops is left alone.
func TestSelfStop(t *testing.T) {
	for _, way := range []Follow{FollowNone, FollowStop, FollowFork} {
		t.Run(wedge{way: way}.String(), func(t *testing.T) {
			w := newWorld(t, Options{})
			spec, log := w.sh(1, "trap 'echo continued' CONT; kill -STOP $$; echo on; sleep 1000 & wait")
			spec.Follow = way
			w.Start(spec)
			pid := w.spawned(1)
			w.await("its stop", func(all []Event) bool {
				if way == FollowStop {
					return count[SelfStopped](all) == 1
				}
				return count[UnexpectedStop](all) == 1
			})
			poll(t, "its continuation", func() bool {
				text, _ := os.ReadFile(log)
				return strings.Contains(string(text), "continued") && strings.Contains(string(text), "on\n")
			})
			if way == FollowFork {
				return // the shell's next child is followed
			}
			// Later stops are job control.
			unix.Kill(pid, unix.SIGSTOP)
			poll(t, "a stop", func() bool { return statField(t, pid, 3) == "T" })
			if all := w.events(); count[SelfStopped](all)+count[UnexpectedStop](all) != 1 {
				t.Errorf("%+v", all)
			}
		})
	}
}

// denied makes a world in which nothing can be traced.
func denied(t *testing.T) *world {
	w := newWorld(t, Options{})
	w.send(func() { w.seize = func(int) syscall.Errno { return unix.EPERM } })
	return w
}

// TestTraceDenied: without a trace what is left behind is followed, and it is
// said once.
func TestTraceDenied(t *testing.T) {
	forker := compile(t, "forker")
	w := denied(t)
	dir := t.TempDir()
	for i, c := range []wedge{
		{FollowFork, 1, "fork", "both", "none"}, {FollowDaemon, 2, "fork", "both", "none"},
		{FollowDaemon, 2, "fork", "parent", "none"}, {FollowDaemon, 2, "spawn", "child", "none"},
	} {
		id, file := ProcID(i+1), filepath.Join(dir, fmt.Sprint(i))
		w.Start(Spec{ID: id, Owner: uint64(id), Path: forker, Follow: c.way,
			Argv: []string{"forker", fmt.Sprint(c.forks), c.method, c.order, c.exec, file}})
		pid := w.restOf(c, file)
		w.await("to follow "+c.String(), func([]Event) bool { return w.of(id).pid == pid && w.of(id).settled })
		w.Kill(id, unix.SIGTERM, false)
		if end := w.exited(id); end.Pid != pid || end.Signal != unix.SIGTERM {
			t.Errorf("%v ended with %+v", c, end)
		}
	}
	if got := count[Degraded](w.events()); got != 1 {
		t.Errorf("said %d times", got)
	}
}

// TestLateDaemon: who gave up waiting still finds the daemon when the first
// process ends at last.
func TestLateDaemon(t *testing.T) {
	w := newWorld(t, Options{})
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	spec, _ := w.sh(1, "read line <"+fifo+"; sleep 1000 & exit 0")
	spec.Follow, spec.Owner = FollowFork, 1
	w.Start(spec)
	main := w.spawned(1)
	w.Settle(1)
	w.await("settled", func(all []Event) bool { return count[Settled](all) == 1 })
	if err := os.WriteFile(fifo, []byte("go\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.await("a fork", func(all []Event) bool { return count[Forked](all) == 1 })
	pid := w.of(1).pid
	if pid == main || statusLine(t, pid, "PPid") != fmt.Sprint(os.Getpid()) {
		t.Errorf("%d follows %d", pid, main)
	}
	w.Kill(1, unix.SIGTERM, false)
	if end := w.exited(1); end.Pid != pid || end.Signal != unix.SIGTERM {
		t.Errorf("ended with %+v", end)
	}
}

// TestPrivileged: a set-user-ID program is not traced when that would take
// its privilege away.
func TestPrivileged(t *testing.T) {
	w := newWorld(t, Options{})
	w.send(func() { w.mayTrace = false })
	program := filepath.Join(t.TempDir(), "sleep")
	data, err := os.ReadFile("/bin/sleep")
	if err != nil {
		t.Fatal(err)
	}
	for i, mode := range []os.FileMode{0o755, 0o755 | os.ModeSetuid, 0o755 | os.ModeSetgid} {
		os.Remove(program)
		if err := os.WriteFile(program, data, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(program, mode); err != nil {
			t.Fatal(err)
		}
		id := ProcID(i + 1)
		w.Start(Spec{ID: id, Path: program, Argv: []string{"sleep", "1000"}, Follow: FollowFork})
		pid := w.spawned(id)
		if traced := statusLine(t, pid, "TracerPid") != "0"; traced != (i == 0) {
			t.Errorf("mode %v: traced %v", mode, traced)
		}
	}
	if got := count[Degraded](w.events()); got != 2 {
		t.Errorf("said %d times; want for each", got)
	}
}

// TestTracerEnds: what was traced runs on.
func TestTracerEnds(t *testing.T) {
	signals := compile(t, "signals")
	s, err := New(Options{}, func([]Event) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { endChildren(t) })
	file := filepath.Join(t.TempDir(), "signals")
	s.Start(Spec{ID: 1, Path: signals, Argv: []string{"signals", file, "child"}, Follow: FollowDaemon})
	noted(t, file, 0)
	var pid int
	poll(t, "the child", func() bool {
		children := childrenOf(os.Getpid())
		if len(children) == 1 {
			pid = children[0]
		}
		return pid != 0
	})
	unix.Kill(pid, unix.SIGSTOP)
	poll(t, "a stop", func() bool { return statField(t, pid, 3) != "S" })
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	poll(t, "no tracer", func() bool { return statusLine(t, pid, "TracerPid") == "0" && statField(t, pid, 3) == "T" })
	unix.Kill(pid, unix.SIGCONT)
	unix.Kill(pid, unix.SIGUSR1)
	poll(t, "its signals", func() bool {
		text, _ := os.ReadFile(file)
		return strings.Count(string(text), "\n") == 3
	})
}
