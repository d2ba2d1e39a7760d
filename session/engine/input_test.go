package engine_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"
	"time"

	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
	"github.com/session-init/session-init/session/sim"
)

// mustParse makes a class of a job file's text.
func mustParse(t testing.TB, name, text string) *job.Class {
	t.Helper()
	class, problems := job.Parse(name, name+".conf", []byte(text))
	if class == nil {
		t.Fatalf("cannot parse job %s: %v", name, problems)
	}
	return class
}

// svcText is a job that stays in each of its states until the test lets it
// go: all its processes hang, and tasks of others hold its events.
const svcText = `
start on up
stop on down
expect fork
pre-start exec hang
post-start exec hang
pre-stop exec hang
post-stop exec hang
exec deaf
`

// stage is an instance brought to a state.
type stage struct {
	*sim.World
	t     *testing.T
	lines []string
	call  engine.CallID
}

func newStage(t *testing.T) *stage {
	s := &stage{World: sim.New(engine.Config{StopTimeout: 10 * time.Second}), t: t}
	s.Do(engine.SetClass{Class: mustParse(t, "svc", svcText)})
	labels := make(map[engine.ProcID]string)
	s.Observe = func(_ engine.Input, effects []engine.Effect) {
		for _, effect := range effects {
			if sp, ok := effect.(engine.Spawn); ok {
				labels[sp.Proc] = sp.Class.Name + " " + sp.Kind.String()
			}
			line := sim.Format(effect,
				func(call engine.CallID) string { return fmt.Sprintf("reply %d", call) },
				func(id engine.ProcID) string { return labels[id] })
			if line.Kind != "log" {
				s.lines = append(s.lines, line.Text)
			}
		}
	}
	return s
}

func (s *stage) hold(event string) {
	s.Do(engine.SetClass{Class: mustParse(s.t, "holder", "start on "+event+" svc\ntask\nexec hang")})
}

func (s *stage) next() engine.CallID { s.call++; return s.call }

var svc = engine.Target{Class: "svc"}

func (s *stage) start() { s.Do(engine.Start{Call: s.next(), Target: svc, Wait: true}) }
func (s *stage) stop()  { s.Do(engine.Stop{Call: s.next(), Target: svc, Wait: true}) }

func (s *stage) end(kind job.ProcessKind, status, signal int) bool {
	p := s.Find("svc", "", kind)
	if p != nil {
		s.Exit(p, status, signal)
	}
	return p != nil
}

// run takes the instance to running.
func (s *stage) run() {
	s.start()
	s.end(job.PreStart, 0, 0)
	s.Fork(s.Find("svc", "", job.Main))
	s.end(job.PostStart, 0, 0)
}

// become gives the job another text, while it is at rest.
func (s *stage) become(change ...string) {
	s.Do(engine.SetClass{Class: mustParse(s.t, "svc", strings.NewReplacer(change...).Replace(svcText))})
	s.lines = nil
}

// impossible are the states and goals that an instance is never held in, with
// the reason.
var impossible = map[string]string{
	"waiting start": "a start takes it on at once",
	"spawned stop":  "a stop takes it on at once",
	"running stop":  "a stop takes it on at once",
}

