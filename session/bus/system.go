package bus

import (
	"math"
	"time"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
)

// System is what the daemon of the machine can do besides. No method blocks.
type System interface {
	// DiskWriteable says that logs can be written to the disk from now on. done
	// is called some time later, with what kept them from it.
	DiskWriteable(done func(error))
	// EndSystem begins the end of the machine: halt, poweroff or reboot. env is
	// that of the event runlevel; the error names a word that is none of these.
	EndSystem(how string, env []string) error
	// ScheduleEnd has the end begin at a time of the wall clock, by EndSystem's
	// words or "single" for runlevel 1, and tells who is logged in, now and
	// before it comes. One that is to come already is replaced.
	ScheduleEnd(how string, at time.Time, message string) error
	// CancelEnd takes that back, and tells who is logged in; false: nothing was
	// to come.
	CancelEnd(message string) bool
	// Announce tells who is logged in, and does no more.
	Announce(message string)
	// EndState says how far the end of the machine is, or when it is to begin; empty
	// when none is asked for. It is called on the engine's goroutine.
	EndState(v engine.View) string
}

// tellMachine is what there is to say of the machine when a job is asked about.
func (s *Server) tellMachine(v engine.View, class *job.Class) string {
	if s.system != nil {
		return s.system.EndState(v)
	}
	if m := s.machine.Load(); m != nil && len(machineEvents(class)) > 0 {
		return m.Absent()
	}
	return ""
}

// notifyDiskWriteable has the logs go to the disk. What a session logs is there
// already.
func notifyDiskWriteable(c *call) {
	system := c.server.system
	if system == nil {
		c.answer(nil, nil)
		return
	}
	id, full := c.server.wait(c, false)
	if full {
		c.answer(nil, failf(api.ErrLimitsExceeded, "too many calls wait for an answer: %d", c.server.limits.calls))
		return
	}
	system.DiskWriteable(func(err error) {
		c.server.backend.Read(func(engine.View) {
			if _, waits := c.server.forget(id); !waits {
				return
			}
			if err != nil {
				c.reply(nil, failf(api.ErrFailed, "%s", err.Error()))
				return
			}
			c.reply(nil, nil)
		})
	})
}

// endSystem is answered before anything ends.
func endSystem(c *call) {
	system := c.server.system
	if system == nil {
		c.answer(nil, failf(api.ErrNotSupported, "cannot end the machine: this is the session-init of a user; EndSession ends it"))
		return
	}
	if err := system.EndSystem(c.str(0), c.strs(1)); err != nil {
		c.answer(nil, failf(api.ErrInvalidArgs, "%s", err.Error()))
		return
	}
	c.answer(nil, nil)
}

// errUserSession refuses what is for the machine.
const errUserSession = "cannot %s: this is the session-init of a user"

// scheduleEnd takes microseconds since 1970.
func scheduleEnd(c *call) {
	system := c.server.system
	if system == nil {
		c.answer(nil, failf(api.ErrNotSupported, errUserSession, "end the machine"))
		return
	}
	at, _ := c.in.Value(1).(uint64)
	// What is no time at all is far away, and refused for that.
	at = min(at, math.MaxInt64)
	if err := system.ScheduleEnd(c.str(0), time.UnixMicro(int64(at)), c.str(2)); err != nil {
		c.answer(nil, failf(api.ErrInvalidArgs, "%s", err.Error()))
		return
	}
	c.answer(nil, nil)
}

func cancelEnd(c *call) {
	system := c.server.system
	if system == nil {
		c.answer(nil, failf(api.ErrNotSupported, errUserSession, "take back the end of the machine"))
		return
	}
	c.answer([]any{system.CancelEnd(c.str(0))}, nil)
}

func announceAll(c *call) {
	system := c.server.system
	if system == nil {
		c.answer(nil, failf(api.ErrNotSupported, errUserSession, "tell who is logged in"))
		return
	}
	system.Announce(c.str(0))
	c.answer(nil, nil)
}
