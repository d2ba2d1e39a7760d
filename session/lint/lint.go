package lint

import (
	"sort"
	"strings"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/job"
)

// Job is a job of the set with the texts that it was made of.
type Job struct {
	Class *job.Class
	// Text and Override are those of Class.Path and Class.Override.
	Text, Override []byte
}

// Rule is the name of what is looked for; programs may rely on it.
type Rule string

// The rules.
const (
	UnknownEvent     Rule = "unknown-event"     // nothing emits it
	UnknownJob       Rule = "unknown-job"       // an event of a job that does not exist
	NeverMatches     Rule = "never-matches"     // an operand that no such event can match
	NeverStarts      Rule = "never-starts"      // "start on" cannot come true
	NeverStops       Rule = "never-stops"       // "stop on" cannot come true
	Cycle            Rule = "cycle"             // "start on" waits for the job itself
	BadInstance      Rule = "bad-instance"      // the name of an instance cannot be made
	MissingProgram   Rule = "missing-program"   // nothing to execute
	MissingDirectory Rule = "missing-directory" // chdir or chroot
	MissingFile      Rule = "missing-file"      // env file
	UnknownUser      Rule = "unknown-user"      // setuid
	UnknownGroup     Rule = "unknown-group"     // setgid
	NotPermitted     Rule = "not-permitted"     // needs more rights than there are
	BadLimit         Rule = "bad-limit"         // limit, nice, oom out of reach
	ConsoleTerminal  Rule = "console"           // a terminal that may not be there
	SocketListen     Rule = "socket-listen"     // expect listen with sockets that listen
	SocketTaken      Rule = "socket-taken"      // two jobs with one socket
	WithoutEffect    Rule = "without-effect"    // accepted, and nothing follows
	Background       Rule = "background"        // main goes behind its shell, which ends
)

// Rules lists them.
func Rules() []Rule {
	return []Rule{UnknownEvent, UnknownJob, NeverMatches, NeverStarts, NeverStops, Cycle, BadInstance, MissingProgram,
		MissingDirectory, MissingFile, UnknownUser, UnknownGroup, NotPermitted, BadLimit, ConsoleTerminal, SocketListen, SocketTaken,
		WithoutEffect, Background}
}

// Finding is a warning about one place of a job.
type Finding struct {
	job.Problem
	Job  string
	Rule Rule
}

// File is what stands at a path.
type File uint8

// The answers of World.Look.
const (
	Unknown File = iota // it cannot be told
	Missing
	Plain
	Program // a file that somebody may execute
	Directory
)

// World is what is known of the machine. A callback that is nil is not asked,
// and what it would tell is not judged.
type World struct {
	// Events are names, or globs of names, of events that come from outside.
	Events []string
	// Broken are jobs that exist, and of which nothing else is known.
	Broken []string
	// Startup is the event at the start; "" is "startup".
	Startup string
	// Path is the PATH of a job that does not set it, Commands the programs
	// that every job finds besides.
	Path     string
	Commands []string
	// Look says what stands at an absolute path, links followed.
	Look func(path string) File
	// User and Group give the id of a name or of a number.
	User, Group func(name string) (id uint32, ok bool)
	// Root: the jobs may do anything. Else UID and GID are all that they can be,
	// MinNice and MinOOM how low they can go.
	Root            bool
	UID, GID        uint32
	MinNice, MinOOM int
	// Ceiling is the highest hard limit that a job can be given, by the
	// number of the resource.
	Ceiling func(resource int) (value uint64, ok bool)
	// System: the daemon is the machine's, and has a console.
	System bool
}

// set is the jobs while they are looked at.
type set struct {
	world World
	jobs  []Job
	names []string
	at    map[string]int // jobs by name
	where []places
	vocabulary
	cycle [][]int // see findCycles
	out   []Finding
}

// Check looks at the jobs, whose names must differ. The findings come by
// job, in the order of jobs, and by place.
func Check(jobs []Job, world World) []Finding {
	s := &set{world: world, jobs: jobs, at: make(map[string]int, len(jobs)), where: make([]places, len(jobs))}
	s.names = make([]string, len(jobs))
	for i, j := range jobs {
		s.names[i] = j.Class.Name
		s.at[j.Class.Name] = i
	}
	s.learn()
	verdicts := s.judge()
	s.cycle = s.findCycles(verdicts)
	for i := range jobs {
		from := len(s.out)
		s.checkConditions(i, verdicts[i])
		s.checkProcesses(i)
		s.checkBackground(i)
		s.checkSettings(i)
		s.checkSockets(i)
		found := s.out[from:]
		sort.SliceStable(found, func(a, b int) bool {
			x, y := &found[a], &found[b]
			if x.Path != y.Path {
				return x.Path == jobs[i].Class.Path
			}
			if x.Line != y.Line {
				return x.Line < y.Line
			}
			return x.Col < y.Col
		})
	}
	return s.out
}