// stages are the ways into each state, with each goal that it can be held
// in.
var stages = []struct {
	name string
	make func(s *stage)
}{
	{"waiting stop (no instance)", func(s *stage) {}},
	{"starting start", func(s *stage) { s.hold("starting"); s.start() }},
	{"starting stop", func(s *stage) { s.hold("starting"); s.start(); s.stop() }},
	{"pre-start start", func(s *stage) { s.start() }},
	{"pre-start stop", func(s *stage) { s.start(); s.stop() }},
	{"spawned start", func(s *stage) { s.start(); s.end(job.PreStart, 0, 0) }},
	{"post-start start", func(s *stage) { s.start(); s.end(job.PreStart, 0, 0); s.Fork(s.Find("svc", "", job.Main)) }},
	{"post-start stop", func(s *stage) {
		s.start()
		s.end(job.PreStart, 0, 0)
		s.Fork(s.Find("svc", "", job.Main))
		s.stop()
	}},
	{"running start", func(s *stage) { s.run() }},
	{"pre-stop stop", func(s *stage) { s.run(); s.stop() }},
	{"pre-stop start (stop cancelled)", func(s *stage) { s.run(); s.stop(); s.start() }},
	{"pre-stop start (restart)", func(s *stage) {
		s.run()
		s.Do(engine.Restart{Call: s.next(), Target: svc, Wait: true})
	}},
	{"stopping stop", func(s *stage) { s.hold("stopping"); s.run(); s.stop(); s.end(job.PreStop, 0, 0) }},
	{"stopping start", func(s *stage) { s.hold("stopping"); s.run(); s.stop(); s.end(job.PreStop, 0, 0); s.start() }},
	{"stopping stop (main is being made)", func(s *stage) {
		s.become("exec deaf", "exec late 9 missing", "pre-start exec hang", "", "post-stop exec hang", "")
		s.hold("stopping")
		s.start()
		s.stop()
	}},
	{"pre-start start (it is being made)", func(s *stage) { s.become("pre-start exec hang", "pre-start exec late 9 missing"); s.start() }},
	{"spawned start (main is being made)", func(s *stage) {
		s.become("exec deaf", "exec late 9 missing", "pre-start exec hang", "")
		s.start()
	}},
	{"post-start start (it is being made)", func(s *stage) {
		s.become("expect fork", "", "exec deaf", "exec daemon", "pre-start exec hang", "", "post-start exec hang", "post-start exec late 9 missing")
		s.start()
	}},
	{"killed stop (main is being made)", func(s *stage) {
		s.become("exec deaf", "exec late 9 missing", "pre-start exec hang", "", "post-stop exec hang", "", "expect fork", "kill timeout 99")
		s.start()
		s.stop()
	}},
	{"killed stop (what main left behind)", func(s *stage) {
		s.become("exec deaf", "exec quits 0 leaves-deaf 1")
		s.run()
		s.stop()
		s.end(job.PreStop, 0, 0)
	}},
	{"post-stop stop (it is being made)", func(s *stage) {
		s.become("post-stop exec hang", "post-stop exec late 9 missing", "pre-stop exec hang", "", "exec deaf", "exec daemon")
		s.run()
		s.stop()
	}},
	{"killed stop", func(s *stage) { s.run(); s.stop(); s.end(job.PreStop, 0, 0) }},
	{"killed start", func(s *stage) { s.run(); s.stop(); s.end(job.PreStop, 0, 0); s.start() }},
	{"post-stop stop", func(s *stage) { s.run(); s.stop(); s.end(job.PreStop, 0, 0); s.end(job.Main, 0, 15) }},
	{"post-stop start (the delay of a respawn)", func(s *stage) {
		s.Do(engine.SetClass{Class: mustParse(s.t, "svc", svcText+"respawn\nrespawn delay 4")})
		s.run()
		s.end(job.Main, 0, 11)
		s.end(job.PostStop, 0, 0)
	}},
	{"post-stop start", func(s *stage) { s.run(); s.stop(); s.end(job.PreStop, 0, 0); s.end(job.Main, 0, 15); s.start() }},
}

