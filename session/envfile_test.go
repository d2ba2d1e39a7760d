package session

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
)

func writeEnvFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "env")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWithEnvFiles(t *testing.T) {
	class := job.NewClass("a")
	class.EnvFiles = []string{
		writeEnvFile(t, "A=1\nB=1\nFIXED=1\nPATH=/x\n"),
		writeEnvFile(t, "B=2\nNEW='n n'\n"),
	}
	effect := engine.Spawn{Class: class, Env: events.Env{"PATH=/bin:/links", "A=0", "FIXED=0"}, Fixed: []string{"FIXED"}}
	got, err := withEnvFiles(effect, "/links")
	want := events.Env{"PATH=/x:/links", "A=1", "FIXED=0", "B=2", "NEW=n n"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("withEnvFiles = %q, %v; want %q", got, err, want)
	}
	if effect.Env[1] != "A=0" {
		t.Error("withEnvFiles changed the environment that it was given")
	}
	if got, err := withEnvFiles(effect, ""); err != nil || got[0] != "PATH=/x" {
		t.Errorf("without a directory of links: %q, %v; want PATH=/x first", got, err)
	}
}

func TestWithEnvFilesFails(t *testing.T) {
	bad := writeEnvFile(t, "A=1\nif true\n")
	for _, test := range []struct{ path, want string }{
		{"/no/such/file", "cannot read the env file '/no/such/file': no such file or directory"},
		{filepath.Dir(bad), "cannot read the env file '" + filepath.Dir(bad) + "': not a regular file"},
		{bad, "cannot use an env file: " + bad + ":2:1: 'if true' is no variable (expected KEY=VALUE)"},
	} {
		class := job.NewClass("a")
		class.EnvFiles = []string{test.path}
		env, err := withEnvFiles(engine.Spawn{Class: class}, "")
		if err == nil || err.Error() != test.want || env != nil {
			t.Errorf("withEnvFiles(%s) = %q, %v; want %s", test.path, env, err, test.want)
		}
	}
}

// What the file says is read for each process, and is weaker than what the
// start says.
func TestLoopEnvFile(t *testing.T) {
	path := writeEnvFile(t, "A=file\nB=file\nC=file\n")
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(func(c *job.Class) { c.EnvFiles, c.Env = []string{path}, []string{"B=stanza"} })
		go w.run()
		w.loop.Step(engine.Start{Call: 1, Target: svc, Wait: true, Env: events.Env{"C=start"}})
		synctest.Wait()
		if len(w.specs) != 1 {
			t.Fatalf("%d processes were made: %q", len(w.specs), w.lines())
		}
		for _, want := range []string{"A=file", "B=stanza", "C=start"} {
			if env := w.specs[0].Env; !slices.Contains(env, want) {
				t.Errorf("the environment is %q; want %s in it", env, want)
			}
		}
		w.end()
	})
}

func TestLoopEnvFileMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(func(c *job.Class) { c.EnvFiles = []string{"/no/such/file"} })
		go w.run()
		w.loop.Step(engine.Start{Call: 1, Target: svc, Wait: true})
		synctest.Wait()
		if lines := w.lines(); !slices.Contains(lines, "reply 1 Job failed to start") || len(w.specs) > 0 {
			t.Errorf("without its env file: %q", lines)
		}
		w.end()
	})
}

// A stop does not wait for a file that never comes, nor for a user.
func TestLoopKillBeforePrepared(t *testing.T) {
	w := newWorld(nil)
	w.loop.credentials[8] = false
	w.loop.perform(engine.Kill{Proc: 8, Signal: 15})
	w.loop.perform(engine.Kill{Proc: 8, Signal: 9})
	taken, _ := w.loop.inbox.take(10)
	var failed []string
	for _, m := range taken {
		if f, ok := m.input.(engine.SpawnFailed); ok {
			failed = append(failed, f.Reason)
		}
	}
	if len(failed) != 1 || !strings.Contains(failed[0], "before it began") {
		t.Errorf("after two kills it was told %q; want once that it was stopped before it began", failed)
	}
}
