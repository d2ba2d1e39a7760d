package sim

import (
	"fmt"
	"slices"
	"strings"

	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
)

// Line is one thing that happened, as stories write it. Kind is the word by
// which an expectation chooses it.
type Line struct {
	Kind string
	Text string
}

// The kinds of lines. A log line stands in no expectation that does not ask
// for it.
const (
	kindJob      = "job"
	kindInstance = "instance"
	kindGoal     = "goal"
	kindState    = "state"
	kindFailed   = "failed"
	kindEvent    = "event"
	kindSpawn    = "spawn"
	kindSignal   = "signal"
	kindReply    = "reply"
	kindLog      = "log"
	kindQuit     = "quit"
	kindLogin    = "login"
	kindSocket   = "socket"
)

var kinds = []string{kindJob, kindInstance, kindGoal, kindState, kindFailed, kindEvent,
	kindSpawn, kindSignal, kindReply, kindLog, kindQuit, kindLogin, kindSocket}

// Label names an instance: the job, and the instance's name in parentheses
// when it has one.
func Label(class, instance string) string {
	if instance == "" {
		return class
	}
	return class + "(" + instance + ")"
}

// splitLabel takes a Label apart.
func splitLabel(label string) (class, instance string) {
	class, rest, found := strings.Cut(label, "(")
	if !found {
		return label, ""
	}
	return class, strings.TrimSuffix(rest, ")")
}

// errorNames are the names of refusals as the bus has them, without prefix.
var errorNames = [...]string{
	engine.InvalidArgs:     "InvalidArgs",
	engine.UnknownJob:      "UnknownJob",
	engine.UnknownInstance: "UnknownInstance",
	engine.AlreadyStarted:  "AlreadyStarted",
	engine.AlreadyStopped:  "AlreadyStopped",
	engine.NotRunning:      "NotRunning",
	engine.JobFailed:       "JobFailed",
	engine.EventFailed:     "EventFailed",
}

var levelNames = [...]string{engine.Debug: "debug", engine.Info: "info", engine.Warn: "warn", engine.ErrorLevel: "error"}

// Format puts an effect in a line. caller names a call, proc a process.
func Format(effect engine.Effect, caller func(engine.CallID) string, proc func(engine.ProcID) string) Line {
	switch e := effect.(type) {
	case engine.Spawn:
		text := Label(e.Class.Name, e.Instance) + " spawn " + e.Kind.String()
		for _, file := range e.Files {
			text += fmt.Sprintf(" with descriptor %d", file)
		}
		return Line{kindSpawn, text}
	case engine.Kill:
		text := proc(e.Proc) + " gets " + job.SignalName(e.Signal)
		if !e.Group {
			text += " alone"
		}
		return Line{kindSignal, text}
	case engine.Sweep:
		label := proc(engine.ProcID(e.Owner))
		if at := strings.LastIndexByte(label, ' '); at > 0 {
			label = label[:at]
		}
		switch {
		case e.Signal == 0:
			label += " leftovers stay"
		default:
			label += " leftovers get " + job.SignalName(e.Signal)
		}
		if e.Group != 0 {
			label += " in the group"
		}
		return Line{kindSignal, label}
	case engine.Settle:
		return Line{kindSignal, proc(e.Proc) + " is taken as it is"}
	case engine.Listen:
		var addresses []string
		for _, s := range e.Sockets {
			addresses = append(addresses, s.Address())
		}
		if addresses == nil {
			addresses = []string{"nothing"}
		}
		return Line{kindSocket, e.Class + " listens on " + strings.Join(addresses, " and ")}
	case engine.AwaitConnection:
		return Line{kindSocket, e.Class + " awaits a connection"}
	case engine.DropFile:
		return Line{kindSocket, fmt.Sprintf("descriptor %d is closed", e.File)}
	case engine.Reply:
		text := caller(e.Call) + ": ok"
		if e.Login != 0 {
			text += fmt.Sprintf(" session %d", e.Login)
		} else if e.Text != "" {
			text += " " + e.Text
		}
		if e.Err != nil {
			text = fmt.Sprintf("%s: %s: %s", caller(e.Call), errorNames[e.Err.Kind], e.Err.Msg)
			if e.Err.Reason != "" {
				text += " (" + e.Err.Reason + ")"
			}
		}
		return Line{kindReply, text}
	case engine.Notify:
		return formatNotify(e)
	case engine.Log:
		return Line{kindLog, "log " + levelNames[e.Level] + ": " + e.Msg}
	case engine.Quit:
		return Line{kindQuit, "quit"}
	case engine.SessionOver:
		return Line{kindLogin, strings.TrimSpace(fmt.Sprintf("session %d is over %s", e.ID, strings.Join(e.Activation, " ")))}
	}
	return Line{Text: fmt.Sprintf("unknown effect %T", effect)}
}

func formatNotify(n engine.Notify) Line {
	label := Label(n.Class, n.Instance)
	switch n.Kind {
	case engine.JobAdded:
		return Line{kindJob, "job " + n.Class + " added"}
	case engine.JobRemoved:
		return Line{kindJob, "job " + n.Class + " removed"}
	case engine.InstanceAdded:
		return Line{kindInstance, label + " added"}
	case engine.InstanceRemoved:
		return Line{kindInstance, label + " removed"}
	case engine.GoalChanged:
		return Line{kindGoal, label + " goal " + n.Text}
	case engine.StateChanged:
		return Line{kindState, label + " state " + n.Text}
	case engine.Failed:
		return Line{kindFailed, fmt.Sprintf("%s failed %d", label, n.Status)}
	case engine.EventEmitted:
		return Line{kindEvent, strings.Join(append([]string{"event", n.Text}, n.Env...), " ")}
	}
	return Line{Text: fmt.Sprintf("unknown announcement %d", n.Kind)}
}

// stateWord stands in a line between an instance and its states. A line of
// an expectation may list several states, passed through one after the
// other.
const stateWord = " state "

// spread writes the states of one line as a line each.
func spread(lines []string) []string {
	var out []string
	for _, line := range lines {
		label, states, found := strings.Cut(line, stateWord)
		if !found || strings.Contains(label, " ") {
			out = append(out, line)
			continue
		}
		for _, state := range strings.Fields(states) {
			out = append(out, label+stateWord+state)
		}
	}
	return out
}

// gather is the opposite of spread.
func gather(lines []string) []string {
	var out []string
	last := ""
	for _, line := range lines {
		label, state, found := strings.Cut(line, stateWord)
		found = found && !strings.Contains(label, " ")
		if found && label == last {
			out[len(out)-1] += " " + state
			continue
		}
		last = ""
		if found {
			last = label
		}
		out = append(out, line)
	}
	return out
}

// choose returns the texts of the lines of these kinds; of all but the log
// when there are none.
func choose(lines []Line, want []string) []string {
	var out []string
	for _, line := range lines {
		if len(want) == 0 && line.Kind != kindLog || slices.Contains(want, line.Kind) {
			out = append(out, line.Text)
		}
	}
	return out
}
