package engine_test

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
	"github.com/session-init/session-init/session/sim"
)

// watcher reads along what goes into an engine and what comes out of it, and
// notes whatever must never be. It knows the rules from the documents alone
// and shares no code with the engine.
type watcher struct {
	world  *sim.World
	wrong  []string
	lives  map[string]*life
	forced map[string]bool // a ForceStop may have been for it
	procs  map[engine.ProcID]*proc
	// loaded are the definitions as they were given last, current those
	// announced.
	loaded, current map[string]*job.Class
	ran             map[string]bool // defined by a RunTransient
	// cut: the deadline of the session's end has passed. From then on no
	// process is made.
	cut bool
	// said are all effects as text, for comparing two runs; fed are the
	// inputs with their times.
	said []string
	fed  []feed
	// names are the events seen last, for asking the index.
	names       []engine.Notify
	stopTimeout time.Duration
	endAt       time.Duration
	ending      bool
	// held are the descriptors that came with events and are somebody's; open
	// and over the login sessions that go on, and that have been.
	held       []uint64
	open, over []uint64
}

type feed struct {
	at time.Duration
	in engine.Input
}

// life is what was heard of one instance.
type life struct {
	class    *job.Class
	state    string
	goal     string
	held     bool // its starting or stopping event has not finished
	failed   bool // Failed was announced in this pass
	prepared bool // pre-start succeeded in this pass, or there is none
	owes     bool // post-stop must be the next process
	mains    int  // of them alive
}

type proc struct {
	label string
	kind  job.ProcessKind
	class *job.Class
	told  bool // Spawned was said
}

// next lists where each state may lead.
var next = map[string]string{
	"":           "starting",
	"starting":   "pre-start stopping",
	"pre-start":  "spawned stopping",
	"spawned":    "post-start stopping",
	"post-start": "running stopping",
	"running":    "pre-stop stopping",
	"pre-stop":   "running stopping",
	"stopping":   "killed",
	"killed":     "post-stop",
	"post-stop":  "starting waiting",
	"waiting":    "",
}

func newWatcher(w *sim.World, stopTimeout time.Duration) *watcher {
	v := &watcher{world: w, lives: make(map[string]*life), forced: make(map[string]bool), procs: make(map[engine.ProcID]*proc), ran: make(map[string]bool),
		loaded: make(map[string]*job.Class), current: make(map[string]*job.Class), stopTimeout: stopTimeout}
	w.Observe = v.observe
	return v
}

func (v *watcher) fail(format string, args ...any) {
	v.wrong = append(v.wrong, fmt.Sprintf(format, args...))
}

func (v *watcher) observe(in engine.Input, effects []engine.Effect) {
	v.fed = append(v.fed, feed{v.world.Now(), in})
	if v.world.Engine.View().Ending() && !v.ending {
		v.ending, v.endAt = true, v.world.Now()+v.stopTimeout
	}
	v.news(in)
	for _, effect := range effects {
		v.said = append(v.said, describe(effect))
		switch e := effect.(type) {
		case engine.Notify:
			v.notified(e)
		case engine.Spawn:
			v.spawned(e)
		case engine.Kill:
			v.killed(e)
		}
	}
	v.files(in, effects)
	v.logins(in, effects)
	// The input of the step in which the deadline falls comes before it.
	v.cut = v.cut || v.late()
	v.wrong = append(v.wrong, v.world.Engine.Check()...)
}

// late reports whether the deadline of the session's end has come, in this
// very step or before.
func (v *watcher) late() bool { return v.ending && v.world.Now() >= v.endAt }

func describe(effect engine.Effect) string {
	if s, ok := effect.(engine.Spawn); ok {
		return fmt.Sprintf("%d %s(%s) %s %q", s.Proc, s.Class.Name, s.Instance, s.Kind, []string(s.Env))
	}
	return fmt.Sprintf("%T %+v", effect, effect)
}

