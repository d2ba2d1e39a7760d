// Package began knows what the process was given before Go's own start-up
// changed it: the limit on open descriptors, whose soft value package syscall
// raises for itself in its init. Children must get what we were given.
//
// It does nothing else, and promises nothing but the value. It works because
// packages without an order between them are initialised in the order of
// their import paths (the specification of Go since 1.21): this one imports
// nothing that is initialised and comes before "syscall". A test in package
// supervise fails when that should cease to hold.
package began

import "unsafe"

// Limit is a soft and a hard limit, as prlimit(2) lays them out.
type Limit struct{ Soft, Hard uint64 }

// RLIMIT_NOFILE on every architecture that we support: those of 64 bits, since
// on others users and groups have calls of their own.
const limitNofile = 7

// rawSyscall6 is syscall.RawSyscall6. Importing syscall would have it
// initialised before us.
//
//go:linkname rawSyscall6 syscall.RawSyscall6
func rawSyscall6(trap, a1, a2, a3, a4, a5, a6 uintptr) (r1, r2, errno uintptr)

var nofile, nofileErrno = readNofile()

func readNofile() (Limit, uintptr) {
	var l Limit
	_, _, errno := rawSyscall6(sysPrlimit64, 0, limitNofile, 0, uintptr(unsafe.Pointer(&l)), 0, 0)
	return l, errno
}

// Nofile returns the limit on open descriptors that the process began with;
// false when the kernel did not tell.
func Nofile() (Limit, bool) { return nofile, nofileErrno == 0 }
