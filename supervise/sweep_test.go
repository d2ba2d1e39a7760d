package supervise

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// owned is a shell of an owner.
func (w *world) owned(id ProcID, owner uint64, text string) (Spec, string) {
	spec, log := w.sh(id, text)
	spec.Owner = owner
	return spec, log
}

// swept waits for the answer to the nth sweep of an owner.
func (w *world) swept(owner uint64, n int) Swept {
	w.t.Helper()
	var found Swept
	w.await(fmt.Sprintf("sweep %d of %d", n, owner), func(all []Event) bool {
		seen := 0
		for _, ev := range all {
			if ev, is := ev.(Swept); is && ev.Owner == owner {
				if seen++; seen == n {
					found = ev
					return true
				}
			}
		}
		return false
	})
	return found
}

// vacated waits until the nth sweep of an owner is over.
func (w *world) vacated(owner uint64, n int) {
	w.t.Helper()
	w.await(fmt.Sprintf("end %d of the sweeps of %d", n, owner), func(all []Event) bool {
		seen := 0
		for _, ev := range all {
			if ev, is := ev.(Vacated); is && ev.Owner == owner {
				seen++
			}
		}
		return seen == n
	})
}

func pidsOf(strays []Stray) []int {
	pids := []int{}
	for _, s := range strays {
		pids = append(pids, s.Pid)
	}
	slices.Sort(pids)
	return pids
}

// left are ways of leaving a process behind, each of which prints its pid and
// ends without it.
var left = map[string]string{
	"child":          `sleep 1000 & echo $!`,
	"grandchild":     `(sleep 1000 & echo $!)`,
	"own session":    `setsid sh -c 'echo $$; exec sleep 1000' &`,
	"double fork":    `(setsid sh -c 'sleep 1000 & echo $!' &)`,
	"no environment": `(env -i setsid sh -c 'sleep 1000 & echo $!' &)`,
	// Its mark is gone, its session is still one of ours.
	"own limits": `(prlimit --locks=7:7 sh -c 'echo $$; exec sleep 1000' &)`,
	// Session, mark and parent are gone; its living parent's are not.
	"below another": `setsid sh -c 'prlimit --locks=7:7 setsid sh -c "echo \$\$; exec sleep 1000" & wait' &`,
}

// TestSweep: what is left behind is found, named and ended, and that of
// another owner is not touched.
func TestSweep(t *testing.T) {
	for name, text := range left {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, Options{})
			// Wait for the pid, so that nothing depends on who is faster.
			const ready = `
				until [ -s "$LOG" ]; do sleep 0.01; done`
			var pids [3]int
			for i := 1; i <= 2; i++ {
				spec, log := w.owned(ProcID(i), uint64(100+i), text+ready)
				spec.Env = append(spec.Env, "LOG="+log)
				w.Start(spec)
				if end := w.exited(spec.ID); !end.Left || end.Status != 0 {
					t.Fatalf("ended with %+v; want status 0 and something left", end)
				}
				pids[i] = pidsIn(t, log, 1)[0]
			}
			w.Sweep(101, unix.SIGTERM, 0)
			found := w.swept(101, 1)
			if !slices.Contains(pidsOf(found.Strays), pids[1]) || slices.Contains(pidsOf(found.Strays), pids[2]) || len(found.Spared) > 0 {
				t.Errorf("Sweep found %+v; want %d, not %d", found, pids[1], pids[2])
			}
			w.vacated(101, 1)
			if st, ok := statOf(pids[1]); ok && st.alive() {
				t.Errorf("%d lives", pids[1])
			}
			if gone(pids[2]) {
				t.Errorf("%d, of another owner, is gone", pids[2])
			}
		})
	}
}

// TestSweepNothing: when nothing is left, the exit says so, a sweep is over at
// once, and the owner is forgotten.
func TestSweepNothing(t *testing.T) {
	w := newWorld(t, Options{})
	for i, text := range []string{"exit 0", "sleep 0.01 & wait", "(setsid true)"} {
		spec, _ := w.owned(ProcID(i+1), uint64(i+1), text)
		w.Start(spec)
		if end := w.exited(spec.ID); end.Left {
			t.Errorf("%q: something left: %+v", text, end)
		}
		w.Sweep(spec.Owner, unix.SIGKILL, 0)
		w.vacated(spec.Owner, 1)
	}
	spec := sleeper(9)
	spec.Owner = 4
	w.Start(spec)
	w.spawned(9)
	w.Kill(9, unix.SIGKILL, true)
	w.exited(9)
	if n := count[Swept](w.events()); n != 0 {
		t.Errorf("%d sweeps named something", n)
	}
	asked := make(chan [3]int)
	w.send(func() { asked <- [3]int{len(w.belong.owners), len(w.belong.sessions), len(w.belong.seen)} })
	if kept := <-asked; kept != [3]int{} {
		t.Errorf("owners, sessions and processes kept: %v; want none", kept)
	}
}

