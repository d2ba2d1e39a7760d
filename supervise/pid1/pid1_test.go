package pid1

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A step that fails is told, and the next is done.
func TestRun(t *testing.T) {
	var log bytes.Buffer
	done := 0
	Run(&log, []Step{
		{"do one", func() error { done++; return nil }},
		{"do two", func() error { done++; return errors.New("no") }},
		{"do three", func() error { done++; return nil }},
	})
	if want := "session-init: cannot do two: no\n"; done != 3 || log.String() != want {
		t.Errorf("Run() did %d steps and said %q; want 3, %q", done, log.String(), want)
	}
}

// What concerns a machine is done on a machine alone.
func TestBegin(t *testing.T) {
	names := func(place Place) (out []string) {
		for _, step := range Begin(place) {
			out = append(out, step.String())
		}
		return out
	}
	if got := names(Elsewhere); got != nil {
		t.Errorf("Begin(Elsewhere) = %q; want nothing", got)
	}
	container := []string{"mount /proc", "mount /sys", "mount /run", "bring up the loopback interface"}
	if got := names(Container); !slices.Equal(got, container) {
		t.Errorf("Begin(Container) = %q; want %q", got, container)
	}
	machine := names(Machine)
	for _, step := range append(container, "mount /dev", "mount /dev/pts", "mount /dev/shm", "open /dev/console", "have Ctrl-Alt-Del", "set the host name") {
		if !slices.Contains(machine, step) {
			t.Errorf("Begin(Machine) = %q; want also %q", machine, step)
		}
	}
	if len(machine) > 0 && machine[0] != "mount /proc" {
		t.Errorf("Begin(Machine) begins with %q; all else needs /proc", machine[0])
	}
}

func TestWhereAmI(t *testing.T) {
	for _, test := range []struct {
		told bool
		want Place
	}{{false, Elsewhere}, {true, Container}} {
		if got, err := WhereAmI(test.told); got != test.want || err != nil {
			t.Errorf("WhereAmI(%v) = %v, %v; want %v", test.told, got, err, test.want)
		}
	}
}

func TestInContainer(t *testing.T) {
	for _, test := range []struct {
		environ []string
		want    bool
	}{{nil, false}, {[]string{"container="}, false}, {[]string{"A=1", "container=docker"}, true}, {[]string{"CONTAINER=x"}, false}} {
		if got := InContainer(test.environ); got != test.want {
			t.Errorf("InContainer(%q) = %v; want %v", test.environ, got, test.want)
		}
	}
}

func TestMounted(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "a"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		path string
		want bool
	}{{"/proc", true}, {filepath.Join(dir, "a"), false}, {filepath.Join(dir, "none"), false}} {
		if got := mounted(test.path); got != test.want {
			t.Errorf("mounted(%s) = %v; want %v", test.path, got, test.want)
		}
	}
}

// failing is the kernel's log when it takes nothing.
type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("no") }

// Lines go to the kernel, one at a time, until there is a disk; and to the kernel
// again when that fails.
func TestLog(t *testing.T) {
	var records [][]byte
	l := &Log{kmsg: writer(func(text []byte) { records = append(records, bytes.Clone(text)) })}
	write := func(text string) {
		t.Helper()
		if n, err := l.Write([]byte(text)); n != len(text) || err != nil {
			t.Errorf("Write(%q) = %d, %v", text, n, err)
		}
	}
	write("one\ntwo\n")
	path := filepath.Join(t.TempDir(), "log")
	if err := l.ToFile(path); err != nil {
		t.Fatal(err)
	}
	write("three\n")
	// It is gone on with.
	if err := l.ToFile(path); err != nil {
		t.Fatal(err)
	}
	write("four\n")
	if text, _ := os.ReadFile(path); string(text) != "three\nfour\n" {
		t.Errorf("the file has %q", text)
	}
	l.file.Close()
	write("five\n")
	var got []string
	for _, record := range records {
		got = append(got, string(record))
	}
	if want := []string{"one\n", "two\n", "five\n"}; !slices.Equal(got, want) {
		t.Errorf("the kernel's log has %q; want %q", got, want)
	}
	if err := l.ToFile(filepath.Join(path, "none")); err == nil {
		t.Error("ToFile() of no directory = nil; want an error")
	}
	l = &Log{kmsg: failing{}}
	if n, err := l.Write([]byte("x\n")); n != 0 || err == nil {
		t.Errorf("Write() where nothing takes it = %d, %v; want an error", n, err)
	}
}

type writer func([]byte)

func (w writer) Write(text []byte) (int, error) { w(text); return len(text), nil }

// A line that is longer than the kernel takes comes in parts.
func TestKernelLog(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	long := strings.Repeat("x", maxRecord)
	for _, test := range []struct {
		line string
		want []string
	}{
		{"one\n", []string{"<30>one\n"}},
		{long + "\n", []string{"<30>" + long + "\n"}},
		{long + "y\n", []string{"<30>" + long + "\n", "<30>y\n"}},
	} {
		if n, err := kernelLog(fds[0]).Write([]byte(test.line)); n != len(test.line) || err != nil {
			t.Errorf("Write(%.9q) = %d, %v; want %d", test.line, n, err, len(test.line))
		}
		for _, want := range test.want {
			got := make([]byte, 2*maxRecord)
			n, _, err := unix.Recvfrom(fds[1], got, unix.MSG_DONTWAIT)
			if err != nil || string(got[:n]) != want {
				t.Errorf("the record of %.9q = %.9q, %v; want %.9q", test.line, got[:max(n, 0)], err, want)
			}
		}
	}
}

// A container's console is its standard input, which stays open when the shell on it
// is forgotten.
func TestTerminalOf(t *testing.T) {
	for _, place := range []Place{Elsewhere, Container} {
		terminal, err := terminalOf(place)
		if err != nil {
			t.Fatalf("terminalOf(%v): %v", place, err)
		}
		var input, got unix.Stat_t
		if err := errors.Join(unix.Fstat(0, &input), unix.Fstat(int(terminal.Fd()), &got)); err != nil || got.Ino != input.Ino {
			t.Errorf("terminalOf(%v) is another file than standard input, %v", place, err)
		}
		if err := terminal.Close(); err != nil {
			t.Fatal(err)
		}
		if err := unix.Fstat(0, &got); err != nil || got.Ino != input.Ino {
			t.Errorf("standard input after terminalOf(%v): %v", place, err)
		}
	}
}
