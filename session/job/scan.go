package job

import (
	"sort"
	"strings"
)

// What ends a piece of text, outside quotes. A carriage return is a blank,
// so that files with CRLF work; vertical tabs and form feeds are not.
const (
	blanks    = " \t\r"
	wordStops = blanks + "#\n"
	lineStops = "#\n"
	exprStops = wordStops + "()"
)

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' }

// scanner walks over the text of a job file. It knows quotes, escapes,
// continuations and comments, and nothing of stanzas.
type scanner struct {
	text  string
	pos   int
	lines []int // where each line begins
}

// newScanner makes a scanner of a text; a byte order mark is no part of it.
func newScanner(text string) scanner {
	text = strings.TrimPrefix(text, "\ufeff")
	s := scanner{text: text, lines: make([]int, 1, 1+strings.Count(text, "\n"))}
	for i := 0; i < len(text); i++ {
		if text[i] == '\n' {
			s.lines = append(s.lines, i+1)
		}
	}
	return s
}

// place gives the line and the column of a byte, both from 1.
func (s *scanner) place(pos int) (line, col int) {
	line = sort.Search(len(s.lines), func(i int) bool { return s.lines[i] > pos })
	return line, pos - s.lines[line-1] + 1
}

// span is a piece of text as it stands in the file. A plain one has no
// quotes, escapes or line ends: what it stands for is itself.
type span struct {
	start, end int
	plain      bool
}

// fault is why a piece of text has no end.
type fault struct {
	pos int
	msg string
}

// skipBlanks skips blanks and continuations: a backslash at the end of a
// line is a blank.
func (s *scanner) skipBlanks() {
	for s.pos < len(s.text) {
		switch {
		case isBlank(s.text[s.pos]):
			s.pos++
		case strings.HasPrefix(s.text[s.pos:], "\\\n"):
			s.pos += 2
		default:
			return
		}
	}
}

// atEnd reports whether nothing but a comment is left on the line.
func (s *scanner) atEnd() bool {
	return s.pos >= len(s.text) || s.text[s.pos] == '\n' || s.text[s.pos] == '#'
}

// skipLine goes to the beginning of the next line, as comments do: whatever
// stands before it means nothing.
func (s *scanner) skipLine() {
	if n := strings.IndexByte(s.text[s.pos:], '\n'); n >= 0 {
		s.pos += n + 1
	} else {
		s.pos = len(s.text)
	}
}

// reach finds the end of the piece that begins at pos: the first byte of
// stops that is neither quoted nor escaped, or the end of the text. Quotes
// go over line ends.
func (s *scanner) reach(pos int, stops string) (span, *fault) {
	sp := span{start: pos, plain: true}
	quote, opened := byte(0), 0
	for ; pos < len(s.text); pos++ {
		c := s.text[pos]
		switch {
		case c == '\\':
			sp.plain = false
			if pos++; pos == len(s.text) {
				return sp, &fault{pos - 1, "trailing backslash at the end of the file (expected a character after it)"}
			}
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			sp.plain = false
			quote, opened = c, pos
		case strings.IndexByte(stops, c) >= 0:
			sp.end = pos
			return sp, nil
		}
	}
	if quote != 0 {
		return sp, &fault{opened, "unterminated quoted string (expected another " + string(quote) + " to close this one)"}
	}
	sp.end = pos
	return sp, nil
}

// value gives what a span stands for. Line ends in quotes and continuations,
// with all the blanks around them, are one space; other blanks stay, but
// for trailing ones. Dequoted, quotes go, and so do backslashes before
// blanks and backslashes; every other backslash stays, with its character.
func (s *scanner) value(sp span, dequote bool) string {
	if sp.plain {
		return strings.TrimRight(s.text[sp.start:sp.end], blanks)
	}
	out := make([]byte, 0, sp.end-sp.start)
	quote := byte(0)
	folded := false // a line end is waiting to become a space
	held := 0       // blanks are waiting, the last of them just before i
	flush := func(i int) {
		if folded {
			out = append(out, ' ')
		} else {
			out = append(out, s.text[i-held:i]...)
		}
		folded, held = false, 0
	}
	for i := sp.start; i < sp.end; i++ {
		c := s.text[i]
		switch {
		case c == '\\' && s.text[i+1] == '\n':
			folded = true
			i++
		case c == '\\':
			flush(i)
			i++
			if next := s.text[i]; dequote && (next == '\\' || isBlank(next)) {
				out = append(out, next)
			} else {
				out = append(out, '\\', next)
			}
		case quote != 0 && c == '\n':
			folded = true
		case isBlank(c):
			held++
		case c == quote, quote == 0 && (c == '"' || c == '\''):
			flush(i)
			if quote == 0 {
				quote = c
			} else {
				quote = 0
			}
			if !dequote {
				out = append(out, c)
			}
		default:
			flush(i)
			out = append(out, c)
		}
	}
	return string(out)
}
