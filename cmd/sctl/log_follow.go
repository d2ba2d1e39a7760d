package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// How a log is followed. The kernel tells of writes to it (inotify(7)), and it
// is read on from where reading ended. session-init keeps a log small by
// taking its older part out of the file under the writer, so that what was
// read moves towards its beginning, by whole blocks. The last bytes that were
// read tell where to.

// openLog opens a log to be read. What is no regular file is refused: it could
// hang, or never end.
func openLog(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &os.PathError{Op: "read", Path: path, Err: errors.New("it is no regular file")}
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// dataStart is where the data of a log begins, behind a hole.
func dataStart(file *os.File) int64 {
	at, err := unix.Seek(int(file.Fd()), 0, unix.SEEK_DATA)
	if err == unix.ENXIO {
		if info, statErr := file.Stat(); statErr == nil {
			return info.Size()
		}
	}
	return max(at, 0)
}

// knownBytes is how much of what was read is remembered to find it again.
const knownBytes = 256

// blockBytes divides every distance by which what was read can move.
const blockBytes = 4096

// maxPartial bounds a line that has no end; it is shown in pieces then.
const maxPartial = 64 << 10

// followed is a log that is read on.
type followed struct {
	*logFile
	file    *os.File
	offset  int64
	known   []byte // the last bytes before offset
	partial []byte // of a line that has not ended
}

// open begins at the start of the data.
func (f *followed) open() error {
	file, err := openLog(f.path)
	if err != nil {
		return err
	}
	f.close()
	f.file, f.offset, f.known = file, dataStart(file), nil
	return nil
}

func (f *followed) close() {
	if f.file != nil {
		f.file.Close()
		f.file = nil
	}
}

// read gives to take the lines that have come.
func (f *followed) read(take func(line string)) error {
	if f.file == nil {
		return nil
	}
	if err := f.find(); err != nil {
		return err
	}
	buffer := make([]byte, 64<<10)
	for {
		n, err := f.file.ReadAt(buffer, f.offset)
		if n > 0 && !f.is(f.offset) {
			// It has moved in between.
			if err := f.find(); err != nil {
				return err
			}
			continue
		}
		f.offset += int64(n)
		f.remember(buffer[:n])
		f.partial = append(f.partial, buffer[:n]...)
		for {
			line, rest, ended := bytes.Cut(f.partial, []byte("\n"))
			if !ended && len(f.partial) < maxPartial {
				break
			}
			take(string(line))
			f.partial = append(f.partial[:0], rest...)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (f *followed) remember(text []byte) {
	f.known = append(f.known, text...)
	if over := len(f.known) - knownBytes; over > 0 {
		f.known = append(f.known[:0], f.known[over:]...)
	}
}

// find puts the offset behind what was read, if that has moved. When it is not
// there any more, because more was written meanwhile than is kept, or someone
// has emptied the file, reading goes on at the start of the data.
func (f *followed) find() error {
	info, err := f.file.Stat()
	if err != nil {
		return err
	}
	start := dataStart(f.file)
	for at := f.offset; at >= 0; at -= blockBytes {
		if at > info.Size() {
			continue
		}
		if at-int64(len(f.known)) < 0 {
			break
		}
		if f.is(at) {
			f.offset = at
			return nil
		}
	}
	f.offset, f.known, f.partial = start, nil, nil
	return nil
}

// is tells whether what was read last stands before at.
func (f *followed) is(at int64) bool {
	have := make([]byte, len(f.known))
	n, _ := f.file.ReadAt(have, at-int64(len(have)))
	return bytes.Equal(have[:n], f.known)
}

// watcher is an inotify instance that wakes with ctx.
type watcher struct {
	file *os.File
	fd   int
}

func newWatcher(ctx context.Context) (*watcher, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("cannot watch files: %w", err)
	}
	w := &watcher{os.NewFile(uintptr(fd), "inotify"), fd}
	context.AfterFunc(ctx, func() { w.file.SetReadDeadline(time.Unix(1, 0)) })
	return w, nil
}

// add watches a file or directory and returns the watch's number, -1 when
// that is not there.
func (w *watcher) add(path string, mask uint32) (int, error) {
	wd, err := unix.InotifyAddWatch(w.fd, path, mask)
	if err == unix.ENOENT {
		return -1, nil
	}
	if err != nil {
		return -1, fmt.Errorf("cannot watch %s: %w", path, err)
	}
	return wd, nil
}

// made is a file that has appeared in a directory that is watched.
type made struct {
	watch int
	name  string
}

// wait gives the watches that went off, and what appeared in directories; all is
// set when the kernel has lost some.
func (w *watcher) wait() (watches []int, created []made, all bool, err error) {
	buffer := make([]byte, 64<<10)
	n, err := w.file.Read(buffer)
	if err != nil {
		return nil, nil, false, err
	}
	for at := 0; at+unix.SizeofInotifyEvent <= n; {
		event := (*unix.InotifyEvent)(unsafe.Pointer(&buffer[at]))
		name := buffer[at+unix.SizeofInotifyEvent : min(at+unix.SizeofInotifyEvent+int(event.Len), n)]
		at += unix.SizeofInotifyEvent + int(event.Len)
		switch {
		case event.Mask&unix.IN_Q_OVERFLOW != 0:
			all = true
		case event.Mask&(unix.IN_CREATE|unix.IN_MOVED_TO) != 0:
			created = append(created, made{int(event.Wd), strings.TrimRight(string(name), "\x00")})
		default:
			watches = append(watches, int(event.Wd))
		}
	}
	return watches, created, all, nil
}

// followLogs prints the last lines of logs, and then what comes to them and to
// those of further instances, until the time is over.
func (c *command) followLogs(w *logWriter, names []string, logs []*logFile, lines int) error {
	dirs, known, err := c.logDirs(names)
	if err != nil {
		return err
	}
	watch, err := newWatcher(c.ctx)
	if err != nil {
		return err
	}
	defer watch.file.Close()
	watched := make(map[int]string) // directories
	for i, dir := range dirs {
		if slices.Contains(dirs[:i], dir) {
			continue
		}
		// The first line ever may still be to come.
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("cannot make %s: %w", dir, reasonOf(err))
		}
		for _, each := range withEarly(dir) {
			wd, err := watch.add(each, unix.IN_CREATE|unix.IN_MOVED_TO)
			if err != nil {
				return err
			}
			watched[wd] = each
		}
	}
	c.awaited = "for lines"
	open := make(map[int]*followed)
	var order []*followed
	begin := func(log *logFile) (*followed, error) {
		f := &followed{logFile: log}
		wd, err := watch.add(log.path, unix.IN_MODIFY)
		if err != nil || wd < 0 {
			return nil, err
		}
		if err := f.open(); err != nil {
			return nil, fmt.Errorf("cannot read %s: %w", log.path, reasonOf(err))
		}
		if old := open[wd]; old != nil {
			old.close()
		}
		open[wd] = f
		order = append(order, f)
		return f, nil
	}
	defer func() {
		for _, f := range order {
			f.close()
		}
	}()
	past := make([][]pastLine, len(logs))
	for i, log := range logs {
		f, err := begin(log)
		if f == nil || err != nil {
			return err
		}
		var now []byte
		start := f.offset
		if err := f.read(func(line string) { now = append(append(now, line...), '\n') }); err != nil {
			return err
		}
		all, err := pastLines(log, now, start, lines)
		if err != nil {
			return err
		}
		past[i] = c.chosen(all, lines)
	}
	shown := merged(past)
	for i := range shown {
		w.writePast(&shown[i])
	}
	for {
		if err := c.out.Flush(); err != nil {
			return err
		}
		touched, created, all, err := watch.wait()
		if c.ctx.Err() != nil {
			return context.Cause(c.ctx)
		}
		if err != nil {
			return fmt.Errorf("cannot watch files: %w", err)
		}
		now := time.Now()
		for _, file := range created {
			for i, name := range names {
				dir := watched[file.watch]
				instance, ok := logOf(file.name, name, known)
				if !ok || !slices.Contains(withEarly(dirs[i]), dir) {
					continue
				}
				path := filepath.Join(dir, file.name)
				log := &logFile{job: name, instance: instance, path: path}
				if at := slices.IndexFunc(logs, func(l *logFile) bool { return l.path == path }); at >= 0 {
					log = logs[at]
				} else {
					logs = append(logs, log)
					c.colourLogs(logs)
					w.many = w.many || len(logs) > 1
				}
				f, err := begin(log)
				if err != nil {
					return err
				}
				if f == nil {
					continue
				}
				if err := f.read(func(line string) { w.write(f.logFile, now, line) }); err != nil {
					return err
				}
			}
		}
		slices.Sort(touched)
		for _, wd := range slices.Compact(touched) {
			if f := open[wd]; f != nil && !all {
				if err := f.read(func(line string) { w.write(f.logFile, now, line) }); err != nil {
					return err
				}
			}
		}
		for _, f := range order {
			if !all {
				break
			}
			if err := f.read(func(line string) { w.write(f.logFile, now, line) }); err != nil {
				return err
			}
		}
	}
}

// lastOf gives the last n of lines, all when n is -1.
func lastOf[line any](lines []line, n int) []line {
	if n >= 0 && len(lines) > n {
		return lines[len(lines)-n:]
	}
	return lines
}
