package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/session-init/session-init/session/api"
)

// style is one of the two ways in which the program speaks: the founding
// document's, and that of Upstart's initctl.
type style interface {
	isInitctl() bool
	has(o *option) bool
	// prefix stands before every message.
	prefix(c *command) string
	// verbWord is what it calls a verb.
	verbWord() string
	version(program string) string
	// suggestion is the line after a wrong usage.
	suggestion(c *command) string
	// running is the status of an instance, resting that of one that is not
	// there; without a line end.
	running(job string, info api.InstanceInfo) string
	resting(job, instance string) string
	// failure is the message of an error that is no wrong usage.
	failure(c *command, err error) string
	// status gives the exit status for one of ours.
	status(ours int) int
}

// instanceName is how an instance is shown: "getty (tty1)", or "sobby" when
// its name is empty.
func instanceName(job, instance string) string {
	if instance == "" {
		return job
	}
	return job + " (" + instance + ")"
}

// plainStyle is the founding document's.
type plainStyle struct{}

func (plainStyle) isInitctl() bool    { return false }
func (plainStyle) has(o *option) bool { return o.plain }
func (plainStyle) verbWord() string   { return "verb" }

func (plainStyle) prefix(c *command) string {
	if c.verb != nil {
		return c.verb.name
	}
	return c.program
}

func (plainStyle) version(program string) string {
	return program + " (session-init) " + api.Version
}

func (plainStyle) suggestion(c *command) string {
	if c.verb == nil {
		return "usage: " + c.program + " [OPTION...] VERB [ARGUMENT...]; '" + c.program + " help' lists the verbs"
	}
	return usageLine(c)
}

// running puts the main process on the first line and each further one on a
// line of its own, after a tab.
func (plainStyle) running(job string, info api.InstanceInfo) string {
	out := instanceName(job, info.Name) + " " + info.State + " (" + info.Goal + ")"
	for i, p := range info.Processes {
		pid := "process " + strconv.Itoa(p.Pid)
		if i == 0 && p.Kind == "main" {
			out += ", " + pid
			continue
		}
		out += "\n\t" + p.Kind + " " + pid
	}
	return out
}

func (plainStyle) resting(job, instance string) string {
	return instanceName(job, instance) + " waiting (stop)"
}

func (plainStyle) failure(c *command, err error) string {
	var absent *noDaemonError
	if errors.As(err, &absent) {
		return "cannot " + c.doing + ": no session-init to talk to: " + absent.why
	}
	return "cannot " + c.doing + ": " + reason(err)
}

func (plainStyle) status(ours int) int { return ours }

// initctlStyle is that of Upstart 1.13's initctl.
type initctlStyle struct{}

func (initctlStyle) isInitctl() bool          { return true }
func (initctlStyle) has(o *option) bool       { return o.initctl }
func (initctlStyle) verbWord() string         { return "command" }
func (initctlStyle) prefix(c *command) string { return c.program }

func (initctlStyle) version(program string) string {
	return program + " (session-init " + api.Version + ")"
}

func (initctlStyle) suggestion(c *command) string {
	return "Try `" + c.program + " --help' for more information."
}

// running puts the first process on the first line whatever it is, and names
// it when state and kind do not say the same.
func (initctlStyle) running(job string, info api.InstanceInfo) string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s %s/%s", instanceName(job, info.Name), info.Goal, info.State)
	for i, p := range info.Processes {
		switch {
		case i > 0:
			fmt.Fprintf(&out, "\n\t%s process %d", p.Kind, p.Pid)
		case p.Kind == "main" || p.Kind == "pre-start" || p.Kind == "post-stop":
			fmt.Fprintf(&out, ", process %d", p.Pid)
		default:
			fmt.Fprintf(&out, ", (%s) process %d", p.Kind, p.Pid)
		}
	}
	return out.String()
}

// resting leaves the instance out: Upstart asks an instance for its name, and
// this one is not there to answer.
func (initctlStyle) resting(job, _ string) string { return job + " stop/waiting" }

func (initctlStyle) failure(_ *command, err error) string {
	var absent *noDaemonError
	if errors.As(err, &absent) {
		return "Unable to connect to Upstart: " + absent.why
	}
	return err.Error()
}

// status knows only one failure.
func (initctlStyle) status(ours int) int {
	if ours == exitDone {
		return exitDone
	}
	return exitFailed
}
