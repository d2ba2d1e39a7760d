package session

import (
	"fmt"
	"runtime/debug"
	"time"

	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/foresee"
)

// simulation is a question of a client.
type simulation struct {
	question foresee.Question
	wanted   func() bool
	done     func(foresee.Foresight, error)
}

// Simulate answers a question on a copy of the engine, beside the loop; see
// bus.Backend. One is answered at a time: each holds a copy of everything.
func (l *Loop) Simulate(q foresee.Question, wanted func() bool, done func(foresee.Foresight, error)) {
	l.Read(func(engine.View) {
		l.simulations = append(l.simulations, simulation{q, wanted, done})
		if len(l.simulations) == 1 {
			l.simulate()
		}
	})
}

// simulate begins with the first that was asked for, and is wanted yet.
func (l *Loop) simulate() {
	for len(l.simulations) > 0 && !l.simulations[0].wanted() {
		l.nextSimulation().done(foresee.Foresight{}, nil)
	}
	if len(l.simulations) == 0 {
		return
	}
	first := l.simulations[0]
	cfg, snapshot, now := l.config, l.engine.Snapshot(), l.clock()
	l.guard.Go("simulation", func() {
		answer, err := l.foresee(cfg, snapshot, now, first.question)
		l.Read(func(engine.View) {
			l.nextSimulation()
			l.simulate()
			first.done(answer, err)
		})
	})
}

// nextSimulation takes the first from those that wait, and lets go of what it holds.
func (l *Loop) nextSimulation() simulation {
	first := l.simulations[0]
	l.simulations[0] = simulation{}
	if l.simulations = l.simulations[1:]; len(l.simulations) == 0 {
		l.simulations = nil
	}
	return first
}

// foresee asks the copy. A question can lead where no session has been: should
// the copy panic, the session that it was made of goes on.
func (l *Loop) foresee(cfg engine.Config, s engine.Snapshot, now time.Duration, q foresee.Question) (answer foresee.Foresight, err error) {
	defer func() {
		if v := recover(); v != nil {
			l.log.Error("fault in a simulation", "fault", v, "stack", string(debug.Stack()))
			answer, err = foresee.Foresight{}, fmt.Errorf("cannot simulate: internal fault: %v", v)
		}
	}()
	return foresee.Ask(cfg, s, now, q)
}
