package bus

import (
	"time"

	"github.com/session-init/session-init/session/engine"
)

// getTimings answers how the first start of each instance went, in the order of
// the starts; of those after the first 2000 nothing is known. Times are
// microseconds of the daemon's clock; "now" and "wall" (since 1970) are the same
// moment, and "begun" is when the first daemon of the session, or the first
// whose state is not lost, began. A key is left out where there is nothing to
// say:
//
//	job, instance  s  whose
//	task           b  true: it is a task
//	reason         s  where the goal came from, as in GOAL of Why
//	event          s  by which event it was started, of several the last
//	by_job, by_instance  s  whose event that is, or whose process emitted it or
//	               asked for the start
//	wanted         t  when its goal became start
//	starting, pre_start, spawned, post_start, running  t  when it came to that
//	               state
//	ended          t  when it came to stopping, by itself or by a stop
//	failed         b  true: since it had failed
//
// The dictionaries are made beside the engine, which for a thousand instances
// takes a while.
func getTimings(c *call) {
	c.beside(func() {
		type noted struct {
			now, wall, begun time.Duration
			timings          []engine.Timing
		}
		seen, ok := await(c, func(v engine.View, done func(noted)) {
			n := noted{now: v.Now(), wall: time.Duration(time.Now().UnixNano())}
			n.begun, n.timings = v.Timings()
			done(n)
		})
		if !ok {
			return
		}
		list := make([]dict, len(seen.timings))
		for i := range seen.timings {
			list[i] = tellTiming(&seen.timings[i])
		}
		micro := func(t time.Duration) uint64 { return uint64(t.Microseconds()) }
		c.answer([]any{micro(seen.now), micro(seen.wall), micro(seen.begun), list}, nil)
	})
}

func tellTiming(t *engine.Timing) dict {
	d := dict{}
	put(d, "job", t.Class)
	put(d, "instance", t.Instance)
	if t.Task {
		put(d, "task", true)
	}
	if t.Reason != engine.ByNobody {
		put(d, "reason", t.Reason.String())
	}
	put(d, "event", t.Event)
	put(d, "by_job", t.ByClass)
	put(d, "by_instance", t.ByInstance)
	put(d, "wanted", t.Wanted)
	for i, key := range [...]string{"starting", "pre_start", "spawned", "post_start", "running"} {
		put(d, key, t.At[i])
	}
	put(d, "ended", t.Ended)
	if t.Failed {
		put(d, "failed", true)
	}
	return d
}
