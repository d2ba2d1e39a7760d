package supervise

import (
	"bytes"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/supervise/logtime"
)

// How a log is cut while others append to it:
//
//	before   |......older lines......|...li|ne|..newer lines..   <- appended to
//	                                       ^cut ^end
//	LOG.1    |......older lines......|...line|
//	after                                  |--|..newer lines..   <- appended to
//
// What lies before end is copied to LOG.1. The range before cut is then taken
// out of the file by fallocate(2), which the kernel does between two writes:
// who appends writes behind what is left, so that nothing is lost or torn.
// Ranges begin and end at blocks of the file system, lines do not: so the end
// of the one line that lies across cut stays in the file, and is overwritten
// by a mark of the same length. Nobody else writes there: they append. After
// a crash in between, lines may stand in both files; none is in neither.
//
// A file system that cannot take the range out gives its space back only: the
// file keeps its apparent size and begins with a hole.

// lineWindow is how far a line end is looked for. Where there is none, the
// bytes are cut anywhere; they are no lines then.
const lineWindow = 64 << 10

// cutLog takes the older part out of a log that is larger than its limit, and
// keeps of it what shall be kept. A file that is no log, or small enough, is
// left alone, and so is one of which less than a block could be taken. It
// blocks as long as the disk does. What was done is the zero value when nothing was.
func cutLog(path string, limit LogLimit) (done logtime.Cut, err error) {
	// A FIFO must not hold us, nor a terminal become ours.
	log, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return done, err
	}
	defer unix.Close(log)
	var st unix.Stat_t
	if err := unix.Fstat(log, &st); err != nil {
		return done, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return done, nil
	}
	start := dataStart(log, st.Size)
	if limit.Size <= 0 || st.Size-start <= limit.Size {
		return done, nil
	}
	block, err := blockOf(log, int64(st.Blksize))
	if err != nil {
		return done, err
	}
	how, err := removalOf(log, st.Size/block*block, block)
	if err != nil {
		return done, err
	}
	cut, end, err := cutAt(log, start, st.Size, block)
	if err != nil || cut <= start {
		return done, err
	}
	parts, err := spansOf(log, start, end, limit)
	if err != nil {
		return done, err
	}
	if err := keepParts(path, log, st.Mode&0o777, parts, limit.Count); err != nil {
		return done, err
	}
	if end > cut {
		if _, err := unix.Pwrite(log, cutMark(path, limit.Count, int(end-cut)), cut); err != nil {
			return done, err
		}
	}
	moved, err := how.remove(log, start, cut)
	if err != nil {
		return done, err
	}
	return logtime.Cut{Start: start, At: cut, End: end, Moved: moved}, nil
}

// dataStart is where the file's data begins, behind the hole that an earlier
// cut has left.
func dataStart(fd int, size int64) int64 {
	at, err := unix.Seek(fd, 0, unix.SEEK_DATA)
	switch {
	case err == unix.ENXIO:
		return size
	case err != nil:
		return 0
	}
	return at
}

// blockOf is what ranges must be aligned to. ioSize is what fstat(2) says:
// where it is larger, less gives nothing back.
func blockOf(fd int, ioSize int64) (int64, error) {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return 0, err
	}
	block := max(int64(fs.Bsize), 4096)
	if ioSize > block && ioSize%block == 0 {
		block = ioSize
	}
	return block, nil
}

// removal is a way to take a range out of a file, as the mode of fallocate(2).
type removal uint32

const (
	collapse removal = unix.FALLOC_FL_COLLAPSE_RANGE
	punch    removal = unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE
)

// removalOf finds out what the file system can do, far behind the end of the
// file: there it either refuses the range or has nothing to do.
func removalOf(fd int, size, block int64) (removal, error) {
	far := size + 1<<36/block*block
	if err := fallocate(fd, uint32(collapse), far, block); err == unix.EINVAL {
		return collapse, nil
	}
	err := fallocate(fd, uint32(punch), far, block)
	if err == unix.EFBIG {
		err = unix.EOPNOTSUPP
	}
	return punch, err
}

// remove takes the range between from and to out of the file; when collapse
// does not like the range after all, what is in it. moved is by how much what
// comes after has moved.
func (r removal) remove(fd int, from, to int64) (moved int64, err error) {
	if r == collapse {
		err := fallocate(fd, uint32(collapse), 0, to)
		if err != unix.EINVAL && err != unix.EOPNOTSUPP {
			return to, err
		}
	}
	return 0, fallocate(fd, uint32(punch), from, to-from)
}

func fallocate(fd int, mode uint32, from, length int64) error {
	for {
		if err := unix.Fallocate(fd, mode, from, length); err != unix.EINTR {
			return err
		}
	}
}

// cutAt finds the last block of the file to cut before, and the end of the
// line that lies across that cut. Cut is not behind start when there is
// nothing to take out.
func cutAt(fd int, start, size, block int64) (cut, end int64, err error) {
	low := max(start, size-max(lineWindow, 4*block)) / block * block
	tail := make([]byte, size-low)
	if tail, err = readAt(fd, tail, low); err != nil {
		return 0, 0, err
	}
	lines := int64(bytes.LastIndexByte(tail, '\n') + 1) // whole lines end here
	if lines == 0 {
		cut = low + (int64(len(tail))-1)/block*block
		return cut, cut, nil
	}
	cut = low + lines/block*block
	if cut >= low+int64(len(tail)) {
		// To the very end the kernel does not collapse.
		cut -= block
	}
	if cut <= start || cut > low && tail[cut-low-1] == '\n' {
		return cut, cut, nil
	}
	return cut, cut + int64(bytes.IndexByte(tail[cut-low:], '\n')) + 1, nil
}

