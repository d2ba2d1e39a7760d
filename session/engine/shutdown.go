package engine

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/job"
)

// ending is how far the end of the session has come. First the event
// session-end is emitted and every job that it did not start is stopped;
// when the event has finished, the rest is. At the deadline what is left is
// killed, and no further process is made; a second deadline gives up on
// what even that did not end.
type ending struct {
	begun bool
	event *events.Event
	cut   bool
	quit  bool
	until time.Duration // the deadline
	// What follows can be found anew, and is when surveyed is false. stirred
	// are the instances of which it may have changed whether they are to be
	// stopped now, movers all that may wait for no event; outlived gives for
	// an instance another one that it was seen to outlive, outlivers the
	// opposite.
	surveyed  bool
	stirred   []*instance
	movers    []*instance
	outlived  map[*instance]*instance
	outlivers map[*instance][]*instance
}

// lastGrace is how long killed processes may take to be reaped.
const lastGrace = 2 * time.Second

func (e *Engine) shutdown(msg Shutdown) {
	if e.ending.begun {
		return
	}
	e.logf(Info, nil, "The session ends (%s)", msg.Type)
	e.ending.begun = true
	e.ending.event = e.newEvent("session-end", events.Env{"TYPE=" + msg.Type})
	e.ending.until = e.now + e.cfg.StopTimeout
	e.deadlines.add(e.ending.until, nil)
}

// TimeToEnd is how long the end of the session may still take before what is
// left is killed; less than zero when that time is over.
func (v View) TimeToEnd() time.Duration {
	if !v.e.ending.begun {
		return v.e.cfg.StopTimeout
	}
	return v.e.ending.until - v.now
}

// settleEnd is called when nothing moves. It stops what is to be stopped now
// and reports whether it stopped anything.
func (e *Engine) settleEnd() bool {
	if !e.ending.begun || e.ending.quit {
		return false
	}
	if e.instances.count == 0 {
		if e.letGo() {
			return true
		}
		e.quit()
		return false
	}
	if e.stopWanted(false) {
		return true
	}
	return e.stuck() && (e.letGo() || e.stopWanted(true))
}

// endBusy is settleEnd for a step that had more to do than it may: where jobs
// start each other in a circle, nothing ever comes to rest, and the others are
// to be stopped before the deadline all the same.
func (e *Engine) endBusy() {
	if e.ending.begun && !e.ending.quit && e.ending.event.Progress != events.Pending {
		e.stopWanted(false)
	}
}

// stir notes that something has changed for an instance that settleEnd looks
// at. A session of thousands ends in thousands of steps, and not each of them
// is to look at thousands.
func (e *Engine) stir(in *instance) {
	if !e.ending.surveyed {
		return
	}
	if !in.stirred {
		in.stirred = true
		e.ending.stirred = append(e.ending.stirred, in)
	}
	if !in.mover {
		in.mover = true
		e.ending.movers = append(e.ending.movers, in)
	}
}

// survey stirs all.
func (e *Engine) survey() {
	e.ending.surveyed = true
	for _, c := range e.order {
		for in := c.first; in != nil; in = in.next {
			e.stir(in)
		}
	}
}

// stopWanted stops what is to be stopped now, also what is to outlive others
// when all is set, and reports whether there was anything. The order is that
// of the classes, and of the age of instances.
func (e *Engine) stopWanted(all bool) bool {
	if all || !e.ending.surveyed {
		e.survey()
	}
	if e.wanted == 0 {
		return false
	}
	look := e.ending.stirred
	e.ending.stirred = nil
	for _, in := range look {
		in.stirred = false
	}
	slices.SortFunc(look, compareAge)
	any := false
	for _, in := range look {
		if !in.gone && in.goal == GoalStart && !e.mayFinish(in) && (all || !e.outlives(in)) {
			in.stopEnv, in.stopEvents = nil, nil
			in.wish = wish{reason: ByEnding, at: e.now}
			e.release(in, false)
			e.changeGoal(in, GoalStop)
			any = true
		}
	}
	return any
}

func compareAge(a, b *instance) int {
	if a.class != b.class {
		return strings.Compare(a.class.def.Name, b.class.def.Name)
	}
	return cmp.Compare(a.id, b.id)
}

