package supervise

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Following forks. A process of FollowFork or FollowDaemon is traced from
// its exec on until the last fork that it declared; see ptrace(2). Only the
// process that is followed at the moment is traced, all its threads, since any
// of them may fork:
//
//	exec ... fork event --> the child is followed, the parent is let go
//	         ... the last fork event: the child is let go at its first stop
//
// It is seized (PTRACE_SEIZE), not asked to offer itself (PTRACE_TRACEME):
// only a seized process keeps job control, because only it can be left in a
// group stop (PTRACE_LISTEN), and only its first stop after a fork cannot be
// taken for a signal. The child waits for that before its exec: see
// childTrace. It is never to die with us (no PTRACE_O_EXITKILL): when this
// thread ends, for whatever reason, the kernel lets go of all of them.
//
// Stops that the kernel reports:
//
//	a signal is to be delivered   it is given on, once
//	fork, vfork, clone            see forked; a thread is traced on
//	exec                          see execed
//	first stop of a new task      it runs on, or is let go
//	group stop                    it stays, and listens for SIGCONT
//
// The first stop of a child and the fork event of its parent come in either
// order, and death comes at any time: a request that finds nobody (ESRCH) is
// no error, since wait tells the death.

// traceOptions are inherited by what the traced process makes.
const traceOptions = unix.PTRACE_O_TRACEFORK | unix.PTRACE_O_TRACEVFORK | unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_TRACEEXEC

// tracee is a task that we trace: a process, or one more thread of one.
type tracee struct {
	p    *process // nil: to be let go when it next stops
	tgid int      // the process that it is a thread of
	// early: it has stopped for the first time and no fork event has named
	// it yet. It is kept in that stop until one does, or cannot any more.
	early bool
	// stopped is the signal of the group stop that it is in, 0 outside one.
	stopped syscall.Signal
}

// ptrace makes a request. It is a raw call: none of these blocks. Seizing
// would, for a process in the middle of an exec that hangs, but ours waits for
// it before its exec.
func ptrace(request, pid int, data uintptr) syscall.Errno {
	_, _, errno := syscall.RawSyscall6(unix.SYS_PTRACE, uintptr(request), uintptr(pid), 0, data, 0, 0)
	return errno
}

// seize is what Supervisor.seize is outside tests.
func seize(pid int) syscall.Errno { return ptrace(unix.PTRACE_SEIZE, pid, traceOptions) }

// eventMessage returns what the event of a stopped task is about: a pid, as
// we see it. It is false when the task has been killed meanwhile.
func eventMessage(tid int) (pid int, ok bool) {
	var message uintptr
	_, _, errno := syscall.RawSyscall6(unix.SYS_PTRACE, unix.PTRACE_GETEVENTMSG, uintptr(tid), 0, uintptr(unsafe.Pointer(&message)), 0, 0)
	return int(message), errno == 0
}

// trace enters a task into the books.
func (s *Supervisor) trace(tid int, t *tracee) {
	s.tracees[tid] = t
	if t.p != nil {
		t.p.follow.tasks = append(t.p.follow.tasks, tid)
	}
}

// stopped takes the news that a child, or a task that we trace, has stopped.
func (s *Supervisor) stopped(tid int, ws syscall.WaitStatus) {
	sig, event := ws.StopSignal(), int(ws)>>16&0xff
	t := s.tracees[tid]
	if t == nil && event == unix.PTRACE_EVENT_EXEC {
		t = s.renamed(tid)
	}
	if t == nil {
		if event == 0 {
			s.childStopped(tid, sig)
			return
		}
		t = &tracee{early: true}
		s.trace(tid, t)
	}
	t.stopped = 0
	switch event {
	case 0:
		s.noteSelfStop(t, tid, sig)
		s.resume(t, tid, sig)
		return
	case unix.PTRACE_EVENT_FORK, unix.PTRACE_EVENT_VFORK, unix.PTRACE_EVENT_CLONE:
		if child, ok := eventMessage(tid); ok {
			s.forked(t, child)
		}
	case unix.PTRACE_EVENT_EXEC:
		if former, ok := eventMessage(tid); ok && former != tid {
			// The first thread has died of it without notice.
			s.untrace(former)
		}
		s.execed(t, tid)
	case unix.PTRACE_EVENT_STOP:
		if sig != unix.SIGTRAP {
			t.stopped = sig
		}
		if t.early && s.mayBeNamed(tid) {
			return
		}
	}
	s.resume(t, tid, 0)
	s.endSelfStop(t)
}

