package engine_test

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
	"github.com/session-init/session-init/session/sim"
)

// steps makes TestPredict and TestModel go on until their engines have taken
// so many steps; make soak asks for very many.
var steps = flag.Int("steps", 0, "how many steps the random sessions take at least")

// kindNames are the refusals as the naive model names them.
var kindNames = map[engine.ErrorKind]string{
	engine.InvalidArgs: "InvalidArgs", engine.UnknownJob: "UnknownJob", engine.UnknownInstance: "UnknownInstance",
	engine.AlreadyStarted: "AlreadyStarted", engine.AlreadyStopped: "AlreadyStopped",
	engine.JobFailed: "JobFailed", engine.EventFailed: "EventFailed",
}

// compare puts what the engine did beside what the model said, and returns
// what differs.
func compare(n *naive, effects []engine.Effect, labels map[engine.ProcID]string) string {
	var said, answers []string
	for _, effect := range effects {
		line := sim.Format(effect, func(engine.CallID) string { return "" }, func(id engine.ProcID) string { return labels[id] })
		switch effect := effect.(type) {
		case engine.Spawn:
			labels[effect.Proc] = strings.Replace(line.Text, " spawn", "", 1)
			said = append(said, fmt.Sprintf("%s %q", line.Text, slices.Sorted(slices.Values(effect.Env))))
		case engine.Notify, engine.Kill:
			said = append(said, line.Text)
		case engine.Reply:
			kind := "ok"
			if effect.Err != nil {
				kind = kindNames[effect.Err.Kind]
			}
			answers = append(answers, fmt.Sprintf("%d: %s", effect.Call, kind))
		}
	}
	if slices.Equal(said, n.said) && slices.Equal(answers, n.answers) {
		return ""
	}
	return fmt.Sprintf("the engine did\n\t%s\n\t%s\nthe model says\n\t%s\n\t%s", strings.Join(said, "\n\t"), strings.Join(answers, "\n\t"),
		strings.Join(n.said, "\n\t"), strings.Join(n.answers, "\n\t"))
}

// predict lives through one random session beside the naive model, and
// returns how many steps the engine took. Now and then the engine is made
// anew of its own snapshot.
func predict(t *rapid.T, longest int) (taken int) {
	w := newModelWorld()
	orderly := w.Choose
	w.Choose = func(s engine.Spawn) sim.Program {
		p := orderly(s)
		p.Leaves = sim.Litter{}
		return p
	}
	n, labels := newNaive(modelConfig), make(map[engine.ProcID]string)
	w.Observe = func(in engine.Input, effects []engine.Effect) {
		taken++
		n.step(w.Now(), in)
		if wrong := compare(n, effects, labels); wrong != "" {
			t.Fatalf("after %T%+v at %s:\n%s", in, in, w.Now(), wrong)
		}
		wrong := w.Engine.Check()
		for _, effect := range effects {
			if ev, ok := effect.(engine.Notify); ok && ev.Kind == engine.EventEmitted {
				wrong = append(wrong, w.Engine.CheckIndex(ev.Text, ev.Env)...)
			}
		}
		if len(wrong) > 0 {
			t.Fatalf("after %T%+v: %s", in, in, strings.Join(wrong, "\n"))
		}
	}
	for _, name := range classNames {
		w.Do(engine.SetClass{Class: drawClass(t, name)})
	}
	var call engine.CallID
	if rapid.Bool().Draw(t, "respawner") {
		text := fmt.Sprintf("respawn\nrespawn limit %d %d\nexec hang\n", rapid.IntRange(1, 3).Draw(t, "count"), rapid.IntRange(1, 4).Draw(t, "interval"))
		text += rapid.SampledFrom([]string{"", "", "respawn delay 1\n", "respawn backoff 2 3\n"}).Draw(t, "delay")
		class, _ := job.Parse("respawner", "respawner.conf", []byte(text))
		w.Do(engine.SetClass{Class: class})
		call++
		w.Do(engine.Start{Call: call, Target: engine.Target{Class: "respawner"}, Wait: true})
	}
	for range rapid.IntRange(1, longest).Draw(t, "steps") {
		if rapid.IntRange(0, 19).Draw(t, "restored") == 0 {
			restored, err := engine.Restore(modelConfig, w.Engine.Snapshot())
			if err != nil {
				t.Fatal(err)
			}
			restored.SetStepBudget(modelBudget)
			w.Engine = restored
		}
		if rapid.Bool().Draw(t, "pursues") {
			pursue(t, w, &call)
		} else {
			act(t, w, &call, predictable)
		}
	}
	if wrong := w.Faults(); len(wrong) > 0 {
		t.Fatalf("%s", strings.Join(wrong, "\n"))
	}
	return taken
}

// pursue does something to a process that is there, or to its instance, so
// that sessions get as far as the rules for those who fail again and again,
// and for those who change their mind.
func pursue(t *rapid.T, w *sim.World, call *engine.CallID) {
	procs := w.Processes()
	if len(procs) == 0 {
		return
	}
	p := procs[rapid.IntRange(0, len(procs)-1).Draw(t, "pursued")]
	target := engine.Target{Class: p.Class, Instance: p.Instance, ByName: rapid.Bool().Draw(t, "by name")}
	env := append(events.Env{"N=" + p.Instance}, drawEnv(t)...)
	*call++
	switch what := rapid.IntRange(0, 8).Draw(t, "meets"); {
	case what < 4 && p.Pid == 0:
		w.Advance(moment)
	case what < 2:
		w.Exit(p, 0, 0)
	case what < 4:
		w.Exit(p, 1, 0)
	case what == 4:
		w.Do(engine.Stop{Call: *call, Target: target, Env: env, Wait: true})
	case what == 5:
		w.Do(engine.Start{Call: *call, Target: target, Env: env, Wait: true})
	case what == 6:
		w.Do(engine.Restart{Call: *call, Target: target, Env: env, Wait: true})
	case what == 7:
		w.Advance(time.Second)
	default:
		// Its main dies again and again, at times that are all alike.
		pause := rapid.SampledFrom([]time.Duration{0, time.Second, 2 * time.Second}).Draw(t, "pause")
		for range rapid.IntRange(2, 6).Draw(t, "deaths") {
			if main := w.Find(p.Class, p.Instance, job.Main); main != nil && main.Pid != 0 {
				w.Exit(main, 1, 0)
			}
			w.Advance(pause)
		}
	}
}

// TestPredict compares the engine with the naive model.
func TestPredict(t *testing.T) {
	for taken, longest := 0, 40; ; longest = 200 {
		rapid.Check(t, func(t *rapid.T) { taken += predict(t, longest) })
		if taken >= *steps {
			t.Logf("%d steps", taken)
			return
		}
	}
}

// TestPredictCanFail: an engine that does something else is found out.
func TestPredictCanFail(t *testing.T) {
	n, e := newNaive(modelConfig), engine.New(modelConfig)
	set := engine.SetClass{Class: mustParse(t, "a", "exec hang")}
	n.step(0, set)
	effects := e.Step(0, set)
	if wrong := compare(n, effects, nil); wrong != "" {
		t.Errorf("compare = %s; want nothing", wrong)
	}
	if wrong := compare(n, effects[1:], nil); wrong == "" {
		t.Errorf("compare finds nothing wrong with a job that is not announced")
	}
	in := engine.Start{Call: 1, Target: engine.Target{Class: "a"}, Wait: true}
	n.step(time.Second, in)
	in.Wait = false
	if wrong := compare(n, e.Step(time.Second, in), make(map[engine.ProcID]string)); wrong == "" {
		t.Errorf("compare finds nothing wrong with an answer too many")
	}
}
