package conf

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/conf/notice"
)

// What an outlook has the kernel tell of a directory: that names come, and
// that it goes itself. The wide one is for a directory in which a symbolic
// link leads on, or something may not be looked at: that these go, or change
// their mode, is told by nobody else. See inotify(7).
const (
	narrowMask = unix.IN_ONLYDIR | unix.IN_MASK_ADD | unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF
	wideMask   = narrowMask | unix.IN_MOVED_FROM | unix.IN_DELETE | unix.IN_ATTRIB
)

// So many notices in one pace may be of no concern before a directory is
// left alone for as long.
const (
	outlookPace  = time.Second
	outlookNoise = 4
)

// An outlook watches the directories on the way to a search directory, such
// as the home directory in which ".init" does not exist. Of these only some
// names matter, and a watch that is told of each write to each file would wake
// us all day. What is written to files does not wake an outlook.
//
// The kernel cannot be asked for certain names alone. A directory in which
// others come and go all the time is therefore left alone for a second, again
// and again, and what was missed is found by comparing: before the watch is
// taken away, and after it is back, the names that matter are looked at.
//
// It is safe for concurrent use.
type outlook struct {
	ear  ear
	file *os.File // the fd below, for waiting; its closing
	fd   int
	pace time.Duration

	mu      sync.Mutex
	closed  bool
	turn    int // counts how often something woke us
	watches map[int]*lookout
	dirs    map[string]*lookout
}

// An ear takes what an outlook hears. Its methods do not block.
type ear interface {
	// claimed returns the names in dir that matter.
	claimed(dir string) []string
	// came tells of a name that came or changed in dir. It returns false if
	// that is of no concern.
	came(dir, name string) bool
	// gone tells that dir went, or may be looked at again.
	gone(dir string)
	// lost tells that notices were lost.
	lost()
}

// A lookout is one watched directory.
type lookout struct {
	wd   int
	id   inode
	wide bool
	dirs []string // its real paths, of which bind mounts give it several
	left bool     // the watch was taken away, what was told before may still come

	// woken counts, for tests, the turns in which this directory was heard,
	// of which turn was the last.
	woken, turn int

	noise int // notices of no concern since
	since time.Time
	until time.Time          // when it rests: until when
	seen  map[string]glimpse // when it rests: what was there before
}

func (l *lookout) resting() bool { return !l.until.IsZero() }

func newOutlook(ear ear) (*outlook, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, err
	}
	return &outlook{
		ear: ear, fd: fd, file: os.NewFile(uintptr(fd), "inotify"), pace: outlookPace,
		watches: make(map[int]*lookout), dirs: make(map[string]*lookout),
	}, nil
}

// close ends pump. It may be called once.
func (o *outlook) close() error {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	return o.file.Close()
}

// guard sees to it that dir, the directory id, is watched.
func (o *outlook) guard(dir string, id inode, wide bool) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	l := o.dirs[dir]
	if l != nil && l.id != id {
		o.part(l, dir)
		l = nil
	}
	if l != nil && l.resting() {
		l.wide = l.wide || wide
		// Whoever asks looks at the directory now, and may see what was not
		// there before and is gone, or back, when it has rested: then all
		// that matters is told as new.
		l.seen = nil
		return nil
	}
	return o.arm(dir, id, wide)
}

// arm adds a watch, or widens it. mu is held.
func (o *outlook) arm(dir string, id inode, wide bool) error {
	if o.closed {
		return nil
	}
	mask := uint32(narrowMask)
	if wide {
		mask = wideMask
	}
	wd, err := unix.InotifyAddWatch(o.fd, dir, mask)
	if err != nil {
		return err
	}
	l := o.watches[wd]
	if l == nil {
		l = &lookout{wd: wd, id: id}
		o.watches[wd] = l
	}
	l.wide = l.wide || wide
	if old := o.dirs[dir]; old != nil && old != l {
		o.part(old, dir)
	}
	if !slices.Contains(l.dirs, dir) {
		l.dirs = append(l.dirs, dir)
	}
	o.dirs[dir] = l
	return nil
}

// leave ends the watch of dir. It returns false if there is none: else notices
// that were not yet taken are lost.
func (o *outlook) leave(dir string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	l := o.dirs[dir]
	if l != nil {
		o.part(l, dir)
	}
	return l != nil
}

// part takes dir from a lookout, which goes with its last. mu is held.
func (o *outlook) part(l *lookout, dir string) {
	delete(o.dirs, dir)
	l.dirs = slices.DeleteFunc(l.dirs, func(d string) bool { return d == dir })
	if len(l.dirs) == 0 && !l.resting() {
		o.disarm(l)
	}
}

// disarm takes the watch away. mu is held.
func (o *outlook) disarm(l *lookout) {
	if l.left || o.closed {
		return
	}
	// It stays in watches until the kernel says that it has told all.
	l.left = true
	// The error would be that the watch went with its directory.
	_, _ = unix.InotifyRmWatch(o.fd, uint32(l.wd))
}

