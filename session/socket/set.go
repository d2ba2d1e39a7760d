package socket

import (
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/guard"
	"github.com/session-init/session-init/session/job"
)

// Holder holds descriptors for the daemon after this one, by names without
// blanks. Its methods may be called from any goroutine.
type Holder interface {
	Hold(name string, fd int) error
	Drop(name string) error
	// Names lists what an earlier daemon has left, and Take takes it out.
	Names() []string
	Take(name string) *os.File
}

// Fault is why there is no socket at an address: the end of a sentence.
type Fault struct{ Address, Reason string }

// Options are what a Set is made with.
type Options struct {
	Guard  *guard.Guard
	Holder Holder
	// Runtime is the runtime directory, below which parents of paths are made.
	Runtime string
	// Called tells that somebody waits at a socket of a class, once for each
	// Await. Opened tells how it went with Listen. Both come on goroutines of
	// the Set, or of the caller of its methods, and must not block.
	Called func(class, address string)
	Opened func(class string, faults []Fault)
}

// Set is all descriptors that are held. Its methods may be called from any
// goroutine and do not block, but for those that say so.
type Set struct {
	opts Options

	mu      sync.Mutex
	classes map[string]*class
	claims  map[string]string // which class has an address
	stores  map[string][]stored
	// events are the descriptors that came with events, by number.
	events    map[uint64]int
	lastEvent uint64
	poll      *poller // nil before the first socket
	serial    int
	closed    bool
}

// class is what one job has.
type class struct {
	want []job.Socket
	// have are those that are open, by address; faults those that are not.
	have   map[string]*held
	faults []Fault
	// awaited: the next connection is to be told. changed: want is not what the
	// opener that is under way began with.
	awaited bool
	changed bool
	opening chan struct{} // closed when all has been tried; nil when it has been
	// leaves are addresses that it wants no more and may just be opening.
	leaves []string
}

// wants tells whether one of the class's sockets has an address.
func (c *class) wants(address string) bool {
	return slices.ContainsFunc(c.want, func(w job.Socket) bool { return w.Address() == address })
}

// held is a socket that is open.
type held struct {
	fd    int
	of    job.Socket
	class string
}

// New returns a Set that holds nothing yet.
func New(opts Options) *Set {
	return &Set{opts: opts, classes: make(map[string]*class), claims: make(map[string]string), stores: make(map[string][]stored), events: make(map[uint64]int)}
}

const listenPrefix = "listen."

// heldName is the name under which a socket is held for the next daemon.
func heldName(class, address string) string {
	h := fnv.New64a()
	h.Write([]byte(class + "\x00" + address))
	return fmt.Sprintf("%s%016x", listenPrefix, h.Sum64())
}

// Listen asks for the sockets of a job in place of those that it had. One of the
// same address stays. Opened tells how it went, unless there are none.
func (s *Set) Listen(name string, want []job.Socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.classes[name]
	switch {
	case s.closed:
		return
	case c == nil && len(want) == 0:
		return
	case c == nil:
		c = &class{have: make(map[string]*held)}
		s.classes[name] = c
	}
	had := c.want
	c.want, c.faults = want, nil
	for _, address := range sortedKeys(c.have) {
		if !c.wants(address) {
			s.shut(c, address)
		}
	}
	for _, before := range had {
		switch address := before.Address(); {
		case c.wants(address):
		case c.opening != nil:
			c.leaves = append(c.leaves, address)
		default:
			s.unclaim(name, address)
		}
	}
	if len(want) == 0 {
		c.awaited = false
		if c.opening == nil {
			delete(s.classes, name)
		} else {
			c.changed = true
		}
		return
	}
	s.claim(name, c)
	s.takeOver(name, c)
	for _, w := range want {
		if h := c.have[w.Address()]; h != nil && h.of.Mode != w.Mode && w.Proto == job.ProtoUnix && !abstract(w.Path) {
			s.opts.Guard.Go("mode of a socket", func() {
				// One that is gone has none.
				_ = unix.Chmod(w.Path, w.Mode)
			})
		}
		if h := c.have[w.Address()]; h != nil {
			h.of = w
		}
	}
	s.open(name, c)
}

// open opens what a class wants and has not, beside all that works.
func (s *Set) open(name string, c *class) {
	if c.opening != nil {
		c.changed = true
		return
	}
	c.faults = s.unclaimed(name, c)
	if missing := s.missing(name, c); len(missing) > 0 {
		c.opening = make(chan struct{})
		s.opts.Guard.Go("opener of sockets", func() { s.openAll(name, c, missing) })
		return
	}
	s.opened(name, c)
}

