package engine_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
	"github.com/session-init/session-init/session/sim"
)

// list gives effects as text, one a line, logs left out.
func list(effects []engine.Effect) string {
	var out []string
	for _, effect := range effects {
		if _, ok := effect.(engine.Log); !ok {
			out = append(out, fmt.Sprintf("%T%+v", effect, effect))
		}
	}
	return strings.ReplaceAll(strings.Join(out, "\n"), "engine.", "")
}

func (s *stage) job(name, text string) {
	s.Do(engine.SetClass{Class: mustParse(s.t, name, text)})
}

func (s *stage) up(name string) {
	s.Do(engine.Start{Target: engine.Target{Class: name}})
}

// TestLive: a daemon that comes after looks for these processes.
func TestLive(t *testing.T) {
	s := newStage(t)
	s.job("b", "expect daemon\nexec hang")
	s.job("a", "post-start exec hang\nexec hang\nexpect stop")
	s.job("c", "exec late 9 hang")
	s.job("deaf", "exec deaf slow 99\nkill timeout 1")
	for _, name := range []string{"b", "a", "c", "deaf"} {
		s.up(name)
	}
	s.Fork(s.Find("b", "", job.Main))
	s.SelfStop(s.Find("a", "", job.Main))
	want := []engine.LiveProcess{
		{Proc: 2, Owner: 2, Pid: s.Find("a", "", job.Main).Pid},
		{Proc: 5, Owner: 2, Pid: s.Find("a", "", job.PostStart).Pid},
		{Proc: 1, Owner: 1, Pid: s.Find("b", "", job.Main).Pid, Expect: job.ExpectDaemon, Forks: 1},
		{Proc: 3, Owner: 3},
		{Proc: 4, Owner: 4, Pid: s.Find("deaf", "", job.Main).Pid},
	}
	if got := s.Engine.Live(); !reflect.DeepEqual(got, want) {
		t.Errorf("Live() = %+v; want %+v", got, want)
	}
	// What even KILL does not end is looked for too.
	s.Choose = func(engine.Spawn) sim.Program { return sim.Program{Deaf: true, Dying: time.Hour} }
	s.job("stuck", "exec deaf\nkill timeout 0")
	s.up("stuck")
	pid := s.Find("stuck", "", job.Main).Pid
	s.Do(engine.Stop{Target: engine.Target{Class: "stuck"}})
	s.Advance(time.Second)
	if got := s.Engine.Live(); len(got) != 6 || got[5] != (engine.LiveProcess{Proc: 6, Owner: 6, Pid: pid}) {
		t.Errorf("Live() = %+v; want process 6 (%d) last", got, pid)
	}
	if got, ok := s.Engine.Reissue(3); !ok || got.Class.Name != "c" || got.Proc != 3 || got.Owner != 3 || got.Kind != job.Main || len(got.Env) == 0 {
		t.Errorf("Reissue(3) = %+v, %t; want the main of c", got, ok)
	}
	if got, ok := s.Engine.Reissue(5); !ok || got.Kind != job.PostStart || got.Owner != 2 {
		t.Errorf("Reissue(5) = %+v, %t; want the post-start of a", got, ok)
	}
	if got, ok := s.Engine.Reissue(99); ok || got.Proc != 0 {
		t.Errorf("Reissue(99) = %+v, true; want none", got)
	}
}

