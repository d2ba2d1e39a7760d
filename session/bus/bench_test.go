package bus

import (
	"bufio"
	"net"
	"os"
	"testing"

	"github.com/godbus/dbus/v5"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/engine"
)

// benchServer serves a loop; the tests look after what is left behind.
func benchServer(b *testing.B) (*loop, *Server) {
	l := &loop{engine: engine.New(engine.Config{}), stopped: make(chan struct{})}
	l.init()
	s, err := Listen(b.TempDir()+"/s", l, Options{})
	if err != nil {
		b.Fatal(err)
	}
	l.server = s
	b.Cleanup(func() { s.Close(0); l.stop() })
	return l, s
}

func benchConnect(b *testing.B, s *Server) (*net.UnixConn, *bufio.Reader) {
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: s.path, Net: "unix"})
	if err != nil {
		b.Fatal(err)
	}
	in := bufio.NewReader(conn)
	_, _ = conn.Write([]byte("\x00AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n"))
	for range 2 {
		if _, err := in.ReadString('\n'); err != nil {
			b.Fatal(err)
		}
	}
	return conn, in
}

func benchCall(b *testing.B, conn *net.UnixConn, in *bufio.Reader, call []byte) {
	if _, err := conn.Write(call); err != nil {
		b.Fatal(err)
	}
	if _, err := dbus.DecodeMessage(in); err != nil {
		b.Fatal(err)
	}
}

// A round trip on an open connection, the client's share included.
func BenchmarkPing(b *testing.B) {
	_, s := benchServer(b)
	conn, in := benchConnect(b, s)
	defer func() { _ = conn.Close() }()
	call := encodeCall(b, 1, "/", api.PeerInterface, "Ping")
	for b.Loop() {
		benchCall(b, conn, in, call)
	}
}

// A client that connects, asks once and leaves.
func BenchmarkConnect(b *testing.B) {
	_, s := benchServer(b)
	call := encodeCall(b, 1, "/", api.PeerInterface, "Ping")
	for b.Loop() {
		conn, in := benchConnect(b, s)
		benchCall(b, conn, in, call)
		_ = conn.Close()
	}
}

// What an announcement costs the engine's goroutine with ten clients.
func BenchmarkNotify(b *testing.B) {
	l, s := benchServer(b)
	for range 10 {
		conn, in := benchConnect(b, s)
		benchCall(b, conn, in, encodeCall(b, 1, "/", "", "Ping"))
		go func() { _, _ = in.WriteTo(discard{}) }()
		defer func() { _ = conn.Close() }()
	}
	b.ReportAllocs()
	for b.Loop() {
		l.do(func() {
			for range 100 {
				s.Notify(engine.Notify{Kind: engine.StateChanged, Class: "svc", Text: "running"})
			}
		})
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// What it costs to see where a client is, once for each that connects.
func BenchmarkRestriction(b *testing.B) {
	own, err := namespacesIn("/proc/self")
	if err != nil {
		b.Fatal(err)
	}
	pid, uid := os.Getpid(), uint32(os.Getuid())
	b.ReportAllocs()
	for b.Loop() {
		if why := restriction(own, pid, uid, -1); why != "" {
			b.Fatal(why)
		}
	}
}
