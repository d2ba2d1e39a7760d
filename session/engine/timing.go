package engine

import (
	"cmp"
	"slices"
	"time"

	"github.com/session-init/session-init/events"
)

// The timings: how the first start of each instance went, for a picture of the
// start of a session. They decide nothing.

// maxTimings bounds them: of what starts first after so many nothing is noted.
const maxTimings = 2000

// Timing is the first start of an instance. A time is a reading of the engine's
// clock, 0 for what has not come.
type Timing struct {
	Class, Instance string
	Task            bool
	// Wanted is when its goal became start.
	Wanted time.Duration
	// At is when it came to starting, pre-start, spawned, post-start and
	// running, Ended when it came to stopping, by itself or by a stop, with
	// which it is Over; Failed: since it had failed.
	At           [Running - Starting + 1]time.Duration
	Ended        time.Duration
	Over, Failed bool
	// Reason is where the goal came from; Event is the event for ByEvent, of
	// several the one that came last. ByClass and ByInstance are whose event it
	// is, or whose process emitted it, or asked for the start; empty for others.
	Reason              Reason
	Event               string
	ByClass, ByInstance string
}

// timed names an instance whose first start was noted.
type timed struct{ class, instance string }

// noteStart begins to note the start of an instance, if it is its first.
func (e *Engine) noteStart(in *instance) {
	key := timed{in.class.def.Name, in.name}
	if len(e.timings) >= maxTimings || e.timed[key] {
		return
	}
	t := &Timing{Class: key.class, Instance: key.instance, Task: in.class.def.Task, Wanted: in.wish.at, Reason: in.wish.reason}
	by := in.wish.by
	if len(in.wish.events) > 0 {
		last := slices.MaxFunc(in.wish.events, func(a, b *events.Event) int { return cmp.Compare(a.ID, b.ID) })
		t.Event, by = last.Name, last.By
		if last.Source == events.FromJob {
			t.ByClass, _ = last.Env.First("JOB")
			t.ByInstance, _ = last.Env.First("INSTANCE")
		}
	}
	if by != nil { // nobody's, for the event of a job
		t.ByClass, t.ByInstance = by.Job, by.Instance
	}
	in.timing = t
	t.reach(Starting, e.now)
	e.timings, e.timed[key] = append(e.timings, t), true
}

// reach notes that the instance, which is not waiting, has come to a state.
func (t *Timing) reach(s State, now time.Duration) {
	if s <= Running && t.At[s-Starting] == 0 {
		t.At[s-Starting] = now
	}
}

// noteState notes that an instance whose first start is noted has come to a
// state. With the first stop that is over.
func (e *Engine) noteState(in *instance) {
	in.timing.reach(in.state, e.now)
	if in.state == Stopping {
		in.timing.Ended, in.timing.Over, in.timing.Failed = e.now, true, in.failed
		in.timing = nil
	}
}

// saveTimings returns a copy.
func (e *Engine) saveTimings() []Timing {
	var out []Timing
	for _, t := range e.timings {
		out = append(out, *t)
	}
	return out
}

// restoreTimings goes on noting. Classes and their instances are there.
func (e *Engine) restoreTimings(saved []Timing) {
	for _, t := range saved {
		e.timings, e.timed[timed{t.Class, t.Instance}] = append(e.timings, &t), true
		if c := e.classes[t.Class]; c != nil && !t.Over {
			if in := c.instance(t.Instance); in != nil {
				in.timing = &t
			}
		}
	}
}

// Timings returns how the first starts went, in their order, and when the
// engine took its first input, which is 0 before that.
func (v View) Timings() (begun time.Duration, timings []Timing) {
	return v.e.begun, v.e.saveTimings()
}

// Now returns the time that the view is of.
func (v View) Now() time.Duration { return v.now }
