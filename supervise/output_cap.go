package supervise

import (
	"encoding/binary"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/guard"
)

// capPace is how often logs are looked at, at most.
const capPace = time.Second

// capper keeps logs within their limits while processes write to them. One
// goroutine does it for all logs: that may take as long as the disk does, and
// holds nobody else.
//
// It sleeps until a log is written to. Each log has a watch of inotify(7) that
// goes off once, at the first write; what is written after that costs nobody
// anything. Then all are left alone for a pace, and those that have been
// written to are looked at and get a new watch. So there are at most two wakes
// a pace while any job writes, and none when no job does.
//
//	asleep --a log is written to--> resting --pace is over--> look, watch, asleep
//
// A log may thus grow by what is written within a pace beyond its limit.
type capper struct {
	report func(Event) // from any goroutine
	guard  *guard.Guard
	pace   time.Duration
	delay  time.Duration // wakeTime, but for tests

	mu    sync.Mutex
	mail  []watchedLog // not yet fetched
	wake  chan struct{}
	quit  chan struct{}
	ended chan struct{} // closed when the goroutine has ended; nil before it began

	// What follows belongs to the goroutine.
	inotify int // -1 when there is none
	refused unix.Errno
	byPath  map[string]*watchedLog
	byWatch map[int32]*watchedLog
	written []*watchedLog   // since the last look, each once
	full    map[string]bool // directories without space, when last looked at
	// begun and idle are when logs were looked at last, from and to; see busy.
	begun, idle time.Time
	// made is when the capper was; offset by how much more the time of day has gone
	// on since, when last looked at; leapt when that was seen to have changed.
	made   time.Time
	offset time.Duration
	leapt  time.Time
}

// watchedLog is a log with a limit.
type watchedLog struct {
	id          ProcID // the last process that opened it
	label, path string
	limit       LogLimit

	watch   int32 // of inotify, 0 for none
	written bool
	armed   bool // since it was looked at last no write went unheard
	noted   notedLog
	// After failures it is left alone for a while, longer each time.
	failures int
	retry    time.Time
}

func newCapper(report func(Event)) *capper {
	return &capper{
		report: report, pace: capPace, delay: wakeTime, inotify: -1,
		wake: make(chan struct{}, 1), quit: make(chan struct{}),
		byPath: make(map[string]*watchedLog), byWatch: make(map[int32]*watchedLog),
		full: make(map[string]bool), made: time.Now(),
	}
}

// watch begins to keep a log within its limit; a process has just opened it.
// It never blocks.
func (c *capper) watch(id ProcID, label, path string, limit LogLimit) {
	if limit.Size <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.quit:
		return
	default:
	}
	c.mail = append(c.mail, watchedLog{id: id, label: label, path: path, limit: limit})
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// start acquires the watches and starts the goroutine; stop ends it.
func (c *capper) start() {
	inotify, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		c.refused = errnoOf(err)
	} else {
		c.inotify = inotify
	}
	c.ended = make(chan struct{})
	c.guard.Go("limit of logs", c.run)
}

// stop makes the goroutine end when it is done with the log in hand. The
// channel is closed then.
func (c *capper) stop() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.quit:
	default:
		close(c.quit)
	}
	return c.ended
}

func (c *capper) run() {
	defer close(c.ended)
	var heard, again chan struct{}
	if c.inotify >= 0 {
		// The runtime's poller waits for it, so that no thread has to.
		in := os.NewFile(uintptr(c.inotify), "inotify")
		heard, again = make(chan struct{}), make(chan struct{}, 1)
		var listener sync.WaitGroup
		c.guard.GoIn(&listener, "watch of logs", func() { c.listen(in, heard, again) })
		defer listener.Wait()
		defer in.Close()
	}
	rest := time.NewTimer(time.Hour)
	rest.Stop()
	defer rest.Stop()
	for {
		select {
		case <-c.quit:
			return
		case <-c.wake:
			c.busy(c.fetch)
		case <-heard:
			rest.Reset(c.pace)
		case <-rest.C:
			c.busy(func() {
				c.drain()
				c.lookAll()
			})
			c.report(Worked{})
			again <- struct{}{}
		}
	}
}

// listen says once that there is something to read, and then waits until it
// has been read.
func (c *capper) listen(in *os.File, heard chan<- struct{}, again <-chan struct{}) {
	conn, err := in.SyscallConn()
	for err == nil {
		if err = conn.Read(readable); err != nil {
			return
		}
		select {
		case heard <- struct{}{}:
		case <-c.quit:
			return
		}
		select {
		case <-again:
		case <-c.quit:
			return
		}
	}
}

// readable tells whether something is to be read.
func readable(fd uintptr) bool {
	n, _ := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	return n != 0
}

