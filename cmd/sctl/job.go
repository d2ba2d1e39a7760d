package main

import (
	"fmt"
	"sort"
	"strings"
	"unicode"

	"github.com/session-init/session-init/session/api"
)

// target is the job that a verb is for.
type target struct {
	job string
	env []string // never nil
	// own is set when a process of the job itself calls, without naming it:
	// then the instance is meant by its name. Such a call never waits, since
	// the job would wait for itself.
	own      bool
	instance string
}

// target reads the arguments of a verb that is for a job. action is the word
// after "cannot".
func (c *command) target(action string) (target, error) {
	t := target{env: []string{}}
	if len(c.args) > 0 {
		t.job = c.args[0]
		t.env = append(t.env, c.args[1:]...)
	} else {
		job, isJob := c.lookupEnv("UPSTART_JOB")
		instance, isInstance := c.lookupEnv("UPSTART_INSTANCE")
		if !isJob || !isInstance {
			return t, usageError("missing job name")
		}
		t.job, t.instance, t.own = job, instance, true
	}
	c.doing = action + " '" + t.job + "'"
	c.watched = t.job
	return t, c.checkEntries(t.env)
}

// checkEntries refuses what is not KEY=VALUE, before anything is done.
// Called as initctl this is left to the daemon.
func (c *command) checkEntries(entries []string) error {
	if c.style.isInitctl() {
		return nil
	}
	for _, entry := range entries {
		if !strings.Contains(entry, "=") {
			return usageError(fmt.Sprintf("'%s' is not KEY=VALUE", entry))
		}
	}
	return nil
}

func startJob(c *command) error   { return c.change("start", "Start", "to start") }
func restartJob(c *command) error { return c.change("restart", "Restart", "to restart") }
func stopJob(c *command) error    { return c.change("stop", "Stop", "to stop") }

// change calls a method that changes the goal, and shows what came of it.
func (c *command) change(action, member, until string) error {
	t, err := c.target(action)
	if err != nil {
		return err
	}
	awaited := "for '" + t.job + "' " + until
	if done, err := c.changeAtOnce(t, action, awaited); done {
		return err
	}
	return c.changeByCalls(t, action, member, awaited)
}

// changeByCalls does it as Upstart has it: a call that changes the goal, and one
// that asks for the status.
func (c *command) changeByCalls(t target, action, member, awaited string) (err error) {
	path := api.InstancePath(t.job, t.instance)
	jobFace, instanceFace := api.JobInterface, api.InstanceInterface
	if c.options.force {
		member, jobFace, instanceFace = "ForceStop", api.JobExtension, api.InstanceExtension
	}
	switch {
	case t.own:
		_, err = c.callFor(awaited, path, instanceFace, member, false)
	case action == "stop":
		// A stop answers with nothing, and the instance is gone after it.
		path, err = c.callString(api.JobPath(t.job), api.JobInterface, "GetInstance", t.env)
		if err == nil {
			_, err = c.callFor(awaited, api.JobPath(t.job), jobFace, member, t.env, !c.options.noWait)
		}
	default:
		var body []any
		body, err = c.callFor(awaited, api.JobPath(t.job), api.JobInterface, member, t.env, !c.options.noWait)
		if err == nil {
			path, err = oneString(body)
		}
	}
	if err != nil {
		return c.explain(t, err)
	}
	if err := c.showInstance(path); err != nil || action != "stop" || c.style.isInitctl() || c.options.json {
		return err
	}
	// What even KILL did not end is no reason to fail, and one to say so.
	c.printLeft(t.job, "unkillable", notEnded)
	return nil
}

// explain finds out what is missing when an object was not there: asking for
// the path of every job first would cost each command a call.
func (c *command) explain(t target, err error) error {
	if api.IsName(err, api.ErrJobFailed) && !c.style.isInitctl() {
		if failure := c.lastFailure(t.job); failure != "" {
			return fmt.Errorf("%w: %s", err, failure)
		}
		return err
	}
	if !api.IsName(err, api.ErrUnknownObject, api.ErrUnknownMethod, api.ErrUnknownInterface) {
		return err
	}
	if _, better := c.manager("GetJobByName", t.job); better != nil {
		return better
	}
	if t.own {
		_, better := c.call(api.JobPath(t.job), api.JobInterface, "GetInstanceByName", t.instance)
		if better != nil {
			return better
		}
	}
	return err
}

// lastFailure returns the sentence about a job's last failure, or nothing
// when there is none, or when it cannot be had: it is an addition.
func (c *command) lastFailure(job string) string {
	body, err := c.call(api.JobPath(job), api.PropertiesInterface, "Get", api.JobExtension, "last_failure")
	if err != nil {
		return ""
	}
	failure, _ := oneString(body)
	return failure
}

