package main

import (
	"bytes"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/session-init/session-init/session/api"
)

func TestCoreNote(t *testing.T) {
	for _, test := range [][2]string{
		{"core", "it dumped core, named core, into its working directory"},
		{"core.%p\n", "it dumped core, named core.7, into its working directory"},
		{"/c/%e-%P%%", "it dumped core: /c/%e-7%"},
		{"|/usr/lib/systemd/systemd-coredump %P %u", "it dumped core: coredumpctl info 7"},
		{"| /usr/share/apport -p%p", "it dumped core, which the kernel handed to /usr/share/apport"},
		{"", "it dumped core; where, the kernel does not say"},
	} {
		if got := coreNote(test[0], 7); got != test[1] {
			t.Errorf("coreNote(%q) = %q; want %q", test[0], got, test[1])
		}
	}
}

func TestMemoryNote(t *testing.T) {
	q := &whyQuestion{whySources: whySources{
		kernelLog:   func() ([]string, bool) { return []string{"6,1,1,-;Killed process 77 (x)"}, true },
		memoryKills: func() (string, int) { return "", 0 },
	}}
	for _, test := range []struct {
		pid  int
		want string
	}{
		{77, "the kernel's log says that it was killed for lack of memory"},
		{7, "it was not the kernel for lack of memory, as far as its log goes back"},
	} {
		if got := q.memoryNote(test.pid); got != test.want {
			t.Errorf("memoryNote(%d) = %q; want %q", test.pid, got, test.want)
		}
	}
	q.kernelLog = func() ([]string, bool) { return nil, false }
	if got, want := q.memoryNote(7), "perhaps it was the kernel, for lack of memory: its log may not be read"; got != want {
		t.Errorf("memoryNote without a log = %q; want %q", got, want)
	}
	// What this machine says is not known; that it is read must not fail.
	kernelLog()
	if group, kills := memoryKills(); kills < 0 || kills == 0 && group != "" {
		t.Errorf("memoryKills() = %q, %d", group, kills)
	}
}

func TestJobOfOperand(t *testing.T) {
	for _, test := range []struct{ words, want string }{
		{"started dep", "dep"},
		{"started JOB=dep", "dep"},
		{"stopped RESULT=ok JOB=dep", "dep"},
		{"stopped dep RESULT=ok", "dep"},
		{"starting", ""},
		{"started N=1", ""},
		{"started d*p", ""},
		{"started $DEP", ""},
		{"go dep", ""},
	} {
		if got := jobOfOperand(strings.Fields(test.words)); got != test.want {
			t.Errorf("jobOfOperand(%s) = %q; want %q", test.words, got, test.want)
		}
	}
}

func TestReadWhyRefuses(t *testing.T) {
	good := map[string]any{"version": uint32(1), "now": uint64(5), "wall": uint64(9)}
	if w, err := readWhy(api.Reply{Body: []any{good}}, time.Time{}); err != nil || w.Instances == nil {
		t.Errorf("readWhy(%v) = %+v, %v; want an empty answer", good, w, err)
	}
	for _, bad := range [][]any{nil, {1}, {map[string]any{}}, {map[string]any{"version": uint32(2)}},
		{map[string]any{"version": uint32(1), "start_on": [][]string{{"/AND"}}}}} {
		if w, err := readWhy(api.Reply{Body: bad}, time.Time{}); err == nil {
			t.Errorf("readWhy(%v) = %+v; want an error", bad, w)
		}
	}
	// Whatever types the values have, nothing breaks.
	for _, odd := range []any{int32(1), "x", uint64(math.MaxUint64), []any{1, "x"}, map[string]any{"x": 1}, []string{"x"}, [][]string{{"x"}}} {
		d := map[string]any{"version": uint32(1), "now": uint64(5), "wall": uint64(9)}
		for _, key := range []string{"job", "file", "override", "changed", "operands", "main_end", "rest", "begun", "failure", "respawn",
			"respawn_limit", "left_behind", "instances", "blocking", "cycles", "stop_on", "lingers", "until_logout", "logins", "lingering"} {
			d[key] = odd
		}
		w, err := readWhy(api.Reply{Body: []any{d}}, time.Time{})
		if err != nil {
			continue
		}
		w.places = map[string]string{}
		s := &screen{}
		if s.job(w); len(s.lines) == 0 {
			t.Errorf("an answer of %v shows nothing", odd)
		}
	}
}

func TestHang(t *testing.T) {
	s := &screen{}
	s.say("label", strings.Repeat("four ", 20)+strings.Repeat("x", 90)+" end")
	for i, want := range []int{12 + 13*5 + 2, 0} {
		if got := len(s.lines[i]); got > screenColumns {
			t.Errorf("line %d has %d columns; want %d, or at most %d", i, got, want, screenColumns)
		}
	}
	if got := s.lines[2]; got != strings.Repeat(" ", labelColumns)+strings.Repeat("x", 90) {
		t.Errorf("a long word stands in %q; want a line of its own", got)
	}
	if got := s.lines[3]; got != strings.Repeat(" ", labelColumns)+"end" {
		t.Errorf("the last line is %q; want the end", got)
	}
}

