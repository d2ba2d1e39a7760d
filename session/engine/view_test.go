package engine_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
	"github.com/session-init/session-init/session/sim"
)

// kindOf gives the kind of an error as text, "none" for none.
func kindOf(err *engine.Error) string {
	if err == nil {
		return "none"
	}
	return fmt.Sprintf("%d %s", err.Kind, err.Msg)
}

// TestViewOf looks at classes and instances that are there, and at such that
// are not.
func TestViewOf(t *testing.T) {
	s := newStage(t)
	s.job("net", "instance $N\nenv A=1\nexec hang")
	s.Do(engine.Start{Target: engine.Target{Class: "net"}, Env: events.Env{"N=eth0"}})
	v := s.Engine.View()

	if got := strings.Join(v.ClassNames(), " "); got != "net svc" {
		t.Errorf("ClassNames() = %s; want net svc", got)
	}
	if class, ok := v.Class("net"); !ok || class == nil || class.Name != "net" {
		t.Errorf("Class(net) = %v, %t; want it", class, ok)
	}
	if class, ok := v.Class("none"); ok || class != nil {
		t.Errorf("Class(none) = %v, %t; want none", class, ok)
	}
	if got := v.Instances("none"); got != nil {
		t.Errorf("Instances(none) = %v; want none", got)
	}
	if _, ok := v.Instance("none", ""); ok {
		t.Error("Instance(none) is there")
	}
	if got := v.LastFailure("none"); got != "" {
		t.Errorf("LastFailure(none) = %q; want nothing", got)
	}
	if got := v.LeftBehind("none"); got != nil {
		t.Errorf("LeftBehind(none) = %v; want nothing", got)
	}

	for _, test := range []struct {
		class string
		env   events.Env
		name  string
		err   string
	}{
		{"net", events.Env{"N=wlan0"}, "wlan0", "none"},
		{"svc", nil, "", "none"},
		{"none", events.Env{"N=x"}, "", "1 Unknown job: none"},
		{"net", nil, "", "0 Unknown parameter: N"},
		{"net", events.Env{"N"}, "", "0 Env must be KEY=VALUE pairs: 'N' has no '='"},
	} {
		name, err := v.InstanceName(test.class, test.env)
		if name != test.name || kindOf(err) != test.err {
			t.Errorf("InstanceName(%s, %v) = %q, %s; want %q, %s", test.class, test.env, name, kindOf(err), test.name, test.err)
		}
	}

	s.Do(engine.SetEnv{Entries: []string{"T=2"}})
	for _, test := range []struct{ class, instance, env, err string }{
		{"", "", "T=2", "none"},
		{"", "eth0", "T=2", "none"},
		{"net", "eth0", "T=2 A=1 N=eth0", "none"},
		{"net", "eth1", "", "2 Unknown instance: net (eth1)"},
		{"none", "eth0", "", "1 Unknown job: none"},
	} {
		env, err := v.Env(test.class, test.instance)
		if got := strings.Join(env, " "); got != test.env || kindOf(err) != test.err {
			t.Errorf("Env(%q, %q) = %q, %s; want %q, %s", test.class, test.instance, got, kindOf(err), test.env, test.err)
		}
	}
}

// TestViewLeftBehind: what even KILL does not end is told apart from what was
// let stay, and its processes are shown before their names are known.
func TestViewLeftBehind(t *testing.T) {
	s := newStage(t)
	s.job("task", "task\nexec leaves 1")
	s.up("task")
	s.Exit(s.Find("task", "", job.Main), 0, 0)
	s.Choose = func(engine.Spawn) sim.Program { return sim.Program{Deaf: true, Dying: time.Hour} }
	s.job("stuck", "exec deaf\nkill timeout 0")
	s.up("stuck")
	pid := s.Find("stuck", "", job.Main).Pid
	s.Do(engine.Stop{Target: engine.Target{Class: "stuck"}})
	// Nobody tells the engine yet who is there.
	s.Engine.Step(time.Second, engine.Tick{})
	v := s.Engine.View()
	if got, want := v.Unkillable("stuck"), []engine.Stray{{Pid: pid, Command: "main process"}}; !slices.Equal(got, want) {
		t.Errorf("Unkillable(stuck) = %v; want %v", got, want)
	}
	if got := v.Unkillable("task"); got != nil {
		t.Errorf("Unkillable(task) = %v; want none", got)
	}
	if got := v.LeftBehind("task"); len(got) != 1 {
		t.Errorf("LeftBehind(task) = %v; want one", got)
	}
	s.Engine.Step(time.Second, engine.Swept{Owner: 2, Signal: 9, Strays: []engine.Stray{{Pid: pid, Command: "deaf"}}})
	if got, want := s.Engine.View().Unkillable("stuck"), []engine.Stray{{Pid: pid, Command: "deaf"}}; !slices.Equal(got, want) {
		t.Errorf("Unkillable(stuck) = %v; want %v", got, want)
	}
}

// TestFailureOnRecord: what is known of the last failure, and of the end of
// the processes, outlives the instance.
func TestFailureOnRecord(t *testing.T) {
	for _, test := range []struct {
		name, text string
		end        engine.Input
		by         string
		failed     engine.End
		number     int
	}{
		{"status", "pre-start exec hang", engine.Exited{Proc: 1, Status: 3}, "pre-start",
			engine.End{At: 5, Instance: "x", Kind: job.PreStart, Pid: 10, Status: 3}, 3},
		{"signal", "exec hang", engine.Exited{Proc: 1, Signal: 11}, "main",
			engine.End{At: 5, Instance: "x", Kind: job.Main, Pid: 10, Signal: 11}, 11 << 8},
		{"not made", "pre-start exec hang", engine.SpawnFailed{Proc: 1, Reason: "why"}, "pre-start", engine.End{At: 5, Instance: "x"}, -1},
	} {
		e := engine.New(engine.Config{})
		e.Step(0, engine.SetClass{Class: mustParse(t, "a", "instance x\n"+test.text)})
		e.Step(0, engine.Start{Target: engine.Target{Class: "a"}})
		e.Step(0, engine.Spawned{Proc: 1, Pid: 10})
		e.Step(5, test.end)
		past := e.Snapshot().Classes[0].Past
		if past == nil {
			t.Errorf("%s: nothing is on record", test.name)
			continue
		}
		if past.FailedBy != test.by || past.Failed != test.failed || past.Status != test.number || past.RestedAs != "x" || past.Rested != 5 {
			t.Errorf("%s: on record is %+v; want the failure of %s, %+v, %d", test.name, *past, test.by, test.failed, test.number)
		}
		if _, made := test.end.(engine.Exited); made && past.Any != test.failed {
			t.Errorf("%s: the last end on record is %+v; want %+v", test.name, past.Any, test.failed)
		}
	}
	// Too many respawns are the failure of the last main.
	e := engine.New(engine.Config{})
	e.Step(0, engine.SetClass{Class: mustParse(t, "a", "exec hang\nrespawn\nrespawn limit 1 10")})
	e.Step(0, engine.Start{Target: engine.Target{Class: "a"}})
	for proc := engine.ProcID(1); proc <= 2; proc++ {
		e.Step(1, engine.Spawned{Proc: proc, Pid: int(proc) + 10})
		e.Step(2, engine.Exited{Proc: proc, Status: 4})
	}
	past := e.Snapshot().Classes[0].Past
	want := engine.End{At: 2, Kind: job.Main, Pid: 12, Status: 4}
	if past.FailedBy != "respawn" || past.Failed != want || past.Main != want {
		t.Errorf("on record is %+v; want the failure of respawn, %+v", *past, want)
	}
}
