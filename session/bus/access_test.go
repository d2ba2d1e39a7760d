package bus

import (
	"bytes"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/godbus/dbus/v5"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/testkit"
	"github.com/session-init/session-init/session/wire"
)

// Every method of the table that is not named here is refused to a client that
// may only read: a new one is, until somebody has thought about it.
func TestReadOnlyMethods(t *testing.T) {
	want := []string{
		api.ManagerInterface + ".GetJobByName", api.ManagerInterface + ".GetAllJobs", api.ManagerInterface + ".GetState",
		api.ManagerInterface + ".GetEnv", api.ManagerInterface + ".ListEnv",
		api.ManagerExtension + ".Simulate", api.ManagerExtension + ".Lint", api.ManagerExtension + ".GetTimings",
		api.ManagerExtension + ".ListSessions", api.ManagerExtension + ".GetLayers",
		api.ManagerExtension + ".SendSignals", api.ManagerExtension + ".GetSessionEnv", api.ManagerExtension + ".AwaitSession",
		api.JobInterface + ".GetInstance", api.JobInterface + ".GetInstanceByName", api.JobInterface + ".GetAllInstances",
		api.JobExtension + ".Why", api.JobExtension + ".GetDefinition",
		api.InstanceExtension + ".GetProcesses", api.InstanceExtension + ".GetProcessTree", api.InstanceExtension + ".GetLog",
		api.InstanceExtension + ".Why",
		api.PropertiesInterface + ".Get", api.PropertiesInterface + ".GetAll",
		api.IntrospectableInterface + ".Introspect",
		api.PeerInterface + ".Ping", api.PeerInterface + ".GetMachineId",
		"org.freedesktop.DBus.Hello", "org.freedesktop.DBus.AddMatch", "org.freedesktop.DBus.RemoveMatch",
	}
	s := &Server{objects: objects()}
	free, bound := &conn{}, &conn{restricted: elsewhereUser}
	for kind, faces := range s.objects {
		for _, face := range faces {
			for i := range face.methods {
				m := &face.methods[i]
				name := face.name + "." + m.name
				in := &wire.Message{Header: wire.Header{Interface: face.name, Member: m.name, Signature: signature(m.in)}}
				if got, fail := s.find(free, object{kind: kind}, in); fail != nil || got != m {
					t.Errorf("find(%s) = %v, %v; want the method", name, got, fail)
				}
				_, fail := s.find(bound, object{kind: kind}, in)
				denied := fail != nil && fail.name == api.ErrPermissionDenied
				if want := !slices.Contains(want, name); denied != want {
					t.Errorf("find(%s) of a client that may only read: denied %v; want %v", name, denied, want)
				}
			}
		}
	}
}

// A server that is in name spaces of its own sees all clients in others.
func TestReadOnlyClient(t *testing.T) {
	l, s := serveWith(t, func(s *Server) { s.own = namespaces{"user:[0]", "mnt:[0]"} }, service("svc"))
	p := connect(t, s)
	denied := "error " + api.ErrPermissionDenied + " Permission denied: a client in another user namespace may only read"
	l.do(func() { l.apply(engine.Start{Target: engine.Target{Class: "svc"}}) })
	for _, test := range []struct {
		path, face, member string
		args               []any
		want               string
	}{
		{api.JobPath("svc"), api.JobInterface, "Stop", []any{[]string{}, true}, denied},
		{api.JobPath("svc"), "", "Start", []any{[]string{}, true}, denied},
		{api.InstancePath("svc", ""), api.InstanceInterface, "Restart", []any{true}, denied},
		{api.InstancePath("svc", ""), api.InstanceExtension, "Signal", []any{"KILL"}, denied},
		{api.ManagerPath, api.ManagerInterface, "EmitEvent", []any{"go", []string{}, true}, denied},
		{api.ManagerPath, api.ManagerInterface, "EndSession", nil, denied},
		{api.ManagerPath, api.PropertiesInterface, "Set", []any{api.ManagerInterface, "log_priority", dbus.MakeVariant("debug")}, denied},
		// Who may only read is not told less of what there is not.
		{api.JobPath("zz"), api.JobInterface, "Start", []any{[]string{}, true}, "error " + api.ErrUnknownMethod + " No such object: /jobs/zz"},
		{api.JobPath("svc"), api.JobInterface, "GetAllInstances", nil, "reply [/jobs/svc/_]"},
		{api.ManagerPath, api.PropertiesInterface, "Get", []any{api.ManagerInterface, "log_priority"}, `reply "message"`},
		{api.InstancePath("svc", ""), api.PropertiesInterface, "Get", []any{api.InstanceInterface, "state"}, `reply "running"`},
	} {
		if got := story(p.call(test.path, test.face, test.member, test.args...)); got != test.want {
			t.Errorf("%s %s = %q; want %q", test.path, test.member, got, test.want)
		}
	}
	// Signals are reading, too.
	l.post(func() { l.apply(engine.Emit{Name: "go"}) })
	if got := story(p.receive()); !strings.HasPrefix(got, "EventEmitted  go") {
		t.Errorf("signal = %q; want EventEmitted", got)
	}
}

