package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/testkit"
)

// mirror is a directory served by a process that can be stopped.
type mirror struct {
	dir    string
	server *exec.Cmd
}

// newMirror mounts a mirror of a directory. It is gone with the test.
func (r *rig) newMirror(name, of string) *mirror {
	r.t.Helper()
	m := &mirror{dir: filepath.Join(r.dir, name)}
	if err := os.Mkdir(m.dir, 0o700); err != nil {
		r.t.Fatal(err)
	}
	m.server = exec.Command(testkit.Need(r.t, "bindfs"), "-f", "--multithreaded", of, m.dir)
	m.server.Stderr = os.Stderr
	if err := m.server.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		// It takes down what it has put up.
		m.server.Process.Signal(unix.SIGCONT)
		m.server.Process.Signal(unix.SIGTERM)
		m.server.Wait()
		if mounts, err := os.ReadFile("/proc/self/mounts"); err != nil || strings.Contains(string(mounts), " "+m.dir+" ") {
			r.t.Errorf("%s is mounted still: %v, %v", m.dir, err, unix.Unmount(m.dir, unix.MNT_DETACH))
		}
	})
	r.until("the mirror", func() bool {
		_, err := os.Stat(filepath.Join(m.dir, "here"))
		return err == nil
	})
	return m
}

// hanging lists the daemon's children, and those that fell to its keeper, that
// are in an exec or a change of directory.
func (r *rig) hanging() []int {
	var pids []int
	below := children(r.pid())
	if keeper := r.daemon.Process.Pid; keeper != r.pid() {
		below = append(below, children(keeper)...)
	}
	for _, pid := range below {
		where, _ := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", pid))
		call, _, _ := strings.Cut(string(where), " ")
		if call == strconv.Itoa(unix.SYS_EXECVE) || call == strconv.Itoa(unix.SYS_CHDIR) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// TestHang: program, directory or hook of a job lie on a file system that
// hangs. Nobody else feels it; what can be ended is; what even KILL cannot
// end is named and left.
func TestHang(t *testing.T) {
	testkit.NeedFUSE(t)
	testkit.Need(t, "bindfs")
	r := newRig(t)
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	binary, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	// A file for each job: what was looked at before may be cached.
	for _, name := range []string{"exe", "hook", "late", "deep", "deeper", "here"} {
		r.write("source/"+name, string(binary))
	}
	r.write("source/dir/file", "")
	// The second is served from the first, so that who hangs in it waits for
	// a server that has its request already: KILL does not end that.
	first := r.newMirror("first", filepath.Join(r.dir, "source"))
	second := r.newMirror("second", first.dir)

	r.env = append(r.env, "GODEBUG=gctrace=1")
	r.args = append(r.args, "--stop-timeout", "1")
	r.job("good", "exec sleep 600")
	r.job("exe", "exec "+first.dir+"/exe 600")
	r.job("dir", "kill timeout 1\nchdir "+first.dir+"/dir\nexec sleep 600")
	r.job("hook", "pre-start exec "+first.dir+"/hook 0\nexec sleep 600")
	r.job("late", "exec "+first.dir+"/late 600")
	r.job("deep", "kill timeout 60\nexec "+second.dir+"/deep 600")
	r.job("deeper", "exec "+second.dir+"/deeper 600")
	r.start()
	r.well()

	first.server.Process.Signal(unix.SIGSTOP)
	for i, name := range []string{"exe", "dir", "hook", "late", "deep"} {
		r.ok("sctl", "start", "--no-wait", name)
		r.until(name+" to hang", func() bool { return len(r.hanging()) == i+1 })
	}
	r.well()
	collected := func() int { return strings.Count(r.stderr.String(), "\ngc ") }
	before := collected()
	r.until("two collections of garbage", func() bool {
		r.ok("emit", "ev", "V="+strings.Repeat("x", 100_000))
		return collected() >= before+2
	})
	r.well()
	// One that had ended would not come again.
	r.until("all to hang still", func() bool { return len(r.hanging()) == 5 })
	for _, name := range []string{"exe", "dir", "hook"} {
		r.prints(name+" waiting (stop)\n", "sctl", "stop", "--force", name)
	}
	r.until("three to be gone", func() bool { return len(r.hanging()) == 2 })
	// That this one does not end is said as it is.
	r.prints("deep killed (stop)\n", "sctl", "stop", "--force", "--no-wait", "deep")
	r.well()
	if line := r.ok("status", "deep"); !strings.HasPrefix(line, "deep killed (stop)\n") {
		t.Errorf("status deep = %q", line)
	}

	// The server goes on, and all of them with it.
	first.server.Process.Signal(unix.SIGCONT)
	r.becomes("late running (start), process PID\n", "late")
	r.until("the end of what was killed", func() bool { return strings.HasPrefix(r.ok("status", "deep"), "deep waiting (stop)\n") })
	for _, name := range []string{"exe", "dir", "hook"} {
		r.prints(name+" running (start), process PID\n", "start", name)
	}

	// The end of the session waits for nobody who cannot end.
	first.server.Process.Signal(unix.SIGSTOP)
	r.ok("sctl", "start", "--no-wait", "deeper")
	left := 0
	r.until("deeper to hang", func() bool {
		// Another that is seen in its exec is on its way to the end of it.
		hanging, line := r.hanging(), r.ok("status", "deeper")
		if len(hanging) == 1 && len(r.hanging()) == 1 && strings.HasPrefix(line, "deeper spawned (start)") {
			left = hanging[0]
		}
		return left != 0
	})
	if status := r.end(); status != 0 {
		t.Errorf("the daemon's exit status is %d", status)
	}
	for _, want := range []string{"deeper: main process (still being made) does not end even by KILL: left behind", fmt.Sprintf("pid=%d ", left)} {
		if !strings.Contains(r.stderr.String(), want) {
			t.Errorf("the log does not say %q", want)
		}
	}
	if isGone(left) {
		t.Errorf("process %d is gone: it did not hang as it should", left)
	}
	first.server.Process.Signal(unix.SIGCONT)
	r.until("the end of what was left", func() bool { return isGone(left) || isZombie(left) })
}

func isZombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.HasPrefix(string(stat[strings.LastIndex(string(stat), ")")+1:]), " Z")
}
