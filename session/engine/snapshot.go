package engine

import (
	"cmp"
	"fmt"
	"time"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/job"
)

// SnapshotVersion is the version of Snapshot's layout. A field may be added
// without a new version: what an older reader does not know it ignores, and
// a field that is missing has its zero value.
const SnapshotVersion = 1

// Snapshot is an engine as plain data: what Restore needs to go on as if
// nothing had happened. Definitions stand in it as the text of job files.
// Callers that wait are in it by number; a daemon that cannot reach them any
// more abandons them.
type Snapshot struct {
	Version      int
	Now          time.Duration
	LastInstance uint64
	LastProc     ProcID
	Table        events.Env
	FirstTable   events.Env
	Queue        events.Saved
	Classes      []SavedClass
	Calls        []CallID
	Hooks        []SavedHook
	Unfinished   bool
	Ending       *SavedEnding
	Leftovers    []SavedLeftover
	// Past are the events that have finished and are remembered.
	Past      []events.SavedEvent
	Logins    []SavedLogin
	LastLogin uint64
	LoggedOut bool
	Origins   []SavedOrigin
	// Begun and Timings are what View.Timings returns.
	Begun   time.Duration
	Timings []Timing
	// StartupDue is what View.StartupDue returns. In what was written before
	// there was this field it is false: that daemon had begun.
	StartupDue bool
}

// SavedEnding is the end of a session under way.
type SavedEnding struct {
	Event     uint64
	Cut, Quit bool
	// Until is when all is to have ended, Deadline the next one, 0 when none is
	// ahead.
	Until       time.Duration
	Deadline    time.Duration
	DeadlineSeq uint64
}

// SavedDefinition is a job.Class.
type SavedDefinition struct {
	Name, Path, Override, Text string
}

// SavedClass is a class with its instances, oldest first.
type SavedClass struct {
	Definition SavedDefinition
	Kept       *SavedDefinition
	Drop       bool
	NextSeq    uint64
	Failure    string
	StartOn    []events.SavedOperand
	Past       *SavedPast
	Instances  []SavedInstance
	Sockets    *SavedSockets
}

// SavedProcess is a process of an instance; Pid is 0 until it was reported.
type SavedProcess struct {
	Kind job.ProcessKind
	Proc ProcID
	Pid  int
}

// SavedWaiter is who waits for an instance.
type SavedWaiter struct {
	Event uint64
	Call  CallID
	Verb  uint8
}

// SavedInstance is an instance. Deadline is 0 for none.
type SavedInstance struct {
	ID           uint64
	Name         string
	Seq          uint64
	Goal         Goal
	State        State
	Again        bool
	Env          events.Env
	StartEvents  []string
	NextEnv      events.Env
	NextEvents   []string
	HasNext      bool
	Files        []uint64
	NextFiles    []uint64
	Edits        []string
	StopEnv      events.Env
	StopEvents   []string
	Procs        []SavedProcess
	MainRan      bool
	Forks        int
	Blocker      uint64
	Waiters      []SavedWaiter
	Failed       bool
	Failure      string
	FailedBy     string
	FailedStatus string
	RespawnSince time.Duration
	RespawnCount int
	Deadline     time.Duration
	DeadlineKind uint8
	DeadlineSeq  uint64
	LateStart    bool

	Owner    uint64
	Main     ProcID
	Settling bool
	Note     string
	Ready    Readiness
	Said     Said
	Ends     SavedEnds

	RanSince      time.Duration
	RespawnDelay  time.Duration
	RespawnWaited time.Duration
	Delayed       bool

	Since time.Duration
	Wish  *SavedWish
	Begun *SavedWish
	Sent  []SavedSent

	StopOn []events.SavedOperand
}

// SavedEnds is how far the end of an instance's processes has come.
type SavedEnds struct {
	Left, ByItself, Finished, Struck, Sweeping, Force, Lasting bool

	Status, Signal int
}

// SavedLeftover is what a finished run left behind.
type SavedLeftover struct {
	Owner             uint64
	Class, Label, Why string
	Strays            []Stray
	Stuck             bool
	Signal            int
	Group             ProcID
	Procs             []SavedProcess
}

