package bus

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/godbus/dbus/v5"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/engine"
)

// The same objects, under both names, with the answer to who called and the
// signals to who listens.
func TestBus(t *testing.T) {
	b := newBus(t)
	b.start()
	busServer(t, b, RemoteOptions{Names: bothNames, Insist: true})
	conn := b.client()
	if err := conn.AddMatchSignal(dbus.WithMatchInterface(api.InstanceInterface)); err != nil {
		t.Fatal(err)
	}
	signals := make(chan *dbus.Signal, 100)
	conn.Signal(signals)
	for _, name := range bothNames {
		var jobs []dbus.ObjectPath
		if err := conn.Object(name, api.ManagerPath).Call(api.ManagerInterface+".GetAllJobs", 0).Store(&jobs); err != nil || len(jobs) != 2 {
			t.Errorf("GetAllJobs of %s = %v, %v; want two jobs", name, jobs, err)
		}
	}
	svc := conn.Object(api.UpstartBusName, dbus.ObjectPath(api.JobPath("svc")))
	var path dbus.ObjectPath
	if err := svc.Call(api.JobInterface+".Start", 0, []string{}, true).Store(&path); err != nil || string(path) != api.InstancePath("svc", "") {
		t.Errorf("Start() = %v, %v; want the path of the instance", path, err)
	}
	err := svc.Call(api.JobInterface+".Start", 0, []string{}, true).Err
	if failed, ok := err.(dbus.Error); !ok || failed.Name != api.ErrAlreadyStarted {
		t.Errorf("Start() again = %v; want %s", err, api.ErrAlreadyStarted)
	}
	var states []string
	for len(states) == 0 || states[len(states)-1] != "running" {
		signal := within(t, "the state running", signals)
		if signal.Name == api.InstanceInterface+".StateChanged" {
			states = append(states, signal.Body[0].(string))
		}
	}
	if got, want := strings.Join(states, " "), "starting pre-start spawned post-start running"; got != want {
		t.Errorf("states = %s; want %s", got, want)
	}
	var version dbus.Variant
	if err := conn.Object(api.BusName, api.ManagerPath).Call(api.PropertiesInterface+".Get", 0, api.ManagerInterface, "version").Store(&version); err != nil || version.Value() != "session-init TEST" {
		t.Errorf("version = %v, %v", version, err)
	}
}

// Calls of one client are done in its order, whoever else calls.
func TestBusOrder(t *testing.T) {
	b := newBus(t)
	b.start()
	l, s, _, _ := busServer(t, b, RemoteOptions{Names: bothNames, Insist: true})
	l.mu.Lock()
	l.keep = true
	l.mu.Unlock()
	const calls = 300
	var wait sync.WaitGroup
	for client := range 3 {
		conn := b.client()
		wait.Go(func() {
			var last *dbus.Call
			for i := range calls {
				last = conn.Object(api.BusName, api.ManagerPath).Go(api.ManagerInterface+".EmitEvent", 0, make(chan *dbus.Call, 1),
					fmt.Sprintf("c%d-%d", client, i), []string{}, false)
			}
			if call := <-last.Done; call.Err != nil {
				t.Error(call.Err)
			}
		})
	}
	wait.Wait()
	next := map[string]int{}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, in := range l.inputs {
		if emit, ok := in.(engine.Emit); ok {
			client, number, _ := strings.Cut(emit.Name, "-")
			if want := fmt.Sprint(next[client]); number != want {
				t.Fatalf("%s came in place of number %s", emit.Name, want)
			}
			next[client]++
			if emit.By == nil || emit.By.Pid != os.Getpid() {
				t.Fatalf("%s came by %+v; want this process", emit.Name, emit.By)
			}
		}
	}
	for client := range 3 {
		if got := next[fmt.Sprint("c", client)]; got != calls {
			t.Errorf("%d events of client %d; want %d", got, client, calls)
		}
	}
	_ = s
}

