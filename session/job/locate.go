package job

import (
	"strings"

	"github.com/session-init/session-init/events"
)

// Stand is a stanza of a text: its keywords, and where it and the words behind
// them stand. Line and Col count from 1, Col in bytes.
type Stand struct {
	Title     string // "start on"
	Line, Col int
	// Words are what follows. Of a command it is the first word alone, of a
	// script nothing, of a condition its words without operators and
	// parentheses.
	Words []Spot
}

// Spot is a word of a stanza, dequoted, and where it stands.
type Spot struct {
	Text      string
	Line, Col int
	// Operand: the word is the name of an event in a condition. The operands
	// of an events.Expr have the same order.
	Operand bool
}

// Locate gives the stanzas of a text that can be read, in their order. A
// Class does not keep where they stand, since there may be thousands of
// classes and hardly ever somebody who asks.
func Locate(text []byte) []Stand {
	p := parser{scanner: newScanner(string(text)), class: NewClass(""), resume: -1}
	if strings.IndexByte(p.text, 0) >= 0 {
		return nil
	}
	var out []Stand
	p.said = func(_ *Stanza, _ []word, line int) {
		from := p.scanner
		from.pos = p.lines[line-1]
		from.skipBlanks()
		out = append(out, locate(from))
	}
	p.run()
	return out
}

// locate reads the stanza before the scanner once more, which is known to be
// in order.
func locate(from scanner) Stand {
	p := parser{scanner: from, class: NewClass("")}
	var out Stand
	out.Line, out.Col = p.place(p.pos)
	name, ok := p.word(false)
	if !ok {
		return out
	}
	s := p.choose(name)
	if s == nil {
		return out
	}
	out.Title = s.Title()
	spot := func(text string, pos int) Spot {
		line, col := p.place(pos)
		return Spot{Text: text, Line: line, Col: col}
	}
	switch s.Shape {
	case Line:
		if sp, trouble := p.reach(p.pos, wordStops); trouble == nil {
			out.Words = append(out.Words, spot(p.value(sp, false), sp.start))
		}
	case Words:
		for !p.atEnd() {
			w, ok := p.word(true)
			if !ok {
				break
			}
			out.Words = append(out.Words, spot(w.text, w.pos))
		}
	case Expression:
		begins := true
		p.tokens(func(kind events.Kind, sp span) {
			if kind == events.Word {
				word := spot(p.value(sp, true), sp.start)
				word.Operand = begins
				out.Words = append(out.Words, word)
			}
			begins = kind != events.Word
		})
	}
	return out
}

// Suggest gives the candidate that a name is most likely a slip of, or "". It
// is stricter than with stanzas, since names may well resemble each other:
// "enable-x" is no slip of "disable-x".
func Suggest(name string, candidates []string) string {
	best := suggest(name, candidates)
	if best == "" || distance(strings.ToLower(name), best) > 1+len(name)/10 {
		return ""
	}
	return best
}
