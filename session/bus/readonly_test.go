package bus

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
	"github.com/session-init/session-init/session/wire"
)

// serveAll is a server with both sockets.
func serveAll(t *testing.T, classes ...*job.Class) (*loop, *Server) {
	t.Helper()
	l := newLoop(t, classes...)
	dir := t.TempDir()
	s, err := Listen(filepath.Join(dir, "s"), l, Options{ReadOnly: filepath.Join(dir, "all"), Version: "session-init 1.2.3"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(0) })
	l.server = s
	return l, s
}

// dialAll connects to the second one, without a word.
func dialAll(t *testing.T, s *Server) *net.UnixConn {
	t.Helper()
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: s.readOnlyPath, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	return conn
}

// Everybody can open it, and the other one nobody else.
func TestReadOnlySocketFile(t *testing.T) {
	l, s := serveAll(t)
	for path, want := range map[string]os.FileMode{s.path: 0o600, s.readOnlyPath: 0o666} {
		if info, err := os.Lstat(path); err != nil || info.Mode().Perm() != want || info.Mode()&os.ModeSocket == 0 {
			t.Errorf("mode of %s = %v, %v; want a socket, %v", filepath.Base(path), info.Mode(), err, want)
		}
	}
	s.Close(0)
	if _, err := os.Lstat(s.readOnlyPath); !os.IsNotExist(err) {
		t.Errorf("the socket after Close: %v; want none", err)
	}
	// A file that is somebody else's by now is left alone.
	path := filepath.Join(t.TempDir(), "all")
	s, err := Listen(filepath.Join(t.TempDir(), "s"), l, Options{ReadOnly: path})
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
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("Close took another's file away: %v", err)
	}
	// One that cannot be made is an error, and takes the first socket with it.
	first := filepath.Join(t.TempDir(), "s")
	if _, err := Listen(first, l, Options{ReadOnly: filepath.Join(path, "none")}); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("Listen(second socket below a file) = %v; want an error that names it", err)
	}
	if _, err := os.Lstat(first); !os.IsNotExist(err) {
		t.Errorf("the first socket after that: %v; want none", err)
	}
}

// Every method that is not named here is refused there: a new one is, until
// somebody has thought about it.
func TestReadOnlySocketMethods(t *testing.T) {
	want := []string{
		api.ManagerInterface + ".GetJobByName", api.ManagerInterface + ".GetAllJobs", api.ManagerExtension + ".ListSessions",
		api.JobInterface + ".GetInstance", api.JobInterface + ".GetInstanceByName", api.JobInterface + ".GetAllInstances",
		api.InstanceExtension + ".GetProcesses",
		api.PropertiesInterface + ".Get", api.PropertiesInterface + ".GetAll",
		api.IntrospectableInterface + ".Introspect",
		api.PeerInterface + ".Ping", api.PeerInterface + ".GetMachineId",
		busName + ".Hello", busName + ".AddMatch", busName + ".RemoveMatch",
	}
	s := &Server{objects: objects()}
	stranger := &conn{public: true, restricted: elsewhereSocket}
	for kind, faces := range s.objects {
		for _, face := range faces {
			for i := range face.methods {
				m := &face.methods[i]
				name := face.name + "." + m.name
				in := &wire.Message{Header: wire.Header{Interface: face.name, Member: m.name, Signature: signature(m.in)}}
				_, fail := s.find(stranger, object{kind: kind}, in)
				denied := fail != nil && fail.name == api.ErrPermissionDenied
				if want := !slices.Contains(want, name); denied != want {
					t.Errorf("find(%s) of a stranger: denied %v; want %v", name, denied, want)
				}
			}
		}
	}
}

