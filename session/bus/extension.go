package bus

import (
	"fmt"
	"strings"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/foresee"
	"github.com/session-init/session-init/session/job"
	"github.com/session-init/session-init/session/wire"
)

// apiVersion is that of the interfaces org.sessioninit.SessionInit1*. It grows
// when one of them gets a method, signal or property; what is there keeps its
// name, signature and meaning.
const apiVersion = 1

// managerExtension does what Upstart has no words for.
func managerExtension() *iface {
	return &iface{
		name: api.ManagerExtension,
		methods: []method{
			// What would come of this, as nothing does; see package foresee.
			// A question is a verb (emit, start, stop, force-stop, restart,
			// define, remove), the event or job, its variables, and the text
			// of the job file for define. Each assumption is JOB PROCESS
			// OUTCOME. A line is microseconds from now, kind, job, instance,
			// process, text, words, and the number of the line that it came
			// of, from 0, or -1.
			{"Simulate", []arg{{"questions", "a(ssass)"}, {"assume", "as"}, {"max_lines", "u"}},
				[]arg{{"lines", "a(xsssssasi)"}, {"assumed", "as"}, {"complete", "b"}}, simulate},
			// How the first start of each instance went; see getTimings.
			{"GetTimings", nil, []arg{{"now", "t"}, {"wall", "t"}, {"begun", "t"}, {"timings", "aa{sv}"}}, getTimings},
			// What is doubtful in the jobs: job, rule, path, line, column, text.
			{"Lint", nil, []arg{{"findings", "a(sssuus)"}}, lintJobs},
			// Whether this connection gets signals, as all do at first.
			{"SendSignals", []arg{{"wanted", "b"}}, nil, sendSignals},
			// The end of the machine: halt, poweroff or reboot, and the
			// variables of the event runlevel.
			{"EndSystem", []arg{{"how", "s"}, {"env", "as"}}, nil, endSystem},
			// The same later, at microseconds since 1970; how may be single.
			{"ScheduleEnd", []arg{{"how", "s"}, {"at", "t"}, {"message", "s"}}, nil, scheduleEnd},
			{"CancelEnd", []arg{{"message", "s"}}, []arg{{"was_to_come", "b"}}, cancelEnd},
			// A message to who is logged in.
			{"Announce", []arg{{"message", "s"}}, nil, announceAll},
			// A job that is in no file, and goes with its instance; see
			// defineTransient.
			{"DefineTransient", []arg{{"name", "s"}, {"text", "s"}, {"env", "as"}, {"wait", "b"}}, []arg{{"instance", "o"}}, defineTransient},
			// Login sessions; see login.go.
			{"OpenSession", []arg{{"env", "as"}}, []arg{{"id", "u"}, {"note", "s"}}, openSession},
			{"BeginSession", []arg{{"id", "u"}, {"env", "as"}}, []arg{{"id", "u"}, {"note", "s"}}, beginSession},
			{"EndSession", []arg{{"id", "u"}}, nil, endLogin},
			{"AwaitSession", []arg{{"id", "u"}}, nil, awaitSession},
			{"SetUntilLogout", []arg{{"on", "b"}}, []arg{{"note", "s"}}, setUntilLogout},
			{"ListSessions", nil, []arg{{"sessions", "aa{sv}"}}, listSessions},
			{"GetLayers", []arg{{"name", "s"}, {"session", "u"}}, []arg{{"layers", "aa{sv}"}}, getLayers},
			{"GetSessionEnv", []arg{{"session", "u"}}, []arg{{"env", "as"}}, getSessionEnv},
		},
		properties: []property{
			// The version of all interfaces of this name and below it.
			{name: "api_version", sig: "u", announced: constant, get: func(*Server, engine.View, object) any {
				return uint32(apiVersion)
			}},
			// Whether the end of all has begun.
			{name: "ending", sig: "b", get: func(_ *Server, v engine.View, _ object) any { return v.Ending() }},
			// Whether that comes with the last login, as of one that a login has
			// started, and the instances that linger, for which it waits.
			{name: "until_logout", sig: "b", get: func(_ *Server, v engine.View, _ object) any { return v.Stay().UntilLogout }},
			{name: "lingering", sig: "as", get: func(_ *Server, v engine.View, _ object) any {
				return append([]string{}, v.Stay().Lingering...)
			}},
			// The jobs that wait for each other, a sentence a cycle: "a waits
			// for starting b, b waits for starting a".
			{name: "blocked_cycles", sig: "as", get: func(_ *Server, v engine.View, _ object) any {
				return cycleTexts(v.BlockedCycles())
			}},
		},
	}
}

