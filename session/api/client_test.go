package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"github.com/session-init/session-init/session/wire"
)

func TestCallOneWrite(t *testing.T) {
	c := fake(t, func(s *fakeServer) {
		// Everything comes before the server has said a word.
		s.hello()
		call := s.call()
		want := `/com/ubuntu/Upstart/jobs/a_2fb com.ubuntu.Upstart0_6.Job.Start([]string{"K=v"}, true)`
		if got := describe(call); got != want {
			t.Errorf("call = %s; want %s", got, want)
		}
		s.write(replyTo(call, dbus.ObjectPath(InstancePath("a/b", ""))))
	})
	body, err := c.Call(t.Context(), JobPath("a/b"), JobInterface, "Start", []string{"K=v"}, true)
	if want := []any{InstancePath("a/b", "")}; !reflect.DeepEqual(body, want) || err != nil {
		t.Errorf("Call = %#v, %v; want %#v", body, err, want)
	}
}

func TestCallResults(t *testing.T) {
	c := fake(t, func(s *fakeServer) {
		s.hello()
		s.write(replyTo(s.call()))
		s.write(replyTo(s.call(), "s", true, int32(-1), []string{"x"}, []dbus.ObjectPath{"/a", "/b"}, []dbus.ObjectPath{},
			[][]string{{"/AND"}}, map[string]dbus.Variant{
				"p": dbus.MakeVariant([]struct {
					Kind string
					Pid  int32
				}{{"main", 7}}),
				"v": dbus.MakeVariant(dbus.MakeVariant("deep")),
			}))
		s.write(errorTo(s.call(), ErrUnknownJob, "Unknown job: x"))
		s.write(errorTo(s.call(), ErrUnknownMethod))
		s.write(errorTo(s.call(), ErrFailed, int32(1)))
	})
	for _, want := range [][]any{
		{},
		{"s", true, int32(-1), []string{"x"}, []string{"/a", "/b"}, []string{}, [][]string{{"/AND"}}, map[string]any{
			"p": []any{[]any{"main", int32(7)}}, "v": "deep"}},
	} {
		body, err := c.Call(t.Context(), ManagerPath, ManagerInterface, "Any")
		if !reflect.DeepEqual(body, want) || err != nil {
			t.Errorf("Call = %#v, %v; want %#v", body, err, want)
		}
	}
	for _, want := range []struct{ name, text string }{
		{ErrUnknownJob, "Unknown job: x"}, {ErrUnknownMethod, ErrUnknownMethod}, {ErrFailed, ErrFailed},
	} {
		_, err := c.Call(t.Context(), ManagerPath, ManagerInterface, "Any")
		if !IsName(err, "other", want.name) || IsName(err, "other") || err.Error() != want.text {
			t.Errorf("Call = %v; want the error %s with the text %q", err, want.name, want.text)
		}
	}
}

func TestSignalsBeforeReply(t *testing.T) {
	path := InstancePath("svc", "")
	c := fake(t, func(s *fakeServer) {
		s.hello()
		for range 2 {
			call := s.call()
			s.write(signalBytes(path, "GoalChanged", "start"), signalBytes(path, "StateChanged", "starting"),
				replyTo(call), signalBytes(path, "StateChanged", "running"))
		}
	})
	var seen []string
	c.OnSignal = func(s Signal) {
		if s.Path != path || s.Interface != InstanceInterface {
			t.Errorf("signal of %s %s; want %s", s.Path, s.Interface, path)
		}
		seen = append(seen, s.Member+" "+s.Body[0].(string))
	}
	for range 2 {
		if _, err := c.Call(t.Context(), ManagerPath, ManagerInterface, "Any"); err != nil {
			t.Fatal(err)
		}
		seen = append(seen, "reply")
	}
	want := "GoalChanged start, StateChanged starting, reply, StateChanged running, GoalChanged start, StateChanged starting, reply"
	if got := strings.Join(seen, ", "); got != want {
		t.Errorf("order = %s; want %s", got, want)
	}
}

