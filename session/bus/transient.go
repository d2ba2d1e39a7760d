package bus

import (
	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
)

// defineTransient defines a job by the text of a job file that is nowhere, and
// starts it with these variables. It goes when it has ended; a name that is in
// use is refused. It is answered as Start is.
func defineTransient(c *call) {
	name, text := c.str(0), c.str(1)
	if why := badTransientName(name); why != "" {
		c.answer(nil, failf(api.ErrInvalidArgs, "%q cannot be the name of a job: %s", name, why))
		return
	}
	// Said here, since the engine would be too late to show the place.
	class, problems := job.Parse(name, name, []byte(text))
	if class == nil {
		c.answer(nil, failf(api.ErrInvalidArgs, "cannot define job %s: %s", name, problems[0].Error()))
		return
	}
	class.Path, c.why = "", true
	c.step(true, func(id engine.CallID) engine.Input {
		return engine.RunTransient{Call: id, By: c.conn.caller(), Definition: engine.Define(class), Env: c.strs(2), Wait: c.flag(3)}
	})
}

// badTransientName says what keeps a text from being the name of a job, as that
// of a file would be; empty for nothing.
func badTransientName(name string) string {
	if name == "" {
		return "it is empty"
	}
	begin := true
	for i := 0; i < len(name); i++ {
		switch {
		case name[i] < ' ' || name[i] == 0x7f:
			return "it holds a control character"
		case begin && (name[i] == '/' || name[i] == '.'):
			return "a part of it is empty, or begins with a dot"
		}
		begin = name[i] == '/'
	}
	if begin {
		return "it ends in '/'"
	}
	return ""
}
