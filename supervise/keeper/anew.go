package keeper

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A keeper executes itself anew when a daemon that was executed anew is ready:
// the program has shown that it works. What it knows is written to a memfd, a
// line each, whose number the environment tells:
//
//	daemon PID READY EVER       the daemon; whether it, or any, was ready
//	series N UNREADY DELAY      deaths so far, and the last pause in ns
//	link FD                     our end of the link
//	hold NAME FD                what is held, in its order
//	exit PID STATUS             ends that no daemon has seen, in their order
//	passed SIGNAL               what was passed on
//
// Lines that are not known are passed over. Children stay children, and what
// ends meanwhile stays in the process table. Signals are blocked on all threads
// from before the program until it listens, so that none is lost or kills us.
// When anything of this fails the keeper goes on as it is.
const keptVariable = "SESSION_INIT_KEPT"

// deaths is what the keeper knows of the daemons before.
type deaths struct {
	series  int // deaths after a short life
	unready int // deaths before the daemon was ready
	delay   time.Duration
	ever    bool // one was ready
}

// sigset is the kernel's, of 64 signals.
type sigset uint64

func (s *sigset) add(sig syscall.Signal) { *s |= 1 << (sig - 1) }

// mask blocks or unblocks signals on all threads. It fails where the program
// has threads that Go did not make.
func mask(how int, set sigset) error {
	_, _, errno := syscall.AllThreadsSyscall6(unix.SYS_RT_SIGPROCMASK, uintptr(how), uintptr(unsafe.Pointer(&set)), 0, unsafe.Sizeof(set), 0, 0)
	runtime.KeepAlive(&set)
	if errno != 0 {
		return errno
	}
	return nil
}

// unblockHere unblocks signals on this thread.
func unblockHere(set sigset) {
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_UNBLOCK, uintptr(unsafe.Pointer(&set)), 0, unsafe.Sizeof(set), 0, 0)
}

// forwarded are the signals that are passed on to the daemon.
var forwarded = [...]syscall.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGUSR1}

func forwardedSet() (set sigset) {
	for _, s := range forwarded {
		set.add(s)
	}
	return set
}

// listen has the signals come in.
func (k *keeper) listen() {
	for _, s := range forwarded {
		signal.Notify(k.signals, s)
	}
}

// anew executes the program in our place; on an error we go on. It is called by
// the one goroutine that reads the link, without the lock.
func (k *keeper) anew() error {
	if err := mask(unix.SIG_BLOCK, forwardedSet()); err != nil {
		return fmt.Errorf("cannot block signals: %w", err)
	}
	// After Stop none is on its way to the channel; after our word has come out
	// of it, all have been passed on that were in it.
	signal.Stop(k.signals)
	k.signals <- drain
	<-k.drained
	k.mu.Lock()
	err := k.execute()
	k.mu.Unlock()
	k.listen()
	return errors.Join(err, mask(unix.SIG_UNBLOCK, forwardedSet()))
}

// drain is what anew says in the channel of signals: none that comes in.
const drain = syscall.Signal(0)

// execute is the last step of anew, with the lock.
func (k *keeper) execute() error {
	if k.pid == 0 || k.link == nil {
		return errors.New("the daemon is gone")
	}
	state, err := k.save()
	if err != nil {
		return err
	}
	defer state.Close()
	fds := append([]int{int(state.Fd()), int(k.link.Fd())}, k.held...)
	if err = inherit(fds, true); err == nil {
		env := append(Without(k.cfg.Env), keptVariable+"="+strconv.Itoa(int(state.Fd())))
		err = fmt.Errorf("cannot execute %s: %w", k.cfg.Path, syscall.Exec(k.cfg.Path, k.cfg.Argv, env))
	}
	return errors.Join(err, inherit(fds, false))
}

// inherit says whether descriptors survive an exec.
func inherit(fds []int, survive bool) (err error) {
	flag := unix.FD_CLOEXEC
	if survive {
		flag = 0
	}
	for _, fd := range fds {
		if _, errno := unix.FcntlInt(uintptr(fd), unix.F_SETFD, flag); errno != nil {
			err = errno
		}
	}
	return err
}

// save writes down what is known.
func (k *keeper) save() (*os.File, error) {
	var text strings.Builder
	fmt.Fprintf(&text, "daemon %d %t %t\nseries %d %d %d\nlink %d\n", k.pid, k.ready, k.deaths.ever,
		k.deaths.series, k.deaths.unready, k.deaths.delay, k.link.Fd())
	for i, name := range k.names {
		fmt.Fprintf(&text, "hold %s %d\n", name, k.held[i])
	}
	for _, e := range k.exits {
		// Those with the pid 0 are answers, and keep their place.
		fmt.Fprintf(&text, "exit %d %d\n", e.pid, e.status)
	}
	for _, s := range k.passed {
		fmt.Fprintf(&text, "passed %d\n", s)
	}
	fd, err := unix.MemfdCreate("kept", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "kept")
	if _, err = f.WriteString(text.String()); err == nil {
		_, err = f.Seek(0, 0)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// load takes over what an earlier image of this keeper has saved; false when
// there was none, or when it is not to be understood.
func (k *keeper) load() bool {
	number := ""
	for _, entry := range k.cfg.Env {
		if value, found := strings.CutPrefix(entry, keptVariable+"="); found {
			number = value
		}
	}
	fd, err := strconv.Atoi(number)
	if err != nil {
		return false
	}
	state := os.NewFile(uintptr(fd), "kept")
	defer state.Close()
	info, err := state.Stat()
	if err != nil {
		return false
	}
	data := make([]byte, info.Size())
	if n, err := state.Read(data); err != nil || n != len(data) {
		return false
	}
	for line := range strings.Lines(string(data)) {
		var number, status int
		var name string
		switch word, rest, _ := strings.Cut(strings.TrimSpace(line), " "); word {
		case "daemon":
			fmt.Sscan(rest, &k.pid, &k.ready, &k.deaths.ever)
		case "series":
			fmt.Sscan(rest, &k.deaths.series, &k.deaths.unready, &k.deaths.delay)
		case "link":
			if _, err := fmt.Sscan(rest, &number); err == nil {
				k.link = os.NewFile(uintptr(number), "link")
			}
		case "hold":
			if _, err := fmt.Sscan(rest, &name, &number); err == nil {
				k.names, k.held = append(k.names, name), append(k.held, number)
			}
		case "exit":
			if _, err := fmt.Sscan(rest, &number, &status); err == nil {
				k.exits = append(k.exits, ended{number, syscall.WaitStatus(status)})
			}
		case "passed":
			if _, err := fmt.Sscan(rest, &number); err == nil {
				k.passed = append(k.passed, syscall.Signal(number))
			}
		}
	}
	if k.pid <= 0 || k.link == nil {
		return false
	}
	return inherit(append([]int{int(k.link.Fd())}, k.held...), false) == nil
}
