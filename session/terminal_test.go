package session

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// The terminal is found by any of the descriptors, in their order, whichever
// of them lead elsewhere.
func TestTerminalOf(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	log := int(file.Fd())
	terminal := func() (fd int, name string) {
		t.Helper()
		master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { master.Close() })
		if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
			t.Fatal(err)
		}
		number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
		if err != nil {
			t.Fatal(err)
		}
		name = fmt.Sprintf("/dev/pts/%d", number)
		slave, err := os.OpenFile(name, os.O_RDWR|unix.O_NOCTTY, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { slave.Close() })
		return int(slave.Fd()), name
	}
	one, first := terminal()
	two, second := terminal()
	for _, c := range []struct {
		fds  []int
		want string
	}{
		{[]int{one, two, two}, first},
		{[]int{log, two, one}, second},
		{[]int{log, log, one}, first},
		{[]int{log, -1, log}, ""},
		{nil, ""},
	} {
		if got := terminalOf(c.fds...); got != c.want {
			t.Errorf("terminalOf(%v) = %q; want %q", c.fds, got, c.want)
		}
	}
}
