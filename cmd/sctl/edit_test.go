package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/session-init/session-init/session/job"
)

// home is a user without a daemon.
type home struct {
	t   *testing.T
	dir string
	env []string
}

func newHome(t *testing.T) *home {
	dir := t.TempDir()
	t.Setenv("TMPDIR", t.TempDir())
	return &home{t, dir, []string{"HOME=" + dir, "XDG_CONFIG_DIRS=" + dir + "/etc", "XDG_DATA_DIRS=" + dir + "/share", "PATH=/usr/bin:/bin",
		"UPSTART_SESSION=unix:path=/nonexistent/s"}}
}

func (h *home) path(name string) string { return filepath.Join(h.dir, name) }

func (h *home) put(name, text string) {
	h.t.Helper()
	if err := os.MkdirAll(filepath.Dir(h.path(name)), 0o700); err != nil {
		h.t.Fatal(err)
	}
	write(h.t, h.path(name), text)
}

// text is that of a file, or "(none)".
func (h *home) text(name string) string {
	text, err := os.ReadFile(h.path(name))
	if err != nil {
		return "(none)"
	}
	return string(text)
}

func (h *home) expect(line string, want result) {
	h.t.Helper()
	h.expectWith(nil, strings.Fields(line), want)
}

func (h *home) expectWith(environ, args []string, want result) {
	h.t.Helper()
	got := runWith(append(environ, h.env...), args...)
	if begin, cut := strings.CutSuffix(want.err, "*"); cut && strings.HasPrefix(got.err, begin) {
		want.err = got.err
	}
	if got != want {
		h.t.Errorf("%q = %+v\nwant %+v", args, got, want)
	}
}

func (h *home) holds(name, want string) {
	h.t.Helper()
	if got := h.text(name); got != want {
		h.t.Errorf("%s = %q; want %q", name, got, want)
	}
}

func TestEnable(t *testing.T) {
	h := newHome(t)
	const own = ".config/session-init/"
	h.put("etc/session-init/net/dhcp.conf", "start on startup\nexec sleep 1\n")
	override := h.path(own + "net/dhcp.override")
	off := result{0, "net/dhcp does not start by itself any more: " + override + " says 'manual'\n", ""}
	h.expect("sctl disable net/dhcp", off)
	h.holds(own+"net/dhcp.override", "manual\n")
	h.expect("sctl disable net/dhcp", result{0, "net/dhcp does not start by itself\n", ""})
	h.expect("sctl enable net/dhcp", result{0, "net/dhcp starts by itself again when session-init starts next: removed " + override + "\n", ""})
	h.holds(own+"net/dhcp.override", "(none)")
	h.expect("sctl enable net/dhcp", result{0, "net/dhcp starts by itself when session-init starts next\n", ""})

	// What else the override says stays, also a script that has the word.
	keep := "nice 3\npre-start script\n manual\nend script"
	h.put(own+"net/dhcp.override", keep)
	h.expect("sctl disable net/dhcp", off)
	h.holds(own+"net/dhcp.override", keep+"\nmanual\n")
	h.expect("sctl enable net/dhcp", result{0, "net/dhcp starts by itself again when session-init starts next: " + override + " does not say 'manual' any more\n", ""})
	h.holds(own+"net/dhcp.override", keep+"\n")

	// An override of the machine is not touched, but stood in for.
	h.put("etc/session-init/a.conf", "start on startup\nexec sleep 1\n")
	h.put("etc/session-init/a.override", "nice 1\nmanual\n")
	override = h.path(own + "a.override")
	h.expect("sctl enable a", result{0, "a starts by itself when session-init starts next: " + override + " counts now, in the place of " + h.path("etc/session-init/a.override") + ", which says 'manual'\n", ""})
	h.holds(own+"a.override", "# In the place of "+h.path("etc/session-init/a.override")+", without its 'manual'.\nnice 1\n")
	h.expect("sctl disable a", result{0, "a does not start by itself any more: " + override + " says 'manual'\n", ""})
	h.holds("etc/session-init/a.override", "nice 1\nmanual\n")

	h.put("etc/session-init/b.conf", "exec sleep 1\n")
	h.expect("sctl disable b", result{0, "b does not start by itself\n", ""})
	h.expect("sctl enable b", result{1, "", "enable: cannot enable 'b': " + h.path("etc/session-init/b.conf") + " has no 'start on' in force; sctl edit b gives it one\n"})
	h.expect("sctl enable nope", result{1, "", "enable: cannot enable 'nope': Unknown job\n"})

	// Several at a time; nothing is written when one of them cannot be found.
	h.put("etc/session-init/c.conf", "start on session-start\nexec sleep 1\n")
	h.put("etc/session-init/c.override", "manual\n")
	h.expect("sctl enable c nope", result{1, "", "enable: cannot enable 'nope': Unknown job\n"})
	h.holds(own+"c.override", "(none)")
	h.expect("sctl -q enable a c", result{0, "", ""})
	h.holds(own+"c.override", "# In the place of "+h.path("etc/session-init/c.override")+", without its 'manual'.\n")
	h.expect("sctl enable c", result{0, "c starts by itself when a login session begins next\n", ""})
	h.expect("sctl -q disable c a", result{0, "", ""})
	h.holds(own+"a.override", "# In the place of "+h.path("etc/session-init/a.override")+", without its 'manual'.\nnice 1\nmanual\n")
	h.expect("sctl enable", result{2, "", "enable: missing job name\nusage: sctl enable [OPTION...] JOB...\n"})
}

