package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// buildFaulty builds the daemon with its fail points, once.
var buildFaulty = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(programs, "faulty")
	build := exec.Command("go", "build", "-tags", "failpoints", "-o", dir+"/", ".", "../sctl")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("cannot build the daemon with fail points: %w\n%s", err, out)
	}
	return filepath.Join(dir, "session-init"), nil
})

// newFaultyRig is a rig whose daemon dies where arm says.
func newFaultyRig(t testing.TB) *rig {
	t.Helper()
	binary, err := buildFaulty()
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t)
	r.binary = binary
	r.write("points/passed", "")
	r.env = append(r.env, "SESSION_INIT_FAILPOINTS="+r.dir+"/points")
	return r
}

// arm has the daemon die at a point: "kill 2" at the second passage.
func (r *rig) arm(point, how string) { r.t.Helper(); r.write("points/"+point, how) }

// passed returns the point at which a daemon died last; empty for none.
func (r *rig) passed() string {
	text, err := os.ReadFile(filepath.Join(r.dir, "points/passed"))
	if err != nil {
		r.t.Fatal(err)
	}
	return string(text)
}

// isArmed reports whether a point was not passed yet.
func (r *rig) isArmed(point string) bool {
	_, err := os.Stat(filepath.Join(r.dir, "points", point))
	return err == nil
}

// life runs a job from its start to its end, by a daemon that may die at any
// moment of it, and checks that nothing of that shows. The caller arms.
func (r *rig) life(arm func()) {
	r.t.Helper()
	r.job("bystander", "exec sleep 600")
	r.job("svc", "pre-start exec sh -c \"echo pre >> $T\"\nscript\n    echo main $$ >> $T\n    while [ ! -e $W/go ]; do sleep 0.02; done\n    exit 5\nend script\n"+
		"post-stop exec sh -c \"echo post >> $T\"")
	r.job("said", "start on stopped svc\ntask\nexec sh -c \"echo $RESULT $PROCESS $EXIT_STATUS >> $T\"")
	r.start()
	r.ok("start", "bystander")
	bystander := r.main("bystander")
	arm()
	// The call may be lost with the daemon, and then is made again; an answer
	// that is lost is not.
	for {
		r.command("start", "svc")
		var line string
		r.until("an answer", func() bool {
			got := r.command("status", "svc")
			line = got.out
			return got.status == 0
		})
		if !strings.HasPrefix(line, "svc waiting") {
			break
		}
	}
	r.becomes("svc running (start), process PID\n", "svc")
	r.until("main to say so", func() bool { return len(r.trace()) >= 2 })
	svc := r.main("svc")
	r.write("go", "")
	want := []string{"pre", fmt.Sprintf("main %d", svc), "post", "failed main 5"}
	r.until("the end of the job", func() bool { return len(r.trace()) >= len(want) })
	r.until("the end of the last", func() bool { return r.command("status", "said").out == "said waiting (stop)\n" })
	r.prints("svc waiting (stop)\n\tlast failure: main process terminated with status 5\n", "status", "svc")
	if now := r.main("bystander"); now != bystander {
		r.t.Errorf("bystander was process %d and is %d", bystander, now)
	}
	// The keeper sees to it that this wish is not lost with the daemon.
	if status := r.end(); status != 0 {
		r.t.Errorf("the keeper's status is %d", status)
	}
	if got := r.trace(); !slices.Equal(got, want) {
		r.t.Errorf("trace is %q; want %q", got, want)
	}
	if left := files(r.run); len(left) > 0 {
		r.t.Errorf("left in the runtime directory: %q", left)
	}
}

// A daemon killed at any named point between the wish for a process and the
// record of its end is not missed.
func TestKilledAtPoint(t *testing.T) {
	for _, c := range []struct{ point, how string }{
		{"before-journal", "kill 1"}, // the call itself
		{"after-journal", "kill 1"},
		{"before-clone", "kill 1"},
		{"after-clone", "kill 1"},
		{"before-spawned", "kill 1"},
		{"reporting", "kill 1"}, // of Spawned
		{"reported", "kill 1"},
		{"before-journal", "kill 2"}, // Spawned
		{"after-journal", "kill 2"},
		{"before-recorded", "kill 2"},
		{"after-recorded", "kill 2"},
		{"after-reaped", "kill 2"},
		{"reporting", "kill 2"}, // of Exited
		{"after-clone", "kill 2"},
		{"before-recorded", "kill 4"},
		{"after-reaped", "kill 4"},
		{"after-step", "kill 5"},
	} {
		t.Run(c.point+" "+c.how, func(t *testing.T) {
			t.Parallel()
			r := newFaultyRig(t)
			r.life(func() { r.arm(c.point, c.how) })
			if r.isArmed(c.point) || r.passed() != c.point {
				t.Errorf("the daemon died at %q; want %s", r.passed(), c.point)
			}
		})
	}
}

