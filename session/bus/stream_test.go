package bus

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/wire"
)

// many connects more clients than the engine's goroutine writes to.
func many(t *testing.T, s *Server) (peers []*peer) {
	t.Helper()
	for range flushClients + 3 {
		peers = append(peers, connect(t, s))
	}
	return peers
}

// tell announces that a job's state is text.
func tell(s *Server, text string) {
	s.Notify(engine.Notify{Kind: engine.StateChanged, Class: "svc", Text: text})
}

// An answer comes after all that was announced before it, to whoever asks, and
// what comes after it is told once, however the flusher stands.
func TestAnswersAmongSignals(t *testing.T) {
	l, s := serve(t)
	peers := many(t, s)
	const n = 300
	for i := range n {
		l.do(func() { tell(s, fmt.Sprint(i)) })
		p := peers[i%len(peers)]
		ping := p.send("/", api.PeerInterface, "Ping")
		for {
			msg := p.receive()
			if replyTo(msg) == ping {
				break
			}
			p.heard = append(p.heard, story(msg))
		}
		if want := fmt.Sprintf("StateChanged /jobs/svc/_ %d", i); len(p.heard) == 0 || p.heard[len(p.heard)-1] != want {
			t.Fatalf("before answer %d came %q last; want %q", i, p.heard[max(0, len(p.heard)-1):], want)
		}
	}
	for at, p := range peers {
		for len(p.heard) < n {
			p.heard = append(p.heard, story(p.receive()))
		}
		for i, got := range p.heard {
			if want := fmt.Sprintf("StateChanged /jobs/svc/_ %d", i); got != want {
				t.Fatalf("client %d heard %q as number %d; want %q", at, got, i, want)
			}
		}
	}
}

// Who comes late hears nothing of what was announced before.
func TestLateListener(t *testing.T) {
	l, s := serve(t)
	peers := many(t, s)
	ours, theirs := pair(t)
	late := newConn(s, ours, 0)
	// What is announced waits in the stream until the engine is at rest.
	l.do(func() {
		tell(s, "before")
		if err := s.enter(late); err != nil {
			t.Error(err)
		}
		tell(s, "after")
		late.send([]byte("answer"))
	})
	got := make([]byte, 0, 4096)
	eventually(t, "the answer", func() bool {
		n, err := theirs.Read(got[len(got):cap(got)])
		if err != nil {
			t.Fatal(err)
		}
		got = got[:len(got)+n]
		return bytes.HasSuffix(got, []byte("answer"))
	})
	if bytes.Contains(got, []byte("before")) || !bytes.Contains(got, []byte("after")) {
		t.Errorf("it got %q; want what was announced after it came", got)
	}
	for _, want := range []string{"before", "after"} {
		if got := story(peers[0].receive()); got != "StateChanged /jobs/svc/_ "+want {
			t.Errorf("another heard %q; want %s", got, want)
		}
	}
	late.stop()
	late.shut()
}

// pair is two ends of a connection.
func pair(t *testing.T) (one, other *net.UnixConn) {
	t.Helper()
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: t.TempDir() + "/s", Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	if one, err = net.DialUnix("unix", nil, listener.Addr().(*net.UnixAddr)); err != nil {
		t.Fatal(err)
	}
	if other, err = listener.AcceptUnix(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = one.Close(), other.Close() })
	_ = other.SetDeadline(time.Now().Add(patience))
	return one, other
}

// What nobody spreads does not grow for ever: the outboxes get it, which have a
// bound.
func TestStreamIsBounded(t *testing.T) {
	s := &Server{stream: newStream(), backend: deaf{}}
	var clients []*conn
	for range 2 {
		c := &conn{server: s, out: newOutbox(1 << 30)}
		s.stream.listeners = append(s.stream.listeners, c)
		c.listens = true
		clients = append(clients, c)
	}
	long := strings.Repeat("x", 1000)
	total, most := 0, 0
	for range 3 * streamBytes / len(long) {
		s.announce(wire.Header{Path: "/", Interface: "a.b", Member: "C", Signature: "s"}, long)
		most = max(most, len(s.stream.fresh))
	}
	if limit := streamBytes + 2*len(long); most > limit {
		t.Errorf("%d bytes waited in the stream; want %d at most", most, limit)
	}
	for _, c := range clients {
		size := 0
		for _, piece := range c.out.queue {
			size += len(piece)
		}
		total = max(total, size)
	}
	if total < 2*streamBytes {
		t.Errorf("%d bytes are in an outbox; want all that is not in the stream", total)
	}
}

// deaf is a backend that does nothing.
type deaf struct{ Backend }

func (deaf) Read(func(engine.View)) {}

