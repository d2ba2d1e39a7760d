// Package session_test holds the rules of the architecture as tests: who may
// import whom, which names are forbidden where, and that everything is
// documented. A rule that is broken says why it is there. The checks
// themselves are in arch_check_test.go; arch_rules_test.go shows for each
// rule a text that breaks it.
package session_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	root   = ".."
	module = "github.com/session-init/session-init"

	unix = "golang.org/x/sys/unix"
)

// directions says what a package may import besides the standard library.
// Imports only point down; all sideways traffic goes through the loop of
// package session. A directory without a line here may not exist.
var directions = []direction{
	{"events", nil, "events know no jobs: they are the floor that everything stands on"},
	{"session/job", in("events"), "a job file means the same everywhere: parsing asks nobody"},
	{"session/desktop", in("events", "session/job"), "a desktop entry means the same everywhere: what it asks of the world is handed in"},
	{"session/engine", in("events", "session/job"), "the machine is a pure function; the world is behind inputs and effects"},
	{"session/sim", in("events", "session/job", "session/engine"), "a simulated world must not touch the real one"},
	{"session/foresee", in("events", "session/job", "session/engine"), "what would happen is worked out on a copy, which can touch nothing"},
	{"session/lint", in("events", "session/job"), "what is said of job files depends on them and on the answers that are handed in"},
	{"guard", nil, "what starts every goroutine must not depend on what runs there"},
	{"session/wire", nil, "bytes and values are the same everywhere: what a message means is said elsewhere"},
	{"session/api", in("session/wire"), "a client must not pull in the daemon, and must start fast"},
	{"session/bus", append(in("events", "guard", "session/api", "session/engine", "session/foresee", "session/job", "session/wire"), unix),
		"the bus translates calls into inputs; it knows no rules and no processes"},
	{"session/state", in("events", "guard", "session/job", "session/engine"), "what survives us is the engine's state and nothing else"},
	{"session/utmp", []string{unix}, "a record in a file means the same to the daemon and to its client"},
	{"session/socket", append(in("guard", "session/job"), unix), "it listens and says that somebody calls; who is started for that is decided above"},
	{"session/display", in("session/api", "session/display/variable", "session/wire"), "what a display is, is known without jobs; what follows from its end is decided by the engine"},
	{"session/display/variable", nil, "the names are the same for who sends them and who uses them"},
	{"session/conf", append(in("guard", "session/conf/notice", "session/desktop", "session/job"), unix), "loading files ends in definitions; it does not know what becomes of them"},
	{"session/conf/notice", nil, "who reads files once must not pay for what watches them"},
	{"session/conf/inotify", append(in("session/conf/notice"), unix), "it hands on what the kernel says"},
	{"session/testkit", nil, "the helpers of tests must be usable by every package"},
	{"session/testkit/mutate", nil, "what judges the tests of packages needs none of them"},
	{"session/testkit/boot", in("session/testkit"), "what boots a machine looks at it from outside"},
	{"supervise", append(in("guard", "supervise/began", "supervise/cgroup", "supervise/logtime", "supervise/scarce"), unix), "processes are kept apart from rules: supervise must be usable, and testable, without jobs"},
	{"supervise/began", nil, "what reads the state before Go changed it must be initialised before everything else"},
	{"supervise/logtime", []string{unix}, "the form of the notes about logs is the same for who writes and who reads them"},
	{"supervise/cgroup", []string{unix}, "directories and who is in them: what follows from that is decided above"},
	{"supervise/footprint", nil, "it serves any process, the keeper's above all"},
	{"supervise/keeper", append(in("supervise/footprint", "supervise/scarce", "supervise/sink"), unix), "what must not fail must be small"},
	{"supervise/login", []string{unix}, "what runs beside every desktop must be small, and starts before there is a daemon"},
	{"supervise/scarce", []string{unix}, "the daemon and the keeper above it share a limit, and leave as much of it"},
	{"supervise/sink", nil, "the daemon and the keeper above it write their lines in one way, and neither waits for who reads them"},
	{"supervise/pid1", []string{unix}, "boot steps are values; deciding them is not their work"},
	{"session", append(in("events", "guard", "session/api", "session/bus", "session/conf", "session/conf/inotify", "session/display", "session/display/variable", "session/engine", "session/foresee", "session/job", "session/lint",
		"session/login", "session/socket", "session/state", "session/utmp", "supervise", "supervise/footprint", "supervise/keeper", "supervise/pid1", "supervise/sink"), unix), "the loop wires everything together; only commands stand above it"},
	{"cmd/session-init", append(in("guard", "session", "session/api", "session/display", "session/display/variable", "session/job", "session/utmp", "supervise/footprint", "supervise/keeper", "supervise/login", "supervise/pid1"), unix),
		"a command reads flags and calls run; what it does is in packages"},
	{"cmd/sctl", append(in("events", "session/api", "session/conf", "session/desktop", "session/display/variable", "session/job", "session/lint", "session/utmp", "supervise/logtime", "supervise/pid1"), unix), "the client must start fast and run without the daemon's parts; to check files it reads them as the daemon does"},
	{"cmd/mkman", in("session/job"), "the manual is written from the table of stanzas and nothing else"},
	{"share", nil, "share is data"},
}

