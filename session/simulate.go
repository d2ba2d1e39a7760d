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
	done     func(foresee.Foresight, error)
}

// Simulate answers a question on a copy of the engine, beside the loop; see
// bus.Backend. One is answered at a time: each holds a copy of everything.
func (l *Loop) Simulate(q foresee.Question, done func(foresee.Foresight, error)) {
	l.Read(func(engine.View) {
		l.simulations = append(l.simulations, simulation{q, done})
		if len(l.simulations) == 1 {
			l.simulate()
		}
	})
}

// simulate begins with the first that was asked for.
func (l *Loop) simulate() {
	first := l.simulations[0]
	cfg, snapshot, now := l.config, l.engine.Snapshot(), l.clock()
	l.guard.Go("simulation", func() {
		answer, err := l.foresee(cfg, snapshot, now, first.question)
		l.Read(func(engine.View) {
			l.simulations = l.simulations[1:]
			if len(l.simulations) > 0 {
				l.simulate()
			}
			first.done(answer, err)
		})
	})
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
