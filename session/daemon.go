package session

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/guard"
	"github.com/session-init/session-init/session/bus"
	"github.com/session-init/session-init/session/conf"
	"github.com/session-init/session-init/session/conf/inotify"
	"github.com/session-init/session-init/session/display/variable"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
	"github.com/session-init/session-init/supervise"
	"github.com/session-init/session-init/supervise/keeper"
	"github.com/session-init/session-init/supervise/sink"
)

// Options say how a daemon runs. The zero value of each is the default of
// its flag, where nothing else is said.
type Options struct {
	Version string
	// Environ is the daemon's environment, as os.Environ gives it.
	Environ []string
	// Stderr takes the log.
	Stderr io.Writer

	ConfDirs, PrependDirs, AppendDirs []string

	LogDir  string // empty: $XDG_STATE_HOME/session-init/log
	NoLog   bool
	Console job.Console // of jobs that do not say; 0 is job.ConsoleLog

	NoInheritEnv bool
	NoStartup    bool
	StartupEvent string // empty: "startup"
	// Autostart: desktop entries are started by the startup event, not by a
	// login session.
	Autostart bool

	// Bus insists on the session bus, NoBus keeps away from it.
	Bus, NoBus bool

	// UntilLogout has the daemon end with the last login session.
	UntilLogout bool

	// System: it is the machine's; nil: a user's.
	System *System

	RuntimeDir  string // a path, "auto", or empty for XDG_RUNTIME_DIR
	StopTimeout time.Duration

	// Priority is the least severe log level, by name; empty is "message".
	Priority string
	// Program and Argv are what Restart executes.
	Program string
	Argv    []string
	// Keeper is the link to the process above; nil for none.
	Keeper *keeper.Link
	// Client is the path of sctl, for the command links; empty for none.
	Client string
	// Fail, for tests, is called at named points; it may end the daemon there.
	// A build with the tag failpoints has one of its own.
	Fail func(point string)
}

// Daemon is one running session.
type Daemon struct {
	*Loop
	opts  Options
	level *slog.LevelVar
	sink  *sink.Sink
	guard *guard.Guard
	// heirloom is what a panic hands over, nil for nothing; faulted is closed when
	// one is told of; ready: the daemon is.
	heirloom  atomic.Pointer[heirloom]
	faulted   chan struct{}
	ready     atomic.Bool
	runtime   *runtimeDir
	processes *supervise.Supervisor
	server    *bus.Server
	remote    *bus.Remote // nil when no bus is joined
	watcher   *conf.Watcher
	displays  displays // of login sessions
	beginner  beginner
	system    system
	// confDirs are the directories that it looks in.
	confDirs []string
	// resumed: the engine is an earlier daemon's; lost: that could not be.
	resumed, lost bool

	// loaded are the jobs that the first load has found; nil after it.
	mu     sync.Mutex
	loaded map[string]bool
	// kept are definitions of an earlier daemon that were not loaded; looking are
	// the directories in which it is looked whether their files are gone.
	kept    []keptClass
	looking map[string]bool
}

// logPatience is how long the beginning and the end of the daemon wait for
// what is logged to be written.
const logPatience = time.Second

// logDirPatience is how long the beginning waits for the log directory.
const logDirPatience = 2 * time.Second

// Private reports whether the daemon is one beside the user's own: its jobs
// come from directories that were named.
func (o Options) Private() bool { return len(o.ConfDirs) > 0 }

func (o Options) getenv(key string) string {
	value, _ := events.Env(o.Environ).Get(key)
	return value
}

// Start begins a session: runtime directory, socket, supervisor, first load
// of the job files, session file, startup event, in this order, so that a
// job can call the daemon the moment it runs. On an error nothing is left, but
// for what an earlier daemon of this session has made: that is the next one's.
func Start(opts Options) (*Daemon, error) {
	level := new(slog.LevelVar)
	priority := opts.Priority
	if priority == "" {
		priority = "message"
	}
	severity, err := parsePriority(priority)
	if err != nil {
		return nil, err
	}
	level.Set(severity)
	if opts.Bus && opts.NoBus {
		return nil, errBusFlags
	}
	if opts.Fail == nil {
		opts.Fail = supervise.FailPoints(opts.Environ)
	}
	d := &Daemon{opts: opts, level: level, loaded: make(map[string]bool), looking: make(map[string]bool), faulted: make(chan struct{})}
	d.guard = guard.New(d.fault)
	d.sink = newSink(opts.Stderr, d.guard)
	started := false
	defer func() {
		if started {
			d.sink.Flush(logPatience)
		} else {
			d.sink.Close(logPatience)
		}
	}()
	log := newLogger(d.sink, level)

	d.runtime, err = openRuntimeDir(opts.RuntimeDir, opts.runtimeParent(), opts.Private(), opts.Keeper)
	if err != nil {
		return nil, err
	}
	_, stateless := os.Stat(d.statePath())
	inherits := d.runtime.resumed || stateless == nil
	d.guard.Do("beginning", func() { err = d.begin(log) })
	if err != nil {
		if inherits {
			d.abandon()
		} else {
			d.end()
		}
		return nil, err
	}
	started = true
	return d, nil
}