// At the end everybody is told what was announced before it.
func TestLeaveTellsAll(t *testing.T) {
	l, s := serve(t)
	peers := many(t, s)
	l.do(func() { tell(s, "last") })
	s.Leave(patience)
	_ = os.Remove(s.path) // which Leave leaves to whoever serves it next
	for i, p := range peers {
		for _, want := range []string{"StateChanged /jobs/svc/_ last", "Restarted"} {
			if got := story(p.receive()); got != want {
				t.Errorf("client %d heard %q; want %q", i, got, want)
			}
		}
		if _, err := p.in.ReadByte(); err != io.EOF {
			t.Errorf("client %d: after the end ReadByte() = %v; want EOF", i, err)
		}
	}
}

// Change answers before what the same client asks for next, though both wait in
// the engine's inbox.
func TestChangeInOrder(t *testing.T) {
	l, s := serve(t, service("svc"))
	p := connect(t, s)
	l.hold(true)
	var want []uint32
	for _, verb := range []string{"start", "stop", "start"} {
		want = append(want, p.send(api.JobPath("svc"), api.JobExtension, "Change", verb, []string{}, false),
			p.send("/", api.PeerInterface, "Ping"))
	}
	eventually(t, "the calls to wait for the engine", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.inbox) == len(want)
	})
	l.hold(false)
	var got []uint32
	for len(got) < len(want) {
		if serial := replyTo(p.receive()); serial != 0 {
			got = append(got, serial)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("answers came to the calls %d; want %d", got, want)
	}
}

// BenchmarkAnnounce is what a signal costs the engine's goroutine, by clients,
// when it announces a hundred at a time.
func BenchmarkAnnounce(b *testing.B) {
	for _, clients := range []int{1, 10, 100} {
		b.Run(fmt.Sprint(clients), func(b *testing.B) {
			l, s := benchServer(b)
			for range clients {
				conn, in := benchConnect(b, s)
				benchCall(b, conn, in, encodeCall(b, 1, "/", "", "Ping"))
				go func() { _, _ = in.WriteTo(io.Discard) }()
				b.Cleanup(func() { _ = conn.Close() })
			}
			b.ReportAllocs()
			spent := time.Duration(0)
			for b.Loop() {
				l.do(func() {
					began := time.Now()
					for range 100 {
						s.Notify(engine.Notify{Kind: engine.EventEmitted, Text: "started", Env: events.Env{"JOB=svc"}})
					}
					spent += time.Since(began)
				})
			}
			b.ReportMetric(float64(spent.Nanoseconds())/float64(b.N)/100, "ns/signal")
		})
	}
}

// A client hears nothing while it wants no signals, and all from when it wants
// them again, in the order of its calls.
func TestSendSignals(t *testing.T) {
	l, s := serve(t)
	p := connect(t, s)
	var heard []string
	call := func(iface, member string, args ...any) {
		heard = append(heard, p.until(p.send(api.ManagerPath, iface, member, args...))...)
	}
	// What was announced before it is heard, also if the engine has not come to
	// sending it.
	l.do(func() { tell(s, "before"); l.hold(true) })
	serial := p.send(api.ManagerPath, api.ManagerExtension, "SendSignals", false)
	eventually(t, "nobody to listen", func() bool {
		s.stream.mu.Lock()
		defer s.stream.mu.Unlock()
		return len(s.stream.listeners) == 0
	})
	l.hold(false)
	heard = append(heard, p.until(serial)...)
	for range 2 { // the second changes nothing
		call(api.ManagerExtension, "SendSignals", false)
		l.do(func() { tell(s, "unheard") })
	}
	call(api.ManagerExtension, "SendSignals", true)
	call(api.ManagerExtension, "SendSignals", true)
	l.do(func() { tell(s, "after") })
	call(api.PeerInterface, "Ping")
	want := []string{"StateChanged /jobs/svc/_ before", "StateChanged /jobs/svc/_ after"}
	if !slices.Equal(heard, want) {
		t.Errorf("heard %q; want %q", heard, want)
	}
}

// The last word of the authentication comes with the first answer when the first
// call came with it, and by itself when nothing is answered.
func TestAuthenticationWithACall(t *testing.T) {
	_, s := serve(t)
	ping := encodeCall(t, 7, api.ManagerPath, "", "Ping")
	quiet := bytes.Clone(ping)
	quiet[2] |= wire.NoReplyExpected
	for name, test := range map[string]struct {
		calls  []byte
		answer bool
	}{"a call": {ping, true}, "one without an answer": {quiet, false}, "both": {append(bytes.Clone(quiet), ping...), true}} {
		p := dial(t, s)
		p.write(append([]byte("\x00AUTH EXTERNAL "+hex.EncodeToString(fmt.Append(nil, os.Getuid()))+"\r\nBEGIN\r\n"), test.calls...))
		if got, want := p.line(), "OK "+s.guid; got != want {
			t.Errorf("%s: the first line = %q; want %q", name, got, want)
		}
		if test.answer {
			if msg := p.receive(); replyTo(msg) != 7 {
				t.Errorf("%s: after it came %q; want the answer", name, story(msg))
			}
		}
	}
}
