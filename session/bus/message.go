package bus

import (
	"fmt"
	"sync"

	"github.com/session-init/session-init/session/wire"
)

// decode reads one message, to which some of the waiting descriptors may
// belong. The frame is the caller's again: the message is made of a copy. An
// error means that it is no valid message; after that the client cannot be
// trusted to send one. What the strings of its body hold is not looked at:
// see handle.
func decode(frame []byte, fds int) (wire.Message, error) {
	m, err := wire.Parse(string(frame))
	switch {
	case err != nil:
		return m, fmt.Errorf("cannot decode a message: %w", err)
	case uint64(m.FDs) > uint64(fds):
		return m, fmt.Errorf("a message has %d file descriptors, it says %d", fds, m.FDs)
	}
	return m, nil
}

// encoder makes messages, for any goroutine. Strings are mended, so that no
// byte of a job or a variable can cost a client its connection.
type encoder struct {
	mu  sync.Mutex
	out wire.Writer
}

// encode gives the bytes of a message, which nobody changes any more.
func (e *encoder) encode(h *wire.Header, body []any) ([]byte, error) {
	return e.add(nil, h, body)
}

// add appends the bytes of a message to others.
func (e *encoder) add(to []byte, h *wire.Header, body []any) ([]byte, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.out.Mend = true
	e.out.Reset(keepBuffer)
	if h.Kind != wire.MethodCall {
		h.Flags = wire.NoReplyExpected
	}
	e.out.Begin(h)
	e.out.Values(h.Signature, body)
	if err := e.out.End(); err != nil {
		return nil, err
	}
	return append(to, e.out.Bytes()...), nil
}
