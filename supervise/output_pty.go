package supervise

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/guard"
)

// A process of OutputPTY writes to a terminal of its own, and a goroutine of
// ours copies what comes out at the other end to the log. It is the only
// output that passes through the daemon. What is needed to go on is held for
// the next one (Options.Holder): while there is none the process waits as soon
// as the terminal is full. See output_hold.go.
//
// A log that does not answer holds the goroutine, and then the process, as it
// would hold a process that had the log itself. A log that refuses does not:
// the terminal is emptied all the same, and the log says how much is missing
// as soon as it can.

// copyBuffer is what a copier holds of output that is not in the log yet.
const copyBuffer = 8 << 10

// terminal is the other end of what a process writes to.
type terminal struct {
	id     ProcID
	number int      // of the terminal, nobody else's while we have it
	master *os.File // of the runtime's poller
	fd     int      // the same: Fd would make it block
	log    int      // -1 while it is not open; an earlier daemon may have opened it
}

// copiers are the goroutines that copy from terminals to logs. Its methods
// may be called from any goroutine.
type copiers struct {
	report func(Event)
	guard  *guard.Guard
	// opened is told of each log when it is open.
	opened func(id ProcID, label, path string, limit LogLimit)
	holder Holder

	mu        sync.Mutex
	terminals map[*terminal]bool
	stopped   bool
	running   sync.WaitGroup
}

// openPTY makes a terminal. The master belongs to the runtime's poller,
// the slave is for the child. It does not block.
func openPTY(id ProcID) (t *terminal, slave int, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, -1, err
	}
	if slave, err = openSlave(fd); err != nil {
		unix.Close(fd)
		return nil, -1, err
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		unix.Close(fd)
		unix.Close(slave)
		return nil, -1, err
	}
	return &terminal{id: id, number: number, master: os.NewFile(uintptr(fd), "/dev/ptmx"), fd: fd, log: -1}, slave, nil
}

// openSlave opens the other end, without a look at /dev/pts, which may be
// another one's; see ioctl_tty(2).
func openSlave(master int) (int, error) {
	if err := unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
		return -1, err
	}
	r, _, errno := syscall.Syscall(unix.SYS_IOCTL, uintptr(master), unix.TIOCGPTPEER,
		unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		return -1, errno
	}
	slave, err := lift(int(r))
	if err != nil {
		return -1, err
	}
	// Lines shall come out as they went in: without "\r".
	var mode unix.Termios
	if _, _, errno = syscall.Syscall(unix.SYS_IOCTL, uintptr(slave), unix.TCGETS, uintptr(unsafe.Pointer(&mode))); errno == 0 {
		mode.Oflag &^= unix.OPOST
		mode.Lflag &^= unix.ECHO
		_, _, errno = syscall.Syscall(unix.SYS_IOCTL, uintptr(slave), unix.TCSETS, uintptr(unsafe.Pointer(&mode)))
	}
	if errno != 0 {
		unix.Close(slave)
		return -1, errno
	}
	return slave, nil
}

// copy begins to copy what comes from the terminal, until the last process
// that has it is gone. It takes the terminal over.
func (c *copiers) copy(t *terminal, label, path string, limit LogLimit) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		t.close()
		return
	}
	if c.terminals == nil {
		c.terminals = make(map[*terminal]bool)
	}
	c.terminals[t] = true
	w := copier{copiers: c, terminal: t, label: label, path: path, limit: limit, whole: true}
	c.guard.GoIn(&c.running, "copier of a terminal", func() {
		over := w.run(t.master)
		c.mu.Lock()
		delete(c.terminals, t)
		c.mu.Unlock()
		if over {
			c.drop(t)
		}
		t.close()
	})
}

// close gives the descriptors back, but for those that are held.
func (t *terminal) close() {
	t.master.Close()
	if t.log >= 0 {
		unix.Close(t.log)
	}
}

// stop makes all copiers end with what the terminals hold at this moment.
func (c *copiers) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	for t := range c.terminals {
		t.master.SetReadDeadline(time.Unix(1, 0))
	}
}

// copier copies for one process.
type copier struct {
	*copiers
	*terminal
	label, path string
	limit       LogLimit

	whole   bool
	missing int64 // bytes that the log has refused
	why     error // and why
}

// run copies until nobody has the other end any more, or, and then it is false,
// until it is told to stop.
func (w *copier) run(master *os.File) (over bool) {
	if err := w.open(); err != nil {
		w.report(OutputLost{w.id, w.label, w.path, errnoOf(err)})
	} else {
		w.opened(w.id, w.label, w.path, w.limit)
	}
	buf := make([]byte, copyBuffer)
	for {
		n, err := master.Read(buf)
		w.write(buf[:max(n, 0)])
		if errors.Is(err, os.ErrDeadlineExceeded) {
			w.drain(master, buf)
			return false
		}
		if err != nil {
			// EIO: nobody has the other end any more.
			return true
		}
	}
}

// drain copies what is there without waiting for more.
func (w *copier) drain(master *os.File, buf []byte) {
	conn, err := master.SyscallConn()
	if err != nil {
		return
	}
	conn.Control(func(fd uintptr) {
		for {
			n, err := unix.Read(int(fd), buf)
			if err == unix.EINTR {
				continue
			}
			if err != nil || n <= 0 {
				return
			}
			w.write(buf[:n])
		}
	})
}

// open opens the log as a child does that has it itself, unless an earlier
// daemon has done so.
func (w *copier) open() error {
	w.mu.Lock()
	opened := w.log >= 0
	w.mu.Unlock()
	if opened {
		return nil
	}
	const flags = unix.O_WRONLY | unix.O_APPEND | unix.O_CREAT | unix.O_NOCTTY | unix.O_CLOEXEC
	log, err := openUninterrupted(w.path, flags, 0o600)
	if err == unix.ENOENT {
		os.MkdirAll(filepath.Dir(w.path), 0o700)
		log, err = openUninterrupted(w.path, flags, 0o600)
	}
	if err != nil {
		return err
	}
	w.mu.Lock()
	w.log = log
	w.mu.Unlock()
	w.hold(logPrefix, w.terminal, log)
	return nil
}

// openUninterrupted is open(2), which a signal may interrupt on a network's file
// system, or one of FUSE's.
func openUninterrupted(path string, flags int, mode uint32) (fd int, err error) {
	for {
		if fd, err = unix.Open(path, flags, mode); err != unix.EINTR {
			return fd, err
		}
	}
}

// write appends to the log. What the log refuses is counted, and told in its
// place as soon as the log takes something again.
func (w *copier) write(data []byte) {
	if w.log < 0 || len(data) == 0 {
		return
	}
	if w.missing > 0 {
		note := fmt.Sprintf("[%d bytes are missing here: %v]\n", w.missing, w.why)
		if !w.whole {
			note = "\n" + note
		}
		n, err := writeAll(w.log, []byte(note))
		if err != nil {
			// A piece of the note is no line; the next one begins a new one.
			w.whole = w.whole && n == 0
			w.missing += int64(len(data))
			return
		}
		w.missing, w.whole = 0, true
	}
	n, err := writeAll(w.log, data)
	if n > 0 {
		w.whole = data[n-1] == '\n'
	}
	if err != nil {
		w.missing, w.why = int64(len(data)-n), err
		w.report(OutputFault{w.id, w.label, w.path, ProblemWrite, errnoOf(err)})
	}
}
