package display

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/session-init/session-init/session/display/variable"
)

// xSockets is where X servers have their sockets.
const xSockets = "/tmp/.X11-unix"

// Watch tells when there may be a new display. It is for one goroutine, but
// Close may be called by another.
type Watch struct {
	file *os.File
	// dirs are those of the sockets: the runtime directory and that of X.
	dirs [2]string
	// others are the sockets that are none of the process's that Made was asked
	// for.
	others map[identity]bool
}

// identity tells a socket from others that have its name, or its inode, later.
type identity struct {
	inode uint64
	since syscall.Timespec
}

// WatchSockets watches the places where displays of this machine have their
// sockets: those of Wayland in the runtime directory, those of X11 in /tmp; see
// inotify(7). That of X11 comes with the first X server of a machine.
func WatchSockets(runtime string) (*Watch, error) {
	return watchIn(runtime, xSockets)
}

func watchIn(runtime, x string) (*Watch, error) {
	fd, err := syscall.InotifyInit1(syscall.IN_CLOEXEC | syscall.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("cannot watch for displays: %w", err)
	}
	// Non-blocking, so that the runtime waits for it.
	w := &Watch{os.NewFile(uintptr(fd), "inotify"), [2]string{runtime, x}, make(map[identity]bool)}
	const mask = syscall.IN_CREATE | syscall.IN_MOVED_TO
	if _, err := syscall.InotifyAddWatch(fd, runtime, mask); err != nil {
		w.file.Close()
		return nil, fmt.Errorf("cannot watch %s: %w", runtime, err)
	}
	if _, err := syscall.InotifyAddWatch(fd, x, mask); err != nil {
		_, _ = syscall.InotifyAddWatch(fd, filepath.Dir(x), mask)
	}
	return w, nil
}

// Next returns when something has come to these places since the last call, or
// the error of a watch that was closed.
func (w *Watch) Next() error {
	// What it was is seen by looking: more may have come by then.
	var events [4096]byte
	if _, err := w.file.Read(events[:]); err != nil {
		return fmt.Errorf("cannot watch for displays: %w", err)
	}
	fd, err := w.file.SyscallConn()
	if err != nil {
		return err
	}
	// The directory of X may have come; to watch one twice is to watch it once.
	return fd.Control(func(fd uintptr) {
		_, _ = syscall.InotifyAddWatch(int(fd), w.dirs[1], syscall.IN_CREATE|syscall.IN_MOVED_TO)
	})
}

// Close ends the watch, and a Next that waits.
func (w *Watch) Close() { _ = w.file.Close() }

// Made returns the first display that a process, or one below it, listens for,
// those of Wayland before those of X11; empty when there is none. silent tells
// that there is a socket that nobody listens on: one that is there a moment
// before somebody does, which nothing tells, or one that was left. It is
// always asked for the same process, and by another goroutine than Next.
func (w *Watch) Made(ctx context.Context, by int) (name string, silent bool) {
	for _, s := range w.sockets() {
		if w.others[s.identity] {
			continue
		}
		pid, err := maker(ctx, s.path)
		switch {
		case Gone(err):
			silent = true
		case err == nil && Below(pid, by):
			return s.name, false
		default:
			w.others[s.identity] = true
		}
	}
	return "", silent
}

// socket is where a display may be.
type socket struct {
	path, name string
	identity
}

func (w *Watch) sockets() []socket {
	var out []socket
	for _, kind := range []struct{ dir, file, name string }{
		{w.dirs[0], "wayland-", wayland + filepath.Join(w.dirs[0], "wayland-")},
		{w.dirs[1], "X", x11 + ":"},
	} {
		entries, _ := os.ReadDir(kind.dir)
		for _, e := range entries {
			number, ok := strings.CutPrefix(e.Name(), kind.file)
			if _, err := strconv.ParseUint(number, 10, 16); !ok || err != nil || e.Type() != os.ModeSocket {
				continue
			}
			info, err := e.Info()
			if err != nil {
				continue
			}
			if stat, ok := info.Sys().(*syscall.Stat_t); ok {
				out = append(out, socket{filepath.Join(kind.dir, e.Name()), kind.name + number, identity{stat.Ino, stat.Ctim}})
			}
		}
	}
	return out
}

// maker returns the process that listens on a socket: the one that called
// listen(2), see SO_PEERCRED in unix(7).
func maker(ctx context.Context, path string) (int, error) {
	conn, err := dial(ctx, "unix", path)
	if err != nil {
		return 0, fmt.Errorf("cannot connect to the display %s: %w", path, err)
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	var creds *syscall.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) {
		creds, credErr = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err == nil {
		err = credErr
	}
	if err != nil {
		return 0, fmt.Errorf("cannot tell whose display %s is: %w", path, err)
	}
	return int(creds.Pid), nil
}

// maxDepth bounds how many parents are looked at: pids may be used again
// meanwhile, and then make a circle.
const maxDepth = 64

// Below reports whether a process is another one, or descends from it, as the
// kernel has their parents now; see proc_pid_stat(5).
func Below(pid, ancestor int) bool {
	for range maxDepth {
		switch {
		case pid == ancestor:
			return true
		case pid <= 1:
			return false
		}
		pid = parent(pid)
	}
	return false
}

// parent returns 0 for a process that is gone.
func parent(pid int) int {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	// The name in parentheses may hold anything.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 2 {
		return 0
	}
	ppid, _ := strconv.Atoi(fields[1])
	return ppid
}

// InUse returns what a program that was started inside a display has for it
// in its environment, as variable.Taken does: the newest process whose variables name
// that display, and have the marks, each KEY=VALUE; nil when there is none yet.
// Parents do not tell, since a compositor may give its programs away at once.
// The display itself does not tell either: what it has set since it began is
// not seen from outside.
func InUse(name string, marks ...string) []string {
	entries, _ := os.ReadDir("/proc")
	var pids []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	slices.Reverse(pids)
	for _, pid := range pids {
		text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
		if err != nil {
			continue
		}
		lookup := lookupOf(text)
		if slices.ContainsFunc(marks, func(mark string) bool {
			key, value, _ := strings.Cut(mark, "=")
			return lookup(key) != value
		}) {
			continue
		}
		if have, err := Name(lookup); err == nil && have == name {
			return variable.Taken(lookup)
		}
	}
	return nil
}

// lookupOf looks variables up in the form of /proc/PID/environ.
func lookupOf(environ []byte) func(string) string {
	entries := strings.Split(string(environ), "\x00")
	return func(key string) string {
		for _, entry := range entries {
			if value, ok := strings.CutPrefix(entry, key+"="); ok {
				return value
			}
		}
		return ""
	}
}

// Variable is the variable, KEY=VALUE, by which clients find a display of this
// machine.
func Variable(name string) string {
	if path, ok := strings.CutPrefix(name, wayland); ok {
		return "WAYLAND_DISPLAY=" + filepath.Base(path)
	}
	return "DISPLAY=" + strings.TrimPrefix(name, x11)
}

// LocalX reports whether a display is an X server on this machine, by its name.
func LocalX(name string) bool { return strings.HasPrefix(name, x11+":") }
