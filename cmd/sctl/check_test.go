package main

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/session-init/session-init/session/job"
	"github.com/session-init/session-init/session/lint"
)

// Called as initctl, check-config asks the daemon, and answers in the words and
// the order of Upstart's: what nothing stands in for, from the end of a
// condition to its beginning.
func TestInitctlCheckConfig(t *testing.T) {
	w := newWorld(t,
		"splash", "start on (starting mount or (runlevel [016] and (going-down or stopped xdm or stopped other)))\n",
		"splash-stop", "start on (starting gdm or starting kdm or starting dm or starting xdm or stopped rc RUNLEVEL=[2345])\n",
		"mount", "start on startup\nstop on stopped nobody or nothing\n",
		"dm", "start on told*x or started JOB=m*\n",
		"rc", "emits told*\nstop on :sys:runlevel\n",
	)
	splash := "splash\n  start on: unknown job other\n  start on: unknown job xdm\n  start on: unknown event going-down\n"
	mount := "mount\n  stop on: unknown event nothing\n  stop on: unknown job nobody\n"
	stop := "splash-stop\n  start on: unknown job kdm\n  start on: unknown job gdm\n"
	w.play(t, []step{
		{"initctl check-config", 1, mount + splash + stop, ""},
		{"initctl check-config dm", 0, "", ""},
		{"initctl check-config mount", 1, mount, ""},
		{"initctl check-config --ignore-events nothing mount", 0, "", ""},
		{"initctl check-config -i nothing,going-down splash", 0, "", ""},
		{"initctl check-config --warn splash-stop", 1,
			"splash-stop\n  start on: unknown job xdm\n  start on: unknown job kdm\n  start on: unknown job gdm\n", ""},
		{"initctl check-config -w dm", 0, "", ""},
		{"initctl check-config nope", 1, "", "initctl: Unknown job: nope\n"},
		{"initctl check-config --json", 1, "", "initctl: invalid option: --json\nTry `initctl --help' for more information.\n"},
		{"initctl check-config a b", 1, "", "initctl: unexpected argument: b\nTry `initctl --help' for more information.\n"},
	})
}

// On a terminal the line stands below the problem, with a caret, and numbers
// at the end.
func TestCheckOnTerminal(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a.conf")
	if err := os.WriteFile(file, []byte("\trespwan\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	master, slave := terminal(t)
	var stderr bytes.Buffer
	if status := run([]string{"sctl", "check-config", "--confdir", dir}, nil, slave, &stderr); status != 1 || stderr.Len() > 0 {
		t.Errorf("check-config = %d, stderr %q; want 1 and nothing", status, stderr.String())
	}
	want := []string{
		file + ":1:2: unknown stanza 'respwan' (did you mean 'respawn'?)",
		"     respwan", "     ^", "1 error and no warnings in 1 job",
	}
	lines := bufio.NewReader(master)
	for _, want := range want {
		if got, err := lines.ReadString('\n'); strings.TrimRight(got, "\r\n") != want {
			t.Fatalf("the terminal shows %q, %v; want %q", got, err, want)
		}
	}
}

func TestExcerpt(t *testing.T) {
	long := strings.Repeat("x", 300)
	for _, test := range []struct {
		text      string
		line, col int
		want      string
	}{
		{"a\nbc d\n", 2, 4, "    bc d\n       ^\n"},
		{"a", 1, 1, "    a\n    ^\n"},
		{"a", 1, 9, "    a\n     ^\n"},
		{"a\n", 3, 1, ""},
		{"\ufeffab\n", 1, 2, "    ab\n     ^\n"},
		{"\ta\x1b[1mb\xff é\n", 1, 9, "     a\ufffd[1mb\ufffd é\n            ^\n"},
		{"a\r\n", 1, 1, "    a\n    ^\n"},
		{long, 1, 1, "    " + long[:maxExcerpt-1] + "…\n    ^\n"},
		{long, 1, 301, "    …" + long[:maxExcerpt*2/3-1] + "\n    " + strings.Repeat(" ", maxExcerpt*2/3) + "^\n"},
	} {
		if got := excerpt([]byte(test.text), job.Problem{Line: test.line, Col: test.col}); got != test.want {
			t.Errorf("excerpt(%.20q, %d:%d) = %q; want %q", test.text, test.line, test.col, got, test.want)
		}
	}
}

// A file that is no text, and a path, must not write to the terminal what they
// like.
func TestCheckShowsNoControls(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a\x1b[2J")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	text := "description \"a\nstart on started \x1b[1m\x9b and x\ninstance ${\x1b\nexec \x1b\x01/x\nchdir /\x1b\nsetuid \x07\n"
	for i, text := range []string{text, strings.TrimPrefix(text, "description \"a\n")} {
		if err := os.WriteFile(filepath.Join(dir, string(rune('a'+i))+".conf"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got := runWith(nil, "sctl", "check-config", "--source", "--confdir", dir)
	if got.status != 1 || strings.ContainsAny(got.out, "\x1b\x07\x01\u009b") || got.err != "" {
		t.Errorf("check-config = %+v; want status 1 and nothing but text", got)
	}
	for _, rule := range []string{"unterminated", "there is no job", "no instance can be made", "there is no directory", "unknown user"} {
		if !strings.Contains(got.out, rule) {
			t.Errorf("check-config tells %q; want %q in it", got.out, rule)
		}
	}
}

// A pipe, a directory that cannot be read and a link to nowhere hold nobody up,
// and are named.
func TestCheckOddFiles(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("/no/where", filepath.Join(dir, "link.conf")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "large.conf"), bytes.Repeat([]byte("#\n"), 5<<19), 0o644); err != nil {
		t.Fatal(err)
	}
	got := runWith(nil, "sctl", "check-config", "--confdir", dir)
	if got.status != 1 || !strings.Contains(got.out, "link.conf: symbolic link leads nowhere") ||
		!strings.Contains(got.out, "large.conf: cannot read the job file: it is larger than 4 MiB") {
		t.Errorf("check-config = %+v; want status 1, the link and the large file named", got)
	}
}

// Programs are told the rules by the manual.
func TestRulesInManual(t *testing.T) {
	text, err := os.ReadFile("../../share/man/man1/sctl.1")
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range append(lint.Rules(), ruleSyntax, ruleDoubtful, ruleFiles) {
		if !strings.Contains(string(text), "\n.Li "+string(rule)+" ,\n") && !strings.Contains(string(text), "\n.Li "+string(rule)+" ;\n") && !strings.Contains(string(text), "\n.Li "+string(rule)+"\n") {
			t.Errorf("sctl.1 says nothing of the rule %s", rule)
		}
	}
}

func TestBesides(t *testing.T) {
	for path, want := range map[string]string{"/a/x.conf": "/a/x.override", "/a/x.override": "/a/x.conf", "/a/x": "/a/x.override"} {
		if got := besides(path); got != want {
			t.Errorf("besides(%s) = %s; want %s", path, got, want)
		}
	}
}
