package main

import (
	"strings"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/utmp"
)

// telinit is the program of that name: it changes the runlevel, which is to emit
// the event runlevel. 0 and 6 are the end of the machine.
func telinit(c *command) error {
	options, rest, err := c.letters("e:t:")
	if err != nil || c.told() {
		return err
	}
	switch {
	case len(rest) == 0:
		return usageError("missing runlevel")
	case len(rest) > 1:
		return usageError("unexpected argument: " + rest[1])
	case len(rest[0]) != 1 || !strings.Contains("0123456SsQqUu", rest[0]):
		return usageError("no such runlevel: " + rest[0])
	}
	var env []string
	if entry, given := options['e']; given {
		env = append(env, entry)
	}
	c.doing = "change the runlevel"
	if err := c.checkEntries(env); err != nil {
		return err
	}
	c.options.system = true
	switch level := rest[0][0]; level {
	case 'Q', 'q':
		return reloadConfiguration(c)
	case 'U', 'u':
		return reExec(c)
	case '0':
		return c.endMachine("poweroff")
	case '6':
		return c.endMachine("reboot")
	case 's':
		return c.changeRunlevel('S', env)
	default:
		return c.changeRunlevel(level, env)
	}
}

// changeRunlevel emits the event. Nobody waits for its jobs: who asks may be one of
// them.
func (c *command) changeRunlevel(level byte, env []string) error {
	own, err := c.noteRunlevel(level)
	if err != nil {
		return err
	}
	_, err = c.call(api.ManagerPath, api.ManagerInterface, "EmitEvent", "runlevel", append(own, env...), false)
	return err
}

// encodeRunlevel prints the levels as JSON; without one that is there are none.
func (c *command) encodeRunlevel(previous, current byte) error {
	report := struct {
		Version  int    `json:"version"`
		Previous string `json:"previous,omitempty"`
		Current  string `json:"current,omitempty"`
	}{Version: jsonVersion}
	if current == utmp.None {
		if err := c.encode(report); err != nil {
			return err
		}
		return statusError(exitFailed)
	}
	report.Previous, report.Current = string(rune(previous)), string(rune(current))
	return c.encode(report)
}

// showRunlevel is the program runlevel: the level before, and the one that is.
func showRunlevel(c *command) error {
	_, rest, err := c.letters("")
	if err != nil || c.told() {
		return err
	}
	c.doing = "show the runlevel"
	path := utmp.Current
	if len(rest) > 0 {
		path = rest[0]
	}
	previous, current, err := utmp.Runlevel(path)
	if err != nil {
		return err
	}
	if c.options.json {
		return c.encodeRunlevel(previous, current)
	}
	if current == utmp.None {
		c.print("unknown")
		return statusError(exitFailed)
	}
	c.print(string(rune(previous)) + " " + string(rune(current)))
	return nil
}
