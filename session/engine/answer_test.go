package engine_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/engine"
)

// replies gives the answers among effects: "CALL CLASS(INSTANCE) ERROR".
func replies(effects []engine.Effect) string {
	var out []string
	for _, effect := range effects {
		if r, ok := effect.(engine.Reply); ok {
			text := fmt.Sprintf("%d %q", r.Call, engine.Label(r.Class, r.Instance))
			if r.Err != nil {
				text += fmt.Sprintf(" %d %s", r.Err.Kind, r.Err.Error())
			}
			out = append(out, text)
		}
	}
	return strings.Join(out, "\n")
}

// TestReplies: an answer names the instance that it is about, and nobody is
// answered who has not asked.
func TestReplies(t *testing.T) {
	job := engine.Target{Class: "a"}
	one, two := events.Env{"N=one"}, events.Env{"N=two"}
	e := engine.New(engine.Config{})
	e.Step(0, engine.SetClass{Class: mustParse(t, "a", "instance $N\nexec hang\nreload signal HUP")})
	for _, step := range []struct {
		in   engine.Input
		want string
	}{
		{engine.Start{Target: job, Env: one}, ""},
		{engine.Start{Target: job, Env: two, Wait: true}, ""},
		{engine.Spawned{Proc: 1, Pid: 11}, ""},
		{engine.Spawned{Proc: 2, Pid: 12}, ""},
		{engine.Start{Call: 1, Target: job, Env: one}, `1 "" 3 Job is already running: a (one)`},
		{engine.Start{Target: job, Env: one}, ""},
		{engine.Stop{Target: job, Env: events.Env{"N=no"}}, ""},
		{engine.Stop{Call: 2, Target: job, Env: events.Env{"N=no"}}, `2 "" 2 Unknown instance: a (no)`},
		{engine.Reload{Target: engine.Target{Class: "a", Instance: "two", ByName: true}}, ""},
		{engine.Reload{Call: 3, Target: engine.Target{Class: "a", Instance: "two", ByName: true}}, `3 ""`},
		{engine.Emit{Name: "x"}, ""},
		{engine.Emit{Name: "x", Wait: true}, ""},
		{engine.Emit{Call: 4, Name: "x"}, `4 ""`},
		{engine.Emit{Call: 5, Name: "x", Wait: true}, `5 ""`},
		{engine.Emit{Call: 6, Name: ""}, `6 "" 0 Event name may not be empty string`},
		{engine.SetEnv{Entries: []string{"A=1"}}, ""},
		{engine.SetEnv{Call: 7, Entries: []string{"A=1"}}, `7 ""`},
		{engine.Stop{Call: 8, Target: job, Env: one, Wait: true}, ""},
		{engine.Stop{Call: 9, Target: job, Env: two}, `9 "a (two)"`},
		{engine.Exited{Proc: 1, Signal: 15}, `8 "a (one)"`},
		{engine.Exited{Proc: 2, Signal: 15}, ""},
		{engine.Start{Call: 10, Target: job, Env: one, Wait: true}, ""},
		{engine.Spawned{Proc: 3, Pid: 13}, `10 "a (one)"`},
		{engine.Restart{Call: 11, Target: job, Env: one, Wait: true}, ""},
		{engine.Abandon{Call: 11}, ""},
		{engine.Exited{Proc: 3, Signal: 15}, ""},
		{engine.SpawnFailed{Proc: 4, Reason: "x"}, ""},
		{engine.Start{Call: 12, Target: job, Env: one, Wait: true}, ""},
		{engine.SpawnFailed{Proc: 5, Reason: "x"}, `12 "a (one)" 6 Job failed to start`},
	} {
		if got := replies(e.Step(0, step.in)); got != step.want {
			t.Errorf("%T%+v is answered by %s; want %s", step.in, step.in, got, step.want)
		}
	}
}

