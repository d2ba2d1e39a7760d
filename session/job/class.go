// Package job turns the text of a job file into a Class, and says what is
// wrong with a text that is none. It reads no files, asks nobody for users
// or programs, and knows nothing of instances or events that happen: the
// same text gives the same Class everywhere. One table of stanzas (stanza.go)
// says what exists; the rules are those of Upstart 1.13, byte for byte, where
// the specification does not depart.
package job

import (
	"time"

	"github.com/session-init/session-init/events"
)

// ProcessKind is one of the five processes of an instance.
type ProcessKind uint8

// The processes, in the order in which lists show them.
const (
	Main ProcessKind = iota
	PreStart
	PostStart
	PreStop
	PostStop
	NumProcesses
)

func (k ProcessKind) String() string {
	return [...]string{"main", "pre-start", "post-start", "pre-stop", "post-stop"}[k]
}

// Process is a command of a job file. It is run by the shell when Script is
// set or Text has characters that the shell would treat, else split on blanks.
type Process struct {
	Script bool
	// Text is the command line of "exec", without its leading and trailing
	// blanks, or the lines of "script" with their common indentation
	// removed, ending in a newline.
	Text string
}

// Expect says how a service tells that it is ready.
type Expect uint8

// The kinds of readiness, first those that Upstart knows.
const (
	ExpectNone   Expect = iota // when exec succeeded
	ExpectStop                 // it raises SIGSTOP
	ExpectDaemon               // it forks twice
	ExpectFork                 // it forks once
	ExpectListen               // a process of the job listens on a socket
	ExpectNotify               // it says READY=1, as sd_notify(3) does
	ExpectDBus                 // a process of the job owns a name on the session bus
)

func (e Expect) String() string {
	return [...]string{"none", "stop", "daemon", "fork", "listen", "notify", "dbus"}[e]
}

// Settles tells whether a main that is not ready in time is taken as it is,
// unless the job file says how long it may take: with the kinds that Upstart
// knows. With the others the job has failed.
func (e Expect) Settles() bool { return e <= ExpectFork }

// KillMode says which processes of an instance a stop ends.
type KillMode uint8

// The kill modes.
const (
	KillTree    KillMode = iota // all
	KillGroup                   // those in main's process group
	KillProcess                 // main alone
)

func (m KillMode) String() string {
	return [...]string{"tree", "group", "process"}[m]
}

// Console says where standard input, output and error of a process lead.
type Console uint8

// The consoles. ConsoleDefault is that of the daemon's flags, "log" unless
// they say otherwise.
const (
	ConsoleDefault Console = iota
	ConsoleNone
	ConsoleLog
	ConsoleOutput
	ConsoleOwner
	ConsolePTY
)

func (c Console) String() string {
	return [...]string{"default", "none", "log", "output", "owner", "pty"}[c]
}

// Exit is an entry of "normal exit": a status, or a signal when Signal is
// not 0.
type Exit struct {
	Status int
	Signal int
}

// Limit is a "limit" stanza. Resource is the number of setrlimit(2).
// Unlimited is ^uint64(0).
type Limit struct {
	Resource   int
	Soft, Hard uint64
}

// LogLimit is a "log limit" stanza: how many bytes the log of an instance may
// have, 0 for any number, and how many older parts are kept beside it.
type LogLimit struct {
	Size  int64
	Count int
}

// Unlimited is the value of a limit without bound, as the kernel has it.
const Unlimited = ^uint64(0)

// Defaults of stanzas that a class may leave out.
const (
	DefaultKillTimeout     = 5 * time.Second
	DefaultKillSignal      = 15 // SIGTERM
	DefaultReloadSignal    = 1  // SIGHUP
	DefaultWatchdogSignal  = 6  // SIGABRT
	DefaultReadyTimeout    = 90 * time.Second
	DefaultRespawnLimit    = 10
	DefaultRespawnInterval = 5 * time.Second
	// DefaultRespawnDelay is where "respawn backoff" begins without a
	// "respawn delay".
	DefaultRespawnDelay = time.Second
	DefaultLogSize      = 10 << 20 // bytes
	DefaultLogCount     = 1
)

