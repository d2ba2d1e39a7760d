package bus

import (
	"strings"

	"github.com/session-init/session-init/session/api"
)

// An event is told to every client, and what waits for one that reads slowly is
// bounded: with events of tens of megabytes a few callers would have all others sent
// away. What no process could be given anyway is refused: the kernel lets one word
// of arguments or environment have 128 KiB with its NUL, and all of them, with the
// usual stack of 8 MiB, 2 MiB; see execve(2). So whatever came from the command
// line of a client fits, and what fits has a chance to reach a job.
const (
	// maxVariable bounds a name or a variable that a call carries, maxCarried all
	// of them together, in bytes.
	maxVariable = 128<<10 - 1
	maxCarried  = 2 << 20
)

// carriesTooMuch refuses a call whose names and variables are larger than that. What
// a login has in its environment a process was given already: no login is refused.
func (c *call) carriesTooMuch(m *method) *failure {
	if c.in.Size() <= maxVariable || m.name == "OpenSession" || m.name == "BeginSession" {
		return nil
	}
	all := 0
	for i, a := range m.in {
		var texts []string
		switch a {
		case arg{"env", "as"}, arg{"vars", "as"}, arg{"names", "as"}, arg{"assignments", "as"}:
			texts = c.in.Texts(i)
		case arg{"name", "s"}, arg{"var", "s"}:
			texts = []string{c.in.Text(i)}
		}
		for _, text := range texts {
			all += len(text)
			if len(text) <= maxVariable {
				continue
			}
			what := "its name"
			if a.name != "name" {
				key, _, _ := strings.Cut(text, "=")
				what = "the variable " + key[:min(len(key), 64)]
			}
			return failf(api.ErrLimitsExceeded, "cannot call %s: %s has %d bytes, and a process can be given %d at most",
				m.name, what, len(text), maxVariable)
		}
	}
	if all > maxCarried {
		return failf(api.ErrLimitsExceeded, "cannot call %s: name and variables have %d bytes, and %d is the most", m.name, all, maxCarried)
	}
	return nil
}
