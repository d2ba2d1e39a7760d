package events

import (
	"cmp"
	"slices"
	"time"
)

// Saved is a queue as data: what it takes to make an equal one.
type Saved struct {
	Last   uint64
	Cursor uint64
	// Events are all that have not finished, by ID. Blockers is not kept:
	// whoever blocks an event does so again, see Restore.
	Events []SavedEvent
}

// SavedEvent is an event of a Saved.
type SavedEvent struct {
	ID       uint64
	Name     string
	Env      Env
	Handling bool
	Failed   bool
	Instance uint64
	Call     uint64
	File     uint64
	At       time.Duration
	Source   Source
	By       *Caller
}

// SaveEvent returns an event as data.
func SaveEvent(ev *Event) SavedEvent {
	return SavedEvent{ID: ev.ID, Name: ev.Name, Env: ev.Env, Handling: ev.Progress == Handling, Failed: ev.Failed,
		Instance: ev.Instance, Call: ev.Call, At: ev.At, Source: ev.Source, By: ev.By, File: ev.File}
}

// Restore makes an event that has finished of one that was saved.
func (s SavedEvent) Restore() *Event {
	return &Event{ID: s.ID, Name: s.Name, Env: s.Env, Progress: Finished, Failed: s.Failed,
		Instance: s.Instance, Call: s.Call, At: s.At, Source: s.Source, By: s.By, File: s.File}
}

// Save returns the queue as data. live yields every event that is being
// handled, in any order and more than once if need be: the queue itself
// remembers those only that can go on.
func (q *Queue) Save(live func(yield func(*Event))) Saved {
	s := Saved{Last: q.last, Cursor: q.cursor}
	seen := make(map[uint64]bool)
	add := func(ev *Event) {
		if ev == nil || seen[ev.ID] || ev.Progress == Finished {
			return
		}
		seen[ev.ID] = true
		s.Events = append(s.Events, SaveEvent(ev))
	}
	live(add)
	for _, ev := range q.ready {
		add(ev)
	}
	for _, ev := range q.pending {
		add(ev)
	}
	sortSaved(s.Events)
	return s
}

func sortSaved(evs []SavedEvent) {
	slices.SortFunc(evs, func(a, b SavedEvent) int { return cmp.Compare(a.ID, b.ID) })
}

// RestoreQueue makes a queue of what Save returned, and its events by ID.
// Nothing blocks them yet: the caller gives each its blockers through Block,
// and then calls Ready.
func RestoreQueue(s Saved) (*Queue, map[uint64]*Event) {
	q := &Queue{last: s.Last, cursor: s.Cursor, live: len(s.Events)}
	byID := make(map[uint64]*Event, len(s.Events))
	sortSaved(s.Events)
	for _, saved := range s.Events {
		ev := saved.Restore()
		ev.Progress = Pending
		if saved.Handling {
			ev.Progress = Handling
			q.ready = append(q.ready, ev)
		} else {
			q.pending = append(q.pending, ev)
		}
		byID[ev.ID] = ev
	}
	return q, byID
}

// Ready settles which of the restored events can finish, after all blockers
// were given.
func (q *Queue) Ready() {
	q.ready = slices.DeleteFunc(q.ready, func(ev *Event) bool { return ev.Blockers > 0 })
}

// SavedOperand is an operand of a condition that has come, with its event. Of
// one that came earlier Event is 0, and Last the event that it came with.
type SavedOperand struct {
	Node  int
	Event uint64
	Last  uint64
}

// Save returns the operands that have come, now or ever; nil for a condition
// that is nil.
func (c *Condition) Save() []SavedOperand {
	if c == nil {
		return nil
	}
	var out []SavedOperand
	for i := range c.nodes {
		if ev := c.nodes[i].event; ev != nil {
			out = append(out, SavedOperand{Node: i, Event: ev.ID})
		} else if last := c.nodes[i].last; last != nil {
			out = append(out, SavedOperand{Node: i, Last: last.ID})
		}
	}
	return out
}

// Restore gives back what Save returned; byID has what is in the queue and
// what is remembered. An operand that the expression does not have, or an
// event that is not there any more, is left out.
func (c *Condition) Restore(q *Queue, saved []SavedOperand, byID map[uint64]*Event) {
	if c == nil || len(saved) == 0 {
		return
	}
	c.room()
	for _, s := range saved {
		if s.Node < 0 || s.Node >= len(c.nodes) || c.expr.Nodes[s.Node].Op != OpMatch || c.nodes[s.Node].value {
			continue
		}
		ev := byID[s.Event]
		if ev == nil || ev.Progress == Finished {
			c.nodes[s.Node].last = byID[s.Last]
			continue
		}
		c.nodes[s.Node] = cell{value: true, event: ev, last: ev}
		q.Block(ev)
	}
	c.update()
}

// Held yields the events that the condition holds.
func (c *Condition) Held(yield func(*Event)) {
	if c == nil {
		return
	}
	for i := range c.nodes {
		if ev := c.nodes[i].event; ev != nil {
			yield(ev)
		}
	}
}

// Remembered yields the events that operands came with last.
func (c *Condition) Remembered(yield func(*Event)) {
	if c == nil {
		return
	}
	for i := range c.nodes {
		if ev := c.nodes[i].last; ev != nil {
			yield(ev)
		}
	}
}
