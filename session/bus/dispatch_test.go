package bus

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/foresee"
	"github.com/session-init/session-init/session/job"
	"github.com/session-init/session-init/session/wire"
)

// operand makes an operand of an expression.
func operand(t *testing.T, words ...string) events.Node {
	t.Helper()
	m, bad := events.NewMatch(words)
	if bad >= 0 {
		t.Fatalf("NewMatch(%q): word %d is bad", words, bad)
	}
	return events.Node{Op: events.OpMatch, Match: m}
}

func testClasses(t *testing.T) []*job.Class {
	return []*job.Class{
		service("getty", func(c *job.Class) { c.Instance = "$TTY" }),
		service("net/dhcp", func(c *job.Class) {
			c.Description, c.Author, c.Version, c.Usage = "leases\xff", "me", "1.0", "IFACE=…"
			c.Emits = []string{"lease"}
			c.StartOn = &events.Expr{Nodes: []events.Node{
				operand(t, "up", "IFACE=eth*"), operand(t, "started", "dbus"), {Op: events.OpAnd},
			}}
		}),
		service("svc"),
	}
}

// Each step is one call and its answer, in this order, on one connection.
func TestMethods(t *testing.T) {
	_, s := serve(t, testClasses(t)...)
	p := connect(t, s)
	const (
		mgr   = api.ManagerPath
		m     = api.ManagerInterface
		jf    = api.JobInterface
		inf   = api.InstanceInterface
		props = api.PropertiesInterface
	)
	svc, getty, dhcp := api.JobPath("svc"), api.JobPath("getty"), api.JobPath("net/dhcp")
	tty1 := api.InstancePath("getty", "tty1")
	none, invalid := []string{}, "error "+api.ErrInvalidArgs
	for _, test := range []struct {
		path, iface, member string
		args                []any
		want                string // "*" at its end: the engine's words follow
	}{
		{mgr, m, "GetAllJobs", nil, "reply [/jobs/getty /jobs/net_2fdhcp /jobs/svc]"},
		{mgr, m, "GetJobByName", []any{"net/dhcp"}, "reply /jobs/net_2fdhcp"},
		{mgr, m, "GetJobByName", []any{"nope"}, "error " + api.ErrUnknownJob + " Unknown job: nope"},
		{mgr, m, "GetJobByName", []any{int32(3)}, invalid + " cannot call GetJobByName: its arguments are (s), not (i)"},
		{mgr, m, "GetJobByName", nil, invalid + " cannot call GetJobByName: its arguments are (s), not ()"},
		{mgr, m, "Bogus", nil, "error " + api.ErrUnknownMethod + " No such method on : Bogus"},
		{mgr, jf, "Start", []any{none, true}, "error " + api.ErrUnknownInterface + " No such interface on : " + jf},
		{mgr, "org.freedesktop.DBus", "Hello", nil, "error " + api.ErrUnknownInterface + " No such interface on : org.freedesktop.DBus"},
		{"/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello", nil, "reply :1.1"},
		{"/org/freedesktop/DBus", "org.freedesktop.DBus", "AddMatch", []any{"type='signal'"}, "reply"},
		{"/org/freedesktop/DBus", "org.freedesktop.DBus", "ListNames", nil, "error " + api.ErrUnknownMethod + " No such method on /org/freedesktop/DBus: ListNames"},
		{mgr, "", "GetJobByName", []any{"svc"}, "reply /jobs/svc"},

		{svc, jf, "GetAllInstances", nil, "reply []"},
		{svc, jf, "GetInstance", []any{none}, "error " + api.ErrUnknownInstance + " Unknown instance: svc"},
		{svc, jf, "GetInstanceByName", []any{""}, "error " + api.ErrUnknownInstance + " Unknown instance: svc"},
		{svc, jf, "Stop", []any{none, true}, "error " + api.ErrUnknownInstance + " Unknown instance:*"},
		{svc, jf, "Start", []any{none, true}, "reply /jobs/svc/_"},
		{svc, jf, "Start", []any{none, true}, "error " + api.ErrAlreadyStarted + " Job is already running: svc"},
		{svc, jf, "GetInstance", []any{none}, "reply /jobs/svc/_"},
		{svc, jf, "Restart", []any{none, true}, "reply /jobs/svc/_"},
		{svc + "/_", inf, "Restart", []any{true}, "reply"},
		{svc + "/_", inf, "Reload", nil, "reply"},
		{svc, jf, "Stop", []any{none, true}, "reply"},
		{svc, jf, "GetAllInstances", nil, "reply []"},
		{svc, jf, "Start", []any{[]string{"NOEQUALS"}, true}, invalid + " *"},

		{getty, jf, "Start", []any{none, true}, invalid + " *"},
		{getty, jf, "Start", []any{[]string{"TTY=tty1"}, true}, "reply /jobs/getty/tty1"},
		{getty, jf, "Start", []any{[]string{"TTY=tty2"}, false}, "reply /jobs/getty/tty2"},
		{getty, jf, "GetInstance", []any{[]string{"TTY=tty1"}}, "reply /jobs/getty/tty1"},
		{getty, jf, "GetInstance", []any{[]string{"TTY=tty9"}}, "error " + api.ErrUnknownInstance + " Unknown instance: getty (tty9)"},
		{getty, jf, "GetInstanceByName", []any{"tty2"}, "reply /jobs/getty/tty2"},
		{getty, jf, "GetInstanceByName", []any{"tty3"}, "error " + api.ErrUnknownInstance + " Unknown instance: getty (tty3)"},
		{getty, jf, "GetAllInstances", nil, "reply [/jobs/getty/tty1 /jobs/getty/tty2]"},
		{tty1, props, "Get", []any{inf, "name"}, `reply "tty1"`},
		{tty1, props, "Get", []any{inf, "goal"}, `reply "start"`},
		{tty1, props, "Get", []any{"", "state"}, `reply "running"`},
		{tty1, api.InstanceExtension, "GetProcesses", nil, `reply [[4711 getty tty1 ?]]`},
		{tty1, props, "Get", []any{api.InstanceExtension, "note"}, `reply ""`},
		{getty, props, "Get", []any{api.JobExtension, "left_behind"}, `reply @a(is) []`},
		{getty, api.JobExtension, "ForceStop", []any{[]string{"TTY=tty3"}, true}, "error " + api.ErrUnknownInstance + " Unknown instance: getty (tty3)"},
		{getty, api.JobExtension, "ForceStop", []any{[]string{"TTY=tty1"}, true}, "reply"},
		{tty1, api.InstanceExtension, "GetProcesses", nil, "error " + api.ErrUnknownMethod + " No such object: /jobs/getty/tty1"},
		{getty, jf, "Start", []any{[]string{"TTY=tty1"}, true}, "reply /jobs/getty/tty1"},
		{tty1, api.InstanceExtension, "ForceStop", []any{true}, "reply"},
		{getty, api.JobExtension, "Change", []any{"start", []string{"TTY=tty4"}, true}, `reply /jobs/getty/tty4 start running *`},
		{getty, api.JobExtension, "Change", []any{"start", []string{"TTY=tty4"}, true}, "error " + api.ErrAlreadyStarted + " *"},
		{getty, api.JobExtension, "Change", []any{"restart", []string{"TTY=tty4"}, true}, `reply /jobs/getty/tty4 start running *`},
		{getty, api.JobExtension, "Change", []any{"stop", []string{"TTY=tty4"}, true}, `reply /jobs/getty/tty4 stop waiting [] []`},
		{getty, api.JobExtension, "Change", []any{"force-stop", []string{"TTY=tty4"}, true}, "error " + api.ErrUnknownInstance + " Unknown instance: getty (tty4)"},
		{getty, api.JobExtension, "Change", []any{"begin", none, true}, invalid + " cannot change a goal by \"begin\": it is start, stop, restart or force-stop"},
		{getty, jf, "Start", []any{[]string{"TTY=tty1"}, true}, "reply /jobs/getty/tty1"},
		{tty1, inf, "Stop", []any{true}, "reply"},
		{tty1, inf, "Stop", []any{true}, "error " + api.ErrUnknownInstance + " Unknown instance: *"},
		{tty1, props, "Get", []any{inf, "name"}, "error " + api.ErrUnknownMethod + " No such object: /jobs/getty/tty1"},
		{tty1, inf, "Bogus", nil, "error " + api.ErrUnknownMethod + " No such object: /jobs/getty/tty1"},

		{dhcp, props, "Get", []any{jf, "name"}, `reply "net/dhcp"`},
		{dhcp, props, "Get", []any{jf, "description"}, "reply \"leases\uFFFD\""},
		{dhcp, props, "Get", []any{jf, "start_on"}, `reply [["up", "IFACE=eth*"], ["started", "dbus"], ["/AND"]]`},
		{dhcp, props, "Get", []any{jf, "stop_on"}, `reply @aas []`},
		{dhcp, props, "Get", []any{jf, "emits"}, `reply ["lease"]`},
		{svc, props, "Get", []any{jf, "emits"}, `reply @as []`},
		{dhcp, props, "Get", []any{jf, "nothing"}, "error " + api.ErrUnknownProperty + " No such property on /jobs/net_2fdhcp: nothing"},
		{dhcp, props, "Get", []any{m, "version"}, "error " + api.ErrUnknownInterface + " No such interface on /jobs/net_2fdhcp: " + m},
		{dhcp, props, "Set", []any{jf, "name", dbus.MakeVariant("x")}, "error " + api.ErrPropertyReadOnly + " Property is read-only: name"},
		{api.JobPath("zz"), jf, "GetAllInstances", nil, "error " + api.ErrUnknownMethod + " No such object: /jobs/zz"},
		{api.JobPath("zz"), props, "GetAll", []any{jf}, "error " + api.ErrUnknownMethod + " No such object: /jobs/zz"},
		{api.JobsPath + "/a_2Fb", "", "Ping", nil, "error " + api.ErrUnknownMethod + " No such object: /jobs/a_2Fb"},
		{svc + "/_/x", "", "Ping", nil, "error " + api.ErrUnknownMethod + " No such object: /jobs/svc/_/x"},

		{mgr, props, "Get", []any{m, "version"}, `reply "session-init TEST"`},
		{mgr, props, "Set", []any{m, "version", dbus.MakeVariant("2")}, "error " + api.ErrPropertyReadOnly + " Property is read-only: version"},
		{mgr, props, "Get", []any{m, "log_priority"}, `reply "message"`},
		{mgr, props, "Set", []any{m, "log_priority", dbus.MakeVariant("debug")}, "reply"},
		{mgr, props, "Get", []any{m, "log_priority"}, `reply "debug"`},
		{mgr, props, "Set", []any{m, "log_priority", dbus.MakeVariant("loud")}, invalid + ` cannot set log priority "loud": no such word`},
		{mgr, props, "Set", []any{m, "log_priority", dbus.MakeVariant(int32(3))}, invalid + " cannot set log_priority: its type is s, not i"},
		{mgr, props, "Set", []any{m, "log_priority", dbus.MakeVariant("panic")},
			"error " + api.ErrFailed + " cannot handle Set: internal fault: a fault of the test"},
		{mgr, props, "GetAll", []any{props}, "reply map[]"},

		{mgr, m, "ListEnv", []any{none}, "reply [PATH=/bin LANG=C]"},
		{mgr, m, "SetEnv", []any{none, "A=1", true}, "reply"},
		{mgr, m, "SetEnvList", []any{none, []string{"A=2", "B=3"}, false}, "reply"},
		{mgr, m, "GetEnv", []any{none, "A"}, "reply 1"},
		{mgr, m, "GetEnv", []any{none, "B"}, "reply 3"},
		{mgr, m, "UnsetEnv", []any{none, "A"}, "reply"},
		{mgr, m, "GetEnv", []any{none, "A"}, invalid + " No such variable: A"},
		{mgr, m, "UnsetEnvList", []any{none, []string{"B", "LANG"}}, "reply"},
		{mgr, m, "ListEnv", []any{none}, "reply [PATH=/bin]"},
		{mgr, m, "ResetEnv", []any{none}, "reply"},
		{mgr, m, "ListEnv", []any{none}, "reply [PATH=/bin LANG=C]"},
		{mgr, m, "SetEnv", []any{[]string{"getty", "tty2"}, "X=y", true}, "reply"},
		{mgr, m, "GetEnv", []any{[]string{"getty", "tty2"}, "X"}, "reply y"},
		{mgr, m, "GetEnv", []any{none, "X"}, invalid + " No such variable: X"},
		{mgr, m, "GetEnv", []any{[]string{"nope"}, "X"}, "error " + api.ErrUnknownJob + " Unknown job: nope"},
		{mgr, m, "ListEnv", []any{[]string{"nope", "x"}}, "error " + api.ErrUnknownJob + " Unknown job: nope"},
		{mgr, m, "SetEnv", []any{[]string{""}, "X=y", true}, "error " + api.ErrUnknownJob + " Unknown job:"},
		{mgr, m, "ListEnv", []any{[]string{"a", "b", "c"}}, invalid + " job_details holds a job and an instance, not 3 words"},

		{mgr, m, "EmitEvent", []any{"go", []string{"A=b"}, true}, "reply"},
		{mgr, m, "EmitEvent", []any{"", none, true}, invalid + " *"},
		{mgr, m, "GetState", nil, `reply {"sessions":[],*`},
		{mgr, m, "Restart", nil, "reply"},
		{mgr, m, "NotifyDiskWriteable", nil, "reply"},
		{mgr, m, "NotifyDBusAddress", []any{"unix:path=/x"}, "error " + api.ErrNotSupported + " cannot join a bus: *"},
		{mgr, m, "NotifyCGroupManagerAddress", []any{"x"}, "reply"},
	} {
		got := story(p.call(test.path, test.iface, test.member, test.args...))
		start, open := strings.CutSuffix(test.want, "*")
		if got != test.want && !(open && strings.HasPrefix(got, start)) {
			t.Errorf("%s %s%v = %q; want %q", test.path, test.member, test.args, got, test.want)
		}
	}
	all := p.mustCall(svc, props, "GetAll", "")[0].(map[string]dbus.Variant)
	if len(all) != 13 || all["name"].Value() != "svc" {
		t.Errorf("GetAll of a job = %v", all)
	}
	info := p.mustCall(api.InstancePath("getty", "tty2"), props, "Get", inf, "processes")[0].(dbus.Variant)
	list, ok := info.Value().([][]any)
	if !ok || info.Signature().String() != "a(si)" || len(list) != 1 || list[0][0] != "main" || list[0][1].(int32) <= 1000 {
		t.Errorf("processes = %v", info)
	}
}

