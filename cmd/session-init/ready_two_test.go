package main

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/testkit"
)

// beginOn has a login session begin on a display, and returns nothing before its
// session-start has been dealt with.
func (r *rig) beginOn(screen string) {
	r.t.Helper()
	begin := exec.Command(programs+"/sctl", "session", "begin")
	begin.Env = append(r.env[:len(r.env):len(r.env)], "UPSTART_SESSION="+r.address, "DISPLAY="+screen)
	if out, err := begin.CombinedOutput(); err != nil {
		r.t.Fatalf("sctl session begin on %s: %v\n%s", screen, err, out)
	}
}

// variable is what the main process of a job has in its environment.
func (r *rig) variable(name string, job ...string) string {
	out := r.command(append([]string{"status"}, job...)...).out
	pid := 0
	if _, after, found := strings.Cut(out, ", process "); found {
		pid, _ = strconv.Atoi(strings.Fields(after)[0])
	}
	environ, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	return lookup(strings.Split(string(environ), "\x00"), name)
}

// ping calls who owns a name, which is started for that.
func ping(conn *dbus.Conn, name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return conn.Object(name, "/").CallWithContext(ctx, "org.freedesktop.DBus.Peer.Ping", 0).Err
}

// TestReadyTwoDesktops: of two desktops of one user each has its polkit agent.
// What owns a name on the bus is there once: in the first, and when that has
// ended, however it did, in the other, with its display.
func TestReadyTwoDesktops(t *testing.T) {
	t.Parallel()
	const services = "/usr/libexec:/usr/lib/at-spi2-core:/usr/lib/gvfs:/usr/bin"
	for _, program := range []string{"dbus-daemon", "at-spi-bus-launcher", "gvfsd", "dunst", "xdg-desktop-portal", "xdg-desktop-portal-gtk", "lxpolkit"} {
		testkit.NeedIn(t, services, program)
	}
	server, first := xServer(t, "-noreset")
	second := startX(t)
	r := readyRig(t)
	r.env = append(r.env, "XDG_DATA_DIRS="+r.dir+"/share:/usr/share", "DBUS_SYSTEM_BUS_ADDRESS=unix:path="+r.dir+"/no-such-bus")
	once := []string{"dunst", "xdg-desktop-portal", "xdg-desktop-portal-gtk", "at-spi", "gvfs"}
	for _, job := range append([]string{"dbus", "polkit-agent", "xdg-desktop-portal-wlr"}, once...) {
		r.ok("sctl", "enable", job)
	}
	r.start()
	conn := r.onBus()
	// Nobody has a display: nothing that needs one is started.
	if err := ping(conn, "org.freedesktop.Notifications"); err == nil || !strings.Contains(err.Error(), "none has a display") {
		t.Errorf("a call of a notification daemon without a display: %v", err)
	}
	on := func(screen string) {
		t.Helper()
		for _, job := range once {
			r.until(job+" to run on "+screen, func() bool {
				return strings.HasPrefix(r.command("status", job).out, job+" running (start), process ") && r.variable("DISPLAY", job) == screen
			})
		}
	}
	r.beginOn(first)
	on(first)
	r.beginOn(second)
	for session, screen := range map[string]string{"1": first, "2": second} {
		r.until("polkit agent "+session, func() bool { return r.variable("DISPLAY", "polkit-agent", "SESSION="+session) == screen })
	}
	on(first)
	// One that is for another desktop is not started: not with the portal, and
	// not when that asks for it, which is told so at once. It is no failure.
	if err := ping(conn, "org.freedesktop.impl.portal.desktop.wlr"); err == nil ||
		!strings.Contains(err.Error(), "job xdg-desktop-portal-wlr does not run any more: it was stopped") {
		t.Errorf("a call of a service for another desktop: %v", err)
	}
	r.prints("xdg-desktop-portal-wlr waiting (stop)\n", "status", "xdg-desktop-portal-wlr")
	if said := r.ok("sctl", "log", "xdg-desktop-portal-wlr"); strings.Trim(said, "\n") == "" ||
		strings.ReplaceAll(said, "not started: the login session has no Wayland display\n", "") != "" {
		t.Errorf("it says %q; want why it was not started", said)
	}
	before := map[string]int{}
	for _, job := range once {
		before[job] = r.main(job)
	}
	// The first display ends.
	server.Process.Signal(unix.SIGTERM)
	on(second)
	for _, name := range []string{"org.freedesktop.Notifications", "org.freedesktop.portal.Desktop", "org.a11y.Bus", "org.gtk.vfs.Daemon"} {
		if err := ping(conn, name); err != nil {
			t.Errorf("a call of %s: %v", name, err)
		}
	}
	for job, pid := range before {
		if r.main(job) == pid {
			t.Errorf("%s is process %d still, which was of the session that has ended", job, pid)
		}
	}
	r.until("the first polkit agent to be gone, and the second to run", func() bool {
		got := r.ok("sctl", "list")
		return !strings.Contains(got, "polkit-agent (1)") && strings.Contains(got, "polkit-agent (2) running")
	})
	r.ok("sctl", "session", "end", "2")
	for _, job := range once {
		r.prints(job+" waiting (stop)\n", "status", job)
	}
	r.end()
}

// TestReadyNotification: the real notification daemon shows one notification of
// a burst of failures, with what the jobs have said last.
func TestReadyNotification(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"dbus-daemon", "dunst", "dunstctl", "notify-send"} {
		testkit.Need(t, program)
	}
	screen := startX(t)
	r := readyRig(t)
	r.env = append(r.env, "DBUS_SESSION_BUS_ADDRESS=unix:path="+r.run+"/bus")
	for _, name := range []string{"one", "two", "three"} {
		r.write("config/session-init/"+name+".conf", "start on go\nexec sh -c 'echo first; echo \"<"+name+"> is broken\"; exit 7'\n")
	}
	for _, job := range []string{"dbus", "dunst", "notify-failure"} {
		r.ok("sctl", "enable", job)
	}
	r.start()
	r.beginOn(screen)
	r.until("dunst", func() bool {
		return strings.HasPrefix(r.command("status", "dunst").out, "dunst running (start), process ")
	})
	dunst := func(words ...string) string {
		cmd := exec.Command("dunstctl", words...)
		cmd.Env = r.env
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("dunstctl %v: %v\n%s", words, err, out)
		}
		return string(out)
	}
	r.command("emit", "go")
	r.until("a notification", func() bool { return dunst("count", "displayed") == "1\n" })
	r.until("notify-failure to be done", func() bool { return r.command("status", "notify-failure").out == "notify-failure waiting (stop)\n" })
	if shown, waits := dunst("count", "displayed"), dunst("count", "waiting"); shown != "1\n" || waits != "0\n" {
		t.Errorf("%q notifications are shown and %q wait; want one", shown, waits)
	}
	dunst("close-all")
	told := dunst("history")
	for _, part := range []string{"3 jobs failed", "one&gt; is broken", "two&gt; is broken", "three&gt; is broken", "terminated with status 7"} {
		if !strings.Contains(told, part) {
			t.Errorf("the notification does not say %q:\n%s", part, told)
		}
	}
	r.end()
}
