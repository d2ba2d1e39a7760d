package session_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"strings"
	"testing"
)

// breaches holds, for each rule, texts that break it and texts beside them
// that do not. A rule that can't fail would be worthless, so each must be
// here.
var breaches = []struct {
	rule string
	name string // the file that the text would be
	text string
	want string // what is found, joined by "; "; empty for nothing
}{
	{"pure imports", "events/a.go", `import "os"`, "import of os"},
	{"pure imports", "session/engine/a.go", `import "sync"`, "import of sync"},
	{"pure imports", "session/job/a.go", `import "math/rand/v2"`, "import of math/rand/v2"},
	{"pure imports", "session/job/a.go", `import "golang.org/x/sys/unix"`, "import of golang.org/x/sys/unix"},
	{"pure imports", "events/a.go", `import "strings"`, ""},
	{"pure imports", "events/a_test.go", `import "os"`, ""},
	{"pure imports", "supervise/a.go", `import "os"`, ""},

	{"pure time", "session/engine/a.go", `import "time"; var a = time.Now()`, "time.Now"},
	{"pure time", "session/engine/a.go", `import "time"; var a = time.Since`, "time.Since"},
	{"pure time", "session/sim/a.go", `import clock "time"; var a = clock.NewTimer(1)`, "time.NewTimer"},
	{"pure time", "session/engine/a.go", `import "time"; func f(t time.Time) time.Time { return t.Add(time.Second) }`, ""},
	{"pure time", "session/engine/a.go", `import "time"; type c struct{ Now int }; func f() int { time := c{}; return time.Now }`, ""},
	{"pure time", "session/loop.go", `import "time"; var a = time.Now()`, ""},

	{"pure goroutines", "events/a.go", `func f() { go f() }`, "go statement"},
	{"pure goroutines", "events/a.go", `func f(c <-chan int) { select { case <-c: } }`, "channel; select statement"},
	{"pure goroutines", "session/bus/a.go", `func f() { go f() }`, ""},

	{"guarded goroutines", "session/bus/a.go", `func f() { go f() }`, "go statement"},
	{"guarded goroutines", "supervise/a.go", `func f(w *sync.WaitGroup) { w.Go(f) }`, "w.Go"},
	{"guarded goroutines", "session/a.go", `func f(d *Daemon) { d.guard.Go("a", f) }`, ""},
	{"guarded goroutines", "supervise/keeper/a.go", `func f() { go f() }`, ""},
	{"guarded goroutines", "session/bus/a_test.go", `func f() { go f() }`, ""},

	{"pure printing", "events/a.go", `import "fmt"; func f() { fmt.Println() }`, "fmt.Println"},
	{"pure printing", "events/a.go", `import "fmt"; func f() string { return fmt.Sprint() }`, ""},

	{"map keys unsorted", "session/bus/a.go", `import "maps"; func f(m map[string]int) any { return maps.Keys(m) }`,
		"maps.Keys without slices.Sorted around it"},
	{"map keys unsorted", "session/bus/a.go", `import ("maps"; "slices"); func f(m map[string]int) any { return slices.Collect(maps.Values(m)) }`,
		"maps.Values without slices.Sorted around it"},
	{"map keys unsorted", "session/bus/a.go", `import ("maps"; "slices"); func f(m map[string]int) any { return slices.Sorted(maps.Keys(m)) }`, ""},

	{"no os/exec", "session/a.go", `import "os/exec"`, "import of os/exec"},
	{"no os/exec", "cmd/session-init/a.go", `import run "os/exec"`, "import of os/exec"},
	{"no os/exec", "cmd/sctl/a.go", `import "os/exec"`, ""},
	{"no os/exec", "session/a_test.go", `import "os/exec"`, ""},

	{"no cgo", "supervise/a.go", `import "C"`, "import of C"},
	{"no cgo", "supervise/a_test.go", `import "C"`, "import of C"},
	{"no cgo", "supervise/a.go", `import "unsafe"`, ""},

	{"one log", "session/a.go", `import "log"`, "import of log"},
	{"one log", "session/a.go", `import "log/slog"; func f() { slog.Info("") }`, "slog.Info"},
	{"one log", "session/a.go", `import "log/slog"; func f(l *slog.Logger) { l.Info("") }`, ""},

	{"no testify", "session/a_test.go", `import "github.com/stretchr/testify/assert"`, "import of github.com/stretchr/testify/assert"},
	{"no testify", "session/a_test.go", `import "testing"`, ""},

	{"processes", "session/a.go", `import "syscall"; func f() { syscall.Wait4(-1, nil, 0, nil) }`, "syscall.Wait4"},
	{"processes", "session/bus/a.go", `import "golang.org/x/sys/unix"; func f() { unix.PtraceCont(1, 0) }`, "unix.PtraceCont"},
	{"processes", "session/bus/a.go", `import "golang.org/x/sys/unix"; const a = unix.PTRACE_O_TRACEFORK`, "unix.PTRACE_O_TRACEFORK"},
	{"processes", "cmd/sctl/a.go", `import "syscall"; func f() { syscall.Kill(1, syscall.SIGTERM) }`, "syscall.Kill"},
	{"processes", "cmd/sctl/a.go", `import "syscall"; func f() error { return syscall.Kill(1, 0) }`, ""},
	{"processes", "session/a.go", `import "os"; func f() { os.StartProcess("", nil, nil) }`, "os.StartProcess"},
	{"processes", "session/a.go", `import "syscall"; func f() { syscall.RawSyscall(syscall.SYS_CLONE, 0, 0, 0) }`, "syscall.SYS_CLONE"},
	{"processes", "session/a.go", `import "syscall"; const a = syscall.SYS_GETPID`, ""},
	{"processes", "supervise/a.go", `import "syscall"; func f() { syscall.Wait4(-1, nil, 0, nil) }`, ""},
	{"processes", "session/a_test.go", `import "syscall"; func f() { syscall.Kill(1, syscall.SIGTERM) }`, ""},

	{"no polling", "session/a.go", `import "time"; func f() { time.Sleep(1) }`, "time.Sleep"},
	{"no polling", "session/a_test.go", `import "time"; func f() { time.Sleep(1) }`, ""},

	{"terminal", "session/conf/a.go", `import "fmt"; func f() { fmt.Printf("") }`, "fmt.Printf"},
	{"terminal", "session/a.go", `import "os"; var a = os.Stderr`, "os.Stderr"},
	{"terminal", "session/a.go", `func f() { println() }`, "call of println"},
	{"terminal", "cmd/sctl/a.go", `import "os"; var a = os.Stderr`, ""},
	{"terminal", "session/testkit/mutate/a.go", `import "os"; var a = os.Stderr`, ""},
	{"terminal", "session/testkit/a.go", `import "os"; var a = os.Stderr`, "os.Stderr"},

	{"exit", "session/a.go", `import "os"; func f() { os.Exit(1) }`, "os.Exit"},
	{"exit", "session/main.go", `import "os"; func main() { os.Exit(1) }`, "os.Exit"},

	{"environment", "session/conf/a.go", `import "os"; var a = os.Getenv("HOME")`, "os.Getenv"},
	{"environment", "cmd/sctl/a.go", `import "os"; var a = os.Getenv("HOME")`, ""},

	{"no init", "session/a.go", `func init() {}`, "func init"},
	{"no init", "session/a.go", `type t int; func (t) init() {}`, ""},

	{"no global state", "session/a.go", `var n int; func f() { n = 1 }`, "assignment to n, a variable of the package"},
	{"no global state", "session/a.go", `var n int; func f() { n++ }`, "assignment to n, a variable of the package"},
	{"no global state", "session/a.go", `var m = map[int]int{}; func f() { m[1] = 1 }`, "assignment to m, a variable of the package"},
	{"no global state", "session/a.go", `var s struct{ n int }; func f() { (s.n) = 1 }`, "assignment to s, a variable of the package"},
	{"no global state", "session/a.go", `var n int; func f() { n := 2; n = 3 }`, ""},
	{"no global state", "session/a.go", `var n int; func f() { m := n; m = 3 }`, ""},

	{"no shared variables", "session/a.go", `var n int; func f() *int { return &n }`, "address of n, a variable of the package"},
	{"no shared variables", "session/a.go", `import "sync"; var m sync.Mutex`, "a variable of the package of type sync.Mutex"},
	{"no shared variables", "session/a.go", `import "sync"; type t struct{ m sync.Mutex }; func f() { var m sync.Mutex; _ = &m }`, ""},
	{"no shared variables", "supervise/a.go", `var n int; func f() *int { return &n }`, ""},

	{"no dot import", "session/a.go", `import . "strings"`, "dot import of strings"},
	{"no dot import", "session/a.go", `import _ "embed"`, ""},

	{"skips", "session/a_test.go", `import "testing"; func TestA(t *testing.T) { t.Skip("tired") }`, "call of Skip"},
	{"skips", "session/a_test.go", `import "testing"; func FuzzA(f *testing.F) { f.Fuzz(func(t *testing.T, b []byte) { t.Skip() }) }`, ""},
	{"skips", "session/testkit/a_test.go", `import "testing"; func f(t *testing.T) { t.SkipNow() }`, ""},

	{"nothing for later", "session/a.go", "// TO" + "DO: more\nvar a int", "TO" + "DO in a comment"},
	{"nothing for later", "session/a_test.go", "/* FIX" + "ME */ var a int", "FIX" + "ME in a comment"},
	{"nothing for later", "session/a.go", "// to do well\nvar a int", ""},
}

