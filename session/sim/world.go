package sim

import (
	"fmt"
	"time"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
)

// Process is one that the engine asked for.
type Process struct {
	ID              engine.ProcID
	Owner           uint64
	Class, Instance string
	Kind            job.ProcessKind
	Env             events.Env
	Program         Program
	// Pid is 0 until the process is known to run.
	Pid int

	forks  int
	mode   job.KillMode
	ended  bool
	ending bool // by a signal that it takes its time over
	killed bool // it got KILL
	core   bool // it dumps core when a signal ends it
	signal int  // one that came before it ran
}

// World carries out the effects of an engine.
type World struct {
	Engine *engine.Engine
	// Choose says what a new process does; nil for ParseProgram of its
	// command.
	Choose func(engine.Spawn) Program
	// Observe sees every input with its effects, in order; it may be nil.
	Observe func(engine.Input, []engine.Effect)

	now     time.Duration
	agenda  agenda
	inbox   []engine.Input
	lastPid int
	last    engine.ProcID

	alive map[engine.ProcID]*Process
	procs []*Process // in the order of their spawn, the ended ones among them
	dead  int        // how many of procs have ended
	// strays are the processes left behind, oldest first; sweeps the sweeps
	// that have not been answered.
	strays []stray
	sweeps map[uint64]engine.Sweep

	calls   map[engine.CallID]bool // false once answered
	replies int
	over    bool
	faults  []string
}

// firstPid is the number before the pid of the first process.
const firstPid = 1000

// New returns a world around a new engine.
func New(cfg engine.Config) *World {
	return &World{
		Engine:  engine.New(cfg),
		lastPid: firstPid,
		alive:   make(map[engine.ProcID]*Process),
		sweeps:  make(map[uint64]engine.Sweep),
		calls:   make(map[engine.CallID]bool),
	}
}

// Over reports whether the engine has said Quit.
func (w *World) Over() bool { return w.over }

// Faults returns what the engine did that it never may, a sentence each.
func (w *World) Faults() []string { return w.faults }

func (w *World) fault(format string, args ...any) {
	w.faults = append(w.faults, fmt.Sprintf(format, args...))
}

// Processes returns those that have not ended, the oldest first.
func (w *World) Processes() []*Process {
	if w.dead > len(w.procs)/2 {
		kept := make([]*Process, 0, len(w.procs)-w.dead)
		for _, p := range w.procs {
			if !p.ended {
				kept = append(kept, p)
			}
		}
		w.procs, w.dead = kept, 0
	}
	out := make([]*Process, 0, len(w.procs)-w.dead)
	for _, p := range w.procs {
		if !p.ended {
			out = append(out, p)
		}
	}
	return out
}

// Find returns the living process of that kind, or nil.
func (w *World) Find(class, instance string, kind job.ProcessKind) *Process {
	for _, p := range w.Processes() {
		if p.Class == class && p.Instance == instance && p.Kind == kind {
			return p
		}
	}
	return nil
}

// Listen tells that a process listens on a socket, as of one that is waited for
// to do so.
func (w *World) Listen(p *Process, address string) {
	w.Do(engine.Ready{Proc: p.ID, How: "listens on " + address})
}

// Do gives the engine an input and goes on until nothing more happens at
// this time.
func (w *World) Do(in engine.Input) {
	w.inbox = append(w.inbox, in)
	w.settle()
}

// Exit ends a process by itself.
func (w *World) Exit(p *Process, status, signal int) {
	w.end(p, status, signal)
	w.settle()
}

// Fork makes a process fork; the child is the one to follow.
func (w *World) Fork(p *Process) {
	w.fork(p)
	w.settle()
}

// SelfStop makes a process raise SIGSTOP.
func (w *World) SelfStop(p *Process) {
	w.inbox = append(w.inbox, engine.SelfStopped{Proc: p.ID})
	w.settle()
}

// maxTicks bounds how often the engine may ask for more time at one instant:
// jobs without processes can start each other in a circle for ever.
const maxTicks = 5

// maxSteps bounds the inputs at one instant: a job that respawns for ever and
// whose main ends at once takes no time at all in this world.
const maxSteps = 500_000

