package events

import "strings"

// Op is the kind of a node of an expression.
type Op uint8

// The kinds of nodes.
const (
	OpMatch Op = iota // an operand: Node.Match
	OpAnd
	OpOr
)

// Expr is what "start on" or "stop on" says, in postfix order: operands
// before their operator, the root last. It is immutable once parsed and
// shared by every condition made from it.
type Expr struct {
	Nodes []Node
}

// Node is an operand or an operator of an Expr.
type Node struct {
	Op    Op
	Match *Match
}

// Match is an operand: an event's name, which is compared literally, and
// patterns for its variables. Words holds the operand as it was written,
// dequoted, the name first, for printing and for the bus.
type Match struct {
	Name  string
	Args  []Arg
	Words []string
}

// Arg is one pattern of an operand.
type Arg struct {
	// Named tells KEY=VALUE and KEY!=VALUE from a positional argument,
	// which is compared to the variable that stands at the same place in
	// the event.
	Named bool
	// Key is the name of the variable. It may be empty ("=x"), and is then
	// found in no event that came through our own door.
	Key string
	// Not is set for KEY!=VALUE: the variable must be there and differ.
	Not bool
	// Pattern is a shell glob, expanded before it is compared.
	Pattern string
}

// NewMatch makes an operand of dequoted words, the event's name first. A
// word with "=" anywhere is named; the first "!=" in it wins over an earlier
// "=". The index of a positional word that follows a named one is returned
// as bad, else -1.
func NewMatch(words []string) (m *Match, bad int) {
	m = &Match{Name: words[0], Words: words}
	if len(words) > 1 {
		m.Args = make([]Arg, 0, len(words)-1)
	}
	for i, word := range words[1:] {
		arg := Arg{Pattern: word}
		if key, value, ok := strings.Cut(word, "!="); ok {
			arg = Arg{Named: true, Key: key, Not: true, Pattern: value}
		} else if key, value, ok := strings.Cut(word, "="); ok {
			arg = Arg{Named: true, Key: key, Pattern: value}
		} else if len(m.Args) > 0 && m.Args[len(m.Args)-1].Named {
			return nil, i + 1
		}
		m.Args = append(m.Args, arg)
	}
	return m, -1
}

// String gives the operand as show-config prints it: words without quotes.
func (m *Match) String() string { return strings.Join(m.Words, " ") }

// Matches reports whether the operand matches an event of that name with
// these variables, the patterns expanded by lookup first. A pattern that
// cannot be expanded does not match.
func (m *Match) Matches(name string, env Env, lookup Lookup) bool {
	if m.Name != name {
		return false
	}
	for i, arg := range m.Args {
		value, ok := arg.value(i, env)
		if !ok {
			return false
		}
		pattern, err := Expand(arg.Pattern, lookup)
		if err != nil || Glob(pattern, value) == arg.Not {
			return false
		}
	}
	return true
}

// value gives what the i-th argument of an operand is compared to.
func (a Arg) value(i int, env Env) (string, bool) {
	if a.Named {
		return env.First(a.Key)
	}
	if i >= len(env) {
		return "", false
	}
	_, value, _ := SplitEntry(env[i])
	return value, true
}

// String gives the expression fully parenthesised, as show-config prints it:
// "(a and (b or c))"; a single operand stands bare.
func (x *Expr) String() string { return x.Infix((*Match).String) }

// Infix is String with the operands written by operand.
func (x *Expr) Infix(operand func(*Match) string) string {
	if x == nil || len(x.Nodes) == 0 {
		return ""
	}
	// A node's right side ends just before it, its left side where the
	// right one begins. Lists of operators can be long and nested deeply,
	// so this neither recurses nor joins strings again and again.
	begins := make([]int, len(x.Nodes))
	for i, node := range x.Nodes {
		begins[i] = i
		if node.Op != OpMatch {
			begins[i] = begins[begins[i-1]-1]
		}
	}
	type piece struct {
		node int
		text string // when node is -1
	}
	var out strings.Builder
	todo := []piece{{node: len(x.Nodes) - 1}}
	for len(todo) > 0 {
		p := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		switch {
		case p.node < 0:
			out.WriteString(p.text)
		case x.Nodes[p.node].Op == OpMatch:
			out.WriteString(operand(x.Nodes[p.node].Match))
		default:
			word := " and "
			if x.Nodes[p.node].Op == OpOr {
				word = " or "
			}
			right := p.node - 1
			left := begins[right] - 1
			out.WriteByte('(')
			todo = append(todo, piece{-1, ")"}, piece{node: right}, piece{-1, word}, piece{node: left})
		}
	}
	return out.String()
}

// Postfix gives the expression as the bus does: each operand as its words,
// the operators as "/AND" and "/OR".
func (x *Expr) Postfix() [][]string {
	if x == nil {
		return [][]string{}
	}
	out := make([][]string, 0, len(x.Nodes))
	for _, node := range x.Nodes {
		switch node.Op {
		case OpMatch:
			out = append(out, node.Match.Words)
		case OpAnd:
			out = append(out, []string{"/AND"})
		case OpOr:
			out = append(out, []string{"/OR"})
		}
	}
	return out
}

// HasVariables reports whether what the expression matches depends on the
// environment that it is looked at in.
func (x *Expr) HasVariables() bool {
	if x == nil {
		return false
	}
	for _, node := range x.Nodes {
		if node.Op != OpMatch {
			continue
		}
		for _, arg := range node.Match.Args {
			if strings.Contains(arg.Pattern, "$") {
				return true
			}
		}
	}
	return false
}
