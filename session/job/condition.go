package job

import (
	"errors"
	"slices"
	"strings"

	"github.com/session-init/session-init/events"
)

// condition reads the expression of "start on" or "stop on" and makes sure
// that the scanner ends behind it, where ok says that there is an end. A line
// end is one, unless a parenthesis is open. A mistake on the way is reported;
// the expression is then nothing to go by.
func (p *parser) condition(s *Stanza) (expr *events.Expr, ok bool) {
	// First count, then keep: a file of a million parentheses costs us the
	// tokens and no growing slices of them.
	from, count := p.pos, 0
	depth, trouble := p.tokens(func(events.Kind, span) { count++ })
	p.pos = from
	tokens := make([]events.Token, 0, count)
	var empty []events.Token
	var mix mixture
	p.tokens(func(kind events.Kind, sp span) {
		t := events.Token{Kind: kind, Text: p.value(sp, kind == events.Word)}
		t.Line, t.Col = p.place(sp.start)
		if t.Text == "" {
			p.fail(sp.start, "empty word (expected an event or a value)")
			empty = append(empty, t)
		}
		if kind == events.Word {
			p.lintWord(sp)
		}
		if mix.see(kind) {
			p.warn(sp.start, "'and' and 'or' without parentheses bind equally, from left to right (expected parentheses that say what is meant)")
		}
		tokens = append(tokens, t)
	})
	if trouble != nil || depth > 0 {
		p.unclosed(tokens, trouble)
		return nil, false
	}
	if count == 0 {
		p.missing(s, s.expected())
		return nil, false
	}
	// What is missing is missing behind the last word, whatever is skipped
	// to the end.
	end := tokens[count-1]
	end.Col += len(end.Text)
	expr, err := events.Parse(tokens, end)
	var syntax *events.SyntaxError
	if errors.As(err, &syntax) && !slices.ContainsFunc(empty, func(t events.Token) bool {
		return t.Line == syntax.Line && t.Col == syntax.Col // said already
	}) {
		p.add(syntax.Line, syntax.Col, false, syntax.Msg)
	}
	if s.Name == "start" {
		p.checkSockets(tokens, expr)
	}
	return expr, true
}

// tokens visits the tokens of an expression and leaves the scanner behind
// them. depth is how many parentheses are still open there.
func (p *parser) tokens(visit func(events.Kind, span)) (depth int, trouble *fault) {
	for {
		p.skipBlanks()
		if p.pos >= len(p.text) {
			return depth, nil
		}
		at := p.pos
		switch p.text[at] {
		case '\n', '#':
			if depth == 0 {
				return 0, nil
			}
			p.skipLine()
		case '(':
			visit(events.Open, span{at, at + 1, true})
			depth++
			p.pos++
		case ')':
			visit(events.Close, span{at, at + 1, true})
			depth = max(depth-1, 0)
			p.pos++
		default:
			sp, trouble := p.reach(at, exprStops)
			if trouble != nil {
				return depth, trouble
			}
			visit(p.kindOf(sp), sp)
			p.pos = sp.end
		}
	}
}

// kindOf tells an operator from a word. One that is quoted or escaped is a
// word; a continuation behind it belongs to the blanks.
func (p *parser) kindOf(sp span) events.Kind {
	text := p.text[sp.start:sp.end]
	for strings.HasSuffix(text, "\\\n") {
		text = strings.TrimSuffix(text, "\\\n")
	}
	switch text {
	case "and":
		return events.And
	case "or":
		return events.Or
	}
	return events.Word
}

// unclosed reports a parenthesis or a quote that goes on to the end of the
// file. A quote on the line of the parenthesis is the cause itself; one on a
// later line was most likely no part of the expression.
func (p *parser) unclosed(tokens []events.Token, trouble *fault) {
	// Of several that are open the first is named: the others may have
	// been taken along from lines that mean something else.
	open := -1
	for i, closed := len(tokens)-1, 0; i >= 0; i-- {
		switch {
		case tokens[i].Kind == events.Close:
			closed++
		case tokens[i].Kind == events.Open && closed > 0:
			closed--
		case tokens[i].Kind == events.Open:
			open = i
		}
	}
	if trouble == nil || open >= 0 {
		at := tokens[open]
		line := at.Line
		if trouble != nil {
			line, _ = p.place(trouble.pos)
		}
		if trouble == nil || line > at.Line {
			p.add(at.Line, at.Col, false, "mismatched parentheses (expected a ')' to close this one)")
			p.resume = p.lines[at.Line-1]
		}
	}
	if trouble != nil {
		resume := p.resume
		p.fault(trouble)
		if resume >= 0 {
			p.resume = resume
		}
	}
}

// lintWord warns of words that look like operators of other languages.
func (p *parser) lintWord(sp span) {
	p.lintHash(sp)
	word := p.text[sp.start:sp.end]
	switch lower := strings.ToLower(word); {
	case lower == "and" || lower == "or" || lower == "not",
		word == "&&" || word == "||" || word == "&" || word == "|":
		p.warn(sp.start, named(word)+" is an ordinary word here, not an operator (expected 'and' or 'or')")
	case strings.HasPrefix(word, "!") && !strings.Contains(word, "="):
		p.warn(sp.start, named(word)+" is an ordinary word here: nothing is negated (expected KEY!=VALUE)")
	case strings.HasSuffix(word, ",") && !strings.Contains(word, "="):
		p.warn(sp.start, named(word)+": the comma is part of the word (expected 'and' or 'or' between events)")
	}
}

// mixture finds the first operator that differs from one before it between
// the same parentheses.
type mixture struct {
	levels []uint8
}

const (
	sawAnd = 1 << iota
	sawOr
)

func (m *mixture) see(kind events.Kind) bool {
	if len(m.levels) == 0 {
		m.levels = append(m.levels, 0)
	}
	level := &m.levels[len(m.levels)-1]
	before := *level
	switch kind {
	case events.Open:
		m.levels = append(m.levels, 0)
		return false
	case events.Close:
		if len(m.levels) > 1 {
			m.levels = m.levels[:len(m.levels)-1]
		}
		return false
	case events.And:
		*level |= sawAnd
	case events.Or:
		*level |= sawOr
	}
	return before != *level && *level == sawAnd|sawOr
}