func TestSignalsSkipped(t *testing.T) {
	long := strings.Repeat("x", 10_000) // longer than the read buffer
	c := fake(t, func(s *fakeServer) {
		s.hello()
		s.write(signalBytes("/a", "StateChanged", long), replyTo(s.call(), "r"))
	})
	body, err := c.Call(t.Context(), ManagerPath, ManagerInterface, "Any")
	if err != nil || len(body) != 1 || body[0] != "r" {
		t.Errorf("Call = %v, %v; want r", body, err)
	}
}

// Who has no use for signals says so with its first call, and takes it back when
// that changes, before the call that follows.
func TestSendSignals(t *testing.T) {
	told := make(chan string, 10)
	c := fake(t, func(s *fakeServer) {
		s.hello()
		for call := s.call(); call != nil; call = s.call() {
			told <- fmt.Sprint(s.signals)
			s.write(replyTo(call))
		}
		told <- fmt.Sprint(s.signals)
	})
	ignore := func(Signal) {}
	for i, test := range []struct {
		on   func(Signal)
		want string
	}{{nil, "[false]"}, {nil, "[false]"}, {ignore, "[false true]"}, {ignore, "[false true]"}, {nil, "[false true false]"}} {
		c.OnSignal = test.on
		if _, err := c.Call(t.Context(), ManagerPath, ManagerInterface, "Any"); err != nil {
			t.Fatal(err)
		}
		if got := <-told; got != test.want {
			t.Errorf("before call %d it was said %s; want %s", i+1, got, test.want)
		}
	}
	c.OnSignal = ignore
	if err := c.Listen(t.Context(), func() bool { c.Close(); return true }); err == nil {
		t.Error("Listen on a closed connection succeeds")
	}
	if got, want := <-told, "[false true false true]"; got != want {
		t.Errorf("before Listen it was said %s; want %s", got, want)
	}
}

func TestBigEndianReply(t *testing.T) {
	c := fake(t, func(s *fakeServer) {
		s.hello()
		s.write(bytesOf(dbus.TypeMethodReply, binary.BigEndian,
			map[dbus.HeaderField]any{dbus.FieldReplySerial: s.call().Serial()}, "r"))
	})
	body, err := c.Call(t.Context(), ManagerPath, ManagerInterface, "Any")
	if err != nil || len(body) != 1 || body[0] != "r" {
		t.Errorf("Call = %v, %v; want r", body, err)
	}
}

// Replies find their request by its serial, strangers' are passed over, and
// no more than a window of calls is under way.
func TestCallAll(t *testing.T) {
	const n = 2*window + 3
	c := fake(t, func(s *fakeServer) {
		s.hello()
		for done := 0; done < n; {
			calls := make([]*dbus.Message, min(window, n-done))
			for i := range calls {
				calls[i] = s.call()
			}
			if s.in.Buffered() > 0 {
				t.Errorf("more than %d calls under way", len(calls))
			}
			stranger := bytesOf(dbus.TypeMethodReply, binary.LittleEndian,
				map[dbus.HeaderField]any{dbus.FieldReplySerial: calls[0].Serial() + n}, "stranger")
			s.write(stranger)
			for i := len(calls) - 1; i >= 0; i-- { // back to front
				if i%2 == 1 {
					s.write(errorTo(calls[i], ErrFailed, calls[i].Body[0]))
				} else {
					s.write(replyTo(calls[i], calls[i].Body[0]))
				}
			}
			done += len(calls)
		}
	})
	requests := make([]Request, n)
	for i := range requests {
		requests[i] = Request{Path: ManagerPath, Interface: ManagerInterface, Member: "Any", Args: []any{string(rune('a' + i))}}
	}
	replies, err := c.CallAll(t.Context(), requests)
	if err != nil || len(replies) != n {
		t.Fatalf("CallAll = %d replies, %v; want %d", len(replies), err, n)
	}
	for i, reply := range replies {
		want := string(rune('a' + i))
		if (i%window)%2 == 1 {
			if reply.Err == nil || reply.Err.Message != want {
				t.Errorf("reply %d = %v; want the error %s", i, reply, want)
			}
		} else if reply.Err != nil || reply.Body[0] != want {
			t.Errorf("reply %d = %v; want %s", i, reply, want)
		}
	}
	if replies, err := c.CallAll(t.Context(), nil); len(replies) != 0 || err != nil {
		t.Errorf("CallAll of nothing = %v, %v", replies, err)
	}
}

