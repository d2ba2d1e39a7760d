package engine_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
	"github.com/session-init/session-init/session/sim"
)

// classNames and eventNames are few, so that things meet.
var (
	classNames = []string{"a", "b", "c", "d"}
	eventNames = []string{"up", "down", "go", "started", "stopping"}
)

// expressions for "start on" and "stop on"; X stands for the name of a job.
var expressions = []string{
	"up", "down", "go", "up and go", "up or down", "(up and go) or down", "up and (go or down)",
	"up N=1", "up 1", "go N=$N", "down $N", "up N!=1", "go N=*", "go N=[12]", "down N=${N:-1}", "up N=1 and go N=2",
	"starting X", "started X", "stopping X", "stopped X", "started JOB=X", "stopping JOB=X INSTANCE=$N",
	"stopped X RESULT=failed", "stopping X RESULT=failed", "started X and up", "stopping X or down",
	"starting", "stopped JOB=[ab]", "up/failed", "starting/failed X", "session-end", "started X INSTANCE=$INSTANCE",
	"stopping X and go", "starting X and starting X",
}

var mains = []string{"hang", "hang", "hang", "deaf", "slow 2", "quits 1", "true", "false", "die SEGV", "sleep 1", "sleep 2 exit 3",
	"missing", "late 2", "late 2 missing", "late 1 false", "forks 1", "forks 2", "forks 3", "stops", "forks 1 sleep 2 die ABRT",
	"notifies", "notifies", "notifies sleep 2", "forks 1 notifies"}

var hooks = []string{"true", "true", "false", "hang", "deaf", "sleep 1", "sleep 2 exit 1", "missing", "late 1", "die KILL", "late 2 missing"}

// drawClass makes a job file.
func drawClass(t *rapid.T, name string) *job.Class {
	var text strings.Builder
	add := func(format string, args ...any) { fmt.Fprintf(&text, format+"\n", args...) }
	maybe := func(what string, percent int) bool { return rapid.IntRange(0, 99).Draw(t, what) < percent }
	expr := func(label string) string {
		x := rapid.SampledFrom(expressions).Draw(t, label)
		if maybe("of the edge", 20) {
			x = rapid.SampledFrom(bystanders).Draw(t, label)
		}
		return strings.ReplaceAll(x, "X", rapid.SampledFrom(classNames).Draw(t, "X"))
	}
	if maybe("has start on", 60) {
		add("start on %s", expr("start on"))
	}
	if maybe("has stop on", 60) {
		add("stop on %s", expr("stop on"))
	}
	if maybe("has main", 85) {
		add("exec %s", rapid.SampledFrom(mains).Draw(t, "main"))
	}
	for _, hook := range []string{"pre-start", "post-start", "pre-stop", "post-stop"} {
		if maybe("has "+hook, 40) {
			add("%s exec %s", hook, rapid.SampledFrom(hooks).Draw(t, hook))
		}
	}
	if maybe("task", 25) {
		add("task")
	}
	if maybe("respawn", 35) {
		add("respawn")
		if maybe("limit", 60) {
			add("respawn limit %d %d", rapid.IntRange(0, 2).Draw(t, "limit"), rapid.IntRange(0, 3).Draw(t, "interval"))
		}
		if maybe("delay", 30) {
			add("respawn delay %d", rapid.IntRange(0, 2).Draw(t, "delay"))
		}
		if maybe("backoff", 20) {
			add("respawn backoff %d %d", rapid.IntRange(1, 3).Draw(t, "factor"), rapid.IntRange(1, 4).Draw(t, "most"))
		}
	}
	if maybe("instance", 40) {
		add("instance %s", rapid.SampledFrom([]string{"$N", "${N:-x}", "fixed", "$SESSION", "${SESSION:-x}"}).Draw(t, "instance name"))
	}
	if maybe("env", 30) {
		add("env %s", rapid.SampledFrom([]string{"N=1", "E=x", "UPSTART_JOB=y", "INHERIT"}).Draw(t, "env"))
	}
	if maybe("export", 30) {
		add("export N E UPSTART_EVENTS")
	}
	if maybe("expect", 35) {
		add("expect %s", rapid.SampledFrom(expectations).Draw(t, "expect"))
	}
	if maybe("ready timeout", 20) {
		add("ready timeout %d", rapid.IntRange(1, 3).Draw(t, "ready timeout"))
	}
	if maybe("kill mode", 30) {
		add("kill mode %s", rapid.SampledFrom([]string{"group", "process"}).Draw(t, "kill mode"))
	}
	if maybe("kill timeout", 40) {
		add("kill timeout %d", rapid.IntRange(0, 2).Draw(t, "kill timeout"))
	}
	drawEdges(add, maybe, t)
	if maybe("normal exit", 20) {
		add("normal exit 0 3 ABRT")
	}
	class, problems := job.Parse(name, name+".conf", []byte(text.String()))
	if class == nil {
		t.Fatalf("cannot parse the job %q: %v", text.String(), problems)
	}
	return class
}

