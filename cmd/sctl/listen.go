package main

import (
	"errors"

	"github.com/session-init/session-init/session/api"
)

// listen calls take with every signal of session-init, in order, until more
// says no. begin is called when the connection is there, before anything is
// taken from Listen itself, and again when another session-init has gone on
// where the last one was: what happened in between was not heard.
func (c *command) listen(take func(api.Signal), begin func() error, more func() bool) error {
	for {
		if err := c.connect(); err != nil {
			return err
		}
		stop := c.watch()
		c.client.OnSignal = take
		_, err := c.client.Call(c.ctx, api.ManagerPath, api.PeerInterface, "Ping")
		if err == nil {
			err = begin()
		}
		if err == nil {
			err = c.client.Listen(c.ctx, more)
		}
		stop()
		if !errors.Is(err, api.ErrDisconnected) {
			return err
		}
		c.client.Close()
		c.client = nil
	}
}
