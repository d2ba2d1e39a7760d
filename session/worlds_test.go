package session

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/foresee"
	"github.com/session-init/session-init/session/job"
)

// randomWorld is a session by chance: jobs, what their processes do, and what
// is asked of it. The same seed gives the same world.
type randomWorld struct {
	seed     uint64
	names    []string
	jobs     map[string]string // the first text of each, with @KIND for a command
	outcomes []foresee.Assumption
	expects  map[string]string // the expect stanza of a job, by its name
	script   []command
}

// command is one thing that is asked. text is that of a job that is edited.
type command struct {
	verb, name string
	env        events.Env
	text       string
}

func (c command) String() string {
	return strings.TrimSpace(strings.Join(append([]string{c.verb, c.name}, c.env...), " "))
}

// chance draws.
type chance struct{ *rand.Rand }

func (c chance) percent(n int) bool { return c.IntN(100) < n }

func oneOf[T any](c chance, of ...T) T { return of[c.IntN(len(of))] }

// newRandomWorld draws a world.
func newRandomWorld(seed uint64) *randomWorld {
	c := chance{rand.New(rand.NewPCG(seed, 4))}
	w := &randomWorld{seed: seed, names: []string{"a", "b", "c", "d", "e", "f"}[:4+c.IntN(3)],
		jobs: make(map[string]string), expects: make(map[string]string)}
	for _, name := range w.names {
		if c.percent(30) {
			w.expects[name] = oneOf(c, "fork", "daemon", "stop", "listen", "listen", "notify", "notify")
		}
		for kind := range job.NumProcesses {
			if outcome, special := drawOutcome(c, kind); special {
				w.outcomes = append(w.outcomes, foresee.Assumption{Job: name, Process: kind, Outcome: outcome})
			}
		}
	}
	for _, name := range w.names {
		w.jobs[name] = w.drawJob(c, name)
	}
	for range 5 + c.IntN(9) {
		w.script = append(w.script, w.drawCommand(c))
	}
	return w
}

// drawOutcome says what a process does, where that is not the usual.
func drawOutcome(c chance, kind job.ProcessKind) (foresee.Outcome, bool) {
	if kind == job.Main {
		if c.percent(55) {
			return foresee.Outcome{}, false
		}
		return oneOf(c, foresee.Outcome{}, foresee.Outcome{Status: 1}, foresee.Outcome{Status: 3}, foresee.Outcome{Signal: 9},
			foresee.Outcome{Signal: 10}, foresee.Outcome{Missing: true}, foresee.Outcome{Stays: true}), true
	}
	if c.percent(75) {
		return foresee.Outcome{}, false
	}
	return oneOf(c, foresee.Outcome{Status: 1}, foresee.Outcome{Status: 1}, foresee.Outcome{Signal: 9}, foresee.Outcome{Missing: true}), true
}

// begins and ends are what jobs start and stop on; X stands for another's
// name.
var (
	begins = []string{"up", "up", "up", "go", "up and go", "up or down", "(up and go) or down", "up N=1", "up N!=1",
		"starting X", "started X", "started X", "started X", "stopping X", "stopped X", "stopped X", "stopped X RESULT=failed",
		"started X and up", "starting X and go", "starting/failed X", "up/failed", "started JOB=[ab]", "session-end"}
	ends = []string{"down", "down", "go", "up", "down N=$N", "go or down", "down and go", "down N=[12]", "starting X", "started X",
		"stopping X", "stopping X", "stopped X", "stopped X RESULT=failed", "stopping X or down", "stopping X INSTANCE=$N", "session-end"}
)

func (w *randomWorld) drawCondition(c chance, from []string) string {
	return strings.ReplaceAll(oneOf(c, from...), "X", oneOf(c, w.names...))
}

// drawJob makes a job file.
func (w *randomWorld) drawJob(c chance, name string) string {
	var text strings.Builder
	add := func(percent int, format string, args ...any) {
		if c.percent(percent) {
			fmt.Fprintf(&text, format+"\n", args...)
		}
	}
	add(80, "start on %s", w.drawCondition(c, begins))
	add(45, "stop on %s", w.drawCondition(c, ends))
	add(90, "exec @main")
	for kind := job.PreStart; kind < job.NumProcesses; kind++ {
		add(45, "%s exec @%s", kind, kind)
	}
	add(25, "task")
	add(30, "respawn")
	// Longer than any world lasts.
	add(100, "respawn limit %d 3600", 1+c.IntN(3))
	add(20, "instance %s", oneOf(c, "$N", "${N:-x}", "${N:-x}"))
	add(25, "env %s", oneOf(c, "N=1", "E=x"))
	add(25, "export N E")
	add(20, "normal exit %s", oneOf(c, "0", "3", "0 3 KILL"))
	add(20, "kill mode %s", oneOf(c, "group", "process"))
	add(15, "kill signal %s", oneOf(c, "HUP", "USR2"))
	if expect := w.expects[name]; expect != "" {
		add(100, "expect %s", expect)
	}
	// On a machine that stands still for a while, nothing else is to happen.
	add(100, "kill timeout 3600")
	return text.String()
}

