package pid1

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Halt, PowerOff and Reboot are how a machine ends; see reboot(2).
const (
	Halt     = "halt"
	PowerOff = "poweroff"
	Reboot   = "reboot"
)

// lastGrace is how long what is left may take to end by TERM, and then by KILL.
const lastGrace = 5 * time.Second

// stepPatience is how long a disk may take with one step of the end. A server that
// does not answer would hold the machine for ever.
const stepPatience = 2 * time.Minute

var errNoAnswer = fmt.Errorf("no answer within %v", stepPatience)

// within does something that may never come back, and goes on without it then.
func within(patience time.Duration, do func() error) error {
	done := make(chan error, 1)
	go func() { done <- do() }()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return errNoAnswer
	}
}

// writeAll has the kernel write what is not on the disks yet.
func writeAll(log io.Writer) {
	if err := within(stepPatience, func() error { unix.Sync(); return nil }); err != nil {
		fmt.Fprintf(log, "session-init: cannot write everything to the disks: %v\n", err)
	}
}

// EndProcesses ends and reaps every process but ours, and returns when there is
// none, or after twice lastGrace. Nobody else may wait for children meanwhile.
// When we are not the first process of anything it does nothing: others are not
// ours to end.
func EndProcesses(log io.Writer) {
	if os.Getpid() != 1 {
		return
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		for {
			if _, err := syscall.Wait4(-1, nil, 0, nil); err != nil && err != unix.EINTR {
				return
			}
		}
	}()
	for _, s := range []syscall.Signal{unix.SIGTERM, unix.SIGKILL} {
		// -1 is all but ourselves; see kill(2).
		_ = unix.Kill(-1, s)
		if s == unix.SIGTERM {
			// Who is stopped would not take it.
			_ = unix.Kill(-1, unix.SIGCONT)
		}
		timer := time.NewTimer(lastGrace)
		select {
		case <-gone:
			timer.Stop()
			return
		case <-timer.C:
		}
	}
	fmt.Fprintf(log, "session-init: processes are left that do not end even by KILL\n")
}

// Finish ends the machine: what runs still, swap, mounts, and then the kernel. It
// returns only when it may not, or cannot.
func Finish(place Place, how string, log io.Writer) error {
	EndProcesses(log)
	writeAll(log)
	if place != Machine || os.Getpid() != 1 {
		// The mounts are somebody else's, or go with us.
		return nil
	}
	swapOff(log)
	unmountAll(log)
	writeAll(log)
	command := unix.LINUX_REBOOT_CMD_HALT
	switch how {
	case PowerOff:
		command = unix.LINUX_REBOOT_CMD_POWER_OFF
	case Reboot:
		command = unix.LINUX_REBOOT_CMD_RESTART
	}
	return unix.Reboot(command)
}

// swapOff takes all swap out of use.
func swapOff(log io.Writer) {
	text, err := os.ReadFile("/proc/swaps")
	if err != nil {
		return // a kernel without
	}
	for i, line := range strings.Split(string(text), "\n") {
		fields := strings.Fields(line)
		if i == 0 || len(fields) == 0 {
			continue
		}
		path, err := unix.BytePtrFromString(unescape(fields[0]))
		if err != nil {
			continue
		}
		if err := within(stepPatience, func() error { return swapOffOne(path) }); err != nil {
			fmt.Fprintf(log, "session-init: cannot take %s out of use: %v\n", fields[0], err)
		}
	}
}

// swapOffOne is swapoff(2).
func swapOffOne(path *byte) error {
	if _, _, errno := unix.Syscall(unix.SYS_SWAPOFF, uintptr(unsafe.Pointer(path)), 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// mountPoint is a line of /proc/self/mountinfo; see proc(5).
type mountPoint struct{ path, fsType string }

// parseMounts reads mount points in the order in which they were mounted.
func parseMounts(text string) (list []mountPoint) {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		end := slices.Index(fields, "-")
		if end < 5 || end+1 >= len(fields) {
			continue
		}
		list = append(list, mountPoint{unescape(fields[4]), fields[end+1]})
	}
	return list
}

// unescape replaces \ooo, as the kernel writes blanks in paths.
func unescape(path string) string {
	var out strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] == '\\' && i+3 < len(path) {
			var c byte
			valid := true
			for _, digit := range []byte(path[i+1 : i+4]) {
				valid = valid && digit >= '0' && digit <= '7'
				c = c*8 + digit - '0'
			}
			if valid {
				out.WriteByte(c)
				i += 3
				continue
			}
		}
		out.WriteByte(path[i])
	}
	return out.String()
}

// memory are file systems that have nothing on a disk, and that we still need.
func (m mountPoint) memory() bool {
	switch m.fsType {
	case "proc", "sysfs", "devtmpfs", "devpts", "cgroup", "cgroup2", "securityfs", "debugfs", "tracefs", "bpf", "pstore", "configfs", "mqueue", "hugetlbfs", "efivarfs", "rootfs", "ramfs":
		return true
	}
	return m.fsType == "tmpfs" && (m.path == "/run" || m.path == "/dev" || m.path == "/dev/shm")
}

// passes is how often all mounts are tried: what is mounted on another, or
// holds its image, is in its way.
const passes = 3

// unmountAll unmounts, the newest first, and makes read-only what is busy, the
// root above all.
func unmountAll(log io.Writer) {
	// Who has not answered once is not asked again.
	silent := map[string]bool{}
	for pass := range passes {
		text, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil {
			fmt.Fprintf(log, "session-init: cannot list the mounts: %v\n", err)
			return
		}
		left := 0
		for _, m := range slices.Backward(parseMounts(string(text))) {
			if m.memory() || m.path == "/" || silent[m.path] {
				continue
			}
			err := within(stepPatience, func() error { return unix.Unmount(m.path, unix.UMOUNT_NOFOLLOW) })
			if err == nil || errors.Is(err, unix.EINVAL) {
				continue
			}
			if errors.Is(err, errNoAnswer) {
				fmt.Fprintf(log, "session-init: cannot unmount %s: %v\n", m.path, err)
				silent[m.path] = true
				continue
			}
			left++
			if pass == passes-1 {
				fmt.Fprintf(log, "session-init: cannot unmount %s: %v: made read-only\n", m.path, err)
				readOnly(m.path, log)
			}
		}
		if left == 0 {
			break
		}
	}
	readOnly("/", log)
}

func readOnly(path string, log io.Writer) {
	if err := within(stepPatience, func() error { return unix.Mount("", path, "", unix.MS_REMOUNT|unix.MS_RDONLY, "") }); err != nil {
		fmt.Fprintf(log, "session-init: cannot make %s read-only: %v\n", path, err)
	}
}
