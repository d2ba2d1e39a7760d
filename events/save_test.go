package events

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// full is an event of which no field is zero, so that one which is forgotten
// shows.
func full(t *testing.T) *Event {
	t.Helper()
	ev := &Event{ID: 7, Name: "up", Env: Env{"A=1"}, Progress: Finished, Failed: true, Source: FromJob,
		By: &Caller{Pid: 4}, At: time.Second, Instance: 5, Call: 6, File: 8}
	v := reflect.ValueOf(*ev)
	for i := range v.NumField() {
		if name := v.Type().Field(i).Name; v.Field(i).IsZero() && name != "Blockers" {
			t.Fatalf("the event that is saved has no %s", name)
		}
	}
	return ev
}

func TestSaveEvent(t *testing.T) {
	ev := full(t)
	if got := SaveEvent(ev).Restore(); !reflect.DeepEqual(got, ev) {
		t.Errorf("SaveEvent(%+v).Restore() = %+v; want the same", ev, got)
	}
	for _, progress := range []Progress{Pending, Handling, Finished} {
		ev.Progress = progress
		if got := SaveEvent(ev).Handling; got != (progress == Handling) {
			t.Errorf("SaveEvent of an event that is %s: Handling = %t", progress, got)
		}
	}
}

// TestQueueSave: what has not finished is saved, each once and by number,
// whoever yields it.
func TestQueueSave(t *testing.T) {
	var q Queue
	var evs []*Event
	for _, name := range []string{"over", "free", "held", "new", "newer"} {
		evs = append(evs, q.Emit(name, Env{"N=" + name}))
	}
	for range 3 {
		q.Block(q.Next())
	}
	q.Unblock(evs[0])
	q.Unblock(evs[1])
	q.cursor = 0
	if ev := q.Next(); ev != evs[0] || ev.Progress != Finished {
		t.Fatalf("Next() = %v; want the first event, finished", ev)
	}
	saved := q.Save(func(yield func(*Event)) {
		yield(evs[2])
		yield(nil)
		yield(evs[0])
		yield(evs[2])
	})
	var got []string
	for _, ev := range saved.Events {
		got = append(got, fmt.Sprintf("%s %d %t", ev.Name, ev.ID, ev.Handling))
	}
	want := []string{"free 2 true", "held 3 true", "new 4 false", "newer 5 false"}
	if !slices.Equal(got, want) {
		t.Errorf("Save() = %q; want %q", got, want)
	}
	if saved.Last != 5 || saved.Cursor != 1 {
		t.Errorf("Save() has last %d and cursor %d; want 5 and 1", saved.Last, saved.Cursor)
	}

	slices.Reverse(saved.Events) // a file may have them in any order
	again, byID := RestoreQueue(saved)
	if len(byID) != 4 || byID[2] == nil || byID[2].Name != "free" || byID[4].Progress != Pending {
		t.Errorf("RestoreQueue() gives the events %v", byID)
	}
	again.Block(byID[3])
	again.Ready()
	if again.Len() != 4 || len(again.ready) != 1 {
		t.Errorf("the restored queue has %d events, %d of them ready; want 4 and 1", again.Len(), len(again.ready))
	}
	p := pass{q: *again}
	p.want(t, "-free +new -new +newer -newer")
	if ev := p.q.Emit("later", nil); ev.ID != 6 {
		t.Errorf("the restored queue numbers its next event %d; want 6", ev.ID)
	}
}

