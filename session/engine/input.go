package engine

import (
	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/job"
)

// CallID names a caller that waits for an answer; 0 is a caller that wants
// none. The loop's clients choose them, each once. A call gets exactly one
// Reply, unless it is abandoned first.
type CallID uint64

// ProcID names a process of an instance, from the moment the engine asks for
// it until its one SpawnFailed or Exited. Numbers count up from 1 and are
// never used again; a pid is only data.
type ProcID uint64

// Input is what Step takes: a wish of a client, or news from the world.
type Input interface{ input() }

// Target names what a Start, Stop, Restart or Reload is for: the instance of
// that very name when ByName is set (a method of an instance object), else
// the instance whose name the class's template and the given variables make
// (a method of the job object).
type Target struct {
	Class    string
	Instance string
	ByName   bool
}

// Start asks for an instance to be started. Env replaces the variables of an
// earlier start, unless the target is ByName: then it is ignored, and the
// instance keeps what it has. With Wait the reply comes when the instance is
// running (a task: has finished), else at once.
type Start struct {
	Call   CallID
	By     *events.Caller // who asks; nil for unknown, as in the others
	Target Target
	Env    events.Env
	Wait   bool
}

// Stop asks for an instance to be stopped. Env is seen by pre-stop and
// post-stop.
type Stop struct {
	Call   CallID
	By     *events.Caller
	Target Target
	Env    events.Env
	Wait   bool
}

// ForceStop is a Stop that ends the processes of an instance in every state,
// hooks too: they get the kill signal, and KILL at kill timeout, or at once
// when it is asked for twice. Events are waited for all the same.
type ForceStop struct {
	Call   CallID
	By     *events.Caller
	Target Target
	Env    events.Env
	Wait   bool
}

// Restart stops an instance and starts it again, in one go.
type Restart struct {
	Call   CallID
	By     *events.Caller
	Target Target
	Env    events.Env
	Wait   bool
}

// Reload sends the reload signal to the main process, or Signal if that is not
// 0.
type Reload struct {
	Call   CallID
	Target Target
	Signal int
}

// Emit adds an event. With Wait the reply comes when it has finished. File is the
// number of a descriptor that main gets of each instance that the event starts,
// 0 for none; it is the engine's until DropFile. Startup: it is the one with which
// the daemon begins, which is not due from then on; see View.StartupDue.
type Emit struct {
	Call CallID
	By   *events.Caller
	Name string
	Env  events.Env
	Wait bool
	File uint64

	Startup bool
}

// SetEnv changes the table of environment variables: entries are KEY=VALUE
// (or KEY alone: empty), Unset holds keys. For an instance when Class is
// not empty, else for all. Reset goes first: it puts the table back to what
// the daemon started with, or the instance's variables to what they would be
// had nobody changed them for it alone.
type SetEnv struct {
	Call    CallID
	By      *events.Caller
	Class   string
	Target  string // the instance's name, with Class
	Entries []string
	Replace bool // replace what is set already
	Unset   []string
	Reset   bool
}

// SetClass loads or replaces a definition.
type SetClass struct{ Class *job.Class }

// RunTransient defines a job that is in no file, under a name that is free, and
// starts it with these variables. The job goes with its instance. Linger in the
// definition parts it from the caller's login session, to which it belongs
// otherwise. With Wait the reply comes as that of a Start does.
type RunTransient struct {
	Call       CallID
	By         *events.Caller
	Definition SavedDefinition
	Env        events.Env
	Wait       bool
}

// DropClass removes a definition; a live instance keeps it until it ends.
type DropClass struct{ Name string }

// Spawned reports that a process runs its program.
type Spawned struct {
	Proc ProcID
	Pid  int
}

// SpawnFailed reports that a process could not be made: the reason is a
// sentence without the job's name ("cannot execute /x: no such file or
// directory").
type SpawnFailed struct {
	Proc   ProcID
	Reason string
}

// Forked reports that the process to follow is the given child from now on.
type Forked struct {
	Proc ProcID
	Pid  int
}

