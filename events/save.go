package events

import (
	"cmp"
	"slices"
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
		s.Events = append(s.Events, SavedEvent{ID: ev.ID, Name: ev.Name, Env: ev.Env,
			Handling: ev.Progress == Handling, Failed: ev.Failed, Instance: ev.Instance, Call: ev.Call})
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
		ev := &Event{ID: saved.ID, Name: saved.Name, Env: saved.Env, Failed: saved.Failed,
			Instance: saved.Instance, Call: saved.Call}
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

// SavedOperand is an operand of a condition that has come, with its event.
type SavedOperand struct {
	Node  int
	Event uint64
}

// Save returns the operands that have come; nil for a condition that is nil.
func (c *Condition) Save() []SavedOperand {
	if c == nil {
		return nil
	}
	var out []SavedOperand
	for i := range c.nodes {
		if ev := c.nodes[i].event; ev != nil {
			out = append(out, SavedOperand{Node: i, Event: ev.ID})
		}
	}
	return out
}

// Restore gives back what Save returned. An operand that the expression does
// not have, or an event that is not there any more, is left out.
func (c *Condition) Restore(q *Queue, saved []SavedOperand, byID map[uint64]*Event) {
	if c == nil {
		return
	}
	for _, s := range saved {
		ev := byID[s.Event]
		if ev == nil || s.Node < 0 || s.Node >= len(c.nodes) || c.expr.Nodes[s.Node].Op != OpMatch || c.nodes[s.Node].value {
			continue
		}
		c.nodes[s.Node] = cell{value: true, event: ev}
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
