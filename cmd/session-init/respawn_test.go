package main

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// An hour is a delay that no test sees the end of: whatever happens before is
// not the delay's doing.
const hourly = "respawn\nrespawn delay 3600\npost-stop exec sh -c \"echo post-stop >> $T\"\n"

// dies ends the main process of a job and waits until it waits for its
// respawn.
func (r *rig) dies(name string) {
	r.t.Helper()
	if err := unix.Kill(r.main(name), unix.SIGKILL); err != nil {
		r.t.Fatal(err)
	}
	r.becomes(name+" post-stop (start)\n\trespawning in PID seconds\n", name)
}

// A respawn that waits is shown, also after a crash of the daemon and by
// initctl; a start, a restart and a stop end the wait, and a reload cannot be.
func TestRespawnDelay(t *testing.T) {
	r := newRig(t)
	r.job("svc", hourly+"script\n    echo run $N >> $T\n    exec sleep 600\nend script")
	r.job("below", "start on started svc\nstop on stopping svc\nexec sleep 600")
	r.start()
	r.ok("start", "svc", "N=1")
	r.traced("run 1")
	r.dies("svc")
	r.traced("run 1", "post-stop")
	r.becomes("below waiting (stop)\n", "below")
	r.prints("below waiting (stop)\nsvc post-stop (start)\n", "sctl", "list")
	r.prints("svc start/post-stop\n", "initctl", "status", "svc")
	r.refused(1, "reload: cannot reload 'svc': Not running: respawning in PID seconds\n", "reload", "svc")

	r.crash()
	r.prints("svc post-stop (start)\n\trespawning in PID seconds\n", "status", "svc")
	r.prints("svc running (start), process PID\n", "start", "svc", "N=2")
	r.traced("run 1", "post-stop", "run 2")
	r.refused(1, "start: cannot start 'svc': Already running\n", "start", "svc")

	r.dies("svc")
	r.prints("svc running (start), process PID\n", "restart", "svc", "N=3")
	r.traced("run 1", "post-stop", "run 2", "post-stop", "run 3")
	r.clear()

	r.dies("svc")
	r.prints("svc waiting (stop)\n", "stop", "svc")
	r.refused(1, "stop: cannot stop 'svc': Not running\n", "stop", "svc")
	r.traced("post-stop")
}

// The end of the session waits for no respawn.
func TestRespawnDelayAtTheEnd(t *testing.T) {
	r := newRig(t)
	r.job("svc", hourly+"exec sleep 600")
	r.start()
	r.ok("start", "svc")
	r.dies("svc")
	if status := r.end(); status != 0 {
		t.Errorf("the daemon's status is %d", status)
	}
	r.traced("post-stop")
	if strings.Contains(r.stderr.String(), "was still in") {
		t.Errorf("somebody was cut short:\n%s", r.stderr)
	}
}

// After the delay the job runs again, and a delay that grows waits longer.
func TestRespawnBackoff(t *testing.T) {
	r := newRig(t)
	r.job("svc", "respawn\nrespawn backoff 2 3600\nnormal exit 0\nscript\n    echo run >> $T\n    [ $(grep -c run $T) = 3 ]\nend script\npost-stop exec sh -c \"echo post-stop >> $T\"")
	r.start()
	r.ok("start", "svc")
	// It fails twice, which costs a second and two, and then ends well.
	r.traced("run", "post-stop", "run", "post-stop", "run", "post-stop")
	r.becomes("svc waiting (stop)\n", "svc")
	r.logged("respawning after a delay of 1 second")
	r.logged("respawning after a delay of 2 seconds")
	if strings.Contains(r.stderr.String(), "too fast") {
		t.Errorf("the limit was reached:\n%s", r.stderr)
	}
}
