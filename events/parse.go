package events

import (
	"fmt"
	"unicode/utf8"
)

// Kind is the kind of a Token.
type Kind uint8

// The kinds of tokens. An operator is one only unquoted and in lower case;
// the lexer of job files decides that.
const (
	Word Kind = iota
	And
	Or
	Open
	Close
)

// Token is a piece of an expression. Text is dequoted. Line and Col (1-based,
// bytes) say where it starts, for messages.
type Token struct {
	Kind      Kind
	Text      string
	Line, Col int
}

// SyntaxError is the error of Parse: where, and what is wrong there.
type SyntaxError struct {
	Line, Col int
	Msg       string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%d:%d: %s", e.Line, e.Col, e.Msg)
}

// Parse makes an expression of tokens. "and" and "or" have the same
// precedence and group from the left; only parentheses group otherwise. end
// is where the tokens end, for what is missing there. The error is a
// *SyntaxError.
func Parse(tokens []Token, end Token) (*Expr, error) {
	p := exprParser{tokens: tokens, end: end, out: make([]Node, 0, countNodes(tokens))}
	for p.pos < len(p.tokens) {
		if err := p.step(p.tokens[p.pos]); err != nil {
			return nil, err
		}
	}
	if !p.operand {
		return nil, p.fail(p.end, "expected an event")
	}
	for i := len(p.stack) - 1; i >= 0; i-- {
		if waiting := tokens[p.stack[i]]; waiting.Kind == Open {
			return nil, p.fail(waiting, "mismatched parentheses: this one is never closed")
		}
		p.apply(p.stack[i])
	}
	return &Expr{Nodes: p.out}, nil
}

// countNodes says how many nodes the tokens make when they are in order. An
// expression lives as long as its job, so it has no room to spare.
func countNodes(tokens []Token) int {
	n := 0
	for i, t := range tokens {
		if t.Kind == And || t.Kind == Or || t.Kind == Word && (i == 0 || tokens[i-1].Kind != Word) {
			n++
		}
	}
	return n
}

// exprParser turns infix into postfix with a stack of operators and open
// parentheses, so that no depth of nesting needs our own stack.
type exprParser struct {
	tokens  []Token
	end     Token
	pos     int
	out     []Node
	stack   []int // places in tokens
	operand bool  // the last thing read is a complete operand
}

func (p *exprParser) fail(at Token, msg string) error {
	return &SyntaxError{Line: at.Line, Col: at.Col, Msg: msg}
}

func (p *exprParser) step(t Token) error {
	switch t.Kind {
	case Word:
		if p.operand {
			return p.fail(t, "expected an operator (and, or)")
		}
		return p.match()
	case And, Or:
		if !p.operand {
			return p.fail(t, fmt.Sprintf("expected an event, not the operator '%s'", cut(t.Text)))
		}
		p.reduce()
		p.stack = append(p.stack, p.pos)
		p.operand = false
	case Open:
		if p.operand {
			return p.fail(t, "expected an operator (and, or) before the parenthesis")
		}
		p.stack = append(p.stack, p.pos)
	case Close:
		if !p.operand && len(p.stack) > 0 {
			return p.fail(t, "expected an event before the parenthesis")
		}
		p.reduce()
		if len(p.stack) == 0 {
			return p.fail(t, "mismatched parentheses: nothing is open here")
		}
		p.stack = p.stack[:len(p.stack)-1]
	}
	p.pos++
	return nil
}

// match reads an event's name and the words that follow it.
func (p *exprParser) match() error {
	first := p.pos
	for p.pos < len(p.tokens) && p.tokens[p.pos].Kind == Word {
		p.pos++
	}
	words := make([]string, p.pos-first)
	for i := range words {
		words[i] = p.tokens[first+i].Text
	}
	m, bad := NewMatch(words)
	if bad >= 0 {
		return p.fail(p.tokens[first+bad], fmt.Sprintf("expected KEY=VALUE, not '%s': a value without a name cannot follow one with a name", cut(words[bad])))
	}
	p.out = append(p.out, Node{Op: OpMatch, Match: m})
	p.operand = true
	return nil
}

// reduce applies the operators since the last open parenthesis: equal
// precedence, so whatever waits there binds first.
func (p *exprParser) reduce() {
	for len(p.stack) > 0 && p.tokens[p.stack[len(p.stack)-1]].Kind != Open {
		p.apply(p.stack[len(p.stack)-1])
		p.stack = p.stack[:len(p.stack)-1]
	}
}

func (p *exprParser) apply(at int) {
	op := OpAnd
	if p.tokens[at].Kind == Or {
		op = OpOr
	}
	p.out = append(p.out, Node{Op: op})
}

// maxNamed bounds how many bytes of an offending word a message repeats.
const maxNamed = 60

// cut gives a word as a message shows it.
func cut(word string) string {
	if len(word) <= maxNamed {
		return word
	}
	end := maxNamed
	for end > 0 && !utf8.RuneStart(word[end]) {
		end--
	}
	return word[:end] + "…"
}
