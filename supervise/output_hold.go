package supervise

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// What a terminal in front of a log needs to outlive the daemon is held for the
// next one: our end of the terminal from before the process is made, and the
// log as soon as it is open. The keeper holds both; a daemon that is executed
// anew hands them over besides (Terminals). The next one goes on to copy. When
// its caller knows the process, the log is kept within its limit too.

// Holder holds descriptors for the daemon after this one, by names without
// blanks. Its methods may be called from any goroutine.
type Holder interface {
	Hold(name string, fd int) error
	Drop(name string) error
	// Names lists what an earlier daemon has left, and Take takes it out.
	Names() []string
	Take(name string) *os.File
}

// What is held goes by the number of the terminal, which is nobody else's
// while it is held, and by the process's.
const (
	masterPrefix = "pty"
	logPrefix    = "ptylog"
)

func (t *terminal) name(prefix string) string {
	return fmt.Sprintf("%s.%d.%d", prefix, t.number, t.id)
}

// hold has a descriptor held. Should that fail, the keeper is gone, and
// whoever watches the link knows.
func (c *copiers) hold(prefix string, t *terminal, fd int) {
	if c.holder != nil {
		_ = c.holder.Hold(t.name(prefix), fd)
	}
}

// drop gives back what is held of a terminal that nobody has any more.
func (c *copiers) drop(t *terminal) {
	if c.holder != nil {
		_ = c.holder.Drop(t.name(masterPrefix))
		_ = c.holder.Drop(t.name(logPrefix))
	}
}

// Terminals returns, for a daemon that is executed in our place, what the
// terminals need that processes have, under the names that Holder.Names
// gives there. The descriptors are duplicates, closed at an exec.
func (s *Supervisor) Terminals() (names []string, fds []int) {
	c := &s.outputs.copiers
	// After a panic somebody may have left it locked.
	if !c.mu.TryLock() {
		return nil, nil
	}
	defer c.mu.Unlock()
	var list []*terminal
	for t := range c.terminals {
		list = append(list, t)
	}
	slices.SortFunc(list, func(a, b *terminal) int { return a.number - b.number })
	add := func(name string, fd int) {
		if copied, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3); err == nil {
			names, fds = append(names, name), append(fds, copied)
		}
	}
	for _, t := range list {
		add(t.name(masterPrefix), t.fd)
		if t.log >= 0 {
			add(t.name(logPrefix), t.log)
		}
	}
	return names, fds
}

// takeHeld takes out the terminals that an earlier daemon has left.
func takeHeld(holder Holder) (list []*terminal) {
	if holder == nil {
		return nil
	}
	for _, name := range holder.Names() {
		rest, found := strings.CutPrefix(name, masterPrefix+".")
		t := &terminal{fd: -1, log: -1}
		if _, err := fmt.Sscanf(rest, "%d.%d", &t.number, &t.id); !found || err != nil {
			continue
		}
		t.master = holder.Take(name)
		conn, err := t.master.SyscallConn()
		if err == nil {
			err = conn.Control(func(fd uintptr) { t.fd = int(fd) })
		}
		if log := holder.Take(t.name(logPrefix)); log != nil {
			t.log, _ = unix.FcntlInt(log.Fd(), unix.F_DUPFD_CLOEXEC, 3)
			log.Close()
		}
		if err != nil {
			t.close()
			continue
		}
		list = append(list, t)
	}
	return list
}

// resumeCopy goes on to copy for a process whose Spec is known; nil goes on
// for all that are left, whose logs grow without limit: their processes are
// gone, and what they left behind writes on.
func (s *Supervisor) resumeCopy(spec *Spec) {
	s.held = slices.DeleteFunc(s.held, func(t *terminal) bool {
		switch {
		case spec == nil:
			path, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", t.log))
			s.outputs.copiers.copy(t, "", path, LogLimit{})
		case spec.ID == t.id && spec.Output == OutputPTY:
			s.outputs.copiers.copy(t, spec.Label, spec.LogPath, spec.LogLimit)
		default:
			return false
		}
		return true
	})
}
