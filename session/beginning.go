package session

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/session-init/session-init/session/engine"
)

// What a login session's jobs find when they begin: the bus, the agents and
// their variables are of jobs that the startup event starts, and a desktop can
// be faster than they are. So session-start waits for these jobs, for a bounded
// time, and not for the tasks among them.

// beginTime bounds how long a login session waits for the user's jobs, openTime
// how long the command of a login does: it is to know where the bus and the agents
// are, and nobody shall look at a dark screen for that.
const (
	beginTime = 10 * time.Second
	openTime  = time.Second
)

// beginner tells when the startup event has been dealt with. It is the loop's.
type beginner struct {
	// due: the event has yet to be emitted.
	due  bool
	wait []chan struct{}
}

// emitStartup emits the startup event; on any goroutine.
func (d *Daemon) emitStartup() {
	startup := d.startup()
	startup.Startup = true
	d.Step(startup)
	d.Read(func(v engine.View) {
		d.beginner.due = false
		d.begun(v)
	})
}

// begun lets those go on that wait, if what the startup event has started runs;
// after each step.
func (d *Daemon) begun(v engine.View) {
	if len(d.beginner.wait) == 0 || d.beginner.due || len(v.Beginning(d.startup().Name)) > 0 {
		return
	}
	for _, done := range d.beginner.wait {
		close(done)
	}
	d.beginner.wait = nil
}

// begunWithin waits until the user's jobs run that the startup event has started,
// and tells whether they do within that time; also when all ends. It is called
// beside the loop.
func (d *Daemon) begunWithin(limit time.Duration) bool {
	done := make(chan struct{})
	d.Read(func(v engine.View) {
		d.beginner.wait = append(d.beginner.wait, done)
		d.begun(v)
	})
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
	case <-d.ended:
	case <-timer.C:
		// Else each step would look for it, as long as the jobs take.
		d.Read(func(engine.View) {
			d.beginner.wait = slices.DeleteFunc(d.beginner.wait, func(c chan struct{}) bool { return c == done })
		})
		return false
	}
	return true
}

// awaitBegun returns when the user's jobs run that the startup event has
// started, or a sentence about those that take too long. It is called beside the
// loop.
func (d *Daemon) awaitBegun() string {
	if d.begunWithin(beginTime) {
		return ""
	}
	late := make(chan []string, 1)
	d.Read(func(v engine.View) { late <- v.Beginning(d.startup().Name) })
	select {
	case names := <-late:
		if len(names) == 0 {
			return ""
		}
		note := fmt.Sprintf("not ready after %d s, and no longer waited for: %s", int(beginTime.Seconds()), strings.Join(names, ", "))
		d.log.Warn(note)
		return note
	case <-d.ended:
		return ""
	}
}