// Strings that are no UTF-8, and such with a NUL byte, can be put on the wire
// although they must not.
func TestStringsOfAnyBytes(t *testing.T) {
	_, s := serve(t)
	p := connect(t, s)
	for _, test := range []struct{ value, want string }{
		{"A=\xffb", "reply"},
		{"A=a\x00b", "error " + api.ErrInvalidArgs + " cannot call SetEnv: a string holds a NUL byte"},
	} {
		placeholder := "A=" + strings.Repeat("?", len(test.value)-2)
		message := encodeCall(t, 9, api.ManagerPath, "", "SetEnv", []string{}, placeholder, true)
		message = bytes.Replace(message, []byte(placeholder), []byte(test.value), 1)
		p.write(message)
		if got := story(p.receive()); got != test.want {
			t.Errorf("SetEnv(%q) = %q; want %q", test.value, got, test.want)
		}
	}
	if got := story(p.call(api.ManagerPath, "", "GetEnv", []string{}, "A")); got != "reply \uFFFDb" {
		t.Errorf("GetEnv(A) = %q; want the bad byte replaced", got)
	}
}

func TestErrorNames(t *testing.T) {
	seen := map[string]engine.ErrorKind{}
	for kind := engine.InvalidArgs; kind <= engine.EventFailed; kind++ {
		name := errorName(kind)
		if other, twice := seen[name]; twice || name == api.ErrFailed {
			t.Errorf("errorName(%d) = %s, as for %d", kind, name, other)
		}
		seen[name] = kind
	}
	if got := errorName(200); got != api.ErrFailed {
		t.Errorf("errorName(200) = %s; want %s", got, api.ErrFailed)
	}
}