// inputs are everything that can be said to the engine; false when there is
// nobody to say it.
var inputs = []struct {
	name string
	give func(s *stage) bool
}{
	{"start", func(s *stage) bool { s.start(); return true }},
	{"start instance", func(s *stage) bool {
		s.Do(engine.Start{Call: s.next(), Target: engine.Target{Class: "svc", ByName: true}, Wait: true})
		return true
	}},
	{"stop", func(s *stage) bool { s.stop(); return true }},
	{"stop --force", func(s *stage) bool {
		s.Do(engine.ForceStop{Call: s.next(), Target: svc, Wait: true})
		return true
	}},
	{"restart", func(s *stage) bool {
		s.Do(engine.Restart{Call: s.next(), Target: svc, Wait: true})
		return true
	}},
	{"reload", func(s *stage) bool { s.Do(engine.Reload{Call: s.next(), Target: svc}); return true }},
	{"emit up", func(s *stage) bool { s.Do(engine.Emit{Call: s.next(), Name: "up", Wait: true}); return true }},
	{"emit down", func(s *stage) bool { s.Do(engine.Emit{Call: s.next(), Name: "down", Wait: true}); return true }},
	{"main exits 0", func(s *stage) bool { return s.end(job.Main, 0, 0) }},
	{"main exits 1", func(s *stage) bool { return s.end(job.Main, 1, 0) }},
	{"main dies of SEGV", func(s *stage) bool { return s.end(job.Main, 0, 11) }},
	{"main forks", func(s *stage) bool {
		p := s.Find("svc", "", job.Main)
		if p != nil {
			s.Fork(p)
		}
		return p != nil
	}},
	{"main raises STOP", func(s *stage) bool {
		p := s.Find("svc", "", job.Main)
		if p != nil {
			s.SelfStop(p)
		}
		return p != nil
	}},
	{"hook exits 0", func(s *stage) bool { return s.endHook(0) }},
	{"hook exits 1", func(s *stage) bool { return s.endHook(1) }},
	{"holder exits 0", func(s *stage) bool {
		p := s.Find("holder", "", job.Main)
		if p != nil {
			s.Exit(p, 0, 0)
		}
		return p != nil
	}},
	{"5 seconds pass", func(s *stage) bool { s.Advance(5 * time.Second); return true }},
	{"what is being made fails", func(s *stage) bool {
		for _, p := range s.Processes() {
			if p.Class == "svc" && p.Pid == 0 {
				s.Advance(9 * time.Second)
				return true
			}
		}
		return false
	}},
	{"main is taken as it is", func(s *stage) bool {
		p := s.Find("svc", "", job.Main)
		if p != nil {
			s.Do(engine.FollowEnded{Proc: p.ID})
		}
		return p != nil
	}},
	{"main listens", func(s *stage) bool {
		p := s.Find("svc", "", job.Main)
		if p != nil {
			s.Listen(p, "tcp [::1]:80")
		}
		return p != nil
	}},
	{"main says all that it can", func(s *stage) bool {
		p := s.Find("svc", "", job.Main)
		if p != nil {
			s.Say(p, engine.Notified{Ready: true, HasStatus: true, Status: "well", Errno: "x (1)", Extend: time.Minute, Alive: true})
			s.Say(p, engine.Notified{Reloading: true})
		}
		return p != nil
	}},
	{"main asks for its watchdog", func(s *stage) bool {
		p := s.Find("svc", "", job.Main)
		if p != nil {
			s.Say(p, engine.Notified{Trigger: true})
		}
		return p != nil
	}},
	{"set environment", func(s *stage) bool {
		s.Do(engine.SetEnv{Call: s.next(), Entries: []string{"A=1"}})
		s.Do(engine.SetEnv{Call: s.next(), Class: "svc", Entries: []string{"A=1"}})
		return true
	}},
	{"a process of an earlier daemon", func(s *stage) bool {
		s.Do(engine.Adopt{Class: "svc", Pid: 77})
		return true
	}},
	{"definition changes", func(s *stage) bool {
		s.Do(engine.SetClass{Class: mustParse(s.t, "svc", "exec daemon")})
		return true
	}},
	{"definition goes", func(s *stage) bool { s.Do(engine.DropClass{Name: "svc"}); return true }},
	{"news of an unknown process", func(s *stage) bool {
		s.Do(engine.Spawned{Proc: 999, Pid: 1})
		s.Do(engine.Forked{Proc: 999, Pid: 1})
		s.Do(engine.SelfStopped{Proc: 999})
		s.Do(engine.Notified{Proc: 999, Ready: true, Trigger: true})
		s.Do(engine.Ready{Proc: 999})
		s.Do(engine.Lacks{Proc: 999, What: "x"})
		s.Do(engine.Found{Proc: 999, Listens: "x"})
		s.Do(engine.Misfit{Proc: 999, What: "x"})
		s.Do(engine.Exited{Proc: 999, Status: 1})
		s.Do(engine.SpawnFailed{Proc: 999, Reason: "x"})
		s.Do(engine.FollowEnded{Proc: 999})
		s.Do(engine.Swept{Owner: 999})
		s.Do(engine.Vacated{Owner: 999})
		s.Do(engine.Abandon{Call: 999})
		s.Do(engine.Tick{})
		return true
	}},
	{"somebody connects to the socket of another job", func(s *stage) bool {
		s.Do(engine.SetClass{Class: mustParse(s.t, "other", "start on socket PROTO=inet PORT=80\nexec daemon")})
		s.Do(engine.Listening{Class: "other", Faults: []engine.SocketFault{{Address: "inet:*:80", Reason: "x"}}})
		s.Do(engine.ListenAgain{})
		s.Do(engine.Connection{Class: "other", Address: "inet:*:80"})
		s.Do(engine.Connection{Class: "svc", Address: "inet:*:80"})
		return true
	}},
	{"a job is run that is in no file", func(s *stage) bool {
		s.Do(engine.RunTransient{Call: s.next(), Definition: engine.SavedDefinition{Name: "once", Text: "exec daemon\n"}})
		s.Do(engine.RunTransient{Call: s.next(), Definition: engine.SavedDefinition{Name: "svc", Text: "exec daemon\n"}})
		return true
	}},
	{"a login session begins and ends", func(s *stage) bool {
		s.Do(engine.SessionOpen{Call: s.next(), Leader: 70, Since: 1})
		s.Do(engine.SessionBegin{Call: s.next(), ID: 1, Display: "w"})
		s.Do(engine.SessionAwait{Call: s.next(), ID: 1})
		s.Do(engine.SessionEnd{Call: s.next(), ID: 1})
		s.Do(engine.SessionLost{Leader: 70, Since: 1})
		return true
	}},
	{"the last login is over, and somebody logs in", func(s *stage) bool {
		s.Do(engine.SessionOpen{Call: s.next(), Leader: 70, Since: 1})
		s.Do(engine.UntilLogout{Call: s.next(), On: true})
		s.Do(engine.UntilLogout{Call: s.next()})
		return true
	}},
	{"session ends", func(s *stage) bool { s.Do(engine.Shutdown{Type: "logout"}); return true }},
}

