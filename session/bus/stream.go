package bus

import (
	"slices"
	"sync"
	"time"

	"github.com/session-init/session-init/session/wire"
)

const (
	// roundBytes is how much is announced before it goes to the clients
	// without waiting for their time, in bytes.
	roundBytes = 64 << 10
	// streamBytes bounds what is announced and in nobody's outbox, in bytes.
	streamBytes = 1 << 20
	// After a round to many clients there is none for restEach for each of
	// them, and restMost at most: what happens meanwhile goes out together.
	restEach = 200 * time.Microsecond
	restMost = 50 * time.Millisecond
)

// Signals go to every client, and a session that starts has ten thousand of
// them: with a hundred clients the handing out would be most of what the daemon
// does. So a signal is put, once, at the end of a stream that all share; a
// client's outbox gets what is new there in one piece, when it is about to get
// something else, as an answer, which no signal may come after that was before,
// or when it is the time for all.
//
//	signals --> stream --spread--> outboxes --> kernel
//
// To few clients that is when the engine has done what it was asked for, and its
// goroutine writes; see flush.go. For many there is a goroutine that goes round,
// the flusher: at once when it was quiet before, and then as often as costs
// little.

// stream is what is announced. Its lock is taken before that of an outbox.
type stream struct {
	mu sync.Mutex
	// fresh has whole messages, end to end, since the last time that all got
	// them. Bytes that are in it are never changed.
	fresh []byte
	// room is how many bytes the last ones had: the next will have about as many.
	room      int
	listeners []*conn // in the order in which they came
	asked     bool    // somebody will spread it
	due, full chan struct{}
	rounds    bool // there is a flusher
}

func newStream() stream {
	return stream{due: make(chan struct{}, 1), full: make(chan struct{}, 1)}
}

// rouse tells whoever waits at a channel; once is enough.
func rouse(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// listen lets a client hear what is announced from now on. It is called by who
// holds the server's lock, and so is unlisten.
func (s *Server) listen(c *conn) {
	st := &s.stream
	st.mu.Lock()
	defer st.mu.Unlock()
	c.listens, c.heard = true, len(st.fresh)
	st.listeners = append(st.listeners, c)
	if len(st.listeners) > flushClients && !st.rounds {
		st.rounds = true
		s.guard.GoIn(&s.workers, "bus, writing signals", s.goRound)
	}
}

// hears has a client hear what is announced, or not any more; what was before
// that it gets.
func (s *Server) hears(c *conn, wanted bool) {
	first := false
	s.mu.Lock()
	switch {
	case wanted == c.listens || !c.ready:
	case wanted:
		s.listen(c)
	default:
		first = s.unlisten(c)
	}
	s.mu.Unlock()
	if first {
		s.flushLater(c)
	}
}

// unlisten has a client hear nothing more once it has got what was announced;
// first: see outbox.push.
func (s *Server) unlisten(c *conn) (first bool) {
	st := &s.stream
	st.mu.Lock()
	defer st.mu.Unlock()
	first = c.hear(st.fresh)
	c.listens = false
	if i := slices.Index(st.listeners, c); i >= 0 {
		st.listeners = slices.Delete(st.listeners, i, i+1)
	}
	return first
}

// announce sends a signal to every client.
func (s *Server) announce(signal wire.Header, body ...any) {
	signal.Kind = wire.Signal
	signal.Serial = s.nextSerial()
	if s.append(signal, body) {
		s.backend.Read(s.flush)
	}
}

// append puts a signal into the stream; ask: flush is to be called.
func (s *Server) append(signal wire.Header, body []any) (ask bool) {
	st := &s.stream
	st.mu.Lock()
	defer st.mu.Unlock()
	if len(st.listeners) == 0 {
		return false
	}
	if st.fresh == nil && st.room > 0 {
		st.fresh = make([]byte, 0, st.room)
	}
	longer, err := s.encoder.add(st.fresh, &signal, body)
	if err != nil {
		s.log.Error("cannot encode a signal", "path", signal.Path, "signal", signal.Member, "error", err)
		return false
	}
	st.fresh = longer
	ask, st.asked = !st.asked, true
	switch {
	case len(st.fresh) >= streamBytes:
		s.spread(s.unwritten)
		return true
	case len(st.fresh) >= roundBytes:
		rouse(st.full)
	}
	return ask
}

// spreadToFew is called on the engine's goroutine, when it has come to a rest.
func (s *Server) spreadToFew() {
	st := &s.stream
	st.mu.Lock()
	defer st.mu.Unlock()
	switch {
	case !st.asked:
	case len(st.listeners) <= flushClients:
		s.spread(s.unwritten)
	default:
		rouse(st.due)
	}
}

// spread puts what was announced into every outbox; to is told of those whose
// flush is to be called. The stream's lock is held.
func (s *Server) spread(to func(*conn)) {
	st := &s.stream
	for _, c := range st.listeners {
		if c.hear(st.fresh) {
			to(c)
		}
		c.heard = 0
	}
	st.room = min(len(st.fresh)+len(st.fresh)/8, roundBytes)
	st.fresh, st.asked = nil, false
}

// hear puts what a client has not got of the stream into its outbox; first: see
// outbox.push. The stream's lock is held.
func (c *conn) hear(fresh []byte) (first bool) {
	if !c.listens || c.heard >= len(fresh) {
		return false
	}
	news := fresh[c.heard:len(fresh):len(fresh)]
	c.heard = len(fresh)
	return c.push(news)
}

// goRound is the flusher: it lives as long as the server.
func (s *Server) goRound() {
	st := &s.stream
	var list []*conn
	rest := time.NewTimer(0)
	defer rest.Stop()
	for {
		select {
		case <-st.due:
		case <-s.done:
			return
		}
		st.mu.Lock()
		select {
		case <-st.full: // it was about what goes out now
		default:
		}
		many := len(st.listeners)
		s.spread(func(c *conn) { list = append(list, c) })
		st.mu.Unlock()
		for _, c := range list {
			c.out.flush(c, 2*roundBytes)
		}
		clear(list)
		list = list[:0]
		rest.Reset(min(time.Duration(many)*restEach, restMost))
		select {
		case <-rest.C:
		case <-st.full:
		case <-s.done:
			return
		}
	}
}
