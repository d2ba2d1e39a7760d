package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/session-init/session-init/session/testkit"
)

func TestRewrite(t *testing.T) {
	around := func(open, end string) func(string) string {
		return func(inner string) string { return open + inner + end }
	}
	add := func(text string) func(string) string { return func(string) string { return text } }
	for _, test := range []struct {
		edits []edit
		want  string
	}{
		{nil, "abcdef"},
		{[]edit{{1, 3, around("(", ")")}}, "a(bc)def"},
		{[]edit{{3, 5, around("[", "]")}, {1, 3, around("(", ")")}}, "a(bc)[de]f"},
		{[]edit{{0, 6, around("(", ")")}, {2, 3, around("[", "]")}}, "(ab[c]def)"},
		{[]edit{{1, 3, around("(", ")")}, {1, 3, around("[", "]")}}, "a([bc])def"},
		{[]edit{{1, 4, around("(", ")")}, {1, 2, around("[", "]")}}, "a([b]cd)ef"},
		{[]edit{{1, 3, around("(", ")")}, {1, 1, add("!")}, {3, 3, add("?")}}, "a!(bc)?def"},
		{[]edit{{0, 6, around("(", ")")}, {0, 0, add("!")}}, "!(abcdef)"},
		{[]edit{{1, 4, around("(", ")")}, {2, 2, add("!")}}, "a(b!cd)ef"},
		{[]edit{{1, 3, add("")}}, "adef"},
	} {
		if got := rewrite("abcdef", test.edits); got != test.want {
			t.Errorf("rewrite with %d edits = %s; want %s", len(test.edits), got, test.want)
		}
	}
}

func TestParseList(t *testing.T) {
	list, err := parseList("# comment\na.go F: x => y\n\tequal: both\n\nb.go G: 1 => 2\nb.go G: 2 => 3\n  open: nobody\n  asks\n")
	if err != nil {
		t.Fatal(err)
	}
	want := []listed{
		{"a.go F: x => y", "equal: both", 2},
		{"b.go G: 1 => 2", "open: nobody asks", 5},
		{"b.go G: 2 => 3", "open: nobody asks", 6},
	}
	if fmt.Sprint(list) != fmt.Sprint(want) {
		t.Errorf("parseList = %v; want %v", list, want)
	}
	for text, want := range map[string]string{
		"\tequal: x":              "testdata/survivors.list:1: a reason without a survivor",
		"a.go F: x => y\n\tso be": `testdata/survivors.list:2: a reason begins with "equal: " or "open: "`,
		"a.go F: x => y":          "testdata/survivors.list:1: no reason is given",
		"a b\n\topen: x\nc d":     "testdata/survivors.list:3: no reason is given",
	} {
		if _, err := parseList(text); err == nil || err.Error() != want {
			t.Errorf("parseList(%q) = %v; want %s", text, err, want)
		}
	}
}

func TestChoose(t *testing.T) {
	var all []*mutant
	for i := range 10 {
		all = append(all, &mutant{number: i, file: "a.go", what: fmt.Sprintf("F%d: x => y", i%2)})
	}
	for _, test := range []struct {
		o    options
		want string
	}{
		{options{}, "0 1 2 3 4 5 6 7 8 9"},
		{options{sample: 4}, "0 2 5 7"},
		{options{sample: 99}, "0 1 2 3 4 5 6 7 8 9"},
		{options{match: "^a.go F1:"}, "1 3 5 7 9"},
		{options{match: "F1:", sample: 2}, "1 5"},
	} {
		var got []string
		for _, m := range choose(all, test.o) {
			got = append(got, fmt.Sprint(m.number))
		}
		if text := strings.Join(got, " "); text != test.want {
			t.Errorf("choose with %+v = %s; want %s", test.o, text, test.want)
		}
	}
}

// TestDemo judges a small package, whose survivors stand in testdata/demo.txt.
// Its list is wrong in two places.
func TestDemo(t *testing.T) {
	testkit.Need(t, "go")
	var out, complaint strings.Builder
	status := run([]string{"-min", "99", "./testdata/demo"}, &out, &complaint)
	if status != 1 || complaint.Len() > 0 {
		t.Errorf("run = %d, %s; want 1", status, complaint.String())
	}
	want, err := os.ReadFile("testdata/demo.txt")
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want) {
		t.Errorf("run prints\n%s\nwant\n%s", out.String(), want)
	}
}

func TestRunRefuses(t *testing.T) {
	testkit.Need(t, "go")
	for _, test := range []struct{ args, want string }{
		{"", "mutate: which package?\n"},
		{"-match ( .", "mutate: -match: error parsing regexp"},
		{"-bogus", "flag provided but not defined: -bogus\n"},
		{"./testdata/nowhere", "mutate: ./testdata/nowhere: go list: exit status 1\n"},
	} {
		var out, complaint strings.Builder
		status := run(strings.Fields(test.args), &out, &complaint)
		if status != 2 || !strings.HasPrefix(complaint.String(), test.want) || out.Len() > 0 {
			t.Errorf("run(%s) = %d, %q, %q; want 2 and %q", test.args, status, out.String(), complaint.String(), test.want)
		}
	}
}
