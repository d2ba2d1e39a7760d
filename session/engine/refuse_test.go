package engine

import (
	"reflect"
	"testing"
	"time"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/job"
)

// snapshotOf is an engine with a running instance, a hook beside it, and what
// even KILL did not end.
func snapshotOf(t *testing.T) Snapshot {
	t.Helper()
	e := New(Config{})
	for i, text := range []string{"exec svc\npost-start exec hook", "exec stuck\nkill timeout 0"} {
		name := []string{"svc", "wedged"}[i]
		class, _ := job.Parse(name, name+".conf", []byte(text+"\n"))
		e.Step(0, SetClass{Class: class})
		e.Step(0, Start{Call: CallID(i + 1), Target: Target{Class: name}, Wait: true})
		e.Step(0, Spawned{Proc: e.lastProc, Pid: 10})
	}
	e.Step(0, Stop{Target: Target{Class: "wedged"}})
	e.Step(time.Second, Tick{})
	s := e.Snapshot()
	if len(s.Classes) != 2 || len(s.Classes[1].Instances) != 0 || len(s.Classes[0].Instances[0].Procs) != 2 || len(s.Leftovers) != 1 || len(s.Leftovers[0].Procs) != 1 {
		t.Fatalf("the snapshot is not what it is to be: %+v", s)
	}
	return s
}

// TestRestoreBounds: each number of a record is refused from the first that
// does not fit, and taken up to the last that does.
func TestRestoreBounds(t *testing.T) {
	twice := func(s *Snapshot, change func(in *SavedInstance)) {
		again := s.Classes[0].Instances[0]
		again.Procs, again.Waiters = nil, nil
		change(&again)
		s.LastInstance = 9
		s.Classes[0].Instances = append(s.Classes[0].Instances, again)
	}
	for _, test := range []struct {
		name  string
		spoil func(s *Snapshot, in *SavedInstance)
		fits  bool
	}{
		{"nothing", func(*Snapshot, *SavedInstance) {}, true},
		{"definition kept back", func(s *Snapshot, in *SavedInstance) { s.Classes[0].Kept = &SavedDefinition{Name: "svc", Text: "bogus"} }, false},
		{"number 0", func(s *Snapshot, in *SavedInstance) { in.ID = 0 }, false},
		{"the last number", func(s *Snapshot, in *SavedInstance) { in.ID = s.LastInstance }, true},
		{"the number after the last", func(s *Snapshot, in *SavedInstance) { in.ID = s.LastInstance + 1 }, false},
		{"another instance", func(s *Snapshot, in *SavedInstance) {
			twice(s, func(in *SavedInstance) { in.ID, in.Name = 9, "other" })
		}, true},
		{"a number twice", func(s *Snapshot, in *SavedInstance) { twice(s, func(in *SavedInstance) { in.Name = "other" }) }, false},
		{"a name twice", func(s *Snapshot, in *SavedInstance) { twice(s, func(in *SavedInstance) { in.ID = 9 }) }, false},
		{"the last state", func(s *Snapshot, in *SavedInstance) { in.State = numStates - 1 }, true},
		{"no state", func(s *Snapshot, in *SavedInstance) { in.State = numStates }, false},
		{"no goal", func(s *Snapshot, in *SavedInstance) { in.Goal = GoalStart + 1 }, false},
		{"the last deadline", func(s *Snapshot, in *SavedInstance) { in.DeadlineKind = uint8(numDeadlines - 1) }, true},
		{"no deadline", func(s *Snapshot, in *SavedInstance) { in.DeadlineKind = uint8(numDeadlines) }, false},
		{"the last process", func(s *Snapshot, in *SavedInstance) { in.Procs[1].Kind = job.NumProcesses - 1 }, true},
		{"no process", func(s *Snapshot, in *SavedInstance) { in.Procs[1].Kind = job.NumProcesses }, false},
		{"process 0", func(s *Snapshot, in *SavedInstance) { in.Procs[1].Proc = 0 }, false},
		{"the last process number", func(s *Snapshot, in *SavedInstance) { in.Procs[1].Proc = s.LastProc }, true},
		{"the number after the last process", func(s *Snapshot, in *SavedInstance) { in.Procs[1].Proc = s.LastProc + 1 }, false},
		{"a process twice", func(s *Snapshot, in *SavedInstance) { in.Procs[1].Proc = in.Procs[0].Proc }, false},
		{"the last verb", func(s *Snapshot, in *SavedInstance) {
			in.Waiters = []SavedWaiter{{Call: 1, Verb: uint8(len(failureText) - 1)}}
		}, true},
		{"no verb", func(s *Snapshot, in *SavedInstance) {
			in.Waiters = []SavedWaiter{{Call: 1, Verb: uint8(len(failureText))}}
		}, false},
		{"the last process left behind", func(s *Snapshot, in *SavedInstance) { s.Leftovers[0].Procs[0].Kind = job.NumProcesses - 1 }, true},
		{"no process left behind", func(s *Snapshot, in *SavedInstance) { s.Leftovers[0].Procs[0].Kind = job.NumProcesses }, false},
	} {
		s := snapshotOf(t)
		test.spoil(&s, &s.Classes[0].Instances[0])
		if e, err := Restore(Config{}, s); (err == nil) != test.fits || (e == nil) == test.fits {
			t.Errorf("%s: Restore = %v; want it refused: %t", test.name, err, !test.fits)
		}
	}
}

