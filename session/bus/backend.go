package bus

import (
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/foresee"
	"github.com/session-init/session-init/session/job"
)

// Backend is what the bus needs of the daemon. None of its methods but Lint blocks;
// what one goroutine asks for is done in the order in which it asked.
type Backend interface {
	// Step hands an input to the engine. Its replies and announcements come
	// back through Server.Reply and Server.Notify.
	Step(in engine.Input)
	// StepWithFile is Step for an input that carries a descriptor, which is
	// the backend's from here on; in makes it, of the number that stands for
	// the descriptor. When no more can be kept refuse is called instead. Both
	// are called on the engine's goroutine.
	StepWithFile(fd int, in func(file uint64) engine.Input, refuse func(error))
	// Read calls f on the engine's goroutine, after everything that was
	// asked for before has been done. f must not block.
	Read(f func(engine.View))
	// Reload reads the whole configuration again. done is called on the
	// engine's goroutine when the last change has been applied.
	Reload(done func())
	// Processes lists the live processes of an instance: pid and command
	// line. done is called on the engine's goroutine, some time later.
	Processes(class, instance string, done func([]engine.Stray))
	// Simulate says what would come of a question; nothing does. done is
	// called on the engine's goroutine, some time later; without an answer when
	// nobody wanted one any more as its turn came.
	Simulate(q foresee.Question, wanted func() bool, done func(foresee.Foresight, error))
	// LogPath is the file that an instance's output goes to; empty when it
	// is not logged.
	LogPath(class *job.Class, instance string) string
	// Stored are the names of the descriptors that an instance has laid aside,
	// Waiting how many connections wait at each socket of a job, by its address.
	// They are called on the engine's goroutine.
	Stored(class, instance string) []string
	Waiting(class string) map[string]int
	// ConfDirs are the directories that job files are looked for in, the
	// first that holds a name wins. They do not change.
	ConfDirs() []string
	// Lint says what is doubtful in the jobs of these definitions, looked at
	// together. It reads their files, and is called where that holds up nobody
	// else; see call.beside.
	Lint([]*job.Class) []Finding
	// Restart has the daemon executed anew, in place of itself; nothing that
	// runs notices.
	Restart()
	// LogPriority is the least severity that is logged: debug, info,
	// message, warn, error or fatal. SetLogPriority changes it; the error
	// names a word that is none of these.
	LogPriority() string
	SetLogPriority(word string) error
}
