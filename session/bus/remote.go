package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/session-init/session-init/session/api"
)

// RemoteOptions say which message bus to join, and what for.
type RemoteOptions struct {
	// Addresses are where the bus may be, as D-Bus addresses; the first that
	// answers is taken. One that a client tells goes before them.
	Addresses []string
	// Told is an address that a client told an earlier daemon.
	Told string
	// Keep takes an address that a client tells, for the next daemon; nil:
	// nobody wants it. It is called on the client's goroutine.
	Keep func(address string)
	// Names are those to take on the bus. With none the bus is joined once a
	// name is awaited, and not before.
	Names []string
	// System: it is the machine's bus, not a session's; everybody may look, and
	// root may do more.
	System bool
	// Insist: there must be a bus at once.
	Insist bool
	// Activator starts services for a bus that hands them over; nil: nobody
	// does.
	Activator Activator
	// Owner is told who owns a name that is awaited: when that is known first,
	// and whenever it changes. It must not block.
	Owner func(id uint64, name string, owner Owner)
}

// bus names it in sentences.
func (o RemoteOptions) bus() string {
	if o.System {
		return "system bus"
	}
	return "session bus"
}

// Owner is who owns a name of the bus.
type Owner struct {
	// Absent says why nobody is known to: a sentence without its end; empty
	// when somebody is. NoBus: since there is no bus.
	Absent string
	NoBus  bool
	// Pid is the process that made the connection to the bus. Pidfd holds on to
	// it, -1 where the bus gives none; it is the receiver's.
	Pid, Pidfd int
}

const (
	// A bus that is there and does not answer yet is tried again after
	// firstPause, and then after twice as long each time, up to longestPause;
	// after joinTries it must appear anew, or be told of.
	firstPause   = 20 * time.Millisecond
	longestPause = 2 * time.Second
	joinTries    = 10
	// stable is how long a connection must have lasted to be none of those
	// tries.
	stable = time.Second
)

// Remote keeps the server's objects on a message bus, the session's: it finds
// the bus, joins it, and does so again when it was lost. Nothing of it asks
// regularly: it waits for a socket to appear.
//
//	look out for the socket --> connect --> SASL, Hello, RequestName --> serve --.
//	        ^     there is none |                                               |
//	        '-------------------'<------------------ lost -----------------------'
type Remote struct {
	server *Server
	opts   RemoteOptions
	ctx    context.Context // ends with the server
	cancel context.CancelFunc
	wake   chan struct{} // something has changed: holds one at most

	mu      sync.Mutex
	told    string
	link    *link         // nil while there is no bus
	starter *link         // the same, once it starts services for the bus
	absent  string        // why there is none
	ends    bool          // the session does, and so may the bus
	trying  chan struct{} // while one is being joined; closed when that is known
	names   map[string][]uint64
}

// Join begins to keep the server on a bus, until the server is closed. It is
// called once. With Insist an error says that there is no bus; without, the
// bus is joined some time later, if at all.
func (s *Server) Join(opts RemoteOptions) (*Remote, error) {
	ctx, cancel := context.WithCancel(context.Background())
	r := &Remote{server: s, opts: opts, ctx: ctx, cancel: cancel, wake: make(chan struct{}, 1), told: opts.Told,
		absent: "there is no " + opts.bus() + " yet", names: map[string][]uint64{}}
	var first *link
	if opts.Insist {
		var err error
		if first, err = r.connect(); err != nil {
			cancel()
			return nil, fmt.Errorf("cannot join the %s: %w", opts.bus(), err)
		}
		r.try()
	}
	s.remote.Store(r)
	s.guard.GoIn(&s.workers, opts.bus(), func() { r.run(first) })
	return r, nil
}

// Tell says where the bus is, as NotifyDBusAddress does. When another one is
// joined it is left.
func (r *Remote) Tell(address string) error {
	if _, err := api.ParseAddress(address); err != nil {
		return err
	}
	r.mu.Lock()
	r.told = address
	l := r.link
	r.mu.Unlock()
	if r.opts.Keep != nil {
		r.opts.Keep(address)
	}
	if l != nil && l.address != address {
		l.conn.drop(elsewhere)
	}
	r.Look()
	return nil
}

// elsewhere is why a bus is left.
const elsewhere = "another one is the session's"

// Ends says that the session ends: that the bus is lost then is no news.
func (r *Remote) Ends() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ends = true
}

// Look has the bus be looked for now, as SIGUSR1 asks.
func (r *Remote) Look() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// run is the remote's goroutine.
func (r *Remote) run(l *link) {
	for tries := 0; ; {
		if l != nil {
			began := time.Now()
			r.use(l)
			l = nil
			if time.Since(began) >= stable {
				tries = 0
			}
		}
		if r.ctx.Err() != nil {
			return
		}
		if !r.wanted() {
			select {
			case <-r.wake:
			case <-r.ctx.Done():
				return
			}
			continue
		}
		// Looked out for before it is tried, so that nothing falls in between.
		look := lookOut(r.server, r.sockets(), r.opts.bus(), "at SIGUSR1")
		var err error
		r.try()
		if l, err = r.connect(); l == nil {
			r.isAbsent(err.Error())
			r.tried()
			var again <-chan time.Time
			if joinable(err) && tries < joinTries {
				again = time.After(min(firstPause<<tries, longestPause))
			}
			select {
			case <-again:
				tries++
			case <-look.came:
				tries = 0
			case <-r.wake:
				tries = 0
			case <-r.ctx.Done():
			}
		} else if tries < joinTries {
			tries++
		}
		look.close()
	}
}