// A bus that comes later, dies, and comes again at the same path is joined each
// time, and the private socket does not notice.
func TestBusComesAndGoes(t *testing.T) {
	b := newBus(t)
	l, s, r, log := busServer(t, b, RemoteOptions{Names: bothNames, Addresses: []string{
		"unix:path=/nonexistent/sub/bus", b.address()}})
	l.do(func() { l.manual = true })
	private := connect(t, s)
	for round := range 3 {
		b.start()
		conn := b.client()
		eventually(t, "both names", func() bool {
			return owner(conn, api.BusName) != "" && owner(conn, api.UpstartBusName) != ""
		})
		waits := conn.Object(api.BusName, dbus.ObjectPath(api.JobPath("svc"))).Go(api.JobInterface+".Start", 0, make(chan *dbus.Call, 1), []string{}, true)
		before := private.send(api.JobPath("other"), api.JobInterface, "Start", []string{}, true)
		eventually(t, "the calls to wait", func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return len(s.waiting) == 2
		})
		b.stop()
		if call := within(t, "the end of a call", waits.Done); call.Err == nil {
			t.Error("a call over a bus that died was answered")
		}
		// Nobody waits any more for what was asked over the bus; it goes on.
		eventually(t, "the call of the bus to be forgotten", func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return len(s.waiting) == 1
		})
		l.do(func() {
			for _, p := range l.engine.Live() {
				l.apply(engine.Spawned{Proc: p.Proc, Pid: 1000 + int(p.Proc)})
			}
		})
		for {
			if msg := private.receive(); replyTo(msg) == before {
				if msg.Type != dbus.TypeMethodReply {
					t.Errorf("round %d: Start() on the private socket = %s", round, story(msg))
				}
				break
			}
		}
		if _, ok := viewOf(l).Instance("svc", ""); !ok {
			t.Errorf("round %d: what was started over the bus has gone with it", round)
		}
		l.do(func() {
			for _, name := range []string{"svc", "other"} {
				l.apply(engine.Stop{Target: engine.Target{Class: name}})
			}
			for _, p := range l.engine.Live() {
				l.apply(engine.Exited{Proc: p.Proc, Signal: 15})
			}
		})
		eventually(t, "the loss to be told", func() bool { return log.has("lost the session bus") })
		eventually(t, "the link to be gone", func() bool {
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.link == nil
		})
	}
}

func viewOf(l *loop) (v engine.View) {
	l.do(func() { v = l.engine.View() })
	return v
}

// A directory on the way to the socket may be made later, too.
func TestBusInNewDirectory(t *testing.T) {
	b := newBus(t)
	b.socket = filepath.Join(b.dir, "a", "b", "bus")
	_, _, r, _ := busServer(t, b, RemoteOptions{Names: bothNames})
	eventually(t, "it to be looked for", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return strings.Contains(r.absent, "no such file")
	})
	if err := os.MkdirAll(filepath.Dir(b.socket), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.dir, "config"), fmt.Appendf(nil, busConfig, b.socket), 0o600); err != nil {
		t.Fatal(err)
	}
	b.start()
	conn := b.client()
	eventually(t, "the name", func() bool { return owner(conn, api.BusName) != "" })
}

func TestInsist(t *testing.T) {
	b := newBus(t)
	_, s := serve(t)
	_, err := s.Join(RemoteOptions{Addresses: []string{"nonsense", b.address()}, Names: bothNames, Insist: true})
	want := `cannot join the session bus: there is no session bus: nonsense: cannot use address "nonsense": no ":" after the transport; ` + b.address() + ": no such file or directory"
	if err == nil || err.Error() != want {
		t.Errorf("Join() = %v; want %s", err, want)
	}
	if _, err := s.Join(RemoteOptions{Insist: true}); err == nil || !strings.Contains(err.Error(), "nobody has said where it is") {
		t.Errorf("Join() without addresses = %v", err)
	}
}

// What is no bus is told, and waited for no longer than it speaks.
func TestNoBus(t *testing.T) {
	dir := t.TempDir()
	for _, answer := range []string{"", "REJECTED EXTERNAL\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n\r\n", strings.Repeat("x", 2*saslLineLimit)} {
		path := filepath.Join(dir, "s")
		listener, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			conn, err := listener.Accept()
			if err == nil {
				_, _ = conn.Write([]byte(answer))
				_, _ = conn.Read(make([]byte, 512))
				_ = conn.Close()
			}
		}()
		_, s := serve(t)
		if _, err := s.Join(RemoteOptions{Addresses: []string{api.UnixAddress(path)}, Insist: true}); err == nil {
			t.Errorf("Join() a server that answers %.20q succeeded", answer)
		}
		_ = listener.Close()
	}
}

// A name that another has is told, and ours when that one lets go of it; one
// that is forbidden is told. The rest works.
func TestNameTaken(t *testing.T) {
	b := newBus(t)
	b.start()
	squatter := b.client()
	if _, err := squatter.RequestName(api.UpstartBusName, 0); err != nil {
		t.Fatal(err)
	}
	_, s, _, log := busServer(t, b, RemoteOptions{Names: []string{api.BusName, api.UpstartBusName, "org.example.Forbidden"}, Insist: true})
	eventually(t, "a line about the name", func() bool {
		return log.has(fmt.Sprintf("cannot take the name %s on the session bus: process %d (", api.UpstartBusName, os.Getpid()))
	})
	eventually(t, "a line about the other", func() bool {
		return log.has("cannot take the name org.example.Forbidden on the session bus: Connection")
	})
	connect(t, s).mustCall(api.ManagerPath, api.ManagerInterface, "GetAllJobs")
	conn := b.client()
	ours := owner(conn, api.BusName)
	if ours == "" {
		t.Error("the free name is nobody's")
	}
	_ = squatter.Close()
	eventually(t, "the name", func() bool { return owner(conn, api.UpstartBusName) == ours })
	eventually(t, "a line about that", func() bool { return log.has("has the name " + api.UpstartBusName) })
}

