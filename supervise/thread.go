package supervise

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/guard"
	"github.com/session-init/session-init/supervise/began"
)

// How much the thread does of one kind before it looks at the others, so
// that neither a thousand starts nor a storm of orphans holds back the rest.
const (
	commandBatch = 16
	reapBatch    = 256
	reapRounds   = 4 // batches of commands between looks for the dead
)

// firstFree is the lowest number that descriptors of the daemon get which a
// child needs during its set-up. The numbers below are for the child's own
// use, scriptFD among them.
const firstFree = 10

// Options say how a Supervisor works; the zero value is good.
type Options struct {
	// Terminal is the path of the terminal for OutputTerminal and
	// OwnTerminal, such as /dev/console; empty when there is none, and such
	// a process is then refused.
	Terminal string
	// TakeTerminal: OwnTerminal takes it from a session that has it, for which
	// root's rights are needed.
	TakeTerminal bool
	// SlotFile is the path of the file in which processes are recorded for
	// whoever comes after this daemon (see ReadSlots), best in a file system
	// in memory; empty for none. A process that cannot be recorded is not
	// made. Close leaves the file.
	SlotFile string
	// Keeper is the pid of the keeper above the daemon, 0 for none.
	Keeper int
	// Holder, when there is one, holds for the next daemon what this one would
	// take with it; what an earlier one has left there is taken out by New.
	Holder Holder
	// Seed makes the mark of our processes: the daemon that takes over has
	// the same. Empty: the mark is made by chance.
	Seed string
	// Adopting: processes of an earlier daemon will be handed to Adopt, and
	// Adopted says when that was the last. Until then no child is waited for,
	// and its file of slots keeps its name.
	Adopting bool
	// Groups says where owners get cgroups.
	Groups Groups
	// Renumbered: the numbers of owners are not those of the daemon before us.
	Renumbered bool
	// Turn, when there is one, is called on the thread, each time that it has
	// reported what there is to report, and before it sleeps. It must not
	// block, gives commands as anybody does, and tells how long the thread may
	// sleep at most; less than zero is for ever. Wake has it called again.
	Turn func() (sleep time.Duration)
	// Guard starts the goroutines; nil: a panic is told to nobody.
	Guard *guard.Guard
	// Fail, for tests, is called at named points of a process's life; it may
	// end the daemon there.
	Fail func(point string)
}

// Supervisor owns the processes of the daemon. There may be one in a
// process only, and nobody else may wait for children, since it waits for
// all of them. Its methods may be called from any goroutine and never block.
type Supervisor struct {
	opts   Options
	report func([]Event)

	mu     sync.Mutex
	mail   []func() // not yet fetched by the thread
	closed bool     // mail is no longer taken
	asleep bool     // the thread must be woken
	woken  bool     // it must take a turn before it falls asleep

	done    chan struct{} // closed when the thread has ended
	wakeFD  int           // an eventfd: there is mail, or a turn to take
	deathFD int           // an eventfd: SIGCHLD came
	outputs outputs
	deaths  deaths

	// What follows belongs to the thread.
	died    bool // a child did, since the thread last looked
	epollFD int
	nullFD  int
	self    int          // our pid
	alone   atomic.Bool  // there is no keeper any more
	nofile  *unix.Rlimit // what children get back, nil when ours is original
	raised  unix.Rlimit  // what Go has made of it
	slots   slots
	stacks  stacks
	forking func(*child) (pid int, errno syscall.Errno)
	sharing bool // children may share our memory
	// oneByOne: children close descriptors like that, since there is no
	// close_range(2), or it is filtered.
	oneByOne bool
	// handling: those children have our handlers of signals, because the
	// kernel cannot clear them.
	handling bool
	ignored  uint64   // signals, as bits
	todo     []func() // fetched, not yet carried out
	out      []Event  // to be reported at the end of this round
	closing  bool

	byID     map[ProcID]*process
	byPid    map[int]*process   // main processes not yet reaped
	helpers  map[int]*process   // first children not yet reaped
	byPipe   map[int32]*process // read ends of the pipes of inFlight
	inFlight []*process         // no outcome yet
	// postponed could not be made for lack of something; see retry.go.
	postponed []postponed
	unreaped  []*process // set-up over, with a child of which no signal tells

	belong  belongings
	groups  groups
	abroad  bool        // the keeper has, or had, children that are ours
	adopted []*process  // gone before we were there, and not told of yet
	waiting bool        // for Adopted
	held    []*terminal // left by an earlier daemon, for which nobody copies yet
	mute    []*process  // adopted children of whose end no signal tells; until Adopted
	former  formerSlots
	// lateHelpers are first children that an earlier image of us has made: no
	// signal tells of their ends either.
	lateHelpers []int
	// unrecorded are adopted and have no slot in the file yet.
	unrecorded []*process

	notify notifying // what jobs say of themselves

	tracees  map[int]*tracee    // by thread
	formers  map[int]*process   // what was followed before, not yet reaped
	byWatch  map[int32]*process // pidfds of what is followed and not our child
	seize    func(pid int) syscall.Errno
	mayTrace bool // also what gains privileges
	degraded bool // it was reported that nothing can be traced
	listens  listening
	parents  []parent      // that are to end; see linger.go
	linger   time.Duration // lingerPause, but for tests

	ending syscall.Signal // of KillAll, until no child is left; else 0
	reaped bool           // a child, since KillAll last looked
}

