package engine

import (
	"slices"
	"time"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/job"
)

// ClassWhy is what the engine knows about why a job runs or does not. Times
// are readings of the engine's clock; 0 is never.
type ClassWhy struct {
	Class *job.Class
	// Now is the time of the view.
	Now time.Duration
	// StartOn are the operands of the start condition, in its order; none
	// when there is no condition.
	StartOn []OperandWhy
	// Sockets are those that are held for the job.
	Sockets []SocketWhy
	// Main is how main ended last, in whatever instance.
	Main End
	// Rest is where the goal of the instance came from that came to rest
	// last, Rested when it did, RestedAs its name.
	Rest     GoalWhy
	Rested   time.Duration
	RestedAs string
	// Begun is where the goal before that came from, when it ended by itself.
	Begun GoalWhy
	// Failure is the last failure, nil for none.
	Failure *FailureWhy
	// Changed: another definition, or none, takes over when the last
	// instance is gone.
	Changed   bool
	Instances []InstanceWhy
	// Blocking are the instances, of other jobs too, that those wait for, in
	// the end.
	Blocking []InstanceWhy
	// Cycles are those that an instance of the class is in.
	Cycles []Cycle
}

// OperandWhy is an operand of a condition.
type OperandWhy struct {
	// Words are those of the job file: the event's name, then what it must
	// carry.
	Words []string
	// Came: the event has come and is held until the others have come too.
	Came bool
	// Last is the event that came last, nil for never.
	Last *EventWhy
}

// EventWhy is an event that has come.
type EventWhy struct {
	Name string
	Env  events.Env
	// At is when it was emitted.
	At     time.Duration
	Source events.Source
	By     *events.Caller // of a caller, if known
}

// FailureWhy is the last failure of a class. End is that of the process that
// failed, as far as it ran; its At is when the job failed.
type FailureWhy struct {
	End
	// Process is as in the job's events: main, respawn and so on. Status is
	// the number that Failed announced; Reason is a sentence.
	Process string
	Number  int
	Reason  string
	// Present: it is that of the last run. A start forgets it.
	Present bool
}

// InstanceWhy is what the engine knows about an instance.
type InstanceWhy struct {
	InstanceInfo
	// Since is when it came to its state.
	Since time.Duration
	// From is where the goal came from.
	From GoalWhy
	// Waits is what it waits for: nothing when it is at rest.
	Waits   []WaitWhy
	StopOn  []OperandWhy
	Respawn RespawnWhy
	// Awaited are those who wait for it to come to rest: instances, events
	// and callers.
	Awaited []HolderWhy
}

// GoalWhy is where a goal came from.
type GoalWhy struct {
	Reason Reason
	At     time.Duration
	// Verb is what a caller asked for: start, stop, restart, force-stop.
	Verb   string
	By     *events.Caller // nil for unknown
	Events []EventWhy     // of a condition that came true, in its order
}

// RespawnWhy is how often an instance was respawned. Count is the deaths in
// the window that opened at Window; the limit stands in the class.
type RespawnWhy struct {
	Count  int
	Window time.Duration
	Delay  time.Duration // of the last respawn; 0 for none
}

// WaitKind is what an instance waits for.
type WaitKind uint8

// The kinds of waits, with the fields of WaitWhy that they use beside Since.
const (
	WaitsForEvent     WaitKind = iota // Event, Holders
	WaitsForProcess                   // Process, Pid: the end of a hook
	WaitsForSpawn                     // Process: it is being made
	WaitsForReady                     // Process, Pid, Forks, Deadline, Lacks
	WaitsForEnd                       // Process, Pid, Deadline: it was asked to end
	WaitsForLeftovers                 // Deadline: what main left behind is asked to end
	WaitsForRespawn                   // Deadline
)

func (k WaitKind) String() string {
	return [...]string{"event", "process", "spawn", "ready", "end", "leftovers", "respawn"}[k]
}

// WaitWhy is a wait of an instance.
type WaitWhy struct {
	Kind    WaitKind
	Since   time.Duration
	Event   *EventWhy
	Holders []HolderWhy
	Process job.ProcessKind
	Pid     int
	Forks   int
	// Lacks says what keeps main from being ready, empty for nothing known.
	Lacks string
	// Deadline is when the next thing is done about it, 0 for never.
	Deadline time.Duration
	// Killed: KILL was sent already.
	Killed bool
}

// HolderKind is what holds up an event, or waits for an instance.
type HolderKind uint8

// The kinds of holders.
const (
	HeldByInstance HolderKind = iota // Class, Instance
	HeldByStartOn                    // Class: half its condition has come
	HeldByStopOn                     // Class, Instance: likewise
	HeldByEvent                      // Event, that nobody of ours waits for
	HeldByCaller                     // Verb
)

