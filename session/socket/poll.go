package socket

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/guard"
)

// poller is an epoll set that the runtime's own poller waits for, so that no
// thread of ours does.
type poller struct {
	file *os.File
	conn syscall.RawConn
	fd   int
}

// newPoller begins to wait; ready is told each descriptor at which something
// waits, once after it was armed.
func newPoller(start *guard.Guard, ready func(fd int)) (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	if fd, err = lift(fd); err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, err
	}
	p := &poller{file: os.NewFile(uintptr(fd), "epoll"), fd: fd}
	if p.conn, err = p.file.SyscallConn(); err != nil {
		p.file.Close()
		return nil, err
	}
	start.Go("waiter for connections", func() { p.wait(ready) })
	return p, nil
}

// wait tells what comes until the file is closed.
func (p *poller) wait(ready func(fd int)) {
	var found [16]unix.EpollEvent
	for {
		count := 0
		err := p.conn.Read(func(fd uintptr) bool {
			var err error
			count, err = unix.EpollWait(int(fd), found[:], 0)
			return err == nil && count > 0
		})
		if err != nil {
			return
		}
		for _, ev := range found[:count] {
			ready(int(ev.Fd))
		}
	}
}

// arm looks at a descriptor until something waits there.
func (p *poller) arm(fd int) { p.change(fd, unix.EPOLLIN|unix.EPOLLONESHOT) }

// disarm looks at it no more.
func (p *poller) disarm(fd int) { p.change(fd, unix.EPOLLONESHOT) }

func (p *poller) change(fd int, events uint32) {
	ev := unix.EpollEvent{Events: events, Fd: int32(fd)}
	if unix.EpollCtl(p.fd, unix.EPOLL_CTL_MOD, fd, &ev) == unix.ENOENT {
		unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, fd, &ev)
	}
}

// forget takes a descriptor out.
func (p *poller) forget(fd int) { unix.EpollCtl(p.fd, unix.EPOLL_CTL_DEL, fd, nil) }

// close ends the waiting.
func (p *poller) close() { p.file.Close() }
