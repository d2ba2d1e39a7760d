package bus

import (
	"bufio"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/testkit"
	"github.com/session-init/session-init/session/wire"
)

// fakeBus is a bus of one client, which is ours: it tells it what a test wants.
type fakeBus struct {
	t    *testing.T
	path string
	in   *bufio.Reader

	mu     sync.Mutex
	conn   *net.UnixConn
	serial uint32
}

// newFakeBus waits for its client in the background, and hands to serve what it
// says but Hello and RequestName.
func newFakeBus(t *testing.T, serve func(*fakeBus, wire.Message)) *fakeBus {
	t.Helper()
	b := &fakeBus{t: t, path: filepath.Join(t.TempDir(), "bus")}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: b.path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := listener.AcceptUnix()
		if err != nil {
			return
		}
		defer conn.Close()
		b.mu.Lock()
		b.conn, b.in = conn, bufio.NewReader(conn)
		b.mu.Unlock()
		for range 3 {
			if _, err := b.in.ReadString('\n'); err != nil {
				return
			}
		}
		_, _ = conn.Write([]byte("OK 0123456789abcdef0123456789abcdef\r\nAGREE_UNIX_FD\r\n"))
		for {
			head, err := b.in.Peek(wire.FixedHeader)
			if err != nil {
				return
			}
			size, err := wire.Size(head)
			if err != nil {
				t.Error(err)
				return
			}
			frame := make([]byte, size)
			for n := 0; n < size; {
				more, err := b.in.Read(frame[n:])
				if err != nil {
					return
				}
				n += more
			}
			m, err := wire.Parse(string(frame))
			if err != nil {
				t.Error(err)
				return
			}
			if m.Kind == wire.MethodCall && m.Destination == driver && (m.Member == "Hello" || m.Member == "RequestName") {
				if m.Member == "Hello" {
					b.send(wire.Header{Kind: wire.MethodReply, ReplyTo: m.Serial, Signature: "s"}, -1, ":1.1")
				} else {
					b.send(wire.Header{Kind: wire.MethodReply, ReplyTo: m.Serial, Signature: "u"}, -1, uint32(namePrimary))
				}
				continue
			}
			serve(b, m)
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
	})
	return b
}

// send sends a message in the bus's name, or that of another, with a descriptor
// that it closes.
func (b *fakeBus) send(h wire.Header, fd int, values ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.serial++
	h.Serial = b.serial
	if h.Sender == "" {
		h.Sender = driver
	}
	var rights []byte
	if fd >= 0 {
		h.FDs = 1
		rights = unix.UnixRights(fd)
		defer unix.Close(fd)
	}
	var w wire.Writer
	w.Begin(&h)
	w.Values(h.Signature, values)
	if err := w.End(); err != nil {
		b.t.Error(err)
		return
	}
	// The kernel takes as much at once as there is room for.
	if n, _, err := b.conn.WriteMsgUnix(w.Bytes(), rights, nil); err == nil {
		_, _ = b.conn.Write(w.Bytes()[n:])
	}
}

// call is a call of ours by somebody on the bus.
func (b *fakeBus) call(sender, path, iface, member, sig string, values ...any) {
	b.send(wire.Header{Kind: wire.MethodCall, Sender: sender, Destination: api.BusName, Path: path, Interface: iface, Member: member, Signature: sig}, -1, values...)
}

