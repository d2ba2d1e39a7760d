package events

import "testing"

func TestGlob(t *testing.T) {
	for _, test := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true},
		{"", "a", false},
		{"a", "a", true},
		{"a", "A", false},
		{"a", "ab", false},
		{"ab", "a", false},
		{"*", "", true},
		{"*", "a/b", true},
		{"*", ".hidden", true},
		{"a*", "a", true},
		{"a*c", "abbbc", true},
		{"a*c", "abbb", false},
		{"*a*b*", "xaxxbx", true},
		{"*a*b*", "xbxxax", false},
		{"**", "a", true},
		{"*ab", "aab", true},
		{"a*ab", "aab", true},
		{"?", "", false},
		{"?", "a", true},
		{"?", "/", true},
		{"?", "ü", false}, // two bytes
		{"??", "ü", true},
		{"eth?", "eth0", true},
		{"eth[0-9]", "eth5", true},
		{"eth[0-9]", "etha", false},
		{"[abc]", "b", true},
		{"[!abc]", "b", false},
		{"[!abc]", "d", true},
		{"[^abc]", "d", true},
		{"[^abc]", "a", false},
		{"[!abc]", "/", true},
		{"[]a]", "]", true},
		{"[]a]", "a", true},
		{"[!]a]", "]", false},
		{"[a-]", "-", true},
		{"[-a]", "-", true},
		{"[a-c-e]", "-", true},
		{"[a-c-e]", "d", false},
		{"[c-a]", "b", false},
		{`[\]]`, "]", true},
		{`[\a-\c]`, "b", true},
		{"[a", "[a", true},
		{"[a", "a", false},
		{"a[", "a[", true},
		{"[", "[", true},
		{"[!", "[!", true},
		{"[[:digit:]]", "5", true},
		{"[[:digit:]]", "a", false},
		{"[[:alpha:][:digit:]_]", "_", true},
		{"[![:space:]]", "a", true},
		{"[[:nothing:]]", "n", false},
		{"[[:]", ":", true},
		{"[[:]", "[", true},
		{"[[:a]", "a", true},
		{`\*`, "*", true},
		{`\*`, "a", false},
		{`\\`, `\`, true},
		{`a\`, "a", false},
		{`a\`, `a\`, false},
		{"[a", "xa", false},
		{"[!a]", "!", true},
		{"[^a]", "^", true},
		{"[ab:]", "a", true},
		{"[ab:]", ":", true},
		{"[[::]]", ":]", false},
		{"[ac]", "b", false},
		{"[a-c]", "b", true},
		{"[a-", "[a-", true},
		{`[\`, "[a", false},
		{`[\]`, `\`, false},
		{`[\]`, "[]", true},
		{"{a,b}", "a", false},
		{"{a,b}", "{a,b}", true},
		{"\xff*", "\xffa", true},
	} {
		if got := Glob(test.pattern, test.s); got != test.want {
			t.Errorf("Glob(%q, %q) = %t; want %t", test.pattern, test.s, got, test.want)
		}
	}
}

func TestGlobClasses(t *testing.T) {
	members := map[string]string{
		"alpha": "azAZ", "digit": "09", "alnum": "aZ5", "lower": "az", "upper": "AZ", "space": " \t\n\v\f\r",
		"blank": " \t", "cntrl": "\x00\x1f\x7f", "graph": "!~a0", "print": " ~a", "punct": "!/:@[`{~", "xdigit": "09afAF",
	}
	others := map[string]string{
		"alpha": "0[`@{", "digit": "/:a", "alnum": "_/:@[`{", "lower": "A`{", "upper": "a@[", "space": "a\b\x0e",
		"blank": "\n", "cntrl": " a", "graph": " \x7f", "print": "\x1f\x7f", "punct": "a0A \x7f", "xdigit": "gG/:@`",
	}
	for class, in := range members {
		pattern := "[[:" + class + ":]]"
		for i := range len(in) {
			if !Glob(pattern, in[i:i+1]) {
				t.Errorf("Glob(%s, %q) = false; want true", pattern, in[i])
			}
		}
		for i := range len(others[class]) {
			if c := others[class][i : i+1]; Glob(pattern, c) {
				t.Errorf("Glob(%s, %q) = true; want false", pattern, c)
			}
		}
	}
}

func TestIsLiteral(t *testing.T) {
	for pattern, want := range map[string]bool{"": true, "abc": true, "a*": false, "a?": false, "[a]": false, `\a`: false, "a]": true} {
		if got := IsLiteral(pattern); got != want {
			t.Errorf("IsLiteral(%q) = %t; want %t", pattern, got, want)
		}
	}
}
