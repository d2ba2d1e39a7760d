package engine

import (
	"fmt"
	"slices"
	"time"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/job"
)

// Config is what an Engine is made with.
type Config struct {
	// Table is the environment that every process gets, in the order in
	// which it shows; the stanzas of a job are stronger.
	Table events.Env
	// Daemon is the daemon's own environment, for "env KEY".
	Daemon events.Env
	// Session is the address that processes get as UPSTART_SESSION.
	Session string
	// PathEnd is a directory that stands at the end of every PATH; empty
	// for none.
	PathEnd string
	// StopTimeout bounds the end of the session.
	StopTimeout time.Duration
	// UntilLogout has the session end with its last login session.
	UntilLogout bool
	// Debug asks for Log effects of level Debug.
	Debug bool
	// Progress asks for Progressed effects, for a caller who wants to tell
	// what came of what.
	Progress bool
}

// Engine holds all classes and instances. It belongs to one goroutine.
type Engine struct {
	cfg     Config
	now     time.Duration
	effects []Effect

	queue events.Queue
	// index finds the conditions that an event may concern.
	index events.Index[*watch]
	found []*watch

	classes map[string]*class
	order   []*class // sorted by name

	instances numbered
	procs     numbered
	sweeps    numbered        // those that wait for a Sweep, by owner
	leftovers []*leftover     // what stays of ended runs, oldest first
	calls     map[CallID]bool // callers that wait
	// hooks gives for a caller that waits the hook that it is, asking how
	// many such callers a hook is; see blocked.go.
	hooks    map[CallID]ProcID
	asking   map[ProcID]int
	lastInst uint64
	wanted   int // instances whose goal is start
	lastProc ProcID

	deadlines deadlines
	ending    ending
	// budget is how many events this step may still take, stepBudget how
	// many it begins with; unfinished is set when it was not enough.
	budget, stepBudget int
	unfinished         bool

	table, firstTable events.Env
	origins           []origin // of what was set in the table, or unset

	logins    []*login // oldest first
	lastLogin uint64
	loggedOut bool // the last UntilLogout

	// files counts who has a descriptor that came with an event; see file.go.
	files map[uint64]int

	// begun is when the first input came, timings are the first starts, timed
	// the instances that they are of.
	begun   time.Duration
	timings []*Timing
	timed   map[timed]bool

	// startupDue: the event with which the daemon begins is yet to come.
	startupDue bool
}

// New returns an engine without classes.
func New(cfg Config) *Engine {
	e := &Engine{
		cfg:     cfg,
		classes: make(map[string]*class),
		calls:   make(map[CallID]bool),
		hooks:   make(map[CallID]ProcID),
		asking:  make(map[ProcID]int),
		timed:   make(map[timed]bool),

		stepBudget: stepBudget,
		startupDue: true,
	}
	e.table = events.Env{}.Merge(cfg.Table)
	for _, key := range reservedKeys {
		e.table = e.table.Unset(key)
	}
	e.firstTable = e.table.Clone()
	return e
}

// SetDebug turns Log effects of level Debug on or off.
func (e *Engine) SetDebug(on bool) { e.cfg.Debug = on }

// Step takes one input at the time now, a reading of a clock that never goes
// back, and returns what is to be done, in this order. The effects are the
// caller's.
func (e *Engine) Step(now time.Duration, in Input) []Effect {
	if now > e.now {
		e.now = now
	}
	if e.begun == 0 {
		e.begun = e.now
	}
	switch in := in.(type) {
	case Start:
		e.start(in)
	case Stop:
		e.stop(in)
	case ForceStop:
		e.forceStop(in)
	case Restart:
		e.restart(in)
	case Reload:
		e.reload(in)
	case Emit:
		e.emit(in)
	case SetEnv:
		e.setEnv(in)
	case SetClass:
		e.setClass(in.Class)
	case DropClass:
		e.dropClass(in.Name)
	case RunTransient:
		e.runTransient(in)
	case Spawned:
		e.spawned(in)
	case SpawnFailed:
		e.spawnFailed(in)
	case Forked:
		e.forked(in)
	case SelfStopped:
		e.selfStopped(in)
	case Ready:
		e.toldReady(in)
	case Lacks:
		e.lacks(in)
	case Found:
		e.mainFound(in)
	case Misfit:
		e.misfits(in)
	case Notified:
		e.notified(in)
	case Exited:
		e.exited(in)
	case FollowEnded:
		e.followEnded(in)
	case Swept:
		e.swept(in)
	case Vacated:
		e.vacated(in)
	case Abandon:
		e.uncall(in.Call)
	case Adopt:
		e.adoptProcess(in)
	case Shutdown:
		e.shutdown(in)
	case SessionOpen:
		e.sessionOpen(in)
	case SessionBegin:
		e.sessionBegin(in)
	case SessionEnd:
		e.sessionEnd(in)
	case SessionAwait:
		e.sessionAwait(in)
	case SessionLost:
		e.sessionLost(in)
	case UntilLogout:
		e.untilLogout(in)
	case Connection:
		e.connection(in)
	case Listening:
		e.listening(in)
	case ListenAgain:
		for _, c := range e.order {
			e.listenAgain(c)
		}
	case Tick:
	}
	e.expire()
	e.budget, e.unfinished = e.stepBudget, false
	e.drain()
	for !e.unfinished && e.settleEnd() {
		e.drain()
	}
	if e.unfinished {
		e.endBusy()
	}
	return e.given()
}

