// Package bus speaks D-Bus to clients: it turns their method calls into
// inputs of the engine, and the engine's replies and announcements into
// messages. It knows no rule of jobs or events; what a call means is the
// engine's business.
//
// The private socket is a peer-to-peer server: no bus daemon, no names, no
// match rules. Each client that has said who it is (SASL EXTERNAL, checked
// against the credentials of its socket) gets every signal.
//
// # Order
//
//	client --> reader --Step, Read--> engine's goroutine --Reply, Notify--> outbox --flush, writer, or flusher--> client
//
// One goroutine for each connection decodes its messages in order and hands
// each to the backend before it looks at the next. Whatever goes to a client
// enters its one outbox in the engine's order: signals by way of a stream that
// all clients share, see stream.go, and no later than what follows them. So:
//
//   - calls of one client take effect in the order in which it made them,
//     and those that need no waiting are answered in that order;
//   - no reply overtakes a signal of something that happened before it;
//   - nothing is promised between two clients.
//
// # Bounds
//
// Nothing that a client does or omits reaches another, or the engine. A
// client that sends faster than the engine works is read more slowly. One
// that does not read loses its connection when its outbox is full; one that
// sends what is no D-Bus message loses it at once. Calls that wait are
// bounded for each connection.
package bus
