package lint

import (
	"strings"

	"github.com/session-init/session-init/events"
)

// verdict is what became of a job's conditions.
type verdict struct {
	start, stop []operand
	// starts: by itself, or by hand if it has no condition. came tells of
	// the operands of start.
	starts bool
	came   []bool
}

// judge works out which jobs can start, from those that need nothing up. A
// job is looked at again only when one that it waits for was found to start,
// so that a long chain costs no more than its length.
func (s *set) judge() []verdict {
	out := make([]verdict, len(s.jobs))
	waiting := make([][]int, len(s.jobs)) // by job: whose condition it may help
	var anybody, todo []int               // who waits for any job at all
	for i, j := range s.jobs {
		v := &out[i]
		for _, m := range operands(j.Class.StartOn) {
			o := s.judgeOperand(m, false)
			v.start = append(v.start, o)
			v.came = append(v.came, false)
			if o.any && !o.dead() {
				anybody = append(anybody, i)
			}
			for _, by := range o.by {
				waiting[by] = append(waiting[by], i)
			}
		}
		for _, m := range operands(j.Class.StopOn) {
			v.stop = append(v.stop, s.judgeOperand(m, true))
		}
		todo = append(todo, i)
	}
	some := false
	for len(todo) > 0 {
		i := todo[0]
		todo = todo[1:]
		v := &out[i]
		if v.starts {
			continue
		}
		for k := range v.start {
			v.came[k] = v.came[k] || comes(&v.start[k], out, some)
		}
		expr := s.jobs[i].Class.StartOn
		if expr != nil && !holds(expr, v.came) {
			continue
		}
		v.starts = true
		todo = append(todo, waiting[i]...)
		if !some {
			some = true
			todo = append(todo, anybody...)
		}
	}
	return out
}

// comes reports whether an operand can come, as far as is known.
func comes(o *operand, jobs []verdict, some bool) bool {
	switch {
	case o.dead():
		return false
	case o.outside, o.any && some:
		return true
	}
	for _, by := range o.by {
		if jobs[by].starts {
			return true
		}
	}
	return false
}

// holds gives the value of an expression whose operands have these.
func holds(x *events.Expr, came []bool) bool {
	values := evaluate(x, came)
	return values[len(values)-1]
}

// evaluate gives the value of every node.
func evaluate(x *events.Expr, came []bool) []bool {
	values := make([]bool, len(x.Nodes))
	walk(x, func(i, n, left, right int) {
		switch x.Nodes[i].Op {
		case events.OpMatch:
			values[i] = came[n]
		case events.OpAnd:
			values[i] = values[left] && values[right]
		default:
			values[i] = values[left] || values[right]
		}
	})
	return values
}

// walk visits the nodes from the bottom up: n counts the operands, left and
// right are the sides of an operator.
func walk(x *events.Expr, visit func(i, n, left, right int)) {
	var stack []int
	n := 0
	for i, node := range x.Nodes {
		if node.Op == events.OpMatch {
			visit(i, n, -1, -1)
			n++
		} else {
			top := len(stack)
			visit(i, -1, stack[top-2], stack[top-1])
			stack = stack[:top-2]
		}
		stack = append(stack, i)
	}
}

// culprits gives the numbers of the operands that keep a condition, or a part
// of it, from coming true: those that do not come and whose operator is not
// true without them. An operand that others stand in for is none.
func culprits(x *events.Expr, came []bool) []int {
	values := evaluate(x, came)
	above := make([]int, len(x.Nodes))
	number := make([]int, len(x.Nodes))
	above[len(above)-1] = -1
	walk(x, func(i, n, left, right int) {
		number[i] = n
		if left >= 0 {
			above[left], above[right] = i, i
		}
	})
	var out []int
	for i, n := range number {
		if n >= 0 && !values[i] && (above[i] < 0 || !values[above[i]]) {
			out = append(out, n)
		}
	}
	return out
}

// checkConditions tells of operands that never come, and of conditions that
// do not because of them.
func (s *set) checkConditions(i int, v verdict) {
	class := s.jobs[i].Class
	for k, o := range v.start {
		if o.dead() {
			s.warn(i, s.operand(i, "start on", k, o.word), o.rule, o.fault)
		}
	}
	if class.StartOn != nil && !v.starts {
		s.neverStarts(i, v)
	}
	came := make([]bool, len(v.stop))
	for k, o := range v.stop {
		if came[k] = !o.dead(); o.dead() {
			s.warn(i, s.operand(i, "stop on", k, o.word), o.rule, o.fault)
		}
	}
	if class.StopOn != nil && !holds(class.StopOn, came) {
		first := v.stop[culprits(class.StopOn, came)[0]]
		s.warn(i, s.keywords(i, "stop on"), NeverStops,
			"job "+named(class.Name)+" is never stopped by its condition: "+named(first.match.String())+" never comes")
	}
}

func (s *set) neverStarts(i int, v verdict) {
	class := s.jobs[i].Class
	at := s.keywords(i, "start on")
	head := "job " + named(class.Name) + " can start by hand only: "
	if cycle := s.cycle[i]; len(cycle) > 0 {
		s.warn(i, at, Cycle, head+s.tellCycle(i, cycle))
		return
	}
	first := v.start[culprits(class.StartOn, v.came)[0]]
	why := named(first.match.String()) + " never comes"
	if !first.dead() && len(first.by) > 0 {
		why += ", for " + named(s.names[first.by[0]]) + " does not start by itself"
	}
	s.warn(i, at, NeverStarts, head+why)
}

// maxTold bounds how many jobs of a cycle a message names.
const maxTold = 8

func (s *set) tellCycle(i int, cycle []int) string {
	var out strings.Builder
	out.WriteString(s.names[i])
	for n, k := range cycle {
		if n == maxTold {
			out.WriteString(", …")
			break
		}
		if n > 0 {
			out.WriteString(", " + s.names[cycle[n-1]])
		}
		out.WriteString(" waits for " + s.names[k])
	}
	return out.String()
}
