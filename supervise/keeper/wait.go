package keeper

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// killPatience is how long a daemon, or a shell, may take to end by KILL when all
// is to end at once: one that hangs in the kernel, on a disk that has died, never
// does.
const killPatience = 5 * time.Second

// errAtOnce: nothing is started any more.
var errAtOnce = errors.New("all is to end at once")

// awaitEnd returns when a child has ended. Whoever that is is left in the process
// table until it is on our list: a daemon that does not find a process any more
// must be able to rely on being told. It returns false when all is to end at once
// and the limit is over, which is set then, for which the first process asks on
// another goroutine.
func (k *keeper) awaitEnd(limit *<-chan time.Time) bool {
	if k.cfg.First == nil {
		anyEnd()
		return true
	}
	k.look <- struct{}{}
	select {
	case <-k.found:
		return true
	case <-k.urgent:
	}
	if *limit == nil {
		*limit = time.After(k.grace)
	}
	select {
	case <-k.found:
		return true
	case <-*limit:
		return false
	}
}

// watch asks for awaitEnd.
func (k *keeper) watch() {
	for range k.look {
		anyEnd()
		k.found <- struct{}{}
	}
}

// anyEnd blocks until there is a child that has ended.
func anyEnd() {
	for unix.Waitid(unix.P_ALL, 0, nil, unix.WEXITED|unix.WNOWAIT, nil) != nil {
	}
}

// wait reaps until the daemon has ended, or is not waited for any more. The end
// of a process that fell to us is told to the daemon that is there, or kept for
// the next.
func (k *keeper) wait() (status syscall.WaitStatus, wasReady bool) {
	var limit <-chan time.Time // one for all that end until then
	for {
		if !k.awaitEnd(&limit) {
			fmt.Fprintf(k.log, "session-init: the daemon, or the shell in its place, does not end even by KILL: it is not waited for\n")
			return 0, false
		}
		status, served, over := k.reap()
		if !over {
			continue
		}
		if served != nil {
			timer := time.NewTimer(linkPatience)
			select {
			case <-served:
			case <-timer.C:
				// A child of the daemon's that hangs before its exec
				// may hold the link still.
			}
			timer.Stop()
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		wasReady, k.ready = k.ready, false
		return status, wasReady
	}
}

// reap takes one process that has ended. It reports whether that was the daemon,
// of which all has been taken that it said when served is closed, or a shell.
func (k *keeper) reap() (status syscall.WaitStatus, served <-chan struct{}, over bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fail("keeper-waiting")
	pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
	switch {
	case err != nil || pid == 0:
	case pid != k.pid:
		k.exits = append(k.exits, ended{pid, status})
		k.more.Signal()
	case k.shell:
		k.pid, k.shell = 0, false
		return status, nil, true
	default:
		k.pid = 0
		k.over = status.Exited() && status.ExitStatus() == 0
		return status, k.served, true
	}
	return status, nil, false
}