func sortedKeys(m map[string]*held) (keys []string) {
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// missing lists what is wanted, not another's, and not open.
func (s *Set) missing(name string, c *class) (list []job.Socket) {
	for _, want := range c.want {
		if address := want.Address(); c.have[address] == nil && (want.Fault != "" || s.claims[address] == name) {
			list = append(list, want)
		}
	}
	return list
}

// takeOver takes the sockets of a job that an earlier daemon has left.
func (s *Set) takeOver(name string, c *class) {
	if s.opts.Holder == nil {
		return
	}
	for _, want := range s.missing(name, c) {
		file := s.opts.Holder.Take(heldName(name, want.Address()))
		if file == nil {
			continue
		}
		fd, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, lowest)
		file.Close()
		switch {
		case err != nil:
		case !serves(fd, want):
			unix.Close(fd)
		default:
			s.add(name, c, want, fd)
		}
	}
}

// add makes a socket that listens one of the job's.
func (s *Set) add(name string, c *class, want job.Socket, fd int) {
	c.have[want.Address()] = &held{fd, want, name}
	if s.opts.Holder != nil {
		// Should that fail, the keeper is gone, and whoever watches the link
		// knows.
		_ = s.opts.Holder.Hold(heldName(name, want.Address()), fd)
	}
}

// openAll opens sockets, beside all that works, until what is wanted is what was
// tried. It has no lock while it may block.
func (s *Set) openAll(name string, c *class, missing []job.Socket) {
	for {
		type result struct {
			want job.Socket
			fd   int
			err  error
		}
		var results []result
		for _, want := range missing {
			fd, err := s.listenAt(want)
			results = append(results, result{want, fd, err})
		}
		s.mu.Lock()
		c.faults = s.unclaimed(name, c)
		for _, r := range results {
			address := r.want.Address()
			wanted := c.wants(address)
			switch {
			case r.err != nil && wanted:
				c.faults = append(c.faults, Fault{address, r.err.Error()})
			case r.err != nil:
			case !wanted || s.closed:
				unix.Close(r.fd)
				unlink(r.want)
			default:
				s.add(name, c, r.want, r.fd)
			}
		}
		s.leave(name, c)
		if c.changed && !s.closed {
			c.changed = false
			if missing = s.missing(name, c); len(missing) > 0 {
				s.mu.Unlock()
				continue
			}
			c.faults = s.unclaimed(name, c)
		}
		close(c.opening)
		c.opening = nil
		if len(c.want) == 0 {
			if s.classes[name] == c {
				delete(s.classes, name)
			}
		} else if !s.closed {
			s.opened(name, c)
		}
		s.mu.Unlock()
		return
	}
}

// opened tells how it went, and looks for connections where that was asked for.
func (s *Set) opened(name string, c *class) {
	s.opts.Opened(name, slices.Clone(c.faults))
	if c.awaited {
		s.arm(name, c)
	}
}

// Await asks to be told, once, when somebody waits at a socket of a job.
func (s *Set) Await(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.classes[name]; c != nil && !s.closed {
		c.awaited = true
		if c.opening == nil {
			s.arm(name, c)
		}
	}
}

// arm looks at the sockets of a job.
func (s *Set) arm(name string, c *class) {
	if s.poll == nil {
		p, err := newPoller(s.opts.Guard, s.ready)
		if err != nil {
			for _, address := range sortedKeys(c.have) {
				c.faults = append(c.faults, Fault{address, "cannot wait for connections: " + err.Error()})
			}
			s.opts.Opened(name, slices.Clone(c.faults))
			return
		}
		s.poll = p
	}
	for _, address := range sortedKeys(c.have) {
		s.poll.arm(c.have[address].fd)
	}
}

// ready is told that somebody waits at a descriptor.
func (s *Set) ready(fd int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for name := range s.classes {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		c := s.classes[name]
		for _, address := range sortedKeys(c.have) {
			if c.have[address].fd != fd || !c.awaited || s.closed {
				continue
			}
			c.awaited = false
			// The others are looked at no more.
			for _, other := range sortedKeys(c.have) {
				s.poll.disarm(c.have[other].fd)
			}
			s.opts.Called(name, address)
			return
		}
	}
}

// shut closes a socket, and removes its path.
func (s *Set) shut(c *class, address string) {
	h := c.have[address]
	delete(c.have, address)
	// Processes may hold copies, so closing is not enough.
	if s.poll != nil {
		s.poll.forget(h.fd)
	}
	unix.Close(h.fd)
	unlink(h.of)
	if s.opts.Holder != nil {
		_ = s.opts.Holder.Drop(heldName(h.class, address))
	}
}

func unlink(of job.Socket) {
	if of.Proto == job.ProtoUnix && !abstract(of.Path) {
		unix.Unlink(of.Path)
	}
}

// Busy tells whether sockets of a job are being opened.
func (s *Set) Busy(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.classes[name]
	return c != nil && c.opening != nil
}