// stuck reports whether every instance waits for an event, or for the end of
// another. Nothing can come from the world then that would help: they wait
// for each other, or for an event that half an expression holds.
func (e *Engine) stuck() bool {
	for n := len(e.ending.movers); n > 0; n-- {
		in := e.ending.movers[n-1]
		if in.moves() {
			return false
		}
		// It is put back by what lets it move.
		in.mover = false
		e.ending.movers[n-1] = nil
		e.ending.movers = e.ending.movers[:n-1]
	}
	return true
}

// moves reports whether an instance waits for the world, and for no event. One
// that is still wanted, and that nobody waits for, is there to outlive another,
// since stopWanted has left it: it waits for that.
func (in *instance) moves() bool {
	return !in.gone && in.blocker == nil && (in.goal == GoalStop || len(in.waiters) > 0)
}

// mayFinish reports whether an instance is let run on for now: a task that
// the end itself has started, and whatever session-end waits for.
func (e *Engine) mayFinish(in *instance) bool {
	if e.ending.cut || in.waitsToRespawn() {
		return false
	}
	if in.lateStart && in.class.def.Task {
		return true
	}
	for _, w := range in.waiters {
		if w.event == e.ending.event {
			return true
		}
	}
	return false
}

// endTimedOut kills what is left, and names it; the second time it gives up.
func (e *Engine) endTimedOut() {
	if e.ending.quit {
		return
	}
	if e.ending.cut {
		e.eachProcess(func(in *instance, kind job.ProcessKind) {
			e.logf(ErrorLevel, in, "%s: %s does not end even by KILL: left behind", in.label(), in.processText(kind))
		})
		e.quit()
		return
	}
	e.ending.cut, e.ending.surveyed = true, false
	e.letGo()
	e.eachProcess(func(in *instance, kind job.ProcessKind) {
		e.logf(Warn, in, "%s was still in %s after %s: %s killed", in.label(), in.state, e.cfg.StopTimeout, in.processText(kind))
		in.signalled(kind, sigKill, SentAtEnd)
		e.do(Kill{Proc: in.procs[kind].id, Signal: sigKill, Group: true})
	})
	for _, c := range e.order {
		for in := c.first; in != nil; in = in.next {
			if in.ends.sweeping && !in.ends.struck {
				e.sweepLast(in)
			}
		}
	}
	e.deadlines.add(e.now+lastGrace, nil)
}

// letGo releases every event that an instance or half an expression holds:
// what they wait for will not come any more, and whoever waits for them is
// to go on. It reports whether there was one.
func (e *Engine) letGo() bool {
	any := false
	for _, c := range e.order {
		any = c.startOn.Reset(&e.queue) || any
		for in := c.first; in != nil; in = in.next {
			any = in.stopOn.Reset(&e.queue) || any
			var callers []waiter
			for _, w := range in.waiters {
				if w.event == nil {
					callers = append(callers, w)
					continue
				}
				e.queue.Unblock(w.event)
				any = true
			}
			if len(callers) < len(in.waiters) {
				e.stir(in)
			}
			in.waiters = callers
		}
	}
	return any
}

// processText names a process of an instance.
func (in *instance) processText(kind job.ProcessKind) string {
	if pid := in.procs[kind].pid; pid != 0 {
		return fmt.Sprintf("%s process (%d)", kind, pid)
	}
	return fmt.Sprintf("%s process (still being made)", kind)
}

func (e *Engine) eachProcess(visit func(in *instance, kind job.ProcessKind)) {
	for _, c := range e.order {
		for in := c.first; in != nil; in = in.next {
			for kind := range in.procs {
				if in.procs[kind].id != 0 {
					visit(in, job.ProcessKind(kind))
				}
			}
		}
	}
}

func (e *Engine) quit() {
	e.ending.quit = true
	for _, s := range e.logins {
		e.answerAll(s)
	}
	e.answerLate()
	e.do(Quit{})
}

// answerLate answers who still waits: for what even KILL did not end, or for an
// event that this holds up.
func (e *Engine) answerLate() {
	for _, c := range e.order {
		for in := c.first; in != nil; in = in.next {
			for _, w := range in.waiters {
				err := errorf(JobFailed, "%s", failureText[w.verb])
				err.Reason = tooLate
				e.replyLater(w.call, in, err)
			}
		}
	}
	for _, call := range slices.Sorted(maps.Keys(e.calls)) {
		err := errorf(EventFailed, "Event failed")
		err.Reason = tooLate
		e.replyLater(call, nil, err)
	}
}

// tooLate is why a wish failed that was not done when the session was over.
const tooLate = "the session was over first"
