package session

import (
	"fmt"
	"strings"
	"time"

	"github.com/session-init/session-init/session/engine"
)

// What a login session's jobs find when they begin: the bus, the agents and
// their variables are of jobs that the startup event starts, and a desktop can
// be faster than they are. So session-start waits for these jobs, for a bounded
// time, and not for the tasks among them.

// beginTime bounds how long a login session waits for the user's jobs.
const beginTime = 10 * time.Second

// beginner tells when the startup event has been dealt with. It is the loop's.
type beginner struct {
	// due: the event has yet to be emitted.
	due  bool
	wait []chan struct{}
}

// emitStartup emits the startup event; on any goroutine.
func (d *Daemon) emitStartup() {
	d.Step(d.startup())
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

// awaitBegun returns when the user's jobs run that the startup event has
// started, or a sentence about those that take too long. It is called beside the
// loop.
func (d *Daemon) awaitBegun() string {
	done := make(chan struct{})
	d.Read(func(v engine.View) {
		d.beginner.wait = append(d.beginner.wait, done)
		d.begun(v)
	})
	timer := time.NewTimer(beginTime)
	defer timer.Stop()
	select {
	case <-done:
		return ""
	case <-d.ended:
		return ""
	case <-timer.C:
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
