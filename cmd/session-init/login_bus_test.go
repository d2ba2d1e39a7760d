package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/testkit"
)

// ownBus is a bus that a login session has for itself, as dbus-run-session makes
// one.
func (r *rig) ownBus() (address string) {
	r.t.Helper()
	address = "unix:path=" + r.run + "/own"
	r.write("own.conf", fmt.Sprintf(busConfig, r.run+"/own"))
	bus := exec.Command(testkit.Need(r.t, "dbus-daemon"), "--config-file="+r.dir+"/own.conf", "--nofork", "--nopidfile")
	bus.Env = []string{"PATH=" + os.Getenv("PATH")}
	bus.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if err := bus.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		bus.Process.Kill()
		bus.Wait()
	})
	r.until("the session's own bus", func() bool {
		conn, err := dbus.Connect(address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return address
}

func loginBusRig(t *testing.T) *rig {
	r := newLoginRig(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r.env = append(r.env, "OWNER="+self)
	r.userJob("owner", "start on session-start\nexpect dbus org.example.Owner\nexec \"$OWNER\" own-name org.example.Owner 0 comes")
	return r
}

// A login session's own bus is joined when there is no other: its jobs are ready
// by their names there.
func TestLoginOwnBus(t *testing.T) {
	r := loginBusRig(t)
	address := "DBUS_SESSION_BUS_ADDRESS=" + r.ownBus()
	l := r.login("one", address)
	r.fakeDisplay("wayland-7")
	if got := l.sctl([]string{"WAYLAND_DISPLAY=wayland-7", address}, "session", "begin"); got.status != 0 || got.errOut != "" {
		t.Errorf("session begin = %+v", got)
	}
	r.until("the job to be ready there", func() bool {
		return strings.HasPrefix(r.command("sctl", "status", "owner").out, "owner running (start), process ")
	})
	l.logout(0)
}

// Where there is another bus, who begins the session is told, and so is who asks
// why.
func TestLoginOtherBus(t *testing.T) {
	r := loginBusRig(t)
	r.write("bus.conf", fmt.Sprintf(busConfig, r.run+"/bus"))
	r.startBus()
	own := r.ownBus()
	l := r.login("one")
	conn := r.onBus()
	r.until("the user's bus to be joined", func() bool { return ownerOf(conn, ourBusName) != 0 })
	r.fakeDisplay("wayland-7")
	got := l.sctl([]string{"WAYLAND_DISPLAY=wayland-7", "DBUS_SESSION_BUS_ADDRESS=" + own}, "session", "begin")
	if want := "the login session is on another bus, " + own + ", than session-init, " + r.busAddress(); got.status != 0 || !strings.Contains(got.errOut, want) {
		t.Errorf("session begin = %+v; want %q", got, want)
	}
	r.until("why to say it", func() bool {
		return strings.Contains(r.reason("owner"), "login session 1 is on another bus, "+own+": start the desktop without dbus-run-session and dbus-launch")
	})
	l.logout(0)
}
