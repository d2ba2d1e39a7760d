// Package scarce tells when descriptors run out, for the daemon and for the keeper
// above it, which share what they hold: some are left for what cannot do without.
// It changes nothing, and remembers nothing.
package scarce

import "golang.org/x/sys/unix"

// Spare is how many descriptors are left: for processes and clients, and for the
// next daemon, which inherits all that is held.
const Spare = 32

// Descriptor tells whether a new descriptor, which has the lowest number that is
// free, is one of the last; see getrlimit(2).
func Descriptor(fd int) bool {
	var limit unix.Rlimit
	return unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil && isLast(fd, limit.Cur)
}

func isLast(fd int, limit uint64) bool { return uint64(fd)+Spare >= limit }
