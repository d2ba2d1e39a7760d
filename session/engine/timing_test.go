package engine_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/engine"
)

// tellTimings gives a line for each timing, times in seconds.
func tellTimings(e *engine.Engine) string {
	begun, timings := e.View().Timings()
	out := []string{fmt.Sprintf("begun %g", begun.Seconds())}
	for _, t := range timings {
		line := engine.Label(t.Class, t.Instance)
		if t.Task {
			line += " task"
		}
		line += fmt.Sprintf(" by %s %s %s wanted %g at", t.Reason, t.Event, engine.Label(t.ByClass, t.ByInstance), t.Wanted.Seconds())
		for _, at := range t.At {
			line += fmt.Sprintf(" %g", at.Seconds())
		}
		if t.Over {
			line += fmt.Sprintf(" over %g", t.Ended.Seconds())
		}
		if t.Failed {
			line += " failed"
		}
		out = append(out, strings.Join(strings.Fields(line), " "))
	}
	return strings.Join(out, "\n")
}

func TestTimings(t *testing.T) {
	e := engine.New(engine.Config{})
	now := time.Second
	var procs []engine.ProcID
	step := func(in engine.Input) {
		for _, effect := range e.Step(now, in) {
			if spawn, ok := effect.(engine.Spawn); ok {
				procs = append(procs, spawn.Proc)
			}
		}
		// Whoever goes on with the snapshot notes on.
		restored, err := engine.Restore(engine.Config{}, e.Snapshot())
		if err != nil {
			t.Fatal(err)
		}
		e = restored
	}
	proc := func() engine.ProcID {
		if len(procs) == 0 {
			t.Fatal("no process was started")
		}
		return procs[len(procs)-1]
	}
	if got := tellTimings(e); got != "begun 0" {
		t.Errorf("Timings() of a new engine = %s; want begun 0", got)
	}
	for _, job := range [][2]string{{"db", "start on go\npre-start exec a\nexec b\npre-stop exec p\n"}, {"got", "start on told\ninstance $N\nexec e\n"},
		{"hand", "exec d\n"}, {"sub", "start on started got\nexec e\n"}, {"web", "start on up and started db\ntask\nexec c\n"}} {
		step(engine.SetClass{Class: mustParse(t, job[0], job[1])})
	}
	now = 2 * time.Second
	step(engine.Emit{Name: "up"})
	step(engine.Emit{Name: "go"})
	now = 3 * time.Second
	step(engine.Spawned{Proc: proc(), Pid: 11})
	step(engine.Exited{Proc: proc()})
	now = 4 * time.Second
	db := proc()
	step(engine.Spawned{Proc: db, Pid: 12})
	now = 5 * time.Second
	step(engine.Spawned{Proc: proc(), Pid: 13})
	now = 6 * time.Second
	step(engine.Exited{Proc: proc(), Status: 3})
	by := &events.Caller{Pid: 13, Job: "web"}
	step(engine.Emit{Name: "told", Env: events.Env{"N=1", "JOB=x"}, By: by})
	got := proc()
	step(engine.Start{Target: engine.Target{Class: "hand"}, By: by})
	now = 7 * time.Second
	step(engine.Spawned{Proc: got, Pid: 14})
	want := `begun 1
db by event go wanted 2 at 2 2 3 4 4
web task by event started db wanted 4 at 4 4 4 5 5 over 6 failed
got (1) by event told web wanted 6 at 6 6 6 7 7
hand by caller web wanted 6 at 6 6 6 0 0
sub by event started got (1) wanted 7 at 7 7 7 0 0`
	if got := tellTimings(e); got != want {
		t.Errorf("Timings() =\n%s\nwant\n%s", got, want)
	}
	// A stop that is called off, and a second start, change nothing.
	now = 8 * time.Second
	step(engine.Stop{Target: engine.Target{Class: "db"}})
	hook := proc()
	step(engine.Spawned{Proc: hook, Pid: 15})
	step(engine.Start{Target: engine.Target{Class: "db"}})
	step(engine.Exited{Proc: hook})
	if in, _ := e.View().Instance("db", ""); in.State != engine.Running {
		t.Fatalf("db is %s after a stop that was called off; want running", in.State)
	}
	now = 9 * time.Second
	step(engine.Exited{Proc: db, Status: 0})
	step(engine.Emit{Name: "go"})
	want = strings.Replace(want, "2 2 3 4 4\n", "2 2 3 4 4 over 9\n", 1)
	if got := tellTimings(e); got != want {
		t.Errorf("Timings() after a second start =\n%s\nwant\n%s", got, want)
	}
}

// A record that does not fit is told, and followed no further.
func TestTimingsOfNobody(t *testing.T) {
	e := engine.New(engine.Config{})
	e.Step(time.Second, engine.SetClass{Class: mustParse(t, "svc", "exec e\n")})
	if now := e.View().Now(); now != time.Second {
		t.Errorf("Now() = %v; want 1s", now)
	}
	s := e.Snapshot()
	s.Timings = []engine.Timing{{Class: "gone"}, {Class: "svc"}}
	restored, err := engine.Restore(engine.Config{}, s)
	if err != nil {
		t.Fatalf("Restore with timings of nobody: %v", err)
	}
	if _, timings := restored.View().Timings(); len(timings) != 2 {
		t.Errorf("Timings() = %v; want those of the snapshot", timings)
	}
	// One of a daemon that noted none began, as far as is known, with it.
	s.Begun = 0
	if restored, err = engine.Restore(engine.Config{}, s); err != nil {
		t.Fatal(err)
	}
	if begun, _ := restored.View().Timings(); begun != time.Second {
		t.Errorf("Timings() of an old snapshot began at %v; want 1s", begun)
	}
}

// However many instances there are, of no more than so many is noted.
func TestTimingsAreBounded(t *testing.T) {
	e := engine.New(engine.Config{})
	e.Step(1, engine.SetClass{Class: mustParse(t, "got", "instance $N\nexec e\n")})
	for n := range 2100 {
		e.Step(1, engine.Start{Target: engine.Target{Class: "got"}, Env: events.Env{fmt.Sprintf("N=%d", n)}})
	}
	_, timings := e.View().Timings()
	if len(timings) != 2000 || timings[1999].Instance != "1999" || slices.ContainsFunc(timings, func(t engine.Timing) bool { return t.At[0] != 1 }) {
		t.Errorf("%d timings after 2100 starts; want the first 2000", len(timings))
	}
}
