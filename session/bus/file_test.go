package bus

import (
	"bytes"
	"encoding/binary"
	"os"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
)

// encodeFile makes a call with a descriptor; destination may be empty.
func encodeFile(t *testing.T, serial uint32, destination, member string, args ...any) []byte {
	t.Helper()
	msg := dbus.Message{Type: dbus.TypeMethodCall, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath:      dbus.MakeVariant(dbus.ObjectPath(api.ManagerPath)),
		dbus.FieldMember:    dbus.MakeVariant(member),
		dbus.FieldSignature: dbus.MakeVariant(dbus.SignatureOf(args...)),
		dbus.FieldUnixFDs:   dbus.MakeVariant(uint32(1)),
	}, Body: args}
	if destination != "" {
		msg.Headers[dbus.FieldDestination] = dbus.MakeVariant(destination)
	}
	var buf bytes.Buffer
	if _, err := msg.EncodeToWithFDs(&buf, binary.LittleEndian); err != nil {
		t.Fatal(err)
	}
	binary.LittleEndian.PutUint32(buf.Bytes()[8:], serial)
	return buf.Bytes()
}

// sendFile makes such a call, and closes the file.
func (p *peer) sendFile(w *os.File, member string, args ...any) (serial uint32) {
	p.t.Helper()
	p.serial++
	message := encodeFile(p.t, p.serial, "", member, args...)
	if _, _, err := p.conn.WriteMsgUnix(message, unix.UnixRights(int(w.Fd())), nil); err != nil {
		p.t.Fatal(err)
	}
	_ = w.Close()
	return p.serial
}

// pipe is one that lasts as long as the test.
func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = r.Close(), w.Close() })
	_ = r.SetReadDeadline(time.Now().Add(patience))
	return r, w
}

// ends wants that nobody holds the other end any more.
func ends(t *testing.T, r *os.File) {
	t.Helper()
	if n, err := r.Read(make([]byte, 1)); n != 0 || os.IsTimeout(err) {
		t.Errorf("Read(pipe) = %d, %v; want end of file", n, err)
	}
}

// file is what is sent in place of a descriptor: the first that comes along.
const file = dbus.UnixFD(0)

// Whatever becomes of a call, what came with it is closed when nobody gets it.
func TestDescriptorsAreClosed(t *testing.T) {
	for _, test := range []struct {
		member string
		args   []any
		want   string
	}{
		{"EmitEventWithFile", []any{"go", []string{}, true, file}, "reply"},
		{"EmitEventWithFile", []any{"go", []string{}, false, file}, "reply"},
		{"EmitEventWithFile", []any{"", []string{}, true, file}, "error " + api.ErrInvalidArgs + " Event name may not be empty string"},
		{"EmitEventWithFile", []any{"go", []string{}, true}, "error " + api.ErrInvalidArgs + " cannot call EmitEventWithFile: its arguments are (sasbh), not (sasb)"},
		{"EmitEvent", []any{"go", []string{}, true}, "reply"},
	} {
		_, s := serve(t)
		p := connect(t, s)
		r, w := pipe(t)
		p.sendFile(w, test.member, test.args...)
		msg := p.receive()
		for msg.Type == dbus.TypeSignal {
			msg = p.receive()
		}
		if got := story(msg); got != test.want {
			t.Errorf("%s%v = %s; want %s", test.member, test.args, got, test.want)
		}
		ends(t, r)
	}
}

