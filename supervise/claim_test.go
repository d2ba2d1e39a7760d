package supervise

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// claims lists what was said of Claim.
func (w *world) claims(id ProcID) (out []Claimed) {
	for _, ev := range w.events() {
		if c, is := ev.(Claimed); is && c.ID == id {
			out = append(out, c)
		}
	}
	return out
}

// claimOf asks and waits for the answer.
func (w *world) claimOf(id ProcID, pid, pidfd int) Claimed {
	w.t.Helper()
	n := len(w.claims(id))
	w.Claim(id, pid, pidfd)
	w.await(fmt.Sprintf("what is said of process %d", pid), func([]Event) bool { return len(w.claims(id)) > n })
	return w.claims(id)[n]
}

// TestClaim: what belongs to a process is known whoever asks, and main is the one
// that has what was waited for, or its parent.
func TestClaim(t *testing.T) {
	w := newWorld(t, Options{})
	dir := t.TempDir()
	start := func(id ProcID, text string) {
		spec, _ := w.owned(id, uint64(id), text)
		spec.Follow = FollowClaim
		w.Start(spec)
		w.spawned(id)
	}
	file := func(name string) string { return filepath.Join(dir, name) }

	// Main itself, and a child of it, which changes nothing.
	start(1, "sleep 1000 & printf %s $! > "+file("child")+".new; mv "+file("child")+".new "+file("child")+"; wait")
	main := w.of(1).pid
	if got := w.claimOf(1, main, -1); !got.Belongs || got.Pid != main {
		t.Errorf("main: %+v", got)
	}
	child := w.pidIn(file("child"))
	poll(t, "the child to be what it is named by", func() bool { return commOf(child) == "sleep\n" })
	if got, want := w.claimOf(1, child, -1), (Claimed{1, child, true, "sleep"}); got != want || w.of(1).pid != main {
		t.Errorf("child: %+v, main is %d; want %+v and %d", got, w.of(1).pid, want, main)
	}

	// A stranger, by its name; one that has ended, and whose number is another's
	// by now: a pidfd tells.
	if got := w.claimOf(1, os.Getpid(), -1); got.Belongs || got.Command == "" {
		t.Errorf("a stranger: %+v", got)
	}
	dead := exec.Command("sleep", "1000")
	if err := dead.Start(); err != nil {
		t.Fatal(err)
	}
	pidfd, err := unix.PidfdOpen(dead.Process.Pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	unix.Kill(dead.Process.Pid, unix.SIGKILL)
	// This supervisor takes every child of the process, and reaps it.
	w.await("its end", func(all []Event) bool {
		return slices.ContainsFunc(all, func(ev Event) bool { o, is := ev.(Orphan); return is && o.Pid == dead.Process.Pid })
	})
	if err := dead.Process.Release(); err != nil {
		t.Fatal(err)
	}
	if got := w.claimOf(1, main, pidfd); got.Belongs {
		t.Errorf("one that has ended: %+v", got)
	}

	// Of two that main leaves behind the older is main, until the other has it;
	// and when that is said no more is followed.
	start(2, "setsid sleep 1001 & sleep 0.05; setsid sleep 1002 & printf %s $! > "+file("second")+".new; mv "+file("second")+".new "+file("second"))
	second := w.pidIn(file("second"))
	w.await("main to be left behind", func([]Event) bool { return w.of(2).forks == 1 })
	if older := w.of(2).pid; older == second {
		t.Errorf("main is %d, which is not the older one", older)
	}
	if got := w.claimOf(2, second, -1); !got.Belongs {
		t.Errorf("what was left behind: %+v", got)
	}
	if got := w.of(2).pid; got != second {
		t.Errorf("main is %d; want %d", got, second)
	}
	// Said again, it changes nothing.
	if got := w.claimOf(2, second, -1); !got.Belongs || w.of(2).pid != second {
		t.Errorf("again: %+v", got)
	}

	// Of what does not run nothing is said.
	w.Claim(99, main, -1)
	w.claimOf(1, main, -1)
	if got := w.claims(99); len(got) != 0 {
		t.Errorf("a process that is not known: %+v", got)
	}
	for _, id := range []ProcID{1, 2} {
		w.Kill(id, unix.SIGTERM, true)
		w.exited(id)
		w.Sweep(uint64(id), unix.SIGTERM, 0)
		w.vacated(uint64(id), 1)
	}
}
