// Package inotify has the kernel tell of changes in directories; see
// inotify(7). Beyond what such packages for all systems tell, it knows when
// who wrote a file has closed it.
package inotify

import (
	"errors"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/conf/notice"
)

// What the kernel is asked to tell of a directory, and what of that means that
// the directory is not where it was.
const (
	mask = unix.IN_ONLYDIR | unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_DELETE | unix.IN_ATTRIB |
		unix.IN_MODIFY | unix.IN_CLOSE_WRITE | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF
	left = unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_UNMOUNT
)

// batch is how many notices with the longest names are read at once.
const batch = 64

// notifier keeps watches by their number and by their directory. A directory
// that is added by two paths is known by the first.
type notifier struct {
	file *os.File // of fd, for waiting and closing

	mu     sync.Mutex
	closed bool
	fd     int
	dirs   map[int]string
	wds    map[string]int
}

// Open makes a notifier, which its caller closes. The error is that of the
// kernel, which lends each user only so many.
func Open() (notice.Notifier, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, err
	}
	return &notifier{fd: fd, file: os.NewFile(uintptr(fd), "inotify"), dirs: make(map[int]string), wds: make(map[string]int)}, nil
}

// Add holds the lock while the kernel is asked: the first notice may be read
// before the number of its watch is known here.
func (n *notifier) Add(dir string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return os.ErrClosed
	}
	wd, err := unix.InotifyAddWatch(n.fd, dir, mask)
	if err != nil {
		return err
	}
	if _, known := n.dirs[wd]; known {
		return nil
	}
	if old, known := n.wds[dir]; known {
		// Another directory has its name now: of the old one no more is told,
		// lest it be taken for the new one's.
		n.drop(old)
	}
	n.dirs[wd], n.wds[dir] = dir, wd
	return nil
}

func (n *notifier) Remove(dir string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if wd, known := n.wds[dir]; known && !n.closed {
		n.drop(wd)
	}
	return nil
}

// drop ends a watch; what was told and not yet read of it is lost. mu is held.
func (n *notifier) drop(wd int) {
	n.lose(wd)
	// The error would be that the watch went with its directory.
	_, _ = unix.InotifyRmWatch(n.fd, uint32(wd))
}

// lose forgets a watch. mu is held.
func (n *notifier) lose(wd int) {
	dir := n.dirs[wd]
	delete(n.dirs, wd)
	if n.wds[dir] == wd {
		delete(n.wds, dir)
	}
}

// Close ends Pump.
func (n *notifier) Close() error {
	n.mu.Lock()
	n.closed = true
	n.mu.Unlock()
	return n.file.Close()
}

func (n *notifier) Pump(tell func(notice.Notice), fault func(error)) {
	buf := make([]byte, notice.RoomFor(batch))
	for {
		got, err := n.file.Read(buf)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		if err != nil {
			// Nothing can be heard any more, but what there is be read again.
			fault(err)
			return
		}
		notice.Split(buf[:got], func(wd int, mask uint32, name string) {
			if mask&unix.IN_Q_OVERFLOW != 0 {
				fault(notice.ErrOverflow)
			} else if path, ok := n.heard(wd, mask, name); ok {
				tell(told(path, mask))
			}
		})
	}
}

// heard gives the path of a notice, and keeps the books of watches; false for
// nothing to be told, as of a watch that was taken away meanwhile.
func (n *notifier) heard(wd int, mask uint32, name string) (path string, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	path, ok = n.dirs[wd]
	switch {
	case !ok:
		return "", false
	case mask&unix.IN_IGNORED != 0:
		n.lose(wd)
		return "", false
	case mask&left != 0:
		// A directory that was moved would go on to tell, by its old path.
		if !n.closed {
			n.drop(wd)
		}
		return path, true
	case name != "":
		path += "/" + name
	}
	return path, true
}

func told(path string, mask uint32) notice.Notice {
	return notice.Notice{
		Path:    path,
		Gone:    mask&(unix.IN_DELETE|unix.IN_MOVED_FROM|left) != 0,
		Written: mask&(unix.IN_MODIFY|unix.IN_CLOSE_WRITE) != 0,
		Whole:   mask&(unix.IN_CLOSE_WRITE|unix.IN_MOVED_TO) != 0,
		Mode:    mask&unix.IN_ATTRIB != 0,
	}
}
