package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/session-init/session-init/session/api"
)

// monitored runs monitor and waits until it sees what happens.
func (w *world) monitored(t *testing.T, args ...string) (next func() string) {
	t.Helper()
	out, in := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		var stderr bytes.Buffer
		run(append([]string{"sctl", "monitor"}, args...), []string{"UPSTART_SESSION=" + w.server.Address()}, in, &stderr)
		in.CloseWithError(fmt.Errorf("it has ended: %s", stderr.String()))
	}()
	// It ends when it cannot write. One that was too slow for the daemon, on a
	// busy machine, connects anew, and what comes meanwhile it does not see.
	t.Cleanup(func() {
		out.Close()
		again(t, "monitor to end", func() bool {
			w.sctl(nil, "sctl", "emit", "probe")
			select {
			case <-done:
				return true
			default:
				return false
			}
		})
	})
	lines := bufio.NewReader(out)
	found := make(chan error, 1)
	first := "" // the reader's, until it has found it
	go func() {
		var err error
		first, err = lines.ReadString('\n')
		found <- err
	}()
	again(t, "monitor to show something", func() bool {
		w.sctl(nil, "sctl", "emit", "probe", "FIRST=1")
		select {
		case err := <-found:
			if err != nil {
				t.Fatal(err)
			}
			return true
		default:
			return false
		}
	})
	w.sctl(nil, "sctl", "emit", "probe", "LAST=1")
	next = func() string {
		t.Helper()
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSuffix(line, "\n")
	}
	for line := first; !strings.Contains(line, "LAST=1"); {
		line = next()
	}
	return next
}

func TestMonitor(t *testing.T) {
	w := newWorld(t, "svc", "exec x", "bad", "exec missing")
	next := w.monitored(t)
	w.play(t, []step{{"sctl -q start svc", 0, "", ""}, {"sctl start bad", 1, "", "start: *"}, {"sctl emit go A= B=x\"y", 0, "", ""}})
	for _, want := range []string{
		"goal  svc start", "state svc starting", "event starting JOB=svc INSTANCE=", "state svc pre-start", "state svc spawned",
		"state svc post-start", "state svc running", "event started JOB=svc INSTANCE=",
		"goal  bad start", "state bad starting", "event starting JOB=bad INSTANCE=", "state bad pre-start", "state bad spawned",
	} {
		line := next()
		at, got, _ := strings.Cut(line, " ")
		if got != want || len(at) != len("15:04:05.000") {
			t.Errorf("monitor shows %q; want a time and %q", line, want)
		}
	}
	failed := false
	for line := next(); !strings.HasSuffix(line, ` event go A= B="x\"y"`); line = next() {
		failed = failed || strings.HasSuffix(line, " failed bad")
	}
	if !failed {
		t.Errorf("monitor does not show that bad has failed")
	}
}

func TestMonitorFilters(t *testing.T) {
	w := newWorld(t, "svc", "exec x", "other", "exec x")
	next := w.monitored(t, "--json", "s*", "probe")
	w.play(t, []step{{"sctl -q start other", 0, "", ""}, {"sctl -q start svc", 0, "", ""}, {"sctl emit go", 0, "", ""}, {"sctl emit probe", 0, "", ""}})
	var got []string
	for {
		line := next()
		fits(t, "monitor --json", "monitor", line)
		if strings.Contains(line, `"event":"probe"`) {
			break
		}
		_, kind, _ := strings.Cut(line, `"kind":"`)
		kind, _, _ = strings.Cut(kind, `"`)
		got = append(got, kind)
		if strings.Contains(line, "other") && kind != "event" {
			t.Errorf("monitor s* shows %s", line)
		}
	}
	// The events of other begin with s, too.
	want := []string{"event", "event", "instance-added", "goal", "state", "event", "state", "state", "state", "state", "event"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("monitor s* shows %q; want %q", got, want)
	}
}

func TestWanted(t *testing.T) {
	svc, empty := "svc", ""
	event := monitorLine{Kind: "event", Event: "started", Env: []string{"JOB=svc"}}
	state := monitorLine{Kind: "state", Job: &svc, Instance: &empty, State: "running"}
	for _, test := range []struct {
		options  options
		patterns string
		line     monitorLine
		want     bool
	}{
		{options{}, "", event, true}, {options{}, "", state, true},
		{options{events: true}, "", event, true}, {options{events: true}, "", state, false},
		{options{states: true}, "", event, false}, {options{states: true}, "", state, true},
		{options{states: true, events: true}, "", event, true}, {options{states: true, events: true}, "", monitorLine{Kind: "job-added", Job: &svc}, false},
		{options{}, "svc", event, true}, {options{}, "svc", state, true}, {options{}, "sv", state, false},
		{options{}, "x start*", event, true}, {options{}, "started", state, false}, {options{}, "*", monitorLine{Kind: "event"}, false},
	} {
		c := &command{options: test.options, args: strings.Fields(test.patterns)}
		if got := c.wanted(test.line); got != test.want {
			t.Errorf("wanted(%+v) with %+v, %q = %v; want %v", test.line, test.options, test.patterns, got, test.want)
		}
	}
}

