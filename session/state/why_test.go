package state

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/engine"
)

// TestWhySurvives reads a state file that holds what "why" tells of: who asked
// for what, when events came, how processes ended. -update writes it: only for
// a version that nobody has yet.
func TestWhySurvives(t *testing.T) {
	path := filepath.Join("testdata", "v1-why.state")
	by := &events.Caller{Pid: 77, Parent: 7, User: 1000, Command: "sctl", Job: "svc", Instance: "9"}
	ins := []engine.Input{
		engine.SetClass{Class: svc(t)},
		engine.Emit{Call: 1, By: by, Name: "ev", Env: events.Env{"N=1"}},
		engine.Spawned{Proc: 1, Pid: 8},
		engine.Exited{Proc: 1, Signal: 11},
		engine.Start{Call: 2, By: by, Target: engine.Target{Class: "svc"}, Env: events.Env{"N=2"}},
		engine.Spawned{Proc: 2, Pid: 9},
		engine.Stop{Call: 3, By: by, Target: engine.Target{Class: "svc"}, Env: events.Env{"N=2"}, Wait: true},
	}
	const half = 4
	if *update {
		e := engine.New(engine.Config{})
		live(t, nowhere(t, e), e, ins[:half])
		j, err := Create(path, boot, e.Snapshot())
		if err != nil {
			t.Fatal(err)
		}
		for i, in := range ins[half:] {
			if err := j.Append(Entry{Now: time.Duration(half+i) * time.Second, Input: in}); err != nil {
				t.Fatal(err)
			}
		}
		j.Close()
	}
	snapshot, entries, err := Load(path, boot)
	if err != nil || len(entries) != len(ins)-half {
		t.Fatal(len(entries), err)
	}
	e, left, err := Replay(engine.Config{}, snapshot, entries)
	if err != nil || len(left) > 0 {
		t.Fatal(err, left)
	}
	why, ok := e.View().WhyClass("svc")
	if !ok || len(why.StartOn) != 1 || len(why.Instances) != 1 || why.Failure == nil {
		t.Fatalf("WhyClass(svc) = %+v, %t", why, ok)
	}
	last := why.StartOn[0].Last
	if last == nil || last.At != time.Second || last.Source != events.FromCaller || last.By == nil || *last.By != *by || strings.Join(last.Env, " ") != "N=1" {
		t.Errorf("the event came as %+v", last)
	}
	if f := why.Failure; f.At != 3*time.Second || f.Signal != 11 || f.Pid != 8 || f.Process != "main" || f.Instance != "1" || f.Sender != engine.SentByOthers {
		t.Errorf("it failed as %+v", f)
	}
	if why.Rested != 3*time.Second || why.RestedAs != "1" || why.Rest.Reason != engine.ByItself {
		t.Errorf("it came to rest at %s as %q: %+v", why.Rested, why.RestedAs, why.Rest)
	}
	in := why.Instances[0]
	if in.State != engine.Killed || in.Since != 6*time.Second || in.From.Verb != "stop" || in.From.By == nil || *in.From.By != *by ||
		len(in.Waits) != 1 || in.Waits[0].Kind != engine.WaitsForEnd || in.Waits[0].Deadline != 11*time.Second {
		t.Errorf("the instance is %+v", in)
	}
	e.Step(7*time.Second, engine.Exited{Proc: 2, Signal: 15})
	if why, _ = e.View().WhyClass("svc"); why.Main.Signal != 15 || why.Main.Sender != engine.SentToStop || why.Rest.Verb != "stop" {
		t.Errorf("after its end: main %+v, rest %+v", why.Main, why.Rest)
	}
}
