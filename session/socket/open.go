package socket

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/job"
)

// lowest is the lowest number of a descriptor here: it stays out of the way of
// those that processes get.
const lowest = 10

// listenAt makes a socket that listens. The error is a sentence's end: "the address
// is in use". It may block, where paths do.
func (s *Set) listenAt(want job.Socket) (fd int, err error) {
	if want.Fault != "" {
		return -1, errors.New(want.Fault)
	}
	domain, address := family(want)
	kind := unix.SOCK_STREAM | unix.SOCK_CLOEXEC
	if fd, err = unix.Socket(domain, kind, 0); err != nil {
		return -1, err
	}
	if fd, err = lift(fd); err != nil {
		return -1, err
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
			fd = -1
		}
	}()
	if domain == unix.AF_UNIX {
		err = s.bindPath(fd, want, address)
	} else {
		err = bindPort(fd, domain, address)
	}
	if err != nil {
		return fd, err
	}
	if err = unix.Listen(fd, unix.SOMAXCONN); err != nil {
		if want.Proto == job.ProtoUnix && !abstract(want.Path) {
			unix.Unlink(want.Path)
		}
		return fd, err
	}
	return fd, nil
}

// lift gives a descriptor a number that is out of the way.
func lift(fd int) (int, error) {
	if fd >= lowest {
		return fd, nil
	}
	defer unix.Close(fd)
	return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, lowest)
}

func family(want job.Socket) (domain int, address unix.Sockaddr) {
	switch want.Proto {
	case job.ProtoUnix:
		return unix.AF_UNIX, &unix.SockaddrUnix{Name: want.Path}
	case job.ProtoInet6:
		a := &unix.SockaddrInet6{Port: int(want.Port)}
		if want.Addr.IsValid() {
			a.Addr = want.Addr.As16()
		}
		return unix.AF_INET6, a
	}
	a := &unix.SockaddrInet4{Port: int(want.Port)}
	if want.Addr.IsValid() {
		a.Addr = want.Addr.As4()
	}
	return unix.AF_INET, a
}

func bindPort(fd, domain int, address unix.Sockaddr) error {
	// Connections of an earlier server, that are over, are in nobody's way.
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return err
	}
	if domain == unix.AF_INET6 {
		// PROTO=inet is for the others.
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
			return err
		}
	}
	err := unix.Bind(fd, address)
	switch err {
	case unix.EADDRINUSE:
		return errors.New("another program uses the port")
	case unix.EADDRNOTAVAIL:
		return errors.New("the machine does not have that address")
	case unix.EACCES:
		return errors.New("the port is not for ordinary users")
	}
	return err
}

func abstract(path string) bool { return strings.HasPrefix(path, "@") }

// bindPath makes the path of a Unix socket, with its mode before anybody can
// connect. One that is there and that nobody listens at is replaced.
func (s *Set) bindPath(fd int, want job.Socket, address unix.Sockaddr) error {
	if abstract(want.Path) {
		if err := unix.Bind(fd, address); err != unix.EADDRINUSE {
			return err
		}
		return errors.New("another program listens there")
	}
	err := unix.Bind(fd, address)
	switch err {
	case unix.ENOENT:
		if err = s.makeParent(want.Path); err == nil {
			err = unix.Bind(fd, address)
		}
	case unix.EADDRINUSE:
		if err = removeStale(want.Path); err == nil {
			err = unix.Bind(fd, address)
		}
	}
	if err != nil {
		if errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("there is no directory %s", filepath.Dir(want.Path))
		}
		return err
	}
	if err := unix.Chmod(want.Path, want.Mode); err != nil {
		unix.Unlink(want.Path)
		return err
	}
	return nil
}

// makeParent makes the directories above a path, where they are ours to make:
// below the runtime directory, which nobody makes again at the next login.
func (s *Set) makeParent(path string) error {
	dir := filepath.Dir(filepath.Clean(path))
	if s.opts.Runtime == "" || !strings.HasPrefix(dir, filepath.Clean(s.opts.Runtime)+"/") {
		return unix.ENOENT
	}
	return os.MkdirAll(dir, 0o700)
}

// removeStale removes the path of a socket that nobody listens at.
func removeStale(path string) error {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return errors.New("there is a file at that path, and it is no socket")
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	// A queue that is full (EAGAIN) is somebody's, and so is one of another
	// kind (EPROTOTYPE).
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != unix.ECONNREFUSED {
		return errors.New("another program listens there" + listener(fd))
	}
	if err := unix.Unlink(path); err != nil {
		return fmt.Errorf("cannot remove the socket that nobody listens at any more: %w", err)
	}
	return nil
}

// listener names who listens at the other end of a socket, ": process 12 (x)", as
// far as the kernel says it.
func listener(fd int) string {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil || cred.Pid <= 0 {
		return ""
	}
	text := ": process " + strconv.Itoa(int(cred.Pid))
	if name, err := os.ReadFile("/proc/" + strconv.Itoa(int(cred.Pid)) + "/comm"); err == nil {
		text += " (" + strings.TrimSuffix(string(name), "\n") + ")"
	}
	return text
}

// serves tells whether a socket that an earlier daemon left can be reached
// still: its path may be gone.
func serves(fd int, want job.Socket) bool {
	if listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || listens != 1 {
		return false
	}
	if want.Proto != job.ProtoUnix || abstract(want.Path) {
		return true
	}
	var st unix.Stat_t
	return unix.Lstat(want.Path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFSOCK
}

// maxQuiet is how long those wait for sockets that have no time for ever.
const maxQuiet = 2 * time.Second