func (s *stage) endHook(status int) bool {
	for _, kind := range []job.ProcessKind{job.PreStart, job.PostStart, job.PreStop, job.PostStop} {
		if s.end(kind, status, 0) {
			return true
		}
	}
	return false
}

func (s *stage) at() string {
	info, ok := s.Engine.View().Instance("svc", "")
	if !ok {
		return "gone"
	}
	return info.State.String() + " " + info.Goal.String()
}

// TestStateInput gives every input in every state, and lists what comes of
// it.
func TestStateInput(t *testing.T) {
	var out strings.Builder
	out.WriteString(`# What each input does to an instance in each state, with each goal it can be
# held in. The job has all five processes, "expect fork", "start on up" and
# "stop on down"; where something is being made, or was left behind, it has no
# more than that needs. The callers waiting already have the first numbers.
`)
	for _, st := range stages {
		fmt.Fprintf(&out, "\n== %s\n", st.name)
		for _, in := range inputs {
			s := newStage(t)
			st.make(s)
			if at := s.at(); !strings.HasPrefix(st.name, at) && at != "gone" {
				t.Errorf("%s: the instance is in %s", st.name, at)
			}
			s.lines = nil
			if !in.give(s) {
				continue
			}
			fmt.Fprintf(&out, "%s -> %s\n", in.name, s.at())
			for _, line := range s.lines {
				fmt.Fprintf(&out, "    %s\n", line)
			}
			for _, wrong := range append(s.Engine.Check(), s.Faults()...) {
				t.Errorf("%s, %s: %s", st.name, in.name, wrong)
			}
		}
	}
	engine.Golden(t, "inputs.txt", out.String())
}

