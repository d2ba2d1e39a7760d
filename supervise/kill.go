package supervise

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// Kill sends a signal to a process, with group to its process group. One in
// flight gets it as soon as it has a pid; one that has ended, or never was, is
// passed over: that is an outcome, and its event says so.
func (s *Supervisor) Kill(id ProcID, sig syscall.Signal, group bool) {
	s.send(func() {
		p := s.byID[id]
		if p == nil {
			s.callOff(id)
			return
		}
		p.asked = true
		s.learnPid(p)
		if sig == unix.SIGKILL {
			s.remember(p)
			p.condemn()
		}
		if p.pid == 0 {
			p.signals = append(p.signals, pendingSignal{sig, group})
			return
		}
		s.signal(p, sig, group)
	})
}

// condemn notes that p got KILL: should it hang in the kernel, a Sweep of its
// owner names it and waits for its end.
func (p *process) condemn() {
	if p.owner == nil {
		return
	}
	if p.owner.killed == nil {
		p.owner.killed = make(map[ProcID]*process)
	}
	p.owner.killed[p.id] = p
}

// signal does that to a process that has a pid. While the process has not
// been waited for, its pid, its group's and its session's are taken: only
// these are signalled.
func (s *Supervisor) signal(p *process, sig syscall.Signal, group bool) {
	if p.foreign && !p.ended && p.follow.watch == 0 {
		// There was no descriptor for it.
		s.pinAgain(p)
	}
	if !s.isAlive(p) {
		return
	}
	p.follow.struck(sig)
	if !group {
		p.signalAlone(sig)
		return
	}
	// It may have moved to another group since; that is the one meant.
	now, err := unix.Getpgid(p.pid)
	if err != nil || now <= 1 || now == unix.Getpgrp() {
		// In flight and not yet out of our own group.
		p.signalAlone(sig)
		return
	}
	unix.Kill(-now, sig)
	if now == p.group {
		return
	}
	// The group that it left is still of its session, unless it left that
	// too: then the number may have gone to a stranger.
	if session, err := unix.Getsid(p.pid); err == nil && session == p.group {
		unix.Kill(-p.group, sig)
	}
}

// signalAlone signals the process itself. Who is not our child may be waited for
// at any time, and the number be given away.
func (p *process) signalAlone(sig syscall.Signal) {
	if fd := p.follow.watch; fd != 0 {
		_ = unix.PidfdSendSignal(fd, sig, nil, 0)
	} else {
		_ = unix.Kill(p.pid, sig)
	}
}

// KillAll sends a signal to every process that descends from us, known or
// not, for the end of the session. With SIGKILL it goes on, as orphans come to
// us, until none is left. Processes that are started later are spared.
// Childless is reported once when no child is left at all, for any signal.
func (s *Supervisor) KillAll(sig syscall.Signal) {
	s.send(func() {
		s.ending = sig
		for _, p := range s.byID {
			p.late, p.asked = false, true
		}
		s.callOff(0)
		s.signalTree(sig)
	})
}

// continueEnding carries KillAll on, after children have been reaped.
func (s *Supervisor) continueEnding(childless bool) {
	reaped := s.reaped
	s.reaped = false
	switch {
	case s.ending == 0:
	case childless:
		s.ending = 0
		s.emit(Childless{})
	case reaped && s.ending == unix.SIGKILL:
		s.signalTree(unix.SIGKILL)
	}
}
