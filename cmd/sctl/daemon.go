package main

import (
	"errors"
	"strings"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/display/variable"
)

// emitEvent emits an event. A process of a job does not wait for it: it may
// itself be what the event is held up by. Upstart's initctl does wait.
func emitEvent(c *command) error {
	if len(c.args) == 0 {
		return usageError("missing event name")
	}
	name, env := c.args[0], append([]string{}, c.args[1:]...)
	c.doing = "emit '" + name + "'"
	if err := c.checkEntries(env); err != nil {
		return err
	}
	wait := !c.options.noWait
	if _, inJob := c.lookupEnv("UPSTART_JOB"); inJob && !c.style.isInitctl() {
		wait = false
	}
	_, err := c.callFor("for '"+name+"' to finish", api.ManagerPath, api.ManagerInterface, "EmitEvent", name, env, wait)
	return err
}

func showVersion(c *command) error {
	c.doing = "ask for the version"
	if c.options.json {
		text, err := c.callString(api.ManagerPath, api.PropertiesInterface, "Get", api.ManagerInterface, "version")
		if err != nil {
			return err
		}
		return c.encode(struct {
			Version int    `json:"version"`
			Daemon  string `json:"session_init"`
			Client  string `json:"sctl"`
		}{jsonVersion, text, api.Version})
	}
	return c.showProperty("version")
}

func logPriority(c *command) error {
	if len(c.args) == 0 {
		c.doing = "ask for the log priority"
		if c.options.json {
			text, err := c.callString(api.ManagerPath, api.PropertiesInterface, "Get", api.ManagerInterface, "log_priority")
			if err != nil {
				return err
			}
			return c.encode(struct {
				Version  int    `json:"version"`
				Priority string `json:"log_priority"`
			}{jsonVersion, text})
		}
		return c.showProperty("log_priority")
	}
	c.doing = "set the log priority"
	replies, err := c.callAll("for session-init to answer",
		api.SetProperty(api.ManagerPath, api.ManagerInterface, "log_priority", c.args[0]))
	if err == nil && replies[0].Err != nil {
		return replies[0].Err
	}
	return err
}

func (c *command) showProperty(name string) error {
	text, err := c.callString(api.ManagerPath, api.PropertiesInterface, "Get", api.ManagerInterface, name)
	if err == nil {
		c.print(text)
	}
	return err
}

func reloadConfiguration(c *command) error {
	c.doing = "reload the configuration"
	_, err := c.callFor("for the job files to be read", api.ManagerPath, api.ManagerInterface, "ReloadConfiguration")
	return err
}

// notifyCGroupManager is called by Upstart's job of cgmanager. session-init takes
// the address and has no use for it.
func notifyCGroupManager(c *command) error {
	if len(c.args) == 0 {
		return usageError("missing address of the cgroup manager")
	}
	c.doing = "say where the cgroup manager is"
	_, err := c.manager("NotifyCGroupManagerAddress", c.args[0])
	return err
}

// notifyBus says where the session bus is. The bus itself calls it so, by the
// file that says how to start who has our name: it names its address in
// DBUS_STARTER_ADDRESS.
func notifyBus(c *command) error {
	c.doing = "say where the session bus is"
	var address string
	for _, from := range []string{strings.Join(c.args, ""), c.getenv("DBUS_STARTER_ADDRESS"), c.getenv(variable.Bus)} {
		if address == "" {
			address = from
		}
	}
	if address == "" {
		return usageError("missing D-Bus address")
	}
	_, err := c.call(api.ManagerPath, api.ManagerInterface, "NotifyDBusAddress", address)
	return err
}

// reExec has the daemon execute itself anew, and waits until the new one
// answers: the old one closes its connections when it goes.
func reExec(c *command) error {
	c.doing = "re-exec session-init"
	const awaited = "for session-init to be executed anew"
	_, err := c.callFor(awaited, api.ManagerPath, api.ManagerInterface, "Restart")
	if err == nil && c.options.session {
		// The bus stays, and the daemon comes back to it: there is nothing to
		// wait for.
		return nil
	}
	for err == nil {
		_, err = c.callFor(awaited, api.ManagerPath, api.PeerInterface, "Ping")
	}
	for errors.Is(err, api.ErrDisconnected) {
		c.client.Close()
		c.client = nil
		_, err = c.callFor(awaited, api.ManagerPath, api.PeerInterface, "Ping")
	}
	return err
}

// endSession ends the daemon; that it goes before it has answered is no
// failure.
func endSession(c *command) error {
	c.doing = "end the session"
	switch {
	case c.options.unlessLinger && c.options.cancel:
		return usageError("--unless-linger and --cancel are opposites")
	case c.options.unlessLinger:
		return endAfterLogout(c)
	case c.options.cancel:
		c.doing = "keep the session"
		_, err := c.call(api.ManagerPath, api.ManagerExtension, "SetUntilLogout", false)
		return err
	}
	_, err := c.callFor("for the session to end", api.ManagerPath, api.ManagerInterface, "EndSession")
	if errors.Is(err, api.ErrDisconnected) {
		return nil
	}
	return err
}

// endAfterLogout ends the daemon as the last logout does, and waits until it
// has closed its connections, with which it goes; or says what it stays for.
func endAfterLogout(c *command) error {
	const awaited = "for the session to end"
	body, err := c.callFor(awaited, api.ManagerPath, api.ManagerExtension, "SetUntilLogout", true)
	var note string
	if err == nil {
		note, err = oneString(body)
	}
	switch {
	case err != nil:
	case note != "":
		c.print("session-init stays for " + printable(note))
	case !c.options.session: // the bus stays
		stop := c.watch()
		defer stop()
		c.client.OnSignal = func(api.Signal) {}
		err = c.client.Listen(c.ctx, func() bool { return true })
	}
	if errors.Is(err, api.ErrDisconnected) {
		return nil
	}
	return err
}