// TestProgress: who asks for it is told of every event how far it has come,
// around what comes of it.
func TestProgress(t *testing.T) {
	const text = "start on up\npre-start exec hang"
	tell := func(e *engine.Engine, in engine.Input) string {
		var out []string
		for _, effect := range e.Step(0, in) {
			switch effect := effect.(type) {
			case engine.Progressed:
				out = append(out, fmt.Sprintf("%d %s %s %s %t", effect.Event, effect.Name, strings.Join(effect.Env, " "), effect.Progress, effect.Failed))
			case engine.Spawn:
				out = append(out, "spawn")
			}
		}
		return strings.Join(out, "\n")
	}
	e := engine.New(engine.Config{Progress: true})
	e.Step(0, engine.SetClass{Class: mustParse(t, "a", text)})
	got := tell(e, engine.Emit{Name: "up", Env: events.Env{"N=1"}})
	want := `1 up N=1 pending false
1 up N=1 handling false
2 starting JOB=a INSTANCE= pending false
2 starting JOB=a INSTANCE= handling false
2 starting JOB=a INSTANCE= finished false
spawn`
	if got != want {
		t.Errorf("the event tells\n%s\nwant\n%s", got, want)
	}
	got = tell(e, engine.SpawnFailed{Proc: 1, Reason: "x"})
	if want := "1 up N=1 finished true\n"; !strings.Contains(got, want) {
		t.Errorf("the failure tells\n%s\nwant among it\n%s", got, want)
	}
	quiet := engine.New(engine.Config{})
	quiet.Step(0, engine.SetClass{Class: mustParse(t, "a", text)})
	if got := tell(quiet, engine.Emit{Name: "up"}); got != "spawn" {
		t.Errorf("without being asked the engine tells\n%s", got)
	}
}

// TestClockGoesOn: a reading of the clock that is behind the last one does not
// turn it back.
func TestClockGoesOn(t *testing.T) {
	e := engine.New(engine.Config{})
	e.Step(0, engine.SetClass{Class: mustParse(t, "a", "exec hang\nkill timeout 5")})
	e.Step(9*time.Second, engine.Start{Target: engine.Target{Class: "a"}})
	e.Step(8*time.Second, engine.Spawned{Proc: 1, Pid: 1})
	e.Step(7*time.Second, engine.Stop{Target: engine.Target{Class: "a"}})
	if at, ok := e.NextDeadline(); at != 14*time.Second || !ok {
		t.Errorf("NextDeadline() = %s, %t; want 14s", at, ok)
	}
}

// TestHookAsks: a caller is a hook when it is that process, or its child; or
// when its job has nobody else who could ask.
func TestHookAsks(t *testing.T) {
	for _, test := range []struct {
		name string
		by   *events.Caller
		main bool // it runs beside the hook
		hook bool
	}{
		{"nobody", nil, false, false},
		{"no job", &events.Caller{Pid: 12}, false, false},
		{"a job that is not there", &events.Caller{Pid: 12, Job: "none"}, false, false},
		{"an instance that is not there", &events.Caller{Pid: 12, Job: "a", Instance: "x"}, false, false},
		{"the hook", &events.Caller{Pid: 12, Job: "a"}, true, true},
		{"its child", &events.Caller{Pid: 99, Parent: 12, Job: "a"}, true, true},
		{"main", &events.Caller{Pid: 11, Job: "a"}, true, false},
		{"a child of main", &events.Caller{Pid: 99, Parent: 11, Job: "a"}, true, false},
		{"whoever, beside main", &events.Caller{Pid: 99, Parent: 98, Job: "a"}, true, false},
		{"whoever, without main", &events.Caller{Pid: 99, Parent: 98, Job: "a"}, false, true},
	} {
		e := engine.New(engine.Config{})
		kind := "pre-start"
		if test.main {
			kind = "post-start"
		}
		e.Step(0, engine.SetClass{Class: mustParse(t, "a", kind+" exec hook\nexec hang")})
		e.Step(0, engine.SetClass{Class: mustParse(t, "b", "pre-start exec hook")})
		e.Step(0, engine.Start{Target: engine.Target{Class: "a"}})
		if test.main {
			e.Step(0, engine.Spawned{Proc: 1, Pid: 11})
			e.Step(0, engine.Spawned{Proc: 2, Pid: 12})
		} else {
			e.Step(0, engine.Spawned{Proc: 1, Pid: 12})
		}
		e.Step(0, engine.Start{Call: 1, Target: engine.Target{Class: "b"}, Wait: true, By: test.by})
		if hooks := e.Snapshot().Hooks; (len(hooks) == 1) != test.hook {
			t.Errorf("%s asks: the hooks that wait are %+v; want one: %t", test.name, hooks, test.hook)
		}
	}
}
