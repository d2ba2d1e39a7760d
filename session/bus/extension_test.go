package bus

import (
	"fmt"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
)

// asks is a question as a client sends it.
type asks struct {
	Verb, Name string
	Env        []string
	Text       string
}

func TestSimulate(t *testing.T) {
	after := service("after", func(c *job.Class) {
		start, problems := job.Parse("after", "after.conf", []byte("start on started svc\n"))
		if start == nil {
			t.Fatal(problems)
		}
		c.StartOn = start.StartOn
	})
	l, s := serve(t, service("svc"), after)
	p := connect(t, s)
	simulate := func(assume []string, max uint32, questions ...asks) *dbus.Message {
		return p.call(api.ManagerPath, api.ManagerExtension, "Simulate", questions, assume, max)
	}
	answer := simulate(nil, 0, asks{"start", "svc", []string{"A=1"}, ""})
	if answer.Type != dbus.TypeMethodReply {
		t.Fatalf("Simulate(start svc) = %s", story(answer))
	}
	var told []string
	for _, value := range answer.Body[0].([][]any) {
		told = append(told, strings.TrimSuffix(fmt.Sprintln(value[1:]...), "\n"))
	}
	want := []string{"asked    start [svc A=1] -1", "goal svc   start [] 0", "state svc   starting [] 1"}
	for i, line := range want {
		if i >= len(told) || told[i] != line {
			t.Errorf("line %d of Simulate(start svc) = %q; want %q", i, told[min(i, len(told)-1)], line)
		}
	}
	all := strings.Join(told, "\n")
	for _, line := range []string{"process svc  main  [sleep 600]", "process after  main  [sleep 600]", "answer    ok []"} {
		if !strings.Contains(all, line) {
			t.Errorf("Simulate(start svc) does not tell %q:\n%s", line, all)
		}
	}
	if assumed := answer.Body[1].([]string); len(assumed) != 2 || answer.Body[2] != true {
		t.Errorf("Simulate(start svc): assumed %q, complete %v; want two sentences, true", assumed, answer.Body[2])
	}
	l.do(func() {
		if n := len(l.engine.View().Instances("svc")); n != 0 {
			t.Errorf("after Simulate(start svc) there are %d instances of svc; want 0", n)
		}
	})

	answer = simulate([]string{"svc main missing"}, 0, asks{"start", "svc", nil, ""})
	if got := story(answer); !strings.Contains(got, "Job failed to start") {
		t.Errorf("Simulate with svc missing = %s; want that it fails", got)
	}
	answer = simulate(nil, 0, asks{"define", "new\xc3\xa9", nil, "start on go\nexec /bin/new"}, asks{"emit", "go", nil, ""})
	if got := story(answer); !strings.Contains(got, "/bin/new") {
		t.Errorf("Simulate(define, emit) = %s; want that /bin/new is started", got)
	}
	answer = simulate(nil, 3, asks{"start", "svc", nil, ""})
	if got := answer.Body; len(got[0].([][]any)) != 3 || got[2] != false {
		t.Errorf("Simulate in 3 lines = %d lines, complete %v; want 3, false", len(got[0].([][]any)), got[2])
	}
	for _, test := range []struct {
		assume string
		max    uint32
		q      asks
		want   string
	}{
		{"", 0, asks{"dance", "svc", nil, ""}, "cannot simulate 'dance': it is not emit, start, stop, force-stop, restart, define or remove"},
		{"", 0, asks{"define", "svc", nil, "exec"}, "cannot simulate job svc: svc.conf:1:"},
		{"svc fails", 0, asks{"start", "svc", nil, ""}, "cannot assume 'svc fails': it is not JOB PROCESS fails|"},
		{"", 1 << 30, asks{"start", "svc", nil, ""}, "cannot simulate 1073741824 lines: 100000 is the most"},
	} {
		var assume []string
		if test.assume != "" {
			assume = []string{test.assume}
		}
		got := story(simulate(assume, test.max, test.q))
		if !strings.HasPrefix(got, "error "+api.ErrInvalidArgs+" "+test.want) {
			t.Errorf("Simulate(%v, %q, %d) = %q; want %q", test.q, assume, test.max, got, test.want)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) != 0 {
		t.Errorf("calls that wait after all answers = %d; want 0", len(s.waiting))
	}
}

func TestGetDefinition(t *testing.T) {
	foo := service("foo", func(c *job.Class) { c.Path, c.Override, c.Chdir = "/x/foo.conf", "/x/foo.override", "/\xff" })
	l, s := serve(t, foo)
	p := connect(t, s)
	path := api.JobPath("foo")
	ask := func() string {
		answer := p.call(path, api.JobExtension, "GetDefinition")
		if answer.Type != dbus.TypeMethodReply {
			return story(answer)
		}
		return fmt.Sprintf("%s %s %q %v", answer.Body[0], answer.Body[1], answer.Body[2], answer.Body[3])
	}
	want := `/x/foo.conf /x/foo.override "chdir /\xff\nexec sleep 600\n" false`
	if got := ask(); got != want {
		t.Errorf("GetDefinition = %s; want %s", got, want)
	}
	if answer := p.call(path, api.JobInterface, "Start", []string{}, false); answer.Type != dbus.TypeMethodReply {
		t.Fatal(story(answer))
	}
	for _, in := range []engine.Input{engine.SetClass{Class: service("foo")}, engine.DropClass{Name: "foo"}} {
		l.Step(in)
		if got, want := ask(), strings.TrimSuffix(want, "false")+"true"; got != want {
			t.Errorf("GetDefinition while another one waits = %s; want %s", got, want)
		}
	}
	if got, want := fmt.Sprint(story(p.call(api.JobPath("nope"), api.JobExtension, "GetDefinition"))), "error "+api.ErrUnknownMethod+" No such object: /jobs/nope"; got != want {
		t.Errorf("GetDefinition of no job = %s; want %s", got, want)
	}
}