// span is a range of a log.
type span struct{ from, to int64 }

// spansOf says what is kept of the older part, the newest first, each for a
// file of its own: as if the log had been cut each time that it reached its
// limit, but that the remainder is shared among the spans.
func spansOf(fd int, start, end int64, limit LogLimit) ([]span, error) {
	pieces := max(1, (end-start)/limit.Size)
	var list []span
	to := end
	for i := int64(1); i <= min(pieces, int64(limit.Count)); i++ {
		from := start
		if i < pieces {
			from = end - (end-start)/pieces*i
			line, err := nextLine(fd, from)
			if err != nil {
				return nil, err
			}
			if line < to {
				from = line
			}
		}
		list = append(list, span{from, to})
		to = from
	}
	return list, nil
}

// nextLine returns the first beginning of a line at or after pos, or pos
// where there is none near.
func nextLine(fd int, pos int64) (int64, error) {
	near, err := readAt(fd, make([]byte, lineWindow), pos-1)
	if err != nil {
		return 0, err
	}
	if i := bytes.IndexByte(near, '\n'); i >= 0 {
		return pos + int64(i), nil
	}
	return pos, nil
}

// readAt fills the buffer, or as much of it as the file has.
func readAt(fd int, buf []byte, at int64) ([]byte, error) {
	n := 0
	for n < len(buf) {
		got, err := unix.Pread(fd, buf[n:], at+int64(n))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return nil, err
		case got == 0:
			return buf[:n], nil
		default:
			n += got
		}
	}
	return buf, nil
}

// partName is the name of an older part, 1 being the newest.
func partName(path string, n int) string { return path + "." + strconv.Itoa(n) }

// newName is where that part is written before it gets its name.
func newName(path string, n int) string { return partName(path, n) + ".new" }

// keepParts copies the spans and makes them the newest older parts; what was
// there moves on, and the oldest goes. On an error all is as it was, unless
// the disk was so full that the oldest had to go first.
func keepParts(path string, log int, mode uint32, parts []span, count int) error {
	err := copyParts(path, log, mode, parts)
	if err == unix.ENOSPC || err == unix.EDQUOT {
		for n := count - len(parts) + 1; n <= count; n++ {
			unix.Unlink(partName(path, n))
		}
		err = copyParts(path, log, mode, parts)
	}
	for n := count - len(parts); err == nil && n >= 1; n-- {
		if err = unix.Rename(partName(path, n), partName(path, n+len(parts))); err == unix.ENOENT {
			err = nil
		}
	}
	for i := range parts {
		if err == nil {
			err = unix.Rename(newName(path, i+1), partName(path, i+1))
		}
		if err != nil {
			unix.Unlink(newName(path, i+1))
		}
	}
	return err
}

func copyParts(path string, log int, mode uint32, parts []span) error {
	for i, part := range parts {
		if err := copyPart(newName(path, i+1), log, mode, part); err != nil {
			return err
		}
	}
	return nil
}

// copyPart copies a span into a file that is on disk when it returns: the
// lines may have been safe for long, and taking them out of the log will be.
func copyPart(name string, log int, mode uint32, part span) error {
	to, err := unix.Open(name, unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	if err = unix.Fchmod(to, mode); err == nil {
		err = copySpan(to, log, part)
	}
	if err == nil {
		err = unix.Fdatasync(to)
	}
	if closing := unix.Close(to); err == nil {
		err = closing
	}
	return err
}

// copyPiece is how much is copied at once; between two pieces others get at
// the disk.
const copyPiece = 1 << 20

// copySpan copies, by the kernel where it can, which shares the blocks where
// the file system can.
func copySpan(to, from int, part span) error {
	for part.from < part.to {
		n, err := unix.CopyFileRange(from, &part.from, to, nil, int(min(part.to-part.from, copyPiece)), 0)
		switch {
		case err == unix.EINTR:
		case err == unix.EXDEV || err == unix.EINVAL || err == unix.ENOSYS || err == unix.EOPNOTSUPP || err == unix.EPERM:
			return copyBytes(to, from, part)
		case err != nil:
			return err
		case n == 0:
			// Someone has truncated it: nothing is as it was looked at.
			return unix.ESTALE
		}
	}
	return nil
}

func copyBytes(to, from int, part span) error {
	buf := make([]byte, min(part.to-part.from, copyPiece))
	for part.from < part.to {
		piece, err := readAt(from, buf[:min(part.to-part.from, copyPiece)], part.from)
		if err != nil {
			return err
		}
		if len(piece) == 0 {
			return unix.ESTALE
		}
		part.from += int64(len(piece))
		if _, err := writeAll(to, piece); err != nil {
			return err
		}
	}
	return nil
}

// writeAll writes and returns how much it could.
func writeAll(fd int, data []byte) (done int, err error) {
	for done < len(data) {
		n, err := unix.Write(fd, data[done:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return done, err
		}
		done += n
	}
	return done, nil
}

// cutMark is a line of that many bytes that says where the older lines are,
// when there is room for it.
func cutMark(path string, count, length int) []byte {
	text := "[older lines: " + filepath.Base(partName(path, 1)) + "]"
	if count == 0 {
		text = "[older lines were dropped]"
	}
	fill := " "
	if len(text) > length-1 {
		text, fill = "", "-"
	}
	return []byte(text + strings.Repeat(fill, length-1-len(text)) + "\n")
}
