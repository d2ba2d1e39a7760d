package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/session-init/session-init/session"
	"github.com/session-init/session-init/session/job"
)

// parsed is what the command line says.
type parsed struct {
	help, version bool
	noKeeper      bool
	// readyFD is where it is told that the daemon answers; 0 for nowhere.
	readyFD int
	// system: the machine's daemon; container: the first process is not that of a
	// machine.
	system, container bool
	// command is what stands behind "--"; nil for nothing.
	command []string
	options session.Options
}

// defaultStopTimeout is how long the end of a session may take.
const defaultStopTimeout = 10 * time.Second

// flag is one option of the command line. Set is nil for one that belongs to
// a later part: it is refused, and absent from help.
type flag struct {
	name  string
	value string // what its argument is called; empty for none
	help  string
	set   func(p *parsed, value string) error
}

// flags is the table of options, in the order of help.
var flags = []flag{
	{name: "user", help: "serve one user (the default)",
		set: func(*parsed, string) error { return nil }},
	{name: "system", help: "serve the machine, as its first process; so without the flag when that is what we are",
		set: func(p *parsed, _ string) error { p.system = true; return nil }},
	{name: "container", help: "with --system: be the first process of a container, which TERM ends",
		set: func(p *parsed, _ string) error { p.container = true; return nil }},
	{name: "confdir", value: "DIR", help: "read jobs from DIR only (repeatable); such a daemon is private and takes no lock",
		set: func(p *parsed, v string) error { return addDir(&p.options.ConfDirs, v) }},
	{name: "prepend-confdir", value: "DIR", help: "look for jobs in DIR before the other directories",
		set: func(p *parsed, v string) error { return addDir(&p.options.PrependDirs, v) }},
	{name: "append-confdir", value: "DIR", help: "look for jobs in DIR after the other directories",
		set: func(p *parsed, v string) error { return addDir(&p.options.AppendDirs, v) }},
	{name: "logdir", value: "DIR", help: "write the output of jobs to DIR ($XDG_STATE_HOME/session-init/log)",
		set: func(p *parsed, v string) error { p.options.LogDir = v; return notEmpty(v) }},
	{name: "no-log", help: "do not log the output of jobs",
		set: func(p *parsed, _ string) error { p.options.NoLog = true; return nil }},
	{name: "default-console", value: "WORD", help: "console of jobs that do not say: none, log, output, owner or pty (log)",
		set: setConsole},
	{name: "no-inherit-env", help: "give jobs PATH and TERM only, not the daemon's environment",
		set: func(p *parsed, _ string) error { p.options.NoInheritEnv = true; return nil }},
	{name: "no-startup-event", help: "emit no event after the jobs are loaded",
		set: func(p *parsed, _ string) error { p.options.NoStartup = true; return nil }},
	{name: "startup-event", value: "NAME", help: "emit NAME in place of startup",
		set: func(p *parsed, v string) error { p.options.StartupEvent = v; return notEmpty(v) }},
	{name: "autostart", help: "start the XDG autostart entries after the jobs are loaded, not when a login session begins",
		set: func(p *parsed, _ string) error { p.options.Autostart = true; return nil }},
	{name: "session", help: "insist on the session bus, also with --confdir: there must be one at once",
		set: func(p *parsed, _ string) error { p.options.Bus = true; return nil }},
	{name: "no-dbus", help: "do not connect to the session bus; with --system, to the system bus",
		set: func(p *parsed, _ string) error { p.options.NoBus = true; return nil }},
	{name: "runtime-dir", value: "DIR|auto", help: "use DIR in place of XDG_RUNTIME_DIR; auto makes a directory and removes it at the end",
		set: func(p *parsed, v string) error { p.options.RuntimeDir = v; return notEmpty(v) }},
	{name: "stop-timeout", value: "SECONDS", help: "how long the end of the session may take (10)",
		set: setStopTimeout},
	{name: "until-logout", help: "end when the last login session has ended",
		set: func(p *parsed, _ string) error { p.options.UntilLogout = true; return nil }},
	{name: "ready-fd", value: "N", help: "write a newline to descriptor N when the daemon answers, and close it",
		set: setReadyFD},
	{name: "no-keeper", help: "run the daemon alone, without the process above it that starts it again should it die",
		set: func(p *parsed, _ string) error { p.noKeeper = true; return nil }},
	{name: "debug", help: "log all that happens",
		set: func(p *parsed, _ string) error { p.options.Priority = "debug"; return nil }},
	{name: "verbose", help: "log events and states as they pass",
		set: func(p *parsed, _ string) error {
			if p.options.Priority != "debug" {
				p.options.Priority = "info"
			}
			return nil
		}},
	{name: "version", help: "print the version and exit",
		set: func(p *parsed, _ string) error { p.version = true; return nil }},
	{name: "help", help: "print this text and exit",
		set: func(p *parsed, _ string) error { p.help = true; return nil }},
}

