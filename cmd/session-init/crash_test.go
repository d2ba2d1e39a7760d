package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/testkit"
)

// The daemon dies, and nothing else notices.

// crash kills the daemon and waits for the next one.
func (r *rig) crash() {
	r.t.Helper()
	before := r.pid()
	if err := unix.Kill(before, unix.SIGKILL); err != nil {
		r.t.Fatal(err)
	}
	r.until("the next daemon", func() bool { return r.pid() != before })
}

// main returns the pid of a job's main process.
func (r *rig) main(args ...string) int {
	r.t.Helper()
	line := r.ok(append([]string{"status"}, args...)...)
	number := regexp.MustCompile(`, process ([0-9]+)\n`).FindStringSubmatch(line)
	if number == nil {
		r.t.Fatalf("%v has no main process: %q", args, line)
	}
	pid, err := strconv.Atoi(number[1])
	if err != nil {
		r.t.Fatal(err)
	}
	return pid
}

func TestCrashKeepsJobs(t *testing.T) {
	r := newRig(t)
	r.job("svc", "start on a and b\nstop on bye N=$N\nexport N\npost-stop exec sh -c \"echo post-stop $N >> $T\"\n"+service("svc"))
	r.job("getty", "instance $TTY\nexec sleep 600")
	r.job("half", "start on first and second\nexec sleep 600")
	r.job("gone", "exec sleep 600")
	r.start()
	r.ok("emit", "--no-wait", "a", "N=7")
	r.ok("emit", "b")
	r.ok("start", "getty", "TTY=1")
	r.ok("start", "getty", "TTY=2")
	r.ok("start", "gone")
	r.ok("emit", "--no-wait", "first")
	before := r.ok("sctl", "list")
	r.traced("svc")
	for range 3 {
		r.crash()
		if after := r.ok("sctl", "list"); after != before {
			t.Fatalf("after the crash:\n%s\nbefore:\n%s", after, before)
		}
	}
	// Half an expression, the variables of a start, stops and their order:
	// all as if nothing had happened.
	r.ok("emit", "second")
	r.prints("half running (start), process PID\n", "status", "half")
	r.ok("emit", "bye", "N=8")
	r.prints("svc running (start), process PID\n", "status", "svc")
	r.ok("emit", "bye", "N=7")
	r.traced("svc", "svc-term", "post-stop 7")
	r.prints("getty (1) waiting (stop)\n", "stop", "getty", "TTY=1")
	r.prints("getty (2) running (start), process PID\n", "status", "getty")
	if status := r.end(); status != 0 {
		t.Errorf("the keeper's status is %d", status)
	}
	if left := files(r.run); len(left) > 0 {
		t.Errorf("left in the runtime directory: %q", left)
	}
}

// What ends while there is no daemon, or under the next, is told exactly.
func TestCrashTellsExits(t *testing.T) {
	r := newRig(t)
	r.job("five", "script\n    while [ ! -e $W/go ]; do sleep 0.02; done\n    exit 5\nend script")
	r.job("segv", "script\n    while [ ! -e $W/go ]; do sleep 0.02; done\n    kill -SEGV $$\nend script")
	r.job("again", "respawn\nscript\n    echo run >> $T\n    exec sleep 600\nend script")
	r.job("say", "start on stopped five or stopped segv\ninstance $JOB\ntask\nscript\n    echo $JOB $RESULT $PROCESS $EXIT_STATUS$EXIT_SIGNAL >> $W/said\nend script")
	r.start()
	for _, name := range []string{"five", "segv", "again"} {
		r.ok("start", name)
	}
	again := r.main("again")
	r.traced("run")
	r.crash()
	r.write("go", "")
	said := func() string {
		text, _ := os.ReadFile(filepath.Join(r.dir, "said"))
		return string(text)
	}
	r.until("both ends to be told", func() bool { return strings.Count(said(), "\n") == 2 })
	for _, want := range []string{"five failed main 5\n", "segv failed main SEGV\n"} {
		if !strings.Contains(said(), want) {
			t.Errorf("said %q; want %q in it", said(), want)
		}
	}
	unix.Kill(again, unix.SIGKILL)
	r.traced("run", "run")
	r.until("a new main", func() bool { return strings.Contains(r.ok("status", "again"), "running") && r.main("again") != again })
}