// warn adds a finding about a job at a spot.
func (s *set) warn(i int, at spot, rule Rule, msg string) {
	s.out = append(s.out, Finding{
		Problem: job.Problem{Path: at.path, Line: at.line, Col: at.col, Msg: msg, Warning: true},
		Job:     s.names[i], Rule: rule,
	})
}

// spot is a place of a job's files.
type spot struct {
	path      string
	line, col int
}

// places are the stanzas of a job's texts, located when first asked for: most
// jobs have nothing to be told of.
type places struct {
	done       bool
	conf, over []job.Stand
}

// stanza finds the last stanza for which is is true, the override's first,
// since that is the one that counts.
func (s *set) stanza(i int, is func(job.Stand) bool) (path string, stand job.Stand, ok bool) {
	p := &s.where[i]
	j := s.jobs[i]
	if !p.done {
		p.done = true
		p.conf = job.Locate(j.Text)
		if j.Class.Override != "" {
			p.over = job.Locate(j.Override)
		}
	}
	for k := len(p.over) - 1; k >= 0; k-- {
		if is(p.over[k]) {
			return j.Class.Override, p.over[k], true
		}
	}
	for k := len(p.conf) - 1; k >= 0; k-- {
		if is(p.conf[k]) {
			return j.Class.Path, p.conf[k], true
		}
	}
	return j.Class.Path, job.Stand{Line: 1, Col: 1}, false
}

// keywords gives the place of a stanza's keywords.
func (s *set) keywords(i int, title string) spot {
	path, stand, _ := s.stanza(i, titled(title))
	return spot{path, stand.Line, stand.Col}
}

// keywordsOf gives the place of the keywords of the last stanza whose first
// keyword is this.
func (s *set) keywordsOf(i int, first string) spot {
	path, stand, _ := s.stanza(i, func(stand job.Stand) bool {
		keyword, _, _ := strings.Cut(stand.Title, " ")
		return keyword == first
	})
	return spot{path, stand.Line, stand.Col}
}

// word gives the place of the n-th word of a stanza.
func (s *set) word(i, n int, is func(job.Stand) bool) spot {
	path, stand, _ := s.stanza(i, is)
	if n < len(stand.Words) {
		return spot{path, stand.Words[n].Line, stand.Words[n].Col}
	}
	return spot{path, stand.Line, stand.Col}
}

// operand gives the place of a word of an operand: the n-th word, from 0 for
// the event, of the operand of that number.
func (s *set) operand(i int, title string, operand, n int) spot {
	path, stand, _ := s.stanza(i, titled(title))
	for k, word := range stand.Words {
		if !word.Operand {
			continue
		}
		if operand--; operand < 0 {
			if k+n < len(stand.Words) {
				word = stand.Words[k+n]
			}
			return spot{path, word.Line, word.Col}
		}
	}
	return spot{path, stand.Line, stand.Col}
}

func titled(titles ...string) func(job.Stand) bool {
	return func(stand job.Stand) bool {
		for _, title := range titles {
			if stand.Title == title {
				return true
			}
		}
		return false
	}
}

// What a message repeats of a file is bounded, in bytes.
const (
	maxNamed = 60
	maxPath  = 200
)

// named gives a word of a file as a message shows it.
func named(word string) string { return "'" + cut(word, maxNamed) + "'" }

// cut gives a text with no more than so many bytes, as a terminal can show it.
func cut(text string, most int) string {
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return strings.Map(printable, strings.ToValidUTF8(text, "�"))
}

func printable(r rune) rune {
	if r < ' ' || r >= 0x7f && r < 0xa0 {
		return '·'
	}
	return r
}

// slip is the part of a message that names what was most likely meant.
func slip(word string, candidates []string) string {
	if len(word) < 3 {
		return ""
	}
	if best := job.Suggest(word, candidates); best != "" && best != word {
		return " (did you mean " + named(best) + "?)"
	}
	return ""
}

// operands gives the operands of an expression, in the order of its text.
func operands(x *events.Expr) []*events.Match {
	if x == nil {
		return nil
	}
	var out []*events.Match
	for _, node := range x.Nodes {
		if node.Op == events.OpMatch {
			out = append(out, node.Match)
		}
	}
	return out
}
