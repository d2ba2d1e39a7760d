package events

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

// FuzzExpand: any text is expanded or refused; a text without references is
// itself; substituted text is not looked at again.
func FuzzExpand(f *testing.F) {
	for _, seed := range []string{"", "$A", "${A}", "${U:-${V-x}}", "${$N}", "${}", "$$A", "${A:+b}", "${A", "${A:=x}", "a$", "${U+{}}"} {
		f.Add(seed, "value$A}")
	}
	f.Fuzz(func(t *testing.T, s, value string) {
		if strings.Count(s, "$")*len(value) > 1<<20 {
			return
		}
		env := Env{"A=" + value, "E=", "N=A"}
		got, err := Expand(s, lookupIn(env))
		if err != nil {
			if got != "" {
				t.Fatalf("Expand(%q) = %q with the error %v", s, got, err)
			}
			return
		}
		if !strings.Contains(s, "$") && got != s {
			t.Fatalf("Expand(%q) = %q; want itself", s, got)
		}
		before, err := Expand(s+"|", lookupIn(env))
		if err != nil || before != got+"|" {
			t.Fatalf("Expand(%q with a bar) = %q, %v; want %q and a bar", s, before, err, got)
		}
		// With a marker for the value, the value can be put in later.
		if marked, err := Expand(s, lookupIn(Env{"A=\x00", "E=", "N=A"})); err == nil && !strings.Contains(s, "${") &&
			!strings.Contains(s, "\x00") && strings.ReplaceAll(marked, "\x00", value) != got {
			t.Fatalf("Expand(%q) = %q; want %q with %q in it", s, got, marked, value)
		}
	})
}

// FuzzGlob compares with a matcher that tries everything.
func FuzzGlob(f *testing.F) {
	for _, seed := range [][2]string{{"*", "a"}, {"a*b*c", "aXbYc"}, {"[a-c]?", "bx"}, {"[[:]", ":"}, {`\*`, "*"}, {"[]a]*", "]x"}, {"[!a", "[!a"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if len(pattern) > 12 || len(s) > 12 {
			Glob(pattern, s)
			return
		}
		if got, want := Glob(pattern, s), slowGlob(pattern, s); got != want {
			t.Fatalf("Glob(%q, %q) = %t; want %t", pattern, s, got, want)
		}
		if IsLiteral(pattern) && Glob(pattern, s) != (pattern == s) {
			t.Fatalf("%q is literal and matches %q", pattern, s)
		}
	})
}

// slowGlob is the definition of Glob, star by star; single elements are
// taken from Glob's own.
func slowGlob(pattern, s string) bool {
	if pattern == "" {
		return s == ""
	}
	if pattern[0] == '*' {
		for i := 0; i <= len(s); i++ {
			if slowGlob(pattern[1:], s[i:]) {
				return true
			}
		}
		return false
	}
	if s == "" {
		return false
	}
	n, ok := globOne(pattern, s[0])
	return ok && slowGlob(pattern[n:], s[1:])
}

// FuzzParse: tokens in any order make an expression or a *SyntaxError; what
// the expression prints makes the same one.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"a", "a and b or c", "( a or b ) and c", "( (", ") (", "a X=1 b", "a X=1 and b Y!=2", "a 'and' b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		expr, err := Parse(tokenize(text))
		if err != nil {
			var syntax *SyntaxError
			if !errors.As(err, &syntax) || syntax.Col < 1 || syntax.Col > len(text)+2 {
				t.Fatalf("Parse(%q) = %v", text, err)
			}
			return
		}
		printed := expr.Infix(func(m *Match) string {
			return " '" + strings.Join(m.Words, "' '") + "' "
		})
		if strings.Contains(text, "'") {
			return // tokenize reads no quotes inside words
		}
		again, err := Parse(tokenizeQuoted(printed))
		if err != nil || !reflect.DeepEqual(again, expr) {
			t.Fatalf("Parse(%q) = %v, %v; want what Parse(%q) gives, %v", printed, again, err, text, expr)
		}
	})
}

// tokenizeQuoted reads what FuzzParse prints: every word in single quotes,
// operators and parentheses outside.
func tokenizeQuoted(text string) (tokens []Token, end Token) {
	for i, piece := range strings.Split(text, "'") {
		if i%2 == 1 {
			tokens = append(tokens, Token{Text: piece, Line: 1, Col: 1})
			continue
		}
		more, _ := tokenize(strings.NewReplacer("(", " ( ", ")", " ) ").Replace(piece))
		tokens = append(tokens, more...)
	}
	return tokens, Token{Line: 1, Col: 1}
}
