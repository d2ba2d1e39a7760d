package bus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
	"github.com/session-init/session-init/session/wire"
)

// Descriptors that no message counts are closed when the message has been dealt
// with, and not when the client goes.
func TestDescriptorsNobodyCounts(t *testing.T) {
	_, s := serve(t)
	p := connect(t, s)
	r, w := pipe(t)
	rights := unix.UnixRights(int(w.Fd()), int(w.Fd()), int(w.Fd()))
	if _, _, err := p.conn.WriteMsgUnix(encodeCall(t, 7, "/", "", "Ping"), rights, nil); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	if msg := p.receive(); replyTo(msg) != 7 {
		t.Fatalf("the answer is %s", story(msg))
	}
	ends(t, r)
	p.mustCall("/", "", "Ping")
}

// Nobody takes descriptors from who has not asked whether it may, nor from who may
// only read.
func TestDescriptorsNotTaken(t *testing.T) {
	_, s := serveAll(t)
	for _, test := range []struct{ name, path, ask string }{
		{"not asked", s.path, ""},
		{"read-only socket", s.readOnlyPath, "NEGOTIATE_UNIX_FD\r\n"},
		{"read-only socket, not asked", s.readOnlyPath, ""},
	} {
		p := dial(t, &Server{path: test.path})
		p.write([]byte("\x00AUTH EXTERNAL\r\nDATA\r\n" + test.ask + "BEGIN\r\n"))
		for range 2 + strings.Count(test.ask, "\n") {
			p.line()
		}
		p.mustCall("/", "", "Ping")
		r, w := pipe(t)
		if _, _, err := p.conn.WriteMsgUnix(encodeCall(t, 7, "/", "", "Ping")[:20], unix.UnixRights(int(w.Fd())), nil); err != nil {
			t.Fatal(err)
		}
		_ = w.Close()
		p.gone()
		ends(t, r)
		if t.Failed() {
			t.Fatalf("%s: the descriptor is kept", test.name)
		}
	}
}

// On the read-only socket a message is small; on the other it may be large.
func TestMessageOfStranger(t *testing.T) {
	_, s := serveAll(t)
	head := func(body int) []byte {
		call := encodeCall(t, 9, api.ManagerPath, api.ManagerInterface, "GetJobByName", "")
		fields := len(call) - 5
		binary.LittleEndian.PutUint32(call[4:], uint32(body-fields))
		return call[:wire.FixedHeader]
	}
	call := func(size int) []byte {
		empty := len(encodeCall(t, 9, api.ManagerPath, api.ManagerInterface, "GetJobByName", ""))
		return encodeCall(t, 9, api.ManagerPath, api.ManagerInterface, "GetJobByName", strings.Repeat("x", size-empty))
	}
	p := connect(t, &Server{path: s.readOnlyPath, guid: s.guid})
	p.write(call(maxPublicMessage))
	if msg := p.receive(); replyTo(msg) != 9 {
		t.Errorf("the answer to a message of %d bytes is %.80s", maxPublicMessage, story(msg))
	}
	p.write(head(maxPublicMessage + 1))
	p.gone()
	p = connect(t, s)
	p.write(call(maxPublicMessage + 1))
	if msg := p.receive(); replyTo(msg) != 9 {
		t.Errorf("the answer on the other socket is %.80s", story(msg))
	}
}