// What introspection says is what stands in share, and every entry of the
// table is complete.
func TestIntrospection(t *testing.T) {
	l, s := serve(t, testClasses(t)...)
	p := connect(t, s)
	p.mustCall(api.JobPath("getty"), "", "Start", []string{"TTY=tty 1"}, true)
	for _, test := range []struct {
		path       string
		interfaces []string
		children   []string
	}{
		{"/", nil, []string{"com"}},
		{"/com", nil, []string{"ubuntu"}},
		{"/com/ubuntu", nil, []string{"Upstart"}},
		{api.ManagerPath, []string{api.ManagerInterface, api.ManagerExtension}, []string{"jobs"}},
		{api.JobsPath, nil, []string{"getty", "net_2fdhcp", "svc"}},
		{api.JobPath("getty"), []string{api.JobInterface, api.JobExtension}, []string{"tty_201"}},
		{api.InstancePath("getty", "tty 1"), []string{api.InstanceInterface, api.InstanceExtension}, nil},
	} {
		xml := p.mustCall(test.path, api.IntrospectableInterface, "Introspect")[0].(string)
		interfaces := append(slices.Clone(test.interfaces), api.PropertiesInterface, api.IntrospectableInterface, api.PeerInterface)
		if got := attributes(xml, "interface"); !slices.Equal(got, interfaces) {
			t.Errorf("Introspect(%s): interfaces = %q; want %q", test.path, got, interfaces)
		}
		if got := attributes(xml, "node"); !slices.Equal(got, test.children) {
			t.Errorf("Introspect(%s): children = %q; want %q", test.path, got, test.children)
		}
		for _, name := range test.interfaces {
			file := filepath.Join("..", "..", "share", "dbus-1", "interfaces", name+".xml")
			if *update {
				writeInterface(t, s, name, file)
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			body := strings.TrimSuffix(strings.TrimPrefix(string(text), xmlHead), "</node>\n")
			if !strings.HasPrefix(string(text), xmlHead) || !strings.Contains(xml, body) {
				t.Errorf("%s differs from what the table gives:\n%s", file, xml)
			}
		}
	}
	l.do(func() {})
	for kind, faces := range s.objects {
		for _, face := range faces {
			for _, m := range face.methods {
				if m.run == nil || m.name == "" {
					t.Errorf("kind %d, %s: %q has no handler", kind, face.name, m.name)
				}
				checkSignature(t, face.name+"."+m.name, signature(m.in)+signature(m.out))
			}
			for _, sig := range face.signals {
				checkSignature(t, face.name+"."+sig.name, signature(sig.args))
			}
			for _, prop := range face.properties {
				checkSignature(t, face.name+"."+prop.name, prop.sig)
			}
		}
	}
}

func checkSignature(t *testing.T, what, sig string) {
	t.Helper()
	if _, err := dbus.ParseSignature(sig); err != nil {
		t.Errorf("%s: signature %q: %v", what, sig, err)
	}
}

var update = flag.Bool("update", false, "write the interfaces to share/dbus-1")

// writeInterface writes what the table says of an interface.
func writeInterface(t *testing.T, s *Server, name, file string) {
	t.Helper()
	for _, faces := range s.objects {
		for _, face := range faces {
			if face.name != name {
				continue
			}
			if err := os.WriteFile(file, []byte(nodeXML([]*iface{face}, nil)), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// attributes gives the names of all elements of a kind that have one.
func attributes(xml, element string) []string {
	var out []string
	for rest := xml; ; {
		_, after, found := strings.Cut(rest, "<"+element+" name=\"")
		if !found {
			return out
		}
		name, next, _ := strings.Cut(after, "\"")
		out, rest = append(out, name), next
	}
}

func TestMachineID(t *testing.T) {
	dir := t.TempDir()
	const id = "0123456789abcdef0123456789abcdef"
	good, bad, none := filepath.Join(dir, "good"), filepath.Join(dir, "bad"), filepath.Join(dir, "none")
	for file, text := range map[string]string{good: id + "\n", bad: "uninitialized\n"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		files []string
		want  string
	}{
		{[]string{good, none}, id},
		{[]string{none, good}, id},
		{[]string{bad, good}, id},
		{[]string{bad, none}, "error"},
		{[]string{none}, "error"},
	} {
		got, err := machineID(test.files...)
		if err != nil {
			got = "error"
		}
		if got != test.want {
			t.Errorf("machineID(%q) = %q, %v; want %q", test.files, got, err, test.want)
		}
	}
}

// Whatever bytes come: no panic, and what decodes is answered once or not at
// all, with a message that decodes again.
func FuzzDispatch(f *testing.F) {
	f.Add(encodeCall(f, 1, api.ManagerPath, api.ManagerInterface, "GetAllJobs"))
	f.Add(encodeCall(f, 2, api.ManagerPath, "", "EmitEvent", "go", []string{"A=b"}, true))
	f.Add(encodeCall(f, 3, api.JobPath("svc"), "", "Start", []string{"A=b"}, false))
	f.Add(encodeCall(f, 4, api.InstancePath("svc", ""), api.InstanceInterface, "Stop", true))
	f.Add(encodeCall(f, 5, "/", api.PropertiesInterface, "Set", "a", "b", dbus.MakeVariant([]string{"x"})))
	f.Add(encodeCall(f, 6, api.JobPath("svc"), "", "Introspect"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < wire.FixedHeader {
			return
		}
		size, err := frameSize(data, maxMessage)
		if err != nil || size > len(data) {
			return
		}
		message, err := decode(data[:size], 0)
		if err != nil || message.Kind != wire.MethodCall {
			return
		}
		b := &direct{engine: engine.New(engine.Config{})}
		b.engine.Step(0, engine.SetClass{Class: service("svc")})
		s := &Server{
			backend: b, objects: objects(), waiting: map[engine.CallID]waiting{},
			limits: limits{outbox: outboxLimit, calls: 10}, log: slog.New(slog.DiscardHandler),
		}
		b.server = s
		c := newConn(s, nil, 1)
		s.conns, c.ready = []*conn{c}, true
		s.ready.Store(1)
		s.listen(c)
		s.handle(c, message, nil)
		answers := 0
		for _, out := range c.out.queue {
			msg, err := dbus.DecodeMessage(bytes.NewReader(out))
			if err != nil {
				t.Fatalf("answer %q: %v", out, err)
			}
			if replyTo(msg) != 0 {
				answers++
				if replyTo(msg) != message.Serial {
					t.Fatalf("answer to %d; want %d", replyTo(msg), message.Serial)
				}
			}
		}
		quiet := message.Flags&wire.NoReplyExpected != 0
		if want := 1; quiet && answers != 0 || !quiet && answers+len(s.waiting) != want {
			t.Fatalf("answers = %d, waiting = %d; no reply expected %v", answers, len(s.waiting), quiet)
		}
	})
}

// direct is a backend without a goroutine.
type direct struct {
	engine *engine.Engine
	server *Server
}

func (d *direct) Step(in engine.Input) {
	for _, effect := range d.engine.Step(0, in) {
		switch effect := effect.(type) {
		case engine.Reply:
			d.server.Reply(effect)
		case engine.Notify:
			d.server.Notify(effect)
		}
	}
}
func (d *direct) StepWithFile(fd int, in func(uint64) engine.Input, _ func(error)) {
	_ = unix.Close(fd)
	d.Step(in(1))
}

func (d *direct) Read(f func(engine.View)) { f(d.engine.View()) }
func (d *direct) Restart()                 {}

func (d *direct) ConfDirs() []string          { return nil }
func (d *direct) Lint([]*job.Class) []Finding { return nil }

func (d *direct) LogPath(*job.Class, string) string { return "" }

func (d *direct) Stored(string, string) []string { return nil }

func (d *direct) Waiting(string) map[string]int { return nil }

func (d *direct) Reload(done func())                               { done() }
func (d *direct) Processes(_, _ string, done func([]engine.Stray)) { done(nil) }
func (d *direct) Simulate(_ foresee.Question, _ func() bool, done func(foresee.Foresight, error)) {
	done(foresee.Foresight{}, nil)
}
func (d *direct) LogPriority() string           { return "info" }
func (d *direct) SetLogPriority(s string) error { return fmt.Errorf("cannot set %q", s) }

// A frame's size is found without trusting it.
func TestFrameSize(t *testing.T) {
	head := func(order binary.ByteOrder, mark byte, body, fields uint32) []byte {
		out := make([]byte, wire.FixedHeader)
		out[0], out[3] = mark, 1
		order.PutUint32(out[4:], body)
		order.PutUint32(out[12:], fields)
		return out
	}
	for _, test := range []struct {
		head []byte
		want int // -1: refused
	}{
		{head(binary.LittleEndian, 'l', 0, 0), 16},
		{head(binary.LittleEndian, 'l', 5, 1), 16 + 8 + 5},
		{head(binary.BigEndian, 'B', 5, 8), 16 + 8 + 5},
		{head(binary.LittleEndian, 'l', maxMessage-16, 0), maxMessage},
		{head(binary.LittleEndian, 'l', maxMessage-15, 0), -1},
		{head(binary.LittleEndian, 'l', 0xffffffff, 0xffffffff), -1},
		{head(binary.LittleEndian, 'x', 0, 0), -1},
	} {
		got, err := frameSize(test.head, maxMessage)
		if err != nil {
			got = -1
		}
		if got != test.want {
			t.Errorf("frameSize(%v) = %d, %v; want %d", test.head, got, err, test.want)
		}
	}
}

// A fault of ours costs the call, not the daemon; it counts on whichever
// goroutine it comes.
func TestFaultInHandler(t *testing.T) {
	faulty := func(run func(*call)) func(*Server) {
		return func(s *Server) {
			face := &iface{name: "test.Fault", methods: []method{{"Fail", nil, nil, run}}}
			s.objects[managerObject] = append(s.objects[managerObject], face)
		}
	}
	for name, run := range map[string]func(*call){
		"reader": func(*call) { panic("here") },
		"engine": func(c *call) { c.read(func(engine.View) ([]any, *failure) { panic("here") }) },
		"input":  func(c *call) { c.step(false, func(engine.CallID) engine.Input { panic("here") }) },
	} {
		t.Run(name, func(t *testing.T) {
			_, s := serveWith(t, faulty(run))
			p := connect(t, s)
			got := story(p.call(api.ManagerPath, "test.Fault", "Fail"))
			want := "error " + api.ErrFailed + " cannot handle Fail: internal fault: here"
			if got != want {
				t.Errorf("Fail = %q; want %q", got, want)
			}
			p.mustCall("/", "", "Ping")
			s.mu.Lock()
			defer s.mu.Unlock()
			if len(s.waiting) != 0 {
				t.Errorf("calls that wait = %d; want 0", len(s.waiting))
			}
		})
	}
}
