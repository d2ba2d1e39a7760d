package main

import (
	"strings"
	"testing"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/engine"
)

// The client's side of login sessions; the daemon of this world watches no
// displays.
func TestSession(t *testing.T) {
	w := newWorld(t, "panel", "start on session-start\nexec run\n")
	w.Step(engine.SessionOpen{Leader: 77, Env: events.Env{"XDG_SEAT=seat0"}})
	in := []string{"UPSTART_SESSION_ID=1"}
	for _, test := range []struct {
		environ []string
		args    string
		status  int
		out     string
		err     string
	}{
		{nil, "session list", 0, "1 opened, process 77\n", ""},
		{nil, "session", 2, "", "session: missing begin, end, list or show\nusage: "},
		{nil, "session dance", 2, "", "session: 'dance' is not begin, end, list or show\nusage: "},
		{nil, "session list 1", 2, "", "session: unexpected argument: 1\nusage: "},
		{nil, "session show x", 2, "", "session: 'x' is no number of a login session\nusage: "},
		{nil, "session end --with A", 2, "", "session: --with is no option of session end\nusage: "},
		{nil, "session begin --with A=1", 2, "", "session: --with takes the name of a variable, not 'A=1'\nusage: "},
		{nil, "session show", 1, "", "session: cannot show the session: this is in no login session: name one; sctl session list tells which there are\n"},
		{nil, "session show 9", 1, "", "session: cannot show the session: no such login session: 9\n"},
		{in, "session show", 0, "1 opened, process 77\n\tsince 0.0s ago\n\tenv XDG_SEAT=seat0\n", ""},
		{nil, "session end 9", 1, "", "session: cannot end session 9: No such login session: 9\n"},
		{nil, "env XDG_SEAT", 1, "", "env: cannot show the environment: XDG_SEAT is not set\n"},
		{in, "env XDG_SEAT", 0, "seat0\n", ""},
		{in, "env", 0, "PATH=/bin\nXDG_SEAT=seat0\n", ""},
		{in, "env --origin", 2, "", "env: missing variable name\nusage: "},
		{in, "env --origin NONE", 1, "", "env: cannot show the environment: no layer says anything of NONE\n"},
		{in, "env --origin PATH", 0, "daemon: PATH=/bin\n", ""},
		{in, "env --origin XDG_SEAT", 0, "session 1: XDG_SEAT=seat0, 0.0s ago\n", ""},
	} {
		got := w.sctl(test.environ, append([]string{"sctl"}, strings.Fields(test.args)...)...)
		if got.status != test.status || got.out != test.out || !strings.HasPrefix(got.err, test.err) || test.err == "" && got.err != "" {
			t.Errorf("sctl %s: %+v; want %d, %q, %q", test.args, got, test.status, test.out, test.err)
		}
	}
	w.sctl(nil, "sctl", "set-env", "PATH=/sbin")
	if got := w.sctl(nil, "sctl", "env", "--origin", "PATH").out; !strings.HasPrefix(got, "table: PATH=/sbin, 0.0s ago, by process ") || !strings.HasSuffix(got, "\n\tdaemon: PATH=/bin\n") {
		t.Errorf("env --origin PATH = %q", got)
	}
	if got := w.sctl([]string{"DISPLAY=:5", "MINE=1"}, "sctl", "session", "begin", "--with", "MINE"); got.out != "session 2\n" || got.err != "" {
		t.Errorf("session begin: %+v", got)
	}
	if got := w.sctl(nil, "sctl", "session", "show", "2").out; !strings.HasPrefix(got, "2 begun\n\tsince ") || !strings.HasSuffix(got, "\n\tjob panel\n\tenv DISPLAY=:5\n\tenv MINE=1\n") {
		t.Errorf("session show 2 = %q", got)
	}
	if got := w.sctl(nil, "sctl", "session", "end", "2"); got.status != 0 || got.err != "" {
		t.Errorf("session end 2: %+v", got)
	}
	if got := w.sctl(nil, "sctl", "status", "panel").out; got != "panel waiting (stop)\n" {
		t.Errorf("the session's job after its end: %q", got)
	}
}
