package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/conf"
	"github.com/session-init/session-init/session/desktop"
	"github.com/session-init/session-init/session/job"
)

// verdict is what is said of one desktop entry file.
type verdict struct {
	Job    string `json:"job"`
	File   string `json:"file"`
	Starts bool   `json:"starts"`
	// Key, with its Value, decided; of the last three there is one line.
	Key   string `json:"key,omitempty"`
	Value string `json:"value,omitempty"`
	Why   string `json:"why"`
	Phase string `json:"phase,omitempty"`
	Delay int    `json:"delay,omitempty"` // seconds
	// Running tells whether an instance is there; nil when there is nobody to
	// ask, or no such job.
	Running *bool `json:"running,omitempty"`
}

// showAutostart says of each desktop entry whether it starts with a session, and
// what decides that. The files are read anew, as session-init reads them; it is
// asked only what runs.
func showAutostart(c *command) error {
	if c.options.check {
		return c.checkEntry()
	}
	c.doing = "show the autostart entries"
	desktops := c.desktops()
	list, listErr := c.verdicts(desktop.Desktops(desktops))
	if len(c.args) > 0 {
		var chosen []verdict
		for _, arg := range c.args {
			n := len(chosen)
			for _, v := range list {
				if v.Job == arg || v.Job == desktop.JobPrefix+arg || v.File == arg || filepath.Base(v.File) == arg {
					chosen = append(chosen, v)
				}
			}
			if n == len(chosen) {
				return fmt.Errorf("there is no entry '%s'", arg)
			}
		}
		list = chosen
	}
	c.askRunning(list)
	if c.options.json {
		if err := c.encode(struct {
			Version  int       `json:"version"`
			Desktops string    `json:"desktops"`
			Entries  []verdict `json:"entries"`
		}{jsonVersion, desktops, append([]verdict{}, list...)}); err != nil {
			return err
		}
		return listErr
	}
	width := 0
	for _, v := range list {
		width = max(width, utf8.RuneCountInString(shown(v.Job)))
	}
	for _, v := range list {
		c.print(v.line(width))
	}
	return listErr
}

// line puts a verdict in words.
func (v *verdict) line(width int) string {
	word := "no "
	if v.Starts {
		word = "yes"
	}
	name := shown(v.Job)
	text := name + strings.Repeat(" ", width-utf8.RuneCountInString(name)) + "  " + word + "  "
	if v.Key != "" {
		text += v.Key + "=" + shown(v.Value) + ": "
	}
	text += shown(v.Why)
	if v.Starts && v.Phase != desktop.Application.String() {
		text += "; in the phase " + v.Phase
	}
	if v.Delay > 0 && v.Starts {
		text += fmt.Sprintf("; after %d seconds", v.Delay)
	}
	if v.Running != nil && *v.Running {
		text += "; runs"
	}
	return text + "  (" + shown(v.File) + ")"
}

// desktops gives the value of XDG_CURRENT_DESKTOP to decide by.
func (c *command) desktops() string {
	if c.options.desktop != nil {
		return *c.options.desktop
	}
	if value := c.getenv("XDG_CURRENT_DESKTOP"); value != "" {
		return value
	}
	// Without a daemon, or one that knows it, there is none.
	if body, err := c.manager("GetEnv", c.envTarget(), "XDG_CURRENT_DESKTOP"); err == nil {
		if value, err := oneString(body); err == nil {
			return value
		}
	}
	return ""
}

// verdicts reads all entries. The error tells what could not be read; the list
// holds the rest.
func (c *command) verdicts(desktops []string) ([]verdict, error) {
	dirs := conf.AutostartDirs(c.getenv)
	files, err := conf.EntryFiles(dirs)
	r := newReading()
	if loadErr := r.load(append(conf.UserDirs(c.getenv), dirs...)); loadErr != nil {
		return nil, loadErr
	}
	list := []verdict{}
	first := make(map[string]string) // by job
	for _, file := range files {
		v := verdict{Job: desktop.JobName(file), File: file}
		if by := first[v.Job]; by != "" {
			v.Why = "hidden by " + by
		} else if c.judge(&v, desktops, r.classes[v.Job]) {
			first[v.Job] = file
		}
		list = append(list, v)
	}
	return list, err
}