// use serves a bus that was joined, until it is lost.
func (r *Remote) use(l *link) {
	r.mu.Lock()
	if r.told != l.told {
		// Meanwhile it was told where to go.
		l.conn.drop(elsewhere)
	}
	r.link, r.absent = l, ""
	close(r.trying)
	r.trying = nil
	names := make([]string, 0, len(r.names))
	for name := range r.names {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		l.watch(name)
		l.ask(name, name, slices.Clone(r.names[name]))
	}
	r.mu.Unlock()
	l.offer()
	r.server.log.Info("joined the "+r.opts.bus(), "address", l.address, "as", l.unique)
	err := l.serve()
	r.mu.Lock()
	r.link, r.starter = nil, nil
	ends := r.ends
	r.mu.Unlock()
	if r.ctx.Err() == nil {
		switch {
		case err.Error() == elsewhere:
			r.server.log.Info("left the " + r.opts.bus() + " at " + l.address + ": " + elsewhere)
		case ends:
			r.server.log.Info("the " + r.opts.bus() + " has ended: " + err.Error())
		default:
			r.server.log.Warn("lost the " + r.opts.bus() + ": " + err.Error() + "; it is joined again when it is there")
		}
		r.isAbsent("the " + r.opts.bus() + " is lost: " + err.Error())
	}
}

// try says that a bus is being joined, and tried that there is none.
func (r *Remote) try() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trying = make(chan struct{})
}

func (r *Remote) tried() {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.trying)
	r.trying = nil
}

// wanted reports whether there is anything to do on a bus.
func (r *Remote) wanted() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.opts.Names) > 0 || len(r.names) > 0
}

// addresses are where the bus may be now.
func (r *Remote) addresses() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	if r.told != "" {
		out = append(out, r.told)
	}
	for _, address := range r.opts.Addresses {
		if !slices.Contains(out, address) {
			out = append(out, address)
		}
	}
	return out
}

// sockets are the paths of those addresses.
func (r *Remote) sockets() []string {
	var out []string
	for _, address := range r.addresses() {
		sockets, _ := api.ParseAddress(address)
		for _, socket := range sockets {
			if strings.HasPrefix(socket, "/") {
				out = append(out, socket)
			}
		}
	}
	return out
}

// noBus is that no address has a bus.
type noBus struct {
	bus   string
	tried []error
}

func (e *noBus) Error() string {
	if len(e.tried) == 0 {
		return "there is no " + e.bus + ": nobody has said where it is"
	}
	texts := make([]string, len(e.tried))
	for i, err := range e.tried {
		texts[i] = err.Error()
	}
	return "there is no " + e.bus + ": " + strings.Join(texts, "; ")
}

// Unwrap gives what each address answered.
func (e *noBus) Unwrap() []error { return e.tried }

// connect joins the first bus that answers.
func (r *Remote) connect() (*link, error) {
	r.mu.Lock()
	told := r.told
	r.mu.Unlock()
	failed := &noBus{bus: r.opts.bus()}
	for _, address := range r.addresses() {
		l, err := r.dial(address)
		if err == nil {
			l.told = told
			return l, nil
		}
		failed.tried = append(failed.tried, fmt.Errorf("%s: %w", address, err))
	}
	return nil, failed
}

// Await has opts.Owner told of the owners of a name from now on, until Forget.
func (r *Remote) Await(id uint64, name string) {
	r.mu.Lock()
	first := len(r.names[name]) == 0
	r.names[name] = append(r.names[name], id)
	l, absent := r.link, r.absent
	if l != nil {
		if first {
			l.watch(name)
		}
		l.ask(name, name, []uint64{id})
	}
	r.mu.Unlock()
	if l == nil {
		r.opts.Owner(id, name, Owner{Absent: absent, NoBus: true, Pidfd: -1})
		r.Look()
	}
}

// Forget takes back an Await.
func (r *Remote) Forget(id uint64, name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	left := slices.DeleteFunc(r.names[name], func(one uint64) bool { return one == id })
	if len(left) > 0 {
		r.names[name] = left
		return
	}
	delete(r.names, name)
	if r.link != nil {
		r.link.unwatch(name)
	}
}

// isAbsent tells those who await a name that there is no bus.
func (r *Remote) isAbsent(why string) {
	r.mu.Lock()
	type await struct {
		id   uint64
		name string
	}
	var awaits []await
	if r.absent != why {
		for name, ids := range r.names {
			for _, id := range ids {
				awaits = append(awaits, await{id, name})
			}
		}
	}
	r.absent = why
	r.mu.Unlock()
	slices.SortFunc(awaits, func(a, b await) int { return int(a.id) - int(b.id) })
	for _, a := range awaits {
		r.opts.Owner(a.id, a.name, Owner{Absent: why, NoBus: true, Pidfd: -1})
	}
}

// awaits lists who awaits a name.
func (r *Remote) awaits(name string) []uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.names[name])
}

// errNoAnswer is that what listens at an address is no bus that takes us.
var errNoAnswer = errors.New("it does not take us")
