package bus

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxConnections bounds the clients served at a time, so that no flood
	// of them takes the descriptors that jobs need. When half of that is used,
	// no process gets a connection more that has maxOfProcess: one that
	// leaks them must not lock out all others.
	maxConnections = 2048
	maxOfProcess   = maxConnections / 8
	// acceptDelay is how long to wait when there is no descriptor for another
	// client.
	acceptDelay = 100 * time.Millisecond

	cannotAccept = "cannot accept a client"
	// maxSaid bounds what is remembered of the log, and sayAgain is how long the
	// same is not said again: not for each client of a flood, but of a pid that has
	// come to another process meanwhile.
	maxSaid  = 64
	sayAgain = time.Minute
)

// sayings are what was said already, and when.
type sayings map[string]time.Time

// due tells whether something is to be said now, and notes that it is.
func (s sayings) due(what string, now time.Time) bool {
	if at, ok := s[what]; ok && now.Sub(at) < sayAgain {
		return false
	}
	if len(s) >= maxSaid {
		clear(s)
	}
	s[what] = now
	return true
}

// accept lets clients in until the listener ends.
func (s *Server) accept(listener *net.UnixListener) {
	said := sayings{}
	for {
		socket, err := listener.AcceptUnix()
		if errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		if err != nil {
			if said.due(cannotAccept, time.Now()) {
				s.log.Warn(cannotAccept, "error", err)
			}
			s.at("bus-not-accepting")
			select {
			case <-time.After(acceptDelay):
			case <-s.done:
				return
			}
			continue
		}
		s.at("bus-accepting")
		switch why := s.add(socket, listener == s.readOnly); {
		case why == "":
		case listener == s.readOnly && why != s.fullText():
			s.log.Debug("a client is sent away: " + why)
		case said.due(why, time.Now()):
			s.log.Warn("a client is sent away: " + why)
		}
	}
}

// fullText says that no client gets a connection.
func (s *Server) fullText() string {
	return fmt.Sprintf("there are %d clients, which is the most", s.limits.connections)
}

// add serves a client, or sends it away, and says why.
func (s *Server) add(socket *net.UnixConn, public bool) (why string) {
	pid, uid := 0, uint32(0)
	peer, pidfd, err := peerOf(socket)
	if err == nil {
		pid, uid = int(peer.Pid), peer.Uid
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if !s.closing {
		s.sendLateAway(now)
		switch why = s.noRoom(pid); {
		case why != "", !public:
		case err != nil:
			why = "cannot tell its user"
		case s.crowded(uid):
			why = "too many of the read-only socket"
		}
	}
	if s.closing || why != "" {
		if pidfd >= 0 {
			_ = unix.Close(pidfd)
		}
		_ = socket.Close()
		return why
	}
	s.lastID++
	c := newConn(s, socket, s.lastID)
	c.public, c.since = public, now
	c.pid, c.uid, c.peerFD, c.noPeer = pid, uid, pidfd, err
	s.conns = append(s.conns, c)
	s.guard.GoIn(&s.workers, "reader of a client", c.serve)
	return ""
}

// noRoom says why a process gets no connection more; empty when it does. Those
// that have been sent away, and whose readers have yet to notice, count no more.
// The lock is held.
func (s *Server) noRoom(pid int) string {
	if len(s.conns) < s.limits.connections/2 {
		return ""
	}
	all, each := 0, 0
	for _, c := range s.conns {
		switch {
		case c.dropped.Load() != nil:
		case !c.public && c.pid == pid:
			each++
			fallthrough
		default:
			all++
		}
	}
	switch {
	case all >= s.limits.connections:
		return s.fullText()
	case all < s.limits.connections/2 || each < s.limits.ofProcess:
		return ""
	case pid == 0:
		return fmt.Sprintf("processes that cannot be seen from here have %d connections, and half of all are in use", s.limits.ofProcess)
	}
	return fmt.Sprintf("process %d has %d connections, and half of all are in use", pid, s.limits.ofProcess)
}

// sendLateAway ends the connections of those who have not said who they are in
// time. It is done when another client comes, who might need the room: a timer
// for each would wake the thread that waits for all connections, twice for each.
// The lock is held.
func (s *Server) sendLateAway(now time.Time) {
	for _, c := range s.conns {
		if !c.ready && !c.since.IsZero() && now.Sub(c.since) > saslTime {
			c.drop(fmt.Sprintf("it did not authenticate within %v", saslTime))
		}
	}
}