// judge decides about one file; class is what defines its job. It reports
// whether later files of its name do not count.
func (c *command) judge(v *verdict, desktops []string, class *job.Class) bool {
	text, err := conf.ReadFile(v.File)
	if err != nil {
		v.Why = "it cannot be read: " + reasonOf(err).Error()
		return false
	}
	made, problems := desktop.Make(v.File, text, conf.Locale(c.getenv))
	if made.Class == nil && !made.Gone {
		for _, p := range problems {
			if !p.Warning {
				v.Why = fmt.Sprintf("line %d: %s", p.Line, p.Msg)
			}
		}
		return false
	}
	said := made.Entry.Verdict(c.lookup(desktops))
	v.Starts, v.Key, v.Value, v.Why = said.Starts, said.Key, said.Value, said.Why
	if made.Gone {
		return true
	}
	v.Phase, v.Delay = made.Entry.Phase().String(), int(made.Entry.Delay().Seconds())
	switch {
	case class == nil:
	case class.Path != v.File:
		v.Starts, v.Key, v.Value, v.Why = false, "", "", "the job is defined by "+class.Path
	case desktop.YieldsTo(class) != "":
		v.Starts, v.Key, v.Value, v.Why = false, "", "", "the job "+desktop.YieldsTo(class)+" is the same application, and starts by itself"
	case class.StartOn == nil && made.Class.StartOn != nil:
		v.Starts, v.Key, v.Value, v.Why = false, "", "", class.Override+" takes its 'start on' away"
	}
	return true
}

// isEntry tells whether a job's file is a desktop entry.
func isEntry(path string) bool { return strings.HasSuffix(path, desktop.Suffix) }

// readJobText reads a job file; of a desktop entry it gives the job file that
// says the same.
func (c *command) readJobText(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil || !isEntry(path) {
		return text, err
	}
	made, problems := desktop.Make(path, text, conf.Locale(c.getenv))
	switch {
	case made.Class != nil:
		return job.Print(made.Class), nil
	case made.Gone:
		return nil, errors.New("the entry counts as if it were not there by now")
	}
	return nil, problems[len(problems)-1]
}

// askRunning asks the daemon which of the jobs run.
func (c *command) askRunning(list []verdict) {
	requests := make([]api.Request, len(list))
	for i, v := range list {
		requests[i] = api.Request{Path: api.JobPath(v.Job), Interface: api.JobInterface, Member: "GetAllInstances"}
	}
	if len(list) == 0 {
		return
	}
	replies, err := c.callAll("for session-init to answer", requests...)
	if err != nil {
		// The verdicts hold without it.
		return
	}
	for i, reply := range replies {
		if reply.Err != nil || strings.HasPrefix(list[i].Why, "hidden by ") {
			continue
		}
		if instances, err := oneList(reply.Body); err == nil {
			running := len(instances) > 0
			list[i].Running = &running
		}
	}
}

// checkEntry is for the pre-start process of the job of an entry: what is
// looked at when it starts speaks for it, or the exit status is 1.
func (c *command) checkEntry() error {
	if len(c.args) != 1 {
		return usageError("--check takes one FILE")
	}
	c.doing = "check '" + c.args[0] + "'"
	text, err := conf.ReadFile(c.args[0])
	if err != nil {
		return err
	}
	e, problems := desktop.Parse(c.args[0], text)
	if e == nil {
		return problems[0]
	}
	if v := e.Conditions(c.lookup(nil)); !v.Starts {
		return errors.New(v.Key + "=" + v.Value + ": " + v.Why)
	}
	return nil
}