// resume lets a stopped task run with a signal, 0 for none; or leaves it in
// its group stop; or lets go of it, which keeps a group stop as well.
func (s *Supervisor) resume(t *tracee, tid int, sig syscall.Signal) {
	switch {
	case t.p == nil:
		if ptrace(unix.PTRACE_DETACH, tid, uintptr(sig)) == 0 {
			delete(s.tracees, tid)
		}
	case t.stopped != 0:
		ptrace(unix.PTRACE_LISTEN, tid, 0)
	default:
		ptrace(unix.PTRACE_CONT, tid, uintptr(sig))
	}
}

// cutLoose ends the tracing of all tasks of p but the one that is stopped at
// this moment, which its caller resumes; 0 when there is none. Those that run
// are made to stop for it: a program may see that as an EINTR, like one that
// a debugger leaves.
func (s *Supervisor) cutLoose(p *process, current int) {
	for _, tid := range p.follow.tasks {
		t := s.tracees[tid]
		t.p = nil
		if tid != current {
			ptrace(unix.PTRACE_INTERRUPT, tid, 0)
		}
	}
	p.follow.tasks = nil
}

// forked takes a new task that the task t has made. A clone can be either a
// process or a thread, whatever the event is called.
func (s *Supervisor) forked(t *tracee, child int) {
	c := s.tracees[child]
	known := c != nil && !c.early
	if c == nil {
		c = &tracee{}
		s.trace(child, c)
	}
	early := c.early
	c.early, c.tgid = false, child
	// No process has the number of a thread. A dead child keeps its own,
	// since it is ours to wait for.
	thread := unix.Tgkill(child, child, 0) == unix.ESRCH
	switch {
	case known:
		return
	case thread:
		c.tgid = t.tgid
		if t.p != nil {
			c.p = t.p
			t.p.follow.tasks = append(t.p.follow.tasks, child)
		}
	case t.p != nil && t.tgid == t.p.pid && t.p.follow.way.traces():
		s.move(t, c)
	}
	if early {
		s.resume(c, child, 0)
	}
}

// renamed finds the task that ran a program as pid but was another thread of
// it before: then it takes the number of the first, and all others die.
func (s *Supervisor) renamed(pid int) *tracee {
	former, ok := eventMessage(pid)
	t := s.tracees[former]
	if !ok || t == nil {
		return nil
	}
	delete(s.tracees, former)
	s.tracees[pid] = t
	if t.p != nil {
		if at := slices.Index(t.p.follow.tasks, former); at >= 0 {
			t.p.follow.tasks[at] = pid
		}
	}
	return t
}

// mayBeNamed tells whether an early task may still be named by a fork event:
// whoever made it is traced.
func (s *Supervisor) mayBeNamed(child int) bool {
	maker, ok := parentOf(child)
	if unix.Tgkill(child, child, 0) == unix.ESRCH {
		maker, ok = processOf(child)
	}
	if !ok {
		return false
	}
	for _, t := range s.tracees {
		// A clone may give a child its own parent (CLONE_PARENT), and that
		// may be us.
		if !t.early && (t.tgid == maker || maker == s.self) {
			return true
		}
	}
	return false
}

// processOf returns the process that a thread belongs to.
func processOf(tid int) (int, bool) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(tid) + "/status")
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(data)) {
		if value, found := strings.CutPrefix(line, "Tgid:"); found {
			pid, err := strconv.Atoi(strings.TrimSpace(value))
			return pid, err == nil
		}
	}
	return 0, false
}

// untrace takes a task that has ended off the books. It tells whether that is
// all there is to it: it was a thread, or was never named.
func (s *Supervisor) untrace(tid int) bool {
	t := s.tracees[tid]
	if t == nil {
		return false
	}
	delete(s.tracees, tid)
	if t.p != nil {
		t.p.follow.tasks = slices.DeleteFunc(t.p.follow.tasks, func(other int) bool { return other == tid })
	}
	// What it made may be waiting for an event that will never come.
	for _, child := range s.earlyTasks() {
		if c := s.tracees[child]; !s.mayBeNamed(child) {
			c.early = false
			s.resume(c, child, 0)
		}
	}
	return t.tgid != tid
}

// earlyTasks lists the tasks that no fork event has named, in order.
func (s *Supervisor) earlyTasks() []int {
	var list []int
	for tid, t := range s.tracees {
		if t.early {
			list = append(list, tid)
		}
	}
	slices.Sort(list)
	return list
}
