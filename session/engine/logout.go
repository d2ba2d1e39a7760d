package engine

import (
	"fmt"
	"strings"

	"github.com/session-init/session-init/events"
)

// UntilLogout tells that the last login is over that somebody else counts, as
// PAM's hook does: from now on the end of all comes as Config.UntilLogout has
// it, with the last login session and the last instance that lingers, and at
// once when there is neither. Without On it is taken back, since somebody has
// logged in; that fails once the end has begun. The reply says in Text what
// keeps the daemon, and nothing when it ends.
type UntilLogout struct {
	Call CallID
	By   *events.Caller
	On   bool
}

func (UntilLogout) input() {}

func (e *Engine) untilLogout(msg UntilLogout) {
	if e.ending.begun {
		var err *Error
		if !msg.On {
			err = errorf(JobFailed, "the session is ending")
		}
		e.reply(msg.Call, nil, err)
		return
	}
	e.loggedOut = msg.On
	note := ""
	if msg.On {
		note = e.staying()
	}
	if msg.Call != 0 {
		e.do(Reply{Call: msg.Call, Text: note})
	}
	switch {
	case note != "":
		e.logf(Info, nil, "The last login is over, session-init stays for %s", note)
	case msg.On:
		e.shutdown(Shutdown{Type: "logout"})
	}
}

// endsByLogout reports whether the end of all is to come with the last login.
func (e *Engine) endsByLogout() bool { return e.cfg.UntilLogout || e.loggedOut }

// lastLogout reports whether there is no login session left, nor anything that
// lingers, and the end of all is to come with the last of them.
func (e *Engine) lastLogout() bool {
	return e.endsByLogout() && len(e.logins) == 0 && len(e.lingering()) == 0
}

// staying names what keeps a daemon that is to end with the last login; empty
// for nothing.
func (e *Engine) staying() string {
	var out []string
	for _, s := range e.logins {
		out = append(out, fmt.Sprintf("login session %d", s.id))
	}
	if names := e.lingering(); len(names) > 0 {
		out = append(out, "what lingers: "+strings.Join(names, ", "))
	}
	return strings.Join(out, ", ")
}

// lingering names the instances that keep the daemon.
func (e *Engine) lingering() []string {
	var out []string
	for _, c := range e.order {
		for in := c.first; c.def.Linger && in != nil; in = in.next {
			out = append(out, in.label())
		}
	}
	return out
}

// Stay is what the end of a daemon by the last logout waits for.
type Stay struct {
	// UntilLogout: the end of all comes with the last login, and has not begun.
	UntilLogout bool
	// Logins is how many login sessions there are, Lingering the instances that
	// linger, as labels, by class and age.
	Logins    int
	Lingering []string
}

// Stay returns what keeps the daemon, or would if it were to end by a logout.
func (v View) Stay() Stay {
	return Stay{UntilLogout: v.e.endsByLogout() && !v.e.ending.begun, Logins: len(v.e.logins), Lingering: v.e.lingering()}
}
