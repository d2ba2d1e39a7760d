package bus

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
)

// until gives the stories of all that comes up to the answer of a call.
func (p *peer) until(serial uint32) []string {
	p.t.Helper()
	var out []string
	for {
		msg := p.receive()
		if replyTo(msg) == serial {
			return out
		}
		out = append(out, strings.ReplaceAll(story(msg), " com.ubuntu.Upstart0_6", " "))
	}
}

func changesOf(stories []string) (out []string) {
	for _, s := range stories {
		if rest, ok := strings.CutPrefix(s, "PropertiesChanged "); ok {
			out = append(out, rest)
		}
	}
	return out
}

// What a client that has read all properties is told, before the answers that
// the changes belong to. A client that has not is told nothing.
func TestPropertiesChanged(t *testing.T) {
	withHook := service("hooked", func(c *job.Class) { c.Processes[job.PreStart] = &job.Process{Text: "true"} })
	l, s := serve(t, service("svc"), withHook, service("unseen"))
	watcher, other := connect(t, s), connect(t, s)
	svc := api.JobPath("svc")
	if got := changesOf(watcher.until(watcher.send(svc, api.JobInterface, "Start", []string{}, true))); got != nil {
		t.Errorf("changes before anybody asked = %q; want none", got)
	}
	watcher.mustCall(svc+"/_", api.PropertiesInterface, "GetAll", api.InstanceInterface)
	watcher.mustCall(api.ManagerPath, api.PropertiesInterface, "GetAll", "")
	for _, test := range []struct {
		path, face, member string
		args               []any
		want               []string
	}{
		{svc, api.JobInterface, "Restart", []any{[]string{}, true}, []string{
			`/jobs/svc/_ .Instance map[goal:"start" state:"killed"] []`,
			`/jobs/svc/_ .Instance map[processes:@a(si) [] state:"spawned"] []`,
			`/jobs/svc/_ .Instance map[processes:[["main", 1002]] state:"running"] []`,
		}},
		{svc + "/_", api.InstanceInterface, "Stop", []any{true}, nil},
		{api.ManagerPath, api.PropertiesInterface, "Set", []any{api.ManagerInterface, "log_priority", dbus.MakeVariant("debug")},
			[]string{`  map[log_priority:"debug"] []`}},
		{api.ManagerPath, api.PropertiesInterface, "Set", []any{api.ManagerInterface, "log_priority", dbus.MakeVariant("loud")}, nil},
		{api.JobPath("unseen"), api.JobInterface, "Start", []any{[]string{}, true}, []string{}},
		{busPath, busName, "AddMatch", []any{"type='signal'"}, nil},
		{api.JobPath("hooked"), api.JobInterface, "Start", []any{[]string{}, false}, nil},
	} {
		got := changesOf(watcher.until(watcher.send(test.path, test.face, test.member, test.args...)))
		if test.want != nil && !slices.Equal(got, test.want) {
			t.Errorf("%s %s: changes =\n%s\nwant\n%s", test.path, test.member, strings.Join(got, "\n"), strings.Join(test.want, "\n"))
		}
	}
	// A hook's process comes without another state. Who has asked for all hears
	// of objects that it has not looked at.
	l.do(func() {})
	watcher.send(api.ManagerPath, api.PeerInterface, "Ping")
	if got := changesOf(watcher.until(watcher.serial)); !slices.ContainsFunc(got, func(s string) bool {
		return strings.Contains(s, `processes:[["pre-start", 1004]]`)
	}) {
		t.Errorf("changes of a job with a hook = %q; want its pre-start process", got)
	}
	all := other.until(other.send("/", api.PeerInterface, "Ping"))
	if got := changesOf(all); len(all) == 0 || got != nil {
		t.Errorf("a client that has not asked got %d signals, and changes %q; want signals and no changes", len(all), got)
	}
}

