package bus

import (
	"bufio"
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/testkit"
)

// run gives what a program writes, to either output, and whether it
// succeeded.
func run(t *testing.T, program string, args ...string) (string, bool) {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	// Somebody whom it has started may have its output still.
	cmd.WaitDelay = patience
	err := cmd.Wait()
	return out.String(), err == nil
}

func TestDBusSend(t *testing.T) {
	program := testkit.Need(t, "dbus-send")
	_, s := serve(t, service("svc"))
	for _, test := range []struct {
		args []string
		want string
		fail bool
	}{
		{[]string{api.ManagerPath, api.ManagerInterface + ".GetAllJobs"}, `object path "/com/ubuntu/Upstart/jobs/svc"`, false},
		{[]string{api.JobPath("svc"), api.JobInterface + ".Start", "array:string:A=b", "boolean:true"}, `object path "/com/ubuntu/Upstart/jobs/svc/_"`, false},
		{[]string{api.JobPath("svc"), api.JobInterface + ".Start", "array:string:A=b", "boolean:true"}, "Job is already running: svc", true},
		{[]string{api.InstancePath("svc", ""), api.PropertiesInterface + ".GetAll", "string:" + api.InstanceInterface}, `string "running"`, false},
		{[]string{api.ManagerPath, api.IntrospectableInterface + ".Introspect"}, `<method name="GetAllJobs">`, false},
		{[]string{api.ManagerPath, api.ManagerInterface + ".GetState"}, `string "{"sessions":[],`, false},
		{[]string{"/", api.PeerInterface + ".Ping"}, "method return", false},
	} {
		out, ok := run(t, program, append([]string{"--peer=" + s.Address(), "--print-reply"}, test.args...)...)
		if ok == test.fail || !strings.Contains(out, test.want) {
			t.Errorf("dbus-send %q = %v, %q; want %q", test.args, ok, out, test.want)
		}
	}
}

func TestGDBus(t *testing.T) {
	program := testkit.Need(t, "gdbus")
	_, s := serve(t, service("svc"))
	for _, test := range []struct {
		args []string
		want string
		fail bool
	}{
		{[]string{"call", "--object-path", api.ManagerPath, "--method", api.ManagerInterface + ".GetJobByName", "svc"}, "(objectpath '/com/ubuntu/Upstart/jobs/svc',)", false},
		{[]string{"call", "--object-path", api.JobPath("svc"), "--method", api.JobInterface + ".Start", "['A=b']", "true"}, "(objectpath '/com/ubuntu/Upstart/jobs/svc/_',)", false},
		{[]string{"call", "--object-path", api.InstancePath("svc", ""), "--method", api.PropertiesInterface + ".Get", api.InstanceInterface, "processes"}, "(<[('main', 1001)]>,)", false},
		{[]string{"call", "--object-path", api.ManagerPath, "--method", api.ManagerInterface + ".GetJobByName", "x"}, "Unknown job: x", true},
		{[]string{"introspect", "--object-path", api.ManagerPath}, "readwrite s log_priority = 'message'", false},
	} {
		args := append([]string{test.args[0], "--address", s.Address(), "--dest", "com.ubuntu.Upstart"}, test.args[1:]...)
		out, ok := run(t, program, args...)
		if ok == test.fail || !strings.Contains(out, test.want) {
			t.Errorf("gdbus %q = %v, %q; want %q", test.args, ok, out, test.want)
		}
	}
}

