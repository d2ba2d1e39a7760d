package keeper

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// variable names the environment variable by which a daemon finds its link.
const variable = "SESSION_INIT_KEEPER"

// firstFD is the descriptor of the link.
const firstFD = 3

// Link is the daemon's end of the link to its keeper.
type Link struct {
	// Unready is how many daemons died one after the other before this one,
	// without having been ready.
	Unready int

	file  *os.File
	names []string
	held  []*os.File
	mu    sync.Mutex // of writing
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
	if len(words) == 0 {
		return nil, fmt.Errorf("cannot use the keeper: %s is empty", variable)
	}
	unready, err := strconv.Atoi(words[0])
	if err != nil || unready < 0 {
		return nil, fmt.Errorf("cannot use the keeper: %s says '%s'", variable, value)
	}
	l := &Link{Unready: unready, names: words[1:]}
	for i := range len(words) {
		fd := firstFD + i
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
			return nil, fmt.Errorf("cannot use the keeper: descriptor %d: %w", fd, err)
		}
		unix.CloseOnExec(fd)
		if i == 0 {
			l.file = os.NewFile(uintptr(fd), "keeper")
		} else {
			l.held = append(l.held, os.NewFile(uintptr(fd), words[i]))
		}
	}
	return l, nil
}

// Without returns the environment without what the keeper put there.
func Without(environ []string) []string {
	out := make([]string, 0, len(environ))
	for _, entry := range environ {
		if !strings.HasPrefix(entry, variable+"=") {
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

// Pid returns the keeper's pid, 0 when there is none.
func (l *Link) Pid() int {
	if l == nil {
		return 0
	}
	return os.Getppid()
}

// Hold has the keeper keep a descriptor for the next daemon, in place of an
// earlier one of that name. Names hold no blanks.
func (l *Link) Hold(name string, fd int) error {
	if l == nil {
		return nil
	}
	return l.send("hold "+name, unix.UnixRights(fd))
}

// Ready says that the daemon has started: from now on it is started again
// when it dies.
func (l *Link) Ready() error {
	if l == nil {
		return nil
	}
	return l.send("ready", nil)
}

// Seen says that the end of a process is on record.
func (l *Link) Seen(pid int) error {
	if l == nil {
		return nil
	}
	return l.send(fmt.Sprintf("seen %d", pid), nil)
}

// Sync asks to be told when all has been told of that ended before.
func (l *Link) Sync() error {
	if l == nil {
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
// a goroutine of its own.
func (l *Link) Exits(told func(pid int, status syscall.WaitStatus), all func()) {
	data := make([]byte, 256)
	for {
		n, err := l.file.Read(data)
		if err != nil || n == 0 {
			return
		}
		if string(data[:n]) == "done" {
			all()
			continue
		}
		var pid, status int
		if _, err := fmt.Sscanf(string(data[:n]), "exit %d %d", &pid, &status); err == nil {
			told(pid, syscall.WaitStatus(status))
		}
	}
}
