package engine_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
)

// TestSameDefinition: what says the same, from the same files, is not loaded
// again; everything else is.
func TestSameDefinition(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(c *job.Class)
		again  bool
	}{
		{"nothing", func(*job.Class) {}, false},
		{"path", func(c *job.Class) { c.Path = "/else/svc.conf" }, true},
		{"override", func(c *job.Class) { c.Override = "/else/svc.override" }, true},
		{"path and override", func(c *job.Class) { c.Path, c.Override = "/else/svc.conf", "/else/svc.override" }, true},
		{"text", func(c *job.Class) { c.Description = "other" }, true},
	} {
		e := engine.New(engine.Config{})
		e.Step(0, engine.SetClass{Class: mustParse(t, "svc", svcText)})
		class := mustParse(t, "svc", svcText)
		test.change(class)
		got := list(e.Step(0, engine.SetClass{Class: class}))
		if loaded := strings.Contains(got, "Notify"); loaded != test.again {
			t.Errorf("a change of %s: %q; want it loaded again: %t", test.name, got, test.again)
		}
	}
}

// TestInert: stanzas without effect are named once, where everybody sees it: when
// a file is loaded, and when it has others after an edit.
func TestInert(t *testing.T) {
	for _, test := range []struct {
		inert []string
		want  string
	}{
		{nil, ""},
		{[]string{"one"}, "svc: without effect here: one"},
		{[]string{"one", "two"}, "svc: without effect here: one, two"},
	} {
		class := mustParse(t, "svc", svcText)
		class.Inert = test.inert
		var said []string
		e := engine.New(engine.Config{})
		load := func(class *job.Class) {
			for _, effect := range e.Step(0, engine.SetClass{Class: class}) {
				if l, ok := effect.(engine.Log); ok {
					said = append(said, l.Msg)
					if l.Level != engine.Warn || l.Class != "svc" {
						t.Errorf("%q is said at level %d of job %q", l.Msg, l.Level, l.Class)
					}
				}
			}
		}
		load(class)
		edited := mustParse(t, "svc", svcText+"author x\n")
		edited.Inert = test.inert
		load(edited)
		load(class)
		if got := strings.Join(said, "\n"); got != test.want {
			t.Errorf("loading a file with %q says %q; want %q", test.inert, got, test.want)
		}
		other := mustParse(t, "svc", svcText+"author y\n")
		other.Inert = append(test.inert[:len(test.inert):len(test.inert)], "other")
		said = nil
		load(other)
		if len(said) != 1 {
			t.Errorf("an edit that adds something without effect says %q; want one line", said)
		}
	}
}

// TestReservedTable: whoever makes the table cannot set what is ours to set.
func TestReservedTable(t *testing.T) {
	e := engine.New(engine.Config{Table: events.Env{"A=1", "UPSTART_JOB=x", "UPSTART_EVENTS=x", "UPSTART_OTHER=x", "A=2"}})
	for _, reset := range []bool{false, true} {
		e.Step(0, engine.SetEnv{Reset: reset})
		got, err := e.View().Env("", "")
		if text := strings.Join(got, " "); text != "A=2 UPSTART_OTHER=x" || err != nil {
			t.Errorf("the table is %q, %v; want A=2 UPSTART_OTHER=x", text, err)
		}
	}
}

// TestEventSource: an event knows whether a client emitted it.
func TestEventSource(t *testing.T) {
	by := &events.Caller{Pid: 7}
	for _, test := range []struct {
		emit engine.Emit
		want events.Source
	}{
		{engine.Emit{Name: "up"}, events.FromDaemon},
		{engine.Emit{Name: "up", Call: 1}, events.FromCaller},
		{engine.Emit{Name: "up", Call: 1, Wait: true}, events.FromCaller},
		{engine.Emit{Name: "up", By: by}, events.FromCaller},
		{engine.Emit{Name: "up", Call: 2, By: by}, events.FromCaller},
	} {
		e := engine.New(engine.Config{})
		e.Step(0, engine.SetClass{Class: mustParse(t, "half", "start on up and never\nexec hang")})
		e.Step(0, test.emit)
		held := e.Snapshot().Queue.Events
		if len(held) != 1 || held[0].Source != test.want || held[0].By != test.emit.By {
			t.Errorf("%+v makes the events %+v; want one from %s", test.emit, held, test.want)
		}
	}
}

// TestOwner: the processes of each pass have an owner of their own.
func TestOwner(t *testing.T) {
	s := newStage(t)
	s.job("a", "pre-start exec true\nexec hang")
	s.up("a")
	first, _ := s.Engine.View().Instance("a", "")
	s.Do(engine.Restart{Target: engine.Target{Class: "a"}})
	second, _ := s.Engine.View().Instance("a", "")
	if first.Owner != 1 || second.Owner != 3 {
		t.Errorf("the owners of two passes are %d and %d; want 1 and 3", first.Owner, second.Owner)
	}
}

// TestStartWithoutName: an event that does not tell the name of an instance
// starts none, and the log says of which job.
func TestStartWithoutName(t *testing.T) {
	e := engine.New(engine.Config{})
	e.Step(0, engine.SetClass{Class: mustParse(t, "net", "instance $N\nstart on up\nexec hang")})
	for _, effect := range e.Step(0, engine.Emit{Name: "up"}) {
		if l, ok := effect.(engine.Log); ok {
			const want = "net: cannot start on up: Unknown parameter: N"
			if l.Msg != want || l.Class != "net" || l.Level != engine.Warn {
				t.Errorf("the engine says %+v; want %s", l, want)
			}
			return
		}
	}
	t.Error("nothing is said")
}

// TestSeq: the instances of a class are numbered, and no number comes again.
func TestSeq(t *testing.T) {
	s := newStage(t)
	s.job("net", "instance $N\nexec hang")
	at := func(name string) engine.Start {
		return engine.Start{Target: engine.Target{Class: "net"}, Env: events.Env{"N=" + name}}
	}
	s.Do(at("a"))
	s.Do(at("b"))
	s.Do(engine.Stop{Target: engine.Target{Class: "net", Instance: "b", ByName: true}})
	s.Do(at("c"))
	var got []string
	for _, info := range s.Engine.View().Instances("net") {
		got = append(got, fmt.Sprintf("%s %d", info.Name, info.Seq))
	}
	if text := strings.Join(got, ", "); text != "a 0, c 2" {
		t.Errorf("the instances are %s; want a 0, c 2", text)
	}
}
