package foresee

import (
	"fmt"
	"time"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/engine"
)

// Question is what is to be foreseen.
type Question struct {
	// Inputs are asked one after the other, each when what the one before
	// led to has come to rest. They are Emit, Start, Stop, ForceStop, Restart,
	// SetClass and DropClass. Call and Wait are set by Ask: the caller of a
	// question always waits.
	Inputs []engine.Input
	// Assume holds what is to be assumed of processes; of two that are about
	// the same process the later one counts.
	Assume []Assumption
	// Lines bounds the answer; 0 is DefaultLines, and MaxLines is the most.
	Lines int
}

// The bounds of an answer. Jobs that start each other in a circle, or that
// respawn without limit, would go on for ever.
const (
	DefaultLines = 10_000
	MaxLines     = 100_000
)

// maxInputs is how many inputs there may be for a line that is told, so that
// what is told of by no line has an end too.
const maxInputs = 4

// Foresight is the answer to a Question.
type Foresight struct {
	// Lines are in the order in which things would happen.
	Lines []Line
	// Assumed says, a sentence each, on what this rests.
	Assumed []string
	// Complete: all has come to rest. Else the bound was reached, and there
	// would be more.
	Complete bool
}

// Ask answers a question on a copy of the engine of which s is a snapshot, at
// the time now of its clock. The error names an input that cannot be asked, or
// says that the snapshot does not fit together.
func Ask(cfg engine.Config, s engine.Snapshot, now time.Duration, q Question) (Foresight, error) {
	w, err := NewWorld(cfg, s, now, q.Assume)
	if err != nil {
		return Foresight{}, fmt.Errorf("cannot simulate: %w", err)
	}
	a := asking{world: w, teller: newTeller(w, s), lines: q.Lines}
	if a.lines <= 0 {
		a.lines = DefaultLines
	}
	a.lines = min(a.lines, MaxLines)
	a.inputs = a.lines * maxInputs
	complete := true
	for i, in := range q.Inputs {
		in, err := asCall(in, engine.CallID(i+1))
		if err != nil {
			return Foresight{}, err
		}
		if complete = a.ask(in, engine.CallID(i+1)); !complete {
			break
		}
	}
	if complete {
		a.teller.rest(w.engine.Snapshot())
	}
	lines := a.teller.lines
	if len(lines) > a.lines {
		lines, complete = lines[:a.lines:a.lines], false
	}
	return Foresight{Lines: lines, Assumed: w.Assumed(), Complete: complete}, nil
}

// asCall makes the input a call that waits.
func asCall(in engine.Input, call engine.CallID) (engine.Input, error) {
	switch in := in.(type) {
	case engine.Emit:
		in.Call, in.Wait = call, true
		return in, nil
	case engine.Start:
		in.Call, in.Wait = call, true
		return in, nil
	case engine.Stop:
		in.Call, in.Wait = call, true
		return in, nil
	case engine.ForceStop:
		in.Call, in.Wait = call, true
		return in, nil
	case engine.Restart:
		in.Call, in.Wait = call, true
		return in, nil
	case engine.SetClass, engine.DropClass:
		return in, nil
	}
	return nil, fmt.Errorf("cannot simulate %T: it is no question", in)
}

// words says what is asked: a verb of sctl, and what it is given.
func words(in engine.Input) (verb string, words []string) {
	target := func(t engine.Target, env events.Env) []string {
		return append([]string{engine.Label(t.Class, t.Instance)}, env...)
	}
	switch in := in.(type) {
	case engine.Emit:
		return "emit", append([]string{in.Name}, in.Env...)
	case engine.Start:
		return "start", target(in.Target, in.Env)
	case engine.Stop:
		return "stop", target(in.Target, in.Env)
	case engine.ForceStop:
		return "force-stop", target(in.Target, in.Env)
	case engine.Restart:
		return "restart", target(in.Target, in.Env)
	case engine.SetClass:
		return "define", []string{in.Class.Name}
	case engine.DropClass:
		return "remove", []string{in.Name}
	}
	return "", nil
}

// asking is a question under way.
type asking struct {
	world         *World
	teller        *teller
	lines, inputs int
}

// ask asks one thing and goes on until nothing more can happen. It reports
// false when a bound was reached first.
func (a *asking) ask(in engine.Input, call engine.CallID) bool {
	w, t := a.world, a.teller
	switch in.(type) {
	case engine.SetClass, engine.DropClass:
		call = 0
	}
	t.ask(w.now, call, in)
	t.effects(w.Do(w.now, in))
	a.kept(in)
	for {
		if len(t.lines) > a.lines || a.inputs <= 0 {
			return false
		}
		a.inputs--
		news, now := engine.Input(nil), w.now
		exit, turn := w.Turn()
		at, due := w.Due()
		switch {
		case len(w.owed) > 0:
			news = w.owed[0]
		case turn:
			news = exit
		case due:
			t.news(at, engine.Tick{})
			t.effects(w.Do(at, engine.Tick{}))
			continue
		default:
			return true
		}
		t.news(now, news)
		effects, err := w.Take(now, news)
		if err != nil {
			// It was asked for what it owes.
			panic("foresee: " + err.Error())
		}
		t.effects(effects)
	}
}

// kept tells of an edit that has to wait for the last instance.
func (a *asking) kept(in engine.Input) {
	name := ""
	switch in := in.(type) {
	case engine.SetClass:
		if class, ok := a.world.View().Class(in.Class.Name); ok && class != in.Class && len(a.world.View().Instances(in.Class.Name)) > 0 {
			name = in.Class.Name
		}
	case engine.DropClass:
		if _, ok := a.world.View().Class(in.Name); ok {
			name = in.Name
		}
	}
	if name != "" {
		a.teller.follow(Line{Kind: Job, Job: name, Text: "kept as it is until its last instance has stopped"})
	}
}
