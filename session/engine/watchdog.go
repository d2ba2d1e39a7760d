package engine

import (
	"fmt"
	"time"

	"github.com/session-init/session-init/session/job"
)

// The watchdog. From when main is ready until it is asked to end, it must say
// WATCHDOG=1 within each interval. If it does not, main's group gets the signal
// of the stanza, and KILL at kill timeout after that; its end, however it ends,
// is a failure, and respawn applies. Its deadline is the instance's own, which
// waits for nothing else in these states.

// guarded reports whether silence of main is measured in a state.
func (in *instance) guarded() bool {
	return (in.state == PostStart || in.state == Running || in.state == PreStop) && in.alive(job.Main)
}

// guard lets the interval begin anew.
func (e *Engine) guard(in *instance) {
	said := in.heard()
	if said.Watchdog <= 0 || said.Silent != "" || said.Stopping || !in.guarded() || in.deadline != nil && !in.watched() {
		return
	}
	e.setDeadline(in, e.now+said.Watchdog, watchdogDeadline)
}

// watched reports whether the watchdog's deadline is ahead.
func (in *instance) watched() bool { return in.deadline != nil && in.deadline.kind == watchdogDeadline }

// unguard ends the measuring.
func (e *Engine) unguard(in *instance) {
	if in.watched() {
		e.clearDeadline(in)
	}
}

// trigger takes main for silent, because it says so itself.
func (e *Engine) trigger(in *instance) {
	if in.guarded() && in.heard().Silent == "" && (in.deadline == nil || in.watched()) {
		e.endSilent(in, "asked for its watchdog (WATCHDOG=trigger)")
	}
}

// watchdogTimedOut is when main was silent, or did not end when it was made to.
func (e *Engine) watchdogTimedOut(in *instance) {
	if !in.guarded() || e.ending.cut {
		return
	}
	def, said := in.class.def, in.heard()
	switch {
	case said.Silent == "":
		e.endSilent(in, "did not say WATCHDOG=1 within "+interval(said.Watchdog))
	case !said.Killed:
		e.logf(Warn, in, "%s %s did not end within %s of %s: sending KILL", in.label(), in.processText(job.Main),
			def.KillTimeout, job.SignalName(def.WatchdogSignal))
		e.killSilent(in)
	case in.alive(job.PostStart) || in.alive(job.PreStop):
		// The giving up would be for the hook as well.
		e.setDeadline(in, e.now+killGrace, watchdogDeadline)
	default:
		e.graceTimedOut(in)
	}
}

// endSilent makes a silent main end.
func (e *Engine) endSilent(in *instance, why string) {
	def := in.class.def
	in.hears().Silent = why
	e.logf(Warn, in, "%s %s %s: sending %s", in.label(), in.processText(job.Main), why, job.SignalName(def.WatchdogSignal))
	e.strikeSilent(in, def.WatchdogSignal)
	if def.KillTimeout <= 0 || def.WatchdogSignal == sigKill {
		e.killSilent(in)
		return
	}
	e.setDeadline(in, e.now+def.KillTimeout, watchdogDeadline)
}

// killSilent sends KILL. What not even that ends is given up after a moment.
func (e *Engine) killSilent(in *instance) {
	in.hears().Killed = true
	e.strikeSilent(in, sigKill)
	e.setDeadline(in, e.now+killGrace, watchdogDeadline)
}

func (e *Engine) strikeSilent(in *instance, signal int) {
	e.kill(in, job.Main, signal)
	in.signalled(job.Main, signal, SentByWatchdog)
}

// silence is how the end of a main that was silent is told.
func (in *instance) silence(reason string) string {
	return fmt.Sprintf("%s for its watchdog: it %s", reason, in.heard().Silent)
}

// interval gives "5 seconds", or what is no whole number of them as it is.
func interval(d time.Duration) string {
	if d%time.Second == 0 {
		return seconds(d)
	}
	return d.String()
}
