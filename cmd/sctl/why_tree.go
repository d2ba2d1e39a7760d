package main

import (
	"strings"
	"unicode/utf8"
)

// maxTree bounds the operands of a condition that are shown, those that have
// not come first of all.
const maxTree = 8

// conditionNode is a part of a condition: an operand, or all or any of others.
type conditionNode struct {
	operand *whyOperand
	all     bool
	of      []*conditionNode
}

// tree makes a tree of the reverse Polish notation; what "and" and "or" say
// one after the other is one node.
func (w *whyCondition) tree() *conditionNode {
	var stack []*conditionNode
	next := 0
	for _, words := range w.postfix {
		if !isOperator(words) {
			leaf := &conditionNode{operand: &whyOperand{Words: words}}
			if next < len(w.Operands) {
				leaf.operand = &w.Operands[next]
			}
			next++
			stack = append(stack, leaf)
			continue
		}
		n := len(stack) - 2 // infix has seen that they are there
		node := &conditionNode{all: words[0] == "/AND"}
		for _, part := range stack[n:] {
			if part.operand == nil && part.all == node.all {
				node.of = append(node.of, part.of...)
			} else {
				node.of = append(node.of, part)
			}
		}
		stack = append(stack[:n], node)
	}
	return stack[0]
}

// came tells whether a part is true: an operand holds until the condition as a
// whole is.
func (n *conditionNode) came() bool {
	if n.operand != nil {
		return n.operand.Came
	}
	for _, part := range n.of {
		if part.came() != n.all {
			return !n.all
		}
	}
	return n.all
}

func (n *conditionNode) leaves() int {
	if n.operand != nil {
		return 1
	}
	count := 0
	for _, part := range n.of {
		count += part.leaves()
	}
	return count
}

// tree shows a condition, an operand a line.
func (s *screen) tree(c *whyCondition) {
	if len(c.postfix) == 0 {
		return
	}
	root := c.tree()
	g := &grower{screen: s, left: maxTree, leaves: root.leaves()}
	g.grow(root, 2)
	if g.hidden > 0 {
		s.hang(strings.Repeat(" ", 4), 4, "and "+count(g.hidden, "operand")+" more: "+s.again("sctl why --json"))
	}
}

// grower shows what there is room for.
type grower struct {
	*screen
	left, leaves, hidden int
}

func (g *grower) grow(n *conditionNode, indent int) {
	mark := g.missing
	if n.came() {
		mark = g.marks.came
	}
	head := strings.Repeat(" ", indent) + mark + " "
	if n.operand == nil {
		text := "any of"
		if n.all {
			text = "all of"
		}
		g.lines = append(g.lines, head+text)
		for _, part := range n.of {
			g.grow(part, indent+2)
		}
		return
	}
	if g.left == 0 {
		g.hidden++
		return
	}
	g.left--
	below := indent + 2 + utf8.RuneCountInString(mark)
	g.hang(head, below, n.operand.text()+": "+g.operand(n.operand))
	if about := n.operand.About; about != "" {
		g.hang(strings.Repeat(" ", below)+g.arrow+" ", below+utf8.RuneCountInString(g.arrow)+1, about)
	}
}

// text is an operand as it stands in the file.
func (o *whyOperand) text() string { return printable(strings.Join(o.Words, " ")) }

// operand says when an operand came, and from whom.
func (s *screen) operand(o *whyOperand) string {
	switch {
	case o.Last == nil:
		return "has not come since this was read"
	case o.Came:
		return "came " + s.clock(o.Last.At) + s.emitter(o.Last)
	}
	return "came last " + s.clock(o.Last.At) + s.emitter(o.Last) + ", not since"
}

// emitter says who emitted an event, as the end of a sentence; a job says it by
// the event's own words.
func (s *screen) emitter(ev *whyEvent) string {
	switch ev.Source {
	case "caller":
		return " from " + s.caller(ev.Caller)
	case "job":
		return " from job " + instanceName(ev.Job, ev.Instance)
	case "session-init":
		return " from session-init"
	}
	return ""
}