// lines are the first value of Simulate's answer.
type lines []foresee.Line

// Signature is that of each line's fields; see wire.Encoder.
func (lines) Signature() string { return "a(xsssssasi)" }

// Encode writes them.
func (l lines) Encode(w *wire.Writer) {
	array := w.Array('(')
	for _, line := range l {
		w.Struct()
		w.Int64(line.At.Microseconds())
		w.String(line.Kind.String())
		w.String(line.Job)
		w.String(line.Instance)
		process := ""
		if line.HasProcess() {
			process = line.Process.String()
		}
		w.String(process)
		w.String(line.Text)
		w.Strings(line.Words)
		w.Int32(int32(line.Cause))
	}
	w.EndArray(array)
}

// maxSimulations bounds the questions of one client that are not answered: each
// is worked off with a copy of all that there is, one after the other.
const maxSimulations = 8

// simulate is answered some time later; it counts among the calls that wait.
func simulate(c *call) {
	if c.quiet {
		return // nobody hears the answer
	}
	conn := c.conn
	if conn.simulations.Load() >= maxSimulations {
		c.answer(nil, failf(api.ErrLimitsExceeded, "too many simulations wait for an answer: %d", maxSimulations))
		return
	}
	q, fail := c.question()
	if fail != nil {
		c.answer(nil, fail)
		return
	}
	id, full := c.server.wait(c, false)
	if full {
		c.answer(nil, failf(api.ErrLimitsExceeded, "too many calls wait for an answer: %d", c.server.limits.calls))
		return
	}
	// Only the reader adds.
	conn.simulations.Add(1)
	c.server.backend.Simulate(q, func() bool { return c.server.waits(id) }, func(answer foresee.Foresight, err error) {
		defer c.recover()
		conn.simulations.Add(-1)
		if _, waits := c.server.forget(id); !waits {
			return
		}
		if err != nil {
			c.reply(nil, failf(api.ErrInvalidArgs, "%s", err.Error()))
			return
		}
		c.reply([]any{lines(answer.Lines), answer.Assumed, answer.Complete}, nil)
	})
}

// question reads the arguments of Simulate.
func (c *call) question() (q foresee.Question, fail *failure) {
	for _, value := range c.in.Value(0).([]any) {
		entry := value.([]any)
		in, err := asked(entry[0].(string), strings.Clone(entry[1].(string)), cloneAll(entry[2].([]string)), strings.Clone(entry[3].(string)))
		if err != nil {
			return q, failf(api.ErrInvalidArgs, "%s", err.Error())
		}
		q.Inputs = append(q.Inputs, in)
	}
	for _, text := range c.strs(1) {
		a, err := foresee.ParseAssumption(text)
		if err != nil {
			return q, failf(api.ErrInvalidArgs, "%s", err.Error())
		}
		q.Assume = append(q.Assume, a)
	}
	if q.Lines = int(c.in.Value(2).(uint32)); q.Lines > foresee.MaxLines {
		return q, failf(api.ErrInvalidArgs, "cannot simulate %d lines: %d is the most", q.Lines, foresee.MaxLines)
	}
	return q, nil
}

// asked makes an input of one question.
func asked(verb, name string, env events.Env, text string) (engine.Input, error) {
	target := engine.Target{Class: name}
	switch verb {
	case "emit":
		return engine.Emit{Name: name, Env: env}, nil
	case "start":
		return engine.Start{Target: target, Env: env}, nil
	case "stop":
		return engine.Stop{Target: target, Env: env}, nil
	case "force-stop":
		return engine.ForceStop{Target: target, Env: env}, nil
	case "restart":
		return engine.Restart{Target: target, Env: env}, nil
	case "remove":
		return engine.DropClass{Name: name}, nil
	case "define":
		class, problems := job.Parse(name, name+".conf", []byte(text))
		if class == nil {
			return nil, fmt.Errorf("cannot simulate job %s: %w", name, problems[0])
		}
		return engine.SetClass{Class: class}, nil
	}
	return nil, fmt.Errorf("cannot simulate '%s': it is not emit, start, stop, force-stop, restart, define or remove", verb)
}

func cloneAll(in []string) []string {
	out := make([]string, len(in))
	for i, s := range in {
		out[i] = strings.Clone(s)
	}
	return out
}
