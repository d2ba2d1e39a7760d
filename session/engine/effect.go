package engine

import (
	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/job"
)

// Effect is what Step returns: something for the world to do, in this order.
type Effect interface{ effect() }

// Spawn asks for a process. Env is complete: nothing is added to it. The
// class is the definition that the instance was started with; when it has env
// files, what they say is laid on Env, but for the variables that Fixed names.
type Spawn struct {
	Proc ProcID
	// Owner is the number that the processes of one pass share, from which
	// what they leave behind is known. It is never used again.
	Owner    uint64
	Class    *job.Class
	Instance string
	Kind     job.ProcessKind
	Env      events.Env
	// Fixed are the names of those variables that come of something stronger
	// than an env file; only there when the class has one.
	Fixed []string
	// Files are what came with the events that started the instance, for
	// main; see Emit.
	Files []uint64
}

// TakeOver asks for a process that runs already, and was reported by Adopt,
// to be followed as if it had been spawned.
type TakeOver struct {
	Proc  ProcID
	Owner uint64
	Pid   int
}

// Kill asks for a signal to a process; with Group to its whole process
// group. One that is still being made gets it as soon as it is there, also
// when the engine has gone on without it meanwhile.
type Kill struct {
	Proc   ProcID
	Signal int
	Group  bool
}

// Sweep asks for a signal to what an owner's processes left behind, and to
// all below that; with Group only to those in the group of that process.
// Signal 0 only looks. Swept names what was found, if anything was, and
// Vacated follows once none of those meant is left.
type Sweep struct {
	Owner  uint64
	Group  ProcID
	Signal int
}

// Settle asks for an end to following a process that is not ready: the answer
// is FollowEnded, or the Exited of one that nobody is left of.
type Settle struct{ Proc ProcID }

// Listen asks for the sockets of a class, in place of those that it had; one
// of the same address stays as it is. Listening is the answer, unless there are
// none. A Spawn of main waits for that.
type Listen struct {
	Class   string
	Sockets []job.Socket
}

// AwaitConnection asks to be told, once, when somebody waits at a socket of a
// class.
type AwaitConnection struct{ Class string }

// DropFile says that nobody will get the descriptor any more that came with an
// event; see Emit.
type DropFile struct{ File uint64 }

// Reply answers a call. Class and Instance are set when the answer names an
// instance (Start, Restart), Login when it names a login session; Text is the
// note of its SessionBegin, or what UntilLogout says.
type Reply struct {
	Call            CallID
	Class, Instance string
	Login           uint64
	Text            string
	Err             *Error
}

// NotifyKind is what a Notify announces.
type NotifyKind uint8

// The announcements, with the fields of Notify that they use.
const (
	JobAdded        NotifyKind = iota // Class
	JobRemoved                        // Class
	InstanceAdded                     // Class, Instance
	InstanceRemoved                   // Class, Instance
	GoalChanged                       // Class, Instance, Text
	StateChanged                      // Class, Instance, Text
	Failed                            // Class, Instance, Status
	EventEmitted                      // Text (the event's name), Env
)

// Notify announces a change to whoever listens.
type Notify struct {
	Kind            NotifyKind
	Class, Instance string
	Text            string
	Env             events.Env
	// Status is the exit status; a signal's number times 256; -1 when the
	// process could not be executed; 0 for too many respawns.
	Status int
}

// Progressed tells that an event was emitted (Pending), that conditions are
// about to see it (Handling: what follows comes of that), or that it has
// Finished (what follows waited for that, and Failed says whether anything
// did). It is asked for by Config.Progress.
type Progressed struct {
	Event    uint64 // never used again
	Name     string
	Env      events.Env
	Progress events.Progress
	Failed   bool
}

// Level is the weight of a Log effect.
type Level uint8

// The levels, as log/slog has them.
const (
	Debug Level = iota
	Info
	Warn
	ErrorLevel
)

// Log is a line for the daemon's log. Class and Instance name the job it is
// about, if any; Msg is complete without them.
type Log struct {
	Level           Level
	Class, Instance string
	Msg             string
}

// Quit says that the session has ended: no instance is left.
type Quit struct{}

func (TakeOver) effect()        {}
func (Spawn) effect()           {}
func (Kill) effect()            {}
func (Sweep) effect()           {}
func (Settle) effect()          {}
func (Listen) effect()          {}
func (AwaitConnection) effect() {}
func (DropFile) effect()        {}
func (Reply) effect()           {}
func (Notify) effect()          {}
func (Progressed) effect()      {}
func (Log) effect()             {}
func (Quit) effect()            {}

func (SessionOver) effect() {}
