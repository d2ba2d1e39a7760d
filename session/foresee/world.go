package foresee

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
)

// World is a copy of an engine and the processes that it believes in. It
// knows what news there must be, and leaves to its caller when it comes: Ask
// takes it at once; a test can let real processes bring it.
type World struct {
	engine *engine.Engine
	now    time.Duration

	assume  []Assumption
	special []bool // those of assume that mattered
	usual   [numUsual]bool

	alive map[engine.ProcID]*process
	// hooks and mains end by themselves, those spawned first before the
	// others; some in it may have ended.
	hooks, mains []*process
	owed         []engine.Input
}

// process is one that runs, or is being made.
type process struct {
	id      engine.ProcID
	outcome Outcome
	mode    job.KillMode
	// asked: a signal is to end it, and its end is owed.
	asked bool
	ended bool
}

// NewWorld returns a world that goes on where the snapshot was taken, as it
// is at the time now of the engine's clock. The snapshot is not changed; cfg
// is the engine's own.
func NewWorld(cfg engine.Config, s engine.Snapshot, now time.Duration, assume []Assumption) (*World, error) {
	cfg.Progress, cfg.Debug = true, false
	e, err := engine.Restore(cfg, s)
	if err != nil {
		return nil, err
	}
	// The callers are the live engine's.
	e.Forsake()
	w := &World{engine: e, now: max(now, s.Now), assume: assume, special: make([]bool, len(assume)),
		alive: make(map[engine.ProcID]*process)}
	w.inherit(s)
	for _, effect := range e.Unsure() {
		w.perform(effect)
	}
	return w, nil
}

// inherit makes the processes that the snapshot knows, oldest first, and owes
// what has not been reported of them.
func (w *World) inherit(s engine.Snapshot) {
	type known struct {
		saved engine.SavedProcess
		class *job.Class
		in    engine.SavedInstance
	}
	var all []known
	for _, saved := range s.Classes {
		class, _ := w.engine.View().Class(saved.Definition.Name)
		for _, in := range saved.Instances {
			for _, p := range in.Procs {
				all = append(all, known{p, class, in})
			}
		}
	}
	slices.SortFunc(all, func(a, b known) int { return cmp.Compare(a.saved.Proc, b.saved.Proc) })
	for _, k := range all {
		forks := 0
		if k.saved.Kind == job.Main && k.in.State == engine.InSpawned {
			forks = k.in.Forks
		}
		w.add(k.saved.Proc, k.class, k.saved.Kind, k.saved.Pid == 0, k.in.State == engine.InSpawned, forks)
		if k.saved.Kind == job.Main && k.in.State != engine.InSpawned && k.in.Said.Watchdog > 0 {
			w.feed(k.saved.Proc)
		}
	}
}

// add makes a process. fresh: that it runs is to be reported; readies: that it
// is ready is, and forks of its forks have been.
func (w *World) add(id engine.ProcID, class *job.Class, kind job.ProcessKind, fresh, readies bool, forks int) {
	p := &process{id: id, mode: class.KillMode, outcome: w.outcome(class, kind)}
	w.alive[id] = p
	if fresh {
		if p.outcome.Missing {
			w.owe(engine.SpawnFailed{Proc: id, Reason: "cannot execute " + class.Processes[kind].Command().Argv[0] + ": so it is assumed"})
			return
		}
		w.owe(engine.Spawned{Proc: id, Pid: int(id)})
	}
	if kind == job.Main && readies {
		w.makeReady(id, class.Expect, forks)
		if class.Watchdog > 0 {
			w.feed(id)
		}
	}
	switch {
	case p.outcome.Stays:
	case kind == job.Main:
		w.mains = append(w.mains, p)
	default:
		w.hooks = append(w.hooks, p)
	}
}

func (w *World) makeReady(id engine.ProcID, expect job.Expect, forks int) {
	want := 0
	switch expect {
	case job.ExpectNone:
		return
	case job.ExpectStop:
		w.owe(engine.SelfStopped{Proc: id})
	case job.ExpectListen:
		w.owe(engine.Ready{Proc: id, How: "listens"})
	case job.ExpectDBus:
		w.owe(engine.Ready{Proc: id, How: "owns bus name"})
	case job.ExpectNotify:
		w.owe(engine.Notified{Proc: id, Ready: true})
	case job.ExpectFork:
		want = 1
	case job.ExpectDaemon:
		want = 2
	}
	w.usual[readyAsDeclared] = true
	for ; forks < want; forks++ {
		w.owe(engine.Forked{Proc: id, Pid: int(id)})
	}
}

// feed has a main say that it has no watchdog: one that is never silent for too
// long looks like that, and does so for ever.
func (w *World) feed(id engine.ProcID) {
	w.usual[watchdogFed] = true
	w.owe(engine.Notified{Proc: id, HasInterval: true})
}

func (w *World) owe(in engine.Input) { w.owed = append(w.owed, in) }

// View reads the engine of the world.
func (w *World) View() engine.View { return w.engine.View() }

// Owed returns the news that must come by itself, the oldest first. The news
// of one process comes in this order; of several it may come in any.
func (w *World) Owed() []engine.Input { return slices.Clone(w.owed) }

