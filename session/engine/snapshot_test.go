package engine_test

import (
	"bytes"
	"encoding/gob"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
)

// tell gives effects as text, definitions as that of their job files.
func tell(effects []engine.Effect) string {
	var out strings.Builder
	for _, effect := range effects {
		if spawn, ok := effect.(engine.Spawn); ok {
			fmt.Fprintf(&out, "%s\n", job.Print(spawn.Class))
			spawn.Class = nil
			effect = spawn
		}
		if reply, ok := effect.(engine.Reply); ok && reply.Err != nil {
			fmt.Fprintf(&out, "%+v\n", *reply.Err)
			reply.Err = nil
			effect = reply
		}
		fmt.Fprintf(&out, "%T %+v\n", effect, effect)
	}
	return out.String()
}

// written takes a snapshot, or an input, as it is when it has been written to a
// file and read again: what is empty is not there any more. See gob.Encoder.
func written[what any](t *rapid.T, it what) (back what) {
	t.Helper()
	var file bytes.Buffer
	if err := gob.NewEncoder(&file).Encode(&it); err != nil {
		t.Fatalf("cannot write %T: %v", it, err)
	}
	if err := gob.NewDecoder(&file).Decode(&back); err != nil {
		t.Fatalf("cannot read %T: %v", it, err)
	}
	return back
}

// reads is an input as the next daemon reads it. A definition goes by its text,
// and what has no fields cannot be told from nothing.
func reads(t *rapid.T, in engine.Input) engine.Input {
	t.Helper()
	if _, ok := in.(engine.SetClass); ok || reflect.TypeOf(in).NumField() == 0 {
		return in
	}
	var file bytes.Buffer
	back := reflect.New(reflect.TypeOf(in))
	if err := gob.NewEncoder(&file).EncodeValue(reflect.ValueOf(in)); err != nil {
		t.Fatalf("cannot write %T: %v", in, err)
	}
	if err := gob.NewDecoder(&file).DecodeValue(back); err != nil {
		t.Fatalf("cannot read %T: %v", in, err)
	}
	return back.Elem().Interface().(engine.Input)
}

// TestSnapshot lives through random sessions with a twin that is made anew of
// its own snapshot, as it is written and read, after every step: nobody may tell
// them apart.
func TestSnapshot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newModelWorld()
		twin := engine.New(modelConfig)
		twin.SetStepBudget(modelBudget)
		w.Observe = func(in engine.Input, effects []engine.Effect) {
			got, want := tell(twin.Step(w.Now(), reads(t, in))), tell(effects)
			if got != want {
				t.Fatalf("after %T%+v the restored engine does\n%s\nand the other\n%s", in, in, got, want)
			}
			restored, err := engine.Restore(modelConfig, written(t, twin.Snapshot()))
			if err != nil {
				t.Fatal(err)
			}
			if wrong := restored.Check(); len(wrong) > 0 {
				t.Fatalf("the restored engine is unsound: %s", strings.Join(wrong, "\n"))
			}
			twin = restored
			twin.SetStepBudget(modelBudget)
		}
		for _, name := range classNames {
			w.Do(engine.SetClass{Class: drawClass(t, name)})
		}
		var call engine.CallID
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			act(t, w, &call, everything)
		}
		w.Do(engine.Shutdown{Type: "logout"})
		w.Advance(modelConfig.StopTimeout + 5*time.Second)
		if !w.Over() {
			t.Fatal("the session does not end")
		}
	})
}

// What does not fit is refused whole.
func TestRestoreRefuses(t *testing.T) {
	e := engine.New(engine.Config{})
	class := job.NewClass("svc")
	class.Processes[job.Main] = &job.Process{Text: "/bin/svc"}
	e.Step(0, engine.SetClass{Class: class})
	e.Step(0, engine.Start{Target: engine.Target{Class: "svc"}})
	good := e.Snapshot()
	if _, err := engine.Restore(engine.Config{}, good); err != nil {
		t.Fatalf("Restore of a good snapshot: %v", err)
	}
	cases := map[string]func(*engine.Snapshot){
		"version":     func(s *engine.Snapshot) { s.Version++ },
		"class twice": func(s *engine.Snapshot) { s.Classes = append(s.Classes, s.Classes[0]) },
		"broken text": func(s *engine.Snapshot) { s.Classes[0].Definition.Text = "bogus" },
		"instance":    func(s *engine.Snapshot) { s.Classes[0].Instances[0].ID = 99 },
		"instance twice": func(s *engine.Snapshot) {
			s.Classes[0].Instances = append(s.Classes[0].Instances, s.Classes[0].Instances[0])
		},
		"state":   func(s *engine.Snapshot) { s.Classes[0].Instances[0].State = 77 },
		"process": func(s *engine.Snapshot) { s.Classes[0].Instances[0].Procs[0].Proc = 99 },
		"kind":    func(s *engine.Snapshot) { s.Classes[0].Instances[0].Procs[0].Kind = 9 },
		"blocker": func(s *engine.Snapshot) { s.Classes[0].Instances[0].Blocker = 99 },
		"waiter":  func(s *engine.Snapshot) { s.Classes[0].Instances[0].Waiters = []engine.SavedWaiter{{Event: 99}} },
		"verb":    func(s *engine.Snapshot) { s.Classes[0].Instances[0].Waiters = []engine.SavedWaiter{{Verb: 9}} },
	}
	for name, spoil := range cases {
		bad := e.Snapshot()
		spoil(&bad)
		if _, err := engine.Restore(engine.Config{}, bad); err == nil {
			t.Errorf("Restore of a snapshot with a wrong %s is accepted", name)
		}
	}
}

// A field that is added to the engine must be added to the snapshot too, or
// to this list with a reason.
func TestSnapshotKnowsEveryField(t *testing.T) {
	for _, c := range engine.SnapshotSubjects() {
		var fields []string
		for i := range reflect.TypeOf(c.Of).NumField() {
			fields = append(fields, reflect.TypeOf(c.Of).Field(i).Name)
		}
		known := strings.Fields(c.Known)
		if len(fields) != len(known) {
			t.Errorf("%T has the fields %q; the snapshot was written for %q", c.Of, fields, known)
			continue
		}
		for i := range fields {
			if fields[i] != known[i] {
				t.Errorf("%T has a field %s; the snapshot was written for %s", c.Of, fields[i], known[i])
			}
		}
	}
}
