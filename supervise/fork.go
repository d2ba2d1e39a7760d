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

// Flags of the clone of the first child; the second, which is the daemon's
// child too, has secondFlags besides.
const (
	forkFlags   = uintptr(unix.CLONE_PARENT_SETTID)
	secondFlags = uintptr(unix.CLONE_PARENT)
)

// flags returns those of both clones. No signal tells that either child has
// ended before its exec: the pipe does, and saves one SIGCHLD a start. From
// the exec on the kernel sends SIGCHLD, whatever the flags say; see de_thread
// in fs/exec.c. What is traced stops before, and that must be told.
//
//go:nosplit
//go:norace
func (c *child) flags() uintptr {
	if c.signals() {
		return forkFlags | uintptr(unix.SIGCHLD)
	}
	return forkFlags
}

// signals tells whether SIGCHLD comes for the children from the clone on.
//
//go:nosplit
//go:norace
func (c *child) signals() bool { return c.trace.wanted }

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
			if pid = s.forkSharing(c); pid > 0 {
				return pid, 0
			}
			s.stacks.put(c.stack)
			c.stack = 0
			errno = syscall.Errno(-pid)
			switch {
			case c.cgroup >= 0:
				// It may be the group that is refused.
				return 0, errno
			case errno == unix.EINVAL, errno == unix.ENOSYS, errno == unix.EPERM:
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

// forkSharing makes a child whose handlers of signals the kernel has cleared,
// where it can: that saves the child half a hundred calls.
func (s *Supervisor) forkSharing(c *child) (pid int) {
	if !s.handling {
		c.ignored, c.cleared = s.ignored, true
		pid = forkCleared(c)
		errno := syscall.Errno(-pid)
		switch {
		case pid > 0 || c.cgroup >= 0:
			return pid
		case errno == unix.EINVAL, errno == unix.ENOSYS, errno == unix.EPERM:
			// Linux before 5.5, or a filter of system calls.
			s.handling, c.cleared = true, false
		default:
			return pid
		}
	}
	if c.cgroup >= 0 {
		// Such a kernel does not clone into a group either.
		return -int(unix.ENOSYS)
	}
	return forkHandling(c)
}

// cloneArgs is what clone3(2) takes; of its first version, which does for a
// child that is not put into a cgroup, are cloneArgsFirst bytes.
type cloneArgs struct {
	flags, _, _, parentTID, exitSignal, stack, stackSize, _, _, _, cgroup uint64
}

const cloneArgsFirst = 64

// What clone3(2) knows beyond the flags of clone(2).
const (
	cloneClearSighand = 0x100000000 // CLONE_CLEAR_SIGHAND
	cloneIntoCgroup   = 0x200000000 // CLONE_INTO_CGROUP
)

// into has a child cloned into its cgroup, and returns the size of args.
func (args *cloneArgs) into(group int) uintptr {
	if group < 0 {
		return cloneArgsFirst
	}
	args.flags |= cloneIntoCgroup
	args.cgroup = uint64(group)
	return unsafe.Sizeof(*args)
}

//go:noinline
//go:norace
//go:nocheckptr
func forkCleared(c *child) (pid int) {
	flags := uint64(c.flags())
	args := cloneArgs{
		flags:      flags&^0xff | unix.CLONE_VM | cloneClearSighand,
		parentTID:  uint64(uintptr(unsafe.Pointer(c.told()))),
		exitSignal: flags & 0xff,
		stack:      uint64(c.stack - firstStack),
		stackSize:  firstStack,
	}
	size := args.into(c.cgroup)
	beforeFork()
	pid = vmclone3(&args, size, c)
	afterFork()
	return pid
}

//go:noinline
//go:norace
//go:nocheckptr
func forkHandling(c *child) (pid int) {
	told := c.told()
	beforeFork()
	pid = vmclone(c.flags()|unix.CLONE_VM, c.stack, told, c)
	afterFork()
	return pid
}

//go:noinline
//go:norace
//go:nocheckptr
func forkCopy(c *child) (pid int, errno syscall.Errno) {
	told, flags := c.told(), c.flags()
	args := cloneArgs{
		flags:      uint64(flags &^ 0xff),
		parentTID:  uint64(uintptr(unsafe.Pointer(told))),
		exitSignal: uint64(flags & 0xff),
	}
	size := args.into(c.cgroup)
	var r uintptr
	beforeFork()
	if c.cgroup >= 0 {
		r, _, errno = syscall.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&args)), size, 0)
	} else {
		r, _, errno = syscall.RawSyscall6(unix.SYS_CLONE, flags, 0, uintptr(unsafe.Pointer(told)), 0, 0, 0)
	}
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
		pid = vmclone(c.flags()|secondFlags|unix.CLONE_VM, c.stack-firstStack, &c.slot.pid, c)
		if pid < 0 {
			return 0, syscall.Errno(-pid)
		}
		return pid, 0
	}
	r, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, c.flags()|secondFlags, 0, uintptr(unsafe.Pointer(&c.slot.pid)), 0, 0, 0)
	return int(r), errno
}

// ignoredSignals returns, as bits, the signals that we ignore: no clone and no
// exec makes a child handle them by default.
func ignoredSignals() (set uint64) {
	for s := uintptr(1); s <= 64; s++ {
		var now [4]uint64 // begins with the handler
		syscall.RawSyscall6(unix.SYS_RT_SIGACTION, s, 0, uintptr(unsafe.Pointer(&now)), 8, 0, 0)
		if now[0] == 1 {
			set |= 1 << s
		}
	}
	return set
}
