package engine

import "slices"

// Beginning returns the instances, as labels, by class and age, that an event
// of this name has started and that are not yet what others find them by: they
// do not run. A task counts until its main has begun: how long it takes is its
// own affair.
func (v View) Beginning(event string) []string {
	var out []string
	for _, c := range v.e.order {
		for in := c.first; in != nil; in = in.next {
			if in.goal != GoalStart || in.state == Running || c.def.Task && in.state >= InSpawned {
				continue
			}
			if slices.ContainsFunc(in.waiters, func(w waiter) bool { return w.event != nil && w.event.Name == event }) {
				out = append(out, in.label())
			}
		}
	}
	return out
}
