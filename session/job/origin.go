package job

import "strings"

// Source is a file and its text.
type Source struct {
	Path string
	Text []byte
}

// Said is a stanza that is in force, and where it stands: Line of the file
// Path, from 1.
type Said struct {
	// Text is the stanza as Print writes it, without its last line end; a
	// block has several lines.
	Text string
	Path string
	Line int
}

// Origins reads a job file and, unless it is nil, an override, as Parse and
// Apply do, and says of each stanza that is in force where it stands: of
// several of which the last one holds only that, even when it says what would
// hold without it. The texts, one a line, are a job file of an equal class.
//
// A Class does not know this: there may be thousands of them, and who asks has
// the files.
func Origins(name string, file Source, override *Source) (*Class, []Said, []Problem) {
	var l ledger
	class := NewClass(name)
	class.Path = file.Path
	class, problems := read(class, file.Path, file.Text, l.of(file.Path))
	if class != nil && override != nil {
		var more []Problem
		class.Override = override.Path
		class, more = read(class, override.Path, override.Text, l.of(override.Path))
		problems = append(problems, more...)
	}
	if class == nil {
		return nil, nil, problems
	}
	return class, l.said(class), problems
}

// ledger notes the stanzas of a file in their order.
type ledger struct {
	list []entry
	// last is the place in list of the last one for each slot.
	last map[string]int
}

type entry struct {
	stanza *Stanza
	args   []word
	path   string
	line   int
}

// of gives what notes the stanzas of one file.
func (l *ledger) of(path string) func(*Stanza, []word, int) {
	return func(s *Stanza, args []word, line int) {
		if l.last == nil {
			l.last = map[string]int{}
		}
		first := ""
		if s.keyed {
			first = args[0].text
		}
		l.last[s.slotOf(first)] = len(l.list)
		l.list = append(l.list, entry{s, args, path, line})
	}
}

// said gives the stanzas that are in force in the order of the table.
func (l *ledger) said(c *Class) []Said {
	var out []Said
	for i := range stanzas {
		s := &stanzas[i]
		switch {
		case s.grows:
			out = append(out, l.grown(s)...)
		case s.prints():
			for _, args := range s.said(c) {
				first, _, _ := strings.Cut(args, " ")
				if at, ok := l.last[s.slotOf(first)]; ok {
					out = append(out, l.list[at].says(s, args))
				}
			}
		default:
			// It says something by being the last for its slot.
			if at, ok := l.last[s.slotOf("")]; ok && l.list[at].stanza == s {
				out = append(out, l.list[at].says(s, ""))
			}
		}
	}
	return out
}

// grown gives each of the stanzas that add up: what it adds to nothing.
func (l *ledger) grown(s *Stanza) []Said {
	var out []Said
	for _, e := range l.list {
		if e.stanza != s {
			continue
		}
		alone := parser{class: NewClass("")}
		s.say(&alone, e.args)
		for _, args := range s.said(alone.class) {
			out = append(out, e.says(s, args))
		}
	}
	return out
}

// says gives the entry as the stanza s writes it, which may be another one for
// the same slot.
func (e *entry) says(s *Stanza, args string) Said {
	return Said{Text: string(s.write(nil, args)), Path: e.path, Line: e.line}
}
