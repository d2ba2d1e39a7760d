package engine_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
	"github.com/session-init/session-init/session/sim"
)

// drawNotifying draws a definition of a job that may notify, and have a
// watchdog.
func drawNotifying(t *rapid.T, name string) *job.Class {
	class := drawClass(t, name)
	if rapid.Bool().Draw(t, "notifies") {
		class.Expect = job.ExpectNotify
	}
	if rapid.Bool().Draw(t, "watched") {
		class.Watchdog = time.Duration(rapid.IntRange(1, 3).Draw(t, "watchdog")) * time.Second
		class.WatchdogSignal = rapid.SampledFrom([]int{6, 9, 15}).Draw(t, "watchdog signal")
	}
	return class
}

// say has a main process say something at random.
func say(t *rapid.T, w *sim.World) {
	var mains []*sim.Process
	for _, p := range w.Processes() {
		if class, _ := w.Engine.View().Class(p.Class); p.Kind == job.Main && p.Pid != 0 && class.Notifies() {
			mains = append(mains, p)
		}
	}
	if len(mains) == 0 {
		return
	}
	w.Say(mains[rapid.IntRange(0, len(mains)-1).Draw(t, "main")], drawSaid(t, everything))
}

// TestModelNotify lives through random sessions of jobs that say how they are,
// as TestModel does, with a twin that is made anew of its own snapshot after
// every step.
func TestModelNotify(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newModelWorld()
		v := newWatcher(w, modelConfig.StopTimeout)
		twin := engine.New(modelConfig)
		twin.SetStepBudget(modelBudget)
		observe := w.Observe
		w.Observe = func(in engine.Input, effects []engine.Effect) {
			observe(in, effects)
			if got, want := tell(twin.Step(w.Now(), in)), tell(effects); got != want {
				t.Fatalf("after %T%+v the restored engine does\n%s\nand the other\n%s", in, in, got, want)
			}
			restored, err := engine.Restore(modelConfig, twin.Snapshot())
			if err != nil {
				t.Fatal(err)
			}
			twin = restored
			twin.SetStepBudget(modelBudget)
		}
		sound := func() {
			t.Helper()
			if wrong := append(append(v.wrong, w.Faults()...), w.Engine.Check()...); len(wrong) > 0 {
				t.Fatalf("%s", strings.Join(wrong, "\n"))
			}
		}
		for _, name := range classNames {
			w.Do(engine.SetClass{Class: drawNotifying(t, name)})
		}
		var call engine.CallID
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "say") {
				say(t, w)
			} else {
				act(t, w, &call, calm)
			}
			sound()
		}
		w.Do(engine.Shutdown{Type: "logout"})
		w.Advance(modelConfig.StopTimeout + 5*time.Second)
		sound()
		if !w.Over() {
			t.Fatalf("the session does not end")
		}
	})
}
