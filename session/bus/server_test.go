package bus

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/wire"
)

func TestSignalsBeforeReplies(t *testing.T) {
	l, s := serve(t, service("svc"))
	p := connect(t, s)
	watcher := connect(t, s)
	start := p.send(api.JobPath("svc"), api.JobInterface, "Start", []string{"A=b"}, true)
	var got []string
	for {
		msg := p.receive()
		got = append(got, story(msg))
		if replyTo(msg) == start {
			break
		}
	}
	want := []string{
		"InstanceAdded /jobs/svc /jobs/svc/_",
		"GoalChanged /jobs/svc/_ start",
		"StateChanged /jobs/svc/_ starting",
		"EventEmitted  starting [JOB=svc INSTANCE=]",
		"StateChanged /jobs/svc/_ pre-start",
		"StateChanged /jobs/svc/_ spawned",
		"StateChanged /jobs/svc/_ post-start",
		"StateChanged /jobs/svc/_ running",
	}
	var states []string
	for _, line := range got {
		if !strings.HasPrefix(line, "EventEmitted") {
			states = append(states, line)
		}
	}
	var wantStates []string
	for _, line := range want {
		if !strings.HasPrefix(line, "EventEmitted") {
			wantStates = append(wantStates, line)
		}
	}
	wantStates = append(wantStates, "reply /jobs/svc/_")
	if !slices.Equal(states, wantStates) {
		t.Errorf("Start: messages =\n%s\nwant\n%s", strings.Join(states, "\n"), strings.Join(wantStates, "\n"))
	}
	// Another client sees the same signals in the same order.
	for _, want := range got[:len(got)-1] {
		if line := story(watcher.receive()); line != want {
			t.Fatalf("another client got %q; want %q", line, want)
		}
	}
	l.do(func() {})
}

func TestPipelinedCallsKeepOrder(t *testing.T) {
	_, s := serve(t, service("svc"))
	p := connect(t, s)
	const calls = 2000
	var all bytes.Buffer
	for i := range calls {
		serial := uint32(1000 + i)
		switch i % 5 {
		case 0: // answered by the engine
			all.Write(encodeCall(t, serial, api.ManagerPath, api.ManagerInterface, "EmitEvent", fmt.Sprintf("e%d", i), []string{}, true))
		case 1: // read
			all.Write(encodeCall(t, serial, api.ManagerPath, api.ManagerInterface, "GetJobByName", "svc"))
		case 2: // refused before the engine sees it
			all.Write(encodeCall(t, serial, api.ManagerPath, api.ManagerInterface, "NoSuchMethod"))
		case 3:
			all.Write(encodeCall(t, serial, "/", "", "Ping"))
		case 4:
			all.Write(encodeCall(t, serial, api.ManagerPath, api.ManagerInterface, "SetEnv", []string{}, fmt.Sprintf("N=%d", i), true))
		}
	}
	go func() { _, _ = p.conn.Write(all.Bytes()) }()
	next, emitted := uint32(1000), 0
	for next < 1000+calls {
		msg := p.receive()
		if msg.Type == dbus.TypeSignal {
			if name := fmt.Sprintf("e%d", emitted); msg.Body[0] != name {
				t.Fatalf("signal %d = %s; want %s", emitted, story(msg), name)
			}
			emitted += 5
			continue
		}
		if got := replyTo(msg); got != next {
			t.Fatalf("answer to call %d came when that to %d was due", got, next)
		}
		if (next-1000)%5 == 0 && emitted <= int(next-1000) {
			t.Fatalf("answer to EmitEvent e%d came before the event was announced", next-1000)
		}
		next++
	}
	if got := p.mustCall(api.ManagerPath, api.ManagerInterface, "GetEnv", []string{}, "N"); got[0] != "1999" {
		t.Errorf("GetEnv(N) = %q; want 1999", got[0])
	}
}

func TestWaitingCallDoesNotHoldOthers(t *testing.T) {
	l, s := serve(t, service("svc"))
	l.do(func() { l.manual = true })
	p := connect(t, s)
	start := p.send(api.JobPath("svc"), api.JobInterface, "Start", []string{}, true)
	p.mustCall("/", "", "Ping") // answered while Start waits
	l.do(func() { l.apply(engine.Spawned{Proc: 1, Pid: 77}) })
	for {
		if msg := p.receive(); replyTo(msg) == start {
			if got := story(msg); got != "reply /jobs/svc/_" {
				t.Errorf("Start = %q", got)
			}
			return
		}
	}
}