// WaitFor blocks until the sockets of a job have been opened, or could not be.
func (s *Set) WaitFor(name string) {
	for {
		s.mu.Lock()
		c := s.classes[name]
		if c == nil || c.opening == nil {
			s.mu.Unlock()
			return
		}
		opening := c.opening
		s.mu.Unlock()
		<-opening
	}
}

// Quiet calls f when no socket is being opened, at once or from a goroutine;
// after a while also when there is one: a directory may hang for ever.
func (s *Set) Quiet(f func()) {
	s.mu.Lock()
	var all []chan struct{}
	for _, c := range s.classes {
		if c.opening != nil {
			all = append(all, c.opening)
		}
	}
	s.mu.Unlock()
	if len(all) == 0 {
		f()
		return
	}
	s.opts.Guard.Go("wait for sockets", func() {
		late := time.After(maxQuiet)
		for _, opening := range all {
			select {
			case <-opening:
			case <-late:
				f()
				return
			}
		}
		f()
	})
}

// Files returns what a main process of an instance gets: copies of the sockets
// of its job, in the order of the job file, of what came with the events that
// started it, by number, and of what the instance has laid aside, with their
// names. told is how many of the first two there are. An error says which there
// is not.
func (s *Set) Files(name, instance string, numbers []uint64) (fds []int, names []string, told int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	give := func(fd int, fdName string) {
		if err != nil {
			return
		}
		var copied int
		if copied, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, lowest); err == nil {
			fds, names = append(fds, copied), append(names, fdName)
		}
	}
	if c := s.classes[name]; c != nil {
		for _, want := range c.want {
			h := c.have[want.Address()]
			if h == nil {
				err = fmt.Errorf("cannot listen on %s: %w", want.Address(), c.why(want.Address()))
				break
			}
			fdName := want.Name
			if fdName == "" {
				fdName = defaultName(name)
			}
			give(h.fd, fdName)
		}
	}
	for _, number := range numbers {
		fd, kept := s.events[number]
		if !kept {
			err = errors.New("the descriptor that came with its event was lost when the daemon died")
			break
		}
		give(fd, eventFDName)
	}
	told = len(fds)
	for _, kept := range s.stores[storeKey(name, instance)] {
		give(kept.fd, kept.name)
	}
	if err != nil {
		for _, fd := range fds {
			unix.Close(fd)
		}
		return nil, nil, 0, err
	}
	return fds, names, told, nil
}

// defaultName is a job's name as one of a descriptor.
func defaultName(class string) string {
	name := strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' || r == ':' {
			return '_'
		}
		return r
	}, class)
	return name[:min(len(name), 255)]
}

func (c *class) why(address string) error {
	for _, fault := range c.faults {
		if fault.Address == address {
			return errors.New(fault.Reason)
		}
	}
	return errors.New("it is not open")
}

// Handover returns, for a daemon that is executed in our place, all that is held,
// under the names that Holder.Names gives there. The descriptors are ours. It
// returns nothing when a panic has left the Set locked.
func (s *Set) Handover() (names []string, fds []int) {
	if !s.mu.TryLock() {
		return nil, nil
	}
	defer s.mu.Unlock()
	var classes []string
	for name := range s.classes {
		classes = append(classes, name)
	}
	slices.Sort(classes)
	for _, name := range classes {
		c := s.classes[name]
		for _, address := range sortedKeys(c.have) {
			names, fds = append(names, heldName(name, address)), append(fds, c.have[address].fd)
		}
	}
	for _, list := range []func() ([]string, []int){s.handEvents, s.handStores} {
		more, moreFDs := list()
		names, fds = append(names, more...), append(fds, moreFDs...)
	}
	return names, fds
}

// Forget lets go of what an earlier daemon has left and nobody asked for.
func (s *Set) Forget() {
	if s.opts.Holder == nil {
		return
	}
	s.mu.Lock()
	s.forgetEvents()
	s.mu.Unlock()
	for _, name := range s.opts.Holder.Names() {
		if !strings.HasPrefix(name, listenPrefix) {
			continue
		}
		if file := s.opts.Holder.Take(name); file != nil {
			if address, err := unix.Getsockname(int(file.Fd())); err == nil {
				if path, ok := address.(*unix.SockaddrUnix); ok && path.Name != "" && !abstract(path.Name) {
					unix.Unlink(path.Name)
				}
			}
			file.Close()
		}
		_ = s.opts.Holder.Drop(name)
	}
}

// Close ends all; with remove paths go too, else the next daemon has them.
func (s *Set) Close(remove bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	if s.poll != nil {
		s.poll.close()
	}
	for _, c := range s.classes {
		for _, h := range c.have {
			unix.Close(h.fd)
			if remove {
				unlink(h.of)
			}
		}
	}
	for _, list := range s.stores {
		for _, kept := range list {
			kept.close()
		}
	}
	for _, number := range s.eventNumbers() {
		unix.Close(s.events[number])
	}
}
