package bus

import (
	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/wire"
)

// LoginKeeper is what a Backend can do that watches leaders and displays of
// login sessions. Both methods complete the input and hand it to the engine
// some time later, or answer its call with the reason why that cannot be. One
// that cannot do this gets the inputs as they are.
type LoginKeeper interface {
	// OpenSession watches the leader.
	OpenSession(engine.SessionOpen)
	// BeginSession connects to the display that the variables name, and has
	// the session bus give them to the services that it starts.
	BeginSession(engine.SessionBegin)
}

// openSession begins a login session whose leader is the caller.
func openSession(c *call) {
	c.later(func(id engine.CallID) {
		by := c.conn.caller()
		if by == nil {
			c.server.Reply(engine.Reply{Call: id, Err: &engine.Error{Kind: engine.InvalidArgs, Msg: "the caller's process cannot be seen from here"}})
			return
		}
		in := engine.SessionOpen{Call: id, By: by, Leader: by.Pid, Env: c.strs(0)}
		if k, ok := c.server.backend.(LoginKeeper); ok {
			k.OpenSession(in)
			return
		}
		c.server.backend.Step(in)
	})
}

// beginSession gives a login session its display.
func beginSession(c *call) {
	c.later(func(id engine.CallID) {
		in := engine.SessionBegin{Call: id, By: c.conn.caller(), ID: c.number(0), Env: c.strs(1)}
		if k, ok := c.server.backend.(LoginKeeper); ok {
			k.BeginSession(in)
			return
		}
		c.server.backend.Step(in)
	})
}

// endLogin ends a login session; 0 is the caller's own. It is answered when
// what belonged to it has stopped.
func endLogin(c *call) {
	c.step(false, func(id engine.CallID) engine.Input {
		return engine.SessionEnd{Call: id, By: c.conn.caller(), ID: c.number(0)}
	})
}

// awaitSession is answered when a login session is gone, or when all ends.
func awaitSession(c *call) {
	c.step(false, func(id engine.CallID) engine.Input { return engine.SessionAwait{Call: id, ID: c.number(0)} })
}

// setUntilLogout has all end as with the last login, or takes that back; the
// note is what the daemon stays for, empty when it ends. The machine's has no
// logins.
func setUntilLogout(c *call) {
	if c.server.system != nil {
		c.answer(nil, failf(api.ErrNotSupported, "cannot end with the last login: this is the session-init of the machine"))
		return
	}
	c.notes = true
	c.step(false, func(id engine.CallID) engine.Input {
		return engine.UntilLogout{Call: id, By: c.conn.caller(), On: c.flag(0)}
	})
}

// later registers a call that is answered by the engine, or before it comes
// there.
func (c *call) later(ask func(engine.CallID)) {
	id, full := c.server.wait(c, false)
	if full {
		c.answer(nil, failf(api.ErrLimitsExceeded, "too many calls wait for an answer: %d", c.server.limits.calls))
		return
	}
	ask(id)
}

// number gives an argument that is the number of a login session.
func (c *call) number(i int) uint64 { return uint64(c.in.Value(i).(uint32)) }

// listSessions tells of each login session: id, state (opened, begun or
// ending), leader (a pid, or 0), display (or ""), env (its layer), age
// (microseconds since it was opened, or begun last), who did that, by the keys
// of Why for a caller, and jobs (the instances that belong to it). Who may only
// look, as everybody may on the machine's daemon, is not told env.
func listSessions(c *call) {
	public := c.conn.public
	c.read(func(v engine.View) ([]any, *failure) {
		out := []dict{}
		for _, s := range v.Logins() {
			d := dict{
				"id":      wire.MakeVariant(uint32(s.ID)),
				"state":   wire.MakeVariant(loginState(s)),
				"leader":  wire.MakeVariant(uint32(s.Leader)),
				"display": wire.MakeVariant(s.Display),
				"age":     wire.MakeVariant(s.Age.Microseconds()),
				"jobs":    wire.MakeVariant(append([]string{}, v.InLogin(s.ID)...)),
			}
			if !public {
				d["env"] = wire.MakeVariant([]string(s.Env))
			}
			putCaller(d, s.By)
			out = append(out, d)
		}
		return []any{out}, nil
	})
}

func loginState(s engine.LoginInfo) string {
	switch {
	case s.Ending:
		return "ending"
	case s.Began:
		return "begun"
	}
	return "opened"
}

// getLayers tells what each layer of environment says of a variable, weakest
// first: layer (daemon, table, or session and its number), value, set (false
// where it was unset), and since when and by whom as listSessions has them.
func getLayers(c *call) {
	name, session := c.str(0), c.number(1)
	c.read(func(v engine.View) ([]any, *failure) {
		out := []dict{}
		for _, l := range v.Layers(name, session) {
			layer := dict{
				"layer": wire.MakeVariant(l.Name),
				"value": wire.MakeVariant(l.Value),
				"set":   wire.MakeVariant(l.Set),
			}
			if l.Name != "daemon" {
				layer["age"] = wire.MakeVariant(l.Age.Microseconds())
				putCaller(layer, l.By)
			}
			out = append(out, layer)
		}
		return []any{out}, nil
	})
}

// getSessionEnv gives the environment that the jobs of a login session begin
// with, or those of none for 0.
func getSessionEnv(c *call) {
	session := c.number(0)
	c.read(func(v engine.View) ([]any, *failure) {
		env, err := v.SessionEnv(session)
		if err != nil {
			return nil, refusal(err)
		}
		return []any{[]string(env)}, nil
	})
}
