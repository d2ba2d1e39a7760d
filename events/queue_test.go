package events

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// pass drives a queue and writes down what it returns: "+name" when an event
// begins to be handled, "-name" when it finishes.
type pass struct {
	q    Queue
	said []string
	// dispatch is what happens while an event is handled.
	dispatch func(ev *Event)
}

func (p *pass) run() string {
	p.said = nil
	for {
		ev := p.q.Next()
		if ev == nil {
			return strings.Join(p.said, " ")
		}
		if ev.Progress == Handling {
			p.said = append(p.said, "+"+ev.Name)
			if p.dispatch != nil {
				p.dispatch(ev)
			}
			if !p.q.Handled(ev) {
				continue
			}
		}
		p.said = append(p.said, "-"+ev.Name)
	}
}

func (p *pass) want(t *testing.T, want string) {
	t.Helper()
	if got := p.run(); got != want {
		t.Errorf("the queue did %q; want %q", got, want)
	}
}

func TestQueueOrder(t *testing.T) {
	var p pass
	p.want(t, "")
	p.q.Emit("a", nil)
	p.q.Emit("b", nil)
	p.want(t, "+a -a +b -b")
	if p.q.Len() != 0 {
		t.Errorf("Len() = %d; want 0", p.q.Len())
	}
}

// TestQueueSamePass: events emitted meanwhile belong to the pass.
func TestQueueSamePass(t *testing.T) {
	p := &pass{}
	p.dispatch = func(ev *Event) {
		if ev.Name == "a" {
			p.q.Emit("c", nil)
		}
	}
	p.q.Emit("a", nil)
	p.q.Emit("b", nil)
	p.want(t, "+a -a +b -b +c -c")
}

// TestQueueBlocked: a blocked event waits, the others go on.
func TestQueueBlocked(t *testing.T) {
	p := &pass{}
	p.dispatch = func(ev *Event) {
		if ev.Name == "a" {
			p.q.Block(ev)
			p.q.Block(ev)
		}
	}
	a := p.q.Emit("a", nil)
	p.q.Emit("b", nil)
	p.want(t, "+a +b -b")
	if got := p.q.Len(); got != 1 {
		t.Errorf("Len() = %d; want 1", got)
	}
	p.q.Unblock(a)
	p.want(t, "")
	p.q.Unblock(a)
	p.want(t, "-a")
	if a.Progress != Finished {
		t.Errorf("Progress = %s; want finished", a.Progress)
	}
}

// TestQueueReleasedBehind: an event that is released by a later one is
// behind the pass; it finishes in the next one, after what is emitted now.
func TestQueueReleasedBehind(t *testing.T) {
	p := &pass{}
	var a *Event
	p.dispatch = func(ev *Event) {
		switch ev.Name {
		case "a":
			p.q.Block(ev)
		case "b":
			p.q.Unblock(a)
			p.q.Emit("c", nil)
		}
	}
	a = p.q.Emit("a", nil)
	p.q.Emit("b", nil)
	p.want(t, "+a +b -b +c -c -a")
}

// TestQueueRewind: when the pass is ended early, it finishes first.
func TestQueueRewind(t *testing.T) {
	p := &pass{}
	var a *Event
	p.dispatch = func(ev *Event) {
		switch ev.Name {
		case "a":
			p.q.Block(ev)
		case "b":
			p.q.Unblock(a)
			p.q.Emit("c", nil)
			p.q.Rewind()
		}
	}
	a = p.q.Emit("a", nil)
	p.q.Emit("b", nil)
	p.want(t, "+a +b -b -a +c -c")
}

// TestQueueReleasedAhead: one that is released by an earlier one is still
// ahead, and finishes in its place.
func TestQueueReleasedAhead(t *testing.T) {
	p := &pass{}
	p.dispatch = func(ev *Event) { p.q.Block(ev) }
	a, b, c := p.q.Emit("a", nil), p.q.Emit("b", nil), p.q.Emit("c", nil)
	p.want(t, "+a +b +c")
	p.q.Unblock(c)
	p.q.Unblock(a)
	p.dispatch = nil
	p.q.Emit("d", nil)
	p.want(t, "-a -c +d -d")
	p.q.Unblock(b)
	p.want(t, "-b")
}

// TestQueueBlockedAgain: an event that got a new blocker while it waited its
// turn is not finished.
func TestQueueBlockedAgain(t *testing.T) {
	p := &pass{dispatch: func(ev *Event) {}}
	p.dispatch = func(ev *Event) { p.q.Block(ev) }
	a := p.q.Emit("a", nil)
	p.want(t, "+a")
	p.q.Unblock(a)
	p.q.Block(a)
	p.want(t, "")
	p.q.Unblock(a)
	p.want(t, "-a")
	p.want(t, "")
}

