package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/session-init/session-init/session/api"
)

const (
	// firstPause is how long is waited before the third connection, should the
	// first two be lost soon; it is doubled for each further one, up to lastPause.
	// The second comes at once.
	firstPause = 50 * time.Millisecond
	lastPause  = time.Second
	// lastedWell is how long a connection must have been there for the pauses to
	// begin anew.
	lastedWell = 5 * time.Second
	// maxUnheard is how many connections in a row may be lost before session-init
	// has said a word on one.
	maxUnheard = 10
)

// listen calls take with every signal of session-init, in order, until more
// says no. begin is called when the connection is there, before anything is
// taken from Listen itself, and again when another session-init has gone on
// where the last one was: what happened in between was not heard. One that
// accepts connections and answers on none is given up.
func (c *command) listen(take func(api.Signal), begin func() error, more func() bool) error {
	var pause time.Duration
	for unheard := 0; ; {
		if err := c.connect(); err != nil {
			return err
		}
		began := time.Now()
		stop := c.watch()
		c.client.OnSignal = take
		_, err := c.client.Call(c.ctx, api.ManagerPath, api.PeerInterface, "Ping")
		unheard++
		if err == nil {
			unheard = 0
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
		if unheard == maxUnheard {
			return &noDaemonError{fmt.Sprintf("session-init closed %d connections in a row and never answered", unheard)}
		}
		if time.Since(began) > lastedWell {
			pause = 0
		}
		if err := c.rest(pause); err != nil {
			return err
		}
		pause = min(max(2*pause, firstPause), lastPause)
	}
}

// rest lets time pass, unless the command is given up meanwhile.
func (c *command) rest(d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-c.ctx.Done():
		return context.Cause(c.ctx)
	}
}
