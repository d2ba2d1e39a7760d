package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// counts are what a daemon must not gather: descriptors, threads, children.
type counts struct{ descriptors, zombies, children int }

func (r *rig) counts() counts {
	r.t.Helper()
	pid := r.pid()
	var c counts
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		r.t.Fatal(err)
	}
	c.descriptors = len(entries)
	for _, child := range children(pid) {
		c.children++
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", child))
		if err == nil && strings.HasPrefix(string(stat[strings.LastIndex(string(stat), ")")+1:]), " Z") {
			c.zombies++
		}
	}
	return c
}

func TestChainOf300(t *testing.T) {
	r := newRig(t)
	const n = 300
	r.job("j0", "start on go\nexec sleep 600")
	for i := 1; i < n; i++ {
		r.job(fmt.Sprintf("j%d", i), fmt.Sprintf("start on started j%d\nstop on stopping j%d\nexec sleep 600", i-1, i-1))
	}
	r.job("first", "exec sleep 600")
	r.start()
	// What is opened with the first process stays open.
	r.ok("start", "first")
	r.ok("stop", "first")
	before := r.counts()
	r.ok("emit", "go")
	r.becomes(fmt.Sprintf("j%d running (start), process PID\n", n-1), fmt.Sprintf("j%d", n-1))
	if got := r.counts(); got.children != n {
		t.Errorf("%d children; want %d", got.children, n)
	}
	r.ok("stop", "j0")
	if out := r.ok("sctl", "list"); strings.Contains(out, "running") || strings.Count(out, "waiting (stop)\n") != n+1 {
		t.Errorf("not all have stopped:\n%s", out)
	}
	r.until("what was used to be given back", func() bool {
		now := r.counts()
		return now.descriptors <= before.descriptors && now.children == 0
	})
}

func TestThousandOnOneEvent(t *testing.T) {
	r := newRig(t)
	const n = 1000
	for i := range n {
		r.job(fmt.Sprintf("j%d", i), "start on go\nexec sleep 600")
	}
	r.start()
	r.ok("emit", "go")
	if out := r.ok("sctl", "list"); strings.Count(out, " running (start), process ") != n {
		t.Errorf("%d of %d run", strings.Count(out, " running (start), process "), n)
	}
	r.prints("", "sctl", "end-session")
	if status := r.wait(); status != 0 {
		t.Errorf("the daemon's exit status is %d", status)
	}
	if left := r.processes(); len(left) > 0 {
		t.Errorf("%d processes are left", len(left))
	}
}

// Nothing gathers over many starts, stops, events and clients.
func TestNothingGathers(t *testing.T) {
	r := newRig(t)
	r.job("svc", "pre-start exec true\nscript\n    echo x\n    exec sleep 600\nend script")
	r.start()
	round := func() {
		r.ok("start", "svc")
		r.ok("stop", "svc")
		r.ok("emit", "ev")
	}
	for range 5 {
		round()
	}
	var before counts
	r.until("the daemon to be at rest", func() bool { before = r.counts(); return before.children == 0 })
	for range 40 {
		round()
	}
	r.until("the daemon to hold no more than before", func() bool {
		now := r.counts()
		return now.descriptors <= before.descriptors && now.children == 0
	})
}
