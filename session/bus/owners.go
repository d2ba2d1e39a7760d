package bus

import (
	"slices"
	"strings"

	"github.com/session-init/session-init/session/wire"
)

// NameOwner is a name that is owned on the bus, and the process that made the
// connection which owns it.
type NameOwner struct {
	Name string
	Pid  int
}

// maxOwners bounds the names that are asked about at a time.
const maxOwners = 256

// Owners asks the bus for the names that are owned there, and their owners,
// those of the bus itself left out. f gets them, by name, on the goroutine that
// reads of the bus, and must not block; none when the bus does not tell. It is not
// called when there is no bus, or it is lost before it has answered. Who asks while
// the bus is being asked gets the same answer: a thousand jobs may ask at once.
func (r *Remote) Owners(f func([]NameOwner)) {
	r.mu.Lock()
	l := r.link
	r.mu.Unlock()
	if l == nil {
		return
	}
	l.mu.Lock()
	l.asking = append(l.asking, f)
	first := len(l.asking) == 1
	l.mu.Unlock()
	if !first {
		return
	}
	l.conn.send(l.call("ListNames", "", func(m *wire.Message) {
		if m.Kind == wire.Error || m.Signature != "as" {
			l.tellOwners(nil)
			return
		}
		list, _ := m.Value(0).([]string)
		names := make([]string, 0, len(list))
		for _, name := range list {
			if !strings.HasPrefix(name, ":") && name != driver && len(names) < maxOwners {
				names = append(names, strings.Clone(name))
			}
		}
		slices.Sort(names)
		l.pidsOf(names)
	}))
}

// tellOwners answers all who have asked.
func (l *link) tellOwners(list []NameOwner) {
	l.mu.Lock()
	asking := l.asking
	l.asking = nil
	l.mu.Unlock()
	for _, f := range asking {
		f(list)
	}
}

// pidsOf asks for the processes of connections; all answers come on the
// reader's goroutine.
func (l *link) pidsOf(names []string) {
	var out []NameOwner
	left := len(names)
	if left == 0 {
		l.tellOwners(nil)
	}
	for _, name := range names {
		l.conn.send(l.call("GetConnectionUnixProcessID", "s", func(m *wire.Message) {
			if m.Kind == wire.MethodReply && m.Signature == "u" {
				out = append(out, NameOwner{name, int(m.Value(0).(uint32))})
			}
			if left--; left == 0 {
				l.tellOwners(out)
			}
		}, name))
	}
}