// TestSweepDeaf: who ignores TERM stays until KILL, and a tree that goes on
// forking is ended too.
func TestSweepDeaf(t *testing.T) {
	w := newWorld(t, Options{})
	spec, log := w.owned(1, 1, `
		setsid sh -c 'trap "" TERM; echo $$; while :; do sleep 0.01; done' &
		until [ -s "$LOG" ]; do sleep 0.01; done`)
	spec.Env = append(spec.Env, "LOG="+log)
	w.Start(spec)
	if end := w.exited(1); !end.Left {
		t.Fatalf("ended with %+v", end)
	}
	pid := pidsIn(t, log, 1)[0]
	w.Sweep(1, unix.SIGTERM, 0)
	w.swept(1, 1)
	w.Sweep(1, unix.SIGKILL, 0)
	w.swept(1, 2)
	w.vacated(1, 1)
	if !gone(pid) {
		t.Errorf("%d lives", pid)
	}
}

// TestSweepGroup: with a group the others are spared and named, and not
// waited for.
func TestSweepGroup(t *testing.T) {
	w := newWorld(t, Options{})
	spec, log := w.owned(1, 1, `trap '' TERM; sleep 1000 & echo $!; setsid sh -c 'echo $$; exec sleep 1000' &
		until [ $(wc -l <"$LOG") = 2 ]; do sleep 0.01; done`)
	spec.Env = append(spec.Env, "LOG="+log)
	w.Start(spec)
	w.exited(1)
	pids := pidsIn(t, log, 2)
	in, out := pids[0], pids[1]
	if statField(t, in, 5) == statField(t, out, 5) {
		in, out = out, in
	}
	if statField(t, pids[0], 6) == strconv.Itoa(pids[0]) {
		in, out = pids[1], pids[0]
	}
	w.Sweep(1, unix.SIGTERM, 1) // ignored, so that both can be told
	found := w.swept(1, 1)
	if !slices.Equal(pidsOf(found.Strays), []int{in}) || !slices.Equal(pidsOf(found.Spared), []int{out}) {
		t.Errorf("Sweep found %+v; want %d in the group and %d spared", found, in, out)
	}
	w.Sweep(1, unix.SIGKILL, 1)
	w.vacated(1, 1)
	if !gone(in) || gone(out) {
		t.Errorf("gone: %v and %v; want the first only", gone(in), gone(out))
	}
	poll(t, "the other to be what it is named by", func() bool { return commOf(out) == "sleep\n" })
	// Signal 0 watches: it names and ends nothing.
	w.Sweep(1, 0, 0)
	if found := w.swept(1, 3); !slices.Equal(pidsOf(found.Strays), []int{out}) || found.Strays[0].Command != "sleep" {
		t.Errorf("Sweep with 0 found %+v; want %d", found, out)
	}
	if gone(out) {
		t.Error("signal 0 ended it")
	}
	if n := count[Vacated](w.events()); n != 1 {
		t.Errorf("%d owners vacated; want 1", n)
	}
	unix.Kill(out, unix.SIGKILL)
	w.vacated(1, 2)
}

// TestSweepRemembers: what changed its mark and its session below a process
// that was killed is known by what was seen.
func TestSweepRemembers(t *testing.T) {
	w := newWorld(t, Options{})
	spec, log := w.owned(1, 1, `prlimit --locks=7:7 setsid sh -c 'echo $$; exec sleep 1000' & wait`)
	w.Start(spec)
	pid := pidsIn(t, log, 1)[0]
	w.Kill(1, unix.SIGKILL, true)
	if end := w.exited(1); !end.Left {
		t.Fatalf("ended with %+v", end)
	}
	w.Sweep(1, unix.SIGKILL, 0)
	w.vacated(1, 1)
	if !gone(pid) {
		t.Errorf("%d lives", pid)
	}
}

// TestSweepStranger: what left parent, session and mark behind is nobody's,
// is not ended by a sweep, and is there to be named at the end.
func TestSweepStranger(t *testing.T) {
	w := newWorld(t, Options{})
	spec, log := w.owned(1, 1, `(prlimit --locks=7:7 setsid sh -c 'echo $$; exec sleep 1000' &)
		until [ -s "$LOG" ]; do sleep 0.01; done`)
	spec.Env = append(spec.Env, "LOG="+log)
	w.Start(spec)
	if end := w.exited(1); end.Left {
		t.Fatalf("ended with %+v; nobody can know that something is left", end)
	}
	pid := pidsIn(t, log, 1)[0]
	w.Sweep(1, unix.SIGKILL, 0)
	w.vacated(1, 1)
	if gone(pid) {
		t.Errorf("%d was ended without proof", pid)
	}
	if !slices.Contains(pidsOf(w.Strays()), pid) {
		t.Errorf("%d is not among the strays", pid)
	}
}

