package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/job"
	"github.com/session-init/session-init/session/testkit"
)

// completed gives the words that are offered, without what is said of them.
func completed(r result) string {
	var words []string
	for line := range strings.Lines(r.out) {
		word, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func TestComplete(t *testing.T) {
	w := newWorld(t,
		"apache", "description \"a web server\"\nexec x",
		"getty", "instance $TTY\nusage \"getty TTY=tty1 [SPEED=9600]\"\nenv TERM=linux\nexport TTY\nstart on tty-added CLASS=serial TTY=tty*\nexec x",
		"dbus/session", "emits bus-ready\nstart on (startup or started apache)\nstop on session-end\nexec x")
	w.play(t, []step{{"sctl -q start getty TTY=tty1", 0, "", ""}, {"sctl -q start getty TTY=tty2", 0, "", ""},
		{"sctl set-env LANG=C", 0, "", ""}})
	here := "--address=" + w.server.Address()
	for _, test := range []struct {
		words []string
		want  string
	}{
		{nil, ""},
		{[]string{"sctl"}, ""},
		{[]string{"sctl", "sta"}, "start status"},
		{[]string{"sctl", "start", ""}, "apache dbus/session getty"},
		{[]string{"start", "a"}, "apache"},
		{[]string{"/usr/bin/status", "g"}, "getty"},
		{[]string{"sctl", "-q", "--timeout", "3", "stop", "ge"}, "getty"},
		{[]string{"sctl", "start", "--timeout", ""}, ""},
		{[]string{"sctl", "start", "getty", ""}, "SPEED= TERM= TTY="},
		{[]string{"sctl", "start", "getty", "TTY=tty1", "T"}, "TERM= TTY="},
		{[]string{"sctl", "stop", "getty", "TTY="}, "TTY=tty1 TTY=tty2"},
		{[]string{"sctl", "stop", "getty", "SPEED="}, ""},
		{[]string{"sctl", "start", "nonesuch", ""}, ""},
		{[]string{"sctl", "emit", ""}, "bus-ready session-end startup tty-added"},
		{[]string{"emit", "tty-added", ""}, "CLASS= TTY="},
		{[]string{"emit", "tty-added", "CLASS="}, "CLASS=serial"},
		{[]string{"sctl", "simulate", "st"}, "start stop"},
		{[]string{"sctl", "simulate", "emit", ""}, "bus-ready session-end startup tty-added"},
		{[]string{"sctl", "simulate", "emit", "start", "edit", ""}, ":files"},
		{[]string{"sctl", "simulate", "edit", "x.conf", "start", "a"}, "apache"},
		{[]string{"sctl", "simulate", "edit", "x.conf", "e"}, "edit emit"},
		{[]string{"sctl", "simulate", "emit", "go", "stop", "getty", "T"}, "TERM= TTY="},
		{[]string{"sctl", "why", "b"}, "bus-ready"},
		{[]string{"sctl", "why", "getty", "t"}, "tty1 tty2"},
		{[]string{"sctl", "why", "getty", "T"}, "TERM= TTY="},
		{[]string{"sctl", "get-env", "L"}, "LANG"},
		{[]string{"sctl", "set-env", "LA"}, "LANG="},
		{[]string{"sctl", "log-priority", "de"}, "debug"},
		{[]string{"sctl", "check-config", ""}, ":files apache dbus/session getty"},
		{[]string{"sctl", "check-config", "--confdir", ""}, ":directories"},
		{[]string{"sctl", "check-config", "--confdir=/e"}, ":directories"},
		{[]string{"sctl", "stop", "--"}, "--user --system --session --json --address= --force --timeout= --no-wait --quiet --help --version"},
		{[]string{"sctl", "list", "--no"}, ""},
		{[]string{"initctl", "notes"}, ""},
		{[]string{"initctl", "--ver"}, "--verbose --version"},
		{[]string{"sctl", "start", "--", "a"}, "apache"},
		{[]string{"sctl", "help", "kill", ""}, "signal timeout mode"},
		{[]string{"sctl", "help", "resp"}, "respawn"},
		{[]string{"sctl", "nonesuch", ""}, ""},
		{[]string{"sctl", "completion", ""}, "bash zsh fish"},
		{[]string{"sctl", here, "status", "ap"}, "apache"},
	} {
		got := w.sctl(nil, append([]string{"sctl", "__complete"}, test.words...)...)
		words, want := strings.Fields(completed(got)), strings.Fields(test.want)
		if !sameWords(words, want) || got.status != 0 || got.err != "" {
			t.Errorf("__complete %q = %+v; want %s", test.words, got, test.want)
		}
	}
	got := w.sctl(nil, "sctl", "__complete", "sctl", "start", "ap")
	if want := (result{0, "apache\ta web server\n", ""}); got != want {
		t.Errorf("__complete sctl start ap = %+v; want %+v", got, want)
	}
	// Without a daemon, what needs none, and not a word of that.
	dead := []string{"UPSTART_SESSION=unix:path=/nonexistent/s"}
	if got, want := runWith(dead, "sctl", "__complete", "sctl", "start", ""), (result{}); got != want {
		t.Errorf("__complete sctl start without a daemon = %+v; want %+v", got, want)
	}
	if got := completed(runWith(dead, "sctl", "__complete", "sctl", "rel")); got != "reload reload-configuration" {
		t.Errorf("__complete sctl rel without a daemon = %s; want reload reload-configuration", got)
	}
}

// sameWords compares without regard to order where that is the table's.
func sameWords(a, b []string) bool {
	count := make(map[string]int)
	for _, word := range a {
		count[word]++
	}
	for _, word := range b {
		count[word]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}

// Each kind of argument in the tables is one that completion knows.
func TestArgumentKinds(t *testing.T) {
	known := "VERB STANZA JOB EVENT INSTANCE KEY=VALUE VARIABLE STATE PRIORITY SIGNAL FILE DIR NAME ARGUMENT CMD ADDRESS SECONDS LIST N COUNT TIME ID LEVEL"
	for _, v := range verbTable() {
		for i := range 4 {
			for _, kind := range argumentKinds(v.args, i) {
				if kind != strings.ToLower(kind) && !contains(strings.Fields(known), kind) {
					t.Errorf("argument %d of %s can be %q, which completion does not know", i, v.name, kind)
				}
			}
		}
	}
	for _, test := range []struct {
		args   string
		number int
		want   string
	}{
		{"JOB [KEY=VALUE...]", 0, "JOB"}, {"JOB [KEY=VALUE...]", 5, "KEY=VALUE"}, {"[JOB]", 0, "JOB"}, {"[JOB]", 1, ""},
		{"[FILE|JOB|DIR...]", 3, "FILE JOB DIR"}, {"VARIABLE[=VALUE]...", 2, "VARIABLE"}, {"", 0, ""}, {"NAME -- CMD [ARGUMENT...]", 1, "CMD"},
	} {
		if got := strings.Join(argumentKinds(test.args, test.number), " "); got != test.want {
			t.Errorf("argumentKinds(%s, %d) = %q; want %q", test.args, test.number, got, test.want)
		}
	}
}

func TestVariablesOf(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"exec x", ""},
		{"instance $A-${B}x$", "A B"},
		{"instance ${A:-none}\nenv A=1\nenv C", "A C"},
		{"usage \"x KEY=v, [OTHER=w] (a=b) 1=2 =3\"", "KEY OTHER a"},
	} {
		class, problems := job.Parse("j", "j.conf", []byte(test.text))
		if class == nil {
			t.Fatal(problems)
		}
		if got := strings.Join(variablesOf(class), " "); got != test.want {
			t.Errorf("variablesOf(%q) = %s; want %s", test.text, got, test.want)
		}
	}
}

// The files that are installed are what the verb prints; see make completions.
func TestCompletionScripts(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		want := readText(t, "../../share/completions/sctl."+shell)
		if got := runWith(nil, "sctl", "completion", shell); got != (result{0, want, ""}) {
			t.Errorf("completion %s is not share/completions/sctl.%s", shell, shell)
		}
	}
	for _, test := range []struct{ line, want string }{
		{"sctl completion", "completion: missing name of a shell\n"},
		{"sctl completion csh", "completion: there is no completion for 'csh', only for bash, zsh and fish\n"},
	} {
		want := test.want + "usage: sctl completion [OPTION...] bash|zsh|fish\n"
		if got := runWith(nil, strings.Fields(test.line)...); got != (result{2, "", want}) {
			t.Errorf("%s = %+v; want %s", test.line, got, want)
		}
	}
}

