package bus

import (
	"bufio"
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/godbus/dbus/v5"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/testkit"
	"github.com/session-init/session-init/session/wire"
)

// realBus is a dbus-daemon in a directory of its own.
type realBus struct {
	t       *testing.T
	program string
	dir     string
	socket  string
	daemon  *exec.Cmd
}

const busConfig = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path=%s</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
    <deny own="org.example.Forbidden"/>
  </policy>
  <limit name="max_replies_per_connection">50000</limit>
  <limit name="max_connections_per_user">4096</limit>
  <limit name="max_completed_connections">4096</limit>
  <limit name="max_incomplete_connections">4096</limit>
</busconfig>
`

// newBus makes the directory; nothing runs yet.
func newBus(t *testing.T) *realBus {
	t.Helper()
	b := &realBus{t: t, program: testkit.Need(t, "dbus-daemon")}
	dir, err := os.MkdirTemp("", "realbus")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	// Another user may come in, where a test has one.
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	b.dir, b.socket = dir, filepath.Join(dir, "bus")
	if err := os.WriteFile(filepath.Join(dir, "config"), fmt.Appendf(nil, busConfig, b.socket), 0o600); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *realBus) address() string { return api.UnixAddress(b.socket) }

// start runs the bus until it answers.
func (b *realBus) start() {
	b.t.Helper()
	b.daemon = exec.Command(b.program, "--config-file="+filepath.Join(b.dir, "config"), "--nofork", "--nopidfile")
	b.daemon.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := b.daemon.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(b.stop)
	eventually(b.t, "the bus to answer", func() bool {
		conn, err := dbus.Connect(b.address())
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}

// stop kills the bus, whose socket stays behind as that of one that crashed.
func (b *realBus) stop() {
	if b.daemon != nil {
		_ = b.daemon.Process.Kill()
		_ = b.daemon.Wait()
		b.daemon = nil
	}
}

// client connects as any program does.
func (b *realBus) client() *dbus.Conn {
	b.t.Helper()
	conn, err := dbus.Connect(b.address())
	if err != nil {
		b.t.Fatalf("Connect(%s) = %v", b.address(), err)
	}
	b.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// owner tells which connection has a name; "" for none.
func owner(conn *dbus.Conn, name string) (unique string) {
	_ = conn.BusObject().Call("org.freedesktop.DBus.GetNameOwner", 0, name).Store(&unique)
	return unique
}

// logText is a log that can be looked at.
type logText struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logText) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.buf.String(), text)
}

// owners notes what a Remote tells of names.
type owners struct {
	mu   sync.Mutex
	told []string
}

func (o *owners) tell(id uint64, name string, owner Owner) {
	o.mu.Lock()
	defer o.mu.Unlock()
	text := fmt.Sprintf("%d %s ", id, name)
	if owner.Absent != "" {
		text += owner.Absent
	} else {
		text += fmt.Sprint(owner.Pid)
	}
	o.told = append(o.told, text)
	if owner.Pidfd >= 0 {
		_ = syscall.Close(owner.Pidfd)
	}
}

func (o *owners) has(text string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.ContainsFunc(o.told, func(one string) bool { return strings.HasPrefix(one, text) })
}

func (o *owners) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.told)
}

// busServer is a server that is to be on the bus, with its log.
func busServer(t *testing.T, b *realBus, opts RemoteOptions) (*loop, *Server, *Remote, *logText) {
	t.Helper()
	log := &logText{}
	l, s := serveWith(t, func(s *Server) {
		s.log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}, service("svc"), service("other"))
	if opts.Addresses == nil {
		opts.Addresses = []string{b.address()}
	}
	if opts.Owner == nil {
		opts.Owner = (&owners{}).tell
	}
	r, err := s.Join(opts)
	if err != nil {
		t.Fatalf("Join() = %v", err)
	}
	return l, s, r, log
}

var bothNames = []string{api.BusName, api.UpstartBusName}

// dialBus is a client of the bus that reads no more than it must to begin.
func dialBus(t *testing.T, b *realBus) *peer {
	t.Helper()
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: b.socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	p := &peer{t: t, conn: conn, in: bufio.NewReader(conn)}
	p.write([]byte("\x00AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n"))
	for _, want := range []string{"DATA", "OK"} {
		if got := p.line(); !strings.HasPrefix(got, want) {
			t.Fatalf("answer = %q; want %q", got, want)
		}
	}
	p.write(callTo(t, 1, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello"))
	return p
}

// callTo is a call of a name on the bus.
func callTo(t *testing.T, serial uint32, name, path, iface, member string, args ...any) []byte {
	t.Helper()
	var w wire.Writer
	sig := strings.Repeat("s", len(args))
	w.Begin(&wire.Header{Kind: wire.MethodCall, Serial: serial, Destination: name, Path: path, Interface: iface, Member: member, Signature: sig})
	w.Values(sig, args)
	if err := w.End(); err != nil {
		t.Fatal(err)
	}
	return w.Bytes()
}
