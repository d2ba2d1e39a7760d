package job

import (
	"slices"
	"strconv"
	"strings"

	"github.com/session-init/session-init/events"
)

// Shape says what follows the keywords of a stanza.
type Shape uint8

// The shapes.
const (
	Words      Shape = iota // so many dequoted words
	Line                    // the rest of the line, as it stands
	Block                   // lines up to "end script"
	Expression              // events, and, or, parentheses
)

// Stanza is an entry of the table of what a job file can say. Parser,
// printer, manual and completion are made from it.
type Stanza struct {
	// Name is the first keyword, Sub the second, if there is one.
	Name, Sub string
	// Args shows what follows, as a manual does: "COUNT SECONDS|unlimited".
	Args  string
	Shape Shape
	// Min and Max count the words of the shape Words; Max -1 is any number.
	Min, Max int
	// Values are the words that may stand first, where there is a list.
	Values []string
	// Default is what holds without the stanza, "" for nothing.
	Default string
	// Doc is one sentence for the manual; Manual tells more.
	Doc string
	// NotYet: specified, and refused until it is built.
	NotYet bool
	// Beyond: Upstart does not know it.
	Beyond bool
	// Shown: it is one of those that show-config shows.
	Shown bool

	// loose: Sub may be quoted, since it is read as a value is.
	loose bool
	// weak: with nothing behind it, Sub is a value of the bare stanza.
	weak bool
	// grows: what it says adds up; else the last one holds.
	grows bool
	// keyed: the last one holds for each first word.
	keyed bool
	// flagged: Default is what holds unless a flag of the daemon says
	// otherwise, so that to say it is to say something.
	flagged bool
	process ProcessKind
	// alias is the newer name of Name and Sub.
	alias string
	// slot is what the last of several stanzas decides together; empty when
	// there is only this one for it.
	slot string

	// What the class says of it, in the one of these that fits: a text, a list
	// that adds up, a flag, a condition, else what set and print do. They are
	// not made by functions, so that the linker lays the table out, and a
	// program that reads no job file does not make it.
	text func(c *Class) *string
	list func(c *Class) *[]string
	flag func(c *Class) *bool
	expr func(c *Class) **events.Expr
	set  func(p *parser, args []word)
	// doubt warns of words that are right by the rules.
	doubt func(p *parser, args []word)
	print func(c *Class) []string
}

// conditionArgs is what follows "start on" and "stop on".
const conditionArgs = "EVENT [VALUE…] [KEY=VALUE…] [and|or …]"

// Title gives the keywords: "respawn limit".
func (s *Stanza) Title() string {
	if s.Sub == "" {
		return s.Name
	}
	return s.Name + " " + s.Sub
}

// slotOf names what the stanza decides, with these words behind it.
func (s *Stanza) slotOf(first string) string {
	switch {
	case s.slot != "":
		return s.slot
	case s.keyed:
		return s.Title() + " " + first
	}
	return s.Title()
}

// isDefault reports whether to say this is to say nothing.
func (s *Stanza) isDefault(args string) bool {
	return s.Default != "" && args == s.Default && !s.flagged
}

func (s *Stanza) expected() string {
	return "'" + strings.TrimSpace(s.Title()+" "+s.Args) + "'"
}

// choices is expected, with those of its name that decide the same.
func (s *Stanza) choices() string {
	out := []string{s.expected()}
	family := find(s.Name)
	for i := range family {
		if other := &family[i]; s.Sub == "" && other.Sub != "" && other.slot == s.Name && !other.NotYet {
			out = append(out, other.expected())
		}
	}
	return listed(out)
}