// Real clients in real name spaces.
func TestNamespaces(t *testing.T) {
	program := testkit.Need(t, "dbus-send")
	both := testkit.NeedMounts(t)
	// As who they are outside, which is what they say when they authenticate.
	both.UidMappings[0].ContainerID, both.GidMappings[0].ContainerID = os.Getuid(), os.Getgid()
	user := *both
	user.Cloneflags = syscall.CLONE_NEWUSER
	tests := []struct {
		name string
		attr *syscall.SysProcAttr
		want string // what Start is refused with, "" when it is not
	}{
		{"none", nil, ""},
		{"user", &user, elsewhereUser},
		{"user and mount", both, elsewhereUser},
	}
	if os.Getuid() == 0 {
		// Nobody else makes one alone.
		tests = append(tests, struct {
			name string
			attr *syscall.SysProcAttr
			want string
		}{"mount", &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}, elsewhereMount})
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, s := serve(t, service("svc"))
			send := func(args ...string) (string, error) {
				var out bytes.Buffer
				cmd := exec.Command(program, append([]string{"--peer=" + s.Address(), "--print-reply"}, args...)...)
				cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = &out, &out, test.attr
				err := cmd.Run()
				return out.String(), err
			}
			if out, err := send(api.ManagerPath, api.ManagerInterface+".GetAllJobs"); err != nil || !strings.Contains(out, "jobs/svc") {
				t.Errorf("GetAllJobs = %q, %v; want the job", out, err)
			}
			out, err := send(api.JobPath("svc"), api.JobInterface+".Start", "array:string:A=b", "boolean:true")
			refused := err != nil && strings.Contains(out, api.ErrPermissionDenied) && strings.Contains(out, test.want)
			if refused != (test.want != "") || !refused && err != nil {
				t.Errorf("Start = %q, %v; want it refused with %q", out, err, test.want)
			}
		})
	}
}

func TestRestriction(t *testing.T) {
	own, err := namespacesIn("/proc/self")
	if err != nil {
		t.Fatal(err)
	}
	dead := exec.Command(testkit.Need(t, "true"))
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	uid := uint32(os.Getuid())
	for _, test := range []struct {
		name string
		own  namespaces
		pid  int
		want string
	}{
		{"we", own, os.Getpid(), ""},
		{"a pid that is not in our pid namespace", own, 0, unseen},
		{"one that has ended", own, dead.Process.Pid, unseen},
		{"we cannot see our own", namespaces{}, os.Getpid(), unseen},
		{"another user namespace", namespaces{"x", own.mount}, os.Getpid(), elsewhereUser},
		{"another mount namespace", namespaces{own.user, "x"}, os.Getpid(), elsewhereMount},
	} {
		if got := restriction(test.own, test.pid, uid, -1); got != test.want {
			t.Errorf("%s: restriction() = %q; want %q", test.name, got, test.want)
		}
	}
	if !sameRoot("/proc/self") {
		t.Error("sameRoot(/proc/self) = false; want true")
	}
	if sameRoot("/proc/none") {
		t.Error("sameRoot(/proc/none) = true; want false")
	}
}
