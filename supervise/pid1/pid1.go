// Package pid1 is what the first process of a machine, or of a container, does
// before there is a daemon and after there is none any more: mounts, console,
// loopback and the keyboard at the beginning; the end of all that runs, unmounting
// and reboot(2) at the end; a shell in between when nothing else is left. Each
// step is a value in a list. It decides nothing: that is the keeper's and the
// daemon's work.
//
// What concerns a machine is done on a machine alone. The kernel's own first
// process is the only one that is asked to end it, or that changes mounts which
// others see.
package pid1

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// firstNamespace is the PID namespace that the kernel begins with: PROC_PID_INIT_INO
// in linux/proc_ns.h.
const firstNamespace = "pid:[4026531836]"

// Place says where we are the first process.
type Place uint8

const (
	// Elsewhere: we are not the first process of anything.
	Elsewhere Place = iota
	// Container: the first process of a PID namespace, or we are told so.
	Container
	// Machine: the first process of a kernel.
	Machine
)

// Step is one thing that is done at the beginning.
type Step struct {
	What string
	Do   func() error
}

func (s Step) String() string { return s.What }

// Run does steps in their order. What fails is said, and the next is done: a
// machine that lacks a file system is to get as far as its emergency shell.
func Run(log io.Writer, steps []Step) {
	for _, step := range steps {
		if err := step.Do(); err != nil {
			fmt.Fprintf(log, "session-init: cannot %s: %v\n", step.What, err)
		}
	}
}

// WhereAmI tells the place. It needs /proc, and mounts it when we are the first
// process and there is none. told is what flag and environment say.
func WhereAmI(told bool) (Place, error) {
	if os.Getpid() != 1 {
		if told {
			return Container, nil
		}
		return Elsewhere, nil
	}
	self, err := os.Readlink("/proc/self")
	if err != nil {
		if err := mount(Mount{"proc", "/proc", "proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""}); err != nil {
			return Machine, fmt.Errorf("cannot mount /proc: %w", err)
		}
		self, err = os.Readlink("/proc/self")
	}
	if err == nil && self != "1" {
		return Container, ErrForeign
	}
	if told || !FirstNamespace() {
		return Container, nil
	}
	return Machine, err
}

// FirstNamespace tells whether our PID namespace is that of the kernel's own
// first process. A kernel without namespaces has no other.
func FirstNamespace() bool {
	namespace, err := os.Readlink("/proc/self/ns/pid")
	return err != nil || namespace == firstNamespace
}

// ErrForeign: what is mounted at /proc shows another PID namespace than ours.
var ErrForeign = errors.New("/proc is that of another PID namespace")

// InContainer tells whether the environment of a first process says that it is
// in a container, as container managers do.
func InContainer(environ []string) bool {
	for _, entry := range environ {
		if value, ok := strings.CutPrefix(entry, "container="); ok && value != "" {
			return true
		}
	}
	return false
}

// Begin are the steps of the beginning.
func Begin(place Place) (steps []Step) {
	if place == Elsewhere {
		return nil
	}
	for _, m := range Mounts() {
		if place == Machine || m.Target == "/proc" || m.Target == "/sys" || m.Target == "/run" {
			steps = append(steps, Step{"mount " + m.Target, func() error { return mountMissing(m, place) }})
		}
	}
	if place == Machine {
		steps = append(steps,
			Step{"make the devices that everything needs", makeNodes},
			Step{"open /dev/console", openConsole},
			Step{"have Ctrl-Alt-Del", func() error { return unix.Reboot(unix.LINUX_REBOOT_CMD_CAD_OFF) }},
			Step{"have the keyboard's signal", signalKeyboard},
			Step{"have the kernel's log take all lines", takeAllLines},
			Step{"set the host name", setHostname})
	}
	return append(steps, Step{"bring up the loopback interface", loopback})
}

// takeAllLines has the kernel keep every line that is written to /dev/kmsg: else it
// drops what is more than ten in five seconds. It refuses when its command line
// says otherwise.
func takeAllLines() error {
	err := os.WriteFile("/proc/sys/kernel/printk_devkmsg", []byte("on\n"), 0)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.EINVAL) {
		return nil
	}
	return err
}

// setHostname takes it from /etc/hostname: the first line that is no comment.
func setHostname() error {
	text, err := os.ReadFile("/etc/hostname")
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			return unix.Sethostname([]byte(line))
		}
	}
	return nil
}

// loopback sets the interface up, if it is not; see netdevice(7). A container
// may not be allowed to: then somebody else has seen to it.
func loopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil // a kernel without a network
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err == nil {
		err = unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, request)
	}
	if err != nil || request.Uint16()&unix.IFF_UP != 0 {
		return err
	}
	request.SetUint16(request.Uint16() | unix.IFF_UP)
	if err = unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request); err == unix.EPERM {
		return nil
	}
	return err
}