// begin makes the parts; what it has made is undone by end.
func (d *Daemon) begin(log *slog.Logger) error {
	opts := d.opts
	l := &Loop{
		ended: make(chan struct{}), log: log, keeper: opts.Keeper,
		credentials: make(map[engine.ProcID]bool),
		fail:        opts.Fail,
		guard:       d.guard,
	}
	d.Loop = l
	l.clock, l.sessionOver, l.stepDone = monotonic, d.leftSession, d.begun

	l.translate = translator{console: opts.Console, notifyDir: d.runtime.notifyDir()}
	if l.translate.console == job.ConsoleDefault {
		l.translate.console = job.ConsoleLog
	}
	if !opts.NoLog {
		l.translate.logDir = d.logDir()
	}
	terminal := d.terminal()
	l.translate.terminal = terminal != ""

	server, err := bus.Listen(d.runtime.socket(), d, bus.Options{
		Version: "session-init " + opts.Version, Logger: log, Socket: opts.Keeper.Held(socketName),
		ReadOnly: d.readOnlyPath(), ReadOnlySocket: opts.Keeper.Held(readOnlyName), System: d.busSystem(), LoginVariables: variable.Names(), Wait: true, Guard: d.guard, Fail: opts.Fail})
	if err != nil {
		return err
	}
	d.server, l.bus = server, server
	if err := d.entrust(); err != nil {
		return err
	}
	if err := d.bequeath(); err != nil {
		return err
	}

	l.sockets = d.newSockets()

	var links string
	if opts.Client != "" {
		if links, err = d.runtime.link(opts.Client); err != nil {
			return err
		}
	}
	if err := d.openToAll(links); err != nil {
		return err
	}
	var runtime string
	if opts.RuntimeDir != "" && !d.IsSystem() {
		runtime = d.runtime.base
	}
	l.config = engine.Config{
		Table:       table(opts.Environ, !opts.NoInheritEnv && !d.IsSystem(), runtime),
		Daemon:      opts.Environ,
		Session:     server.Address(),
		PathEnd:     links,
		StopTimeout: opts.StopTimeout,
		UntilLogout: opts.UntilLogout,
		Debug:       d.level.Level() <= slog.LevelDebug,
	}
	l.engine, d.resumed = d.resume(l.config)

	var slots []supervise.Slot
	if d.resumed || d.lost {
		if slots, err = supervise.AwaitSlots(d.slotPath()); err != nil {
			log.Error(err.Error())
		}
	}
	had := opts.Keeper.Pid()
	d.processes, err = supervise.New(supervise.Options{Terminal: terminal, TakeTerminal: d.IsSystem() && !opts.System.Container, SlotFile: d.slotPath(),
		Keeper: had, Holder: opts.Keeper, Adopting: d.resumed || d.lost, Groups: supervise.DelegatedGroups, Renumbered: !d.resumed, Fail: opts.Fail, Guard: d.guard, Turn: l.turn, Seed: fmt.Sprintf("%s %s %d", bootID(), d.runtime.own, d.runtime.pid)}, l.supervised)
	if err != nil {
		return err
	}
	l.supervisor = d.processes
	if err := d.joinBus(); err != nil {
		return err
	}
	d.hearMachine()
	l.journal = &journal{path: d.statePath(), boot: bootID(), log: log, snapshot: l.engine.Snapshot, at: l.at,
		wake: func() { l.Read(func(engine.View) { l.journal.settle() }) }, guard: d.guard}
	l.journal.begin()
	if d.resumed {
		d.resumeSockets()
		d.adopt(slots)
	}
	l.at("adopted")
	if d.IsSystem() {
		l.answered = d.endAll
		if opts.Keeper != nil {
			opts.Keeper.Signalled = d.signalled
		}
		d.resumeEnd()
		d.resumeSchedule()
	}
	if opts.Keeper != nil {
		d.guard.Go("link to the keeper", func() { d.hearKeeper(had) })
	}

	dirs := opts.dirs()
	for _, dir := range dirs {
		d.confDirs = append(d.confDirs, dir.Path)
	}
	d.watcher = conf.New(dirs, conf.Options{Logger: log, Parse: job.Parse, Apply: job.Apply, Entries: opts.entries(), Guard: d.guard,
		Notifier: inotify.Open}, d.apply)
	d.ending = d.ends
	if err := d.watcher.Load(); err != nil {
		return d.orFault(err)
	}
	d.watcher.Start()
	d.dropVanished()
	if d.resumed {
		d.rewatch()
	}
	d.awaitLogin()
	l.Read(func(engine.View) { l.sockets.Forget() })
	salvaged := d.lost && d.salvage(slots)
	d.activator.resume()
	if err := d.runtime.writeSession(server.Address()); err != nil {
		return err
	}
	if err := opts.Keeper.Ready(); err != nil {
		return err
	}
	d.ready.Store(true)
	log.Log(context.Background(), levelMessage, "session-init "+opts.Version+" is ready", "pid", os.Getpid(), "session", server.Address())
	// The last daemon may have died before it was emitted.
	if !opts.NoStartup && l.engine.View().StartupDue() && !salvaged {
		d.mustBegin()
		d.beginner.due = true
		// Who is started by it may connect to a socket at once.
		l.Read(func(engine.View) { l.sockets.Quiet(d.emitStartup) })
	}
	return nil
}