// A daemon that dies at any moment of many starts and stops leaves none
// twice and none lost.
func TestCrashUnderLoad(t *testing.T) {
	r := newRig(t)
	const n = 40
	r.job("many", "start on go\ninstance $N\nkill timeout 60\nscript\n    trap 'echo down $N >> $T; exit 0' TERM\n    echo up $N >> $T\n    while :; do sleep 0.1 & wait $! || :; done\nend script\npost-stop exec sh -c \"echo post $N >> $T\"\nstop on halt")
	r.start()
	for i := range n {
		// The caller may lose its answer, never the job.
		r.command("emit", "--no-wait", "go", fmt.Sprintf("N=%d", i))
		if i%8 == 4 {
			r.crash()
		}
	}
	r.until("all to run", func() bool { return strings.Count(r.ok("sctl", "list"), " running (start), process ") == n })
	r.until("all to have said so", func() bool { return len(r.trace()) >= n })
	r.command("emit", "--no-wait", "halt")
	r.crash()
	r.until("all to have stopped", func() bool { return r.ok("sctl", "list") == "many waiting (stop)\n" })
	seen := make(map[string]int)
	for _, line := range r.trace() {
		seen[line]++
	}
	for i := range n {
		for _, what := range []string{"up", "down", "post"} {
			if line := fmt.Sprintf("%s %d", what, i); seen[line] != 1 {
				t.Errorf("%q stands %d times in the trace", line, seen[line])
			}
		}
	}
}

// Executed anew, the daemon is the same process with the same children.
func TestReExec(t *testing.T) {
	for _, args := range [][]string{nil, {"--no-keeper"}} {
		r := newRig(t)
		r.args = append(r.args, args...)
		r.job("svc", "stop on bye\npost-stop exec sh -c \"echo post-stop >> $T\"\n"+service("svc"))
		r.job("five", "script\n    while [ ! -e $W/go ]; do sleep 0.02; done\n    exit 5\nend script")
		r.job("said", "start on stopped five\ntask\nscript\n    echo $RESULT $EXIT_STATUS >> $T\nend script")
		r.job("half", "start on first and second\nexec sleep 600")
		r.start()
		r.ok("start", "svc")
		r.ok("start", "five")
		r.ok("emit", "--no-wait", "first")
		r.traced("svc")
		before, pid := r.ok("sctl", "list"), r.pid()
		for range 3 {
			r.prints("", "sctl", "re-exec")
			if after := r.ok("sctl", "list"); after != before {
				t.Fatalf("after the re-exec:\n%s\nbefore:\n%s", after, before)
			}
		}
		if len(args) == 0 {
			r.until("the keeper to be executed anew too", func() bool {
				environ, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", r.daemon.Process.Pid))
				return strings.Contains(string(environ), "SESSION_INIT_KEPT=")
			})
		}
		if r.pid() != pid {
			t.Errorf("the daemon was process %d and is %d", pid, r.pid())
		}
		r.write("go", "")
		r.traced("svc", "failed 5")
		r.ok("emit", "second")
		r.prints("half running (start), process PID\n", "status", "half")
		r.ok("emit", "bye")
		r.traced("svc", "failed 5", "svc-term", "post-stop")
		if status := r.end(); status != 0 {
			t.Errorf("the status is %d", status)
		}
		if left := files(r.run); len(left) > 0 {
			t.Errorf("left in the runtime directory: %q", left)
		}
	}
}

