package bus

import (
	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/wire"
)

// changeMethod is Start, Stop, Restart and ForceStop in one, by the name of the
// verb, whose answer says as well what a client would ask for next: the
// instance as it is then, and what even KILL has not ended. It is for commands,
// which cost little more than their calls.
func changeMethod() method {
	return method{"Change", []arg{{"verb", "s"}, {"env", "as"}, {"wait", "b"}},
		[]arg{{"instance", "o"}, {"goal", "s"}, {"state", "s"}, {"processes", "a(si)"}, {"unkillable", "a(is)"}}, change}
}

func change(c *call) {
	var input func(engine.CallID) engine.Input
	switch verb := c.str(0); verb {
	case "start":
		input = func(id engine.CallID) engine.Input {
			return engine.Start{Call: id, By: c.conn.caller(), Target: c.target(), Env: c.strs(1), Wait: c.flag(2)}
		}
	case "stop":
		input = func(id engine.CallID) engine.Input {
			return engine.Stop{Call: id, By: c.conn.caller(), Target: c.target(), Env: c.strs(1), Wait: c.flag(2)}
		}
	case "restart":
		input = func(id engine.CallID) engine.Input {
			return engine.Restart{Call: id, By: c.conn.caller(), Target: c.target(), Env: c.strs(1), Wait: c.flag(2)}
		}
	case "force-stop":
		input = func(id engine.CallID) engine.Input {
			return engine.ForceStop{Call: id, By: c.conn.caller(), Target: c.target(), Env: c.strs(1), Wait: c.flag(2)}
		}
	default:
		c.answer(nil, failf(api.ErrInvalidArgs, "cannot change a goal by %q: it is start, stop, restart or force-stop", verb))
		return
	}
	c.tells = true
	c.step(false, input)
}

// outcome is such a call that the step under way has answered.
type outcome struct {
	to    waiting
	reply engine.Reply
}

// Stepped is called on the engine's goroutine after each step, when all that it
// led to has been told. Those calls are answered then, which say how things
// stand: before any later call of the same client is looked at.
func (s *Server) Stepped(v engine.View) {
	for _, o := range s.outcomes {
		s.tellOutcome(v, o.to, o.reply)
	}
	clear(s.outcomes)
	s.outcomes = s.outcomes[:0]
}

func (s *Server) tellOutcome(v engine.View, w waiting, r engine.Reply) {
	goal, state := engine.GoalStop, engine.Waiting
	in, there := v.Instance(r.Class, r.Instance)
	if there {
		goal, state = in.Goal, in.State
	}
	s.sendReply(w.conn, w.serial, "ossa(si)a(is)", []any{wire.ObjectPath(api.InstancePath(r.Class, r.Instance)),
		goal.String(), state.String(), processes(in.Processes), strays(v.Unkillable(r.Class))})
}
