package main

import (
	"slices"
	"strings"
	"time"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/api"
)

// waitFor is wait: for a state or an event of a job, or for an event of any
// kind. What a state is waited for may be there already; an event must come
// after the command.
func waitFor(c *command) error {
	switch {
	case len(c.args) == 0:
		return usageError("missing job or event name")
	case len(c.args) == 1 || strings.Contains(c.args[1], "="):
		return c.waitEvent(c.args[0], c.args[1:])
	}
	name, what, env := c.args[0], c.args[1], append([]string{}, c.args[2:]...)
	if err := c.checkEntries(env); err != nil {
		return err
	}
	isState := slices.Contains(stateNames(), what)
	if !isState && !contains(jobEvents(), what) {
		return usageError("'" + what + "' is no state and no event of a job: these are " +
			strings.Join(stateNames(), ", ") + ", started, stopped")
	}
	c.doing = "wait for '" + name + "'"
	w := &jobWait{command: c, job: name, what: what, isState: isState}
	return w.run(env)
}

// waitEvent waits for an event with these variables, and prints it.
func (c *command) waitEvent(name string, env []string) error {
	c.doing, c.awaited = "wait for '"+name+"'", "for '"+name+"'"
	if err := c.checkEntries(env); err != nil {
		return err
	}
	var came *monitorLine
	take := func(s api.Signal) {
		line, ok := readSignal(s)
		if ok && came == nil && line.Kind == "event" && line.Event == name && matchesAll(line.Env, env) {
			came = &line
		}
	}
	err := c.listen(take, func() error { return nil }, func() bool { return came == nil })
	if err != nil {
		return err
	}
	return c.printEvent(came)
}

// printEvent prints the event that was waited for.
func (c *command) printEvent(came *monitorLine) error {
	if c.options.json {
		came.Version, came.Time = jsonVersion, fullTime(time.Now())
		return c.encode(came)
	}
	c.print(eventText(came.Event, came.Env))
	return nil
}

// matchesAll tells whether an event carries all these variables; values are
// globs, as in a condition.
func matchesAll(have, wanted []string) bool {
	for _, entry := range wanted {
		key, pattern, _ := strings.Cut(entry, "=")
		if !slices.ContainsFunc(have, func(entry string) bool {
			name, value, _ := strings.Cut(entry, "=")
			return name == key && events.Glob(pattern, value)
		}) {
			return false
		}
	}
	return true
}

// jobWait waits for something of a job.
type jobWait struct {
	*command
	job, what string
	isState   bool
	one       bool   // one instance is meant
	instance  string // its name

	live map[string]bool // the job's instances
	done string          // the instance that is where it shall be
	over bool
	gone bool // the job was removed
	came *monitorLine
}

func (w *jobWait) run(env []string) error {
	w.awaited = "for '" + w.job + "' to be " + w.what
	if !w.isState {
		w.awaited = "for '" + w.what + "' of '" + w.job + "'"
	}
	if _, err := w.callFor(w.awaited, api.ManagerPath, api.ManagerInterface, "GetJobByName", w.job); err != nil {
		return err
	}
	if err := w.choose(env); err != nil {
		return err
	}
	if err := w.listen(w.take, w.look, func() bool { return !w.over && !w.gone }); err != nil {
		return err
	}
	if w.gone && !w.over {
		return &api.Error{Name: api.ErrUnknownJob, Message: "Unknown job: " + w.job}
	}
	if !w.isState {
		return w.printEvent(w.came)
	}
	if w.client == nil {
		return nil
	}
	w.client.OnSignal = nil
	return w.showInstance(api.InstancePath(w.job, w.done))
}

// choose finds the instance that variables mean. It need not be there: then
// the refusal names it.
func (w *jobWait) choose(env []string) error {
	if len(env) == 0 {
		return nil
	}
	body, err := w.callFor(w.awaited, api.JobPath(w.job), api.JobInterface, "GetInstance", env)
	w.one = true
	if api.IsName(err, api.ErrUnknownInstance) {
		label := strings.TrimPrefix(err.Error(), "Unknown instance: "+w.job)
		w.instance = strings.TrimSuffix(strings.TrimPrefix(label, " ("), ")")
		return nil
	}
	if err != nil {
		return err
	}
	path, err := oneString(body)
	_, w.instance, _, _ = api.ParsePath(path)
	return err
}

// look asks where the job is now. Signals that come meanwhile belong before the
// answers, and may have told it already.
func (w *jobWait) look() error {
	if w.over || !w.isState {
		return nil
	}
	body, err := w.client.Call(w.ctx, api.JobPath(w.job), api.JobInterface, "GetAllInstances")
	if err != nil {
		return w.lost(err)
	}
	paths, err := oneList(body)
	if err != nil {
		return err
	}
	w.live = make(map[string]bool)
	requests := make([]api.Request, len(paths))
	for i, path := range paths {
		_, instance, _, _ := api.ParsePath(path)
		w.live[instance] = true
		requests[i] = api.GetAll(path, api.InstanceInterface)
	}
	replies, err := w.client.CallAll(w.ctx, requests)
	if err != nil {
		return err
	}
	for _, reply := range replies {
		if info, err := reply.Instance(); err == nil && info.State == w.what && w.means(info.Name) && !w.over {
			w.over, w.done = true, info.Name
		}
	}
	w.rest()
	return nil
}

// lost makes of the refusal of a job that has gone that of an unknown job.
func (w *jobWait) lost(err error) error {
	if gone(err) {
		w.gone = true
		return nil
	}
	return err
}

func (w *jobWait) means(instance string) bool { return !w.one || instance == w.instance }

// rest ends the wait for rest when nothing of what is meant is left.
func (w *jobWait) rest() {
	if w.what != "waiting" || w.live == nil || w.over {
		return
	}
	if w.one && !w.live[w.instance] || !w.one && len(w.live) == 0 {
		w.over, w.done = true, w.instance
	}
}

func (w *jobWait) take(s api.Signal) {
	line, ok := readSignal(s)
	if !ok || w.over {
		return
	}
	if line.Kind == "event" {
		if !w.isState && line.Event == w.what && contains(line.Env, "JOB="+w.job) &&
			(!w.one || contains(line.Env, "INSTANCE="+w.instance)) {
			w.over, w.came = true, &line
		}
		return
	}
	if line.Job == nil || *line.Job != w.job {
		return
	}
	instance := ""
	if line.Instance != nil {
		instance = *line.Instance
	}
	switch line.Kind {
	case "job-removed":
		w.gone = true
	case "job-added":
		w.gone = false // by another definition
	case "instance-added":
		if w.live != nil {
			w.live[instance] = true
		}
	case "instance-removed":
		delete(w.live, instance)
		w.rest()
	case "state":
		if w.isState && line.State == w.what && w.what != "waiting" && w.means(instance) {
			w.over, w.done = true, instance
		}
	}
}
