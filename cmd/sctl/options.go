package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/session-init/session-init/session/api"
)

// options are the options as given.
type options struct {
	address       string
	timeout       time.Duration // 0: for ever
	session       bool
	system        bool
	noWait, quiet bool
	help, version bool
	enumerate     bool
	global        bool
	retain        bool
	force         bool
	processes     bool
	json          bool
	long          bool
	follow        bool
	full, undo    bool
	events        bool
	states        bool
	assume        []string
	svg           bool
	text, all     bool
	output        string
	lines         int // -1: all, or with follow a few
	since         time.Time
	with          []string
	origin        bool
	check         bool
	task, now     bool
	startOn       string
	app, linger   bool
	unlessLinger  bool
	cancel        bool
	name          string
	desktop       *string // nil: not given
	checkOptions
	// own lists the options that only some verbs have, for the check when
	// the verb is known.
	own []string
}

// checkOptions are those of check-config.
type checkOptions struct {
	confDirs, prependDirs, appendDirs []string
	ignoreEvents                      []string
	warn, source                      bool
}

// option is a line of the table of options.
type option struct {
	short byte
	long  string
	arg   string // the name of its argument, if it takes one
	help  string
	// verbs limits the option to these verbs; else all have it but these.
	verbs, except []string
	// plain and initctl say which of the two programs has it.
	plain, initctl bool
	set            func(o *options, value string) error
}