// Who may do what is decided by what the bus says of the caller. Nothing is
// answered before it has.
func TestGuests(t *testing.T) {
	us, self := uint32(os.Getuid()), uint32(os.Getpid())
	known := func(uid, pid uint32) map[string]wire.Variant {
		return map[string]wire.Variant{"UnixUserID": wire.MakeVariant(uid), "ProcessID": wire.MakeVariant(pid)}
	}
	credentials := map[string]map[string]wire.Variant{
		":1.2": known(us, self),
		":1.3": known(us+1, self),
		":1.4": {"ProcessID": wire.MakeVariant(self)},
		":1.5": {"UnixUserID": wire.MakeVariant(us)},
	}
	answers := make(chan string, 100)
	b := newFakeBus(t, func(b *fakeBus, m wire.Message) {
		switch {
		case m.Kind == wire.MethodCall && m.Member == "GetConnectionCredentials":
			name := m.Text(0)
			// More calls come before it is known.
			b.call(name, api.ManagerPath, api.ManagerInterface, "EmitEvent", "sasb", "e", []string{}, false)
			// Another answers before the bus does.
			b.send(wire.Header{Kind: wire.MethodReply, Sender: ":1.9", ReplyTo: m.Serial, Signature: "a{sv}"}, -1, known(us, self))
			if all, ok := credentials[name]; ok {
				b.send(wire.Header{Kind: wire.MethodReply, ReplyTo: m.Serial, Signature: "a{sv}"}, -1, all)
			} else {
				b.send(wire.Header{Kind: wire.Error, ReplyTo: m.Serial, ErrorName: errNoOwner, Signature: "s"}, -1, "gone")
			}
		case m.Kind == wire.MethodReply:
			answers <- m.Destination + " ok"
		case m.Kind == wire.Error:
			answers <- m.Destination + " " + m.ErrorName[strings.LastIndexByte(m.ErrorName, '.')+1:] + ": " + strings.Clone(m.Text(0))
		}
	})
	_, s := serve(t)
	r, err := s.Join(RemoteOptions{Addresses: []string{api.UnixAddress(b.path)}, Names: bothNames, Insist: true, Owner: (&owners{}).tell})
	if err != nil {
		t.Fatal(err)
	}
	_ = r
	for _, test := range []struct {
		name string
		want []string
	}{
		{":1.2", []string{"ok", "ok"}},
		{":1.3", []string{"PermissionDenied: this session is that of user ", "PermissionDenied: this session is that of user "}},
		{":1.4", []string{"PermissionDenied: cannot tell whose process calls: the bus does not say", "PermissionDenied: cannot tell whose"}},
		// Without its process it may read and no more, as a sandbox.
		{":1.5", []string{"ok", "PermissionDenied: "}},
	} {
		b.call(test.name, api.ManagerPath, api.ManagerInterface, "GetAllJobs", "")
		for _, want := range test.want {
			if got := within(t, "an answer to "+test.name, answers); !strings.HasPrefix(got, test.name+" "+want) {
				t.Errorf("%s is answered %q; want %q", test.name, got, want)
			}
		}
	}
	// One that has gone is answered nothing, and the next is.
	b.call(":1.9", api.ManagerPath, api.ManagerInterface, "GetAllJobs", "")
	b.call(":1.2", api.ManagerPath, api.PeerInterface, "Ping", "")
	if got := within(t, "the last answer", answers); got != ":1.2 ok" {
		t.Errorf("the answer is %q", got)
	}
}

// A bus that gives a descriptor of the process has it handed on, to each who
// waits one of its own.
func TestProcessFD(t *testing.T) {
	b := newFakeBus(t, func(b *fakeBus, m wire.Message) {
		if m.Kind != wire.MethodCall || m.Member != "GetConnectionCredentials" {
			return
		}
		fd, err := unix.PidfdOpen(os.Getpid(), 0)
		if err != nil {
			b.t.Error(err)
		}
		b.send(wire.Header{Kind: wire.MethodReply, ReplyTo: m.Serial, Signature: "a{sv}"}, fd, map[string]wire.Variant{
			"UnixUserID": wire.MakeVariant(uint32(os.Getuid())), "ProcessID": wire.MakeVariant(uint32(os.Getpid())), "ProcessFD": wire.MakeVariant(wire.FD(0))})
	})
	told := make(chan Owner, 10)
	_, s := serve(t)
	r, err := s.Join(RemoteOptions{Addresses: []string{api.UnixAddress(b.path)}, Names: bothNames, Insist: true,
		Owner: func(_ uint64, _ string, owner Owner) { told <- owner }})
	if err != nil {
		t.Fatal(err)
	}
	r.Await(1, "org.example.A")
	r.Await(2, "org.example.A")
	for known := 0; known < 2; {
		owner := within(t, "an owner", told)
		if owner.NoBus {
			continue // it was asked before the bus was in use
		}
		known++
		if owner.Absent != "" || owner.Pid != os.Getpid() || owner.Pidfd < 0 || unix.PidfdSendSignal(owner.Pidfd, 0, nil, 0) != nil {
			t.Errorf("Owner(%+v); want this process, with a descriptor", owner)
		}
		_ = unix.Close(owner.Pidfd)
	}
}