func reloadJob(c *command) error {
	t, err := c.target("reload")
	if err != nil {
		return err
	}
	path := api.InstancePath(t.job, t.instance)
	if !t.own {
		path, err = c.callString(api.JobPath(t.job), api.JobInterface, "GetInstance", t.env)
	}
	if err == nil {
		_, err = c.call(path, api.InstanceInterface, "Reload")
	}
	if api.IsName(err, api.ErrNotRunning) && !c.style.isInitctl() {
		return &notRunningError{err, c.noteOf(path)}
	}
	return c.explain(t, err)
}

// showStatus shows one instance. A job without variables means all its
// instances, so that the question has an answer whether the job has an
// instance stanza or not; initctl has to be given the variables.
func showStatus(c *command) error {
	t, err := c.target("show")
	if err != nil {
		return err
	}
	switch {
	case t.own:
		if c.style.isInitctl() {
			_, err = c.call(api.JobPath(t.job), api.JobInterface, "GetInstanceByName", t.instance)
			if err != nil {
				return c.explain(t, err)
			}
		}
		return c.showInstance(api.InstancePath(t.job, t.instance))
	case len(t.env) == 0 && !c.style.isInitctl():
		if c.options.json {
			return c.statusJSON(t.job)
		}
		lines, err := c.jobStatus([]string{api.JobPath(t.job)})
		if err == nil && len(lines) == 0 {
			if _, err = c.manager("GetJobByName", t.job); err == nil {
				// Its file was read just now.
				lines, err = c.jobStatus([]string{api.JobPath(t.job)})
			}
		}
		if err != nil {
			return err
		}
		c.printLines(lines)
		c.printFailure(t.job, lines)
		c.printLeft(t.job, "left_behind", "left behind")
		return nil
	}
	path, err := c.callString(api.JobPath(t.job), api.JobInterface, "GetInstance", t.env)
	switch {
	case len(t.env) == 0 && api.IsName(err, api.ErrUnknownInstance):
		c.print(c.style.resting(t.job, ""))
		return nil
	case err != nil:
		return c.explain(t, err)
	}
	return c.showInstance(path)
}

// printFailure says why a job is at rest, if its last run failed.
func (c *command) printFailure(job string, lines []statusLine) {
	if len(lines) != 1 || lines[0].text != c.style.resting(job, "") || c.options.quiet {
		return
	}
	if failure := c.lastFailure(job); failure != "" {
		c.print("\tlast failure: " + failure)
	}
}

// printLeft names what ended runs of a job left behind, as a property has it.
func (c *command) printLeft(job, property, text string) {
	if c.options.quiet {
		return
	}
	body, err := c.call(api.JobPath(job), api.PropertiesInterface, "Get", api.JobExtension, property)
	if err != nil || len(body) != 1 {
		return
	}
	list, _ := body[0].([]any)
	c.printProcesses(text, list)
}

// notEnded stands before processes that a stop could not end.
const notEnded = "not ended even by KILL"

func (c *command) printProcesses(text string, list []any) {
	for _, line := range processLines(list) {
		c.print("\t" + text + ": " + line)
	}
}

// more gives the lines below the status of an instance, each with its line end
// before it.
func (c *command) more(path string) (string, error) {
	processes, err := c.processes(path)
	return c.note(path) + processes, err
}

// note gives the lines about what goal and state do not say: that the instance
// waits for its respawn, how its main became ready, what the job says of itself.
// They are an addition: of an instance that is gone, or a daemon that has no
// such notes, there are none.
func (c *command) note(path string) string {
	if c.verb.name != "status" || c.style.isInitctl() {
		return ""
	}
	replies, err := c.callAll("for session-init to answer", api.GetAll(path, api.InstanceExtension))
	if err != nil {
		return ""
	}
	properties, err := replies[0].Properties()
	if err != nil {
		return ""
	}
	var out strings.Builder
	for _, line := range [...]struct{ property, before string }{{"note", ""}, {"readiness", "ready: "}, {"said", "says: "}} {
		if text := printable(properties[line.property]); text != "" {
			out.WriteString("\n\t" + line.before + text)
		}
	}
	if list, _ := properties["stored"].([]string); len(list) > 0 {
		out.WriteString("\n\tkeeps: " + printable(storedText(list)))
	}
	return out.String()
}

// storedText says what an instance has laid aside, by name.
func storedText(names []string) string {
	var parts []string
	counts := make(map[string]int)
	for _, name := range names {
		if counts[name]++; counts[name] == 1 {
			parts = append(parts, name)
		}
	}
	for i, name := range parts {
		if n := counts[name]; n > 1 {
			parts[i] = fmt.Sprintf("%s (%d times)", name, n)
		}
	}
	return count(len(names), "descriptor") + " for its next main process: " + strings.Join(parts, ", ")
}

