package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/display/variable"
)

// noDaemonError says that there is no daemon to talk to, and where it was
// looked for.
type noDaemonError struct{ why string }

func (e *noDaemonError) Error() string { return e.why }

// startHint names the command that makes a daemon.
const startHint = "start one with: session-init"

// machineHint says how there is one of the machine.
const machineHint = "it is the first process of a machine that boots with it, or started with: session-init --system"

// connect finds the daemon: at --address, else at UPSTART_SESSION, else by
// the session file of a daemon that lives, else at the socket of one whose keeper
// was killed, else for root at the machine's, else by its name on the session bus,
// which is the only place with --session. An address that was given and
// does not answer is an error: another daemon than the one that was meant
// must not get the command.
func (c *command) connect() error {
	if c.client != nil {
		return nil
	}
	if c.options.session {
		client, err := c.dialBus()
		if err != nil {
			return c.absent(err.Error())
		}
		c.client = client
		return nil
	}
	if address := c.options.address; address != "" {
		return c.dial(address, "")
	}
	if c.options.system {
		return c.dial(c.machine.address(), "")
	}
	if address := c.getenv(api.SessionVariable); address != "" {
		return c.dial(address, " (from "+api.SessionVariable+")")
	}
	dir := api.SessionDir(c.runtimeDir())
	sessions, err := api.Sessions(dir)
	if err != nil {
		return c.orBus(fmt.Sprintf(", %v", err))
	}
	return c.dialSessions(dir, sessions)
}

// runtimeDir is XDG_RUNTIME_DIR, or where it usually is: su, sudo and cron
// leave the variable out.
func (c *command) runtimeDir() string {
	if dir := c.getenv("XDG_RUNTIME_DIR"); dir != "" {
		return dir
	}
	return fmt.Sprintf("/run/user/%d", os.Getuid())
}

func (c *command) dial(address, origin string) error {
	client, err := api.Dial(c.ctx, address)
	if err != nil {
		if c.ctx.Err() != nil {
			return context.Cause(c.ctx)
		}
		hint := startHint
		if c.machine.isAt(address) {
			hint = machineHint
		}
		return &noDaemonError{fmt.Sprintf("%v%s; %s", err, origin, hint)}
	}
	c.client, c.foundMachine = client, c.machine.isAt(address)
	return nil
}

// orBus is the last try: the session bus. tried is what was tried before, each
// after a comma.
func (c *command) orBus(tried string) error {
	if os.Geteuid() == 0 {
		// Root, who has none of his own, means the machine's.
		if client, err := api.Dial(c.ctx, c.machine.address()); err == nil {
			c.client, c.foundMachine = client, true
			return nil
		}
	}
	client, err := c.dialBus()
	if err != nil {
		return c.absent(api.SessionVariable + " is not set" + tried + ", and " + err.Error())
	}
	c.client = client
	return nil
}

// absent is that there is no daemon, unless the command was given up.
func (c *command) absent(why string) error {
	if c.ctx.Err() != nil {
		return context.Cause(c.ctx)
	}
	return &noDaemonError{why + "; " + startHint}
}

// dialBus finds the daemon by its name on the session bus: the one of
// --address, or as every client of the bus looks for it. The error is a
// sentence's end.
func (c *command) dialBus() (*api.Client, error) {
	address := c.options.address
	if address == "" {
		address = c.getenv(variable.Bus)
	}
	if address == "" {
		address = api.UnixAddress(filepath.Join(c.runtimeDir(), "bus"))
	}
	client, err := api.DialBus(c.ctx, address)
	if err != nil {
		return nil, fmt.Errorf("there is no session bus: %w", err)
	}
	_, err = client.Call(c.ctx, api.ManagerPath, api.PeerInterface, "Ping")
	if err == nil {
		return client, nil
	}
	client.Close()
	if api.IsName(err, api.ErrServiceUnknown, api.ErrNameHasNoOwner) {
		return nil, fmt.Errorf("no session-init is on the session bus at %s", address)
	}
	return nil, fmt.Errorf("the session bus at %s does not help: %w", address, err)
}