// Class is what one job file, with its override, defines. It is immutable
// once parsed; instances, the engine and the bus share it.
type Class struct {
	// Name is the path below the directory of jobs, without extension:
	// "net/dhcp".
	Name string
	// Path is the job file, Override the override applied to it, if any.
	Path, Override string

	Description, Author, Version, Usage string

	StartOn, StopOn *events.Expr
	// Manual is the condition that "manual" has taken away; nil for none, and
	// while there is a StartOn.
	Manual *events.Expr
	Emits  []string

	Processes [NumProcesses]*Process

	// BusName is the one of ExpectDBus.
	BusName string

	// The small fields stand together: there may be thousands of classes.
	Task    bool
	Respawn bool
	// LifetimeTree: the job runs until the last of its processes is gone.
	LifetimeTree bool
	Expect       Expect
	// Linger: the job outlives the login session that it was started in, and
	// the last one.
	Linger bool
	// SessionLeader: main leads its session and process group.
	SessionLeader bool
	KillMode      KillMode
	Console       Console
	// Debug is what that stanza says, kept for printing like those below.
	Debug bool

	// RespawnLimit 0 means without limit, and so does RespawnInterval 0.
	RespawnLimit    int
	RespawnInterval time.Duration
	// RespawnDelay is how long a respawn waits, 0 for not at all. With
	// RespawnFactor, which is 0 for none, it grows by that from one respawn to
	// the next, and never beyond RespawnMax; see Class.NextRespawn.
	RespawnDelay  time.Duration
	RespawnFactor int
	RespawnMax    time.Duration
	NormalExit    []Exit

	// Instance is the template of the instances' names; empty for a
	// singleton.
	Instance string
	// Env holds KEY=VALUE, or KEY alone for a value that is inherited from
	// the daemon, in the order of the file.
	Env []string
	// EnvFiles are files of variables, weaker than Env, to be read for each
	// process; the later ones are stronger. See ParseEnvFile.
	EnvFiles []string
	// Export names the variables that the job's events carry.
	Export []string

	// ReadyTimeout 0 means that the file does not say: then a job that is
	// not ready after DefaultReadyTimeout goes on all the same.
	ReadyTimeout time.Duration
	KillSignal   int
	KillTimeout  time.Duration
	ReloadSignal int
	// Watchdog is how long main may be silent, 0 for ever; WatchdogSignal is
	// what it gets then.
	Watchdog       time.Duration
	WatchdogSignal int

	LogLimit LogLimit

	// Settings of the processes; nil or empty leaves what the daemon has.
	Umask    *uint32
	Nice     *int
	OOMScore *int // -1000 to 1000, -1000 being "never"
	Limits   []Limit
	Chdir    string
	Chroot   string
	Setuid   string
	Setgid   string

	// What these stanzas say, kept for printing: they have no effect here.
	AppArmorLoad, AppArmorSwitch string
	CGroups                      [][]string
	// Inert names those of them that the file has, for one line in the log:
	// "apparmor", "cgroup", "debug", in this order.
	Inert []string
}

// Declares gives the words after "expect": "fork", "dbus org.example.X".
func (c *Class) Declares() string {
	if c.Expect == ExpectDBus {
		return c.Expect.String() + " " + c.BusName
	}
	return c.Expect.String()
}

// Notifies tells whether the job's processes are to say how they are.
func (c *Class) Notifies() bool { return c.Expect == ExpectNotify || c.Watchdog > 0 }

// NewClass returns a class of that name with every default set.
func NewClass(name string) *Class {
	return &Class{
		Name:            name,
		KillSignal:      DefaultKillSignal,
		KillTimeout:     DefaultKillTimeout,
		ReloadSignal:    DefaultReloadSignal,
		WatchdogSignal:  DefaultWatchdogSignal,
		RespawnLimit:    DefaultRespawnLimit,
		RespawnInterval: DefaultRespawnInterval,
		LogLimit:        LogLimit{Size: DefaultLogSize, Count: DefaultLogCount},
	}
}

// Made returns the condition that the job is made for: by which it starts, or
// would if "manual" did not keep it from that; nil for none.
func (c *Class) Made() *events.Expr {
	if c.Manual != nil {
		return c.Manual
	}
	return c.StartOn
}
