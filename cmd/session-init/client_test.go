package main

import (
	"bytes"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/session-init/session-init/session/testkit"
)

// TestUpstartClient does by D-Bus, with python3-dbus, what initctl and other
// clients of Upstart do.
func TestUpstartClient(t *testing.T) {
	program := testkit.NeedPython(t, "dbus")
	r := newRig(t).start()
	var out bytes.Buffer
	cmd := exec.Command(program, "testdata/client/upstart.py", r.address, r.conf)
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(2*patience, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	if err := cmd.Wait(); err != nil || out.String() != "done\n" {
		t.Errorf("upstart.py: %v, %s\n%s", err, out.String(), r.stderr)
	}
}
