package bus

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// lookout notices when something is made at one of a few paths, or on the way
// to it.
type lookout struct {
	// came gets a token when something was.
	came chan struct{}
	file *os.File // of inotify; nil when there is none
}

// lookOut begins to look out for what is said; close ends it. Where the kernel has no
// inotify for us, nothing ever comes, and that is logged, with what has it be looked
// for again.
func lookOut(s *Server, paths []string, what, again string) *lookout {
	l := &lookout{came: make(chan struct{}, 1)}
	if len(paths) == 0 {
		return l
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		s.log.Warn("cannot look out for the " + what + ": " + err.Error() + "; it is looked for again " + again)
		return l
	}
	// names are what is of interest, by watch: paths may share a directory.
	names := map[int32][]string{}
	for _, path := range paths {
		dir, name := filepath.Split(filepath.Clean(path))
		for {
			// What is removed ends the watch, and is looked for anew. A directory
			// may be shut when it is made, and opened by a change of its mode.
			wd, err := unix.InotifyAddWatch(fd, dir, unix.IN_CREATE|unix.IN_MOVED_TO|unix.IN_ATTRIB|unix.IN_DELETE_SELF|unix.IN_MOVE_SELF|unix.IN_ONLYDIR)
			if err == nil {
				names[int32(wd)] = append(names[int32(wd)], name)
				break
			}
			if dir = filepath.Clean(dir); dir == "/" {
				break
			}
			dir, name = filepath.Split(dir)
		}
	}
	l.file = os.NewFile(uintptr(fd), "inotify")
	s.guard.GoIn(&s.workers, "lookout for the "+what, func() { l.read(names) })
	return l
}

// read waits for what is made, until close.
func (l *lookout) read(names map[int32][]string) {
	var buf [64 * (unix.SizeofInotifyEvent + unix.NAME_MAX + 1)]byte
	for {
		n, err := l.file.Read(buf[:])
		if err != nil {
			return
		}
		for data := buf[:n]; len(data) >= unix.SizeofInotifyEvent; {
			// See inotify(7): watch, mask, cookie, length, and a name that
			// ends in NUL bytes.
			wd, mask := int32(binary.NativeEndian.Uint32(data)), binary.NativeEndian.Uint32(data[4:])
			size := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(data[12:]))
			name := string(bytes.TrimRight(data[unix.SizeofInotifyEvent:size], "\x00"))
			data = data[size:]
			concerns := mask&(unix.IN_DELETE_SELF|unix.IN_MOVE_SELF|unix.IN_Q_OVERFLOW) != 0
			for _, one := range names[wd] {
				concerns = concerns || one == name
			}
			if concerns {
				select {
				case l.came <- struct{}{}:
				default:
				}
			}
		}
	}
}

func (l *lookout) close() {
	if l.file != nil {
		_ = l.file.Close()
	}
}
