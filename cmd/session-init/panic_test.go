package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/session-init/session-init/session/api"
)

// A panic on any goroutine is the end of the daemon: the keeper starts the
// next, or it executes itself anew, and nothing else notices.
func TestPanics(t *testing.T) {
	for _, c := range []struct{ point, where string }{
		{"after-journal", "supervisor"}, // in the loop
		{"after-step", "supervisor"},
		{"before-clone", "supervisor"}, // beside it
		{"reporting", "supervisor"},
		{"applying", "watcher of job files"},
		{"bus-accepting", "bus, where clients come in"},
		{"bus-reading", "reader of a client"},
		{"bus-writing", "writer of a client"},
	} {
		for _, kept := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, keeper %t", c.point, kept), func(t *testing.T) {
				t.Parallel()
				r := newFaultyRig(t)
				want := "the daemon died (exit status 2), starting it again"
				if !kept {
					r.args = append(r.args, "--no-keeper")
					want = "the daemon executes itself anew: its jobs run on"
				}
				r.life(func() {
					switch c.point {
					case "applying":
					case "bus-writing":
						r.arm(c.point, "panic 1")
						r.until("a writer", func() bool {
							r.askMuch()
							return !r.isArmed(c.point)
						})
						return
					default:
						r.arm(c.point, "panic 2")
						return
					}
					r.arm(c.point, "panic 1")
					r.job("new", "exec sleep 600")
					// Who still talks to the one that dies is cut off.
					r.until("the next daemon", func() bool {
						return !r.isArmed(c.point) && strings.Count(r.stderr.String(), " is ready") >= 2
					})
				})
				for _, want := range []string{"session-init: panic in the " + c.where + ": fail point " + c.point, want} {
					if r.isArmed(c.point) || !strings.Contains(r.stderr.String(), want) {
						t.Errorf("the log does not say %q:\n%s", want, r.stderr)
					}
				}
			})
		}
	}
}

// askMuch asks for more than the kernel takes at once, for which a client has a
// writer. Whether it is answered does not matter.
func (r *rig) askMuch() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	client, err := api.Dial(ctx, r.address)
	if err != nil {
		return
	}
	defer client.Close()
	much := slices.Repeat([]api.Request{{Path: api.ManagerPath, Interface: "org.freedesktop.DBus.Introspectable", Member: "Introspect"}}, 200)
	_, _ = client.CallAll(ctx, much)
}

// The same without a keeper: the daemon counts its own ends.
func TestPanicOfStateAlone(t *testing.T) {
	r := newFaultyRig(t)
	r.args = append(r.args, "--no-keeper")
	r.job("svc", "exec sleep 600")
	r.start()
	r.ok("start", "svc")
	svc := r.main("svc")
	r.arm("resuming", "panic-always")
	r.arm("after-step", "panic 1")
	r.command("sctl", "emit", "ev")
	r.until("a daemon that is ready", func() bool { return strings.Count(r.stderr.String(), " is ready") == 2 })
	r.logged("cannot go on where the last daemon was: 3 daemons died with this state")
	r.becomes(fmt.Sprintf("svc running (start), process %d\n", svc), "svc")
	if status := r.end(); status != 0 {
		t.Errorf("the daemon's status is %d", status)
	}
}

// A state of which each daemon dies is given up, not tried for ever: what
// runs lives on.
func TestPanicOfState(t *testing.T) {
	r := newFaultyRig(t)
	r.job("svc", "exec sleep 600")
	r.start()
	r.ok("start", "svc")
	svc := r.main("svc")
	r.arm("resuming", "panic-always")
	r.crash()
	r.until("a daemon that is ready", func() bool { return strings.Count(r.stderr.String(), " is ready") == 2 })
	if tried := strings.Count(r.stderr.String(), "panic: fail point resuming"); tried != 3 {
		t.Errorf("%d daemons died of the state; want 3", tried)
	}
	r.logged("cannot go on where the last daemon was: 3 daemons died with this state")
	r.becomes(fmt.Sprintf("svc running (start), process %d\n", svc), "svc")
	r.prints("svc waiting (stop)\n", "stop", "svc")
	r.prints("svc running (start), process PID\n", "start", "svc")
	if status := r.end(); status != 0 {
		t.Errorf("the keeper's status is %d", status)
	}
}