func TestRejected(t *testing.T) {
	c := fake(t, func(s *fakeServer) {
		s.in.ReadString('\n')
		s.write([]byte("REJECTED EXTERNAL\r\n"))
		s.call()
	})
	for range 2 { // and it stays so
		if _, err := c.Call(t.Context(), ManagerPath, ManagerInterface, "Any"); !errors.Is(err, ErrRejected) {
			t.Errorf("Call = %v; want ErrRejected", err)
		}
	}
}

func TestStrangersAnswers(t *testing.T) {
	ok := "OK 0\r\n"
	huge := append([]byte("l\x02\x00\x01"), 0xff, 0xff, 0xff, 0x7f, 1, 0, 0, 0, 0, 0, 0, 0)
	for _, test := range []struct {
		name, answer string
		want         string
	}{
		{"another protocol", "220 mail.example ESMTP\r\n", `cannot talk to what listens there: it answered "220 mail.example ESMTP\r\n"`},
		{"no line at all", strings.Repeat("x", 5000), "cannot talk to what listens there"},
		{"closed at once", "", ErrDisconnected.Error()},
		{"closed in the line", "OK 0", ErrDisconnected.Error()},
		{"closed after it", ok, ErrDisconnected.Error()},
		{"closed in a header", ok + "l\x02\x00", ErrDisconnected.Error()},
		{"closed in a message", ok + "l\x02\x00\x01\x10\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00abc", ErrDisconnected.Error()},
		{"no message", ok + "?\x02\x00\x01\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00", "cannot read a message that begins with \"?\\x02"},
		{"too long", ok + string(huge), "it is longer than 128 MiB"},
		{"no reply serial", ok + "l\x02\x00\x01\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00", "cannot read a message: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := fake(t, func(s *fakeServer) {
				s.in.ReadString('\n')
				s.in.ReadString('\n')
				s.call()
				s.write([]byte(test.answer))
			})
			_, err := c.Call(t.Context(), ManagerPath, ManagerInterface, "Any")
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Call = %v; want %q in it", err, test.want)
			}
			if wantLost := test.want == ErrDisconnected.Error(); errors.Is(err, ErrDisconnected) != wantLost {
				t.Errorf("Call = %v; ErrDisconnected: want %v", err, wantLost)
			}
		})
	}
}

// A server that closes without reading makes the write fail, or the read.
func TestClosedBeforeCall(t *testing.T) {
	closed := make(chan struct{})
	c := fake(t, func(s *fakeServer) {
		s.conn.Close()
		close(closed)
	})
	<-closed
	if _, err := c.Call(t.Context(), ManagerPath, ManagerInterface, "Any"); !errors.Is(err, ErrDisconnected) {
		t.Errorf("Call = %v; want ErrDisconnected", err)
	}
}

func TestCallEndsWithContext(t *testing.T) {
	called := make(chan struct{})
	c := fake(t, func(s *fakeServer) {
		s.hello()
		s.call()
		close(called)
		if msg := s.call(); msg != nil {
			t.Errorf("after the context: %s; want the end", describe(msg))
		}
	})
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	go func() {
		<-called
		cancel(why)
	}()
	if _, err := c.Call(ctx, ManagerPath, ManagerInterface, "Any"); err != why {
		t.Errorf("Call = %v; want %v", err, why)
	}
	if _, err := c.Call(t.Context(), ManagerPath, ManagerInterface, "Any"); err != why {
		t.Errorf("next Call = %v; want %v", err, why)
	}
}

func TestCallRefusesWhatDBusCannotCarry(t *testing.T) {
	for _, arg := range []any{"a\xff", []string{"ok", "a\x00b"}, wire.MakeVariant("\xc3")} {
		c := fake(t, func(s *fakeServer) {
			if got := s.call(); got != nil {
				t.Errorf("the server got %s", describe(got))
			}
		})
		_, err := c.Call(t.Context(), ManagerPath, ManagerInterface, "EmitEvent", arg)
		if err == nil || !strings.HasPrefix(err.Error(), "cannot call EmitEvent: ") || !strings.HasSuffix(err.Error(), "D-Bus cannot carry it") {
			t.Errorf("Call(%q) = %v; want a refusal", arg, err)
		}
	}
}

