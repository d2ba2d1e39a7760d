// Package api is what a program must know to talk to session-init over
// D-Bus: the names of objects, interfaces and errors, how job and instance
// names become object paths, and a small client for the private socket. It
// knows nothing of how the daemon works; the daemon's side is session/bus.
package api
