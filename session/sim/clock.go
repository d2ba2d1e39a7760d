package sim

import (
	"container/heap"
	"time"
)

// chore is something that a process does at a time of its own.
type chore struct {
	at   time.Duration
	seq  uint64 // of two at the same time, the older one first
	proc *Process
	do   func(w *World, p *Process)
}

// agenda holds chores, the next one first. A chore of a process that has
// ended is passed over.
type agenda struct {
	heap []chore
	seq  uint64
}

func (a *agenda) Len() int { return len(a.heap) }
func (a *agenda) Less(i, k int) bool {
	if a.heap[i].at != a.heap[k].at {
		return a.heap[i].at < a.heap[k].at
	}
	return a.heap[i].seq < a.heap[k].seq
}
func (a *agenda) Swap(i, k int) { a.heap[i], a.heap[k] = a.heap[k], a.heap[i] }
func (a *agenda) Push(x any)    { a.heap = append(a.heap, x.(chore)) }
func (a *agenda) Pop() any {
	last := a.heap[len(a.heap)-1]
	a.heap[len(a.heap)-1] = chore{}
	a.heap = a.heap[:len(a.heap)-1]
	return last
}

func (a *agenda) add(at time.Duration, p *Process, do func(w *World, p *Process)) {
	a.seq++
	heap.Push(a, chore{at: at, seq: a.seq, proc: p, do: do})
}

// next returns the time of the next chore that still counts.
func (a *agenda) next() (time.Duration, bool) {
	for len(a.heap) > 0 && a.heap[0].proc.ended {
		heap.Pop(a)
	}
	if len(a.heap) == 0 {
		return 0, false
	}
	return a.heap[0].at, true
}

// due returns a chore whose time has come, and takes it out.
func (a *agenda) due(now time.Duration) (chore, bool) {
	if at, ok := a.next(); !ok || at > now {
		return chore{}, false
	}
	return heap.Pop(a).(chore), true
}

// Now returns the time in the world, from 0.
func (w *World) Now() time.Duration { return w.now }

// Advance lets time pass. Whatever falls due on the way happens at its own
// time, in order.
func (w *World) Advance(d time.Duration) {
	end := w.now + d
	for {
		at, ok := w.next()
		if !ok || at > end {
			break
		}
		if at > w.now {
			w.now = at
		}
		if !w.settle() {
			// It would go on for ever at this one instant; in the
			// real world time passes meanwhile.
			if w.now+circleTime > end {
				break
			}
			w.now += circleTime
		}
	}
	w.now = end
	w.settle()
}

// circleTime is how long it takes in this world when jobs without processes
// start each other in a circle, and the engine stops for breath a few times.
const circleTime = 250 * time.Millisecond

// next returns the time at which something is due, for the engine or a
// process.
func (w *World) next() (time.Duration, bool) {
	at, ok := w.agenda.next()
	if deadline, has := w.Engine.NextDeadline(); has && (!ok || deadline < at) {
		return deadline, true
	}
	return at, ok
}