// settle goes on until nothing more happens at this time. It reports false
// when the engine would go on for ever.
func (w *World) settle() bool {
	for ticks, steps := 0, 0; ; {
		for next := 0; next < len(w.inbox); next++ {
			w.step(w.inbox[next])
			if steps++; steps > maxSteps {
				w.fault("processes begin and end for ever at one instant, at %s", w.now)
				w.inbox = w.inbox[:0]
				return false
			}
		}
		w.inbox = w.inbox[:0]
		if c, ok := w.agenda.due(w.now); ok {
			c.do(w, c.proc)
			continue
		}
		at, ok := w.Engine.NextDeadline()
		if !ok || at > w.now {
			return true
		}
		if ticks++; ticks > maxTicks {
			return false
		}
		w.step(engine.Tick{})
	}
}

func (w *World) step(in engine.Input) {
	w.expectReply(in)
	effects := w.Engine.Step(w.now, in)
	if w.Observe != nil {
		w.Observe(in, effects)
	}
	for _, effect := range effects {
		switch effect := effect.(type) {
		case engine.Spawn:
			w.spawn(effect)
		case engine.Kill:
			w.kill(effect)
		case engine.Sweep:
			w.sweep(effect)
		case engine.Settle:
			if p := w.alive[effect.Proc]; p != nil {
				w.inbox = append(w.inbox, engine.FollowEnded{Proc: p.ID, Forks: p.forks})
			}
		case engine.Reply:
			w.replied(effect)
		case engine.Quit:
			if w.over {
				w.fault("Quit twice")
			}
			w.over = true
		}
	}
}

// expectReply notes that a caller must be answered once.
func (w *World) expectReply(in engine.Input) {
	var call engine.CallID
	switch in := in.(type) {
	case engine.Start:
		call = in.Call
	case engine.Stop:
		call = in.Call
	case engine.ForceStop:
		call = in.Call
	case engine.Restart:
		call = in.Call
	case engine.Reload:
		call = in.Call
	case engine.Emit:
		call = in.Call
	case engine.RunTransient:
		call = in.Call
	case engine.SessionOpen:
		call = in.Call
	case engine.SessionBegin:
		call = in.Call
	case engine.SessionEnd:
		call = in.Call
	case engine.SessionAwait:
		call = in.Call
	case engine.UntilLogout:
		call = in.Call
	case engine.SetEnv:
		call = in.Call
	case engine.Abandon:
		delete(w.calls, in.Call)
	}
	if call != 0 {
		w.calls[call] = true
	}
}

func (w *World) replied(r engine.Reply) {
	waits, known := w.calls[r.Call]
	switch {
	case !known:
		w.fault("reply to call %d, which nobody waits for", r.Call)
	case !waits:
		w.fault("second reply to call %d", r.Call)
	}
	w.calls[r.Call] = false
	w.replies++
}

// Waiting reports whether a call has not been answered yet.
func (w *World) Waiting(call engine.CallID) bool { return w.calls[call] }

// Replies returns how many calls have been answered.
func (w *World) Replies() int { return w.replies }

func (w *World) spawn(s engine.Spawn) {
	if s.Proc <= w.last {
		w.fault("process number %d was used before", s.Proc)
		return
	}
	w.last = s.Proc
	p := &Process{ID: s.Proc, Owner: s.Owner, mode: s.Class.KillMode, Class: s.Class.Name, Instance: s.Instance, Kind: s.Kind, Env: s.Env}
	if w.Choose != nil {
		p.Program = w.Choose(s)
	} else {
		p.Program = ParseProgram(s.Class.Processes[s.Kind].Text, s.Kind)
	}
	w.alive[p.ID] = p
	w.procs = append(w.procs, p)
	if p.Program.Late > 0 {
		w.agenda.add(w.now+p.Program.Late, p, (*World).run)
		return
	}
	w.run(p)
}