// A client that has gone is not told, and nothing is collected for nobody.
func TestWatchersGo(t *testing.T) {
	l, s := serve(t, service("svc"))
	p := connect(t, s)
	p.mustCall(busPath, busName, "AddMatch", "type='signal',interface='"+api.PropertiesInterface+"'")
	p.mustCall(busPath, busName, "AddMatch", "type='signal'")
	if got := s.watchers.Load(); got != 1 {
		t.Errorf("watchers = %d; want 1", got)
	}
	q := connect(t, s)
	l.do(func() { l.apply(engine.Start{Target: engine.Target{Class: "svc"}}) })
	q.mustCall(api.InstancePath("svc", ""), api.PropertiesInterface, "GetAll", "")
	q.mustCall(api.InstancePath("svc", ""), api.PropertiesInterface, "GetAll", "")
	q.mustCall(api.JobPath("svc"), api.PropertiesInterface, "GetAll", "")
	if got := s.watchers.Load(); got != 2 {
		t.Errorf("watchers = %d; want 2", got)
	}
	_ = q.conn.Close()
	_ = p.conn.Close()
	// Under the lock under which both are forgotten.
	eventually(t, "the watchers to be forgotten", func() bool { return s.Connections() == 0 })
	if got := s.watchers.Load(); got != 0 {
		t.Errorf("watchers = %d when all have gone; want 0", got)
	}
	l.do(func() {
		l.apply(engine.Stop{Target: engine.Target{Class: "svc"}})
		if len(s.watched.objects) != 0 || s.watched.all != 0 {
			t.Errorf("watched = %v with nobody there; want nothing", s.watched)
		}
		if len(s.changes.list) != 0 {
			t.Errorf("changes = %v with nobody to tell; want none", s.changes.list)
		}
	})
}

// A client that looks at very many objects is told of all of them, and costs no
// more memory.
func TestManyWatched(t *testing.T) {
	s := &Server{}
	c := &conn{ready: true}
	for i := range maxWatched + 10 {
		s.watch(c, &subject{"job", strconv.Itoa(i)}, engine.View{})
	}
	if len(c.watches.objects) != maxWatched || !c.watches.has(subject{"another", ""}) || s.watchers.Load() != 1 {
		t.Errorf("watched = %d, all %d, watchers = %d; want %d, 1, 1", len(c.watches.objects), c.watches.all, s.watchers.Load(), maxWatched)
	}
	s.unwatch(c)
	if len(s.watched.objects) != 0 || s.watched.all != 0 || s.watchers.Load() != 0 {
		t.Errorf("after the client has gone: %v, %d; want nothing", s.watched, s.watchers.Load())
	}
}

func TestAsksForChanges(t *testing.T) {
	for rule, want := range map[string]bool{
		"":              true,
		"type='signal'": true,
		"type='signal',path='/com/ubuntu/Upstart'":                                                      true,
		"type='signal',interface='org.freedesktop.DBus.Properties',member='PropertiesChanged',arg0='x'": true,
		"interface=org.freedesktop.DBus.Properties":                                                     true,
		"type='signal',interface='com.ubuntu.Upstart0_6'":                                               false,
		"type='signal', member='StateChanged'":                                                          false,
		"type='method_call'":                                                                            false,
	} {
		if got := asksForChanges(rule); got != want {
			t.Errorf("asksForChanges(%q) = %v; want %v", rule, got, want)
		}
	}
}