// optionTable holds every option that exists. It is made when a command line has
// one.
func optionTable() []option {
	return []option{
		{long: "user", help: "talk to the session-init of this user (the default)", plain: true, initctl: true,
			set: func(*options, string) error { return nil }},
		{long: "system", help: "talk to the session-init of the machine, and read and write its job files", plain: true, initctl: true,
			except: []string{"autostart", "list-sessions"},
			set:    func(o *options, _ string) error { o.system = true; return nil }},
		{long: "session", help: "talk over the session bus; --address is then that of the bus", plain: true, initctl: true,
			set: func(o *options, _ string) error { o.session = true; return nil }},
		{long: "json", help: "print the result as JSON", plain: true,
			verbs: jsonVerbs(),
			set:   func(o *options, _ string) error { o.json = true; return nil }},
		{short: 'l', long: "long", help: "since when, how often respawned, memory, time of the processor, description", plain: true,
			verbs: []string{"list"},
			set:   func(o *options, _ string) error { o.long = true; return nil }},
		{long: "dest", arg: "NAME", help: "", initctl: true,
			set: func(*options, string) error { return usageError("--dest given without --system") }},
		{long: "address", arg: "ADDRESS", help: "talk to the session-init that listens there", plain: true,
			set: setAddress},
		{short: 'n', long: "no-wait", help: "do not wait until it is done", plain: true, initctl: true,
			verbs: []string{"start", "stop", "restart", "emit", "run"},
			set:   func(o *options, _ string) error { o.noWait = true; return nil }},
		{long: "force", help: "end the job's processes, hooks too, whatever it waits for", plain: true,
			verbs: []string{"stop"},
			set:   func(o *options, _ string) error { o.force = true; return nil }},
		{long: "processes", help: "list all processes of the job", plain: true,
			verbs: []string{"status"},
			set:   func(o *options, _ string) error { o.processes = true; return nil }},
		{long: "now", help: "start the jobs, too; disable: stop them", plain: true,
			verbs: []string{"enable", "disable"},
			set:   func(o *options, _ string) error { o.now = true; return nil }},
		{long: "start-on", arg: "EVENT", help: "the job starts by itself on this event, or a condition as 'start on' has it", plain: true,
			verbs: []string{"new"},
			set:   func(o *options, v string) error { o.startOn = v; return nil }},
		{long: "task", help: "wait until the command has ended, and fail if it has failed", plain: true,
			verbs: []string{"run"},
			set:   func(o *options, _ string) error { o.task = true; return nil }},
		{long: "app", help: "as an application: all that it starts is of the job, and lives as long as any of it", plain: true,
			verbs: []string{"run"},
			set:   func(o *options, _ string) error { o.app = true; return nil }},
		{long: "linger", help: "let it run on when the login session ends", plain: true,
			verbs: []string{"run"},
			set:   func(o *options, _ string) error { o.linger = true; return nil }},
		{long: "unless-linger", help: "as the last logout does: not before login sessions and what lingers have ended", plain: true,
			verbs: []string{"end-session"},
			set:   func(o *options, _ string) error { o.unlessLinger = true; return nil }},
		{long: "cancel", help: "take --unless-linger back: somebody has logged in", plain: true,
			verbs: []string{"end-session"},
			set:   func(o *options, _ string) error { o.cancel = true; return nil }},
		{long: "name", arg: "NAME", help: "what the job is called", plain: true,
			verbs: []string{"run"},
			set:   func(o *options, v string) error { o.name = v; return nil }},
		{long: "timeout", arg: "SECONDS", help: "give up after this time, with exit status 4", plain: true,
			set: setTimeout},
		{short: 'e', long: "enumerate", help: "list the events and jobs of the conditions, one a line", plain: true, initctl: true,
			verbs: []string{"show-config"},
			set:   func(o *options, _ string) error { o.enumerate = true; return nil }},
		{short: 'f', long: "follow", help: "go on with what comes, and when it does", plain: true,
			verbs: []string{"log"},
			set:   func(o *options, _ string) error { o.follow = true; return nil }},
		{short: 'n', long: "lines", arg: "N", help: "begin with the last N lines of each log", plain: true,
			verbs: []string{"log"}, set: setLines},
		{long: "full", help: "edit a copy of the whole job file, not an override", plain: true,
			verbs: []string{"edit"},
			set:   func(o *options, _ string) error { o.full = true; return nil }},
		{long: "undo", help: "put back what was there before the last edit", plain: true,
			verbs: []string{"edit"},
			set:   func(o *options, _ string) error { o.undo = true; return nil }},
		{long: "events", help: "show events only", plain: true,
			verbs: []string{"monitor"},
			set:   func(o *options, _ string) error { o.events = true; return nil }},
		{long: "states", help: "show goals, states and failures only", plain: true,
			verbs: []string{"monitor"},
			set:   func(o *options, _ string) error { o.states = true; return nil }},
		{long: "desktop", arg: "LIST", help: "decide for this XDG_CURRENT_DESKTOP", plain: true,
			verbs: []string{"autostart"},
			set:   func(o *options, value string) error { o.desktop = &value; return nil }},
		{long: "check", help: "look at TryExec and the conditions of one FILE only; exit status 1 if they do not hold", plain: true,
			verbs: []string{"autostart"},
			set:   func(o *options, _ string) error { o.check = true; return nil }},
		{long: "assume", arg: "ASSUMPTION", help: "of a process, as 'JOB main fails' (repeatable)", plain: true,
			verbs: []string{"simulate"},
			set:   func(o *options, v string) error { o.assume = append(o.assume, v); return nil }},
		{long: "dot", help: "in the language of dot, the default", plain: true,
			verbs: []string{"graph"},
			set:   func(o *options, _ string) error { o.svg = false; return nil }},
		{long: "svg", help: "as a picture", plain: true,
			verbs: []string{"graph", "plot"},
			set:   func(o *options, _ string) error { o.svg = true; return nil }},
		{short: 'o', long: "output", arg: "FILE", help: "write into FILE", plain: true,
			verbs: []string{"graph", "plot"},
			set:   setOutput},
		{long: "text", help: "as a list, what took longest first: on a terminal the default", plain: true,
			verbs: []string{"plot"},
			set:   func(o *options, _ string) error { o.text = true; return nil }},
		{long: "all", help: "also what started long after", plain: true,
			verbs: []string{"plot"},
			set:   func(o *options, _ string) error { o.all = true; return nil }},
		{long: "since", arg: "TIME", help: "begin with what came since then: 10min (ago), 14:05, yesterday, '2006-01-02 15:04'", plain: true,
			verbs: []string{"log"}, set: setSince},
		{long: "confdir", arg: "DIR", help: "read jobs from DIR only (repeatable)", plain: true,
			verbs: []string{"check-config", "graph"},
			set:   func(o *options, v string) error { return addDir(&o.confDirs, "confdir", v) }},
		{long: "prepend-confdir", arg: "DIR", help: "look for jobs in DIR before the other directories", plain: true,
			verbs: []string{"check-config", "graph"},
			set:   func(o *options, v string) error { return addDir(&o.prependDirs, "prepend-confdir", v) }},
		{long: "append-confdir", arg: "DIR", help: "look for jobs in DIR after the other directories", plain: true,
			verbs: []string{"check-config", "graph"},
			set:   func(o *options, v string) error { return addDir(&o.appendDirs, "append-confdir", v) }},
		{short: 'i', long: "ignore-events", arg: "LIST", help: "take these events for known, commas between them; globs do, too", plain: true, initctl: true,
			verbs: []string{"check-config"},
			set: func(o *options, v string) error {
				o.ignoreEvents = append(o.ignoreEvents, strings.FieldsFunc(v, func(r rune) bool { return r == ',' })...)
				return nil
			}},
		{short: 'w', long: "warn", help: "let warnings fail, too", plain: true, initctl: true,
			verbs: []string{"check-config"},
			set:   func(o *options, _ string) error { o.warn = true; return nil }},
		{long: "source", help: "show the line of each problem, as on a terminal", plain: true,
			verbs: []string{"check-config"},
			set:   func(o *options, _ string) error { o.source = true; return nil }},
		{short: 'g', long: "global", help: "use the table of all jobs, also in a process of a job", plain: true, initctl: true,
			verbs: []string{"get-env", "set-env", "unset-env", "list-env", "reset-env"},
			set:   func(o *options, _ string) error { o.global = true; return nil }},
		{long: "with", arg: "VARIABLE", help: "take this variable, too (repeatable)", plain: true,
			verbs: []string{"session"},
			set:   func(o *options, v string) error { o.with = append(o.with, v); return nil }},
		{long: "origin", help: "say which layer the variable comes from, who set it and when", plain: true,
			verbs: []string{"env"},
			set:   func(o *options, _ string) error { o.origin = true; return nil }},
		{short: 'r', long: "retain", help: "leave a variable that is set already as it is", plain: true, initctl: true,
			verbs: []string{"set-env"},
			set:   func(o *options, _ string) error { o.retain = true; return nil }},
		{short: 'q', long: "quiet", help: "print errors only", plain: true, initctl: true,
			set: func(o *options, _ string) error { o.quiet = true; return nil }},
		{short: 'v', long: "verbose", help: "accepted; there is nothing more to say", initctl: true,
			set: func(*options, string) error { return nil }},
		{short: 'h', long: "help", help: "print this help", plain: true,
			set: func(o *options, _ string) error { o.help = true; return nil }},
		{long: "help", help: "print this help", initctl: true,
			set: func(o *options, _ string) error { o.help = true; return nil }},
		{long: "version", help: "print the version of this program", plain: true, initctl: true,
			set: func(o *options, _ string) error { o.version = true; return nil }},
	}
}

