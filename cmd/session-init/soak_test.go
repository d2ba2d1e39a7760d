package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// ends returns how often a daemon is to end in a test, in rounds with a
// session each: the keeper waits longer from death to death.
func ends() (rounds, each int) {
	if os.Getenv("SOAK") != "" {
		return 7, 8
	}
	return 1, 6
}

// load has jobs start, respawn, exit with known statuses and stop, each in a
// goroutine, while f ends daemons; then it checks the books.
func load(t *testing.T, f func(r *rig, round int)) {
	r := newRig(t)
	// Each run leaves a line when it begins, its end and its post-stop one
	// each; a task says how it ended by its status.
	r.job("task", "task\ninstance $N\nscript\n    echo task-up $N $$ >> $T\n    sleep 0.0$((N % 7))\n    exit $((N % 5))\nend script\npost-stop exec sh -c \"echo task-post $N >> $T\"")
	r.job("told", "start on stopped task\ninstance $INSTANCE\ntask\nexec sh -c \"echo told $INSTANCE ${EXIT_STATUS:-0} >> $T\"")
	r.job("svc", "instance $N\nscript\n    trap 'echo svc-down $N >> $T; exit 0' TERM\n    echo svc-up $N $$ >> $T\n    while :; do sleep 0.05 & wait $! || :; done\nend script\n"+
		"post-stop exec sh -c \"echo svc-post $N >> $T\"")
	r.job("again", "respawn\nrespawn limit unlimited\nscript\n    echo again-up $$ >> $T\n    exec sleep 600\nend script")
	r.job("rock", "instance $N\nexec sleep 600")
	r.start()
	var rocks []int
	for n := range 5 {
		r.ok("start", "rock", fmt.Sprintf("N=%d", n))
		rocks = append(rocks, r.main("rock", fmt.Sprintf("N=%d", n)))
	}
	r.ok("start", "again")
	first := r.main("again")

	var done = make(chan struct{})
	var working sync.WaitGroup
	names := []string{"task", "svc"}
	started := make([]int, len(names))
	sure := make([]map[int]bool, len(names)) // the client was told that it had run
	for worker, name := range names {
		sure[worker] = make(map[int]bool)
		working.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				// A call that is lost with the daemon may have been taken
				// or not: what counts is what the trace says of it.
				instance := fmt.Sprintf("N=%d", n)
				sure[worker][n] = r.command("start", name, instance).status == 0
				if name == "svc" && r.isUp(n-4) {
					r.command("stop", name, fmt.Sprintf("N=%d", n-4))
				}
				started[worker] = n + 1
			}
		})
	}
	_, each := ends()
	for i := range each {
		// Some work is done between two ends, more or less of it.
		lines := len(r.trace()) + rand.IntN(12)
		r.until("some work to be done", func() bool { return len(r.trace()) >= lines })
		f(r, i)
	}
	close(done)
	working.Wait()
	for n := range started[1] {
		// What is up is stopped; what is not needs no stop.
		instance := fmt.Sprintf("N=%d", n)
		if strings.Contains(r.command("status", "svc", instance).out, "running") {
			r.until("service "+instance+" to say that it is up", func() bool { return r.isUp(n) })
			r.command("stop", "svc", instance)
		}
	}
	unix.Kill(first, unix.SIGKILL)
	r.until("again to be made again", func() bool {
		return strings.Count(strings.Join(r.trace(), "\n"), "again-up ") == 2
	})
	r.until("all to be over", func() bool {
		list := r.command("sctl", "list")
		return list.status == 0 && strings.Count(list.out, " running (start), process ") == len(rocks)+1 &&
			strings.Contains(list.out, "svc waiting (stop)\n") && strings.Contains(list.out, "task waiting (stop)\n") &&
			strings.Contains(list.out, "told waiting (stop)\n")
	})
	for n, pid := range rocks {
		if now := r.main("rock", fmt.Sprintf("N=%d", n)); now != pid {
			t.Errorf("rock %d was process %d and is %d", n, pid, now)
		}
	}
	r.check(started, sure)
	r.end()
}

// isUp reports whether a service has said so, and can be stopped from then on.
func (r *rig) isUp(n int) bool {
	text, _ := os.ReadFile(filepath.Join(r.dir, "trace"))
	return strings.Contains(string(text), fmt.Sprintf("svc-up %d ", n))
}

// check compares what stands in the trace of tasks and services: each run has
// one end, one post-stop and, if it is a task, one exact status.
func (r *rig) check(started []int, sure []map[int]bool) {
	r.t.Helper()
	count := make(map[string]int)
	runs := 0
	for _, line := range r.trace() {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if words[0] == "task-up" || words[0] == "svc-up" {
			words = words[:2]
			runs++
		}
		count[strings.Join(words, " ")]++
	}
	tasks, services := started[0], started[1]
	for n := range tasks {
		up := count[fmt.Sprintf("task-up %d", n)]
		if up > 1 || up == 0 && sure[0][n] {
			r.t.Errorf("task %d ran %d times", n, up)
		}
		for _, line := range []string{fmt.Sprintf("task-post %d", n), fmt.Sprintf("told %d %d", n, n%5)} {
			if count[line] != up {
				r.t.Errorf("%q stands %d times in the trace, the task ran %d times", line, count[line], up)
			}
		}
	}
	for n := range services {
		up := count[fmt.Sprintf("svc-up %d", n)]
		if up > 1 || up == 0 && sure[1][n] {
			r.t.Errorf("service %d ran %d times", n, up)
		}
		for _, what := range []string{"svc-down", "svc-post"} {
			if line := fmt.Sprintf("%s %d", what, n); count[line] != up {
				r.t.Errorf("%q stands %d times in the trace, the service ran %d times", line, count[line], up)
			}
		}
	}
	if runs == 0 {
		r.t.Error("nothing ran")
	}
	r.t.Logf("%d tasks and %d services were asked for, %d ran", tasks, services, runs)
}

// TestRandomKills kills daemons at any moment under load.
func TestRandomKills(t *testing.T) {
	rounds, _ := ends()
	for range rounds {
		load(t, func(r *rig, _ int) { r.crash() })
	}
}

// TestRandomReExecs has daemons execute themselves anew under load.
func TestRandomReExecs(t *testing.T) {
	rounds, _ := ends()
	for range rounds {
		load(t, func(r *rig, _ int) {
			// The answer may be lost with the daemon that was asked.
			r.command("sctl", "re-exec")
		})
	}
}