// TestStagesAreTotal: each state is there with each goal, or is known to be
// impossible.
func TestStagesAreTotal(t *testing.T) {
	have := make(map[string]bool)
	for _, st := range stages {
		words := strings.Fields(st.name)
		have[words[0]+" "+words[1]] = true
	}
	for state := engine.Waiting; state <= engine.PostStop; state++ {
		for _, goal := range []engine.Goal{engine.GoalStart, engine.GoalStop} {
			held := fmt.Sprintf("%s %s", state, goal)
			if have[held] == (impossible[held] != "") {
				t.Errorf("an instance in %s: there is a stage: %t; it is impossible: %q", held, have[held], impossible[held])
			}
		}
	}
}

// TestInputsAreTotal: every kind of input is given in the listing.
func TestInputsAreTotal(t *testing.T) {
	given := make(map[string]bool)
	for _, st := range stages {
		for _, in := range inputs {
			s := newStage(t)
			st.make(s)
			s.Observe = func(in engine.Input, _ []engine.Effect) {
				given[strings.TrimPrefix(fmt.Sprintf("%T", in), "engine.")] = true
			}
			in.give(s)
		}
	}
	file, err := parser.ParseFile(token.NewFileSet(), "input.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok || f.Name.Name != "input" {
			continue
		}
		n++
		if name := f.Recv.List[0].Type.(*ast.Ident).Name; !given[name] {
			t.Errorf("no input of the listing is a %s", name)
		}
	}
	if n < 20 {
		t.Errorf("input.go has %d kinds of input; want 20 at least", n)
	}
}

// TestContractBroken gives every kind of news of a process in every state,
// also such as the process contract excludes: the engine may be wrong about
// the instance then, but it may not panic, and must still end it.
func TestContractBroken(t *testing.T) {
	for _, st := range stages {
		for _, kind := range []string{"spawned", "failed", "forked", "stopped", "exited", "twice"} {
			for proc := engine.ProcID(1); proc <= 6; proc++ {
				s := newStage(t)
				st.make(s)
				step := func(in engine.Input) { s.Engine.Step(s.Now(), in) }
				switch kind {
				case "spawned":
					step(engine.Spawned{Proc: proc, Pid: 7})
				case "failed":
					step(engine.SpawnFailed{Proc: proc, Reason: "x"})
				case "forked":
					step(engine.Forked{Proc: proc, Pid: 7})
				case "stopped":
					step(engine.SelfStopped{Proc: proc})
				case "exited":
					step(engine.Exited{Proc: proc, Status: 3})
				case "twice":
					step(engine.Exited{Proc: proc, Status: 3})
					step(engine.Exited{Proc: proc, Status: 4})
				}
				quit := false
				s.Observe = func(_ engine.Input, effects []engine.Effect) {
					for _, effect := range effects {
						if _, ok := effect.(engine.Quit); ok {
							quit = true
						}
					}
				}
				s.Do(engine.Shutdown{Type: "logout"})
				s.Advance(time.Minute)
				if !quit {
					t.Errorf("%s, %s of process %d: the session does not end", st.name, kind, proc)
				}
			}
		}
	}
}

// TestUnfinished: a step that had more to do than it may asks for another at
// once, and goes on where it was.
func TestUnfinished(t *testing.T) {
	e := engine.New(engine.Config{})
	e.SetStepBudget(5)
	const jobs = 20
	for i := range jobs {
		e.Step(0, engine.SetClass{Class: mustParse(t, fmt.Sprintf("job%02d", i), "start on go")})
	}
	e.Step(time.Second, engine.Emit{Name: "go"})
	running := func() (n int) {
		for _, name := range e.View().ClassNames() {
			if info, ok := e.View().Instance(name, ""); ok && info.State == engine.Running {
				n++
			}
		}
		return n
	}
	if n := running(); n >= jobs {
		t.Fatalf("%d jobs run after a step of 5 events", n)
	}
	ticks := 0
	for ; ticks < 100; ticks++ {
		at, ok := e.NextDeadline()
		if !ok {
			break
		}
		if at != time.Second {
			t.Fatalf("NextDeadline() = %s; want now, 1s", at)
		}
		e.Step(at, engine.Tick{})
	}
	if n := running(); n != jobs || ticks == 100 {
		t.Errorf("%d jobs run after %d ticks; want %d", n, ticks, jobs)
	}
}