func drawEnv(t *rapid.T) events.Env {
	return rapid.SampledFrom([]events.Env{nil, {"N=1"}, {"N=2"}, {"N=1", "E=y"}, {"E=y", "N=2"}, {"N=1", "N=2"}, {"JOB=a", "INSTANCE=1"}, {"BAD"}}).Draw(t, "env")
}

func drawTarget(t *rapid.T) engine.Target {
	target := engine.Target{Class: rapid.SampledFrom(classNames).Draw(t, "class")}
	if rapid.Bool().Draw(t, "by name") {
		target.ByName = true
		target.Instance = rapid.SampledFrom([]string{"", "1", "2", "x", "fixed"}).Draw(t, "instance")
	}
	return target
}

// modelConfig is the same for the run and for its repetition.
var modelConfig = engine.Config{
	Table:       events.Env{"PATH=/bin", "TERM=vt", "E=table"},
	Daemon:      events.Env{"INHERIT=daemon"},
	Session:     "unix:path=/s",
	PathEnd:     "/commands",
	StopTimeout: 10 * time.Second,
}

// moment is how long everything takes at least that a process does in the
// random worlds: else jobs in a circle would go round for ever at one
// instant.
const moment = 100 * time.Millisecond

func newModelWorld() *sim.World { return newModelWorldOf(modelConfig) }

func newModelWorldOf(cfg engine.Config) *sim.World {
	w := sim.New(cfg)
	w.Engine.SetStepBudget(modelBudget)
	w.Choose = func(s engine.Spawn) sim.Program {
		p := sim.ParseProgram(s.Class.Processes[s.Kind].Text, s.Kind)
		p.Slow, p.Dying = max(p.Slow, moment), moment
		p.Leaves = litters[int(s.Proc)%len(litters)]
		if p.Missing != "" {
			p.Late = max(p.Late, moment)
		}
		if p.Ends {
			p.After = max(p.After, moment)
		}
		return p
	}
	return w
}

// litters are what processes leave behind, in turn.
var litters = [...]sim.Litter{{}, {}, {Plain: 1}, {}, {Deaf: 1}, {Outside: 1, Plain: 1}, {Lasting: 1}}

// modelBudget is small, so that a circle of jobs without processes costs
// little, and steps that were not enough come often.
const modelBudget = 100

// scope is what may happen in a random session.
type scope int

const (
	calm        scope = iota // definitions stay as they are
	everything               // they change, too
	predictable              // what the naive model knows
)

// act does one thing at random.
func act(t *rapid.T, w *sim.World, call *engine.CallID, may scope) {
	*call++
	wait, by := rapid.IntRange(0, 3).Draw(t, "wait") > 0, drawBy(t)
	switch rapid.IntRange(0, 29).Draw(t, "what") {
	case 0, 1, 2, 3:
		w.Do(engine.Start{Call: *call, By: by, Target: drawTarget(t), Env: drawEnv(t), Wait: wait})
	case 4, 5, 6:
		w.Do(engine.Stop{Call: *call, By: by, Target: drawTarget(t), Env: drawEnv(t), Wait: wait})
	case 7, 8:
		w.Do(engine.Restart{Call: *call, By: by, Target: drawTarget(t), Env: drawEnv(t), Wait: wait})
	case 9, 10, 11:
		w.Do(engine.Emit{Call: *call, Name: rapid.SampledFrom(eventNames).Draw(t, "event"), Env: drawEnv(t), Wait: wait})
	case 12, 13, 14, 15, 16, 17:
		procs := w.Processes()
		if len(procs) == 0 {
			return
		}
		p := procs[rapid.IntRange(0, len(procs)-1).Draw(t, "process")]
		if p.Pid == 0 {
			return
		}
		switch rapid.IntRange(0, 6).Draw(t, "does") {
		case 0, 1, 2:
			w.Exit(p, 0, 0)
		case 3:
			w.Exit(p, 3, 0)
		case 4:
			w.Exit(p, 0, rapid.SampledFrom([]int{6, 9, 11}).Draw(t, "signal"))
		case 5:
			w.Fork(p)
		case 6:
			w.SelfStop(p)
		}
	case 18, 19:
		w.Advance(time.Duration(rapid.IntRange(1, 3000).Draw(t, "ms")) * time.Millisecond)
	case 20:
		if may == calm {
			return
		}
		name := rapid.SampledFrom(classNames).Draw(t, "changed")
		if rapid.IntRange(0, 3).Draw(t, "gone") == 0 {
			w.Do(engine.DropClass{Name: name})
		} else {
			w.Do(engine.SetClass{Class: drawClass(t, name)})
		}
	case 21:
		in := engine.SetEnv{Call: *call, Entries: drawEnv(t), Replace: wait}
		if may == predictable {
			w.Do(in)
			return
		}
		if rapid.Bool().Draw(t, "of one") {
			target := drawTarget(t)
			in.Class, in.Target = target.Class, target.Instance
		}
		in.Reset = rapid.Bool().Draw(t, "reset")
		if rapid.Bool().Draw(t, "unset") {
			in.Unset = []string{"N"}
		}
		w.Do(in)
	case 22:
		if may == predictable {
			return
		}
		w.Do(engine.Reload{Call: *call, Target: drawTarget(t)})
	case 24:
		if may == predictable {
			return
		}
		w.Do(engine.ForceStop{Call: *call, Target: drawTarget(t), Env: drawEnv(t), Wait: wait})
	case 25, 26, 27, 28, 29:
		edge(t, w, *call, may)
	case 23:
		if *call > 1 {
			w.Do(engine.Abandon{Call: engine.CallID(rapid.Uint64Range(1, uint64(*call)-1).Draw(t, "abandoned"))})
		}
	}
}