// parse makes a source of a text that lacks its package clause.
func parse(t *testing.T, name, pkg, text string) *source {
	t.Helper()
	f, err := parseSource(name, []byte("package "+pkg+"\n"+text))
	if err != nil {
		t.Fatalf("cannot parse %q: %v", text, err)
	}
	return f
}

func texts(found []finding) string {
	var out []string
	for _, f := range found {
		out = append(out, f.text)
	}
	return strings.Join(out, "; ")
}

func TestArchRulesCanFail(t *testing.T) {
	broken := make(map[string]bool)
	for _, b := range breaches {
		f := parse(t, b.name, "p", b.text)
		var r *rule
		for i := range rules {
			if rules[i].name == b.rule {
				r = &rules[i]
			}
		}
		if r == nil {
			t.Errorf("there is no rule %q", b.rule)
			continue
		}
		found := r.apply(f)
		if got := texts(found); got != b.want {
			t.Errorf("rule %q of %s %q = %q; want %q", b.rule, b.name, b.text, got, b.want)
		}
		for _, bad := range found {
			if bad.reason == "" {
				t.Errorf("rule %q gives no reason", b.rule)
			}
		}
		broken[b.rule] = broken[b.rule] || b.want != ""
	}
	for _, r := range rules {
		if !broken[r.name] {
			t.Errorf("nothing shows that rule %q can fail", r.name)
		}
	}
	if got := texts(banExit(parse(t, "cmd/sctl/main.go", "main", `import "os"; func main() { os.Exit(run()) }; func run() int { os.Exit(2); return 0 }`))); got != "os.Exit" {
		t.Errorf("exit outside main = %q; want one os.Exit", got)
	}
}

