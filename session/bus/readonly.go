package bus

import (
	"fmt"
	"net"
	"os"

	"github.com/session-init/session-init/session/api"
)

// The daemon of the machine listens on a second socket, which everybody may
// open. Who comes there hears all signals and may look at jobs, and no more; that
// he is root changes nothing.

// elsewhereSocket completes the refusal of what such a client may not do.
const elsewhereSocket = "of the read-only socket"

// elsewhereSystemBus is the same for whoever is not root on the system bus.
const elsewhereSystemBus = "of the system bus who is not root"

// readOnlyMode lets everybody connect.
const readOnlyMode = 0o666

// How many are served there, all together and of one user: they must not keep away
// who comes by the other socket, nor one another.
const (
	maxStrangers     = maxConnections / 2
	maxStrangersEach = maxStrangers / 8
)

// crowded tells whether one more of a user is one too many there; with the lock.
func (s *Server) crowded(uid uint32) bool {
	all, each := 0, 0
	for _, c := range s.conns {
		if c.public {
			if all++; c.uid == uid {
				each++
			}
		}
	}
	return all >= maxStrangers || each >= maxStrangersEach
}

// listenReadOnly makes the second socket, or takes over what an earlier daemon
// has made.
func (s *Server) listenReadOnly(path string, socket *os.File) error {
	listener, err := inherit(socket, path)
	if err == nil && listener == nil {
		listener, err = bind(path)
	}
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w", path, err)
	}
	listener.SetUnlinkOnClose(false)
	s.readOnly, s.readOnlyPath = listener, path
	if err = os.Chmod(path, readOnlyMode); err == nil {
		s.readOnlyFile, err = os.Lstat(path)
	}
	if err != nil {
		s.closeReadOnly(false)
		return fmt.Errorf("cannot listen on %s: %w", path, err)
	}
	return nil
}

// closeReadOnly ends it; leave: the next daemon goes on with it.
func (s *Server) closeReadOnly(leave bool) {
	if s.readOnly == nil {
		return
	}
	_ = s.readOnly.Close()
	if info, err := os.Lstat(s.readOnlyPath); err == nil && !leave && (s.readOnlyFile == nil || os.SameFile(info, s.readOnlyFile)) {
		_ = os.Remove(s.readOnlyPath)
	}
}

// WithReadOnly is WithSocket for the second socket; without one f is not called.
func (s *Server) WithReadOnly(f func(fd int) error) error {
	if s.readOnly == nil {
		return nil
	}
	return withSocket(s.readOnly, f)
}

// withSocket calls f with the descriptor of a listener.
func withSocket(listener *net.UnixListener, f func(fd int) error) error {
	raw, err := listener.SyscallConn()
	if err != nil {
		return err
	}
	if failed := raw.Control(func(fd uintptr) { err = f(int(fd)) }); failed != nil {
		return failed
	}
	return err
}

// public tells whether a method is for everybody. What tells of environments is
// not, nor what costs the engine much. The policy for the system bus in
// share/dbus-1/system.d says the same.
func public(face, member string) bool {
	switch face {
	case api.ManagerInterface, api.JobInterface, api.InstanceInterface, api.ManagerExtension, api.JobExtension, api.InstanceExtension, "":
		switch member {
		case "GetJobByName", "GetAllJobs", "GetInstance", "GetInstanceByName", "GetAllInstances", "GetProcesses", "ListSessions":
			return true
		}
		return false
	}
	return reads(face, member)
}
