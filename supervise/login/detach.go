package login

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A daemon that a login starts is nobody's child, so that it lives on when the
// login ends, and is in a session of its own, so that no terminal and no end
// of the login's session concerns it. In between there is a process that makes
// it and ends:
//
//	login ─ detaching ─ keeper ─ daemon
//
// Two variables of the environment tell the program which of them it is. The
// keeper gets the end of a pipe, and says there when the daemon is ready.
const (
	detachVariable = "SESSION_INIT_DETACH"
	tellVariable   = "SESSION_INIT_TELL"
	tellFD         = 3
)

// Launch starts a daemon: the program, with log for its standard streams. It
// returns when that is ready, or says that it has ended before, or that it was
// not ready when ctx was done: then it goes on.
func Launch(ctx context.Context, path string, argv, env []string, log *os.File) error {
	ready, tell, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ready.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		tell.Close()
		return err
	}
	defer null.Close()
	pid, err := syscall.ForkExec(path, argv, &syscall.ProcAttr{
		Env: append(without(env), detachVariable+"=1"), Files: []uintptr{null.Fd(), log.Fd(), log.Fd(), tell.Fd()}})
	tell.Close()
	if err != nil {
		return fmt.Errorf("cannot execute %s: %w", path, err)
	}
	if status := wait(pid); status != 0 {
		return fmt.Errorf("its start failed with status %d", status)
	}
	defer context.AfterFunc(ctx, func() { _ = ready.SetReadDeadline(time.Unix(1, 0)) })()
	var word [1]byte
	switch _, err := io.ReadFull(ready, word[:]); {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("it was not ready in time")
	case err != nil:
		return fmt.Errorf("it ended before it was ready")
	}
	return nil
}

// Detaching reports whether this is the process in between.
func Detaching(env []string) bool { return value(env, detachVariable) != "" }

// Detach starts the program as the keeper and returns at once.
func Detach(path string, argv, env []string) error {
	_, err := syscall.ForkExec(path, argv, &syscall.ProcAttr{
		Env: append(without(env), tellVariable+"="+strconv.Itoa(tellFD)), Files: []uintptr{0, 1, 2, tellFD},
		Sys: &syscall.SysProcAttr{Setsid: true}})
	return err
}

// Told takes over what the keeper is to say that the daemon is ready to, nil
// for nobody, and returns the environment without our variables.
func Told(env []string) (tell *os.File, rest []string) {
	if value(env, tellVariable) == strconv.Itoa(tellFD) {
		syscall.CloseOnExec(tellFD)
		tell = os.NewFile(tellFD, "tell")
	}
	return tell, without(env)
}

func value(env []string, name string) string {
	for _, entry := range env {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

// without copies an environment, but for our variables.
func without(env []string) []string {
	out := make([]string, 0, len(env)+1)
	for _, entry := range env {
		if !strings.HasPrefix(entry, detachVariable+"=") && !strings.HasPrefix(entry, tellVariable+"=") {
			out = append(out, entry)
		}
	}
	return out
}
