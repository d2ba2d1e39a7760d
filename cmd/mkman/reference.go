package main

import (
	"errors"
	"strings"

	"github.com/session-init/session-init/session/job"
)

// The marks around what this program writes, as lines of a page.
const (
	begins = ".\\\" What follows is written by 'make man', from session/job/stanza.go and manual.go.\n"
	ends   = ".\\\" Here ends what 'make man' writes.\n"
)

var errNoMarks = errors.New("cannot find the marks around the reference, or not in their order")

// insert puts the reference between the marks of a page.
func insert(page, reference string) (string, error) {
	head, rest, found := strings.Cut(page, begins)
	_, tail, closed := strings.Cut(rest, ends)
	if !found || !closed {
		return "", errNoMarks
	}
	return head + begins + reference + ends + tail, nil
}

// reference writes the entries, and after them the stanzas that are refused
// yet, as mdoc(7).
func reference(stanzas []job.Stanza, entries []job.Entry) string {
	w := writer{stanzas: stanzas}
	section := ""
	for _, e := range entries {
		if e.Section != section {
			w.endList(section)
			section = e.Section
			w.line(".Ss " + section)
			w.line(".Bl -tag -width Ds")
		}
		w.entry(e)
	}
	w.endList(section)
	w.later()
	return w.out.String()
}

type writer struct {
	out     strings.Builder
	stanzas []job.Stanza
}

func (w *writer) line(text string) {
	w.out.WriteString(text)
	w.out.WriteByte('\n')
}

func (w *writer) endList(section string) {
	if section != "" {
		w.line(".El")
	}
}

// find gives the stanza of that title, nil when there is none.
func (w *writer) find(title string) *job.Stanza {
	for i := range w.stanzas {
		if w.stanzas[i].Title() == title {
			return &w.stanzas[i]
		}
	}
	return nil
}

func (w *writer) entry(e job.Entry) {
	var heads []string
	var first *job.Stanza
	defaults, foreign := "", ""
	for title := range strings.SplitSeq(e.Titles, ", ") {
		s := w.find(title)
		if s == nil {
			continue
		}
		heads = append(heads, "Ic "+title+syntax(s))
		if first == nil {
			first = s
		}
		if s.Default != "" {
			defaults += " The default is `" + s.Default + "`."
		}
		if s.Beyond {
			foreign += " Upstart has no `" + title + "`."
		}
	}
	if first == nil {
		return
	}
	w.line(".It " + strings.Join(heads, " , "))
	w.prose(first.Doc + " " + e.Text + defaults + foreign)
	w.line(".Bd -literal -offset indent")
	w.out.WriteString(strings.ReplaceAll(e.Example, `\`, `\e`))
	w.line(".Ed")
}

// later lists what is planned: a page that says nothing of it leaves one who
// knows it from elsewhere to guess.
func (w *writer) later() {
	var lines []string
	for i := range w.stanzas {
		if s := &w.stanzas[i]; s.NotYet {
			lines = append(lines, ".It Li \""+strings.TrimSpace(s.Title()+" "+s.Args)+"\"\n"+s.Doc)
		}
	}
	if len(lines) == 0 {
		return
	}
	w.line(".Ss Not yet")
	w.line("These stanzas are planned, and are errors that say so.")
	w.line(".Bl -tag -width Ds")
	for _, line := range lines {
		w.line(line)
	}
	w.line(".El")
}

// syntax gives what follows the keywords of a stanza, as arguments of a macro:
// a value in capitals, a word to be typed in small letters, the rest of Args
// being brackets, bars and dots.
func syntax(s *job.Stanza) string {
	if s.Shape == job.Block {
		return " No ... Ic end script"
	}
	var out strings.Builder
	blank := true
	for rest := s.Args; rest != ""; {
		n := strings.IndexFunc(rest, func(r rune) bool { return !isLetter(r) })
		if n < 0 {
			n = len(rest)
		}
		glue := " "
		if !blank {
			glue = " Ns "
		}
		word := rest[:n]
		switch {
		case n > 0 && word == strings.ToUpper(word):
			out.WriteString(glue + "Ar " + word)
		case n > 0:
			out.WriteString(glue + "Cm " + word)
		}
		if n == 0 {
			n = width(rest)
			switch piece := rest[:n]; piece {
			case "|":
				out.WriteString(" |")
			case "…":
				out.WriteString(" No ...")
			case "[":
				out.WriteString(glue + "Oo")
			case "]":
				out.WriteString(" Oc")
			case "=":
				out.WriteString(glue + "Li =")
			}
		}
		blank = strings.Contains(" |[", rest[:n])
		rest = rest[n:]
	}
	return out.String()
}

func isLetter(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }

// width counts the bytes of the first character.
func width(text string) int {
	for i := range text {
		if i > 0 {
			return i
		}
	}
	return len(text)
}
