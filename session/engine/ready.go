package engine

import (
	"fmt"
	"time"

	"github.com/session-init/session-init/session/job"
)

// Readiness is how main became ready. The zero value: it is not, or running its
// program is all that it declares.
type Readiness struct {
	How string // "forked", "listens on unix:/run/x"
	// Took is the time from when main was asked for to then.
	Took time.Duration
	// Lacks says what keeps main from being ready, as far as that is known, or
	// what it has lost since: a sentence without its end.
	Lacks string
	// Does is what main does meanwhile that another declaration waits for.
	Does Instead
}

// String gives "forked after 1.2s"; empty for the zero value.
func (r Readiness) String() string {
	if r.How == "" {
		return ""
	}
	return r.How + " after " + r.Took.Round(time.Millisecond).String()
}

// becomeReady goes on from spawned: main is ready, and how says how that was
// known.
func (e *Engine) becomeReady(in *instance, how string) {
	in.ready = Readiness{How: how, Took: e.now - in.since}
	e.advance(in)
}

// toldReady takes the news that main is ready.
func (e *Engine) toldReady(msg Ready) {
	in, kind := e.locate(msg.Proc)
	if in != nil && kind == job.Main && in.state == InSpawned && !in.class.def.Expect.Settles() {
		e.becomeReady(in, msg.How)
	}
}

// lacks takes what main does not have that makes it ready.
func (e *Engine) lacks(msg Lacks) {
	in, kind := e.locate(msg.Proc)
	if in == nil || kind != job.Main || in.class.def.Expect != job.ExpectDBus || in.ready.Lacks == msg.What {
		return
	}
	in.ready.Lacks = msg.What
	if in.state > InSpawned && in.goal == GoalStart && msg.What != "" {
		e.logf(Warn, in, "%s is ready no longer: %s; it runs on", in.label(), msg.What)
	}
}

// awaitReady sets the time in which main is to be ready.
func (e *Engine) awaitReady(in *instance) {
	timeout := in.class.def.ReadyTimeout
	if timeout <= 0 {
		timeout = job.DefaultReadyTimeout
	}
	e.setDeadline(in, e.now+timeout, readyDeadline)
}

// readyTimedOut is when main is not ready in time. Where the job file says how
// long it may take, the job has failed; else it goes on with what is alive.
func (e *Engine) readyTimedOut(in *instance) {
	main := in.procs[job.Main]
	if in.state != InSpawned || main.id == 0 {
		return
	}
	if in.class.def.ReadyTimeout > 0 || !in.class.def.Expect.Settles() {
		e.notReady(in)
		e.advance(in)
		return
	}
	in.settling = true
	e.do(Settle{Proc: main.id})
}

// notReady fails a job whose main did not become ready.
func (e *Engine) notReady(in *instance) {
	timeout := in.class.def.ReadyTimeout
	if timeout <= 0 {
		timeout = job.DefaultReadyTimeout
	}
	reason := fmt.Sprintf("main process was not ready within %s, as 'expect %s' declares it", seconds(timeout), in.class.def.Declares())
	reason += in.unreadyHint()
	e.logf(Warn, in, "%s %s", in.label(), reason)
	e.fail(in, failure{process: job.Main.String()}, -1, reason)
	e.setGoal(in, GoalStop)
}

// seconds gives "1 second", "90 seconds".
func seconds(d time.Duration) string {
	if d == time.Second {
		return "1 second"
	}
	return fmt.Sprintf("%d seconds", int(d.Seconds()))
}

// followEnded takes main as it is.
func (e *Engine) followEnded(msg FollowEnded) {
	in, kind := e.locate(msg.Proc)
	if in == nil || kind != job.Main || in.state != InSpawned {
		return
	}
	in.forks = max(in.forks, msg.Forks)
	in.note = in.misfit()
	e.logf(Warn, in, "%s %s", in.label(), in.note)
	e.advance(in)
}

// misfit says what was declared, what happened, and what would have been
// right.
func (in *instance) misfit() string {
	did, fits := in.did()
	when := "before it ran another program"
	if in.settling {
		when = "within " + seconds(job.DefaultReadyTimeout)
	}
	does := ""
	if instead, other := in.instead(); fits == expectsNothing && instead != "" {
		does, fits = "it "+instead+": ", other
	}
	return fmt.Sprintf("declares 'expect %s' but main %s %s: process %d is taken for it; %s'expect %s' fits",
		in.class.def.Expect, did, when, in.procs[job.Main].pid, does, fits)
}

// did says what main did of what it is followed for, and which declaration that
// fits.
func (in *instance) did() (did, fits string) {
	switch {
	case in.class.def.Expect == job.ExpectStop:
		return "did not raise SIGSTOP", expectsNothing
	case in.forks == 0:
		return "did not fork", expectsNothing
	case in.forks == 1:
		return "forked once", job.ExpectFork.String()
	}
	return fmt.Sprintf("forked %d times", in.forks), job.ExpectDaemon.String()
}
