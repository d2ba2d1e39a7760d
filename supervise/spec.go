package supervise

// ProcID is the caller's number of a process, never used twice. A pid is
// only data: it may name another process tomorrow.
type ProcID uint64

// Follow says what a process does before it counts as ready.
type Follow uint8

// The ways in which a process becomes ready.
const (
	FollowNone   Follow = iota // the exec is enough
	FollowStop                 // it raises SIGSTOP
	FollowFork                 // the first child is the one to follow
	FollowDaemon               // the second generation is
	FollowListen               // a process of its owner listens on a socket
	FollowNotify               // it says so: until then, who it leaves behind is followed
	FollowClaim                // Claim says so; likewise
)

// Output says where standard output and error of a process lead.
type Output uint8

// The outputs.
const (
	OutputNull     Output = iota // the null device
	OutputFile                   // Spec.LogPath, appended to; made if missing
	OutputTerminal               // the terminal that the daemon was started on
	OutputPTY                    // Spec.LogPath too, through a terminal of its own
)

// Limit is one resource limit, as setrlimit(2) takes it.
type Limit struct {
	Resource   int
	Soft, Hard uint64
}

// LogLimit says how large a log may grow and what is kept of it. See capper
// for how exactly that is met.
type LogLimit struct {
	Size  int64 // in bytes; 0 is without limit
	Count int   // older parts kept beside the log, LOG.1 being the newest
}

// Spec is a process to be made. It is plain data; the supervisor does not
// change it and keeps it until the process is reported.
type Spec struct {
	ID ProcID
	// Owner is a number of the caller's that several processes may share:
	// what they leave behind is found by it. 0 is nobody; the largest is
	// 1<<36 - 1.
	Owner uint64
	// Path is the program, absolute or looked for in the PATH of Env.
	Path string
	Argv []string
	// Env is the whole environment, as KEY=VALUE.
	Env []string
	// Script, when it is not empty, is the text that the program, a shell,
	// shall run: a path to read it from becomes the last argument. It may be
	// of any length; what the script runs does not inherit the descriptor.
	// Inside a Chroot this needs a /proc there.
	Script string
	// Dir is the working directory, inside Chroot when that is set; empty
	// for the daemon's own.
	Dir string

	// Leader: the process leads the session and group that it gets. Else
	// it leads neither.
	Leader bool

	Output  Output
	LogPath string
	// LogLimit bounds the log at LogPath; the zero value does not.
	LogLimit LogLimit
	// Label comes back in the events about the output: whose it is, in the
	// caller's words.
	Label string
	// OwnTerminal gives standard input too, makes the process a leader and
	// the terminal its controlling one; when another session has that, only
	// the input is given, but see Options.TakeTerminal.
	OwnTerminal bool

	Umask    *uint32
	Nice     *int
	OOMScore *int
	Limits   []Limit
	Chroot   string
	// Credentials to take on; nil keeps the daemon's.
	Credential *Credential

	Follow Follow

	// Notify is the path of the socket on which the process, and all of its
	// Owner, may say how they are, as sd_notify(3) does; one that begins with @
	// is abstract, see unix(7). Empty for none. It is the caller's to name it
	// in Env.
	Notify string
	// Files are descriptors that the process gets, from 3 on, in this order.
	// They are the supervisor's from Start on, which closes them.
	Files []int
	// PidVariables name variables that Env is to have with the pid of the
	// process for a value: nobody knows it before.
	PidVariables []string
}

// Credential is whom a process runs as.
type Credential struct {
	UID, GID uint32
	Groups   []uint32
}
