package engine

import (
	"cmp"
	"slices"
	"time"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/job"
)

// The trail: what is written down in passing, so that "why" has an answer. It
// decides nothing, and its size does not grow with what happens: an operand
// remembers one event, an instance one wish and, when it ends by itself, the one
// before, a class the last end of its processes and its last failure.

// Reason is what an instance has its goal from.
type Reason uint8

// The reasons.
const (
	ByNobody  Reason = iota // it was never given
	ByCaller                // a client asked for it
	ByEvent                 // its start on, or stop on, came true
	ByItself                // main ended, or a process failed
	ByEnding                // the session ends
	ByAdopter               // it ran when the daemon came, whose state was lost
)

func (r Reason) String() string {
	return [...]string{"nobody", "caller", "event", "itself", "session-end", "adopted"}[r]
}

// wish is where a goal came from.
type wish struct {
	reason Reason
	verb   verb // of a caller
	force  bool // of a caller who stops
	at     time.Duration
	by     *events.Caller  // nil for unknown
	events []*events.Event // in the order of the condition
}

// Sender is who sent a signal that ended a process, and why.
type Sender uint8

// The senders.
const (
	SentByOthers   Sender = iota // not us: who, is not known
	SentToStop                   // the kill signal of a stop
	SentByForce                  // a forced stop
	SentAfterTime                // KILL, since it did not end within kill timeout
	SentAtEnd                    // KILL, at the end of the session
	SentToReload                 // the reload signal
	SentByWatchdog               // main was silent for too long
	SentByCaller                 // a caller wanted it to be sent
)

func (s Sender) String() string {
	return [...]string{"others", "stop", "force", "kill-timeout", "session-end", "reload", "watchdog", "caller"}[s]
}

// sent is the last signal that a process got from us.
type sent struct {
	signal uint8
	sender Sender
}

// signalled notes a signal that is sent to a process of the instance.
func (in *instance) signalled(kind job.ProcessKind, signal int, sender Sender) {
	if sender == SentToStop && in.ends.force {
		sender = SentByForce
	}
	in.sent[kind] = sent{uint8(signal), sender}
}

// past is what has become of a class's processes.
type past struct {
	// main is how main ended last, any how a process of any kind did.
	main, any End
	// failed is the last failure, with failedBy for PROCESS, empty for none.
	failed   End
	failedBy string
	reason   string
	// status is the number that Failed announced.
	status int
	// rested is when an instance came to rest last, restedAs its name, last
	// where its goal had come from; 0 for never.
	rested   time.Duration
	restedAs string
	last     wish
	// begun is where the goal before that had come from, if it ended by itself.
	begun wish
}

// End is the end of a process. A zero At means that there was none.
type End struct {
	At       time.Duration
	Instance string
	Kind     job.ProcessKind
	Pid      int
	Status   int
	Signal   int // 0: it exited by itself
	Core     bool
	Sender   Sender
}

// noteEnd writes down how a process ended, before it is forgotten.
func (e *Engine) noteEnd(in *instance, kind job.ProcessKind, msg Exited) {
	end := End{At: e.now, Instance: in.name, Kind: kind, Pid: in.procs[kind].pid, Status: msg.Status, Signal: msg.Signal, Core: msg.Core}
	if s := in.sent[kind]; msg.Signal != 0 && int(s.signal) == msg.Signal {
		end.Sender = s.sender
	}
	in.sent[kind] = sent{}
	p := in.class.pastOf()
	p.any = end
	if kind == job.Main {
		p.main = end
	}
}

// noteRest writes down that an instance has come to rest.
func (e *Engine) noteRest(in *instance) {
	p := in.class.pastOf()
	p.rested, p.restedAs, p.last, p.begun = e.now, in.name, in.wish, wish{}
	if in.begun != nil && in.wish.reason == ByItself {
		p.begun = *in.begun
	}
}

func (c *class) pastOf() *past {
	if c.past == nil {
		c.past = new(past)
	}
	return c.past
}

// noteFailure writes down a failure. An exit that it is about was noted just
// before.
func (e *Engine) noteFailure(in *instance, f failure, number int, reason string) {
	p := in.class.pastOf()
	p.failed = End{At: e.now, Instance: in.name}
	if f.status != "" || f.process == "respawn" {
		p.failed = p.any
		p.failed.At = e.now
	}
	p.failedBy, p.reason, p.status = f.process, reason, number
}

