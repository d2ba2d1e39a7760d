package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/guard"
	"github.com/session-init/session-init/session/api"
)

// joinGrace is how long a login that was to be over by joinTime is waited for: it
// may hang where nothing can call it back, as in a file system.
const joinGrace = time.Second

// joining is a login that joins the daemon, on a goroutine of its own.
type joining struct {
	login loginRun
	said  bytes.Buffer // for standard error, when the wait is over
	err   error
}

// joinUnless joins the daemon, unless a signal comes that would end COMMAND: then
// it returns that. Ctrl-C on a terminal ends only the wait. early are signals that
// are COMMAND's, in their order.
func (l *loginRun) joinUnless(signals, typed <-chan os.Signal) (early []unix.Signal, end unix.Signal) {
	ctx, cancel := context.WithTimeout(context.Background(), joinTime)
	defer cancel()
	j := &joining{login: *l}
	j.login.stderr = &j.said
	// Who has joined hands the session over, or leaves it when nobody waits any more:
	// done is taken or over is closed, and in no instant both.
	done, over := make(chan struct{}), make(chan struct{})
	defer close(over)
	var start *guard.Guard
	start.Go("join the daemon", func() {
		j.err = j.login.join(ctx)
		select {
		case done <- struct{}{}:
		case <-over:
			j.login.leave()
			if j.login.client != nil {
				j.login.client.Close()
			}
		}
	})
	err := errors.New("cannot begin a login session: nothing answers")
	late := time.NewTimer(joinTime + joinGrace)
	defer late.Stop()
	for waiting := true; waiting; {
		select {
		case s := <-signals:
			switch s := s.(unix.Signal); s {
			case unix.SIGUSR1, unix.SIGUSR2, unix.SIGCONT:
				early = append(early, s)
			default:
				return nil, s
			}
			continue
		case <-typed:
			err = errors.New("cannot begin a login session: interrupted")
		case <-late.C:
		case <-done:
			_, _ = l.stderr.Write(j.said.Bytes())
			err, j.login.stderr = j.err, l.stderr
			*l = j.login
		}
		waiting = false
	}
	if err != nil {
		fmt.Fprintf(l.stderr, "session-init: %v: %s runs without it\n", err, l.parsed.command[0])
	}
	return early, 0
}

// join finds the daemon, or starts it, and begins a login session.
func (l *loginRun) join(ctx context.Context) error {
	if err := l.findBase(); err != nil {
		return err
	}
	own := filepath.Join(l.base, "session-init")
	l.address = api.UnixAddress(filepath.Join(own, "socket"))
	if err := os.Mkdir(own, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("cannot begin a login session: %w", err)
	}
	// Two logins at the same moment start one daemon. The lock goes with the file.
	turn, err := os.OpenFile(filepath.Join(own, "login.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("cannot begin a login session: %w", err)
	}
	defer turn.Close()
	lock := filepath.Join(own, "lock")
	pause := time.NewTicker(joinPause)
	defer pause.Stop()
	launched := 0
	var locked error // what was waited for last, if not the daemon itself
	for {
		err := l.open(ctx)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil && locked != nil:
			return locked
		case ctx.Err() != nil:
			return fmt.Errorf("cannot begin a login session: the daemon has not answered in time")
		}
		locked = nil
		if !l.held(lock) {
			switch busy := unix.Flock(int(turn.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
			case errors.Is(busy, unix.EWOULDBLOCK):
				locked = fmt.Errorf("cannot begin a login session: another login starts the daemon, and has %s locked", turn.Name())
				err = locked
			case busy != nil:
				return fmt.Errorf("cannot lock %s: %w", turn.Name(), busy)
			case !l.held(lock): // else another has started it meanwhile
				if err := l.launch(ctx); err != nil {
					return err
				}
				launched++
				if launched == 1 {
					// It is ready: nothing is to be waited for, unless it has gone again.
					_ = unix.Flock(int(turn.Fd()), unix.LOCK_UN)
					continue
				}
			}
			// Who is stopped, or waits, is in nobody's way.
			_ = unix.Flock(int(turn.Fd()), unix.LOCK_UN)
		}
		// There is a daemon that begins, or that ends.
		select {
		case <-pause.C:
		case <-ctx.Done():
			return err
		}
	}
}
