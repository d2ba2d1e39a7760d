package bus

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/guard"
	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/wire"
)

// maxSocketPath is what fits in a socket address, in bytes.
const maxSocketPath = 107

// Options are the settings of a server.
type Options struct {
	// Version is the property "version", as it stands.
	Version string
	// Logger takes a line for each client that is sent away; nil: none.
	Logger *slog.Logger
	// Socket is one that listens at the path already: an earlier daemon's,
	// so that clients that called while there was none are served. nil:
	// one is made. It remains the caller's.
	Socket *os.File
	// ReadOnly is the path of a second socket, on which everybody may look;
	// empty for none. ReadOnlySocket is for it what Socket is.
	ReadOnly       string
	ReadOnlySocket *os.File
	// System is the machine's daemon; nil: it is a user's.
	System System
	// LoginVariables are the names of those that tell one login session from
	// another.
	LoginVariables []string
	// Wait: calls wait for Open, since the backend is not whole yet; clients are
	// let in meanwhile.
	Wait bool
	// Guard starts the goroutines; nil: a panic is told to nobody.
	Guard *guard.Guard
	// Fail, for tests, is called at named points; it may end the daemon there.
	Fail func(point string)
}

// Server is a private socket and its clients.
type Server struct {
	backend  Backend
	log      *slog.Logger
	guard    *guard.Guard
	fail     func(point string)
	version  string
	path     string
	guid     string
	socket   os.FileInfo
	listener *net.UnixListener
	// readOnly is the second socket, nil for none; see readonly.go.
	readOnly     *net.UnixListener
	readOnlyPath string
	readOnlyFile os.FileInfo
	system       System
	objects      map[objectKind][]*iface
	// loginVariables are those of Options.
	loginVariables []string
	limits         limits
	encoder        encoder
	// own are our namespaces; see restriction.
	own namespaces
	// changes are yet to be told to the watchers.
	changes changes
	// listings are asked for; see listings.go.
	listings listings
	// outcomes are of the step under way; see outcome.go.
	outcomes []outcome
	watched  watching
	watchers atomic.Int32
	linting  atomic.Bool  // all jobs are looked at
	asides   atomic.Int32 // questions that are looked into; see beside
	hanging  atomic.Int32 // files that are looked at; see lookAt
	sizeOf   func(path string) (int64, error)

	stream stream // its lock is taken before flushMu, and after mu

	flushMu sync.Mutex
	// unflushed are the clients whose outbox holds messages; spare is memory
	// for the next ones.
	unflushed, spare []*conn

	calls   atomic.Uint64 // the last engine.CallID
	serial  atomic.Uint32
	ready   atomic.Int32 // clients that get signals
	frames  sync.Pool    // *frames that no connection has
	done    chan struct{}
	open    chan struct{} // closed when calls are taken, nil when they always are; see Open
	workers sync.WaitGroup
	remote  atomic.Pointer[Remote]  // nil: no bus is to be joined
	machine atomic.Pointer[Machine] // nil: the machine's events are not heard

	mu      sync.Mutex
	conns   []*conn // in the order in which they came
	lastID  uint64  // of a connection
	closing bool
	waiting map[engine.CallID]waiting
}

// limits bound what one client may hold; see the constants of those names.
type limits struct {
	outbox      int
	calls       int
	connections int
	ofProcess   int
	// message is how long a stranger's may take to come whole.
	message time.Duration
}

// waiting is a call that the engine has not answered.
type waiting struct {
	conn   *conn
	serial uint32
	// path: the answer is the instance's object path.
	path bool
	// tells: it says how things stand as well; see outcome.go.
	tells bool
	// notes: it is the note of the reply.
	notes bool
	// why: a failure is told with its reason.
	why bool
}

// Listen makes the socket, which only its owner can open, and serves it. A
// socket that a dead daemon left at that path is replaced; one that answers
// is an error.
func Listen(socketPath string, backend Backend, opts Options) (*Server, error) {
	s, err := listen(socketPath, backend, opts)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", socketPath, err)
	}
	s.guard.GoIn(&s.workers, "bus, where clients come in", func() { s.accept(s.listener) })
	if s.readOnly != nil {
		s.guard.GoIn(&s.workers, "bus, where everybody comes in", func() { s.accept(s.readOnly) })
	}
	return s, nil
}

