package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/testkit"
)

// TestHangOverReplacement: children hang before their exec while the daemon is
// replaced. None counts as running before it runs; how each goes on, or ends, is
// known, and one that does not come to its program was not begun.
func TestHangOverReplacement(t *testing.T) {
	testkit.NeedFUSE(t)
	testkit.Need(t, "bindfs")
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	binary, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		replace func(r *rig)
		args    []string
	}{
		{"never", func(*rig) {}, nil},
		{"re-exec", func(r *rig) { r.ok("sctl", "re-exec") }, nil},
		{"re-exec alone", func(r *rig) { r.ok("sctl", "re-exec") }, []string{"--no-keeper"}},
		{"crash", func(r *rig) { r.crash() }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			r.args = append(r.args, c.args...)
			// In this order the kernel lets go of them: one waits for the other.
			jobs := []string{"forced", "killed", "traced", "late", "gone"}
			for _, name := range append(jobs, "here") {
				r.write("source/"+name, string(binary))
			}
			m := r.newMirror("mirror", filepath.Join(r.dir, "source"))
			for _, name := range jobs {
				r.job(name, "exec "+m.dir+"/"+name+" 600")
			}
			r.job("traced", "expect fork\nkill timeout 1\nexec "+m.dir+"/traced 600")
			r.start()
			m.server.Process.Signal(unix.SIGSTOP)
			pids := make(map[string]int)
			for i, name := range jobs {
				r.ok("sctl", "start", "--no-wait", name)
				r.until(name+" to hang", func() bool { return len(r.hanging()) == i+1 })
				for _, pid := range r.hanging() {
					known := false
					for _, other := range pids {
						known = known || pid == other
					}
					if !known {
						pids[name] = pid
					}
				}
			}
			c.replace(r)
			r.until("all to hang still", func() bool { return len(r.hanging()) == len(jobs) })
			for _, name := range []string{"forced", "killed", "late", "gone"} {
				if line := r.ok("status", name); !strings.HasPrefix(line, name+" spawned (start)") {
					t.Errorf("status %s = %q", name, line)
				}
			}
			r.prints("forced waiting (stop)\n", "sctl", "stop", "--force", "forced")
			unix.Kill(pids["killed"], unix.SIGKILL)
			why := "killed waiting (stop)\n\tlast failure: main process: cannot execute " + m.dir + "/killed: killed by SIGKILL\n"
			if c.name == "crash" {
				// To the keeper it is any process that was killed.
				why = ""
			}
			r.until("the end of what was killed", func() bool {
				line := r.ok("status", "killed")
				return line == why || why == "" && strings.HasPrefix(line, "killed waiting (stop)\n\tlast failure: ")
			})
			r.prints("traced waiting (stop)\n", "sctl", "stop", "--force", "traced")
			// What another host has removed cannot be executed when the mount
			// is back.
			if err := os.Truncate(filepath.Join(r.dir, "source/gone"), 0); err != nil {
				t.Fatal(err)
			}
			m.server.Process.Signal(unix.SIGCONT)
			r.becomes("late running (start), process PID\n", "late")
			r.until("late to be what it was", func() bool { return r.main("late") == pids["late"] })
			r.until("the failure of the exec", func() bool {
				return strings.Contains(r.ok("status", "gone"), "cannot execute "+m.dir+"/gone: ")
			})
			r.ok("stop", "late")
			if status := r.end(); status != 0 {
				t.Errorf("the daemon's exit status is %d", status)
			}
		})
	}
}
