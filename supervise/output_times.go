package supervise

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/supervise/logtime"
)

// The capper looks at each log that is written to, at most once a pace. What it
// sees then it notes beside the log, see package logtime: that is how it is known
// when lines came. Notes are an addition: where they cannot be written the next
// that can says that what lies between came at some time.

// maxNotes bounds the notes of a log, in bytes; beyond it they are thinned.
const maxNotes = 64 << 10

// notedLog is what was noted of a log last.
type notedLog struct {
	read  bool // the notes of daemons before us have been read
	id    logtime.ID
	size  int64
	at    time.Time // zero: nothing was noted
	bytes int       // of the notes; 0: there are none of this log
}

// noteSize notes how long a log is, if it has grown. from is a time before which
// nothing new was written, zero when only the last note tells.
func (l *watchedLog) noteSize(st *unix.Stat_t, now, from time.Time) {
	n := &l.noted
	if !n.read {
		*n = readNotes(l.path)
		from = time.Time{}
	}
	if st.Size == n.size && st.Ino == n.id.Inode {
		return
	}
	id, born, err := logtime.Of(l.path)
	switch {
	case err != nil:
		return
	case id != n.id:
		*n = notedLog{read: true, id: id, at: born}
		if st.Size == 0 {
			return
		}
	case st.Size < n.size:
		// Somebody has emptied it: the notes are of what is gone.
		n.bytes = 0
	}
	if from.Before(n.at) {
		from = n.at
	}
	if from.After(now) {
		from = time.Time{} // the clock was set back
	}
	l.write(st.Mode, now, logtime.Note{Time: now, Size: st.Size, From: from})
	n.size, n.at = st.Size, now
}

// noteCut notes that the log was cut.
func (l *watchedLog) noteCut(mode uint32, now time.Time, cut logtime.Cut) {
	if l.noted.bytes > 0 {
		l.write(mode, now, logtime.Note{Cut: &cut})
	}
	l.noted.size -= cut.Moved
}

// write adds a note to those of the log. After a failure they are read anew.
func (l *watchedLog) write(mode uint32, now time.Time, note logtime.Note) {
	n := &l.noted
	path, text := logtime.Path(l.path), note.String()
	flags := os.O_WRONLY | os.O_APPEND | os.O_CREATE | unix.O_NOFOLLOW | unix.O_NONBLOCK
	if n.bytes == 0 {
		text, flags = logtime.Head(n.id)+text, flags|os.O_TRUNC
	}
	file, err := os.OpenFile(path, flags, os.FileMode(mode&0o666))
	if errors.Is(err, fs.ErrNotExist) && makeNotesDir(l.path, path) == nil {
		file, err = os.OpenFile(path, flags, os.FileMode(mode&0o666))
	}
	if err == nil {
		_, err = file.WriteString(text)
		if closing := file.Close(); err == nil {
			err = closing
		}
	}
	n.bytes += len(text)
	if err == nil && n.bytes > maxNotes {
		err = l.thinNotes(path, mode, now)
	}
	n.read = err == nil
}

// makeNotesDir makes the directory of the notes, for those who may see the logs.
func makeNotesDir(log, notes string) error {
	info, err := os.Stat(filepath.Dir(log))
	if err != nil {
		return err
	}
	return os.Mkdir(filepath.Dir(notes), info.Mode().Perm())
}

// thinNotes puts fewer notes in the place of those that are there.
func (l *watchedLog) thinNotes(path string, mode uint32, now time.Time) error {
	book, _, err := bookOf(l.path)
	if err != nil {
		return err
	}
	text := book.Thin(now, l.limit.Count).String()
	if err := os.WriteFile(path+".new", []byte(text), os.FileMode(mode&0o666)); err != nil {
		return err
	}
	l.noted.bytes = len(text)
	return os.Rename(path+".new", path)
}

// readNotes gives what was noted of a log before, also by another daemon.
func readNotes(log string) notedLog {
	book, size, err := bookOf(log)
	if err != nil {
		return notedLog{read: true}
	}
	last, _ := book.Last()
	return notedLog{read: true, id: book.ID, size: last.Size, at: last.Time, bytes: size}
}

// bookOf reads the notes of a log, and how many bytes they are.
func bookOf(log string) (logtime.Book, int, error) {
	file, err := os.OpenFile(logtime.Path(log), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return logtime.Book{}, 0, err
	}
	defer file.Close()
	text := make([]byte, 4*maxNotes)
	text, err = readAt(int(file.Fd()), text, 0)
	return logtime.Parse(text), len(text), err
}

// wakeTime is how long we may take to wake up on a machine that is busy.
const wakeTime = time.Second

// busy does what may take long. What is written meanwhile is looked at later than
// a pace after it came, see earliest.
func (c *capper) busy(do func()) {
	begun := time.Now()
	c.mindClock(begun)
	do()
	c.begun, c.idle = begun, time.Now()
}

// mindClock notes whether the time of day has leapt: it was set, or the machine has
// slept, which no timer of ours has seen.
func (c *capper) mindClock(now time.Time) {
	offset := now.Round(0).Sub(c.made.Round(0)) - now.Sub(c.made)
	if (offset - c.offset).Abs() >= wakeTime {
		c.leapt = now
	}
	c.offset = offset
}

// earliest is a time before which nothing came that has not been looked at, of a
// log that was watched; zero when the clock does not tell.
func (c *capper) earliest(now time.Time) time.Time {
	c.mindClock(now)
	window := 2*c.pace + c.delay
	if now.Sub(c.leapt) < window {
		return time.Time{}
	}
	from := now.Add(-window)
	if from.Before(c.idle) && c.begun.Before(from) {
		return c.begun
	}
	return from
}
