package main

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes the program a command of the scripts, by each of its names; it
// has the times of tests.
func TestMain(m *testing.M) {
	commands := map[string]func(){}
	for _, name := range []string{"sctl", "start", "stop", "restart", "reload", "status", "emit", "initctl"} {
		commands[name] = func() { os.Exit(runPatiently(os.Args, os.Environ(), os.Stdout, os.Stderr)) }
	}
	testscript.Main(m, commands)
}

// TestScripts runs the scripts that need no daemon.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			// Sessions of whoever runs the tests must not be found.
			env.Setenv("XDG_RUNTIME_DIR", env.WorkDir+"/run")
			return nil
		},
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// exits runs a command that must fail with a status: "exits 2 sctl".
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS COMMAND [ARGUMENT...]")
	}
	err := ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || strconv.Itoa(exit.ExitCode()) != args[0] {
		ts.Fatalf("%s: %v; want exit status %s", strings.Join(args[1:], " "), err, args[0])
	}
	if out := ts.ReadFile("stdout"); out != "" {
		ts.Fatalf("%s printed %q besides the error", strings.Join(args[1:], " "), out)
	}
}