// programs makes a directory with sctl and its links, which are this test.
func programs(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{"sctl", "start"} {
		if err := os.Symlink(self, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// shell runs a script of a shell, with sctl in its PATH and a world.
func (w *world) shell(t *testing.T, path, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), api.SessionVariable+"="+w.server.Address())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", path, err, out)
	}
	return string(out)
}

// A real bash completes: the words are what it makes of a line, which it
// divides at "=" and ":".
func TestBash(t *testing.T) {
	bash := testkit.Need(t, "bash")
	w := newWorld(t, "apache", "exec x", "a b", "exec x", "getty", "instance $TTY\nexec x", ":odd:one", "exec x",
		"on", "start on :sys:go or :sys:net\nexec x")
	w.play(t, []step{{"sctl -q start getty TTY=tty1", 0, "", ""}})
	dir := programs(t)
	write(t, filepath.Join(dir, "file.conf"), "exec x\n")
	script := "set -u\n" + bashCompletion + `
COMP_LINE=$1 COMP_POINT=${#1}
shift
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_sctl
printf '<%s>' "${COMPREPLY[@]}"
`
	for _, test := range []struct {
		line  string
		words []string
		want  string
	}{
		{"sctl stat", []string{"sctl", "stat"}, "<status>"},
		{"start ", []string{"start", ""}, `<:odd:one><a\ b><apache><getty><on>`},
		{"sctl start a", []string{"sctl", "start", "a"}, `<a\ b><apache>`},
		{"sctl  start getty T", []string{"sctl", "start", "getty", "T"}, "<TTY=>"},
		{"sctl stop getty TTY=", []string{"sctl", "stop", "getty", "TTY", "="}, "<tty1>"},
		{"sctl stop getty TTY=t", []string{"sctl", "stop", "getty", "TTY", "=", "t"}, "<tty1>"},
		{"sctl emit :sys:", []string{"sctl", "emit", ":", "sys", ":"}, "<go><net>"},
		{"sctl start :odd:o", []string{"sctl", "start", ":", "odd", ":", "o"}, "<one>"},
		{"sctl check-config fi", []string{"sctl", "check-config", "fi"}, "<file.conf>"},
		{"sctl --address=", []string{"sctl", "--address", "="}, "<>"},
		{"sctl start x --ti", []string{"sctl", "start", "x", "--ti"}, "<--timeout=>"},
	} {
		got := w.shell(t, bash, dir, append([]string{"--norc", "--noprofile", "-c", script, "bash", test.line}, test.words...)...)
		if got != test.want {
			t.Errorf("bash completes %q to %s; want %s", test.line, got, test.want)
		}
	}
	if got := w.shell(t, bash, dir, "--norc", "-c", bashCompletion+"complete -p start"); got != "complete -F _sctl start\n" {
		t.Errorf("what bash calls for start = %q; want _sctl", got)
	}
}