func listen(socketPath string, backend Backend, opts Options) (*Server, error) {
	if len(socketPath) > maxSocketPath {
		return nil, fmt.Errorf("the path has %d bytes, and a socket's address holds %d; use a runtime directory with a shorter name",
			len(socketPath), maxSocketPath)
	}
	if !filepath.IsAbs(socketPath) {
		return nil, errors.New("the path does not begin with /")
	}
	var guid [16]byte
	_, err := rand.Read(guid[:])
	if err != nil {
		return nil, err
	}
	s := &Server{
		backend:        backend,
		log:            opts.Logger,
		guard:          opts.Guard,
		fail:           opts.Fail,
		version:        opts.Version,
		system:         opts.System,
		path:           socketPath,
		guid:           hex.EncodeToString(guid[:]),
		objects:        objects(),
		loginVariables: opts.LoginVariables,
		limits:         limits{outbox: outboxLimit, calls: maxWaitingCalls, connections: maxConnections, ofProcess: maxOfProcess, message: saslTime},
		done:           make(chan struct{}),
		waiting:        map[engine.CallID]waiting{},
		stream:         newStream(),
		sizeOf:         sizeOf,
	}
	if opts.Wait {
		s.open = make(chan struct{})
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.own, err = namespacesIn("/proc/self"); err != nil {
		s.log.Warn("cannot see our own namespaces: clients may only read", "error", err)
	}
	listener, err := inherit(opts.Socket, socketPath)
	if err == nil && listener == nil {
		listener, err = bind(socketPath)
	}
	if err != nil {
		return nil, err
	}
	// We remove the file ourselves, and only while it is ours.
	listener.SetUnlinkOnClose(false)
	s.listener = listener
	// The directory, which nobody else can enter, guards the moment until
	// the mode is set.
	if err = os.Chmod(socketPath, 0o600); err == nil {
		s.socket, err = os.Lstat(socketPath)
	}
	if err != nil {
		_ = listener.Close()
		_ = os.Remove(socketPath)
		return nil, err
	}
	if opts.ReadOnly != "" {
		if err := s.listenReadOnly(opts.ReadOnly, opts.ReadOnlySocket); err != nil {
			_ = listener.Close()
			_ = os.Remove(socketPath)
			return nil, err
		}
	}
	return s, nil
}

// Open has calls be taken, when Options.Wait has them wait. It is called once, and
// not without that.
func (s *Server) Open() { close(s.open) }

// inherit takes over a socket that listens; nil for none. One whose file at path
// is gone is of no use: nobody would find it.
func inherit(file *os.File, path string) (*net.UnixListener, error) {
	if file == nil {
		return nil, nil
	}
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	listener, err := net.FileListener(file)
	if err != nil {
		return nil, err
	}
	unixListener, ok := listener.(*net.UnixListener)
	if !ok {
		_ = listener.Close()
		return nil, errors.New("the socket that was handed over is none of ours")
	}
	return unixListener, nil
}

func bind(socketPath string) (*net.UnixListener, error) {
	if err := removeStale(socketPath); err != nil {
		return nil, err
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: socketPath, Net: "unix"})
	if err != nil {
		return nil, errors.Unwrap(err) // the path is in the sentence already
	}
	return listener, nil
}

// Deafen lets no further client in: who connects from now on waits for whoever
// serves the socket next; see Leave.
func (s *Server) Deafen() {
	_ = s.listener.SetDeadline(past())
	if s.readOnly != nil {
		_ = s.readOnly.SetDeadline(past())
	}
}

// WithSocket calls f with the descriptor of the socket that listens, which f
// may duplicate for whoever serves it next. (os.File.Fd of a duplicate would
// make the one we accept from blocking: both are the same open file.)
func (s *Server) WithSocket(f func(fd int) error) error {
	return withSocket(s.listener, f)
}

// removeStale removes a socket on which nobody listens any more.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return errors.New("there is a file that is no socket; remove it")
	}
	probe, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err == nil {
		_ = probe.Close()
		return errors.New("another daemon answers there")
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}

// Address returns the address of the socket, as D-Bus clients take it.
func (s *Server) Address() string { return api.UnixAddress(s.path) }

// Connections returns how many clients are connected.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Close ends the server: it listens no more, removes the socket, takes no
// further call, writes what waits for clients that read, for grace at most,
// and returns when all its goroutines have ended, but for those that hang: these
// are named in the log, a second after that. Replies and announcements that come
// after Close has begun are dropped.
func (s *Server) Close(grace time.Duration) { s.close(grace, false) }

