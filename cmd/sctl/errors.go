package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/session-init/session-init/session/api"
)

// usageError is a command line that cannot be meant.
type usageError string

func (e usageError) Error() string { return string(e) }

// statusError is an exit status of ours when all has been said.
type statusError int

func (e statusError) Error() string { return "" }

// notRunningError is the refusal of what needs a main process, with the note of
// the instance, which may be empty.
type notRunningError struct {
	error
	note string
}

func (e *notRunningError) Unwrap() error { return e.error }

// report writes the message of an error and returns the exit status.
func (c *command) report(err error) int {
	var usage usageError
	var absent *noDaemonError
	var told statusError
	status := exitFailed
	switch {
	case errors.As(err, &told):
		return c.style.status(int(told))
	case errors.As(err, &usage):
		fmt.Fprintf(c.stderr, "%s: %s\n%s\n", c.prefix(), usage, c.style.suggestion(c))
		return c.style.status(exitUsage)
	case errors.Is(err, context.DeadlineExceeded):
		fmt.Fprintf(c.stderr, "%s: timed out after %v of waiting %s\n", c.prefix(), c.options.timeout, c.awaited)
		return exitTimeout
	case errors.As(err, &absent), errors.Is(err, api.ErrDisconnected):
		status = exitNoDaemon
	}
	fmt.Fprintf(c.stderr, "%s: %s\n", c.prefix(), c.style.failure(c, err))
	if !c.options.quiet {
		hint := c.hintFile(err)
		if hint == "" && isTerminal(c.stderr) {
			hint = c.hint(err)
		}
		if hint != "" {
			fmt.Fprintf(c.stderr, "%s: %s\n", c.prefix(), printable(hint))
		}
	}
	return c.style.status(status)
}

// reason says in the founding document's words why the daemon refused; other
// errors are sentences already.
func reason(err error) string {
	var reply *api.Error
	if !errors.As(err, &reply) {
		return err.Error()
	}
	switch reply.Name {
	case api.ErrUnknownJob:
		return "Unknown job"
	case api.ErrUnknownInstance, api.ErrNotRunning:
		var noted *notRunningError
		if errors.As(err, &noted) && noted.note != "" {
			return "Not running: " + noted.note
		}
		return "Not running"
	case api.ErrAlreadyStarted:
		return "Already running"
	case api.ErrAlreadyStopped:
		// An instance that has stopped is unknown: this one is on its way.
		return "Already stopping"
	}
	return err.Error()
}
