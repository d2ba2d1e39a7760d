package supervise

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// askTrace is what a child needs in order to be traced, see childTrace.
type askTrace struct {
	wanted bool
	// careful: a program that gains privileges runs without.
	careful bool
	// runs are the programs that this goes for, each with its candidates.
	runs [][]*byte
	word [1]byte
	file *unix.Statx_t // room for childGains
}

// capabilityName is the attribute of a file that gives capabilities.
var capabilityName = [...]byte{'s', 'e', 'c', 'u', 'r', 'i', 't', 'y', '.', 'c', 'a', 'p', 'a', 'b', 'i', 'l', 'i', 't', 'y', 0}

// childTrace asks the daemon over the pipe, which is a socket then, to trace
// us, and waits for its word. Nobody else waits: should the daemon die, the
// pipe hangs up, and the program runs without being traced.
//
//go:nosplit
//go:norace
//go:nocheckptr
func childTrace(c *child) bool {
	if !c.trace.wanted {
		return true
	}
	for i := 0; i < len(c.trace.runs); i++ {
		if childGains(c, c.trace.runs[i]) {
			return true
		}
	}
	childAt(c, StepFollow, 0)
	syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(c.pipeFD), uintptr(unsafe.Pointer(&c.trace.word)), 1, unix.MSG_NOSIGNAL, 0, 0)
	for {
		_, _, errno := syscall.RawSyscall(unix.SYS_READ, uintptr(c.pipeFD), uintptr(unsafe.Pointer(&c.trace.word)), 1)
		if errno != unix.EINTR {
			return true
		}
	}
}

// childGains tells whether a program, the first of its candidates that there is,
// is one that gains privileges by its
// exec: set-user-ID, set-group-ID or with capabilities. The kernel does not
// give them to a program that is traced by somebody without CAP_SYS_PTRACE;
// see execve(2). To look may hang as the exec may: that is why it is done here.
//
//go:nosplit
//go:norace
//go:nocheckptr
func childGains(c *child, candidates []*byte) bool {
	for i := 0; i < len(candidates); i++ {
		path := uintptr(unsafe.Pointer(candidates[i]))
		_, _, errno := syscall.RawSyscall6(unix.SYS_STATX, atCWD, path, 0, unix.STATX_TYPE|unix.STATX_MODE, uintptr(unsafe.Pointer(c.trace.file)), 0)
		mode := c.trace.file.Mode
		if errno != 0 || mode&unix.S_IFMT != unix.S_IFREG || mode&0o111 == 0 {
			continue
		}
		if mode&unix.S_ISUID != 0 || mode&unix.S_ISGID != 0 && mode&0o010 != 0 {
			return true
		}
		_, _, errno = syscall.RawSyscall6(unix.SYS_GETXATTR, path, uintptr(unsafe.Pointer(&capabilityName)), 0, 0, 0, 0)
		return errno == 0
	}
	return false
}

// mayTraceAny tells whether we have CAP_SYS_PTRACE: then a program that we
// trace keeps the privileges that it gains.
func mayTraceAny() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	return unix.Capget(&header, &data[0]) == nil && data[0].Effective&(1<<unix.CAP_SYS_PTRACE) != 0
}