// jsonVerbs are the verbs that can print their result as JSON.
func jsonVerbs() []string {
	return []string{"check-config", "start", "stop", "restart", "status", "list", "why", "tree", "version", "list-env", "list-sessions", "show-config", "log", "monitor", "autostart", "simulate", "graph", "plot",
		"get-env", "env", "session", "usage", "log-priority", "cat", "wait", "run", "new", "enable", "disable", "edit", "runlevel"}
}

func addDir(list *[]string, option, dir string) error {
	if dir == "" {
		return usageError("--" + option + " takes a directory")
	}
	*list = append(*list, dir)
	return nil
}

func setAddress(o *options, value string) error {
	if _, err := api.ParseAddress(value); err != nil {
		return usageError(err.Error())
	}
	o.address = value
	return nil
}

func setOutput(o *options, value string) error {
	if value == "" {
		return usageError("--output takes a file")
	}
	o.output = value
	return nil
}

func setLines(o *options, value string) error {
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 {
		return usageError(fmt.Sprintf("--lines takes a number of lines, not '%s'", value))
	}
	o.lines = n
	return nil
}

func setSince(o *options, value string) (err error) {
	if o.since, err = parseSince(value, time.Now()); err != nil {
		return usageError("--since: " + err.Error())
	}
	return nil
}

// maxTimeout keeps a time in seconds within a time.Duration.
const maxTimeout = 1e9