// news notes what the world says of processes.
func (v *watcher) news(in engine.Input) {
	switch in := in.(type) {
	case engine.ForceStop:
		// Whichever it is: by the target or the variables.
		for label := range v.lives {
			if class, _, _ := strings.Cut(label, "("); class == in.Target.Class {
				v.forced[label] = true
			}
		}
	case engine.SetClass:
		v.loaded[in.Class.Name] = in.Class
		if v.current[in.Class.Name] == nil {
			delete(v.ran, in.Class.Name)
		}
	case engine.RunTransient:
		if class, err := in.Definition.Parse(); err == nil && v.current[class.Name] == nil {
			v.loaded[class.Name], v.ran[class.Name] = class, true
		}
	case engine.Spawned:
		if p := v.procs[in.Proc]; p != nil {
			p.told = true
		}
	case engine.SpawnFailed:
		v.ended(in.Proc, false)
	case engine.Exited:
		v.ended(in.Proc, in.Status == 0 && in.Signal == 0)
	}
}

func (v *watcher) ended(id engine.ProcID, well bool) {
	p := v.procs[id]
	if p == nil {
		v.fail("process %d ended and was never spawned, or ended before", id)
		return
	}
	delete(v.procs, id)
	l := v.lives[p.label]
	switch {
	case l == nil:
		v.fail("%s ended after its instance %s was gone", p.kind, p.label)
	case p.kind == job.Main:
		l.mains--
	case p.kind == job.PreStart:
		l.prepared = well
	}
}

func (v *watcher) notified(n engine.Notify) {
	label := sim.Label(n.Class, n.Instance)
	l := v.lives[label]
	if l == nil && n.Kind != engine.InstanceAdded && n.Kind != engine.JobAdded && n.Kind != engine.JobRemoved && n.Kind != engine.EventEmitted {
		v.fail("%s is told of and does not exist: %+v", label, n)
		return
	}
	switch n.Kind {
	case engine.InstanceAdded:
		if l != nil {
			v.fail("%s is added twice", label)
		}
		v.lives[label] = &life{goal: "stop", class: v.current[n.Class]}
	case engine.JobAdded:
		v.current[n.Class] = v.loaded[n.Class]
	case engine.JobRemoved:
		delete(v.current, n.Class)
	case engine.InstanceRemoved:
		if l.state != "waiting" {
			v.fail("%s is removed in %s", label, l.state)
		}
		for _, p := range v.procs {
			if p.label == label {
				v.fail("%s is removed and has a %s process", label, p.kind)
			}
		}
		delete(v.lives, label)
		delete(v.forced, label)
	case engine.GoalChanged:
		if n.Text == l.goal || n.Text != "start" && n.Text != "stop" {
			v.fail("%s: goal %s after %s", label, n.Text, l.goal)
		}
		l.goal = n.Text
	case engine.StateChanged:
		v.moved(label, l, n.Text)
	case engine.Failed:
		if l.failed {
			v.fail("%s failed twice in one pass", label)
		}
		l.failed = true
	case engine.EventEmitted:
		v.names = append(v.names, n)
		if len(v.names) > 20 {
			v.names = v.names[1:]
		}
		v.emitted(n)
	}
}

func (v *watcher) emitted(n engine.Notify) {
	class, _ := n.Env.First("JOB")
	instance, _ := n.Env.First("INSTANCE")
	l := v.lives[sim.Label(class, instance)]
	if l != nil && n.Text == l.state {
		l.held = false
	}
	if n.Text == "stopping" || n.Text == "stopped" {
		result, _ := n.Env.First("RESULT")
		if _, told := n.Env.First("PROCESS"); told != (result == "failed") && class != "" {
			v.fail("event %s %v", n.Text, n.Env)
		}
	}
}

func (v *watcher) moved(label string, l *life, state string) {
	legal := false
	for _, word := range strings.Fields(next[l.state]) {
		legal = legal || word == state
	}
	switch {
	case !legal:
		v.fail("%s went from %q to %q", label, l.state, state)
	case l.owes && !v.late():
		v.fail("%s left %s without its post-stop", label, l.state)
	case l.held:
		v.fail("%s left %s before its event had finished", label, l.state)
	case state == "waiting" && l.goal != "stop":
		v.fail("%s is waiting with goal %s", label, l.goal)
	case (state == "pre-start" || state == "spawned" || state == "post-start" || state == "running" || state == "starting") && l.goal != "start":
		v.fail("%s went to %s with goal %s", label, state, l.goal)
	case state == "pre-stop" && l.mains == 0 && (l.class == nil || !l.class.LifetimeTree):
		v.fail("%s went to pre-stop without a main", label)
	case (state == "post-stop" || state == "starting" || state == "waiting") && l.mains != 0:
		v.fail("%s went to %s with main alive", label, state)
	}
	l.state = state
	switch state {
	case "starting":
		l.held, l.failed, l.prepared = true, false, false
	case "stopping":
		l.held = true
	case "post-stop":
		l.owes = l.class.Processes[job.PostStop] != nil && !v.cut
	case "pre-start":
		l.prepared = l.class.Processes[job.PreStart] == nil
	}
}