// logDir returns where output of jobs goes, and makes it.
func (d *Daemon) logDir() string {
	dir := d.opts.LogDir
	if dir == "" && d.IsSystem() {
		dir = d.systemLogDir()
	}
	if dir == "" {
		state := d.opts.getenv("XDG_STATE_HOME")
		if !filepath.IsAbs(state) {
			state = filepath.Join(d.opts.getenv("HOME"), ".local", "state")
		}
		dir = filepath.Join(state, "session-init", "log")
	}
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	made := make(chan error, 1)
	d.guard.Go("making of the log directory", func() { made <- os.MkdirAll(dir, 0o700) })
	select {
	case err := <-made:
		if err != nil {
			d.log.Warn(fmt.Sprintf("cannot make log directory %s: %v", dir, err))
		}
	case <-time.After(logDirPatience):
		d.log.Warn(fmt.Sprintf("cannot make log directory %s yet: the file system does not answer; going on without", dir))
	}
	return dir
}

// apply takes what the watcher has read; called on its goroutine.
func (d *Daemon) apply(changes []conf.Change) {
	d.at("applying")
	messages := make([]message, 0, len(changes))
	for _, change := range changes {
		if change.Set != nil {
			messages = append(messages, message{input: engine.SetClass{Class: change.Set}})
		} else {
			messages = append(messages, message{input: engine.DropClass{Name: change.Drop}})
		}
	}
	d.post(messages...)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.loaded != nil {
		for _, change := range changes {
			d.loaded[change.Name()] = true
		}
	}
}

// Reload reads all job files again; see bus.Backend.
func (d *Daemon) Reload(done func()) {
	reloaded := func() {
		d.dropKept()
		d.Step(engine.ListenAgain{})
		d.Read(func(engine.View) {
			// After what that has posted.
			d.Read(func(engine.View) {
				if done != nil {
					done()
				}
			})
		})
	}
	// The watcher must not wait for what may hang.
	applied := func() { d.guard.Go("end of a reload", reloaded) }
	// A signal may come, by the keeper, before there is a watcher.
	d.Read(func(engine.View) { d.watcher.Rescan(applied) })
}

// ConfDirs are the directories that job files are looked for in; see
// bus.Backend.
func (d *Daemon) ConfDirs() []string { return d.confDirs }

// LogPriority returns the name of the least severe level that is logged.
func (d *Daemon) LogPriority() string {
	for _, p := range priorities {
		if p.level >= d.level.Level() {
			return p.word
		}
	}
	return priorities[len(priorities)-1].word
}

// SetLogPriority changes the least severe level that is logged.
func (d *Daemon) SetLogPriority(word string) error {
	level, err := parsePriority(word)
	if err != nil {
		return err
	}
	d.level.Set(level)
	d.Read(func(engine.View) { d.engine.SetDebug(level <= slog.LevelDebug) })
	return nil
}

