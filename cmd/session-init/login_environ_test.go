package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A login's command has what the user's jobs have said for all, at the first login
// too, when these have only begun; what it has itself, and what is another login's,
// it keeps and is spared.
func TestLoginEnvironment(t *testing.T) {
	r := newLoginRig(t)
	r.userJob("agent", "start on startup\npre-start script\n    sleep 0.2\n    initctl set-env --global AGENT_SOCK=/run/agent OWN=table DISPLAY=:77\n"+
		"end script\n"+service("agent"))
	one := r.login("one", "OWN=one", "ONLY_ONE=1")
	two := r.login("two")
	for _, test := range []struct {
		l          *loginProcess
		name, want string
	}{
		{one, "AGENT_SOCK", "/run/agent"}, {one, "OWN", "one"}, {one, "ONLY_ONE", "1"}, {one, "DISPLAY", ""},
		{two, "AGENT_SOCK", "/run/agent"}, {two, "OWN", "table"}, {two, "ONLY_ONE", ""}, {two, "DISPLAY", ""},
	} {
		if got := test.l.env(test.name); got != test.want {
			t.Errorf("%s in login %s is %q; want %q", test.name, test.l.name, got, test.want)
		}
	}
	two.logout(0)
	one.logout(0)
}

// A job that hangs before it is ready holds up no login for long, and one that
// waits for its respawn holds up no display at all.
func TestLoginHeldUp(t *testing.T) {
	r := newLoginRig(t)
	r.userJob("hangs", "start on startup\nexpect notify\n"+service("hangs"))
	r.userJob("fails", "start on startup\nrespawn\nrespawn delay 3600\nexpect notify\nexec false")
	r.userJob("panel", panelJob)
	l := r.login("one")
	r.fakeDisplay("wayland-7")
	r.until("the respawn to be waited for", func() bool {
		return strings.Contains(r.command("sctl", "status", "fails").out, "respawning in")
	})
	r.traced("hangs")
	r.ok("sctl", "stop", "--no-wait", "hangs")
	if got := l.sctl([]string{"WAYLAND_DISPLAY=wayland-7"}, "session", "begin"); got.status != 0 || strings.Contains(got.out+got.errOut, "fails") {
		t.Errorf("session begin = %+v; want no word about the job that failed", got)
	}
	r.traced("hangs", "hangs-term", "panel 1 wayland-7")
	l.logout(0)
}

// nobodyHolds looks at the lock of the daemon: it is for who comes next, from the
// moment at which the last login has ended.
func (r *rig) nobodyHolds() {
	r.t.Helper()
	file, err := os.OpenFile(filepath.Join(r.run, "session-init/lock"), os.O_RDWR, 0)
	if err != nil {
		return
	}
	defer file.Close()
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		r.t.Errorf("the login has ended, and the lock of the daemon is held: %v", err)
	}
}