func (c *command) noteOf(path string) string {
	body, err := c.call(path, api.PropertiesInterface, "Get", api.InstanceExtension, "note")
	if err != nil {
		return ""
	}
	note, _ := oneString(body)
	return printable(note)
}

// processes gives the lines about all processes of an instance, each with its
// line end before it; none when it is gone.
func (c *command) processes(path string) (string, error) {
	if !c.options.processes {
		return "", nil
	}
	body, err := c.call(path, api.InstanceExtension, "GetProcesses")
	if gone(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	var out strings.Builder
	if len(body) == 1 {
		list, _ := body[0].([]any)
		for _, line := range processLines(list) {
			out.WriteString("\n\t" + line)
		}
	}
	return out.String(), nil
}

// processLines gives "process 123 (sleep 5)" for each pair of pid and command.
func processLines(list []any) []string {
	var lines []string
	for _, entry := range list {
		if pair, _ := entry.([]any); len(pair) == 2 {
			lines = append(lines, fmt.Sprintf("process %v (%s)", pair[0], printable(pair[1])))
		}
	}
	return lines
}

// printable gives a command on one line, whatever a process calls itself.
func printable(command any) string {
	text, _ := command.(string)
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, text)
}

// showInstance prints the status of an instance, which may be gone by now.
func (c *command) showInstance(path string) error {
	job, instance, isInstance, ok := api.ParsePath(path)
	if !ok || !isInstance {
		return fmt.Errorf("session-init answered with the path %q, which is no instance's", path)
	}
	if c.options.quiet {
		return nil
	}
	if c.options.json {
		return c.instanceJSON(job, instance)
	}
	replies, err := c.callAll("for session-init to answer", api.GetAll(path, api.InstanceInterface))
	if err != nil {
		return err
	}
	info, err := replies[0].Instance()
	switch {
	case gone(err):
		c.print(c.style.resting(job, instance))
	case err != nil:
		return err
	default:
		more, err := c.more(path)
		if err != nil {
			return err
		}
		c.print(c.style.running(job, info) + more)
	}
	return nil
}

func listJobs(c *command) error {
	c.doing = "list the jobs"
	paths, err := c.callStrings(api.ManagerPath, api.ManagerInterface, "GetAllJobs")
	if err != nil {
		return err
	}
	if c.options.long || c.options.json {
		return c.listReport(paths)
	}
	lines, err := c.jobStatus(paths)
	if err != nil {
		return err
	}
	c.printLines(lines)
	return nil
}

// statusLine is the status of an instance, or of a job without one.
type statusLine struct{ job, instance, text string }

func (c *command) printLines(lines []statusLine) {
	sort.Slice(lines, func(i, j int) bool {
		a, b := lines[i], lines[j]
		return a.job < b.job || a.job == b.job && a.instance < b.instance
	})
	for _, line := range lines {
		c.print(line.text)
	}
}

// jobStatus asks for all instances of jobs. What goes away meanwhile is left
// out.
func (c *command) jobStatus(jobs []string) ([]statusLine, error) {
	const awaited = "for session-init to answer"
	var lines []statusLine
	requests := make([]api.Request, len(jobs))
	for i, path := range jobs {
		requests[i] = api.Request{Path: path, Interface: api.JobInterface, Member: "GetAllInstances"}
	}
	replies, err := c.callAll(awaited, requests...)
	if err != nil {
		return nil, err
	}
	requests = requests[:0:0]
	for i, reply := range replies {
		if reply.Err != nil {
			if gone(reply.Err) {
				continue
			}
			return nil, reply.Err
		}
		instances, err := oneList(reply.Body)
		if err != nil {
			return nil, err
		}
		for _, path := range instances {
			requests = append(requests, api.GetAll(path, api.InstanceInterface))
		}
		if job, _, _, ok := api.ParsePath(jobs[i]); ok && len(instances) == 0 {
			lines = append(lines, statusLine{job, "", c.style.resting(job, "")})
		}
	}
	if len(requests) == 0 {
		return lines, nil
	}
	if replies, err = c.callAll(awaited, requests...); err != nil {
		return nil, err
	}
	for i, reply := range replies {
		info, err := reply.Instance()
		if gone(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		job, _, _, ok := api.ParsePath(requests[i].Path)
		if !ok {
			return nil, fmt.Errorf("session-init answered with the path %q, which is no instance's", requests[i].Path)
		}
		more, err := c.more(requests[i].Path)
		if err != nil {
			return nil, err
		}
		lines = append(lines, statusLine{job, info.Name, c.style.running(job, info) + more})
	}
	return lines, nil
}
