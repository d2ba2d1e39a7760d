package bus

import (
	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/engine"
)

const (
	// flushClients is how many clients are written to by the engine's
	// goroutine at a time; with more of them each has its own writer do it,
	// and signals are the flusher's, see stream.go.
	flushClients = 4
	// flushBytes is the most that it writes to one, in bytes.
	flushBytes = 16 << 10
)

// Most of what is sent answers a client that waits, in a few bytes for which
// the kernel has room. To wake the client's writer for it would cost more than
// all the rest: another thread has to come and run it. So what an engine's
// step sends is left in the outboxes, and when the engine has done all that it
// was asked for before, it hands that to the kernel itself, without waiting:
// what the kernel does not take at once is the writer's.
//
//	send --> outbox, held --flush--> kernel
//	                         `-----> writer --> kernel

// flushLater has the engine's goroutine flush a client's outbox, which has
// just begun to hold messages.
func (s *Server) flushLater(c *conn) {
	s.flushMu.Lock()
	first := len(s.unflushed) == 0
	s.unflushed = append(s.unflushed, c)
	s.flushMu.Unlock()
	if first {
		s.backend.Read(s.flush)
	}
}

// unwritten is flushLater without asking for the flush.
func (s *Server) unwritten(c *conn) {
	s.flushMu.Lock()
	defer s.flushMu.Unlock()
	s.unflushed = append(s.unflushed, c)
}

// flush is called on the engine's goroutine.
func (s *Server) flush(engine.View) {
	s.spreadToFew()
	list := s.flushing()
	most := 0
	if len(list) <= flushClients {
		most = flushBytes
	}
	for _, c := range list {
		c.out.flush(c, most)
	}
	s.flushed(list)
}

// flushing takes the clients to flush; give them back when that is done.
func (s *Server) flushing() []*conn {
	s.flushMu.Lock()
	defer s.flushMu.Unlock()
	list := s.unflushed
	s.unflushed, s.spare = s.spare[:0], nil
	return list
}

func (s *Server) flushed(list []*conn) {
	clear(list) // a client that has gone is not kept
	s.flushMu.Lock()
	defer s.flushMu.Unlock()
	s.spare = list[:0]
}

// writeNow hands bytes to the kernel, as many as it takes at once.
func (c *conn) writeNow(data []byte) (n int) {
	if c.raw == nil {
		return 0
	}
	c.now = data
	c.wrote = 0
	// The function is made once: a new one for each message would be garbage.
	// An error is the writer's to find.
	_ = c.raw.Write(c.tryWrite)
	c.now = nil
	return c.wrote
}

func (c *conn) try(fd uintptr) bool {
	n, err := unix.SendmsgN(int(fd), c.now, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	if err == nil {
		c.wrote = n
	}
	return true // never to be called again
}

// prepare makes what writeNow needs of the socket.
func (c *conn) prepare() {
	if c.socket == nil {
		return
	}
	raw, err := c.socket.SyscallConn()
	if err != nil {
		return // the writer will find it closed
	}
	c.raw, c.tryWrite = raw, c.try
}