// listed puts commas between words, and "or" before the last.
func listed(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

func (s *Stanza) nothingMore() string {
	if s.Max == 1 {
		return s.expected() + ", one word; quote blanks that belong to it"
	}
	return "nothing more after " + s.expected()
}

// Stanzas gives the table, in the order in which Print writes. Stanzas of
// one Name stand together. The caller owns the slice, not what it points to.
func Stanzas() []Stanza { return slices.Clone(stanzas) }

// find gives the stanzas of that name.
func find(name string) []Stanza {
	for i := range stanzas {
		if stanzas[i].Name != name {
			continue
		}
		n := i + 1
		for n < len(stanzas) && stanzas[n].Name == name {
			n++
		}
		return stanzas[i:n]
	}
	return nil
}

// names gives every first keyword once.
func names(yield func(string) bool) {
	for i := range stanzas {
		if (i == 0 || stanzas[i].Name != stanzas[i-1].Name) && !yield(stanzas[i].Name) {
			return
		}
	}
}

// titles names the stanzas of a family, for a message: those that work, or
// all when none does.
func titles(family []Stanza) string {
	var out []string
	for i := range family {
		if !family[i].NotYet {
			out = append(out, "'"+family[i].Title()+"'")
		}
	}
	if len(out) == 0 {
		for i := range family {
			out = append(out, "'"+family[i].Title()+"'")
		}
	}
	return listed(out)
}

// stanzas is the table. It is never changed.
var stanzas = []Stanza{
	{
		Name: "description", Args: "TEXT", Min: 1, Max: 1, Doc: "What the job is, in a few words.",
		text: func(c *Class) *string { return &c.Description },
	},
	{
		Name: "author", Args: "TEXT", Min: 1, Max: 1, Doc: "Who wrote the job file.",
		text: func(c *Class) *string { return &c.Author },
	},
	{
		Name: "version", Args: "TEXT", Min: 1, Max: 1, Doc: "The version of the job file.",
		text: func(c *Class) *string { return &c.Version },
	},
	{
		Name: "usage", Args: "TEXT", Min: 1, Max: 1, Doc: "How to start the job, for one who has to give variables.",
		text: func(c *Class) *string { return &c.Usage },
	},
	{
		Name: "emits", Args: "EVENT…", Min: 1, Max: -1, grows: true, Shown: true,
		Doc:  "Events that the job's processes emit; documentation only.",
		list: func(c *Class) *[]string { return &c.Emits },
	},

	{
		Name: "start", Sub: "on", Args: conditionArgs, Shape: Expression, Shown: true, slot: "start on",
		Doc:  "The events that start the job.",
		expr: func(c *Class) **events.Expr { return &c.StartOn },
	},
	{
		Name: "stop", Sub: "on", Args: conditionArgs, Shape: Expression, Shown: true, slot: "stop on",
		Doc:  "The events that stop an instance of the job.",
		expr: func(c *Class) **events.Expr { return &c.StopOn },
	},
	{
		Name: "manual", slot: "start on",
		Doc: "Forget the 'start on' that was read so far, of the job file or of the file that this one overrides.",
		set: func(p *parser, _ []word) {
			if p.class.StartOn != nil {
				p.class.Manual, p.class.StartOn = p.class.StartOn, nil
			}
		},
		print: func(c *Class) []string { return when(c.Manual != nil, "") },
	},
	{
		Name: "instance", Args: "NAME", Min: 1, Max: 1, Doc: "The name of an instance, made of the variables it was started with; without it there is one instance.",
		text: func(c *Class) *string { return &c.Instance },
	},
	{
		Name: "env", Args: "KEY[=VALUE]", Min: 1, Max: 1, grows: true,
		Doc:   "A variable of the job's environment; without a value, the daemon's own.",
		list:  func(c *Class) *[]string { return &c.Env },
		doubt: lintEnv,
	},
	{
		Name: "env", Sub: "file", Args: "PATH", Min: 1, Max: 1, Beyond: true, weak: true, grows: true,
		Doc: "A file of variables, one KEY=VALUE a line, which is read for each process of the job; 'env' is stronger.",
		set: setEnvFile,
		print: func(c *Class) []string {
			var out []string
			for _, path := range c.EnvFiles {
				out = append(out, quote(path, ""))
			}
			return out
		},
	},
	{
		Name: "export", Args: "KEY…", Min: 1, Max: -1, grows: true,
		Doc:  "Variables that the job's own events carry.",
		list: func(c *Class) *[]string { return &c.Export },
	},

	{
		Name: "task",
		Doc:  "The job is done when it has run; what waits for it waits for its end.",
		flag: func(c *Class) *bool { return &c.Task },
	},
	{
		Name: "expect", Args: "fork|daemon|stop|none", Min: 1, Max: 1, Values: expectWords,
		Default: "none", loose: true,
		Doc: "How the main process tells that it is ready: by forking once, by forking twice, by raising SIGSTOP, or not at all.",
		set: setExpect,
		print: func(c *Class) []string {
			return when(c.Expect.Settles(), c.Expect.String())
		},
	},
	{
		Name: "expect", Sub: "dbus", Args: "NAME", Min: 1, Max: 1, slot: "expect", Beyond: true, loose: true,
		Doc: "Ready when a process of the job owns the name on the session bus.",
		set: setExpectDBus,
		print: func(c *Class) []string {
			return when(c.Expect == ExpectDBus, c.BusName)
		},
	},
	{
		Name: "expect", Sub: "listen", slot: "expect", Beyond: true, loose: true,
		Doc: "Ready when a process of the job has called listen(2).",
		set: func(p *parser, _ []word) { p.class.Expect, p.class.BusName = ExpectListen, "" },
		print: func(c *Class) []string {
			return when(c.Expect == ExpectListen, "")
		},
	},
	{
		Name: "expect", Sub: "notify", slot: "expect", Beyond: true, loose: true,
		Doc: "Ready when a process of the job says READY=1, as sd_notify(3) does.",
		set: func(p *parser, _ []word) { p.class.Expect, p.class.BusName = ExpectNotify, "" },
		print: func(c *Class) []string {
			return when(c.Expect == ExpectNotify, "")
		},
	},
	{
		Name: "wait", Sub: "for", Args: "fork|daemon|stop|none", Min: 1, Max: 1, Values: expectWords,
		alias: "expect", Beyond: true,
		Doc: "The older spelling of 'expect'.",
	},
	{
		Name: "ready", Sub: "timeout", Args: "SECONDS", Min: 1, Max: 1, Beyond: true,
		Doc: "How long the job may take to be ready before it has failed; without this stanza it goes on after 90 seconds with a process that is alive.",
		set: setReadyTimeout,
		print: func(c *Class) []string {
			return when(c.ReadyTimeout != 0, printSeconds(c.ReadyTimeout))
		},
	},
	{
		Name: "respawn",
		Doc:  "Start the main process again when it ends by itself.",
		flag: func(c *Class) *bool { return &c.Respawn },
	},
	{
		Name: "respawn", Sub: "limit", Args: "COUNT SECONDS|unlimited", Min: 1, Max: 2,
		Values: []string{unlimitedWord}, Default: "10 5",
		Doc: "How many times within how many seconds the job is respawned before it has failed.",
		set: setRespawnLimit, print: printRespawnLimit,
	},
	{
		Name: "respawn", Sub: "delay", Args: "SECONDS", Min: 1, Max: 1, Default: "0", Beyond: true,
		Doc: "How long each respawn waits, after post-stop.",
		set: setRespawnDelay,
		print: func(c *Class) []string {
			return []string{printSeconds(c.RespawnDelay)}
		},
	},
	{
		Name: "respawn", Sub: "backoff", Args: "FACTOR MAX", Min: 2, Max: 2, Beyond: true,
		Doc: "By what the delay, 1 second if there is none, is multiplied from one respawn to the next, and how many seconds it is at most; a run longer than the interval of 'respawn limit' resets it.",
		set: setRespawnBackoff,
		print: func(c *Class) []string {
			return when(c.RespawnFactor != 0, strconv.Itoa(c.RespawnFactor)+" "+printSeconds(c.RespawnMax))
		},
	},
	{
		Name: "normal", Sub: "exit", Args: "STATUS|SIGNAL…", Min: 1, Max: -1, grows: true,
		Doc: "Ends of the main process that are no failure, and after which it is not respawned.",
		set: setNormalExit, print: printNormalExit,
	},
	{
		Name: "kill", Sub: "signal", Args: "SIGNAL", Min: 1, Max: 1, Default: "TERM",
		Doc: "The signal that asks the job's processes to end.",
		set: func(p *parser, args []word) { p.signal(args[0], &p.class.KillSignal) },
		print: func(c *Class) []string {
			return []string{SignalName(c.KillSignal)}
		},
	},
	{
		Name: "kill", Sub: "timeout", Args: "SECONDS", Min: 1, Max: 1, Default: "5",
		Doc: "How long they have until they are killed.",
		set: func(p *parser, args []word) { p.seconds(args[0], &p.class.KillTimeout) },
		print: func(c *Class) []string {
			return []string{printSeconds(c.KillTimeout)}
		},
	},
	{
		Name: "kill", Sub: "mode", Args: "tree|group|process", Min: 1, Max: 1, Values: killModeWords, Default: "tree", Beyond: true,
		Doc: "Which processes are asked: all of the job's, those in the main process's group, or that alone.",
		set: setKillMode,
		print: func(c *Class) []string {
			return []string{c.KillMode.String()}
		},
	},
	{
		Name: "reload", Sub: "signal", Args: "SIGNAL", Min: 1, Max: 1, Default: "HUP",
		Doc: "The signal that makes the main process read its configuration again.",
		set: func(p *parser, args []word) { p.signal(args[0], &p.class.ReloadSignal) },
		print: func(c *Class) []string {
			return []string{SignalName(c.ReloadSignal)}
		},
	},
	{
		Name: "watchdog", Args: "SECONDS [SIGNAL]", Min: 1, Max: 2, Default: "0", Beyond: true,
		Doc: "How long main, once it is ready, may go without saying WATCHDOG=1 before it gets the signal, ABRT unless another is named, and has failed; 0 is for ever.",
		set: setWatchdog,
		print: func(c *Class) []string {
			text := printSeconds(c.Watchdog)
			if c.WatchdogSignal != DefaultWatchdogSignal {
				text += " " + SignalName(c.WatchdogSignal)
			}
			return []string{text}
		},
	},
	{
		Name: "linger", Beyond: true,
		Doc:  "The job outlives its login session, and keeps session-init when the last one ends.",
		flag: func(c *Class) *bool { return &c.Linger },
	},
	{
		Name: "lifetime", Sub: "tree", Beyond: true,
		Doc:  "The job runs until the last of its processes is gone, not only main.",
		flag: func(c *Class) *bool { return &c.LifetimeTree },
	},

	{
		Name: "console", Args: "none|log|output|owner|pty", Min: 1, Max: 1, Values: consoleWords,
		Default: "log", flagged: true,
		Doc: "Where standard input, output and error lead.",
		set: setConsole,
		print: func(c *Class) []string {
			return when(c.Console != ConsoleDefault, c.Console.String())
		},
	},
	{
		Name: "log", Sub: "limit", Args: "SIZE COUNT", Min: 2, Max: 2, Default: "10M 1", Beyond: true,
		Doc: "How large the log may grow, in bytes or with K, M or G, and how many older parts are kept; 0 0 is without limit.",
		set: setLogLimit, print: printLogLimit,
	},
	{
		Name: "session", Sub: "leader", Beyond: true,
		Doc:  "The main process leads its session and process group.",
		flag: func(c *Class) *bool { return &c.SessionLeader },
	},
	{
		Name: "umask", Args: "MASK", Min: 1, Max: 1,
		Doc: "The file creation mask, octal; inherited from the daemon, 022 in system mode.",
		set: setUmask, print: printUmask,
	},
	{
		Name: "nice", Args: "PRIORITY", Min: 1, Max: 1,
		Doc: "The scheduling priority, from -20 (first) to 19.",
		set: setNice,
		print: func(c *Class) []string {
			return whenSet(c.Nice)
		},
	},
	{
		Name: "oom", Args: "ADJUSTMENT|never", Min: 1, Max: 1, Values: []string{neverWord}, loose: true, slot: "oom",
		Doc: "How soon the kernel picks the process when memory runs out, from -17 (never) to 15.",
		set: setOOM,
		print: func(c *Class) []string {
			return when(c.OOMScore != nil && *c.OOMScore == minOOMScore, neverWord)
		},
	},
	{
		Name: "oom", Sub: "score", Args: "SCORE|never", Min: 1, Max: 1, Values: []string{neverWord}, loose: true, slot: "oom",
		Doc: "The same on the kernel's newer scale, from -1000 (never) to 1000.",
		set: setOOMScore,
		print: func(c *Class) []string {
			if c.OOMScore != nil && *c.OOMScore == minOOMScore {
				return nil
			}
			return whenSet(c.OOMScore)
		},
	},
	{
		Name: "limit", Args: "RESOURCE SOFT HARD", Min: 3, Max: 3, Values: resources, keyed: true,
		Doc: "A resource limit of setrlimit(2); each value is a number or 'unlimited'.",
		set: setLimit, print: printLimits,
	},
	{
		Name: "chdir", Args: "DIRECTORY", Min: 1, Max: 1, Doc: "The working directory.",
		text: func(c *Class) *string { return &c.Chdir },
	},
	{
		Name: "chroot", Args: "DIRECTORY", Min: 1, Max: 1, Doc: "The root directory.",
		text: func(c *Class) *string { return &c.Chroot },
	},
	{
		Name: "setuid", Args: "USER", Min: 1, Max: 1, Doc: "The user whom the processes run as.",
		text: func(c *Class) *string { return &c.Setuid },
	},
	{
		Name: "setgid", Args: "GROUP", Min: 1, Max: 1, Doc: "The group that the processes run as.",
		text: func(c *Class) *string { return &c.Setgid },
	},

	{
		Name: "apparmor", Sub: "load", Args: "PATH", Min: 1, Max: 1,
		Doc:   "Accepted, without effect.",
		set:   func(p *parser, args []word) { p.class.AppArmorLoad = args[0].text },
		print: func(c *Class) []string { return when(c.AppArmorLoad != "", quote(c.AppArmorLoad, "")) },
	},
	{
		Name: "apparmor", Sub: "switch", Args: "PROFILE", Min: 1, Max: 1,
		Doc:   "Accepted, without effect.",
		set:   func(p *parser, args []word) { p.class.AppArmorSwitch = args[0].text },
		print: func(c *Class) []string { return when(c.AppArmorSwitch != "", quote(c.AppArmorSwitch, "")) },
	},
	{
		Name: "cgroup", Args: "CONTROLLER [NAME] [KEY VALUE]", Min: 1, Max: 4, grows: true,
		Doc: "Accepted, without effect.",
		set: func(p *parser, args []word) { p.class.CGroups = append(p.class.CGroups, texts(args)) },
		print: func(c *Class) []string {
			var out []string
			for _, words := range c.CGroups {
				out = append(out, quoteAll(words))
			}
			return out
		},
	},
	{
		Name: "debug",
		Doc:  "Accepted, without effect.",
		flag: func(c *Class) *bool { return &c.Debug },
	},

	{
		Name: "pre-start", Sub: "exec", Args: "COMMAND…", Shape: Line, process: PreStart, slot: "pre-start",
		Doc: "Runs before the main process, and must succeed.",
	},
	{
		Name: "pre-start", Sub: "script", Args: "… end script", Shape: Block, process: PreStart, slot: "pre-start",
		Doc: "The same, as a script.",
	},
	{
		Name: "exec", Args: "COMMAND…", Shape: Line, process: Main, slot: "main",
		Doc: "The main process.",
	},
	{
		Name: "script", Args: "… end script", Shape: Block, process: Main, slot: "main",
		Doc: "The same, as a script.",
	},
	{
		Name: "post-start", Sub: "exec", Args: "COMMAND…", Shape: Line, process: PostStart, slot: "post-start",
		Doc: "Runs when the main process is ready; the job is running when it has ended.",
	},
	{
		Name: "post-start", Sub: "script", Args: "… end script", Shape: Block, process: PostStart, slot: "post-start",
		Doc: "The same, as a script.",
	},
	{
		Name: "pre-stop", Sub: "exec", Args: "COMMAND…", Shape: Line, process: PreStop, slot: "pre-stop",
		Doc: "Runs before the main process is asked to end.",
	},
	{
		Name: "pre-stop", Sub: "script", Args: "… end script", Shape: Block, process: PreStop, slot: "pre-stop",
		Doc: "The same, as a script.",
	},
	{
		Name: "post-stop", Sub: "exec", Args: "COMMAND…", Shape: Line, process: PostStop, slot: "post-stop",
		Doc: "Runs after everything else, however the job came to its end.",
	},
	{
		Name: "post-stop", Sub: "script", Args: "… end script", Shape: Block, process: PostStop, slot: "post-stop",
		Doc: "The same, as a script.",
	},
}

// prints reports whether a class can be asked what it says of this.
func (s *Stanza) prints() bool {
	return s.print != nil || s.text != nil || s.list != nil || s.flag != nil || s.expr != nil || s.Shape == Line || s.Shape == Block
}

// say has the class say what stands behind the keywords.
func (s *Stanza) say(p *parser, args []word) {
	switch {
	case s.text != nil:
		*s.text(p.class) = args[0].text
	case s.list != nil:
		field := s.list(p.class)
		*field = append(*field, texts(args)...)
	case s.flag != nil:
		*s.flag(p.class) = true
	default:
		s.set(p, args)
	}
}

// said gives what follows the keywords, for each time that the stanza must be
// written to have the class say what it says; what isDefault need not be.
func (s *Stanza) said(c *Class) []string {
	switch {
	case s.text != nil:
		return when(*s.text(c) != "", quote(*s.text(c), ""))
	case s.list != nil && s.Max < 0:
		return when(len(*s.list(c)) > 0, quoteAll(*s.list(c)))
	case s.list != nil:
		var out []string
		for _, word := range *s.list(c) {
			out = append(out, quote(word, ""))
		}
		return out
	case s.flag != nil:
		return when(*s.flag(c), "")
	case s.expr != nil:
		if *s.expr(c) == nil {
			return nil
		}
		return []string{printExpr(*s.expr(c))}
	case s.Shape == Line:
		p := c.Processes[s.process]
		return when(p != nil && isLine(p), textOf(p))
	case s.Shape == Block:
		if p := c.Processes[s.process]; p != nil && !isLine(p) {
			return []string{printBlock(p)}
		}
		return nil
	}
	return s.print(c)
}

func texts(args []word) []string {
	out := make([]string, len(args))
	for i, arg := range args {
		out[i] = arg.text
	}
	return out
}
