// Package events holds what jobs react to: events with their ordered
// variables, the expressions of "start on" and "stop on", the conditions that
// remember which operands of an expression have come, the queue that takes an
// event from pending to finished, and the index that finds the conditions an
// event may concern.
//
// It does not know jobs, instances, processes or clocks. It is pure: no
// goroutine, no clock, no file, no map iteration, so that the same calls in
// the same order give the same results, byte for byte.
//
// # The life of an event
//
//	Emit -> pending -> (Next returns it) handling -> blockers 0 -> finished
//
// An event that is being handled is blocked by every condition operand that
// holds it and by every instance that it started or stopped; each block is
// counted in Event.Blockers and must be given back through Queue.Unblock.
// An event finishes only at zero, exactly once.
package events