// TestUnsure: what a daemon may have died in the middle of is done again.
func TestUnsure(t *testing.T) {
	for _, test := range []struct {
		name string
		do   func(s *stage)
		want string
	}{
		{"nothing", func(s *stage) {}, ""},
		{"running", func(s *stage) { s.job("a", "exec hang"); s.up("a") }, ""},
		{"pre-start of one that is to stop", func(s *stage) {
			s.job("a", "pre-start exec hang\nexec hang")
			s.up("a")
			s.Do(engine.Stop{Target: engine.Target{Class: "a"}})
		}, ""},
		{"kill signal", func(s *stage) {
			s.job("a", "exec deaf\nkill signal INT")
			s.up("a")
			s.Do(engine.Stop{Target: engine.Target{Class: "a"}})
		}, "Kill{Proc:1 Signal:2 Group:true}"},
		{"kill signal to a process alone", func(s *stage) {
			s.job("a", "exec deaf\nkill mode process")
			s.up("a")
			s.Do(engine.Stop{Target: engine.Target{Class: "a"}})
		}, "Kill{Proc:1 Signal:15 Group:false}"},
		{"KILL", func(s *stage) {
			s.job("a", "exec deaf\nkill timeout 2")
			s.Choose = func(sp engine.Spawn) sim.Program { return sim.Program{Deaf: true, Dying: time.Hour} }
			s.up("a")
			s.Do(engine.Stop{Target: engine.Target{Class: "a"}})
			s.Advance(2 * time.Second)
		}, "Kill{Proc:1 Signal:9 Group:true}"},
		{"stuck", func(s *stage) {
			s.job("a", "exec deaf\nkill timeout 2")
			s.Choose = func(sp engine.Spawn) sim.Program { return sim.Program{Deaf: true, Dying: time.Hour} }
			s.up("a")
			s.Do(engine.Stop{Target: engine.Target{Class: "a"}})
			s.Advance(9 * time.Second)
		}, "Kill{Proc:1 Signal:9 Group:false}\nSweep{Owner:1 Group:0 Signal:9}"},
		{"sweep", func(s *stage) {
			s.job("a", "exec leaves-deaf 1")
			s.up("a")
			s.Do(engine.Stop{Target: engine.Target{Class: "a"}})
		}, "Sweep{Owner:1 Group:0 Signal:15}"},
		{"the last sweep", func(s *stage) {
			s.job("a", "exec leaves-lasting 1\nkill timeout 1\nkill mode group")
			s.up("a")
			s.Do(engine.Stop{Target: engine.Target{Class: "a"}})
			s.Advance(time.Second)
		}, "Sweep{Owner:1 Group:1 Signal:9}"},
		{"what a task left behind", func(s *stage) {
			s.job("a", "task\nexec leaves 1")
			s.up("a")
			s.Exit(s.Find("a", "", job.Main), 0, 0)
		}, "Sweep{Owner:1 Group:0 Signal:0}"},
		{"a main that is not ready", func(s *stage) {
			s.job("a", "expect fork\nexec hang")
			s.up("a")
			s.Engine.Step(job.DefaultReadyTimeout, engine.Tick{})
		}, "Settle{Proc:1}"},
		{"the end of the session", func(s *stage) {
			s.job("a", "exec hang")
			s.up("a")
			s.Do(engine.Shutdown{Type: "logout"})
		}, "Quit{}"},
		{"after the deadline of the end", func(s *stage) {
			s.job("a", "exec deaf\nkill timeout 99")
			s.Choose = func(sp engine.Spawn) sim.Program { return sim.Program{Deaf: true, Dying: time.Hour} }
			s.up("a")
			s.Do(engine.Shutdown{Type: "logout"})
			s.Advance(10 * time.Second)
		}, "Kill{Proc:1 Signal:9 Group:true}"},
	} {
		s := newStage(t)
		test.do(s)
		if got := list(s.Engine.Unsure()); got != test.want {
			t.Errorf("%s: Unsure() = %s; want %s", test.name, got, test.want)
		}
		if got := list(s.Engine.Step(0, engine.Abandon{})); got != "" {
			t.Errorf("%s: after Unsure the next step says %s", test.name, got)
		}
	}
}

