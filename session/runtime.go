package session

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/supervise/keeper"
)

// runtimeDir is the daemon's place below XDG_RUNTIME_DIR:
//
//	session-init/            0700
//	session-init/lock        held by the one daemon of this directory
//	session-init/socket      the private socket
//	session-init/slots       the processes, for whoever comes after a crash
//	session-init/state       the engine, likewise
//	session-init/bus-address where the session bus is, when a client has told
//	session-init/bin/        command links, at the end of every job's PATH
//	session-init/notify/     the sockets of jobs that say how they are
//	session-init/readonly    the socket on which everybody may look (system mode)
//	session-init/log/        what jobs print while no disk may be written to (likewise)
//	session-init/disk-writeable, finish  what the next daemon is to know (likewise)
//	session-init/PID/        all of this but the lock, of a private daemon (--confdir)
//	session-init/login.lock, daemon.log  of logins, not ours
//	upstart/sessions/PID.session
//
// PID is the keeper's, or the daemon's own when there is none: it stays the same
// over crashes.
//
// Everything that it made is gone after close.
type runtimeDir struct {
	base     string // XDG_RUNTIME_DIR
	own      string // where socket and bin are
	pid      int    // names the session: the keeper's, or our own
	resumed  bool   // an earlier daemon of this session has made it all
	ours     bool   // own is nobody else's: close may clear it
	ownBase  bool   // base was made for this daemon alone
	private  bool
	lock     *os.File
	sessions string
	file     string // the session file, once it is written
}

// maxSocketPath is what sockaddr_un holds; see unix(7).
const maxSocketPath = 107

// openRuntimeDir finds or makes the runtime directory. dir is the value of
// --runtime-dir: a path, "auto" for a new one of our own, or empty for
// XDG_RUNTIME_DIR, which xdg holds. A private daemon takes no lock. What a
// keeper holds for an earlier daemon is taken over.
func openRuntimeDir(dir, xdg string, private bool, link *keeper.Link) (*runtimeDir, error) {
	r := &runtimeDir{private: private, pid: os.Getpid(), resumed: link.Held(socketName) != nil}
	if link != nil {
		r.pid = link.Session
	}
	switch dir {
	case "auto":
		r.base, r.ownBase = filepath.Join(os.TempDir(), fmt.Sprintf("session-init-%d-%d", os.Getuid(), r.pid)), true
		if r.resumed {
			break
		}
		if err := makeOwn(r.base); err != nil {
			return nil, fmt.Errorf("cannot make a runtime directory: %w", err)
		}
	case "":
		if xdg == "" {
			return nil, errors.New("XDG_RUNTIME_DIR is not set: set it to a directory of yours with mode 0700 (usually /run/user/UID), or use --runtime-dir DIR or --runtime-dir auto")
		}
		if !filepath.IsAbs(xdg) {
			return nil, fmt.Errorf("XDG_RUNTIME_DIR is '%s': it must be an absolute path", xdg)
		}
		r.base = filepath.Clean(xdg)
	default:
		abs, err := filepath.Abs(dir)
		if err != nil {
			return nil, fmt.Errorf("cannot use runtime directory %s: %w", dir, err)
		}
		if err := os.MkdirAll(abs, 0o700); err != nil {
			return nil, fmt.Errorf("cannot make runtime directory %s: %w", abs, err)
		}
		r.base = abs
	}
	if err := r.prepare(link); err != nil {
		if !r.resumed {
			r.close()
		}
		return nil, err
	}
	return r, nil
}

// makeOwn makes a directory that nobody else has. One of ours that is there
// is what a dead daemon with our pid has left.
func makeOwn(dir string) error {
	err := os.Mkdir(dir, 0o700)
	if errors.Is(err, os.ErrExist) && checkOwned(dir) == nil {
		if err = os.RemoveAll(dir); err == nil {
			err = os.Mkdir(dir, 0o700)
		}
	}
	return err
}

