package supervise

import (
	"math"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// following is what a process declared to do before it is ready, and how far
// it has come. Its zero value is FollowNone.
type following struct {
	// way is what is still waited for; FollowNone when nothing is. What is small
	// stands together.
	way    Follow
	asked  bool // the child has been seized, or that was tried
	execed bool // the seized child has come to its program
	// orphans: only the heirs are followed, what it leaves to us when it ends;
	// denied is why it is not traced.
	orphans   bool
	selfStop  bool // it raised SIGSTOP and is about to stop
	stopEarly bool // it stopped before Spawned was reported
	stopTold  bool // it was continued once
	settle    bool // Settle came before Spawned
	serves    bool // it was ready since it listens
	denied    syscall.Errno
	want      int    // how many forks the way follows
	forks     int    // followed so far
	label     string // Spec.Label
	tasks     []int  // traced for it, in the order of their making

	formers []int // followed before, not yet reaped
	watch   int   // a pidfd while it is not our own child; else 0

	ready time.Time // when Spawned was reported

	listen *awaiting // of FollowListen
}

// wanted is how many forks each way follows.
var wanted = [...]int{FollowNone: 0, FollowStop: 0, FollowFork: 1, FollowDaemon: 2, FollowNotify: math.MaxInt32, FollowListen: math.MaxInt32, FollowClaim: math.MaxInt32}

// traces tells whether the way needs a trace.
func (f Follow) traces() bool { return f == FollowFork || f == FollowDaemon }

// announced tells whether something else than forks says that it is ready: who
// is left behind until then is followed, however often.
func (f Follow) announced() bool { return f == FollowNotify || f == FollowListen || f == FollowClaim }

// Settle ends the wait for forks or a stop that do not come: the process
// that is followed stays so, and is let go. Settled is reported, also when
// there is nothing to wait for any more, but not of a process that has ended.
// When the process ends later, well, and leaves one behind that it would still
// have been followed to, that one is followed.
func (s *Supervisor) Settle(id ProcID) {
	s.send(func() {
		switch p := s.byID[id]; {
		case p == nil:
		case !p.running:
			p.follow.settle = true
		default:
			s.giveUp(p)
		}
	})
}

// giveUp does what Settle promises for a process that runs.
func (s *Supervisor) giveUp(p *process) {
	p.follow.orphans = p.follow.orphans || p.follow.way.traces()
	s.settled(p, 0, Settled{})
}

// attach seizes a child that waits for it, and lets it go on in any case.
func (s *Supervisor) attach(p *process) {
	s.learnPid(p)
	p.follow.asked = true
	switch errno := s.seize(p.pid); errno {
	case 0:
		s.trace(p.pid, &tracee{p: p, tgid: p.pid})
	case unix.ESRCH:
		// Killed; the hang-up is on its way.
	default:
		p.follow.denied = errno
	}
	unix.SendmsgN(p.pipe, []byte{1}, nil, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
}

// asks takes the question of a child that wants to be traced, see childTrace.
// It is false when the pipe has hung up.
func (s *Supervisor) asks(p *process) bool {
	if !p.follow.way.traces() {
		return false
	}
	var question [1]byte
	if n, _, err := unix.Recvfrom(p.pipe, question[:], unix.MSG_DONTWAIT); err != nil || n == 0 {
		return false
	}
	s.attach(p)
	return true
}

// began follows up on Spawned.
func (s *Supervisor) began(p *process) {
	f := &p.follow
	f.ready = time.Now()
	f.orphans = f.orphans || f.way.announced()
	if f.way.traces() && (!f.asked || f.denied != 0) {
		f.orphans = true
		if !f.asked || !s.degraded {
			s.emit(Degraded{p.id, f.label, p.pid, f.denied})
		}
		s.degraded = s.degraded || f.asked
	}
	if f.way == FollowListen {
		s.expectListen(p)
	}
	if f.settle {
		s.giveUp(p)
	}
	if f.stopEarly && !p.ended {
		s.selfStopped(p)
	}
}

// move follows the child c of the task t from here on. The parent is let go:
// from now on it is one more process of the job.
func (s *Supervisor) move(t, c *tracee) {
	p := t.p
	if !p.running {
		// Its exec came before; only the news of it is still under way.
		return
	}
	current := p.pid
	s.cutLoose(p, s.tidOf(t))
	s.succeed(p, c.tgid)
	s.pin(p)
	if p.follow.forks < p.follow.want {
		c.p = p
		p.follow.tasks = append(p.follow.tasks, c.tgid)
	} else {
		s.expectParent(p, t.tgid)
		p.follow.way = FollowNone
		if p.follow.watch == 0 {
			// Without a pidfd only the trace tells how it ends.
			c.p = p
			p.follow.tasks = append(p.follow.tasks, c.tgid)
		}
	}
	// Another's child comes to us later, and is found then.
	if parent, ok := parentOf(current); ok && parent == s.self {
		s.shed(p, current)
	}
}

// succeed makes pid the process to follow.
func (s *Supervisor) succeed(p *process, pid int) {
	s.at("before-move")
	s.unpin(p)
	delete(s.byPid, p.pid)
	if p.follow.listen != nil {
		p.follow.listen.mains = append(p.follow.listen.mains, p.pid)
	}
	if !p.ended {
		s.formers[p.pid] = p
		p.follow.formers = append(p.follow.formers, p.pid)
	}
	p.pid = pid
	p.slot.move(pid)
	s.at("after-move")
	s.byPid[pid] = p
	p.follow.forks++
	s.emit(Forked{p.id, pid})
}

// tidOf returns the number of a task.
func (s *Supervisor) tidOf(t *tracee) int {
	for _, tid := range t.p.follow.tasks {
		if s.tracees[tid] == t {
			return tid
		}
	}
	return 0
}

// execed takes the news that a task, by now the only one of its process, runs
// a program. It is the first one, which tells that the set-up went well; or
// one that a shell runs in its own place; or, after a fork, the end of
// following.
func (s *Supervisor) execed(t *tracee, tid int) {
	p := t.p
	if p == nil || t.tgid != p.pid {
		return
	}
	if !s.mayTrace && lostPrivileges(p.pid) {
		s.emit(Unprivileged{p.id, p.follow.label, p.pid})
	}
	if !p.running {
		p.follow.execed = true
		if p.pipe >= 0 {
			s.hangUp(p)
		}
		s.advance(p)
		return
	}
	if p.follow.forks > 0 && p.follow.way != FollowNone {
		s.settled(p, tid, Settled{Exec: true})
	}
}

// settled ends the following of p, whose task current is stopped; 0 when none
// is.
func (s *Supervisor) settled(p *process, current int, ev Settled) {
	ev.ID, ev.Pid, ev.Way, ev.Forks = p.id, p.pid, p.follow.way, p.follow.forks
	p.follow.way = FollowNone
	// Another's child without a pidfd stays traced: nothing else tells its
	// end.
	if parent, ok := parentOf(p.pid); p.follow.watch != 0 || ok && parent == s.self {
		s.cutLoose(p, current)
	}
	s.emit(ev)
}

// formerEnded takes the end of a process that was followed before, and tells
// whether pid was one. What followed it is our own child now, as a rule.
func (s *Supervisor) formerEnded(pid int) bool {
	p := s.formers[pid]
	if p == nil {
		return false
	}
	delete(s.formers, pid)
	if p.follow.watch != 0 {
		if parent, ok := parentOf(p.pid); ok && parent == s.self {
			s.unpin(p)
		}
	}
	return true
}

// unfollow gives back what following p holds.
func (s *Supervisor) unfollow(p *process) {
	s.cutLoose(p, 0)
	s.unpin(p)
	for _, pid := range p.follow.formers {
		delete(s.formers, pid)
	}
}

// struck notes a signal that asks a process to end: what is left then is not
// followed.
func (f *following) struck(sig syscall.Signal) {
	switch sig {
	case unix.SIGTERM, unix.SIGKILL, unix.SIGINT, unix.SIGQUIT, unix.SIGABRT:
		f.orphans = false
	}
}
