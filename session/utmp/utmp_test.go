package utmp

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/testkit"
)

// files makes an empty one of each kind.
func files(t *testing.T) (current, log string) {
	t.Helper()
	dir := t.TempDir()
	current, log = filepath.Join(dir, "utmp"), filepath.Join(dir, "wtmp")
	for _, path := range []string{current, log} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return current, log
}

func records(t *testing.T, path string) int {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	size, _, _ := layout(runtime.GOARCH)
	if info.Size()%int64(size) != 0 {
		t.Errorf("%s has %d bytes, which is no number of records", path, info.Size())
	}
	return int(info.Size()) / size
}

func TestRunlevel(t *testing.T) {
	current, log := files(t)
	now := time.Unix(1000, 0)
	check := func(previous, level byte) {
		t.Helper()
		if p, l, err := Runlevel(current); p != previous || l != level || err != nil {
			t.Errorf("Runlevel() = %q, %q, %v; want %q, %q", p, l, err, previous, level)
		}
	}
	check(None, None)
	if err := Boot(current, log, now); err != nil {
		t.Fatal(err)
	}
	check(None, None)
	for i, step := range []struct{ previous, level byte }{{None, '2'}, {'2', '3'}, {0, 'S'}} {
		if err := SetRunlevel(current, log, step.previous, step.level, now); err != nil {
			t.Fatal(err)
		}
		if step.previous == 0 {
			step.previous = None
		}
		check(step.previous, step.level)
		if n := records(t, current); n != 2 {
			t.Errorf("%d records are in the current file; want the boot and the level", n)
		}
		if n := records(t, log); n != 2+i {
			t.Errorf("%d records are in the log; want %d", n, 2+i)
		}
	}
	if err := Shutdown(log, now); err != nil || records(t, log) != 5 {
		t.Errorf("Shutdown() = %v, %d records; want 5", err, records(t, log))
	}
}

// A file that is not there is none, and is not made but by Boot; one that ends in
// half a record is mended.
func TestRunlevelFiles(t *testing.T) {
	dir := t.TempDir()
	none := filepath.Join(dir, "none")
	if p, l, err := Runlevel(none); p != None || l != None || err != nil {
		t.Errorf("Runlevel() of no file = %q, %q, %v", p, l, err)
	}
	if err := SetRunlevel(none, none, None, '2', time.Now()); err != nil {
		t.Errorf("SetRunlevel() of no file = %v", err)
	}
	if _, err := os.Stat(none); err == nil {
		t.Error("SetRunlevel() has made a file")
	}
	if err := Boot(none, filepath.Join(dir, "log"), time.Now()); err != nil || records(t, none) != 1 {
		t.Errorf("Boot() = %v", err)
	}
	if err := os.WriteFile(none, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := SetRunlevel(none, none+"x", None, '5', time.Now()); err != nil || records(t, none) != 1 {
		t.Errorf("SetRunlevel() of half a record = %v", err)
	}
	if err := SetRunlevel(dir, none, None, '2', time.Now()); err == nil || !strings.HasPrefix(err.Error(), "cannot write the runlevel: ") {
		t.Errorf("SetRunlevel() of a directory = %v", err)
	}
}

// Other programs read what is written.
func TestWho(t *testing.T) {
	who := testkit.Need(t, "who")
	current, log := files(t)
	now := time.Date(2026, 3, 1, 14, 0, 0, 0, time.UTC)
	if err := Boot(current, log, now); err != nil {
		t.Fatal(err)
	}
	if err := SetRunlevel(current, log, 'S', '2', now); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(who, "-b", "-r", current)
	cmd.Env = []string{"TZ=UTC0", "LC_ALL=C"}
	out, err := cmd.CombinedOutput()
	text := strings.Join(strings.Fields(string(out)), " ")
	if want := "system boot Mar 1 14:00 run-level 2 Mar 1 14:00 last=S"; err != nil || strings.ReplaceAll(text, "2026-03-01", "Mar 1") != want {
		t.Errorf("who -b -r = %q, %v; want %q", text, err, want)
	}
}

// login is the record of one.
func login(line string) []byte { return record(userProcess, 1, "1", line, "joe", "", time.Unix(0, 0)) }

func TestTerminals(t *testing.T) {
	current, _ := files(t)
	var text []byte
	text = append(text, record(bootTime, 0, "~~", "~", "reboot", "", time.Unix(0, 0))...)
	for _, line := range []string{"tty1", "pts/3", ":0", "../etc/passwd", "/dev/tty2", "", "tty1"} {
		text = append(text, login(line)...)
	}
	text = append(text, record(8, 1, "1", "tty5", "", "", time.Unix(0, 0))...) // DEAD_PROCESS
	if err := os.WriteFile(current, append(text, "half"...), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Terminals(current)
	if want := []string{"tty1", "pts/3"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("Terminals() = %q, %v; want %q", got, err, want)
	}
	if got, err := Terminals(current + "x"); got != nil || err != nil {
		t.Errorf("Terminals() of no file = %q, %v", got, err)
	}
}

// Tell reaches terminals, and neither files nor what does not take it.
func TestTell(t *testing.T) {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	if err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	// Somebody must have it open, or nothing is kept of what is written.
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer slave.Close()

	current, _ := files(t)
	dev := t.TempDir()
	if err := os.Symlink("/dev/pts", filepath.Join(dev, "pts")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dev, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(filepath.Join(dev, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := slices.Concat(login("file"), login("fifo"), login("gone"), login(fmt.Sprintf("pts/%d", number)))
	if err := os.WriteFile(current, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Tell(current, dev, "one\ntwo"); err != nil {
		t.Fatal(err)
	}
	// The terminal makes CR NL of each NL, and may have it piece by piece.
	const want, plain = "\r\r\none\r\r\ntwo\r\r\n", "\r\none\r\ntwo\r\n"
	got := ""
	for got != want && got != plain && (strings.HasPrefix(want, got) || strings.HasPrefix(plain, got)) {
		ready, err := unix.Poll([]unix.PollFd{{Fd: int32(master.Fd()), Events: unix.POLLIN}}, 180_000)
		if err == unix.EINTR {
			continue // a signal of Go's own; a read would wait without bound
		}
		if ready == 0 || err != nil {
			break
		}
		piece := make([]byte, 100)
		n, err := master.Read(piece)
		if err != nil {
			t.Fatal(err)
		}
		got += string(piece[:n])
	}
	if got != want && got != plain {
		t.Errorf("the terminal has %q; want %q", got, want)
	}
	if text, _ := os.ReadFile(filepath.Join(dev, "file")); len(text) != 0 {
		t.Errorf("a file that is no terminal has %q", text)
	}
}

// The sizes are the C library's.
func TestLayout(t *testing.T) {
	for arch, want := range map[string]struct {
		size, at int
		wide     bool
	}{"amd64": {384, 340, false}, "arm64": {400, 344, true}} {
		size, at, wide := layout(arch)
		if size != want.size || at != want.at || wide != want.wide {
			t.Errorf("layout(%s) = %d, %d, %v; want %+v", arch, size, at, wide, want)
		}
	}
}