// SavedWish is where a goal came from; its events are in Snapshot.Past or in
// the queue.
type SavedWish struct {
	Reason Reason
	Verb   uint8
	Force  bool
	At     time.Duration
	By     *events.Caller
	Events []uint64
}

// SavedPast is what has become of a class's processes.
type SavedPast struct {
	Main, Any, Failed End
	FailedBy, Reason  string
	Status            int
	Rested            time.Duration
	RestedAs          string
	Last, Begun       *SavedWish
}

// SavedSent is the last signal that a process got from us.
type SavedSent struct {
	Kind   job.ProcessKind
	Signal int
	Sender Sender
}

func (w wish) save() *SavedWish {
	if w.reason == ByNobody {
		return nil
	}
	s := &SavedWish{Reason: w.reason, Verb: uint8(w.verb), Force: w.force, At: w.at, By: w.by}
	for _, ev := range w.events {
		s.Events = append(s.Events, ev.ID)
	}
	return s
}

// restore is the opposite of save. What does not fit is left out: it is told
// and decides nothing.
func (s *SavedWish) restore(byID map[uint64]*events.Event) wish {
	if s == nil || s.Reason > ByAdopter || int(s.Verb) >= len(failureText) {
		return wish{}
	}
	w := wish{reason: s.Reason, verb: verb(s.Verb), force: s.Force, at: s.At, by: s.By}
	for _, id := range s.Events {
		if ev := byID[id]; ev != nil {
			w.events = append(w.events, ev)
		}
	}
	return w
}

func (p *past) save() *SavedPast {
	if p == nil {
		return nil
	}
	return &SavedPast{Main: p.main, Any: p.any, Failed: p.failed,
		FailedBy: p.failedBy, Reason: p.reason, Status: p.status, Rested: p.rested, RestedAs: p.restedAs, Last: p.last.save(), Begun: p.begun.save()}
}

func (s *SavedPast) restore(byID map[uint64]*events.Event) *past {
	if s == nil {
		return nil
	}
	p := &past{main: s.Main, any: s.Any, failed: s.Failed, failedBy: s.FailedBy, reason: s.Reason, status: s.Status,
		rested: s.Rested, restedAs: s.RestedAs, last: s.Last.restore(byID), begun: s.Begun.restore(byID)}
	for _, end := range []*End{&p.main, &p.any, &p.failed} {
		if end.Kind >= job.NumProcesses || end.Sender > SentByCaller {
			*end = End{}
		}
	}
	return p
}

func (in *instance) saveSent() []SavedSent {
	var out []SavedSent
	for kind, s := range in.sent {
		if s.signal != 0 {
			out = append(out, SavedSent{job.ProcessKind(kind), int(s.signal), s.sender})
		}
	}
	return out
}

func (in *instance) restoreSent(saved []SavedSent) {
	for _, s := range saved {
		if s.Kind < job.NumProcesses && s.Sender <= SentByCaller {
			in.sent[s.Kind] = sent{uint8(s.Signal), s.Sender}
		}
	}
}

func (w *wish) remembered(yield func(*events.Event)) {
	for _, ev := range w.events {
		yield(ev)
	}
}

// eachRemembered yields the events that are only remembered, or held too.
func (e *Engine) eachRemembered(yield func(*events.Event)) {
	for _, s := range e.logins {
		if s.start != nil {
			yield(s.start)
		}
	}
	for _, c := range e.order {
		c.startOn.Remembered(yield)
		if c.past != nil {
			c.past.last.remembered(yield)
			c.past.begun.remembered(yield)
		}
		for in := c.first; in != nil; in = in.next {
			in.stopOn.Remembered(yield)
			in.wish.remembered(yield)
			if in.begun != nil {
				in.begun.remembered(yield)
			}
		}
	}
}

// savePast returns the events that have finished and are remembered, by ID.
func (e *Engine) savePast() []events.SavedEvent {
	seen := make(map[uint64]bool)
	var out []events.SavedEvent
	e.eachRemembered(func(ev *events.Event) {
		if !seen[ev.ID] && ev.Progress == events.Finished {
			seen[ev.ID] = true
			out = append(out, events.SaveEvent(ev))
		}
	})
	slices.SortFunc(out, func(a, b events.SavedEvent) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// restorePast adds to the events of the queue those that are remembered.
func restorePast(saved []events.SavedEvent, byID map[uint64]*events.Event) {
	for _, s := range saved {
		if byID[s.ID] == nil {
			byID[s.ID] = s.Restore()
		}
	}
}