// homes are the states that each process runs in first.
var homes = map[job.ProcessKind]string{
	job.PreStart: "pre-start", job.Main: "spawned", job.PostStart: "post-start",
	job.PreStop: "pre-stop", job.PostStop: "post-stop",
}

func (v *watcher) spawned(s engine.Spawn) {
	label := sim.Label(s.Class.Name, s.Instance)
	l := v.lives[label]
	if l == nil {
		v.fail("%s gets a process and does not exist", label)
		return
	}
	if s.Class != l.class && (!v.ran[s.Class.Name] || !bytes.Equal(job.Print(s.Class), job.Print(l.class))) {
		v.fail("%s gets a process of another definition than it was started with", label)
	}
	if l.state != homes[s.Kind] {
		v.fail("%s gets its %s process in %s", label, s.Kind, l.state)
	}
	if v.cut {
		v.fail("%s gets its %s process after the deadline of the end", label, s.Kind)
	}
	switch s.Kind {
	case job.Main:
		l.mains++
		if l.mains > 1 {
			v.fail("%s has two mains", label)
		}
		if !l.prepared {
			v.fail("%s gets its main without a pre-start that succeeded", label)
		}
	case job.PostStop:
		l.owes = false
	}
	v.environment(label, s)
	v.procs[s.Proc] = &proc{label: label, kind: s.Kind, class: s.Class}
}

// environment checks what every process must find in its environment.
func (v *watcher) environment(label string, s engine.Spawn) {
	count := make(map[string]int)
	for _, entry := range s.Env {
		key, _, ok := events.SplitEntry(entry)
		if !ok {
			v.fail("%s: %s process with the entry %q", label, s.Kind, entry)
		}
		if count[key]++; count[key] > 1 {
			v.fail("%s: %s process with two %s", label, s.Kind, key)
		}
	}
	for _, want := range []string{"UPSTART_JOB=" + s.Class.Name, "UPSTART_INSTANCE=" + s.Instance} {
		key, value, _ := events.SplitEntry(want)
		if got, ok := s.Env.Get(key); !ok || got != value {
			v.fail("%s: %s process with %s=%q", label, s.Kind, key, got)
		}
	}
}

func (v *watcher) killed(k engine.Kill) {
	p := v.procs[k.Proc]
	switch {
	case p == nil:
		v.fail("signal %d to process %d, which is not there", k.Signal, k.Proc)
	case !k.Group && p.class.KillMode != job.KillProcess:
		if k.Signal != p.class.ReloadSignal || p.kind != job.Main {
			v.fail("%s: signal %d to %s alone", p.label, k.Signal, p.kind)
		}
	case !k.Group && k.Signal == p.class.ReloadSignal && p.kind == job.Main:
	case v.forced[p.label]:
	case p.kind == job.Main && p.class.Notifies() && (k.Signal == p.class.WatchdogSignal || k.Signal == 9):
		// By its watchdog, perhaps.
	case v.late():
		if k.Signal != 9 && v.cut {
			v.fail("%s: signal %d after the deadline of the end", p.label, k.Signal)
		}
	case p.kind != job.Main:
		v.fail("%s: its %s process gets signal %d", p.label, p.kind, k.Signal)
	case v.lives[p.label] == nil || v.lives[p.label].state != "killed":
		v.fail("%s: main gets signal %d outside killed", p.label, k.Signal)
	}
}

// replay feeds a new engine the same inputs at the same times and compares
// the effects.
func (v *watcher) replay(cfg engine.Config) {
	e := engine.New(cfg)
	e.SetStepBudget(modelBudget)
	i := 0
	for _, f := range v.fed {
		for _, effect := range e.Step(f.at, f.in) {
			text := describe(effect)
			if i >= len(v.said) || v.said[i] != text {
				v.fail("the second run differs: %s", text)
				return
			}
			i++
		}
	}
	if i != len(v.said) {
		v.fail("the second run gave %d effects; the first %d", i, len(v.said))
	}
}