// run is the moment at which a process is known to run its program.
func (w *World) run(p *Process) {
	if p.ended {
		return
	}
	if p.Program.Missing != "" {
		w.unmade(p, p.Program.Missing)
		return
	}
	w.lastPid++
	p.Pid = w.lastPid
	w.inbox = append(w.inbox, engine.Spawned{Proc: p.ID, Pid: p.Pid})
	for range p.Program.Forks {
		w.fork(p)
	}
	if p.Program.Notifies {
		w.inbox = append(w.inbox, engine.Notified{Proc: p.ID, Ready: true})
	}
	if p.Program.Stops {
		w.inbox = append(w.inbox, engine.SelfStopped{Proc: p.ID})
	}
	if p.signal != 0 {
		w.strike(p, p.signal)
	}
	switch {
	case p.ended || !p.Program.Ends:
	case p.Program.After > 0:
		w.agenda.add(w.now+p.Program.After, p, finish)
	default:
		finish(w, p)
	}
}

func finish(w *World, p *Process) { w.end(p, p.Program.Status, p.Program.Signal) }

func (w *World) fork(p *Process) {
	w.lastPid++
	p.Pid = w.lastPid
	p.forks++
	w.inbox = append(w.inbox, engine.Forked{Proc: p.ID, Pid: p.Pid})
}

// unmade is the end of a process that never ran its program.
func (w *World) unmade(p *Process, why string) {
	if p.ended || p.Pid != 0 {
		return
	}
	w.gone(p)
	w.inbox = append(w.inbox, engine.SpawnFailed{Proc: p.ID, Reason: why})
	w.vacate(p.Owner)
}

func (w *World) gone(p *Process) {
	p.ended = true
	w.dead++
	delete(w.alive, p.ID)
}

func (w *World) end(p *Process, status, signal int) {
	if p.ended {
		return
	}
	w.gone(p)
	w.leave(p)
	w.inbox = append(w.inbox, engine.Exited{Proc: p.ID, Status: status, Signal: signal, Core: p.core, Left: w.Strays(p.Owner) > 0})
	if s, swept := w.sweeps[p.Owner]; swept && p.killed {
		// What it leaves is signalled as it comes.
		w.carry(s)
		w.vacate(p.Owner)
	}
}

const sigKill = 9

// kill carries out a Kill. Only what goes to the group is meant to end the
// process: the reload signal goes to main alone, and daemons live on.
func (w *World) kill(k engine.Kill) {
	p := w.alive[k.Proc]
	switch {
	case k.Proc == 0:
		w.fault("signal %d to no process", k.Signal)
	case p == nil:
		// It ended while the engine was deciding; ESRCH is an outcome.
	case !k.Group && k.Signal != sigKill && p.mode != job.KillProcess:
	case p.Pid == 0 && k.Signal == sigKill && !p.Program.Stuck:
		// It is ended while it is being made.
		p.killed = true
		w.agenda.add(w.now+p.Program.Dying, p, func(w *World, p *Process) {
			if p.Pid == 0 {
				w.unmade(p, "killed by KILL signal")
				return
			}
			// It has begun meanwhile, and is ended all the same.
			w.end(p, 0, sigKill)
		})
	case p.Pid == 0:
		if p.signal != sigKill {
			p.signal = k.Signal
		}
		p.killed = p.signal == sigKill
	default:
		w.strike(p, k.Signal)
	}
}

// strike is a signal that asks a running process to end.
func (w *World) strike(p *Process, signal int) {
	p.killed = p.killed || signal == sigKill
	switch program := p.Program; {
	case signal == sigKill && program.Stuck:
	case signal == sigKill && program.Dying > 0:
		p.ending = true
		w.agenda.add(w.now+program.Dying, p, func(w *World, p *Process) { w.end(p, 0, sigKill) })
	case signal == sigKill:
		w.end(p, 0, sigKill)
	case program.Deaf || p.ending:
	case program.Slow > 0:
		p.ending = true
		w.agenda.add(w.now+program.Slow, p, func(w *World, p *Process) { w.obey(p, signal) })
	default:
		w.obey(p, signal)
	}
}

func (w *World) obey(p *Process, signal int) {
	if p.Program.Quits {
		w.end(p, p.Program.QuitStatus, 0)
		return
	}
	w.end(p, 0, signal)
}
