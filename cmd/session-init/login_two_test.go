package main

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Two desktops of one user, and a login without one, share the daemon and the
// jobs of the user; what is made for sessions is there once in each, and ends
// with its own. The last one out ends all.
func TestTwoDesktops(t *testing.T) {
	r := newLoginRig(t)
	r.userJob("sound", "start on startup\n"+service("sound"))
	r.userJob("panel", "instance $SESSION\n"+panelJob)
	r.write("etc/autostart/applet.desktop", "[Desktop Entry]\nType=Application\nExec=sh -c \"echo applet \\\\$SESSION \\\\$WAYLAND_DISPLAY >> \\\\$T; exec sleep 600\"\n")
	text := r.login("text")
	daemon := r.loginDaemon()
	one, two := r.login("one"), r.login("two")
	first, second := r.fakeDisplay("wayland-1"), r.fakeDisplay("wayland-2")
	for login, display := range map[*loginProcess]string{one: "wayland-1", two: "wayland-2"} {
		if got := login.sctl([]string{"WAYLAND_DISPLAY=" + display}, "session", "begin"); got.status != 0 {
			t.Fatalf("begin: %+v", got)
		}
	}
	first.accepted(r)
	second.accepted(r)
	r.tracedAll("applet 2 wayland-1", "applet 3 wayland-2", "panel 2 wayland-1", "panel 3 wayland-2", "sound")
	if again := r.loginDaemon(); again != daemon {
		t.Errorf("there is another daemon, %d; want %d", again, daemon)
	}
	// What is the user's is there once.
	r.lists(`autostart-phase/application (2) running (start)
autostart-phase/application (3) running (start)
autostart/applet (2) running (start), process PID
autostart/applet (3) running (start), process PID
panel (2) running (start), process PID
panel (3) running (start), process PID
sound running (start), process PID
`)
	first.crash()
	one.wait()
	r.until("the first desktop to be gone", func() bool { return !strings.Contains(r.command("sctl", "list").out, " (2) ") })
	r.lists(`autostart-phase/application (3) running (start)
autostart/applet (3) running (start), process PID
panel (3) running (start), process PID
sound running (start), process PID
`)
	text.logout(0)
	if status := two.logout(4); status != 4 {
		t.Errorf("the last login's status is %d; want 4", status)
	}
	if got := r.trace(); !slices.Contains(got, "sound-term") {
		t.Errorf("the last one out has not ended the user's jobs: %q", got)
	}
}

// What desktop entries say of others, of time and of crashes, in a session that
// begins as sessions do.
func TestAutostartInSession(t *testing.T) {
	r := newLoginRig(t)
	// This one crashes once, and is not asked for again when it ends well.
	r.write("etc/autostart/again.desktop", "[Desktop Entry]\nType=Application\nX-GNOME-AutoRestart=true\n"+
		"Exec=sh -c \"echo again >> \\\\$T; [ -e \\\\$W/twice ] && exit 0; touch \\\\$W/twice; kill -9 \\\\$\\\\$\"\n")
	r.write("etc/autostart/follower.desktop", entry("follower", "X-KDE-autostart-after=leader\n"))
	r.write("etc/autostart/leader.desktop", entry("leader", "OnlyShowIn=sway;GNOME;\nNotShowIn=KDE;\n"))
	r.write("etc/autostart/both.desktop", entry("both", "OnlyShowIn=sway;\nNotShowIn=wlroots;\n"))
	r.write("etc/autostart/delayed.desktop", entry("delayed", "X-GNOME-Autostart-Delay=1\n"))
	r.write("etc/autostart/org.x.Own.desktop", entry("entry", ""))
	r.userJob("own", "start on session-start\nscript\n    echo own >> $T\n    exec sleep 600\nend script")
	l := r.login("desk", "XDG_CURRENT_DESKTOP=sway:wlroots")
	display := r.fakeDisplay("wayland-1")
	if got := l.sctl([]string{"WAYLAND_DISPLAY=wayland-1", "XDG_CURRENT_DESKTOP=sway:wlroots"}, "session", "begin"); got.status != 0 {
		t.Fatalf("begin: %+v", got)
	}
	display.accepted(r)
	r.tracedAll("again", "again", "delayed", "follower", "leader", "own")
	r.startedInTurn("1", "autostart/leader", "autostart/follower")
	r.becomes("autostart/again waiting (stop)\n", "autostart/again")
	// Pain 15: the same application is started once, and it is said who does.
	if got := r.ok("sctl", "autostart", "--desktop", "sway", "org.x.Own"); !strings.Contains(got, "autostart/org.x.Own  no   the job own is the same application, and starts by itself  (") {
		t.Errorf("sctl autostart org.x.Own = %q", got)
	}
	if got := r.ok("sctl", "list"); !strings.Contains(got, "autostart/org.x.Own waiting (stop)\n") {
		t.Errorf("the entry of a job's application runs:\n%s", got)
	}
	unix.Kill(l.cmd.Process.Pid, unix.SIGTERM)
	l.wait()
}