// TestQueueTwin lives through random lives of queues and conditions, beside a
// twin that is made anew of what was saved after every step.
func TestQueueTwin(t *testing.T) {
	exprs := []string{"a", "a and b", "a or b", "( a and b ) or c", "a and ( b or c )", "a K=1 and a", "c and c and b"}
	rapid.Check(t, func(t *rapid.T) {
		type world struct {
			q     *Queue
			conds []*Condition
			said  []string
		}
		fresh := func() *world { return &world{q: &Queue{}} }
		one, two := fresh(), fresh()
		for range 3 {
			var tokens []Token
			kinds := map[string]Kind{"and": And, "or": Or, "(": Open, ")": Close}
			for _, word := range strings.Fields(rapid.SampledFrom(exprs).Draw(t, "expr")) {
				tokens = append(tokens, Token{Kind: kinds[word], Text: word})
			}
			x, err := Parse(tokens, Token{})
			if err != nil {
				t.Fatal(err)
			}
			one.conds = append(one.conds, NewCondition(x))
			two.conds = append(two.conds, NewCondition(x))
		}
		step := func(w *world, what int, name string, env Env) {
			switch what {
			case 0, 1:
				w.q.Emit(name, env)
			case 2, 3, 4:
				ev := w.q.Next()
				if ev == nil {
					w.said = append(w.said, "nothing")
					return
				}
				w.said = append(w.said, fmt.Sprintf("%s %d %s %v", ev.Name, ev.ID, ev.Progress, ev.Env))
				if ev.Progress == Handling {
					for _, c := range w.conds {
						c.Handle(w.q, ev, none)
					}
					w.said = append(w.said, fmt.Sprint(w.q.Handled(ev)))
				}
			default:
				c := w.conds[what-5]
				w.said = append(w.said, fmt.Sprint(c.True(), names(c.Events()), c.Reset(w.q), c.True()))
			}
		}
		renew := func(w *world) {
			gone := make(map[uint64]*Event)
			saved := w.q.Save(func(yield func(*Event)) {
				for _, c := range w.conds {
					c.Held(yield)
				}
			})
			var operands [][]SavedOperand
			for _, c := range w.conds {
				operands = append(operands, c.Save())
				c.Remembered(func(ev *Event) { gone[ev.ID] = SaveEvent(ev).Restore() })
			}
			q, byID := RestoreQueue(saved)
			for id, ev := range gone {
				if byID[id] == nil {
					byID[id] = ev
				}
			}
			for i, c := range w.conds {
				w.conds[i] = NewCondition(c.Expr())
				w.conds[i].Restore(q, operands[i], byID)
			}
			q.Ready()
			w.q = q
		}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			what := rapid.IntRange(0, 7).Draw(t, "what")
			name := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name")
			env := rapid.SampledFrom([]Env{nil, {"K=1"}}).Draw(t, "env")
			step(one, what, name, env)
			step(two, what, name, env)
			renew(two)
			if got, want := two.said, one.said; !slices.Equal(got, want) {
				t.Fatalf("the twin did %q; want %q", got, want)
			}
			for i, c := range one.conds {
				for node := range c.Expr().Nodes {
					a, b := c.Last(node), two.conds[i].Last(node)
					if (a == nil) != (b == nil) || a != nil && a.ID != b.ID {
						t.Fatalf("operand %d of %s came last with %v, and that of its twin with %v", node, c.Expr(), a, b)
					}
				}
			}
		}
	})
}

// TestConditionRestore: what does not fit is left out, the rest is taken.
func TestConditionRestore(t *testing.T) {
	var q Queue
	held, other := q.Emit("a", nil), q.Emit("b", nil)
	q.Next()
	over := &Event{ID: 9, Name: "b", Progress: Finished}
	byID := map[uint64]*Event{1: held, 2: other, 9: over}
	for _, test := range []struct {
		saved []SavedOperand
		want  string // for each node the number of its event and of its last one
		true  bool
	}{
		{nil, "", false},
		{[]SavedOperand{{Node: 0, Event: 1}}, "1/1 0/0 0/0", false},
		{[]SavedOperand{{Node: 0, Event: 1}, {Node: 1, Event: 2}}, "1/1 2/2 0/0", true},
		{[]SavedOperand{{Node: 1, Event: 2}, {Node: 0, Event: 1}}, "1/1 2/2 0/0", true},
		{[]SavedOperand{{Node: 1, Last: 9}, {Node: 0, Event: 1}}, "1/1 0/9 0/0", false},
		{[]SavedOperand{{Node: 1, Event: 9, Last: 9}}, "0/0 0/9 0/0", false},
		{[]SavedOperand{{Node: -1, Event: 1}, {Node: 0, Event: 1}}, "1/1 0/0 0/0", false},
		{[]SavedOperand{{Node: 3, Event: 1}, {Node: 0, Event: 1}}, "1/1 0/0 0/0", false},
		{[]SavedOperand{{Node: 2, Event: 1}, {Node: 0, Event: 1}}, "1/1 0/0 0/0", false},
		{[]SavedOperand{{Node: 0, Event: 1}, {Node: 0, Event: 2}, {Node: 1, Event: 2}}, "1/1 2/2 0/0", true},
		{[]SavedOperand{{Node: 0, Event: 5}, {Node: 1, Event: 2}}, "0/0 2/2 0/0", false},
	} {
		c := NewCondition(expr(t, "a and b"))
		c.Restore(&q, test.saved, byID)
		var got []string
		blocks := make(map[*Event]int)
		number := func(ev *Event) uint64 {
			if ev == nil {
				return 0
			}
			return ev.ID
		}
		if c.nodes != nil {
			for i := range c.nodes {
				ev, _ := c.Came(i)
				if ev != nil {
					blocks[ev]++
				}
				got = append(got, fmt.Sprintf("%d/%d", number(ev), number(c.Last(i))))
			}
		}
		if text := strings.Join(got, " "); text != test.want || c.True() != test.true {
			t.Errorf("Restore(%v) = %q, %t; want %q, %t", test.saved, text, c.True(), test.want, test.true)
		}
		for _, ev := range []*Event{held, other} {
			if ev.Blockers != blocks[ev] {
				t.Errorf("Restore(%v): %s has %d blockers; want %d", test.saved, ev.Name, ev.Blockers, blocks[ev])
			}
		}
		c.Reset(&q)
	}
}

