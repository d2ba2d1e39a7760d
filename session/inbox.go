package session

import (
	"sync"

	"github.com/session-init/session-init/session/engine"
)

// message is one thing for the loop: an input for the engine, or a call to
// make between two steps.
type message struct {
	input engine.Input
	call  func(engine.View)
}

// keptMessages is for how many messages memory is kept when there are none.
const keptMessages = 1024

// inbox is the loop's one queue. Posting never blocks, so that neither the
// supervisor nor a reader of the bus ever waits for the loop; what bounds it is
// that each sender waits for answers (readers of the bus) or has a finite world
// to tell of (processes, files).
type inbox struct {
	mu    sync.Mutex
	queue []message
	taken int // of the queue
}

// post adds messages in order.
func (b *inbox) post(messages ...message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queue = append(b.queue, messages...)
}

// take returns the next messages, up to some number, in order, and tells
// whether there are more. They are valid until the next take.
func (b *inbox) take(most int) (next []message, more bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.taken == len(b.queue) && cap(b.queue) > keptMessages:
		b.queue, b.taken = nil, 0
	case b.taken == len(b.queue) || b.taken > keptMessages:
		left := copy(b.queue, b.queue[b.taken:])
		clear(b.queue[left:])
		b.queue, b.taken = b.queue[:left], 0
	}
	next = b.queue[b.taken:]
	if len(next) > most {
		next = next[:most]
	}
	b.taken += len(next)
	return next, b.taken < len(b.queue)
}
