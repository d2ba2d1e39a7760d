package supervise

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// child is all that a child needs from clone to exec, computed beforehand.
// It belongs to the parent's process record, which keeps it alive.
//
// The functions of this file run in the child. They may not allocate, grow
// the stack, take a lock, or store a pointer; they make raw system calls on
// what is in the child record and write numbers. Hence the directives above
// each, and no call of anything else.
type child struct {
	slot   *slot
	leader bool
	// lost: it writes to a slot that only an earlier daemon had.
	lost bool

	stack  uintptr // upper end of the stacks; 0 when our memory is not shared
	second bool    // set by the first child for the second that shares memory

	pipeFD   int // the write end; closes at exec
	lastFD   int // the highest that is open, where they are closed one by one; else -1
	nullFD   int
	outFD    int   // standard output and error: the null device or a terminal of our own
	scriptFD int   // or -1
	scriptAt int   // where a shell finds it
	files    []int // for 3 and up; none is as low as where it or the script goes
	cgroup   int   // to be cloned into, or -1

	terminal    *byte // nil when none is wanted
	ownTerminal bool
	take        uintptr // 1: from the session that has it, see TIOCSCTTY in ioctl_tty(2)
	logPath     *byte   // nil when there is no log
	logDirs     []*byte
	toTerminal  bool

	setUmask bool
	umask    uint32
	setNice  bool
	nice     int
	oomScore []byte // as text; nil to leave it
	nofile   *unix.Rlimit
	mark     *unix.Rlimit
	limits   []limit
	chroot   *byte
	setUser  bool
	groups   []uint32
	keepGrps bool // the groups are ours already
	gid, uid uint32
	dir      *byte

	programs []*byte // to be tried in turn
	argv     []*byte
	env      []*byte
	pids     [][]byte // values in env that are to be the pid of the process, maxPid bytes each

	trace  askTrace
	action [4]uint64 // a sigaction that is all zero, larger than any
	dying  [4]uint64 // what a signal that dumps core does before the exec
	mask   uint64
	// cleared: the kernel has made all handlers default but for the ignored.
	cleared bool
	ignored uint64 // signals, as bits
}

// limit is a Limit as the kernel takes it.
type limit struct {
	resource int
	value    unix.Rlimit
}

// coreSignals are those that dump core by default, as bits. Before Linux 5.16
// a core dump ends all that share the memory, us among them, whatever the
// limit on its size; so a child that shares our memory handles them, until
// the exec makes them what they were. See core(5), signal(7).
const coreSignals = uint64(1)<<unix.SIGQUIT | 1<<unix.SIGILL | 1<<unix.SIGTRAP | 1<<unix.SIGABRT |
	1<<unix.SIGFPE | 1<<unix.SIGSEGV | 1<<unix.SIGBUS | 1<<unix.SIGSYS | 1<<unix.SIGXCPU | 1<<unix.SIGXFSZ

// dyingAction is a sigaction of the kernel: vmDie, SA_RESTORER and a restorer
// that is never used, but must be there on amd64.
func dyingAction() [4]uint64 {
	return [4]uint64{uint64(vmDieAddr), 0x04000000, uint64(vmDieAddr), 0}
}

// atCWD is AT_FDCWD, -100.
const atCWD = ^uintptr(99)

var oomPath = [...]byte{'/', 'p', 'r', 'o', 'c', '/', 's', 'e', 'l', 'f', '/', 'o', 'o', 'm', '_', 's', 'c', 'o', 'r', 'e', '_', 'a', 'd', 'j', 0}

// childMain is the life of a child. It does not return.
//
//go:nosplit
//go:norace
//go:nocheckptr
func childMain(c *child) {
	if (c.second || childSession(c)) && childDescriptors(c) && childOutput(c) && childSettings(c) && childIdentity(c) && childTrace(c) {
		childExec(c)
	}
	for {
		syscall.RawSyscall(unix.SYS_EXIT_GROUP, 127, 0, 0)
	}
}

