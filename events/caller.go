package events

// Caller is who asked for something from outside, as far as it is known: a
// client of the bus. It is shared by all that this client asks for and must
// not be changed.
type Caller struct {
	// Pid is the client's process, Parent the process above it when the
	// client came; 0 for unknown.
	Pid, Parent int
	// User is the client's user id.
	User uint32
	// Command is its name as the kernel has it; empty for unknown.
	Command string
	// Job and Instance say of which job's processes it is one, as its
	// environment tells; an empty Job for none.
	Job, Instance string
	// Session is the login session that it is in, by number, as its
	// environment tells; 0 for none.
	Session uint64
}

// Source is what kind of thing emitted an event.
type Source uint8

// The sources.
const (
	FromDaemon Source = iota // by itself: startup, session-end
	FromCaller               // a client: Event.By, nil for unknown
	FromJob                  // an instance, on its way: Env begins with JOB, INSTANCE
	FromEvent                // an event that failed
)

func (s Source) String() string { return [...]string{"session-init", "caller", "job", "event"}[s] }
