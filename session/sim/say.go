package sim

import (
	"strings"
	"time"

	"github.com/session-init/session-init/session/engine"
)

// Say makes a process say something of its job, as sd_notify(3) does.
func (w *World) Say(p *Process, said engine.Notified) {
	said.Proc = p.ID
	w.inbox = append(w.inbox, said)
	w.settle()
}

// parseSaid reads what a story has a process say, after its first three words:
// ready, reloading, stopping, alive, trigger; status and errno with the text
// that follows; extend and interval with a time.
func parseSaid(words []string) (said engine.Notified, ok bool) {
	if len(words) == 0 {
		return said, false
	}
	rest := strings.Join(words[1:], " ")
	switch words[0] {
	case "status":
		said.HasStatus, said.Status = true, rest
		return said, true
	case "errno":
		said.Errno = rest
		return said, rest != ""
	case "extend", "interval":
		d, err := time.ParseDuration(rest)
		if words[0] == "extend" {
			said.Extend = d
		} else {
			said.HasInterval, said.Interval = true, d
		}
		return said, err == nil
	case "ready":
		said.Ready = true
	case "reloading":
		said.Reloading = true
	case "stopping":
		said.Stopping = true
	case "alive":
		said.Alive = true
	case "trigger":
		said.Trigger = true
	default:
		return said, false
	}
	return said, rest == ""
}