// pump takes notices until close.
func (o *outlook) pump() {
	buf := make([]byte, notice.RoomFor(16))
	for {
		// The error would be that it is closed, which the read tells.
		_ = o.file.SetReadDeadline(o.next())
		n, err := o.file.Read(buf)
		o.mu.Lock()
		o.turn++
		o.mu.Unlock()
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		notice.Split(buf[:max(n, 0)], o.hear)
		o.rouse(time.Now())
	}
}

// next returns when the first lookout has rested; zero if none rests.
func (o *outlook) next() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	var first time.Time
	for _, l := range o.dirs {
		if l.resting() && (first.IsZero() || l.until.Before(first)) {
			first = l.until
		}
	}
	return first
}

// hear takes one notice.
func (o *outlook) hear(wd int, mask uint32, name string) {
	if mask&unix.IN_Q_OVERFLOW != 0 {
		o.ear.lost()
		return
	}
	o.mu.Lock()
	l := o.watches[wd]
	if l == nil {
		o.mu.Unlock()
		return
	}
	if l.turn != o.turn {
		l.turn, l.woken = o.turn, l.woken+1
	}
	dirs := slices.Clone(l.dirs)
	if mask&unix.IN_IGNORED != 0 {
		delete(o.watches, wd)
	}
	switch {
	case mask&unix.IN_IGNORED != 0 && l.left:
		o.mu.Unlock()
		return
	case mask&(unix.IN_IGNORED|unix.IN_UNMOUNT|unix.IN_DELETE_SELF|unix.IN_MOVE_SELF) != 0:
		o.disarm(l)
		for _, dir := range dirs {
			if o.dirs[dir] == l {
				delete(o.dirs, dir)
			}
		}
		name = ""
	case name != "" && time.Since(l.since) > o.pace:
		l.since, l.noise = time.Now(), 0
	}
	o.mu.Unlock()

	concern := name == ""
	for _, dir := range dirs {
		if name == "" {
			o.ear.gone(dir)
		} else if o.ear.came(dir, name) {
			concern = true
		}
	}
	if concern {
		return
	}
	o.mu.Lock()
	l.noise++
	noisy := l.noise > outlookNoise && !l.left
	o.mu.Unlock()
	if noisy {
		o.rest(l)
	}
}

// rest leaves a directory alone for a while. What matters there is looked at
// first: what has changed before is told by notices that are still to come,
// and what changes from now on will look different.
func (o *outlook) rest(l *lookout) {
	o.mu.Lock()
	dirs := slices.Clone(l.dirs)
	o.mu.Unlock()
	seen := o.survey(dirs)
	o.mu.Lock()
	defer o.mu.Unlock()
	if !l.left && len(l.dirs) > 0 {
		o.disarm(l)
		l.seen, l.until = seen, time.Now().Add(o.pace)
	}
}

// rouse watches those again that have rested.
func (o *outlook) rouse(now time.Time) {
	o.mu.Lock()
	var rested []*lookout
	for _, l := range o.dirs {
		if l.resting() && !l.until.After(now) && !slices.Contains(rested, l) {
			rested = append(rested, l)
		}
	}
	o.mu.Unlock()
	// In which order they are heard does not matter: what they tell is a set.
	for _, l := range rested {
		o.resume(l)
	}
}

func (o *outlook) resume(l *lookout) {
	o.mu.Lock()
	dirs := slices.Clone(l.dirs)
	l.until = time.Time{}
	var lost []string
	for _, dir := range dirs {
		delete(o.dirs, dir)
		if err := o.arm(dir, l.id, l.wide); err != nil {
			lost = append(lost, dir)
		}
	}
	o.mu.Unlock()
	for _, dir := range lost {
		o.ear.gone(dir)
	}
	for path, now := range o.survey(dirs) {
		if before, ok := l.seen[path]; ok && before == now {
			continue
		}
		if slices.Contains(dirs, path) {
			o.ear.gone(path)
		} else {
			o.ear.came(filepath.Dir(path), filepath.Base(path))
		}
	}
}

// survey looks at directories, and at the names in them that matter.
func (o *outlook) survey(dirs []string) map[string]glimpse {
	seen := make(map[string]glimpse)
	for _, dir := range dirs {
		seen[dir] = glance(dir)
		for _, name := range o.ear.claimed(dir) {
			path := filepath.Join(dir, name)
			seen[path] = glance(path)
		}
	}
	return seen
}

// glimpse is what is seen of a name. Of a directory only which one it is and
// its mode: the times are those of what comes and goes in it.
type glimpse struct {
	stamp
	mode fs.FileMode
	err  syscall.Errno
}

func glance(path string) glimpse {
	info, err := os.Lstat(path)
	if err != nil {
		errno, _ := errors.AsType[syscall.Errno](err)
		return glimpse{err: errno}
	}
	g := glimpse{stamp: stampOf(info), mode: info.Mode()}
	if info.IsDir() {
		g.stamp = stamp{inode: g.inode}
	}
	return g
}