// New makes the process a subreaper and starts the thread. report is called
// on that thread with events in their order; it owns the slice and must not
// block. Close ends what New began.
func New(opts Options, report func([]Event)) (*Supervisor, error) {
	s := &Supervisor{
		opts:   opts,
		report: report,
		done:   make(chan struct{}),
		wakeFD: -1, deathFD: -1, epollFD: -1, nullFD: -1,
		self:    os.Getpid(),
		byID:    make(map[ProcID]*process),
		byPid:   make(map[int]*process),
		helpers: make(map[int]*process),
		byPipe:  make(map[int32]*process),
		tracees: make(map[int]*tracee),
		formers: make(map[int]*process),
		byWatch: make(map[int32]*process),
		seize:   seize,
		slots:   slots{path: opts.SlotFile, fd: -1, unnamed: opts.Adopting},
		waiting: opts.Adopting,
		linger:  lingerPause,
		sharing: haveVM,
		belong:  belongings{list: -1},
		listens: listening{diag: diag{fd: -1}},
		notify:  notifying{epoll: -1, byFD: make(map[int32]*notifySocket), byPath: make(map[string]*notifySocket)},
	}
	s.forking = s.fork
	if err := s.open(); err != nil {
		s.release()
		return nil, fmt.Errorf("cannot supervise processes: %w", err)
	}
	if opts.Groups != NoGroups {
		s.openGroups(groupsIn(opts.SlotFile))
		s.slots.groups = s.groups.path()
	}
	if opts.SlotFile != "" {
		// What hinders this hinders a start too, which tells it.
		_ = s.slots.open()
	}
	s.nofile, s.raised = originalNofile()
	s.outputs.copiers.holder = opts.Holder
	s.outputs.open(func(ev Event) { s.send(func() { s.emit(ev) }) }, opts.Guard)
	s.belong = newBelongings(s.self, opts.Seed)
	s.mayTrace = mayTraceAny()
	s.ignored = ignoredSignals()
	// The highest number that there could be is nobody's.
	s.oneByOne = unix.CloseRange(math.MaxUint32, math.MaxUint32, 0) != nil
	if s.held = takeHeld(opts.Holder); !opts.Adopting {
		s.resumeCopy(nil)
	}
	s.deaths.begin(s.deathFD, opts.Guard)
	opts.Guard.Go("supervisor", s.run)
	return s, nil
}

// open acquires the descriptors.
func (s *Supervisor) open() (err error) {
	if err = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("subreaper: %w", err)
	}
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", os.DevNull, err)
	}
	if s.nullFD, err = lift(null); err != nil {
		return fmt.Errorf("%s: %w", os.DevNull, err)
	}
	if s.epollFD, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	for _, fd := range []*int{&s.wakeFD, &s.deathFD} {
		if *fd, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
			return fmt.Errorf("eventfd: %w", err)
		}
		ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(*fd)}
		if err = unix.EpollCtl(s.epollFD, unix.EPOLL_CTL_ADD, *fd, &ev); err != nil {
			return fmt.Errorf("epoll: %w", err)
		}
	}
	return nil
}

// lift moves a descriptor out of the way of those that a child uses. It
// consumes fd, also on failure.
func lift(fd int) (int, error) {
	if fd >= firstFree {
		return fd, nil
	}
	defer unix.Close(fd)
	return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, firstFree)
}

