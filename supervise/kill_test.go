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

// pidsIn reads the pids that a script has written, once there are n.
func pidsIn(t *testing.T, path string, n int) []int {
	t.Helper()
	var pids []int
	poll(t, strconv.Itoa(n)+" pids", func() bool {
		text, _ := os.ReadFile(path)
		pids = parsePids(string(text))
		return len(pids) == n && strings.HasSuffix(string(text), "\n")
	})
	return pids
}

// TestKillGroup: with group the children go too, without they stay.
func TestKillGroup(t *testing.T) {
	for _, leader := range []bool{false, true} {
		t.Run("leader="+strconv.FormatBool(leader), func(t *testing.T) {
			w := newWorld(t, Options{})
			for id, group := range []bool{false, true} {
				spec, log := w.sh(ProcID(id+1), "sleep 1000 & echo $!; (sleep 1000 & echo $!); wait")
				spec.Leader = leader
				w.Start(spec)
				pids := pidsIn(t, log, 2)
				w.Kill(spec.ID, unix.SIGTERM, group)
				if end := w.exited(spec.ID); end.Signal != unix.SIGTERM {
					t.Errorf("leader %v, group %v: ended with %+v", leader, group, end)
				}
				for _, pid := range pids {
					if group {
						poll(t, "child's end", func() bool { return gone(pid) })
					} else if gone(pid) {
						t.Errorf("leader %v: child %d is gone", leader, pid)
					}
				}
			}
		})
	}
}

// TestKillMovedGroup: a process that made itself a session is still found,
// and one that made only a group still takes the old group with it.
func TestKillMovedGroup(t *testing.T) {
	w := newWorld(t, Options{})
	spec, log := w.sh(1, "exec setsid sh -c 'sleep 1000 & echo $$ $!; wait'")
	w.Start(spec)
	pids := pidsIn(t, log, 2)
	if pids[0] != w.spawned(1) || statField(t, pids[0], 6) != strconv.Itoa(pids[0]) {
		t.Fatalf("setsid forked: %v is not %d", pids, w.spawned(1))
	}
	w.Kill(1, unix.SIGTERM, true)
	if end := w.exited(1); end.Signal != unix.SIGTERM {
		t.Errorf("ended with %+v", end)
	}
	poll(t, "child's end", func() bool { return gone(pids[1]) })

	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	spec, log = w.sh(2, "sleep 1000 & echo $$ $!; SUPERVISE_FIXTURE=regroup exec "+self)
	w.Start(spec)
	pids = pidsIn(t, log, 3)
	if g := statField(t, pids[0], 5); pids[2] != pids[0] || g != strconv.Itoa(pids[0]) || statField(t, pids[1], 5) == g {
		t.Fatalf("groups of %v: %s, %s", pids, g, statField(t, pids[1], 5))
	}
	w.Kill(2, unix.SIGKILL, true)
	w.exited(2)
	poll(t, "end of the old group", func() bool { return gone(pids[1]) })
}

// regroup is a fixture: it makes a group of its own in the same session.
func regroup() {
	if err := unix.Setpgid(0, 0); err != nil {
		panic(err)
	}
	fmt.Println(os.Getpid())
	for {
		unix.Pause()
	}
}

// TestKillInFlight kills each process right after it was asked for.
func TestKillInFlight(t *testing.T) {
	w := newWorld(t, Options{})
	const n = 100
	for i := range n {
		spec := sleeper(ProcID(i + 1))
		spec.Leader = i%2 == 0
		w.Start(spec)
		sig := unix.SIGTERM
		if i%4 >= 2 {
			sig = unix.SIGKILL
		}
		w.Kill(spec.ID, sig, i%3 == 0)
	}
	all := w.await("ends", func(all []Event) bool { return count[Exited](all)+count[SpawnFailed](all) == n })
	for _, ev := range all {
		switch ev := ev.(type) {
		case Exited:
			if want := [...]unix.Signal{unix.SIGTERM, unix.SIGKILL}[(ev.ID-1)%4/2]; ev.Signal != want {
				t.Errorf("%+v; want signal %v", ev, want)
			}
		case SpawnFailed:
			// TERM waits for the set-up, and may still come before the
			// program has begun.
			if want := [...]string{"killed by SIGTERM", "killed by SIGKILL"}[(ev.ID-1)%4/2]; ev.Hint != want {
				t.Errorf("process %d: %v", ev.ID, ev.SpawnError)
			}
		}
	}
}

