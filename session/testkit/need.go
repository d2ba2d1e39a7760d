// Package testkit holds what tests of several packages share. It is for
// tests only and knows no package of ours.
package testkit

import (
	"os/exec"
	"testing"
)

// Need returns the path of a program that a test drives, and skips the test
// when it is not installed. This is the only way in which a test may be
// skipped, so that all skips read alike and can be listed.
func Need(t testing.TB, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skip("missing: " + program)
	}
	return path
}

// NeedPython returns a Python 3 that has a module, and skips the test when
// there is none. The system's own is asked too, for it alone sees the modules
// of the system's packages.
func NeedPython(t testing.TB, module string) string {
	t.Helper()
	for _, program := range []string{"python3", "/usr/bin/python3"} {
		path, err := exec.LookPath(program)
		if err == nil && exec.Command(path, "-c", "import "+module).Run() == nil {
			return path
		}
	}
	t.Skip("missing: python3-" + module)
	return ""
}