// childAt notes which step is being tried.
//
//go:nosplit
//go:norace
//go:nocheckptr
func childAt(c *child, step Step, index int) {
	c.slot.index = uint32(index)
	c.slot.step = uint32(step)
}

// childDid notes the failure of the step, if it is one.
//
//go:nosplit
//go:norace
//go:nocheckptr
func childDid(c *child, errno syscall.Errno) bool {
	c.slot.errno = uint32(errno)
	return errno == 0
}

// childSession leaves our session, and leads the new one only when it shall:
// else the second child lives on and the first ends here.
//
//go:nosplit
//go:norace
//go:nocheckptr
func childSession(c *child) bool {
	childAt(c, StepSession, 0)
	_, _, errno := syscall.RawSyscall(unix.SYS_SETSID, 0, 0, 0)
	if !childDid(c, errno) {
		return false
	}
	if c.leader {
		return true
	}
	childAt(c, StepFork, 0)
	c.second = true
	var pid int
	pid, errno = forkSecond(c)
	if errno != 0 {
		return childDid(c, errno)
	}
	if pid == 0 {
		return true
	}
	for {
		syscall.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
}

// childDescriptors leaves nothing of ours open, before anything that may
// hang: a child that hangs must not hold our sockets, nor the terminal.
//
//go:nosplit
//go:norace
//go:nocheckptr
func childDescriptors(c *child) bool {
	childAt(c, StepDescriptors, 0)
	syscall.RawSyscall(unix.SYS_CLOCK_GETTIME, unix.CLOCK_BOOTTIME, uintptr(unsafe.Pointer(&c.slot.began)), 0)
	var errno syscall.Errno
	for fd := uintptr(0); fd <= 2; fd++ {
		from := c.nullFD
		if fd > 0 {
			from = c.outFD
		}
		_, _, errno = syscall.RawSyscall(unix.SYS_DUP3, uintptr(from), fd, 0)
		if !childDid(c, errno) {
			return false
		}
	}
	low := uintptr(3)
	for i := 0; i < len(c.files); i++ {
		_, _, errno = syscall.RawSyscall(unix.SYS_DUP3, uintptr(c.files[i]), low, 0)
		if !childDid(c, errno) {
			return false
		}
		low++
	}
	if c.scriptFD >= 0 {
		at := uintptr(c.scriptAt)
		_, _, errno = syscall.RawSyscall(unix.SYS_DUP3, uintptr(c.scriptFD), at, 0)
		if !childDid(c, errno) || low < at && !childClose(c, low, at-1) {
			return false
		}
		low = at + 1
	}
	return (low == uintptr(c.pipeFD) || childClose(c, low, uintptr(c.pipeFD)-1)) &&
		childClose(c, uintptr(c.pipeFD)+1, uintptr(^uint32(0)))
}

//go:nosplit
//go:norace
//go:nocheckptr
func childClose(c *child, first, last uintptr) bool {
	if c.lastFD >= 0 {
		for fd := first; fd <= min(last, uintptr(c.lastFD)); fd++ {
			syscall.RawSyscall(unix.SYS_CLOSE, fd, 0, 0)
		}
		return true
	}
	_, _, errno := syscall.RawSyscall(unix.SYS_CLOSE_RANGE, first, last, 0)
	return childDid(c, errno)
}

// childOutput opens the terminal and the log, where they are wanted. Without
// its log a process runs all the same: the output is lost, and the slot says
// why.
//
//go:nosplit
//go:norace
//go:nocheckptr
func childOutput(c *child) bool {
	if c.terminal != nil {
		childAt(c, StepTerminal, 0)
		fd, _, errno := syscall.RawSyscall6(unix.SYS_OPENAT, atCWD, uintptr(unsafe.Pointer(c.terminal)),
			unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0, 0, 0)
		if !childDid(c, errno) {
			return false
		}
		if c.ownTerminal {
			// EPERM: it is another session's, such as that of the shell
			// that started us, and stays so, unless it is to be taken; it
			// can be read all the same.
			_, _, errno = syscall.RawSyscall(unix.SYS_IOCTL, fd, unix.TIOCSCTTY, c.take)
			if errno != unix.EPERM && !childDid(c, errno) || !childDup(c, fd, 0) {
				return false
			}
		}
		if c.toTerminal && !(childDup(c, fd, 1) && childDup(c, fd, 2)) {
			return false
		}
		syscall.RawSyscall(unix.SYS_CLOSE, fd, 0, 0)
	}
	if c.logPath != nil {
		childAt(c, StepOutput, 0)
		fd, errno := childOpenLog(c)
		if errno == unix.ENOENT {
			for i := 0; i < len(c.logDirs); i++ {
				syscall.RawSyscall(unix.SYS_MKDIRAT, atCWD, uintptr(unsafe.Pointer(c.logDirs[i])), 0o700)
			}
			fd, errno = childOpenLog(c)
		}
		if errno != 0 {
			c.slot.lost = uint16(errno)
			return true
		}
		if !childDup(c, fd, 1) || !childDup(c, fd, 2) {
			return false
		}
		syscall.RawSyscall(unix.SYS_CLOSE, fd, 0, 0)
	}
	return true
}

//go:nosplit
//go:norace
//go:nocheckptr
func childOpenLog(c *child) (uintptr, syscall.Errno) {
	fd, _, errno := syscall.RawSyscall6(unix.SYS_OPENAT, atCWD, uintptr(unsafe.Pointer(c.logPath)),
		unix.O_WRONLY|unix.O_APPEND|unix.O_CREAT|unix.O_NOCTTY|unix.O_CLOEXEC, 0o600, 0, 0)
	return fd, errno
}

//go:nosplit
//go:norace
//go:nocheckptr
func childDup(c *child, from, to uintptr) bool {
	_, _, errno := syscall.RawSyscall(unix.SYS_DUP3, from, to, 0)
	return childDid(c, errno)
}

// childSettings makes what needs our privileges.
//
//go:nosplit
//go:norace
//go:nocheckptr
func childSettings(c *child) bool {
	var errno syscall.Errno
	if c.setUmask {
		syscall.RawSyscall(unix.SYS_UMASK, uintptr(c.umask), 0, 0)
	}
	if c.setNice {
		childAt(c, StepNice, 0)
		_, _, errno = syscall.RawSyscall(unix.SYS_SETPRIORITY, unix.PRIO_PROCESS, 0, uintptr(c.nice))
		if !childDid(c, errno) {
			return false
		}
	}
	if c.oomScore != nil {
		childAt(c, StepOOMScore, 0)
		if !childOOMScore(c) {
			return false
		}
	}
	if c.nofile != nil {
		// Lowering the soft limit cannot fail.
		syscall.RawSyscall6(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_NOFILE, uintptr(unsafe.Pointer(c.nofile)), 0, 0, 0)
	}
	if c.mark != nil {
		// Below the hard limit, so this cannot fail either.
		syscall.RawSyscall6(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_LOCKS, uintptr(unsafe.Pointer(c.mark)), 0, 0, 0)
	}
	for i := 0; i < len(c.limits); i++ {
		childAt(c, StepLimit, i)
		_, _, errno = syscall.RawSyscall6(unix.SYS_PRLIMIT64, 0, uintptr(c.limits[i].resource),
			uintptr(unsafe.Pointer(&c.limits[i].value)), 0, 0, 0)
		if !childDid(c, errno) {
			return false
		}
	}
	if c.chroot != nil {
		childAt(c, StepChroot, 0)
		_, _, errno = syscall.RawSyscall(unix.SYS_CHROOT, uintptr(unsafe.Pointer(c.chroot)), 0, 0)
		if !childDid(c, errno) {
			return false
		}
	}
	return true
}

//go:nosplit
//go:norace
//go:nocheckptr
func childOOMScore(c *child) bool {
	fd, _, errno := syscall.RawSyscall6(unix.SYS_OPENAT, atCWD, uintptr(unsafe.Pointer(&oomPath)),
		unix.O_WRONLY|unix.O_CLOEXEC, 0, 0, 0)
	if errno == 0 {
		_, _, errno = syscall.RawSyscall(unix.SYS_WRITE, fd, uintptr(unsafe.Pointer(&c.oomScore[0])), uintptr(len(c.oomScore)))
		syscall.RawSyscall(unix.SYS_CLOSE, fd, 0, 0)
	}
	return childDid(c, errno)
}

// childIdentity becomes the user, and goes where that user works: a
// directory that it may not enter is refused.
//
//go:nosplit
//go:norace
//go:nocheckptr
func childIdentity(c *child) bool {
	var errno syscall.Errno
	if c.setUser {
		if !c.keepGrps {
			childAt(c, StepGroups, 0)
			var first uintptr
			if len(c.groups) > 0 {
				first = uintptr(unsafe.Pointer(&c.groups[0]))
			}
			_, _, errno = syscall.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(c.groups)), first, 0)
			if !childDid(c, errno) {
				return false
			}
		}
		childAt(c, StepGID, 0)
		_, _, errno = syscall.RawSyscall(unix.SYS_SETGID, uintptr(c.gid), 0, 0)
		if !childDid(c, errno) {
			return false
		}
		childAt(c, StepUID, 0)
		_, _, errno = syscall.RawSyscall(unix.SYS_SETUID, uintptr(c.uid), 0, 0)
		if !childDid(c, errno) {
			return false
		}
	}
	if c.dir != nil {
		childAt(c, StepChdir, 0)
		_, _, errno = syscall.RawSyscall(unix.SYS_CHDIR, uintptr(unsafe.Pointer(c.dir)), 0, 0)
		return childDid(c, errno)
	}
	return true
}

