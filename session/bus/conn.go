package bus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/wire"
)

const (
	// maxWaitingCalls bounds the unanswered calls of one client.
	maxWaitingCalls = 64 << 10
	// saslTime is how long a client may take to say who it is.
	saslTime = 30 * time.Second

	// A client's calls go to the engine in batches, and no more than
	// batchesAhead are let wait there: the engine's inbox has no bound of
	// its own. A batch is batchCalls messages or batchBytes bytes.
	batchCalls   = 256
	batchBytes   = 1 << 20
	batchesAhead = 4
	// readBelow is how much may wait for a client before its next call is
	// read, in bytes: who wants no answers gets to ask no more.
	readBelow = 1 << 20
)

// conn is one client. Its reader goroutine owns everything that is not said
// to be another's.
type conn struct {
	server *Server
	// id counts the connections of the server, from 1.
	id     uint64
	socket *net.UnixConn
	// pid and uid are the client's, as the kernel tells them; 0 for a pid
	// that cannot be seen from here. asker is who it is, once it has asked.
	pid   int
	uid   uint32
	asker *events.Caller
	// peerFD is that process, closed when it was looked at, or -1; noPeer is
	// the error when it could not be told who it is.
	peerFD int
	noPeer error
	// restricted says why the client may only read; empty: it may do all.
	restricted string
	// public: it came by the read-only socket.
	public bool
	// watches are the objects that it is told of; see changes.go.
	watches watching
	// listing holds a token for each of its questions for processes that is not
	// answered; see listings.go. simulations counts those of Simulate.
	listing     chan struct{}
	simulations atomic.Int32
	// at is the object of the last call: most clients go on with one.
	at  object
	in  *frames
	out *outbox
	// Of whoever flushes, under the outbox's lock: what writeNow writes, and
	// how.
	raw      syscall.RawConn
	tryWrite func(fd uintptr) bool
	now      []byte
	wrote    int
	// ahead holds a token for each batch of calls that the engine has not
	// come to.
	ahead        chan struct{}
	calls, bytes int           // of the batch under way
	gone         chan struct{} // closed at the end of the reader, or of the server
	endOnce      sync.Once
	dropOnce     sync.Once
	dropped      atomic.Pointer[string]
	writer       chan struct{} // closed at the end of the writer, if there is one
	since        time.Time     // when it came
	// led: the last word of the authentication waits for the first answer.
	led bool
	// link is set of who calls over a bus, as name: then there is no more than
	// that, and what is known of the caller.
	link *link
	name string

	// Of the server, under the lock of its stream: it hears what is announced,
	// and has got the first heard bytes of it.
	listens bool
	heard   int

	// Of the server, under its mutex.
	ready   bool
	waiting map[engine.CallID]struct{}
}

func newConn(s *Server, socket *net.UnixConn, id uint64) *conn {
	c := &conn{
		server:  s,
		id:      id,
		socket:  socket,
		in:      s.lend(socket),
		out:     newOutbox(s.limits.outbox),
		ahead:   make(chan struct{}, batchesAhead),
		gone:    make(chan struct{}),
		writer:  make(chan struct{}),
		waiting: map[engine.CallID]struct{}{},
	}
	c.prepare()
	return c
}

// serve is the reader goroutine: it lives as long as the connection.
func (c *conn) serve() {
	defer c.server.takeBack(c)
	c.server.at("bus-reading")
	err := c.authenticate()
	if err == nil {
		if c.server.admit(c) {
			err = c.read()
		}
	}
	c.end(err)
}

// end takes the connection down. When the server is closing, the writer is
// let finish first.
func (c *conn) end(err error) {
	closing := c.shut()
	level := slog.LevelWarn
	if c.public {
		// Everybody may come there: nobody is to fill the log with that.
		level = slog.LevelDebug
	}
	switch reason := c.dropped.Load(); {
	case reason != nil:
		c.server.log.Log(context.Background(), level, "client sent away", "reason", *reason)
	case err == nil, isDisconnect(err):
		c.server.log.Debug("client gone")
	case closing:
	default:
		c.server.log.Log(context.Background(), level, "client sent away", "reason", err.Error())
	}
}

