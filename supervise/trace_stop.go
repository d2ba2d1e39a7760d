package supervise

import (
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A process that stops itself (SIGSTOP) says that it is ready, where that is
// declared: FollowStop. Some do it unasked, since they see UPSTART_JOB; these
// are continued too, once, and reported. A stop that comes from somebody else
// is job control, and left alone.

// How long after its exec a process may take to stop itself unasked: always
// by a look at the system call that it is in, and where that does not tell.
const (
	selfStopWindow  = 90 * time.Second
	blindStopWindow = 10 * time.Second
)

// childStopped takes the stop of a child that is not traced.
func (s *Supervisor) childStopped(pid int, sig syscall.Signal) {
	if sig != unix.SIGSTOP {
		return
	}
	p := s.byPid[pid]
	if p == nil {
		for _, q := range s.inFlight {
			s.learnPid(q)
		}
		p = s.byPid[pid]
	}
	switch {
	case p == nil:
	case !p.running:
		p.follow.stopEarly = true
	default:
		s.selfStopped(p)
	}
}

// selfStopped decides what the stop of a running process means.
func (s *Supervisor) selfStopped(p *process) {
	f := &p.follow
	if f.way == FollowStop {
		f.way, f.stopTold = FollowNone, true
		s.emit(SelfStopped{p.id})
		s.signal(p, unix.SIGCONT, false)
		return
	}
	since := time.Since(f.ready)
	if f.stopTold || since > selfStopWindow {
		return
	}
	itself, known := stoppedItself(p.pid)
	if known && itself || !known && since < blindStopWindow {
		s.goOnUnasked(p)
	}
}

// goOnUnasked continues a process that stopped itself.
func (s *Supervisor) goOnUnasked(p *process) {
	p.follow.stopTold = true
	s.emit(UnexpectedStop{p.id, p.pid, p.follow.label})
	s.signal(p, unix.SIGCONT, false)
}

// killCalls are the system calls that send a signal, with the place of the
// signal among the arguments: of amd64 and of programs for i386 there.
var killCalls = map[string]int{
	"62": 1, "200": 1, "129": 1, "424": 1, "234": 2, "297": 2, // amd64
	"37": 1, "238": 1, "270": 2, // i386
}

// showsCalls tells whether a stopped process shows the system call that it is
// in. On arm64 the kernel has forgotten it by then.
const showsCalls = runtime.GOARCH == "amd64"

// stoppedItself tells whether a stopped process is still in the system call
// by which it raised SIGSTOP. The stop itself does not say who sent it.
func stoppedItself(pid int) (itself, known bool) {
	dir := "/proc/" + strconv.Itoa(pid) + "/task/"
	tasks, err := os.ReadDir(dir)
	if err != nil {
		return false, false
	}
	for _, task := range tasks {
		text, err := os.ReadFile(dir + task.Name() + "/syscall")
		fields := strings.Fields(string(text))
		if err != nil || len(fields) == 0 {
			continue
		}
		if fields[0] == "running" {
			// Somebody else has continued it.
			return false, true
		}
		if len(fields) < 4 {
			// In no system call (-1 and two addresses).
			known = known || showsCalls
			continue
		}
		known = true
		if at, sends := killCalls[fields[0]]; sends && fields[1+at] == "0x13" {
			return true, true
		}
	}
	return false, known
}

// noteSelfStop notes that a traced process has sent SIGSTOP to itself. It is
// given the signal, stops, and is then continued by endSelfStop: what it has
// arranged for its continuation happens.
func (s *Supervisor) noteSelfStop(t *tracee, tid int, sig syscall.Signal) {
	if sig != unix.SIGSTOP || t.p == nil || t.p.follow.stopTold {
		return
	}
	var info struct {
		signo, errno, code, _ int32
		pid                   int32
		_                     [27]int32
	}
	errno := syscall.Errno(0)
	_, _, errno = syscall.RawSyscall6(unix.SYS_PTRACE, unix.PTRACE_GETSIGINFO, uintptr(tid), 0, uintptr(unsafe.Pointer(&info)), 0, 0)
	t.p.follow.selfStop = errno == 0 && info.code <= 0 && int(info.pid) == t.tgid
}

// endSelfStop continues a traced process that has stopped itself.
func (s *Supervisor) endSelfStop(t *tracee) {
	if t.p == nil || t.stopped != unix.SIGSTOP || !t.p.follow.selfStop {
		return
	}
	t.p.follow.selfStop = false
	s.goOnUnasked(t.p)
}

// inherit follows on, when p has ended well, to what it left to us, where
// that is the way to follow: it could not be traced, or the wait for its forks
// was given up. The first that is left counts as ready.
func (s *Supervisor) inherit(p *process) bool {
	f := &p.follow
	if !f.orphans || f.forks >= f.want || p.owner == nil || s.ending != 0 || p.end != 0 {
		return false
	}
	list := s.heirs
	if f.serves {
		list = s.servers
	}
	heirs := list(p)
	if len(heirs) == 0 {
		return false
	}
	oldest := slices.MinFunc(heirs, func(a, b int) int { return startOf(a) - startOf(b) })
	s.succeed(p, oldest)
	p.ended, p.unknown = false, false
	s.adopted = slices.DeleteFunc(s.adopted, func(one *process) bool { return one == p })
	s.fetchHome(p)
	if f.way.traces() {
		s.settled(p, 0, Settled{Blind: true})
	}
	return true
}

// fetchHome has the end of p told, which came to be main by what is left behind.
func (s *Supervisor) fetchHome(p *process) {
	if parent, ok := parentOf(p.pid); ok && parent != s.self {
		// It fell to the keeper, when an earlier daemon died.
		s.watchForeign(p)
	} else {
		p.foreign = false
	}
}

// heirs lists what is alive of what p and those before it have left to us.
func (s *Supervisor) heirs(p *process) []int {
	for dead := 0; ; {
		s.lookForStrays()
		pids := s.roots(p.owner)
		n := len(pids)
		pids = slices.DeleteFunc(pids, isDead)
		n -= len(pids)
		pids = slices.DeleteFunc(pids, func(pid int) bool { return slices.Contains(p.follow.formers, pid) })
		if len(pids) > 0 || n == dead {
			return pids
		}
		// What the dead left may have come to us since we looked.
		dead = n
	}
}

// startOf returns when a process was made, in clock ticks since the boot.
func startOf(pid int) int {
	st, _ := statOf(pid)
	return int(st.start)
}
