package conf

import (
	"errors"
	"hash/maphash"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/session-init/session-init/guard"
	"github.com/session-init/session-init/session/conf/notice"
	"github.com/session-init/session-init/session/job"
)

// Change says that a job has got a definition, or another one, when Set is
// not nil, and else that the job called Drop has none any more.
type Change struct {
	Set  *job.Class
	Drop string
}

// Name returns the name of the job that has changed.
func (c Change) Name() string {
	if c.Set != nil {
		return c.Set.Name
	}
	return c.Drop
}

// Options of a Watcher. Parse and Apply must be set, the rest has defaults.
type Options struct {
	Logger Logger
	// Debounce is how long it has to be quiet after a file went away, until
	// that is believed; half of it after a mere change. The default is 40 ms.
	// While changes go on coming they are dealt with every tenfold of it.
	Debounce time.Duration
	// Writing is how long who writes a file may rest before the file counts as
	// it is, and not as it did before; five times that it may write at all. The
	// default is 2 s. Who closes it has written it.
	Writing time.Duration
	// Patience is how long one search directory may hold up the others
	// while it is read. The default is 10 s. What it says later is not lost.
	Patience time.Duration
	// Parse and Apply are those of package job: the Class of a text, and
	// that of an override laid over another, nil if an error is among the
	// problems.
	Parse func(name, path string, text []byte) (*job.Class, []job.Problem)
	Apply func(class *job.Class, path string, text []byte) (*job.Class, []job.Problem)

	// Entries says how jobs are made of desktop entries.
	Entries Entries

	// Guard starts the goroutines; nil: a panic is told to nobody.
	Guard *guard.Guard

	// Notifier opens what tells of changes, that of package inotify; nil: nothing
	// is watched, for one who reads the files just once.
	Notifier func() (notice.Notifier, error)

	// These are for tests: another outlook, and something to do before a search
	// directory is read, and before a file is.
	outlook func(ear) (*outlook, error)
	before  func(dir Dir)
	reads   func(path string)
}

// A Watcher reads job files and tells what they define, now and later. It
// may be used by several goroutines.
type Watcher struct {
	dirs  []Dir
	opts  Options
	log   Logger
	apply func([]Change)

	quit    chan struct{}
	stopped chan struct{}
	wake    chan struct{} // something stands in the fields that mu guards
	deaf    chan struct{} // closed when watching is to end
	dirt    *dirt

	mu        sync.Mutex
	begun     bool
	closed    bool
	live      bool
	unwatched bool
	asked     []func() // who wants a full scan, and to be told

	// What follows belongs to the goroutine.
	trees    []*tree
	resolver *resolver
	phases   *phases
	outcomes chan outcome
	busy     []bool // by tree: it is being read
	stuck    []bool // by tree: and nobody waits for it any more
	held     []work // by tree: what is to be done once it is free
}

// New returns a Watcher of dirs, the first that holds a name wins. It reads
// nothing yet.
//
// apply is called on the Watcher's goroutine with what has changed since the
// last call, sorted by the names of the jobs, each name once; never with an
// empty list. The changes belong to the callee, the classes are shared and
// must not be written to. apply may call Rescan, but not Load or Close.
func New(dirs []Dir, opts Options, apply func([]Change)) *Watcher {
	if opts.Logger == nil {
		opts.Logger = silence{}
	}
	if opts.Debounce <= 0 {
		opts.Debounce = 40 * time.Millisecond
	}
	if opts.Writing <= 0 {
		opts.Writing = 2 * time.Second
	}
	if opts.Patience <= 0 {
		opts.Patience = 10 * time.Second
	}
	if opts.outlook == nil {
		opts.outlook = newOutlook
	}
	return &Watcher{
		dirs: slices.Clone(dirs), opts: opts, log: opts.Logger, apply: apply,
		quit:     make(chan struct{}),
		stopped:  make(chan struct{}),
		wake:     make(chan struct{}, 1),
		deaf:     make(chan struct{}),
		dirt:     newDirt(len(dirs), opts.Writing),
		resolver: newResolver(opts),
		phases:   newPhases(opts.Entries),
		outcomes: make(chan outcome, len(dirs)),
		busy:     make([]bool, len(dirs)),
		stuck:    make([]bool, len(dirs)),
		held:     make([]work, len(dirs)),
	}
}

var errClosed = errors.New("cannot load the job files: the watcher is closed")

