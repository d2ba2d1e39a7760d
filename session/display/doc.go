// Package display knows the displays of login sessions from outside: which
// one a set of variables names, a connection to it that lasts as long as the
// display does, and how the session bus is told of the variables. What follows
// from the end of a display is decided by the engine; nothing here has a
// goroutine of its own.
//
// # What a display is
//
// The compositor, or the X server, by the socket that its clients connect to.
// A connection says more than a process: whatever forks, executes or is
// replaced, it is the one who listens that has ended when the connection does;
// see unix(7). Under Wayland a client that asks for nothing may stay for ever.
// An X server sends away who has not set up his connection within a minute, as
// soon as another one comes: so that is done, with the cookie of Xauthority(5).
package display