// Snapshot returns the engine as data. It may be taken between two steps.
func (e *Engine) Snapshot() Snapshot {
	s := Snapshot{
		Version: SnapshotVersion, Now: e.now, LastInstance: e.lastInst, LastProc: e.lastProc,
		// The table is changed in place; whoever writes the snapshot down
		// does so on another goroutine.
		Table: e.table.Clone(), FirstTable: e.firstTable,
		Queue: e.queue.Save(e.eachHeld), Unfinished: e.unfinished,
	}
	s.Hooks, s.Past = e.saveHooks(), e.savePast()
	s.Begun, s.Timings = e.begun, e.saveTimings()
	s.StartupDue = e.startupDue
	s.LastLogin, s.LoggedOut, s.Origins = e.lastLogin, e.loggedOut, e.saveOrigins()
	for _, l := range e.logins {
		s.Logins = append(s.Logins, l.save())
		for _, call := range l.calls {
			if e.calls[call] {
				s.Calls = append(s.Calls, call)
			}
		}
	}
	for _, c := range e.order {
		s.Classes = append(s.Classes, c.save())
		for in := c.first; in != nil; in = in.next {
			for _, w := range in.waiters {
				if w.event == nil && e.calls[w.call] {
					s.Calls = append(s.Calls, w.call)
				}
			}
		}
	}
	for _, ev := range s.Queue.Events {
		if ev.Call != 0 && e.calls[CallID(ev.Call)] {
			s.Calls = append(s.Calls, CallID(ev.Call))
		}
	}
	for _, l := range e.leftovers {
		saved := SavedLeftover{Owner: l.owner, Class: l.class, Label: l.label, Why: l.why, Strays: l.strays,
			Stuck: l.stuck, Signal: l.signal, Group: l.group}
		for _, p := range l.procs {
			saved.Procs = append(saved.Procs, SavedProcess{Kind: p.kind, Proc: p.id, Pid: p.pid})
		}
		s.Leftovers = append(s.Leftovers, saved)
	}
	if e.ending.begun {
		s.Ending = &SavedEnding{Cut: e.ending.cut, Quit: e.ending.quit, Event: e.ending.event.ID, Until: e.ending.until}
		for _, d := range e.deadlines.heap {
			if d.in == nil {
				s.Ending.Deadline, s.Ending.DeadlineSeq = d.at, d.seq
			}
		}
	}
	return s
}

// eachHeld yields the events that something holds.
func (e *Engine) eachHeld(yield func(*events.Event)) {
	for _, c := range e.order {
		c.startOn.Held(yield)
		for in := c.first; in != nil; in = in.next {
			in.stopOn.Held(yield)
			for _, w := range in.waiters {
				if w.event != nil {
					yield(w.event)
				}
			}
		}
	}
}

// Define returns the class as data.
func Define(def *job.Class) SavedDefinition {
	return SavedDefinition{Name: def.Name, Path: def.Path, Override: def.Override, Text: string(job.Print(def))}
}

func (c *class) save() SavedClass {
	s := SavedClass{Definition: Define(c.def), Drop: c.drop, NextSeq: c.nextSeq, Failure: c.failure, StartOn: c.startOn.Save(), Past: c.past.save(), Sockets: c.sockets.save()}
	if c.kept != nil {
		kept := Define(c.kept)
		s.Kept = &kept
	}
	for in := c.first; in != nil; in = in.next {
		s.Instances = append(s.Instances, in.save())
	}
	return s
}

func (in *instance) save() SavedInstance {
	s := SavedInstance{
		ID: in.id, Name: in.name, Seq: in.seq, Goal: in.goal, State: in.state, Again: in.again,
		Env: in.env, StartEvents: in.startEvents, Edits: in.edits,
		StopEnv: in.stopEnv, StopEvents: in.stopEvents, StopOn: in.stopOn.Save(),
		MainRan: in.mainRan, Forks: in.forks,
		Failed: in.failed, Failure: in.failure, FailedBy: in.result.process, FailedStatus: in.result.status,
		RespawnSince: in.respawnSince, RespawnCount: in.respawnCount, LateStart: in.lateStart,
	}
	if in.newer != nil {
		s.NextEnv, s.NextEvents, s.NextFiles, s.HasNext = in.newer.env, in.newer.events, in.newer.files, true
	}
	s.Files = in.files
	for kind, p := range in.procs {
		if p.id != 0 {
			s.Procs = append(s.Procs, SavedProcess{Kind: job.ProcessKind(kind), Proc: p.id, Pid: p.pid})
		}
	}
	if in.blocker != nil {
		s.Blocker = in.blocker.ID
	}
	for _, w := range in.waiters {
		saved := SavedWaiter{Call: w.call, Verb: uint8(w.verb)}
		if w.event != nil {
			saved.Event = w.event.ID
		}
		s.Waiters = append(s.Waiters, saved)
	}
	if in.deadline != nil {
		s.Deadline, s.DeadlineKind, s.DeadlineSeq = in.deadline.at, uint8(in.deadline.kind), in.deadline.seq
	}
	s.Since, s.Wish, s.Sent = in.since, in.wish.save(), in.saveSent()
	if in.begun != nil {
		s.Begun = in.begun.save()
	}
	s.RanSince, s.RespawnDelay, s.RespawnWaited, s.Delayed = in.ranSince, in.respawnDelay, in.respawnWaited, in.delayed
	s.Owner, s.Main, s.Settling, s.Note, s.Ready, s.Said = in.owner, in.main, in.settling, in.note, in.ready, in.heard()
	s.Ends = SavedEnds{in.ends.left, in.ends.byItself, in.ends.finished, in.ends.struck, in.ends.sweeping, in.ends.force, in.ends.lasting, in.ends.status, in.ends.signal}
	return s
}

