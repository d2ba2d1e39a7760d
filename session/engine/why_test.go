package engine_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
	"github.com/session-init/session-init/session/sim"
)

// tellWhy is all that the engine knows of every class.
func tellWhy(v engine.View) string {
	var out strings.Builder
	for _, name := range v.ClassNames() {
		why, _ := v.WhyClass(name)
		fmt.Fprintf(&out, "%s:\n", name)
		for _, line := range sim.FormatWhy(why) {
			fmt.Fprintf(&out, "\t%s\n", line)
		}
		for _, in := range why.Instances {
			one, ok := v.WhyInstance(name, in.Name)
			if !ok || len(one.Instances) != 1 || one.Instances[0].Since != in.Since {
				fmt.Fprintf(&out, "\tWhyInstance(%s) = %+v, %t\n", in.Name, one, ok)
			}
		}
	}
	return out.String()
}

// tangled are expressions that let jobs wait for each other.
var tangled = []string{"starting X", "stopping X", "starting X or stopping X", "starting X and go", "go", "starting", "stopping"}

func drawTangled(t *rapid.T, name string) *job.Class {
	var text strings.Builder
	for _, on := range []string{"start on", "stop on"} {
		if rapid.IntRange(0, 3).Draw(t, "has "+on) > 0 {
			expr := rapid.SampledFrom(tangled).Draw(t, on)
			fmt.Fprintf(&text, "%s %s\n", on, strings.ReplaceAll(expr, "X", rapid.SampledFrom(classNames).Draw(t, "X")))
		}
	}
	text.WriteString("exec daemon\n")
	for _, hook := range []string{"pre-start", "pre-stop", "post-stop"} {
		if rapid.IntRange(0, 3).Draw(t, "has "+hook) == 0 {
			fmt.Fprintf(&text, "%s exec hang\n", hook)
		}
	}
	class, problems := job.Parse(name, name+".conf", []byte(text.String()))
	if class == nil {
		t.Fatal(problems)
	}
	return class
}

// TestWhyAndCycles lives through random sessions of jobs that wait for each
// other, and whose hooks ask for things: every wait in a cycle was named when
// it came to be, what is told of cycles is what a look along all ways finds,
// and an engine that is made anew of its snapshot after every step says the
// same as one that lived.
func TestWhyAndCycles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newModelWorld()
		twin := engine.New(modelConfig)
		twin.SetStepBudget(modelBudget)
		named := make(map[string]bool)
		w.Observe = func(in engine.Input, effects []engine.Effect) {
			if got, want := tell(twin.Step(w.Now(), in)), tell(effects); got != want {
				t.Fatalf("after %T%+v the restored engine does\n%s\nand the other\n%s", in, in, got, want)
			}
			restored, err := engine.Restore(modelConfig, twin.Snapshot())
			if err != nil {
				t.Fatal(err)
			}
			twin = restored
			twin.SetStepBudget(modelBudget)
			if got, want := tellWhy(twin.View()), tellWhy(w.Engine.View()); got != want {
				t.Fatalf("after %T%+v the restored engine says\n%s\nand the other\n%s", in, in, got, want)
			}
			for _, effect := range effects {
				if log, ok := effect.(engine.Log); ok && strings.Contains(log.Msg, " waits for ") {
					for _, edge := range engine.Edges(log.Msg) {
						named[edge] = true
					}
				}
			}
			for _, cycle := range w.Engine.View().BlockedCycles() {
				for _, edge := range engine.Edges(cycle.Text) {
					if !named[edge] {
						t.Fatalf("after %T%+v there is a cycle that was not named: %s", in, in, cycle.Text)
					}
				}
			}
			for _, e := range []*engine.Engine{w.Engine, twin} {
				if wrong := e.CheckCycles(); len(wrong) > 0 {
					t.Fatalf("after %T%+v:\n%s", in, in, strings.Join(wrong, "\n"))
				}
			}
		}
		for _, name := range classNames {
			w.Do(engine.SetClass{Class: drawTangled(t, name)})
		}
		for call := engine.CallID(1); call < engine.CallID(rapid.IntRange(2, 25).Draw(t, "steps")); call++ {
			by := &events.Caller{Command: fmt.Sprintf("caller %d", call)}
			procs := w.Processes()
			if len(procs) > 0 && rapid.IntRange(0, 2).Draw(t, "by a process") > 0 {
				p := procs[rapid.IntRange(0, len(procs)-1).Draw(t, "process")]
				by.Parent, by.Job, by.Instance = p.Pid, p.Class, p.Instance
			}
			target := engine.Target{Class: rapid.SampledFrom(classNames).Draw(t, "class")}
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0, 1, 2:
				w.Do(engine.Start{Call: call, By: by, Target: target, Wait: true})
			case 3, 4:
				w.Do(engine.Stop{Call: call, By: by, Target: target, Wait: true})
			case 5:
				w.Do(engine.Restart{Call: call, By: by, Target: target, Wait: true})
			case 6:
				w.Do(engine.Emit{Call: call, By: by, Name: "go", Wait: true})
			case 7:
				w.Advance(time.Second)
			case 8:
				if len(procs) > 0 {
					if p := procs[rapid.IntRange(0, len(procs)-1).Draw(t, "ends")]; p.Pid != 0 {
						w.Exit(p, 0, 0)
					}
				}
			case 9:
				w.Do(engine.Abandon{Call: engine.CallID(rapid.Uint64Range(1, uint64(call)).Draw(t, "abandoned"))})
			}
		}
		w.Do(engine.Shutdown{Type: "logout"})
		w.Advance(modelConfig.StopTimeout + 5*time.Second)
		if !w.Over() {
			t.Fatal("the session does not end")
		}
	})
}