// Resumed reports whether the daemon goes on where another one was.
func (d *Daemon) Resumed() bool { return d.resumed }

// Address returns the address of the private socket.
func (d *Daemon) Address() string { return d.server.Address() }

// EndSession begins the end of the session; Run returns when it is complete.
// kind is logout or shutdown.
func (d *Daemon) EndSession(kind string) { d.Step(engine.Shutdown{Type: kind}) }

// Run works until the session has ended, and removes what it made. When the
// daemon is to be executed anew it does not return, unless that failed.
func (d *Daemon) Run() error {
	// What the start needed goes back soon, also when little happens.
	d.busy, d.rest = burst, d.clock()+restAfter
	d.open.Store(true)
	d.processes.Wake()
	d.server.Open()
	<-d.ended
	if d.restart {
		err := d.handOver()
		d.sink.Close(logPatience)
		return err
	}
	d.end()
	if d.system.barren == nil {
		d.sayEnd()
	}
	d.sink.Close(logPatience)
	return d.system.barren
}

// remainderTimeout is how long processes that no instance owns any more may
// take to end by TERM when the session is over, if there is so much time left,
// and then by KILL.
const remainderTimeout = 2 * time.Second

// end takes the parts apart, in the reverse order of their making.
func (d *Daemon) end() {
	d.disinherit()
	if d.watcher != nil {
		d.watcher.Close()
	}
	if d.processes != nil {
		d.endStrays()
		ctx, cancel := context.WithTimeout(context.Background(), remainderTimeout)
		defer cancel()
		if err := d.processes.Close(ctx); err != nil {
			d.log.Error("the supervisor does not end: " + err.Error())
		}
	}
	if d.Loop != nil && d.sockets != nil {
		d.sockets.Close(true)
	}
	if d.server != nil {
		d.server.Close(time.Second)
	}
	if d.Loop != nil {
		d.journal.close()
	}
	d.runtime.close()
}

// abandon takes the parts apart and leaves all that runs, and what tells of
// it, for the next daemon.
func (d *Daemon) abandon() {
	d.disinherit()
	if d.watcher != nil {
		d.watcher.Close()
	}
	if d.processes != nil {
		ctx, cancel := context.WithTimeout(context.Background(), remainderTimeout)
		defer cancel()
		if err := d.processes.Close(ctx); err != nil {
			d.log.Error("the supervisor does not end: " + err.Error())
		}
	}
	if d.Loop != nil && d.sockets != nil {
		d.sockets.Close(false)
	}
	if d.server != nil {
		d.server.Leave(time.Second)
	}
	d.journal.flush()
}

// endStrays ends and names the processes that jobs left behind: those of
// finished tasks, and what a kill mode has spared. TERM has what the jobs have
// left of the time for the end, KILL comes when that is over.
func (d *Daemon) endStrays() {
	strays := d.processes.Strays()
	for _, stray := range strays {
		d.log.Warn("Left behind by a job, ended with the session", "pid", stray.Pid, "command", stray.Command)
	}
	// The loop is over, or has not begun: the engine is nobody's else.
	if grace := min(remainderTimeout, d.engine.ViewAt(d.clock()).TimeToEnd()); grace > 0 {
		strays = d.endBy(syscall.SIGTERM, grace)
	}
	for _, stray := range strays {
		d.log.Warn("Left behind by a job, killed: it did not end in time", "pid", stray.Pid, "command", stray.Command)
	}
	for _, stray := range d.endBy(syscall.SIGKILL, remainderTimeout) {
		d.log.Error("A process does not end even by KILL: left behind", "pid", stray.Pid, "command", stray.Command)
	}
}

// endBy signals what is left, and whom that leaves behind in its turn, until
// there is nobody or the time is over; it returns who is there then.
func (d *Daemon) endBy(signal syscall.Signal, timeout time.Duration) []supervise.Stray {
	deadline := time.Now().Add(timeout)
	for {
		strays := d.processes.Strays()
		left := time.Until(deadline)
		if len(strays) == 0 || left <= 0 {
			return strays
		}
		d.processes.KillAll(signal)
		supervise.WaitGone(strays, left)
	}
}

// Terminal reports whether the daemon has a controlling terminal.
func Terminal() bool {
	fd, err := unix.Open("/dev/tty", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	unix.Close(fd)
	return true
}
