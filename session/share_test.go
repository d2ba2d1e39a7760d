package session_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
	"github.com/session-init/session-init/session/sim"
)

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func checkJob(t *testing.T, name, path, text string) *job.Class {
	t.Helper()
	class, problems := job.Parse(name, path, []byte(text))
	for _, p := range problems {
		t.Errorf("%s", p.Error())
	}
	return class
}

// TestExamples holds the examples to what a reader may expect of them: no
// error, no warning, a word about each.
func TestExamples(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(root, "share/examples/*"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, path := range paths {
		name, isJob := strings.CutSuffix(filepath.Base(path), ".conf")
		if !isJob {
			t.Errorf("%s is no job file", path)
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		class := checkJob(t, name, path, string(text))
		if class == nil {
			continue
		}
		if class.Description == "" || class.Author == "" {
			t.Errorf("%s: description and author = %q, %q; want both", path, class.Description, class.Author)
		}
		if class.Processes[job.Main] == nil {
			t.Errorf("%s: it runs nothing", path)
		}
	}
}

// TestReadyJobsFail: a ready job whose program ends again and again, a second
// after its start, has failed in the end, and who started it is told: none is tried
// for ever.
func TestReadyJobsFail(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(root, "share/jobs/*.conf"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no jobs: %v", err)
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".conf")
		class := checkJob(t, name, path, read(t, strings.TrimPrefix(path, root+"/")))
		if class == nil || !class.Respawn {
			continue
		}
		w := sim.New(engine.Config{Table: events.Env{"WAYLAND_DISPLAY=wayland-1"}})
		w.Choose = func(s engine.Spawn) sim.Program {
			if s.Kind == job.Main {
				return sim.Program{Ends: true, After: time.Second, Status: 1}
			}
			return sim.Program{Ends: true}
		}
		const call = 1
		w.Do(engine.SetClass{Class: class})
		w.Do(engine.Start{Call: call, Target: engine.Target{Class: name}, Env: events.Env{"SESSION=1"}, Wait: true})
		// A service that is ready as soon as it runs answers then.
		for range 300 {
			w.Advance(time.Second)
		}
		if left := w.Processes(); len(left) > 0 || w.Waiting(call) {
			t.Errorf("%s: after five minutes of failing at once it is tried again, or its caller waits: %v", path, left)
		}
		if failure := w.Engine.View().LastFailure(name); !strings.Contains(failure, "respawned more than") {
			t.Errorf("%s: its failure is %q; want too many respawns", path, failure)
		}
	}
}

// TestSystemJobs holds the jobs of a machine to it, which have no other test
// without a virtual machine: no error, no warning, a word about each. That an
// event is one of the daemon's is checked here too, since a wrong name would do
// nothing at all.
func TestSystemJobs(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(root, "share/system/*.conf"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no jobs: %v", err)
	}
	known := []string{"startup", "runlevel", "control-alt-delete", "power-status-changed", "stopped"}
	condition := regexp.MustCompile(`(?m)^(?:start|stop) on (.*)`)
	for _, path := range paths {
		text := read(t, strings.TrimPrefix(path, root+"/"))
		class := checkJob(t, strings.TrimSuffix(filepath.Base(path), ".conf"), path, text)
		if class == nil {
			continue
		}
		if class.Description == "" || class.Author == "" || class.Processes[job.Main] == nil {
			t.Errorf("%s: description, author, main = %q, %q, %v; want all three", path, class.Description, class.Author, class.Processes[job.Main])
		}
		for _, m := range condition.FindAllStringSubmatch(text, -1) {
			for operand := range strings.SplitSeq(m[1], " or ") {
				if event, _, _ := strings.Cut(operand, " "); !slices.Contains(known, event) {
					t.Errorf("%s: it waits for %q; want one of %q", path, event, known)
				}
			}
		}
	}
}

// TestDocumentedJobs parses the jobs that the manual and the README show.
func TestDocumentedJobs(t *testing.T) {
	for _, page := range []string{"share/man/man5/session-init-job.5", "share/man/man7/session-init-events.7"} {
		shown := regexp.MustCompile(`(?ms)^\.Bd -literal.*?\n(.*?)^\.Ed$`).FindAllStringSubmatch(read(t, page), -1)
		if len(shown) == 0 {
			t.Errorf("%s shows no job", page)
		}
		for _, block := range shown {
			checkJob(t, "example", page, strings.ReplaceAll(block[1], `\e`, `\`))
		}
	}

	const coming = "share/doc/coming-from.md"
	blocks := regexp.MustCompile(`(?m)(?:^(?:    .*)?\n)+`).FindAllString(read(t, coming), -1)
	jobs := 0
	for _, block := range blocks {
		if strings.TrimSpace(block) != "" {
			checkJob(t, "example", coming, block)
			jobs++
		}
	}
	if jobs == 0 {
		t.Errorf("%s shows no job", coming)
	}

	_, rest, found := strings.Cut(read(t, "README.md"), "hello.conf`:\n\n")
	if !found {
		t.Fatal("README.md shows no hello.conf")
	}
	var lines []string
	for line := range strings.Lines(rest) {
		if line != "\n" && !strings.HasPrefix(line, "    ") {
			break
		}
		lines = append(lines, strings.TrimPrefix(line, "    "))
	}
	if class := checkJob(t, "hello", "README.md", strings.Join(lines, "")); class != nil && class.Processes[job.Main] == nil {
		t.Errorf("hello.conf of README.md = %q; want a main process", lines)
	}
}

// missing returns the words that a page does not name with that macro, and
// the unwanted ones that it does.
func missing(page, macro string, wanted, unwanted []string) (absent, present []string) {
	named := func(word string) bool {
		return regexp.MustCompile(`(?m)(^\.It |, |^\.|\| )` + macro + ` ` + regexp.QuoteMeta(word) + `( [A-Z,|]|$)`).MatchString(page)
	}
	for _, word := range wanted {
		if !named(word) {
			absent = append(absent, word)
		}
	}
	for _, word := range unwanted {
		if regexp.MustCompile(`(?m)^\.It .*` + macro + ` ` + regexp.QuoteMeta(word) + `( [A-Z,|]|$)`).MatchString(page) {
			present = append(present, word)
		}
	}
	return absent, present
}

func TestManualNamesEveryStanza(t *testing.T) {
	var wanted, unwanted []string
	for _, s := range job.Stanzas() {
		if s.NotYet {
			unwanted = append(unwanted, s.Title())
		} else {
			wanted = append(wanted, s.Title())
		}
	}
	absent, present := missing(read(t, "share/man/man5/session-init-job.5"), "Ic", wanted, unwanted)
	if len(absent) > 0 || len(present) > 0 {
		t.Errorf("session-init-job(5): stanzas that it lacks: %q; that it has and that do not work yet: %q", absent, present)
	}
}

func TestManualNamesEveryFlag(t *testing.T) {
	// The table of flags is in package main: it is read as text. A flag
	// without help is one that is refused.
	var wanted, unwanted []string
	for _, m := range regexp.MustCompile(`\{name: "([a-z-]+)"(, (?:value|help): )?`).FindAllStringSubmatch(read(t, "cmd/session-init/flags.go"), -1) {
		if m[2] == "" {
			unwanted = append(unwanted, "Fl "+m[1])
		} else {
			wanted = append(wanted, "Fl "+m[1])
		}
	}
	if len(wanted) < 10 || !slices.Contains(wanted, "Fl confdir") {
		t.Fatalf("flags of session-init = %q; the table is not where it was", wanted)
	}
	absent, present := missing(read(t, "share/man/man8/session-init.8"), "Fl", wanted, unwanted)
	if len(absent) > 0 || len(present) > 0 {
		t.Errorf("session-init(8): flags that it lacks: %q; that it has and that are refused: %q", absent, present)
	}
}

func TestMissingCanFail(t *testing.T) {
	page := ".It Ic exec Ar command , Ic script No ...\n.It Ic kill mode Ar word\n.Ic nice\n"
	absent, present := missing(page, "Ic", []string{"exec", "script", "nice", "kill", "mode"}, []string{"kill mode", "linger"})
	if got, want := strings.Join(absent, " "), "kill mode"; got != want {
		t.Errorf("missing: absent = %q; want %q", got, want)
	}
	if got, want := strings.Join(present, ","), "kill mode"; got != want {
		t.Errorf("missing: present = %q; want %q", got, want)
	}
}