// What a finished task has left behind ends with the session, also when it
// fell to the keeper in between.
func TestCrashThenEndTakesStrays(t *testing.T) {
	testkit.Need(t, "setsid")
	r := newRig(t)
	r.job("stray", "task\nscript\n    setsid sleep 600 > /dev/null 2>&1 &\n    echo done >> $T\nend script")
	r.start()
	r.ok("start", "stray")
	r.traced("done")
	r.crash()
	r.ok("sctl", "list")
	if status := r.end(); status != 0 {
		t.Errorf("the keeper's status is %d", status)
	}
	r.logged("Left behind by a job, ended with the session")
	if left := r.processes(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// A state that cannot be read costs what it held, not the processes.
func TestCrashWithoutState(t *testing.T) {
	r := newRig(t)
	r.args = []string{"--confdir", r.conf, "--logdir", r.logs}
	r.job("svc", "start on startup\npost-stop exec sh -c \"echo post-stop >> $T\"\n"+service("svc"))
	r.job("getty", "instance $TTY\nexec sleep 600")
	r.start()
	r.traced("svc")
	r.ok("start", "getty", "TTY=1")
	before := r.ok("sctl", "list")
	// The state is what it is written to next; nobody is told.
	state := filepath.Join(r.run, "session-init", strconv.Itoa(r.daemon.Process.Pid), "state")
	if err := os.WriteFile(state, []byte("rubbish\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.crash()
	r.until("the processes to be taken over", func() bool { return r.ok("sctl", "list") == before })
	r.logged("is taken for its main process")
	r.ok("stop", "svc")
	r.traced("svc", "svc-term", "post-stop")
	unix.Kill(r.main("getty", "TTY=1"), unix.SIGKILL)
	r.becomes("getty waiting (stop)\n\tlast failure: main process killed by KILL signal\n", "getty")
}

// A daemon that cannot begin, where another was, leaves all to the next.
func TestCrashThenCannotBegin(t *testing.T) {
	r := newRig(t)
	genuine := r.binary
	program, err := os.ReadFile(genuine)
	if err != nil {
		t.Fatal(err)
	}
	r.write("bin/session-init", string(program))
	r.binary = filepath.Join(r.dir, "bin/session-init")
	r.job("svc", service("svc"))
	r.start()
	r.ok("start", "svc")
	r.traced("svc")
	before := r.ok("sctl", "list")
	// Where the session file belongs there is no directory for a while.
	sessions := filepath.Join(r.run, "upstart", "sessions")
	if err := os.Rename(sessions, sessions+".away"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(sessions, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	// The keeper would try on while the directory comes back; of three that fail
	// the third costs what they cannot read. So each waits until it may begin.
	pid := r.pid()
	r.write("bin/session-init", "#!/bin/sh\nuntil rm $W/next 2>/dev/null; do sleep 0.02; done\nexec "+genuine+" \"$@\"\n")
	r.binary = genuine
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for n := range 2 {
		r.write("next", "")
		r.until("a daemon to fail", func() bool { return strings.Count(r.stderr.String(), "the daemon died (exit status 1)") == n+1 })
	}
	if err := os.Remove(sessions); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(sessions+".away", sessions); err != nil {
		t.Fatal(err)
	}
	r.write("next", "")
	r.until("the next daemon", func() bool { return strings.Count(r.stderr.String(), "goes on where the last daemon was") == 1 })
	if after := r.ok("sctl", "list"); after != before {
		t.Errorf("after it:\n%s\nbefore:\n%s", after, before)
	}
}

// A definition whose file was broken, or removed, while there was no daemon.
func TestCrashAndBrokenFile(t *testing.T) {
	r := newRig(t)
	r.job("broken", "exec sleep 600")
	r.job("gone", "exec sleep 600")
	r.start()
	r.job("broken", "exec sleep 600\nbogus")
	r.logged("broken.conf:2:1: ")
	r.crash()
	r.prints("broken running (start), process PID\n", "start", "broken")
	r.prints("broken waiting (stop)\n", "stop", "broken")
	// Once it is gone, an explicit reload finds that.
	for _, name := range []string{"broken", "gone"} {
		if err := os.Remove(filepath.Join(r.conf, name+".conf")); err != nil {
			t.Fatal(err)
		}
	}
	r.ok("sctl", "reload-configuration")
	r.prints("", "sctl", "list")
}

// TestEndWhileKeeperIsReplaced: a signal that comes while the keeper executes
// itself anew ends the session all the same. The keeper may die of it.
func TestEndWhileKeeperIsReplaced(t *testing.T) {
	for range 30 {
		r := newRig(t)
		r.job("svc", "exec sleep 600")
		r.start()
		r.ok("start", "svc")
		r.prints("", "sctl", "re-exec")
		r.daemon.Process.Signal(unix.SIGTERM)
		r.wait()
		if state := r.daemon.ProcessState.Sys().(syscall.WaitStatus); state != 0 && (!state.Signaled() || state.Signal() != unix.SIGTERM) {
			t.Fatalf("the keeper: %v", r.daemon.ProcessState)
		}
		if left := files(r.run); len(left) > 0 {
			t.Fatalf("left in the runtime directory: %q", left)
		}
	}
}

// TestCallsWhileBeginning: who calls a daemon that begins is answered once all is
// there, whatever it asks for.
func TestCallsWhileBeginning(t *testing.T) {
	r := newRig(t)
	for i := range 300 {
		r.job(fmt.Sprintf("job%d", i), "exec sleep 600")
	}
	r.start()
	for range 3 {
		var calls sync.WaitGroup
		over := make(chan bool)
		for _, verb := range []string{"reload-configuration", "reload-configuration", "version"} {
			calls.Go(func() {
				for {
					select {
					case <-over:
						return
					default:
					}
					if got := r.command("sctl", verb); strings.Contains(got.errOut, "internal fault") {
						t.Errorf("%s while the daemon begins = %+v", verb, got)
						return
					}
				}
			})
		}
		r.crash()
		close(over)
		calls.Wait()
	}
}