func TestArchDirectionsCanFail(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"events/a.go", `import "github.com/session-init/session-init/session/job"`, "events imports github.com/session-init/session-init/session/job"},
		{"supervise/a.go", `import "github.com/session-init/session-init/events"`, "supervise imports github.com/session-init/session-init/events"},
		{"session/bus/a.go", `import "github.com/session-init/session-init/supervise"`, "session/bus imports github.com/session-init/session-init/supervise"},
		{"cmd/sctl/a.go", `import "github.com/session-init/session-init/session"`, "cmd/sctl imports github.com/session-init/session-init/session"},
		{"session/engine/a.go", `import "github.com/godbus/dbus/v5"`, "session/engine imports github.com/godbus/dbus/v5"},
		{"session/a.go", `import "example.org/new/thing"`, "session imports example.org/new/thing"},
		{"new/a.go", ``, "a package in new"},
		{"session/job/a.go", `import ("strings"; "github.com/session-init/session-init/events")`, ""},
	} {
		found := checkDirections(parse(t, c.name, "p", c.text), directions)
		if got := texts(found); got != c.want {
			t.Errorf("checkDirections(%s, %q) = %q; want %q", c.name, c.text, got, c.want)
		}
		for _, bad := range found {
			if bad.reason == "" {
				t.Errorf("checkDirections(%s, %q) gives no reason", c.name, c.text)
			}
		}
	}
}

