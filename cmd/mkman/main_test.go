package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/session-init/session-init/session/job"
)

// TestPageIsFresh fails when the page is not what 'make man' would write.
func TestPageIsFresh(t *testing.T) {
	const path = "../../share/man/man5/session-init-job.5"
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := insert(string(page), reference(job.Stanzas(), job.Manual()))
	if err != nil {
		t.Fatal(err)
	}
	have, want := strings.Split(string(page), "\n"), strings.Split(fresh, "\n")
	for i, line := range want {
		if i >= len(have) || have[i] != line {
			t.Fatalf("%s is stale, run 'make man': line %d is not %q", path, i+1, line)
		}
	}
	if len(have) != len(want) {
		t.Fatalf("%s is stale, run 'make man': %d lines; want %d", path, len(have), len(want))
	}
}

func TestInsert(t *testing.T) {
	for _, test := range []struct{ page, want string }{
		{"a\n" + begins + "old\n" + ends + "b\n", "a\n" + begins + "new\n" + ends + "b\n"},
		{begins + ends, begins + "new\n" + ends},
		{"a\n", ""},
		{begins, ""},
		{ends + begins, ""},
	} {
		got, err := insert(test.page, "new\n")
		if got != test.want || (err != nil) != (test.want == "") {
			t.Errorf("insert(%q) = %q, %v; want %q", test.page, got, err, test.want)
		}
	}
}

func TestSyntax(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"", ""},
		{"TEXT", " Ar TEXT"},
		{"COUNT SECONDS|unlimited", " Ar COUNT Ar SECONDS | Cm unlimited"},
		{"KEY[=VALUE]", " Ar KEY Ns Oo Li = Ns Ar VALUE Oc"},
		{"EVENT [VALUE…] [and|or …]", " Ar EVENT Oo Ar VALUE No ... Oc Oo Cm and | Cm or No ... Oc"},
	} {
		if got := syntax(&job.Stanza{Args: test.args}); got != test.want {
			t.Errorf("syntax(%s) = %q; want %q", test.args, got, test.want)
		}
	}
	if got, want := syntax(&job.Stanza{Shape: job.Block, Args: "…"}), " No ... Ic end script"; got != want {
		t.Errorf("syntax of a block = %q; want %q", got, want)
	}
}

func TestProse(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"One. Two\nlines, see a(b).", "One.\nTwo lines, see a(b).\n"},
		{"With `task`, (`x \"y\" \\z`) and <COUNT>: ptrace(2).", "With\n.Ic task ,\n.Ql ( \"x \"\"y\"\" \\ez\" )\nand\n.Ar COUNT :\n.Xr ptrace 2 .\n"},
		{"a\\b\n\nc", "a\\eb\n.Pp\nc\n"},
		{strings.Repeat("word ", 20), strings.TrimSpace(strings.Repeat("word ", 15)) + "\n" + strings.TrimSpace(strings.Repeat("word ", 5)) + "\n"},
	} {
		w := writer{stanzas: job.Stanzas()}
		w.prose(test.text)
		if got := w.out.String(); got != test.want {
			t.Errorf("prose(%q) =\n%s\nwant\n%s", test.text, got, test.want)
		}
	}
}

func TestReference(t *testing.T) {
	stanzas := []job.Stanza{
		{Name: "a", Args: "X", Default: "1", Doc: "It is a."},
		{Name: "b", Beyond: true, Doc: "It is b."},
		{Name: "c", NotYet: true, Doc: "It will be c."},
	}
	entries := []job.Entry{
		{Section: "One", Titles: "a, nothing", Text: "So.", Example: "a \\x\n"},
		{Section: "One", Titles: "nothing"},
		{Section: "Two", Titles: "b", Example: "b\n"},
	}
	const want = `.Ss One
.Bl -tag -width Ds
.It Ic a Ar X
It is a.
So.
The default is
.Ql "1" .
.Bd -literal -offset indent
a \ex
.Ed
.El
.Ss Two
.Bl -tag -width Ds
.It Ic b
It is b.
Upstart has no
.Ic b .
.Bd -literal -offset indent
b
.Ed
.El
.Ss Not yet
These stanzas are planned, and are errors that say so.
.Bl -tag -width Ds
.It Li "c"
It will be c.
.El
`
	if got := reference(stanzas, entries); got != want {
		t.Errorf("reference =\n%s\nwant\n%s", got, want)
	}
	if got := reference(nil, nil); got != "" {
		t.Errorf("reference of nothing = %q; want nothing", got)
	}
}

func TestRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page")
	for _, test := range []struct {
		page   string
		args   []string
		status int
		err    string
	}{
		{"", []string{"mkman"}, 2, "usage: mkman PAGE\n"},
		{"", []string{"mkman", path + "x"}, 1, "mkman: open " + path + "x: no such file or directory\n"},
		{"a", []string{"mkman", path}, 1, "mkman: " + path + ": " + errNoMarks.Error() + "\n"},
		{begins + ends, []string{"mkman", path}, 0, ""},
	} {
		if err := os.WriteFile(path, []byte(test.page), 0o666); err != nil {
			t.Fatal(err)
		}
		var stderr bytes.Buffer
		if status := run(test.args, &stderr); status != test.status || stderr.String() != test.err {
			t.Errorf("run(%q) = %d, %q; want %d, %q", test.args, status, stderr.String(), test.status, test.err)
		}
	}
	page, err := os.ReadFile(path)
	if err != nil || !bytes.Contains(page, []byte("\n.It Ic respawn\n")) {
		t.Errorf("after run the page is %q, %v; want it to have the stanzas", page, err)
	}
}
