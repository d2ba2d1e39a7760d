// Package session puts the parts together: the loop that owns the engine,
// the translation between the engine's words and the supervisor's, the
// runtime directory with its socket, lock and session file, the order in which
// all of it begins and ends, and how one daemon goes on where another was. Rules
// live in session/engine, processes in supervise, the wire in session/bus, files
// in session/conf, the form of the state in session/state; what is here only
// connects them.
//
// # Going on
//
// Each input is written to the state file before the engine takes it, and each
// process has a slot before it runs. A daemon that finds a state of this boot
// makes the engine anew from it, takes over the processes that the engine
// believes in, as the slots have them, and makes those that have none. One after
// a crash and one after a re-exec begin by the same code; the latter has its
// processes as children still. Callers of the daemon before are forgotten: their
// connections went with it.
//
// # Who runs where
//
//	supervisor thread  fork, wait, kill, trace; and the loop, which takes its
//	                   turn there: the engine, and nothing that can block
//	log goroutine      writes what is logged
//	bus goroutines     one reader and one writer a connection
//	watcher goroutine  reads and parses job files; posts to the inbox
//	keeper goroutine   reads who ended with the keeper; tells the supervisor
//	state goroutine    writes a new state file beside the old one, at times
//	main goroutine     signals, the beginning and the end
package session
