package job

import (
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Problem is what is wrong with a place of a job file, or, as a warning,
// what is right by the rules and most likely not what its author meant. It is
// an error value; Line and Col count from 1, Col in bytes.
type Problem struct {
	Path      string
	Line, Col int
	Msg       string
	Warning   bool
}

// Error gives the problem as one line: "path:line:col: what is wrong".
func (p Problem) Error() string {
	kind := ""
	if p.Warning {
		kind = "warning: "
	}
	return fmt.Sprintf("%s:%d:%d: %s%s", p.Path, p.Line, p.Col, kind, p.Msg)
}

// maxProblems bounds what one file can make us say, and hold in memory.
const maxProblems = 100

// problems collects what is found in one text.
type problems struct {
	path     string
	list     []Problem
	errors   int
	warnings int
}

// add notes a problem; the same one twice in a row, as when a word is read
// again, counts once.
func (l *problems) add(line, col int, warning bool, msg string) {
	found := Problem{Path: l.path, Line: line, Col: col, Msg: msg, Warning: warning}
	if n := len(l.list); n > 0 && l.list[n-1] == found {
		return
	}
	count := &l.errors
	if warning {
		count = &l.warnings
	}
	if *count++; *count > maxProblems {
		return
	}
	if *count == maxProblems {
		found.Msg = "too many problems; what follows is not shown"
	}
	l.list = append(l.list, found)
}

// full says that no more errors are wanted.
func (l *problems) full() bool { return l.errors >= maxProblems }

// sorted gives the problems in the order of their places, each once: what has
// no end is met again when the search for the next stanza begins before it.
func (l *problems) sorted() []Problem {
	sort.SliceStable(l.list, func(i, j int) bool {
		a, b := &l.list[i], &l.list[j]
		if a.Line != b.Line {
			return a.Line < b.Line
		}
		return a.Col < b.Col
	})
	l.list = slices.Compact(l.list)
	return l.list
}

// maxNamed bounds how much of an offending word a message repeats.
const maxNamed = 60

// named gives a word of a file as a message shows it: in quotes, cut when it
// is long, with what a terminal could not show escaped.
func named(word string) string {
	var out strings.Builder
	out.WriteByte('\'')
	for i := 0; i < len(word); {
		if i >= maxNamed {
			out.WriteString("…")
			break
		}
		r, size := utf8.DecodeRuneInString(word[i:])
		switch {
		case r == utf8.RuneError && size <= 1:
			fmt.Fprintf(&out, `\x%02x`, word[i])
		case unicode.IsPrint(r):
			out.WriteString(word[i : i+size])
		default:
			out.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
		i += size
	}
	out.WriteByte('\'')
	return out.String()
}
