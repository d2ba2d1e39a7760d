package bus

import (
	"strings"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/engine"
)

func instanceInterface() *iface {
	wait := []arg{{"wait", "b"}}
	return &iface{
		name: api.InstanceInterface,
		methods: []method{
			{"Start", wait, nil, func(c *call) {
				c.step(false, func(id engine.CallID) engine.Input {
					return engine.Start{Call: id, By: c.conn.caller(), Target: c.target(), Wait: c.flag(0)}
				})
			}},
			{"Stop", wait, nil, func(c *call) {
				c.step(false, func(id engine.CallID) engine.Input {
					return engine.Stop{Call: id, By: c.conn.caller(), Target: c.target(), Wait: c.flag(0)}
				})
			}},
			{"Restart", wait, nil, func(c *call) {
				c.step(false, func(id engine.CallID) engine.Input {
					return engine.Restart{Call: id, By: c.conn.caller(), Target: c.target(), Wait: c.flag(0)}
				})
			}},
			{"Reload", nil, nil, func(c *call) {
				c.step(false, func(id engine.CallID) engine.Input {
					return engine.Reload{Call: id, Target: c.target()}
				})
			}},
		},
		signals: []signal{
			{"GoalChanged", []arg{{"goal", "s"}}},
			{"StateChanged", []arg{{"state", "s"}}},
			{"Failed", []arg{{"status", "i"}}},
		},
		properties: []property{
			ofInstance("name", "s", func(in engine.InstanceInfo) any { return in.Name }),
			ofInstance("goal", "s", func(in engine.InstanceInfo) any { return in.Goal.String() }),
			ofInstance("state", "s", func(in engine.InstanceInfo) any { return in.State.String() }),
			ofInstance("processes", "a(si)", func(in engine.InstanceInfo) any {
				return processList(in.Processes)
			}),
		},
	}
}

func processList(list []engine.ProcessInfo) []process {
	out := make([]process, len(list))
	for i, p := range list {
		out[i] = process{p.Kind.String(), int32(p.Pid)}
	}
	return out
}

// ofInstance makes a property of what is seen of an instance.
func ofInstance(name, sig string, get func(engine.InstanceInfo) any) property {
	return property{name: name, sig: sig, get: func(_ *Server, v engine.View, o object) any {
		in, _ := v.Instance(o.job, o.instance)
		return get(in)
	}}
}

// stray is a process as it is listed beyond Upstart.
type stray struct {
	Pid     int32
	Command string
}

func strayList(list []engine.Stray) []stray {
	out := make([]stray, len(list))
	for i, s := range list {
		// A command line may hold any bytes, a D-Bus string may not.
		out[i] = stray{int32(s.Pid), strings.ToValidUTF8(s.Command, "?")}
	}
	return out
}

// instanceExtension says what Upstart has no words for.
func instanceExtension() *iface {
	return &iface{
		name: api.InstanceExtension,
		methods: []method{
			{"ForceStop", []arg{{"wait", "b"}}, nil, func(c *call) {
				c.step(false, func(id engine.CallID) engine.Input {
					return engine.ForceStop{Call: id, By: c.conn.caller(), Target: c.target(), Wait: c.flag(0)}
				})
			}},
			// All that is alive of the instance, whoever made it.
			{"GetProcesses", nil, []arg{{"processes", "a(is)"}}, getProcesses},
			// Why the instance is where it is; see why.go.
			{"Why", nil, []arg{{"why", "a{sv}"}}, why},
		},
		properties: []property{
			// That the instance waits for its respawn, and how long yet, or a
			// sentence about a main that is not what the job file declares.
			ofInstance("note", "s", func(in engine.InstanceInfo) any { return in.Note }),
		},
	}
}

func getProcesses(c *call) {
	c.server.backend.Read(func(v engine.View) {
		defer c.recover()
		if gone := c.object.missing(v); gone != nil {
			c.reply(nil, gone)
			return
		}
		c.server.backend.Processes(c.object.job, c.object.instance, func(list []engine.Stray) {
			defer c.recover()
			c.reply([]any{strayList(list)}, nil)
		})
	})
}
