package bus

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/wire"
)

const (
	// maxGuests bounds those who call us over a bus, at a time.
	maxGuests = maxConnections
	// maxRules bounds the guests with a match rule of their own: buses let a
	// connection have so many, 512 if nobody says otherwise. With more of them
	// one rule is for all, and tells of whoever leaves the bus.
	maxRules = 200
	// maxHeldFiles bounds the descriptors that came with these.
	maxHeldFiles = 64
	// maxHeldCalls bounds the calls that wait until it is known who makes them.
	maxHeldCalls = 4096
)

// guest is a connection to the bus that has called us. To the rest of the server
// it is a client as any other, whose messages go out on the link.
type guest struct {
	conn *conn
	// known: it was asked of the bus who it is; denied says why it may not call,
	// nil when it may.
	known  bool
	denied *failure
	held   []heldCall // what it has called meanwhile
	rule   bool       // it has a match rule of its own
}

// heldCall is a call, and what came with it: ours to close.
type heldCall struct {
	wire.Message
	fds []int
}

// hold keeps a call until it is known who has made it.
func (l *link) hold(g *guest, m wire.Message, fds []int) *failure {
	switch {
	case l.held >= maxHeldCalls:
		return failf(api.ErrLimitsExceeded, "too many calls wait to be looked at: %d", maxHeldCalls)
	case l.heldFiles+len(fds) > maxHeldFiles:
		return failf(api.ErrLimitsExceeded, "too many descriptors came with calls that wait to be looked at: %d", l.heldFiles+len(fds))
	}
	call := heldCall{Message: m}
	for _, fd := range fds {
		copied, err := copyFD(fd)
		if err != nil {
			closeAll(call.fds)
			return failf(api.ErrFailed, "cannot keep a descriptor: %v", err)
		}
		call.fds = append(call.fds, copied)
	}
	g.held = append(g.held, call)
	l.held++
	l.heldFiles += len(fds)
	return nil
}

// letGo gives back the room of calls that are held no more.
func (l *link) letGo(calls []heldCall) {
	l.held -= len(calls)
	for _, call := range calls {
		l.heldFiles -= len(call.fds)
		closeAll(call.fds)
	}
}

func copyFD(fd int) (int, error) { return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0) }

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}

// called takes a call of a guest. Who calls is asked of the bus at the first one
// and then known until it leaves: that it does is watched from before it is
// asked for, so that none is kept that has left already.
func (l *link) called(m wire.Message, fds []int) {
	g := l.guests[m.Sender]
	if g == nil {
		name := strings.Clone(m.Sender)
		g = l.stranger(name)
		if len(l.guests) >= maxGuests {
			g.known, g.denied = true, failf(api.ErrLimitsExceeded, "too many clients on the bus: %d", maxGuests)
		} else {
			l.guests[name] = g
			l.watchGuest(name, g)
			l.conn.send(l.call("GetConnectionCredentials", "s", func(m *wire.Message) { l.meet(name, m) }, name))
		}
	}
	switch {
	case !g.known:
		if fail := l.hold(g, m, fds); fail != nil {
			l.refuse(g, m, fail)
		}
	case g.denied != nil:
		l.refuse(g, m, g.denied)
	default:
		l.server.handle(g.conn, m, fds)
	}
}

// stranger is a connection to the bus of which nothing is known yet.
func (l *link) stranger(name string) *guest {
	return &guest{conn: &conn{server: l.server, link: l, name: name, waiting: map[engine.CallID]struct{}{}}}
}

func (l *link) refuse(g *guest, m wire.Message, fail *failure) {
	if m.Flags&wire.NoReplyExpected == 0 {
		l.server.sendError(g.conn, m.Serial, fail)
	}
}

// meet takes the answer to who a guest is, and the calls that waited for it.
func (l *link) meet(name string, m *wire.Message) {
	g := l.guests[name]
	if g == nil {
		return
	}
	if m.Kind == wire.Error && m.ErrorName == errNoOwner {
		l.part(name)
		return
	}
	who, err := l.credentials(m)
	g.known = true
	g.conn.pid, g.conn.uid = who.pid, who.uid
	g.conn.restricted = restriction(l.server.own, who.pid, who.uid, who.pidfd)
	switch {
	case err != nil:
		g.denied = failf(api.ErrPermissionDenied, "cannot tell whose process calls: %v", err)
	case l.remote.opts.System && who.uid != 0:
		// Everybody may look, as on the read-only socket.
		g.conn.public, g.conn.restricted = true, elsewhereSystemBus
	case l.remote.opts.System:
	case int(who.uid) != os.Getuid():
		g.denied = failf(api.ErrPermissionDenied, "this session is that of user %d: user %d may not call it", os.Getuid(), who.uid)
		l.server.log.Warn("client of another user refused", "uid", who.uid, "on", "the session bus")
	}
	held := g.held
	g.held = nil
	for _, call := range held {
		l.called(call.Message, call.fds)
	}
	l.letGo(held)
}

// part forgets a guest that has left the bus.
func (l *link) part(name string) {
	g := l.guests[name]
	delete(l.guests, name)
	l.letGo(g.held)
	l.unwatchGuest(name, g)
	l.server.remove(g.conn)
}

// anyLeaves is the rule for all.
const anyLeaves = "type='signal',sender='" + driver + "',interface='" + driver + "',member='NameOwnerChanged',arg2=''"

// watchGuest has the bus tell us when a guest leaves it.
func (l *link) watchGuest(name string, g *guest) {
	switch {
	case l.rules < maxRules:
		g.rule = true
		l.rules++
		l.watch(name)
	case !l.rulesAll:
		l.rulesAll = true
		l.conn.send(l.call("AddMatch", "s", nil, anyLeaves))
	}
}

func (l *link) unwatchGuest(name string, g *guest) {
	if g.rule {
		l.rules--
		l.unwatch(name)
	}
	if l.rulesAll && len(l.guests) <= l.rules {
		l.rulesAll = false
		l.conn.send(l.call("RemoveMatch", "s", nil, anyLeaves))
	}
}
