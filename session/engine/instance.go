package engine

import (
	"time"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/job"
)

// instance is an embodiment of a class, from its first goal to the end of its
// last stop.
type instance struct {
	id    uint64
	class *class
	name  string
	// entry is "UPSTART_INSTANCE=NAME": the environment of its processes has
	// it whole, its events from "INSTANCE" on, and name is its end.
	entry string
	seq   uint64 // among the class's
	// prev and next link the instances of a class, oldest first.
	prev, next *instance

	// What is small stands together, so that an instance is.
	goal  Goal
	state State
	// again: the instance goes through stopping although its goal is
	// start: a respawn or a restart. Entering stopping clears it.
	again bool
	gone  bool
	// mainRan: a main was made in this pass; settling: it was not ready in
	// time, and is to be taken as it is; failed: the pass has, see failure.
	mainRan, settling, failed bool
	// lateStart: the pass began when the session was ending already.
	lateStart bool
	// delayed: a respawn is to wait before starting, for respawnDelay.
	delayed bool
	// stirred and mover: it is among those of the session's end, see stir.
	stirred, mover bool
	ends           ends
	sent           [numProcesses]sent

	since time.Duration // in this state
	wish  wish          // where the goal came from
	begun *wish         // where the one before did, of an instance that ends by itself; or nil

	// env holds the variables that this pass was started with, startEvents
	// the names of the events that did. newer is a start that comes into force
	// on entering starting, nil for none.
	env         events.Env
	startEvents []string
	newer       *beginning
	files       []uint64
	// edits are the changes to the environment of this instance alone, each
	// key once: KEY=VALUE for one that is set, KEY for one that is unset.
	edits []string
	// stopEnv and stopEvents are those of the stop, for pre-stop and
	// post-stop.
	stopEnv    events.Env
	stopEvents []string

	stopOn *events.Condition
	watch  *watch

	procs [numProcesses]process
	main  ProcID // of this pass, also when it has ended
	forks int
	note  string // a sentence about how main became ready
	ready Readiness
	said  *Said // what main has said of itself, nil for nothing; see hears

	// owner is what the processes of this pass share, 0 when none was made.
	owner uint64

	// blocker is the starting or stopping event that the instance waits
	// for.
	blocker *events.Event
	waiters []waiter

	failure string // a sentence
	result  failure

	// respawnSince is when the window of the respawn limit opened,
	// respawnCount the deaths in it, respawnWaited how long of it the instance
	// has waited for its respawns.
	respawnSince  time.Duration
	respawnCount  int
	respawnWaited time.Duration
	// ranSince is when the instance came to running last, respawnDelay how
	// long its last respawn waited.
	ranSince     time.Duration
	respawnDelay time.Duration

	deadline *deadline

	timing *Timing // of its first start, as long as that goes on; else nil
}

// beginning is what a start brings: its variables, and the names of the events
// that did it.
type beginning struct {
	env    events.Env
	events []string
	files  []uint64 // that came with the events; see file.go
}

// process is one of the five; id 0 when it does not run.
type process struct {
	id  ProcID
	pid int
}

// waiter is who waits for an instance: an event, or a caller.
type waiter struct {
	event *events.Event
	call  CallID
	verb  verb
}

type verb uint8

const (
	verbStart verb = iota
	verbStop
	verbRestart
)

// failureText is what clients print when the wish of a verb failed.
var failureText = [...]string{
	verbStart:   "Job failed to start",
	verbStop:    "Job failed while stopping",
	verbRestart: "Job failed to restart",
}

// newInstance makes an instance at rest.
func (e *Engine) newInstance(c *class, name string) *instance {
	e.lastInst++
	entry := ourPrefix + "INSTANCE=" + name
	in := &instance{id: e.lastInst, class: c, name: entry[len(entry)-len(name):], entry: entry, seq: c.nextSeq}
	c.nextSeq++
	c.link(in)
	e.instances.put(in.id, in)
	e.stir(in)
	in.stopOn = events.NewCondition(c.def.StopOn)
	e.do(Notify{Kind: InstanceAdded, Class: c.def.Name, Instance: name})
	return in
}

// remove takes an instance away that has come to its end, and answers whoever
// waited for that: after InstanceRemoved, which belongs to the answer.
func (e *Engine) remove(in *instance) {
	c := in.class
	in.gone = true
	in.stopOn.Reset(&e.queue)
	e.unwatch(in)
	e.clearDeadline(in)
	c.unlink(in)
	e.instances.drop(in.id)
	e.notify(InstanceRemoved, in, "")
	e.noteRest(in)
	e.release(in, false)
	e.survived(in)
	e.forgetFiles(in)
	if c.def.Instance == "" {
		// Once stopped, every event of an "and" must come again.
		c.startOn.Reset(&e.queue)
	}
	if c.first == nil {
		e.rested(c)
	}
	if c.def.Linger && (e.loggedOut || e.lastLogin > 0) && !e.ending.begun && e.lastLogout() {
		e.shutdown(Shutdown{Type: "logout"})
	}
}

// rewatch files the stop condition under the variables of now.
func (e *Engine) rewatch(in *instance) {
	e.unwatch(in)
	delete(e.ending.outlived, in)
	e.stir(in)
	if in.stopOn == nil {
		return
	}
	in.watch = &watch{class: in.class, in: in}
	in.watch.filed = e.index.Add(in.stopOn.Expr(), in.watch, e.lookup(in))
}

func (e *Engine) unwatch(in *instance) {
	if in.watch != nil {
		e.index.Remove(in.watch.filed)
		in.watch = nil
	}
}

// label is JOB, or JOB (INSTANCE), as messages name an instance.
func (in *instance) label() string { return Label(in.class.def.Name, in.name) }

// Label is JOB, or JOB (INSTANCE) when the instance has a name.
func Label(class, instance string) string {
	if instance == "" {
		return class
	}
	return class + " (" + instance + ")"
}

func (in *instance) alive(kind job.ProcessKind) bool { return in.procs[kind].id != 0 }

// idle reports whether no process of the instance is alive.
func (in *instance) idle() bool {
	for kind := range in.procs {
		if in.procs[kind].id != 0 {
			return false
		}
	}
	return true
}

func (in *instance) facts() facts {
	alive := in.alive(job.Main)
	alive = alive || in.ends.lasting
	return facts{mainAlive: alive, mainEnded: in.mainRan && !alive, again: in.again, delayed: in.delayed}
}

// release answers everyone who waits for the instance: it has come to rest,
// a newer wish overtakes, or it failed.
func (e *Engine) release(in *instance, failed bool) {
	waiters := in.waiters
	in.waiters = nil
	e.stir(in)
	for _, w := range waiters {
		if w.event != nil {
			if failed {
				w.event.Failed = true
			}
			e.queue.Unblock(w.event)
			continue
		}
		var err *Error
		if failed {
			err = errorf(JobFailed, "%s", failureText[w.verb])
			err.Reason = in.failure
		}
		e.replyLater(w.call, in, err)
	}
}

// waitFor lets the events that made a condition true wait for the instance.
func (e *Engine) waitFor(in *instance, evs []*events.Event) {
	for _, ev := range evs {
		e.queue.Block(ev)
		in.waiters = append(in.waiters, waiter{event: ev})
		e.stir(in)
		e.noticeCycle(in)
	}
}
