package engine

import (
	"fmt"
	"time"
)

// Respawn. Main's own end is counted, and as long as the limit holds the
// instance goes round: through stopping, killed and post-stop to starting. A
// job with "respawn delay" or "respawn backoff" waits before that last step,
// in post-stop, when that process is done: all that ran is gone, dependents
// were told, and there is nothing left to be undone. So a stop has only to
// go on to waiting, and a start, or the end of the delay, to starting.

// mayRespawn counts a death and reports whether the limit still holds. The
// first death opens a window; the window does not slide. One of no length is
// always over, so that each death is the first. The waits before respawns are
// not part of it: else a delay would be a way round the limit, and who waits for
// a job that never comes up would wait for ever.
func (e *Engine) mayRespawn(in *instance) bool {
	def := in.class.def
	if def.RespawnLimit == 0 {
		return true
	}
	if in.respawnCount > 0 && e.now-in.respawnSince-in.respawnWaited < def.RespawnInterval {
		in.respawnCount++
	} else {
		in.respawnSince, in.respawnWaited, in.respawnCount = e.now, 0, 1
	}
	return in.respawnCount <= def.RespawnLimit
}

// respawn lets an instance whose main has ended go round.
func (e *Engine) respawn(in *instance) {
	in.again, in.ends.finished = true, false
	def := in.class.def
	if in.state >= Running && e.now-in.ranSince > def.GoodRun() {
		in.respawnDelay = 0
	}
	in.respawnDelay = def.NextRespawn(in.respawnDelay)
	in.delayed = in.respawnDelay > 0
	after := ""
	if in.delayed {
		after = " after a delay of " + seconds(in.respawnDelay)
	}
	e.logf(Warn, in, "%s main process ended, respawning%s", in.label(), after)
}

// forgive forgets the deaths that were counted, and how far the delay has
// grown: somebody wants the job to run now.
func (in *instance) forgive() {
	in.respawnCount, in.respawnWaited, in.respawnDelay = 0, 0, 0
}

// delay begins the wait before a respawn.
func (e *Engine) delay(in *instance) {
	e.setDeadline(in, e.now+in.respawnDelay, respawnDeadline)
	e.stir(in)
	e.debugf(in, "%s (#%d) respawns in %s", in.class.def.Name, in.seq, seconds(in.respawnDelay))
}

// waitsToRespawn reports whether nothing but time keeps an instance from its
// respawn.
func (in *instance) waitsToRespawn() bool {
	return in.deadline != nil && in.deadline.kind == respawnDeadline
}

// delayOver respawns an instance that has waited for it, until due or longer.
func (e *Engine) delayOver(in *instance, due time.Duration) {
	in.respawnWaited += e.now - due + in.respawnDelay
	e.endDelay(in)
	e.advance(in)
}

// endDelay ends the wait before a respawn. Then the instance is where it
// would be if there were none, and is to be advanced.
func (e *Engine) endDelay(in *instance) {
	in.delayed = false
	e.clearDeadline(in)
}

// respawnText says how long an instance waits for its respawn from now on.
func (in *instance) respawnText(now time.Duration) string {
	left := (in.deadline.at - now + time.Second - 1).Truncate(time.Second)
	return "respawning in " + seconds(max(left, 0))
}

// notRunning refuses what needs a main process.
func (e *Engine) notRunning(in *instance) *Error {
	err := errorf(NotRunning, "Job is not running: %s", in.label())
	if in.waitsToRespawn() {
		err.Reason = in.respawnText(e.now)
	}
	return err
}

// failRespawn fails a job that was respawned too often.
func (e *Engine) failRespawn(in *instance, reason string) {
	def := in.class.def
	e.logf(Warn, in, "%s respawning too fast, stopped", in.label())
	within := def.RespawnInterval.String()
	if in.respawnWaited > 0 {
		within += ", the waits before it not counted"
	}
	e.fail(in, failure{process: "respawn"}, 0, fmt.Sprintf("respawned more than %d times in %s, last time %s",
		def.RespawnLimit, within, reason))
}
