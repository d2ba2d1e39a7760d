package bus

import (
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/wire"
)

const (
	// maxMessage bounds a message that we take, in bytes. The protocol
	// allows 128 MiB; no call of ours needs a tenth of what we allow.
	maxMessage = 32 << 20
	// firstBuffer is what a connection costs that says little, in bytes.
	firstBuffer = 4 << 10
	// keepBuffer is the largest buffer kept after a large message.
	keepBuffer = 256 << 10
	// maxPublicMessage is the same for the read-only socket, where everybody may
	// come: a thousand of them must not take the memory of the machine's daemon.
	// What may be called there names jobs and properties; the most that it
	// carries are the variables of GetInstance.
	maxPublicMessage = 64 << 10
	// maxHeldFDs is the most descriptors that one sendmsg carries. More
	// than that never wait for their message.
	maxHeldFDs = 253
)

// frames cuts what a client sends into messages. It reads on demand, never
// ahead of its buffer, and trusts no length: the buffer grows as bytes come.
type frames struct {
	conn *net.UnixConn
	buf  []byte
	// buf[start:end] is read and not consumed.
	start, end int
	// most bounds a message, in bytes. skips: what is larger is passed over, and
	// not the end.
	most  int
	skips bool
	// fds came in and belong to no message yet.
	fds []int
	oob []byte
	// noFDs is the error when there is a descriptor; nil: they are taken. The
	// kernel does not hand over what there is no room for, so such a client
	// takes none of ours, not for a moment.
	noFDs error
	// hurry is told, if it is set, that a message has begun and is not whole, and
	// that it is; hurried: it was told the first.
	hurry   func(unfinished bool) error
	hurried bool
}

func newFrames(conn *net.UnixConn) *frames {
	return &frames{
		conn: conn,
		buf:  make([]byte, firstBuffer),
		most: maxMessage,
		oob:  make([]byte, unix.CmsgSpace(maxHeldFDs*4)),
	}
}

// pending returns what is read and not consumed, until the next read.
func (f *frames) pending() []byte { return f.buf[f.start:f.end] }

// consume drops the first n pending bytes.
func (f *frames) consume(n int) { f.start += n }

// read waits for more bytes. At least one is appended to what is pending.
func (f *frames) read() error {
	if f.start == f.end {
		f.start, f.end = 0, 0
		if len(f.buf) > keepBuffer {
			f.buf = make([]byte, firstBuffer)
		}
	}
	if f.end == len(f.buf) {
		pending := f.pending()
		into := f.buf
		if len(pending) > len(f.buf)/2 {
			into = make([]byte, 2*len(f.buf))
		}
		f.end = copy(into, pending)
		f.start, f.buf = 0, into
	}
	oob := f.oob
	if f.noFDs != nil {
		oob = nil
	}
	n, oobn, flags, _, err := f.conn.ReadMsgUnix(f.buf[f.end:], oob)
	if oobn > 0 {
		f.receive(f.oob[:oobn])
	}
	if err != nil {
		return err
	}
	if n <= 0 {
		return errGone
	}
	if flags&unix.MSG_CTRUNC != 0 && f.noFDs != nil {
		return f.noFDs
	}
	if flags&unix.MSG_CTRUNC != 0 || len(f.fds) > maxHeldFDs {
		return errors.New("too many file descriptors at once")
	}
	f.end += n
	return nil
}

// errGone says that the client has closed its end.
var errGone = errors.New("the client has closed the connection")

// receive takes over descriptors that came with the bytes.
func (f *frames) receive(oob []byte) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return
	}
	for i := range messages {
		if fds, err := unix.ParseUnixRights(&messages[i]); err == nil {
			f.fds = append(f.fds, fds...)
		}
	}
}

// closeFDs closes the first n descriptors that wait; all of them when there
// are fewer.
func (f *frames) closeFDs(n int) {
	n = min(n, len(f.fds))
	for _, fd := range f.fds[:n] {
		_ = unix.Close(fd)
	}
	f.fds = append(f.fds[:0], f.fds[n:]...)
}

// settle closes the descriptors of a message that has been dealt with, which has
// n of them, and those that no message has: they come with its first byte, so
// when nothing is pending whatever else is there is nobody's.
func (f *frames) settle(n int) {
	if len(f.fds) == 0 {
		return
	}
	if f.start == f.end {
		n = len(f.fds)
	}
	f.closeFDs(n)
}

// next returns the next message, whole; it is valid until the next call. An
// error other than errGone or one of the socket says what is wrong with it.
func (f *frames) next() ([]byte, error) {
	for {
		pending := f.pending()
		if len(pending) >= wire.FixedHeader {
			size, err := frameSize(pending, f.most)
			if err != nil && f.skips && size > 0 {
				return nil, f.skip(size)
			}
			if err != nil {
				return nil, err
			}
			if len(pending) >= size {
				f.consume(size)
				if f.hurried {
					f.hurried = false
					err = f.hurry(false)
				}
				return pending[:size:size], err
			}
		}
		if f.hurry != nil && !f.hurried && len(pending) > 0 {
			f.hurried = true
			if err := f.hurry(true); err != nil {
				return nil, err
			}
		}
		if err := f.read(); err != nil {
			return nil, err
		}
	}
}

// whole tells whether the next message is there.
func (f *frames) whole() bool {
	pending := f.pending()
	if len(pending) < wire.FixedHeader {
		return false
	}
	size, err := frameSize(pending, f.most)
	return err == nil && len(pending) >= size
}

// lend gives a connection what it reads with: that of one that has ended, if
// there is any. Most clients ask once, and go.
func (s *Server) lend(socket *net.UnixConn) *frames {
	if f, ok := s.frames.Get().(*frames); ok {
		f.conn = socket
		return f
	}
	return newFrames(socket)
}

// takeBack closes what a connection was sent and nobody has taken, and keeps its
// memory for the next one. It is called when its reader ends.
func (s *Server) takeBack(c *conn) {
	f := c.in
	f.closeFDs(len(f.fds))
	if len(f.buf) == firstBuffer {
		c.in = nil
		clear(f.buf)
		*f = frames{buf: f.buf, most: maxMessage, fds: f.fds[:0], oob: f.oob}
		s.frames.Put(f)
	}
}

// frameSize returns the length of a message of which the fixed part of the
// header is there; most bounds it. Of one that is larger the length comes with the
// error.
func frameSize(head []byte, most int) (int, error) {
	size, err := wire.Size(head)
	if err != nil {
		return 0, fmt.Errorf("cannot read a message: %w", err)
	}
	if size > most {
		return size, tooLarge(size, most)
	}
	return size, nil
}

func tooLarge(size, most int) error {
	return fmt.Errorf("a message has %d bytes, more than %d", size, most)
}