// TestEmitEventWithFile: a job has the descriptor as long as it runs, and one
// that there is no room for is refused.
func TestEmitEventWithFile(t *testing.T) {
	l, s := serve(t, service("svc", func(c *job.Class) { c.StartOn = expr(t, "go") }))
	p := connect(t, s)
	r, w := pipe(t)
	call := p.sendFile(w, "EmitEventWithFile", "go", []string{"A=b"}, true, file)
	for msg := p.receive(); replyTo(msg) != call; msg = p.receive() {
		if msg.Type == dbus.TypeError {
			t.Fatal(story(msg))
		}
	}
	var files []uint64
	l.do(func() {
		files = l.engine.Files()
		if len(files) == 1 {
			if _, err := l.file.WriteString("x"); err != nil {
				t.Error(err)
			}
		}
	})
	if text := make([]byte, 1); len(files) != 1 {
		t.Fatalf("the engine has the descriptors %d; want one", files)
	} else if _, err := r.Read(text); err != nil || text[0] != 'x' {
		t.Errorf("Read(pipe) = %q, %v; want what was written to what the job gets", text, err)
	}

	other, w := pipe(t)
	call = p.sendFile(w, "EmitEventWithFile", "go", []string{}, true, file)
	for msg := p.receive(); ; msg = p.receive() {
		if replyTo(msg) != call {
			continue
		}
		if got, want := story(msg), "error "+api.ErrLimitsExceeded+" cannot emit go: no more"; got != want {
			t.Errorf("a second one = %s; want %s", got, want)
		}
		break
	}
	ends(t, other)
	p.mustCall(api.InstancePath("svc", ""), api.InstanceInterface, "Stop", true)
	ends(t, r)
}

// A descriptor comes with the first call of a guest, who is asked for only then.
func TestFileOverTheBus(t *testing.T) {
	b := newBus(t)
	b.start()
	l, _, _, _ := busServer(t, b, RemoteOptions{Names: bothNames})
	conn := b.client()
	eventually(t, "us to be on the bus", func() bool { return owner(conn, api.BusName) != "" })
	r, w := pipe(t)
	var seen []uint64
	l.do(func() {
		l.apply(engine.SetClass{Class: service("other", func(c *job.Class) { c.StartOn = expr(t, "go") })})
	})
	done := conn.Object(api.BusName, api.ManagerPath).Call(api.ManagerInterface+".EmitEventWithFile", 0, "go", []string{}, true, dbus.UnixFD(w.Fd()))
	if done.Err != nil {
		t.Fatal(done.Err)
	}
	_ = w.Close()
	l.do(func() { seen = l.engine.Files() })
	if len(seen) != 1 {
		t.Errorf("the engine has the descriptors %d; want one", seen)
	}
	l.do(func() { l.apply(engine.Stop{Target: engine.Target{Class: "other"}}) })
	ends(t, r)
}

// The first message may come with the last word of the exchange; before that
// nothing is taken.
func TestFileWithBegin(t *testing.T) {
	_, s := serve(t)
	for _, test := range []struct {
		text    string
		message []byte
		welcome bool
	}{
		{"NEGOTIATE_UNIX_FD\r\nBEGIN\r\n", encodeFile(t, 1, "", "EmitEventWithFile", "go", []string{}, true, file), true},
		{"BEGIN\r\n", encodeFile(t, 1, "", "EmitEventWithFile", "go", []string{}, true, file), false},
		{"BEGIN\r\n", nil, false},
		{"NEGOTIATE_UNIX_FD\r\n", nil, false},
	} {
		p := dial(t, s)
		p.write([]byte("\x00AUTH EXTERNAL\r\nDATA\r\n"))
		for range 2 {
			p.line()
		}
		r, w := pipe(t)
		if _, _, err := p.conn.WriteMsgUnix(append([]byte(test.text), test.message...), unix.UnixRights(int(w.Fd())), nil); err != nil {
			t.Fatal(err)
		}
		_ = w.Close()
		if !test.welcome {
			p.gone()
		} else if got := p.line(); got != "AGREE_UNIX_FD" {
			t.Errorf("after %q came %s", test.text, got)
		} else if got := story(p.receive()); got != "EventEmitted  go []" {
			t.Errorf("after %q came %s", test.text, got)
		} else if got := story(p.receive()); got != "reply" {
			t.Errorf("the answer is %s", got)
		}
		ends(t, r)
	}
}
