package events

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// expr makes an expression of a text without quotes; "(" and ")" stand
// alone.
func expr(t testing.TB, text string) *Expr {
	t.Helper()
	var tokens []Token
	for i, word := range strings.Fields(text) {
		kind := Word
		switch word {
		case "and":
			kind = And
		case "or":
			kind = Or
		case "(":
			kind = Open
		case ")":
			kind = Close
		}
		tokens = append(tokens, Token{Kind: kind, Text: word, Line: 1, Col: i + 1})
	}
	x, err := Parse(tokens, Token{Line: 1, Col: 99})
	if err != nil {
		t.Fatalf("Parse(%q) = %v", text, err)
	}
	return x
}

func none(string) (string, bool) { return "", false }

// come lets a condition see an event that is being handled.
func come(q *Queue, c *Condition, name string, env ...string) *Event {
	ev := q.Emit(name, env)
	for next := q.Next(); next != ev; next = q.Next() {
	}
	c.Handle(q, ev, none)
	return ev
}

func names(evs []*Event) string {
	var out []string
	for _, ev := range evs {
		out = append(out, ev.Name+strings.Join(ev.Env, ","))
	}
	return strings.Join(out, " ")
}

func TestConditionEvents(t *testing.T) {
	tests := []struct {
		expr, come string
		true       bool
		events     string
	}{
		{"a", "b", false, ""},
		{"a", "a", true, "a"},
		{"a and b", "a", false, ""},
		{"a and b", "b", false, ""},
		{"a and b", "b a", true, "a b"},
		{"a or b", "b", true, "b"},
		{"a or b and c", "a", false, ""},
		{"a or b and c", "a c", true, "a c"},
		{"a and b or c", "c", true, "c"},
		{"a and b or c", "a c", true, "c"},
		{"a or ( b and c )", "b a", true, "a"},
		{"a or ( b and c )", "b c", true, "b c"},
		{"( a or b ) and ( c or d )", "a d", true, "a d"},
		{"( a or b ) and ( c or d )", "a b d", true, "a b d"},
		{"( a and b ) or ( c and d )", "a c d", true, "c d"},
		{"a and a", "a", true, "a a"},
		{"( a and b ) and a", "a b", true, "a b a"},
		{"( a and b ) or a", "a", true, "a"},
		{"a x and a y", "a:K=x", false, ""},
		{"a x and a y", "a:K=y a:K=x", true, "aK=x aK=y"},
		{"a K=x and a", "a:K=x", true, "aK=x aK=x"},
	}
	for _, test := range tests {
		var q Queue
		c := NewCondition(expr(t, test.expr))
		for _, word := range strings.Fields(test.come) {
			name, entry, found := strings.Cut(word, ":")
			var env []string
			if found {
				env = []string{entry}
			}
			come(&q, c, name, env...)
		}
		if got := c.True(); got != test.true {
			t.Errorf("%q after %q: True() = %t; want %t", test.expr, test.come, got, test.true)
		}
		if got := names(c.Events()); got != test.events {
			t.Errorf("%q after %q: Events() = %q; want %q", test.expr, test.come, got, test.events)
		}
	}
}

// TestConditionHolds: each operand that comes blocks its event, a second
// occurrence does not, and Reset gives everything back.
func TestConditionHolds(t *testing.T) {
	var q Queue
	c := NewCondition(expr(t, "a and b and a K=1"))
	a := come(&q, c, "a", "K=1")
	if a.Blockers != 2 {
		t.Errorf("the event of two operands has %d blockers; want 2", a.Blockers)
	}
	again := come(&q, c, "a", "K=1")
	if again.Blockers != 0 {
		t.Errorf("the second occurrence has %d blockers; want 0", again.Blockers)
	}
	if ev, come := c.Came(0); ev != a || !come {
		t.Errorf("Came(0) = %v, %t; want the first event", ev, come)
	}
	if !c.Reset(&q) {
		t.Errorf("Reset() = false; want true, for something was held")
	}
	if a.Blockers != 0 || c.True() {
		t.Errorf("after Reset the event has %d blockers, and True() = %t", a.Blockers, c.True())
	}
	if _, come := c.Came(0); come {
		t.Errorf("after Reset the first operand has come")
	}
	if c.Reset(&q) {
		t.Errorf("Reset() again = true; want false")
	}
	come(&q, c, "b")
	if c.True() {
		t.Errorf("the condition is true after Reset and b")
	}
}

