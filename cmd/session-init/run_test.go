package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestRun: a command runs where its caller is, with what that has in its
// environment, as a job that is in no file; the next daemon knows it, and
// nobody does when it has ended.
func TestRun(t *testing.T) {
	r := newRig(t).start()
	r.env = append(r.env, "OWN=a b", "SESSION=old", "NOTIFY_SOCKET=/none")
	r.ok("sctl", "run", "--name", "mine", "sh", "-c", `echo "$PWD|$OWN|$UPSTART_JOB|$NOTIFY_SOCKET|$SESSION" >>$T; exec sleep 1000`)
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	r.traced(dir + "|a b|mine||")
	main := r.main("mine")
	if found := files(r.conf); len(found) > 0 {
		t.Errorf("files of jobs: %q; want none", found)
	}
	r.refused(1, "run: cannot run 'sleep': There is a job of that name already: mine\n", "sctl", "run", "--name", "mine", "sleep", "1")
	r.refused(1, "run: cannot run 'no-such-command': cannot execute no-such-command: it is in no directory of PATH\n", "sctl", "run", "no-such-command")
	r.refused(1, "run: cannot run 'sh': Job failed to start: main process terminated with status 3\n", "sctl", "run", "--task", "sh", "-c", "exit 3")
	r.ok("sctl", "run", "--task", "true")
	r.ok("sctl", "re-exec")
	r.prints("mine running (start), process PID\n", "status", "mine")
	unix.Kill(r.pid(), unix.SIGKILL)
	r.until("another daemon to have it", func() bool {
		return strings.HasPrefix(r.command("status", "mine").out, fmt.Sprintf("mine running (start), process %d\n", main))
	})
	unix.Kill(main, unix.SIGTERM)
	r.until("it to be gone", func() bool { return strings.Contains(r.command("status", "mine").errOut, "Unknown job") })
	r.prints("", "sctl", "list")
}

// TestRunApp: what a panel has started by "sctl run --app" lives on when the
// panel is restarted or stopped, and lives as long as anything of it.
func TestRunApp(t *testing.T) {
	r := newRig(t)
	r.job("panel", "exec sh -c 'sctl run --app --name app/browser sh -c \"sleep 1000 & exit 0\"; echo up >>$T; exec sleep 1000'")
	r.start()
	r.ok("start", "panel")
	r.traced("up")
	tree := func() string { return r.command("sctl", "tree", "app/browser").out }
	var before string
	r.until("the application to have left its first process", func() bool {
		before = tree()
		return strings.HasSuffix(before, " sleep 1000\n") && !strings.Contains(before, "exit 0")
	})
	r.clear()
	// The name is taken, so that it starts no second one.
	r.ok("restart", "panel")
	r.traced("up")
	r.ok("stop", "panel")
	if after := tree(); after != before {
		t.Errorf("after a restart and a stop of the panel:\n%swant\n%s", after, before)
	}
	r.ok("stop", "app/browser")
	r.until("all to be gone", func() bool { return len(r.below()) == 0 })
}

// TestRunLinger: what lingers outlives its login, and the daemon ends with it;
// the rest ends with the login.
func TestRunLinger(t *testing.T) {
	r := newLoginRig(t)
	l := r.login("one")
	r.env = append(r.env, "UPSTART_SESSION_ID="+l.env("UPSTART_SESSION_ID"), "UPSTART_SESSION="+l.env("UPSTART_SESSION"))
	r.ok("sctl", "run", "--linger", "--name", "tmux", "sleep", "1000")
	r.ok("sctl", "run", "--name", "editor", "sleep", "1000")
	tmux, editor := r.main("tmux"), r.main("editor")
	r.write("one-end", "0")
	l.wait()
	if !isGone(editor) || !runs(tmux) {
		t.Errorf("the login is over: the editor has ended: %v, tmux runs: %v; want both", isGone(editor), runs(tmux))
	}
	keeper := r.keeperOf()
	r.ok("stop", "tmux")
	r.until("the daemon to end with it", func() bool {
		_, err := os.Stat(filepath.Join(r.run, "session-init/socket"))
		return os.IsNotExist(err)
	})
	r.until("the keeper to be gone", func() bool { _, err := unix.Wait4(keeper, nil, unix.WNOHANG, nil); return err != nil })
}