// Restore returns an engine that goes on where the snapshot was taken. It
// refuses, and never half restores, what does not fit together; cfg gives
// what a snapshot does not hold.
func Restore(cfg Config, s Snapshot) (*Engine, error) {
	if s.Version != SnapshotVersion {
		return nil, fmt.Errorf("cannot restore a snapshot of version %d: this is version %d", s.Version, SnapshotVersion)
	}
	e := New(cfg)
	e.now, e.lastInst, e.lastProc = s.Now, s.LastInstance, s.LastProc
	e.table, e.firstTable = s.Table.Clone(), s.FirstTable.Clone()
	queue, byID := events.RestoreQueue(s.Queue)
	e.queue = *queue
	for _, ev := range s.Queue.Events {
		e.keepFiles(ev.File)
	}
	restorePast(s.Past, byID)
	// Before the classes: what instances see depends on them.
	e.restoreLogins(s.Logins, byID)
	e.lastLogin, e.loggedOut = s.LastLogin, s.LoggedOut
	e.restoreOrigins(s.Origins)
	for _, saved := range s.Classes {
		if err := e.restoreClass(saved, byID); err != nil {
			return nil, err
		}
	}
	e.begun = cmp.Or(s.Begun, s.Now)
	e.restoreTimings(s.Timings)
	e.startupDue = s.StartupDue
	e.queue.Ready()
	e.unfinished = s.Unfinished
	for _, l := range s.Leftovers {
		left := &leftover{owner: l.Owner, class: l.Class, label: l.Label, why: l.Why, strays: l.Strays,
			stuck: l.Stuck, signal: l.Signal, group: l.Group}
		for _, p := range l.Procs {
			if int(p.Kind) >= numProcesses {
				return nil, fmt.Errorf("cannot restore what %s left behind: its record does not fit", l.Label)
			}
			left.procs = append(left.procs, stuckProcess{process{id: p.Proc, pid: p.Pid}, p.Kind})
		}
		e.leftovers = append(e.leftovers, left)
	}
	for _, call := range s.Calls {
		e.calls[call] = true
	}
	e.restoreHooks(s.Hooks)
	if s.Ending != nil {
		e.ending = ending{begun: true, cut: s.Ending.Cut, quit: s.Ending.Quit, event: byID[s.Ending.Event], until: cmp.Or(s.Ending.Until, s.Ending.Deadline)}
		if e.ending.event == nil {
			e.ending.event = &events.Event{ID: s.Ending.Event, Progress: events.Finished}
		}
		if s.Ending.Deadline != 0 {
			e.deadlines.restore(s.Ending.Deadline, s.Ending.DeadlineSeq, nil)
		}
	}
	return e, nil
}

// Parse makes a class of a saved definition.
func (d SavedDefinition) Parse() (*job.Class, error) {
	def, problems := job.Parse(d.Name, d.Path, []byte(d.Text))
	if def == nil {
		return nil, fmt.Errorf("cannot restore job %s: %w", d.Name, problems[0])
	}
	def.Override = d.Override
	return def, nil
}

func (e *Engine) restoreClass(s SavedClass, byID map[uint64]*events.Event) error {
	def, err := s.Definition.Parse()
	if err != nil {
		return err
	}
	if e.classes[def.Name] != nil {
		return fmt.Errorf("cannot restore job %s: it is there twice", def.Name)
	}
	e.setClass(def)
	c := e.classes[def.Name]
	c.nextSeq, c.failure, c.drop = s.NextSeq, s.Failure, s.Drop
	c.past = s.Past.restore(byID)
	c.sockets.restore(s.Sockets)
	if s.Kept != nil {
		if c.kept, err = s.Kept.Parse(); err != nil {
			return err
		}
	}
	c.startOn.Restore(&e.queue, s.StartOn, byID)
	for _, saved := range s.Instances {
		if err := e.restoreInstance(c, saved, byID); err != nil {
			return err
		}
	}
	e.effects = nil
	return nil
}