func (w *randomWorld) drawCommand(c chance) command {
	env := oneOf(c, nil, nil, events.Env{"N=1"}, events.Env{"N=2"}, events.Env{"N=1", "E=y"})
	name := oneOf(c, w.names...)
	switch n := c.IntN(20); {
	case n < 9:
		return command{verb: "emit", name: oneOf(c, "up", "up", "go", "down"), env: env}
	case n < 12:
		return command{verb: "start", name: name, env: env}
	case n < 15:
		return command{verb: "stop", name: name, env: env}
	case n < 17:
		return command{verb: "restart", name: name, env: env}
	case n < 19:
		return command{verb: "define", name: name, text: w.drawJob(c, name)}
	}
	return command{verb: "remove", name: name}
}

// outcome is what a process of a job is to do; special is false when it is
// the usual.
func (w *randomWorld) outcome(name string, kind job.ProcessKind) (o foresee.Outcome, special bool) {
	for _, a := range w.outcomes {
		if a.Job == name && a.Process == kind {
			return a.Outcome, true
		}
	}
	return foresee.Outcome{}, false
}

// fill puts commands in a job's text.
func (w *randomWorld) fill(text, name string, command func(job.ProcessKind) string) string {
	for kind := range job.NumProcesses {
		text = strings.ReplaceAll(text, "exec @"+kind.String()+"\n", "exec "+command(kind)+"\n")
	}
	return text
}

// class is the job with the programs of a directory: fixture waits for its
// turn, and those named by an expect stanza make themselves ready first.
func (w *randomWorld) class(name, text, dir string) *job.Class {
	text = w.fill(text, name, func(kind job.ProcessKind) string {
		program := "fixture"
		if kind == job.Main && w.expects[name] != "" {
			program = w.expects[name]
		}
		if o, _ := w.outcome(name, kind); o.Missing {
			program = "missing"
		}
		return filepath.Join(dir, program) + " " + kind.String()
	})
	class, problems := job.Parse(name, name+".conf", []byte(text))
	if class == nil {
		panic(fmt.Sprintf("world %d: %v in\n%s", w.seed, problems, text))
	}
	return class
}

// input is a command as the engine takes it.
func (w *randomWorld) input(c command, dir string, call engine.CallID) engine.Input {
	target := engine.Target{Class: c.name}
	switch c.verb {
	case "emit":
		return engine.Emit{Call: call, Name: c.name, Env: c.env, Wait: true}
	case "start":
		return engine.Start{Call: call, Target: target, Env: c.env, Wait: true}
	case "stop":
		return engine.Stop{Call: call, Target: target, Env: c.env, Wait: true}
	case "restart":
		return engine.Restart{Call: call, Target: target, Env: c.env, Wait: true}
	case "define":
		return engine.SetClass{Class: w.class(c.name, c.text, dir)}
	}
	return engine.DropClass{Name: c.name}
}

// story tells the world as package sim reads it. There, a process that ends
// by itself does so at once, a main too.
func (w *randomWorld) story() string {
	var out strings.Builder
	fmt.Fprintf(&out, "story world %d\n", w.seed)
	tell := func(name, text string) {
		text = w.fill(text, name, func(kind job.ProcessKind) string {
			words := w.storyProgram(name, kind, strings.Contains(text, "task\n"))
			if kind == job.Main {
				words += map[string]string{"fork": " forks 1", "daemon": " forks 2", "stop": " stops", "notify": " notifies"}[w.expects[name]]
			}
			return words
		})
		fmt.Fprintf(&out, "\njob %s\n    %s\n", name, strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    "))
	}
	for _, name := range w.names {
		tell(name, w.jobs[name])
	}
	out.WriteString("\n")
	for _, c := range w.script {
		switch c.verb {
		case "define":
			tell(c.name, c.text)
		case "remove":
			fmt.Fprintf(&out, "drop %s\n", c.name)
		default:
			fmt.Fprintf(&out, "do %s\n", c)
		}
	}
	return out.String()
}

// storyProgram is what a process does, in the words of a story.
func (w *randomWorld) storyProgram(name string, kind job.ProcessKind, task bool) string {
	o, special := w.outcome(name, kind)
	switch {
	case o.Missing:
		return "missing"
	case o.Stays, !special && kind == job.Main && !task:
		return "hang"
	case o.Signal != 0:
		return "die " + job.SignalName(o.Signal)
	}
	return fmt.Sprintf("exit %d", o.Status)
}
