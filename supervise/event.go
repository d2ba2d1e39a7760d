package supervise

import (
	"strconv"
	"strings"
	"syscall"
)

// Event is what the supervisor reports of a process. For each Spec that
// Start was given there is exactly one Spawned or SpawnFailed; after Spawned
// any number of Forked, SelfStopped, Listens, UnexpectedStop, Settled, Lingers and Degraded,
// then exactly one Exited, which is the last. Events of one process come in this order.
type Event interface{ event() }

// Spawned: the process runs its program.
type Spawned struct {
	ID  ProcID
	Pid int
}

// OutputLost: the log could not be opened, the process runs without. It comes
// just before Spawned; of OutputPTY, whose log is opened by the daemon, at any
// time.
type OutputLost struct {
	ID    ProcID
	Label string // Spec.Label
	Path  string
	Errno syscall.Errno
}

// SpawnFailed: the process was not made, and nothing of it is left.
type SpawnFailed struct {
	ID ProcID
	*SpawnError
}

// Retrying: the process could not be made now, and is tried again for a while.
// It is said once a process, before its Spawned or SpawnFailed.
type Retrying struct {
	ID    ProcID
	Label string // Spec.Label
	Why   *SpawnError
}

// Forked: the process to follow is now Pid.
type Forked struct {
	ID  ProcID
	Pid int
}

// Settled: Pid is the process from here on, whatever was declared. See Settle.
type Settled struct {
	ID    ProcID
	Pid   int
	Way   Follow
	Forks int  // that were followed
	Exec  bool // it ran another program after a fork
	Blind bool // it could not be traced, and was left behind by the one before
}

// Degraded: the process is not traced, because the kernel refuses (said once
// for all processes), or, with an Errno of 0, because its program gains
// privileges by its exec and would lose them. What it leaves behind when it
// ends is followed instead, and counts as ready.
type Degraded struct {
	ID    ProcID
	Label string // Spec.Label
	Pid   int
	Errno syscall.Errno
}

// Listens: a process of the owner has called listen(2), Pid or one that handed
// it on, so that the one that is followed is ready.
type Listens struct {
	ID  ProcID
	Pid int
	On  []string // "unix:/run/x", "unix:@abstract", "tcp 127.0.0.1:80"; at least one
}

// SelfStopped: the process raised SIGSTOP; it has been continued.
type SelfStopped struct{ ID ProcID }

// UnexpectedStop: the same of a process of which that was not declared.
type UnexpectedStop struct {
	ID    ProcID
	Pid   int
	Label string // Spec.Label
}

// Exited: the followed process has ended and was reaped.
type Exited struct {
	ID     ProcID
	Pid    int
	Status int            // when Signal is 0
	Signal syscall.Signal // what killed it
	Core   bool
	// Unknown: nobody knows how it ended; Status is 0 then.
	Unknown bool
	// Left: a process of its owner came to us and lives. It is exact: no
	// process of an owner is left when the last of its Specs ends without.
	Left bool
}

// Swept: what a Sweep found. Spared are those outside the group that was
// meant. The names are those of the programs, 15 bytes at most.
type Swept struct {
	Owner          uint64
	Signal         syscall.Signal
	Strays, Spared []Stray
}

// Vacated: none of those is left that a Sweep meant.
type Vacated struct{ Owner uint64 }

// Orphan: a process that is nobody's ended and was reaped.
type Orphan struct {
	Pid    int
	Status int
	Signal syscall.Signal
}

// Childless: since KillAll, the last child has been reaped.
type Childless struct{}

// Told: what the keeper told of this process has been reported.
type Told struct{ Pid int }

// AllAdopted: every Adopt before Adopted has been carried out. Whoever has a
// keeper asks it now to say when it has told of all that ended, for AllEnded.
type AllAdopted struct{}

// Worked: something was done beside the thread that changes nothing, as a look at
// logs that have grown. Who gives memory back when it is quiet may do so again.
type Worked struct{}

func (Worked) event()     {}
func (Told) event()       {}
func (AllAdopted) event() {}

// Error gives the sentence.
func (d Degraded) Error() string {
	const instead = "what it leaves behind when it ends is followed instead"
	if d.Errno == 0 {
		return "process " + strconv.Itoa(d.Pid) + " gains privileges that it would lose if its forks were followed: " + instead
	}
	return "cannot follow the forks of processes: " + d.Errno.Error() + ": " + strings.Replace(instead, "it leaves behind when it ends", "they leave behind when they end", 1)
}

// Error gives the sentence.
func (r Retrying) Error() string { return r.Why.Error() + ": trying again" }

// Error gives the sentence.
func (u UnexpectedStop) Error() string {
	return "process " + strconv.Itoa(u.Pid) + " raised SIGSTOP and was continued: 'expect stop' declares that"
}

func (Spawned) event()        {}
func (OutputLost) event()     {}
func (OutputFault) event()    {}
func (SpawnFailed) event()    {}
func (Retrying) event()       {}
func (Forked) event()         {}
func (SelfStopped) event()    {}
func (Listens) event()        {}
func (UnexpectedStop) event() {}
func (Settled) event()        {}
func (Degraded) event()       {}
func (Exited) event()         {}
func (Orphan) event()         {}
func (Childless) event()      {}
func (Swept) event()          {}
func (Vacated) event()        {}

// Step is what was being done when a process could not be made.
type Step uint8

// The steps of making a process, in their order.
const (
	StepNone Step = iota
	StepFollow
	StepSlot
	StepPipe
	StepScript
	StepOutput
	StepFork
	StepSession
	StepTerminal
	StepDescriptors
	StepUmask
	StepNice
	StepOOMScore
	StepLimit
	StepChroot
	StepGroups
	StepGID
	StepUID
	StepChdir
	StepExec
	StepNotify // of the daemon, before the clone: slots hold these numbers
	numSteps
)

// stepText says what each step tried; %s is the argument.
var stepText = [numSteps]string{
	StepNone:        "cannot start",
	StepFollow:      "cannot follow %s",
	StepSlot:        "cannot record the process",
	StepPipe:        "cannot make a pipe",
	StepScript:      "cannot hand over the script",
	StepOutput:      "cannot open log file %s",
	StepFork:        "cannot fork",
	StepSession:     "cannot make a session",
	StepTerminal:    "cannot open terminal %s",
	StepDescriptors: "cannot set up standard descriptors",
	StepUmask:       "cannot set umask %s",
	StepNice:        "cannot set nice %s",
	StepOOMScore:    "cannot set oom score %s",
	StepLimit:       "cannot set limit %s",
	StepChroot:      "cannot change root to %s",
	StepGroups:      "cannot set supplementary groups",
	StepGID:         "cannot set group %s",
	StepUID:         "cannot set user %s",
	StepChdir:       "cannot change directory to %s",
	StepExec:        "cannot execute %s",
	StepNotify:      "cannot make the notify socket %s",
}

// SpawnError is why a process could not be made, as data: the step, what it
// was tried with, and the kernel's answer. Hint says more than the errno
// where that would mislead, or is empty.
type SpawnError struct {
	Step  Step
	Arg   string
	Errno syscall.Errno
	Hint  string
}

// Error gives the sentence: "cannot execute /x: no such file or directory".
func (e *SpawnError) Error() string {
	text := strings.TrimSuffix(stepText[e.Step], " %s")
	if e.Arg != "" {
		text += " " + e.Arg
	}
	if e.Hint != "" {
		return text + ": " + e.Hint
	}
	return text + ": " + e.Errno.Error()
}
