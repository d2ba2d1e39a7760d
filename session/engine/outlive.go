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
	for _, node := range in.stopOn.Expr().Nodes {
		if node.Op != events.OpMatch || node.Match.Name != "stopped" {
			continue
		}
		if other := e.findStopped(in, aboutInstance(node.Match)); other != nil {
			if e.ending.outlived == nil {
				e.ending.outlived = make(map[*instance]*instance)
			}
			e.ending.outlived[in] = other
			return true
		}
	}
	return false
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
// of in's stop condition matches; nil when none is there.
func (e *Engine) findStopped(in *instance, m *events.Match) *instance {
	lookup := e.lookup(in)
	classes := e.order
	if name, ok := literalJob(m, lookup); ok {
		c := e.classes[name]
		if c == nil {
			return nil
		}
		classes = []*class{c}
	}
	for _, c := range classes {
		for other := c.first; other != nil; other = other.next {
			if other != in && m.Matches(m.Name, events.Env{"JOB=" + c.def.Name, "INSTANCE=" + other.name}, lookup) {
				return other
			}
		}
	}
	return nil
}

// literalJob returns the one job that an operand for "stopped" can mean, when
// it names one, so that not all need be looked at.
func literalJob(m *events.Match, lookup events.Lookup) (string, bool) {
	for i, arg := range m.Args {
		if arg.Not || arg.Named && arg.Key != "JOB" || !arg.Named && i > 0 {
			continue
		}
		if name, err := events.Expand(arg.Pattern, lookup); err == nil && events.IsLiteral(name) {
			return name, true
		}
	}
	return "", false
}
