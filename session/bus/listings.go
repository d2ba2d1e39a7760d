package bus

import (
	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/engine"
)

const (
	// maxListed bounds a client's questions for processes that are not answered. On
	// a socket of ours more of them are not read before one is; from a bus, where
	// all clients have one reader, they are refused.
	maxListed = 256
	// maxListings bounds the instances whose processes are listed at a time: each
	// listing reads /proc on a goroutine, and where a process hangs, holds a
	// thread.
	maxListings = 64
)

// listings are the questions for the processes of instances, of all clients. They
// belong to the engine's goroutine. An instance is listed once at a time: who asks
// meanwhile gets the next list, with all who do, since that under way may be older
// than what the client has done before it asked.
//
//	asked --> next --begins--> now --listed--> answered
//	           ^ with others who ask
type listings struct {
	of map[subject]*listing
	// queue has those that wait until fewer are listed; running counts these.
	queue   []subject
	running int
}

// listing is of one instance, while somebody asks.
type listing struct {
	now, next []func([]engine.Stray) // now is nil while nothing is under way
	queued    bool
}

// list hands the processes of an instance to done, some time later. It is called
// on the engine's goroutine, and so is done.
func (s *Server) list(of subject, done func([]engine.Stray)) {
	ls := &s.listings
	if ls.of == nil {
		ls.of = make(map[subject]*listing)
	}
	l := ls.of[of]
	if l == nil {
		l = &listing{}
		ls.of[of] = l
	}
	l.next = append(l.next, done)
	if l.now == nil && !l.queued {
		l.queued = true
		ls.queue = append(ls.queue, of)
		s.listNext()
	}
}

// listNext begins with those that wait, as far as there is room.
func (s *Server) listNext() {
	ls := &s.listings
	for len(ls.queue) > 0 && ls.running < maxListings {
		of := ls.queue[0]
		if ls.queue = ls.queue[1:]; len(ls.queue) == 0 {
			ls.queue = nil
		}
		l := ls.of[of]
		l.now, l.next, l.queued = l.next, nil, false
		ls.running++
		s.backend.Processes(of.class, of.instance, func(list []engine.Stray) { s.listed(of, list) })
	}
}

// listed answers who has waited for a list.
func (s *Server) listed(of subject, list []engine.Stray) {
	ls := &s.listings
	l := ls.of[of]
	asked := l.now
	l.now = nil
	ls.running--
	if len(l.next) > 0 {
		l.queued = true
		ls.queue = append(ls.queue, of)
	} else {
		delete(ls.of, of)
	}
	for _, done := range asked {
		done(list)
	}
	s.listNext()
}

// getProcesses is the method GetProcesses.
func getProcesses(c *call) {
	conn := c.conn
	if conn.listing == nil {
		conn.listing = make(chan struct{}, maxListed)
	}
	listing := conn.listing
	select {
	case listing <- struct{}{}:
	default:
		if conn.link != nil {
			c.answer(nil, failf(api.ErrLimitsExceeded, "too many questions for processes wait for an answer: %d", maxListed))
			return
		}
		select {
		case listing <- struct{}{}:
		case <-conn.gone:
			return
		case <-c.server.done:
			return
		}
	}
	c.server.backend.Read(func(v engine.View) {
		defer c.recover()
		if gone := c.object.missing(v); gone != nil {
			<-listing
			c.reply(nil, gone)
			return
		}
		c.server.list(subject{c.object.job, c.object.instance}, func(list []engine.Stray) {
			defer c.recover()
			<-listing
			c.reply([]any{strays(list)}, nil)
		})
	})
}
