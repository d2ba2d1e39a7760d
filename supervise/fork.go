package supervise

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The runtime's own brackets around a fork: signals are blocked in this
// thread between them, and a function that would grow its stack ends the
// program instead of corrupting the child.
//
//go:linkname beforeFork syscall.runtime_BeforeFork
func beforeFork()

//go:linkname afterFork syscall.runtime_AfterFork
func afterFork()

// fork makes a copy of the process that runs childMain, and returns its pid.
// syscall.ForkLock is not taken: it keeps descriptors without CLOEXEC from
// leaking into children, and ours close everything; who holds it may be
// waiting for an exec that hangs.
//
//go:noinline
//go:norace
//go:nocheckptr
func fork(c *child) (pid int, errno syscall.Errno) {
	told := &c.slot.helper
	if c.leader {
		told = &c.slot.pid
	}
	var r uintptr
	beforeFork()
	r, _, errno = syscall.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD)|unix.CLONE_PARENT_SETTID,
		0, uintptr(unsafe.Pointer(told)), 0, 0, 0)
	if errno == 0 && r == 0 {
		childMain(c)
	}
	afterFork()
	return int(r), errno
}
