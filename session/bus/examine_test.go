package bus

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
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

// A log on a disk that does not answer holds up neither others nor the end, and no
// client can have us hang as often as it likes.
func TestLogThatHangs(t *testing.T) {
	release := make(chan struct{})
	l, s := serveWith(t, func(s *Server) {
		s.sizeOf = func(string) (int64, error) { <-release; return 5, nil }
	}, service("svc"))
	t.Cleanup(func() {
		close(release)
		eventually(t, "the looks to end", func() bool { return s.hanging.Load() == 0 })
	})
	l.do(func() { l.apply(engine.Start{Target: engine.Target{Class: "svc"}}) })
	path := api.InstancePath("svc", "")
	for i := range int32(maxHanging) {
		p := connect(t, s)
		p.send(path, api.InstanceExtension, "GetLog")
		eventually(t, "a look at the log", func() bool { return s.hanging.Load() == i+1 })
		// That one client has gone does not end its look.
		if i%2 == 0 {
			_ = p.conn.Close()
		}
	}
	other := connect(t, s)
	want := "error " + api.ErrLimitsExceeded + " too many files are looked at: 64"
	if got := story(other.call(path, api.InstanceExtension, "GetLog")); got != want {
		t.Errorf("GetLog = %q; want %q", got, want)
	}
	other.mustCall("/", "", "Ping")
	s.Close(patience)
}

// TestCloseLeavesHanging: a reader that hangs, as in the memory of a process, is
// named, and not waited for.
func TestCloseLeavesHanging(t *testing.T) {
	release, reading := make(chan struct{}), make(chan struct{})
	var log bytes.Buffer
	_, s := serveWith(t, func(s *Server) {
		s.log = slog.New(slog.NewTextHandler(&log, nil))
		s.fail = func(point string) {
			if point == "bus-reading" {
				close(reading)
				<-release
			}
		}
	})
	dial(t, s)
	<-reading
	s.Close(0)
	if want := fmt.Sprintf("clients=[%d]", os.Getpid()); !strings.Contains(log.String(), want) {
		t.Errorf("the log is %q; want %q in it", log.String(), want)
	}
	close(release)
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
