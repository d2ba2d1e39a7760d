package bus

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/foresee"
	"github.com/session-init/session-init/session/job"
)

// patience bounds every wait of these tests; reaching it is a failure.
const patience = 3 * time.Minute

// loop is a daemon without a world: a real engine whose processes start at
// once and end when they are killed, on one goroutine with an inbox.
type loop struct {
	server *Server // set before the first client comes

	mu       sync.Mutex
	more     *sync.Cond
	inbox    []func()
	ended    bool
	stopped  chan struct{}
	priority string
	quit     bool
	reloads  []func()
	inputs   []engine.Input // what Step was given, when keep is set
	keep     bool
	held     bool // nothing is taken from the inbox

	// Of the loop's goroutine.
	engine *engine.Engine
	logDir string         // where logs are, if not in /log
	hang   chan struct{}  // until it is closed, Lint does not return
	strays []engine.Stray // the processes of every instance, if not its name
	file   *os.File       // came with an event
	late   bool           // Processes and Simulate answer when lates are called
	lates  []func()
	manual bool // processes are neither started nor ended by themselves
}

func newLoop(t *testing.T, classes ...*job.Class) *loop {
	l := &loop{
		engine:   engine.New(engine.Config{Table: events.Env{"PATH=/bin", "LANG=C"}}),
		stopped:  make(chan struct{}),
		priority: "message",
	}
	for _, class := range classes {
		l.engine.Step(0, engine.SetClass{Class: class})
	}
	l.init()
	t.Cleanup(l.stop)
	return l
}

func (l *loop) init() {
	l.more = sync.NewCond(&l.mu)
	go l.run()
}

func (l *loop) post(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inbox = append(l.inbox, f)
	l.more.Signal()
}

func (l *loop) run() {
	defer close(l.stopped)
	for {
		l.mu.Lock()
		for (len(l.inbox) == 0 || l.held) && !l.ended {
			l.more.Wait()
		}
		if l.ended {
			l.mu.Unlock()
			return
		}
		batch := l.inbox
		l.inbox = nil
		l.mu.Unlock()
		for _, f := range batch {
			f()
		}
	}
}

func (l *loop) stop() {
	l.mu.Lock()
	l.ended = true
	l.more.Signal()
	l.mu.Unlock()
	<-l.stopped
}

func (l *loop) hold(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = on
	l.more.Signal()
}

// do runs f on the loop's goroutine and waits for it.
func (l *loop) do(f func()) {
	done := make(chan struct{})
	l.post(func() { defer close(done); f() })
	<-done
}

func (l *loop) apply(in engine.Input) {
	l.server.Stepping(in)
	for _, effect := range l.engine.Step(0, in) {
		switch effect := effect.(type) {
		case engine.Reply:
			l.server.Reply(effect)
		case engine.Notify:
			l.server.Notify(effect)
		case engine.DropFile:
			_ = l.file.Close()
			l.file = nil
		case engine.Spawn:
			if !l.manual {
				l.post(func() { l.apply(engine.Spawned{Proc: effect.Proc, Pid: 1000 + int(effect.Proc)}) })
			}
		case engine.Kill:
			if !l.manual && effect.Signal != job.DefaultReloadSignal {
				l.post(func() { l.apply(engine.Exited{Proc: effect.Proc, Signal: effect.Signal}) })
			}
		case engine.Quit:
			l.mu.Lock()
			l.quit = true
			l.mu.Unlock()
		}
	}
	l.server.Stepped(l.engine.View())
}

func (l *loop) Step(in engine.Input) {
	l.mu.Lock()
	if l.keep {
		l.inputs = append(l.inputs, in)
	}
	l.mu.Unlock()
	l.post(func() { l.apply(in) })
}

// StepWithFile keeps one descriptor at a time.
func (l *loop) StepWithFile(fd int, in func(uint64) engine.Input, refuse func(error)) {
	l.post(func() {
		if l.file != nil {
			_ = unix.Close(fd)
			refuse(errors.New("no more"))
			return
		}
		l.file = os.NewFile(uintptr(fd), "file")
		l.apply(in(1))
	})
}

func (l *loop) Read(f func(engine.View)) { l.post(func() { f(l.engine.View()) }) }

func (l *loop) Restart() {}

// Lint finds something in every job.
func (l *loop) Lint(classes []*job.Class) (out []Finding) {
	var hang chan struct{}
	l.do(func() { hang = l.hang })
	if hang != nil {
		<-hang
		return nil
	}
	for _, class := range classes {
		out = append(out, Finding{class.Name, "never-starts", "/etc/jobs/" + class.Name + ".conf", 3, 7, "it does not start"})
	}
	return out
}

