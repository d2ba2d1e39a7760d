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

// greet writes what a bus wants to hear before a call: Hello first, and that
// signals are wanted, once they are.
func (c *Client) greet() error {
	if !c.overBus {
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

// driverCall writes a call of the bus itself, whose answer nobody looks at.
func (c *Client) driverCall(member string, args ...any) error {
	c.serial++
	return encodeCall(&c.out, Request{Destination: driverName, Path: driverPath, Interface: driverName, Member: member, Args: args}, c.serial)
}

// fromDaemon tells the daemon's signals from those of the bus.
func (c *Client) fromDaemon(msg *wire.Message) bool {
	return !c.overBus || msg.Sender != driverName
}
