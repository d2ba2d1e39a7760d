package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
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
	r.job("svc", "watchdog 1\nrespawn\nscript\n    echo \"$$ $WATCHDOG_USEC $([ \"$WATCHDOG_PID\" = $$ ] && echo its own)\" >> $T\n    exec sleep 1000\nend script")
	r.start()
	r.ok("sctl", "start", "svc")
	r.until("another main process", func() bool {
		// Its pid stands before what the first one has found.
		first, err := strconv.Atoi(strings.Fields(r.trace()[0] + " none")[0])
		return len(r.trace()) >= 2 && err == nil && isGone(first)
	})
	for _, line := range r.trace() {
		if _, found, _ := strings.Cut(line, " "); found != "1000000 its own" {
			t.Errorf("the job finds %q; want %q", found, "1000000 its own")
		}
	}
	r.logged("did not say WATCHDOG=1 within 1 second: sending ABRT")
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

// TestNotifyApart: a job whose name looks like that of another's instance has a
// socket of its own, and each is heard.
func TestNotifyApart(t *testing.T) {
	testkit.Need(t, "python3")
	r := newRig(t)
	r.write("speaker.py", speaker)
	text := "expect notify\nexec env W=%s/%s python3 " + r.dir + "/speaker.py"
	r.job("a", "instance $X\n"+fmt.Sprintf(text, r.dir, "1"))
	r.job("a-b", fmt.Sprintf(text, r.dir, "2"))
	r.start()
	r.ok("sctl", "start", "--no-wait", "a", "X=b")
	r.becomes("a (b) spawned (start), process PID\n", "a", "X=b")
	r.ok("sctl", "start", "--no-wait", "a-b")
	r.becomes("a-b spawned (start), process PID\n", "a-b")
	r.write("1/say1", "READY=1\nSTATUS=one")
	r.until("the first to be heard", func() bool {
		return strings.Contains(r.command("sctl", "status", "a", "X=b").out, "\tsays: one\n")
	})
	r.write("2/say1", "READY=1\nSTATUS=two")
	r.until("the second to be heard", func() bool { return strings.Contains(r.command("sctl", "status", "a-b").out, "\tsays: two\n") })
	r.ok("sctl", "stop", "a", "X=b")
	r.ok("sctl", "stop", "a-b")
}

// TestNotifyFormerPath: an instance whose socket has the name that an older
// daemon gave it is heard there by the next daemon, with its hooks, and nothing
// of it is left.
func TestNotifyFormerPath(t *testing.T) {
	testkit.Need(t, "python3")
	r := newRig(t)
	r.write("speaker.py", speaker)
	r.job("svc", "expect notify\nexec python3 "+r.dir+"/speaker.py\npre-stop exec sh -c 'echo \"$NOTIFY_SOCKET\" >> $T'")
	r.start()
	r.ok("sctl", "start", "--no-wait", "svc")
	r.becomes("svc spawned (start), process PID\n", "svc")
	found, err := filepath.Glob(r.run + "/session-init/*/notify/svc-*")
	if err != nil || len(found) != 1 {
		t.Fatalf("sockets: %q, %v", found, err)
	}
	former := filepath.Join(filepath.Dir(found[0]), "svc")
	if err := os.Rename(found[0], former); err != nil {
		t.Fatal(err)
	}
	r.ok("sctl", "re-exec")
	r.until("the next daemon", func() bool { return strings.Contains(r.stderr.String(), "goes on where the last daemon was") })
	// What the job has is the name that it was given.
	if err := os.Symlink(former, found[0]); err != nil {
		t.Fatal(err)
	}
	r.write("say1", "READY=1\nSTATUS=first")
	r.until("the job to be heard", func() bool { return strings.Contains(r.command("sctl", "status", "svc").out, "\tsays: first\n") })
	if err := os.Remove(found[0]); err != nil {
		t.Fatal(err)
	}
	r.ok("sctl", "stop", "svc")
	r.traced(former)
	r.until("nothing to be left behind", func() bool {
		left, err := os.ReadDir(filepath.Dir(former))
		return err == nil && len(left) == 0
	})
}