// TestMark: a process and what it makes carry the mark, and it is read both
// ways.
func TestMark(t *testing.T) {
	w := newWorld(t, Options{})
	spec, log := w.owned(1, 77, `env -i setsid sh -c 'echo $$; exec sleep 1000' & wait`)
	w.Start(spec)
	pid := pidsIn(t, log, 1)[0]
	asked := make(chan uint64)
	w.send(func() { asked <- w.belong.part })
	want := <-asked | 77
	got, ok := readMark(pid)
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/limits")
	if err != nil {
		t.Fatal(err)
	}
	parsed, parsedOK := parseMark(string(text))
	if !ok || !parsedOK || got != want || parsed != want {
		t.Errorf("mark = %#x, %v, by file %#x, %v; want %#x", got, ok, parsed, parsedOK, want)
	}
	// Nobody's have none.
	other, _ := w.sh(2, "exec sleep 1000")
	w.Start(other)
	if got, _ := readMark(w.spawned(2)); got != unix.RLIM_INFINITY {
		t.Errorf("mark of nobody's = %#x", got)
	}
}

func TestParseStat(t *testing.T) {
	for _, test := range []struct {
		line string
		want stat
		ok   bool
	}{
		{"7 (sleep) S 1 2 3 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4711 0\n", stat{"sleep", 'S', 1, 2, 3, 4711}, true},
		{"7 (a) b) (c) Z 1 2 3 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 0\n", stat{"a) b) (c", 'Z', 1, 2, 3, 5}, true},
		{"7 (a) S 1 2 3", stat{}, false},
		{"7 (a) S x 2 3 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 0", stat{}, false},
		{"", stat{}, false},
		{")(", stat{}, false},
	} {
		got, ok := parseStat([]byte(test.line))
		if ok != test.ok || ok && got != test.want {
			t.Errorf("parseStat(%q) = %+v, %v; want %+v, %v", test.line, got, ok, test.want, test.ok)
		}
	}
	if st, ok := statOf(os.Getpid()); !ok || st.parent != os.Getppid() || !st.alive() || st.start > uint64(bootTime())/uint64(clockTick) {
		t.Errorf("statOf(us) = %+v, %v; now %d", st, ok, uint64(bootTime())/uint64(clockTick))
	}
}

func TestParseMark(t *testing.T) {
	for text, want := range map[string]uint64{
		"Max address space  1  2  bytes\nMax file locks   4711   unlimited   locks\n": 4711,
		"Max file locks": 0, "": 0,
		"Max file locks   unlimited   unlimited   locks\n": 0,
	} {
		if got, ok := parseMark(text); got != want || ok != (want != 0) {
			t.Errorf("parseMark(%q) = %d, %v; want %d", text, got, ok, want)
		}
	}
}

// TestSweepWithoutLists: on a kernel that does not list children the process
// table tells the same.
func TestSweepWithoutLists(t *testing.T) {
	w := newWorld(t, Options{})
	w.send(func() { w.belong.close() })
	spec, log := w.owned(1, 1, `(setsid sh -c 'echo $$; exec sleep 1000' &)
		until [ -s "$LOG" ]; do sleep 0.01; done`)
	spec.Env = append(spec.Env, "LOG="+log)
	w.Start(spec)
	other := sleeper(2)
	other.Owner = 2
	w.Start(other)
	if end := w.exited(1); !end.Left {
		t.Fatalf("ended with %+v", end)
	}
	pid := pidsIn(t, log, 1)[0]
	w.Sweep(1, unix.SIGTERM, 0)
	w.vacated(1, 1)
	if !gone(pid) || gone(w.spawned(2)) {
		t.Errorf("gone: %v and %v; want the first only", gone(pid), gone(w.spawned(2)))
	}
}

// TestProcesses: all that is alive of an owner is listed, its commands whole.
func TestProcesses(t *testing.T) {
	w := newWorld(t, Options{})
	spec, log := w.owned(1, 5, `(setsid sleep 1001 & echo $!); sleep 1002 & echo $!; echo $$; wait`)
	w.Start(spec)
	pids := pidsIn(t, log, 3)
	want := map[int]string{pids[0]: "sleep 1001", pids[1]: "sleep 1002", pids[2]: "sh -ec " + spec.Argv[2]}
	poll(t, "commands", func() bool {
		answer := make(chan []Stray)
		w.Processes(5, func(list []Stray) { answer <- list })
		list := <-answer
		got := map[int]string{}
		for _, s := range list {
			got[s.Pid] = s.Command
		}
		return maps.Equal(got, want) && list[0].Pid == pids[2]
	})
	answer := make(chan []Stray)
	w.Processes(6, func(list []Stray) { answer <- list })
	if list := <-answer; len(list) != 0 {
		t.Errorf("Processes(nobody) = %v", list)
	}
}

// BenchmarkOrphans is what it costs a batch of exits to know that nothing is
// left.
func BenchmarkOrphans(b *testing.B) {
	s := &Supervisor{self: os.Getpid()}
	s.belong = newBelongings(s.self, "")
	defer s.belong.close()
	for b.Loop() {
		if n := len(s.orphans()); n != 0 {
			b.Fatalf("%d orphans", n)
		}
	}
}
