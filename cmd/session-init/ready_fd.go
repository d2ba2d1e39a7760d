package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// firstReadyFD is the first descriptor that --ready-fd may name: those below are
// the keeper's own, and the daemon's.
const firstReadyFD = 3

// openReady takes over the descriptor by which a supervisor is told that the
// daemon answers: a pipe or a socket. It is the keeper's from then on, and nobody
// inherits it. One that nobody has opened may be a file of Go's own by now, as of
// the limits of our cgroup.
func openReady(fd int) (*os.File, error) {
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return nil, fmt.Errorf("--ready-fd: cannot use descriptor %d: %w", fd, err)
	}
	if kind := stat.Mode & unix.S_IFMT; kind != unix.S_IFIFO && kind != unix.S_IFSOCK {
		return nil, fmt.Errorf("--ready-fd: descriptor %d is no pipe and no socket", fd)
	}
	unix.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), "ready"), nil
}
