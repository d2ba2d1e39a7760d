package main

import (
	"strings"
	"time"
	"unicode/utf8"
)

// The screen that why prints fits: columns, lines, and the column where texts
// begin.
const (
	screenColumns = 80
	screenLines   = 24
	labelColumns  = 12
	maxLogLines   = 8
	minLogLines   = 2
)

// marks are the signs of a condition's tree, and the arrow.
type marks struct{ came, missing, arrow string }

// marks gives those that the terminal can show, as the locale says.
func (c *command) marks() marks {
	locale := ""
	for _, name := range [...]string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if locale = c.getenv(name); locale != "" {
			break
		}
	}
	locale = strings.ToLower(locale)
	if strings.Contains(locale, "utf-8") || strings.Contains(locale, "utf8") {
		return marks{"✓", "✗", "→"}
	}
	return marks{"+", "-", "->"}
}

// screen is what is printed, as plain text.
type screen struct {
	marks
	home string
	wall time.Time
	uid  int // of who reads it
	// again is command's.
	again func(line string) string
	lines []string
}

// say adds sentences behind a label, and goes on below their beginning.
func (s *screen) say(label, text string) {
	s.hang(label+strings.Repeat(" ", max(1, labelColumns-utf8.RuneCountInString(label))), labelColumns, text)
}

// more adds sentences to what was said last.
func (s *screen) more(text string) { s.hang(strings.Repeat(" ", labelColumns), labelColumns, text) }

// hang adds a text behind a head; lines after the first begin at indent. A
// word that is wider than the screen stays whole: it is to be copied.
func (s *screen) hang(head string, indent int, text string) {
	line, empty := head, true
	for _, word := range strings.Fields(text) {
		if !empty && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > screenColumns {
			s.lines = append(s.lines, strings.TrimRight(line, " "))
			line, empty = strings.Repeat(" ", indent), true
		}
		if !empty {
			line += " "
		}
		line, empty = line+word, false
	}
	s.lines = append(s.lines, strings.TrimRight(line, " "))
}

// path shortens a path, or a text that begins with one.
func (s *screen) path(text string) string {
	if rest, ok := strings.CutPrefix(text, s.home+"/"); ok && s.home != "" {
		return "~/" + rest
	}
	return text
}

// base gives what follows the last slash of a place, "svc.conf:3".
func base(place string) string {
	return place[strings.LastIndexByte(place, '/')+1:]
}

// at puts a place behind a text, in parentheses, when it is known.
func at(text, place string) string {
	if place == "" {
		return text
	}
	return text + " (" + base(place) + ")"
}

// clock gives a time of the day, with the day when it is another one.
func (s *screen) clock(m moment) string {
	if m.IsZero() {
		return "an unknown time"
	}
	then := m.In(s.wall.Location())
	if then.Format(time.DateOnly) == s.wall.Format(time.DateOnly) {
		return then.Format(time.TimeOnly)
	}
	return then.Format(time.DateTime)
}

// ago gives a time and how long ago it was, or in how long it will be.
func (s *screen) ago(m moment) string {
	switch {
	case m.IsZero():
		return s.clock(m)
	case m.After(s.wall):
		return s.clock(m) + ", in " + duration(m.Sub(s.wall))
	}
	return s.clock(m) + ", " + duration(s.wall.Sub(m.Time)) + " ago"
}

// several joins words with commas and a last "and".
func several(words []string) string {
	if n := len(words); n > 1 {
		return strings.Join(words[:n-1], ", ") + " and " + words[n-1]
	}
	return strings.Join(words, "")
}