// Turn returns the next end of a process that ends by itself. Such an end is
// for when nothing is owed.
func (w *World) Turn() (exit engine.Exited, ok bool) {
	for _, queue := range []*[]*process{&w.hooks, &w.mains} {
		for len(*queue) > 0 {
			if p := (*queue)[0]; p.endsByItself() {
				return p.exit(), true
			}
			*queue = (*queue)[1:]
		}
	}
	return engine.Exited{}, false
}

// Turns returns all ends that are to come by themselves, that of Turn first.
// In the real world it may be any of them.
func (w *World) Turns() []engine.Exited {
	var out []engine.Exited
	for _, queue := range [][]*process{w.hooks, w.mains} {
		for _, p := range queue {
			if p.endsByItself() {
				out = append(out, p.exit())
			}
		}
	}
	return out
}

func (p *process) endsByItself() bool { return !p.ended && !p.asked && !p.outcome.Stays }

func (p *process) exit() engine.Exited {
	return engine.Exited{Proc: p.id, Status: p.outcome.Status, Signal: p.outcome.Signal}
}

// Due returns the time at which the engine wants a Tick.
func (w *World) Due() (at time.Duration, ok bool) {
	at, ok = w.engine.NextDeadline()
	return max(at, w.now), ok
}

// Do gives the engine a wish, or a Tick, at that time; time does not go back.
func (w *World) Do(now time.Duration, in engine.Input) []engine.Effect {
	w.now = max(w.now, now)
	effects := w.engine.Step(w.now, in)
	for _, effect := range effects {
		w.perform(effect)
	}
	return effects
}

// Take gives the engine news of a process. It must be owed, or one of Turns;
// else the error says that nobody expects it, and nothing has been done. Pids
// and reasons are not compared.
func (w *World) Take(now time.Duration, in engine.Input) ([]engine.Effect, error) {
	if !w.expected(in) {
		return nil, fmt.Errorf("cannot take %T %+v: nobody expects it", in, in)
	}
	switch in := in.(type) {
	case engine.SpawnFailed:
		w.gone(in.Proc)
	case engine.Exited:
		w.gone(in.Proc)
	}
	return w.Do(now, in), nil
}

// expected takes news off what is owed, and reports whether it was.
func (w *World) expected(in engine.Input) bool {
	subject, news := about(in)
	for i, owed := range w.owed {
		other, want := about(owed)
		if other != subject {
			continue
		}
		if want != news {
			return false
		}
		w.owed = slices.Delete(w.owed, i, i+1)
		return true
	}
	p := w.alive[engine.ProcID(subject)]
	return p != nil && p.endsByItself() && news == engine.Input(p.exit())
}

// about says whose news it is, and gives of it what can be known before.
func about(in engine.Input) (subject uint64, news engine.Input) {
	switch in := in.(type) {
	case engine.Spawned:
		return uint64(in.Proc), engine.Spawned{}
	case engine.SpawnFailed:
		return uint64(in.Proc), engine.SpawnFailed{}
	case engine.Forked:
		return uint64(in.Proc), engine.Forked{}
	case engine.SelfStopped:
		return uint64(in.Proc), in
	case engine.Ready:
		return uint64(in.Proc), engine.Ready{}
	case engine.Notified:
		return uint64(in.Proc), engine.Notified{}
	case engine.Exited:
		return uint64(in.Proc), in
	case engine.FollowEnded:
		return uint64(in.Proc), engine.FollowEnded{}
	case engine.Vacated:
		return in.Owner, in
	}
	return 0, nil
}

func (w *World) gone(id engine.ProcID) {
	if p := w.alive[id]; p != nil {
		p.ended = true
		delete(w.alive, id)
	}
}

// perform carries out an effect, as far as it concerns processes.
func (w *World) perform(effect engine.Effect) {
	switch effect := effect.(type) {
	case engine.Spawn:
		w.add(effect.Proc, effect.Class, effect.Kind, true, true, 0)
	case engine.Kill:
		w.kill(effect)
	case engine.Sweep:
		// Without a signal it only looks at what stays.
		if effect.Signal != 0 {
			w.usual[signalsEnd] = true
			w.owe(engine.Vacated{Owner: effect.Owner})
		}
	case engine.Settle:
		w.owe(engine.FollowEnded{Proc: effect.Proc})
	}
}

const sigKill = 9

// kill ends a process that a signal is to end. The reload signal goes to main
// alone where the others go to its group, and is meant to end nobody.
func (w *World) kill(k engine.Kill) {
	p := w.alive[k.Proc]
	if p == nil || p.asked || !k.Group && k.Signal != sigKill && p.mode != job.KillProcess {
		return
	}
	if p.outcome.Deaf && k.Signal != sigKill {
		return
	}
	if !p.outcome.Deaf {
		w.usual[signalsEnd] = true
	}
	p.asked = true
	// It does not come to make itself ready any more.
	w.owed = slices.DeleteFunc(w.owed, func(in engine.Input) bool {
		subject, news := about(in)
		return subject == uint64(p.id) && (news == engine.Forked{} || news == engine.Ready{} || news == engine.Notified{} || news == engine.SelfStopped{Proc: p.id})
	})
	if !p.outcome.Missing {
		w.owe(engine.Exited{Proc: p.id, Signal: k.Signal})
	}
}