func TestDial(t *testing.T) {
	dir := t.TempDir()
	path, gone := filepath.Join(dir, "a b"), filepath.Join(dir, "gone")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	c, err := Dial(t.Context(), UnixAddress(gone)+";"+UnixAddress(path)+",guid=00;")
	if err != nil {
		t.Fatalf("Dial with a second address = %v", err)
	}
	c.Close()
	_, err = Dial(t.Context(), UnixAddress(gone))
	if want := "cannot connect to " + UnixAddress(gone) + ": no such file or directory"; err == nil || err.Error() != want || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Dial = %v; want %s", err, want)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Dial(ended, UnixAddress(path)); err != context.Canceled {
		t.Errorf("Dial with an ended context = %v; want %v", err, context.Canceled)
	}
	if _, err := Dial(t.Context(), "tcp:host=localhost,port=1"); err == nil || !strings.Contains(err.Error(), "only unix is known") {
		t.Errorf("Dial of tcp = %v; want a refusal", err)
	}
}

func TestInstance(t *testing.T) {
	full := map[string]any{"name": "tty1", "goal": "start", "state": "running",
		"processes": []any{[]any{"main", int32(5)}, []any{"post-start", int32(6)}}}
	got, err := Reply{Body: []any{full}}.Instance()
	want := InstanceInfo{"tty1", "start", "running", []ProcessInfo{{"main", 5}, {"post-start", 6}}}
	if !reflect.DeepEqual(got, want) || err != nil {
		t.Errorf("Instance = %v, %v; want %v", got, err, want)
	}
	for _, body := range [][]any{
		nil, {"x"}, {map[string]any{}},
		{map[string]any{"name": "", "goal": "start", "state": 1, "processes": []any{}}},
		{map[string]any{"name": "", "goal": "start", "state": "running", "processes": []any{"x"}}},
		{map[string]any{"name": "", "goal": "start", "state": "running", "processes": []any{[]any{"main", "5"}}}},
	} {
		if got, err := (Reply{Body: body}).Instance(); err == nil {
			t.Errorf("Instance of %v = %v; want an error", body, got)
		}
	}
	refused := Reply{Err: &Error{ErrUnknownInstance, "Unknown instance: x"}}
	if _, err := refused.Instance(); !IsName(err, ErrUnknownInstance) {
		t.Errorf("Instance of an error = %v; want it", err)
	}
}

func TestSetProperty(t *testing.T) {
	c := fake(t, func(s *fakeServer) {
		s.hello()
		call := s.call()
		if got, want := call.Headers[dbus.FieldSignature].Value().(dbus.Signature).String(), "ssv"; got != want {
			t.Errorf("signature = %s; want %s", got, want)
		}
		s.write(replyTo(call))
	})
	if _, err := c.CallAll(t.Context(), []Request{SetProperty(ManagerPath, ManagerInterface, "log_priority", "debug")}); err != nil {
		t.Error(err)
	}
}

// FuzzReadMessage holds the reader against any bytes: no panic, and what was
// read or skipped was whole.
func FuzzReadMessage(f *testing.F) {
	call := &dbus.Message{}
	f.Add(replyTo(call, "r", []string{"a"}), false)
	f.Add(errorTo(call, ErrFailed, "why"), true)
	f.Add(signalBytes("/a", "StateChanged", "running"), true)
	f.Add(signalBytes("/a", "Failed", int32(256)), false)
	f.Add([]byte("l\x04\x00\x01\xff\xff\xff\xff\x01\x00\x00\x00\xff\xff\xff\xff"), true)
	f.Fuzz(func(t *testing.T, data []byte, skip bool) {
		in := bufio.NewReader(bytes.NewReader(data))
		for {
			var msg wire.Message
			if err := readMessage(in, skip, &msg); err != nil {
				return
			}
			if skip && msg.Kind == wire.Signal {
				t.Fatal("gave a signal that was not wanted")
			}
			newError(&msg)
			plainList(msg.Values())
		}
	})
}