func TestArchMapOrderCanFail(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`func f(m map[string]int) { for range m {} }`, "range over a map"},
		{`type set map[string]bool; type box struct{ s set }; func f(b box) { for k := range b.s { _ = k } }`, "range over a map"},
		{`import "net/url"; func f(v url.Values) { for range v {} }`, "range over a map"},
		{`import "github.com/session-init/session-init/events"; func f(e events.Env) { for range e {} }`, ""},
		{`import ("maps"; "slices"); func f(m map[string]int) { for range slices.Sorted(maps.Keys(m)) {} }`, ""},
		{`func f(s []int, n int, c string) { for range s {}; for range n {}; for range c {} }`, ""},
	} {
		checker := newTypeChecker()
		file, err := parser.ParseFile(checker.fset, "a.go", "package p\n"+c.text, 0)
		if err != nil {
			t.Fatal(err)
		}
		found, err := checker.mapRangesOf("p", []*ast.File{file})
		if got := texts(found); got != c.want || err != nil {
			t.Errorf("mapRangesOf(%q) = %q, %v; want %q", c.text, got, err, c.want)
		}
	}
}

func TestArchPackageChecksCanFail(t *testing.T) {
	plain := parse(t, "events/a.go", "events", "")
	for _, c := range []struct {
		files []string
		want  string
	}{
		{[]string{"package events"}, "no package comment"},
		{[]string{"// Package events is.\npackage events"}, ""},
		{[]string{"// Events are.\npackage events"}, `package comment does not begin with "Package events "`},
		{[]string{"// Package events is.\npackage events", "// Package events was.\npackage events"}, "package comments in several files"},
	} {
		var files []*source
		for i, text := range c.files {
			f, err := parseSource(fmt.Sprintf("events/%d.go", i), []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, f)
		}
		if got := texts(checkPackageComment(files)); got != c.want {
			t.Errorf("checkPackageComment(%q) = %q; want %q", c.files, got, c.want)
		}
	}

	for _, c := range []struct{ text, want string }{
		{"func F() {}", "F has no comment"},
		{"// F does.\nfunc F() {}", ""},
		{"type T int\nfunc (t T) M() {}\nfunc (t T) String() string { return \"\" }", "T has no comment; M has no comment"},
		{"type t int\nfunc (x *t) M() {}", ""},
		{"const A = 1\n// B and C are.\nconst (\n\tB = 1\n\tC = 2\n)", "A has no comment"},
		{"var V int // V is.", ""},
	} {
		if got := texts(checkDocumented(parse(t, "events/a.go", "events", c.text))); got != c.want {
			t.Errorf("checkDocumented(%q) = %q; want %q", c.text, got, c.want)
		}
	}

	for _, c := range []struct {
		lines int
		test  bool
		want  bool
	}{{maxLines, false, false}, {maxLines + 1, false, true}, {maxLines + 1, true, false}, {maxTestLines + 1, true, true}} {
		f := *plain
		f.lines, f.test = c.lines, c.test
		if got := len(checkLength(&f)) > 0; got != c.want {
			t.Errorf("checkLength(%d lines, test %v) found = %v; want %v", c.lines, c.test, got, c.want)
		}
	}
}
