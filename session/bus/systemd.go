package bus

import (
	"slices"
	"strings"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/engine"
)

// A bus that has us start its services knows us by systemd's name, and so does
// everybody else there. Programs that use more of systemd than we are get an
// error at once, and do without, as they do where there is no systemd. The one
// thing that is answered is what sets variables, for
// dbus-update-activation-environment --systemd, which login scripts run.

const (
	systemdName      = "org.freedesktop.systemd1"
	systemdPath      = "/org/freedesktop/systemd1"
	systemdInterface = systemdName + ".Manager"
)

func systemdManager() *iface {
	set, unset := arg{"assignments", "as"}, arg{"names", "as"}
	return &iface{
		name: systemdInterface,
		methods: []method{
			{"SetEnvironment", []arg{set}, nil, func(c *call) { c.systemdEnv(nil, c.strs(0)) }},
			{"UnsetEnvironment", []arg{unset}, nil, func(c *call) { c.systemdEnv(c.strs(0), nil) }},
			{"UnsetAndSetEnvironment", []arg{unset, set}, nil, func(c *call) { c.systemdEnv(c.strs(0), c.strs(1)) }},
		},
	}
}

// systemdEnv changes the table of all jobs: first what is unset, then what is
// set. The variables of a login session are no table's: they would outlive it.
func (c *call) systemdEnv(unset, set []string) {
	for _, entry := range set {
		if key, _, ok := events.SplitEntry(entry); !ok || key == "" {
			c.answer(nil, failf(api.ErrInvalidArgs, "cannot set %q: it is not KEY=VALUE", entry))
			return
		}
	}
	var left []string
	ours := func(entry string) bool {
		key, _, _ := events.SplitEntry(entry)
		if !slices.Contains(c.server.loginVariables, key) {
			return true
		}
		left = append(left, key)
		return false
	}
	change := engine.SetEnv{Replace: true}
	for _, entry := range set {
		if ours(entry) {
			change.Entries = append(change.Entries, entry)
		}
	}
	if len(left) > 0 {
		c.server.log.Info("variables of a login session are not set for all jobs, use 'sctl session begin' for them: " + strings.Join(left, ", "))
	}
	for _, name := range unset {
		again := slices.ContainsFunc(set, func(entry string) bool { return strings.HasPrefix(entry, name+"=") })
		if !again && ours(name) {
			change.Unset = append(change.Unset, name)
		}
	}
	change.By = c.conn.caller()
	c.step(false, func(id engine.CallID) engine.Input {
		change.Call = id
		return change
	})
}
