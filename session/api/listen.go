package api

import (
	"context"

	"github.com/session-init/session-init/session/wire"
)

// Listen calls OnSignal, which must be set, with every signal that arrives, in
// order, as long as more, asked before each is waited for, says so. The error
// is the cause of ctx's end, or that of the connection; the client cannot be
// used any more then. A call must have been made before: the server announces
// nothing to one who has not said hello.
func (c *Client) Listen(ctx context.Context, more func() bool) error {
	if c.broken != nil {
		return c.broken
	}
	if c.deaf {
		c.deaf = false
		c.out.Reset(keepBuffer)
		if err := c.sendSignals(true); err != nil {
			return err
		}
		if _, err := c.conn.Write(c.out.Bytes()); err != nil {
			return lost(err)
		}
	}
	stop := context.AfterFunc(ctx, func() { c.conn.Close() })
	defer stop()
	for more() {
		msg := &c.msg
		if err := readMessage(c.in, false, msg); err != nil {
			if c.broken = lost(err); ctx.Err() != nil {
				c.broken = context.Cause(ctx)
			}
			return c.broken
		}
		if msg.Kind == wire.Signal && c.fromDaemon(msg) {
			c.OnSignal(newSignal(msg))
		}
	}
	return nil
}
