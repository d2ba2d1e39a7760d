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
//	finish HOW                  how the machine is to end
//
// Lines that are not known are passed over. Children stay children, and what
// ends meanwhile stays in the process table. Signals are blocked on all threads
// before the exec, but Go unblocks those that end a program on each new thread,
// also on the first one of the new image, before anybody can listen to them. One
// that comes just then ends us. So the daemon is told that we are "away", and that
// we are "back": if we die in between, that was such a signal, and it takes it as
// its own. When anything else of this fails the keeper goes on as it is.
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

// listened are the signals that come in.
func (k *keeper) listened() []syscall.Signal { return listened(k.cfg.First != nil) }

func listened(system bool) []syscall.Signal {
	if system {
		return caught()
	}
	return forwarded[:]
}

func (k *keeper) signalSet() sigset { return setOf(k.listened()) }

func setOf(signals []syscall.Signal) (set sigset) {
	for _, s := range signals {
		set.add(s)
	}
	return set
}

// listen has the signals come in.
func (k *keeper) listen() {
	for _, s := range k.listened() {
		signal.Notify(k.signals, s)
	}
}

// anew executes the program in our place; on an error we go on. It is called by
// the one goroutine that reads the link, without the lock.
func (k *keeper) anew() error {
	k.say("away")
	defer k.say("back")
	if err := mask(unix.SIG_BLOCK, k.signalSet()); err != nil {
		return fmt.Errorf("cannot block signals: %w", err)
	}
	// After Stop none is on its way to the channel; after our word has come out
	// of it, all have been passed on that were in it.
	signal.Stop(k.signals)
	k.signals <- drained
	<-k.drained
	// Go's handler stays, and what it takes now nobody would hear of.
	restore := byDefault(k.listened())
	k.mu.Lock()
	err := k.execute()
	k.mu.Unlock()
	restore()
	k.listen()
	return errors.Join(err, mask(unix.SIG_UNBLOCK, k.signalSet()))
}

// byDefault has the kernel do with signals what it does without a handler; the
// function that it returns puts back what was.
func byDefault(signals []syscall.Signal) (restore func()) {
	type action [8]uint64 // the kernel's is smaller; zero is the default
	set := func(s syscall.Signal, now, before *action) {
		syscall.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(s), uintptr(unsafe.Pointer(now)), uintptr(unsafe.Pointer(before)), unsafe.Sizeof(sigset(0)), 0, 0)
	}
	before := make([]action, len(signals))
	for i, s := range signals {
		set(s, new(action), &before[i])
	}
	return func() {
		for i, s := range signals {
			set(s, &before[i], nil)
		}
	}
}

// say writes a line to the daemon, which may be gone.
func (k *keeper) say(line string) {
	k.mu.Lock()
	link := k.link
	k.mu.Unlock()
	if link != nil {
		_, _ = link.Write([]byte(line))
	}
}

// drained is what anew says in the channel of signals: none that comes in.
const drained = syscall.Signal(0)

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
	if k.how != "" {
		fmt.Fprintf(&text, "finish %s\n", k.how)
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

// Kept tells whether an earlier image of this keeper has executed us.
func Kept(environ []string) bool {
	for _, entry := range environ {
		if strings.HasPrefix(entry, keptVariable+"=") {
			return true
		}
	}
	return false
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
		case "finish":
			k.how = rest
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
