package bus

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/job"
	"github.com/session-init/session-init/session/wire"
)

// MachinePrefix stands before the name of an event of the machine, in a user's
// daemon.
const MachinePrefix = ":sys:"

// MachineOptions say how to hear the events of the machine.
type MachineOptions struct {
	// Socket is the path of the read-only socket of the machine's daemon.
	Socket string
	// Emit is called with each event that a job has asked for, its name with the
	// prefix, in the order in which the machine's daemon told them. It must not
	// block.
	Emit func(name string, env []string)
}

// Machine hears the events of the machine's daemon, once a job has asked for
// one. It asks for nothing there but to listen: see readonly.go for the other
// side. Nothing of it asks regularly: it waits for the socket to appear. What
// the machine emits while it is not connected is not heard.
//
//	Want --> look out for the socket --> connect --> listen --.
//	                   ^      there is none |                 |
//	                   '--------------------'<----- lost -----'
type Machine struct {
	server *Server
	opts   MachineOptions
	ctx    context.Context // ends with the server
	cancel context.CancelFunc

	mu    sync.Mutex
	names map[string]bool // as the machine's daemon knows them
	// absent says why none is heard; empty when the machine is listened to.
	absent string
}

// Machine makes what hears the machine's events, until the server is closed. It
// is called once, and does nothing before the first Want.
func (s *Server) Machine(opts MachineOptions) *Machine {
	ctx, cancel := context.WithCancel(context.Background())
	m := &Machine{server: s, opts: opts, ctx: ctx, cancel: cancel, absent: "it was not looked for yet"}
	s.machine.Store(m)
	return m
}

// Want has the events heard that the conditions of a class name, from now on and
// for as long as the daemon lives: an instance keeps a condition that its class
// has lost. It may be called on any goroutine, and does not block.
func (m *Machine) Want(class *job.Class) {
	names := machineEvents(class)
	if len(names) == 0 {
		return
	}
	m.mu.Lock()
	first := m.names == nil
	if first {
		m.names = map[string]bool{}
	}
	for _, name := range names {
		m.names[name] = true
	}
	m.mu.Unlock()
	if first {
		m.server.mu.Lock()
		closing := m.server.closing
		if !closing {
			m.server.guard.GoIn(&m.server.workers, "events of the machine", m.run)
		}
		m.server.mu.Unlock()
	}
}

// machineEvents are the events of the machine that a class waits for, without
// the prefix.
func machineEvents(class *job.Class) (names []string) {
	for _, expr := range [...]*events.Expr{class.StartOn, class.StopOn} {
		if expr == nil {
			continue
		}
		for _, node := range expr.Nodes {
			if node.Op != events.OpMatch {
				continue
			}
			if name, ok := strings.CutPrefix(node.Match.Name, MachinePrefix); ok {
				names = append(names, name)
			}
		}
	}
	return names
}

// Absent says why the events of the machine do not come: a sentence without its
// end; empty when they do.
func (m *Machine) Absent() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.absent
}

func (m *Machine) isAbsent(why string) {
	m.mu.Lock()
	m.absent = why
	m.mu.Unlock()
}

// run is the goroutine.
func (m *Machine) run() {
	for tries := 0; ; {
		// Looked out for before it is tried, so that nothing falls in between.
		look := lookOut(m.server, []string{m.opts.Socket}, "session-init of the machine", "by 'sctl re-exec'")
		began := time.Now()
		err := m.listen()
		if m.ctx.Err() != nil {
			look.close()
			return
		}
		m.isAbsent(m.reason(err))
		if time.Since(began) >= stable {
			tries = 0
		}
		// Its keeper holds the socket while the daemon is replaced: who connects
		// again is served by the next one.
		var again <-chan time.Time
		if !errors.Is(err, fs.ErrNotExist) && tries < joinTries {
			again = time.After(min(firstPause<<tries, longestPause))
		}
		select {
		case <-again:
			tries++
		case <-look.came:
			tries = 0
		case <-m.ctx.Done():
		}
		look.close()
	}
}

// reason is what "why" says of an error.
func (m *Machine) reason(err error) string {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ECONNREFUSED) {
		return "this machine has no session-init of its own: nobody listens on " + m.opts.Socket
	}
	var call *os.SyscallError
	if errors.As(err, &call) {
		err = call.Err
	}
	return fmt.Sprintf("cannot listen to the session-init of the machine on %s: %v", m.opts.Socket, err)
}

// listen connects, and takes what comes until the end, which is an error.
func (m *Machine) listen() error {
	var dialer net.Dialer
	socket, err := dialer.DialContext(m.ctx, "unix", m.opts.Socket)
	if err != nil {
		return err
	}
	defer socket.Close()
	stop := context.AfterFunc(m.ctx, func() { _ = socket.SetDeadline(past()) })
	defer stop()
	l := &link{server: m.server, conn: newConn(m.server, socket.(*net.UnixConn), 0)}
	defer l.conn.in.closeFDs(2 * maxHeldFDs)
	// After this it is told everything; see sasl.go for the words.
	uid := hex.EncodeToString([]byte(strconv.Itoa(os.Getuid())))
	if _, err := socket.Write([]byte("\x00AUTH " + saslMechanism + " " + uid + "\r\nBEGIN\r\n")); err != nil {
		return err
	}
	line, err := l.line()
	if err != nil {
		return err
	}
	if !strings.HasPrefix(line, "OK") {
		return fmt.Errorf("%w: it answered %.40q", errNoAnswer, line)
	}
	m.isAbsent("")
	m.server.log.Info("listens to the session-init of the machine", "socket", m.opts.Socket)
	for {
		message, _, err := l.next()
		if err != nil {
			return err
		}
		m.take(&message)
		l.conn.in.closeFDs(int(message.FDs))
	}
}

// take emits an event that somebody wants.
func (m *Machine) take(message *wire.Message) {
	if message.Kind != wire.Signal || message.Interface != api.ManagerInterface || message.Member != "EventEmitted" || message.Signature != "sas" {
		return
	}
	name := message.Text(0)
	m.mu.Lock()
	wanted := m.names[name]
	m.mu.Unlock()
	if wanted {
		m.opts.Emit(MachinePrefix+name, message.Texts(1))
	}
}