func (l *loop) ConfDirs() []string { return []string{"/etc/jobs", "/home/jobs", "/home/jobs/more"} }

func (l *loop) Stored(string, string) []string { return nil }

func (l *loop) Waiting(string) map[string]int { return nil }

func (l *loop) LogPath(class *job.Class, instance string) string {
	dir := l.logDir
	if dir == "" {
		dir = "/log"
	}
	return dir + "/" + class.Name + "-" + instance + ".log"
}

func (l *loop) Reload(done func()) { l.post(func() { l.reloads = append(l.reloads, done) }) }

// Processes says of each instance that it has its own name as a process.
func (l *loop) Processes(class, instance string, done func([]engine.Stray)) {
	if l.late {
		n := len(l.lates)
		l.lates = append(l.lates, func() { done([]engine.Stray{{Pid: n, Command: instance}}) })
		return
	}
	if list := l.strays; list != nil {
		l.post(func() { done(list) })
		return
	}
	l.post(func() { done([]engine.Stray{{Pid: 4711, Command: class + " " + instance + " \xff"}}) })
}

func (l *loop) Simulate(q foresee.Question, _ func() bool, done func(foresee.Foresight, error)) {
	l.post(func() {
		if l.late {
			l.lates = append(l.lates, func() { done(foresee.Foresight{}, nil) })
			return
		}
		done(foresee.Ask(engine.Config{}, l.engine.Snapshot(), 0, q))
	})
}

func (l *loop) LogPriority() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.priority
}

func (l *loop) SetLogPriority(word string) error {
	if word == "panic" {
		panic("a fault of the test")
	}
	if word != "debug" && word != "message" {
		return fmt.Errorf("cannot set log priority %q: no such word", word)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.priority = word
	return nil
}

// service makes a class with a main process.
func service(name string, change ...func(*job.Class)) *job.Class {
	class := job.NewClass(name)
	class.Processes[job.Main] = &job.Process{Text: "sleep 600"}
	for _, f := range change {
		f(class)
	}
	return class
}

// serve starts a server around a loop. At the end of the test it must leave
// nothing: no goroutine, descriptor or socket.
func serve(t *testing.T, classes ...*job.Class) (*loop, *Server) {
	t.Helper()
	return serveWith(t, func(*Server) {}, classes...)
}

func serveWith(t *testing.T, change func(*Server), classes ...*job.Class) (*loop, *Server) {
	t.Helper()
	goroutines, fds := runtime.NumGoroutine(), openFDs(t)
	t.Cleanup(func() {
		eventually(t, "all goroutines and descriptors to be gone", func() bool {
			return runtime.NumGoroutine() <= goroutines && openFDs(t) <= fds
		})
	})
	l := newLoop(t, classes...)
	dir, err := os.MkdirTemp("", "bus")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "socket")
	s, err := listen(path, l, Options{Version: "session-init TEST", Logger: testLogger(t)})
	if err != nil {
		t.Fatalf("Listen(%s) = %v", path, err)
	}
	change(s)
	l.server = s
	s.workers.Go(func() { s.accept(s.listener) })
	t.Cleanup(func() {
		s.Close(patience)
		if _, err := os.Lstat(path); !os.IsNotExist(err) {
			t.Errorf("Lstat(socket) after Close = %v; want that it does not exist", err)
		}
	})
	return l, s
}

