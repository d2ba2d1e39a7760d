package keeper

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// First says what the keeper does as the first process of a machine, or of a
// container. What it means by that is handed in: the keeper knows no mounts and
// no consoles.
//
// Signals that come are told to the daemon over the link, not sent: so none is
// lost while there is no daemon, or while one executes itself anew.
type First struct {
	// Shell starts an emergency shell; nil: there is none, and a daemon that
	// keeps dying is the end.
	Shell func() (pid int, err error)
	// Rescue: a shell comes before the first daemon.
	Rescue bool
	// Finish ends all that runs and then the machine. When it returns, the
	// keeper ends with the status.
	Finish func(how string) error
	// AtOnce tells which signals end the machine without asking the daemon, and
	// how: what remains when nothing else answers. They work from the emergency
	// shell.
	AtOnce func(syscall.Signal) (how string)
	// Container: a daemon that ends by itself is the end.
	Container bool
}

// GivesUp is the exit status of a daemon that has nothing to begin with: it says
// that a shell is of more use than another try.
const GivesUp = 3

const (
	// seriesTime is how short the time of seriesCount deaths must be for a shell.
	seriesTime  = 10 * time.Second
	seriesCount = 5
	// realTime is SIGRTMIN, as the C library counts, which keeps two.
	realTime syscall.Signal = 34
)

// told are the signals that mean something to the daemon.
func told(s syscall.Signal) bool {
	switch s {
	case unix.SIGHUP, unix.SIGINT, unix.SIGTERM, unix.SIGUSR1, unix.SIGPWR, unix.SIGWINCH, realTime + 3, realTime + 4, realTime + 5:
		return true
	}
	return false
}

// ending are all that would end the program: of the first process none may. The
// others Go handles by itself, or they are faults.
func ending() []syscall.Signal {
	list := []syscall.Signal{
		unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGABRT, unix.SIGTRAP, unix.SIGUSR1, unix.SIGUSR2, unix.SIGPIPE, unix.SIGALRM, unix.SIGTERM,
		unix.SIGSTKFLT, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU, unix.SIGXCPU, unix.SIGXFSZ, unix.SIGVTALRM, unix.SIGPROF, unix.SIGWINCH,
		unix.SIGIO, unix.SIGPWR, unix.SIGSYS,
	}
	for s := realTime; s <= 64; s++ {
		list = append(list, s)
	}
	return list
}

// mean does what a signal means for the first process.
func (k *keeper) mean(s syscall.Signal) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if how := k.cfg.First.AtOnce(s); how != "" {
		k.hurry(how)
		if k.pid != 0 {
			// The daemon or a shell: who waits for it goes on.
			unix.Kill(k.pid, unix.SIGKILL)
		}
		return
	}
	// One that comes twice before it was heard comes once, as signals do.
	if e := (ended{pid: -int(s)}); told(s) && !slices.Contains(k.exits, e) {
		k.exits = append(k.exits, e)
		k.more.Signal()
	}
}

// keepFirst is keep for the first process: it returns only in a container.
func (k *keeper) keepFirst() int {
	f := k.cfg.First
	if f.Rescue && !k.loaded {
		k.loaded = true
		k.rescue()
	}
	if _, shell := k.has(); shell {
		k.wait()
	}
	var deaths []time.Time
	for {
		if how, now := k.wish(); now {
			return k.finish(how, 0)
		}
		status, ok := syscall.WaitStatus(0), true
		if daemon, _ := k.has(); !daemon {
			k.pause(k.deaths.delay)
			err := k.spawn(max(k.deaths.unready, 0))
			if errors.Is(err, errAtOnce) {
				continue
			}
			if err != nil {
				fmt.Fprintf(k.log, "session-init: the keeper cannot start the daemon: %v\n", err)
				ok = false
			}
		}
		if ok {
			var wasReady bool
			status, wasReady = k.wait()
			k.died(wasReady)
		}
		how, now := k.wish()
		if done := ok && status.Exited() && status.ExitStatus() == 0; now || done && (how != "" || f.Container) {
			return k.finish(how, 0)
		}
		if ok && status.Exited() && status.ExitStatus() == GivesUp && f.Shell != nil {
			deaths = nil
			k.shellOrLater()
			continue
		}
		if ok {
			fmt.Fprintf(k.log, "session-init: the daemon died (%s), starting it again: its jobs run on\n", describe(status))
		}
		var series bool
		if deaths, series = k.count(deaths); !series {
			continue
		}
		fmt.Fprintf(k.log, "session-init: the daemon died %d times in %v\n", seriesCount, seriesTime)
		if f.Shell == nil {
			return k.finish("", 1)
		}
		k.shellOrLater()
	}
}

// count adds a death to the last ones, and reports whether they are so many in so
// short a time that a shell is of more use than another try. Else the pause before
// that is set.
func (k *keeper) count(last []time.Time) (deaths []time.Time, series bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.deaths.unready++
	k.deaths.delay = 0
	deaths = append(last, time.Now())
	n := len(deaths) - seriesCount
	if n >= 0 && deaths[len(deaths)-1].Sub(deaths[n]) <= seriesTime {
		return nil, true
	}
	if n >= 0 {
		deaths = slices.Delete(deaths, 0, n)
	}
	if len(deaths) > 1 && time.Since(deaths[len(deaths)-2]) < longLife {
		k.deaths.delay = firstDelay
	}
	return deaths, false
}

// shellOrLater gives a shell; where there is none to be had the next try waits.
func (k *keeper) shellOrLater() {
	var delay time.Duration
	if !k.rescue() {
		delay = lastDelay
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.deaths.delay = delay
}

// wish tells how the machine is to end, and whether that is not to wait for the
// daemon.
func (k *keeper) wish() (how string, now bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.how, k.atOnce
}

// ends notes that the end has begun, for the next image of the keeper.
func (k *keeper) ends(how string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.hurry(how)
}

// hurry is ends with the lock.
func (k *keeper) hurry(how string) {
	k.how = how
	if !k.atOnce {
		k.atOnce = true
		close(k.urgent)
	}
}

// rescue gives a shell, and waits for its end. It reports false when there is
// none to be had.
func (k *keeper) rescue() bool {
	if err := k.startShell(); err != nil {
		fmt.Fprintf(k.log, "session-init: cannot have an emergency shell: %v\n", err)
		return false
	}
	k.wait()
	return true
}

// startShell starts it with the lock, so that a signal that ends all finds it.
func (k *keeper) startShell() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.atOnce:
		return errAtOnce
	case k.cfg.First.Shell == nil:
		return os.ErrNotExist
	}
	// As for a daemon: a shell with Ctrl-C blocked is of little use.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	unblockHere(k.signalSet())
	pid, err := k.cfg.First.Shell()
	if err == nil {
		k.pid, k.shell = pid, true
	}
	return err
}

// finish ends everything, and returns a status where somebody is to get one.
func (k *keeper) finish(how string, status int) int {
	k.ends(how)
	if err := k.cfg.First.Finish(how); err != nil {
		fmt.Fprintf(k.log, "session-init: cannot %s: %v\n", how, err)
	}
	if k.cfg.First.Container {
		return status
	}
	// The kernel stops a machine whose first process ends.
	for {
		rest(time.Hour)
	}
}
