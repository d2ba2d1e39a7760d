package bus

import (
	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/wire"
)

// nothing answers a method that has no effect here.
func nothing(c *call) { c.answer(nil, nil) }

func managerInterface() *iface {
	details := arg{"job_details", "as"}
	return &iface{
		name: api.ManagerInterface,
		methods: []method{
			{"ReloadConfiguration", nil, nil, reloadConfiguration},
			{"GetJobByName", []arg{{"name", "s"}}, []arg{{"job", "o"}}, getJobByName},
			{"GetAllJobs", nil, []arg{{"jobs", "ao"}}, getAllJobs},
			{"GetState", nil, []arg{{"state", "s"}}, getState},
			{"Restart", nil, nil, func(c *call) {
				// Answered first: in the next moment the daemon is another.
				c.answer(nil, nil)
				c.server.backend.Restart()
			}},
			{"GetEnv", []arg{details, {"name", "s"}}, []arg{{"value", "s"}}, getEnv},
			{"SetEnv", []arg{details, {"var", "s"}, {"replace", "b"}}, nil, setEnv},
			{"SetEnvList", []arg{details, {"vars", "as"}, {"replace", "b"}}, nil, setEnvList},
			{"UnsetEnv", []arg{details, {"name", "s"}}, nil, unsetEnv},
			{"UnsetEnvList", []arg{details, {"names", "as"}}, nil, unsetEnvList},
			{"ListEnv", []arg{details}, []arg{{"env", "as"}}, listEnv},
			{"ResetEnv", []arg{details}, nil, resetEnv},
			{"EmitEvent", []arg{{"name", "s"}, {"env", "as"}, {"wait", "b"}}, nil, emitEvent},
			{"EmitEventWithFile", []arg{{"name", "s"}, {"env", "as"}, {"wait", "b"}, {"file", "h"}}, nil, emitEventWithFile},
			{"NotifyDiskWriteable", nil, nil, notifyDiskWriteable},
			{"NotifyDBusAddress", []arg{{"address", "s"}}, nil, notifyDBusAddress},
			// There is no such manager any more: the kernel serves cgroups itself.
			{"NotifyCGroupManagerAddress", []arg{{"address", "s"}}, nil, nothing},
			{"EndSession", nil, nil, endSession},
		},
		signals: []signal{
			{"JobAdded", []arg{{"job", "o"}}},
			{"JobRemoved", []arg{{"job", "o"}}},
			{"EventEmitted", []arg{{"name", "s"}, {"env", "as"}}},
			{"Restarted", nil},
		},
		properties: []property{
			{"version", "s", func(s *Server, _ engine.View, _ object) any { return s.version }, nil, constant},
			{"log_priority", "s",
				func(s *Server, _ engine.View, _ object) any { return s.backend.LogPriority() },
				func(s *Server, value any) *failure {
					if err := s.backend.SetLogPriority(value.(string)); err != nil {
						return failf(api.ErrInvalidArgs, "%v", err)
					}
					return nil
				}, bySignal},
		},
	}
}

// notifyDBusAddress says where the session bus is.
func notifyDBusAddress(c *call) {
	r := c.server.remote.Load()
	if r == nil {
		c.answer(nil, failf(api.ErrNotSupported, "cannot join a bus: session-init was started with --no-dbus"))
		return
	}
	if err := r.Tell(c.str(0)); err != nil {
		c.answer(nil, failf(api.ErrInvalidArgs, "%s", err.Error()))
		return
	}
	c.answer(nil, nil)
}

// reloadConfiguration is answered when everything has been read again. It
// counts among the calls that wait, for it may take long.
func reloadConfiguration(c *call) {
	id, full := c.server.wait(c, false)
	if full {
		c.answer(nil, failf(api.ErrLimitsExceeded, "too many calls wait for an answer: %d", c.server.limits.calls))
		return
	}
	c.server.backend.Reload(func() { c.server.Reply(engine.Reply{Call: id}) })
}

func getJobByName(c *call) {
	name := c.str(0)
	c.read(func(v engine.View) ([]any, *failure) {
		if _, ok := v.Class(name); !ok {
			return nil, failf(api.ErrUnknownJob, "Unknown job: %s", name)
		}
		return []any{wire.ObjectPath(api.JobPath(name))}, nil
	})
}

func getAllJobs(c *call) {
	c.read(func(v engine.View) ([]any, *failure) {
		names := v.ClassNames()
		paths := make([]wire.ObjectPath, len(names))
		for i, name := range names {
			paths[i] = wire.ObjectPath(api.JobPath(name))
		}
		return []any{paths}, nil
	})
}