func (k HolderKind) String() string {
	return [...]string{"instance", "start-on", "stop-on", "event", "caller"}[k]
}

// HolderWhy is who holds up an event, or waits for an instance.
type HolderWhy struct {
	Kind            HolderKind
	Class, Instance string
	Goal            Goal
	State           State
	// Missing are the operands of a condition that have not come.
	Missing [][]string
	Event   string
	Verb    string
}

// WhyClass returns what there is to know about a class and its instances. It
// looks at all instances when one waits for an event.
func (v View) WhyClass(name string) (ClassWhy, bool) {
	c := v.e.classes[name]
	if c == nil {
		return ClassWhy{}, false
	}
	why := ClassWhy{Class: c.def, Now: v.now, StartOn: operands(c.startOn, c.def.StartOn), Changed: c.drop || c.kept != nil, Sockets: c.tellSockets()}
	if p := c.past; p != nil {
		why.Main = p.main
		why.Rest, why.Rested, why.RestedAs = tellWish(p.last), p.rested, p.restedAs
		why.Begun = tellWish(p.begun)
		if p.failedBy != "" {
			why.Failure = &FailureWhy{End: p.failed, Process: p.failedBy, Number: p.status, Reason: p.reason, Present: c.failure != ""}
		}
	}
	w := wondering{e: v.e, now: v.now}
	for in := c.first; in != nil; in = in.next {
		why.Instances = append(why.Instances, w.instance(in))
	}
	why.Blocking = w.blocking()
	why.Cycles = v.cyclesOf(func(m Member) bool { return m.Class == name })
	return why, true
}

// WhyInstance returns the same about a class with this instance only.
func (v View) WhyInstance(class, name string) (ClassWhy, bool) {
	c := v.e.classes[class]
	if c == nil || c.instance(name) == nil {
		return ClassWhy{}, false
	}
	why, _ := v.WhyClass(class)
	w := wondering{e: v.e, now: v.now}
	why.Instances = []InstanceWhy{w.instance(c.instance(name))}
	why.Blocking = w.blocking()
	why.Cycles = slices.DeleteFunc(why.Cycles, func(c Cycle) bool {
		return !slices.ContainsFunc(c.Members, func(m Member) bool { return m.Class == class && m.Instance == name })
	})
	return why, true
}

func (v View) cyclesOf(is func(Member) bool) []Cycle {
	return slices.DeleteFunc(v.BlockedCycles(), func(c Cycle) bool { return !slices.ContainsFunc(c.Members, is) })
}

// operands tells of the operands of a condition; c may be nil as expr is.
func operands(c *events.Condition, expr *events.Expr) []OperandWhy {
	if expr == nil {
		return nil
	}
	var out []OperandWhy
	for i, node := range expr.Nodes {
		if node.Op != events.OpMatch {
			continue
		}
		why := OperandWhy{Words: node.Match.Words}
		if c != nil {
			_, why.Came = c.Came(i)
			if last := c.Last(i); last != nil {
				told := tellEvent(last)
				why.Last = &told
			}
		}
		out = append(out, why)
	}
	return out
}

func tellEvent(ev *events.Event) EventWhy {
	return EventWhy{Name: ev.Name, Env: ev.Env, At: ev.At, Source: ev.Source, By: ev.By}
}

func tellWish(w wish) GoalWhy {
	why := GoalWhy{Reason: w.reason, At: w.at, By: w.by}
	switch {
	case w.force:
		why.Verb = "force-stop"
	case w.reason == ByCaller:
		why.Verb = w.verb.String()
	}
	for _, ev := range w.events {
		why.Events = append(why.Events, tellEvent(ev))
	}
	return why
}

// wondering collects answers about instances.
type wondering struct {
	e   *Engine
	now time.Duration
	// holders are who holds up each event; nil until that is asked for.
	holders map[*events.Event][]HolderWhy
	todo    []*instance // that are waited for
	seen    map[*instance]bool
}

func (w *wondering) instance(in *instance) InstanceWhy {
	why := InstanceWhy{
		InstanceInfo: in.info(w.now), Since: in.since, StopOn: operands(in.stopOn, in.class.def.StopOn),
		Respawn: RespawnWhy{Count: in.respawnCount, Window: in.respawnSince, Delay: in.respawnDelay},
	}
	why.From = tellWish(in.wish)
	for _, waits := range in.waiters {
		why.Awaited = append(why.Awaited, w.e.awaited(waits, in))
	}
	why.Waits = w.waits(in)
	if w.seen == nil {
		w.seen = make(map[*instance]bool)
	}
	w.seen[in] = true
	return why
}