func TestConditionNil(t *testing.T) {
	var q Queue
	c := NewCondition(nil)
	ev := q.Emit("a", nil)
	if c != nil || c.Handle(&q, ev, none) || c.True() || c.Reset(&q) {
		t.Errorf("a condition without an expression does something")
	}
	c.Adopt(&q, nil, nil)
}

// TestConditionLookup: patterns are expanded by the lookup of the moment.
func TestConditionLookup(t *testing.T) {
	var q Queue
	c := NewCondition(expr(t, "down N=$N"))
	ev := q.Emit("down", Env{"N=1"})
	q.Next()
	if c.Handle(&q, ev, none) {
		t.Errorf("an unset variable matched")
	}
	if c.Handle(&q, ev, func(string) (string, bool) { return "2", true }) {
		t.Errorf("another value matched")
	}
	if !c.Handle(&q, ev, func(string) (string, bool) { return "?", true }) {
		t.Errorf("the value, a glob, did not match")
	}
}

func TestConditionAdopt(t *testing.T) {
	tests := []struct {
		old, come, new string
		true           bool
		kept           string // operands that have come, by number
		freed          string // events let go
	}{
		{"a and b", "a", "a and c", false, "0", ""},
		{"a and b", "a", "c and a", false, "1", ""},
		{"a and b", "a", "b and c", false, "", "a"},
		{"a and b", "a", "a", true, "0", ""},
		{"a and b", "a", "a x and b", false, "", "a"},
		{"a and b and a", "a", "a and b", false, "0", ""},
		{"a and b", "a", "a and a", true, "0 1", ""},
		{"a K=1 and b", "a:K=1", "a and b", false, "0", ""},
		{"a and b", "a:K=1", "a K=1 and b", false, "0", ""},
		{"a and b", "a:K=2", "a K=1 and b", false, "", "a"},
		{"a and b", "", "b and c", false, "", ""},
		{"a and b", "a", "a or c", true, "0", ""},
		{"a and b", "a", "c and d and a", false, "3", ""},
	}
	for _, test := range tests {
		var q Queue
		old := NewCondition(expr(t, test.old))
		var evs []*Event
		for _, word := range strings.Fields(test.come) {
			name, entry, found := strings.Cut(word, ":")
			var env []string
			if found {
				env = []string{entry}
			}
			evs = append(evs, come(&q, old, name, env...))
		}
		c := NewCondition(expr(t, test.new))
		c.Adopt(&q, old, nil)
		var kept, freed []string
		holds := map[*Event]int{}
		for i := range c.Expr().Nodes {
			ev, came := c.Came(i)
			if came && c.Expr().Nodes[i].Op == OpMatch {
				kept = append(kept, string(rune('0'+i)))
				holds[ev]++
			}
		}
		for _, ev := range evs {
			if ev.Blockers != holds[ev] {
				t.Errorf("%q to %q: %s has %d blockers and is held %d times", test.old, test.new, ev.Name, ev.Blockers, holds[ev])
			}
			if ev.Blockers == 0 {
				freed = append(freed, ev.Name)
			}
		}
		if got := strings.Join(kept, " "); got != test.kept {
			t.Errorf("%q to %q: kept %q; want %q", test.old, test.new, got, test.kept)
		}
		if got := strings.Join(freed, " "); got != test.freed {
			t.Errorf("%q to %q: freed %q; want %q", test.old, test.new, got, test.freed)
		}
		if got := c.True(); got != test.true {
			t.Errorf("%q to %q: True() = %t; want %t", test.old, test.new, got, test.true)
		}
	}
	// Dropped altogether.
	var q Queue
	old := NewCondition(expr(t, "a and b"))
	ev := come(&q, old, "a")
	NewCondition(nil).Adopt(&q, old, nil)
	if ev.Blockers != 0 {
		t.Errorf("a held event has %d blockers after its expression went; want 0", ev.Blockers)
	}
}

// tree is an expression as a reader sees it, for comparing.
type tree struct {
	name        string
	and         bool
	left, right *tree
}

func (x *tree) text() string {
	if x.left == nil {
		return x.name
	}
	op := " or "
	if x.and {
		op = " and "
	}
	return "( " + x.left.text() + op + x.right.text() + " )"
}