// TestQueueReleasedWhileHandled: blocked and released again within its own
// handling, an event finishes once.
func TestQueueReleasedWhileHandled(t *testing.T) {
	p := &pass{}
	p.dispatch = func(ev *Event) {
		p.q.Block(ev)
		p.q.Unblock(ev)
	}
	p.q.Emit("a", nil)
	p.want(t, "+a -a")
	p.want(t, "")
}

func panics(f func()) (did bool) {
	defer func() { did = recover() != nil }()
	f()
	return false
}

// TestQueueMisuse: what would lose an event or resume it twice is a fault of
// ours, and loud.
func TestQueueMisuse(t *testing.T) {
	var p pass
	a := p.q.Emit("a", nil)
	if !panics(func() { p.q.Unblock(a) }) {
		t.Errorf("Unblock of an event without blockers did not panic")
	}
	p.run()
	if !panics(func() { p.q.Block(a) }) {
		t.Errorf("Block of a finished event did not panic")
	}
}

// naive is the queue said in as few words as possible: look at all events in
// order, again and again.
type naive struct {
	events []*naiveEvent
}

type naiveEvent struct {
	name     string
	handling bool
	finished bool
	blockers int
}

func (n *naive) run(dispatch func(i int)) string {
	var said []string
	for moved := true; moved; {
		moved = false
		for i := 0; i < len(n.events); i++ {
			ev := n.events[i]
			if !ev.handling {
				ev.handling, moved = true, true
				said = append(said, "+"+ev.name)
				dispatch(i)
			}
			if !ev.finished && ev.blockers == 0 {
				ev.finished, moved = true, true
				said = append(said, "-"+ev.name)
			}
		}
	}
	return strings.Join(said, " ")
}

// TestQueueAsNaive compares the queue with the naive one under random
// blocking, releasing and emitting, in and between passes.
func TestQueueAsNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := &pass{}
		n := &naive{}
		var evs []*Event
		emit := func() {
			name := fmt.Sprint(len(evs))
			evs = append(evs, p.q.Emit(name, nil))
			n.events = append(n.events, &naiveEvent{name: name})
		}
		// script is what happens while the event of that number is handled;
		// drawn once, played in both.
		type act struct {
			what string
			on   int
		}
		scripts := map[int][]act{}
		script := func(i int) []act {
			if acts, ok := scripts[i]; ok {
				return acts
			}
			var acts []act
			for range rapid.IntRange(0, 3).Draw(t, "acts") {
				acts = append(acts, act{rapid.SampledFrom([]string{"block", "block", "unblock", "emit"}).Draw(t, "act"), rapid.IntRange(0, 8).Draw(t, "on")})
			}
			scripts[i] = acts
			return acts
		}
		p.dispatch = func(ev *Event) {
			for _, a := range script(int(ev.ID) - 1) {
				switch {
				case a.what == "emit" && len(evs) < 12:
					evs = append(evs, p.q.Emit(fmt.Sprint(len(evs)), nil))
				case a.what == "block" && a.on < len(evs) && evs[a.on].Progress == Handling:
					p.q.Block(evs[a.on])
				case a.what == "unblock" && a.on < len(evs) && evs[a.on].Blockers > 0:
					p.q.Unblock(evs[a.on])
				}
			}
		}
		dispatch := func(i int) {
			for _, a := range script(i) {
				switch {
				case a.what == "emit" && len(n.events) < 12:
					n.events = append(n.events, &naiveEvent{name: fmt.Sprint(len(n.events))})
				case a.what == "block" && a.on < len(n.events) && n.events[a.on].handling && !n.events[a.on].finished:
					n.events[a.on].blockers++
				case a.what == "unblock" && a.on < len(n.events) && n.events[a.on].blockers > 0:
					n.events[a.on].blockers--
				}
			}
		}
		for range rapid.IntRange(1, 6).Draw(t, "rounds") {
			for range rapid.IntRange(0, 2).Draw(t, "new") {
				emit()
			}
			if len(evs) > 0 {
				if i := rapid.IntRange(0, len(evs)-1).Draw(t, "freed"); evs[i].Blockers > 0 {
					p.q.Unblock(evs[i])
					n.events[i].blockers--
				}
			}
			got, want := p.run(), n.run(dispatch)
			if got != want {
				t.Fatalf("the queue did %q; want %q", got, want)
			}
			live := 0
			for _, ev := range n.events {
				if !ev.finished {
					live++
				}
			}
			if p.q.Len() != live {
				t.Fatalf("Len() = %d; want %d", p.q.Len(), live)
			}
		}
	})
}
