// Package session puts the parts together: the loop that owns the engine,
// the translation between the engine's words and the supervisor's, the
// runtime directory with its socket, lock and session file, and the order in
// which all of it begins and ends. Rules live in session/engine, processes in
// supervise, the wire in session/bus, files in session/conf; what is here
// only connects them.
//
// # Who runs where
//
//	loop goroutine     the engine, and nothing that can block
//	supervisor thread  fork, wait, kill; posts to the inbox
//	bus goroutines     one reader and one writer a connection
//	watcher goroutine  reads and parses job files; posts to the inbox
//	main goroutine     signals, the beginning and the end
package session
