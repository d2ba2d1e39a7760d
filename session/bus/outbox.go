package bus

import (
	"net"
	"sync"
)

const (
	// outboxLimit bounds what waits to be written to one client, in bytes.
	// One message is always taken while less waits, however large it is.
	outboxLimit = 32 << 20
	// messageCost is counted for each waiting message beside its bytes: a
	// signal's bytes are shared by all clients, but its place in the queue
	// is not.
	messageCost = 64
	// writeChunk is how much is handed to the kernel at a time, in bytes.
	writeChunk = 256 << 10
)

// outbox is what waits to be written to one client: encoded messages, first
// in, first out. push never blocks. The bytes of a message are never changed,
// so that connections can share them.
type outbox struct {
	limit int

	mu       sync.Mutex
	more     sync.Cond // something to write, or the end
	less     sync.Cond // something was written, or the end
	queue    [][]byte
	size     int  // of queue and of what the writer holds
	finished bool // nothing more is taken
	closed   bool // nothing more is written either
}

func newOutbox(limit int) *outbox {
	o := &outbox{limit: limit}
	o.more.L = &o.mu
	o.less.L = &o.mu
	return o
}

// push queues a message. It reports false when the client is too far behind
// to be worth keeping. After finish or close the message is dropped.
func (o *outbox) push(message []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.finished || o.closed {
		return true
	}
	if o.size >= o.limit {
		return false
	}
	o.size += len(message) + messageCost
	o.queue = append(o.queue, message)
	if len(o.queue) == 1 {
		o.more.Signal()
	}
	return true
}

// waitBelow blocks while size bytes or more wait, until the end.
func (o *outbox) waitBelow(size int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.size >= size && !o.finished && !o.closed {
		o.less.Wait()
	}
}

// finish lets the writer end when everything has been written.
func (o *outbox) finish() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.finished = true
	o.more.Broadcast()
	o.less.Broadcast()
}

// close lets the writer end now.
func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.queue = nil
	o.more.Broadcast()
	o.less.Broadcast()
}

// take gives the writer all that waits; nothing at the end. spare is reused.
func (o *outbox) take(spare [][]byte) [][]byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.queue) == 0 && !o.finished && !o.closed {
		o.more.Wait()
	}
	taken := o.queue
	o.queue = spare[:0]
	return taken
}

// written gives back the room of what was written, in bytes.
func (o *outbox) written(size int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.size -= size
	o.less.Broadcast()
}

// drain writes everything to conn until the outbox ends or writing fails.
func (o *outbox) drain(conn *net.UnixConn) error {
	var spare [][]byte
	for {
		batch := o.take(spare)
		if len(batch) == 0 {
			return nil
		}
		spare = batch
		if cap(spare) > 1024 {
			spare = nil // a burst must not be paid for ever after
		}
		for len(batch) > 0 {
			count, size := 0, 0
			for count < len(batch) && (count == 0 || size+len(batch[count]) <= writeChunk) {
				size += len(batch[count])
				count++
			}
			chunk := net.Buffers(batch[:count])
			if _, err := chunk.WriteTo(conn); err != nil {
				return err
			}
			batch = batch[count:]
			o.written(size + count*messageCost)
		}
	}
}
