package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/job"
)

// disableJob keeps jobs from starting by themselves: the user's override of each
// says "manual". The job files are left alone.
func disableJob(c *command) error {
	return c.switchAll("disable", "stop", (*command).disable)
}

// enableJob takes "manual" out of the overrides again.
func enableJob(c *command) error {
	return c.switchAll("enable", "start", (*command).enable)
}

// switchAll finds the jobs that are named, all before anything is written, and
// does each; with --now it is started or stopped, too, unless it is already.
func (c *command) switchAll(action, now string, one func(*command, *jobFile) error) error {
	if len(c.args) == 0 {
		return usageError("missing job name")
	}
	doing := func(name string) { c.doing = action + " '" + name + "'" }
	names := c.args
	files := make([]*jobFile, len(names))
	for i, name := range names {
		doing(name)
		var err error
		if files[i], err = c.findJob(name); err != nil {
			return err
		}
	}
	if err := c.writeAll(files, one, doing); err != nil {
		return err
	}
	if !c.options.now {
		return c.hintNow(action, names, files)
	}
	// What is written has been told as JSON.
	if c.options.json {
		c.options.json, c.options.quiet = false, true
	}
	var failed error
	for i, name := range names {
		c.args = []string{name}
		run := stopJob
		switch {
		case now == "start":
			run = startJob
		case files[i].class.Instance != "":
			run = stopInstances
		}
		err := run(c)
		if api.IsName(err, api.ErrAlreadyStarted, api.ErrAlreadyStopped, api.ErrUnknownInstance) {
			// One of the others may have started it, a moment ago.
			err = showStatus(c)
		}
		var refused *api.Error
		switch {
		case len(names) > 1 && errors.As(err, &refused):
			// The others are wanted all the same.
			c.out.Flush()
			failed = statusError(c.report(err))
		case err != nil:
			return err
		}
	}
	return failed
}

// writeAll does each of the jobs, up to the first that fails; doing notes which it
// is. With --json all are one document, and what was done before a failure is told,
// too.
func (c *command) writeAll(files []*jobFile, one func(*command, *jobFile) error, doing func(name string)) error {
	if c.options.json {
		c.files = &filesReport{Version: jsonVersion, Files: []fileReport{}}
	}
	var failed error
	for _, f := range files {
		doing(f.name)
		if failed = one(c, f); failed != nil {
			break
		}
	}
	if c.files == nil || failed != nil && len(c.files.Files) == 0 {
		return failed
	}
	if err := c.encode(c.files); failed == nil {
		failed = err
	}
	return failed
}

// stopInstances stops all that there are of a job, whichever variables they were
// started with, and shows what came of it.
func stopInstances(c *command) error {
	name := c.args[0]
	c.doing = "stop '" + name + "'"
	paths, err := c.callStrings(api.JobPath(name), api.JobInterface, "GetAllInstances")
	if err != nil {
		return err
	}
	for _, path := range paths {
		_, err := c.callFor("for '"+name+"' to stop", path, api.InstanceInterface, "Stop", true)
		if err != nil && !api.IsName(err, api.ErrAlreadyStopped, api.ErrUnknownInstance, api.ErrUnknownObject) {
			return err
		}
	}
	return showStatus(c)
}

// hintNow says on a terminal how what was enabled is started before its time
// comes.
func (c *command) hintNow(action string, names []string, files []*jobFile) error {
	if action != "enable" || c.client == nil || c.options.json || c.options.quiet || !isTerminal(c.stderr) || files[0].base.Made() == nil {
		return nil
	}
	if err := c.out.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(c.stderr, "%s: %s starts it now\n", c.prefix(), c.again("sctl enable --now "+shellLine(names)))
	return err
}

func (c *command) disable(f *jobFile) error {
	if f.class.StartOn == nil {
		return c.wroteNothing(f.name, f.name+" does not start by itself")
	}
	text := string(f.overlay)
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	text += "manual\n"
	if laid, problems := job.Apply(f.base, f.ownOverride, []byte(text)); laid == nil {
		return problems[0]
	} else if laid.StartOn != nil {
		return fmt.Errorf("'manual' at the end of %s would not be read as such", f.ownOverride)
	}
	if err := replaceFile(f.ownOverride, []byte(text)); err != nil {
		return err
	}
	return c.wrote(f.name, f.ownOverride, f.name+" does not start by itself any more: "+f.ownOverride+" says 'manual'")
}

func (c *command) enable(f *jobFile) error {
	if f.class.StartOn != nil {
		return c.wroteNothing(f.name, f.name+" starts by itself"+nextTime(f.class))
	}
	if f.base.StartOn == nil {
		return fmt.Errorf("%s has no 'start on' in force; %s gives it one", f.path, c.again("sctl edit "+f.name))
	}
	text := withoutManual(string(f.overlay))
	laid, problems := job.Apply(f.base, f.ownOverride, []byte(text))
	if laid == nil {
		return problems[0]
	}
	if laid.StartOn == nil {
		return fmt.Errorf("%s takes its 'start on' away; %s changes it", f.override, c.again("sctl edit "+f.name))
	}
	again := f.name + " starts by itself again" + nextTime(laid) + ": "
	if isBlank([]byte(text)) && f.override == f.ownOverride && !hasComment(text) {
		if err := os.Remove(f.ownOverride); err != nil {
			return fmt.Errorf("cannot remove %s: %w", f.ownOverride, reasonOf(err))
		}
		return c.wrote(f.name, f.ownOverride, again+"removed "+f.ownOverride)
	}
	why := f.ownOverride + " does not say 'manual' any more"
	if f.override != f.ownOverride {
		// Nothing was changed before: it has been so since it was installed.
		again = f.name + " starts by itself" + nextTime(laid) + ": "
		why = f.ownOverride + " counts now, in the place of " + f.override + ", which says 'manual'"
		text = "# In the place of " + shown(f.override) + ", without its 'manual'.\n" + text
	}
	if err := replaceFile(f.ownOverride, []byte(text)); err != nil {
		return err
	}
	return c.wrote(f.name, f.ownOverride, again+why)
}

// nextTime says when what starts with the session or with a login, and with
// nothing else, does so next; nothing of others.
func nextTime(class *job.Class) string {
	nodes := class.StartOn.Nodes
	if len(nodes) != 1 || nodes[0].Op != events.OpMatch {
		return ""
	}
	switch nodes[0].Match.Name {
	case startupEvent:
		return " when session-init starts next"
	case sessionStart:
		return " when a login session begins next"
	}
	return ""
}

// withoutManual takes the stanza "manual" out of a text; lines of a script are
// none.
func withoutManual(text string) string {
	var out strings.Builder
	script := false
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		switch {
		case script:
			script = len(words) < 2 || words[0] != "end" || words[1] != "script"
		case len(words) > 0 && words[0] == "manual":
			continue
		case len(words) > 0 && (words[0] == "script" || len(words) > 1 && words[1] == "script"):
			script = true
		}
		out.WriteString(line)
	}
	return out.String()
}

func hasComment(text string) bool { return strings.Contains(text, "#") }