// With a daemon its word counts: where the job is, and whether it has seen it.
func TestDisableLive(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "foo.conf")
	write(t, path, "start on go\nexec x\n")
	w := newWorld(t)
	w.set(t, path, "")
	w.play(t, []step{{"HOME=/nonexistent $ sctl disable foo", 0, "foo does not start by itself any more: " + filepath.Join(dir, "foo.override") +
		" says 'manual'; the session-init that runs does not look there\n", ""}})
	if got := readText(t, filepath.Join(dir, "foo.override")); got != "manual\n" {
		t.Errorf("foo.override = %q; want manual", got)
	}
}

func TestNew(t *testing.T) {
	h := newHome(t)
	const own = ".config/session-init/"
	shownAs := func(name, text string) result {
		return result{0, "# " + h.path(own+name+".conf") + "\n" + text, ""}
	}
	for _, test := range []struct {
		name  string
		words []string
		want  string
	}{
		{"plain", []string{"/usr/bin/agent", "--fore=ground", "-x"}, "exec /usr/bin/agent '--fore=ground' -x\n"},
		{"dir/odd", []string{"sh", "-c", "echo 'a' \"b\" $HOME # c", ""}, `exec sh -c 'echo '"'"'a'"'"' "b" $HOME # c' ''` + "\n"},
		{"long", []string{"printf", "a\nb\\n", "*"}, "script\n    exec printf 'a\n    b\\n' '*'\nend script\n"},
	} {
		args := append([]string{"sctl", "new", test.name, "--"}, test.words...)
		if test.name == "long" {
			// A line end in a word would move with the indentation.
			got := runWith(h.env, args...)
			if got.status == 0 {
				class, _ := job.Parse("long", "long.conf", []byte(h.text(own+"long.conf")))
				if class == nil || !strings.Contains(class.Processes[job.Main].Text, "'a\nb\\n'") {
					t.Errorf("new long wrote %q", h.text(own+"long.conf"))
				}
			}
			continue
		}
		h.expectWith(nil, args, shownAs(test.name, test.want))
		h.holds(own+test.name+".conf", test.want)
	}
	h.expect("sctl new plain -- x", result{1, "", "new: cannot make the job 'plain': it is there already: " + h.path(own+"plain.conf") + "; sctl edit plain changes it\n"})
	for _, name := range []string{"", "../x", "/x", ".hidden", "a//b"} {
		got := runWith(h.env, "sctl", "new", name, "--", "x")
		if got.status != 1 || !strings.Contains(got.err, "cannot be the name of a job") {
			t.Errorf("new %q = %+v; want a refusal", name, got)
		}
	}
	usage := "usage: sctl new [OPTION...] NAME -- CMD [ARGUMENT...]\n"
	h.expect("sctl new", result{2, "", "new: missing job name\n" + usage})
	h.expect("sctl new x", result{2, "", "new: missing command\n" + usage})
}