// sd-bus sends the whole authentication in one write.
func TestBusctl(t *testing.T) {
	program := testkit.Need(t, "busctl")
	_, s := serve(t, service("svc"))
	for _, test := range []struct{ args, want string }{
		{"get-property /com/ubuntu/Upstart com.ubuntu.Upstart0_6 version", `s "session-init TEST"`},
		{"call /com/ubuntu/Upstart com.ubuntu.Upstart0_6 GetAllJobs", `ao 1 "/com/ubuntu/Upstart/jobs/svc"`},
		{"introspect /com/ubuntu/Upstart com.ubuntu.Upstart0_6", "emits-change writable"},
		{"tree", "/com/ubuntu/Upstart/jobs/svc"},
	} {
		words := strings.Fields(test.args)
		args := append([]string{"--address=" + s.Address(), words[0], "any.name"}, words[1:]...)
		out, ok := run(t, program, args...)
		if !ok || !strings.Contains(out, test.want) {
			t.Errorf("busctl %s = %v, %q; want %q", test.args, ok, out, test.want)
		}
	}
}

// dbus-monitor asks for all that a bus passes on, and so hears of properties.
func TestDBusMonitor(t *testing.T) {
	program := testkit.Need(t, "dbus-monitor")
	l, s := serve(t, service("svc"))
	cmd := exec.Command(program, "--address", s.Address())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	eventually(t, "it to ask for signals", func() bool { return s.watchers.Load() == 1 })
	l.do(func() { l.apply(engine.Start{Target: engine.Target{Class: "svc"}}) })
	heard := map[string]bool{}
	for lines := bufio.NewScanner(out); !heard["PropertiesChanged"] && lines.Scan(); {
		if _, member, ok := strings.Cut(lines.Text(), "member="); ok {
			heard[member] = true
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	for _, member := range []string{"InstanceAdded", "GoalChanged", "StateChanged", "PropertiesChanged"} {
		if !heard[member] {
			t.Errorf("dbus-monitor shows no %s: %v", member, heard)
		}
	}
}

const pythonClient = `
import dbus, dbus.connection, sys
c = dbus.connection.Connection(sys.argv[1])
m = c.get_object(object_path='/com/ubuntu/Upstart')
m = dbus.Interface(m, 'com.ubuntu.Upstart0_6')
path = m.GetJobByName('svc')
j = dbus.Interface(c.get_object(object_path=path), 'com.ubuntu.Upstart0_6.Job')
i = j.Start(['A=b'], True)
p = dbus.Interface(c.get_object(object_path=i), 'org.freedesktop.DBus.Properties')
print(i, p.Get('com.ubuntu.Upstart0_6.Instance', 'state'))
m.EmitEvent('go', dbus.Array(['X=1'], signature='s'), True)
try:
    j.Start([], True)
except dbus.DBusException as e:
    print(e.get_dbus_name())
m.SetEnv([], 'K=' + 'v' * 100000, True)
print(len(m.GetEnv([], 'K')))
c.close()
`

func TestPythonDBus(t *testing.T) {
	program := testkit.NeedPython(t, "dbus")
	_, s := serve(t, service("svc"))
	out, ok := run(t, program, "-c", pythonClient, s.Address())
	want := fmt.Sprintf("%s running\n%s\n100000\n", api.InstancePath("svc", ""), api.ErrAlreadyStarted)
	if !ok || out != want {
		t.Errorf("python3-dbus = %v, %q; want %q", ok, out, want)
	}
}

func TestGodbus(t *testing.T) {
	_, s := serve(t, service("svc"))
	conn, err := dbus.Dial(s.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	signals := make(chan *dbus.Signal, 100)
	conn.Signal(signals)
	if err := conn.Auth(nil); err != nil {
		t.Fatalf("Auth() = %v", err)
	}
	var instance dbus.ObjectPath
	call := conn.Object("", dbus.ObjectPath(api.JobPath("svc"))).Call(api.JobInterface+".Start", 0, []string{"A=b"}, true)
	if err := call.Store(&instance); err != nil || string(instance) != api.InstancePath("svc", "") {
		t.Errorf("Start = %s, %v", instance, err)
	}
	if got := within(t, "a signal", signals); got.Name != api.JobInterface+".InstanceAdded" {
		t.Errorf("first signal = %s; want InstanceAdded", got.Name)
	}
}
