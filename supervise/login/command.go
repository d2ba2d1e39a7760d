// Package login runs what a login is for, as a child in the login's own
// session, and starts a daemon that is no child of the login. It knows nothing
// of jobs or of sessions of ours, and holds nothing but the pid of its child.
package login

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// Command is a program that runs. It shares our terminal, session and process
// group.
type Command struct{ pid int }

// Start runs a program with our standard streams.
func Start(path string, argv, env []string) (*Command, error) {
	pid, err := syscall.ForkExec(path, argv, &syscall.ProcAttr{Env: env, Files: []uintptr{0, 1, 2}})
	if err != nil {
		return nil, fmt.Errorf("cannot execute %s: %w", path, err)
	}
	return &Command{pid}, nil
}

// Pid returns its pid.
func (c *Command) Pid() int { return c.pid }

// Signal sends it a signal. It must not be called once Wait has returned.
func (c *Command) Signal(s syscall.Signal) { _ = unix.Kill(c.pid, s) }

// Wait returns the status by which a shell would know its end: that of its
// exit, or 128 and the number of the signal.
func (c *Command) Wait() int { return wait(c.pid) }

func wait(pid int) int {
	for {
		var status syscall.WaitStatus
		switch _, err := syscall.Wait4(pid, &status, 0, nil); {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return 1
		case status.Signaled():
			return 128 + int(status.Signal())
		default:
			return status.ExitStatus()
		}
	}
}

// passed are the signals that a login passes on; typed are those that a
// terminal sends to all who are in the foreground anyway.
var (
	passed = [...]syscall.Signal{unix.SIGTERM, unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2, unix.SIGCONT}
	typed  = [...]syscall.Signal{unix.SIGINT, unix.SIGQUIT}
)

// Signals has the signals come in that are to be passed on, from now on. What
// the terminal sends to the whole group is taken, so that it does not end us:
// with a terminal it comes in aside, and is not to be passed on. A signal that
// was ignored is ignored by both.
func Signals(terminal bool) (signals, byTerminal <-chan os.Signal, stop func()) {
	in := make(chan os.Signal, 8)
	aside := make(chan os.Signal, 1)
	for _, s := range passed {
		if !signal.Ignored(s) {
			signal.Notify(in, s)
		}
	}
	for _, s := range typed {
		switch {
		case signal.Ignored(s):
		case terminal:
			signal.Notify(aside, s)
		default:
			signal.Notify(in, s)
		}
	}
	return in, aside, func() {
		signal.Stop(in)
		signal.Stop(aside)
	}
}