// jobDetails reads whose environment is meant: nobody's in particular (the
// table), or that of a job's instance.
func (c *call) jobDetails() (class, instance string, fail *failure) {
	switch details := c.strs(0); {
	case len(details) == 0:
		return "", "", nil
	case len(details) > 2:
		return "", "", failf(api.ErrInvalidArgs, "job_details holds a job and an instance, not %d words", len(details))
	case details[0] == "":
		return "", "", failf(api.ErrUnknownJob, "Unknown job: ")
	case len(details) == 1:
		return details[0], "", nil
	default:
		return details[0], details[1], nil
	}
}

func getEnv(c *call) {
	class, instance, fail := c.jobDetails()
	name := c.str(1)
	c.read(func(v engine.View) ([]any, *failure) {
		if fail != nil {
			return nil, fail
		}
		env, err := v.Env(class, instance)
		if err != nil {
			return nil, refusal(err)
		}
		value, ok := env.Get(name)
		if !ok {
			return nil, failf(api.ErrInvalidArgs, "No such variable: %s", name)
		}
		return []any{value}, nil
	})
}

func listEnv(c *call) {
	class, instance, fail := c.jobDetails()
	c.read(func(v engine.View) ([]any, *failure) {
		if fail != nil {
			return nil, fail
		}
		env, err := v.Env(class, instance)
		if err != nil {
			return nil, refusal(err)
		}
		return []any{[]string(env)}, nil
	})
}

// changeEnv is what all methods that change an environment end in.
func (c *call) changeEnv(change engine.SetEnv) {
	class, instance, fail := c.jobDetails()
	if fail != nil {
		c.answer(nil, fail)
		return
	}
	change.Class, change.Target = class, instance
	change.By = c.conn.caller()
	c.step(false, func(id engine.CallID) engine.Input {
		change.Call = id
		return change
	})
}

func setEnv(c *call) {
	c.changeEnv(engine.SetEnv{Entries: []string{c.str(1)}, Replace: c.flag(2)})
}

func setEnvList(c *call) {
	c.changeEnv(engine.SetEnv{Entries: c.strs(1), Replace: c.flag(2)})
}

func unsetEnv(c *call) { c.changeEnv(engine.SetEnv{Unset: []string{c.str(1)}}) }

func unsetEnvList(c *call) { c.changeEnv(engine.SetEnv{Unset: c.strs(1)}) }

func resetEnv(c *call) { c.changeEnv(engine.SetEnv{Reset: true}) }

func emitEvent(c *call) {
	c.step(false, func(id engine.CallID) engine.Input {
		return engine.Emit{Call: id, By: c.conn.caller(), Name: c.str(0), Env: c.strs(1), Wait: c.flag(2)}
	})
}

// emitEventWithFile hands a copy of the descriptor on.
func emitEventWithFile(c *call) {
	at, ok := c.in.Value(3).(wire.FD)
	if !ok || int(at) >= len(c.fds) {
		c.answer(nil, failf(api.ErrInvalidArgs, "cannot emit %s: the descriptor did not come with the call", c.str(0)))
		return
	}
	fd, err := copyFD(c.fds[at])
	if err != nil {
		c.answer(nil, failf(api.ErrFailed, "cannot emit %s: cannot keep the descriptor: %v", c.str(0), err))
		return
	}
	id, full := c.server.wait(c, false)
	if full {
		_ = unix.Close(fd)
		c.answer(nil, failf(api.ErrLimitsExceeded, "too many calls wait for an answer: %d", c.server.limits.calls))
		return
	}
	emit := engine.Emit{Call: id, By: c.conn.caller(), Name: c.str(0), Env: c.strs(1), Wait: c.flag(2)}
	c.server.backend.StepWithFile(fd, func(file uint64) engine.Input {
		emit.File = file
		return emit
	}, func(err error) {
		if _, waits := c.server.forget(id); waits {
			c.reply(nil, failf(api.ErrLimitsExceeded, "cannot emit %s: %v", emit.Name, err))
		}
	})
}

// endSession is answered before the session ends: with nothing to stop, the
// daemon may be gone in the next instant.
func endSession(c *call) {
	if system := c.server.system; system != nil {
		if err := system.EndSystem("", nil); err != nil {
			c.answer(nil, failf(api.ErrNotSupported, "%s", err.Error()))
			return
		}
		c.answer(nil, nil)
		return
	}
	c.answer(nil, nil)
	c.server.backend.Step(engine.Shutdown{Type: "logout"})
}
