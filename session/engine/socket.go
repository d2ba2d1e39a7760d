package engine

import (
	"fmt"
	"slices"
	"time"

	"github.com/session-init/session-init/session/job"
)

// Sockets that the daemon holds for a job: "start on socket PROTO=…". They are
// there as long as the definition is; a connection is looked for while the job
// is at rest, and nobody looks while it is not. Then the event "socket" is
// emitted, and what it does is up to the conditions. A job that is started like
// that again and again, and leaves the connection where it is, comes to the
// limit that respawning has: then its sockets are shut, until somebody starts it
// by other means, or all job files are read again.

// SocketFault is why there is no socket at an address.
type SocketFault struct{ Address, Reason string }

// sockets are those of a class.
type sockets struct {
	list   []job.Socket
	faults []SocketFault
	// shut: the class was started too often, or with a count of 0 cannot be; since
	// is when the window of its limit opened, count the starts in it.
	shut  bool
	since time.Duration
	count int
}

// SavedSockets is what a snapshot has of them: the list comes of the
// definition.
type SavedSockets struct {
	Faults []SocketFault
	Shut   bool
	Since  time.Duration
	Count  int
}

func (s *sockets) save() *SavedSockets {
	if s == nil {
		return nil
	}
	return &SavedSockets{s.faults, s.shut, s.since, s.count}
}

func (s *sockets) restore(saved *SavedSockets) {
	if s != nil && saved != nil {
		s.faults, s.shut, s.since, s.count = saved.Faults, saved.Shut, saved.Since, saved.Count
	}
}

// lookupDaemon gives the variables that can stand in the address of a socket:
// those that the daemon began with.
func (e *Engine) lookupDaemon(key string) (string, bool) {
	if value, ok := e.firstTable.Get(key); ok {
		return value, true
	}
	return e.cfg.Daemon.Get(key)
}

// startVariables is the environment of an operand of a start condition, by the
// event that it is for.
func (e *Engine) startVariables(event string) func(string) (string, bool) {
	if event == job.SocketEvent {
		return e.lookupDaemon
	}
	return noVariables
}

// indexVariables is that of a whole start condition, for the index, which finds
// what may match.
func (e *Engine) indexVariables(def *job.Class) func(string) (string, bool) {
	if len(job.Sockets(def.StartOn, e.lookupDaemon)) > 0 {
		return e.lookupDaemon
	}
	return noVariables
}

// openSockets has the sockets of a definition that came into force.
func (e *Engine) openSockets(c *class) {
	had := c.sockets != nil
	c.sockets = nil
	if list := job.Sockets(c.def.StartOn, e.lookupDaemon); len(list) > 0 {
		c.sockets = &sockets{list: list}
		e.do(Listen{Class: c.def.Name, Sockets: list})
		e.awaitConnection(c)
	} else if had {
		e.do(Listen{Class: c.def.Name})
	}
}

// awaitConnection asks for the next connection, if there is a job at rest to
// be started by it.
func (e *Engine) awaitConnection(c *class) {
	if s := c.sockets; s != nil && !s.shut && c.first == nil && !e.ending.begun {
		e.do(AwaitConnection{Class: c.def.Name})
	}
}

// listenAgain opens the sockets that are shut, or could not be opened.
func (e *Engine) listenAgain(c *class) {
	s := c.sockets
	if s == nil || !s.shut && len(s.faults) == 0 {
		return
	}
	s.shut, s.count = false, 0
	e.do(Listen{Class: c.def.Name, Sockets: s.list})
	e.awaitConnection(c)
}

// listening takes how it went with the sockets of a class.
func (e *Engine) listening(msg Listening) {
	c := e.classes[msg.Class]
	if c == nil || c.sockets == nil {
		return
	}
	for _, fault := range msg.Faults {
		if !slices.Contains(c.sockets.faults, fault) {
			e.do(Log{Level: Warn, Class: c.def.Name, Msg: fmt.Sprintf("%s: cannot listen on %s: %s", c.def.Name, fault.Address, fault.Reason)})
		}
	}
	c.sockets.faults = msg.Faults
}

// connection takes that somebody waits at a socket.
func (e *Engine) connection(msg Connection) {
	c := e.classes[msg.Class]
	if c == nil || c.sockets == nil || c.sockets.shut || c.first != nil || e.ending.begun {
		// When the job is at rest again, it is asked for again.
		return
	}
	s := c.sockets
	at := slices.IndexFunc(s.list, func(one job.Socket) bool { return one.Address() == msg.Address })
	switch {
	case at < 0:
		e.awaitConnection(c)
	case e.mayStartBySocket(c):
		e.newEvent(job.SocketEvent, s.list[at].Env)
	default:
		s.shut = true
		e.do(Log{Level: Warn, Class: c.def.Name, Msg: fmt.Sprintf("%s: started more than %d times in %s by connections: its sockets are shut until it is started by hand or all job files are read again",
			c.def.Name, c.def.RespawnLimit, c.def.RespawnInterval)})
		e.do(Listen{Class: c.def.Name})
	}
}

// serveNobody shuts the sockets of a job that a connection cannot start, as it does
// not name an instance: who is refused knows more than who waits for ever.
func (e *Engine) serveNobody(c *class, by []string) {
	s := c.sockets
	if s == nil || s.shut || c.first != nil || !slices.Contains(by, job.SocketEvent) {
		return
	}
	s.shut, s.count = true, 0
	e.do(Log{Level: Warn, Class: c.def.Name, Msg: c.def.Name + ": its sockets are shut until it is started by hand or all job files are read again"})
	e.do(Listen{Class: c.def.Name})
}

// mayStartBySocket counts a start and reports whether the limit still holds,
// as mayRespawn does with deaths.
func (e *Engine) mayStartBySocket(c *class) bool {
	s, def := c.sockets, c.def
	if def.RespawnLimit == 0 {
		return true
	}
	if s.count > 0 && e.now-s.since < def.RespawnInterval {
		s.count++
	} else {
		s.since, s.count = e.now, 1
	}
	return s.count <= def.RespawnLimit
}

// Sockets returns what is to be done about the sockets of all classes after a
// restore, where the effects of an earlier daemon are known to nobody.
func (e *Engine) Sockets() []Effect {
	for _, c := range e.order {
		if s := c.sockets; s != nil && !s.shut {
			e.do(Listen{Class: c.def.Name, Sockets: s.list})
			e.awaitConnection(c)
		}
	}
	return e.given()
}

// SocketWhy is a socket that is held for a class. Fault says why there is
// none.
type SocketWhy struct{ Address, Fault string }

// sockets tells of the sockets of a class.
func (c *class) tellSockets() (out []SocketWhy) {
	if c.sockets == nil {
		return nil
	}
	for _, s := range c.sockets.list {
		why := SocketWhy{Address: s.Address()}
		if at := slices.IndexFunc(c.sockets.faults, func(f SocketFault) bool { return f.Address == why.Address }); at >= 0 {
			why.Fault = "cannot listen: " + c.sockets.faults[at].Reason
		}
		switch {
		case c.sockets.shut && c.sockets.count == 0:
			why.Fault = "shut: a connection does not say which instance to start"
		case c.sockets.shut:
			why.Fault = "shut: the job was started too often by connections"
		}
		out = append(out, why)
	}
	return out
}

// Process tells which instance a process is of.
func (v View) Process(id ProcID) (class, instance string, ok bool) {
	in, _ := v.e.locate(id)
	if in == nil {
		return "", "", false
	}
	return in.class.def.Name, in.name, true
}
