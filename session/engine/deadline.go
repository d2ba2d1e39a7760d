package engine

import (
	"container/heap"
	"time"
)

// deadline is a time at which something is due for an instance. One that was
// cleared leaves the heap at once, so that a late one can never strike what it
// was not set for, and keeps nobody in memory who is gone.
type deadline struct {
	at    time.Duration
	seq   uint64    // of two at the same time, the older one first
	in    *instance // nil for the end of the session
	kind  deadlineKind
	place int // in the heap
}

// deadlineKind is what is due. An instance waits for one thing at a time.
type deadlineKind uint8

const (
	killDeadline     deadlineKind = iota // KILL for what did not end
	graceDeadline                        // an end to waiting for what was killed
	readyDeadline                        // an end to waiting for main to be ready
	hookDeadline                         // an end to waiting for post-stop
	respawnDeadline                      // the respawn, after its delay
	watchdogDeadline                     // an end to the silence of main
	numDeadlines
)

type deadlines struct {
	heap []*deadline
	seq  uint64
}

func (d *deadlines) Len() int { return len(d.heap) }
func (d *deadlines) Less(i, k int) bool {
	if d.heap[i].at != d.heap[k].at {
		return d.heap[i].at < d.heap[k].at
	}
	return d.heap[i].seq < d.heap[k].seq
}
func (d *deadlines) Swap(i, k int) {
	d.heap[i], d.heap[k] = d.heap[k], d.heap[i]
	d.heap[i].place, d.heap[k].place = i, k
}
func (d *deadlines) Push(x any) {
	due := x.(*deadline)
	due.place = len(d.heap)
	d.heap = append(d.heap, due)
}
func (d *deadlines) Pop() any {
	last := d.heap[len(d.heap)-1]
	d.heap[len(d.heap)-1] = nil
	d.heap = d.heap[:len(d.heap)-1]
	return last
}

// next returns the earliest deadline.
func (d *deadlines) next() (time.Duration, bool) {
	if len(d.heap) == 0 {
		return 0, false
	}
	return d.heap[0].at, true
}

func (d *deadlines) add(at time.Duration, in *instance) *deadline {
	d.seq++
	due := &deadline{at: at, seq: d.seq, in: in}
	heap.Push(d, due)
	return due
}

// restore adds a deadline that was saved, with its place among those of the
// same time.
func (d *deadlines) restore(at time.Duration, seq uint64, in *instance) *deadline {
	due := &deadline{at: at, seq: seq, in: in}
	d.seq = max(d.seq, seq)
	heap.Push(d, due)
	return due
}

// remove takes out a deadline that has not come.
func (d *deadlines) remove(due *deadline) { heap.Remove(d, due.place) }

// due returns a deadline that has come, and takes it out.
func (d *deadlines) due(now time.Duration) *deadline {
	if at, ok := d.next(); !ok || at > now {
		return nil
	}
	return heap.Pop(d).(*deadline)
}

func (e *Engine) setDeadline(in *instance, at time.Duration, kind deadlineKind) {
	e.clearDeadline(in)
	in.deadline = e.deadlines.add(at, in)
	in.deadline.kind = kind
}

func (e *Engine) clearDeadline(in *instance) {
	if in.deadline != nil {
		e.deadlines.remove(in.deadline)
		in.deadline = nil
	}
}

// expire does what is due.
func (e *Engine) expire() {
	for {
		due := e.deadlines.due(e.now)
		switch {
		case due == nil:
			return
		case due.in == nil:
			e.endTimedOut()
		default:
			due.in.deadline = nil
			e.strike(due)
		}
	}
}

// strike does what is due for an instance.
func (e *Engine) strike(due *deadline) {
	switch due.kind {
	case killDeadline:
		e.killTimedOut(due.in)
	case graceDeadline:
		e.graceTimedOut(due.in)
	case readyDeadline:
		e.readyTimedOut(due.in)
	case hookDeadline:
		e.hookTimedOut(due.in)
	case watchdogDeadline:
		e.watchdogTimedOut(due.in)
	case respawnDeadline:
		e.delayOver(due.in, due.at)
	}
}
