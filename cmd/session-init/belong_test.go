package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// pids waits for so many pids in the trace.
func (r *rig) pids(n int) []int {
	r.t.Helper()
	var pids []int
	r.until(strconv.Itoa(n)+" pids", func() bool {
		pids = pids[:0]
		for _, line := range r.trace() {
			if pid, err := strconv.Atoi(line); err == nil {
				pids = append(pids, pid)
			}
		}
		return len(pids) >= n
	})
	return pids
}

func isGone(pid int) bool { return unix.Kill(pid, 0) == unix.ESRCH }

// commandOf is the name of the program that a process runs; empty when it is gone.
func commandOf(pid int) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return strings.TrimSpace(string(text))
}

// untilAsleep is a line of a script that waits until the process whose pid is in
// the trace has become the sleep by whose name it is known.
const untilAsleep = "    until [ -s $T ] && grep -q sleep /proc/$(cat $T)/comm; do sleep 0.01; done\n"

// hiding is a script that makes processes which are hard to find, and prints
// their pids.
const hiding = `
    setsid sh -c 'echo $$ >> $T; exec sleep 1000' &
    (setsid sh -c 'sleep 1000 & echo $! >> $T' &)
    env -i T=$T setsid sh -c '(sleep 1000 & echo $! >> $T) &'
    setsid sh -c 'trap "" TERM; echo $$ >> $T; while :; do sleep 0.02; done' &
`

// TestStopLeavesNothing: a stopped service leaves no process behind.
func TestStopLeavesNothing(t *testing.T) {
	r := newRig(t)
	r.job("svc", "kill timeout 1\nscript"+hiding+"    exec sleep 1000\nend script")
	r.job("other", "script"+hiding+"    exec sleep 1000\nend script")
	r.start()
	r.ok("start", "svc")
	mine := r.pids(4)
	r.ok("start", "other")
	all := r.pids(8)
	r.prints("svc waiting (stop)\n", "stop", "svc")
	for i, pid := range all {
		if gone := isGone(pid); gone != (i < len(mine)) {
			t.Errorf("process %d of %d, gone: %t", i, pid, gone)
		}
	}
}

// TestServiceEndsByItself: what it leaves behind is ended and named.
func TestServiceEndsByItself(t *testing.T) {
	r := newRig(t)
	r.job("svc", "script\n    setsid sh -c 'echo $$ >> $T; exec sleep 1000' &\n"+untilAsleep+"end script")
	r.start()
	r.ok("start", "svc")
	pid := r.pids(1)[0]
	r.until("the end of the job", func() bool { return r.ok("status", "svc") == "svc waiting (stop)\n" })
	if !isGone(pid) {
		t.Errorf("process %d lives", pid)
	}
	r.logged(fmt.Sprintf("sleep (%d)", pid))
}

// TestTaskLeavesBehind: what a finished task leaves behind stays, is named,
// and is gone with the session.
func TestTaskLeavesBehind(t *testing.T) {
	r := newRig(t)
	r.job("once", "task\nscript\n    setsid sh -c 'echo $$ >> $T; exec sleep 1000' &\n"+untilAsleep+"end script")
	r.start()
	r.ok("start", "once")
	pid := r.pids(1)[0]
	want := fmt.Sprintf("once waiting (stop)\n\tleft behind: process %d (sleep)\n", pid)
	r.until("the process in the status", func() bool { return r.ok("status", "once") == want })
	if isGone(pid) {
		t.Fatalf("process %d is gone", pid)
	}
	r.logged(fmt.Sprintf("once has finished and leaves behind: sleep (%d)", pid))
	unix.Kill(pid, unix.SIGKILL)
	r.until("the end of it in the status", func() bool { return r.ok("status", "once") == "once waiting (stop)\n" })
}

// TestKillModes: what is spared stays, and is named.
func TestKillModes(t *testing.T) {
	for _, mode := range []string{"group", "process"} {
		t.Run(mode, func(t *testing.T) {
			r := newRig(t)
			r.job("svc", "kill mode "+mode+"\nscript\n    sleep 1000 & echo $! >> $T\n    until [ -s $T ]; do sleep 0.01; done\n"+
				"    setsid sh -c 'echo $$ >> $T; exec sleep 1000' &\n    exec sleep 1000\nend script")
			r.start()
			r.ok("start", "svc")
			pids := r.pids(2)
			r.until("the second to be what it is named by", func() bool { return commandOf(pids[1]) == "sleep" })
			r.prints("svc waiting (stop)\n", "stop", "svc")
			if gone := isGone(pids[0]); gone != (mode == "group") || isGone(pids[1]) {
				t.Errorf("gone: %t, %t; want %t and false", gone, isGone(pids[1]), mode == "group")
			}
			r.logged(fmt.Sprintf("sleep (%d)", pids[1]))
		})
	}
}

// TestForcedStop: a hook that hangs is ended, deaf or not, and all processes
// can be seen.
func TestForcedStop(t *testing.T) {
	r := newRig(t)
	r.job("svc", "kill timeout 1\npre-start script\n    trap '' TERM\n    setsid sh -c 'echo $$ >> $T; exec sleep 1000' &\n"+
		"    while :; do sleep 0.05; done\nend script\nexec sleep 1000")
	r.start()
	r.ok("sctl", "start", "--no-wait", "svc")
	pid := r.pids(1)[0]
	r.until("all its processes", func() bool {
		shown := r.ok("sctl", "status", "--processes", "svc")
		return strings.HasPrefix(shown, "svc pre-start (start)\n") && strings.Contains(shown, fmt.Sprintf("\tprocess %d (sleep 1000)\n", pid))
	})
	r.prints("svc waiting (stop)\n", "sctl", "stop", "--force", "svc")
	if !isGone(pid) {
		t.Errorf("process %d lives", pid)
	}
}

// TestReadyTimeout: a service that is not ready in the time that it has fails
// with a sentence, and nothing of it is left.
func TestReadyTimeout(t *testing.T) {
	r := newRig(t)
	r.job("svc", "expect fork\nready timeout 1\nexec sleep 1000")
	r.start()
	r.refused(1, "start: cannot start 'svc': Job failed to start: main process was not ready within 1 second, as 'expect fork' declares it; it did not fork: 'expect none' fits\n", "start", "svc")
	r.until("the end of the process", func() bool { return len(r.processes()) == 0 })
}