// What is larger than we take costs nobody the connection to the bus: who calls so
// is refused, once it is whole, with what came with it, and the next is answered.
func TestGuestsLarge(t *testing.T) {
	type answer struct {
		to, text string
	}
	answers := make(chan answer, 10)
	b := newFakeBus(t, func(b *fakeBus, m wire.Message) {
		switch {
		case m.Kind == wire.MethodCall && m.Member == "GetConnectionCredentials":
			b.send(wire.Header{Kind: wire.MethodReply, ReplyTo: m.Serial, Signature: "a{sv}"}, -1, map[string]wire.Variant{
				"UnixUserID": wire.MakeVariant(uint32(os.Getuid())), "ProcessID": wire.MakeVariant(uint32(os.Getpid()))})
		case m.Kind == wire.MethodReply:
			answers <- answer{m.Destination, "ok"}
		case m.Kind == wire.Error:
			answers <- answer{m.Destination, m.ErrorName + ": " + strings.Clone(m.Text(0))}
		}
	})
	_, s := serve(t)
	if _, err := s.Join(RemoteOptions{Addresses: []string{api.UnixAddress(b.path)}, Names: bothNames, Insist: true, Owner: (&owners{}).tell}); err != nil {
		t.Fatal(err)
	}
	large := strings.Repeat("x", maxMessage)
	call := wire.Header{Kind: wire.MethodCall, Sender: ":1.2", Destination: api.BusName, Path: api.ManagerPath,
		Interface: api.ManagerInterface, Member: "GetJobByName", Signature: "s"}
	quiet, signal := call, call
	quiet.Flags = wire.NoReplyExpected
	signal.Kind = wire.Signal
	// A descriptor that came with it is closed.
	r, w := pipe(t)
	fd, err := copyFD(int(w.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	b.send(call, fd, large)
	b.send(quiet, -1, large)
	b.send(signal, -1, large)
	b.call(":1.2", api.ManagerPath, api.PeerInterface, "Ping", "")
	got := within(t, "an answer to the large call", answers)
	if got.to != ":1.2" || !strings.HasPrefix(got.text, api.ErrLimitsExceeded+": cannot call GetJobByName: a message has ") {
		t.Errorf("a call of more than %d bytes is answered %+v", maxMessage, got)
	}
	if got := within(t, "an answer to the next call", answers); got != (answer{":1.2", "ok"}) {
		t.Errorf("the next call is answered %+v", got)
	}
	ends(t, r)
}

// Of a message whose header is too large itself nothing is read; what came with it
// is closed all the same, and not taken for what came with the next one.
func TestLargeHeader(t *testing.T) {
	one, other := pair(t)
	f := newFrames(one)
	f.most, f.skips = maxHeader, true
	t.Cleanup(func() { f.closeFDs(2 * maxHeldFDs) })
	encode := func(path string, fds uint32) []byte {
		var w wire.Writer
		w.Begin(&wire.Header{Kind: wire.MethodCall, Serial: 7, Path: path, Member: "M", FDs: fds})
		if err := w.End(); err != nil {
			t.Fatal(err)
		}
		return w.Bytes()
	}
	large, small := encode("/"+strings.Repeat("x", maxHeader), 1), encode("/", 0)
	r, w := pipe(t)
	n, _, err := other.WriteMsgUnix(append(large, small...), unix.UnixRights(int(w.Fd())), nil)
	if err != nil || n != len(large)+len(small) {
		t.Fatalf("WriteMsgUnix = %d, %v; want %d", n, err, len(large)+len(small))
	}
	_ = w.Close()
	var got *oversize
	if _, err := f.next(); !errors.As(err, &got) || got.head != (wire.Header{FDs: 1}) {
		t.Fatalf("next() = %v; want that it is too large, and has one descriptor", err)
	}
	f.settle(int(got.head.FDs))
	if frame, err := f.next(); err != nil || len(frame) != len(small) {
		t.Fatalf("next() has %d bytes, %v; want %d", len(frame), err, len(small))
	}
	if len(f.fds) != 0 {
		t.Errorf("the next message has %d descriptors; want none", len(f.fds))
	}
	ends(t, r)
}

// What a bus sends that is no message ends the connection to it, and nothing
// else; so does one that ends in the middle.
func TestBusThatLies(t *testing.T) {
	for _, lie := range []string{"l\x04\x00\x02aaaaaaaaaaaaaaaaaaaa", "lllllllllllllllllllllllll", "l\x01"} {
		b := newFakeBus(t, func(b *fakeBus, m wire.Message) {
			if m.Kind == wire.MethodCall && m.Member == "AddMatch" {
				_, _ = b.conn.Write([]byte(lie))
				_ = b.conn.CloseWrite()
			}
		})
		_, s := serve(t)
		told := &owners{}
		r, err := s.Join(RemoteOptions{Addresses: []string{api.UnixAddress(b.path)}, Insist: true, Owner: told.tell})
		if err != nil {
			t.Fatal(err)
		}
		r.Await(1, "org.example.A")
		eventually(t, "the loss to be told", func() bool { return told.has("1 org.example.A the session bus is lost: ") })
		connect(t, s).mustCall(api.ManagerPath, api.PeerInterface, "Ping")
	}
}

// Another user on a real bus is refused.
func TestOtherUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Log("only root can be another user")
		return
	}
	b := newBus(t)
	b.start()
	_, _, _, log := busServer(t, b, RemoteOptions{Names: bothNames, Insist: true})
	call := exec.Command(testkit.Need(t, "dbus-send"), "--bus="+b.address(), "--print-reply", "--dest="+api.BusName, api.ManagerPath, api.ManagerInterface+".GetAllJobs")
	call.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := call.CombinedOutput(); err == nil || !strings.Contains(string(out), api.ErrPermissionDenied+": this session is that of user 0: user 65534 may not call it") {
		t.Errorf("a call of user 65534: %v, %s", err, out)
	}
	if !log.has("client of another user refused") {
		t.Error("the log does not tell of the refusal")
	}
	if err := b.client().Object(api.BusName, api.ManagerPath).Call(api.PeerInterface+".Ping", dbus.Flags(0)).Err; err != nil {
		t.Error(err)
	}
}
