package supervise

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestExitStatus: each way to end is told exactly.
func TestExitStatus(t *testing.T) {
	w := newWorld(t, Options{})
	for i, test := range []struct {
		text string
		want Exited
	}{
		{"exit 0", Exited{}},
		{"exit 1", Exited{Status: 1}},
		{"exit 255", Exited{Status: 255}},
		{"kill -TERM $$", Exited{Signal: unix.SIGTERM}},
		{"kill -KILL $$", Exited{Signal: unix.SIGKILL}},
		{"kill -SEGV $$", Exited{Signal: unix.SIGSEGV}},
		{"kill -40 $$", Exited{Signal: 40}},
	} {
		id := ProcID(i + 1)
		spec, _ := w.sh(id, test.text)
		w.Start(spec)
		got := w.exited(id)
		if got.Core && test.want.Signal != unix.SIGSEGV {
			t.Errorf("%q dumped core", test.text)
		}
		if got.Status != test.want.Status || got.Signal != test.want.Signal {
			t.Errorf("%q ended with %+v; want %+v", test.text, got, test.want)
		}
	}
}

// TestManyAtOnce starts 200 processes that end at once; checkOrder sees that
// no exit came before its start.
func TestManyAtOnce(t *testing.T) {
	w := newWorld(t, Options{})
	const n = 200
	for i := range n {
		spec := Spec{ID: ProcID(i + 1), Path: "/bin/sh", Argv: []string{"sh", "-c", "exit " + strconv.Itoa(i%100)}, Leader: i%3 == 0}
		if i%10 == 9 {
			spec.Path = "/nonexistent"
		}
		w.Start(spec)
	}
	all := w.await("200 ends", func(all []Event) bool { return count[Exited](all)+count[SpawnFailed](all) == n })
	if got := count[SpawnFailed](all); got != n/10 {
		t.Errorf("%d starts failed; want %d", got, n/10)
	}
	pids := make(map[ProcID]int)
	for _, ev := range all {
		switch ev := ev.(type) {
		case Spawned:
			pids[ev.ID] = ev.Pid
		case Exited:
			if ev.Status != int(ev.ID-1)%100 || ev.Pid != pids[ev.ID] {
				t.Errorf("%+v; want pid %d, status %d", ev, pids[ev.ID], int(ev.ID-1)%100)
			}
		case Orphan:
			t.Errorf("an orphan: %+v", ev)
		}
	}
}

// TestOrphans: what daemons leave to us is reaped and reported as nobody's.
func TestOrphans(t *testing.T) {
	w := newWorld(t, Options{})
	// Each inner shell ends before its child.
	const n = 2000
	spec, _ := w.sh(1, fmt.Sprintf(`i=0; while [ $i -lt %d ]; do ( (exit 3) & ) & i=$((i+1)); [ $((i %% 50)) != 0 ] || wait; done; wait`, n))
	w.Start(spec)
	// Others start and end meanwhile.
	for i := range 20 {
		other, log := w.sh(ProcID(i+2), "echo alive")
		if got := w.output(other, log); got != "alive\n" {
			t.Errorf("output of another = %q", got)
		}
	}
	all := w.await("all orphans", func(all []Event) bool { return count[Exited](all) == 21 && count[Orphan](all) >= n/2 })
	// How many an inner shell still reaped itself is the scheduler's choice.
	for _, ev := range all {
		if o, is := ev.(Orphan); is && (o.Status != 3 || o.Signal != 0) {
			t.Fatalf("%+v; want status 3", o)
		}
	}
	poll(t, "no zombie", func() bool { return len(childrenOf(os.Getpid())) == 0 })
}

// TestOrphanOutlivesParent: a real daemon, which leaves its session too.
func TestOrphanOutlivesParent(t *testing.T) {
	w := newWorld(t, Options{})
	pidfile := filepath.Join(t.TempDir(), "pid")
	spec, _ := w.sh(1, "setsid sh -c 'echo $$ >"+pidfile+".new; mv "+pidfile+".new "+pidfile+"; exec sleep 1000' & exit 4")
	w.Start(spec)
	if end := w.exited(1); end.Status != 4 {
		t.Errorf("parent ended with %+v", end)
	}
	var pid int
	poll(t, "pid file", func() bool {
		text, err := os.ReadFile(pidfile)
		pid, _ = strconv.Atoi(strings.TrimSpace(string(text)))
		return err == nil
	})
	poll(t, "the last exec", func() bool { return strings.HasPrefix(statusLine(t, pid, "Name"), "sleep") })
	if !slices.Contains(childrenOf(os.Getpid()), pid) {
		t.Errorf("daemon %d is not our child", pid)
	}
	// By ID the dead parent cannot be signalled, nor its number's heirs.
	w.Kill(1, unix.SIGKILL, true)
	unix.Kill(pid, unix.SIGUSR1)
	w.await("orphan", func(all []Event) bool {
		return slices.Contains(all, Event(Orphan{Pid: pid, Signal: unix.SIGUSR1}))
	})
}

// TestStopIsNoExit stops and continues a process.
func TestStopIsNoExit(t *testing.T) {
	w := newWorld(t, Options{})
	w.Start(sleeper(1))
	pid := w.spawned(1)
	for range 3 {
		w.Kill(1, unix.SIGSTOP, false)
		poll(t, "stop", func() bool { return statField(t, pid, 3) == "T" })
		w.Kill(1, unix.SIGCONT, false)
		poll(t, "continuation", func() bool { return statField(t, pid, 3) == "S" })
	}
	w.Kill(1, unix.SIGTERM, false)
	if end := w.exited(1); end.Signal != unix.SIGTERM {
		t.Errorf("ended with %+v", end)
	}
	if all := w.events(); len(all) != 2 {
		t.Errorf("events = %+v; want Spawned, Exited", all)
	}
}
