package main

import (
	"strings"

	"github.com/session-init/session-init/session/api"
)

// signalJob sends a signal to the main process of a job.
func signalJob(c *command) error {
	if len(c.args) < 2 {
		return usageError("missing job or signal")
	}
	name, signal, env := c.args[0], c.args[1], append([]string{}, c.args[2:]...)
	c.doing = "signal '" + name + "'"
	if err := c.checkEntries(env); err != nil {
		return err
	}
	path, err := c.callString(api.JobPath(name), api.JobInterface, "GetInstance", env)
	if err != nil {
		return c.unknown(name, err)
	}
	_, err = c.call(path, api.InstanceExtension, "Signal", strings.TrimPrefix(signal, "-"))
	return c.unknown(name, err)
}