// NotifyDBusAddress moves us to another bus, and back by an address that does
// not lead anywhere.
func TestNotifyAddress(t *testing.T) {
	a, b := newBus(t), newBus(t)
	a.start()
	b.start()
	var mu sync.Mutex
	var kept []string
	_, s, _, _ := busServer(t, a, RemoteOptions{Names: bothNames, Keep: func(address string) {
		mu.Lock()
		defer mu.Unlock()
		kept = append(kept, address)
	}})
	first, second := a.client(), b.client()
	eventually(t, "the first bus", func() bool { return owner(first, api.BusName) != "" })
	p := connect(t, s)
	p.mustCall(api.ManagerPath, api.ManagerInterface, "NotifyDBusAddress", b.address())
	eventually(t, "the second bus", func() bool { return owner(second, api.BusName) != "" })
	eventually(t, "the first bus to be left", func() bool { return owner(first, api.BusName) == "" })
	if got := story(p.call(api.ManagerPath, api.ManagerInterface, "NotifyDBusAddress", "tcp:host=x")); !strings.HasPrefix(got, "error "+api.ErrInvalidArgs) {
		t.Errorf("NotifyDBusAddress(tcp) = %s", got)
	}
	b.stop()
	eventually(t, "the first bus again", func() bool { return owner(first, api.BusName) != "" })
	mu.Lock()
	defer mu.Unlock()
	if want := []string{b.address()}; !slices.Equal(kept, want) {
		t.Errorf("kept %q; want %q", kept, want)
	}
}

func TestNotifyAddressWithoutBus(t *testing.T) {
	_, s := serve(t)
	got := story(connect(t, s).call(api.ManagerPath, api.ManagerInterface, "NotifyDBusAddress", "unix:path=/x"))
	if want := "error " + api.ErrNotSupported + " cannot join a bus: session-init was started with --no-dbus"; got != want {
		t.Errorf("NotifyDBusAddress() = %s; want %s", got, want)
	}
}

// What is awaited is told: no bus, nobody, somebody, another, nobody, no bus.
func TestAwait(t *testing.T) {
	b := newBus(t)
	told := &owners{}
	_, _, r, _ := busServer(t, b, RemoteOptions{Owner: told.tell})
	const name = "org.example.Svc"
	r.Await(1, name)
	r.Await(2, name)
	eventually(t, "no bus to be told", func() bool {
		return told.has("1 "+name+" there is no session bus: ") && told.has("2 "+name+" there is no session bus")
	})
	b.start()
	eventually(t, "nobody to be told", func() bool {
		return told.has("1 "+name+" nobody owns the bus name "+name) && told.has("2 "+name+" nobody")
	})
	conn := b.client()
	if _, err := conn.RequestName(name, 0); err != nil {
		t.Fatal(err)
	}
	us := fmt.Sprint(os.Getpid())
	eventually(t, "the owner to be told", func() bool { return told.has("1 "+name+" "+us) && told.has("2 "+name+" "+us) })
	// One that comes later is told, and the others not again.
	before := told.count()
	r.Await(3, name)
	eventually(t, "the owner to be told to the third", func() bool { return told.has("3 " + name + " " + us) })
	if got := told.count(); got != before+1 {
		t.Errorf("%d were told of the owner when one asked; want 1", got-before)
	}
	r.Forget(1, name)
	before = told.count()
	if _, err := conn.ReleaseName(name); err != nil {
		t.Fatal(err)
	}
	eventually(t, "two to be told", func() bool { return told.count() == before+2 })
	r.Forget(2, name)
	r.Forget(3, name)
	r.mu.Lock()
	if len(r.names) != 0 {
		t.Errorf("names = %v; want none", r.names)
	}
	r.mu.Unlock()
	if got := owner(conn, api.BusName); got != "" {
		t.Errorf("%s has %s, and was told to take no names", got, api.BusName)
	}
	r.Await(4, name)
	eventually(t, "the fourth to be told", func() bool { return told.has("4 " + name + " nobody") })
	b.stop()
	eventually(t, "the loss to be told", func() bool { return told.has("4 " + name + " the session bus is lost: it has closed the connection") })
}

