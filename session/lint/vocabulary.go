package lint

import (
	"strings"

	"github.com/session-init/session-init/events"
)

// ownEvents are those that session-init emits by itself, besides those of
// jobs and the one at the start.
var ownEvents = [...]string{
	"session-end", "session-start", "session-stop",
	"control-alt-delete", "keyboard-request", "power-status-changed", "runlevel",
}

// jobEvents are those of jobs.
var jobEvents = [...]string{"starting", "started", "stopping", "stopped"}

// failedSuffix ends the name of the event that tells of one that failed.
const failedSuffix = "/failed"

// vocabulary is what is known to emit events.
type vocabulary struct {
	own     map[string]bool
	startup string
	globs   []string // of World.Events
	// by are the jobs that emit an event by name, patterns those that are
	// known by a pattern only.
	by       map[string][]int
	patterns []emitter
	// known are all names, for suggestions, in a fixed order.
	known []string
}

type emitter struct {
	pattern string
	job     int
}

// learn fills the vocabulary of the set.
func (s *set) learn() {
	s.own, s.by = make(map[string]bool), make(map[string][]int)
	s.startup = s.world.Startup
	if s.startup == "" {
		s.startup = "startup"
	}
	s.known = append(s.known, s.startup)
	s.known = append(s.known, jobEvents[:]...)
	s.known = append(s.known, ownEvents[:]...)
	for _, name := range s.world.Events {
		if !events.IsLiteral(name) {
			s.globs = append(s.globs, name)
			continue
		}
		s.known = append(s.known, name)
	}
	for _, name := range s.known {
		s.own[name] = true
	}
	for i, j := range s.jobs {
		for _, name := range j.Class.Emits {
			s.emits(i, name)
		}
		for _, p := range j.Class.Processes {
			if p == nil {
				continue
			}
			for _, name := range emitted(p.Text) {
				s.emits(i, name)
			}
		}
	}
}

func (s *set) emits(i int, name string) {
	if !events.IsLiteral(name) {
		s.patterns = append(s.patterns, emitter{name, i})
		return
	}
	if s.by[name] == nil {
		s.known = append(s.known, name)
	}
	s.by[name] = append(s.by[name], i)
}

// emitters says who emits an event: session-init or somebody outside, the
// jobs, or nobody. Of an event that tells of a failed one it is who emits
// that.
func (s *set) emitters(name string) (outside bool, by []int) {
	name = strings.TrimSuffix(name, failedSuffix)
	// Events with a colon are another daemon's, as ":sys:startup".
	if s.own[name] || strings.Contains(name, ":") {
		return true, nil
	}
	for _, glob := range s.globs {
		if events.Glob(glob, name) {
			return true, nil
		}
	}
	by = append(by, s.by[name]...)
	for _, e := range s.patterns {
		if events.Glob(e.pattern, name) {
			by = append(by, e.job)
		}
	}
	return false, by
}

// isJobEvent reports whether an event is one of a job, or of one that failed.
func isJobEvent(name string) bool {
	name = strings.TrimSuffix(name, failedSuffix)
	for _, have := range jobEvents {
		if name == have {
			return true
		}
	}
	return false
}

// emitted gives the events that a command or a script emits, as far as that
// can be seen: the word behind "emit". What the shell fills in becomes a "*";
// a name of nothing else tells nothing.
func emitted(text string) []string {
	if !strings.Contains(text, "emit") {
		return nil
	}
	var out []string
	for line := range strings.Lines(text) {
		if words := strings.TrimLeft(line, " \t"); strings.HasPrefix(words, "#") {
			continue
		}
		after := false
		for word := range strings.FieldsFuncSeq(line, isShellSplit) {
			switch {
			case word == "emit" || strings.HasSuffix(word, "/emit"):
				after = true
			case after && strings.HasPrefix(word, "-"):
			case after:
				after = false
				name := strings.Trim(unknownParts(word), `"'`)
				if strings.Trim(name, "*") != "" && !strings.Contains(name, "=") {
					out = append(out, name)
				}
			}
		}
	}
	return out
}

func isShellSplit(r rune) bool { return strings.ContainsRune(" \t\r\n;|&()`", r) }

// unknownParts puts a "*" in the place of each variable of the shell.
func unknownParts(word string) string {
	var out strings.Builder
	for i := 0; i < len(word); i++ {
		if word[i] != '$' {
			out.WriteByte(word[i])
			continue
		}
		out.WriteByte('*')
		if i+1 < len(word) && word[i+1] == '{' {
			end := strings.IndexByte(word[i:], '}')
			if end < 0 {
				return out.String()
			}
			i += end
			continue
		}
		for i+1 < len(word) && isNameByte(word[i+1]) {
			i++
		}
	}
	return out.String()
}

func isNameByte(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}
