package session

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
)

// ErrBarren is what Run ends with when nothing begins the machine.
var ErrBarren = errors.New("cannot begin")

// mustBegin gives up when the machine has no job that would begin it: /etc/init is
// empty, or nothing in it can be read. The keeper gives a shell on the console, and
// tries again when that ends. A container may have nothing to begin
// with: somebody else looks after it.
func (d *Daemon) mustBegin() {
	if !d.IsSystem() || d.opts.System.Container {
		return
	}
	// After the definitions, which are in the inbox.
	d.Read(func(v engine.View) {
		startup := d.startup().Name
		for _, name := range v.ClassNames() {
			if class, ok := v.Class(name); ok && startsOn(class, startup) {
				return
			}
		}
		d.system.barren = fmt.Errorf("%w: no job says 'start on %s' that could be read: looked into %s", ErrBarren, startup, strings.Join(d.confDirs, ", "))
		d.quit = true
	})
}

// startsOn tells whether an event is one of those that start a job.
func startsOn(class *job.Class, event string) bool {
	return class.StartOn != nil && slices.ContainsFunc(class.StartOn.Nodes, func(n events.Node) bool {
		return n.Op == events.OpMatch && n.Match.Name == event
	})
}
