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

// forkFlags are those of the first child; secondFlags of the second, which
// is the daemon's child too.
const (
	forkFlags   = uintptr(unix.SIGCHLD) | unix.CLONE_PARENT_SETTID
	secondFlags = forkFlags | unix.CLONE_PARENT
)

// fork makes the first child, which runs childMain, and returns its pid.
//
// The child shares our memory where it may: then the cost does not grow with
// the heap. Nothing waits for the child, neither this thread nor a collection
// of garbage, however long it hangs before its exec; in turn its stack and
// its record must stay until the pipe has hung up. The kernel lets go of the
// memory before it closes descriptors, at an exit and at an exec.
//
// Should the system run out of memory and the kernel choose such a child, it
// ends all that share the memory, us among them: the choice was ours anyway.
//
// syscall.ForkLock is not taken: it keeps descriptors without CLOEXEC from
// leaking into children, and ours close everything; who holds it may be
// waiting for an exec that hangs.
func (s *Supervisor) fork(c *child) (pid int, errno syscall.Errno) {
	if s.sharing && c.mayShare() {
		if c.stack = s.stacks.take(); c.stack != 0 {
			if pid = forkSharing(c); pid > 0 {
				return pid, 0
			}
			s.stacks.put(c.stack)
			c.stack = 0
			switch errno = syscall.Errno(-pid); errno {
			case unix.EINVAL, unix.ENOSYS, unix.EPERM:
				// An emulator or a filter of system calls does not know
				// children that share memory: copies from now on.
				s.sharing = false
			default:
				return 0, errno
			}
		}
	}
	return forkCopy(c)
}

// mayShare tells whether a child can do its set-up in our memory. What
// changes the identity of a process also takes away that others may look at
// its memory (PR_SET_DUMPABLE in prctl(2)), and an out-of-memory score is set
// for all that share the memory: both would change us.
func (c *child) mayShare() bool {
	return !c.setUser && c.chroot == nil && c.oomScore == nil
}

// told returns where the kernel is to write the pid of the first child.
func (c *child) told() *int32 {
	if c.leader {
		return &c.slot.pid
	}
	return &c.slot.helper
}

//go:noinline
//go:norace
//go:nocheckptr
func forkSharing(c *child) (pid int) {
	told := c.told()
	beforeFork()
	pid = vmclone(forkFlags|unix.CLONE_VM, c.stack, told, c)
	afterFork()
	return pid
}

//go:noinline
//go:norace
//go:nocheckptr
func forkCopy(c *child) (pid int, errno syscall.Errno) {
	told := c.told()
	var r uintptr
	beforeFork()
	r, _, errno = syscall.RawSyscall6(unix.SYS_CLONE, forkFlags, 0, uintptr(unsafe.Pointer(told)), 0, 0, 0)
	if errno == 0 && r == 0 {
		childMain(c)
	}
	afterFork()
	return int(r), errno
}

// forkSecond is the clone that a first child makes. It returns 0 in a child
// that is a copy; one that shares memory begins at childMain.
//
//go:nosplit
//go:norace
//go:nocheckptr
func forkSecond(c *child) (pid int, errno syscall.Errno) {
	if c.stack != 0 {
		pid = vmclone(secondFlags|unix.CLONE_VM, c.stack-firstStack, &c.slot.pid, c)
		if pid < 0 {
			return 0, syscall.Errno(-pid)
		}
		return pid, 0
	}
	r, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, secondFlags, 0, uintptr(unsafe.Pointer(&c.slot.pid)), 0, 0, 0)
	return int(r), errno
}