// Ready reports that main is ready, in a way other than by forks or a stop. How
// says how that was known: "listens on unix:/run/x".
type Ready struct {
	Proc ProcID
	How  string
}

// Lacks says what keeps a main that is to own a bus name from being ready, or
// what it has lost since: "nobody owns the bus name org.example.X". Empty:
// nothing any more.
type Lacks struct {
	Proc ProcID
	What string
}

// Found says what a main that is not ready does meanwhile: what it listens on,
// "unix:/run/x", and a bus name that it owns; empty for nothing. It decides
// nothing: it is for the message, should main not be ready in time.
type Found struct {
	Proc          ProcID
	Listens, Owns string
}

// Misfit says, of a main that is ready, that it is not what the job file
// declares: "declares 'expect fork' but ..."
type Misfit struct {
	Proc ProcID
	What string
}

// SelfStopped reports that the process raised SIGSTOP.
type SelfStopped struct{ Proc ProcID }

// Exited reports the end of the followed process; it is the last that is
// heard of Proc. Signal is 0 when it exited by itself.
type Exited struct {
	Proc   ProcID
	Status int
	Signal int
	// Core: it dumped core when the signal ended it.
	Core bool
	// Left: something of its owner was left behind and lives.
	Left bool
}

// FollowEnded reports that main is followed no further, before it has done
// all that "expect" says: it ran another program, or Settle asked for it.
// Forks is how often it forked.
type FollowEnded struct {
	Proc  ProcID
	Forks int
}

// Stray is a process that another left behind.
type Stray struct {
	Pid     int
	Command string
	// Refused is why it could not be signalled, empty when it was.
	Refused string
}

// Swept reports what a Sweep found: whom it signalled, and whom it spared
// since they are in another group.
type Swept struct {
	Owner          uint64
	Signal         int
	Strays, Spared []Stray
}

// Vacated reports that none is left of those that a Sweep meant.
type Vacated struct{ Owner uint64 }

// Adopt reports a process that runs and that the engine does not know: of a
// daemon that died and whose state is lost. It becomes the main process of an
// instance that runs, unless there is one of that name.
type Adopt struct {
	Class, Instance string
	Pid             int
}

// Connection reports that somebody waits to be served at a socket of a class,
// after AwaitConnection.
type Connection struct{ Class, Address string }

// Listening reports how it went with Listen: Faults are the sockets that there
// are not.
type Listening struct {
	Class  string
	Faults []SocketFault
}

// ListenAgain asks for sockets that are shut, or could not be opened.
type ListenAgain struct{}

// Tick says that time has passed: deadlines up to now are due.
type Tick struct{}

// Abandon says that a caller has gone away: its call runs on, its answer is
// not wanted.
type Abandon struct{ Call CallID }

// Shutdown ends the session: session-end is emitted with TYPE, every job is
// stopped by its rules, and Quit follows when none is left. What is left
// after Config.StopTimeout is killed.
type Shutdown struct{ Type string }

func (Start) input()        {}
func (Stop) input()         {}
func (ForceStop) input()    {}
func (Restart) input()      {}
func (Reload) input()       {}
func (Emit) input()         {}
func (SetEnv) input()       {}
func (SetClass) input()     {}
func (DropClass) input()    {}
func (RunTransient) input() {}
func (Spawned) input()      {}
func (SpawnFailed) input()  {}
func (Forked) input()       {}
func (SelfStopped) input()  {}
func (Ready) input()        {}
func (Lacks) input()        {}
func (Found) input()        {}
func (Misfit) input()       {}
func (Notified) input()     {}
func (Exited) input()       {}
func (FollowEnded) input()  {}
func (Swept) input()        {}
func (Vacated) input()      {}
func (Adopt) input()        {}
func (Connection) input()   {}
func (Listening) input()    {}
func (ListenAgain) input()  {}
func (Tick) input()         {}
func (Abandon) input()      {}
func (Shutdown) input()     {}

func (SessionOpen) input()  {}
func (SessionBegin) input() {}
func (SessionEnd) input()   {}
func (SessionAwait) input() {}
func (SessionLost) input()  {}