func TestVanishedCallerIsAbandoned(t *testing.T) {
	l, s := serve(t, service("svc"))
	l.do(func() { l.manual = true })
	l.mu.Lock()
	l.keep = true
	l.mu.Unlock()
	p := connect(t, s)
	p.send(api.JobPath("svc"), api.JobInterface, "Start", []string{}, true)
	p.mustCall("/", "", "Ping")
	_ = p.conn.Close()
	eventually(t, "Abandon", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		last := l.inputs[len(l.inputs)-1]
		return last == engine.Abandon{Call: l.inputs[0].(engine.Start).Call}
	})
	eventually(t, "the connection to be forgotten", func() bool { return s.Connections() == 0 })
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) != 0 {
		t.Errorf("calls that wait = %d; want 0", len(s.waiting))
	}
}

func TestManyVanishMidCall(t *testing.T) {
	l, s := serve(t, service("svc"))
	l.do(func() { l.manual = true })
	stays := connect(t, s)
	for range 1000 {
		p := dial(t, s)
		p.write([]byte("\x00AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n"))
		message := encodeCall(t, 1, api.JobPath("svc"), api.JobInterface, "Start", []string{}, true)
		p.write(append(message, message[:len(message)-3]...)) // and half a call
		_ = p.conn.Close()
	}
	eventually(t, "the clients to be forgotten", func() bool { return s.Connections() == 1 })
	stays.mustCall("/", "", "Ping")
}

func TestNoReplyExpected(t *testing.T) {
	_, s := serve(t, service("svc"))
	p := connect(t, s)
	var quiet []byte
	for i, message := range [][]byte{
		encodeCall(t, 1001, api.ManagerPath, api.ManagerInterface, "GetAllJobs"),
		encodeCall(t, 1002, api.ManagerPath, api.ManagerInterface, "EmitEvent", "go", []string{}, true),
		encodeCall(t, 1003, api.ManagerPath, api.ManagerInterface, "Bogus"),
		encodeCall(t, 1004, "/", "", "GetMachineId"),
		encodeCall(t, 1005, api.JobPath("svc"), "", "Stop", []string{}, true),
	} {
		message[2] = byte(dbus.FlagNoReplyExpected)
		if i == 0 {
			message[2] |= 0x40 // an unknown flag is ignored
		}
		quiet = append(quiet, message...)
	}
	p.write(quiet)
	ping := p.send("/", "", "Ping")
	if got := story(p.receive()); got != "EventEmitted  go []" {
		t.Fatalf("first message = %q; want the signal", got)
	}
	if msg := p.receive(); replyTo(msg) != ping {
		t.Fatalf("second message = %q; want the answer to Ping", story(msg))
	}
}

// A client that sends calls and reads nothing is read no further; others and
// the engine do not notice.
func TestClientThatNeverReads(t *testing.T) {
	l, s := serveWith(t, func(s *Server) { s.limits.outbox = 4 << 20 }, service("svc"))
	mute := connect(t, s)
	other := connect(t, s)
	call := encodeCall(t, 7, "/com", api.IntrospectableInterface, "Introspect")
	flood := bytes.Repeat(call, 64<<10/len(call))
	sent := 0
	for {
		_ = mute.conn.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		n, err := mute.conn.Write(flood)
		sent += n
		if err != nil {
			break // held back; were it not so, this would not end
		}
	}
	other.mustCall("/", "", "Ping")
	s.mu.Lock()
	out := s.conns[0].out
	s.mu.Unlock()
	out.mu.Lock()
	size := out.size
	out.mu.Unlock()
	if size >= s.limits.outbox {
		t.Errorf("%d bytes wait for a client that was to be held back", size)
	}
	// Signals do not wait for it: they fill its outbox, and it is gone.
	text := strings.Repeat("x", 100<<10)
	for range 100 {
		l.do(func() { s.Notify(engine.Notify{Kind: engine.EventEmitted, Text: "e", Env: []string{"X=" + text}}) })
		if got := other.receive(); got.Body[0] != "e" {
			t.Fatalf("signal = %s", story(got))
		}
	}
	eventually(t, "the mute client to be sent away", func() bool { return s.Connections() == 1 })
	other.mustCall("/", "", "Ping")
	t.Logf("%d bytes of calls were taken", sent)
}

