package session

import (
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/session-init/session-init/guard"
	"github.com/session-init/session-init/session/engine"
)

// stage is a daemon without a loop: what it would step stands in its inbox.
type stage struct {
	t   *testing.T
	d   *Daemon
	dir string
	env []string

	mu       sync.Mutex
	listener net.Listener // the display's
	clients  []net.Conn
	seen     []message
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{t: t, dir: t.TempDir()}
	s.d = &Daemon{Loop: &Loop{log: slog.New(slog.NewTextHandler(io.Discard, nil))}}
	s.d.guard = guard.New(func(f guard.Fault) { t.Errorf("panic: %+v", f) })
	s.env = []string{"WAYLAND_DISPLAY=w", "XDG_RUNTIME_DIR=" + s.dir, "DBUS_SESSION_BUS_ADDRESS=unix:path=" + s.dir + "/bus"}
	s.rise()
	t.Cleanup(s.fall)
	return s
}

func (s *stage) name() string { return "wayland:" + filepath.Join(s.dir, "w") }

// rise makes the display, fall ends it, as a crash does.
func (s *stage) rise() {
	listener, err := net.Listen("unix", filepath.Join(s.dir, "w"))
	if err != nil {
		s.t.Error(err)
		return
	}
	s.mu.Lock()
	s.listener = listener
	s.mu.Unlock()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			if s.listener == listener {
				s.clients = append(s.clients, conn)
			} else {
				conn.Close() // it fell meanwhile
			}
			s.mu.Unlock()
		}
	}()
}

func (s *stage) fall() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener != nil {
		s.listener.Close()
	}
	s.listener = nil
	for _, conn := range s.clients {
		conn.Close()
	}
	s.clients = nil
}

// onBus has f run while the session bus is being told of variables, which then
// fails.
func (s *stage) onBus(f func()) {
	s.t.Helper()
	listener, err := net.Listen("unix", filepath.Join(s.dir, "bus"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { listener.Close() })
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		f()
		conn.Close()
	}()
}

// inbox returns what was posted so far.
func (s *stage) inbox() []message {
	s.mu.Lock()
	defer s.mu.Unlock()
	next, _ := s.d.inbox.take(100)
	s.seen = append(s.seen, next...)
	return append([]message(nil), s.seen...)
}

// told waits for so many inputs, and returns them.
func (s *stage) told(n int) (inputs []engine.Input) {
	s.t.Helper()
	s.until("inputs", func() bool {
		inputs = nil
		for _, m := range s.inbox() {
			if m.input != nil {
				inputs = append(inputs, m.input)
			}
		}
		return len(inputs) >= n
	})
	return inputs
}

// turn makes the calls that were posted, as if no session had a display.
func (s *stage) turn() {
	s.t.Helper()
	s.inbox()
	s.mu.Lock()
	calls := s.seen
	s.seen = nil
	s.mu.Unlock()
	for _, m := range calls {
		if m.call != nil {
			m.call(engine.New(engine.Config{}).View())
		} else {
			s.mu.Lock()
			s.seen = append(s.seen, m)
			s.mu.Unlock()
		}
	}
}

func (s *stage) until(what string, ok func() bool) {
	s.t.Helper()
	for late := time.Now().Add(3 * time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(late) {
			s.t.Fatalf("in vain waited for %s: %+v", what, s.inbox())
		}
	}
}

func (s *stage) held() *heldDisplay {
	s.d.displays.mu.Lock()
	defer s.d.displays.mu.Unlock()
	return s.d.displays.find(s.name())
}

// first is a session that has begun on the display before.
func (s *stage) first() *heldDisplay {
	s.t.Helper()
	held, err := s.d.hold(s.name(), os.Getenv)
	if err != nil {
		s.t.Fatal(err)
	}
	s.d.watchDisplay(held)
	s.d.displays.release(held)
	s.accepted()
	return held
}

// accepted waits until the display has a client, which fall takes with it.
func (s *stage) accepted() {
	s.t.Helper()
	s.until("a client of the display", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.clients) > 0
	})
}

// The end of one session does not close the connection with which another is
// about to begin on the same display: else nobody would see that one end.
func TestDisplayIsKeptForNext(t *testing.T) {
	s := newStage(t)
	held := s.first()
	s.onBus(func() { s.d.letGo(engine.New(engine.Config{}).View(), s.name()) })
	s.d.beginSession(engine.SessionBegin{Env: s.env}, s.env, "")
	if s.held() != held {
		t.Error("the connection was closed while another session began with it")
	}
	s.fall()
	inputs := s.told(2)
	if _, ok := inputs[0].(engine.SessionBegin); !ok {
		t.Errorf("first comes %+v; want the beginning", inputs[0])
	}
	if lost, ok := inputs[1].(engine.SessionLost); !ok || lost.Display != s.name() {
		t.Errorf("then comes %+v; want the end of the display", inputs[1])
	}
}

// When no session has come of it, the connection is closed.
func TestDisplayIsLetGo(t *testing.T) {
	s := newStage(t)
	s.d.beginSession(engine.SessionBegin{Env: s.env}, s.env, "")
	if s.held() == nil {
		t.Error("the connection was closed before the session could begin")
	}
	s.turn()
	if s.held() != nil {
		t.Error("the connection to a display that no session has is kept")
	}
}

// A display that ends while a session is about to begin on it is lost for that
// one, too: its end is told once more, after the beginning.
func TestDisplayEndsAtBeginning(t *testing.T) {
	s := newStage(t)
	s.first()
	s.onBus(func() {
		s.fall()
		s.told(1)
	})
	s.d.beginSession(engine.SessionBegin{Env: s.env}, s.env, "")
	s.turn()
	var order []bool // which inputs are beginnings
	for _, in := range s.told(3) {
		_, begins := in.(engine.SessionBegin)
		order = append(order, begins)
	}
	if len(order) != 3 || order[0] || !order[1] || order[2] {
		t.Errorf("beginnings among what is told: %v; want end, beginning, end", order)
	}
}

// If another is there by then, it is that one's end that counts.
func TestDisplayChangesAtBeginning(t *testing.T) {
	s := newStage(t)
	before := s.first()
	s.onBus(func() {
		s.fall()
		s.told(1)
		s.rise()
	})
	s.d.beginSession(engine.SessionBegin{Env: s.env}, s.env, "")
	s.d.Read(func(engine.View) {})
	for _, m := range s.inbox() {
		if m.call != nil {
			m.call(engine.New(engine.Config{}).View())
			break
		}
	}
	s.until("a connection to the display that is there now", func() bool { now := s.held(); return now != nil && now != before })
	s.accepted()
	s.fall()
	if inputs := s.told(3); len(inputs) != 3 {
		t.Errorf("told: %+v; want end, beginning, end", inputs)
	}
}

// That a display has ended is told before anybody can begin on another of its
// name, and so cannot overtake that beginning: who looks for the connection has
// to wait until it is told.
func TestDisplayEndsBeforeNext(t *testing.T) {
	s := newStage(t)
	s.first()
	s.d.inbox.mu.Lock() // nothing can be told for now
	defer s.d.inbox.mu.Unlock()
	s.fall()
	for waits := 0; waits < 100; time.Sleep(time.Millisecond) {
		if !s.d.displays.mu.TryLock() {
			waits++
			continue
		}
		found := s.d.displays.find(s.name())
		s.d.displays.mu.Unlock()
		if found == nil {
			t.Fatal("one can begin on another display before the end of this one is told")
		}
		waits = 0
	}
}