// Load reads everything, and returns when what was found has been applied.
// A directory that does not answer for longer than Options.Patience is left
// for later. Only a Watcher that is closed gives an error.
func (w *Watcher) Load() error {
	done := make(chan struct{})
	w.Rescan(func() { close(done) })
	select {
	case <-done:
		return nil
	case <-w.stopped:
		select {
		case <-done:
			return nil
		default:
			return errClosed
		}
	}
}

// Start has changes applied as they happen, those since Load included.
func (w *Watcher) Start() {
	w.mu.Lock()
	w.live = true
	w.mu.Unlock()
	w.begin()
}

// Rescan reads every file again, whatever it looks like and whoever writes it,
// and returns at once. done, which may be nil, is called on the Watcher's goroutine when
// what was found has been applied. It is not called if the Watcher is closed
// before.
func (w *Watcher) Rescan(done func()) {
	w.mu.Lock()
	w.asked = append(w.asked, done)
	w.mu.Unlock()
	w.begin()
}

// Unwatch ends watching and returns at once: what changes from here on is found
// by Rescan only. The kernel takes some 20 ms to end a watch, so a daemon that
// is about to end does this before the rest. It may be called twice.
func (w *Watcher) Unwatch() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.unwatched {
		w.unwatched = true
		close(w.deaf)
	}
}

// Close ends watching and waits until apply will not be called any more, so
// apply must return. A directory that hangs is not waited for. Close may be
// called twice.
func (w *Watcher) Close() {
	w.mu.Lock()
	first := !w.closed
	w.closed = true
	if first {
		close(w.quit)
		if !w.begun {
			close(w.stopped)
		}
	}
	w.mu.Unlock()
	<-w.stopped
}

// begin starts the goroutine, or wakes it.
func (w *Watcher) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	if !w.begun {
		w.begun = true
		w.opts.Guard.Go("watcher of job files", w.run)
	}
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// run is the Watcher's goroutine.
func (w *Watcher) run() {
	defer close(w.stopped)
	var n notice.Notifier
	var err error
	if w.opts.Notifier != nil {
		n, err = w.opts.Notifier()
	}
	if err != nil {
		n = nil
		w.log.Warn("cannot watch job files, an explicit reload is needed after each change", "why", err)
	}
	watch := w.plant(n)
	// closers end the watches; each works once, and returns when that is done.
	var closers []func()
	if n != nil {
		// Without one the kernel wakes us more often, and that is all.
		if o, err := w.opts.outlook(watch); err != nil {
			w.log.Debug("cannot watch the directories above job files by themselves", "why", err)
		} else {
			watch.outlook = o
			pumped := make(chan struct{})
			w.opts.Guard.Go("reader of notices from above", func() {
				defer close(pumped)
				o.pump()
			})
			closers = append(closers, sync.OnceFunc(func() {
				if err := o.close(); err != nil {
					w.log.Debug("cannot close the watch above job files", "why", err)
				}
				<-pumped
			}))
		}
	}
	if n != nil {
		pumped := make(chan struct{})
		w.opts.Guard.Go("reader of notices", func() {
			defer close(pumped)
			watch.pump()
		})
		closers = append(closers, sync.OnceFunc(func() {
			if err := n.Close(); err != nil {
				w.log.Debug("cannot close the watch of job files", "why", err)
			}
			<-pumped
		}))
	}
	deaf := w.deaf
	shut := func() {
		for _, closer := range closers {
			w.opts.Guard.Go("end of a watch", closer)
		}
	}
	defer func() {
		shut()
		for _, closer := range closers {
			closer()
		}
	}()

	timer := time.NewTimer(0)
	timer.Stop()
	defer timer.Stop()
	for {
		w.mu.Lock()
		live, asked := w.live, w.asked
		w.asked = nil
		w.mu.Unlock()
		if asked != nil {
			w.dirt.drop()
			w.scan(w.all())
			for _, done := range asked {
				if done != nil && !w.ended() {
					done()
				}
			}
			continue
		}
		var due <-chan time.Time
		if wait, ok := w.dirt.due(w.opts.Debounce); ok && live {
			if wait == 0 {
				w.scan(w.dirt.take())
				continue
			}
			timer.Reset(wait)
			due = timer.C
		}
		select {
		case <-w.quit:
			w.drain()
			return
		case <-deaf:
			deaf = nil
			shut()
		case <-w.wake:
		case <-w.dirt.wake:
		case <-due:
		case out := <-w.outcomes:
			w.late(out)
		}
	}
}

