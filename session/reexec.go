package session

import (
	"context"
	"time"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/engine"
)

// Restart has the daemon executed anew; see bus.Backend.
func (d *Daemon) Restart() {
	// A signal may come before all parts are there.
	d.Read(func(engine.View) {
		d.activator.retire(func() {
			d.Read(func(engine.View) {
				d.restart, d.quit = true, true
				d.server.Deafen()
				d.processes.Deafen()
			})
		})
	})
}

// handOver executes the daemon's program, which an upgrade may have replaced,
// in place of this one. Its children stay its children; the state is written
// already, input by input; the socket goes on listening. On an error the
// daemon cannot go on: the keeper starts the next one.
func (d *Daemon) handOver() error {
	d.log.Log(context.Background(), levelMessage, "executes itself anew")
	d.disinherit()
	d.watcher.Close()
	names, fds := d.processes.Terminals()
	// What is traced is let go with the supervisor's thread, and seized
	// again by the next.
	ctx, cancel := context.WithTimeout(context.Background(), remainderTimeout)
	defer cancel()
	if err := d.processes.Close(ctx); err != nil {
		d.log.Error(err.Error())
	}
	err := d.server.WithSocket(func(fd int) error {
		copied, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
		names, fds = append(names, socketName), append(fds, copied)
		return err
	})
	if err == nil {
		err = d.server.WithReadOnly(func(fd int) error {
			copied, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
			names, fds = append(names, readOnlyName), append(fds, copied)
			return err
		})
	}
	if d.runtime.lock != nil {
		names, fds = append(names, lockName), append(fds, int(d.runtime.lock.Fd()))
	}
	sockets, sfds := d.processes.NotifySockets()
	names, fds = append(names, sockets...), append(fds, sfds...)
	held, hfds := d.sockets.Handover()
	names, fds = append(names, held...), append(fds, hfds...)
	d.server.Leave(time.Second)
	if err != nil {
		return err
	}
	d.journal.flush()
	d.sink.Flush(logPatience)
	return d.execute(0, names, fds)
}
