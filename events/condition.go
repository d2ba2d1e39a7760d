package events

// Condition is the memory of one expression: which operands have come, and
// with which event. A class has one for its "start on", each instance one
// for its "stop on". An event whose operand it holds is blocked by it until
// Reset.
type Condition struct {
	expr *Expr
	// nodes is nil until an operand comes for the first time: most
	// conditions of most jobs never see an event.
	nodes []cell
}

type cell struct {
	value bool
	event *Event // the event of an operand that has come
	last  *Event // the one that it came with last, which may be long ago
}

// NewCondition makes a condition in which nothing has come yet; nil for an
// expression that is nil.
func NewCondition(expr *Expr) *Condition {
	if expr == nil {
		return nil
	}
	return &Condition{expr: expr}
}

// room makes the cells.
func (c *Condition) room() {
	if c.nodes == nil {
		c.nodes = make([]cell, len(c.expr.Nodes))
	}
}

// Expr returns the expression.
func (c *Condition) Expr() *Expr { return c.expr }

// Handle lets the operands see an event. Each that matches and has not come
// yet comes now and blocks the event in q. It reports whether any did.
func (c *Condition) Handle(q *Queue, ev *Event, lookup Lookup) bool {
	if c == nil {
		return false
	}
	any := false
	for i, node := range c.expr.Nodes {
		if node.Op != OpMatch || c.nodes != nil && c.nodes[i].value || !node.Match.Matches(ev.Name, ev.Env, lookup) {
			continue
		}
		c.room()
		c.nodes[i] = cell{value: true, event: ev, last: ev}
		q.Block(ev)
		any = true
	}
	if any {
		c.update()
	}
	return any
}

// update gives the operators their values from those of their operands.
func (c *Condition) update() {
	c.walk(func(i, left, right int) {
		if c.expr.Nodes[i].Op == OpAnd {
			c.nodes[i].value = c.nodes[left].value && c.nodes[right].value
		} else {
			c.nodes[i].value = c.nodes[left].value || c.nodes[right].value
		}
	})
}

// walk calls visit for each operator with the nodes of its two sides,
// operands before operators.
func (c *Condition) walk(visit func(i, left, right int)) {
	var room [16]int
	stack := room[:0]
	for i, node := range c.expr.Nodes {
		if node.Op != OpMatch {
			n := len(stack)
			visit(i, stack[n-2], stack[n-1])
			stack = stack[:n-2]
		}
		stack = append(stack, i)
	}
}

// True reports whether the expression has come true.
func (c *Condition) True() bool {
	return c != nil && c.nodes != nil && c.nodes[len(c.nodes)-1].value
}

// Came reports whether the operand at that place of Expr().Nodes has come,
// and with which event.
func (c *Condition) Came(node int) (*Event, bool) {
	if c.nodes == nil {
		return nil, false
	}
	return c.nodes[node].event, c.nodes[node].value
}

// Last returns the event that an operand came with last, be it held or long
// gone; nil when it has never come.
func (c *Condition) Last(node int) *Event {
	if c == nil || c.nodes == nil {
		return nil
	}
	return c.nodes[node].last
}

// Events returns the events that made the expression true, in the order of
// the expression: one for each operand, so that an event which two of them
// match stands twice. Sides of an "or" that are not true themselves do not
// count.
func (c *Condition) Events() []*Event {
	if c.nodes == nil {
		return nil
	}
	counts := make([]bool, len(c.nodes))
	counts[len(counts)-1] = c.True()
	type sides struct{ i, left, right int }
	var operators []sides
	c.walk(func(i, left, right int) { operators = append(operators, sides{i, left, right}) })
	for n := len(operators) - 1; n >= 0; n-- {
		o := operators[n]
		counts[o.left] = counts[o.i] && c.nodes[o.left].value
		counts[o.right] = counts[o.i] && c.nodes[o.right].value
	}
	var out []*Event
	for i, counted := range counts {
		if ev := c.nodes[i].event; counted && ev != nil {
			out = append(out, ev)
		}
	}
	return out
}

// Reset forgets what has come, all but Last, and gives back the blocks in q.
// It reports whether there was any.
func (c *Condition) Reset(q *Queue) bool {
	if c == nil {
		return false
	}
	any := false
	for i := range c.nodes {
		if ev := c.nodes[i].event; ev != nil {
			c.nodes[i].event = nil
			q.Unblock(ev)
			any = true
		}
		c.nodes[i].value = false
	}
	return any
}

// Adopt lets the operands of c see what old holds, in the order of old's, and
// gives back in q what old held. What the operands came with last is taken
// over by those of the same words. old must not be used afterwards.
func (c *Condition) Adopt(q *Queue, old *Condition, lookup Lookup) {
	if old == nil {
		return
	}
	if c != nil && old.nodes != nil {
		c.room()
		for _, node := range old.nodes {
			if node.event != nil {
				c.Handle(q, node.event, lookup)
			}
		}
		c.remember(old)
	}
	old.Reset(q)
}

// remember takes over when the operands came last that have not come now.
func (c *Condition) remember(old *Condition) {
	for i, node := range c.expr.Nodes {
		if node.Op != OpMatch || c.nodes[i].last != nil {
			continue
		}
		for k := range old.nodes {
			if last := old.nodes[k].last; last != nil && old.expr.Nodes[k].Match.equal(node.Match) {
				c.nodes[i].last = last
				break
			}
		}
	}
}

func (m *Match) equal(other *Match) bool {
	if len(m.Words) != len(other.Words) {
		return false
	}
	for i := range m.Words {
		if m.Words[i] != other.Words[i] {
			return false
		}
	}
	return true
}
