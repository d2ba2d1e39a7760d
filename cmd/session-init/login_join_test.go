package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session"
)

// openings is a daemon that opens login sessions, numbered from 1, when the test
// says so.
type openings struct {
	t    *testing.T
	base string // the runtime directory

	mu sync.Mutex
	// asked is called when a session is asked for, before it is opened.
	asked func()
	last  uint32
	open  map[uint32]bool
	conns sync.WaitGroup
}

func newOpenings(t *testing.T) *openings {
	t.Helper()
	// Not TempDir: its name is that of the test and may be too long.
	base, err := os.MkdirTemp("", "join")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(base) })
	if err := os.Mkdir(filepath.Join(base, "session-init"), 0o700); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", filepath.Join(base, "session-init", "socket"))
	if err != nil {
		t.Fatal(err)
	}
	o := &openings{t: t, base: base, open: map[uint32]bool{}}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			o.conns.Go(func() { o.serve(conn) })
		}
	}()
	t.Cleanup(func() {
		listener.Close()
		<-ended
		o.conns.Wait()
	})
	return o
}

// serve answers one client until it goes.
func (o *openings) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for range 2 { // AUTH, BEGIN
		if _, err := in.ReadString('\n'); err != nil {
			return
		}
	}
	_, _ = conn.Write([]byte("OK 0123456789abcdef0123456789abcdef\r\n"))
	for serial := uint32(1); ; serial++ {
		msg, err := dbus.DecodeMessage(in)
		if err != nil {
			return
		}
		reply := dbus.Message{Type: dbus.TypeMethodReply, Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldReplySerial: dbus.MakeVariant(msg.Serial())}}
		member, _ := msg.Headers[dbus.FieldMember].Value().(string)
		switch member {
		case "OpenSession":
			o.asked()
			reply.Body = []any{o.opened(), ""}
		case "EndSession":
			o.mu.Lock()
			delete(o.open, msg.Body[0].(uint32))
			o.mu.Unlock()
		case "Get": // whether all ends
			reply.Body = []any{dbus.MakeVariant(false)}
		default:
			continue
		}
		if len(reply.Body) > 0 {
			reply.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(reply.Body...))
		}
		var out bytes.Buffer
		if err := reply.EncodeTo(&out, binary.LittleEndian); err != nil {
			o.t.Error(err)
			return
		}
		text := out.Bytes()
		binary.LittleEndian.PutUint32(text[8:], serial)
		if _, err := conn.Write(text); err != nil {
			return
		}
	}
}

func (o *openings) opened() uint32 {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last++
	o.open[o.last] = true
	return o.last
}

// become waits until so many sessions have been opened, and so many are open.
func (o *openings) become(opened uint32, open int) {
	o.t.Helper()
	for late := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		o.mu.Lock()
		last, left := o.last, len(o.open)
		o.mu.Unlock()
		if last == opened && left == open {
			return
		}
		if time.Now().After(late) {
			o.t.Fatalf("%d sessions were opened, %d are open; want %d and %d", last, left, opened, open)
		}
	}
}

// join is a login that has come this far.
func (o *openings) join(typed <-chan os.Signal) *loginRun {
	l := &loginRun{parsed: &parsed{command: []string{"true"}, options: session.Options{RuntimeDir: o.base, StopTimeout: time.Second}}, stderr: &syncBuffer{}}
	l.joinUnless(nil, typed)
	return l
}

// Ctrl-C while the daemon opens the login session: the command runs without one,
// and none is left that would last as long as the login.
func TestInterruptedOpening(t *testing.T) {
	o := newOpenings(t)
	typed, returned := make(chan os.Signal, 1), make(chan struct{})
	o.asked = func() {
		typed <- unix.SIGINT
		<-returned // nobody waits any more
	}
	l := o.join(typed)
	if l.client != nil {
		t.Error("an interrupted login has a session")
	}
	close(returned)
	o.become(1, 0)
}

// In the instant in which the session is there either the login has it or it is
// ended.
func TestInterruptedInstant(t *testing.T) {
	o := newOpenings(t)
	had := 0
	for i := range uint32(100) {
		typed := make(chan os.Signal, 1)
		o.asked = func() { typed <- unix.SIGINT }
		l := o.join(typed)
		if l.client != nil {
			had++
			l.client.Close()
		}
		o.become(i+1, had)
	}
}
