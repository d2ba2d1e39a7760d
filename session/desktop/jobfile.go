package desktop

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/job"
)

// Names of jobs that come of desktop entries, and the ending of their files.
const (
	JobPrefix   = "autostart/"
	PhasePrefix = "autostart-phase/"
	Suffix      = ".desktop"
)

// SessionStart is the event that begins the first phase, unless the daemon's
// flag says otherwise.
const SessionStart = "session-start"

// JobName gives the name of the job that comes of a file.
func JobName(file string) string {
	return JobPrefix + strings.TrimSuffix(path.Base(file), Suffix)
}

// Made is what comes of a desktop entry file.
type Made struct {
	Entry *Entry // nil if the file is broken
	// Class is its job, nil when there is none. Gone tells that there is to be
	// none.
	Class *job.Class
	Gone  bool
}

// Make reads a desktop entry file and makes its job. locale is that of the
// daemon, as LC_MESSAGES has it. There is neither a job nor Gone when a problem
// is an error.
func Make(file string, text []byte, locale string) (Made, []job.Problem) {
	e, problems := Parse(file, text)
	if e == nil {
		return Made{}, problems
	}
	static := e.static(Lookup{})
	if static != nil && static.Gone {
		return Made{Entry: e, Gone: true}, problems
	}
	main, problem := e.main(locale)
	if problem != nil {
		return Made{Entry: e}, append(problems, *problem)
	}
	c := ofSession(JobName(file))
	c.Path = file
	c.Description = e.description(locale)
	if static == nil {
		c.StartOn = e.condition()
	}
	c.LifetimeTree = true
	c.Chdir = e.Text("Path")
	if e.Flag("X-GNOME-AutoRestart") {
		// It is for those that crash: who has quit a program wants it gone.
		c.Respawn, c.NormalExit = true, []job.Exit{{}}
	}
	c.Processes[job.PreStart], c.Processes[job.Main] = e.preStart(), main
	return Made{Entry: e, Class: c}, problems
}

// ofSession makes a class of which there is one instance for each login
// session, and one for a start by an event that has none.
func ofSession(name string) *job.Class {
	c := job.NewClass(name)
	stop, _ := events.NewMatch([]string{"session-stop", "SESSION=$SESSION"})
	c.StopOn = anyOf([]*events.Match{stop})
	c.Instance = "$SESSION"
	c.Env = []string{"SESSION="}
	return c
}

// anyOf gives the expression that one of the matches makes true, nil for none.
func anyOf(matches []*events.Match) *events.Expr {
	if len(matches) == 0 {
		return nil
	}
	x := &events.Expr{}
	for i, m := range matches {
		x.Nodes = append(x.Nodes, events.Node{Op: events.OpMatch, Match: m})
		if i > 0 {
			x.Nodes = append(x.Nodes, events.Node{Op: events.OpOr})
		}
	}
	return x
}

func (e *Entry) description(locale string) string {
	name, comment := e.Localised("Name", locale), e.Localised("Comment", locale)
	switch {
	case name == "":
		return comment
	case comment == "":
		return name
	}
	return name + ": " + comment
}

// condition gives what starts the job, nil when no session does. A list of
// desktops is no pattern, so that each place of a name in it is one of its own.
func (e *Entry) condition() *events.Expr {
	base := []string{"starting", PhasePrefix + e.Phase().String()}
	for _, name := range e.List("NotShowIn") {
		for _, pattern := range places(name) {
			base = append(base, "XDG_CURRENT_DESKTOP!="+pattern)
		}
	}
	var matches []*events.Match
	add := func(words []string) {
		// No positional word follows a named one.
		m, _ := events.NewMatch(words)
		matches = append(matches, m)
	}
	only := e.List("OnlyShowIn")
	if len(only) == 0 {
		add(base)
	}
	for _, name := range only {
		for _, pattern := range places(name) {
			add(append(slices.Clip(base), "XDG_CURRENT_DESKTOP="+pattern))
		}
	}
	return anyOf(matches)
}

// places gives the patterns of the lists that a desktop stands in.
func places(name string) []string {
	if !isDesktop(name) {
		return nil
	}
	return []string{name, name + ":*", "*:" + name, "*:" + name + ":*"}
}

