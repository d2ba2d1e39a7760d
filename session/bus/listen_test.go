package bus

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/engine"
)

func TestListenRefusals(t *testing.T) {
	l := newLoop(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	long := filepath.Join(dir, strings.Repeat("d", 108))
	for _, test := range []struct{ path, want string }{
		{long, "a socket's address holds 107"},
		{"socket", "does not begin with /"},
		{"@abstract", "does not begin with /"},
		{file, "no socket"},
		{filepath.Join(dir, "none", "socket"), "no such file or directory"},
	} {
		s, err := Listen(test.path, l, Options{})
		if err == nil {
			s.Close(0)
		}
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "cannot listen on "+test.path+": ") {
			t.Errorf("Listen(%s) = %v; want %q", test.path, err, test.want)
		}
	}
	if _, err := os.Lstat(file); err != nil {
		t.Errorf("the file is gone: %v", err)
	}
}

func TestListenOnStaleSocket(t *testing.T) {
	l := newLoop(t)
	path := filepath.Join(t.TempDir(), "s")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	_ = dead.Close()
	s, err := Listen(path, l, Options{})
	if err != nil {
		t.Fatalf("Listen(stale socket) = %v", err)
	}
	defer s.Close(0)
	l.server = s
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket's mode = %v, %v; want 0600", info.Mode(), err)
	}
	if second, err := Listen(path, l, Options{}); err == nil || !strings.Contains(err.Error(), "another daemon answers") {
		t.Errorf("Listen(socket in use) = %v, %v", second, err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the socket in use is gone: %v", err)
	}
}

// A daemon that ended in good order took its files away, and the keeper hands on
// the sockets all the same.
func TestListenAnewWithoutFile(t *testing.T) {
	l := newLoop(t)
	dir := t.TempDir()
	path, all := filepath.Join(dir, "s"), filepath.Join(dir, "all")
	var held [2]*os.File
	for i, path := range []string{path, all} {
		old, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		if held[i], err = old.File(); err != nil {
			t.Fatal(err)
		}
		defer held[i].Close()
		_ = old.Close() // with its file
	}
	s, err := Listen(path, l, Options{Socket: held[0], ReadOnly: all, ReadOnlySocket: held[1]})
	if err != nil {
		t.Fatalf("Listen(sockets whose files are gone) = %v", err)
	}
	defer s.Close(0)
	l.server = s
	for _, path := range []string{path, all} {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Errorf("cannot connect: %v", err)
			continue
		}
		_ = c.Close()
	}
}

func TestCloseSparesAnothersSocket(t *testing.T) {
	l := newLoop(t)
	path := filepath.Join(t.TempDir(), "s")
	s, err := Listen(path, l, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.Close(0)
	s.Close(0) // a second time does nothing
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("Close removed what is not its own: %v", err)
	}
}

func TestAddressIsEscaped(t *testing.T) {
	l := newLoop(t)
	path := filepath.Join(t.TempDir(), "a b,é")
	s, err := Listen(path, l, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(0)
	l.server = s
	if want := "/a%20b%2c%c3%a9"; !strings.HasSuffix(s.Address(), want) || !strings.HasPrefix(s.Address(), "unix:path=/") {
		t.Errorf("Address() = %s; want unix:path=/…%s", s.Address(), want)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	client, err := api.Dial(ctx, s.Address())
	if err != nil {
		t.Fatalf("Dial(%s) = %v", s.Address(), err)
	}
	defer func() { _ = client.Close() }()
	if _, err := client.Call(ctx, "/", api.PeerInterface, "Ping"); err != nil {
		t.Errorf("Ping = %v", err)
	}
}

// What waits is written before Close returns, for a client that reads.
func TestCloseDrains(t *testing.T) {
	l, s := serve(t)
	p := connect(t, s)
	const signals = 3000
	announce(l, signals)
	closed := make(chan struct{})
	go func() { defer close(closed); s.Close(patience) }()
	for i := range signals {
		if msg := p.receive(); msg.Type != dbus.TypeSignal {
			t.Fatalf("message %d = %s", i, story(msg))
		}
	}
	p.gone()
	<-closed
	if got := s.Connections(); got != 0 {
		t.Errorf("Connections() after Close = %d; want 0", got)
	}
}

// One that does not read is waited for no longer than was said.
func TestCloseLeavesTheMute(t *testing.T) {
	l, s := serve(t)
	p := connect(t, s)
	announce(l, 3000)
	s.Close(50 * time.Millisecond)
	// On a busy machine the end of its goroutines may take longer than Close waits.
	eventually(t, "the client to be forgotten", func() bool { return s.Connections() == 0 })
	p.gone()
}

// announce sends signals of a thousand bytes to all clients.
func announce(l *loop, count int) {
	text := strings.Repeat("x", 1000)
	l.do(func() {
		for range count {
			l.server.Notify(engine.Notify{Kind: engine.EventEmitted, Text: text})
		}
	})
}

func TestCloseWhileClientsCome(t *testing.T) {
	l, s := serve(t, service("svc"))
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: s.path, Net: "unix"})
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("\x00AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n"))
			_, _ = conn.Write(encodeCall(t, 1, api.JobPath("svc"), "", "Start", []string{}, true))
			defer func() { _ = conn.Close() }()
		}
	}()
	eventually(t, "some clients", func() bool { return s.Connections() > 20 })
	s.Close(0)
	close(stop)
	<-done
	l.do(func() {})
}

func TestIdleAuthenticationAtClose(t *testing.T) {
	_, s := serve(t)
	p := dial(t, s)
	p.write([]byte("\x00AUTH EXTERNAL\r\n"))
	if got := p.line(); got != "DATA" {
		t.Fatalf("answer = %q", got)
	}
	s.Close(patience) // must not wait for it
	p.gone()
}