// given hands the effects of a step over, in a list that has no room to
// spare, and keeps the place where they were collected.
func (e *Engine) given() []Effect {
	effects := slices.Clone(e.effects)
	if cap(e.effects) > keptEffects {
		e.effects = nil
	}
	clear(e.effects)
	e.effects = e.effects[:0]
	return effects
}

// keptEffects bounds how many effects of a step there is room for in the next
// one without new memory.
const keptEffects = 256

// stepBudget bounds the events of one step. Jobs without processes that
// start each other in a circle never come to rest; what is left goes on in
// the next step, so that they cost the processor but not the daemon: this
// many take some 30 ms, and whoever else has an input for us is heard then.
const stepBudget = 10_000

// NextDeadline returns the time at which Step wants a Tick, if any.
func (e *Engine) NextDeadline() (time.Duration, bool) {
	if e.unfinished {
		return e.now, true
	}
	return e.deadlines.next()
}

// drain takes events as far as they go.
func (e *Engine) drain() {
	for ; ; e.budget-- {
		if e.budget <= 0 {
			// In a circle events follow each other for ever. Those that
			// waited meanwhile come first in the next step.
			e.unfinished = true
			e.queue.Rewind()
			return
		}
		ev := e.queue.Next()
		if ev == nil {
			return
		}
		if ev.Progress == events.Handling {
			if e.cfg.Debug {
				e.debugf(nil, "Handling %s event", ev.Name)
			}
			e.progressed(ev)
			e.dispatch(ev)
			if !e.queue.Handled(ev) {
				continue
			}
		}
		e.eventFinished(ev)
	}
}

func (e *Engine) do(effect Effect) { e.effects = append(e.effects, effect) }

func (e *Engine) notify(kind NotifyKind, in *instance, text string) {
	e.do(Notify{Kind: kind, Class: in.class.def.Name, Instance: in.name, Text: text})
}

// reply answers a caller that is there to be answered.
func (e *Engine) reply(call CallID, in *instance, err *Error) {
	if call == 0 {
		return
	}
	r := Reply{Call: call, Err: err}
	if in != nil {
		r.Class, r.Instance = in.class.def.Name, in.name
	}
	e.do(r)
}

// await notes a caller that is to be answered later.
func (e *Engine) await(call CallID, by *events.Caller) {
	if call != 0 {
		e.calls[call] = true
		e.caller(call, by)
	}
}

// replyLater answers a caller that waited, unless it has gone away.
func (e *Engine) replyLater(call CallID, in *instance, err *Error) {
	if call != 0 && e.calls[call] {
		e.uncall(call)
		e.reply(call, in, err)
	}
}

func (e *Engine) logf(level Level, in *instance, format string, args ...any) {
	entry := Log{Level: level, Msg: fmt.Sprintf(format, args...)}
	if in != nil {
		entry.Class, entry.Instance = in.class.def.Name, in.name
	}
	e.do(entry)
}

// debugf tells the story of a life, for --debug. Whoever is on the way of every
// event asks for that first: what is to be printed would go to the heap, for
// nothing.
func (e *Engine) debugf(in *instance, format string, args ...any) {
	if e.cfg.Debug {
		e.logf(Debug, in, format, args...)
	}
}

// errUnknownJob is the refusal of a name that no class has.
func errUnknownJob(name string) *Error {
	return errorf(UnknownJob, "Unknown job: %s", name)
}

// numProcesses is how many processes an instance can have at once.
const numProcesses = int(job.NumProcesses)
