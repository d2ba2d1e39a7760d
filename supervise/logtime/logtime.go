// Package logtime is the form in which it is noted when a log has grown, so
// that "sctl log --since" has an answer. Jobs write to their logs themselves, and
// a line carries no time; the daemon, which keeps logs within their limits, looks
// at each that has been written to, at most once a second, and notes how long it
// is then. What came between two notes came between their times.
//
// The notes of the log DIR/NAME.log stand in DIR.times/NAME.log, since DIR holds
// logs and nothing else, a line each,
// times in milliseconds since 1970 and sizes in bytes:
//
//	log INODE BORN              of the log that all lines up to the next such are about,
//	                            and when it was made (0: the file system does not say)
//	at TIME SIZE FROM           it is that long; what was added came after FROM (0: nobody knows)
//	cut START CUT END MOVED     START to END went into older parts; what stood behind CUT
//	                            stands MOVED bytes nearer to its beginning from then on
//
// A line that cannot be read is left out: a note may be torn by a full disk. The
// package knows the text; who writes the file bounds it, with Thin.
package logtime

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Path is the file with the notes of a log.
func Path(log string) string {
	return filepath.Join(filepath.Dir(log)+".times", filepath.Base(log))
}

// Note is a line of the notes: that the log was so long at a time, or, with Cut,
// that its older part was taken out of it.
type Note struct {
	Time time.Time
	Size int64
	// From is a time before which nothing came of what is new since the last
	// note; zero when nobody knows.
	From time.Time
	Cut  *Cut
}

// Cut is how a log was cut.
type Cut struct {
	// Start and End bound, in bytes, what went into the older parts. At is where
	// what is left begins: before End, when a line lies across it.
	Start, At, End int64
	// Moved is by how much what is left has moved towards the beginning: At,
	// or 0 where a hole is left in its place.
	Moved int64
}

// ID tells a log from others that had its name, before or after it.
type ID struct {
	Inode uint64
	Born  int64 // milliseconds since 1970, 0 where the file system does not say
}

// Of gives the ID of a file, and when it was made; that is zero where the file
// system does not say.
func Of(path string) (id ID, born time.Time, err error) {
	var st unix.Statx_t
	err = unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_INO|unix.STATX_BTIME, &st)
	if err != nil {
		return id, born, err
	}
	if st.Mask&unix.STATX_BTIME != 0 {
		born = time.Unix(st.Btime.Sec, int64(st.Btime.Nsec))
	}
	return ID{st.Ino, millis(born)}, born, nil
}

// Book is what is noted of one log. The zero value is that of none.
type Book struct {
	ID
	Notes []Note
}

// Parse reads the notes of the log that came last.
func Parse(text []byte) Book {
	var b Book
	for line := range strings.Lines(string(text)) {
		if !strings.HasSuffix(line, "\n") {
			break // torn
		}
		var id ID
		var at, size, from int64
		var cut Cut
		switch {
		case scanned(line, "log %d %d\n", &id.Inode, &id.Born):
			b = Book{ID: id}
		case scanned(line, "at %d %d %d\n", &at, &size, &from):
			b.Notes = append(b.Notes, Note{Time: timeOf(at), Size: size, From: timeOf(from)})
		case scanned(line, "cut %d %d %d %d\n", &cut.Start, &cut.At, &cut.End, &cut.Moved):
			b.Notes = append(b.Notes, Note{Cut: &cut})
		}
	}
	return b
}

func scanned(line, form string, into ...any) bool {
	n, err := fmt.Sscanf(line, form, into...)
	return err == nil && n == len(into)
}

// timeOf reads a time; 0 is the zero time.
func timeOf(millis int64) time.Time {
	if millis <= 0 {
		return time.Time{}
	}
	return time.UnixMilli(millis)
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// Head is the line that begins the notes of a log.
func Head(id ID) string { return fmt.Sprintf("log %d %d\n", id.Inode, id.Born) }

// String is the line of a note, with its end.
func (n Note) String() string {
	if c := n.Cut; c != nil {
		return fmt.Sprintf("cut %d %d %d %d\n", c.Start, c.At, c.End, c.Moved)
	}
	return fmt.Sprintf("at %d %d %d\n", millis(n.Time), n.Size, millis(n.From))
}

// String is the whole text: Parse of it gives the same again.
func (b Book) String() string {
	var out strings.Builder
	out.WriteString(Head(b.ID))
	for _, n := range b.Notes {
		out.WriteString(n.String())
	}
	return out.String()
}

// Last gives the last note of a size; ok is false when there is none. The size is
// that of the log as it is after the cuts that came later.
func (b Book) Last() (n Note, ok bool) {
	var moved int64
	for _, n := range slices.Backward(b.Notes) {
		if n.Cut == nil {
			n.Size -= moved
			return n, true
		}
		moved += n.Cut.Moved
	}
	return Note{}, false
}

// coarse is how exact the notes stay: what came some time ago is known within a
// twentieth of that time.
const coarse = 20

// Thin leaves out notes that say more of what is long ago than anybody will ask,
// and all before the last so many cuts, whose parts are gone. What is left is true,
// with an earlier From. The number of notes grows with the logarithm of the time.
func (b Book) Thin(now time.Time, cuts int) Book {
	out := Book{ID: b.ID}
	begin := 0
	for i := len(b.Notes) - 1; i >= 0; i-- {
		if b.Notes[i].Cut == nil {
			continue
		}
		if cuts--; cuts < 0 {
			begin = i + 1
			break
		}
	}
	notes := slices.Clone(b.Notes[begin:])
	for i, n := range notes {
		rest := notes[i+1:]
		if n.Cut == nil && len(rest) > 0 && rest[0].Cut == nil {
			var before time.Time
			if k := len(out.Notes); k > 0 {
				before = out.Notes[k-1].Time // zero for a cut
			}
			next := rest[0]
			if !before.IsZero() && next.Time.Sub(before) < now.Sub(next.Time)/coarse {
				// It becomes one with the next.
				if n.From.IsZero() || !next.From.IsZero() && n.From.Before(next.From) {
					rest[0].From = n.From
				}
				continue
			}
		}
		out.Notes = append(out.Notes, n)
	}
	return out
}
