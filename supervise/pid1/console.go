package pid1

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

const console = "/dev/console"

// openConsole makes the console standard input, output and error. It never
// becomes our controlling terminal: its Ctrl-C is not ours.
func openConsole() error {
	fd, err := unix.Open(console, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	for to := range 3 {
		if err := unix.Dup3(fd, to, 0); err != nil && fd != to {
			return err
		}
	}
	if fd > 2 {
		unix.Close(fd)
	}
	return nil
}

// What linux/kd.h says of the signal for Alt-Up.
const kdSignalAccept = 0x4B4E

// signalKeyboard has the kernel send WINCH for the key that asks for attention.
// A console without a keyboard has no such key.
func signalKeyboard() error {
	fd, err := unix.Open("/dev/tty0", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	if err := unix.IoctlSetInt(fd, kdSignalAccept, int(unix.SIGWINCH)); err != nil && err != unix.ENOTTY && err != unix.EINVAL && err != unix.EPERM {
		return err
	}
	return nil
}

// shells are what an emergency gets, the first that is there. sulogin asks for
// root's password; with --force it gives a shell where root has none that could be
// asked for, and nobody would get any further. Busybox has no such option.
func shells() (list [][]string) {
	for _, path := range [...]string{"/sbin/sulogin", "/usr/sbin/sulogin"} {
		words := []string{path, "--force"}
		if target, err := filepath.EvalSymlinks(path); err == nil && strings.HasPrefix(filepath.Base(target), "busybox") {
			words = words[:1]
		}
		list = append(list, words)
	}
	return append(list, []string{"/bin/sh"})
}

// terminalOf opens the terminal of an emergency; the caller closes it. In a container
// that is standard input, of which it is a copy: else it would be closed with it.
func terminalOf(place Place) (*os.File, error) {
	name := "standard input"
	fd, err := 0, error(nil)
	if place == Machine {
		name = console
		fd, err = unix.Open(console, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	} else {
		fd, err = unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 3)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// Emergency starts a shell on the console and returns its pid: the caller waits
// for it. In a container standard input is its console.
func Emergency(place Place, log io.Writer) (pid int, err error) {
	terminal, err := terminalOf(place)
	if err != nil {
		return 0, err
	}
	defer terminal.Close()
	fmt.Fprintf(terminal, "\r\nsession-init: emergency: this shell is all there is; when it ends, the daemon is tried again.\r\n")
	attr := &syscall.ProcAttr{
		Dir: "/", Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=linux", "HOME=/root"},
		Files: []uintptr{terminal.Fd(), terminal.Fd(), terminal.Fd()},
		// 1: from whoever has it.
		Sys: &syscall.SysProcAttr{Setsid: true},
	}
	for _, shell := range shells() {
		for _, own := range []bool{true, false} {
			// Without a terminal of its own where another session keeps it.
			attr.Sys.Setctty = own
			if pid, err = syscall.ForkExec(shell[0], shell, attr); err == nil {
				fmt.Fprintf(log, "session-init: an emergency shell runs: %s, process %d\n", shell[0], pid)
				return pid, nil
			}
		}
	}
	return 0, err
}

// Log is where the lines of a first process go: the kernel's log, and a file
// once there is a disk to have it.
type Log struct {
	mu   sync.Mutex
	kmsg io.Writer
	file *os.File
}

// OpenLog opens the kernel's log; where there is none, lines go to the console.
func OpenLog(console io.Writer) *Log {
	l := &Log{kmsg: console}
	if fd, err := unix.Open("/dev/kmsg", unix.O_WRONLY|unix.O_NOCTTY|unix.O_CLOEXEC, 0); err == nil {
		l.kmsg = kernelLog(fd)
	}
	return l
}

// kernelLog is a descriptor of /dev/kmsg.
type kernelLog int

// maxRecord is how much of a line is written at once: the kernel refuses a record
// of more than about 1000 bytes.
const maxRecord = 900

// Write writes a line as a record, or more of them: a daemon's, of the severity
// "information"; see syslog(3).
func (k kernelLog) Write(line []byte) (int, error) {
	for part := range slices.Chunk(bytes.TrimSuffix(line, []byte("\n")), maxRecord) {
		if _, err := unix.Write(int(k), slices.Concat([]byte("<30>"), part, []byte("\n"))); err != nil {
			return 0, err
		}
	}
	return len(line), nil
}

// Write takes whole lines. The kernel's log gets each as a record of its own.
func (l *Log) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		if n, err := l.file.Write(text); err == nil {
			return n, nil
		}
		// The disk is full, or gone: the kernel's log is there still.
	}
	for line := range bytes.Lines(text) {
		if _, err := l.kmsg.Write(line); err != nil {
			return 0, err
		}
	}
	return len(text), nil
}

// ToFile has the lines go to a file from now on. An earlier one is gone on with.
func (l *Log) ToFile(path string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		l.file.Close()
	}
	l.file = file
	return nil
}