// A client that is faster than the engine is read more slowly, so that the
// engine's inbox stays small.
func TestFloodIsHeldBack(t *testing.T) {
	for _, test := range []struct {
		face, member string
		weight       int
	}{
		{api.PeerInterface, "Ping", 1},
		{api.IntrospectableInterface, "Introspect", largeAnswer},
	} {
		t.Run(test.member, func(t *testing.T) { floodIsHeldBack(t, test.face, test.member, test.weight) })
	}
}

func floodIsHeldBack(t *testing.T, face, member string, weight int) {
	l, s := serve(t)
	p := connect(t, s)
	other := connect(t, s)
	l.hold(true)
	call := encodeCall(t, 7, "/", face, member)
	flood := bytes.Repeat(call, 1000)
	sent := 0
	for {
		_ = p.conn.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		n, err := p.conn.Write(flood[sent%len(call):])
		sent += n
		if err != nil {
			break // held back; were it not so, this would not end
		}
	}
	other.send("/", "", "Ping")
	l.mu.Lock()
	waiting := len(l.inbox)
	l.mu.Unlock()
	if limit := (batchesAhead+1)*(batchCalls/weight+1) + 1; waiting > limit {
		t.Errorf("inbox = %d; want at most %d", waiting, limit)
	}
	l.hold(false)
	for range sent / len(call) {
		p.receive()
	}
	other.receive()
}

func TestTooManyWaitingCalls(t *testing.T) {
	l, s := serveWith(t, func(s *Server) { s.limits.calls = 3 }, service("svc"))
	p := connect(t, s)
	for range 3 {
		p.send(api.ManagerPath, api.ManagerInterface, "ReloadConfiguration")
	}
	for _, member := range []string{"ReloadConfiguration", "NotifyNothing"} {
		want := api.ErrLimitsExceeded
		if member == "NotifyNothing" {
			want = api.ErrUnknownMethod
		}
		if msg := p.call(api.ManagerPath, api.ManagerInterface, member); header(msg, dbus.FieldErrorName) != want {
			t.Errorf("%s with too many calls waiting = %s; want %s", member, story(msg), want)
		}
	}
	if msg := p.call(api.JobPath("svc"), api.JobInterface, "Start", []string{}, false); header(msg, dbus.FieldErrorName) != api.ErrLimitsExceeded {
		t.Errorf("Start with too many calls waiting = %s", story(msg))
	}
	l.do(func() {
		for _, done := range l.reloads {
			done()
		}
		l.reloads = nil
	})
	for range 3 {
		if got := story(p.receive()); got != "reply" {
			t.Errorf("ReloadConfiguration = %q; want reply", got)
		}
	}
	p.mustCall(api.JobPath("svc"), api.JobInterface, "Start", []string{}, false)
}

func TestMalformedMessages(t *testing.T) {
	good := encodeCall(t, 1, "/", "", "Ping")
	changed := func(at int, with ...byte) []byte {
		out := bytes.Clone(good)
		copy(out[at:], with)
		return out
	}
	huge := make([]byte, 4)
	binary.LittleEndian.PutUint32(huge, maxMessage)
	for _, test := range []struct {
		name string
		data []byte
	}{
		{"byte order", changed(0, 'x')},
		{"type 0", changed(1, 0)},
		{"version", changed(3, 9)},
		{"body of 32 MiB", changed(4, huge...)},
		{"body of 4 GiB", changed(4, 255, 255, 255, 255)},
		{"serial 0", changed(8, 0, 0, 0, 0)},
		{"fields of 4 GiB", changed(12, 255, 255, 255, 255)},
		{"fields are noise", changed(16, bytes.Repeat([]byte{0xff}, 8)...)},
		{"body cut short", encodeCutShort(t)},
		{"zeros", make([]byte, 64)},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, s := serve(t)
			p, other := connect(t, s), connect(t, s)
			p.write(test.data)
			p.gone()
			other.mustCall("/", "", "Ping")
			eventually(t, "one client to be left", func() bool { return s.Connections() == 1 })
		})
	}
}