func testLogger(t *testing.T) *slog.Logger {
	if testing.Verbose() {
		return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return nil
}

func openFDs(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// eventually polls until the condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !condition(); {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// within takes what comes, or fails with what all goroutines are at.
func within[T any](t *testing.T, what string, from <-chan T) (value T) {
	t.Helper()
	select {
	case value = <-from:
	case <-time.After(patience):
		stacks := make([]byte, 1<<20)
		t.Fatalf("waited in vain for %s\n%s", what, stacks[:runtime.Stack(stacks, true)])
	}
	return value
}

// peer is a client that shows the order of all that it gets.
type peer struct {
	t      *testing.T
	conn   *net.UnixConn
	in     *bufio.Reader
	serial uint32
	heard  []string // for a test to note signals
}

// dial connects without a word.
func dial(t *testing.T, s *Server) *peer {
	t.Helper()
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: s.path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &peer{t: t, conn: conn, in: bufio.NewReaderSize(conn, 64<<10)}
}

// connect authenticates too, all in one write.
func connect(t *testing.T, s *Server) *peer {
	t.Helper()
	p := dial(t, s)
	p.write([]byte("\x00AUTH EXTERNAL\r\nDATA\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n"))
	const noFDs = "ERROR \"no descriptors are taken from a client that may only read\""
	for _, want := range []string{"DATA", "OK " + s.guid, "AGREE_UNIX_FD"} {
		if got := p.line(); got != want && got != noFDs {
			t.Fatalf("answer = %q; want %q", got, want)
		}
	}
	// One round trip, so that signals come from here on.
	p.mustCall(api.ManagerPath, api.PeerInterface, "Ping")
	return p
}

func (p *peer) write(data []byte) {
	p.t.Helper()
	_ = p.conn.SetWriteDeadline(time.Now().Add(patience))
	if _, err := p.conn.Write(data); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) line() string {
	p.t.Helper()
	p.wait()
	line, err := p.in.ReadString('\n')
	if err != nil {
		p.t.Fatalf("ReadString() = %v", err)
	}
	return strings.TrimSuffix(line, "\r\n")
}

// wait bounds how long the next that is read may take to come.
func (p *peer) wait() { _ = p.conn.SetReadDeadline(time.Now().Add(patience)) }

// encodeCall makes a method call; iface may be empty.
func encodeCall(t testing.TB, serial uint32, path, iface, member string, args ...any) []byte {
	t.Helper()
	msg := dbus.Message{Type: dbus.TypeMethodCall, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath:   dbus.MakeVariant(dbus.ObjectPath(path)),
		dbus.FieldMember: dbus.MakeVariant(member),
	}, Body: args}
	if iface != "" {
		msg.Headers[dbus.FieldInterface] = dbus.MakeVariant(iface)
	}
	if len(args) > 0 {
		msg.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(args...))
	}
	var buf bytes.Buffer
	if err := msg.EncodeTo(&buf, binary.LittleEndian); err != nil {
		t.Fatal(err)
	}
	binary.LittleEndian.PutUint32(buf.Bytes()[8:], serial)
	return buf.Bytes()
}

// send makes a call and returns its serial number.
func (p *peer) send(path, iface, member string, args ...any) uint32 {
	p.t.Helper()
	p.serial++
	p.write(encodeCall(p.t, p.serial, path, iface, member, args...))
	return p.serial
}

// receive gives the next message, whatever it is.
func (p *peer) receive() *dbus.Message {
	p.t.Helper()
	p.wait()
	msg, err := dbus.DecodeMessage(p.in)
	if err != nil {
		p.t.Fatalf("DecodeMessage() = %v", err)
	}
	return msg
}

func header(msg *dbus.Message, field dbus.HeaderField) string {
	s, _ := msg.Headers[field].Value().(string)
	return s
}

func replyTo(msg *dbus.Message) uint32 {
	serial, _ := msg.Headers[dbus.FieldReplySerial].Value().(uint32)
	return serial
}

// story tells a message in a line: "StateChanged /path running", "reply",
// "error NAME TEXT".
func story(msg *dbus.Message) string {
	words := []string{}
	switch msg.Type {
	case dbus.TypeSignal:
		words = append(words, header(msg, dbus.FieldMember),
			strings.TrimPrefix(string(msg.Headers[dbus.FieldPath].Value().(dbus.ObjectPath)), api.ManagerPath))
	case dbus.TypeMethodReply:
		words = append(words, "reply")
	case dbus.TypeError:
		words = append(words, "error", header(msg, dbus.FieldErrorName))
	}
	for _, value := range msg.Body {
		words = append(words, strings.ReplaceAll(fmt.Sprint(value), api.ManagerPath, ""))
	}
	return strings.TrimSpace(strings.Join(words, " "))
}

// call makes a call and gives its answer; signals before it are dropped.
func (p *peer) call(path, iface, member string, args ...any) *dbus.Message {
	p.t.Helper()
	serial := p.send(path, iface, member, args...)
	for {
		if msg := p.receive(); replyTo(msg) == serial {
			return msg
		}
	}
}

func (p *peer) mustCall(path, iface, member string, args ...any) []any {
	p.t.Helper()
	msg := p.call(path, iface, member, args...)
	if msg.Type != dbus.TypeMethodReply {
		p.t.Fatalf("%s%v = %s", member, args, story(msg))
	}
	return msg.Body
}

// gone reads until the server has closed the connection.
func (p *peer) gone() {
	p.t.Helper()
	p.wait()
	for {
		if _, err := p.in.Discard(1); err != nil {
			if os.IsTimeout(err) {
				p.t.Fatal("the connection is still open")
			}
			return
		}
	}
}
