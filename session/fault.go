package session

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/guard"
	"github.com/session-init/session-init/supervise"
)

// A panic on any goroutine is the end of this daemon, and the next goes on
// where it was. With a keeper the program dies, and the keeper starts the next,
// which knows when to wait and when to give up. Without one the program is
// executed anew in its own place, as by a re-exec that nobody prepared: every
// input is on record, every process has its slot, and what must be handed over
// was laid aside at the beginning.

// heirloom is what an execution after a panic hands over. Nothing is asked of
// the parts then, which may be half done or hold their locks.
type heirloom struct {
	names []string
	fds   []int
	began time.Time
}

const (
	// shortLife is how long a daemon must have lived to be executed anew at
	// once; else that waits for shortRest, so that one which dies at once does
	// not take the machine with it.
	shortLife = 10 * time.Second
	shortRest = 500 * time.Millisecond
	// lastWords is how long what was logged may take to be written.
	lastWords = time.Second
	// maxUnready is how many daemons in a row may die before they are ready,
	// as the keeper has it.
	maxUnready = 12
)

// bequeath lays aside what a panic must hand over; nothing with a keeper, who
// holds it.
func (d *Daemon) bequeath() error {
	if d.opts.Keeper.Pid() != 0 {
		return nil
	}
	h := &heirloom{began: time.Now()}
	add := func(name string, fd int) error {
		copied, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return fmt.Errorf("cannot keep the %s for the next daemon: %w", name, err)
		}
		h.names, h.fds = append(h.names, name), append(h.fds, copied)
		return nil
	}
	err := d.server.WithSocket(func(fd int) error { return add(socketName, fd) })
	if err == nil {
		err = d.server.WithReadOnly(func(fd int) error { return add(readOnlyName, fd) })
	}
	if err == nil && d.runtime.lock != nil {
		err = add(lockName, int(d.runtime.lock.Fd()))
	}
	d.heirloom.Store(h)
	return err
}

// disinherit gives that back: the session ends, or is handed over.
func (d *Daemon) disinherit() {
	if h := d.heirloom.Swap(nil); h != nil {
		for _, fd := range h.fds {
			unix.Close(fd)
		}
	}
}

// fault is told of a panic, on the goroutine that it happened in. It returns
// when the program is to die of it.
func (d *Daemon) fault(f guard.Fault) {
	close(d.faulted)
	written := make(chan struct{})
	d.guard.Go("last words", func() {
		defer close(written)
		d.sink.Flush(lastWords)
	})
	select {
	case <-written:
	case <-time.After(lastWords):
	}
	fmt.Fprintf(d.opts.Stderr, "session-init: %s\n", f.Error())
	h := d.heirloom.Load()
	if h == nil {
		return
	}
	unready := 0
	if !d.ready.Load() {
		unready = 1
		if d.opts.Keeper != nil {
			unready += d.opts.Keeper.Unready
		}
	}
	if unready > maxUnready {
		fmt.Fprintf(d.opts.Stderr, "session-init: %d daemons died before they were ready: giving up, its jobs run on\n", unready)
		return
	}
	fmt.Fprintf(d.opts.Stderr, "%s\nsession-init: the daemon executes itself anew: its jobs run on\n", f.Stack)
	if time.Since(h.began) < shortLife {
		<-time.After(shortRest)
	}
	names, fds := h.names, h.fds
	if d.ready.Load() {
		more, of := d.processes.Terminals()
		names, fds = append(names, more...), append(fds, of...)
		more, of = d.sockets.Handover()
		names, fds = append(names, more...), append(fds, of...)
	}
	if err := d.execute(unready, names, fds); err != nil {
		fmt.Fprintf(d.opts.Stderr, "session-init: %v\n", err)
	}
}

// orFault returns an error of a part that has ended by itself, unless it did so by
// a panic: then the goroutine of that ends the program or executes it anew, and
// nothing may be taken apart meanwhile.
func (d *Daemon) orFault(err error) error {
	select {
	case <-d.faulted:
		select {}
	case <-time.After(lastWords):
		return err
	}
}

// FailPoints returns what a build for tests does at named points of the keeper;
// nil: nothing. The daemon's own are Options.Fail.
func FailPoints(environ []string) func(point string) { return supervise.FailPoints(environ) }

// execute puts the daemon's program, or if that is not to be had this one, in
// our place. It returns only when it failed.
func (d *Daemon) execute(unready int, names []string, fds []int) error {
	err := d.opts.Keeper.Exec(unready, d.opts.Program, d.opts.Argv, d.opts.Environ, names, fds)
	if unchanged := "/proc/self/exe"; d.opts.Program != unchanged {
		err = errors.Join(err, d.opts.Keeper.Exec(unready, unchanged, d.opts.Argv, d.opts.Environ, names, fds))
	}
	return err
}

// Go calls f on a goroutine of its own; a panic there is one of the daemon's.
func (d *Daemon) Go(where string, f func()) { d.guard.Go(where, f) }