// A condition that is nil has nothing, and what never saw an event neither.
func TestConditionWithoutEvents(t *testing.T) {
	var q Queue
	never := func(ev *Event) { t.Errorf("the event %v is yielded", ev) }
	for _, c := range []*Condition{nil, NewCondition(expr(t, "a and b"))} {
		c.Held(never)
		c.Remembered(never)
		if got := c.Save(); got != nil {
			t.Errorf("Save() of a condition without events = %v; want nothing", got)
		}
		if got := c.Last(0); got != nil {
			t.Errorf("Last() of a condition without events = %v; want none", got)
		}
		c.Restore(&q, nil, nil)
	}
	var none *Condition
	none.Restore(&q, []SavedOperand{{Node: 0, Event: 1}}, nil)
}

// TestConditionLast: what came last is known after Reset, and passes over to
// the condition that takes its place.
func TestConditionLast(t *testing.T) {
	var q Queue
	old := NewCondition(expr(t, "a and b and c"))
	first := come(&q, old, "a")
	if got := old.Last(0); got != first {
		t.Errorf("Last(0) = %v; want the event that came", got)
	}
	b := come(&q, old, "b")
	old.Reset(&q)
	if got := old.Last(0); got != first {
		t.Errorf("Last(0) after Reset = %v; want the event that came", got)
	}
	var held []string
	old.Held(func(ev *Event) { held = append(held, ev.Name) })
	if len(held) > 0 {
		t.Errorf("after Reset the events %q are held", held)
	}
	second := come(&q, old, "a")
	var kept []string
	old.Remembered(func(ev *Event) { kept = append(kept, fmt.Sprintf("%s%d", ev.Name, ev.ID)) })
	if got, want := strings.Join(kept, " "), fmt.Sprintf("a%d b%d", second.ID, b.ID); got != want {
		t.Errorf("Remembered() yields %q; want %q", got, want)
	}

	c := NewCondition(expr(t, "x and b and d and a and b"))
	c.Adopt(&q, old, nil)
	var got []string
	for i, node := range c.Expr().Nodes {
		if node.Op != OpMatch {
			if c.Last(i) != nil {
				t.Errorf("the operator at %d came with an event", i)
			}
			continue
		}
		if ev := c.Last(i); ev != nil {
			got = append(got, fmt.Sprintf("%s%d", node.Match.Name, ev.ID))
		} else {
			got = append(got, node.Match.Name)
		}
	}
	if text, want := strings.Join(got, " "), fmt.Sprintf("x b%d d a%d b%d", b.ID, second.ID, b.ID); text != want {
		t.Errorf("after Adopt the operands came last with %q; want %q", text, want)
	}
	if ev, _ := c.Came(5); ev != second {
		t.Errorf("after Adopt a is held with %v; want its event", ev)
	}
	// What is held is newer than what is remembered, and stays.
	newer := NewCondition(expr(t, "a or x"))
	newer.Adopt(&q, c, nil)
	if newer.Last(0) != second || !newer.True() {
		t.Errorf("after Adopt of what is held: Last(0) = %v, True() = %t; want the event, true", newer.Last(0), newer.True())
	}
	newer.Adopt(&q, nil, nil)
	if !newer.True() {
		t.Error("Adopt of nothing changed the condition")
	}
}