// TestKillUnknown: a signal to nobody is nothing.
func TestKillUnknown(t *testing.T) {
	w := newWorld(t, Options{})
	w.Kill(5, unix.SIGKILL, true)
	w.Start(Spec{ID: 1, Path: "/bin/true"})
	w.exited(1)
	w.Kill(1, unix.SIGKILL, true)
	w.Start(sleeper(2))
	w.spawned(2)
}

// forest is a script of processes that are hard to find: in other sessions,
// without a parent, deaf to TERM.
const forest = `
trap '' TERM
for i in 1 2 3; do
	setsid sh -c 'trap "" TERM; (sleep 1000 & echo $! ) ; sleep 1000 & echo $$ $!; wait; wait' &
done
(setsid sh -c '(sleep 1000 & echo $!) &') &
sleep 1000 & echo $!
wait
`

func TestKillAll(t *testing.T) {
	w := newWorld(t, Options{})
	spec, log := w.sh(1, forest)
	w.Start(spec)
	pids := pidsIn(t, log, 11)
	w.KillAll(unix.SIGKILL)
	w.await("childless", func(all []Event) bool { return count[Childless](all) == 1 })
	for _, pid := range pids {
		if !gone(pid) {
			t.Errorf("%d lives", pid)
		}
	}
	if end := w.exited(1); end.Signal != unix.SIGKILL {
		t.Errorf("ended with %+v", end)
	}
	// With nobody left it says so again.
	w.KillAll(unix.SIGTERM)
	w.await("childless again", func(all []Event) bool { return count[Childless](all) == 2 })
}

// TestKillAllTerm: a signal that is survived reaches everyone all the same,
// and what is started later is spared.
func TestKillAllTerm(t *testing.T) {
	w := newWorld(t, Options{})
	release := filepath.Join(t.TempDir(), "release")
	spec, log := w.sh(1, `
		trap 'echo outer' TERM
		setsid sh -c 'trap "echo inner" TERM; echo 1; until [ -e "$RELEASE" ]; do sleep 0.01; done' &
		echo 2; until [ -e "$RELEASE" ]; do sleep 0.01 || :; done; wait`)
	spec.Env = append(spec.Env, "RELEASE="+release)
	w.Start(spec)
	pidsIn(t, log, 2)
	w.KillAll(unix.SIGTERM)
	w.Start(sleeper(2))
	later := w.spawned(2)
	poll(t, "both traps", func() bool {
		text, _ := os.ReadFile(log)
		return strings.Contains(string(text), "outer") && strings.Contains(string(text), "inner")
	})
	if err := os.WriteFile(release, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w.exited(1)
	if all := w.events(); gone(later) || count[Childless](all) != 0 {
		t.Errorf("later one gone: %v; events %+v", gone(later), all)
	}
	w.Kill(2, unix.SIGTERM, false)
	w.await("childless", func(all []Event) bool { return count[Childless](all) == 1 })
}

// TestSteady: a list that leaves one out, since another was waited for while it
// was read, is read again; one that changes with each look is not read for ever.
func TestSteady(t *testing.T) {
	for _, test := range []struct {
		reads []string
		want  string
	}{
		{[]string{"1 2", "1 2"}, "1 2"},
		{[]string{"1 2", "1 3", "1 3"}, "1 3"},
		{[]string{"", ""}, ""},
		{[]string{"1", "2", "3", "4", "5", "6", "7", "8", "9"}, "9"},
	} {
		n := 0
		got := steady(func() []byte {
			n++
			return []byte(test.reads[n-1])
		})
		if string(got) != test.want || n != len(test.reads) {
			t.Errorf("steady(%q) = %q after %d reads; want %q after %d", test.reads, got, n, test.want, len(test.reads))
		}
	}
}

// TestScanChildren: the way without lists of children finds the same.
func TestScanChildren(t *testing.T) {
	w := newWorld(t, Options{})
	spec, log := w.sh(1, "sleep 1000 & echo $$ $!; wait")
	w.Start(spec)
	pids := pidsIn(t, log, 2)
	scan := scanChildren()
	for _, test := range []struct{ parent, child int }{{os.Getpid(), pids[0]}, {pids[0], pids[1]}} {
		for name, f := range map[string]func(int) []int{"childrenOf": childrenOf, "scanChildren": scan} {
			// A first child may not have been reaped yet.
			if got := f(test.parent); !slices.Contains(got, test.child) || len(got) > 2 {
				t.Errorf("%s(%d) = %v; want %d among them", name, test.parent, got, test.child)
			}
		}
	}
	if got := childrenOf(1 << 30); got != nil {
		t.Errorf("childrenOf(nobody) = %v", got)
	}
}
