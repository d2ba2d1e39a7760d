package conf

import (
	"errors"
	"hash/maphash"
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/job"
)

// maxFile is the size in bytes beyond which a job file is refused. The
// largest that people write have some ten thousand.
const maxFile = 4 << 20

// file is one job file or override, as it was read. A file with another
// text, or at another path, is another one. There may be thousands, so it
// holds no more than is needed to tell that a file has changed: 80 bytes, and
// the path, which the class has too.
//
// It never changes but for mark, which belongs to its tree, and what follows
// that, which belongs to the Watcher's goroutine.
type file struct {
	place
	// faulty: the text could not be had; aside and sum have the reason.
	faulty bool
	index  uint16 // the search directory
	sum    sum
	mark   mark
	class  *job.Class // nil if broken, or not parsed
	aside  *aside     // nil if there is nothing
	// parsed: the text was looked at, and its problems told.
	parsed bool
	// gone: it is a desktop entry that says it counts as if it were not there,
	// and hides the later ones.
	gone bool
	// inForce: class is the definition of the job that was given out last,
	// and no override stood beside it.
	inForce bool
}

// aside is what most files do not have, or not for long.
type aside struct {
	// text is kept until it is parsed, that of an override for good: it is
	// laid over each new definition.
	text []byte
	// fault says why the text could not be had.
	fault string
}

// same tells whether both say the same, at the same path.
func (f *file) same(g *file) bool {
	if f == nil || g == nil {
		return f == g
	}
	return f.path == g.path && f.sum == g.sum && f.faulty == g.faulty
}

// mark tells, without reading, that a file is still the one that was read: a
// hash of its stamp, 0 for a file of which nothing is known, or which had just
// been written when it was read.
type mark uint64

// stamp is what a file that was changed, or another one, has different.
type stamp struct {
	inode
	size         int64
	mtime, ctime syscall.Timespec
}

// inode names a file on this machine for as long as it exists.
type inode struct{ dev, ino uint64 }

func stampOf(info fs.FileInfo) stamp {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return stamp{}
	}
	return stamp{
		inode: inode{dev: uint64(st.Dev), ino: uint64(st.Ino)},
		size:  st.Size,
		mtime: st.Mtim,
		ctime: st.Ctim,
	}
}

func (s stamp) mark(seed maphash.Seed) mark {
	if s == (stamp{}) {
		return 0
	}
	return mark(maphash.Comparable(seed, s))
}

// A reader reads files one after the other into the same memory.
type reader struct {
	buf []byte
	// begun: the file that was read last looks like one that somebody has just
	// opened, and is to write: it has no text, no other name, and has changed
	// recently, that is within so many seconds.
	begun    bool
	recently int64
}

var errNotRegular = errors.New("not a regular file")

// read returns the text of a regular file, which holds until the next call,
// and its stamp, or none if another file may yet come to have the same. The caller has seen that it is a regular file, since opening
// a device may do something; should it be something else by now, that is not
// read, and the opening does not block.
//
// The system calls are made directly: a file of package os would be offered
// to the runtime's poller first, which regular files refuse.
func (r *reader) read(path string) ([]byte, stamp, error) {
	r.begun = false
	fd, err := retry(func() (int, error) {
		return unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, stamp{}, err
	}
	defer unix.Close(fd)
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_REALTIME_COARSE, &now); err != nil {
		return nil, stamp{}, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, stamp{}, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, stamp{}, errNotRegular
	}
	mark := stamp{
		inode: inode{dev: uint64(st.Dev), ino: uint64(st.Ino)},
		size:  st.Size,
		mtime: syscall.Timespec(st.Mtim),
		ctime: syscall.Timespec(st.Ctim),
	}
	if !settled(st.Ctim, now) {
		mark = stamp{}
	}
	if st.Size > maxFile {
		return nil, mark, errTooLarge
	}
	// One byte more than it is said to have shows whether it has grown.
	if need := int(st.Size) + 1; len(r.buf) < need {
		r.buf = make([]byte, max(need, 4096))
	}
	n := 0
	for {
		got, err := retry(func() (int, error) { return unix.Read(fd, r.buf[n:]) })
		if err != nil {
			return nil, mark, err
		}
		n += got
		switch {
		case n > maxFile:
			return nil, mark, errTooLarge
		case got == 0, int64(n) == st.Size && n < len(r.buf):
			r.begun = n == 0 && st.Nlink == 1 && st.Ctim.Sec+r.recently >= now.Sec
			return r.buf[:n], mark, nil
		case n == len(r.buf):
			r.buf = append(r.buf, make([]byte, len(r.buf))...)
		}
	}
}

// settled tells whether a file that changes from now on gets another time of
// change than it has. now is the clock that file systems stamp files by, which
// goes in steps of some milliseconds: within one, a file that takes the place of
// another may have its inode's number, its size and its times. Where times are
// whole seconds it takes two of these, as FAT has them.
func settled(changed, now unix.Timespec) bool {
	if changed.Nsec == 0 {
		return changed.Sec+2 <= now.Sec
	}
	return changed.Sec < now.Sec || changed.Sec == now.Sec && changed.Nsec < now.Nsec
}

// retry makes a system call again that a signal has interrupted, as some file
// systems allow.
func retry(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if err != unix.EINTR {
			return n, err
		}
	}
}

var errTooLarge = errors.New("it is larger than 4 MiB") // maxFile

// absent tells whether err means that there is no such file, as opposed to
// one that cannot be had.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// why returns the reason of err without the path, which stands elsewhere in
// the sentence.
func why(err error) string {
	if cause, ok := errors.AsType[*fs.PathError](err); ok {
		return cause.Err.Error()
	}
	return err.Error()
}

// sum is a hash of a text. Each Watcher draws its seed: that two texts have the
// same is chance, one in 2^64, and nobody can make it so.
type sum uint64

func sumOf(seed maphash.Seed, text []byte) sum { return sum(maphash.Bytes(seed, text)) }
