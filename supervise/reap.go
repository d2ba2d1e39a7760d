package supervise

import (
	"slices"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// reap waits for the children that have ended or stopped, without blocking,
// up to a batch of them, and tells whether there may be more.
func (s *Supervisor) reap() (more bool) {
	for range reapBatch {
		pid, ws, errno := s.waitRecorded(0)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 || pid == 0 {
			s.continueEnding(errno == unix.ECHILD)
			return false
		}
		if ws.Stopped() {
			s.stopped(pid, ws)
			continue
		}
		s.reaped = true
		s.ended(pid, ws)
	}
	return true
}

// reapUnreaped waits by name for the children whose set-up is over and of
// whose end no signal tells: the first of two, and one that ended before its
// exec. They have closed their descriptors, so they are zombies or about to be.
func (s *Supervisor) reapUnreaped() {
	if s.waiting || len(s.unreaped)+len(s.lateHelpers) == 0 {
		return
	}
	s.lateHelpers = slices.DeleteFunc(s.lateHelpers, func(helper int) bool {
		if s.byPid[helper] != nil || s.helpers[helper] != nil {
			return true // it was waited for, and another has its number
		}
		pid, ws, errno := waitFor(helper)
		if errno != 0 || pid == 0 || ws.Stopped() {
			return errno == unix.ECHILD
		}
		s.reaped = true
		s.ended(pid, ws)
		return true
	})
	list := s.unreaped
	s.unreaped = s.unreaped[:0]
	for _, p := range list {
		if p.helper != 0 {
			// Nothing of its end is recorded.
			if pid, ws, errno := waitFor(p.helper); errno == 0 && pid != 0 && !ws.Stopped() {
				s.reaped = true
				s.ended(pid, ws)
			}
		}
		if p.unsignalled() != 0 {
			if pid, ws, errno := s.waitRecorded(p.unsignalled()); errno == 0 && pid != 0 && !ws.Stopped() {
				s.reaped = true
				s.ended(pid, ws)
			}
		}
		if p.helper != 0 || p.unsignalled() != 0 {
			s.unreaped = append(s.unreaped, p)
		}
	}
	clear(list[len(s.unreaped):])
}

// unsignalled returns the pid when no signal will tell that it has ended, 0
// else.
func (p *process) unsignalled() int {
	if !p.silent || p.ended {
		return 0
	}
	return p.pid
}

// silent tells whether a child of ours was made to end without a SIGCHLD, and
// has not executed a program since, which would have changed that: only such
// a one is a child to wait for with __WCLONE. See wait(2).
func silent(pid int) bool {
	_, _, errno := syscall.RawSyscall6(unix.SYS_WAITID, unix.P_PID, uintptr(pid), 0,
		unix.WEXITED|unix.WNOHANG|unix.WNOWAIT|unix.WCLONE, 0, 0)
	return errno == 0
}

// waitRecorded waits for a child, or task that we trace, that has ended or
// stopped, 0 for any; pid is 0 when none has. How a process of ours ended stands
// in its slot before the kernel forgets it, so that we may die in between.
func (s *Supervisor) waitRecorded(child int) (pid int, ws syscall.WaitStatus, errno syscall.Errno) {
	pid, ws, errno = peek(child)
	if errno != 0 || pid == 0 {
		return 0, 0, errno
	}
	if !ws.Stopped() {
		// Its last words, while it can be told who it is.
		s.hear()
		s.at("before-recorded")
		if p := s.processOf(pid); p != nil {
			if p.pipe >= 0 && !p.child.signals() {
				// Once it is waited for nobody can tell.
				p.silent = silent(pid)
			}
			p.slot.end(ws)
		}
		s.at("after-recorded")
	}
	pid, ws, errno = waitFor(pid)
	if errno == 0 && pid != 0 && !ws.Stopped() {
		s.at("after-reaped")
	}
	return pid, ws, errno
}

// processOf finds the process that a child is the main one of; nil for none.
func (s *Supervisor) processOf(pid int) *process {
	p := s.byPid[pid]
	if p == nil && s.helpers[pid] == nil {
		// It may be one whose pid we have not looked up yet.
		for _, q := range s.inFlight {
			s.learnPid(q)
		}
		p = s.byPid[pid]
	}
	return p
}

// peek tells who has ended or stopped, as waitFor does, and leaves it to be
// waited for; see waitid(2). Stops are not told apart.
func peek(child int) (pid int, ws syscall.WaitStatus, errno syscall.Errno) {
	// The pid is at the next pointer's place after three numbers.
	var info [128 / 4]int32
	at := 3
	if unsafe.Sizeof(uintptr(0)) == 8 {
		at = 4
	}
	which := uintptr(unix.P_ALL)
	if child != 0 {
		which = unix.P_PID
	}
	_, _, errno = syscall.RawSyscall6(unix.SYS_WAITID, which, uintptr(child), uintptr(unsafe.Pointer(&info)),
		unix.WEXITED|unix.WSTOPPED|unix.WNOHANG|unix.WNOWAIT|unix.WALL, 0, 0)
	if errno != 0 {
		return 0, 0, errno
	}
	pid, ws = int(info[at]), syscall.WaitStatus(info[at+2])
	switch info[2] {
	case cldExited:
		ws = ws & 0xff << 8
	case cldKilled:
	case cldDumped:
		ws |= 0x80
	default:
		ws = 0x7f
	}
	return pid, ws, 0
}

// What waitid(2) calls an end.
const (
	cldExited = 1
	cldKilled = 2
	cldDumped = 3
)

// waitFor asks for one child. It is a raw call: it does not block, so the
// scheduler need not know of it.
func waitFor(child int) (pid int, ws syscall.WaitStatus, errno syscall.Errno) {
	var status int32
	r, _, errno := syscall.RawSyscall6(unix.SYS_WAIT4, uintptr(child), uintptr(unsafe.Pointer(&status)),
		unix.WNOHANG|unix.WUNTRACED|unix.WALL, 0, 0, 0)
	if errno != 0 {
		return 0, 0, errno
	}
	return int(r), syscall.WaitStatus(status), 0
}

// ended finds whose end it was. From here on the pid may be a stranger's.
func (s *Supervisor) ended(pid int, ws syscall.WaitStatus) {
	s.strayEnded(pid)
	if s.untrace(pid) || s.formerEnded(pid) {
		return
	}
	if p := s.helpers[pid]; p != nil {
		delete(s.helpers, pid)
		p.helper, p.helperEnd = 0, ws
		if !p.running {
			// Its second child, if it made one, has its pid now.
			s.learnPid(p)
			s.advance(p)
		}
		return
	}
	p := s.processOf(pid)
	if p == nil {
		s.emit(Orphan{Pid: pid, Status: exited(0, pid, ws).Status, Signal: exited(0, pid, ws).Signal})
		return
	}
	delete(s.byPid, pid)
	s.mainEnded(p, ws)
}

// mainEnded notes how the process that is followed has ended.
func (s *Supervisor) mainEnded(p *process, ws syscall.WaitStatus) {
	p.ended, p.end = true, ws
	p.slot.end(ws)
	s.advance(p)
}
