package engine

import "slices"

// Beginning returns the instances, as labels, by class and age, that an event
// of this name has started and that are not yet what others find them by: they
// do not run. A task counts until its main has begun: how long it takes is its
// own affair. One that waits for its respawn has failed at least once, and does
// not count.
func (v View) Beginning(event string) []string {
	var out []string
	for _, c := range v.e.order {
		for in := c.first; in != nil; in = in.next {
			if in.goal != GoalStart || in.state == Running || c.def.Task && in.state >= InSpawned || in.waitsToRespawn() {
				continue
			}
			if slices.ContainsFunc(in.waiters, func(w waiter) bool { return w.event != nil && w.event.Name == event }) {
				out = append(out, in.label())
			}
		}
	}
	return out
}

// StartupDue tells whether the event with which the daemon begins has yet to be
// emitted: a daemon may die between its beginning and that.
func (v View) StartupDue() bool { return v.e.startupDue }
