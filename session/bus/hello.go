package bus

import "fmt"

// busPath is where a bus daemon has its own object.
const busPath = "/org/freedesktop/DBus"

// busInterface lets in clients that take every address for that of a bus
// (gdbus, busctl): they say Hello first, and end when nobody answers. There
// are no names here and no match rules, as every client gets every signal;
// so the rest of a bus daemon's methods is unknown.
func busInterface() *iface {
	rule := []arg{{"rule", "s"}}
	nothing := func(c *call) { c.answer(nil, nil) }
	return &iface{
		name: "org.freedesktop.DBus",
		methods: []method{
			{"Hello", nil, []arg{{"unique_name", "s"}}, func(c *call) {
				c.answer([]any{fmt.Sprintf(":1.%d", c.conn.id)}, nil)
			}},
			{"AddMatch", rule, nil, nothing},
			{"RemoveMatch", rule, nil, nothing},
		},
	}
}
