package supervise

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// hangUntil is a Spec that hangs in its set-up until somebody reads the FIFO
// that is its log.
func hangUntil(t *testing.T, id ProcID, leader bool) (Spec, string) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	spec := sleeper(id)
	spec.Owner, spec.Leader, spec.Output, spec.LogPath = 7, leader, OutputFile, fifo
	return spec, fifo
}

// commOf is the name of the program that a process runs.
func commOf(pid int) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return string(text)
}

// inFlightAt waits until the set-up of a process hangs, and returns its slot.
func inFlightAt(t *testing.T, path string, id ProcID, step Step) (s Slot) {
	t.Helper()
	poll(t, "a child that hangs", func() bool {
		s = slotOf(t, path, id)
		return s.Pid != 0 && s.Step == step
	})
	return s
}

// TestAdoptInFlight: the supervisor is replaced while a child of it has not
// come to its exec, as by a re-exec: whatever becomes of the child is told.
func TestAdoptInFlight(t *testing.T) {
	for _, c := range []struct {
		name    string
		path    string // of the program; "" runs
		follow  Follow
		early   bool // it happens before the adoption
		twice   bool // the supervisor is replaced twice
		kill    bool
		failure string // "" is none; %s stands for the log
	}{
		{name: "goes on"},
		{name: "goes on, twice replaced", twice: true},
		{name: "goes on before", early: true},
		{name: "goes on, to be followed", follow: FollowFork},
		{name: "is killed", kill: true, failure: "cannot open log file %s: killed by SIGKILL"},
		{name: "is killed, twice replaced", kill: true, twice: true, failure: "cannot start: killed by SIGKILL"},
		{name: "cannot execute", path: "/nonexistent", failure: "cannot execute /nonexistent: no such file or directory"},
		{name: "cannot execute, twice replaced", path: "/nonexistent", twice: true, failure: "cannot start: the reason was lost with an earlier daemon"},
		{name: "cannot execute before", path: "/nonexistent", early: true, failure: "cannot execute /nonexistent: no such file or directory"},
	} {
		for _, leader := range []bool{false, true} {
			name := c.name + ", member"
			if leader {
				name = c.name + ", leader"
			}
			t.Run(name, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "slots")
				first, err := New(Options{SlotFile: path, Seed: "x"}, func([]Event) {})
				if err != nil {
					t.Fatal(err)
				}
				first.send(func() { first.sharing = false }) // or its memory would stay for ever
				spec, fifo := hangUntil(t, 1, leader)
				spec.Follow = c.follow
				if c.path != "" {
					spec.Path = c.path
				}
				first.Start(spec)
				slot := inFlightAt(t, path, 1, StepOutput)
				if err := first.Close(context.Background()); err != nil {
					t.Fatal(err)
				}
				happen := func() {
					if c.kill {
						if err := unix.Kill(slot.Pid, unix.SIGKILL); err != nil {
							t.Error(err)
						}
						return
					}
					out, err := os.Open(fifo)
					if err != nil {
						t.Error(err)
					}
					t.Cleanup(func() { out.Close() })
				}
				if c.early {
					happen()
					poll(t, "it to be over", func() bool {
						slot = slotOf(t, path, 1)
						return slot.Errno != 0 || commOf(slot.Pid) == "sleep\n"
					})
				}
				if c.twice {
					second, err := New(Options{SlotFile: path, Adopting: true, Seed: "x"}, func([]Event) {})
					if err != nil {
						t.Fatal(err)
					}
					second.Adopt(Adoptee{Slot: slot, Owner: 7, Follow: c.follow, Spec: &spec})
					second.Adopted()
					if err := second.Close(context.Background()); err != nil {
						t.Fatal(err)
					}
					if slot = slotOf(t, path, 1); slot.State != SlotInFlight || slot.pipe == 0 {
						t.Errorf("the second has recorded %+v", slot)
					}
				}

				w := newWorld(t, Options{SlotFile: path, Adopting: true, Seed: "x"})
				w.Adopt(Adoptee{Slot: slot, Owner: 7, Follow: c.follow, Spec: &spec})
				w.Adopted()
				if !c.early {
					w.await("AllAdopted", func(all []Event) bool { return count[AllAdopted](all) == 1 })
					if c.follow == FollowNone && count[Spawned](w.events())+count[SpawnFailed](w.events()) > 0 {
						t.Errorf("an outcome before there is one: %+v", w.events())
					}
					happen()
				}
				if c.failure != "" {
					want := c.failure
					want = strings.ReplaceAll(want, "%s", fifo)
					if err := w.failed(1); err.Error() != want {
						t.Errorf("failure = %q; want %q", err, want)
					}
					poll(t, "the child to be waited for", func() bool { return gone(slot.Pid) })
					return
				}
				if pid := w.spawned(1); pid != slot.Pid {
					t.Errorf("spawned as %d; it is %d", pid, slot.Pid)
				}
				poll(t, "the program", func() bool { return commOf(slot.Pid) == "sleep\n" })
				// The file of the earlier one goes when all are adopted.
				poll(t, "it to be recorded as running", func() bool { return slotOf(t, path, 1).State == SlotRunning })
				if err := unix.Kill(slot.Pid, unix.SIGUSR1); err != nil {
					t.Error(err)
				}
				if end := w.exited(1); end.Signal != unix.SIGUSR1 {
					t.Errorf("end = %+v", end)
				}
			})
		}
	}
}

// TestAdoptLateHelper: the first child of a pair may end after a re-exec, of which
// no signal tells; it is waited for all the same.
func TestAdoptLateHelper(t *testing.T) {
	path := filepath.Join(t.TempDir(), "slots")
	first, err := New(Options{SlotFile: path, Seed: "x"}, func([]Event) {})
	if err != nil {
		t.Fatal(err)
	}
	first.send(func() { first.sharing = false })
	// One that hangs before its exec has no signal for its end either, and
	// stands for the first child of the other.
	hangs, _ := hangUntil(t, 1, true)
	first.Start(hangs)
	helper := inFlightAt(t, path, 1, StepOutput).Pid
	first.Start(sleeper(2))
	poll(t, "the other to run", func() bool { return slotOf(t, path, 2).State == SlotRunning })
	if err := first.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	slot := slotOf(t, path, 2)
	slot.Helper, slot.Asked = helper, slot.Asked-time.Minute
	w := newWorld(t, Options{SlotFile: path, Adopting: true, Seed: "x"})
	w.Adopt(Adoptee{Slot: slot, Owner: 7})
	w.Adopted()
	w.await("AllAdopted", func(all []Event) bool { return count[AllAdopted](all) == 1 })
	if err := unix.Kill(helper, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	poll(t, "the first child to be waited for", func() bool { return gone(helper) })
	w.Kill(2, unix.SIGKILL, false)
	if end := w.exited(2); end.Pid != slot.Pid {
		t.Errorf("end = %+v; want that of process %d", end, slot.Pid)
	}
}
