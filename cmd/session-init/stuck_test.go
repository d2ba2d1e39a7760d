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

// TestStuck: a process that hangs in the kernel, where not even KILL ends it,
// holds its stop up for a second. It is named until it is gone, also by the next
// daemon, and another main may begin beside it.
func TestStuck(t *testing.T) {
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
	for _, name := range []string{"exe", "one", "two", "three", "here"} {
		r.write("source/"+name, string(binary))
	}
	// See TestHang.
	first := r.newMirror("first", filepath.Join(r.dir, "source"))
	second := r.newMirror("second", first.dir)
	r.job("made", "kill timeout 1\nexec "+second.dir+"/exe 600")
	r.job("runs", "kill timeout 1\nexec cat "+second.dir+"/$FILE")
	r.job("hook", "kill timeout 1\npre-start exec cat "+second.dir+"/three\nexec sleep 600")
	r.start()

	first.server.Process.Signal(unix.SIGSTOP)
	// What cat opens by itself has no flags, unlike what its libraries open before.
	opens := func(pid int) func() bool {
		return func() bool {
			text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", pid))
			call := strings.Fields(string(text))
			return len(call) > 3 && call[0] == strconv.Itoa(unix.SYS_OPENAT) && call[3] == "0x0"
		}
	}
	r.ok("start", "runs", "FILE=one")
	old := r.main("runs")
	r.until("cat to hang", opens(old))
	r.ok("sctl", "start", "--no-wait", "made")
	r.until("the exec to hang", func() bool { return len(r.hanging()) == 1 })
	r.prints("runs waiting (stop)\n\tnot ended even by KILL: process PID (cat)\n", "stop", "runs")
	r.logged(fmt.Sprintf("runs: even KILL does not end cat (%d): left behind", old))
	r.prints("made waiting (stop)\n\tnot ended even by KILL: process PID (exe)\n", "stop", "made")
	r.logged("made: even KILL does not end exe (")
	r.ok("sctl", "start", "--no-wait", "hook")
	r.until("the hook's cat to hang", func() bool {
		n := 0
		for _, pid := range children(r.pid()) {
			if opens(pid)() {
				n++
			}
		}
		return n == 2
	})
	r.prints("hook waiting (stop)\n\tnot ended even by KILL: process PID (cat)\n", "sctl", "stop", "--force", "hook")
	if isGone(old) {
		t.Fatalf("process %d is gone: it did not hang as it should", old)
	}

	r.prints("runs running (start), process PID\n", "start", "runs", "FILE=two")
	beside := r.main("runs")
	r.until("the second cat to hang", opens(beside))
	r.becomes("runs running (start), process PID\n\tleft behind: process PID (cat)\n", "runs")
	r.crash()
	r.becomes(fmt.Sprintf("runs running (start), process %d\n\tleft behind: process %d (cat)\n", beside, old), "runs")
	r.becomes("made waiting (stop)\n\tleft behind: process PID (exe)\n", "made")
	r.prints(fmt.Sprintf("runs waiting (stop)\n\tnot ended even by KILL: process %d (cat)\n\tnot ended even by KILL: process %d (cat)\n", old, beside), "stop", "runs")

	first.server.Process.Signal(unix.SIGCONT)
	for _, name := range []string{"runs", "made", "hook"} {
		r.becomes(name+" waiting (stop)\n", name)
	}
	r.logged(fmt.Sprintf("runs: what even KILL did not end is gone: cat (%d)", old))
	r.logged(fmt.Sprintf("runs: what even KILL did not end is gone: cat (%d)", beside))
	if status := r.end(); status != 0 {
		t.Errorf("the daemon's exit status is %d", status)
	}
}