// encodeCutShort makes a call whose string is longer than its body.
func encodeCutShort(t *testing.T) []byte {
	message := encodeCall(t, 1, api.ManagerPath, api.ManagerInterface, "GetJobByName", "abc")
	copy(message[len(message)-8:], []byte{200, 0, 0, 0})
	return message
}

func TestMessagesThatAreNoCalls(t *testing.T) {
	_, s := serve(t)
	p := connect(t, s)
	unknown := encodeCall(t, 50, "/", "", "Ping")
	unknown[1] = 77 // a type of the future
	p.write(unknown)
	for _, h := range []wire.Header{
		{Kind: wire.Signal, Serial: 9, Path: "/", Interface: "a.b", Member: "C"},
		{Kind: wire.MethodReply, Serial: 9, ReplyTo: 3},
		{Kind: wire.Error, Serial: 9, ReplyTo: 3, ErrorName: "a.b"},
	} {
		message, err := new(encoder).encode(&h, nil)
		if err != nil {
			t.Fatal(err)
		}
		p.write(message)
	}
	serial := p.send("/", "", "Ping")
	if msg := p.receive(); replyTo(msg) != serial {
		t.Errorf("first message = %s; want the answer to Ping alone", story(msg))
	}
}

func TestBigEndianClient(t *testing.T) {
	_, s := serve(t, service("svc"))
	p := connect(t, s)
	msg := dbus.Message{Type: dbus.TypeMethodCall, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath:      dbus.MakeVariant(dbus.ObjectPath(api.ManagerPath)),
		dbus.FieldMember:    dbus.MakeVariant("GetJobByName"),
		dbus.FieldSignature: dbus.MakeVariant(dbus.SignatureOf("")),
	}, Body: []any{"svc"}}
	var buf bytes.Buffer
	if err := msg.EncodeTo(&buf, binary.BigEndian); err != nil {
		t.Fatal(err)
	}
	binary.BigEndian.PutUint32(buf.Bytes()[8:], 5)
	p.write(buf.Bytes())
	if got := p.receive(); replyTo(got) != 5 || story(got) != "reply /jobs/svc" {
		t.Errorf("GetJobByName = %s", story(got))
	}
}

func TestLargeMessagesInPieces(t *testing.T) {
	_, s := serve(t)
	p := connect(t, s)
	var big []string
	for i := range 14 {
		big = append(big, fmt.Sprintf("BIG%02d=%s", i, strings.Repeat("v", 100<<10)))
	}
	message := encodeCall(t, 60, api.ManagerPath, api.ManagerInterface, "SetEnvList", []string{}, big, true)
	go func() {
		for len(message) > 0 {
			n := min(len(message), 70001)
			_, _ = p.conn.Write(message[:n])
			message = message[n:]
		}
	}()
	if msg := p.receive(); replyTo(msg) != 60 || msg.Type != dbus.TypeMethodReply {
		t.Fatalf("SetEnvList = %.200s", story(msg))
	}
	all := p.mustCall(api.ManagerPath, api.ManagerInterface, "ListEnv", []string{})[0].([]string)
	if n := len(all) - len(big); n < 0 || !slices.Equal(all[n:], big) {
		t.Errorf("ListEnv has %d variables, and not at its end the %d that were set", len(all), len(big))
	}
}

