package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/session-init/session-init/session/job"
)

// runCommand has session-init run a command with our environment, in our
// directory, as a job that is in no file and is gone when the command has
// ended. It is no part of the job that we are in, if any: what a panel starts
// by it lives on when the panel is restarted.
func runCommand(c *command) error {
	switch {
	case len(c.args) == 0:
		return usageError("missing command")
	case c.options.task && c.options.app:
		return usageError("--task and --app contradict each other: an application is not waited for")
	}
	c.doing = "run '" + c.args[0] + "'"
	name := c.options.name
	if name == "" {
		// A name that is free, and that says what it is.
		kind := "run"
		if c.options.app {
			kind = "app"
		}
		name = fmt.Sprintf("%s/%s-%d", kind, strings.TrimLeft(filepath.Base(c.args[0]), "./"), os.Getpid())
	}
	if err := c.mustBeThere(c.args[0]); err != nil {
		return err
	}
	dir, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("cannot tell the directory that we are in: %w", reasonOf(err))
	}
	text, err := c.transientFile(name, dir)
	if err != nil {
		return err
	}
	awaited := "for the job to run"
	if c.options.task {
		awaited = "for '" + c.args[0] + "' to end"
	}
	body, err := c.extension(awaited, "DefineTransient", name, text, c.environment(), !c.options.noWait)
	if err != nil {
		return err
	}
	path, err := oneString(body)
	if err != nil || c.options.task && !c.options.noWait {
		return err
	}
	return c.showInstance(path)
}

// mustBeThere looks for the program of a command as session-init will: what is
// misspelt is to be said here, and not in a log.
func (c *command) mustBeThere(program string) error {
	if strings.Contains(program, "/") {
		if _, err := os.Stat(program); err != nil {
			return fmt.Errorf("cannot execute %s: %w", program, reasonOf(err))
		}
		return nil
	}
	for _, dir := range filepath.SplitList(c.getenv("PATH")) {
		info, err := os.Stat(filepath.Join(dir, program))
		if err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return nil
		}
	}
	return fmt.Errorf("cannot execute %s: it is in no directory of PATH", program)
}

// transientFile is the text of a job file that runs our command in that
// directory.
func (c *command) transientFile(name, dir string) (string, error) {
	text, err := commandFile(name, name, "", c.args)
	if err != nil {
		return "", err
	}
	class, problems := job.Parse(name, name, []byte(text))
	if class == nil {
		return "", problems[0]
	}
	class.Description = "sctl run " + strings.Join(c.args, " ")
	class.Chdir = dir
	class.Task, class.Linger = c.options.task, c.options.linger
	class.LifetimeTree = c.options.app
	text = string(job.Print(class))
	// What cannot stand in a job file, such as a directory with a line's end in
	// its name, would be read as something else.
	if again, _ := job.Parse(name, name, []byte(text)); again == nil || again.Chdir != dir {
		return "", fmt.Errorf("the directory %q cannot be written into a job file: go elsewhere", dir)
	}
	return text, nil
}

// environment is ours without what says which job we are of.
func (c *command) environment() []string {
	var out []string
	for _, entry := range c.environ {
		key, _, ok := strings.Cut(entry, "=")
		if ok && key != "" && !strings.HasPrefix(key, "UPSTART_") && !contains(jobVariables[:], key) {
			out = append(out, entry)
		}
	}
	return out
}

// transientText says where such a job comes from, where others have a file.
const transientText = "a client has defined it, as 'sctl run' does; it is gone when it has ended"

// jobVariables are those of the job that we may be in that say nothing to
// another process.
var jobVariables = [...]string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID",
	"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "JOB", "INSTANCE", "RESULT"}
