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

// inbox is the loop's one queue. Posting never blocks, so that neither the
// supervisor's thread nor a reader of the bus ever waits for the loop; what
// bounds it is that each sender waits for answers (readers of the bus) or has
// a finite world to tell of (processes, files).
type inbox struct {
	mu    sync.Mutex
	queue []message
	spare []message
	wake  chan struct{}
}

func newInbox() *inbox { return &inbox{wake: make(chan struct{}, 1)} }

// post adds messages in order.
func (b *inbox) post(messages ...message) {
	b.mu.Lock()
	b.queue = append(b.queue, messages...)
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// take returns all that was posted since, in order. It is valid until the
// next take.
func (b *inbox) take() []message {
	b.mu.Lock()
	defer b.mu.Unlock()
	taken := b.queue
	b.queue = b.spare[:0]
	b.spare = taken
	return taken
}