func TestFish(t *testing.T) {
	fish := testkit.Need(t, "fish")
	w := newWorld(t, "apache", "description \"web\"\nexec x", "getty", "instance $TTY\nexec x")
	dir := programs(t)
	for _, test := range []struct{ line, want string }{
		{"sctl start a", "apache\tweb\n"}, {"start getty T", "TTY=\n"}, {"sctl statu", "status\tshow the goal, the state and the processes of a job\n"},
		// These are commands of fish itself, and completed as such.
		{"status ap", ""}, {"emit ap", ""},
	} {
		if got := w.shell(t, fish, dir, "--no-config", "-c", fishCompletion+"complete -C '"+test.line+"'"); got != test.want {
			t.Errorf("fish completes %q to %q; want %q", test.line, got, test.want)
		}
	}
}

func TestZsh(t *testing.T) {
	zsh := testkit.Need(t, "zsh")
	w := newWorld(t, "apache", "description \"web: server\"\nexec x", "getty", "instance $TTY\nexec x")
	dir := programs(t)
	// What the completion system would do with the candidates is not asked.
	script := `
compdef() { : }
compadd() { print -r -- "compadd $open" }
_describe() { print -r -- "describe $described" }
_files() { print -r -- files }
` + zshCompletion + `
words=("$@") CURRENT=$#
_sctl
`
	for _, test := range []struct {
		words []string
		want  string
	}{
		{[]string{"sctl", "start", "a"}, "describe apache:web: server\n"},
		{[]string{"start", "getty", "T"}, "compadd TTY=\n"},
		{[]string{"sctl", "check-config", "x"}, "files\n"},
	} {
		if got := w.shell(t, zsh, dir, append([]string{"-f", "-c", script, "zsh"}, test.words...)...); got != test.want {
			t.Errorf("zsh completes %q to %q; want %q", test.words, got, test.want)
		}
	}
}
