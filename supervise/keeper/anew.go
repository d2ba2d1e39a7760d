package keeper

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
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
//	daemon PID READY EVER       the daemon, 0 for none; whether it, or any, was ready
//	shell                       it is no daemon but an emergency shell
//	series N UNREADY DELAY      deaths so far, and the last pause in ns
//	faults N                    panics of ours in a row; see fault.go
//	link FD                     our end of the link
//	tell FD                     who waits for the first daemon to be ready
//	hold NAME FD                what is held, in its order
//	exit PID STATUS             ends that no daemon has seen, in their order
//	passed SIGNAL               what was passed on
//	finish HOW                  how the machine is to end
//	at-once                     that has begun, or does not wait for the daemon
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

func (s sigset) has(sig syscall.Signal) bool { return s&(1<<(sig-1)) != 0 }

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
func (k *keeper) listened() []syscall.Signal { return k.heeded }

// heeded returns the signals to listen to, at the beginning: of those of a user
// not what was to be ignored already then, as nohup(1) and a shell's & want it.
func heeded(system bool) []syscall.Signal {
	if system {
		return ending()
	}
	return slices.DeleteFunc(slices.Clone(forwarded[:]), func(s syscall.Signal) bool { return signal.Ignored(s) })
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
func (k *keeper) anew() error { return k.replace(false, false) }

// replace is anew, or what follows a panic, which is forced: then it is done also
// when there is no daemon. ours: see quiet.
func (k *keeper) replace(ours, forced bool) error {
	k.say("away")
	defer k.say("back")
	if err := mask(unix.SIG_BLOCK, k.signalSet()); err != nil {
		return fmt.Errorf("cannot block signals: %w", err)
	}
	k.quiet(ours)
	// Threads that have begun meanwhile had none blocked. It was possible before.
	_ = mask(unix.SIG_BLOCK, k.signalSet())
	if k.cfg.First != nil {
		k.hearPending()
	}
	// Go's handler stays, and what it takes now nobody would hear of.
	restore := byDefault(k.listened(), k.cfg.First != nil)
	err := k.execute(forced)
	restore()
	k.listen()
	return errors.Join(err, mask(unix.SIG_UNBLOCK, k.signalSet()))
}

// fatal are those of listened that a Go program unblocks at its beginning, and ends
// by, before it can listen to any. A first process that ends is the end of the
// machine.
func fatal(s syscall.Signal) bool {
	switch s {
	case unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTRAP, unix.SIGABRT, unix.SIGTERM, unix.SIGSTKFLT, unix.SIGSYS:
		return true
	}
	return false
}

// hearPending takes the fatal ones that wait, as if they had come before: the next
// image must not find them.
func (k *keeper) hearPending() {
	var set sigset
	syscall.RawSyscall(unix.SYS_RT_SIGPENDING, uintptr(unsafe.Pointer(&set)), unsafe.Sizeof(set), 0)
	for _, s := range k.listened() {
		if fatal(s) && set.has(s) {
			k.mean(s)
		}
	}
}

// byDefault has the kernel do with signals what it does without a handler, or, when
// we are the first process, ignore the fatal ones: a HUP or INT is then ignored
// until the next image listens. A TERM, which Go does not leave ignored, can end
// that still, in the moment of its beginning. The function that it returns puts back
// what was.
func byDefault(signals []syscall.Signal, first bool) (restore func()) {
	type action [8]uint64 // the kernel's is smaller; zero is the default, and begins with the handler
	ignore := action{1}
	set := func(s syscall.Signal, now, before *action) {
		syscall.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(s), uintptr(unsafe.Pointer(now)), uintptr(unsafe.Pointer(before)), unsafe.Sizeof(sigset(0)), 0, 0)
	}
	before := make([]action, len(signals))
	for i, s := range signals {
		now := action{}
		if first && fatal(s) {
			now = ignore
		}
		set(s, &now, &before[i])
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

// execute is the last step of replace.
func (k *keeper) execute(forced bool) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.over {
		// The next image would start another daemon.
		return errors.New("the session is over")
	}
	if !forced && (k.pid == 0 || k.link == nil) {
		return errors.New("the daemon is gone")
	}
	// With the lock: what is told meanwhile the next image would tell again.
	k.log.Flush(logPatience)
	state, err := k.save()
	if err != nil {
		return err
	}
	defer state.Close()
	fds := append(k.files(), int(state.Fd()))
	if err = inherit(fds, true); err == nil {
		// A thread that has begun since had no signal blocked: it must not be the
		// one that the next image begins with.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		_ = mask(unix.SIG_BLOCK, k.signalSet())
		env := append(Without(k.cfg.Env), keptVariable+"="+strconv.Itoa(int(state.Fd())))
		err = fmt.Errorf("cannot execute %s: %w", k.cfg.Path, syscall.Exec(k.cfg.Path, k.cfg.Argv, env))
		if forced {
			// An upgrade has moved it away: there is still what we run.
			const unchanged = "/proc/self/exe"
			err = errors.Join(err, fmt.Errorf("cannot execute %s: %w", unchanged, syscall.Exec(unchanged, k.cfg.Argv, env)))
		}
	}
	return errors.Join(err, inherit(fds, false))
}

// files are the descriptors that the next image needs.
func (k *keeper) files() []int {
	fds := slices.Clone(k.held)
	for _, f := range []*os.File{k.link, k.cfg.Tell} {
		if f != nil {
			fds = append(fds, int(f.Fd()))
		}
	}
	return fds
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
	fmt.Fprintf(&text, "daemon %d %t %t\nseries %d %d %d\nfaults %d\n", k.pid, k.ready, k.deaths.ever,
		k.deaths.series, k.deaths.unready, k.deaths.delay, k.faults)
	if k.shell {
		text.WriteString("shell\n")
	}
	if k.link != nil {
		fmt.Fprintf(&text, "link %d\n", k.link.Fd())
	}
	if k.cfg.Tell != nil {
		fmt.Fprintf(&text, "tell %d\n", k.cfg.Tell.Fd())
	}
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
	if k.atOnce {
		text.WriteString("at-once\n")
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
	understood := false
	for line := range strings.Lines(string(data)) {
		var number, status int
		var name string
		switch word, rest, _ := strings.Cut(strings.TrimSpace(line), " "); word {
		case "daemon":
			_, err := fmt.Sscan(rest, &k.pid, &k.ready, &k.deaths.ever)
			understood = err == nil && k.pid >= 0
		case "shell":
			k.shell = true
		case "faults":
			fmt.Sscan(rest, &k.faults)
		case "at-once":
			k.hurry(k.how)
		case "tell":
			if _, err := fmt.Sscan(rest, &number); err == nil {
				k.cfg.Tell = os.NewFile(uintptr(number), "tell")
			}
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
	return understood && inherit(k.files(), false) == nil
}
