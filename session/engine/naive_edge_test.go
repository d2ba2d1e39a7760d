package engine_test

import (
	"slices"
	"time"

	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
)

// The naive model of what is known of main from outside: readiness, the
// watchdog, and the sockets that start a job.

// nEdge is what an instance has of it.
type nEdge struct {
	watch    time.Duration // how long main may be silent
	watching bool          // the deadline is the watchdog's
	silent   bool          // main is made to end by it
	shot     bool          // and has got KILL
	leaving  bool          // main said that it ends by itself
}

// nSockets are those of a class.
type nSockets struct {
	shut, faulty bool
	since        time.Duration
	count        int
}

// upstart: a main that is not ready in time is taken as it is, as Upstart would
// have waited for it; not so with what Upstart does not know.
func upstart(def *job.Class) bool {
	return slices.Contains([]job.Expect{job.ExpectNone, job.ExpectStop, job.ExpectDaemon, job.ExpectFork}, def.Expect)
}

func (in *nInstance) up() bool {
	return slices.Contains([]string{"post-start", "running", "pre-stop"}, in.state)
}

// guard lets the interval of the watchdog begin anew.
func (n *naive) guard(in *nInstance) {
	if in.watch > 0 && !in.silent && !in.leaving && in.up() && in.procs[job.Main] != 0 && (in.due == 0 || in.watching) {
		n.setDue(in, in.watch)
		in.watching = true
	}
}

func (in *nInstance) unguard() {
	if in.watching {
		in.due, in.watching = 0, false
	}
}

// bark is the end of the interval, or of the time after the signal.
func (n *naive) bark(in *nInstance) {
	def := in.class.def
	if !in.silent {
		in.silent = true
		n.kill(in, def.WatchdogSignal)
		if def.KillTimeout > 0 && def.WatchdogSignal != 9 {
			n.setDue(in, def.KillTimeout)
			in.watching = true
			return
		}
	}
	in.shot = true
	n.kill(in, 9)
	n.setDue(in, time.Second)
	in.watching = true
}

// notified is what a job says of itself.
func (n *naive) notified(msg engine.Notified) {
	n.hear(msg.Proc, func(in *nInstance, kind job.ProcessKind, waits bool) {
		if kind != job.Main {
			return
		}
		if msg.Stopping {
			in.leaving = true
			in.unguard()
		}
		if msg.Ready && waits && in.class.def.Expect == job.ExpectNotify {
			n.advance(in)
		}
		if msg.HasInterval && msg.Interval != in.watch {
			in.watch = msg.Interval
			in.unguard()
			n.guard(in)
		}
		switch {
		case msg.Trigger && in.up() && in.procs[job.Main] != 0 && !in.silent && (in.due == 0 || in.watching):
			n.bark(in)
		case msg.Alive && !msg.Trigger:
			n.guard(in)
		}
	})
}

// outside takes the inputs that this file is about.
func (n *naive) outside(in engine.Input) {
	switch msg := in.(type) {
	case engine.Notified:
		n.notified(msg)
	case engine.Ready:
		n.hear(msg.Proc, func(in *nInstance, _ job.ProcessKind, waits bool) {
			if waits && !upstart(in.class.def) {
				n.advance(in)
			}
		})
	case engine.ListenAgain:
		for _, c := range n.classes {
			c.listenAgain()
		}
	case engine.Listening:
		if c := n.class(msg.Class); c != nil {
			c.sockets.faulty = len(msg.Faults) > 0 && len(n.listens(c)) > 0
		}
	case engine.Connection:
		if c := n.class(msg.Class); c != nil {
			n.connected(c, msg.Address)
		}
	}
}

func (n *naive) listens(c *nClass) []job.Socket {
	return job.Sockets(c.def.StartOn, n.cfg.Daemon.Get)
}

// connected is a connection at a socket of a job, which counts while no
// instance of it is there.
func (n *naive) connected(c *nClass, address string) {
	if len(c.instances) > 0 || c.sockets.shut {
		return
	}
	for _, s := range n.listens(c) {
		if s.Address() != address {
			continue
		}
		k := &c.sockets
		if k.count++; k.count == 1 || n.now-k.since >= c.def.RespawnInterval {
			k.since, k.count = n.now, 1
		}
		if k.shut = c.def.RespawnLimit > 0 && k.count > c.def.RespawnLimit; !k.shut {
			n.emit("socket", s.Env, nil)
		}
		return
	}
}

// serveNobody shuts the sockets of a job that a connection names no instance of.
func (n *naive) serveNobody(c *nClass, names []string) {
	if slices.Contains(names, job.SocketEvent) && len(c.instances) == 0 && !c.sockets.shut && len(n.listens(c)) > 0 {
		c.sockets.shut, c.sockets.count = true, 0
	}
}

func (c *nClass) listenAgain() {
	if c.sockets.shut || c.sockets.faulty {
		c.sockets.shut, c.sockets.count = false, 0
	}
}
