package session

import (
	"slices"
	"strings"
	"time"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/bus"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
)

// Services that belong to login sessions. While no session has a display such a
// job is not started: it would run without one, and the session that comes next
// would find it so. A desktop's own programs may ask before its session has begun,
// so what is asked for while a login is young waits for that; else it is refused at
// once.

const (
	// youngLogin is for how long it is expected that a login will have a
	// display.
	youngLogin = 10 * time.Second
	// maxReach bounds how far the conditions of jobs are followed.
	maxReach = 8
)

// newestDisplay is the login session that got its display last, Unspecified when
// none has one.
func newestDisplay(v engine.View) uint64 {
	id := uint64(engine.Unspecified)
	for _, s := range v.Logins() {
		if s.Began && !s.Ending {
			id = s.ID
		}
	}
	return id
}

// expected is how long to wait for the display of a login, 0 when none is
// expected.
func expected(v engine.View) time.Duration {
	left := time.Duration(0)
	for _, s := range v.Logins() {
		if !s.Began && !s.Ending {
			left = max(left, youngLogin-s.Age)
		}
	}
	return left
}

// start starts a job, once a login session has a display if it belongs to them.
func (a *activator) start(v engine.View, one *activation, name string) {
	one.job = name
	if newestDisplay(v) != engine.Unspecified {
		a.startNow(v, one)
		return
	}
	a.decide(v, one, reach(name, maxReach, false, func(name string) (*events.Expr, bool) {
		class, ok := v.Class(name)
		if !ok {
			return nil, false
		}
		return class.Made(), true
	}))
}

// decide starts, refuses or holds a job for which there was no display.
func (a *activator) decide(v engine.View, one *activation, belongs bool) {
	if a.find(func(other *activation) bool { return other == one }) == nil || one.call != 0 {
		return // it is answered, or asked for anew and started
	}
	left := expected(v)
	switch {
	case !belongs || newestDisplay(v) != engine.Unspecified:
		a.startNow(v, one)
	case left > 0:
		one.held = true
		time.AfterFunc(left, func() { a.daemon.Read(a.release) })
	default:
		a.fail(one, bus.ErrSpawnFailed, "cannot start job "+one.job+": it belongs to a login session, and none has a display")
	}
}

// release looks again at what is held: a login session has a display, or none
// will.
func (a *activator) release(v engine.View) {
	if a == nil {
		return
	}
	for _, one := range slices.Clone(a.asked) {
		if one.held {
			one.held = false
			a.decide(v, one, true)
		}
	}
}

func startOn(class *job.Class) *events.Expr {
	if class == nil {
		return nil
	}
	return class.StartOn
}

// reachesLogin tells whether a job may belong to login sessions: it starts with
// one, or when a job does that belongs to them, or it never starts by itself, as
// a ready job that is not enabled. It may need their display then, and ends with
// them, whoever starts it.
func reachesLogin(v engine.View, name string) bool {
	return reach(name, maxReach, true, func(name string) (*events.Expr, bool) {
		class, ok := v.Class(name)
		return startOn(class), ok
	})
}

// reach follows the conditions of jobs, in so many steps. never is the answer for
// one that has none.
func reach(name string, steps int, never bool, condition func(string) (*events.Expr, bool)) bool {
	on, ok := condition(name)
	switch {
	case !ok || steps == 0:
		return false
	case on == nil:
		return never
	}
	for _, words := range on.Postfix() {
		switch words[0] {
		case "session-start":
			return true
		case "starting", "started", "stopping", "stopped":
			if len(words) > 1 && reach(strings.TrimPrefix(words[1], "JOB="), steps-1, never, condition) {
				return true
			}
		}
	}
	return false
}
