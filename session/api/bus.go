package api

import (
	"context"

	"github.com/session-init/session-init/session/wire"
)

// The bus itself, and what it answers when nobody has the name that is called.
const (
	driverName = "org.freedesktop.DBus"
	driverPath = "/org/freedesktop/DBus"

	ErrServiceUnknown = "org.freedesktop.DBus.Error.ServiceUnknown"
	ErrNameHasNoOwner = "org.freedesktop.DBus.Error.NameHasNoOwner"
)

// DialBus connects to a message bus as Dial does, for calls of the daemon that
// has its name there. Whether there is one shows with the first call: it is not
// started for it.
func DialBus(ctx context.Context, address string) (*Client, error) {
	c, err := Dial(ctx, address)
	if err == nil {
		c.overBus = true
	}
	return c, err
}

// greet writes what is to be heard before a call. A bus wants Hello first, and
// that signals are wanted, once they are; a daemon, that they are not, since each
// wakes who waits for an answer.
func (c *Client) greet() error {
	if !c.overBus {
		if wanted := c.OnSignal != nil; wanted == c.deaf {
			c.deaf = !wanted
			return c.sendSignals(wanted)
		}
		return nil
	}
	if !c.greeted {
		c.greeted = true
		if err := c.driverCall("Hello"); err != nil {
			return err
		}
	}
	if c.OnSignal != nil && !c.matches {
		c.matches = true
		return c.driverCall("AddMatch", "type='signal',sender='"+BusName+"'")
	}
	return nil
}

// sendSignals writes a call that gets no answer, also of a daemon that does not
// know it.
func (c *Client) sendSignals(wanted bool) error {
	c.serial++
	return encodeCall(&c.out, Request{Path: ManagerPath, Interface: ManagerExtension, Member: "SendSignals", Args: []any{wanted},
		unanswered: true}, c.serial)
}

// driverCall writes a call of the bus itself, whose answer nobody looks at.
func (c *Client) driverCall(member string, args ...any) error {
	c.serial++
	return encodeCall(&c.out, Request{Destination: driverName, Path: driverPath, Interface: driverName, Member: member, Args: args}, c.serial)
}

// fromDaemon tells the daemon's signals from those of the bus.
func (c *Client) fromDaemon(msg *wire.Message) bool {
	return !c.overBus || msg.Sender != driverName
}