func TestReadSignalRefuses(t *testing.T) {
	for _, s := range []api.Signal{
		{Interface: api.ManagerInterface, Member: "Restarted"},
		{Interface: api.ManagerInterface, Member: "EventEmitted", Body: []any{"x"}},
		{Interface: api.ManagerInterface, Member: "EventEmitted", Body: []any{"x", 1}},
		{Interface: api.ManagerInterface, Member: "JobAdded"},
		{Interface: api.ManagerInterface, Member: "JobAdded", Body: []any{int32(1)}},
		{Interface: api.InstanceInterface, Member: "StateChanged", Path: "/", Body: []any{"running"}},
		{Interface: "other", Member: "StateChanged", Path: api.InstancePath("a", ""), Body: []any{"running"}},
	} {
		if line, ok := readSignal(s); ok {
			t.Errorf("readSignal(%+v) = %+v; want none", s, line)
		}
	}
}

// again tries something until it succeeds, for a time that is generous on a busy
// machine.
func again(t *testing.T, what string, try func() bool) {
	t.Helper()
	for late := time.Now().Add(3 * time.Minute); !try(); {
		if time.Now().After(late) {
			t.Fatalf("in vain waited for %s", what)
		}
	}
}

// waiting runs wait until it is done, and does what is asked for meanwhile,
// again and again: an event that comes before it listens is none.
func (w *world) waiting(t *testing.T, line string, meanwhile ...string) (got result) {
	t.Helper()
	done := make(chan result, 1)
	go func() { done <- w.sctl(nil, strings.Fields(line)...) }()
	if len(meanwhile) == 0 {
		return <-done // it has a --timeout of its own
	}
	again(t, line, func() bool {
		for _, other := range meanwhile {
			w.sctl(nil, strings.Fields(other)...)
		}
		select {
		case got = <-done:
			return true
		default:
			return false
		}
	})
	return got
}

func TestWait(t *testing.T) {
	w := newWorld(t, "svc", "exec x", "getty", "instance $TTY\nexec x")
	usage := "usage: sctl wait [OPTION...] JOB|EVENT [STATE|EVENT] [KEY=VALUE...]\n"
	w.play(t, []step{
		{"sctl wait", 2, "", "wait: missing job or event name\n" + usage},
		{"sctl wait svc dancing", 2, "", "wait: 'dancing' is no state and no event of a job: these are waiting, starting, pre-start, spawned, " +
			"post-start, running, pre-stop, stopping, killed, post-stop, started, stopped\n" + usage},
		{"sctl wait svc running TTY", 2, "", "wait: 'TTY' is not KEY=VALUE\n" + usage},
		{"sctl wait go A=1 B", 2, "", "wait: 'B' is not KEY=VALUE\n" + usage},
		{"sctl wait nope running", 1, "", "wait: cannot wait for 'nope': Unknown job\n"},
		{"sctl wait getty running X=1", 1, "", "wait: cannot wait for 'getty': Unknown parameter: TTY\n"},
		{"sctl wait svc waiting", 0, "svc waiting (stop)\n", ""},
		{"sctl wait --timeout=0.05 svc running", 4, "", "wait: timed out after 50ms of waiting for 'svc' to be running\n"},
		{"sctl wait --timeout=0.05 svc started", 4, "", "wait: timed out after 50ms of waiting for 'started' of 'svc'\n"},
		{"sctl wait --timeout=0.05 go", 4, "", "wait: timed out after 50ms of waiting for 'go'\n"},
		{"sctl -q start svc", 0, "", ""},
		{"sctl wait svc running", 0, "svc running (start), process 1001\n", ""},
		{"sctl wait -q svc running", 0, "", ""},
		{"sctl wait getty waiting TTY=tty1", 0, "getty (tty1) waiting (stop)\n", ""},
		{"sctl -q start getty TTY=tty2", 0, "", ""},
		{"sctl wait getty waiting TTY=tty1", 0, "getty (tty1) waiting (stop)\n", ""},
		{"sctl wait getty running TTY=tty2", 0, "getty (tty2) running (start), process 1002\n", ""},
		{"sctl wait --timeout=0.05 getty waiting", 4, "", "wait: timed out after 50ms of waiting for 'getty' to be waiting\n"},
		{"sctl wait --timeout=0.05 getty running TTY=tty1", 4, "", "wait: timed out after 50ms of waiting for 'getty' to be running\n"},
	})
	for _, test := range []struct{ line, meanwhile, want string }{
		{"sctl wait getty waiting", "sctl stop getty TTY=tty2", "getty waiting (stop)\n"},
		{"sctl wait svc waiting", "sctl stop svc", "svc waiting (stop)\n"},
		{"sctl wait go A=1 C=x*", "sctl emit go B=2 A=1 C=xyz", "go B=2 A=1 C=xyz\n"},
		{"sctl wait getty started TTY=tty9", "sctl start getty TTY=tty9|sctl stop getty TTY=tty9", "started JOB=getty INSTANCE=tty9\n"},
		{"sctl wait svc stopped", "sctl start svc|sctl stop svc", "stopped JOB=svc INSTANCE= RESULT=ok\n"},
	} {
		if got, want := w.waiting(t, test.line, strings.Split(test.meanwhile, "|")...), (result{0, test.want, ""}); got != want {
			t.Errorf("%s = %+v; want %+v", test.line, got, want)
		}
	}
	if got := w.waiting(t, "sctl wait svc pre-stop --timeout=0.05"); got.status != exitTimeout {
		t.Errorf("wait for a state that does not come = %+v; want exit status 4", got)
	}
	if got := w.waiting(t, "sctl wait svc running", "sctl start svc"); got.status != 0 || !strings.HasPrefix(got.out, "svc running (start)") {
		t.Errorf("wait svc running = %+v", got)
	}
}