// What is set for all jobs is bounded, each variable and all together; what was
// there before stays, and can become less.
func TestEnvironmentBounded(t *testing.T) {
	_, s := serve(t)
	p := connect(t, s)
	call := func(member string, args ...any) string {
		t.Helper()
		p.write(encodeCall(t, 61, api.ManagerPath, api.ManagerInterface, member, args...))
		return story(p.receive())
	}
	none := []string{}
	if got := call("SetEnv", none, "BIG="+strings.Repeat("v", 128<<10), true); !strings.Contains(got, api.ErrLimitsExceeded+" cannot call SetEnv: the variable BIG has 131076 bytes") {
		t.Errorf("SetEnv of a variable of 128 KiB = %.300s", got)
	}
	value := strings.Repeat("v", 100<<10)
	set := 0
	for ; set < 30; set++ {
		got := call("SetEnv", none, fmt.Sprintf("K%02d=%s", set, value), true)
		if strings.Contains(got, api.ErrLimitsExceeded+" cannot change the environment: its variables would have ") {
			break
		}
		if !strings.HasPrefix(got, "reply") {
			t.Fatalf("SetEnv number %d = %.300s", set, got)
		}
	}
	if set != 20 {
		t.Errorf("%d variables of 100 KiB were taken; want 20", set)
	}
	if got := call("GetEnv", none, "K20"); !strings.HasPrefix(got, "error ") {
		t.Errorf("GetEnv of what was refused = %.100s", got)
	}
	if got := call("UnsetEnv", none, "K00"); !strings.HasPrefix(got, "reply") {
		t.Errorf("UnsetEnv = %.300s", got)
	}
	if got := call("SetEnv", none, "K20="+value, true); !strings.HasPrefix(got, "reply") {
		t.Errorf("SetEnv after another was unset = %.300s", got)
	}
}

func TestDescriptorsMissing(t *testing.T) {
	_, s := serve(t)
	p := connect(t, s)
	msg := dbus.Message{Type: dbus.TypeMethodCall, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath:    dbus.MakeVariant(dbus.ObjectPath("/")),
		dbus.FieldMember:  dbus.MakeVariant("Ping"),
		dbus.FieldUnixFDs: dbus.MakeVariant(uint32(2)),
	}}
	var buf bytes.Buffer
	if err := msg.EncodeTo(&buf, binary.LittleEndian); err != nil {
		t.Fatal(err)
	}
	binary.LittleEndian.PutUint32(buf.Bytes()[8:], 5)
	p.write(buf.Bytes())
	p.gone()
}

func TestNothingIsEncodedForNobody(t *testing.T) {
	l, s := serve(t, service("svc"))
	l.do(func() { s.Notify(engine.Notify{Kind: engine.JobAdded, Class: "svc"}) })
	if got := s.serial.Load(); got != 0 {
		t.Errorf("messages made for nobody = %d", got)
	}
	connect(t, s)
	l.do(func() { s.Notify(engine.Notify{Kind: engine.JobAdded, Class: "svc"}) })
	if got := s.serial.Load(); got != 2 { // the answer to Ping and the signal
		t.Errorf("messages made = %d; want 2", got)
	}
}

func TestEndSession(t *testing.T) {
	l, s := serve(t, service("svc"))
	p := connect(t, s)
	p.mustCall(api.JobPath("svc"), "", "Start", []string{}, true)
	p.mustCall(api.ManagerPath, "", "EndSession")
	eventually(t, "the session to end", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.quit
	})
}

func TestStatesOfEveryNotify(t *testing.T) {
	l, s := serve(t)
	p := connect(t, s)
	l.do(func() {
		for _, n := range []engine.Notify{
			{Kind: engine.JobAdded, Class: "a/b"},
			{Kind: engine.JobRemoved, Class: "a/b"},
			{Kind: engine.InstanceAdded, Class: "a", Instance: "x y"},
			{Kind: engine.InstanceRemoved, Class: "a", Instance: ""},
			{Kind: engine.GoalChanged, Class: "a", Text: "stop"},
			{Kind: engine.StateChanged, Class: "a", Text: "killed"},
			{Kind: engine.Failed, Class: "a", Status: -1},
			{Kind: engine.EventEmitted, Text: "e\xff", Env: []string{"A=\x00b", "B=é", "C=\xc3"}},
		} {
			s.Notify(n)
		}
	})
	for _, want := range []string{
		"JobAdded  /jobs/a_2fb",
		"JobRemoved  /jobs/a_2fb",
		"InstanceAdded /jobs/a /jobs/a/x_20y",
		"InstanceRemoved /jobs/a /jobs/a/_",
		"GoalChanged /jobs/a/_ stop",
		"StateChanged /jobs/a/_ killed",
		"Failed /jobs/a/_ -1",
		"EventEmitted  e\uFFFD [A=\uFFFDb B=é C=\uFFFD]",
	} {
		if got := story(p.receive()); got != want {
			t.Errorf("signal = %q; want %q", got, want)
		}
	}
}
