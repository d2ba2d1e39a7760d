package bus

import (
	"strings"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/wire"
)

// On a bus one connection carries the calls of all, and a bus passes on what is
// larger than we take. What somebody has sent must not cost the others theirs: of
// such a message the header is read, the rest is dropped as it comes, and its
// sender is answered. A client of the private socket loses a connection that is
// its own.

// maxHeader is the largest header of such a message that is looked at, in bytes;
// who sends a larger one gets no answer.
const maxHeader = 64 << 10

// oversize is a message that was not taken; of head only the number of descriptors
// is known if it was too large itself.
type oversize struct {
	head wire.Header
	size int
	most int
}

func (o *oversize) Error() string { return tooLarge(o.size, o.most).Error() }

// skip reads a message of which the fixed part is there, and keeps its header
// alone. The error is an oversize, or one of the socket.
func (f *frames) skip(size int) error {
	o := &oversize{size: size, most: f.most}
	head, err := wire.HeaderSize(f.pending())
	if err != nil {
		return err
	}
	// They come with the first byte, and all that is pending is of this message.
	o.head.FDs = uint32(len(f.fds))
	if head <= maxHeader {
		for len(f.pending()) < head {
			if err := f.read(); err != nil {
				return err
			}
		}
		if o.head, err = wire.ParseHeader(string(f.pending()[:head])); err != nil {
			return err
		}
	}
	for size > 0 {
		if f.start == f.end {
			if err := f.read(); err != nil {
				return err
			}
		}
		n := min(size, len(f.pending()))
		f.consume(n)
		size -= n
	}
	return o
}

// refuseLarge answers a call that was not taken, and those of ours whose answer
// was not. On the reader's goroutine.
func (l *link) refuseLarge(o *oversize) {
	l.server.log.Debug("a message on the "+l.remote.opts.bus()+" is not read: "+o.Error(), "sender", o.head.Sender)
	switch o.head.Kind {
	case wire.MethodCall:
		g := l.guests[o.head.Sender]
		if g == nil {
			g = l.stranger(strings.Clone(o.head.Sender))
		}
		l.refuse(g, wire.Message{Header: o.head}, failf(api.ErrLimitsExceeded, "cannot call %s: %s", o.head.Member, o.Error()))
	case wire.MethodReply, wire.Error:
		answer := wire.Message{Header: o.head}
		answer.Kind, answer.ErrorName, answer.Signature = wire.Error, api.ErrLimitsExceeded, ""
		l.answered(&answer)
	}
}
