package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/testkit"
)

// What a daemon finds when it begins: of one that has died before it, and of
// directories in which it cannot look.

// ownJobs makes a rig's daemon the user's own: no flag says where its jobs are.
func (r *rig) ownJobs(args ...string) *rig {
	r.args = append([]string{"--logdir", r.logs}, args...)
	r.conf = filepath.Join(r.dir, "config/session-init")
	return r
}

// TestStartupIsNotLost: a daemon that dies before its startup event is on record
// leaves it to the next, and one that dies after that does not.
func TestStartupIsNotLost(t *testing.T) {
	for _, c := range []struct {
		point, how string
		args       []string
		// again: the keeper ends with a daemon that was never ready.
		again bool
	}{
		{"after-state-created", "kill 1", nil, true},
		{"adopted", "kill 1", nil, true},
		{"applying", "kill 1", nil, true},
		{"applying", "kill 1", []string{"--no-keeper"}, true},
		{"applying", "panic 1", []string{"--no-keeper"}, false},
		{"before-journal", "kill 1", nil, false}, // the definition
		{"after-step", "kill 1", nil, false},
		{"before-journal", "kill 2", nil, false}, // the event
		{"after-journal", "kill 2", nil, false},
		{"after-step", "kill 2", nil, false},
		{"before-clone", "kill 1", nil, false},
		{"after-clone", "kill 1", nil, false},
	} {
		t.Run(strings.Join(append([]string{c.point, c.how}, c.args...), " "), func(t *testing.T) {
			t.Parallel()
			r := newFaultyRig(t).ownJobs(c.args...)
			r.userJob("svc", "start on startup\n"+service("svc"))
			r.arm(c.point, c.how)
			if c.again {
				r.launch()
				if status := r.wait(); status == 0 {
					t.Errorf("the status of a session that did not begin is 0")
				}
				if _, err := os.Stat(filepath.Join(r.run, "session-init/state")); err != nil {
					t.Fatal(err)
				}
			}
			r.start()
			r.traced("svc")
			r.becomes("svc running (start), process PID\n", "svc")
			if r.isArmed(c.point) || r.passed() != c.point {
				t.Errorf("the daemon died at %q; want %s", r.passed(), c.point)
			}
			// From here on it has come, whatever happens.
			r.prints("svc waiting (stop)\n", "stop", "svc")
			r.ok("sctl", "re-exec")
			r.prints("svc waiting (stop)\n", "status", "svc")
			if len(c.args) == 0 {
				r.crash()
				r.prints("svc waiting (stop)\n", "status", "svc")
			}
			if status := r.end(); status != 0 {
				t.Errorf("the status is %d", status)
			}
			r.traced("svc", "svc-term")
		})
	}
}

// Who wants no startup event does not get it from the next daemon either.
func TestNoStartupStays(t *testing.T) {
	r := newRig(t).ownJobs("--no-startup-event")
	r.userJob("svc", "start on startup\n"+service("svc"))
	r.start()
	r.ok("sctl", "re-exec")
	r.crash()
	r.prints("svc waiting (stop)\n", "status", "svc")
}

// TestUnreadableKeepsJobs: that a directory cannot be read when a daemon begins is
// no proof that its files are gone.
func TestUnreadableKeepsJobs(t *testing.T) {
	r := newRig(t).ownJobs()
	r.userJob("kept", "exec sleep 600")
	r.userJob("rest", "exec sleep 600")
	r.start()
	r.ok("start", "kept")
	const list = "kept running (start), process PID\nrest waiting (stop)\n"
	r.prints(list, "sctl", "list")
	away := filepath.Join(r.dir, "away")
	if err := os.Symlink(filepath.Base(r.conf), away); err != nil {
		t.Fatal(err)
	}
	// At once: a directory that is not there at all would be a proof.
	swap := func() {
		t.Helper()
		if err := unix.Renameat2(unix.AT_FDCWD, r.conf, unix.AT_FDCWD, away, unix.RENAME_EXCHANGE); err != nil {
			t.Fatal(err)
		}
	}
	swap()
	r.crash()
	r.prints(list, "sctl", "list")
	r.ok("sctl", "reload-configuration")
	r.prints(list, "sctl", "list")
	// Now one is gone, which only a reload can tell, and the other runs still.
	if err := os.Remove(filepath.Join(away, "rest.conf")); err != nil {
		t.Fatal(err)
	}
	swap()
	r.ok("sctl", "reload-configuration")
	r.until("the job to be gone", func() bool { return !strings.Contains(r.ok("sctl", "list"), "rest") })
	r.prints("kept running (start), process PID\n", "sctl", "list")
}