// originalNofile returns the limit that a child gets back, the soft limit
// that we began with where Go has raised it, and the raised one.
func originalNofile() (original *unix.Rlimit, now unix.Rlimit) {
	was, known := began.Nofile()
	if !known || unix.Getrlimit(unix.RLIMIT_NOFILE, &now) != nil || now.Cur == was.Soft {
		return nil, now
	}
	return &unix.Rlimit{Cur: min(was.Soft, now.Max), Max: now.Max}, now
}

// Close ends the thread after the commands that were given before, and what
// works on output; it waits for that until ctx is done. Processes live on and
// are nobody's then, those of OutputPTY without their terminal unless that is
// held or was handed over; of those in
// flight nothing more is reported. Later commands are dropped.
func (s *Supervisor) Close(ctx context.Context) error {
	s.send(func() { s.closing = true })
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	for _, ended := range []func() <-chan struct{}{func() <-chan struct{} { return s.done }, s.outputs.stop} {
		select {
		case <-ended():
		case <-ctx.Done():
			return fmt.Errorf("cannot end the supervisor: %w", context.Cause(ctx))
		}
	}
	return nil
}

// send puts a command into the mailbox, and tells whether it is taken.
func (s *Supervisor) send(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.mail = append(s.mail, f)
	s.rouse()
	return true
}

// Wake has the thread take a turn; see Options.Turn. What was written before
// the call is seen in that turn.
func (s *Supervisor) Wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.woken = true
	s.rouse()
}

// rouse ends the thread's sleep. The lock is held, which also keeps wakeFD
// open: release takes it. The eventfd counts, so this cannot be lost; it does
// not block, since the thread empties it long before it is full.
func (s *Supervisor) rouse() {
	if !s.asleep {
		return
	}
	s.asleep = false
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	unix.Write(s.wakeFD, one[:])
}

// run is the thread.
func (s *Supervisor) run() {
	// Never unlocked: the thread ends with the goroutine.
	runtime.LockOSThread()
	if unix.Gettid() == s.self {
		// What is left behind comes to this thread, so it is not for those
		// that we make; see belong.go. Held, it is not given to run again.
		begun := make(chan struct{})
		s.opts.Guard.Go("supervisor", func() {
			runtime.LockOSThread()
			close(begun)
			s.run()
		})
		<-begun
		runtime.UnlockOSThread()
		return
	}
	defer close(s.done)
	defer s.release()
	// Before anything is released: what comes after a panic finds it all.
	defer s.opts.Guard.Catch("supervisor")
	// Children may have died before we were asked to look.
	s.died = true
	more := true
	for round, wait := 0, time.Duration(0); !s.closing; round++ {
		s.sleep(wait)
		s.fetch()
		more = s.obey()
		s.reapUnreaped()
		// The kernel looks at each child that lives to find one that does
		// not, so it is asked only when there is one, and not after each
		// batch of many commands. A death from here on says so anew.
		if !s.waiting && (!more || round%reapRounds == 0) && (s.died || s.ending != 0) {
			s.died = false
			s.died = s.reap()
		}
		s.flush()
		if wait = s.turn(); more || s.died && !s.waiting || len(s.out) > 0 {
			wait = 0
		}
	}
	s.flush()
}

// sleep waits for something to do, as long as it may, and takes notice of the
// spawns whose outcome is known.
func (s *Supervisor) sleep(wait time.Duration) {
	s.mu.Lock()
	if s.woken || len(s.mail) > 0 {
		wait = 0
	}
	s.asleep = wait != 0
	s.mu.Unlock()
	var events [64]unix.EpollEvent
	n, err := unix.EpollWait(s.epollFD, events[:], milliseconds(wait))
	if err == unix.EINTR && wait != 0 {
		// By a SIGCHLD most likely, and its handler has told deathFD.
		n, err = unix.EpollWait(s.epollFD, events[:], 0)
	}
	if err != nil && err != unix.EINTR {
		// Only a descriptor that is not ours any more gives this; to go on
		// would be to spin.
		panic(fmt.Sprintf("supervise: epoll: %v", err))
	}
	if wait != 0 {
		s.mu.Lock()
		s.asleep = false
		s.mu.Unlock()
	}
	for _, ev := range events[:max(n, 0)] {
		if ev.Fd == int32(s.wakeFD) || ev.Fd == int32(s.deathFD) {
			var count [8]byte
			unix.Read(int(ev.Fd), count[:])
			s.died = s.died || ev.Fd == int32(s.deathFD)
			continue
		}
		if s.notify.epoll >= 0 && ev.Fd == int32(s.notify.epoll) {
			s.hear()
			continue
		}
		if p := s.byPipe[ev.Fd]; p != nil && !s.asks(p) {
			s.hangUp(p)
			s.advance(p)
		}
		if p := s.byWatch[ev.Fd]; p != nil {
			s.watchEnded(p)
		}
		if _, is := s.groups.outside[ev.Fd]; is {
			s.outsideEnded(ev.Fd)
		}
	}
}

