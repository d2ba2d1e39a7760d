package events

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// lookupIn gives the variables of an Env, as an instance's environment does.
func lookupIn(env Env) Lookup {
	return func(name string) (string, bool) { return env.Get(name) }
}

func TestExpand(t *testing.T) {
	env := Env{"A=1", "B_2=two", "E=", "N=A", "D=$A", "_=under", "A?x=q", "azAZ09=all"}
	for _, test := range []struct{ in, want string }{
		{"", ""},
		{"plain", "plain"},
		{"$A", "1"},
		{"x$A.y", "x1.y"},
		{"$A$B_2", "1two"},
		{"$B_2x", "error unknown parameter: B_2x"},
		{"$_", "under"},
		{"$azAZ09-", "all-"},
		{"$z $Z $0", "error unknown parameter: z"},
		{"$Z", "error unknown parameter: Z"},
		{"$0$9", "$0$9"},
		{"${$U}", "error unknown parameter: U"},
		{"$E", ""},
		{"${A}", "1"},
		{"${E}", ""},
		{"x${A}y", "x1y"},
		{"$D", "$A"}, // substituted text is not scanned again
		{"$U", "error unknown parameter: U"},
		{"${U}", "error unknown parameter: U"},
		{"$", "$"},
		{"a$", "a$"},
		{"$1", "$1"},
		{"$(A)", "$(A)"},
		{"$ A", "$ A"},
		{"$$A", "$1"},
		{`\$A`, `\1`}, // a backslash protects nothing
		{"${}", "$"},
		{"${A-w}", "1"},
		{"${U-w}", "w"},
		{"${U-}", ""},
		{"${E-w}", ""},
		{"${E:-w}", "w"},
		{"${A:-w}", "1"},
		{"${U:-w}", "w"},
		{"${A+w}", "w"},
		{"${E+w}", "w"},
		{"${U+w}", ""},
		{"${E:+w}", ""},
		{"${A:+w}", "w"},
		{"${U:+w}", ""},
		{"${U:-${V:-x}}", "x"},
		{"${U:-$A}", "1"},
		{"${U:-${A}y}z", "1yz"},
		{"${$N}", "1"},
		{"${${N}}", "1"},
		{"${U$N-w}", "w"},
		{"${A?x}", "q"},
		{"${A%x}", "error unknown parameter: A%x"},
		{"${A:=x}", "error expected operator"},
		{"${A:?x}", "error expected operator"},
		{"${A:", "error expected operator"},
		{"${A", "error mismatched braces"},
		{"${", "error mismatched braces"},
		{"${A-", "error mismatched braces"},
		{"${A-$", "error mismatched braces"},
		{"${A:-${B}", "error unknown parameter: B"},
		{"}", "}"},
		{"{A}", "{A}"},
		{"${U-{}}", "{}"},
		{"${U- a b }", " a b "},
		{"${ü}", "error unknown parameter: ü"},
	} {
		got, err := Expand(test.in, lookupIn(env))
		if err != nil {
			got = "error " + err.Error()
			if errors.Is(err, ErrUnknownParameter) != strings.Contains(got, "unknown parameter") {
				t.Errorf("Expand(%q): errors.Is(%v, ErrUnknownParameter) is wrong", test.in, err)
			}
		}
		if got != test.want {
			t.Errorf("Expand(%q) = %q; want %q", test.in, got, test.want)
		}
	}
}

func TestExpandWithoutVariables(t *testing.T) {
	if got, err := Expand("${Y:-d}", nil); got != "d" || err != nil {
		t.Errorf("Expand(${Y:-d}, nil) = %q, %v; want d", got, err)
	}
	if _, err := Expand("$Y", nil); !errors.Is(err, ErrUnknownParameter) {
		t.Errorf("Expand($Y, nil) = %v; want an unknown parameter", err)
	}
}