// awaited tells who waits for an instance.
func (e *Engine) awaited(w waiter, to *instance) HolderWhy {
	if wait, ok := e.waits(w, to); ok {
		return tellInstance(wait.from)
	}
	if w.event != nil {
		return HolderWhy{Kind: HeldByEvent, Event: w.event.Name}
	}
	return HolderWhy{Kind: HeldByCaller, Verb: w.verb.String()}
}

func tellInstance(in *instance) HolderWhy {
	return HolderWhy{Kind: HeldByInstance, Class: in.class.def.Name, Instance: in.name, Goal: in.goal, State: in.state}
}

// waits tells what an instance waits for.
func (w *wondering) waits(in *instance) []WaitWhy {
	var out []WaitWhy
	due := func(kinds ...deadlineKind) time.Duration {
		if in.deadline != nil && slices.Contains(kinds, in.deadline.kind) {
			return in.deadline.at
		}
		return 0
	}
	if ev := in.blocker; ev != nil {
		told := tellEvent(ev)
		out = append(out, WaitWhy{Kind: WaitsForEvent, Since: in.since, Event: &told, Holders: w.held(ev)})
	}
	for kind := range job.NumProcesses {
		p := in.procs[kind]
		wait := WaitWhy{Process: kind, Pid: p.pid, Since: in.since, Killed: in.ends.struck}
		switch {
		case p.id == 0 || kind == job.Main && in.state != InSpawned && in.state != Killed && !in.ends.force:
			continue
		case in.state == Killed || in.killDue() || in.ends.force && in.goal == GoalStop:
			wait.Kind, wait.Deadline = WaitsForEnd, due(killDeadline, graceDeadline, hookDeadline)
		case p.pid == 0:
			wait.Kind = WaitsForSpawn
		case kind == job.Main:
			wait.Kind, wait.Forks, wait.Deadline, wait.Lacks = WaitsForReady, in.forks, due(readyDeadline), in.lacking()
		default:
			wait.Kind = WaitsForProcess
		}
		out = append(out, wait)
	}
	switch {
	case in.ends.sweeping:
		out = append(out, WaitWhy{Kind: WaitsForLeftovers, Since: in.since, Deadline: due(killDeadline, graceDeadline), Killed: in.ends.struck})
	case in.waitsToRespawn():
		out = append(out, WaitWhy{Kind: WaitsForRespawn, Since: in.since, Deadline: in.deadline.at})
	}
	return out
}

// held tells who holds up an event.
func (w *wondering) held(ev *events.Event) []HolderWhy {
	if w.holders == nil {
		w.holders = w.e.holders()
	}
	out := w.holders[ev]
	for _, h := range out {
		if c := w.e.classes[h.Class]; c != nil && h.Kind == HeldByInstance {
			if in := c.instance(h.Instance); in != nil {
				w.todo = append(w.todo, in)
			}
		}
	}
	return out
}

// blocking tells of the instances that those told of wait for, and of whom
// these wait for, and so on.
func (w *wondering) blocking() []InstanceWhy {
	var out []InstanceWhy
	for ; len(w.todo) > 0; w.todo = w.todo[1:] {
		if in := w.todo[0]; !w.seen[in] {
			out = append(out, w.instance(in))
		}
	}
	return out
}

// holders finds who holds up each event that is held up: by class, an
// instance's conditions and waits before the class's own.
func (e *Engine) holders() map[*events.Event][]HolderWhy {
	out := make(map[*events.Event][]HolderWhy)
	add := func(c *events.Condition, h HolderWhy) {
		var last *events.Event
		c.Held(func(ev *events.Event) {
			if ev != last {
				h.Missing = missing(c)
				out[ev] = append(out[ev], h)
			}
			last = ev
		})
	}
	for _, c := range e.order {
		for in := c.first; in != nil; in = in.next {
			for _, w := range in.waiters {
				if w.event != nil {
					out[w.event] = append(out[w.event], tellInstance(in))
				}
			}
			h := tellInstance(in)
			h.Kind = HeldByStopOn
			add(in.stopOn, h)
		}
		add(c.startOn, HolderWhy{Kind: HeldByStartOn, Class: c.def.Name})
	}
	return out
}

// missing returns the words of the operands that have not come.
func missing(c *events.Condition) [][]string {
	var out [][]string
	for i, node := range c.Expr().Nodes {
		if _, came := c.Came(i); node.Op == events.OpMatch && !came {
			out = append(out, node.Match.Words)
		}
	}
	return out
}
