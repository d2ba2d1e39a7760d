// Package sink writes lines of a log beside all that works. Where standard error
// leads to may be a pipe that nobody reads, or a terminal that was stopped, and
// neither the daemon's loop nor the keeper waits for that. It knows nothing of
// what the lines say.
package sink

import (
	"io"
	"sync"
	"time"
)

// Sink takes lines from whoever has one. What does not fit any more is lost, and
// counted.
type Sink struct {
	out  io.Writer
	size int
	note func(lost int) string

	mu      sync.Mutex
	changed sync.Cond // pending or written has
	pending []byte
	lost    int // lines, since the last that was taken
	// writing: the writer has taken something and not written it yet.
	writing bool
	closed  bool
}

// New returns a sink that writes to out, on a goroutine that start starts, and
// of which at most size bytes wait to be written. note is the line that tells how
// many were lost. Close ends it.
func New(out io.Writer, size int, note func(lost int) string, start func(run func())) *Sink {
	s := &Sink{out: out, size: size, note: note}
	s.changed.L = &s.mu
	start(s.run)
	return s
}

// Write takes a line, or loses it; it never fails and never blocks, but after
// Close, when it writes by itself.
func (s *Sink) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return s.out.Write(line)
	case len(s.pending)+len(line) > s.size:
		s.lost++
	default:
		s.pending = append(s.pending, line...)
		s.changed.Broadcast()
	}
	return len(line), nil
}

func (s *Sink) run() {
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
			text = append(text, s.note(lost)...)
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

// Flush waits until all is written that was taken before, for as long as
// within, and reports whether it is.
func (s *Sink) Flush(within time.Duration) bool {
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
	return len(s.pending) == 0 && !s.writing
}

// Close flushes, and writes what comes later at once.
func (s *Sink) Close(within time.Duration) {
	s.Flush(within)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.changed.Broadcast()
}
