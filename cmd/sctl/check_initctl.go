package main

import (
	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/job"
	"github.com/session-init/session-init/session/lint"
)

// checkConditions is initctl's check-config: for each job that the daemon
// has, the events and jobs that its conditions wait for in vain, as far as
// "emits" tells. Of a condition those operands are named for which nothing
// else stands in; with --warn all that are unknown.
func (c *command) checkConditions() error {
	if len(c.args) > 1 {
		return usageError("unexpected argument: " + c.args[1])
	}
	c.doing = "check the configuration"
	paths, err := c.callStrings(api.ManagerPath, api.ManagerInterface, "GetAllJobs")
	if err != nil {
		return err
	}
	if len(c.args) > 0 {
		if _, err := c.callString(api.ManagerPath, api.ManagerInterface, "GetJobByName", c.args[0]); err != nil {
			return err
		}
	}
	configs, err := c.readConfigs(paths)
	if err != nil {
		return err
	}
	jobs := make([]lint.Job, len(configs))
	for i, config := range configs {
		jobs[i] = lint.Job{Class: config.class()}
	}
	known := lint.KnownNames(jobs, c.options.ignoreEvents)
	failed := false
	for _, j := range jobs {
		if len(c.args) > 0 && c.args[0] != j.Class.Name {
			continue
		}
		start, stop := known.Absent(j.Class.StartOn, c.options.warn), known.Absent(j.Class.StopOn, c.options.warn)
		if len(start)+len(stop) == 0 {
			continue
		}
		failed = true
		c.print(j.Class.Name)
		c.printAbsent("start on", start)
		c.printAbsent("stop on", stop)
	}
	if failed {
		return statusError(exitFailed)
	}
	return nil
}

func (c *command) printAbsent(title string, absent []lint.Absent) {
	for _, a := range absent {
		what := "event"
		if a.Job {
			what = "job"
		}
		c.print("  " + title + ": unknown " + what + " " + a.Name)
	}
}

// class makes a class of what the daemon tells of one.
func (config jobConfig) class() *job.Class {
	class := job.NewClass(config.name)
	for _, stanza := range config.stanzas {
		switch stanza.title {
		case "emits":
			class.Emits = stanza.words
		case "start on":
			class.StartOn = expression(stanza.condition)
		case "stop on":
			class.StopOn = expression(stanza.condition)
		}
	}
	return class
}

// expression makes one of reverse Polish notation, nil when it is none.
func expression(condition [][]string) *events.Expr {
	var x events.Expr
	depth := 0
	for _, words := range condition {
		switch {
		case isOperator(words):
			op := events.OpAnd
			if words[0] == "/OR" {
				op = events.OpOr
			}
			x.Nodes = append(x.Nodes, events.Node{Op: op})
			depth--
		case len(words) == 0:
			return nil
		default:
			m, bad := events.NewMatch(words)
			if bad >= 0 {
				return nil
			}
			x.Nodes = append(x.Nodes, events.Node{Match: m})
			depth++
		}
		if depth < 1 {
			return nil
		}
	}
	if depth != 1 {
		return nil
	}
	return &x
}