func addDir(list *[]string, dir string) error {
	*list = append(*list, dir)
	return notEmpty(dir)
}

func notEmpty(value string) error {
	if value == "" {
		return errors.New("it may not be empty")
	}
	return nil
}

func setConsole(p *parsed, word string) error {
	for _, console := range []job.Console{job.ConsoleNone, job.ConsoleLog, job.ConsoleOutput, job.ConsoleOwner, job.ConsolePTY} {
		if console.String() == word {
			p.options.Console = console
			return nil
		}
	}
	return fmt.Errorf("expected none, log, output, owner or pty, not '%s'", word)
}

func setStopTimeout(p *parsed, value string) error {
	seconds, err := strconv.ParseUint(value, 10, 31)
	if err != nil {
		return fmt.Errorf("expected a number of seconds, not '%s'", value)
	}
	p.options.StopTimeout = time.Duration(seconds) * time.Second
	return nil
}

func setReadyFD(p *parsed, value string) error {
	fd, err := strconv.ParseUint(value, 10, 31)
	if err != nil || fd < firstReadyFD {
		return fmt.Errorf("expected the number of a descriptor, %d or above, not '%s'", firstReadyFD, value)
	}
	p.readyFD = int(fd)
	return nil
}

// parseFlags reads the command line. The error is a sentence without the
// program's name.
func parseFlags(args []string) (*parsed, error) {
	p := &parsed{options: session.Options{StopTimeout: defaultStopTimeout}}
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if arg == "--" {
			return p, setCommand(p, args)
		}
		name, value, hasValue := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
		f := findFlag(name)
		switch {
		case !strings.HasPrefix(arg, "--") || f == nil:
			return nil, fmt.Errorf("unknown argument '%s': see --help", arg)
		case f.set == nil:
			return nil, fmt.Errorf("--%s is not supported yet", name)
		case f.value == "" && hasValue:
			return nil, fmt.Errorf("--%s takes no value", name)
		case f.value != "" && !hasValue:
			if len(args) == 0 {
				return nil, fmt.Errorf("--%s needs a value: %s", name, f.value)
			}
			value, args = args[0], args[1:]
		}
		if err := f.set(p, value); err != nil {
			return nil, fmt.Errorf("--%s: %w", name, err)
		}
	}
	if p.readyFD > 0 && p.noKeeper {
		return nil, errors.New("--ready-fd: it is the keeper that tells it: with --no-keeper it is not supported yet")
	}
	return p, nil
}

// setCommand takes what stands behind "--". It is run in a login session of
// the user's own daemon.
func setCommand(p *parsed, args []string) error {
	switch {
	case len(args) == 0:
		return errors.New("nothing stands behind '--': expected a command")
	case p.options.Private():
		return errors.New("'-- COMMAND' joins the user's own daemon: with --confdir it is not supported yet")
	case p.options.RuntimeDir == "auto":
		return errors.New("'-- COMMAND' joins the user's own daemon: there is none with --runtime-dir auto")
	case p.readyFD > 0:
		return errors.New("'-- COMMAND' begins when the daemon answers: --ready-fd is not supported with it")
	case p.noKeeper:
		return errors.New("'-- COMMAND' starts the daemon below its keeper: --no-keeper is not supported with it")
	}
	p.command = args
	return nil
}

func findFlag(name string) *flag {
	for i := range flags {
		if flags[i].name == name {
			return &flags[i]
		}
	}
	return nil
}

func printHelp(w io.Writer) {
	fmt.Fprint(w, "Usage: session-init [OPTION]... [-- COMMAND [ARGUMENT...]]\n\nRun a session: what job files define is started, supervised and stopped.\n\n")
	for _, f := range flags {
		if f.set == nil {
			continue
		}
		name := "--" + f.name
		if f.value != "" {
			name += " " + f.value
		}
		fmt.Fprintf(w, "  %-24s  %s\n", name, f.help)
	}
	fmt.Fprint(w, "\nExit status: 0 when the session has ended, 1 when it could not begin, 2 for wrong usage.\n")
}
