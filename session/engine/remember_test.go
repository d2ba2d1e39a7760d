package engine_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/sim"
)

// same checks that an engine made of a snapshot holds what the other does.
func same(t interface{ Fatalf(string, ...any) }, e *engine.Engine) {
	twin, err := engine.Restore(modelConfig, e.Snapshot())
	if err != nil {
		t.Fatalf("cannot restore: %v", err)
	}
	if found := engine.Differences(e, twin); len(found) > 0 {
		t.Fatalf("the engine and the restored one differ in\n%s", strings.Join(found, "\n"))
	}
}

// TestSnapshotHoldsEverything compares an engine with what a snapshot of it
// makes, field by field, after every step of random sessions: also what shows
// much later, or only in an answer to "why".
func TestSnapshotHoldsEverything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newModelWorld()
		for _, name := range classNames {
			w.Do(engine.SetClass{Class: drawClass(t, name)})
		}
		var call engine.CallID
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			act(t, w, &call, everything)
			same(t, w.Engine)
		}
		w.Do(engine.Shutdown{Type: "logout"})
		for range 10 {
			if !w.Over() {
				w.Advance(3 * time.Second)
			}
			same(t, w.Engine)
		}
	})
}

// TestSnapshotOfStages does the same in each state that an instance can be
// held in, after each input.
func TestSnapshotOfStages(t *testing.T) {
	for _, st := range stages {
		for _, in := range inputs {
			s := newStage(t)
			s.World = sim.New(modelConfig)
			s.Do(engine.SetClass{Class: mustParse(t, "svc", svcText)})
			st.make(s)
			in.give(s)
			same(t, s.Engine)
		}
	}
}
