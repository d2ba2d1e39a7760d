package bus

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/engine"
)

// expr makes a condition of one event.
func expr(t *testing.T, words ...string) *events.Expr {
	t.Helper()
	return &events.Expr{Nodes: []events.Node{operand(t, words...)}}
}

func TestExamine(t *testing.T) {
	l, s := serve(t, service("svc"))
	l.do(func() {
		l.apply(engine.Start{Target: engine.Target{Class: "svc"}})
		l.logDir = t.TempDir()
		l.strays = []engine.Stray{{Pid: os.Getpid(), Command: "we \xff"}, {Pid: 1 << 30, Command: "gone"}}
	})
	p := connect(t, s)
	log := filepath.Join(l.logDir, "svc-.log")
	path, gone := api.InstancePath("svc", ""), api.InstancePath("svc", "x")
	face := api.InstanceExtension
	noObject := "error " + api.ErrUnknownMethod + " No such object: /jobs/svc/x"
	for _, test := range []struct {
		path, face, member string
		args               []any
		want               string
		before             func()
	}{
		{path, face, "GetProcessTree", nil, "reply [[" + strconv.Itoa(os.Getpid()) + " " + strconv.Itoa(os.Getppid()) + " we ?]]", nil},
		{gone, face, "GetProcessTree", nil, noObject, nil},
		{path, face, "GetLog", nil, "reply " + log + " 0", nil},
		{path, face, "GetLog", nil, "reply " + log + " 5", func() {
			if err := os.WriteFile(log, []byte("hello"), 0o600); err != nil {
				t.Fatal(err)
			}
		}},
		{gone, face, "GetLog", nil, noObject, nil},
		{api.ManagerPath, api.ManagerExtension, "Lint", nil, "reply [[svc never-starts /etc/jobs/svc.conf 3 7 it does not start]]", nil},
		{api.ManagerPath, api.PropertiesInterface, "Get", []any{api.ManagerExtension, "api_version"}, "reply @u 1", nil},
	} {
		if test.before != nil {
			test.before()
		}
		if got := story(p.call(test.path, test.face, test.member, test.args...)); got != test.want {
			t.Errorf("%s %s = %q; want %q", test.path, test.member, got, test.want)
		}
	}
}

// Job files that do not answer hold up neither others nor the end.
func TestLintThatHangs(t *testing.T) {
	l, s := serve(t, service("svc"))
	release := make(chan struct{})
	t.Cleanup(func() {
		close(release)
		eventually(t, "the look at the jobs to end", func() bool { return !s.linting.Load() })
	})
	l.do(func() { l.hang = release })
	p, other := connect(t, s), connect(t, s)
	p.send(api.ManagerPath, api.ManagerExtension, "Lint")
	eventually(t, "the jobs to be looked at", s.linting.Load)
	want := "error " + api.ErrLimitsExceeded + " the job files are being looked at already"
	if got := story(other.call(api.ManagerPath, api.ManagerExtension, "Lint")); got != want {
		t.Errorf("Lint = %q; want %q", got, want)
	}
	other.mustCall("/", "", "Ping")
	s.Close(patience)
}

// A client that goes while its question is looked into leaves nothing behind;
// serve looks at that.
func TestExamineVanished(t *testing.T) {
	l, s := serve(t, service("svc"))
	p, q := connect(t, s), connect(t, s)
	l.hold(true)
	p.send(api.ManagerPath, api.ManagerInterface, "GetState")
	q.send(api.ManagerPath, api.ManagerExtension, "Lint")
	_ = p.conn.Close()
	_ = q.conn.Close()
	l.hold(false)
	eventually(t, "the clients to be gone", func() bool { return s.Connections() == 0 })
}
