package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// entry is a desktop entry that traces its name and stays.
func entry(name, keys string) string {
	return "[Desktop Entry]\nType=Application\nExec=sh -c \"echo " + name + " >> \\\\$T; exec sleep 600\"\n" + keys
}

// tracedAll waits until the trace is these lines in any order.
func (r *rig) tracedAll(want ...string) {
	r.t.Helper()
	r.until(fmt.Sprintf("the trace %q", want), func() bool {
		got := r.trace()
		slices.Sort(got)
		return slices.Equal(got, want)
	})
}

// newDesktop is a rig of the user's own daemon, with entries.
func newDesktop(t *testing.T) *rig {
	r := newRig(t)
	r.args = []string{"--logdir", r.logs}
	r.write("etc/autostart/app.desktop", entry("app", ""))
	r.write("etc/autostart/panel.desktop", entry("panel", "X-GNOME-Autostart-Phase=Panel\nOnlyShowIn=sway;\n"))
	r.write("etc/autostart/gnome.desktop", entry("gnome", "OnlyShowIn=GNOME;\n"))
	r.write("etc/autostart/plain.desktop", entry("plain", "NotShowIn=KDE;\nX-GNOME-Autostart-Phase=Desktop\n"))
	r.write("etc/autostart/masked.desktop", entry("masked", ""))
	r.write("config/autostart/masked.desktop", "[Desktop Entry]\nHidden=true\n")
	r.write("etc/autostart/missing.desktop", entry("missing", "TryExec=no-such-program\n"))
	r.write("etc/autostart/kde.desktop", entry("kde", "X-KDE-autostart-condition=rc:General:On:false\n"))
	r.write("etc/autostart/late.desktop", entry("late", "X-GNOME-Autostart-Delay=600\n"))
	return r
}

// Pain 13: a plain window manager gets what is for it, and no more; pain 14:
// phases are an order.
func TestAutostart(t *testing.T) {
	r := newDesktop(t).start()
	r.ok("emit", "session-start", "SESSION=7", "XDG_CURRENT_DESKTOP=sway:wlroots")
	r.tracedAll("app", "panel", "plain")
	r.startedInTurn("7", "autostart/panel", "autostart/plain", "autostart/app")
	for job, want := range map[string]string{
		"app": "running (start), process PID", "late": "running (start), process PID", "gnome": "waiting (stop)", "missing": "waiting (stop)", "kde": "waiting (stop)",
	} {
		line := "autostart/" + job + " " + want + "\n"
		if strings.HasPrefix(want, "running") {
			line = "autostart/" + job + " (7) " + want + "\n"
			r.becomes(line, "autostart/"+job, "SESSION=7")
		} else {
			r.becomes(line, "autostart/"+job)
		}
	}
	r.refused(1, "status: cannot show 'autostart/masked': Unknown job\n", "status", "autostart/masked")
	if got := r.ok("sctl", "autostart", "--desktop", "sway", "panel"); !strings.Contains(got, "autostart/panel  yes  OnlyShowIn=sway;: it is for this desktop; in the phase panel; runs  (") {
		t.Errorf("sctl autostart panel = %q", got)
	}
	if got := r.ok("sctl", "cat", "autostart/panel"); !strings.HasPrefix(got, "# "+r.dir+"/etc/autostart/panel.desktop, a desktop entry\nstart on (") || !strings.Contains(got, "\nlifetime tree\n") {
		t.Errorf("sctl cat autostart/panel = %q", got)
	}
	if got := r.ok("sctl", "cat", "autostart-phase/panel"); !strings.HasPrefix(got, "# made by session-init") {
		t.Errorf("sctl cat autostart-phase/panel = %q", got)
	}
	r.ok("emit", "session-stop", "SESSION=7")
	r.becomes("autostart/app waiting (stop)\n", "autostart/app")
	r.clear()

	// Two sessions of other desktops at a time, with something switched off.
	r.ok("sctl", "disable", "autostart/app")
	r.ok("emit", "session-start", "SESSION=8", "XDG_CURRENT_DESKTOP=ubuntu:GNOME")
	r.until("the entries of GNOME", func() bool { return len(r.trace()) == 2 })
	r.ok("emit", "session-start", "SESSION=9", "XDG_CURRENT_DESKTOP=KDE")
	r.becomes("autostart/late (9) running (start), process PID\n", "autostart/late", "SESSION=9")
	r.becomes("autostart/late (8) running (start), process PID\n", "autostart/late", "SESSION=8")
	r.tracedAll("gnome", "plain")
}

// Pain 14: an entry that goes into the background and ends runs on, and ends
// with its session; a daemon that dies in between changes nothing.
func TestAutostartForks(t *testing.T) {
	r := newRig(t)
	r.args = []string{"--logdir", r.logs}
	r.write("etc/autostart/fork.desktop", "[Desktop Entry]\nType=Application\nExec=sh -c \"setsid sleep 600 & echo up >> \\\\$T\"\n")
	r.start()
	r.ok("emit", "session-start", "SESSION=1")
	r.traced("up")
	r.becomes("autostart/fork (1) running (start)\n", "autostart/fork", "SESSION=1")
	r.ok("sctl", "re-exec")
	r.becomes("autostart/fork (1) running (start)\n", "autostart/fork", "SESSION=1")
	r.ok("emit", "session-stop", "SESSION=1")
	r.becomes("autostart/fork waiting (stop)\n", "autostart/fork")
	for pid, command := range r.processes() {
		if strings.Contains(command, "sleep") {
			t.Errorf("process %d, %s, is left", pid, command)
		}
	}
}

// With --autostart the startup event is enough, and the desktop is the
// daemon's own; a private daemon has no entries otherwise.
func TestAutostartAtStartup(t *testing.T) {
	r := newDesktop(t)
	r.args = []string{"--confdir", r.conf, "--logdir", r.logs, "--autostart"}
	r.env = append(r.env, "XDG_CURRENT_DESKTOP=GNOME")
	r.start()
	r.until("three entries", func() bool { return len(r.trace()) == 3 })
	r.becomes("autostart/gnome running (start), process PID\n", "autostart/gnome")
	r.becomes("autostart/panel waiting (stop)\n", "autostart/panel")

	private := newDesktop(t)
	private.args = []string{"--confdir", private.conf, "--logdir", private.logs}
	private.start()
	private.prints("", "sctl", "list")
}

// What comes while the session runs is a job at once, and starts with the next
// session.
func TestAutostartLive(t *testing.T) {
	r := newRig(t)
	r.args = []string{"--logdir", r.logs}
	r.start()
	r.write("config/autostart/new.desktop", entry("new", ""))
	r.until("the job", func() bool { return strings.Contains(r.command("sctl", "list").out, "autostart/new ") })
	r.ok("emit", "session-start", "SESSION=1")
	r.traced("new")
	r.write("config/autostart/new.desktop", "[Desktop Entry]\nHidden=true\n")
	r.ok("stop", "autostart/new", "SESSION=1")
	r.until("its end", func() bool { return !strings.Contains(r.command("sctl", "list").out, "autostart/new") })
}
