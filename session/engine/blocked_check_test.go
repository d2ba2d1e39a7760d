package engine

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/session-init/session-init/session/job"
)

// CheckCycles compares what the engine says of blocked cycles with a look
// along every way there is, and the books of hooks that wait for an answer
// with each other.
func (e *Engine) CheckCycles() []string {
	var wrong []string
	waitsFor := make(map[*instance][]*instance)
	var all []*instance
	for _, c := range e.order {
		for in := c.first; in != nil; in = in.next {
			all = append(all, in)
			e.eachWait(in, func(w edge) { waitsFor[w.from] = append(waitsFor[w.from], w.to) })
		}
	}
	reaches := func(from, to *instance) bool {
		seen := make(map[*instance]bool)
		var visit func(*instance) bool
		visit = func(at *instance) bool {
			for _, next := range waitsFor[at] {
				if next == to {
					return true
				}
				if !seen[next] {
					seen[next] = true
					if visit(next) {
						return true
					}
				}
			}
			return false
		}
		return visit(from)
	}
	told := e.View().BlockedCycles()
	members := make(map[string]bool)
	for i, c := range told {
		if i > 0 && told[i-1].Text == c.Text {
			wrong = append(wrong, "a cycle is told twice: "+c.Text)
		}
		for i, m := range c.Members {
			next := c.Members[(i+1)%len(c.Members)]
			members[Label(m.Class, m.Instance)+" > "+Label(next.Class, next.Instance)] = true
			a, b := e.classes[m.Class].instance(m.Instance), e.classes[next.Class].instance(next.Instance)
			if !slices.Contains(waitsFor[a], b) {
				wrong = append(wrong, fmt.Sprintf("%s does not wait for %s as in: %s", a.label(), b.label(), c.Text))
			}
		}
	}
	for _, in := range all {
		if got, want := e.inCycle(in), reaches(in, in); got != want {
			wrong = append(wrong, fmt.Sprintf("%s in a cycle: %t; want %t", in.label(), got, want))
		}
		for _, other := range waitsFor[in] {
			if reaches(other, in) && !members[in.label()+" > "+other.label()] && len(told) < maxCycles {
				wrong = append(wrong, fmt.Sprintf("the wait of %s for %s is in no cycle that is told", in.label(), other.label()))
			}
		}
	}
	asking := make(map[ProcID]int)
	for call, proc := range e.hooks {
		asking[proc]++
		if !e.calls[call] {
			wrong = append(wrong, fmt.Sprintf("call %d of a hook is not awaited", call))
		}
	}
	if got, want := fmt.Sprint(e.asking), fmt.Sprint(asking); got != want {
		wrong = append(wrong, fmt.Sprintf("hooks that ask: %s; want %s", got, want))
	}
	return wrong
}

// Edges takes the text of a cycle apart.
func Edges(text string) []string { return strings.Split(text, ", ") }

// TestCycles draws random waits and looks at the cycles that are found: each
// is one, none is there twice, each wait that is in a cycle is in one of them,
// and through a certain wait there is one if there is any.
func TestCycles(t *testing.T) {
	seed := uint64(1)
	next := func(n int) int {
		seed = seed*6364136223846793005 + 1442695040888963407
		return int(seed>>33) % n
	}
	for range 20_000 {
		nodes := make([]*instance, 2+next(6))
		for i := range nodes {
			nodes[i] = &instance{id: uint64(i + 1), class: &class{def: &job.Class{Name: string(rune('a' + i))}}}
		}
		var waits []edge
		for range 1 + next(2*len(nodes)) {
			waits = append(waits, edge{from: nodes[next(len(nodes))], to: nodes[next(len(nodes))]})
		}
		reaches := func(from, to *instance) bool {
			table := make(map[*instance][]edge)
			for _, w := range waits {
				table[w.from] = append(table[w.from], w)
			}
			return reach(table, from)[to]
		}
		covered := make(map[[2]*instance]bool)
		check := func(found [][]edge, through *edge) {
			seen := make(map[string]bool)
			for _, cycle := range found {
				once, has := make(map[*instance]bool), through == nil
				for i, w := range cycle {
					if w.to != cycle[(i+1)%len(cycle)].from || once[w.from] {
						t.Fatalf("%s is no cycle, of %v", cycleText(cycle), waits)
					}
					once[w.from] = true
					covered[[2]*instance{w.from, w.to}] = true
					has = has || w.from == through.from && w.to == through.to
				}
				if seen[cycleText(cycle)] || !has {
					t.Fatalf("%s is found twice, or is not through the wait that was asked for", cycleText(cycle))
				}
				seen[cycleText(cycle)] = true
				if cycle[0].from != slices.MinFunc(cycle, func(a, b edge) int { return int(a.from.id) - int(b.from.id) }).from {
					t.Fatalf("%s does not begin with its first", cycleText(cycle))
				}
			}
		}
		through := waits[next(len(waits))]
		found := cycles(slices.Clone(waits), &through)
		check(found, &through)
		if got, want := len(found) > 0, reaches(through.to, through.from); got != want {
			t.Fatalf("a cycle through %s: %t; want %t, of %v", through, got, want, waits)
		}
		clear(covered)
		check(cycles(trim(slices.Clone(waits)), nil), nil)
		for _, w := range waits {
			if got, want := covered[[2]*instance{w.from, w.to}], reaches(w.to, w.from); got != want {
				t.Fatalf("%s is in a cycle: %t; want %t, of %v", w, got, want, waits)
			}
		}
	}
}

// A long chain that leads into a cycle, and out of it, costs no more than its
// length: this would take hours otherwise.
func TestCyclesOfAChain(t *testing.T) {
	const length = 20_000
	def := &class{def: &job.Class{Name: "x"}}
	nodes := make([]*instance, length)
	var waits []edge
	for i := range nodes {
		nodes[i] = &instance{id: uint64(i + 1), class: def}
		if i > 0 {
			waits = append(waits, edge{from: nodes[i-1], to: nodes[i]})
		}
	}
	if left := trim(slices.Clone(waits)); len(left) > 0 {
		t.Errorf("of a chain %d waits are left", len(left))
	}
	last := edge{from: nodes[length-1], to: nodes[length-2]}
	for _, through := range []*edge{nil, &last} {
		if got := len(cycles(trim(slices.Concat(waits, []edge{last})), through)); got != 1 {
			t.Errorf("cycles = %d; want 1", got)
		}
	}
}