// A message that has begun on the read-only socket must come whole in time; who
// says nothing may take as long as it likes.
func TestMessageInTime(t *testing.T) {
	one, other := pair(t)
	f := newFrames(one)
	var told []bool
	late := errors.New("late")
	f.hurry = func(unfinished bool) error {
		if told = append(told, unfinished); len(told) == 3 {
			return late
		}
		return nil
	}
	message := encodeCall(t, 9, "/", "", "Ping")
	write := func(data []byte) {
		t.Helper()
		if _, err := other.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	write(message)
	if _, err := f.next(); err != nil || len(told) != 0 {
		t.Errorf("next() of a whole message = %v, told %v; want nothing", err, told)
	}
	write(message[:20])
	if err := f.read(); err != nil {
		t.Fatal(err)
	}
	write(message[20:])
	if _, err := f.next(); err != nil || fmt.Sprint(told) != "[true false]" {
		t.Errorf("next() of a message in two parts = %v, told %v; want [true false]", err, told)
	}
	write(message[:1])
	if err := f.read(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.next(); err != late {
		t.Errorf("next() = %v; want what hurry says", err)
	}

	// As it is on the socket.
	_, s := serveAll(t)
	s.mu.Lock()
	s.limits.message = 10 * time.Millisecond
	s.mu.Unlock()
	p := connect(t, &Server{path: s.readOnlyPath, guid: s.guid})
	p.write(message[:20])
	p.gone()
}

// A deadline that is set late does not let a connection live that was sent away.
func TestDeadlineAfterDrop(t *testing.T) {
	_, s := serve(t)
	p := connect(t, s)
	s.mu.Lock()
	c := s.conns[0]
	s.mu.Unlock()
	c.drop("the test says so")
	if err := c.setDeadline(time.Time{}); err == nil {
		t.Error("setDeadline after drop = nil; want an error")
	}
	p.gone()
}

// Those who have not said who they are in time make room for who comes.
func TestSilentClientsMakeRoom(t *testing.T) {
	_, s := serveWith(t, func(s *Server) { s.limits.connections, s.limits.ofProcess = 4, 100 })
	var silent []*peer
	for range 4 {
		silent = append(silent, dial(t, s))
	}
	eventually(t, "all to be let in", func() bool { return s.Connections() == 4 })
	dial(t, s).gone() // not late yet
	s.mu.Lock()
	for _, c := range s.conns {
		c.since = c.since.Add(-2 * saslTime)
	}
	s.mu.Unlock()
	connect(t, s)
	for _, p := range silent {
		p.gone()
	}
}

// When half of all connections are in use, a process that has many gets no more.
func TestConnectionsOfProcess(t *testing.T) {
	_, s := serveWith(t, func(s *Server) { s.limits.connections, s.limits.ofProcess = 8, 3 })
	var all []*peer
	for range 4 {
		all = append(all, connect(t, s))
	}
	dial(t, s).gone()
	s.mu.Lock()
	for pid, want := range map[int]string{
		os.Getpid():     fmt.Sprintf("process %d has 3 connections, and half of all are in use", os.Getpid()),
		os.Getpid() + 1: "",
	} {
		if got := s.noRoom(pid); got != want {
			t.Errorf("noRoom(%d) = %q; want %q", pid, got, want)
		}
	}
	s.mu.Unlock()
	_ = all[0].conn.Close()
	eventually(t, "one to be gone", func() bool { return s.Connections() == 3 })
	connect(t, s)
}

// What is said of clients that are sent away is said again after its time, and no
// more is remembered of it than there is room for.
func TestSayings(t *testing.T) {
	said, now := sayings{}, time.Now()
	for i, test := range []struct {
		after time.Duration
		what  string
		want  bool
	}{
		{0, "process 7", true},
		{0, "process 7", false},
		{0, "process 8", true},
		{sayAgain - 1, "process 7", false},
		{sayAgain, "process 7", true},
		{sayAgain + 1, "process 7", false},
		{sayAgain + 1, "process 8", true},
		{2 * sayAgain, "process 7", true},
	} {
		if got := said.due(test.what, now.Add(test.after)); got != test.want {
			t.Errorf("%d: due(%s) after %v = %v; want %v", i, test.what, test.after, got, test.want)
		}
	}
	for i := range 3 * maxSaid {
		if said.due(fmt.Sprint(i), now); len(said) > maxSaid {
			t.Fatalf("%d sayings are remembered; want %d at the most", len(said), maxSaid)
		}
	}
}

// That no client can be let in is said once.
func TestCannotAccept(t *testing.T) {
	log, tries := &logText{}, atomic.Int32{}
	dir := t.TempDir()
	s, err := listen(dir+"/s", newLoop(t), Options{Logger: slog.New(slog.NewTextHandler(log, nil)), Fail: func(point string) {
		if point == "bus-not-accepting" {
			tries.Add(1)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	// While there is no room for another descriptor, nobody comes in.
	client, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(client)
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	s.workers.Go(func() { s.accept(s.listener) })
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 0, Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	err = unix.Connect(client, &unix.SockaddrUnix{Name: dir + "/s"})
	for end := time.Now().Add(patience); err == nil && tries.Load() < 3 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if restored := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || restored != nil || tries.Load() < 3 {
		t.Fatalf("connect: %v, %v; tried %d times; want 3", err, restored, tries.Load())
	}
	eventually(t, "the client to be let in", func() bool { return s.Connections() == 1 })
	s.Close(patience)
	if got := strings.Count(log.buf.String(), cannotAccept); got != 1 {
		t.Errorf("%q is in the log %d times; want once", cannotAccept, got)
	}
}

// Who asks for the processes of an instance while they are listed gets the next
// list, together with all who do; so many questions of a client wait, and its next
// calls are not read then.
func TestListingsAreShared(t *testing.T) {
	l, s := serve(t, service("svc"))
	l.do(func() {
		l.apply(engine.Start{Target: engine.Target{Class: "svc"}})
		l.late = true
	})
	path := api.InstancePath("svc", "")
	p, q := connect(t, s), connect(t, s)
	call := encodeCall(t, 7, path, api.InstanceExtension, "GetProcesses")
	for range maxListed {
		p.write(call)
	}
	asked := func(want int) func() bool {
		return func() bool {
			n := 0
			l.do(func() {
				if listing := s.listings.of[subject{"svc", ""}]; listing != nil {
					n = len(listing.now) + len(listing.next)
				}
			})
			return n == want
		}
	}
	eventually(t, "all to be asked", asked(maxListed))
	p.write(call)
	ping := p.send("/", "", "Ping") // behind the question that is one too many
	q.send(path, api.InstanceExtension, "GetProcesses")
	eventually(t, "another client to be heard", asked(maxListed+1))
	lists := func() (n int) {
		l.do(func() { n = len(l.lates) })
		return n
	}
	if n := lists(); n != 1 {
		t.Fatalf("%d listings are under way; want 1", n)
	}
	l.do(func() { l.lates[0]() })
	// The first began when the first question came; the others share the next.
	if got := story(p.receive()); got != "reply [[0 ]]" {
		t.Errorf("the first answer = %s", got)
	}
	eventually(t, "the next listing", func() bool { return lists() == 2 })
	eventually(t, "the question that was too many", asked(maxListed+1))
	l.do(func() { l.lates[1]() })
	if got := story(q.receive()); got != "reply [[1 ]]" {
		t.Errorf("the other client's answer = %s; want the second list", got)
	}
	eventually(t, "the last listing", func() bool { return lists() == 3 })
	l.do(func() { l.lates[2]() })
	got := map[string]int{}
	for range maxListed + 1 {
		if msg := p.receive(); replyTo(msg) == ping {
			got["ping"]++
		} else {
			got[story(msg)]++
		}
	}
	if got["ping"] != 1 || got["reply [[1 ]]"] != maxListed-1 || got["reply [[2 ]]"] != 1 {
		t.Errorf("the other answers are %v; want that to Ping, the second list for all but the last, and the third", got)
	}
	l.do(func() {
		if len(s.listings.of) != 0 || s.listings.queue != nil || s.listings.running != 0 {
			t.Errorf("listings are left: %v", s.listings)
		}
	})
}

// So many instances are listed at a time; the others wait for their turn.
func TestListingsAtATime(t *testing.T) {
	l, s := serve(t)
	var answered atomic.Int32
	l.do(func() {
		l.late = true
		for i := range maxListings + 5 {
			s.list(subject{"svc", fmt.Sprint(i)}, func([]engine.Stray) { answered.Add(1) })
		}
		if len(l.lates) != maxListings {
			t.Errorf("%d listings are under way; want %d", len(l.lates), maxListings)
		}
		for i := 0; i < len(l.lates); i++ {
			l.lates[i]()
		}
	})
	if n := answered.Load(); n != maxListings+5 {
		t.Errorf("%d are answered; want %d", n, maxListings+5)
	}
}

// A client that asks for too many simulations is refused, until some are done.
func TestTooManySimulations(t *testing.T) {
	l, s := serve(t, service("svc"))
	l.do(func() { l.late = true })
	p, q := connect(t, s), connect(t, s)
	ask := func(p *peer) uint32 {
		return p.send(api.ManagerPath, api.ManagerExtension, "Simulate", []asks{{"emit", "go", []string{}, ""}}, []string{}, uint32(0))
	}
	for range maxSimulations {
		ask(p)
	}
	refused := ask(p)
	msg := p.receive()
	if got, want := story(msg), "error "+api.ErrLimitsExceeded+" too many simulations wait for an answer: 8"; replyTo(msg) != refused || got != want {
		t.Errorf("one Simulate too many = %q; want %q", got, want)
	}
	other := ask(q)
	eventually(t, "all to be asked", func() (all bool) {
		l.do(func() { all = len(l.lates) == maxSimulations+1 })
		return all
	})
	l.do(func() {
		l.late = false
		for _, done := range l.lates {
			done()
		}
	})
	for range maxSimulations {
		p.receive()
	}
	if msg := q.receive(); replyTo(msg) != other {
		t.Errorf("the answer of another client is %s", story(msg))
	}
	again := ask(p)
	if msg := p.receive(); replyTo(msg) != again || !strings.HasPrefix(story(msg), "reply") {
		t.Errorf("Simulate when some are done = %s", story(msg))
	}
}

// Nothing is looked up for a client that has been sent away; what it has set is
// set.
func TestReadForNobody(t *testing.T) {
	read := atomic.Int32{}
	l, s := serveWith(t, func(s *Server) {
		face := s.objects[managerObject][0]
		face.methods = append(face.methods, method{"Probe", nil, nil, func(c *call) {
			c.read(func(engine.View) ([]any, *failure) {
				read.Add(1)
				return nil, nil
			})
		}})
	})
	p := connect(t, s)
	p.mustCall(api.ManagerPath, "", "Probe")
	l.hold(true)
	p.send(api.ManagerPath, "", "Probe")
	p.send(api.ManagerPath, api.PropertiesInterface, "Set", api.ManagerInterface, "log_priority", dbus.MakeVariant("debug"))
	eventually(t, "both to be asked", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.inbox) >= 2
	})
	s.mu.Lock()
	s.conns[0].drop("the test says so")
	s.mu.Unlock()
	l.hold(false)
	l.do(func() {})
	if n := read.Load(); n != 1 {
		t.Errorf("read for a client that has gone %d times; want once, before", n)
	}
	if got := l.LogPriority(); got != "debug" {
		t.Errorf("what it has set is %q; want debug", got)
	}
}

// A name or a variable that no process could be given is refused, and nobody hears
// of it; the largest that one can is not.
func TestCallsThatCarryTooMuch(t *testing.T) {
	_, s := serve(t, service("svc", func(c *job.Class) { c.Instance = "$I" }))
	p := connect(t, s)
	refused := func(what string) string { return "error " + api.ErrLimitsExceeded + " cannot call " + what }
	x := strings.Repeat("x", maxVariable+1)
	long := "V=" + x[:maxVariable-1]
	fits := []string{long[:maxVariable]}
	many := make([]string, 17)
	for i := range many {
		many[i] = fits[0]
	}
	job, manager := api.JobPath("svc"), api.ManagerPath
	for _, test := range []struct {
		path, face, member string
		args               []any
		want               string
	}{
		{manager, api.ManagerInterface, "EmitEvent", []any{x[:maxVariable], []string{}, true}, "reply"},
		{manager, api.ManagerInterface, "EmitEvent", []any{"go", fits, true}, "reply"},
		{manager, api.ManagerInterface, "EmitEvent", []any{"go", many[:15], true}, "reply"},
		{manager, api.ManagerInterface, "EmitEvent", []any{x, []string{}, true},
			refused("EmitEvent: its name has 131072 bytes, and a process can be given 131071 at most")},
		{manager, api.ManagerInterface, "EmitEvent", []any{"go", []string{"A=b", long}, true},
			refused("EmitEvent: the variable V has 131072 bytes, and a process can be given 131071 at most")},
		{manager, api.ManagerInterface, "EmitEvent", []any{"go", many, true},
			refused("EmitEvent: name and variables have 2228209 bytes, and 2097152 is the most")},
		{manager, api.ManagerInterface, "EmitEventWithFile", []any{"go", many, true}, "error " + api.ErrInvalidArgs},
		{job, api.JobInterface, "Start", []any{[]string{"I=1", long}, true}, refused("Start: the variable V")},
		{job, api.JobExtension, "Change", []any{"start", []string{"I=1", long}, true}, refused("Change: the variable V")},
		{manager, api.ManagerExtension, "DefineTransient", []any{"new", "exec true", []string{long}, true}, refused("DefineTransient: the variable V")},
		{manager, api.ManagerExtension, "BeginSession", []any{uint32(99), many}, "error " + api.ErrInvalidArgs + " "},
		{manager, api.ManagerInterface, "SetEnv", []any{[]string{}, "BIG=" + x, true}, refused("SetEnv: the variable BIG has 131076 bytes, and a process can be given 131071 at most")},
		{manager, api.ManagerInterface, "UnsetEnvList", []any{[]string{}, []string{x}}, refused("UnsetEnvList: the variable " + x[:64] + " has 131072 bytes")},
		{systemdPath, systemdInterface, "SetEnvironment", []any{[]string{"A=b", long}}, refused("SetEnvironment: the variable V has 131072 bytes")},
	} {
		serial := p.send(test.path, test.face, test.member, test.args...)
		msg := p.receive()
		for ; replyTo(msg) != serial; msg = p.receive() {
			if strings.HasPrefix(test.want, "error") {
				t.Errorf("%s is refused, and yet all hear %.80s", test.member, story(msg))
			}
		}
		if got := story(msg); !strings.HasPrefix(got, test.want) {
			t.Errorf("%s = %.200q; want %q", test.member, got, test.want)
		}
	}
}

// The outbox of a connection to a bus may have been flushed before there was a
// writer; that gets what is left then.
func TestWriterThatComesLate(t *testing.T) {
	for _, test := range []struct {
		flushed bool
		want    bool
	}{{true, true}, {false, false}} {
		o := newOutbox(1 << 20)
		o.push([]byte("first"))
		if test.flushed {
			o.flush(&room{}, 0)
		}
		begun := false
		o.begins(func() { begun = true })
		if begun != test.want {
			t.Errorf("flushed %v: the writer begins = %v; want %v", test.flushed, begun, test.want)
		}
		if !test.flushed {
			o.flush(&room{}, 0)
		}
		if got := o.take(nil); !begun || len(got) != 1 {
			t.Errorf("flushed %v: begun %v, the writer gets %q; want the message", test.flushed, begun, got)
		}
	}
}

// A link that is answered while it begins, when the kernel takes nothing, goes on.
func TestLinkBeginsWithAQueue(t *testing.T) {
	l, s := serve(t)
	ours, theirs := pair(t)
	c := newConn(s, ours, 0)
	var list []*conn
	for range flushClients {
		list = append(list, newConn(s, nil, 0))
	}
	l.do(func() {
		c.send([]byte("asked"))
		// As many others have something to be written in the same turn.
		s.flushMu.Lock()
		s.unflushed = append(s.unflushed, list...)
		s.flushMu.Unlock()
	})
	l.do(func() {})
	if err := s.enter(c); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 5)
	if _, err := theirs.Read(got); err != nil || string(got) != "asked" {
		t.Errorf("Read() = %q, %v; want what was said", got, err)
	}
	c.shut()
}