// in makes import paths of directories of this module.
func in(dirs ...string) []string {
	out := make([]string, len(dirs))
	for i, dir := range dirs {
		out[i] = module + "/" + dir
	}
	return out
}

// pureDirs are the packages that must give the same results for the same
// calls, byte for byte.
var pureDirs = []string{"events", "session/job", "session/desktop", "session/lint", "session/engine", "session/foresee", "session/sim", "session/wire"}

// pureStdlib is what of the standard library neither asks the world nor
// changes it.
var pureStdlib = []string{
	"bytes", "cmp", "container/heap", "container/list", "encoding/binary", "encoding/hex", "errors", "fmt",
	"hash/fnv", "hash/maphash", "iter", "maps", "math", "math/bits", "net/netip", "slices", "sort", "strconv", "strings",
	"path", "time", "unicode", "unicode/utf8", "unsafe",
}

// rules are the bans, each with its reason.
var rules = []rule{
	{"pure imports", "the pure part asks nobody: no files, network, processes, randomness, locks",
		pure, onlyImports(pureStdlib)},
	{"pure time", "time is an argument: the same inputs must give the same effects",
		pure, banNames("time.Now", "time.Since", "time.Until", "time.Sleep", "time.After", "time.AfterFunc",
			"time.NewTimer", "time.NewTicker", "time.Tick")},
	{"pure goroutines", "one goroutine owns the engine, and nothing in it waits",
		pure, banConcurrency},
	{"guarded goroutines", "a panic must be named, and followed by the next daemon, whichever goroutine it is on: use guard.Guard (the keeper is another process, and holds no more than it must)",
		daemon, banBareGoroutines},
	{"pure printing", "the pure part returns Log effects",
		pure, banNames("fmt.Print", "fmt.Printf", "fmt.Println", "fmt.Scan", "fmt.Scanf", "fmt.Scanln")},
	{"map keys unsorted", "map iteration never decides an order",
		code, banUnsortedMapKeys},
	{"no os/exec", "its Wait competes with the reaper, which takes every child there is (sctl has none, and runs the user's editor)",
		outside(code, "session/testkit", "cmd/sctl"), banImports("os/exec")},
	{"no cgo", "the binaries are static and pure Go",
		anyFile, banImports("C")},
	{"one log", "the log is structured and handed in: use log/slog, without its global logger",
		code, either(banImports("log"), banNames("slog.Default", "slog.SetDefault", "slog.Debug", "slog.Info",
			"slog.Warn", "slog.Error", "slog.Log", "slog.LogAttrs"))},
	{"no testify", "a test says F(x) = got; want",
		anyFile, banImports("github.com/stretchr/testify/assert", "github.com/stretchr/testify/require")},
	{"processes", "waiting, forking, tracing and killing live in supervise, on its one thread: a second waiter steals exits, a second killer hits recycled pids",
		outside(code, "supervise"), banProcessCalls},
	{"no polling", "nobody is waited for by polling: wake up for a reason",
		code, banNames("time.Sleep")},
	{"terminal", "only a command owns the terminal; a package gets a writer or a logger",
		outside(code, "cmd", "session/testkit/mutate", "session/testkit/boot"), either(banNames("fmt.Print", "fmt.Printf", "fmt.Println", "os.Stdout", "os.Stderr", "os.Stdin"),
			banBuiltins("print", "println"))},
	{"exit", "main alone ends the program, so that run can be tested",
		code, banExit},
	{"environment", "variables of the environment are arguments of packages: only a command reads them",
		outside(code, "cmd"), banNames("os.Getenv", "os.LookupEnv", "os.Environ", "os.Setenv", "os.Unsetenv", "os.Clearenv", "os.ExpandEnv")},
	{"no init", "importing a package has no side effects",
		code, banInit},
	{"no global state", "a variable of a package that changes is shared by everyone who imports it",
		code, banGlobalState},
	{"no shared variables", "a variable of a package that can be reached from elsewhere changes sooner or later; only the child of a fork must have its arguments at fixed places",
		outside(code, "supervise"), banSharedVariables},
	{"no dot import", "a name says where it comes from",
		anyFile, banDotImports},
	{"skips", "tests are skipped through testkit alone, so that every skip says what is missing and can be listed",
		outside(tests, "session/testkit"), banSkips},
	{"nothing for later", "what is unfinished is refused with a clear sentence, not noted in a comment",
		anyFile, banNotes},
}

