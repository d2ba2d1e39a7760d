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

// outbox is what waits to be written to one client: encoded messages, or
// several end to end, first in, first out; see flush.go for who writes them.
// push never blocks. The bytes of a message are never changed, so that
// connections can share them.
type outbox struct {
	limit int

	mu sync.Mutex
	// begin starts the writer, which most clients never need; nil: it was
	// started.
	begin func()
	// lead is to be written before the first message, and together with it.
	lead     []byte
	more     sync.Cond // something to write, or the end
	less     sync.Cond // something was written, or the end
	queue    [][]byte
	size     int  // of queue and of what the writer has
	held     bool // the queue is the engine's goroutine's to flush, not the writer's yet
	writing  bool // the writer has messages
	finished bool // nothing more is taken
	closed   bool // nothing more is written either
	batch    []byte
}

func newOutbox(limit int) *outbox {
	o := &outbox{limit: limit}
	o.more.L = &o.mu
	o.less.L = &o.mu
	return o
}

// push queues a message. ok is false when the client is too far behind to be
// worth keeping. After finish or close the message is dropped. first: the
// queue was empty and the writer idle; flush must be called some time later.
func (o *outbox) push(message []byte) (ok, first bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.finished || o.closed {
		return true, false
	}
	if o.size >= o.limit {
		return false, false
	}
	first = len(o.queue) == 0 && !o.writing
	o.takeLead()
	o.size += len(message) + messageCost
	o.queue = append(o.queue, message)
	o.held = o.held || first
	return true, first
}

// takeLead queues what leads. It needs the lock.
func (o *outbox) takeLead() {
	if o.lead != nil {
		o.size += len(o.lead) + messageCost
		o.queue = append(o.queue, o.lead)
		o.lead = nil
	}
}

// leads has the first message come after this.
func (o *outbox) leads(text []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lead = text
}

// pushLead queues what leads, if no message has taken it along; first: as with
// push.
func (o *outbox) pushLead() (first bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.lead == nil || o.finished || o.closed {
		return false
	}
	o.takeLead()
	o.held = true
	return true
}

// begins says how the writer is started when there is something for it; there may
// be already, which a flush before this could not hand to anybody.
func (o *outbox) begins(start func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.begin = start
	if len(o.queue) > 0 && !o.held {
		o.summon()
	}
}

// begun tells whether there is, or was, a writer. After close none begins.
func (o *outbox) begun() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.begin == nil
}

// summon has the writer come for the queue. It needs the lock.
func (o *outbox) summon() {
	if o.begin != nil {
		o.begin()
		o.begin = nil
	}
	o.more.Signal()
}

// kernel takes bytes, as many as it can at once.
type kernel interface{ writeNow([]byte) int }

// flush hands what is held to the kernel, if that is most bytes or less, and
// what it does not take to the writer. It does not block.
func (o *outbox) flush(to kernel, most int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.held || o.finished || o.closed {
		return
	}
	o.held = false
	data := 0
	for _, message := range o.queue {
		data += len(message)
	}
	if data <= most {
		o.hand(to, data)
		o.less.Broadcast()
	}
	if len(o.queue) > 0 {
		o.summon()
	}
}

// hand hands the queue, which has so many bytes, to the kernel: as one piece, but
// for what would take much memory to make one of.
func (o *outbox) hand(to kernel, data int) {
	switch {
	case len(o.queue) == 0:
	case len(o.queue) == 1:
		o.took(to.writeNow(o.queue[0]))
	case data > flushBytes:
		for len(o.queue) > 0 {
			next := len(o.queue[0])
			n := to.writeNow(o.queue[0])
			if o.took(n); n < next {
				return
			}
		}
	default:
		o.batch = o.batch[:0]
		for _, message := range o.queue {
			o.batch = append(o.batch, message...)
		}
		o.took(to.writeNow(o.batch))
	}
}

// took drops the first n bytes of the queue.
func (o *outbox) took(n int) {
	gone := 0
	for gone < len(o.queue) && n >= len(o.queue[gone]) {
		n -= len(o.queue[gone])
		o.size -= len(o.queue[gone]) + messageCost
		gone++
	}
	left := copy(o.queue, o.queue[gone:])
	clear(o.queue[left:])
	if o.queue = o.queue[:left]; left > 0 {
		o.queue[0] = o.queue[0][n:]
		o.size -= n
	}
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
	if len(o.queue) > 0 && !o.closed {
		o.summon()
	}
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
	o.writing = false
	for (len(o.queue) == 0 || o.held) && !o.finished && !o.closed {
		o.more.Wait()
	}
	taken := o.queue
	o.queue, o.writing = spare[:0], len(taken) > 0
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
