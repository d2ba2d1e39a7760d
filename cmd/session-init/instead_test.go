package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// readyScript says READY=1, and stays.
const readyScript = `import os, socket, time
path = os.environ["NOTIFY_SOCKET"]
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.sendto(b"READY=1", "\0" + path[1:] if path[0] == "@" else path)
time.sleep(1000)
`

// TestInstead: who declares one thing and does another is told, when its time is
// over and before, what it does, and the declaration that fits.
func TestInstead(t *testing.T) {
	r := withBus(t)
	r.env = append(r.env, "DBUS_SESSION_BUS_ADDRESS="+r.busAddress())
	r.startBus()
	python := newListenScript(r)
	r.write("ready.py", readyScript)
	r.write("go", "")
	type one struct{ name, declares, does, hint, bus string }
	var all []one
	for _, declares := range []string{"notify", "listen", "dbus org.example.Not", "fork", "daemon", "stop"} {
		word, _, _ := strings.Cut(declares, " ")
		for _, does := range []string{"listens", "background", "owns", "says"} {
			name := word + "-" + does
			c := one{name, declares, does, "", "org.example.J" + word + "." + does}
			socket := "unix:" + r.dir + "/" + name + ".sock"
			fits := map[string]string{
				"listens":    "listens on " + socket + ": 'expect listen'",
				"background": "listens on " + socket + ": 'expect listen'",
				"owns":       "owns the bus name " + c.bus + ": 'expect dbus " + c.bus + "'",
				"says":       "said READY=1: 'expect notify'",
			}
			switch {
			case word == "listen" && (does == "listens" || does == "background"), word == "notify" && does == "says":
				// It does what it declares.
				continue
			case does == "background" && (word == "fork" || word == "stop"):
				// It does what it declares, or ends.
				continue
			case does == "background" && word == "daemon":
				c.hint = "it forked once: 'expect fork'"
			default:
				c.hint = fits[does]
			}
			exec := map[string]string{
				"listens":    python + " $W/listen.py " + name + " 0",
				"background": python + " $W/listen.py " + name + " 1",
				"owns":       "\"$OWNER\" own-name " + c.bus + " 0 comes",
				"says":       python + " $W/ready.py",
			}[does]
			r.job(name, fmt.Sprintf("expect %s\nwatchdog 600\nready timeout 20\nexec %s", declares, exec))
			all = append(all, c)
		}
	}
	r.start()
	conn := r.onBus()
	for _, c := range all {
		r.ok("sctl", "start", "--no-wait", c.name)
		// One after the other, so that none needs its time to begin.
		r.until(c.name+" to do what it does", func() bool {
			switch c.does {
			case "owns":
				return ownerOf(conn, c.bus) != 0
			case "says":
				return strings.Contains(r.reason(c.name), "said READY=1")
			default:
				_, err := os.Stat(filepath.Join(r.dir, c.name+".at"))
				return err == nil
			}
		})
		if c.name == "notify-listens" {
			r.until("why to say it before the time is over", func() bool {
				return strings.Contains(r.reason(c.name), c.name+".sock: 'expect listen' would fit")
			})
		}
	}
	for _, c := range all {
		r.until(c.name+" to have failed since "+c.hint, func() bool {
			why := r.reason(c.name)
			if strings.Contains(why, "was not ready within") && !strings.Contains(why, c.hint+" fits") {
				t.Fatalf("why %s says %q; want %q fits", c.name, why, c.hint)
			}
			return strings.Contains(why, "as 'expect "+c.declares+"' declares it") && strings.Contains(why, c.hint+" fits")
		})
	}
}
