package session

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/session-init/session-init/guard"
)

// sink takes the lines of the log from whoever has one, and writes them beside
// all that works: where standard error leads to may be a pipe that nobody
// reads, and the loop waits for nothing. What does not fit any more is lost,
// and counted.
type sink struct {
	out io.Writer

	mu      sync.Mutex
	changed sync.Cond // pending or written has
	pending []byte
	lost    int // lines, since the last that was taken
	// writing: the writer has taken something and not written it yet.
	writing bool
	closed  bool
}

// sinkSize bounds what waits to be written, in bytes.
const sinkSize = 1 << 20

// newSink starts to write to out; close ends it.
func newSink(out io.Writer, start *guard.Guard) *sink {
	s := &sink{out: out}
	s.changed.L = &s.mu
	start.Go("writer of the log", s.run)
	return s
}

// Write takes a line, or loses it; it never fails and never blocks, but after
// close, when it writes by itself.
func (s *sink) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return s.out.Write(line)
	case len(s.pending)+len(line) > sinkSize:
		s.lost++
	default:
		s.pending = append(s.pending, line...)
		s.changed.Broadcast()
	}
	return len(line), nil
}

func (s *sink) run() {
	var spare []byte
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		for len(s.pending) == 0 {
			if s.closed {
				return
			}
			s.changed.Wait()
		}
		text, lost := s.pending, s.lost
		s.pending, s.lost, s.writing = spare[:0], 0, true
		s.mu.Unlock()
		if lost > 0 {
			text = fmt.Appendf(text, "time=%s level=WARN msg=\"the log was not read in time: %d lines are lost\"\n",
				time.Now().Format("2006-01-02T15:04:05.000Z07:00"), lost)
		}
		// Nobody can be told that this failed.
		_, _ = s.out.Write(text)
		if cap(text) > 16<<10 {
			text = nil
		}
		spare = text
		s.mu.Lock()
		s.writing = false
		s.changed.Broadcast()
	}
}

// flush waits until all is written that was taken before, for as long as
// within.
func (s *sink) flush(within time.Duration) {
	over := false
	timer := time.AfterFunc(within, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		over = true
		s.changed.Broadcast()
	})
	defer timer.Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for (len(s.pending) > 0 || s.writing) && !over {
		s.changed.Wait()
	}
}

// close flushes, and writes what comes later at once.
func (s *sink) close(within time.Duration) {
	s.flush(within)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.changed.Broadcast()
}
