package bus

import (
	"fmt"

	"github.com/session-init/session-init/session/engine"
)

// busPath is where a bus daemon has its own object.
const busPath = "/org/freedesktop/DBus"

// busName is its name, and that of its interface.
const busName = "org.freedesktop.DBus"

// busInterface lets in clients that take every address for that of a bus
// (gdbus, busctl): they say Hello first, and end when nobody answers. There
// are no names here and no match rules, as every client gets every signal;
// so the rest of a bus daemon's methods is unknown.
func busInterface() *iface {
	rule := []arg{{"rule", "s"}}
	return &iface{
		name: busName,
		methods: []method{
			{"Hello", nil, []arg{{"unique_name", "s"}}, func(c *call) {
				c.answer([]any{fmt.Sprintf(":1.%d", c.conn.id)}, nil)
			}},
			{"AddMatch", rule, nil, addMatch},
			{"RemoveMatch", rule, nil, nothing},
		},
	}
}

// sendSignals lets a client that asks something and goes do without what would
// only wake it in between. On a bus it is the bus that knows who wants them.
func sendSignals(c *call) {
	if c.conn.link == nil {
		c.server.hears(c.conn, c.flag(0))
	}
	if !c.quiet {
		c.answer(nil, nil)
	}
}

// addMatch has nothing to do but for changes of properties, which are sent to
// those only who want them.
func addMatch(c *call) {
	wants := asksForChanges(c.str(0))
	c.read(func(v engine.View) ([]any, *failure) {
		if wants {
			c.server.watch(c.conn, nil, v)
		}
		return nil, nil
	})
}