// shut ends writer and socket, and forgets the client; closing: the server was
// closing.
func (c *conn) shut() (closing bool) {
	c.stop()
	s := c.server
	s.mu.Lock()
	ready := c.ready
	closing = s.closing
	s.mu.Unlock()
	if ready && closing && c.out.begun() {
		<-c.writer
	}
	c.out.close()
	_ = c.socket.Close()
	s.remove(c)
	if ready && c.out.begun() {
		<-c.writer
	}
	return closing
}

// isDisconnect tells the end of a client from one that it brought on itself.
func isDisconnect(err error) bool {
	return errors.Is(err, errGone) || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

func (c *conn) stop() { c.endOnce.Do(func() { close(c.gone) }) }

// lost tells whether nothing can be sent to it any more.
func (c *conn) lost() bool {
	if c.link != nil {
		c = c.link.conn
	}
	select {
	case <-c.gone:
		return true
	default:
		return false
	}
}

// drop ends the connection from another goroutine, without blocking it.
func (c *conn) drop(reason string) {
	c.dropOnce.Do(func() {
		c.dropped.Store(&reason)
		c.out.close()
		c.stop()
		// Wakes the reader and the writer; Close might wait for them.
		_ = c.socket.SetDeadline(past())
	})
}

// finish ends the connection from another goroutine: no more is read, and
// what waits may be written until the deadline.
func (c *conn) finish(deadline time.Time) {
	_ = c.socket.SetWriteDeadline(deadline)
	c.out.finish()
	c.stop()
	_ = c.socket.SetReadDeadline(past())
}

// past is a deadline that has passed on every clock.
func past() time.Time { return time.Unix(1, 0) }

// send queues a message. It is called on the engine's goroutine, but for what
// a link has to say.
func (c *conn) send(message []byte) {
	if c.link != nil {
		c.link.conn.send(message)
		return
	}
	st := &c.server.stream
	st.mu.Lock()
	first := c.hear(st.fresh)
	first = c.push(message) || first
	st.mu.Unlock()
	if first {
		c.server.flushLater(c)
	}
}

// push queues what nobody has to hear before; first: see outbox.push.
func (c *conn) push(message []byte) (first bool) {
	ok, first := c.out.push(message)
	if !ok {
		c.drop(fmt.Sprintf("it does not read: more than %d bytes wait for it", c.out.limit))
	}
	return first
}

// write is the writer goroutine.
func (c *conn) write() {
	defer close(c.writer)
	c.server.at("bus-writing")
	if err := c.out.drain(c.socket); err != nil {
		c.out.close()
		_ = c.socket.Close() // wakes the reader
	}
}

// authenticate goes through the exchange before the first message.
func (c *conn) authenticate() error {
	if c.restricted = elsewhereSocket; !c.public {
		c.restricted = restriction(c.server.own, c.pid, c.uid, c.peerFD)
	}
	if c.peerFD >= 0 {
		_ = unix.Close(c.peerFD)
	}
	if c.noPeer != nil {
		return fmt.Errorf("cannot tell its user: %w", c.noPeer)
	}
	machine := sasl{
		peer:    c.uid,
		allowed: c.public || c.uid == 0 || int(c.uid) == os.Getuid(),
		guid:    c.server.guid,
		noFDs:   c.restricted != "",
	}
	if !machine.allowed {
		c.server.log.Warn("client of another user refused", "uid", c.uid)
	}
	if machine.noFDs {
		c.in.noFDs = errors.New("it sent file descriptors, and may only read")
	}
	if c.public {
		c.in.most, c.in.hurry = maxPublicMessage, c.hurry
		// For the others this is dear: see sendLateAway.
		if err := c.setDeadline(time.Now().Add(saslTime)); err != nil {
			return err
		}
	}
	for {
		if err := c.in.read(); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return fmt.Errorf("it did not authenticate within %v", saslTime)
			}
			return err
		}
		answer, used, done, err := machine.feed(c.in.pending())
		c.in.consume(used)
		// With its last word may come its first message, and what is with that.
		if len(c.in.fds) > 0 && (!done || len(c.in.pending()) == 0) {
			return errors.New("it sent file descriptors before it authenticated")
		}
		if done && !machine.unixFDs && c.in.noFDs == nil {
			c.in.noFDs = errors.New("it sent file descriptors, and has not asked whether it may (NEGOTIATE_UNIX_FD)")
			if len(c.in.fds) > 0 {
				return c.in.noFDs
			}
		}
		c.led = err == nil && done && c.in.whole()
		switch {
		case c.led:
			// The client is not waiting for this: its first call is there.
			c.out.leads(answer)
		case len(answer) > 0:
			if _, err := c.socket.Write(answer); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
		if done && c.public {
			return c.setDeadline(time.Time{})
		}
		if done {
			return nil
		}
	}
}

