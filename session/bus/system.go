package bus

import (
	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/engine"
)

// System is what the daemon of the machine can do besides. No method blocks.
type System interface {
	// DiskWriteable says that logs can be written to the disk from now on. done
	// is called some time later, with what kept them from it.
	DiskWriteable(done func(error))
	// EndSystem begins the end of the machine: halt, poweroff or reboot. env is
	// that of the event runlevel; the error names a word that is none of these.
	EndSystem(how string, env []string) error
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
