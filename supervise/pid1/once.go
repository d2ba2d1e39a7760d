package pid1

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// The signals that end a machine at once, above SIGRTMIN as the C library counts
// it; they are systemd's.
const (
	realTime   syscall.Signal = 34
	haltNow                   = realTime + 13
	powerNow                  = realTime + 14
	restartNow                = realTime + 15
)

// ByOnce tells what a signal that ends the machine at once asks for; empty for
// others.
func ByOnce(s syscall.Signal) (how string) {
	switch s {
	case haltNow:
		return Halt
	case powerNow:
		return PowerOff
	case restartNow:
		return Reboot
	}
	return ""
}

// program is what the first process runs when it is ours.
const program = "session-init"

// EndAtOnce tells the first process to end the machine without asking its daemon,
// which may be dead. It is sent to nobody but us: other programs take the signal
// for something else.
func EndAtOnce(how string) error {
	exe, err := os.Readlink("/proc/1/exe")
	if err != nil {
		return fmt.Errorf("the first process cannot be looked at: %w", err)
	}
	if name := strings.TrimSuffix(filepath.Base(exe), " (deleted)"); name != program {
		return fmt.Errorf("the first process is no session-init: it runs %s", exe)
	}
	for s := haltNow; s <= restartNow; s++ {
		if ByOnce(s) == how {
			unix.Sync()
			return unix.Kill(1, s)
		}
	}
	return fmt.Errorf("there is no such end as %s", how)
}