// childExec gives the signals back as the kernel made them and runs the
// program. It returns when no candidate could be run.
//
//go:nosplit
//go:norace
//go:nocheckptr
func childExec(c *child) {
	for s := uintptr(1); s <= 64; s++ {
		if c.cleared && (c.ignored|coreSignals)>>s&1 == 0 {
			continue
		}
		action := &c.action
		if c.stack != 0 && coreSignals>>s&1 != 0 {
			action = &c.dying
		}
		syscall.RawSyscall6(unix.SYS_RT_SIGACTION, s, uintptr(unsafe.Pointer(action)), 0, 8, 0, 0)
	}
	for i := 0; i < len(c.pids); i++ {
		childPid(c.pids[i])
	}
	childAt(c, StepExec, 0)
	// A signal that came since the clone is taken here.
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&c.mask)), 0, 8, 0, 0)

	var denied bool
	var errno syscall.Errno
	for i := 0; i < len(c.programs); i++ {
		_, _, errno = syscall.RawSyscall(unix.SYS_EXECVE, uintptr(unsafe.Pointer(c.programs[i])),
			uintptr(unsafe.Pointer(&c.argv[0])), uintptr(unsafe.Pointer(&c.env[0])))
		switch errno {
		case unix.EACCES:
			denied = true
		case unix.ENOENT:
			// The program may be there: then what its first line or its
			// header names is not.
			_, _, absent := syscall.RawSyscall(unix.SYS_FACCESSAT, atCWD, uintptr(unsafe.Pointer(c.programs[i])), 0)
			if absent == 0 {
				c.slot.hint = hintInterpreter
			}
		case unix.ENOTDIR, unix.ESTALE, unix.ENODEV, unix.ETIMEDOUT:
			// The next directory may have it.
		default:
			childDid(c, errno)
			return
		}
	}
	if denied {
		errno = unix.EACCES
		c.slot.hint = hintNone
	}
	childDid(c, errno)
}

// maxPid is how many bytes the text of a pid takes at most, with its end.
const maxPid = 11

// childPid writes our pid.
//
//go:nosplit
//go:norace
//go:nocheckptr
func childPid(to []byte) {
	pid, _, _ := syscall.RawSyscall(unix.SYS_GETPID, 0, 0, 0)
	n := 0
	for rest := pid; rest > 0; rest /= 10 {
		n++
	}
	for ; n > 0; n-- {
		to[n-1] = byte('0' + pid%10)
		pid /= 10
	}
}
