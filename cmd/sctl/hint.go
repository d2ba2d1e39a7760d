package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/job"
)

// maxHinted bounds the names in a hint.
const maxHinted = 8

// again gives a command of sctl with the options that say which session-init this
// one asks, so that who types it asks the same; another program's it leaves alone.
func (c *command) again(line string) string {
	if !strings.HasPrefix(line, "sctl ") {
		return line
	}
	which := ""
	if c.options.session {
		which += " --session"
	}
	if c.options.system {
		which += " --system"
	}
	if c.options.address != "" {
		which += " --address " + shellWord(c.options.address)
	}
	return "sctl" + which + strings.TrimPrefix(line, "sctl")
}

// hint says what to type next after a refusal, or nothing. It is for people:
// asked for on a terminal only, and whatever cannot be found out is left out.
func (c *command) hint(err error) string {
	if c.style.isInitctl() || len(c.args) == 0 {
		return ""
	}
	name := c.args[0]
	if c.client == nil {
		// Of the verbs that need no session-init.
		if api.IsName(err, api.ErrUnknownJob) {
			return near(name, c.jobsOfFiles())
		}
		return ""
	}
	switch {
	case api.IsName(err, api.ErrUnknownJob):
		return c.hintJob(name)
	case api.IsName(err, api.ErrUnknownInstance, api.ErrInvalidArgs):
		hint := c.hintInstance(name)
		if hint == "" && api.IsName(err, api.ErrUnknownInstance) && c.verb.name != "why" {
			hint = c.again("sctl why ") + name + " says why"
		}
		return hint
	case api.IsName(err, api.ErrJobFailed):
		return c.again("sctl why ") + name + " says why, and " + c.again("sctl log ") + name + " what it has printed"
	case api.IsName(err, api.ErrEventFailed):
		return c.again("sctl list -l") + " marks the jobs that have failed, and " + c.again("sctl why ") + "says why"
	case api.IsName(err, api.ErrNotRunning):
		return c.again("sctl why ") + name + " says why"
	case api.IsName(err, api.ErrAlreadyStarted):
		return c.again("sctl restart ") + name + " starts it anew"
	}
	return ""
}

func (c *command) hintJob(name string) string {
	paths, err := c.callStrings(api.ManagerPath, api.ManagerInterface, "GetAllJobs")
	if err != nil {
		return ""
	}
	var names, parts []string
	for _, path := range paths {
		if have, _, _, ok := api.ParsePath(path); ok {
			names = append(names, have)
			if strings.Contains(have, name) && name != "" {
				parts = append(parts, have)
			}
		}
	}
	slices.Sort(names)
	if hint := near(name, names); hint != "" {
		return hint
	}
	if len(parts) > 0 {
		slices.Sort(parts)
		return "there is " + listed(parts)
	}
	return c.again("sctl list") + " names the jobs"
}

// hintFile says of a job that does not exist which file looks as if it were meant
// to be it, and why it is not; "" for none. Unlike the other hints it is no guess:
// a program's log is to have it, too.
func (c *command) hintFile(err error) string {
	if c.style.isInitctl() || len(c.args) == 0 || !api.IsName(err, api.ErrUnknownJob) {
		return ""
	}
	name := c.args[0]
	if len((&whyQuestion{command: c, job: name}).broken()) > 0 {
		verb := "sctl why "
		if c.client == nil {
			verb = "sctl check-config "
		}
		return "its job file has mistakes: " + c.again(verb) + name + " tells them"
	}
	if !filepath.IsLocal(name) {
		return ""
	}
	for _, dir := range c.jobDirs() {
		if hint := notRead(dir.Path, name); hint != "" {
			return hint
		}
	}
	return ""
}

// notRead looks in a directory of job files for one that has a name like that of
// a job and is not read as such.
func notRead(dir, name string) string {
	isFile := func(path string) bool {
		info, err := os.Stat(path)
		return err == nil && info.Mode().IsRegular()
	}
	base := strings.TrimSuffix(strings.TrimSuffix(name, ".conf"), ".service")
	path := filepath.Join(dir, base)
	switch {
	case base != name && isFile(path+".conf"):
		return "the job of " + path + ".conf is called " + base
	case isFile(path):
		return path + " is not read: the name of a job file ends in .conf"
	case isFile(path + ".service"):
		return path + ".service is a unit of systemd, and not read: a job file is NAME.conf, and has other words"
	case isFile(path+".override") && !isFile(path+".conf"):
		return path + ".override alone is no job: it changes one of another file"
	}
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if below := e.Name() + "/" + base; e.IsDir() && isFile(filepath.Join(dir, below+".conf")) {
			return "the job of " + filepath.Join(dir, below+".conf") + " is called " + below
		}
	}
	return ""
}

// near asks for a name that is nearly the one that was given, if there is one.
func near(name string, names []string) string {
	if like := job.Suggest(name, names); like != "" {
		return "did you mean '" + like + "'?"
	}
	return ""
}

// hintInstance names the instances of a job, and how it wants to be asked for.
func (c *command) hintInstance(name string) string {
	paths, err := c.callStrings(api.JobPath(name), api.JobInterface, "GetAllInstances")
	if err != nil {
		return ""
	}
	var said []string
	var instances []string
	for _, path := range paths {
		if _, instance, _, ok := api.ParsePath(path); ok && instance != "" {
			instances = append(instances, instance)
		}
	}
	if slices.Sort(instances); len(instances) > 0 {
		said = append(said, "its instances are "+listed(instances))
	}
	usage, err := c.callString(api.JobPath(name), api.PropertiesInterface, "Get", api.JobInterface, "usage")
	if err == nil && usage != "" {
		said = append(said, "usage: "+printable(usage))
	} else if keys, _ := (&completion{command: c}).jobVariables(name); len(keys) > 0 {
		said = append(said, "it takes "+strings.Join(keys, "=, ")+"=")
	}
	return strings.Join(said, "; ")
}

// listed gives names with commas between them, not too many.
func listed(names []string) string {
	more := ""
	if len(names) > maxHinted {
		names, more = names[:maxHinted], ", and others"
	}
	return printable(strings.Join(names, ", ") + more)
}

// unknown looks a job up that something failed for: a job that is not there is
// the better reason.
func (c *command) unknown(name string, err error) error {
	if !gone(err) || api.IsName(err, api.ErrUnknownJob) {
		return err
	}
	if _, better := c.manager("GetJobByName", name); better != nil {
		return better
	}
	return err
}
