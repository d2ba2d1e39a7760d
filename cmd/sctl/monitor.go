package main

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/api"
)

// monitorLine is what monitor says of one signal.
type monitorLine struct {
	Version  int      `json:"version"`
	Time     string   `json:"time"`
	Kind     string   `json:"kind"`
	Event    string   `json:"event,omitempty"`
	Env      []string `json:"env,omitempty"`
	Job      *string  `json:"job,omitempty"`
	Instance *string  `json:"instance,omitempty"`
	State    string   `json:"state,omitempty"`
	Goal     string   `json:"goal,omitempty"`
	Status   *int32   `json:"status,omitempty"`
}

// monitor prints what session-init announces, as it comes.
func monitor(c *command) error {
	c.doing, c.awaited = "watch session-init", "for events"
	var failed error
	begun := false
	tell := func(line monitorLine) {
		now := time.Now()
		line.Version, line.Time = jsonVersion, fullTime(now)
		if failed == nil {
			c.printMonitor(now, line)
			failed = c.out.Flush()
		}
	}
	take := func(s api.Signal) {
		if line, ok := readSignal(s); ok && c.wanted(line) {
			tell(line)
		}
	}
	begin := func() error {
		if begun {
			tell(monitorLine{Kind: "reconnected"})
		}
		begun = true
		return nil
	}
	if err := c.listen(take, begin, func() bool { return failed == nil }); err != nil {
		return err
	}
	return failed
}

// readSignal makes a line of a signal; ok is false for one that is none of
// those that are told.
func readSignal(s api.Signal) (line monitorLine, ok bool) {
	first := func() string {
		if len(s.Body) == 0 {
			return ""
		}
		text, _ := s.Body[0].(string)
		return text
	}
	subject := func(objectPath string) bool {
		job, instance, isInstance, ok := api.ParsePath(objectPath)
		if ok {
			line.Job = &job
		}
		if isInstance {
			line.Instance = &instance
		}
		return ok
	}
	switch s.Interface + "." + s.Member {
	case api.ManagerInterface + ".EventEmitted":
		line.Kind, line.Event = "event", first()
		if len(s.Body) == 2 {
			line.Env, ok = s.Body[1].([]string)
		}
		return line, ok
	case api.ManagerInterface + ".JobAdded":
		line.Kind = "job-added"
		return line, subject(first())
	case api.ManagerInterface + ".JobRemoved":
		line.Kind = "job-removed"
		return line, subject(first())
	case api.JobInterface + ".InstanceAdded":
		line.Kind = "instance-added"
		return line, subject(first())
	case api.JobInterface + ".InstanceRemoved":
		line.Kind = "instance-removed"
		return line, subject(first())
	case api.InstanceInterface + ".GoalChanged":
		line.Kind, line.Goal = "goal", first()
		return line, subject(s.Path)
	case api.InstanceInterface + ".StateChanged":
		line.Kind, line.State = "state", first()
		return line, subject(s.Path)
	case api.InstanceInterface + ".Failed":
		line.Kind = "failed"
		if len(s.Body) == 1 {
			if status, isStatus := s.Body[0].(int32); isStatus {
				line.Status = &status
			}
		}
		return line, subject(s.Path)
	}
	return line, false
}

// wanted tells whether the options and patterns let a line through. A pattern
// is for the names of jobs and events alike, and an event is about the job that
// it names by JOB.
func (c *command) wanted(line monitorLine) bool {
	isState := line.Kind == "state" || line.Kind == "goal" || line.Kind == "failed"
	isEvent := line.Kind == "event"
	if (c.options.events || c.options.states) && !(c.options.events && isEvent || c.options.states && isState) {
		return false
	}
	names := []string{line.Event}
	if line.Job != nil {
		names = append(names, *line.Job)
	}
	for _, entry := range line.Env {
		if name, isJob := strings.CutPrefix(entry, "JOB="); isJob {
			names = append(names, name)
		}
	}
	for _, pattern := range c.args {
		for _, name := range names {
			if name != "" && events.Glob(pattern, name) {
				return true
			}
		}
	}
	return len(c.args) == 0
}

func (c *command) printMonitor(now time.Time, line monitorLine) {
	if c.options.quiet {
		return
	}
	if c.options.json {
		if text, err := json.Marshal(line); err == nil {
			c.out.Write(append(text, '\n'))
		}
		return
	}
	subject := ""
	if line.Job != nil {
		subject = *line.Job
		if line.Instance != nil {
			subject = instanceName(*line.Job, *line.Instance)
		}
	}
	what := ""
	switch line.Kind {
	case "event":
		what = "event " + c.paint(bold, eventText(line.Event, line.Env))
	case "goal":
		what = "goal  " + subject + " " + line.Goal
	case "state":
		with := faint
		switch line.State {
		case "running":
			with = green
		case "waiting":
			with = bold
		}
		what = "state " + subject + " " + c.paint(with, line.State)
	case "failed":
		what = c.paint(red, "failed "+subject)
	case "job-added":
		what = "job   " + subject + " added"
	case "job-removed":
		what = "job   " + subject + " removed"
	case "reconnected":
		what = "another session-init has gone on; what happened in between was not seen"
	default:
		return // that an instance comes and goes is told by its states
	}
	c.print(c.paint(faint, now.Format("15:04:05.000")) + " " + what)
}

// eventText gives an event on one line; values that could be misread are
// quoted.
func eventText(name string, env []string) string {
	words := []string{quoted(name)}
	for _, entry := range env {
		key, value, found := strings.Cut(entry, "=")
		if !found {
			words = append(words, quoted(entry))
			continue
		}
		words = append(words, quoted(key)+"="+quoted(value))
	}
	return strings.Join(words, " ")
}

func quoted(text string) string {
	odd := func(r rune) bool { return r == '"' || r == '\\' || !unicode.IsGraphic(r) || unicode.IsSpace(r) }
	if strings.IndexFunc(text, odd) >= 0 {
		return strconv.Quote(text)
	}
	return text
}
