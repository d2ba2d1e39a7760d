// Package guard starts the goroutines of the daemon. A panic in one of them
// is told to whoever made the Guard, with the place and the stack, before it
// ends the program: so the daemon can say what happened and be executed anew.
// It decides nothing, and nothing goes on after a panic with what may be half
// done.
//
// What it cannot see: what Go itself ends the program for (a map that two
// goroutines write, memory that runs out), and a goroutine that was started
// with a bare go statement, which is why the rules of the architecture ban that.
package guard

import (
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// Fault is a panic.
type Fault struct {
	Where string // which goroutine, such as "reader of a client"
	Value any
	Stack []byte
}

// Error gives the sentence, without the stack.
func (f Fault) Error() string { return fmt.Sprintf("panic in the %s: %v", f.Where, f.Value) }

// Guard starts goroutines. A nil one does too, and a panic ends the program as
// it would without.
type Guard struct {
	fault func(Fault)
	told  atomic.Bool
}

// New returns a Guard that tells of a panic by calling fault on the goroutine
// that it happened in, after the deferred calls there, and for the first panic
// only. Locks may still be held. When fault returns, the panic goes on and ends
// the program.
func New(fault func(Fault)) *Guard { return &Guard{fault: fault} }

// Go calls f on a goroutine of its own.
func (g *Guard) Go(where string, f func()) { go g.Do(where, f) }

// GoIn is Go, and wg counts the goroutine.
func (g *Guard) GoIn(wg *sync.WaitGroup, where string, f func()) {
	wg.Add(1)
	g.Go(where, func() {
		defer wg.Done()
		f()
	})
}

// Do calls f on this goroutine.
func (g *Guard) Do(where string, f func()) {
	defer g.Catch(where)
	f()
}

// Catch is deferred, by itself, and tells of a panic. What was deferred before
// is called after it.
func (g *Guard) Catch(where string) {
	if g == nil {
		return
	}
	if v := recover(); v != nil {
		if g.told.CompareAndSwap(false, true) {
			g.fault(Fault{where, v, debug.Stack()})
		}
		panic(v)
	}
}