func (x *tree) value(come map[string]bool) bool {
	switch {
	case x.left == nil:
		return come[x.name]
	case x.and:
		return x.left.value(come) && x.right.value(come)
	}
	return x.left.value(come) || x.right.value(come)
}

// events are the leaves that made it true, in order.
func (x *tree) events(come map[string]bool) []string {
	switch {
	case !x.value(come):
		return nil
	case x.left == nil:
		return []string{x.name}
	}
	return append(x.left.events(come), x.right.events(come)...)
}

func drawTree(t *rapid.T, depth int) *tree {
	if depth == 0 || rapid.IntRange(0, 2).Draw(t, "leaf") == 0 {
		return &tree{name: rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}).Draw(t, "name")}
	}
	return &tree{and: rapid.Bool().Draw(t, "and"), left: drawTree(t, depth-1), right: drawTree(t, depth-1)}
}

// TestConditionAsTree compares with the value of the tree, at any nesting.
func TestConditionAsTree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := drawTree(t, 4)
		words := strings.Fields(x.text())
		var tokens []Token
		kinds := map[string]Kind{"and": And, "or": Or, "(": Open, ")": Close}
		for _, word := range words {
			tokens = append(tokens, Token{Kind: kinds[word], Text: word})
		}
		parsed, err := Parse(tokens, Token{})
		if err != nil {
			t.Fatalf("Parse(%q) = %v", x.text(), err)
		}
		var q Queue
		c := NewCondition(parsed)
		have := map[string]bool{}
		for range rapid.IntRange(0, 8).Draw(t, "events") {
			name := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f"}).Draw(t, "event")
			have[name] = true
			come(&q, c, name)
			if got, want := c.True(), x.value(have); got != want {
				t.Fatalf("%s after %v: True() = %t; want %t", x.text(), have, got, want)
			}
			if got, want := names(c.Events()), strings.Join(x.events(have), " "); got != want {
				t.Fatalf("%s after %v: Events() = %q; want %q", x.text(), have, got, want)
			}
		}
	})
}

// What came last is remembered beyond Reset, by a condition that takes over,
// and by one that is restored.
func TestConditionRemembers(t *testing.T) {
	var q Queue
	c := NewCondition(expr(t, "up and ( go or up )"))
	last := func(c *Condition) string {
		var out []string
		for i, node := range c.Expr().Nodes {
			if node.Op != OpMatch {
				continue
			}
			text := "-"
			if ev := c.Last(i); ev != nil {
				text = ev.Env[0]
			}
			out = append(out, text)
		}
		return strings.Join(out, " ")
	}
	check := func(what string, c *Condition, want string) {
		t.Helper()
		if got := last(c); got != want {
			t.Errorf("%s: Last = %q; want %q", what, got, want)
		}
	}
	check("before anything", c, "- - -")
	come(&q, c, "up", "1")
	come(&q, c, "up", "2") // while the first is held
	check("held", c, "1 - 1")
	c.Reset(&q)
	check("after Reset", c, "1 - 1")
	come(&q, c, "go", "3")
	check("with another", c, "1 3 1")

	byID := map[uint64]*Event{}
	c.Remembered(func(ev *Event) {
		if ev.Progress != Finished {
			byID[ev.ID] = ev
		} else {
			byID[ev.ID] = SaveEvent(ev).Restore()
		}
	})
	again := NewCondition(c.Expr())
	again.Restore(&q, c.Save(), byID)
	check("restored", again, "1 3 1")
	// An event that has finished is remembered and never held.
	again = NewCondition(c.Expr())
	again.Restore(&q, []SavedOperand{{Node: 0, Event: 7, Last: 7}}, map[uint64]*Event{7: {ID: 7, Env: Env{"x"}, Progress: Finished}})
	check("restored without the event", again, "x - -")
	if _, came := again.Came(0); came {
		t.Error("a finished event is held")
	}

	next := NewCondition(expr(t, "down or go or up"))
	next.Adopt(&q, c, nil)
	check("adopted", next, "- 3 1")
	if ev, came := next.Came(1); !came || ev.Env[0] != "3" {
		t.Error("what was held is not")
	}
	if _, came := next.Came(3); came {
		t.Error("what was only remembered is held")
	}
	var none *Condition
	if none.Last(0) != nil {
		t.Error("Last of no condition")
	}
}
