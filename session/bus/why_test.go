package bus

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
)

func parseJob(t *testing.T, name, text string) *job.Class {
	t.Helper()
	class, problems := job.Parse(name, "/jobs/"+name+".conf", []byte(text))
	if class == nil {
		t.Fatal(problems)
	}
	return class
}

// flatten gives a dictionary as lines "key: value", sorted, with the ways to
// what is inside others.
func flatten(prefix string, value any) []string {
	var out []string
	switch v := value.(type) {
	case map[string]dbus.Variant:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			out = append(out, flatten(prefix+"/"+key, v[key].Value())...)
		}
	case []map[string]dbus.Variant:
		for i, d := range v {
			out = append(out, flatten(fmt.Sprintf("%s[%d]", prefix, i), d)...)
		}
	default:
		out = append(out, fmt.Sprintf("%s: %v", prefix, v))
	}
	return out
}

func (p *peer) why(path, iface string) []string {
	p.t.Helper()
	return flatten("", p.mustCall(path, iface, "Why")[0])
}

func wantLines(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("%s lacks %q; it is\n%s", what, line, strings.Join(got, "\n"))
		}
	}
}

func TestWhy(t *testing.T) {
	l, s := serve(t,
		parseJob(t, "svc", "start on up and started dep JOB=x\nstop on down\nrespawn\nexec daemon\n"),
		parseJob(t, "dep", "start on starting svc\ntask\nexec daemon\n"))
	p := connect(t, s)
	p.send(api.ManagerPath, "", "EmitEvent", "up", []string{"BYTES=\xc3\xa9", "N=1"}, true)
	me := fmt.Sprintf("/operands[0]/last/pid: %d", os.Getpid())
	at := p.why(api.JobPath("svc"), api.JobExtension)
	wantLines(t, "Why of a job at rest", at,
		"/version: 1", "/job: svc", "/file: /jobs/svc.conf", "/now: 0", "/respawn: true", "/respawn_limit: 10", "/respawn_interval: 5000000",
		"/operands[0]/words: [up]", "/operands[0]/came: true", "/operands[0]/last/name: up", "/operands[0]/last/source: caller",
		"/operands[0]/last/env: [BYTES=é N=1]", me, fmt.Sprintf("/operands[0]/last/user: %d", os.Getuid()),
		"/operands[1]/words: [started dep JOB=x]", "/operands[1]/came: false",
		"/start_on: [[up] [started dep JOB=x] [/AND]]", "/stop_on: [[down]]")
	if slices.ContainsFunc(at, func(line string) bool { return strings.HasPrefix(line, "/instances") }) {
		t.Errorf("a job at rest has instances: %q", at)
	}
	if !slices.ContainsFunc(at, func(line string) bool { return strings.HasPrefix(line, "/operands[0]/last/command: ") }) {
		t.Errorf("the caller has no name: %q", at)
	}

	p.send(api.JobPath("svc"), "", "Start", []string{}, true)
	reaches := func(name, state string) {
		t.Helper()
		eventually(t, name+" to be "+state, func() bool {
			return slices.Contains(p.why(api.JobPath(name), api.JobExtension), "/instances[0]/state: "+state)
		})
	}
	reaches("dep", "running")
	for _, iface := range []string{api.JobExtension, api.InstanceExtension} {
		path := api.JobPath("svc")
		if iface == api.InstanceExtension {
			path = api.InstancePath("svc", "")
		}
		wantLines(t, "Why of "+path, p.why(path, iface),
			"/instances[0]/job: svc", "/instances[0]/instance: ", "/instances[0]/goal: start", "/instances[0]/state: starting",
			"/instances[0]/from/reason: caller", "/instances[0]/from/verb: start", fmt.Sprintf("/instances[0]/from/pid: %d", os.Getpid()),
			"/instances[0]/log: /log/svc-.log", "/instances[0]/waits[0]/for: event", "/instances[0]/waits[0]/event/name: starting",
			"/instances[0]/waits[0]/event/source: job", "/instances[0]/waits[0]/event/job: svc",
			"/instances[0]/waits[0]/held_by[0]/kind: instance", "/instances[0]/waits[0]/held_by[0]/job: dep",
			"/instances[0]/waits[0]/held_by[0]/state: running", "/instances[0]/awaited_by[0]/kind: caller",
			"/instances[0]/awaited_by[0]/verb: start", "/instances[0]/operands[0]/words: [down]",
			"/blocking[0]/job: dep", "/blocking[0]/from/reason: event", "/blocking[0]/from/events[0]/name: starting",
			"/blocking[0]/awaited_by[0]/job: svc")
	}

	// The task fails, by a signal; svc goes on.
	l.do(func() {
		for _, live := range l.engine.Live() {
			l.apply(engine.Exited{Proc: live.Proc, Signal: 11})
		}
	})
	wantLines(t, "Why of what has failed", p.why(api.JobPath("dep"), api.JobExtension),
		"/failure/kind: main", "/failure/process: main", "/failure/signal: SEGV", "/failure/sender: others", "/failure/number: 2816",
		"/failure/present: true", "/failure/reason: main process killed by SEGV signal", "/main_end/signal: SEGV", "/rest/reason: itself")
	reaches("svc", "running")

	msg := p.call(api.JobPath("nope"), api.JobExtension, "Why")
	if got := story(msg); !strings.Contains(got, "No such object") {
		t.Errorf("Why of no job = %s", got)
	}
}

