// Package foresee answers what would happen: it lets a copy of the engine go
// on from where the live one is, in a world without processes, and tells what
// came of a question in order and with causes:
//
//	answer, err := foresee.Ask(cfg, engine.Snapshot(), now, question)
//
// The copy is the engine's own code on the engine's own state, so it knows
// every rule and cannot disagree with the live one. What it cannot know is
// what processes will do. That is assumed, and the answer says so: each can
// be executed, hooks exit 0 before main does anything, the main process of a
// task exits 0, that of a service runs on, readiness comes as it is declared,
// a signal that is to end a process does so at once, and nothing is left
// behind. A question may assume otherwise of a process. All of this takes no
// time: the clock moves only when nothing else can happen, to what the engine
// itself waits for. Of two processes the older one ends first; in the real
// world it may be the other.
//
// It is no part of package sim: that is a world of programs that misbehave,
// with a language for stories, for tests. The daemon carries this one, which
// begins in the middle of a session and is polite.
//
// Everything here is pure like the engine: no goroutine, clock, file or map
// iteration; the same question to the same snapshot gives the same answer,
// byte for byte. A World belongs to one goroutine.
package foresee