// milliseconds gives a time to sleep as epoll_wait(2) takes it, never less.
func milliseconds(wait time.Duration) int {
	if wait < 0 {
		return -1
	}
	const most = time.Duration(math.MaxInt32) * time.Millisecond
	return int((min(wait, most) + time.Millisecond - 1) / time.Millisecond)
}

// lateCheck is how often we look for the end of a child of which no signal
// tells.
const lateCheck = time.Millisecond

// turn lets the owner take its turn, and tells how long the thread may sleep.
func (s *Supervisor) turn() time.Duration {
	s.mu.Lock()
	s.woken = false
	s.mu.Unlock()
	wait := time.Duration(-1)
	if s.opts.Turn != nil {
		wait = s.opts.Turn()
	}
	if len(s.unreaped)+len(s.lateHelpers) > 0 && (wait < 0 || wait > lateCheck) {
		wait = lateCheck
	}
	return s.tryAgain(s.awaitFormers(s.awaitListeners(wait)))
}

// fetch empties the mailbox.
func (s *Supervisor) fetch() {
	s.mu.Lock()
	mail := s.mail
	s.mail = nil
	s.mu.Unlock()
	if len(s.todo) == 0 {
		s.todo = mail
	} else {
		s.todo = append(s.todo, mail...)
	}
}

// obey carries out some commands and tells whether there are more.
func (s *Supervisor) obey() (more bool) {
	n := min(len(s.todo), commandBatch)
	for i, f := range s.todo[:n] {
		s.todo[i] = nil
		f()
	}
	s.todo = s.todo[n:]
	return len(s.todo) > 0
}

// emit adds an event to this round's batch.
func (s *Supervisor) emit(ev Event) { s.out = append(s.out, ev) }

// flush reports the batch.
func (s *Supervisor) flush() {
	s.settleBelongings()
	if len(s.out) == 0 {
		return
	}
	batch := s.out
	s.out = nil
	s.at("reporting")
	s.report(batch)
	s.at("reported")
}

// at passes a named point, at which a test may end the daemon.
func (s *Supervisor) at(point string) {
	if s.opts.Fail != nil {
		s.opts.Fail(point)
	}
}

// releaseMemory unmaps what is mapped. Children in flight that share our memory
// still need it, and their records, for as long as they like: then it stays,
// held by a goroutine that does nothing else.
func (s *Supervisor) releaseMemory() {
	var sharing []*child
	for _, p := range s.inFlight {
		if p.pipe >= 0 && p.child.stack != 0 {
			sharing = append(sharing, p.child)
		}
	}
	if len(sharing) == 0 {
		s.slots.close()
		s.stacks.shrink(0)
		return
	}
	s.slots.closeFile()
	s.opts.Guard.Go("holder of memory", func() {
		defer runtime.KeepAlive(sharing)
		select {}
	})
}

// release gives back what New and the spawns in flight hold.
func (s *Supervisor) release() {
	s.deaths.end()
	for _, p := range s.inFlight {
		if p.pipe >= 0 {
			unix.Close(p.pipe)
		}
	}
	for fd := range s.byWatch {
		unix.Close(int(fd))
	}
	s.releaseNotify()
	s.releaseMemory()
	s.former.close()
	for _, t := range s.held {
		t.close()
	}
	s.belong.close()
	s.listens.close()
	s.groups.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.mail = nil
	for _, fd := range []*int{&s.wakeFD, &s.deathFD, &s.epollFD, &s.nullFD} {
		if *fd >= 0 {
			unix.Close(*fd)
			*fd = -1
		}
	}
}