func TestBlockedCycles(t *testing.T) {
	_, s := serve(t,
		parseJob(t, "a", "stop on starting b\nexec daemon\n"),
		parseJob(t, "b", "start on starting a\nexec daemon\n"))
	p := connect(t, s)
	get := func() any {
		return p.mustCall(api.ManagerPath, "", "Get", api.ManagerExtension, "blocked_cycles")[0].(dbus.Variant).Value()
	}
	if got := fmt.Sprint(get()); got != "[]" {
		t.Errorf("blocked_cycles = %s; want none", got)
	}
	p.send(api.JobPath("a"), "", "Start", []string{}, true)
	const cycle = "a waits for starting b, b waits for starting a"
	if got := fmt.Sprint(get()); got != "["+cycle+"]" {
		t.Errorf("blocked_cycles = %s; want %s", got, cycle)
	}
	wantLines(t, "Why of b", p.why(api.InstancePath("b", ""), api.InstanceExtension), "/cycles: ["+cycle+"]")
	p.mustCall(api.JobPath("a"), "", "Stop", []string{}, true)
	if got := fmt.Sprint(get()); got != "[]" {
		t.Errorf("after a stop blocked_cycles = %s; want none", got)
	}
}

func TestCaller(t *testing.T) {
	for _, test := range []struct {
		stat, command string
		parent        int
	}{
		{"12 (sctl) S 7 12", "sctl", 7},
		{"12 (a) b) (c) R 99 1", "a) b) (c", 99},
		{"12 () S 1", "", 1},
		{"", "", 0},
		{"12 )(", "", 0},
		{"12 (x)", "x", 0},
	} {
		if command, parent := parseStat([]byte(test.stat)); command != test.command || parent != test.parent {
			t.Errorf("parseStat(%q) = %q, %d; want %q, %d", test.stat, command, parent, test.command, test.parent)
		}
	}
	for _, test := range [][3]string{
		{"A=b\x00UPSTART_JOB=svc\x00UPSTART_INSTANCE=1\x00", "svc", "1"},
		{"UPSTART_JOB=svc\x00UPSTART_INSTANCE=", "svc", ""},
		{"MY_UPSTART_JOB=svc", "", ""},
		{"", "", ""},
	} {
		if job, instance := parseEnviron([]byte(test[0])); job != test[1] || instance != test[2] {
			t.Errorf("parseEnviron(%q) = %q, %q; want %q, %q", test[0], job, instance, test[1], test[2])
		}
	}
	if _, err := readSome("/proc/self/stat", 3); err == nil {
		t.Error("readSome of what is too long succeeds")
	}
}

// Who only looks is not looked at.
func TestCallerIsAskedOnce(t *testing.T) {
	l, s := serve(t, service("svc"))
	l.mu.Lock()
	l.keep = true
	l.mu.Unlock()
	p := connect(t, s)
	p.mustCall(api.ManagerPath, "", "GetAllJobs")
	s.mu.Lock()
	if got := s.conns[0].asker; got != nil {
		t.Errorf("the caller is known before it asks: %+v", got)
	}
	s.mu.Unlock()
	p.mustCall(api.JobPath("svc"), "", "Start", []string{}, true)
	p.mustCall(api.JobPath("svc"), "", "Stop", []string{}, true)
	l.mu.Lock()
	defer l.mu.Unlock()
	start, stop := l.inputs[len(l.inputs)-2].(engine.Start), l.inputs[len(l.inputs)-1].(engine.Stop)
	if start.By == nil || start.By != stop.By || start.By.Pid != os.Getpid() || start.By.Parent != os.Getppid() {
		t.Errorf("callers = %+v, %+v; want this process, once", start.By, stop.By)
	}
}
