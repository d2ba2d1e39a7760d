package api

import (
	"context"
	"io"
	"os"
	"sync"
	"syscall"
	"time"
)

// socket is a connection that is read and written by calls that block: a
// command that makes one call after the other has nothing else to do, and what
// package net starts to wait for several costs as much as two calls.
type socket struct {
	fd int

	mu     sync.Mutex
	users  int // how many calls are under way
	closed bool
}

// connect connects to a Unix socket, given as ParseAddress gives it. A server
// that does not take the connection is waited for until the deadline of ctx.
func connect(ctx context.Context, name string) (*socket, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	s := &socket{fd: fd}
	deadline, limited := ctx.Deadline()
	if limited {
		// See socket(7): it holds for connect too. Zero would be none.
		left := syscall.NsecToTimeval(int64(max(time.Until(deadline), time.Microsecond)))
		err = syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_SNDTIMEO, &left)
	}
	if err == nil {
		err = again(func() error { return syscall.Connect(fd, &syscall.SockaddrUnix{Name: name}) })
	}
	if err == nil && limited {
		err = syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_SNDTIMEO, &syscall.Timeval{})
	}
	if err != nil {
		s.Close()
		return nil, os.NewSyscallError("connect", err)
	}
	return s, nil
}

// again calls f until no signal has interrupted it.
func again(f func() error) error {
	for {
		if err := f(); err != syscall.EINTR {
			return err
		}
	}
}

// enter keeps the descriptor open until leave.
func (s *socket) enter() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return os.ErrClosed
	}
	s.users++
	return nil
}

func (s *socket) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users--
	s.end()
}

// end closes the descriptor when nobody uses it. It needs the lock.
func (s *socket) end() {
	if s.closed && s.users == 0 {
		syscall.Close(s.fd)
	}
}

func (s *socket) Read(p []byte) (n int, err error) {
	if err := s.enter(); err != nil {
		return 0, err
	}
	defer s.leave()
	err = again(func() error {
		n, err = syscall.Read(s.fd, p)
		return err
	})
	switch {
	case err != nil:
		return 0, os.NewSyscallError("read", err)
	case n == 0 && len(p) > 0:
		return 0, io.EOF
	}
	return n, nil
}

func (s *socket) Write(p []byte) (done int, err error) {
	if err := s.enter(); err != nil {
		return 0, err
	}
	defer s.leave()
	for done < len(p) {
		n := 0
		err := again(func() (err error) {
			n, err = syscall.Write(s.fd, p[done:])
			return err
		})
		if err != nil {
			return done, os.NewSyscallError("write", err)
		}
		done += n
	}
	return done, nil
}

// Close wakes who reads and writes. It may be called by any goroutine, and more
// than once.
func (s *socket) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		if s.users > 0 {
			syscall.Shutdown(s.fd, syscall.SHUT_RDWR)
		}
		s.end()
	}
	return nil
}
