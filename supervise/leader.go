package supervise

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Leader is a process that is none of ours, and whose end is of interest. It
// is neither waited for nor signalled.
type Leader struct {
	pidfd *os.File
	// Since is when it began, in clock ticks since boot: with its pid it is no
	// other.
	Since uint64
}

// WatchLeader takes hold of a process. The caller closes it, or calls Wait.
func WatchLeader(pid int) (*Leader, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil, err
	}
	l := &Leader{pidfd: os.NewFile(uintptr(fd), "leader")}
	// When the pid has come to another process meanwhile, the one that is held
	// has ended, and Wait says so at once.
	st, ok := statOf(pid)
	if !ok {
		l.pidfd.Close()
		return nil, errors.New("its /proc/PID/stat cannot be read")
	}
	l.Since = st.start
	return l, nil
}

// Wait returns when the process has ended: its descriptor becomes readable
// then, which Go's own poller waits for; see pidfd_open(2).
func (l *Leader) Wait() {
	defer l.pidfd.Close()
	raw, err := l.pidfd.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Read(func(fd uintptr) bool {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		return n > 0 || err != nil && err != unix.EINTR
	})
}

// Close lets go of it.
func (l *Leader) Close() { l.pidfd.Close() }
