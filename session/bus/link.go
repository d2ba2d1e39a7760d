package bus

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/wire"
)

// The bus itself, on the bus.
const (
	driver       = "org.freedesktop.DBus"
	errNoOwner   = driver + ".Error.NameHasNoOwner"
	ownerChanged = "type='signal',sender='" + driver + "',interface='" + driver + "',member='NameOwnerChanged',arg0='"
)

// What RequestName answers.
const (
	namePrimary = 1
	nameInQueue = 2
)

// link is one connection to a bus. Its reader is the remote's goroutine, which
// owns everything that is not said to be another's. What it sends goes through
// the outbox of its conn, as with any client; so do the signals.
type link struct {
	remote  *Remote
	server  *Server
	conn    *conn
	address string
	unique  string         // our name there
	bus     *events.Caller // the bus, when it hands its services over; see activate.go
	early   []wire.Message // came before the answers of the beginning
	large   []*oversize    // likewise, and were not taken
	guests  map[string]*guest
	held    int // calls of guests that are not known yet
	// heldFiles counts the descriptors of these.
	heldFiles int
	// rules counts the guests with a rule of their own; rulesAll: there is one
	// for the others.
	rules    int
	rulesAll bool
	// told is what clients had told when it was joined.
	told string

	mu    sync.Mutex
	calls map[uint32]func(*wire.Message) // what to do with answers, by serial
	// asking are who wants to know of all owners; see Owners.
	asking []func([]NameOwner)
}

