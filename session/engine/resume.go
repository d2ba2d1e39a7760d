package engine

import (
	"fmt"
	"slices"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/job"
)

// What a daemon asks a restored engine, before it goes on with it.

// LiveProcess is a process that the engine believes in. Pid is 0 when it was
// not reported yet.
type LiveProcess struct {
	Proc  ProcID
	Owner uint64
	Pid   int
	// Expect and Forks are what it is still waited for to do, and how many
	// of its forks were followed.
	Expect job.Expect
	Forks  int
	// Watched: it is silent for its watchdog.
	Watched bool
}

// Live returns the processes that the engine believes in: by class, instance
// and kind, and then those that even KILL did not end.
func (e *Engine) Live() []LiveProcess {
	var out []LiveProcess
	for _, c := range e.order {
		for in := c.first; in != nil; in = in.next {
			for kind, p := range in.procs {
				if p.id == 0 {
					continue
				}
				live := LiveProcess{Proc: p.id, Owner: in.owner, Pid: p.pid}
				if job.ProcessKind(kind) == job.Main && in.state == InSpawned {
					live.Expect, live.Forks = c.def.Expect, in.forks
				}
				live.Watched = job.ProcessKind(kind) == job.Main && in.watched()
				out = append(out, live)
			}
		}
	}
	for _, l := range e.leftovers {
		for _, p := range l.procs {
			out = append(out, LiveProcess{Proc: p.id, Owner: l.owner, Pid: p.pid})
		}
	}
	return out
}

// Forsake forgets all callers: they were another daemon's, and nobody can
// answer them any more. What they asked for goes on.
func (e *Engine) Forsake() {
	clear(e.calls)
	clear(e.hooks)
	clear(e.asking)
	e.eachHeld(func(ev *events.Event) { ev.Call = 0 })
	for _, s := range e.logins {
		s.calls = nil
	}
	for _, c := range e.order {
		for in := c.first; in != nil; in = in.next {
			in.waiters = slices.DeleteFunc(in.waiters, func(w waiter) bool { return w.event == nil })
		}
	}
}

// Reissue returns the effect that asks for a process which the engine
// believes in and which, as the caller found out, was never made. ok is false
// when the engine knows no such process.
func (e *Engine) Reissue(proc ProcID) (spawn Spawn, ok bool) {
	in, kind := e.locate(proc)
	if in == nil {
		return Spawn{}, false
	}
	return e.spawnEffect(in, kind), true
}

// Unsure returns the effects that may have been lost with the last daemon
// and can be done twice: signals to what is to end, the watch over what was
// left behind, and the end of the session.
func (e *Engine) Unsure() []Effect {
	for _, c := range e.order {
		for in := c.first; in != nil; in = in.next {
			signal := c.def.KillSignal
			if in.ends.struck || e.ending.cut {
				signal = sigKill
			}
			switch {
			case in.ends.sweeping:
				e.do(in.sweepBy(signal))
			case in.ends.lasting:
				e.do(Sweep{Owner: in.owner})
			case in.state == Killed && in.alive(job.Main):
				e.kill(in, job.Main, signal)
			case in.settling && in.state == InSpawned && in.alive(job.Main):
				e.do(Settle{Proc: in.procs[job.Main].id})
			}
		}
	}
	for _, l := range e.leftovers {
		for _, p := range l.procs {
			e.do(Kill{Proc: p.id, Signal: sigKill})
		}
		e.do(l.sweep())
	}
	if e.ending.quit {
		e.do(Quit{})
	}
	return e.given()
}

// adoptProcess makes an instance around a process that runs.
func (e *Engine) adoptProcess(msg Adopt) {
	// That daemon had begun.
	e.startupDue = false
	c := e.classes[msg.Class]
	label := Label(msg.Class, msg.Instance)
	if c == nil || c.instance(msg.Instance) != nil {
		e.do(Log{Level: Warn, Class: msg.Class, Msg: fmt.Sprintf("%s: process %d of an earlier daemon runs on by itself", label, msg.Pid)})
		return
	}
	in := e.newInstance(c, msg.Instance)
	e.lastProc++
	in.owner = uint64(e.lastProc)
	in.procs[job.Main] = process{id: e.lastProc, pid: msg.Pid}
	e.procs.put(uint64(e.lastProc), in)
	in.main, in.mainRan = e.lastProc, true
	e.setGoal(in, GoalStart)
	in.wish.reason = ByAdopter
	in.state, in.since = Running, e.now
	e.notify(StateChanged, in, in.state.String())
	e.rewatch(in)
	e.logf(Warn, in, "%s: process %d of an earlier daemon is taken for its main process", label, msg.Pid)
	e.do(TakeOver{Proc: e.lastProc, Owner: in.owner, Pid: msg.Pid})
}
