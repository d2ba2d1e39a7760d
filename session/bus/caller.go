package bus

import (
	"bytes"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/api"
)

// maxEnviron is how much of a client's environment is looked at, in bytes.
// Our variables stand at its end; of a larger one nothing is known.
const maxEnviron = 1 << 20

// caller says who the client is, for "why" and for the cycles that a hook
// which asks can close. It is read at the client's first wish, once: a client
// that only looks costs nothing. What cannot be read stays unknown; what a
// client says of itself by its environment decides nothing, but of which login
// session it is: that is its user's business.
func (c *conn) caller() *events.Caller {
	if c.asker != nil || c.pid == 0 {
		return c.asker
	}
	c.asker = &events.Caller{Pid: c.pid, User: c.uid}
	dir := "/proc/" + strconv.Itoa(c.pid)
	if stat, err := readSome(dir+"/stat", 4096); err == nil {
		c.asker.Command, c.asker.Parent = parseStat(stat)
	}
	if environ, ok := c.environ(dir + "/environ"); ok {
		c.asker.Job, c.asker.Instance = parseEnviron(environ)
		c.asker.Session = parseSession(environ, c.server.Address())
	}
	return c.asker
}

// environTime is how long a client's environment is waited for when others wait
// with it.
const environTime = time.Second

// environ reads the environment of a client. The kernel looks into the memory of
// the process for it, which may hang as the process does: a client with a reader
// of its own waits alone, and all of those on a bus for environTime only.
func (c *conn) environ(path string) ([]byte, bool) {
	s := c.server
	if c.link == nil {
		text, err := readSome(path, maxEnviron)
		return text, err == nil
	}
	if s.hanging.Add(1) > maxHanging {
		s.hanging.Add(-1)
		return nil, false
	}
	read := make(chan []byte, 1)
	s.guard.Go("look at a client's environment", func() {
		defer s.hanging.Add(-1)
		text, err := readSome(path, maxEnviron)
		if err != nil {
			text = nil
		}
		read <- text
	})
	patience := time.NewTimer(environTime)
	defer patience.Stop()
	select {
	case text := <-read:
		return text, text != nil
	case <-patience.C:
	case <-s.done:
	}
	return nil, false
}

// readSome reads a file of /proc that is no longer than that. The system calls are
// made directly: a file of package os is offered to the runtime's poller first,
// which costs more than to read it.
func readSome(path string, most int64) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	text := make([]byte, 0, min(most+1, 2048))
	for {
		text = slices.Grow(text, 1)
		n, err := unix.Read(fd, text[len(text):cap(text)])
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return nil, &fs.PathError{Op: "read", Path: path, Err: err}
		case n == 0:
			return text, nil
		}
		if text = text[:len(text)+n]; int64(len(text)) > most {
			return nil, fmt.Errorf("cannot read %s: it has more than %d bytes", path, most)
		}
	}
}

// parseStat takes name and parent out of /proc/PID/stat; see proc(5). The name
// stands in parentheses and may hold any bytes, parentheses too.
func parseStat(stat []byte) (command string, parent int) {
	open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if open < 0 || end < open {
		return "", 0
	}
	// After the name: the state, and the parent.
	if fields := bytes.Fields(stat[end+1:]); len(fields) > 1 {
		parent, _ = strconv.Atoi(string(fields[1]))
	}
	return string(stat[open+1 : end]), parent
}

// parseEnviron takes job and instance out of /proc/PID/environ.
func parseEnviron(environ []byte) (job, instance string) {
	for entry := range bytes.SplitSeq(environ, []byte{0}) {
		if value, ok := bytes.CutPrefix(entry, []byte("UPSTART_JOB=")); ok {
			job = string(value)
		}
		if value, ok := bytes.CutPrefix(entry, []byte("UPSTART_INSTANCE=")); ok {
			instance = string(value)
		}
	}
	return job, instance
}

// parseSession takes the number of the login session out of /proc/PID/environ;
// 0 for none, or when it is one of another daemon than that at our address.
func parseSession(environ []byte, address string) uint64 {
	var id uint64
	ours := false
	for entry := range bytes.SplitSeq(environ, []byte{0}) {
		if value, ok := bytes.CutPrefix(entry, []byte(api.SessionVariable+"=")); ok {
			ours = string(value) == address
		}
		if value, ok := bytes.CutPrefix(entry, []byte(api.LoginVariable+"=")); ok {
			// What is no number is none of ours.
			id, _ = strconv.ParseUint(string(value), 10, 32)
		}
	}
	if !ours {
		return 0
	}
	return id
}
