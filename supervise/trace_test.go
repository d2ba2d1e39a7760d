package supervise

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/session-init/session-init/session/testkit"
)

// compile makes a program of a fixture, static: what it does before main is
// not to be told from what it does after.
func compile(t *testing.T, name string) string {
	t.Helper()
	gcc := testkit.Need(t, "gcc")
	program := filepath.Join(t.TempDir(), name)
	out, err := exec.Command(gcc, "-Wall", "-static", "-o", program, "testdata/cmd/"+name+".c").CombinedOutput()
	if err != nil {
		t.Fatalf("cannot compile %s: %v\n%s", name, err, out)
	}
	return program
}

// wedge is one way in which a declaration can meet a program.
type wedge struct {
	way                 Follow
	forks               int
	method, order, exec string
}

func (c wedge) String() string {
	way := [...]string{FollowNone: "none", FollowStop: "stop", FollowFork: "fork", FollowDaemon: "daemon"}[c.way]
	return fmt.Sprintf("expect %s, %d by %s, %s first, exec by %s", way, c.forks, c.method, c.order, c.exec)
}

// follows returns how many forks are followed, and whether an exec is what
// ends it before as many were seen as declared.
func (c wedge) follows() (forks int, exec bool) {
	forks = min(c.forks, wanted[c.way])
	if forks == 0 {
		return 0, false
	}
	execs := c.method == "vfork" || c.method == "spawn" || c.exec == "child" && c.forks == 1
	if forks < wanted[c.way] || execs {
		return map[bool]int{true: 1, false: forks}[execs], execs && wanted[c.way] == 2
	}
	return forks, false
}

func wedges() (list []wedge) {
	for _, way := range []Follow{FollowNone, FollowStop, FollowFork, FollowDaemon} {
		for forks := range 5 {
			for _, method := range []string{"fork", "vfork", "clone", "spawn", "thread"} {
				for _, order := range []string{"parent", "child", "both"} {
					for _, exec := range []string{"none", "main", "child"} {
						list = append(list, wedge{way, forks, method, order, exec})
					}
				}
			}
		}
	}
	return list
}

// TestWedges: whatever was declared and whatever the program does, what is
// reported is true, and nothing is left stopped or traced.
func TestWedges(t *testing.T) {
	forker := compile(t, "forker")
	const together = 30
	for list := wedges(); len(list) > 0; list = list[min(together, len(list)):] {
		batch := list[:min(together, len(list))]
		t.Run(batch[0].String(), func(t *testing.T) {
			w := newWorld(t, Options{})
			dir := t.TempDir()
			for i, c := range batch {
				argv := []string{"forker", strconv.Itoa(c.forks), c.method, c.order, c.exec, filepath.Join(dir, strconv.Itoa(i))}
				if c.way == FollowStop {
					argv = append(argv, "stop")
				}
				w.Start(Spec{ID: ProcID(i + 1), Owner: uint64(i + 1), Path: forker, Argv: argv, Follow: c.way})
			}
			for i, c := range batch {
				w.checkWedge(ProcID(i+1), c, filepath.Join(dir, strconv.Itoa(i)))
			}
		})
	}
}

// checkWedge waits for what must be reported of a wedge and checks it.
func (w *world) checkWedge(id ProcID, c wedge, file string) {
	w.t.Helper()
	stays := c.forks == 0 || c.way.traces()
	forks, byExec := c.follows()
	stays = stays && (c.forks == forks)
	rest, short := 0, wanted[c.way] > forks
	switch {
	case c.way == FollowStop && c.forks > 0 && c.order == "child":
		// Main waits for a child that has stopped itself, unknown to us.
		stays, short = true, true
		rest = w.spawned(id)
		w.Settle(id)
	case c.way != FollowStop || c.forks == 0:
		rest = w.restOf(c, file)
		// It has done all that it will do: who waits for more gives up.
		if short && !byExec {
			w.Settle(id)
		}
	}
	w.await(fmt.Sprintf("end of %v", c), func(all []Event) bool {
		var t told
		for _, ev := range all {
			t.take(id, ev)
		}
		if t.over && stays || t.unexpected {
			w.t.Fatalf("%v: %+v", c, t)
		}
		switch {
		case t.forks < forks || short && !t.settled || c.way == FollowStop && c.forks == 0 && !t.stopped:
			return false
		case !stays && !t.over || t.pid == 0:
			return false
		}
		if t.forks != forks || t.settled != short || t.settled && (t.exec != byExec || t.settledForks != forks) ||
			stays && t.pid != rest || !stays && (t.status != 0 || t.signal != 0 || !t.left) {
			w.t.Fatalf("%v: %+v; want %d forks, settled %v (exec %v), stays %v as %d", c, t, forks, short, byExec, stays, rest)
		}
		return true
	})
	if rest != 0 {
		poll(w.t, fmt.Sprintf("%v to be left alone", c), func() bool {
			return statusLine(w.t, rest, "TracerPid") == "0" && statField(w.t, rest, 3) == "S"
		})
	}
}

// restOf waits until the last process has come to rest, and returns its pid.
func (w *world) restOf(c wedge, file string) (pid int) {
	w.t.Helper()
	poll(w.t, fmt.Sprintf("rest of %v; events %+v", c, w.events()), func() bool {
		w.said(0) // for who waits for a barrier
		text, err := os.ReadFile(file)
		pid, _ = strconv.Atoi(strings.TrimSpace(string(text)))
		return err == nil && pid != 0
	})
	return pid
}

// told is what was reported of one process.
type told struct {
	pid, forks, settledForks        int
	settled, exec, stopped          bool
	unexpected, over, left, unknown bool
	status                          int
	signal                          int
}

func (t *told) take(id ProcID, ev Event) {
	switch ev := ev.(type) {
	case Spawned:
		if ev.ID == id {
			t.pid = ev.Pid
		}
	case Forked:
		if ev.ID == id {
			t.pid = ev.Pid
			t.forks++
		}
	case Settled:
		if ev.ID == id {
			t.settled, t.exec, t.settledForks = true, ev.Exec, ev.Forks
		}
	case SelfStopped:
		t.stopped = t.stopped || ev.ID == id
	case UnexpectedStop:
		t.unexpected = t.unexpected || ev.ID == id
	case Exited:
		if ev.ID == id {
			t.over, t.left, t.unknown = true, ev.Left, ev.Unknown
			t.status, t.signal = ev.Status, int(ev.Signal)
		}
	}
}

// of collects what was reported of a process so far.
func (w *world) of(id ProcID) (t told) {
	for _, ev := range w.events() {
		t.take(id, ev)
	}
	return t
}