// dial joins the bus at an address.
func (r *Remote) dial(address string) (*link, error) {
	sockets, err := api.ParseAddress(address)
	if err != nil {
		return nil, err
	}
	var first error
	for _, socket := range sockets {
		l, err := r.dialSocket(address, socket)
		if err == nil {
			return l, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

func (r *Remote) dialSocket(address, socket string) (*link, error) {
	var dialer net.Dialer
	one, err := dialer.DialContext(r.ctx, "unix", socket)
	if err != nil {
		var broken *net.OpError
		var call *os.SyscallError
		if errors.As(err, &broken) {
			err = broken.Err // the address stands before it
		}
		if errors.As(err, &call) {
			err = call.Err
		}
		return nil, err
	}
	l := &link{remote: r, server: r.server, address: address,
		guests: map[string]*guest{}, calls: map[uint32]func(*wire.Message){}}
	l.conn = newConn(r.server, one.(*net.UnixConn), 0)
	l.conn.in.skips = true
	if err := l.begin(); err != nil {
		l.conn.in.closeFDs(2 * maxHeldFDs)
		_ = one.Close()
		return nil, err
	}
	return l, nil
}

// joinable reports whether it is worth to try again soon: something is there.
func joinable(err error) bool {
	var all *noBus
	if !errors.As(err, &all) {
		return false
	}
	for _, one := range all.tried {
		if !errors.Is(one, fs.ErrNotExist) {
			return true
		}
	}
	return false
}

// begin says who we are, and asks for our names. The client's side of the
// exchange in sasl.go: all of it in one write, as nothing depends on the
// answers but whether we go on.
//
//	us                           bus
//	NUL AUTH EXTERNAL <hex uid>  OK <guid>
//	NEGOTIATE_UNIX_FD            AGREE_UNIX_FD, or ERROR
//	BEGIN
//	Hello, RequestName ...       answers, and what else there is
func (l *link) begin() error {
	c := l.conn
	if err := c.socket.SetDeadline(time.Now().Add(saslTime)); err != nil {
		return err
	}
	stop := context.AfterFunc(l.remote.ctx, func() { _ = c.socket.SetDeadline(past()) })
	defer stop()
	uid := hex.EncodeToString([]byte(strconv.Itoa(os.Getuid())))
	if _, err := c.socket.Write([]byte("\x00AUTH " + saslMechanism + " " + uid + "\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n")); err != nil {
		return err
	}
	for i := range 2 {
		line, err := l.line()
		if err != nil {
			return err
		}
		if i == 0 && !strings.HasPrefix(line, "OK") {
			return fmt.Errorf("%w: it answered %.40q", errNoAnswer, line)
		}
	}
	missing := 1 + len(l.remote.opts.Names)
	var failed error
	first := l.call("Hello", "", func(m *wire.Message) {
		missing--
		if m.Kind == wire.Error || m.Signature != "s" {
			failed = fmt.Errorf("%w: %s", errNoAnswer, errorText(m))
			return
		}
		l.unique = strings.Clone(m.Text(0))
	})
	for _, name := range l.remote.opts.Names {
		first = append(first, l.call("RequestName", "su", func(m *wire.Message) {
			missing--
			l.requested(name, m)
		}, name, uint32(0))...)
	}
	if _, err := c.socket.Write(first); err != nil {
		return err
	}
	for missing > 0 {
		m, _, err := l.next()
		var large *oversize
		if errors.As(err, &large) {
			l.large = append(l.large, large)
			c.in.settle(int(large.head.FDs))
			continue
		}
		if err != nil {
			return err
		}
		if !l.answered(&m) {
			l.early = append(l.early, m)
		}
		if failed != nil {
			return failed
		}
		c.in.settle(int(m.FDs))
	}
	if err := c.setDeadline(time.Time{}); err != nil {
		return err
	}
	return l.server.enter(c)
}

// line reads a line of the exchange.
func (l *link) line() (string, error) {
	in := l.conn.in
	for {
		if line, _, found := strings.Cut(string(in.pending()), "\r\n"); found {
			in.consume(len(line) + 2)
			return line, nil
		}
		if len(in.pending()) > saslLineLimit {
			return "", errNoAnswer
		}
		if err := in.read(); err != nil {
			return "", err
		}
	}
}

// next reads a message.
func (l *link) next() (wire.Message, int, error) {
	frame, err := l.conn.in.next()
	if err != nil {
		return wire.Message{}, 0, err
	}
	m, err := decode(frame, len(l.conn.in.fds))
	return m, len(frame), err
}

// serve takes what comes, until the bus is lost; the error says how.
func (l *link) serve() error {
	c := l.conn
	for _, m := range l.early {
		l.take(m, nil) // what came with it is closed
	}
	for _, large := range l.large {
		l.refuseLarge(large)
	}
	l.early, l.large = nil, nil
	// Who listens there is not known to us.
	l.server.backend.Read(func(v engine.View) { l.server.watch(c, nil, v) })
	var err error
	for {
		var m wire.Message
		var size int
		m, size, err = l.next()
		var large *oversize
		switch {
		case errors.As(err, &large):
			l.refuseLarge(large)
			m.FDs, err = large.head.FDs, nil
		case err == nil:
			l.take(m, c.in.fds[:m.FDs])
		}
		if err != nil {
			break
		}
		c.in.settle(int(m.FDs))
		if !c.pace(size) {
			err = errGone
			break
		}
	}
	c.shut()
	c.in.closeFDs(2 * maxHeldFDs)
	for _, name := range slices.Sorted(maps.Keys(l.guests)) {
		l.letGo(l.guests[name].held)
		l.server.remove(l.guests[name].conn)
	}
	if reason := c.dropped.Load(); reason != nil {
		return errors.New(*reason)
	}
	if isDisconnect(err) {
		return errors.New("it has closed the connection")
	}
	return err
}

// take takes one message, with what came with it.
func (l *link) take(m wire.Message, fds []int) {
	switch m.Kind {
	case wire.MethodCall:
		l.called(m, fds)
	case wire.MethodReply, wire.Error:
		l.answered(&m)
	case wire.Signal:
		// A bus lets nobody else send in its name.
		switch {
		case m.Sender != driver:
		case m.Interface == driver:
			l.announced(&m)
		case m.Interface == activatorInterface:
			l.activate(&m)
		}
	}
}

// announced takes a signal of the bus.
func (l *link) announced(m *wire.Message) {
	switch {
	case m.Member == "NameOwnerChanged" && m.Signature == "sss":
		name, owner := m.Text(0), strings.Clone(m.Text(2))
		if l.guests[name] != nil && owner == "" {
			l.part(name)
		}
		ids := l.remote.awaits(name)
		switch {
		case len(ids) == 0:
		case owner == "":
			l.tell(ids, name, Owner{Absent: nobodyOwns(name)})
		default:
			l.ask(strings.Clone(name), owner, ids)
		}
	case m.Signature != "s" || !slices.Contains(l.remote.opts.Names, m.Text(0)):
	case m.Member == "NameAcquired":
		l.server.log.Info("has the name " + m.Text(0) + " on the " + l.remote.opts.bus())
	case m.Member == "NameLost":
		l.server.log.Warn("lost the name " + m.Text(0) + " on the " + l.remote.opts.bus() + ": clients reach us on the private socket as before")
	}
}

func nobodyOwns(name string) string { return "nobody owns the bus name " + name }

// requested takes the answer to RequestName. A name that another has is
// ours as soon as that one lets go of it.
func (l *link) requested(name string, m *wire.Message) {
	const stays = "; the private socket serves as before"
	switch {
	case m.Kind == wire.Error:
		l.server.log.Warn("cannot take the name " + name + " on the " + l.remote.opts.bus() + ": " + errorText(m) + stays)
	case m.Signature != "u" || m.Value(0) != uint32(nameInQueue):
	default:
		l.conn.send(l.call("GetConnectionUnixProcessID", "s", func(m *wire.Message) {
			who := "another"
			if m.Kind == wire.MethodReply && m.Signature == "u" {
				who = processText(int(m.Value(0).(uint32)))
			}
			l.server.log.Warn("cannot take the name " + name + " on the " + l.remote.opts.bus() + ": " + who + " has it; it becomes ours when that lets go of it" + stays)
		}, name))
	}
}

// processText gives "process 123 (x)".
func processText(pid int) string {
	text := "process " + strconv.Itoa(pid)
	if stat, err := readSome("/proc/"+strconv.Itoa(pid)+"/stat", 4096); err == nil {
		command, _ := parseStat(stat)
		text += " (" + command + ")"
	}
	return text
}

func errorText(m *wire.Message) string {
	if strings.HasPrefix(m.Signature, "s") {
		return m.Text(0)
	}
	return m.ErrorName
}

// call makes a call of the bus itself; then takes the answer, on the reader's
// goroutine. nil: none is wanted.
func (l *link) call(member, sig string, then func(*wire.Message), args ...any) []byte {
	h := wire.Header{Kind: wire.MethodCall, Destination: driver, Path: busPath, Interface: driver, Member: member, Signature: sig,
		Serial: l.server.nextSerial()}
	if then == nil {
		h.Flags = wire.NoReplyExpected
	} else {
		l.mu.Lock()
		l.calls[h.Serial] = then
		l.mu.Unlock()
	}
	message, err := l.server.encoder.encode(&h, args)
	if err != nil {
		// The arguments are names that were checked.
		l.server.log.Error("cannot encode a call of the bus", "member", member, "error", err)
	}
	return message
}

// answered takes an answer to a call of ours; false when it is none. All our
// calls are of the bus itself: on one whose policy lets clients answer what they
// were not asked, another must not tell us whose a connection is.
func (l *link) answered(m *wire.Message) bool {
	if m.Kind != wire.MethodReply && m.Kind != wire.Error {
		return false
	}
	if m.Sender != driver {
		return true
	}
	l.mu.Lock()
	then := l.calls[m.ReplyTo]
	delete(l.calls, m.ReplyTo)
	l.mu.Unlock()
	if then != nil {
		then(m)
	}
	return true
}

// watch and unwatch say whether changes of a name's owner are of interest.
func (l *link) watch(name string) {
	l.conn.send(l.call("AddMatch", "s", nil, ownerChanged+name+"'"))
}

func (l *link) unwatch(name string) {
	l.conn.send(l.call("RemoveMatch", "s", nil, ownerChanged+name+"'"))
}

// ask finds out which process a connection is, and tells those who await the
// name of it. The connection may be named by the name.
func (l *link) ask(name, connection string, ids []uint64) {
	l.conn.send(l.call("GetConnectionCredentials", "s", func(m *wire.Message) {
		who, err := l.credentials(m)
		switch {
		case m.Kind == wire.Error && m.ErrorName == errNoOwner:
			l.tell(ids, name, Owner{Absent: nobodyOwns(name)})
		case err != nil:
			l.tell(ids, name, Owner{Absent: "cannot tell who owns the bus name " + name + ": " + err.Error()})
		case who.pid == 0:
			l.tell(ids, name, Owner{Absent: "the bus does not say which process owns the bus name " + name})
		default:
			l.tell(ids, name, Owner{Pid: who.pid, Pidfd: who.pidfd})
		}
	}, connection))
}

// tell tells those who await a name of its owner, whose descriptor stays ours:
// each gets one of its own.
func (l *link) tell(ids []uint64, name string, owner Owner) {
	pidfd := owner.Pidfd
	for _, id := range ids {
		owner.Pidfd = -1
		if owner.Absent == "" && pidfd >= 0 {
			if fd, err := unix.FcntlInt(uintptr(pidfd), unix.F_DUPFD_CLOEXEC, 0); err == nil {
				owner.Pidfd = fd
			}
		}
		l.remote.opts.Owner(id, name, owner)
	}
}

// identity is whose a connection is. pid is 0 when the bus does not say; pidfd
// belongs to the message, and is -1 when there is none.
type identity struct {
	uid        uint32
	pid, pidfd int
}

// credentials reads the answer to GetConnectionCredentials.
func (l *link) credentials(m *wire.Message) (identity, error) {
	who := identity{pidfd: -1}
	if m.Kind == wire.Error {
		return who, errors.New(errorText(m))
	}
	all, ok := map[string]wire.Variant(nil), false
	if m.Signature == "a{sv}" {
		all, _ = m.Value(0).(map[string]wire.Variant)
	}
	if who.uid, ok = all["UnixUserID"].Value.(uint32); !ok {
		return who, errors.New("the bus does not say which user it is")
	}
	if pid, ok := all["ProcessID"].Value.(uint32); ok {
		who.pid = int(pid)
	}
	if fd, ok := all["ProcessFD"].Value.(wire.FD); ok && int(fd) < len(l.conn.in.fds) && uint32(fd) < m.FDs {
		who.pidfd = l.conn.in.fds[fd]
	}
	return who, nil
}
