package supervise

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/testkit"
)

// TestOutputLost: a log that cannot be opened keeps no process from running.
func TestOutputLost(t *testing.T) {
	dir := t.TempDir()
	file := writeFile(t, filepath.Join(dir, "file"), "nothing", 0o600)
	locked := filepath.Join(dir, "locked")
	if err := os.Mkdir(locked, 0); err != nil {
		t.Fatal(err)
	}
	loop := filepath.Join(dir, "loop")
	if err := os.Symlink(loop, loop); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, path string
		errno      syscall.Errno
		text       string
	}{
		{"a directory", dir, unix.EISDIR, "cannot open log file " + dir + ": is a directory: its output is lost"},
		{"below a file", file + "/log", unix.ENOTDIR, "cannot open log file " + file + "/log: not a directory: its output is lost"},
		{"a loop", loop, unix.ELOOP, "cannot open log file " + loop + ": too many levels of symbolic links: its output is lost"},
	}
	if !isRoot {
		tests = append(tests, tests[0])
		last := &tests[len(tests)-1]
		last.name, last.path, last.errno = "no permission", locked+"/log", unix.EACCES
		last.text = "cannot open log file " + last.path + ": permission denied: its output is lost"
	}
	for _, test := range tests {
		for _, output := range []Output{OutputFile, OutputPTY} {
			for _, leader := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%d/leader=%v", test.name, output, leader), func(t *testing.T) {
					w := newWorld(t, Options{})
					said := filepath.Join(dir, "said")
					os.Remove(said)
					w.Start(Spec{ID: 1, Path: "/bin/sh", Argv: []string{"sh", "-c", `echo lost; echo lost >&2; readlink /proc/self/fd/1 >` + said},
						Env: []string{"PATH=" + os.Getenv("PATH")}, Output: output, LogPath: test.path, Label: "whose", Leader: leader})
					if end := w.exited(1); end.Status != 0 || end.Signal != 0 {
						t.Errorf("exited %+v; want success", end)
					}
					if text, err := os.ReadFile(said); err != nil || len(text) == 0 {
						t.Errorf("the process said %q, %v", text, err)
					}
					all := w.await("loss", func(all []Event) bool { return count[OutputLost](all) == 1 })
					at := slices.IndexFunc(all, func(ev Event) bool { _, is := ev.(OutputLost); return is })
					if output == OutputFile {
						if _, next := all[at+1].(Spawned); !next {
							t.Errorf("after OutputLost came %T; want Spawned", all[at+1])
						}
					}
					if got := all[at].(OutputLost); got != (OutputLost{1, "whose", test.path, test.errno}) || got.Error() != test.text {
						t.Errorf("event %+v, %q; want %v, %q", got, got.Error(), test.errno, test.text)
					}
				})
			}
		}
	}
}

// TestOutputLostThenFound: a slot that is used again does not remember.
func TestOutputLostThenFound(t *testing.T) {
	w := newWorld(t, Options{})
	for id := ProcID(1); id <= 20; id++ {
		spec, log := w.sh(id, "echo here")
		if id%2 == 1 {
			spec.LogPath = t.TempDir()
			w.Start(spec)
			w.exited(id)
		} else if text := w.output(spec, log); text != "here\n" {
			t.Errorf("output of %d = %q", id, text)
		}
	}
	if n := count[OutputLost](w.events()); n != 10 {
		t.Errorf("%d outputs lost; want 10", n)
	}
}