// What the shell makes of a line are the words that it was made of.
func TestShellLine(t *testing.T) {
	for _, words := range [][]string{
		{"a"}, {"", "'", "''", "a'b"}, {"$x", "`y`", `\`, `"`, "a b", "*", "~", "#", "a#", "=", ";"}, {"é", "\t"},
	} {
		text, err := commandFile("j", "j.conf", "", append([]string{"printf", "<%s>"}, words...))
		if err != nil {
			t.Errorf("commandFile(%q): %v", words, err)
			continue
		}
		class, _ := job.Parse("j", "j.conf", []byte(text))
		out, err := exec.Command("/bin/sh", "-c", class.Processes[job.Main].Text).Output()
		if want := "<" + strings.Join(words, "><") + ">"; string(out) != want || err != nil {
			t.Errorf("the shell makes %q of %q, %v; want %q", out, text, err, want)
		}
	}
}

func TestEdit(t *testing.T) {
	h := newHome(t)
	const own = ".config/session-init/"
	base := "start on startup\nexec sleep 1\n"
	h.put("etc/session-init/svc.conf", base)
	editor := func(script string) []string {
		h.put("editor", "#!/bin/sh\n"+script)
		if err := os.Chmod(h.path("editor"), 0o700); err != nil {
			t.Fatal(err)
		}
		return []string{"EDITOR=sh " + h.path("editor")}
	}
	edit := func(script, options string, want result) {
		t.Helper()
		h.expectWith(editor(script), strings.Fields("sctl edit "+options), want)
	}
	override := h.path(own + "svc.override")

	edit(`grep -q '^#     exec sleep 1$' "$1" && grep -q "on top of" "$1" || exit 9`, "svc", result{0, "nothing was changed\n", ""})
	h.holds(own+"svc.override", "(none)")
	edit(`echo nice 3 >"$1"`, "svc", result{0, "+nice 3\nwrote " + override + "\n", ""})
	h.holds(own+"svc.override", "nice 3\n")
	edit(`grep -q "^nice 3" "$1" && echo nice 4 >"$1"`, "svc", result{0, "-nice 3\n+nice 4\nwrote " + override + "\n", ""})
	h.holds(own+"svc.override~", "nice 3\n")
	edit("", "svc", result{0, "nothing was changed\n", ""})

	// What is wrong is told, and the text kept.
	args := []string{"sctl", "edit", "svc"}
	got := runWith(append(editor(`echo nicee 4 >"$1"`), h.env...), args...)
	_, rest, _ := strings.Cut(got.err, "kept in ")
	kept, _, _ := strings.Cut(rest, ";")
	if got.status != 1 || !strings.HasPrefix(got.err, "svc.override:1:1: unknown stanza 'nicee' (did you mean 'nice'?)\n    nicee 4\n    ^\nedit: cannot edit 'svc': the text is no job file, and kept in ") {
		t.Errorf("edit of a bad text = %+v", got)
	}
	if text := readText(t, kept); text != "nicee 4\n" {
		t.Errorf("what is kept of a bad text = %q; want it", text)
	}
	h.holds(own+"svc.override", "nice 4\n")
	edit("exit 3", "svc", result{1, "", "edit: cannot edit 'svc': the editor 'sh " + h.path("editor") + "' failed: exit status 3; the text is kept in *"})

	// Back, step by step, and to nothing.
	edit("", "--undo svc", result{0, "-nice 4\n+nice 3\nput back " + override + "\n", ""})
	h.holds(own+"svc.override", "nice 3\n")
	edit("", "--undo svc", result{0, "-nice 3\nremoved " + override + "\n", ""})
	edit("", "--undo svc", result{1, "", "edit: cannot edit 'svc': there is no edit of it: neither " + override + " nor " + override + "~\n"})

	// An override that says nothing is none; a copy; and then the user's own file.
	edit(`echo nice 3 >"$1"`, "svc", result{0, "+nice 3\nwrote " + override + "\n", ""})
	edit(`echo "# nothing" >"$1"`, "svc", result{0, "-nice 3\nremoved " + override + "\n", ""})
	h.holds(own+"svc.override", "(none)")
	conf := h.path(own + "svc.conf")
	edit(`echo respawn >>"$1"`, "--full svc", result{0, "+start on startup\n+exec sleep 1\n+respawn\nwrote " + conf + "\n", ""})
	h.holds(own+"svc.conf", base+"respawn\n")
	edit(`sed -i s/startup/login/ "$1"`, "svc", result{0, "-start on startup\n+start on login\n exec sleep 1\n respawn\nwrote " + conf + "\n", ""})
	h.holds("etc/session-init/svc.conf", base)
	edit("", "--undo svc", result{0, "-start on login\n+start on startup\n exec sleep 1\n respawn\nput back " + conf + "\n", ""})
	edit("", "--undo svc", result{1, "", "edit: cannot edit 'svc': there is no older text: " + conf + "~ is not there\n"})
	edit("", "nope", result{1, "", "edit: cannot edit 'nope': Unknown job\n"})
	edit("", "", result{2, "", "edit: missing job name\nusage: sctl edit [OPTION...] JOB\n"})
	if left, err := filepath.Glob(filepath.Dir(conf) + "/.*"); err != nil || len(left) != 0 {
		t.Errorf("left beside the job file: %q, %v", left, err)
	}
}

func TestDifference(t *testing.T) {
	for _, test := range []struct{ before, after, want string }{
		{"", "", ""}, {"a", "a", ""}, {"", "a b", "+a +b"}, {"a b", "", "-a -b"},
		{"a b c", "a c", " a -b  c"}, {"a c", "a b c", " a +b  c"}, {"a b c d", "a x y d", " a -b -c +x +y  d"},
		{"1 2 3 4 5 6 7", "1 2 3 4 5 6 8", "@  5  6 -7 +8"}, {"0 1 2 3 4 5 6 7", "9 1 2 3 4 5 6 8", "-0 +9  1  2 @  5  6 -7 +8"},
		{"a b c a b b a", "c b a b a c", "-a -b  c -a  b +a  b  a +c"},
	} {
		var got []string
		for _, change := range difference(strings.Fields(test.before), strings.Fields(test.after)) {
			got = append(got, string(change.mark)+change.line)
		}
		if text := strings.Join(got, " "); text != test.want {
			t.Errorf("difference(%s, %s) = %q; want %q", test.before, test.after, text, test.want)
		}
	}
	var big []string
	for i := range 3000 {
		big = append(big, fmt.Sprint(i))
	}
	small := append([]string{"x"}, big[1:]...)
	small[2999] = "y"
	if got := difference(big, small); len(got) != 6000 {
		t.Errorf("difference of large texts = %d lines; want all old and new ones, 6000", len(got))
	}
}

func TestSignal(t *testing.T) {
	w := newWorld(t, "svc", "exec x", "getty", "instance $TTY\nexec x", "hooked", "pre-start exec hang\nexec x")
	usage := "usage: sctl signal [OPTION...] JOB SIGNAL [KEY=VALUE...]\n"
	w.play(t, []step{
		{"sctl -q start svc", 0, "", ""}, {"sctl -q start getty TTY=tty1", 0, "", ""}, {"sctl -qn start hooked", 0, "", ""},
		{"sctl signal svc", 2, "", "signal: missing job or signal\n" + usage},
		{"sctl signal svc DANCE", 1, "", "signal: cannot signal 'svc': Unknown signal: DANCE\n"},
		{"sctl signal svc 65", 1, "", "signal: cannot signal 'svc': Unknown signal: 65\n"},
		{"sctl signal svc 0", 1, "", "signal: cannot signal 'svc': Unknown signal: 0\n"},
		{"sctl signal nope USR1", 1, "", "signal: cannot signal 'nope': Unknown job\n"},
		{"sctl signal getty USR1 TTY=tty2", 1, "", "signal: cannot signal 'getty': Not running\n"},
		{"sctl signal hooked USR1", 1, "", "signal: cannot signal 'hooked': Not running\n"},
		{"sctl signal svc usr1", 0, "", ""},
		{"sctl wait -q svc waiting", 0, "", ""},
		{"sctl status svc", 0, "svc waiting (stop)\n\tlast failure: main process killed by USR1 signal\n", ""},
		{"sctl signal getty 9 TTY=tty1", 0, "", ""},
		{"sctl wait -q getty waiting", 0, "", ""},
		{"sctl status getty", 0, "getty waiting (stop)\n\tlast failure: main process killed by KILL signal\n", ""},
	})
}