func (r *runtimeDir) prepare(link *keeper.Link) error {
	if err := checkOwned(r.base); err != nil {
		return err
	}
	r.own = filepath.Join(r.base, "session-init")
	if r.private {
		r.own = filepath.Join(r.own, strconv.Itoa(r.pid))
	}
	if n := len(r.socket()); n > maxSocketPath {
		return fmt.Errorf("runtime directory %s is too long: the socket's path would have %d bytes and a socket's path holds %d; use --runtime-dir with a shorter one",
			r.base, n, maxSocketPath)
	}
	if r.private && !r.resumed {
		// What a dead daemon with this very pid left behind.
		if err := os.RemoveAll(r.own); err != nil {
			return fmt.Errorf("cannot clear %s: %w", r.own, err)
		}
	}
	if err := os.MkdirAll(r.own, 0o700); err != nil {
		return fmt.Errorf("cannot make %s: %w", r.own, err)
	}
	if err := checkOwned(r.own); err != nil {
		return err
	}
	if err := os.Chmod(r.own, 0o700); err != nil {
		return fmt.Errorf("cannot set the mode of %s: %w", r.own, err)
	}
	switch held := link.Held(lockName); {
	case r.private:
	case held != nil:
		// The lock is the open file's, and this is the same one.
		r.lock = held
	default:
		if err := r.takeLock(); err != nil {
			return err
		}
	}
	r.ours = true
	r.sessions = filepath.Join(r.base, "upstart", "sessions")
	if err := os.MkdirAll(r.sessions, 0o700); err != nil {
		return fmt.Errorf("cannot make %s: %w", r.sessions, err)
	}
	if err := os.Mkdir(r.notifyDir(), 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("cannot make %s: %w", r.notifyDir(), err)
	}
	r.sweep()
	return nil
}

// checkOwned refuses a directory that another user could swap under us.
func checkOwned(dir string) error {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return fmt.Errorf("cannot use runtime directory %s: %w", dir, err)
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFDIR:
		return fmt.Errorf("cannot use runtime directory %s: not a directory", dir)
	case int(st.Uid) != os.Getuid():
		return fmt.Errorf("cannot use runtime directory %s: it belongs to user %d and we are user %d; set XDG_RUNTIME_DIR to your own (su and sudo keep the old one)", dir, st.Uid, os.Getuid())
	case st.Mode&0o022 != 0 && st.Mode&unix.S_ISVTX == 0:
		return fmt.Errorf("cannot use runtime directory %s: others may write to it (mode %04o); it must have mode 0700", dir, st.Mode&0o7777)
	}
	return nil
}

// takeLock makes this the one daemon of the directory.
func (r *runtimeDir) takeLock() error {
	path := filepath.Join(r.own, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("cannot open %s: %w", path, err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		holder := make([]byte, 16)
		n, _ := f.Read(holder)
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return fmt.Errorf("session-init is already running here (process %s): there is one for each runtime directory (%s)", bytes.TrimSpace(holder[:n]), r.base)
		}
		return fmt.Errorf("cannot lock %s: %w", path, err)
	}
	r.lock = f
	if err := f.Truncate(0); err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(r.pid)+"\n"), 0)
		if err != nil {
			return fmt.Errorf("cannot write %s: %w", path, err)
		}
	}
	// The lock is ours, so whoever left a socket is dead.
	if err := os.Remove(r.socket()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("cannot remove %s: %w", r.socket(), err)
	}
	return nil
}

func (r *runtimeDir) notifyDir() string { return filepath.Join(r.own, "notify") }

func (r *runtimeDir) socket() string { return filepath.Join(r.own, "socket") }

// sweep removes session files of daemons that are no more. A pid can be another
// process's by now: a file is also stale that names our own socket, which nobody
// else has, or one at which nobody listens.
func (r *runtimeDir) sweep() {
	entries, err := os.ReadDir(r.sessions)
	if err != nil {
		return
	}
	for _, entry := range entries {
		name, found := strings.CutSuffix(entry.Name(), ".session")
		pid, err := strconv.Atoi(name)
		if !found || err != nil || pid <= 0 {
			continue
		}
		file := filepath.Join(r.sessions, entry.Name())
		if pid == r.pid || unix.Kill(pid, 0) == unix.ESRCH || r.isStale(file) {
			os.Remove(file)
		}
	}
}

