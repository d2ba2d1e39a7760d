package bus

import (
	"strconv"
	"strings"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
	"github.com/session-init/session-init/session/wire"
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
			ofInstance("name", "s", constant, func(in engine.InstanceInfo) any { return in.Name }),
			ofInstance("goal", "s", bySignal, func(in engine.InstanceInfo) any { return in.Goal.String() }),
			ofInstance("state", "s", bySignal, func(in engine.InstanceInfo) any { return in.State.String() }),
			ofInstance("processes", "a(si)", bySignal, func(in engine.InstanceInfo) any {
				return processes(in.Processes)
			}),
		},
	}
}

// processes is the value of the property "processes".
type processes []engine.ProcessInfo

// Signature is that of kind and pid of each; see wire.Encoder.
func (processes) Signature() string { return "a(si)" }

// Encode writes them.
func (l processes) Encode(w *wire.Writer) {
	array := w.Array('(')
	for _, p := range l {
		w.Struct()
		w.String(p.Kind.String())
		w.Int32(int32(p.Pid))
	}
	w.EndArray(array)
}

// ofInstance makes a property of what is seen of an instance.
func ofInstance(name, sig string, announced announced, get func(engine.InstanceInfo) any) property {
	return property{name: name, sig: sig, announced: announced, get: func(_ *Server, v engine.View, o object) any {
		in, _ := v.Instance(o.job, o.instance)
		return get(in)
	}}
}

// strays are processes as they are listed beyond Upstart.
type strays []engine.Stray

// Signature is that of pid and command line of each; see wire.Encoder.
func (strays) Signature() string { return "a(is)" }

// Encode writes them.
func (l strays) Encode(w *wire.Writer) {
	array := w.Array('(')
	for _, s := range l {
		w.Struct()
		w.Int32(int32(s.Pid))
		// A command line may hold any bytes, a D-Bus string may not.
		w.String(strings.ToValidUTF8(s.Command, "?"))
	}
	w.EndArray(array)
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
			// Sends a signal, such as USR1 or 10, to the main process.
			{"Signal", []arg{{"signal", "s"}}, nil, sendSignal},
			// All that is alive of the instance, whoever made it.
			{"GetProcesses", nil, []arg{{"processes", "a(is)"}}, getProcesses},
			// The same, each with its parent: pid, parent, command line.
			{"GetProcessTree", nil, []arg{{"processes", "a(iis)"}}, getProcessTree},
			// The file that the output goes to, or "", and where its end is.
			{"GetLog", nil, []arg{{"path", "s"}, {"size", "t"}}, getLog},
			// Why the instance is where it is; see why.go.
			{"Why", nil, []arg{{"why", "a{sv}"}}, why},
		},
		properties: []property{
			// That the instance waits for its respawn, and how long yet, or a
			// sentence about a main that is not what the job file declares.
			ofInstance("note", "s", byNobody, func(in engine.InstanceInfo) any { return in.Note }),
			// How main became ready and how long that took, "notified (READY=1)
			// after 1.2s"; empty when there was nothing to wait for.
			ofInstance("readiness", "s", byNobody, func(in engine.InstanceInfo) any { return in.Ready.String() }),
			// What the job says of itself, as sd_notify(3) has it.
			ofInstance("said", "s", byNobody, func(in engine.InstanceInfo) any { return in.Said }),
			// The names of the descriptors that it has laid aside (FDSTORE=1).
			{name: "stored", sig: "as", announced: byNobody, get: func(s *Server, _ engine.View, o object) any {
				return append([]string{}, s.backend.Stored(o.job, o.instance)...)
			}},
		},
	}
}

// sendSignal is the method Signal.
func sendSignal(c *call) {
	text := c.str(0)
	signal, known := job.ParseSignal(strings.ToUpper(text))
	if number, err := strconv.Atoi(text); err == nil {
		signal, known = number, number > 0 && number <= maxSignal
	}
	if !known {
		c.answer(nil, failf(api.ErrInvalidArgs, "Unknown signal: %s", text))
		return
	}
	c.step(false, func(id engine.CallID) engine.Input {
		return engine.Reload{Call: id, Target: c.target(), Signal: signal}
	})
}

// maxSignal is the largest number of a signal; see signal(7).
const maxSignal = 64