// A daemon killed while it follows forks: what it follows is what the job runs,
// and how it ends is known.
func TestKilledFollowing(t *testing.T) {
	for _, c := range []struct{ expect, point, how string }{
		{"fork", "before-move", "kill 1"},
		{"fork", "after-move", "kill 1"},
		{"fork", "reporting", "kill 2"}, // of Forked
		{"fork", "before-recorded", "kill 1"},
		{"fork", "after-reaped", "kill 1"},
		{"daemon", "before-move", "kill 1"},
		{"daemon", "before-move", "kill 2"},
		{"daemon", "after-move", "kill 1"},
		{"daemon", "after-move", "kill 2"},
	} {
		t.Run(c.expect+" "+c.point+" "+c.how, func(t *testing.T) {
			t.Parallel()
			r := newFaultyRig(t)
			last := "( echo $(exec sh -c 'echo $PPID') >> $T; while [ ! -e $W/go ]; do sleep 0.02; done; exit 5 ) &\nexit 0"
			if c.expect == "daemon" {
				last = "( " + last + " ) &\nexit 0"
			}
			r.job("svc", "expect "+c.expect+"\nscript\n"+last+"\nend script")
			r.job("said", "start on stopped svc\ntask\nexec sh -c \"echo $RESULT $PROCESS $EXIT_STATUS >> $T\"")
			r.job("nudge", "task\nexec true")
			r.start()
			r.arm(c.point, c.how)
			r.command("sctl", "start", "--no-wait", "svc")
			r.until("the daemon to die", func() bool {
				// The start and the fork may have been reported at once: then
				// it is the next report at which the daemon dies.
				if c.point == "reporting" && r.isArmed(c.point) && len(r.trace()) == 1 {
					r.command("sctl", "start", "--no-wait", "nudge")
				}
				return !r.isArmed(c.point)
			})
			r.until("the last child", func() bool { return len(r.trace()) == 1 && r.trace()[0] != "" })
			// A line of how it became ready may follow.
			first := "svc running (start), process " + r.trace()[0] + "\n"
			// A daemon that is about to die may be asked yet.
			r.until("the last child to be main", func() bool { return strings.HasPrefix(r.command("status", "svc").out, first) })
			r.write("go", "")
			r.traced(r.trace()[0], "failed main 5")
			if status := r.end(); status != 0 {
				t.Errorf("the keeper's status is %d", status)
			}
		})
	}
}

// The next daemon is killed too, while it takes over.
func TestKilledTakingOver(t *testing.T) {
	for _, c := range []struct{ first, second, how string }{
		{"reported", "resuming", "kill 1"},
		{"after-clone", "before-state-created", "kill 1"},
		{"after-journal", "after-state-created", "kill 1"},
		{"after-clone", "adopting", "kill 1"},
		{"before-clone", "adopting", "kill 1"},
		{"reporting", "adopting", "kill 2"},
		{"after-reaped", "adopted", "kill 1"},
		{"reported", "before-recorded", "kill 1"},
		{"after-clone", "before-seen", "kill 1"},
	} {
		t.Run(c.first+" "+c.second, func(t *testing.T) {
			t.Parallel()
			r := newFaultyRig(t)
			r.life(func() { r.arm(c.second, c.how); r.arm(c.first, "kill 2") })
			if r.isArmed(c.first) || r.isArmed(c.second) {
				t.Errorf("the last point at which a daemon died is %q", r.passed())
			}
		})
	}
}

// A daemon killed while its state file is replaced has the old one or the
// new.
func TestKilledReplacingState(t *testing.T) {
	for _, point := range []string{"replacing-state", "before-state-replaced", "after-state-replaced"} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			r := newFaultyRig(t)
			r.life(func() {
				r.arm(point, "kill 1")
				large := "V=" + strings.Repeat("x", 120_000)
				r.until("the daemon to die", func() bool {
					r.command("emit", "ev", large)
					return !r.isArmed(point)
				})
			})
		})
	}
}

// Each passage of each point, one after the other.
func TestKilledAnywhere(t *testing.T) {
	if os.Getenv("SOAK") == "" {
		return // minutes: the two above have some of each kind
	}
	for n := 1; ; n++ {
		over := false
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			r := newFaultyRig(t)
			r.life(func() { r.arm("any", fmt.Sprintf("kill %d", n)) })
			t.Logf("killed at %q", r.passed())
			over = r.passed() == "" || t.Failed()
		})
		if over {
			return
		}
	}
}