// fetch takes the logs that processes have opened.
func (c *capper) fetch() {
	c.mu.Lock()
	mail := c.mail
	c.mail = nil
	c.mu.Unlock()
	for i := range mail {
		l := c.byPath[mail[i].path]
		if l == nil {
			l = &mail[i]
			c.byPath[l.path] = l
		} else {
			l.id, l.label, l.limit = mail[i].id, mail[i].label, mail[i].limit
		}
		// What the process has written by now nobody has told us of.
		c.look(l)
	}
	c.lookForSpace(mail)
}

// drain notes the logs that have been written to.
func (c *capper) drain() {
	buf := make([]byte, 64*unix.SizeofInotifyEvent)
	for {
		n, err := unix.Read(c.inotify, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n <= 0 {
			return
		}
		for at := 0; at+unix.SizeofInotifyEvent <= n; {
			watch := int32(binary.NativeEndian.Uint32(buf[at:]))
			mask := binary.NativeEndian.Uint32(buf[at+4:])
			at += unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(buf[at+12:]))
			c.hear(watch, mask)
		}
	}
}

// hear takes one event of inotify.
func (c *capper) hear(watch int32, mask uint32) {
	if mask&unix.IN_Q_OVERFLOW != 0 {
		for _, path := range slices.Sorted(maps.Keys(c.byPath)) {
			c.note(c.byPath[path])
		}
		return
	}
	l := c.byWatch[watch]
	if l == nil {
		// It has gone off already, or another file has the name now.
		return
	}
	delete(c.byWatch, watch)
	l.watch = 0
	if mask&unix.IN_MODIFY != 0 {
		c.note(l)
	} else {
		// The file has been deleted. The next process makes a new one.
		delete(c.byPath, l.path)
	}
}

func (c *capper) note(l *watchedLog) {
	if !l.written {
		l.written = true
		c.written = append(c.written, l)
	}
}

// lookAll looks at what has been written to.
func (c *capper) lookAll() {
	written := c.written
	c.written = nil
	at := make([]watchedLog, len(written))
	for i, l := range written {
		l.written = false
		at[i] = *l
		c.look(l)
	}
	c.lookForSpace(at)
}

// look gives a log a watch and cuts it if it is too large: in this order, so
// that no write goes unheard.
func (c *capper) look(l *watchedLog) {
	armed := l.armed
	errno := c.arm(l)
	l.armed = errno == 0
	var st unix.Stat_t
	if err := unix.Stat(l.path, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		// Deleted, or renamed by someone who rotates logs: what is still
		// written to it is his affair. Or it never was a file.
		c.forget(l)
		return
	}
	if errno != 0 && errno != unix.ENOENT {
		c.report(OutputFault{l.id, l.label, l.path, ProblemWatch, errno})
	}
	now := time.Now()
	var from time.Time
	if armed {
		from = c.earliest(now)
	}
	l.noteSize(&st, now, from)
	if st.Size <= l.limit.Size {
		return
	}
	if now.Before(l.retry) {
		return
	}
	cut, err := cutLog(l.path, l.limit)
	if err == nil && cut.At > 0 {
		l.noteCut(st.Mode, now, cut)
	}
	if err != nil && err != unix.ENOENT && err != unix.ESTALE {
		l.failures = min(l.failures+1, 6)
		l.retry = now.Add(c.pace << l.failures)
		c.report(OutputFault{l.id, l.label, l.path, ProblemLimit, errnoOf(err)})
		return
	}
	l.failures = 0
}

// arm makes the watch go off at the next write.
func (c *capper) arm(l *watchedLog) unix.Errno {
	if c.inotify < 0 {
		return c.refused
	}
	watch, err := unix.InotifyAddWatch(c.inotify, l.path, unix.IN_MODIFY|unix.IN_ONESHOT)
	if err != nil {
		return errnoOf(err)
	}
	if l.watch != int32(watch) {
		c.disarm(l)
		l.watch = int32(watch)
		c.byWatch[l.watch] = l
	}
	return 0
}

func (c *capper) disarm(l *watchedLog) {
	if l.watch != 0 {
		delete(c.byWatch, l.watch)
		unix.InotifyRmWatch(c.inotify, uint32(l.watch))
		l.watch = 0
	}
}

func (c *capper) forget(l *watchedLog) {
	c.disarm(l)
	delete(c.byPath, l.path)
}

// lookForSpace says when the file system of logs is full: their writers get
// ENOSPC, and few of them say so. Once, until there is space again.
func (c *capper) lookForSpace(logs []watchedLog) {
	var last string
	for i := range logs {
		dir := filepath.Dir(logs[i].path)
		if dir == last {
			continue
		}
		last = dir
		var fs unix.Statfs_t
		if unix.Statfs(dir, &fs) != nil {
			continue
		}
		full := fs.Blocks > 0 && fs.Bavail == 0
		if full && !c.full[dir] {
			c.report(OutputFault{logs[i].id, logs[i].label, logs[i].path, ProblemFull, unix.ENOSPC})
		}
		if full {
			c.full[dir] = true
		} else {
			delete(c.full, dir)
		}
	}
}
