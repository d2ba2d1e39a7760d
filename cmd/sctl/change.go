package main

import (
	"fmt"

	"github.com/session-init/session-init/session/api"
)

// changeAtOnce does what change does by one call, whose answer says all that is
// printed. It is not done when that was not all that was asked for, or when the
// daemon does not know the call.
func (c *command) changeAtOnce(t target, action, awaited string) (done bool, err error) {
	if t.own || c.options.json || c.options.processes {
		return false, nil
	}
	verb := action
	if c.options.force {
		verb = "force-stop"
	}
	body, err := c.callFor(awaited, api.JobPath(t.job), api.JobExtension, "Change", verb, t.env, !c.options.noWait)
	if api.IsName(err, api.ErrUnknownMethod, api.ErrUnknownInterface) {
		if better := c.explain(t, err); better != err {
			return true, better
		}
		return false, nil
	}
	if err != nil {
		return true, c.explain(t, err)
	}
	return true, c.showChange(t, action, body)
}

// showChange prints what came of a Change.
func (c *command) showChange(t target, action string, body []any) error {
	path, info, unkillable, err := readOutcome(body)
	if err != nil {
		return err
	}
	job, instance, isInstance, ok := api.ParsePath(path)
	if !ok || !isInstance {
		return fmt.Errorf("session-init answered with the path %q, which is no instance's", path)
	}
	if info.Name = instance; info.State == "waiting" && info.Goal == "stop" {
		c.print(c.style.resting(job, instance))
	} else {
		c.print(c.style.running(job, info))
	}
	if len(unkillable) > 0 && action == "stop" && !c.style.isInitctl() {
		// What they run is found out a moment later.
		c.printLeft(t.job, "unkillable", notEnded)
	}
	return nil
}

// readOutcome reads the answer to a Change.
func readOutcome(body []any) (path string, info api.InstanceInfo, unkillable []any, err error) {
	var ok [5]bool
	if len(body) == len(ok) {
		var processes []any
		path, ok[0] = body[0].(string)
		info.Goal, ok[1] = body[1].(string)
		info.State, ok[2] = body[2].(string)
		processes, ok[3] = body[3].([]any)
		unkillable, ok[4] = body[4].([]any)
		if info.Processes, err = api.Processes(processes); err != nil {
			return "", info, nil, err
		}
	}
	if ok != [5]bool{true, true, true, true, true} {
		return "", info, nil, fmt.Errorf("session-init answered to a change of a goal with other types than are known")
	}
	return path, info, unkillable, nil
}