// What a command is for stands behind it, or below where an address takes the room.
func TestNext(t *testing.T) {
	long := "sctl --address " + strings.Repeat("x", 30) + " why panel"
	for _, test := range []struct{ command, purpose, want string }{
		{"sctl why panel", "tells of that job", "next        sctl why panel  tells of that job"},
		{"sctl why panel", strings.Repeat("four ", 11), "next        sctl why panel  four four four four four four four four four four" +
			"\n                            four"},
		{long, "tells", "next        " + long + "  tells"},
		{long, "tells of that job", "next        " + long + "\n              tells of that job"},
	} {
		s := &screen{}
		s.next([]whyNext{{test.command, test.purpose}})
		if got := strings.Join(s.lines, "\n"); got != test.want {
			t.Errorf("next(%s, %s) shows\n%s\nwant\n%s", test.command, test.purpose, got, test.want)
		}
	}
}

func TestMarks(t *testing.T) {
	for _, test := range []struct{ environ, want string }{
		{"", "+"}, {"LANG=de_DE.UTF-8", "✓"}, {"LC_ALL=C LANG=de_DE.UTF-8", "+"}, {"LC_CTYPE=C.utf8", "✓"}, {"LC_ALL= LANG=x.utf-8", "✓"},
	} {
		c := &command{environ: strings.Fields(test.environ)}
		if got := c.marks().came; got != test.want {
			t.Errorf("with %s the mark is %s; want %s", test.environ, got, test.want)
		}
	}
}

// Wrong usage, a job that cannot be asked about, and a process that asks of
// itself.
func TestWhyVerb(t *testing.T) {
	w := newWorld(t, "svc", "exec x", "getty", "instance $TTY\nexec x")
	w.play(t, []step{
		{"sctl why", 2, "", "why: missing job name\nusage: sctl why [OPTION...] JOB|EVENT [INSTANCE|KEY=VALUE...]\n"},
		{"sctl why svc a b", 2, "", "why: 'a' is not KEY=VALUE\nusage: sctl why [OPTION...] JOB|EVENT [INSTANCE|KEY=VALUE...]\n"},
		{"XDG_CONFIG_HOME=/nonexistent $ sctl why nope", 1, "", "why: cannot tell about 'nope': Unknown job\n"},
		{"sctl -q start getty TTY=1", 0, "", ""},
		{"sctl why getty 2", 1, "", "why: cannot tell about 'getty (2)': Not running\n"},
		{"sctl why -q svc", 0, "", ""},
	})
	got := w.sctl([]string{"UPSTART_JOB=getty", "UPSTART_INSTANCE=1"}, "sctl", "why")
	if got.status != 0 || !strings.HasPrefix(got.out, "getty (1) is running since ") {
		t.Errorf("why in a process of getty (1) = %+v; want its own instance", got)
	}
	var out, errs bytes.Buffer
	if status := run([]string{"sctl", "why", "x"}, []string{api.SessionVariable + "=unix:path=/nonexistent/s"}, &out, &errs); status != exitNoDaemon {
		t.Errorf("why without session-init = %d, %s; want %d", status, errs.String(), exitNoDaemon)
	}
}

// TestWhyOnTerminal holds the first line to bold, and the signs to green and red.
func TestWhyOnTerminal(t *testing.T) {
	w := newWorld(t, "svc", "emits up\nstart on up and down\nexec x")
	w.play(t, []step{{"sctl emit -n up", 0, "", ""}})
	master, slave := terminal(t)
	var errs bytes.Buffer
	status := runPatiently([]string{"sctl", "why", "svc"}, []string{api.SessionVariable + "=" + w.server.Address(), "LANG=C.UTF-8", "TERM=xterm"}, slave, &errs)
	got := strings.Join(shownOn(t, master, slave), "\n")
	for _, want := range []string{"\x1b[1msvc is not running: it was not started yet\x1b[0m", "\n    \x1b[32m✓\x1b[0m up: ", "\n    \x1b[31m✗\x1b[0m down: "} {
		if status != 0 || !strings.Contains(got, want) {
			t.Errorf("why on a terminal = %d, %q; want %q in it", status, got, want)
		}
	}
}

// TestFiveTasks holds the table of tasks in HACKING.md to the verbs that exist,
// and to no more commands than systemctl takes, where that can do it at all.
func TestFiveTasks(t *testing.T) {
	text, err := os.ReadFile("../../HACKING.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "## Five tasks\n")
	section, _, _ = strings.Cut(section, "\n## ")
	tasks := 0
	for line := range strings.Lines(section) {
		cells := strings.Split(line, "|")
		if len(cells) != 5 || !strings.Contains(cells[2], "`sctl ") {
			continue
		}
		tasks++
		ours, theirs := strings.Count(cells[2], "`sctl "), strings.Count(cells[3], "`systemctl ")+strings.Count(cells[3], "`journalctl ")
		if theirs > 0 && ours > theirs {
			t.Errorf("%s: %d commands of ours, %d of systemctl", cells[1], ours, theirs)
		}
		for _, part := range strings.Split(cells[2], "`sctl ")[1:] {
			if verb := strings.Fields(strings.ReplaceAll(part, "`", " "))[0]; findVerb(verb) == nil {
				t.Errorf("%s: there is no verb %s", cells[1], verb)
			}
		}
	}
	if !found || tasks != 5 {
		t.Errorf("HACKING.md has %d tasks; want 5", tasks)
	}
}