// Where a rule holds.
func anyFile(string, bool) bool       { return true }
func tests(_ string, test bool) bool  { return test }
func code(_ string, test bool) bool   { return !test }
func pure(dir string, test bool) bool { return !test && below(dir, pureDirs...) }

// daemon is where code of the daemon's process is.
func daemon(dir string, test bool) bool {
	return !test && (below(dir, "session/bus", "session/conf", "session/socket", "session/state", "supervise", "cmd/session-init") || dir == "session") &&
		!below(dir, "supervise/keeper", "supervise/pid1")
}

func outside(where func(string, bool) bool, dirs ...string) func(string, bool) bool {
	return func(dir string, test bool) bool { return where(dir, test) && !below(dir, dirs...) }
}

// below reports whether dir is one of dirs or inside it.
func below(dir string, dirs ...string) bool {
	for _, d := range dirs {
		if dir == d || strings.HasPrefix(dir, d+"/") {
			return true
		}
	}
	return false
}

// A file of code may have this many lines, a file of tests a few more, since
// tables are long and easily read.
const (
	maxLines     = 600
	maxTestLines = 700
)

func TestArchImports(t *testing.T) {
	for _, f := range tree(t) {
		if !f.test {
			report(t, checkDirections(f, directions))
		}
	}
}

func TestArchRules(t *testing.T) {
	for _, f := range tree(t) {
		for _, r := range rules {
			report(t, r.apply(f))
		}
	}
}

func TestArchMapOrder(t *testing.T) {
	c := newTypeChecker()
	for _, dir := range pureDirs {
		if _, err := os.Stat(filepath.Join(root, dir)); err != nil {
			continue // a package of a later issue
		}
		found, err := c.mapRanges(dir)
		if err != nil {
			t.Errorf("cannot check %s: %v", dir, err)
		}
		report(t, found)
	}
}

func TestArchPackageComments(t *testing.T) {
	packages := make(map[string][]*source)
	for _, f := range tree(t) {
		if !f.test {
			packages[f.dir] = append(packages[f.dir], f)
		}
	}
	for _, files := range packages {
		report(t, checkPackageComment(files))
	}
}

func TestArchDocumented(t *testing.T) {
	for _, f := range tree(t) {
		if !f.test {
			report(t, checkDocumented(f))
		}
	}
}

func TestArchFileLength(t *testing.T) {
	for _, f := range tree(t) {
		report(t, checkLength(f))
	}
}

func report(t *testing.T, found []finding) {
	t.Helper()
	for _, f := range found {
		t.Errorf("%s", f)
	}
}

// tree parses every Go file of the module, test data left out: programs
// there are fixtures, and may be as wicked as they like.
func tree(t *testing.T) []*source {
	t.Helper()
	var files []*source
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() {
			if path != root && (name == "testdata" || name == "bin" || name == "vendor" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		f, err := parseSource(filepath.ToSlash(rel), text)
		if err != nil {
			return err
		}
		files = append(files, f)
		return nil
	})
	if err != nil {
		t.Fatalf("cannot read the tree: %v", err)
	}
	if len(files) == 0 {
		t.Fatal("there are no Go files: the tests look in the wrong place")
	}
	return files
}
