package keeper

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// variable names the environment variable by which a daemon finds its link.
const variable = "SESSION_INIT_KEEPER"

// linkName names the link among the descriptors.
const linkName = "keeper"

// anewName names a descriptor that only says that Exec has handed over.
const anewName = "anew"

// Link is the daemon's end of the link to its keeper.
type Link struct {
	// Session is the pid that names the session: that of its first process,
	// the keeper's where there is or was one.
	Session int
	// Unready is how many daemons died one after the other before this one,
	// without having been ready.
	Unready int
	// Signalled takes a signal that the first process has got; it says Seen of
	// the negative number when it is on record. nil: none is taken.
	Signalled func(syscall.Signal)
	anew      bool     // an earlier image of this process has executed us
	file      *os.File // nil: there is no keeper, only what was handed over
	names     []string
	held      []*os.File
	mu        sync.Mutex // of writing
}

// Open takes the link that the environment tells of, and keeps it from the
// processes that this one starts; nil when there is no keeper.
func Open(environ []string) (*Link, error) {
	var value string
	found := false
	for _, entry := range environ {
		if rest, ok := strings.CutPrefix(entry, variable+"="); ok {
			value, found = rest, true
		}
	}
	if !found {
		return nil, nil
	}
	words := strings.Fields(value)
	var unready, session int
	if n, _ := fmt.Sscan(value, &unready, &session); n < 2 || unready < 0 || session <= 0 {
		return nil, fmt.Errorf("cannot use the keeper: %s says '%s'", variable, value)
	}
	l := &Link{Unready: unready, Session: session}
	for _, word := range words[2:] {
		name, number, _ := strings.Cut(word, "=")
		fd, err := strconv.Atoi(number)
		if err == nil {
			_, err = unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC)
		}
		if err != nil {
			return nil, fmt.Errorf("cannot use the keeper: descriptor %s: %w", word, err)
		}
		if name == anewName {
			unix.Close(fd)
			l.anew = true
			continue
		}
		if name == linkName {
			l.file = os.NewFile(uintptr(fd), name)
			continue
		}
		l.names, l.held = append(l.names, name), append(l.held, os.NewFile(uintptr(fd), name))
	}
	return l, nil
}

// Exec executes a program in place of this one, as the daemon above the same
// jobs: with the link, and with these descriptors under their names in place
// of what was held. unready is for its Link.Unready. It returns only when it
// failed.
func (l *Link) Exec(unready int, path string, argv, environ []string, names []string, fds []int) error {
	session := os.Getpid()
	if l != nil {
		session = l.Session
	}
	handed := []string{strconv.Itoa(unready), strconv.Itoa(session)}
	hand := func(name string, fd int) error {
		// A duplicate that is not closed by exec.
		copied, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD, 3)
		handed = append(handed, fmt.Sprintf("%s=%d", name, copied))
		return err
	}
	if l != nil && l.file != nil {
		if err := hand(linkName, int(l.file.Fd())); err != nil {
			return fmt.Errorf("cannot hand over the link: %w", err)
		}
		// Without it the keeper stays as it is.
		_ = hand(anewName, int(l.file.Fd()))
	}
	for i, name := range names {
		if err := hand(name, fds[i]); err != nil {
			return fmt.Errorf("cannot hand over the %s: %w", name, err)
		}
	}
	env := append(Without(environ), variable+"="+strings.Join(handed, " "))
	return fmt.Errorf("cannot execute %s: %w", path, syscall.Exec(path, argv, env))
}

// Without returns the environment without what the keeper put there.
func Without(environ []string) []string {
	out := make([]string, 0, len(environ))
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		if name != variable && name != keptVariable {
			out = append(out, entry)
		}
	}
	return out
}

// Held returns a descriptor that an earlier daemon had held, or nil. It is
// the link's: who wants to keep or close it duplicates it.
func (l *Link) Held(name string) *os.File {
	if l == nil {
		return nil
	}
	for i, have := range l.names {
		if have == name {
			return l.held[i]
		}
	}
	return nil
}