// plant makes the trees.
func (w *Watcher) plant(n notice.Notifier) *watchSet {
	skip := make(map[string]bool)
	for _, dir := range w.dirs {
		skip[dir.Path] = true
	}
	watch := newWatchSet(w.log, w.dirt, w.dirs, n)
	seed := maphash.MakeSeed()
	for i, dir := range w.dirs {
		w.trees = append(w.trees, &tree{
			index: i, dir: dir, root: dir.Path, skip: skip, watch: watch, quit: w.quit,
			seed: seed, reads: w.opts.reads, found: newFound(0),
		})
	}
	return watch
}

func (w *Watcher) all() []work {
	all := make([]work, len(w.trees))
	for i := range all {
		all[i].reread = true
	}
	return all
}

// scan has work done, each tree on a goroutine of its own, and applies what
// comes of it.
func (w *Watcher) scan(todo []work) {
	waiting := 0
	for i := range todo {
		if w.send(i, todo[i]) {
			waiting++
		}
	}
	if waiting == 0 {
		return
	}
	names := make(map[string]bool)
	patience := time.NewTimer(w.opts.Patience)
	defer patience.Stop()
	for waiting > 0 {
		select {
		case out := <-w.outcomes:
			if !w.receive(out, names) {
				waiting--
			}
		case <-patience.C:
			w.giveUp()
			waiting = 0
		case <-w.quit:
			return
		}
	}
	w.settle(names)
	w.resend()
}

// send starts work on a tree, or keeps it for later if the tree is at work.
func (w *Watcher) send(i int, todo work) bool {
	if todo.empty() {
		return false
	}
	if w.busy[i] {
		w.held[i].merge(todo)
		return false
	}
	w.busy[i] = true
	w.opts.Guard.Go("reader of job files", func() {
		if w.opts.before != nil {
			w.opts.before(w.dirs[i])
		}
		w.outcomes <- w.trees[i].do(todo)
	})
	return true
}

// receive takes in what a tree has found, and adds the jobs concerned to
// names. It returns true if the tree comes too late.
func (w *Watcher) receive(out outcome, names map[string]bool) (late bool) {
	i := out.index
	late = w.stuck[i]
	w.busy[i], w.stuck[i] = false, false
	if late {
		w.log.Info("job files in " + w.dirs[i].Path + " can be read again")
	}
	for _, n := range out.notes {
		w.log.Warn(n.text)
	}
	w.dirt.begun(i, out.begun)
	w.resolver.update(out.changed, names)
	return late
}

func (w *Watcher) late(out outcome) {
	names := make(map[string]bool)
	w.receive(out, names)
	w.settle(names)
	w.resend()
}

// giveUp stops waiting for the trees that are at work.
func (w *Watcher) giveUp() {
	for i, busy := range w.busy {
		if busy && !w.stuck[i] {
			w.stuck[i] = true
			w.log.Warn("cannot read job files in " + w.dirs[i].Path + " yet: the file system does not answer; going on without")
		}
	}
}

// resend has work done that was kept while its tree was busy.
func (w *Watcher) resend() {
	for i := range w.held {
		if !w.busy[i] && !w.held[i].empty() {
			todo := make([]work, len(w.held))
			todo[i], w.held[i] = w.held[i], work{}
			w.scan(todo)
		}
	}
}

// settle decides about the named jobs and applies what has changed.
func (w *Watcher) settle(names map[string]bool) {
	var changes []Change
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if c, ok := w.resolver.resolve(name); ok {
			changes = append(changes, c)
		}
	}
	changes = w.phases.settle(changes)
	if len(changes) > 0 && !w.ended() {
		w.apply(changes)
	}
}

func (w *Watcher) ended() bool {
	select {
	case <-w.quit:
		return true
	default:
		return false
	}
}

// drain waits for the trees at work, which stop at the next directory, but
// not for those that hang.
func (w *Watcher) drain() {
	patience := time.NewTimer(min(w.opts.Patience, time.Second))
	defer patience.Stop()
	names := make(map[string]bool)
	for i := 0; i < len(w.busy); {
		if !w.busy[i] || w.stuck[i] {
			i++
			continue
		}
		select {
		case out := <-w.outcomes:
			w.receive(out, names)
		case <-patience.C:
			w.giveUp()
		}
	}
}