// setDeadline bounds the exchange, unless the server is closing and has set a
// deadline of its own, or the connection is at its end.
func (c *conn) setDeadline(t time.Time) error { return c.bound(c.socket.SetDeadline, t) }

func (c *conn) bound(set func(time.Time) error, t time.Time) error {
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return net.ErrClosed
	}
	err := set(t)
	select {
	case <-c.gone: // drop may have set its own before us
		_ = c.socket.SetDeadline(past())
		return errGone
	default:
		return err
	}
}

// hurry bounds the time in which a message that has begun must come: a client of
// the read-only socket gets no buffer for as long as it likes.
func (c *conn) hurry(unfinished bool) error {
	if unfinished {
		return c.bound(c.socket.SetReadDeadline, time.Now().Add(c.server.limits.message))
	}
	return c.bound(c.socket.SetReadDeadline, time.Time{})
}

// peerOf tells who connected. pidfd is that process, the caller's to close, or
// -1 where the kernel, before Linux 6.5, gives none, or the process is gone.
func peerOf(socket *net.UnixConn) (cred *unix.Ucred, pidfd int, err error) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return nil, -1, err
	}
	var sockErr error
	pidfd = -1
	err = raw.Control(func(fd uintptr) {
		cred, sockErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		if got, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PEERPIDFD); err == nil {
			pidfd = got
		}
	})
	if err == nil {
		err = sockErr
	}
	return cred, pidfd, err
}

// read hands the client's messages on, one after the other, until the end.
func (c *conn) read() error {
	for {
		frame, err := c.in.next()
		if errors.Is(err, os.ErrDeadlineExceeded) && c.in.hurried {
			return fmt.Errorf("a message of it was not whole within %v", c.server.limits.message)
		}
		if err != nil {
			return err
		}
		size := len(frame)
		message, err := decode(frame, len(c.in.fds))
		if err != nil {
			return err
		}
		if message.Kind == wire.MethodCall {
			c.server.handle(c, message, c.in.fds[:message.FDs])
		}
		// A call that keeps a descriptor has a copy.
		c.in.settle(int(message.FDs))
		if c.led && !c.in.whole() {
			c.led = false
			answered := message.Kind == wire.MethodCall && message.Flags&wire.NoReplyExpected == 0
			if !answered && c.out.pushLead() {
				c.server.flushLater(c)
			}
		}
		if !c.pace(size) {
			return nil
		}
	}
}

// largeAnswer is for how many calls one counts whose answer has kilobytes and is
// made by the engine's goroutine: the client's next calls are read only when
// answers have come to its outbox, and that is to be before they are many.
const largeAnswer = 32

// weigh counts what a call costs beyond one; it is called by the reader.
func (c *conn) weigh(member string) {
	more := 0
	switch member {
	case "Introspect", "Why", "GetDefinition", "GetAllJobs", "ListSessions":
		more = largeAnswer - 1
	case "GetAll", "GetLayers", "ListEnv", "GetSessionEnv":
		more = largeAnswer/8 - 1
	}
	if c.link != nil {
		c = c.link.conn
	}
	c.calls += more
}

// pace keeps a client from running ahead of the engine, and of its own
// reading. It reports false at the end of the connection.
func (c *conn) pace(size int) bool {
	c.calls++
	c.bytes += size
	if c.calls >= batchCalls || c.bytes >= batchBytes {
		c.calls, c.bytes = 0, 0
		select {
		case c.ahead <- struct{}{}:
		case <-c.gone:
			return false
		}
		c.server.backend.Read(func(engine.View) { <-c.ahead })
	}
	c.out.waitBelow(readBelow)
	select {
	case <-c.gone:
		return false
	default:
		return true
	}
}