// isStale tells whether the address in a session file that we have not written is
// none any more. An abstract socket may be one of another network's name space.
func (r *runtimeDir) isStale(file string) bool {
	address, err := api.SessionAddress(file)
	if err != nil {
		return false
	}
	sockets, err := api.ParseAddress(address)
	return err == nil && !slices.ContainsFunc(sockets, func(path string) bool {
		return !filepath.IsAbs(path) || path != r.socket() && !isDeaf(path)
	})
}

// isDeaf tells whether nobody listens at a path, without waiting for anybody.
func isDeaf(path string) bool {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ECONNREFUSED)
}

// writeSession publishes the address, whole or not at all.
func (r *runtimeDir) writeSession(address string) error {
	path := filepath.Join(r.sessions, strconv.Itoa(r.pid)+".session")
	if err := writeWhole(path, api.SessionVariable+"="+address+"\n"); err != nil {
		return fmt.Errorf("cannot write session file %s: %w", path, err)
	}
	r.file = path
	return nil
}

// writeWhole writes a file so that it is there whole, or as it was.
func writeWhole(path, text string) error {
	temporary := path + ".new"
	err := os.WriteFile(temporary, []byte(text), 0o600)
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		os.Remove(temporary)
	}
	return err
}

// commandLinks are the names by which jobs call the client.
var commandLinks = []string{"sctl", "initctl", "start", "stop", "restart", "reload", "status", "emit"}

// link makes a directory of links to the client and returns it. Jobs of an
// earlier daemon may use it at this moment: what is right already is left, and
// what is not is replaced in one step.
func (r *runtimeDir) link(client string) (string, error) {
	bin := filepath.Join(r.own, "bin")
	if info, err := os.Lstat(bin); err == nil && !info.IsDir() {
		if err := os.Remove(bin); err != nil {
			return "", fmt.Errorf("cannot clear %s: %w", bin, err)
		}
	}
	if err := os.Mkdir(bin, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("cannot make %s: %w", bin, err)
	}
	entries, err := os.ReadDir(bin)
	if err != nil {
		return "", fmt.Errorf("cannot look into %s: %w", bin, err)
	}
	for _, entry := range entries {
		if slices.Contains(commandLinks, entry.Name()) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(bin, entry.Name())); err != nil {
			return "", fmt.Errorf("cannot clear %s: %w", bin, err)
		}
	}
	first := filepath.Join(bin, commandLinks[0])
	for _, name := range commandLinks {
		path := filepath.Join(bin, name)
		// One link with many names is cheaper than many, where the file system
		// has that; see link(2).
		if path != first && os.Link(first, path) == nil {
			continue
		}
		if err := linkTo(client, path); err != nil {
			return "", fmt.Errorf("cannot link %s: %w", path, err)
		}
	}
	return bin, nil
}

// linkTo has a symbolic link at path lead to target. There is no moment without
// a link if there was one.
func linkTo(target, path string) error {
	err := os.Symlink(target, path)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if now, err := os.Readlink(path); err == nil && now == target {
		return nil
	}
	temporary := path + ".new"
	if err := os.Symlink(target, temporary); err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		os.Remove(temporary)
		return err
	}
	return nil
}

// close removes what this daemon made. Directories that others may use too
// go only when they are empty.
func (r *runtimeDir) close() {
	if r.file != "" {
		os.Remove(r.file)
	}
	if r.ownBase {
		os.RemoveAll(r.base)
	} else if r.ours {
		os.RemoveAll(filepath.Join(r.own, "bin"))
		os.RemoveAll(r.notifyDir())
		os.Remove(filepath.Join(r.own, "slots"))
		os.Remove(filepath.Join(r.own, busAddressName))
		os.Remove(filepath.Join(r.own, diskName))
		os.Remove(filepath.Join(r.own, finishName))
		if r.private {
			os.RemoveAll(r.own)
		}
		os.Remove(filepath.Join(r.base, "upstart", "sessions"))
		os.Remove(filepath.Join(r.base, "upstart"))
	}
	if r.lock != nil {
		// The file stays: removing it would let two daemons hold a lock
		// each, on two files of one name.
		r.lock.Close()
	}
	if r.private && !r.ownBase && r.ours {
		os.Remove(filepath.Dir(r.own))
	}
}