// TestLogReopened: the next process opens the log anew, after it was rotated
// or deleted; the one that has it goes on with the old file.
func TestLogReopened(t *testing.T) {
	w := newWorld(t, Options{})
	spec, log := w.sh(1, "echo first; while read -r x; do :; done </dev/null; until [ -e "+t.TempDir()+"/x ]; do sleep 0.01; done")
	spec.LogLimit = LogLimit{1 << 20, 1}
	w.Start(spec)
	w.spawned(1)
	poll(t, "the first line", func() bool { text, _ := os.ReadFile(log); return string(text) == "first\n" })
	if err := os.Rename(log, log+".1"); err != nil {
		t.Fatal(err)
	}
	next := spec
	for id, line := range []string{2: "second", 3: "third"} {
		if line == "" {
			continue
		}
		next.ID, next.Argv = ProcID(id), []string{"sh", "-c", "echo " + line}
		if text := w.output(next, log); text != line+"\n" {
			t.Errorf("log after rotation and process %d = %q", id, text)
		}
		if err := os.Remove(log); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := os.ReadFile(log + ".1"); string(text) != "first\n" || err != nil {
		t.Errorf("the rotated log = %q, %v", text, err)
	}
}

// numbered is what the writers of the tests write: lines that are long enough
// for a file to have many blocks, of different lengths.
var numbered = regexp.MustCompile(`^(\d+) (x*)$`)

// checkLines checks that the files of a log hold each line from 1 to last
// once, in order. The newest file comes first. It returns the last.
func checkLines(t *testing.T, log string, parts int) int {
	t.Helper()
	next := 1
	for n := parts; n >= 0; n-- {
		name := log
		if n > 0 {
			name = partName(log, n)
		}
		text, err := os.ReadFile(name)
		if os.IsNotExist(err) && n > 0 {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		// A hole, where the file system cannot take it out.
		text = bytes.TrimLeft(text, "\x00")
		for i, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
			if i == 0 && (strings.HasPrefix(line, "[older lines: ") || strings.Trim(line, "-") == "") {
				continue
			}
			m := numbered.FindStringSubmatch(line)
			if m == nil || m[1] != strconv.Itoa(next) || len(m[2]) != next%200 {
				t.Fatalf("%s, line %d is %.80q; want number %d", filepath.Base(name), i+1, line, next)
			}
			next++
		}
	}
	return next - 1
}

// writeNumbered is a fixture that writes numbered lines as fast as it can
// until it is told to stop by a file. It waits while the log, its first argument,
// is so far beyond its limit that who cuts it cannot have had the processor: a
// small disk would be full before there are parts enough.
func writeNumbered() {
	const most = 1 << 20
	log, stop := os.Args[1], os.Args[2]
	for i := 1; ; i++ {
		os.Stdout.WriteString(numberedLine(i))
		for pause := i%500 == 0; pause; time.Sleep(time.Millisecond) {
			if _, err := os.Stat(stop); err == nil {
				return
			}
			var st unix.Stat_t
			pause = unix.Stat(log, &st) == nil && st.Blocks*512 > most
		}
	}
}

func numberedLine(i int) string { return strconv.Itoa(i) + " " + strings.Repeat("x", i%200) + "\n" }

// logDirsToTry are directories on file systems of both kinds: one that takes
// ranges out of files, and one that only makes holes.
func logDirsToTry(t *testing.T) map[string]string {
	dirs := map[string]string{"here": t.TempDir()}
	if memory, err := os.MkdirTemp("/dev/shm", "session-init-test-"); err == nil {
		t.Cleanup(func() { os.RemoveAll(memory) })
		dirs["memory"] = memory
	}
	return dirs
}

// TestCapUnderWriter has a writer that never stops: every line is there once,
// whatever was cut meanwhile.
func TestCapUnderWriter(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, dir := range logDirsToTry(t) {
		for _, output := range []Output{OutputFile, OutputPTY} {
			t.Run(fmt.Sprintf("%s/%d", name, output), func(t *testing.T) {
				w := newWorld(t, Options{})
				w.outputs.capper.pace = time.Millisecond
				log := filepath.Join(dir, fmt.Sprintf("%d.log", output))
				stop := filepath.Join(dir, fmt.Sprintf("stop%d", output))
				limit := LogLimit{Size: 100_000, Count: 1000}
				w.Start(Spec{ID: 1, Path: self, Argv: []string{self, log, stop}, Output: output, LogPath: log, LogLimit: limit,
					Env: []string{"SUPERVISE_FIXTURE=numbered", "GOCOVERDIR=" + t.TempDir()}})
				w.spawned(1)
				parts := 0
				poll(t, "twenty parts", func() bool {
					parts = countParts(log)
					return parts >= 20
				})
				writeFile(t, stop, "", 0o600)
				w.exited(1)
				// What was written last may be cut still; then all is at rest.
				w.settled(log, limit.Size)
				parts = countParts(log)
				last := checkLines(t, log, parts)
				t.Logf("%d lines, %d parts", last, parts)
				if last < 10_000 || parts >= limit.Count {
					t.Errorf("%d lines in %d parts: the test shows nothing", last, parts)
				}
				if n := count[OutputFault](w.events()); n > 0 {
					t.Errorf("%d faults: %+v", n, w.events())
				}
			})
		}
	}
}

func countParts(log string) int {
	names, _ := filepath.Glob(log + ".*[0-9]")
	return len(names)
}

// settled waits until a log that nobody writes to is within its limit.
func (w *world) settled(log string, limit int64) {
	w.t.Helper()
	poll(w.t, "the log to be within its limit", func() bool {
		fd, err := unix.Open(log, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return false
		}
		defer unix.Close(fd)
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			w.t.Fatal(err)
		}
		return st.Size-dataStart(fd, st.Size) <= limit && len(globs(w.t, log+".*.new")) == 0
	})
}

