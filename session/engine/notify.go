package engine

import (
	"fmt"
	"time"

	"github.com/session-init/session-init/session/job"
)

// Notified reports what a process of the job said of it, as sd_notify(3) has
// it; Proc is its main. Of the first three one is set at most.
type Notified struct {
	Proc                       ProcID
	Ready, Reloading, Stopping bool
	// Status is the text of STATUS=, when HasStatus is set; it may be empty.
	HasStatus bool
	Status    string
	// Errno is what ERRNO= means, "no such file or directory (2)"; empty for
	// none.
	Errno string
	// Extend is how much longer what it is waited for to do takes, from now
	// on; 0 for none.
	Extend time.Duration
	// Alive and Trigger are for the watchdog: it is alive, or is to be taken for
	// silent at once.
	Alive, Trigger bool
	// Interval is the watchdog's from now on, when HasInterval is set; 0 is
	// none.
	HasInterval bool
	Interval    time.Duration
}

// Said is what main, and who belongs to it, have said since it was made.
type Said struct {
	Status string
	Errno  string
	// Reloading is when it said that it reads its configuration again, 0 when
	// it does not; Stopping: it ends by itself.
	Reloading time.Duration
	Stopping  bool
	// Watchdog is how long it may be silent, 0 for ever. Silent says, once it
	// was for longer and is made to end, what it did: "did not say …".
	// Killed: it has got KILL for that.
	Watchdog time.Duration
	Silent   string
	Killed   bool
}

// heard is what main has said of itself.
func (in *instance) heard() Said {
	if in.said == nil {
		return Said{}
	}
	return *in.said
}

// hears is heard, to be written to. Most jobs never say anything, and there may
// be thousands of instances: room for it is made when it is needed.
func (in *instance) hears() *Said {
	if in.said == nil {
		in.said = &Said{}
	}
	return in.said
}

// unheard gives up the room of nothing, as a restored engine has none.
func (in *instance) unheard() {
	if in.said != nil && *in.said == (Said{}) {
		in.said = nil
	}
}

// notified takes what a job says.
func (e *Engine) notified(msg Notified) {
	in, kind := e.locate(msg.Proc)
	if in == nil || kind != job.Main {
		return
	}
	said := in.hears()
	defer in.unheard()
	if msg.HasStatus {
		said.Status = msg.Status
	}
	if msg.Errno != "" {
		said.Errno = msg.Errno
	}
	switch {
	case msg.Stopping:
		// What ends has no time for the watchdog.
		said.Stopping, said.Reloading = true, 0
		e.unguard(in)
	case msg.Ready:
		said.Reloading = 0
	case msg.Reloading && in.state > InSpawned:
		said.Reloading = e.now
	}
	if msg.Ready && in.state == InSpawned {
		in.ready.Does.Said = true
	}
	if msg.Extend > 0 {
		e.extend(in, e.now+msg.Extend)
	}
	if msg.Ready && in.state == InSpawned && in.class.def.Expect == job.ExpectNotify {
		e.becomeReady(in, "notified (READY=1)")
	}
	if msg.HasInterval && msg.Interval != said.Watchdog {
		said.Watchdog = msg.Interval
		e.unguard(in)
		e.guard(in)
	}
	switch {
	case msg.Trigger:
		e.trigger(in)
	case msg.Alive:
		e.guard(in)
	}
}

// extend puts off the end of a wait for main, to be ready or to end. A forced
// stop is not put off.
func (e *Engine) extend(in *instance, to time.Duration) {
	d := in.deadline
	if d == nil || to <= d.at || in.ends.force {
		return
	}
	if d.kind == readyDeadline || d.kind == killDeadline {
		e.setDeadline(in, to, d.kind)
	}
}

// text is what a job says of itself, for who asks; empty when it said nothing.
func (s Said) text() string {
	text := s.Status
	switch {
	case s.Silent != "":
		return join(s.Silent, text)
	case s.Stopping:
		return join("stopping", text)
	case s.Reloading > 0:
		return join("reloading", text)
	}
	return text
}

func join(doing, text string) string {
	if text == "" {
		return doing
	}
	return doing + ": " + text
}

// tooEarly says of the end of main that it came before main was ready.
func (in *instance) tooEarly() string {
	return fmt.Sprintf(" before it was ready, as 'expect %s' declares it", in.class.def.Declares())
}
