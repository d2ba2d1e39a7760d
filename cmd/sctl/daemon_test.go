package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/session-init/session-init/session/api"
)

func TestDaemonVerbs(t *testing.T) {
	w := newWorld(t, "documented", "usage \"documented TTY=tty1\"\nexec x", "plain", "exec x")
	w.play(t, []step{
		{"sctl version", 0, "session-init TEST\n", ""},
		{"sctl --quiet version", 0, "", ""},
		{"sctl log-priority", 0, "message\n", ""},
		{"sctl log-priority debug", 0, "", ""},
		{"sctl log-priority", 0, "debug\n", ""},
		{"sctl log-priority loud", 1, "", "log-priority: cannot set the log priority: cannot set log priority \"loud\": no such priority\n"},
		{"sctl reload-configuration", 0, "", ""},
		{"sctl usage documented", 0, "Usage: documented TTY=tty1\n", ""},
		{"sctl usage plain", 0, "Usage: \n", ""},

		{"sctl list-env", 0, "PATH=/bin\n", ""},
		{"sctl set-env B=2 A=1=1 E=", 0, "", ""},
		{"sctl set-env --retain B=3 C=3", 0, "", ""},
		{"sctl list-env", 0, "A=1=1\nB=2\nC=3\nE=\nPATH=/bin\n", ""},
		{"sctl get-env A", 0, "1=1\n", ""},
		{"sctl unset-env A E nope", 0, "", ""},
		{"sctl get-env A", 1, "", "get-env: cannot get 'A': No such variable: A\n"},
		{"sctl start plain", 0, "plain running (start), process 1001\n", ""},
		{"UPSTART_JOB=plain UPSTART_INSTANCE= $ sctl set-env MINE=1", 0, "", ""},
		{"UPSTART_JOB=plain UPSTART_INSTANCE= $ sctl get-env MINE", 0, "1\n", ""},
		{"UPSTART_JOB=plain UPSTART_INSTANCE= $ sctl get-env -g MINE", 1, "", "get-env: cannot get 'MINE': No such variable: MINE\n"},
		{"UPSTART_JOB=gone UPSTART_INSTANCE= $ sctl list-env", 1, "", "list-env: cannot list the environment: Unknown job\n"},
		{"sctl reset-env", 0, "", ""},
		{"sctl list-env", 0, "PATH=/bin\n", ""},

		{"sctl end-session", 0, "", ""},
	})
	<-w.quit
}

func TestShowConfig(t *testing.T) {
	w := newWorld(t,
		"none", "exec x",
		"foo", "emits boing\nemits blip\nstart on (starting A and (B or C var=2))\n"+
			"stop on (bar HELLO=world testing=123 or stopping wibble)\nexec x")
	foo := "foo\n  emits boing\n  emits blip\n  start on (starting A and (B or C var=2))\n" +
		"  stop on (bar HELLO=world testing=123 or stopping wibble)\n"
	enumerated := "foo\n  emits boing\n  emits blip\n  start on starting (job: A, env:)\n  start on B (job:, env:)\n" +
		"  start on C (job:, env: var=2)\n  stop on bar (job:, env: HELLO=world testing=123)\n  stop on stopping (job: wibble, env:)\n"
	w.play(t, []step{
		{"sctl show-config", 0, foo + "none\n", ""},
		{"sctl show-config foo", 0, foo, ""},
		{"sctl show-config -e", 0, enumerated + "none\n", ""},
		{"initctl show-config --enumerate foo", 0, enumerated, ""},
	})
}

func TestOperandDetails(t *testing.T) {
	for _, test := range []struct{ words, want string }{
		{"A", "A (job:, env:)"},
		{"A b", "A (job:, env: b)"},
		{"starting boo", "starting (job: boo, env:)"},
		{"starting JOB=boo P=Q c=sea", "starting (job: boo, env: P=Q c=sea)"},
		{"stopped RESULT=ok JOB=boo", "stopped (job: boo, env: RESULT=ok)"},
		{"stopped RESULT=ok boo", "stopped (job:, env: RESULT=ok boo)"},
		{"started a b JOB=c", "started (job: a, env: b JOB=c)"},
		{"runlevel JOB=x", "runlevel (job:, env: JOB=x)"},
	} {
		if got := operandDetails(strings.Fields(test.words)); got != test.want {
			t.Errorf("operandDetails(%s) = %s; want %s", test.words, got, test.want)
		}
	}
}