// The form that clients of Upstart look at, and all that we say in it.
func TestGetState(t *testing.T) {
	classes := []*job.Class{
		service("a", func(c *job.Class) { c.Path = "/home/jobs/a.conf" }),
		service("b", func(c *job.Class) {
			c.Path, c.Override = "/home/jobs/more/b.conf", "/etc/jobs/b.override"
			c.Description, c.Author, c.Version, c.Usage, c.Instance = "d", "me", "1", "X=", "$X"
			c.Emits, c.Env, c.Export, c.Respawn = []string{"e"}, []string{"V=1"}, []string{"V"}, true
			c.Processes[job.PreStart] = &job.Process{Script: true, Text: "one\ntwo\n"}
		}),
		service("c", func(c *job.Class) { c.Path = "/elsewhere/c.conf" }),
		// As "sctl run" makes it: it is in no file.
		service("d"),
	}
	l, s := serve(t, classes...)
	l.do(func() {
		l.manual = true
		l.apply(engine.Start{Target: engine.Target{Class: "b"}, Env: []string{"X=y z"}})
		l.apply(engine.Spawned{Proc: 1, Pid: 77})
		l.apply(engine.Emit{Name: "go", Env: []string{"A=\xff"}})
		l.apply(engine.Start{Target: engine.Target{Class: "a"}})
	})
	p := connect(t, s)
	text := p.mustCall(api.ManagerPath, api.ManagerInterface, "GetState")[0].(string)
	const command = `"process":{"main":{"script":false,"command":"sleep 600"}}`
	const want = `{"sessions":[],"events":[],"job_environment":["PATH=/bin","LANG=C"],"conf_sources":[` +
		`{"path":"/etc/jobs","conf_files":[]},` +
		`{"path":"/home/jobs","conf_files":[{"path":"/home/jobs/a.conf","job_class":{"name":"a","path":"/com/ubuntu/Upstart/jobs/a",` +
		`"description":"","author":"","version":"","usage":"","instance":"","task":false,"respawn":false,"expect":"none",` +
		`"start_on":[],"stop_on":[],"emits":[],"env":[],"export":[],` + command + `,` +
		`"jobs":[{"name":"","path":"/com/ubuntu/Upstart/jobs/a/_","goal":"start","state":"spawned","processes":[]}]}}]},` +
		`{"path":"/home/jobs/more","conf_files":[{"path":"/home/jobs/more/b.conf","override":"/etc/jobs/b.override","job_class":{` +
		`"name":"b","path":"/com/ubuntu/Upstart/jobs/b",` +
		`"description":"d","author":"me","version":"1","usage":"X=","instance":"$X","task":false,"respawn":true,"expect":"none",` +
		`"start_on":[],"stop_on":[],"emits":["e"],"env":["V=1"],"export":["V"],` +
		`"process":{"main":{"script":false,"command":"sleep 600"},"pre-start":{"script":true,"command":"one\ntwo\n"}},` +
		`"jobs":[{"name":"y z","path":"/com/ubuntu/Upstart/jobs/b/y_20z","goal":"start","state":"pre-start",` +
		`"processes":[{"process":"pre-start","pid":77}]}]}}]},` +
		`{"path":"/elsewhere","conf_files":[{"path":"/elsewhere/c.conf","job_class":{"name":"c","path":"/com/ubuntu/Upstart/jobs/c",` +
		`"description":"","author":"","version":"","usage":"","instance":"","task":false,"respawn":false,"expect":"none",` +
		`"start_on":[],"stop_on":[],"emits":[],"env":[],"export":[],` + command + `,"jobs":[]}}]},` +
		`{"path":"","conf_files":[{"path":"","job_class":{"name":"d","path":"/com/ubuntu/Upstart/jobs/d",` +
		`"description":"","author":"","version":"","usage":"","instance":"","task":false,"respawn":false,"expect":"none",` +
		`"start_on":[],"stop_on":[],"emits":[],"env":[],"export":[],` + command + `,"jobs":[]}}]}]}`
	if text != want {
		t.Errorf("GetState =\n%s\nwant\n%s", text, want)
	}
	l.do(func() {
		l.apply(engine.SessionOpen{Leader: 4321, Env: []string{"XDG_SEAT=seat0"}})
		l.apply(engine.SessionBegin{ID: 1, Display: "wayland:/w", Env: []string{"A=1"}})
	})
	if text := p.mustCall(api.ManagerPath, api.ManagerInterface, "GetState")[0].(string); !strings.HasPrefix(text,
		`{"sessions":[{"id":1,"state":"begun","leader":4321,"display":"wayland:/w","env":["XDG_SEAT=seat0","A=1"],"jobs":[]}],"events":[`) {
		t.Errorf("GetState with a login session = %s", text)
	}
	// An event that waits for a job is told of.
	l.do(func() {
		l.apply(engine.SetClass{Class: service("hold", func(c *job.Class) { c.Task, c.StartOn = true, expr(t, "held") })})
	})
	l.do(func() { l.apply(engine.Emit{Name: "held", Env: []string{"A=\xff"}}) })
	var state struct{ Events []map[string]any }
	if err := json.Unmarshal([]byte(p.mustCall(api.ManagerPath, "", "GetState")[0].(string)), &state); err != nil {
		t.Fatal(err)
	}
	if len(state.Events) != 1 || state.Events[0]["name"] != "held" || state.Events[0]["progress"] != "handling" ||
		state.Events[0]["env"].([]any)[0] != "A=\uFFFD" {
		t.Errorf("events = %v; want the one that is held", state.Events)
	}
}