// TestModel lives through random sessions, and looks for whatever may never
// be after every step.
func TestModel(t *testing.T) {
	for taken := 0; ; {
		rapid.Check(t, func(t *rapid.T) { taken += live(t) })
		if taken >= *steps {
			t.Logf("%d steps", taken)
			return
		}
	}
}

// live is one such session; it returns how many steps its engine took.
func live(t *rapid.T) int {
	cfg := modelConfig
	cfg.UntilLogout = rapid.IntRange(0, 3).Draw(t, "until logout") == 0
	w := newModelWorldOf(cfg)
	v := newWatcher(w, cfg.StopTimeout)
	sound := func() {
		t.Helper()
		if wrong := append(v.wrong, w.Faults()...); len(wrong) > 0 {
			t.Fatalf("%s", strings.Join(wrong, "\n"))
		}
	}
	for _, name := range classNames {
		w.Do(engine.SetClass{Class: drawClass(t, name)})
	}
	var call engine.CallID
	for range rapid.IntRange(1, 40).Draw(t, "steps") {
		if w.Over() {
			break
		}
		act(t, w, &call, everything)
		sound()
		for _, n := range v.names {
			v.wrong = append(v.wrong, w.Engine.CheckIndex(n.Text, n.Env)...)
		}
		for _, name := range eventNames[:3] {
			v.wrong = append(v.wrong, w.Engine.CheckIndex(name, events.Env{"N=1"})...)
		}
		sound()
	}
	if !w.Over() {
		w.Do(engine.Shutdown{Type: "logout"})
	}
	for range rapid.IntRange(0, 10).Draw(t, "steps at the end") {
		if w.Over() {
			break
		}
		act(t, w, &call, everything)
	}
	w.Advance(modelConfig.StopTimeout + 5*time.Second)
	if !w.Over() {
		t.Fatalf("the session does not end")
	}
	if left := w.Processes(); len(left) > 0 {
		t.Fatalf("%d processes are left, the first is %s of %s", len(left), left[0].Kind, left[0].Class)
	}
	for n := engine.CallID(1); n <= call; n++ {
		if w.Waiting(n) {
			t.Fatalf("call %d was never answered", n)
		}
	}
	v.replay(cfg)
	sound()
	return len(v.fed)
}

// TestStopEnds checks that a stop always comes to its end once every process
// does, in random sessions whose jobs do not wait for each other.
func TestStopEnds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newModelWorld()
		v := newWatcher(w, modelConfig.StopTimeout)
		class := drawClass(t, "a")
		class.StartOn, class.StopOn, class.Instance = nil, nil, ""
		w.Do(engine.SetClass{Class: class})
		var call engine.CallID
		for range rapid.IntRange(1, 15).Draw(t, "steps") {
			act(t, w, &call, calm)
		}
		call++
		w.Do(engine.Stop{Call: call, Target: engine.Target{Class: "a", ByName: true}, Wait: true})
		for range 20 {
			w.Advance(3 * time.Second)
			for _, p := range w.Processes() {
				if p.Kind != job.Main && p.Pid != 0 {
					w.Exit(p, 0, 0)
				}
			}
		}
		if got := w.Engine.View().Instances("a"); len(got) != 0 {
			t.Fatalf("a is %s/%s a minute after its stop", got[0].Goal, got[0].State)
		}
		if w.Waiting(call) {
			t.Fatalf("the stop was not answered")
		}
		if wrong := append(v.wrong, w.Faults()...); len(wrong) > 0 {
			t.Fatalf("%s", strings.Join(wrong, "\n"))
		}
	})
}