func TestExpandDeep(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("${U-", n) + "x" + strings.Repeat("}", n) }
	if got, err := Expand(nested(expandDepth), nil); got != "x" || err != nil {
		t.Errorf("Expand of %d references = %q, %v; want x", expandDepth, got, err)
	}
	if got, err := Expand(nested(expandDepth+1), nil); err == nil {
		t.Errorf("Expand of %d references = %q; want an error", expandDepth+1, got)
	}
	if _, err := Expand(strings.Repeat("${", 1<<20), nil); err == nil {
		t.Error("Expand of a million braces = no error")
	}
	if got, err := Expand(strings.Repeat("${U-x}", 1000), nil); got != strings.Repeat("x", 1000) || err != nil {
		t.Errorf("Expand of 1000 references in a row = %d bytes, %v; want 1000", len(got), err)
	}
}

func TestEnvFirstAndGet(t *testing.T) {
	env := Env{"A=1", "B=", "A=2", "C", "=x", "AB=3"}
	for _, test := range []struct {
		key, first, last string
		ok               bool
	}{
		{"A", "1", "2", true},
		{"B", "", "", true},
		{"C", "", "", false},
		{"", "x", "x", true},
		{"AB", "3", "3", true},
		{"A=1", "", "", false},
		{"a", "", "", false},
	} {
		if got, ok := env.First(test.key); got != test.first || ok != test.ok {
			t.Errorf("First(%q) = %q, %t; want %q, %t", test.key, got, ok, test.first, test.ok)
		}
		if got, ok := env.Get(test.key); got != test.last || ok != test.ok {
			t.Errorf("Get(%q) = %q, %t; want %q, %t", test.key, got, ok, test.last, test.ok)
		}
	}
}

func TestEnvSet(t *testing.T) {
	var env Env
	for _, entry := range []string{"A=1", "B=2", "A=3", "AB=4", "C="} {
		env = env.Set(entry)
	}
	if want := (Env{"A=3", "B=2", "AB=4", "C="}); !slices.Equal(env, want) {
		t.Errorf("Set = %q; want %q", env, want)
	}
	// An entry without "=" is no variable.
	if got, want := (Env{"A", "", "AB"}).Set("A=1").Set("A=2"), (Env{"A", "", "AB", "A=2"}); !slices.Equal(got, want) {
		t.Errorf("Set beside entries without a value = %q; want %q", got, want)
	}
	if got, want := env.Clone().Unset("A"), (Env{"B=2", "AB=4", "C="}); !slices.Equal(got, want) {
		t.Errorf("Unset(A) = %q; want %q", got, want)
	}
	if got := (Env{"A=1", "B=2", "A=3"}).Unset("A"); !slices.Equal(got, Env{"B=2"}) {
		t.Errorf("Unset of what is there twice = %q; want [B=2]", got)
	}
}

func TestEnvMerge(t *testing.T) {
	e, over := Env{"A=1", "B=2", "A=3"}, Env{"C=4", "B=5", "C=6"}
	before := e.Clone()
	got := e.Merge(over)
	if want := (Env{"A=3", "B=5", "C=6"}); !slices.Equal(got, want) {
		t.Errorf("Merge = %q; want %q", got, want)
	}
	if !slices.Equal(e, before) {
		t.Errorf("Merge changed its receiver to %q", e)
	}
}

// The two ways to merge give the same.
func TestEnvMergeLarge(t *testing.T) {
	for size := mergeByMap - 4; size < mergeByMap+4; size++ {
		var e, over, want Env
		for i := range size / 2 {
			e = append(e, fmt.Sprintf("K%d=a", i%7))
			over = append(over, fmt.Sprintf("K%d=%d", i%11, i))
		}
		for _, entry := range append(e.Clone(), over...) {
			want = want.Set(entry)
		}
		if got := e.Merge(over); !slices.Equal(got, want) {
			t.Errorf("Merge of %d entries = %q; want %q", size, got, want)
		}
	}
}

func TestSplitEntry(t *testing.T) {
	for _, test := range []struct {
		entry, key, value string
		ok                bool
	}{
		{"A=b", "A", "b", true}, {"A=b=c", "A", "b=c", true}, {"A=", "A", "", true}, {"A", "A", "", false}, {"=b", "", "b", true},
	} {
		key, value, ok := SplitEntry(test.entry)
		if key != test.key || value != test.value || ok != test.ok {
			t.Errorf("SplitEntry(%q) = %q, %q, %t; want %q, %q, %t", test.entry, key, value, ok, test.key, test.value, test.ok)
		}
	}
}
