package main

import (
	"encoding/json"
	"testing"
)

// firstStart is how the first start of an instance went, as the daemon has it:
// seconds since the session began, nil for what has not come.
type firstStart struct {
	Job, Instance     string
	Starting, Running *float64
}

// startedInTurn fails the test unless each of the jobs was running when the next
// one began to start. What the jobs write does not tell that: of two processes the
// one that was started first may write last. Instance is that of all of them.
func (r *rig) startedInTurn(instance string, jobs ...string) {
	r.t.Helper()
	first := map[string]firstStart{}
	r.until("all of them to run", func() bool {
		var told struct{ Jobs []firstStart }
		if err := json.Unmarshal([]byte(r.ok("sctl", "plot", "--all", "--json")), &told); err != nil {
			r.t.Fatal(err)
		}
		for _, start := range told.Jobs {
			if start.Instance == instance {
				first[start.Job] = start
			}
		}
		for _, job := range jobs {
			if first[job].Running == nil {
				return false
			}
		}
		return true
	})
	for i, next := range jobs[1:] {
		if before := first[jobs[i]]; *first[next].Starting < *before.Running {
			r.t.Errorf("%s begins to start at %f s, and %s runs at %f s only", next, *first[next].Starting, jobs[i], *before.Running)
		}
	}
}

// What is started in turn is told from what is started at once, whichever writes
// first.
func TestStartedInTurn(t *testing.T) {
	r := newRig(t)
	r.job("one", "start on go\nscript\n    until [ -s $T ]; do sleep 0.01; done\n    echo one >> $T\n    exec sleep 600\nend script")
	r.job("two", "start on started one\nscript\n    echo two >> $T\n    exec sleep 600\nend script")
	r.start()
	r.ok("emit", "go")
	r.traced("two", "one")
	r.startedInTurn("", "one", "two")
}
