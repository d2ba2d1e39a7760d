package lint

import (
	"slices"
	"strings"

	"github.com/session-init/session-init/events"
)

// Names knows which jobs and events there are, and nothing of what can come
// when. It is all that Upstart's own check of the configuration asks.
type Names struct{ s *set }

// KnownNames takes the names of the jobs, the events that they say to emit,
// and further events or globs of them. Texts are not needed.
func KnownNames(jobs []Job, further []string) *Names {
	s := &set{world: World{Events: further}, jobs: jobs, at: make(map[string]int, len(jobs))}
	for i, j := range jobs {
		s.names = append(s.names, j.Class.Name)
		s.at[j.Class.Name] = i
	}
	s.learn()
	return &Names{s}
}

// Absent is an event, or the job of one, that does not exist.
type Absent struct {
	Job  bool
	Name string
}

// Absent gives those of a condition, from its end to its beginning, as
// Upstart does: where something else stands in for one it is left out, unless
// all are wanted.
func (n *Names) Absent(x *events.Expr, all bool) []Absent {
	if x == nil {
		return nil
	}
	var found []Absent
	var came []bool
	for _, m := range operands(x) {
		a, ok := n.absent(m)
		came = append(came, !ok)
		found = append(found, a)
	}
	var out []Absent
	if all {
		for i, a := range found {
			if !came[i] {
				out = append(out, a)
			}
		}
	} else {
		for _, i := range culprits(x, came) {
			out = append(out, found[i])
		}
	}
	slices.Reverse(out)
	return out
}

// absent says what of an operand does not exist; ok is false if all does.
func (n *Names) absent(m *events.Match) (a Absent, ok bool) {
	if !isJobEvent(m.Name) {
		outside, by := n.s.emitters(m.Name)
		return Absent{Name: m.Name}, !outside && len(by) == 0
	}
	for i, arg := range m.Args {
		if arg.Named && arg.Key != "JOB" || !arg.Named && i > 0 || arg.Not || strings.Contains(arg.Pattern, "$") {
			continue
		}
		if slices.ContainsFunc(n.s.names, func(name string) bool { return events.Glob(arg.Pattern, name) }) {
			continue
		}
		return Absent{Job: true, Name: arg.Pattern}, true
	}
	return Absent{}, false
}