func (e *Engine) restoreInstance(c *class, s SavedInstance, byID map[uint64]*events.Event) error {
	if s.ID == 0 || s.ID > e.lastInst || e.instances.get(s.ID) != nil || c.instance(s.Name) != nil ||
		s.State >= numStates || s.Goal > GoalStart || s.DeadlineKind >= uint8(numDeadlines) {
		return fmt.Errorf("cannot restore instance %s: its record does not fit", Label(c.def.Name, s.Name))
	}
	last := e.lastInst
	e.lastInst = s.ID - 1
	in := e.newInstance(c, s.Name)
	e.lastInst = last
	c.nextSeq--
	in.seq, in.goal, in.state, in.again = s.Seq, s.Goal, s.State, s.Again
	if s.Goal == GoalStart {
		e.wanted++
	}
	in.env, in.startEvents = s.Env, s.StartEvents
	if s.HasNext {
		e.begin(in, &beginning{s.NextEnv, s.NextEvents, s.NextFiles})
	}
	in.files = s.Files
	e.keepFiles(s.Files...)
	in.edits, in.stopEnv, in.stopEvents = s.Edits, s.StopEnv, s.StopEvents
	in.mainRan, in.forks = s.MainRan, s.Forks
	in.failed, in.failure, in.result = s.Failed, s.Failure, failure{process: s.FailedBy, status: s.FailedStatus}
	in.respawnSince, in.respawnCount, in.lateStart = s.RespawnSince, s.RespawnCount, s.LateStart
	in.stopOn.Restore(&e.queue, s.StopOn, byID)
	for _, p := range s.Procs {
		if int(p.Kind) >= numProcesses || p.Proc == 0 || p.Proc > e.lastProc || e.procs.get(uint64(p.Proc)) != nil {
			return fmt.Errorf("cannot restore instance %s: its processes do not fit", in.label())
		}
		in.procs[p.Kind] = process{id: p.Proc, pid: p.Pid}
		e.procs.put(uint64(p.Proc), in)
	}
	if s.Blocker != 0 {
		if in.blocker = byID[s.Blocker]; in.blocker == nil {
			return fmt.Errorf("cannot restore instance %s: the event that it waits for is not there", in.label())
		}
	}
	for _, w := range s.Waiters {
		waiting := waiter{call: w.Call, verb: verb(w.Verb)}
		if int(w.Verb) >= len(failureText) {
			return fmt.Errorf("cannot restore instance %s: unknown waiter", in.label())
		}
		if w.Event != 0 {
			if waiting.event = byID[w.Event]; waiting.event == nil {
				return fmt.Errorf("cannot restore instance %s: an event that waits for it is not there", in.label())
			}
			e.queue.Block(waiting.event)
		}
		in.waiters = append(in.waiters, waiting)
	}
	if s.Deadline != 0 {
		in.deadline = e.deadlines.restore(s.Deadline, s.DeadlineSeq, in)
		in.deadline.kind = deadlineKind(s.DeadlineKind)
	}
	in.since, in.wish = s.Since, s.Wish.restore(byID)
	if s.Begun != nil {
		begun := s.Begun.restore(byID)
		in.begun = &begun
	}
	in.restoreSent(s.Sent)
	in.ranSince, in.respawnDelay, in.respawnWaited, in.delayed = s.RanSince, s.RespawnDelay, s.RespawnWaited, s.Delayed
	in.owner, in.main, in.settling, in.note, in.ready = s.Owner, s.Main, s.Settling, s.Note, s.Ready
	if s.Said != (Said{}) {
		*in.hears() = s.Said
	}
	in.ends = ends{s.Ends.Left, s.Ends.ByItself, s.Ends.Finished, s.Ends.Struck, s.Ends.Sweeping, s.Ends.Lasting, s.Ends.Status, s.Ends.Signal, s.Ends.Force}
	if in.ends.sweeping || in.ends.lasting {
		e.sweeps.put(in.owner, in)
	}
	if s.State != Waiting {
		e.rewatch(in)
	}
	return nil
}
