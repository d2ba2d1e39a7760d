package supervise

import (
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// A process that is followed need not be our child: its parent may live on
// and wait for it. Then a pidfd tells its end, until the parent is gone and
// the process has come to us.

// pin has the end of p told by a pidfd. Without one, when descriptors have
// run out, p.follow.watch stays 0.
func (s *Supervisor) pin(p *process) {
	fd, err := unix.PidfdOpen(p.pid, 0)
	if err != nil {
		return
	}
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
	if unix.EpollCtl(s.epollFD, unix.EPOLL_CTL_ADD, fd, &ev) != nil {
		unix.Close(fd)
		return
	}
	p.follow.watch = fd
	s.byWatch[int32(fd)] = p
}

func (s *Supervisor) unpin(p *process) {
	if fd := p.follow.watch; fd != 0 {
		unix.EpollCtl(s.epollFD, unix.EPOLL_CTL_DEL, fd, nil)
		unix.Close(fd)
		delete(s.byWatch, int32(fd))
		p.follow.watch = 0
	}
}

// watchEnded takes the news that a watched process has ended. When it is our
// child after all, or traced still, wait tells its status.
func (s *Supervisor) watchEnded(p *process) {
	pid, ws, errno := s.waitRecorded(p.pid)
	switch {
	case errno == unix.EINTR:
		return // epoll says it again
	case errno != 0 && !hasEnded(p.follow.watch):
		// The news was of a process that was watched by a descriptor of the same
		// number, and given up since epoll told of it.
	case errno != 0:
		end, known := endOf(p.follow.watch, p.pid)
		if !known && p.foreign && s.keeper() != 0 {
			// The keeper waits for it, and tells.
			s.unpin(p)
			return
		}
		p.unknown = !known
		delete(s.byPid, p.pid)
		s.mainEnded(p, end)
	case pid == 0:
		// A debugger has it; wait will tell.
		s.unpin(p)
	case ws.Stopped():
		s.stopped(pid, ws)
	default:
		s.ended(pid, ws)
	}
}

// hasEnded tells whether a pidfd says that its process has ended.
func hasEnded(pidfd int) bool {
	list := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	for {
		if n, err := unix.Poll(list, 0); err != unix.EINTR {
			return n > 0
		}
	}
}

// isAlive tells whether p can be signalled by its pid. Our own children keep
// theirs until this thread waits for them; another's could be waited for by
// its parent at any time, and then the pidfd knows.
func (s *Supervisor) isAlive(p *process) bool {
	if p.follow.watch == 0 {
		return !p.ended && !p.foreign
	}
	return !p.ended && unix.PidfdSendSignal(p.follow.watch, 0, nil, 0) == nil
}

// reapTries bounds how often it is looked while a parent is about to wait for a
// process: it may not have the processor, as with a limit on its cgroup. All of them
// take some milliseconds.
const reapTries = 500

// endOf returns how a process ended that is not ours to wait for: the process
// table tells while its parent has not waited for it, and the pidfd from then
// on, since Linux 6.15. It is false when neither does.
func endOf(pidfd, pid int) (syscall.WaitStatus, bool) {
	for tries, last := 1, false; ; tries++ {
		if ws, ok := endInTable(pid); ok && unix.PidfdSendSignal(pidfd, 0, nil, 0) == nil {
			return ws, true
		}
		info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_EXIT}
		if unix.IoctlPidfdInfo(pidfd, &info) == nil && info.Mask&unix.PIDFD_INFO_EXIT != 0 {
			return syscall.WaitStatus(info.Exit_code), true
		}
		// While its parent is about to wait for it the table tells no more, and
		// the pidfd not yet.
		st, there := statOf(pid)
		if last || there && (st.state != 'X' || tries == reapTries) {
			return 0, false
		}
		last = !there
	}
}

// endInTable reads the status of a zombie from /proc/PID/stat. The kernel
// shows it to its owner only, and 0 to others.
func endInTable(pid int) (syscall.WaitStatus, bool) {
	dir := "/proc/" + strconv.Itoa(pid)
	var owner unix.Stat_t
	if unix.Stat(dir, &owner) != nil || os.Geteuid() != 0 && owner.Uid != uint32(os.Geteuid()) {
		return 0, false
	}
	data, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return 0, false
	}
	text := string(data)
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	// The state is field 3, the status field 52.
	if len(fields) < 50 || fields[0] != "Z" {
		return 0, false
	}
	status, err := strconv.ParseUint(fields[49], 10, 32)
	return syscall.WaitStatus(status), err == nil
}