func TestInfixRefuses(t *testing.T) {
	for _, test := range [][][]string{
		{{"/AND"}}, {{"a"}, {"/OR"}}, {{"a"}, {"b"}}, {{"a"}, {"b"}, {"/AND"}, {"/AND"}},
	} {
		if got, err := infix(test); err == nil {
			t.Errorf("infix(%q) = %q; want an error", test, got)
		}
	}
}

func TestMissingDaemon(t *testing.T) {
	dir := t.TempDir()
	sessions := api.SessionDir(dir)
	if err := os.MkdirAll(sessions, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name    string
		environ []string
		args    []string
		want    result
	}{
		{"nothing", []string{"XDG_RUNTIME_DIR=" + dir}, []string{"start", "x"}, result{3, "",
			"start: cannot start 'x': no session-init to talk to: UPSTART_SESSION is not set, " + sessions +
				" has no session of a live process, and there is no session bus: cannot connect to unix:path=" + dir +
				"/bus: no such file or directory; start one with: session-init\n"}},
		{"bus", []string{"UPSTART_SESSION=unix:path=/nonexistent/s", "DBUS_SESSION_BUS_ADDRESS=unix:path=/nonexistent/b"}, []string{"sctl", "--session", "list"}, result{3, "",
			"list: cannot list the jobs: no session-init to talk to: there is no session bus: cannot connect to unix:path=/nonexistent/b: " +
				"no such file or directory; start one with: session-init\n"}},
		{"address of the bus", nil, []string{"sctl", "--session", "--address", "unix:path=/nonexistent/b", "list"}, result{3, "",
			"list: cannot list the jobs: no session-init to talk to: there is no session bus: cannot connect to unix:path=/nonexistent/b: " +
				"no such file or directory; start one with: session-init\n"}},
		{"address to tell", nil, []string{"sctl", "notify-dbus-address"}, result{2, "",
			"notify-dbus-address: missing D-Bus address\nusage: sctl notify-dbus-address [OPTION...] [ADDRESS]\n"}},
		{"variable", []string{"UPSTART_SESSION=unix:path=/nonexistent/s", "XDG_RUNTIME_DIR=" + dir}, []string{"sctl", "list"}, result{3, "",
			"list: cannot list the jobs: no session-init to talk to: cannot connect to unix:path=/nonexistent/s: " +
				"no such file or directory (from UPSTART_SESSION); start one with: session-init\n"}},
		{"bad variable", []string{"UPSTART_SESSION=tcp:"}, []string{"sctl", "list"}, result{3, "",
			"list: cannot list the jobs: no session-init to talk to: cannot use address \"tcp:\": " +
				"unknown transport \"tcp\", only unix is known (from UPSTART_SESSION); start one with: session-init\n"}},
		{"option", nil, []string{"sctl", "--address", "unix:path=/nonexistent/s", "emit", "e"}, result{3, "",
			"emit: cannot emit 'e': no session-init to talk to: cannot connect to unix:path=/nonexistent/s: " +
				"no such file or directory; start one with: session-init\n"}},
		{"initctl", []string{"UPSTART_SESSION=unix:path=/nonexistent/s"}, []string{"initctl", "list"}, result{1, "",
			"initctl: Unable to connect to Upstart: cannot connect to unix:path=/nonexistent/s: " +
				"no such file or directory (from UPSTART_SESSION); start one with: session-init\n"}},
	} {
		if got := runWith(test.environ, test.args...); got != test.want {
			t.Errorf("%s: %q = %+v\nwant %+v", test.name, test.args, got, test.want)
		}
	}
}

