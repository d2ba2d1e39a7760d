package session

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/session-init/session-init/session/bus"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
	"github.com/session-init/session-init/supervise"
)

// What a main does that is not ready: when it is waited for, it is looked now and
// then whether it does what another declaration waits for, so that "why", and
// the message when it was not ready in time, can say so.
//
//	after 1, 2, 4 ... s      what does it listen on?
//	lastLook before its time the same, and: what does it own on the bus?
//
// A job that is ready by then costs nothing but an entry in a list.

// firstLook is when it is looked first, lastLook how long before the end of its
// time last; that is a quarter of the time when it is short.
const (
	firstLook = time.Second
	lastLook  = time.Second
)

// look is when it is looked what a main does.
type look struct {
	proc  engine.ProcID
	at    time.Duration
	pause time.Duration // to the next
	last  time.Duration
}

// lookLater notes that a main, which is being made or is not ready yet, is to be
// looked at.
func (l *Loop) lookLater(s engine.Spawn) {
	if s.Kind != job.Main || s.Class.Expect == job.ExpectNone {
		return
	}
	timeout := cmp.Or(s.Class.ReadyTimeout, job.DefaultReadyTimeout)
	now := l.clock()
	one := look{proc: s.Proc, at: now + firstLook, pause: 2 * firstLook, last: now + timeout - min(lastLook, timeout/4)}
	one.at = min(one.at, one.last)
	l.addLook(one)
}

func (l *Loop) addLook(one look) {
	at, _ := slices.BinarySearchFunc(l.looks, one.at, func(have look, at time.Duration) int { return cmp.Compare(have.at, at+1) })
	l.looks = slices.Insert(l.looks, at, one)
}

// look looks at those that are due, and returns how long the loop may sleep, at
// most sleep; less than zero is for ever.
func (l *Loop) look(now, sleep time.Duration) time.Duration {
	for len(l.looks) > 0 {
		one := l.looks[0]
		unready := l.engine.ViewAt(now).Unready(one.proc)
		switch {
		case !unready:
		case one.at > now:
			if left := one.at - now; sleep < 0 || left < sleep {
				return left
			}
			return sleep
		default:
			l.examine(one.proc, one.at >= one.last)
		}
		l.looks = slices.Delete(l.looks, 0, 1)
		if unready && one.at < one.last {
			one.at, one.pause = min(one.at+one.pause, one.last), 2*one.pause
			l.addLook(one)
		}
	}
	return sleep
}

// examine looks at a main; with names when the bus has said whose they are.
func (l *Loop) examine(proc engine.ProcID, names bool) {
	id := supervise.ProcID(proc)
	l.supervisor.Examine(id, nil)
	if names && l.names != nil {
		l.names.Owners(func(list []bus.NameOwner) {
			owners := make([]supervise.NameOwner, len(list))
			for i, one := range list {
				owners[i] = supervise.NameOwner(one)
			}
			l.supervisor.Examine(id, owners)
		})
	}
}

// found turns what was found into what the engine takes: one bus name is
// enough.
func found(f supervise.Found) engine.Found {
	out := engine.Found{Proc: engine.ProcID(f.ID), Listens: strings.Join(f.On, ", ")}
	if len(f.Owns) > 0 {
		out.Owns = f.Owns[0]
	}
	return out
}