// preStart looks at what may change until the job starts, and stops the job
// when that speaks against it; that is no failure.
func (e *Entry) preStart() *job.Process {
	if !e.Late() {
		return nil
	}
	program := e.Text("TryExec")
	test := "command -v " + shellQuote(program) + " >/dev/null"
	switch {
	case e.Text(gnomeCondition) != "" || e.Text(kdeCondition) != "":
		test = "sctl autostart --check " + shellQuote(e.Path)
	case strings.HasPrefix(program, "/"):
		test = "[ -x " + shellQuote(program) + " ]"
	}
	return &job.Process{Script: true, Text: test + " || { stop; exit 0; }\n"}
}

// main gives the main process.
func (e *Entry) main(locale string) (*job.Process, *job.Problem) {
	argv, err := e.argv(locale)
	if err != nil {
		line, _ := e.Has("Exec")
		return nil, &job.Problem{Path: e.Path, Line: max(line, 1), Col: 1, Msg: err.Error()}
	}
	words := make([]string, len(argv))
	for i, arg := range argv {
		words[i] = shellQuote(arg)
	}
	command := strings.Join(words, " ")
	terminal, delay := e.Flag("Terminal"), e.Delay()
	if !terminal && delay == 0 {
		return &job.Process{Text: command}, nil
	}
	var script string
	if delay > 0 {
		script = fmt.Sprintf("sleep %d\n", int(delay.Seconds()))
	}
	if terminal {
		script += "if command -v xdg-terminal-exec >/dev/null; then exec xdg-terminal-exec " + command + "; fi\n"
		command = `"${TERMINAL:-x-terminal-emulator}" -e ` + command
	}
	return &job.Process{Script: true, Text: script + "exec " + command + "\n"}, nil
}

// argv gives the command: Exec or, where that is missing and the entry can be
// started by D-Bus, what does that.
func (e *Entry) argv(locale string) ([]string, error) {
	if e.Text("Exec") == "" {
		id := strings.TrimSuffix(path.Base(e.Path), Suffix)
		if e.Flag("DBusActivatable") && isBusName(id) {
			return []string{"gapplication", "launch", id}, nil
		}
		return nil, errors.New("there is no 'Exec'")
	}
	argv, err := e.Command(locale)
	if err != nil {
		return nil, fmt.Errorf("'Exec' cannot be run: %w", err)
	}
	return argv, nil
}

// PhaseOf gives the phase in which a class starts that was made of an entry,
// also when an override has given it another one; ok is false when it starts
// in none, and for nil.
func PhaseOf(c *job.Class) (phase Phase, ok bool) {
	if c == nil || c.StartOn == nil {
		return 0, false
	}
	for _, node := range c.StartOn.Nodes {
		if m := node.Match; m != nil && m.Name == "starting" && len(m.Args) > 0 {
			for phase := range NumPhases {
				if m.Args[0].Pattern == PhasePrefix+phase.String() {
					return phase, true
				}
			}
		}
	}
	return 0, false
}

// isBusName tells whether a file's name is that of an application on the bus.
func isBusName(id string) bool {
	for part := range strings.SplitSeq(id, ".") {
		if part == "" || !isDesktop(part) || strings.ContainsAny(part, "+ ") {
			return false
		}
	}
	return strings.Contains(id, ".")
}

// shellQuote writes a word so that the shell, and a job file, read it as
// itself.
func shellQuote(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_@%+=:,./-", r)
	}
	if word != "" && strings.TrimFunc(word, plain) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// PhaseJobs gives the jobs of the phases that are in use, in their order; each
// is a job without processes. What starts on "starting" of one runs before it
// does, and the next begins after it. event is what begins the first, and
// inherit tells that the desktop is the one in the daemon's own environment.
func PhaseJobs(used []Phase, event string, inherit bool) []*job.Class {
	used = slices.Compact(slices.Sorted(slices.Values(used)))
	when := []string{event}
	var out []*job.Class
	for _, phase := range used {
		c := ofSession(PhasePrefix + phase.String())
		c.Description = "XDG autostart: all entries of the phase " + phase.String() + " run"
		m, _ := events.NewMatch(when)
		c.StartOn = anyOf([]*events.Match{m})
		// An event that says nothing of a desktop is of none.
		c.Env = append(c.Env, "XDG_CURRENT_DESKTOP=")
		if inherit {
			c.Env = append(c.Env, "XDG_CURRENT_DESKTOP")
		}
		c.Export = []string{"SESSION", "XDG_CURRENT_DESKTOP"}
		out = append(out, c)
		when = []string{"started", c.Name}
	}
	return out
}