func TestSessionFile(t *testing.T) {
	w := newWorld(t, "svc", "exec x")
	dir := t.TempDir()
	sessions := api.SessionDir(dir)
	if err := os.MkdirAll(sessions, 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(pid int, address string) {
		file := filepath.Join(sessions, fmt.Sprint(pid, ".session"))
		if err := os.WriteFile(file, []byte("UPSTART_SESSION="+address+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	environ := []string{"XDG_RUNTIME_DIR=" + dir}
	want := result{0, "svc waiting (stop)\n", ""}
	// A daemon whose keeper was killed has no file that counts.
	socket := filepath.Join(dir, "session-init", "socket")
	if err := errors.Join(os.Mkdir(filepath.Dir(socket), 0o700), os.Symlink(strings.TrimPrefix(w.server.Address(), "unix:path="), socket)); err != nil {
		t.Fatal(err)
	}
	if got := runWith(environ, "sctl", "list"); got != want {
		t.Errorf("list with a socket = %+v; want %+v", got, want)
	}
	// The second pid lives, but does not answer.
	write(os.Getpid(), w.server.Address())
	write(1, "unix:path="+dir+"/dead")
	if got := runWith(environ, "sctl", "list"); got != want {
		t.Errorf("list with a session file = %+v; want %+v", got, want)
	}
	wantList := result{0, fmt.Sprintf("1 unix:path=%s/dead\n%d %s\n", dir, os.Getpid(), w.server.Address()), ""}
	for _, name := range []string{"sctl", "initctl"} {
		if got := runWith(environ, name, "list-sessions"); got != wantList {
			t.Errorf("%s list-sessions = %+v; want %+v", name, got, wantList)
		}
	}
	other := newWorld(t)
	write(1, other.server.Address())
	want = result{1, "", fmt.Sprintf("list: cannot list the jobs: 2 sessions run, choose one with --address: %s %s\n",
		other.server.Address(), w.server.Address())}
	if got := runWith(environ, "sctl", "list"); got != want {
		t.Errorf("list with two sessions = %+v; want %+v", got, want)
	}
	want = result{0, "svc waiting (stop)\n", ""}
	if got := runWith(environ, "sctl", "list", "--address="+w.server.Address()); got != want {
		t.Errorf("list with --address = %+v; want %+v", got, want)
	}
}

func TestRuntimeDir(t *testing.T) {
	usual := fmt.Sprintf("/run/user/%d", os.Getuid())
	for _, test := range []struct {
		environ []string
		want    string
	}{
		{nil, usual}, {[]string{"XDG_RUNTIME_DIR="}, usual}, {[]string{"XDG_RUNTIME_DIR=/x"}, "/x"},
		{[]string{"XDG_RUNTIME_DIR2=/y"}, usual},
	} {
		c := &command{environ: test.environ}
		if got := c.runtimeDir(); got != test.want {
			t.Errorf("runtimeDir with %q = %s; want %s", test.environ, got, test.want)
		}
	}
}

// failingWriter is a full disk.
type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestOutputThatFails(t *testing.T) {
	w := newWorld(t)
	var stderr bytes.Buffer
	status := run([]string{"sctl", "version"}, []string{"UPSTART_SESSION=" + w.server.Address()}, failingWriter{}, &stderr)
	if want := "version: cannot write: no space left on device\n"; status != 1 || stderr.String() != want {
		t.Errorf("version with a full disk = %d, %q; want 1, %q", status, stderr.String(), want)
	}
}

// Every verb and option that exists is in the manual, and nothing else is.
func TestManual(t *testing.T) {
	text, err := os.ReadFile("../../share/man/man1/sctl.1")
	if err != nil {
		t.Fatal(err)
	}
	manual := string(text)
	for _, v := range verbTable() {
		if !strings.Contains(manual, "Cm "+v.name) || !v.initctlOnly && !strings.Contains(manual, "\n.It Cm "+v.name) {
			t.Errorf("sctl.1 says nothing of the verb %s", v.name)
		}
	}
	for _, o := range optionTable() {
		if found := strings.Contains(manual, "Fl -"+o.long+"\n") || strings.Contains(manual, "Fl -"+o.long+" "); o.plain && found != (o.help != "") {
			t.Errorf("sctl.1 describes --%s: %v; want %v", o.long, found, !found)
		}
	}
}
