package supervise

import (
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// A process that could not be made because something ran out which others give
// back soon (processes, memory, descriptors) is tried again: after each of
// these pauses, and then it has failed. The pauses are the thread's sleep; when
// nothing is to be tried again, nothing wakes it.
var retryPauses = [...]time.Duration{50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond,
	400 * time.Millisecond, 800 * time.Millisecond}

// postponed is a process that is to be tried again.
type postponed struct {
	spec  *Spec
	tries int // that failed
	due   time.Time
	why   *SpawnError // of the last
}

// mayPass tells whether trying again may help. A limit that the job has set for
// itself does not pass, so what fails after the limits does not count.
func (e *SpawnError) mayPass() bool {
	if e.claimed() {
		return true
	}
	switch e.Step {
	case StepSlot, StepPipe, StepScript, StepFork:
	default:
		return false
	}
	switch e.Errno {
	case unix.EAGAIN, unix.ENOMEM, unix.EMFILE, unix.ENFILE:
		return true
	}
	return false
}

// claimed: an abstract name, see unix(7), of the process before is in use as long
// as the keeper has not let go of its socket, or another child in its set-up has
// a copy of it.
func (e *SpawnError) claimed() bool { return e.Step == StepNotify && e.Errno == unix.EADDRINUSE }

// attempt makes a process, after some tries that failed.
func (s *Supervisor) attempt(spec *Spec, tries int) {
	if why := s.launch(spec); why != nil {
		s.failed(spec, tries, why)
		return
	}
	spec.closeFiles()
	s.byID[spec.ID].tries = tries
}

// failed reports that a process could not be made, or tries again later. Its
// records are given back.
func (s *Supervisor) failed(spec *Spec, tries int, why *SpawnError) {
	if o := s.belong.owners[spec.Owner]; o != nil {
		s.belong.touched = append(s.belong.touched, o)
	}
	if !why.mayPass() || tries == len(retryPauses) {
		spec.closeFiles()
		s.emit(SpawnFailed{spec.ID, why})
		return
	}
	if tries == 0 && !why.claimed() {
		s.emit(Retrying{spec.ID, spec.Label, why})
	}
	s.postponed = append(s.postponed, postponed{spec, tries + 1, time.Now().Add(retryPauses[tries]), why})
}

// tryAgain makes those that are due, in the order in which they failed, and
// tells how long the thread may sleep, at most wait; less than zero is for ever.
func (s *Supervisor) tryAgain(wait time.Duration) time.Duration {
	if len(s.postponed) == 0 {
		return wait
	}
	list, now := s.postponed, time.Now()
	s.postponed = nil
	for _, one := range list {
		if one.due.After(now) {
			s.postponed = append(s.postponed, one)
		} else {
			s.attempt(one.spec, one.tries)
		}
	}
	for _, one := range s.postponed {
		if left := max(0, one.due.Sub(now)); wait < 0 || left < wait {
			wait = left
		}
	}
	return wait
}

// isPostponed tells whether the process of that number is to be tried again.
func (s *Supervisor) isPostponed(id ProcID) bool {
	return slices.ContainsFunc(s.postponed, func(one postponed) bool { return one.spec.ID == id })
}

// callOff ends the tries for a process that is to end, 0 for all.
func (s *Supervisor) callOff(id ProcID) {
	s.postponed = slices.DeleteFunc(s.postponed, func(one postponed) bool {
		if id != 0 && one.spec.ID != id {
			return false
		}
		one.spec.closeFiles()
		s.emit(SpawnFailed{one.spec.ID, one.why})
		return true
	})
}