func globs(t *testing.T, pattern string) []string {
	names, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestCutLog cuts files of all shapes that nobody writes to.
func TestCutLog(t *testing.T) {
	lines := func(n int) string {
		var text strings.Builder
		for i := 1; i <= n; i++ {
			text.WriteString(numberedLine(i))
		}
		return text.String()
	}
	const mark = `(\[older lines: log\.1\] *|-*)\n`
	tests := []struct {
		name  string
		text  string
		limit LogLimit
		parts int
		left  string // a pattern of what is left
	}{
		{"small enough", lines(100), LogLimit{1 << 20, 1}, 0, `(?s)1 x.*`},
		{"empty", "", LogLimit{1, 1}, 0, ``},
		{"without limit", lines(1000), LogLimit{}, 0, `(?s)1 x.*`},
		{"less than a block", strings.Repeat("x\n", 2000), LogLimit{10, 1}, 0, `(x\n)*`},
		{"exactly one block", strings.Repeat("x\n", 2048), LogLimit{10, 1}, 0, `(x\n)*`},
		{"exactly two blocks", strings.Repeat("x\n", 4096), LogLimit{10, 1}, 1, `(x\n)*`},
		{"blocks and a line", strings.Repeat("x\n", 4097), LogLimit{10, 1}, 1, `x\n`},
		{"lines", lines(1000), LogLimit{50_000, 1}, 1, `(` + mark + `)?(\d+ x*\n)*`},
		{"an open line at the end", lines(1000) + "1001", LogLimit{50_000, 1}, 1, `(` + mark + `)?(\d+ x*\n)*1001`},
		{"a long open line at the end", lines(1000) + strings.Repeat("y", 40_000), LogLimit{50_000, 1}, 1, mark + `(\d+ x*\n)*y*`},
		{"one line", strings.Repeat("y", 300_000) + "\n", LogLimit{50_000, 1}, 1, mark},
		{"no line", strings.Repeat("y", 300_000), LogLimit{50_000, 1}, 1, `y*`},
		{"several parts", lines(5000), LogLimit{100_000, 5}, 5, `(` + mark + `)?(\d+ x*\n)*`},
		{"more than is kept", lines(5000), LogLimit{50_000, 3}, 3, `(` + mark + `)?(\d+ x*\n)*`},
		{"nothing kept", lines(1000), LogLimit{50_000, 0}, 0, `(\[older lines were dropped\] *|-*)\n(\d+ x*\n)*`},
	}
	for where, dir := range logDirsToTry(t) {
		for _, test := range tests {
			t.Run(where+"/"+test.name, func(t *testing.T) {
				sub, err := os.MkdirTemp(dir, "cut")
				if err != nil {
					t.Fatal(err)
				}
				log := writeFile(t, filepath.Join(sub, "log"), test.text, 0o640)
				if _, err := cutLog(log, test.limit); err != nil {
					t.Fatalf("cutLog = %v", err)
				}
				if got := len(globs(t, log+".*")); got != test.parts {
					t.Errorf("%d parts; want %d", got, test.parts)
				}
				left, err := os.ReadFile(log)
				if err != nil {
					t.Fatal(err)
				}
				left = bytes.TrimLeft(left, "\x00")
				if !regexp.MustCompile(`^(` + test.left + `)$`).Match(left) {
					t.Errorf("left is %.200q of %d bytes", left, len(left))
				}
				if test.parts == 0 {
					return
				}
				whole := ""
				for n := test.parts; n >= 1; n-- {
					part, err := os.ReadFile(partName(log, n))
					if err != nil {
						t.Fatal(err)
					}
					if max := 2*test.limit.Size + lineWindow; test.limit.Size > 1000 && int64(len(part)) > max && strings.Contains(test.text, "\nx") {
						t.Errorf("part %d has %d bytes; want at most %d", n, len(part), max)
					}
					whole += string(part)
				}
				if st, err := os.Stat(partName(log, 1)); err != nil || st.Mode() != 0o640 {
					t.Errorf("mode of the part = %v, %v; want that of the log", st.Mode(), err)
				}
				// The end of the line that the mark has overwritten is in the
				// part only.
				rest := regexp.MustCompile(`^`+mark).ReplaceAll(left, nil)
				if !strings.HasSuffix(test.text, whole+string(rest)) {
					t.Errorf("parts (%d bytes) and rest (%d bytes) are not the end of the text", len(whole), len(rest))
				}
				if want := test.limit.Size * int64(test.parts) * 9 / 10; int64(len(whole)) < want {
					t.Errorf("parts have %d bytes; want at least %d", len(whole), want)
				}
				if strings.Contains(test.text, "\nx") && whole[0] != test.text[0] && !strings.Contains(test.text, "\n"+whole[:10]) {
					t.Errorf("the oldest part begins in a line: %.50q", whole)
				}
			})
		}
	}
}

// TestCutLogRotates moves older parts on, over the oldest.
func TestCutLogRotates(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	for round := range 5 {
		writeFile(t, log, strings.Repeat(fmt.Sprintf("%d\n", round), 10_000), 0o600)
		if _, err := cutLog(log, LogLimit{15_000, 3}); err != nil {
			t.Fatal(err)
		}
	}
	for n, want := range []string{1: "4", 2: "3", 3: "2"} {
		if want == "" {
			continue
		}
		if text, err := os.ReadFile(partName(log, n)); err != nil || len(text) == 0 || strings.Trim(string(text), want+"\n") != "" {
			t.Errorf("part %d = %.20q, %v; want %ss", n, text, err, want)
		}
	}
	if got := len(globs(t, log+".*")); got != 3 {
		t.Errorf("%d parts; want 3", got)
	}
}

// TestCutWithoutKernel copies where the kernel would not.
func TestCutWithoutKernel(t *testing.T) {
	dir := t.TempDir()
	text := strings.Repeat("0123456789\n", 300_000)
	from, err := os.Open(writeFile(t, filepath.Join(dir, "from"), text, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	to, err := os.Create(filepath.Join(dir, "to"))
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	part := span{11, int64(len(text)) - 11}
	if err := copyBytes(int(to.Fd()), int(from.Fd()), part); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(to.Name()); err != nil || string(got) != text[part.from:part.to] {
		t.Errorf("copied %d bytes, %v; want %d", len(got), err, part.to-part.from)
	}
	part.to += 100
	for name, copy := range map[string]func(int, int, span) error{"by us": copyBytes, "by the kernel": copySpan} {
		if err := copy(int(to.Fd()), int(from.Fd()), part); err != unix.ESTALE {
			t.Errorf("copy %s of what is not there = %v; want ESTALE", name, err)
		}
	}
}

// TestCapFullDisk fills a file system of its own, in a mount namespace of its
// own: see the fixture.
func TestCapFullDisk(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), "SUPERVISE_FIXTURE=fulldisk", "GOCOVERDIR="+t.TempDir())
	cmd.SysProcAttr = testkit.NeedMounts(t)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// fullDisk is that fixture: two megabytes of disk, a log of one and a half.
func fullDisk() {
	fail := func(what string, got ...any) {
		fmt.Fprintln(os.Stderr, what, got)
		os.Exit(1)
	}
	dir, err := os.MkdirTemp("", "full")
	if err != nil {
		fail("directory", err)
	}
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=2m"); err != nil {
		fail("mount", err)
	}
	defer os.Remove(dir)
	defer unix.Unmount(dir, unix.MNT_DETACH)
	log := filepath.Join(dir, "log")
	text := strings.Repeat("0123456789abcde\n", 96<<10)
	if err := os.WriteFile(log, []byte(text), 0o600); err != nil {
		fail("log", err)
	}
	// The copy does not fit, with nothing to make room for it.
	if _, err := cutLog(log, LogLimit{1 << 20, 1}); err != unix.ENOSPC {
		fail("cutLog with a full disk", err)
	}
	if got, err := os.ReadFile(log); string(got) != text || err != nil {
		fail("the log has changed", len(got), err)
	}
	if names, _ := filepath.Glob(dir + "/*"); len(names) != 1 {
		fail("left behind", names)
	}
	// An older part makes room.
	if err := os.Truncate(log, 800<<10); err != nil {
		fail("truncate", err)
	}
	if err := os.WriteFile(log+".1", []byte(text[:1<<20]), 0o600); err != nil {
		fail("older part", err)
	}
	if _, err := cutLog(log, LogLimit{500 << 10, 1}); err != nil {
		fail("cutLog with an older part", err)
	}
	if got, err := os.ReadFile(log + ".1"); len(got) < 790<<10 || !strings.HasPrefix(text, string(got)) || err != nil {
		fail("older part", len(got), err)
	}

	// A process fills the disk: it has the ENOSPC, we say it.
	events := make(chan Event, 100)
	s, err := New(Options{}, func(batch []Event) {
		for _, ev := range batch {
			events <- ev
		}
	})
	if err != nil {
		fail("New", err)
	}
	s.outputs.capper.pace = time.Millisecond
	s.Start(Spec{ID: 1, Path: "/bin/sh", Argv: []string{"sh", "-c", "while echo 0123456789abcdef0123456789abcdef0123456789abcdef; do :; done; exit 7"},
		Output: OutputFile, LogPath: log, LogLimit: LogLimit{10 << 20, 1}, Label: "job"})
	for said, ended := false, false; !said || !ended; {
		select {
		case ev := <-events:
			switch ev := ev.(type) {
			case OutputFault:
				if ev != (OutputFault{1, "job", log, ProblemFull, unix.ENOSPC}) {
					fail("fault", ev)
				}
				said = true
			case Exited:
				if ev.Status != 7 {
					fail("exit", ev)
				}
				ended = true
			}
		case <-time.After(patience):
			fail("no word of the full disk", said, ended)
		}
	}

	// One that comes to a full disk writes nothing that would be heard.
	word := make(chan Event, 1)
	c := newCapper(func(ev Event) {
		if _, worked := ev.(Worked); !worked {
			word <- ev
		}
	})
	c.start()
	c.watch(2, "late", log, LogLimit{10 << 20, 1})
	select {
	case ev := <-word:
		if ev != (OutputFault{2, "late", log, ProblemFull, unix.ENOSPC}) {
			fail("fault at the start", ev)
		}
	case <-time.After(patience):
		fail("no word of the full disk at the start")
	}
}