func setTimeout(o *options, value string) error {
	seconds, err := strconv.ParseFloat(value, 64)
	if err != nil || math.IsNaN(seconds) || seconds <= 0 || seconds > maxTimeout {
		return usageError(fmt.Sprintf("--timeout takes a number of seconds above 0, not '%s'", value))
	}
	o.timeout = max(time.Duration(seconds*float64(time.Second)), time.Nanosecond)
	return nil
}

// parse sorts options from other arguments; they may be mixed until "--".
// The first other argument is the verb, unless the program's name is one.
func (c *command) parse(args []string) error {
	onlyArgs := false
	if c.verb != nil && c.verb.system() {
		// It has options of its own, see letters.
		c.args = args
		return nil
	}
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		switch {
		case !utf8.ValidString(arg):
			// Nothing of ours can carry it, so it is refused before any work.
			return usageError(fmt.Sprintf("argument %q is not valid UTF-8", arg))
		case onlyArgs || arg == "-" || !strings.HasPrefix(arg, "-"):
			if c.verb != nil {
				c.args = append(c.args, arg)
				// What follows is the command's own.
				onlyArgs = onlyArgs || c.verb.name == "run"
			} else if err := c.setVerb(arg); err != nil {
				return err
			} else if c.verb.system() {
				c.args = args
				return nil
			}
		case arg == "--":
			onlyArgs = true
		case strings.HasPrefix(arg, "--"):
			name, value, inline := strings.Cut(arg[2:], "=")
			o := findOption(optionTable(), c.style, func(o *option) bool { return o.long == name })
			if o == nil {
				return usageError("invalid option: --" + name)
			}
			if o.arg == "" && inline {
				return usageError("unexpected argument: " + arg)
			}
			if o.arg != "" && !inline {
				if len(args) == 0 {
					return usageError("missing argument: --" + name)
				}
				value, args = args[0], args[1:]
			}
			if err := c.apply(o, value); err != nil {
				return err
			}
		default:
			for i := 1; i < len(arg); i++ {
				o := c.findShort(optionTable(), arg[i])
				if o == nil {
					return usageError("invalid option: -" + arg[i:])
				}
				value := ""
				if o.arg != "" {
					// The rest of the word, or the next one.
					if value, i = arg[i+1:], len(arg); value == "" {
						if len(args) == 0 {
							return usageError("missing argument: -" + string(o.short))
						}
						value, args = args[0], args[1:]
					}
				}
				if err := c.apply(o, value); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func findOption(table []option, s style, is func(*option) bool) *option {
	for i := range table {
		if is(&table[i]) && s.has(&table[i]) {
			return &table[i]
		}
	}
	return nil
}

// findShort looks an option up by its letter. The verb decides where two have
// the same one.
func (c *command) findShort(table []option, letter byte) *option {
	has := func(o *option) bool { return o.short != 0 && o.short == letter }
	if c.verb != nil {
		if o := findOption(table, c.style, func(o *option) bool { return has(o) && contains(o.verbs, c.verb.name) }); o != nil {
			return o
		}
	}
	return findOption(table, c.style, has)
}

func (c *command) apply(o *option, value string) error {
	if o.verbs != nil || o.except != nil {
		c.options.own = append(c.options.own, o.long)
	}
	return o.set(&c.options, value)
}

func (c *command) setVerb(name string) error {
	c.verb = findVerb(name)
	if c.verb != nil && (!c.verb.initctlOnly || c.style.isInitctl()) {
		return nil
	}
	c.verb = nil
	if c.style.isInitctl() {
		return usageError("invalid command: " + name)
	}
	return usageError("invalid verb: " + printable(name) + instead(name))
}

// checkVerb refuses options and arguments that the verb does not take.
func (c *command) checkVerb() error {
	for _, name := range c.options.own {
		for _, o := range optionTable() {
			if o.long == name && (o.verbs != nil && !contains(o.verbs, c.verb.name) || contains(o.except, c.verb.name) && !c.style.isInitctl()) {
				return usageError("--" + name + " is no option of " + c.verb.name)
			}
		}
	}
	if c.verb.max >= 0 && len(c.args) > c.verb.max {
		return usageError("unexpected argument: " + c.args[c.verb.max])
	}
	return nil
}

func contains(list []string, word string) bool {
	for _, have := range list {
		if have == word {
			return true
		}
	}
	return false
}