// A thousand clients of the bus that vanish in the middle of a call leave
// nothing, and a private client is served meanwhile.
func TestBusClientsVanish(t *testing.T) {
	b := newBus(t)
	b.start()
	l, s, r, _ := busServer(t, b, RemoteOptions{Names: bothNames, Insist: true})
	l.do(func() { l.manual = true })
	private := connect(t, s)
	const clients = 1000
	conns := make([]*dbus.Conn, clients)
	for i := range conns {
		conn, err := dbus.Connect(b.address())
		if err != nil {
			t.Fatal(err)
		}
		conns[i] = conn
		conn.Object(api.BusName, dbus.ObjectPath(api.JobPath("svc"))).Go(api.JobInterface+".Start", 0, nil, []string{}, true)
		if i%100 == 0 {
			private.mustCall(api.ManagerPath, api.PeerInterface, "Ping")
		}
	}
	// The first is started, and the others are told that it is already: so it
	// is one that waits.
	eventually(t, "a call to wait", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.waiting) == 1
	})
	for _, conn := range conns {
		_ = conn.Close()
	}
	eventually(t, "the call to be forgotten", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.waiting) == 0
	})
	// All are forgotten: what the link knows is its reader's, so it is asked
	// when that has ended.
	l1 := r.link
	eventually(t, "the bus to have forgotten them", func() bool {
		conn := b.client()
		var names []string
		_ = conn.BusObject().Call("org.freedesktop.DBus.ListNames", 0).Store(&names)
		defer conn.Close()
		return len(names) < 10
	})
	private.mustCall(api.ManagerPath, api.PeerInterface, "Ping")
	conn := b.client()
	if err := conn.Object(api.BusName, api.ManagerPath).Call(api.PeerInterface+".Ping", 0).Err; err != nil {
		t.Errorf("Ping() after all = %v", err)
	}
	_ = conn.Close()
	s.Close(patience)
	if n := len(l1.guests); n > 2 {
		t.Errorf("%d clients are remembered that have gone", n)
	}
}

// A client of the bus that reads nothing stops nobody: what it does not take is
// the bus's to keep.
func TestBusClientThatNeverReads(t *testing.T) {
	b := newBus(t)
	b.start()
	_, s, _, _ := busServer(t, b, RemoteOptions{Names: bothNames, Insist: true})
	deaf := dialBus(t, b)
	for i := range 2000 {
		deaf.write(callTo(t, uint32(i+10), api.BusName, api.ManagerPath, api.PropertiesInterface, "GetAll", ""))
	}
	private := connect(t, s)
	for range 100 {
		private.mustCall(api.ManagerPath, api.PeerInterface, "Ping")
	}
	conn := b.client()
	for range 100 {
		if err := conn.Object(api.BusName, api.ManagerPath).Call(api.PeerInterface+".Ping", 0).Err; err != nil {
			t.Fatal(err)
		}
	}
}

// The bus is a job of the session that ends with it: that it is lost is no warning
// then.
func TestBusEndsWithTheSession(t *testing.T) {
	b := newBus(t)
	b.start()
	_, _, r, log := busServer(t, b, RemoteOptions{Names: bothNames, Insist: true})
	conn := b.client()
	eventually(t, "our name", func() bool { return owner(conn, api.BusName) != "" })
	r.Ends()
	b.stop()
	eventually(t, "the end to be told", func() bool { return log.has("the session bus has ended") })
	if log.has("lost the session bus") {
		t.Error("the end of the bus is told as a loss")
	}
}

// A login session's bus that comes while another is being joined is none of ours.
func TestMeetWaitsForTheOther(t *testing.T) {
	trying := make(chan struct{})
	s := &Server{}
	r := &Remote{server: s, ctx: t.Context(), wake: make(chan struct{}, 1), trying: trying}
	other := make(chan string)
	go func() { other <- r.Meet("unix:path=/theirs") }()
	r.mu.Lock()
	r.link, r.trying = &link{address: "unix:path=/ours"}, nil
	r.mu.Unlock()
	close(trying)
	if got := within(t, "the answer", other); got != "unix:path=/ours" {
		t.Errorf("Meet() = %q; want the bus that was being joined", got)
	}
	if r.told != "" {
		t.Errorf("the other bus was told of: %q", r.told)
	}
}

// A bus that stands still is left when more waits for it than may.
func TestBusThatStandsStill(t *testing.T) {
	b := newBus(t)
	b.start()
	l, s, _, log := busServer(t, b, RemoteOptions{Names: bothNames, Insist: true})
	if err := b.daemon.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(b.daemon.Process.Pid, syscall.SIGCONT) })
	private := connect(t, s)
	large := slices.Repeat([]string{"X=" + strings.Repeat("x", 100<<10)}, 11)
	for range outboxLimit>>20 + 8 {
		private.mustCall(api.ManagerPath, api.ManagerInterface, "EmitEvent", "large", large, true)
	}
	eventually(t, "the bus to be left", func() bool { return log.has("lost the session bus: it does not read") })
	viewOf(l)
	if err := b.daemon.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	conn := b.client()
	eventually(t, "it to be joined again", func() bool { return owner(conn, api.BusName) != "" })
}
