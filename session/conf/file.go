package conf

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/session-init/session-init/session/job"
)

// maxFile is the size in bytes beyond which a job file is refused. The
// largest that people write have some ten thousand.
const maxFile = 4 << 20

// file is one job file or override, as it was read. It never changes but for
// its last fields, which belong to the Watcher's goroutine: a file with
// another text, or at another path, is another one.
type file struct {
	place
	sum [sha256.Size]byte
	// fault says why the text could not be had; empty when it was.
	fault string

	text   []byte
	parsed bool
	class  *job.Class // nil if broken
}

// same tells whether both say the same, at the same path.
func (f *file) same(g *file) bool {
	if f == nil || g == nil {
		return f == g
	}
	return f.path == g.path && f.sum == g.sum && f.fault == g.fault
}

// stamp is what tells, without reading, that a file is still the one that
// was read.
type stamp struct {
	inode        inode
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

var errNotRegular = errors.New("not a regular file")

// readFile reads a regular file. It opens nothing else: info, what a look at
// path gave, spares devices the opening, and should it be something else by
// now, the opening does not block.
func readFile(path string, info fs.FileInfo) ([]byte, stamp, error) {
	if !info.Mode().IsRegular() {
		return nil, stamp{}, errNotRegular
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, stamp{}, err
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return nil, stamp{}, err
	}
	if !info.Mode().IsRegular() {
		return nil, stamp{}, errNotRegular
	}
	size := info.Size()
	if size > maxFile {
		return nil, stampOf(info), errTooLarge
	}
	// One byte more than it is said to have shows whether it has grown.
	text := make([]byte, 0, size+1)
	for {
		n, err := f.Read(text[len(text):cap(text)])
		text = text[:len(text)+n]
		if len(text) > maxFile {
			return nil, stampOf(info), errTooLarge
		}
		if err == io.EOF {
			return text, stampOf(info), nil
		}
		if err != nil {
			return nil, stampOf(info), err
		}
		if len(text) == cap(text) {
			text = append(text, 0)[:len(text)]
		}
	}
}

var errTooLarge = fmt.Errorf("it is larger than %d MiB", maxFile>>20)

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

func newFile(p place, text []byte) *file {
	return &file{place: p, sum: sha256.Sum256(text), text: text}
}
