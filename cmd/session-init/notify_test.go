package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/testkit"
)

// speaker is a program that says what the files of its directory tell it to, one
// after the other, and leaves a mark when it has.
const speaker = `
import os, socket, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
path = os.environ["NOTIFY_SOCKET"]
w = os.environ["W"]
n = 0
while True:
    n += 1
    while not os.path.exists("%s/say%d" % (w, n)):
        time.sleep(0.01)
    text = open("%s/say%d" % (w, n)).read()
    if text == "end":
        raise SystemExit(7)
    s.sendto(text.encode(), "\0" + path[1:] if path[0] == "@" else path)
    open("%s/said%d" % (w, n), "w").close()
`

// TestNotifyOverReplacement: what a job says while there is no daemon is heard
// by the next one, and the job goes on to be heard.
func TestNotifyOverReplacement(t *testing.T) {
	testkit.Need(t, "python3")
	for _, c := range []struct {
		name    string
		replace func(r *rig, say func())
		args    []string
	}{
		{"re-exec", func(r *rig, say func()) { say(); r.ok("sctl", "re-exec") }, nil},
		{"re-exec alone", func(r *rig, say func()) { say(); r.ok("sctl", "re-exec") }, []string{"--no-keeper"}},
		{"crash", func(r *rig, say func()) {
			unix.Kill(r.pid(), unix.SIGSTOP)
			say()
			r.crash()
		}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.args = append(r.args, c.args...)
			r.write("speaker.py", speaker)
			r.job("svc", "expect notify\nwatchdog 600\nexec python3 "+r.dir+"/speaker.py")
			r.start()
			r.ok("sctl", "start", "--no-wait", "svc")
			r.becomes("svc spawned (start), process PID\n", "svc")
			n := 0
			say := func(text string) {
				n++
				mark := "said" + string(rune('0'+n))
				r.write("say"+string(rune('0'+n)), text)
				r.until("the job to have spoken", func() bool { return r.exists(mark) })
			}
			status := func(want string) {
				t.Helper()
				r.until("the status to show "+want, func() bool { return strings.Contains(r.command("sctl", "status", "svc").out, want) })
			}
			c.replace(r, func() { say("READY=1\nSTATUS=first") })
			status("\tsays: first\n")
			status("svc running (start), process ")
			status("\tready: notified (READY=1) after ")
			c.replace(r, func() { say("RELOADING=1\nSTATUS=second") })
			status("\tsays: reloading: second\n")
			say("READY=1\nSTATUS=third")
			status("\tsays: third\n")
			if got := r.main("svc"); got == 0 {
				t.Error("svc has no main process")
			}
			r.ok("sctl", "stop", "svc")
		})
	}
}

// TestWatchdog: a job that falls silent is ended, and respawned; it finds what
// it must know in its environment.
func TestWatchdog(t *testing.T) {
	r := newRig(t)
	r.job("svc", "watchdog 1\nrespawn\nscript\n    echo \"$WATCHDOG_USEC $([ \"$WATCHDOG_PID\" = $$ ] && echo its own)\" >> $T\n    exec sleep 1000\nend script")
	r.start()
	r.ok("sctl", "start", "svc")
	first := r.main("svc")
	r.until("another main process", func() bool {
		return len(r.trace()) >= 2 && unix.Kill(first, 0) == unix.ESRCH
	})
	for _, line := range r.trace() {
		if line != "1000000 its own" {
			t.Errorf("the job finds %q; want %q", line, "1000000 its own")
		}
	}
	if want := "did not say WATCHDOG=1 within 1 second: sending ABRT"; !strings.Contains(r.stderr.String(), want) {
		t.Errorf("the log does not say %q:\n%s", want, r.stderr.String())
	}
	r.ok("sctl", "stop", "svc")
}

// TestNotifyRefusals: what is not heeded is named once, and what fits is said.
func TestNotifyRefusals(t *testing.T) {
	testkit.Need(t, "python3")
	r := newRig(t)
	r.write("speaker.py", speaker)
	r.job("svc", "expect notify\nexec python3 "+r.dir+"/speaker.py")
	r.start()
	r.ok("sctl", "start", "--no-wait", "svc")
	r.becomes("svc spawned (start), process PID\n", "svc")
	r.write("say1", "FDSTORE=1\nMAINPID=1\nSTATUS=cannot begin\nERRNO=2")
	r.until("a refusal", func() bool { return strings.Contains(r.stderr.String(), "none came with FDSTORE=1") })
	r.until("a refusal", func() bool { return strings.Contains(r.stderr.String(), "cannot follow MAINPID=1 of python3") })
	r.write("say2", "end")
	r.until("the end", func() bool { return strings.HasPrefix(r.command("sctl", "status", "svc").out, "svc waiting (stop)") })
	r.prints("svc waiting (stop)\n\tlast failure: main process terminated with status 7 before it was ready, as 'expect notify' declares it: no such file or directory (2): cannot begin\n", "sctl", "status", "svc")
}

// exists reports whether a file of the rig's directory is there.
func (r *rig) exists(name string) bool {
	_, err := os.Stat(filepath.Join(r.dir, name))
	return err == nil
}