// TestHangBegins: directories of jobs and of logs that do not answer hold up neither
// the next daemon, nor a reload, nor a re-exec, nor the end.
func TestHangBegins(t *testing.T) {
	testkit.NeedFUSE(t)
	testkit.Need(t, "bindfs")
	r := newRig(t).ownJobs()
	r.args = []string{"--no-startup-event"}
	r.write("source/here", "")
	r.write("source/far.conf", "exec sleep 600\n")
	r.write("source/gone.conf", "exec sleep 600\n")
	r.userJob("near", "exec sleep 600")
	if err := os.MkdirAll(filepath.Join(r.dir, "data/session-init"), 0o700); err != nil {
		t.Fatal(err)
	}
	m := r.newMirror("data/session-init/jobs", filepath.Join(r.dir, "source"))
	r.start()
	r.ok("start", "far")
	r.ok("start", "near")
	const list = "far running (start), process PID\ngone waiting (stop)\nnear running (start), process PID\n"
	r.prints(list, "sctl", "list")
	if err := os.Remove(filepath.Join(r.dir, "source/gone.conf")); err != nil {
		t.Fatal(err)
	}
	m.server.Process.Signal(unix.SIGSTOP)
	count := func() int { return strings.Count(r.stderr.String(), "is ready") }
	for i, replace := range []func(){r.crash, func() { r.ok("sctl", "re-exec") }} {
		replace()
		r.until("the next daemon", func() bool { return count() == i+2 })
		r.ok("sctl", "reload-configuration")
	}
	r.until("the jobs to be as they were", func() bool {
		return strings.HasPrefix(r.ok("status", "far"), "far running (start), process ")
	})
	r.ok("stop", "near")
	m.server.Process.Signal(unix.SIGCONT)
	r.until("the end of the one whose file is gone", func() bool { return !strings.Contains(r.ok("sctl", "list"), "gone") })
	m.server.Process.Signal(unix.SIGSTOP)
	if status := r.end(); status != 0 {
		t.Errorf("the status is %d", status)
	}
}

// TestStaleSessionFile: the pid of a daemon that was killed may be another
// process's when the next begins. It is not two sessions then.
func TestStaleSessionFile(t *testing.T) {
	r := newRig(t).ownJobs()
	file := "run/upstart/sessions/1.session"
	address := "UPSTART_SESSION=unix:path=" + r.run + "/session-init/socket\n"
	r.write(file, address)
	r.start()
	r.until("it to be ready", func() bool { return strings.Contains(r.stderr.String(), "is ready") })
	want := fmt.Sprintf("%d %s\n", r.daemon.Process.Pid, r.address)
	r.prints(want, "sctl", "list-sessions")
	r.address = ""
	r.ok("sctl", "version")
	// Should a file like that come back, it is one session all the same.
	r.write(file, address)
	r.ok("sctl", "version")
	if status := r.end(); status != 0 {
		t.Errorf("the status is %d", status)
	}
	r.write(file, address)
	if got := r.command("sctl", "version"); got.status != 3 {
		t.Errorf("sctl version without a daemon: status %d, %q; want 3", got.status, got.errOut)
	}
}

// says waits until the login has said all of these: what is written has yet to be
// read.
func (l *loginProcess) says(want ...string) {
	l.r.t.Helper()
	for _, text := range want {
		l.r.until("login "+l.name+" to say "+text, func() bool { return strings.Contains(l.out.String(), text) })
	}
}

// TestLoginWithoutLog: a login whose state directory cannot be written has its
// daemon, whose log is elsewhere.
func TestLoginWithoutLog(t *testing.T) {
	for _, c := range []struct{ name, other, said string }{
		{"elsewhere", "", "/session-init/daemon.log\n"},
		{"nowhere", "run/session-init/daemon.log/file", "it goes to /dev/null\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newLoginRig(t)
			if c.other != "" {
				r.write(c.other, "")
			}
			r.userJob("svc", "start on startup\n"+service("svc"))
			l := r.login("one", "XDG_STATE_HOME=/proc/nope")
			r.traced("svc")
			if got := l.env("UPSTART_SESSION"); got != r.address {
				t.Errorf("UPSTART_SESSION of the command is %q; want %q", got, r.address)
			}
			l.says("cannot write the daemon's log: mkdir /proc/nope: ", c.said)
			if c.other == "" {
				r.until("the daemon's log", func() bool {
					log, _ := os.ReadFile(filepath.Join(r.run, "session-init/daemon.log"))
					return strings.Contains(string(log), "is ready")
				})
			}
			if status := l.logout(5); status != 5 {
				t.Errorf("the login's status is %d; want the command's", status)
			}
		})
	}
}

// TestHangLogin: a state directory that does not answer costs a login the logs, and
// neither its daemon nor its end.
func TestHangLogin(t *testing.T) {
	testkit.NeedFUSE(t)
	testkit.Need(t, "bindfs")
	r := newLoginRig(t)
	r.write("source/here", "")
	m := r.newMirror("state", filepath.Join(r.dir, "source"))
	m.server.Process.Signal(unix.SIGSTOP)
	r.userJob("svc", "start on startup\nconsole none\n"+service("svc"))
	l := r.login("one")
	r.traced("svc")
	l.says("the file system does not answer: it goes to " + r.run)
	if status := l.logout(5); status != 5 {
		t.Errorf("the login's status is %d; want the command's", status)
	}
}
