package main

import (
	"context"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/session-init/session-init/session/testkit"
)

// startX runs an X server that lets everybody in, and returns its display.
func startX(t *testing.T) string {
	t.Helper()
	_, display := xServer(t, "-noreset")
	return display
}

// TestReadyServices: with the ready bus, what Debian's services offer is started
// when it is called: as the ready job that there is for it, though nobody has
// enabled that, or as a job of the service's own command. They have the display
// of the login session, and end with it. What nobody calls and the session
// starts is there too.
func TestReadyServices(t *testing.T) {
	t.Parallel()
	// They are no programs for users.
	const services = "/usr/libexec:/usr/lib/at-spi2-core:/usr/lib/gvfs:/usr/lib/policykit-1:/usr/bin"
	for _, program := range []string{"dbus-daemon", "dconf-service", "at-spi-bus-launcher", "gvfsd", "dunst", "xdg-desktop-portal", "xdg-desktop-portal-gtk", "lxpolkit"} {
		testkit.NeedIn(t, services, program)
	}
	screen := startX(t)
	r := readyRig(t)
	r.env = append(r.env, "XDG_DATA_DIRS="+r.dir+"/share:/usr/share", "DBUS_SYSTEM_BUS_ADDRESS=unix:path="+r.dir+"/no-such-bus")
	r.ok("sctl", "enable", "dbus")
	r.ok("sctl", "enable", "polkit-agent")
	r.start()
	conn := r.onBus()
	r.until("the starter of services", func() bool { return int(ownerOf(conn, "org.freedesktop.systemd1")) == r.pid() })
	without := r.env
	r.env = append(r.env[:len(r.env):len(r.env)], "DISPLAY="+screen)
	if got := r.command("sctl", "session", "begin"); got.status != 0 {
		t.Fatalf("sctl session begin: %+v", got)
	}
	r.env = without
	r.until("the polkit agent", func() bool {
		return strings.HasPrefix(r.command("status", "polkit-agent", "SESSION=1").out, "polkit-agent (1) running (start), process ")
	})
	for _, test := range []struct{ name, job string }{
		{"org.a11y.Bus", "at-spi"},
		{"org.gtk.vfs.Daemon", "gvfs"},
		{"org.freedesktop.Notifications", "dunst"},
		{"org.freedesktop.impl.portal.desktop.gtk", "xdg-desktop-portal-gtk"},
		{"org.freedesktop.portal.Desktop", "xdg-desktop-portal"},
		{"ca.desrt.dconf", "dconf"},
		{"org.freedesktop.impl.portal.PermissionStore", "xdg-permission-store"},
	} {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := conn.Object(test.name, "/").CallWithContext(ctx, "org.freedesktop.DBus.Peer.Ping", 0).Err; err != nil {
			t.Errorf("a call of %s: %v", test.name, err)
			continue
		}
		if main, owner := r.main(test.job), int(ownerOf(conn, test.name)); main != owner {
			t.Errorf("%s is owned by process %d, and job %s is process %d", test.name, owner, test.job, main)
		}
		environ, err := os.ReadFile("/proc/" + strconv.Itoa(r.main(test.job)) + "/environ")
		if err != nil || !strings.Contains(string(environ), "\x00DISPLAY="+screen+"\x00") {
			t.Errorf("%s has not the session's display: %v", test.job, err)
		}
	}
	r.ok("sctl", "session", "end", "1")
	for _, job := range []string{"at-spi", "gvfs", "dunst", "xdg-desktop-portal-gtk", "xdg-desktop-portal", "polkit-agent"} {
		r.prints(job+" waiting (stop)\n", "status", job)
	}
	r.until("the bus to know that dconf has ended", func() bool { return ownerOf(conn, "ca.desrt.dconf") == 0 })
	made := r.below()
	r.end()
	for pid, name := range made {
		if runs(pid) {
			t.Errorf("all has ended, and process %d (%s) runs", pid, name)
		}
	}
}
