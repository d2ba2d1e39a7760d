package bus

import (
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
					return engine.Start{Call: id, Target: c.target(), Wait: c.flag(0)}
				})
			}},
			{"Stop", wait, nil, func(c *call) {
				c.step(false, func(id engine.CallID) engine.Input {
					return engine.Stop{Call: id, Target: c.target(), Wait: c.flag(0)}
				})
			}},
			{"Restart", wait, nil, func(c *call) {
				c.step(false, func(id engine.CallID) engine.Input {
					return engine.Restart{Call: id, Target: c.target(), Wait: c.flag(0)}
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
				list := make([]process, len(in.Processes))
				for i, p := range in.Processes {
					list[i] = process{p.Kind.String(), int32(p.Pid)}
				}
				return list
			}),
		},
	}
}

// ofInstance makes a property of what is seen of an instance.
func ofInstance(name, sig string, get func(engine.InstanceInfo) any) property {
	return property{name: name, sig: sig, get: func(_ *Server, v engine.View, o object) any {
		in, _ := v.Instance(o.job, o.instance)
		return get(in)
	}}
}
