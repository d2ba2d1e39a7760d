package events

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// tokenize makes tokens of words and parentheses with blanks between them;
// a quoted operator ('and') is a word. It knows nothing of the finer rules,
// which are the job files'.
func tokenize(text string) (tokens []Token, end Token) {
	col := 1
	for _, word := range strings.Split(text, " ") {
		t := Token{Text: strings.Trim(word, "'"), Line: 1, Col: col}
		switch word {
		case "and":
			t.Kind = And
		case "or":
			t.Kind = Or
		case "(":
			t.Kind = Open
		case ")":
			t.Kind = Close
		}
		if word != "" {
			tokens = append(tokens, t)
		}
		col += len(word) + 1
	}
	return tokens, Token{Line: 1, Col: col}
}

func TestParse(t *testing.T) {
	for _, test := range []struct{ text, infix, postfix string }{
		{"a", "a", "a"},
		{"a b X=1", "a b X=1", "a b X=1"},
		{"a and b", "(a and b)", "a|b|/AND"},
		{"a or b", "(a or b)", "a|b|/OR"},
		{"a or b and c", "((a or b) and c)", "a|b|/OR|c|/AND"},
		{"a and b or c", "((a and b) or c)", "a|b|/AND|c|/OR"},
		{"a and b and c", "((a and b) and c)", "a|b|/AND|c|/AND"},
		{"a or ( b and c )", "(a or (b and c))", "a|b|c|/AND|/OR"},
		{"( a or b ) and ( c or d )", "((a or b) and (c or d))", "a|b|/OR|c|d|/OR|/AND"},
		{"( ( a ) )", "a", "a"},
		{"( a X=1 ) or b", "(a X=1 or b)", "a X=1|b|/OR"},
		{"a 'and' b", "a and b", "a and b"},
		{"a or ( b or ( c or d ) and e )", "(a or ((b or (c or d)) and e))", "a|b|c|d|/OR|/OR|e|/AND|/OR"},
	} {
		expr, err := Parse(tokenize(test.text))
		if err != nil {
			t.Errorf("Parse(%s) = %v; want an expression", test.text, err)
			continue
		}
		if got := expr.String(); got != test.infix {
			t.Errorf("Parse(%s) = %s; want %s", test.text, got, test.infix)
		}
		if got, want := cap(expr.Nodes), len(expr.Nodes); got != want {
			t.Errorf("Parse(%s) has room for %d nodes; want %d", test.text, got, want)
		}
		var words []string
		for _, operand := range expr.Postfix() {
			words = append(words, strings.Join(operand, " "))
		}
		if got := strings.Join(words, "|"); got != test.postfix {
			t.Errorf("Postfix of %s = %s; want %s", test.text, got, test.postfix)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"", "1:2: expected an event"},
		{"and", "1:1: expected an event, not the operator 'and'"},
		{"a and", "1:7: expected an event"},
		{"a or or b", "1:6: expected an event, not the operator 'or'"},
		{"( )", "1:3: expected an event before the parenthesis"},
		{"( a and )", "1:9: expected an event before the parenthesis"},
		{"( a", "1:1: mismatched parentheses: this one is never closed"},
		{"( a and ( b )", "1:1: mismatched parentheses: this one is never closed"},
		{"(", "1:3: expected an event"},
		{")", "1:1: mismatched parentheses: nothing is open here"},
		{"a )", "1:3: mismatched parentheses: nothing is open here"},
		{"a ( b )", "1:3: expected an operator (and, or) before the parenthesis"},
		{"( a ) b", "1:7: expected an operator (and, or)"},
		{"( a ) ( b )", "1:7: expected an operator (and, or) before the parenthesis"},
		{"a X=1 b", "1:7: expected KEY=VALUE, not 'b': a value without a name cannot follow one with a name"},
	} {
		expr, err := Parse(tokenize(test.text))
		if err == nil {
			t.Errorf("Parse(%s) = %v; want the error %s", test.text, expr, test.want)
			continue
		}
		var syntax *SyntaxError
		if !errors.As(err, &syntax) || err.Error() != test.want {
			t.Errorf("Parse(%s) = %v; want %s", test.text, err, test.want)
		}
	}
}

func TestNewMatch(t *testing.T) {
	for _, test := range []struct {
		words string
		want  []Arg
		bad   int
	}{
		{"a", nil, -1},
		{"a b c", []Arg{{Pattern: "b"}, {Pattern: "c"}}, -1},
		{"a b X=1", []Arg{{Pattern: "b"}, {Named: true, Key: "X", Pattern: "1"}}, -1},
		{"a X!=1", []Arg{{Named: true, Key: "X", Not: true, Pattern: "1"}}, -1},
		{"a X=b!=c", []Arg{{Named: true, Key: "X=b", Not: true, Pattern: "c"}}, -1},
		{"a X==b", []Arg{{Named: true, Key: "X", Pattern: "=b"}}, -1},
		{"a =b", []Arg{{Named: true, Pattern: "b"}}, -1},
		{"a X=", []Arg{{Named: true, Key: "X"}}, -1},
		{"a X=1 b", nil, 2},
		{"a b X=1 c d", nil, 3},
	} {
		m, bad := NewMatch(strings.Split(test.words, " "))
		if bad != test.bad || (m == nil) != (bad >= 0) || m != nil && !slices.Equal(m.Args, test.want) {
			t.Errorf("NewMatch(%s) = %v, %d; want %v, %d", test.words, m, bad, test.want, test.bad)
		}
	}
}

