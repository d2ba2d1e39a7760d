package bus

import (
	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
	"github.com/session-init/session-init/session/wire"
)

func jobInterface() *iface {
	env, wait := arg{"env", "as"}, arg{"wait", "b"}
	instance := []arg{{"instance", "o"}}
	return &iface{
		name: api.JobInterface,
		methods: []method{
			{"GetInstance", []arg{env}, instance, getInstance},
			{"GetInstanceByName", []arg{{"name", "s"}}, instance, getInstanceByName},
			{"GetAllInstances", nil, []arg{{"instances", "ao"}}, getAllInstances},
			{"Start", []arg{env, wait}, instance, func(c *call) {
				c.step(true, func(id engine.CallID) engine.Input {
					return engine.Start{Call: id, By: c.conn.caller(), Target: c.target(), Env: c.strs(0), Wait: c.flag(1)}
				})
			}},
			{"Stop", []arg{env, wait}, nil, func(c *call) {
				c.step(false, func(id engine.CallID) engine.Input {
					return engine.Stop{Call: id, By: c.conn.caller(), Target: c.target(), Env: c.strs(0), Wait: c.flag(1)}
				})
			}},
			{"Restart", []arg{env, wait}, instance, func(c *call) {
				c.step(true, func(id engine.CallID) engine.Input {
					return engine.Restart{Call: id, By: c.conn.caller(), Target: c.target(), Env: c.strs(0), Wait: c.flag(1)}
				})
			}},
		},
		signals: []signal{
			{"InstanceAdded", instance},
			{"InstanceRemoved", instance},
		},
		properties: []property{
			ofClass("name", "s", func(c *job.Class) any { return c.Name }),
			ofClass("description", "s", func(c *job.Class) any { return c.Description }),
			ofClass("author", "s", func(c *job.Class) any { return c.Author }),
			ofClass("version", "s", func(c *job.Class) any { return c.Version }),
			ofClass("usage", "s", func(c *job.Class) any { return c.Usage }),
			ofClass("start_on", "aas", func(c *job.Class) any { return c.StartOn.Postfix() }),
			ofClass("stop_on", "aas", func(c *job.Class) any { return c.StopOn.Postfix() }),
			ofClass("emits", "as", func(c *job.Class) any { return c.Emits }),
		},
	}
}

// jobExtension says what Upstart has no words for.
func jobExtension() *iface {
	return &iface{
		name: api.JobExtension,
		methods: []method{
			// As Stop, and processes are ended in every state, hooks too.
			{"ForceStop", []arg{{"env", "as"}, {"wait", "b"}}, nil, func(c *call) {
				c.step(false, func(id engine.CallID) engine.Input {
					return engine.ForceStop{Call: id, By: c.conn.caller(), Target: c.target(), Env: c.strs(0), Wait: c.flag(1)}
				})
			}},
			changeMethod(),
			// Why the job runs, or does not; see why.go.
			{"Why", nil, []arg{{"why", "a{sv}"}}, why},
			// The definition in force: its file, the override that was laid on
			// it or "", what they say together as job.Print has it, and
			// whether another one, or none, takes over when the last instance
			// has gone.
			{"GetDefinition", nil, []arg{{"file", "s"}, {"override", "s"}, {"text", "ay"}, {"changed", "b"}}, getDefinition},
		},
		properties: []property{
			// A sentence about the failure of the last run, which outlives
			// the instance; empty when it did not fail.
			{name: "last_failure", sig: "s", get: func(_ *Server, v engine.View, o object) any {
				return v.LastFailure(o.job)
			}},
			// The processes that finished runs left behind: pid and name.
			{name: "left_behind", sig: "a(is)", get: func(_ *Server, v engine.View, o object) any {
				return strays(v.LeftBehind(o.job))
			}},
			// The file that the output of the instance with the empty name
			// goes to, or "". Those of others are beside it.
			{name: "log", sig: "s", get: func(s *Server, v engine.View, o object) any {
				class, _ := v.Class(o.job)
				return s.backend.LogPath(class, "")
			}},
			// Whether "manual" keeps the job from what its "start on" says, as of
			// a ready job that nobody has enabled.
			ofClass("manual", "b", func(c *job.Class) any { return c.Manual != nil }),
			// Those among them that even KILL does not end.
			{name: "unkillable", sig: "a(is)", get: func(_ *Server, v engine.View, o object) any {
				return strays(v.Unkillable(o.job))
			}},
		},
	}
}

// ofClass makes a property of what a job file says.
func ofClass(name, sig string, get func(*job.Class) any) property {
	// A job with another definition is told as removed and added.
	return property{name: name, sig: sig, announced: constant, get: func(_ *Server, v engine.View, o object) any {
		class, _ := v.Class(o.job)
		return get(class)
	}}
}

// readObject reads for an object that exists.
func (c *call) readObject(f func(engine.View) ([]any, *failure)) {
	c.read(func(v engine.View) ([]any, *failure) {
		if gone := c.object.missing(v); gone != nil {
			return nil, gone
		}
		return f(v)
	})
}

func getDefinition(c *call) {
	c.readObject(func(v engine.View) ([]any, *failure) {
		why, _ := v.WhyClass(c.object.job)
		def := why.Class
		return []any{def.Path, def.Override, job.Print(def), why.Changed}, nil
	})
}

func instancePath(v engine.View, class, name string) ([]any, *failure) {
	if _, ok := v.Instance(class, name); !ok {
		return nil, failf(api.ErrUnknownInstance, "Unknown instance: %s", engine.Label(class, name))
	}
	return []any{wire.ObjectPath(api.InstancePath(class, name))}, nil
}

func getInstance(c *call) {
	env := c.strs(0)
	c.readObject(func(v engine.View) ([]any, *failure) {
		name, err := v.InstanceName(c.object.job, env)
		if err != nil {
			return nil, refusal(err)
		}
		return instancePath(v, c.object.job, name)
	})
}

func getInstanceByName(c *call) {
	name := c.str(0)
	c.readObject(func(v engine.View) ([]any, *failure) {
		return instancePath(v, c.object.job, name)
	})
}

func getAllInstances(c *call) {
	c.readObject(func(v engine.View) ([]any, *failure) {
		paths := []wire.ObjectPath{}
		for _, in := range v.Instances(c.object.job) {
			paths = append(paths, wire.ObjectPath(api.InstancePath(in.Class, in.Name)))
		}
		return []any{paths}, nil
	})
}