// Leave ends the server as Close does, and leaves the socket for whoever
// serves it next; see WithSocket. Every client is told Restarted, after what it
// was told before.
func (s *Server) Leave(grace time.Duration) {
	s.announce(wire.Header{Path: api.ManagerPath, Interface: api.ManagerInterface, Member: "Restarted"})
	s.close(grace, true)
}

func (s *Server) close(grace time.Duration, leave bool) {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		s.awaitWorkers(grace)
		return
	}
	s.closing = true
	close(s.done)
	if r := s.remote.Load(); r != nil {
		r.cancel()
	}
	if m := s.machine.Load(); m != nil {
		m.cancel()
	}
	conns := slices.Clone(s.conns)
	s.mu.Unlock()

	_ = s.listener.Close()
	if info, err := os.Lstat(s.path); err == nil && !leave && os.SameFile(info, s.socket) {
		_ = os.Remove(s.path)
	}
	s.closeReadOnly(leave)
	s.stream.mu.Lock()
	s.spread(func(*conn) {}) // the writers have the last word
	s.stream.mu.Unlock()
	deadline := time.Now().Add(grace)
	for _, c := range conns {
		c.finish(deadline)
	}
	s.awaitWorkers(grace)
}

// hangTime is how long beyond the grace the end of the server waits for its
// goroutines. One may read what lies on a disk or belongs to a process that
// hangs, and then never end.
const hangTime = time.Second

// awaitWorkers waits for the goroutines of a server that is closing, and says
// whose question it is when one hangs.
func (s *Server) awaitWorkers(grace time.Duration) {
	ended := make(chan struct{})
	s.guard.Go("end of the bus", func() {
		s.workers.Wait()
		close(ended)
	})
	patience := time.NewTimer(grace + hangTime)
	defer patience.Stop()
	select {
	case <-ended:
		return
	case <-patience.C:
	}
	s.mu.Lock()
	conns := slices.Clone(s.conns)
	s.mu.Unlock()
	var pids []int
	for _, c := range conns {
		peer, pidfd, err := peerOf(c.socket)
		if pidfd >= 0 {
			_ = unix.Close(pidfd)
		}
		if err == nil {
			pids = append(pids, int(peer.Pid))
		}
	}
	s.log.Warn("what a client has asked for hangs: the bus ends without it", "clients", pids)
}

// at passes a named point, at which a test may end the daemon.
func (s *Server) at(point string) {
	if s.fail != nil {
		s.fail(point)
	}
}

// enter makes a link to a bus one of the clients.
func (s *Server) enter(c *conn) error {
	s.mu.Lock()
	if !s.closing {
		s.lastID++
		c.id = s.lastID
		s.conns = append(s.conns, c)
	}
	s.mu.Unlock()
	if !s.admit(c) {
		return net.ErrClosed
	}
	return nil
}

// admit makes a client that has authenticated get signals. It reports false
// when the server is closing.
func (s *Server) admit(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	c.ready = true
	s.ready.Add(1)
	s.listen(c)
	c.out.begins(func() { s.guard.GoIn(&s.workers, "writer of a client", c.write) })
	return true
}

// remove forgets a client, and tells the engine that nobody waits for its
// calls any more.
func (s *Server) remove(c *conn) {
	s.mu.Lock()
	if i := slices.Index(s.conns, c); i >= 0 {
		s.conns = slices.Delete(s.conns, i, i+1)
	}
	s.unwatch(c)
	if c.ready {
		c.ready = false
		s.ready.Add(-1)
		s.unlisten(c)
	}
	abandoned := make([]engine.CallID, 0, len(c.waiting))
	for id := range c.waiting {
		abandoned = append(abandoned, id)
		delete(s.waiting, id)
	}
	c.waiting = nil
	closing := s.closing
	s.mu.Unlock()
	if closing {
		return // the engine has come to its end
	}

	slices.Sort(abandoned)
	for _, id := range abandoned {
		s.backend.Step(engine.Abandon{Call: id})
	}
}

// nextSerial numbers the messages that we send. 0 is no number.
func (s *Server) nextSerial() uint32 {
	for {
		if n := s.serial.Add(1); n != 0 {
			return n
		}
	}
}