func TestMatches(t *testing.T) {
	env := Env{"JOB=net/a", "INSTANCE=", "RESULT=ok", "JOB=second", "X=*"}
	lookup := lookupIn(Env{"J=net/*", "R=ok"})
	for _, test := range []struct {
		words string
		want  bool
	}{
		{"ev", true},
		{"other", false},
		{"Ev", false},
		{"e*", false},
		{"ev net/a", true},
		{"ev net/*", true},
		{"ev * *", true},
		{"ev net/a x", false},
		{"ev * * ok", true},
		{"ev * * * * * *", false}, // more than there are
		{"ev JOB=net/a", true},
		{"ev JOB=second", false}, // the first of them counts
		{"ev JOB!=second", true},
		{"ev JOB!=net/*", false},
		{"ev INSTANCE=", true},
		{"ev INSTANCE!=", false},
		{"ev MISSING=x", false},
		{"ev MISSING!=x", false},
		{"ev MISSING=", false},
		{"ev JOB=$J", true},
		{"ev JOB!=$J", false},
		{"ev JOB=$U", false},
		{"ev JOB!=$U", false}, // what cannot be expanded matches nothing
		{"ev RESULT=${U:-ok}", true},
		{"ev net/a RESULT=$R", true},
		{`ev X=\*`, true},
		{"ev X=b!=c", false},
	} {
		m, _ := NewMatch(strings.Split(test.words, " "))
		if got := m.Matches("ev", env, lookup); got != test.want {
			t.Errorf("Matches(%s) = %t; want %t", test.words, got, test.want)
		}
	}
}

func TestExprEmpty(t *testing.T) {
	var none *Expr
	if got := none.String(); got != "" {
		t.Errorf("String of no expression = %q; want nothing", got)
	}
	if got := new(Expr).String(); got != "" {
		t.Errorf("String of an expression without nodes = %q; want nothing", got)
	}
	if got := none.Postfix(); got == nil || len(got) != 0 {
		t.Errorf("Postfix of no expression = %v; want an empty list", got)
	}
}

func TestHasVariables(t *testing.T) {
	for text, want := range map[string]bool{
		"a": false, "a b": false, "a $B": true, "a X=1": false, "a X=$B": true, "a X!=${B}": true, "a X=1 Y=$B": true,
		"a and b $B": true, "a $B and b": true, "a and b and c X=$B": true, "a $X=1": false, "a and b": false,
	} {
		if got := expr(t, text).HasVariables(); got != want {
			t.Errorf("HasVariables of %s = %t; want %t", text, got, want)
		}
	}
	var none *Expr
	if none.HasVariables() {
		t.Error("no expression has variables")
	}
}

func TestParseDeep(t *testing.T) {
	const depth = 200000
	text := strings.Repeat("( ", depth) + "a" + strings.Repeat(" )", depth)
	expr, err := Parse(tokenize(text))
	if err != nil || expr.String() != "a" {
		t.Errorf("Parse of %d parentheses = %v, %v; want a", depth, expr, err)
	}
	expr, err = Parse(tokenize(strings.Repeat("( a or ", depth) + "b" + strings.Repeat(" )", depth)))
	if err != nil || len(expr.String()) != depth*len("(a or )")+1 {
		t.Errorf("Parse of %d nested operands = %v", depth, err)
	}
}

// A word of any length makes a message of a line.
func TestParseLongWord(t *testing.T) {
	long := strings.Repeat("é", 2000)
	_, err := Parse(tokenize("a X=1 " + long))
	if want := "1:7: expected KEY=VALUE, not '" + strings.Repeat("é", 30) + "…': "; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("Parse(a X=1 éé...) = %v; want %s...", err, want)
	}
	for _, test := range []struct{ word, want string }{
		{strings.Repeat("a", maxNamed), strings.Repeat("a", maxNamed)},
		{strings.Repeat("a", maxNamed+1), strings.Repeat("a", maxNamed) + "…"},
		{strings.Repeat("\x80", maxNamed+1), "…"},
	} {
		if got := cut(test.word); got != test.want {
			t.Errorf("cut(%q) = %q; want %q", test.word, got, test.want)
		}
	}
	_, err = Parse(tokenize("a X=1 x" + long))
	if want := "1:7: expected KEY=VALUE, not 'x" + strings.Repeat("é", 29) + "…': "; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("Parse(a X=1 xéé...) = %v; want %s...", err, want)
	}
}
