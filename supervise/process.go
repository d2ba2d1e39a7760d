package supervise

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// process is one Spec from its fork to its Exited. It belongs to the thread.
//
//	in flight --hang-up, well--> running --reaped--> Exited, forgotten
//	    \------hang-up, failed-> reaped -----------> SpawnFailed, forgotten
//
// Hang-up and reaping come in either order; advance looks at what is known.
type process struct {
	id    ProcID
	child *child // nil once the outcome is known
	slot  *slot  // what is recorded, to the end
	spec  *Spec  // likewise
	// at is its place in Supervisor.inFlight.
	at   int
	pipe int // the read end, -1 after the hang-up

	pid    int // 0 until the kernel wrote it
	group  int // the session and process group that it was put into
	helper int // the first child of two, 0 once reaped
	// helperEnd is how the helper ended.
	helperEnd syscall.WaitStatus

	running bool // Spawned was reported
	silent  bool // no signal tells of its end: it has not come to its exec, and has closed its pipe
	ended   bool // reaped: the pid is a stranger's from here on
	end     syscall.WaitStatus
	unknown bool   // nobody knows how it ended
	foreign bool   // adopted, and not our child
	late    bool   // started after KillAll, which spares it
	tries   int    // that failed before it was made
	asked   bool   // to end, by Kill, or by KillAll
	owner   *owner // nil for nobody
	follow  following
	notify  *notifySocket // nil for none

	signals []pendingSignal // asked for before the pid was known
}

type pendingSignal struct {
	sig   syscall.Signal
	group bool
}

// hangUp notes that the child has closed its pipe: it runs its program, or
// it is ending.
func (s *Supervisor) hangUp(p *process) {
	// Closing takes it out of the epoll set: the descriptor is not shared,
	// since children close it at once.
	unix.EpollCtl(s.epollFD, unix.EPOLL_CTL_DEL, p.pipe, nil)
	unix.Close(p.pipe)
	delete(s.byPipe, int32(p.pipe))
	p.pipe = -1
	if p.child.stack != 0 {
		s.stacks.put(p.child.stack)
		p.child.stack = 0
	}
	s.learnPid(p)
	if !p.child.signals() {
		p.silent = p.silent || p.pid != 0 && !p.ended && silent(p.pid)
		s.unreaped = append(s.unreaped, p)
	}
}

// learnPid takes over the pid, when the kernel has written it, and sends
// what was asked for in the meantime.
func (s *Supervisor) learnPid(p *process) {
	if p.pid != 0 || p.child == nil {
		return
	}
	if p.pid = p.slot.loadPid(); p.pid == 0 {
		return
	}
	s.byPid[p.pid] = p
	for _, k := range p.signals {
		s.signal(p, k.sig, k.group)
	}
	p.signals = nil
}

// advance reports what has become certain about p.
func (s *Supervisor) advance(p *process) {
	if !p.running {
		if p.pipe >= 0 {
			return
		}
		step, index, errno, hint := p.child.slot.outcome()
		if errno != 0 || step != StepExec && !p.child.lost || p.unexecuted() {
			// Nothing may be left of it when it is reported.
			if p.helper != 0 || p.pid != 0 && !p.ended {
				return
			}
			err := explain(p.spec, s.opts.Terminal, step, index, errno, hint)
			if errno == 0 {
				err.Hint = p.cause()
			}
			spec, tries := p.spec, p.tries
			if p.asked {
				tries = len(retryPauses)
			}
			s.settle(p)
			s.forget(p)
			s.slots.put(p.slot)
			s.failed(spec, tries, err)
			return
		}
		s.at("before-spawned")
		s.reportOutput(p)
		s.settle(p)
		p.running = true
		if !p.ended {
			p.slot.setState(SlotRunning)
		}
		s.emit(Spawned{p.id, p.pid})
		s.began(p)
		s.listenTo(p)
	}
	if p.ended && !s.inherit(p) {
		s.forget(p)
		s.slots.retire(p.slot)
		ev := exited(p.id, p.pid, p.end)
		ev.Unknown = p.unknown
		s.emit(ev)
	}
}

// unexecuted tells whether a process that has closed its pipe did not come to
// its program: what is traced has not told of its exec, and any other child of
// ours would have a signal for its end since. Of who is neither, such as a child
// that fell to the keeper, that is not known: it counts as begun.
func (p *process) unexecuted() bool {
	return p.silent || p.child.signals() && p.follow.asked && p.follow.denied == 0 && !p.follow.execed
}

// cause says what ended a set-up which did not fail as far as we know.
func (p *process) cause() string {
	end := p.helperEnd
	if p.ended {
		end = p.end
	}
	if !end.Signaled() {
		return "the reason was lost with an earlier daemon"
	}
	return "killed by " + signalName(end.Signal())
}

// settle gives back what a process holds while it is in flight.
func (s *Supervisor) settle(p *process) {
	last := len(s.inFlight) - 1
	s.inFlight[p.at] = s.inFlight[last]
	s.inFlight[p.at].at = p.at
	s.inFlight[last] = nil
	s.inFlight = s.inFlight[:last]
	p.child, p.spec = nil, nil
}

// forget ends our knowledge of p. Its pid was taken out when it was reaped.
func (s *Supervisor) forget(p *process) {
	s.unfollow(p)
	s.closeNotify(p.notify)
	p.notify = nil
	delete(s.byID, p.id)
	s.disown(p)
}

// exited decodes a wait status.
func exited(id ProcID, pid int, ws syscall.WaitStatus) Exited {
	if ws.Signaled() {
		return Exited{ID: id, Pid: pid, Signal: ws.Signal(), Core: ws.CoreDump()}
	}
	return Exited{ID: id, Pid: pid, Status: ws.ExitStatus()}
}

// signalName gives "SIGKILL", also for signals without a name.
func signalName(sig syscall.Signal) string {
	if name := unix.SignalName(sig); name != "" {
		return name
	}
	return sig.String()
}
