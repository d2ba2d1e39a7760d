package events

import (
	"slices"
	"time"
)

// Progress says how far an event has come.
type Progress uint8

// The stages of an event, in order.
const (
	Pending Progress = iota
	Handling
	Finished
)

func (p Progress) String() string {
	return [...]string{"pending", "handling", "finished"}[p]
}

// Event is something that happened, with its variables. Its fields but
// Failed are changed by the Queue only.
type Event struct {
	// ID numbers events in the order in which they were emitted, from 1.
	ID   uint64
	Name string
	Env  Env

	Progress Progress
	// Failed is set by whoever failed while the event waited for it.
	Failed bool
	// Source says what emitted it, By who, At when, by the engine's clock.
	Source Source
	By     *Caller
	At     time.Duration

	// Blockers counts what must let go before the event can finish.
	Blockers int

	// Instance and Call say what the event holds up until it has finished:
	// an instance in starting or stopping, or a caller of emit; 0 for
	// none. They are the engine's numbers and mean nothing here.
	Instance, Call uint64
	// File is the engine's too: what came with the event; 0 for nothing.
	File uint64
}

// Queue takes events from pending to finished, in passes: a pass visits the
// events in the order of their emission, each that can go on goes as far as
// it can, and events emitted meanwhile are visited by the same pass, which
// is what Upstart's poll does and what decides who is announced first. The
// zero value is an empty queue.
type Queue struct {
	last    uint64
	cursor  uint64   // the event visited last in this pass
	pending []*Event // ascending by ID, a part of room
	room    []*Event // what pending has its place in, empty
	ready   []*Event // handling, no blockers left; ascending by ID
	live    int
}

// Emit adds a pending event. env is not copied and must not be changed.
func (q *Queue) Emit(name string, env Env) *Event {
	q.last++
	ev := &Event{ID: q.last, Name: name, Env: env}
	if len(q.pending) == 0 {
		// The place of those that were taken is used again.
		q.pending = q.room
	}
	q.pending = append(q.pending, ev)
	if cap(q.pending) > cap(q.room) && cap(q.pending) <= keptPending {
		q.room = q.pending[:0]
	}
	q.live++
	return ev
}

// keptPending bounds how many pending events there is room for without new
// memory.
const keptPending = 256

// Len returns how many events have not finished.
func (q *Queue) Len() int { return q.live }

// Block adds a blocker to ev, which must not have finished.
func (q *Queue) Block(ev *Event) {
	if ev.Progress == Finished {
		panic("events: block of a finished event")
	}
	ev.Blockers++
}

// Unblock takes a blocker from ev. It only counts: the event itself finishes
// when Next comes to it, so that nothing is resumed in the middle of
// something else.
func (q *Queue) Unblock(ev *Event) {
	if ev.Blockers == 0 {
		panic("events: unblock of an event without blockers")
	}
	ev.Blockers--
	if ev.Blockers == 0 && ev.Progress == Handling {
		q.setReady(ev)
	}
}

func (q *Queue) setReady(ev *Event) {
	at, found := slices.BinarySearchFunc(q.ready, ev.ID, compareID)
	if !found {
		q.ready = slices.Insert(q.ready, at, ev)
	}
}

func compareID(ev *Event, id uint64) int {
	switch {
	case ev.ID < id:
		return -1
	case ev.ID > id:
		return 1
	}
	return 0
}

// Next returns the next event that can go on, or nil when none can: one that
// was pending and is handling now, which the caller dispatches and then
// hands to Handled; or one that has finished now, which the caller
// announces.
func (q *Queue) Next() *Event {
	at, _ := slices.BinarySearchFunc(q.ready, q.cursor+1, compareID)
	// An event that was blocked again while it waited its turn is not
	// ready any more.
	for at < len(q.ready) && q.ready[at].Blockers > 0 {
		q.ready = slices.Delete(q.ready, at, at+1)
	}
	switch {
	case at < len(q.ready) && (len(q.pending) == 0 || q.ready[at].ID < q.pending[0].ID):
		ev := q.ready[at]
		q.ready = slices.Delete(q.ready, at, at+1)
		q.cursor = ev.ID
		return q.finish(ev)
	case len(q.pending) > 0:
		ev := q.pending[0]
		q.pending[0] = nil
		q.pending = q.pending[1:]
		q.cursor = ev.ID
		ev.Progress = Handling
		return ev
	case q.cursor > 0:
		// The pass is over. Another begins at the oldest event.
		q.cursor = 0
		if len(q.ready) > 0 {
			return q.Next()
		}
	}
	return nil
}

// Rewind ends the pass: the next one begins at the oldest event. Whoever stops
// taking events before there are none left calls it, since a pass that is never
// over would never come back to an event that was blocked when it was visited.
func (q *Queue) Rewind() { q.cursor = 0 }

// Handled says that ev, which Next returned handling, has been dispatched.
// It reports whether ev has finished at once, since nothing blocks it.
func (q *Queue) Handled(ev *Event) bool {
	if ev.Blockers > 0 {
		return false
	}
	if at, found := slices.BinarySearchFunc(q.ready, ev.ID, compareID); found {
		q.ready = slices.Delete(q.ready, at, at+1)
	}
	q.finish(ev)
	return true
}

func (q *Queue) finish(ev *Event) *Event {
	ev.Progress = Finished
	q.live--
	return ev
}
