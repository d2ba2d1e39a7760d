package keeper

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// failPoints panics at the points that there are files for, which it removes.
func failPoints(dir string) func(string) {
	return func(point string) {
		if dir != "" && os.Remove(filepath.Join(dir, point)) == nil {
			panic("fail point " + point)
		}
	}
}

// TestFaults: a panic on any goroutine of the keeper is neither its end nor the
// daemon's, and what was on its way is not lost with it. Under the race detector
// it goes on as it is, else it executes itself anew.
func TestFaults(t *testing.T) {
	dir := t.TempDir()
	k := start(t, "KEEPER_TEST_POINTS="+dir)
	k.lines("daemon unready 0")
	daemon, keeper := k.daemon, k.cmd.Process.Pid
	image := func() string {
		// Where things are in memory is by chance in each image.
		data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/auxv", keeper))
		return string(data)
	}
	var before string
	arm := func(point string) {
		t.Helper()
		before = image()
		if err := os.WriteFile(filepath.Join(dir, point), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	survived := func(point string) {
		t.Helper()
		until(t, "a panic at "+point, func() bool {
			_, err := os.Stat(filepath.Join(dir, point))
			return errors.Is(err, os.ErrNotExist)
		})
		until(t, "another image after "+point, func() bool { now := image(); return !executesAnew || now != before && now != "" })
	}

	arm("keeper-hearing")
	k.cmd.Process.Signal(unix.SIGTERM)
	k.lines("signal 15")
	survived("keeper-hearing")

	arm("keeper-listening")
	k.say("hold one")
	k.expect("holding <nil>")
	survived("keeper-listening")
	k.say("sync")
	k.expect("done")

	arm("keeper-telling")
	k.say("sync")
	k.expect("done")
	survived("keeper-telling")

	// The end of the daemon, and what falls to the keeper then.
	k.say("child")
	child := k.expect("child %d <nil>")
	arm("keeper-waiting")
	unix.Kill(daemon, unix.SIGKILL)
	k.lines("held one", "daemon unready 0", "signal 15")
	survived("keeper-waiting")
	arm("keeper-waiting")
	goOn(t, child)
	exit := fmt.Sprintf("exit %d %d", child, 5<<8)
	k.lines(exit)
	survived("keeper-waiting")
	arm("keeper-telling")
	k.say("sync")
	if executesAnew {
		// What was not said to have been seen is told to the daemon again only
		// by the next image.
		k.lines(exit, "done")
	} else {
		k.lines("done")
	}
	survived("keeper-telling")
	if k.daemon == daemon || k.cmd.Process.Pid != keeper {
		t.Errorf("the daemon is %d of keeper %d; want another than %d, of %d", k.daemon, k.cmd.Process.Pid, daemon, keeper)
	}
	k.say("end")
	if got := k.status(); got != 0 {
		t.Errorf("the keeper's status is %d; want 0", got)
	}
	log := k.errs.String()
	if n := strings.Count(log, "session-init: panic in the keeper ("); n != 6 {
		t.Errorf("the keeper told of %d panics; want 6:\n%s", n, log)
	}
	if n := strings.Count(log, "the daemon died (killed by signal 9)"); n != 1 {
		t.Errorf("the keeper told of %d deaths; want 1:\n%s", n, log)
	}
	if anew := !strings.Contains(log, "goes on as it is"); anew != executesAnew {
		t.Errorf("the keeper was executed anew: %t; want %t:\n%s", anew, executesAnew, log)
	}
}
