// Command sctl talks to a running session-init: it starts and stops jobs,
// shows their status, emits events and asks for the configuration. Called as
// start, stop, restart, reload, status or emit it is that verb; called as
// initctl it is Upstart's initctl, in its words.
//
// It does nothing of its own: every verb is a few calls on the private
// socket, and what a verb does not need is not done, since a command of
// every day should cost no more than its process. What exists is one table,
// in verbs.go; help is made from it.
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/session-init/session-init/session/api"
)

// The exit statuses.
const (
	exitDone     = 0
	exitFailed   = 1 // refused or failed
	exitUsage    = 2
	exitNoDaemon = 3
	exitTimeout  = 4
)

func main() {
	os.Exit(run(os.Args, os.Environ(), os.Stdout, os.Stderr))
}

// command is one invocation.
type command struct {
	program string // the name it was called by: "sctl", "start", "initctl"
	linked  bool   // the name is that of a verb
	style   style
	verb    *verb
	options options
	args    []string // what follows the verb
	environ []string

	out    *bufio.Writer
	stdout io.Writer // below out
	stderr io.Writer

	ctx    context.Context
	client *api.Client // once connected
	// foundMachine: it is the machine's, which is at machine.
	foundMachine bool
	machine      machinePlace
	waits        waits
	// doing completes "cannot", awaited completes "waiting": "start 'x'",
	// "for 'x' to start". Messages are made of them.
	doing, awaited string
	// watched is the job whose states are of interest while a call waits.
	watched string
	// files collects what becomes of the files of several jobs, for one document
	// of --json; nil: each is told at once.
	files *filesReport
}

// run is the whole program. args[0] is the name it is called by.
func run(args, environ []string, stdout, stderr io.Writer) int {
	return runOn(theMachine(), usualWaits(), args, environ, stdout, stderr)
}

// runOn is run on a machine whose session-init is elsewhere, with other times.
func runOn(machine machinePlace, times waits, args, environ []string, stdout, stderr io.Writer) int {
	c := &command{
		machine: machine,
		waits:   times,
		environ: environ,
		out:     bufio.NewWriter(stdout),
		stdout:  stdout,
		stderr:  stderr,
		ctx:     context.Background(),
		options: options{lines: -1},
	}
	rest := c.setProgram(args)
	status := exitDone
	if err := c.runVerb(rest); err != nil {
		c.out.Flush()
		status = c.report(err)
	}
	if c.client != nil {
		c.client.Close()
	}
	if err := c.out.Flush(); err != nil && status == exitDone {
		fmt.Fprintf(stderr, "%s: cannot write: %v\n", c.prefix(), err)
		status = exitFailed
	}
	return status
}

// setProgram takes the name of the program from the arguments.
func (c *command) setProgram(args []string) (rest []string) {
	c.program, c.style = "sctl", plainStyle{}
	if len(args) == 0 {
		return nil
	}
	switch name := filepath.Base(args[0]); name {
	case "initctl":
		c.program, c.style = name, initctlStyle{}
	case "start", "stop", "restart", "reload", "status", "emit", "shutdown", "halt", "poweroff", "reboot", "telinit", "runlevel":
		c.program, c.linked, c.verb = name, true, findVerb(name)
	}
	return args[1:]
}

// prefix is what stands before a message.
func (c *command) prefix() string { return c.style.prefix(c) }

// usageName is how the verb is called, in a usage line.
func (c *command) usageName() string {
	if c.linked || c.verb == nil {
		return c.program
	}
	return c.program + " " + c.verb.name
}

func (c *command) runVerb(rest []string) error {
	if len(rest) > 0 && rest[0] == completeVerb && c.verb == nil {
		return c.complete(rest[1:])
	}
	if err := c.parse(rest); err != nil {
		return err
	}
	switch {
	case c.options.help:
		c.help()
		return nil
	case c.options.version:
		fmt.Fprintln(c.out, c.style.version(c.program))
		return nil
	case c.verb == nil:
		return usageError("missing " + c.style.verbWord())
	}
	if err := c.checkVerb(); err != nil {
		return err
	}
	if c.options.timeout > 0 {
		ctx, cancel := context.WithTimeout(c.ctx, c.options.timeout)
		defer cancel()
		c.ctx = ctx
	}
	if c.verb.run == nil {
		return showHelp(c)
	}
	return c.verb.run(c)
}

// getenv looks a variable up; one that is empty counts as not set.
func (c *command) getenv(name string) string {
	value, _ := c.lookupEnv(name)
	return value
}

func (c *command) lookupEnv(name string) (value string, ok bool) {
	for _, entry := range c.environ {
		if len(entry) > len(name) && entry[len(name)] == '=' && strings.HasPrefix(entry, name) {
			return entry[len(name)+1:], true
		}
	}
	return "", false
}

// print writes a line of the result, unless --quiet was given.
func (c *command) print(line string) {
	if !c.options.quiet {
		c.out.WriteString(line)
		c.out.WriteByte('\n')
	}
}