// Who comes there looks and listens, and does nothing, also when it is the owner.
func TestReadOnlySocketClient(t *testing.T) {
	l, s := serveAll(t, service("svc"))
	p := connect(t, &Server{path: s.readOnlyPath, guid: s.guid})
	denied := "error " + api.ErrPermissionDenied + " Permission denied: a client of the read-only socket may only read"
	l.do(func() { l.apply(engine.Start{Target: engine.Target{Class: "svc"}}) })
	for _, test := range []struct {
		path, face, member string
		args               []any
		want               string
	}{
		{api.JobPath("svc"), api.JobInterface, "Stop", []any{[]string{}, true}, denied},
		{api.JobPath("svc"), "", "Stop", []any{[]string{}, true}, denied},
		{api.ManagerPath, api.ManagerInterface, "EmitEvent", []any{"go", []string{}, true}, denied},
		{api.ManagerPath, api.ManagerExtension, "EndSystem", []any{"halt", []string{}}, denied},
		{api.ManagerPath, api.ManagerInterface, "GetState", nil, denied},
		{api.ManagerPath, api.ManagerInterface, "ListEnv", []any{[]string{}}, denied},
		{api.ManagerPath, api.PropertiesInterface, "Set", []any{api.ManagerInterface, "log_priority", dbus.MakeVariant("debug")}, denied},
		{api.ManagerPath, api.ManagerInterface, "GetAllJobs", nil, "reply [/jobs/svc]"},
		{api.JobPath("svc"), api.JobInterface, "GetAllInstances", nil, "reply [/jobs/svc/_]"},
		{api.InstancePath("svc", ""), api.PropertiesInterface, "Get", []any{api.InstanceInterface, "state"}, `reply "running"`},
	} {
		if got := story(p.call(test.path, test.face, test.member, test.args...)); got != test.want {
			t.Errorf("%s %s = %q; want %q", test.path, test.member, got, test.want)
		}
	}
	// What the environment of a session is, its user may know.
	l.do(func() { l.apply(engine.SessionOpen{Leader: 4321, Env: []string{"XDG_SEAT=seat0"}}) })
	for name, asker := range map[string]*peer{"the owner": connect(t, s), "a stranger": p} {
		list := asker.mustCall(api.ManagerPath, api.ManagerExtension, "ListSessions")[0].([]map[string]dbus.Variant)
		if len(list) != 1 || list[0]["leader"].Value() != uint32(4321) {
			t.Fatalf("ListSessions of %s = %v; want one session", name, list)
		}
		if _, has := list[0]["env"]; has != (asker != p) {
			t.Errorf("ListSessions of %s: env %v; want it for the owner only", name, has)
		}
	}
	l.post(func() { l.apply(engine.Emit{Name: "go"}) })
	if got := story(p.receive()); !strings.HasPrefix(got, "EventEmitted  go") {
		t.Errorf("signal = %q; want EventEmitted", got)
	}
}

// A user who opens it again and again is sent away, and keeps nobody else from
// the other socket.
func TestReadOnlySocketCrowd(t *testing.T) {
	_, s := serveAll(t)
	alive := func(conn *net.UnixConn) bool {
		t.Helper()
		if _, err := conn.Write([]byte("\x00AUTH EXTERNAL\r\n")); err != nil {
			return false
		}
		answer := make([]byte, len("DATA\r\n"))
		_, err := io.ReadFull(conn, answer)
		return err == nil
	}
	var all []*net.UnixConn
	for i := range maxStrangersEach {
		all = append(all, dialAll(t, s))
		if !alive(all[i]) {
			t.Fatalf("client %d of %d is sent away", i+1, maxStrangersEach)
		}
	}
	if alive(dialAll(t, s)) {
		t.Errorf("client %d is served; want it sent away", maxStrangersEach+1)
	}
	connect(t, s).mustCall(api.ManagerPath, api.PeerInterface, "Ping")
	_ = all[0].Close()
	for deadline := time.Now().Add(patience); !alive(dialAll(t, s)); {
		if time.Now().After(deadline) {
			t.Fatal("nobody is served after one has gone")
		}
	}
}

// All users together leave room, too.
func TestCrowded(t *testing.T) {
	s := &Server{}
	for i := range maxStrangers - 1 {
		s.conns = append(s.conns, &conn{public: true, uid: uint32(i)}, &conn{uid: 7})
	}
	if s.crowded(7) {
		t.Errorf("crowded() with %d strangers and one of the user = true", maxStrangers-1)
	}
	s.conns = append(s.conns, &conn{public: true})
	if !s.crowded(7) {
		t.Errorf("crowded() with %d strangers = false", maxStrangers)
	}
}