// TestRestoreLeftovers: what even KILL did not end is known afterwards, too.
func TestRestoreLeftovers(t *testing.T) {
	s := snapshotOf(t)
	s.Leftovers[0].Why, s.Leftovers[0].Strays, s.Leftovers[0].Group = "is gone", []Stray{{Pid: 7, Command: "x"}}, 2
	e, err := Restore(Config{}, s)
	if err != nil {
		t.Fatal(err)
	}
	if got := e.Snapshot().Leftovers; !reflect.DeepEqual(got, s.Leftovers) {
		t.Errorf("after Restore there is %+v left behind; want %+v", got, s.Leftovers)
	}
	if got := s.Leftovers[0]; got.Signal != sigKill || !got.Stuck || got.Label != "wedged" || got.Class != "wedged" || got.Owner == 0 ||
		got.Procs[0].Pid != 10 || got.Procs[0].Proc == 0 {
		t.Errorf("%+v is left behind", got)
	}
}

// TestRestoreUnfinished: a step that had more to do goes on in the engine that
// comes after.
func TestRestoreUnfinished(t *testing.T) {
	e := New(Config{})
	e.SetStepBudget(2)
	for _, name := range []string{"a", "b", "c"} {
		class, _ := job.Parse(name, name+".conf", []byte("start on go\n"))
		e.Step(0, SetClass{Class: class})
	}
	e.Step(7, Emit{Name: "go"})
	twin, err := Restore(Config{}, e.Snapshot())
	if err != nil {
		t.Fatal(err)
	}
	if at, ok := twin.NextDeadline(); at != 7 || !ok {
		t.Errorf("NextDeadline() after Restore = %s, %t; want now, 7ns", at, ok)
	}
	twin.Step(7, Tick{})
	if at, ok := twin.NextDeadline(); ok {
		t.Errorf("NextDeadline() of an engine at rest = %s; want none", at)
	}
}

// TestRestoreKeepsOverride: a definition knows its files.
func TestRestoreKeepsOverride(t *testing.T) {
	s := snapshotOf(t)
	s.Classes[0].Definition.Path, s.Classes[0].Definition.Override = "/a/svc.conf", "/b/svc.override"
	e, err := Restore(Config{}, s)
	if err != nil {
		t.Fatal(err)
	}
	if got := e.Snapshot().Classes[0].Definition; got != s.Classes[0].Definition {
		t.Errorf("after Restore the definition is %+v; want %+v", got, s.Classes[0].Definition)
	}
}

// TestTrailRestore: what is only told, and does not fit, is left out.
func TestTrailRestore(t *testing.T) {
	ev := &events.Event{ID: 3}
	byID := map[uint64]*events.Event{3: ev}
	good := wish{reason: ByAdopter, verb: verb(len(failureText) - 1), force: true, at: 5, by: &events.Caller{Pid: 1}, events: []*events.Event{ev}}
	if got := good.save().restore(byID); !reflect.DeepEqual(got, good) {
		t.Errorf("a wish comes back as %+v; want %+v", got, good)
	}
	if got := (wish{}).save(); got != nil {
		t.Errorf("no wish is saved as %+v; want nothing", got)
	}
	for name, spoil := range map[string]func(s *SavedWish){
		"reason": func(s *SavedWish) { s.Reason = ByAdopter + 1 },
		"verb":   func(s *SavedWish) { s.Verb = uint8(len(failureText)) },
	} {
		s := good.save()
		spoil(s)
		if got := s.restore(byID); !reflect.DeepEqual(got, wish{}) {
			t.Errorf("a wish with a wrong %s comes back as %+v; want none", name, got)
		}
	}
	s := good.save()
	s.Events = []uint64{9, 3}
	if got := s.restore(byID); len(got.events) != 1 || got.events[0] != ev {
		t.Errorf("a wish of a lost event comes back with %v; want the other one", got.events)
	}

	end := End{At: 1, Instance: "x", Kind: job.NumProcesses - 1, Pid: 2, Status: 3, Signal: 4, Sender: SentToReload}
	told := past{main: end, any: end, failed: end, failedBy: "main", reason: "why", status: 7, rested: 8, restedAs: "y", last: good, begun: good}
	if got := told.save().restore(byID); !reflect.DeepEqual(*got, told) {
		t.Errorf("the past comes back as %+v; want %+v", *got, told)
	}
	for _, spoil := range []func(end *End){
		func(end *End) { end.Kind = job.NumProcesses },
		func(end *End) { end.Sender = SentByCaller + 1 },
	} {
		s := told.save()
		spoil(&s.Main)
		spoil(&s.Any)
		spoil(&s.Failed)
		if got := s.restore(byID); got.main != (End{}) || got.any != (End{}) || got.failed != (End{}) || got.reason != "why" {
			t.Errorf("a past that does not fit comes back as %+v; want its ends left out", got)
		}
	}

	in := &instance{}
	in.restoreSent([]SavedSent{{job.NumProcesses - 1, 9, SentToReload}, {job.NumProcesses, 9, SentToStop}, {0, 9, SentByCaller + 1}})
	want := []SavedSent{{job.NumProcesses - 1, 9, SentToReload}}
	if got := in.saveSent(); !reflect.DeepEqual(got, want) {
		t.Errorf("the signals come back as %+v; want %+v", got, want)
	}
}
