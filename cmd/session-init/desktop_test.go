package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/testkit"
)

// TestDesktop is the gate of the desktop session: .ci/desktop, which says what it
// looks at. With SOAK set it is 20 logins to each desktop.
func TestDesktop(t *testing.T) {
	const gate = "../../.ci/desktop"
	programs, err := exec.Command(gate, "programs").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, program := range strings.Fields(string(programs)) {
		testkit.Need(t, program)
	}
	cmd := exec.Command(gate)
	cmd.Env = append(os.Environ(), "ROUNDS=1")
	if os.Getenv("SOAK") != "" {
		cmd.Env = append(cmd.Env, "ROUNDS=20")
	}
	// It ends what it has begun when it is told to end.
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGTERM}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", gate, err, out)
	}
}