// TestForsake: what callers of another daemon asked for goes on, and nobody
// is answered.
func TestForsake(t *testing.T) {
	s := newStage(t)
	s.job("a", "start on go\npre-start exec hang\nexec hang")
	s.Do(engine.Emit{Call: s.next(), Name: "go", Wait: true})
	s.start() // is in its pre-start too
	s.Do(engine.Emit{Call: s.next(), Name: "up", Wait: true})
	hook := &events.Caller{Pid: s.Find("a", "", job.PreStart).Pid, Job: "a"}
	s.Do(engine.Emit{Call: s.next(), Name: "go", Wait: true, By: hook})
	s.job("slow", "pre-start exec hang")
	s.Do(engine.Start{Call: s.next(), Target: engine.Target{Class: "slow"}, Wait: true, By: hook})
	if before := s.Engine.Snapshot(); len(before.Calls) == 0 || len(before.Hooks) == 0 {
		t.Errorf("before Forsake the calls %v wait, of hooks %v", before.Calls, before.Hooks)
	}
	s.Engine.Forsake()
	s.lines = nil
	after := s.Engine.Snapshot()
	if len(after.Calls) > 0 || len(after.Hooks) > 0 {
		t.Errorf("after Forsake the calls %v wait, of hooks %v", after.Calls, after.Hooks)
	}
	for _, ev := range after.Queue.Events {
		if ev.Call != 0 {
			t.Errorf("after Forsake the event %s is waited for by call %d", ev.Name, ev.Call)
		}
	}
	for _, c := range after.Classes {
		for _, in := range c.Instances {
			for _, w := range in.Waiters {
				if w.Event == 0 {
					t.Errorf("after Forsake call %d waits for %s", w.Call, c.Definition.Name)
				}
			}
		}
	}
	for _, wrong := range s.Engine.Check() {
		t.Errorf("after Forsake: %s", wrong)
	}
	twin, err := engine.Restore(engine.Config{StopTimeout: 10 * time.Second}, after)
	if err != nil {
		t.Fatal(err)
	}
	for _, differs := range engine.Differences(s.Engine, twin) {
		t.Errorf("after Forsake: %s", differs)
	}
	s.Exit(s.Find("a", "", job.PreStart), 0, 0)
	s.Do(engine.Stop{Target: svc})
	s.Exit(s.Find("svc", "", job.PreStart), 0, 0)
	s.Exit(s.Find("svc", "", job.PostStop), 0, 0)
	for _, line := range s.lines {
		if strings.HasPrefix(line, "reply ") && !strings.HasPrefix(line, "reply 0") {
			t.Errorf("after Forsake somebody is told %q", line)
		}
	}
	if info, _ := s.Engine.View().Instance("a", ""); info.State != engine.Running {
		t.Errorf("a is %s; want running", info.State)
	}
	if _, there := s.Engine.View().Instance("svc", ""); there {
		t.Error("svc is there; want it gone")
	}
}

// TestAdopt: a process of a daemon whose state is lost becomes the main of an
// instance that runs.
func TestAdopt(t *testing.T) {
	s := newStage(t)
	s.job("net", "instance $N\nstop on down\nexec hang")
	adopted := s.Engine.Step(s.Now(), engine.Adopt{Class: "svc", Pid: 77})
	if got, want := said(adopted), "warn svc svc: process 77 of an earlier daemon is taken for its main process"; got != want {
		t.Errorf("Adopt says %q; want %q", got, want)
	}
	got := list(adopted)
	if want := "TakeOver{Proc:1 Owner:1 Pid:77}"; !strings.HasSuffix(got, want) {
		t.Errorf("Adopt does %s; want it to end with %s", got, want)
	}
	info, ok := s.Engine.View().Instance("svc", "")
	if !ok || info.Goal != engine.GoalStart || info.State != engine.Running || info.Owner != 1 ||
		!slices.Equal(info.Processes, []engine.ProcessInfo{{Kind: job.Main, Pid: 77}}) {
		t.Errorf("after Adopt svc is %+v", info)
	}
	// Another one of that instance, and one of a job that is not there, run on
	// by themselves.
	for _, in := range []engine.Adopt{{Class: "svc", Pid: 78}, {Class: "none", Instance: "x", Pid: 79}} {
		effects := s.Engine.Step(s.Now(), in)
		if len(effects) != 1 {
			t.Errorf("%+v does %s; want one line in the log", in, list(effects))
			continue
		}
		l, ok := effects[0].(engine.Log)
		if want := fmt.Sprintf("%s: process %d of an earlier daemon runs on by itself", engine.Label(in.Class, in.Instance), in.Pid); !ok || l.Msg != want || l.Level != engine.Warn || l.Class != in.Class {
			t.Errorf("%+v says %+v; want %s", in, effects[0], want)
		}
	}
	s.Engine.Step(s.Now(), engine.Adopt{Class: "net", Instance: "eth0", Pid: 80})
	if got := s.Engine.View().Instances("net"); len(got) != 1 || got[0].Name != "eth0" {
		t.Errorf("net has the instances %+v; want eth0", got)
	}
	// Their rules hold: the end of main, and stop on.
	s.Engine.Step(s.Now(), engine.Exited{Proc: 1, Status: 1})
	if info, _ := s.Engine.View().Instance("svc", ""); info.Goal != engine.GoalStop || info.Failure == "" {
		t.Errorf("svc is %+v after its adopted main failed", info)
	}
	effects := list(s.Engine.Step(s.Now(), engine.Emit{Name: "down", Env: events.Env{"N=eth0"}}))
	if !strings.Contains(effects, "Kill{Proc:2 Signal:15 Group:true}") {
		t.Errorf("the stop event of an adopted instance does %s; want TERM", effects)
	}
}
