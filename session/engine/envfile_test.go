package engine_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
)

// TestFixed: a process whose class has an env file comes with the names of
// what is stronger than the file; no other does.
func TestFixed(t *testing.T) {
	ours := "UPSTART_JOB UPSTART_INSTANCE UPSTART_SESSION UPSTART_EVENTS UPSTART_STOP_EVENTS UPSTART_SESSION_ID"
	for _, test := range []struct {
		text string
		kind job.ProcessKind
		want string
	}{
		{"env A=1\nexec hang", job.Main, ""},
		{"env file /x\nexec hang", job.Main, "START " + ours},
		{"env A=1\nenv file /x\nenv HAVE\nenv MISSING\nexec hang", job.Main, "A HAVE START " + ours},
		{"env file /x\nexec hang\npost-stop exec b", job.PostStop, "START EDIT STOP " + ours},
		{"env file /x\nexec hang\npre-stop exec b", job.PreStop, "START EDIT STOP " + ours},
		{"env file /x\npost-start exec b", job.PostStart, "START " + ours},
	} {
		e := engine.New(engine.Config{Daemon: events.Env{"HAVE=1"}})
		var spawned *engine.Spawn
		var run func(engine.Input)
		run = func(in engine.Input) {
			for _, effect := range e.Step(0, in) {
				s, ok := effect.(engine.Spawn)
				if !ok {
					continue
				}
				if s.Kind == test.kind {
					spawned = &s
				}
				run(engine.Spawned{Proc: s.Proc, Pid: int(s.Proc)})
				if s.Kind == job.PreStop {
					run(engine.Exited{Proc: s.Proc})
				}
			}
		}
		run(engine.SetClass{Class: mustParse(t, "a", test.text)})
		target := engine.Target{Class: "a"}
		run(engine.Start{Target: target, Env: events.Env{"START=1"}})
		if test.kind == job.PreStop || test.kind == job.PostStop {
			run(engine.SetEnv{Class: "a", Entries: []string{"EDIT=1"}})
			run(engine.Stop{Target: target, Env: events.Env{"STOP=1"}})
			run(engine.Exited{Proc: 1})
		}
		if spawned == nil {
			t.Errorf("%q: no process %v was asked for", test.text, test.kind)
			continue
		}
		if !slices.Equal(spawned.Fixed, strings.Fields(test.want)) {
			t.Errorf("%q: fixed for %v are %q; want %q", test.text, test.kind, spawned.Fixed, test.want)
		}
	}
}
