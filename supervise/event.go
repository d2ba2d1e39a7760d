package supervise

import (
	"strings"
	"syscall"
)

// Event is what the supervisor reports of a process. For each Spec that
// Start was given there is exactly one Spawned or SpawnFailed; after Spawned
// any number of Forked and SelfStopped, then exactly one Exited, which is the
// last. Events of one process come in this order.
type Event interface{ event() }

// Spawned: the process runs its program.
type Spawned struct {
	ID  ProcID
	Pid int
}

// SpawnFailed: the process was not made, and nothing of it is left.
type SpawnFailed struct {
	ID ProcID
	*SpawnError
}

// Forked: the process to follow is now Pid.
type Forked struct {
	ID  ProcID
	Pid int
}

// SelfStopped: the process raised SIGSTOP; it has been continued.
type SelfStopped struct{ ID ProcID }

// Exited: the followed process has ended and was reaped.
type Exited struct {
	ID     ProcID
	Pid    int
	Status int            // when Signal is 0
	Signal syscall.Signal // what killed it
	Core   bool
}

// Orphan: a process that is nobody's ended and was reaped.
type Orphan struct {
	Pid    int
	Status int
	Signal syscall.Signal
}

// Childless: since KillAll, the last child has been reaped.
type Childless struct{}

func (Spawned) event()     {}
func (SpawnFailed) event() {}
func (Forked) event()      {}
func (SelfStopped) event() {}
func (Exited) event()      {}
func (Orphan) event()      {}
func (Childless) event()   {}

// Step is what was being done when a process could not be made.
type Step uint8

// The steps of making a process, in their order.
const (
	StepNone Step = iota
	StepFollow
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
	numSteps
)

// stepText says what each step tried; %s is the argument.
var stepText = [numSteps]string{
	StepNone:        "cannot start",
	StepFollow:      "cannot follow %s",
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
