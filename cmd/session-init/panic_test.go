package main

import (
	"fmt"
	"strings"
	"testing"
)

// A panic on any goroutine ends the daemon; the keeper starts the next, and
// nothing else notices.
func TestPanics(t *testing.T) {
	for _, point := range []string{"after-journal", "before-clone", "reporting", "after-step"} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			r := newFaultyRig(t)
			r.life(func() { r.arm(point, "panic 2") })
			if r.isArmed(point) || !strings.Contains(r.stderr.String(), "panic: fail point "+point) ||
				!strings.Contains(r.stderr.String(), "the daemon died (exit status 2), starting it again") {
				t.Errorf("the log does not tell of the panic:\n%s", r.stderr)
			}
		})
	}
}

// A state of which each daemon dies is given up, not tried for ever: what
// runs lives on.
func TestPanicOfState(t *testing.T) {
	r := newFaultyRig(t)
	r.job("svc", "exec sleep 600")
	r.start()
	r.ok("start", "svc")
	svc := r.main("svc")
	r.arm("resuming", "panic-always")
	r.crash()
	r.until("a daemon that is ready", func() bool { return strings.Count(r.stderr.String(), " is ready") == 2 })
	if tried := strings.Count(r.stderr.String(), "panic: fail point resuming"); tried != 3 {
		t.Errorf("%d daemons died of the state; want 3", tried)
	}
	r.logged("cannot go on where the last daemon was: 3 daemons died with this state")
	r.becomes(fmt.Sprintf("svc running (start), process %d\n", svc), "svc")
	r.prints("svc waiting (stop)\n", "stop", "svc")
	r.prints("svc running (start), process PID\n", "start", "svc")
	if status := r.end(); status != 0 {
		t.Errorf("the keeper's status is %d", status)
	}
}
