package supervise

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// reap waits for the children that have ended or stopped, without blocking,
// up to a batch of them, and tells whether there may be more.
func (s *Supervisor) reap() (more bool) {
	s.reapHelpers()
	for range reapBatch {
		pid, ws, errno := wait()
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

// reapHelpers waits for the first children by name: each start has one, and
// among thousands that live the kernel would find it last.
func (s *Supervisor) reapHelpers() {
	// From the end: settle puts the last in the place of one that goes.
	for i := len(s.inFlight) - 1; i >= 0; i-- {
		if i >= len(s.inFlight) || s.inFlight[i].helper == 0 {
			continue
		}
		if pid, ws, errno := waitFor(s.inFlight[i].helper); errno == 0 && pid != 0 && !ws.Stopped() {
			s.reaped = true
			s.ended(pid, ws)
		}
	}
}

// wait asks for one child, or task that we trace, that has ended or stopped;
// pid is 0 when none has. It is a raw call: it does not block, so the scheduler
// need not know of it.
func wait() (pid int, ws syscall.WaitStatus, errno syscall.Errno) { return waitFor(-1) }

// waitFor asks for one child; -1 for any.
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
	p := s.byPid[pid]
	if p == nil {
		// It may be one whose pid we have not looked up yet.
		for _, q := range s.inFlight {
			s.learnPid(q)
		}
		p = s.byPid[pid]
	}
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