// Names lists what an earlier daemon had held and nobody has taken, in the
// order in which it was given.
func (l *Link) Names() []string {
	if l == nil {
		return nil
	}
	return slices.Clone(l.names)
}

// Take returns what an earlier daemon had held under a name, or nil: the
// caller's from here on. The keeper's own stays until Drop.
func (l *Link) Take(name string) *os.File {
	if l == nil {
		return nil
	}
	i := slices.Index(l.names, name)
	if i < 0 {
		return nil
	}
	file := l.held[i]
	l.names, l.held = slices.Delete(l.names, i, i+1), slices.Delete(l.held, i, i+1)
	return file
}

// Drop has the keeper close what it holds under a name.
func (l *Link) Drop(name string) error {
	if l == nil || l.file == nil {
		return nil
	}
	return l.send("drop "+name, nil)
}

// Pid returns the keeper's pid, 0 when there is none, or none any more.
func (l *Link) Pid() int {
	if l == nil || l.file == nil || os.Getppid() != l.Session {
		return 0
	}
	return l.Session
}

// Hold has the keeper keep a descriptor for the next daemon, in place of an
// earlier one of that name. Names hold no blanks.
func (l *Link) Hold(name string, fd int) error {
	if l == nil || l.file == nil {
		return nil
	}
	return l.send("hold "+name, unix.UnixRights(fd))
}

// Ready says that the daemon has started: from now on it is started again
// when it dies. After an Exec the keeper is executed anew too.
func (l *Link) Ready() error {
	if l == nil || l.file == nil {
		return nil
	}
	err := l.send("ready", nil)
	if err == nil && l.anew {
		err = l.send("anew", nil)
	}
	return err
}

// Seen says that the end of a process is on record.
func (l *Link) Seen(pid int) error {
	if l == nil || l.file == nil {
		return nil
	}
	return l.send(fmt.Sprintf("seen %d", pid), nil)
}

// Finish says how the machine is to end when the daemon has ended, with exit
// status 0: halt, poweroff or reboot.
func (l *Link) Finish(how string) error {
	if l == nil || l.file == nil {
		return nil
	}
	return l.send("finish "+how, nil)
}

// Sync asks to be told when all has been told of that ended before.
func (l *Link) Sync() error {
	if l == nil || l.file == nil {
		return nil
	}
	return l.send("sync", nil)
}

func (l *Link) send(line string, oob []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := unix.Sendmsg(int(l.file.Fd()), []byte(line), oob, nil, unix.MSG_NOSIGNAL); err != nil {
		return fmt.Errorf("cannot tell the keeper: %w", err)
	}
	return nil
}

// Exits calls told for each process that ended with the keeper, in order,
// until the keeper is gone; and all for each answer to Sync. It blocks: it wants
// a goroutine of its own. A keeper that dies while it executes itself anew died of
// a signal that was to end the session: then this process gets it.
func (l *Link) Exits(told func(pid int, status syscall.WaitStatus), all func()) {
	if l.file == nil {
		return
	}
	// What an earlier image of this process was told, and had no time to say
	// that it has seen, is to be told again.
	if l.anew {
		_ = l.send("again", nil)
	}
	data := make([]byte, 256)
	away, reset := false, false
	for {
		n, err := l.file.Read(data)
		if errors.Is(err, unix.ECONNRESET) && !reset {
			// That it has ended with lines of ours unread is told once, before its
			// own last ones.
			reset = true
			continue
		}
		if err != nil || n == 0 {
			if away {
				unix.Kill(os.Getpid(), unix.SIGTERM)
			}
			return
		}
		switch string(data[:n]) {
		case "done":
			all()
			continue
		case "away", "back":
			away = data[0] == 'a'
			continue
		}
		var pid, status int
		if _, err := fmt.Sscanf(string(data[:n]), "signal %d", &pid); err == nil && l.Signalled != nil {
			l.Signalled(syscall.Signal(pid))
			continue
		}
		if _, err := fmt.Sscanf(string(data[:n]), "exit %d %d", &pid, &status); err == nil {
			told(pid, syscall.WaitStatus(status))
		}
	}
}
