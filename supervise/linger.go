package supervise

import (
	"strconv"
	"time"
)

// A program that goes into the background ends as soon as it has forked, or when
// its child has told it that all is well. One that stays was not meant to be
// followed to its child: that is a worker of it. Nobody can tell them apart when
// they fork; so we look once, later.

// lingerPause is when it is looked: a parent that waits for its child to be ready
// has ended by then, as a rule.
const lingerPause = 10 * time.Second

// parent is the one from which p was followed last.
type parent struct {
	p   *process
	pid int
	due time.Time
}

// Lingers: Pid, from which the process was followed to its child Main, goes on
// beside it, long after that.
type Lingers struct {
	ID        ProcID
	Label     string // Spec.Label
	Pid, Main int
	Way       Follow // that was declared
}

func (Lingers) event() {}

// Error gives the sentence.
func (l Lingers) Error() string {
	did, fits := "fork", "'expect none' or 'expect listen' fits"
	if l.Way == FollowDaemon {
		did, fits = "daemon", "'expect fork' fits"
	}
	return "declares 'expect " + did + "' but process " + strconv.Itoa(l.Pid) + ", which forked process " + strconv.Itoa(l.Main) +
		", goes on beside it, which is taken for main: if it is to, " + fits
}

// expectParent notes that pid, from which p is followed for the last time, is to
// end.
func (s *Supervisor) expectParent(p *process, pid int) {
	s.parents = append(s.parents, parent{p, pid, time.Now().Add(s.linger)})
}

// awaitFormers looks, when that is due, whether parents have ended, and tells
// how long the thread may sleep, at most wait; less than zero is for ever.
func (s *Supervisor) awaitFormers(wait time.Duration) time.Duration {
	if len(s.parents) == 0 {
		return wait
	}
	now := time.Now()
	for len(s.parents) > 0 {
		first := s.parents[0]
		// It is looked at only as long as it is in the way: what was reaped, or is
		// a child of its own parent and dead, has ended.
		known := s.byID[first.p.id] == first.p && !first.p.ended && s.formers[first.pid] == first.p
		if left := first.due.Sub(now); known && left > 0 {
			if wait < 0 || left < wait {
				wait = left
			}
			return wait
		}
		s.parents = s.parents[1:]
		if st, ok := statOf(first.pid); known && ok && st.alive() {
			s.emit(Lingers{first.p.id, first.p.follow.label, first.pid, first.p.pid, wayOf(first.p)})
		}
	}
	return wait
}

// wayOf is what a process was declared to do, of which all forks were followed.
func wayOf(p *process) Follow {
	if p.follow.want == wanted[FollowDaemon] {
		return FollowDaemon
	}
	return FollowFork
}