// dialSessions takes the one session that answers. A pid can have come to
// another process since a daemon died, so that only connecting tells.
func (c *command) dialSessions(dir string, sessions []api.Session) error {
	var answering []string
	var dead string
	for _, session := range sessions {
		client, err := api.Dial(c.ctx, session.Address)
		if c.ctx.Err() != nil {
			return context.Cause(c.ctx)
		}
		if err != nil {
			dead += fmt.Sprintf(", %v (from %s)", err, session.File)
			continue
		}
		answering = append(answering, session.Address)
		if len(answering) > 1 {
			client.Close()
			continue
		}
		c.client = client
	}
	switch len(answering) {
	case 1:
		return nil
	case 0:
		// The files go by the keeper: a daemon whose keeper was killed has its socket.
		if client, err := api.Dial(c.ctx, api.UnixAddress(filepath.Join(c.runtimeDir(), "session-init", "socket"))); err == nil {
			c.client = client
			return nil
		}
		if dead == "" {
			dead = ", " + dir + " has no session of a live process"
		}
		return c.orBus(dead)
	}
	c.client.Close()
	c.client = nil
	return fmt.Errorf("%d sessions run, choose one with --address: %s", len(answering), strings.Join(answering, " "))
}

// callAll makes calls and waits for their answers. awaited completes "waiting"
// in what is said when that takes long.
func (c *command) callAll(awaited string, requests ...api.Request) ([]api.Reply, error) {
	c.awaited = awaited
	if err := c.connect(); err != nil {
		return nil, err
	}
	stop := c.watch()
	defer stop()
	return c.client.CallAll(c.ctx, requests)
}

// call makes one call that waits for nothing but the daemon.
func (c *command) call(path, iface, member string, args ...any) ([]any, error) {
	return c.callFor("for session-init to answer", path, iface, member, args...)
}

func (c *command) callFor(awaited, path, iface, member string, args ...any) ([]any, error) {
	replies, err := c.callAll(awaited, api.Request{Path: path, Interface: iface, Member: member, Args: args})
	if err != nil {
		return nil, err
	}
	if replies[0].Err != nil {
		return nil, replies[0].Err
	}
	return replies[0].Body, nil
}

// callString makes a call whose one result is a string or an object path.
func (c *command) callString(path, iface, member string, args ...any) (string, error) {
	body, err := c.call(path, iface, member, args...)
	if err != nil {
		return "", err
	}
	return oneString(body)
}

func oneString(body []any) (string, error) {
	if len(body) == 1 {
		if text, ok := body[0].(string); ok {
			return text, nil
		}
	}
	return "", fmt.Errorf("session-init answered with another type than a string")
}

// callStrings makes a call whose one result is a list of strings or paths.
func (c *command) callStrings(path, iface, member string, args ...any) ([]string, error) {
	body, err := c.call(path, iface, member, args...)
	if err != nil {
		return nil, err
	}
	return oneList(body)
}

func oneList(body []any) ([]string, error) {
	if len(body) == 1 {
		if list, ok := body[0].([]string); ok {
			return list, nil
		}
	}
	return nil, fmt.Errorf("session-init answered with another type than a list")
}

// manager calls a method of the manager.
func (c *command) manager(member string, args ...any) ([]any, error) {
	return c.call(api.ManagerPath, api.ManagerInterface, member, args...)
}

// gone tells whether an object was not there.
func gone(err error) bool {
	return api.IsName(err, api.ErrUnknownObject, api.ErrUnknownMethod, api.ErrUnknownInterface,
		api.ErrUnknownJob, api.ErrUnknownInstance)
}

// listSessions prints the sessions of this user. It asks no daemon.
func listSessions(c *command) error {
	c.doing = "list the sessions"
	sessions, err := api.Sessions(api.SessionDir(c.runtimeDir()))
	if err != nil {
		return err
	}
	if c.options.json {
		type entry struct {
			Pid     int    `json:"pid"`
			Address string `json:"address"`
		}
		list := make([]entry, len(sessions))
		for i, session := range sessions {
			list[i] = entry{session.Pid, session.Address}
		}
		return c.encode(struct {
			Version  int     `json:"version"`
			Sessions []entry `json:"sessions"`
		}{jsonVersion, list})
	}
	for _, session := range sessions {
		c.print(fmt.Sprintf("%d %s", session.Pid, session.Address))
	}
	return nil
}
