package engine

import (
	"slices"

	"github.com/session-init/session-init/events"
)

// A job that starts with a login session, and is there once and not once in
// each, runs in the session that came first: most own a name on the bus, which
// only one can. When that session has ended it goes over to the one that got its
// display last, and starts there with its variables, as if its session-start came
// only now: what another's end has taken from a session, it has back.
//
// What session-start alone does not start, since the condition wants more
// than that or other variables, does not go over, nor does a task, which has been
// done, nor what had ended before.

// noteMoving writes down what the end of a login session will stop and another
// may want.
func (e *Engine) noteMoving(s *login) {
	for _, c := range e.order {
		if c.def.Instance != "" || c.def.Task || c.def.Linger || c.def.StartOn == nil {
			continue
		}
		if in := c.instance(""); in != nil && in.goal == GoalStart && e.loginOf(in.startedWith()) == s {
			s.moving = append(s.moving, c.def.Name)
		}
	}
}

// moveJobs starts what a login session had, which is gone, in another one.
func (e *Engine) moveJobs(from *login) {
	if len(from.moving) == 0 || e.ending.begun {
		return
	}
	for _, to := range slices.Backward(e.logins) {
		if to.began && to.stop == nil {
			for _, name := range from.moving {
				e.moveJob(name, to)
			}
			// What this one did not want, an older one may.
		}
	}
}

func (e *Engine) moveJob(name string, to *login) {
	c := e.classes[name]
	if c == nil || c.def.Instance != "" || c.def.StartOn == nil {
		return
	}
	in := c.instance("")
	if in != nil && in.goal == GoalStart {
		return
	}
	// The condition of the class is left alone: what has come for it, has.
	var queue events.Queue
	condition := events.NewCondition(c.def.StartOn)
	condition.Handle(&queue, queue.Emit(sessionStart, to.variables()), e.startVariables(sessionStart))
	if !condition.True() {
		return
	}
	_, env, names := gather(condition)
	if in == nil {
		in = e.newInstance(c, "")
	}
	e.logf(Info, in, "%s goes over to login session %d", in.label(), to.id)
	e.begin(in, &beginning{env: env, events: names})
	in.wish = wish{reason: ByEvent, at: e.now}
	if to.start != nil {
		in.wish.events = []*events.Event{to.start}
	}
	e.release(in, false)
	e.changeGoal(in, GoalStart)
}

// variables are those that the session's session-start carries.
func (s *login) variables() events.Env {
	return append(events.Env{s.entry()}, s.layer...)
}
