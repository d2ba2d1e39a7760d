package engine

import (
	"strings"

	"github.com/session-init/session-init/session/job"
)

// Instead is what a main that is not ready does, as far as somebody looked: each
// is what another declaration waits for. The zero value: nothing.
type Instead struct {
	Said    bool   // READY=1
	Owns    string // a bus name
	Listens string // on what: "unix:/run/x", "tcp [::1]:80, unix:@x"
}

// mainFound takes what main does while it is waited for.
func (e *Engine) mainFound(msg Found) {
	if in, kind := e.locate(msg.Proc); in != nil && kind == job.Main && in.state == InSpawned {
		in.ready.Does.Owns, in.ready.Does.Listens = msg.Owns, msg.Listens
	}
}

// misfits takes what is known later of a main that was taken for ready.
func (e *Engine) misfits(msg Misfit) {
	if in, kind := e.locate(msg.Proc); in != nil && kind == job.Main {
		in.note = msg.What
	}
}

// Unready tells whether a process is a main that is made, or runs, and is not
// ready.
func (v View) Unready(proc ProcID) bool {
	in, kind := v.e.locate(proc)
	return in != nil && kind == job.Main && in.state == InSpawned
}

// instead says what main does, and which declaration waits for that: what a
// program says of itself before what others see of it. Empty for nothing.
func (in *instance) instead() (does, fits string) {
	def, d := in.class.def, in.ready.Does
	switch {
	case d.Said && def.Expect != job.ExpectNotify:
		return "said READY=1", job.ExpectNotify.String()
	case d.Owns != "" && (def.Expect != job.ExpectDBus || d.Owns != def.BusName):
		return "owns the bus name " + d.Owns, job.ExpectDBus.String() + " " + d.Owns
	case d.Listens != "" && def.Expect != job.ExpectListen:
		return "listens on " + d.Listens, job.ExpectListen.String()
	}
	return "", ""
}

// expectsNothing is the declaration of what has no other that fits.
const expectsNothing = "none"

// unreadyHint says what main did in the time in which it was to be ready, and
// which declaration would have fitted.
func (in *instance) unreadyHint() string {
	var did []string
	fits, sometimes := "", " a program that never does"
	switch in.class.def.Expect {
	case job.ExpectDBus:
		hint := ""
		if in.ready.Lacks != "" {
			hint = "; " + in.ready.Lacks
		}
		if does, other := in.instead(); does != "" {
			hint += "; it " + does + ": 'expect " + other + "' fits"
		}
		return hint
	case job.ExpectNotify, job.ExpectListen:
		if fits = "'expect none'"; in.forks > 0 {
			did, fits = append(did, "went into the background"), "'expect fork' or 'expect daemon'"
		}
		if in.class.def.Expect == job.ExpectNotify {
			did = append(did, "did not say READY=1")
		} else {
			did = append(did, "did not listen on a socket")
		}
	default:
		what, other := in.did()
		did, fits, sometimes = append(did, what), "'expect "+other+"'", ""
	}
	if does, other := in.instead(); does != "" && (in.forks == 0 || sometimes != "") {
		did, fits, sometimes = append(did, does), "'expect "+other+"'", ""
	}
	last := len(did) - 1
	text := did[last]
	if last > 0 {
		text = strings.Join(did[:last], ", ") + " and " + text
	}
	return "; it " + text + ": " + fits + " fits" + sometimes
}

// lacking says what keeps main from being ready, and what it does instead, as
// far as that is known.
func (in *instance) lacking() string {
	text := in.ready.Lacks
	if does, other := in.instead(); does != "" {
		if text != "" {
			text += "; "
		}
		text += "it " + does + ": 'expect " + other + "' would fit"
	}
	return text
}
