package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/session-init/session-init/guard"
	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/display"
)

// A login whose COMMAND is a desktop begins its session by itself, as "sctl
// session begin" in the desktop's start-up file would: for the sake of desktops
// that have no such file, and of people who have not written in it.
//
// The display is the one that COMMAND, or a process below it, listens for; or
// the X server that was there before COMMAND, as a display manager and startx
// have it, unless another session has it. What a program has that was started
// in it, a variable with the desktop's socket for instance, is taken along.

const (
	// settleTime is how long a display that answers is left to its start-up
	// file, which knows more variables than can be seen from outside.
	settleTime = time.Second
	// listenTries is how often somebody is looked for who listens on a socket
	// that has come, joinPause apart.
	listenTries = 100
)

// interactive reports whether a command is a shell in which somebody types: a
// display that he starts there is none of this login, and its end is not the
// end of the login.
func interactive(command []string) bool {
	name := strings.TrimPrefix(filepath.Base(command[0]), "-")
	if !slices.Contains([]string{"sh", "bash", "dash", "zsh", "fish", "ksh", "mksh", "tcsh", "csh", "ash", "yash", "nu", "tmux", "screen"}, name) {
		return false
	}
	return !slices.ContainsFunc(command[1:], func(arg string) bool {
		return !strings.HasPrefix(arg, "-") || !strings.HasPrefix(arg, "--") && strings.Contains(arg, "c")
	})
}

// beginAlone waits until the display of the command answers, and begins the
// session, if nobody has until then. It returns when that is done, cannot be
// done, or the login is over.
func (l *loginRun) beginAlone(pid int, over <-chan struct{}) {
	if interactive(l.parsed.command) {
		return
	}
	watch, err := display.WatchSockets(l.base)
	if err == nil {
		if name := l.awaitDisplay(watch, pid, over); name != "" {
			err = l.begin(name, display.InUse(name, api.SessionVariable+"="+l.address, api.LoginVariable+"="+strconv.Itoa(int(l.id))))
		}
	}
	if err != nil {
		fmt.Fprintf(l.stderr, "session-init: the session does not begin by itself: %v\n", err)
	}
}

// awaitDisplay returns the display of the command when that has had settleTime
// from then on; empty when the login was over before. It closes the watch.
func (l *loginRun) awaitDisplay(watch *display.Watch, pid int, over <-chan struct{}) (name string) {
	came := make(chan struct{}, 1)
	var start *guard.Guard
	start.Go("watch for the command's display", func() {
		for watch.Next() == nil {
			select {
			case came <- struct{}{}:
			default:
			}
		}
	})
	defer watch.Close()
	settled, again := time.NewTimer(settleTime), time.NewTimer(joinPause)
	defer settled.Stop()
	defer again.Stop()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	tries := listenTries
	for {
		made, silent := watch.Made(ctx, pid)
		// The X server of a compositor comes before its own socket, or after.
		if made != "" && (name == "" || display.LocalX(name)) && made != name {
			name = made
			settled.Reset(settleTime)
		}
		if silent && tries > 0 {
			tries--
			again.Reset(joinPause)
		}
		select {
		case <-over:
			return ""
		case <-came:
			tries = listenTries
		case <-again.C:
		case <-settled.C:
			if name == "" {
				name = l.inherited()
			}
			if name != "" {
				return name
			}
		}
	}
}

// inherited is the X server that was there before the command; empty for none.
// One on another machine is that of an ssh, which is no desktop; a compositor
// that was there before is the one in whose window the command opens its own.
func (l *loginRun) inherited() string {
	lookup := func(key string) string { return lookup(l.environ, key) }
	if name, err := display.Name(lookup); err == nil && display.LocalX(name) {
		return name
	}
	return ""
}

// begin gives the login session a display, unless it has one, or the display is
// another session's.
func (l *loginRun) begin(name string, inUse []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), joinTime)
	defer cancel()
	// The other connection waits for the end.
	client, err := api.Dial(ctx, l.address)
	if err != nil {
		return err
	}
	defer client.Close()
	body, err := client.Call(ctx, api.ManagerPath, api.ManagerExtension, "ListSessions")
	if err != nil {
		return err
	}
	sessions, _ := body[0].([]any)
	for _, entry := range sessions {
		session, _ := entry.(map[string]any)
		id, _ := session["id"].(uint32)
		state, _ := session["state"].(string)
		has, _ := session["display"].(string)
		if has == name || id == l.id && state != "opened" {
			return nil
		}
	}
	var env []string
	for _, entry := range append(slices.Clone(l.layer), inUse...) {
		// What the login had of another display is none of this one's.
		if key, _, _ := strings.Cut(entry, "="); key != "WAYLAND_DISPLAY" && (key != "DISPLAY" || !display.LocalX(name) && slices.Contains(inUse, entry)) {
			env = append(env, entry)
		}
	}
	env = unique(append(env, display.Variable(name)))
	body, err = client.Call(ctx, api.ManagerPath, api.ManagerExtension, "BeginSession", l.id, env)
	if err != nil {
		return err
	}
	if note, _ := body[1].(string); note != "" {
		fmt.Fprintf(l.stderr, "session-init: %s\n", note)
	}
	return nil
}
