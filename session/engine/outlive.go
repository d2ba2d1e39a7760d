package engine

import "github.com/session-init/session-init/events"

// The end of the session stops all jobs, but "stop on stopped X" says that a
// job goes after X and not beside it. Such an instance is let be as long as an
// X is there: then its own rule stops it, with the variables of that event, or
// the end does when the rule wanted more.

// outlives reports whether an instance is to be stopped by the end of another
// one that is still there.
func (e *Engine) outlives(in *instance) bool {
	if in.stopOn == nil || e.ending.cut {
		return false
	}
	if other := e.ending.outlived[in]; other != nil && !other.gone {
		return true
	}
	other := e.findOutlived(in)
	if other == nil {
		return false
	}
	if e.ending.outlived == nil {
		e.ending.outlived = make(map[*instance]*instance)
		e.ending.outlivers = make(map[*instance][]*instance)
	}
	e.ending.outlived[in] = other
	e.ending.outlivers[other] = append(e.ending.outlivers[other], in)
	return true
}

// findOutlived returns an instance whose end stops in; nil when none is there.
func (e *Engine) findOutlived(in *instance) *instance {
	for _, node := range in.stopOn.Expr().Nodes {
		if node.Op != events.OpMatch || node.Match.Name != "stopped" {
			continue
		}
		if other := e.findStopped(in, aboutInstance(node.Match)); other != nil {
			return other
		}
	}
	return nil
}

// survived is called when an instance is gone: those that were to outlive it
// have done so.
func (e *Engine) survived(gone *instance) {
	for _, in := range e.ending.outlivers[gone] {
		if e.ending.outlived[in] == gone {
			e.stir(in)
		}
	}
	delete(e.ending.outlivers, gone)
	delete(e.ending.outlived, gone)
}

// aboutInstance returns an operand for "stopped" without what nobody can know
// before: all but the name of the job and the name of the instance.
func aboutInstance(m *events.Match) *events.Match {
	known := &events.Match{Name: m.Name}
	for i, arg := range m.Args {
		if arg.Named && (arg.Key == "JOB" || arg.Key == "INSTANCE") || !arg.Named && i < 2 {
			known.Args = append(known.Args, arg)
		}
	}
	return known
}

// findStopped returns an instance but in itself whose "stopped" the operand
// of in's stop condition matches; nil when none is there. What the operand
// names is found by its name, so that not all need be looked at.
func (e *Engine) findStopped(in *instance, m *events.Match) *instance {
	lookup := e.lookup(in)
	classes := e.order
	if name, ok := literal(m, "JOB", 0, lookup); ok {
		c := e.classes[name]
		if c == nil {
			return nil
		}
		classes = []*class{c}
	}
	matches := func(other *instance) bool {
		return other != nil && other != in && m.Matches(m.Name, events.Env{other.class.entry[len(ourPrefix):], other.entry[len(ourPrefix):]}, lookup)
	}
	name, ok := literal(m, "INSTANCE", 1, lookup)
	for _, c := range classes {
		if ok {
			if other := c.instance(name); matches(other) {
				return other
			}
			continue
		}
		for other := c.first; other != nil; other = other.next {
			if matches(other) {
				return other
			}
		}
	}
	return nil
}

// literal returns the one value that an operand for "stopped" wants of a
// variable, by its name or its place, if there is but one.
func literal(m *events.Match, key string, place int, lookup events.Lookup) (string, bool) {
	for i, arg := range m.Args {
		if arg.Not || arg.Named && arg.Key != key || !arg.Named && i != place {
			continue
		}
		if value, err := events.Expand(arg.Pattern, lookup); err == nil && events.IsLiteral(value) {
			return value, true
		}
	}
	return "", false
}
