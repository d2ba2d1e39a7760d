package supervise

import (
	"slices"

	"golang.org/x/sys/unix"
)

// Claimed: the process Pid, of which Claim asked, belongs to the process's
// owner, so that the one that is followed is ready; or it does not, and then
// nothing has changed. Command is the name of its program, empty when it is
// gone.
type Claimed struct {
	ID      ProcID
	Pid     int
	Belongs bool
	Command string
}

func (Claimed) event() {}

// Claim asks whether a process, of which somebody says that it has what makes
// the process of FollowClaim ready, belongs to it. pidfd holds on to that
// process, and is closed; -1 when there is none. Claimed is reported, unless id
// is none that runs.
func (s *Supervisor) Claim(id ProcID, pid, pidfd int) {
	s.send(func() {
		s.judge(id, pid, pidfd)
		if pidfd >= 0 {
			unix.Close(pidfd)
		}
	})
}

func (s *Supervisor) judge(id ProcID, pid, pidfd int) {
	p := s.byID[id]
	if p == nil || !p.running {
		return
	}
	st, _ := statOf(pid)
	ev := Claimed{ID: id, Pid: pid, Command: st.command}
	// One that has ended has given its number back, when nobody of ours waits
	// for it.
	gone := func() bool { return pidfd >= 0 && unix.PidfdSendSignal(pidfd, 0, nil, 0) == unix.ESRCH }
	if ev.Belongs = !gone() && s.isOf(p.owner, pid) && !gone(); ev.Belongs && p.follow.way == FollowClaim {
		s.claimed(p, pid)
	}
	s.emit(ev)
}

// claimed ends the following of p, which is ready since pid is. As with one that
// listens, that one is main, or its parent, when main so far was only left
// behind.
func (s *Supervisor) claimed(p *process, pid int) {
	s.lookForStrays()
	if roots := s.roots(p.owner); p.follow.forks > 0 && pid != p.pid && len(roots) > 0 {
		if root := s.rootOf(pid, append(slices.Clone(roots), p.pid)); root != p.pid && s.byPid[root] == nil {
			s.replace(p, root)
		}
	}
	// Another than main may be what it leaves behind when its part is done.
	p.follow.way, p.follow.orphans = FollowNone, pid != p.pid
}
