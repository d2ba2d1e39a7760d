package engine_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
)

// naive is the rules of the specification once more, as simply as they can be
// said: no index, no heap, every list walked from its beginning. It predicts
// what an engine announces, spawns, kills and answers. It does not know the
// end of the session, forced stops and what processes leave behind. Numbers
// in parentheses are the facts of SEMANTICS.md.
type naive struct {
	cfg           engine.Config
	now           time.Duration
	table         events.Env
	classes       []*nClass // by name
	events        []*nEvent // that have not finished, by number
	cursor        int       // the event that was looked at last
	last, lastDue int       // numbers of events and deadlines
	lastProc      engine.ProcID
	calls         map[engine.CallID]bool
	said, answers []string
}

type nClass struct {
	def, kept *job.Class
	drop      bool
	half      half // of start on
	sockets   nSockets
	instances []*nInstance
}

type nInstance struct {
	class                 *nClass
	name, state           string
	start                 bool // the goal
	again                 bool // goes through stopping whatever the goal
	env, next, stopEnv    events.Env
	from, after, stopFrom []string // the events of this start, the next, the stop
	hasNext               bool
	half                  half // of stop on
	procs                 [job.NumProcesses]engine.ProcID
	hadMain, settling     bool
	forks, deaths         int
	window, ran           time.Duration // since the first death, without waits; since running
	delay                 time.Duration // of the last respawn
	delayed               bool
	due                   time.Duration // of KILL, of being ready, of a respawn
	dueNumber             int
	blocker               *nEvent
	events                []*nEvent // that wait for it
	call                  engine.CallID
	result                []string // RESULT=, PROCESS= and the like
	nEdge
}

type nEvent struct {
	id, blockers     int
	name             string
	env              events.Env
	handling, failed bool
	holds            *nInstance
	call             engine.CallID
}

// settle lets deadlines strike and events pass, after an input.
func (n *naive) settle() {
	for in := n.overdue(); in != nil; in = n.overdue() {
		in.due = 0
		switch {
		case in.watching:
			n.bark(in)
		case in.state == "killed": // (60)
			n.kill(in, 9)
		case in.state == "post-stop":
			in.delayed = false
			n.advance(in)
		case in.class.def.ReadyTimeout > 0, !upstart(in.class.def):
			n.fail(in, true, -1, "PROCESS=main")
			n.advance(in)
		default:
			in.settling = true
		}
	}
	for range modelBudget {
		ev := n.nextEvent()
		if ev == nil {
			return
		}
		if !ev.handling {
			ev.handling = true
			n.dispatch(ev)
		}
		if ev.blockers == 0 {
			n.finish(ev)
		}
	}
	n.cursor = 0 // A step that is not enough ends the round.
}

// nextEvent looks at events in the order of their emission, round after
// round; new ones belong to the round that goes on.
func (n *naive) nextEvent() *nEvent {
	for {
		for _, ev := range n.events {
			if ev.id > n.cursor && (!ev.handling || ev.blockers == 0) {
				n.cursor = ev.id
				return ev
			}
		}
		if n.cursor == 0 {
			return nil
		}
		n.cursor = 0
	}
}

func (n *naive) emit(name string, env events.Env, holds *nInstance) *nEvent {
	n.last++
	ev := &nEvent{id: n.last, name: name, env: env, holds: holds}
	n.events = append(n.events, ev)
	return ev
}

func (n *naive) finish(ev *nEvent) { // (26)
	n.events = slices.DeleteFunc(n.events, func(other *nEvent) bool { return other == ev })
	n.say("%s", strings.Join(append([]string{"event", ev.name}, ev.env...), " "))
	if in := ev.holds; in != nil {
		in.blocker = nil
		n.advance(in)
	}
	n.answerWaiting(ev.call, ev.failed, "EventFailed")
	if ev.failed && !strings.HasSuffix(ev.name, "/failed") { // (25)
		n.emit(ev.name+"/failed", ev.env, nil)
	}
}

func (n *naive) dispatch(ev *nEvent) { // stop on before start on (46)
	for _, c := range slices.Clone(n.classes) {
		def := c.def
		for _, in := range slices.Clone(c.instances) {
			in.half.see(c.def.StopOn, ev, n.variables(in).Get)
			if evs := in.half.true(c.def.StopOn); evs != nil {
				if in.start {
					in.stopEnv, in.stopFrom = gather(evs)
					n.want(in, 0, evs, false)
				}
				in.half.drop()
			}
		}
		if c.def == def { // else the stop has let another one come into force
			c.half.see(c.def.StartOn, ev, nil)
			n.startIfTrue(c)
		}
	}
}

func (n *naive) startIfTrue(c *nClass) {
	evs := c.half.true(c.def.StartOn)
	if evs == nil {
		return
	}
	env, names := gather(evs)
	if name, err := events.Expand(c.def.Instance, n.classEnv(c, env).Get); err == nil { // (54)
		if in := n.find(c, name, true); !in.start { // (22)
			in.next, in.after, in.hasNext = env, names, true
			n.want(in, 0, evs, true)
		}
	} else {
		n.serveNobody(c, names)
	}
	c.half.drop() // (42)
}

// want changes the goal for a caller or for events; whoever waited is let go
// (19).
func (n *naive) want(in *nInstance, call engine.CallID, evs []*nEvent, start bool) {
	n.release(in, false)
	for _, ev := range evs {
		ev.blockers++
	}
	in.events, in.call = evs, call
	n.changeGoal(in, start)
}

func (n *naive) release(in *nInstance, failed bool) { // (18, 20)
	for _, ev := range in.events {
		ev.blockers--
		ev.failed = ev.failed || failed
	}
	n.answerWaiting(in.call, failed, "JobFailed")
	in.events, in.call = nil, 0
}

func (n *naive) setGoal(in *nInstance, start bool) {
	if in.start != start {
		in.start, in.delayed = start, in.delayed && start
		n.say("%s goal %s", in, map[bool]string{false: "stop", true: "start"}[start])
	}
}

func (n *naive) changeGoal(in *nInstance, start bool) { // (8, 12)
	if in.start == start {
		return
	}
	waited := in.state == "post-stop" && in.due != 0
	n.setGoal(in, start)
	if start && in.state == "waiting" || !start && (waited || in.state == "running" || in.state == "spawned") {
		n.advance(in)
	}
}

// advance takes an instance on until it has something to wait for.
func (n *naive) advance(in *nInstance) {
	for wait := false; !wait; {
		if in.state == "post-stop" && in.start && in.delayed {
			n.setDue(in, in.delay)
			return
		}
		from := in.state
		if in.state = in.follows(); !in.watching || !in.up() {
			in.due, in.watching = 0, false
		}
		n.say("%s state %s", in, in.state)
		wait = n.enter(in, from)
	}
}

// follows is the table of SPEC.md, section 3.
func (in *nInstance) follows() string {
	main := in.procs[job.Main] != 0
	up := in.start
	switch in.state {
	case "running":
		up = !in.start && main
	case "spawned", "post-start", "pre-stop":
		up = in.start && (main || !in.hadMain) && !in.again
	}
	next := strings.Fields(map[string]string{ // if up; else
		"waiting": "starting -", "starting": "pre-start stopping", "pre-start": "spawned stopping",
		"spawned": "post-start stopping", "post-start": "running stopping", "running": "pre-stop stopping",
		"pre-stop": "running stopping", "stopping": "killed killed", "killed": "post-stop post-stop", "post-stop": "starting waiting",
	}[in.state])
	return next[map[bool]int{false: 1}[up]]
}

// enter does what belongs to a state, and reports whether it is to be waited
// in.
func (n *naive) enter(in *nInstance, from string) bool {
	c := in.class
	if in.state == "post-start" {
		n.guard(in)
	}
	if kind := slices.Index(rooms, in.state); kind >= 0 && in.state != "killed" {
		return n.spawn(in, job.ProcessKind(kind))
	}
	switch in.state {
	case "starting": // a new pass (15)
		c.listenAgain()
		in.nEdge = nEdge{}
		in.result, in.hadMain, in.forks, in.settling, in.delayed, in.stopEnv, in.stopFrom = nil, false, 0, false, false, nil, nil
		if in.hasNext {
			in.env, in.from, in.hasNext = in.next, in.after, false
		}
		in.blocker = n.tell(in, "starting", in)
	case "running":
		if from == "pre-stop" { // (13)
			in.stopEnv, in.stopFrom = nil, nil
		} else {
			in.ran = n.now
			n.tell(in, "started", nil)
		}
		if from == "pre-stop" || !c.def.Task { // (13, 18)
			n.release(in, false)
		}
	case "stopping":
		in.again = false
		in.blocker = n.tell(in, "stopping", in)
	case "killed":
		if in.procs[job.Main] == 0 {
			return false
		}
		n.kill(in, c.def.KillSignal)
		if n.setDue(in, c.def.KillTimeout); c.def.KillTimeout == 0 { // (61)
			in.due = 0
			n.kill(in, 9)
		}
	case "waiting":
		n.tell(in, "stopped", nil)
		in.half.drop() // (44)
		c.instances = slices.DeleteFunc(c.instances, func(other *nInstance) bool { return other == in })
		n.say("%s removed", in)
		n.release(in, false)
		if c.def.Instance == "" { // decided, at 45
			c.half.drop()
		}
		if len(c.instances) == 0 && (c.drop || c.kept != nil) { // (67)
			c.half.drop()
			n.replace(c, c.kept)
		}
	}
	return true
}

// tell emits an event of the job (28-32).
func (n *naive) tell(in *nInstance, name string, holds *nInstance) *nEvent {
	env := events.Env{"JOB=" + in.class.def.Name, "INSTANCE=" + in.name}
	if strings.HasPrefix(name, "stop") {
		if env = append(env, in.result...); in.result == nil {
			env = append(env, "RESULT=ok")
		}
	}
	vars := n.variables(in)
	for _, key := range in.class.def.Export {
		if value, ok := vars.Get(key); ok {
			env = append(env, key+"="+value)
		}
	}
	return n.emit(name, env, holds)
}

// fail announces the first failure of a pass (7), answers who waits (20) and
// changes the goal.
func (n *naive) fail(in *nInstance, failed bool, number int, result ...string) {
	if failed && in.result == nil {
		in.result = append([]string{"RESULT=failed"}, result...)
		n.say("%s failed %d", in, number)
		n.release(in, true)
	}
	n.setGoal(in, false)
}

// ended is the end of a process, by a status or a signal, or with made unset
// one that could not be made.
func (n *naive) ended(in *nInstance, kind job.ProcessKind, made bool, status, signal int) {
	well, number, result := status == 0 && signal == 0 && made, status, []string{"PROCESS=" + kind.String()}
	if kind == job.Main {
		in.unguard()
	}
	switch in.procs[kind] = 0; {
	case !made:
		number = -1
	case signal != 0: // (29)
		number, result = signal*256, append(result, "EXIT_SIGNAL="+job.SignalName(signal))
	default:
		result = append(result, fmt.Sprintf("EXIT_STATUS=%d", status))
	}
	switch {
	case (kind == job.PreStart || kind == job.PostStop || kind == job.Main && !made && in.state == "spawned") && !well: // (32, 33)
		n.fail(in, true, number, result...)
	case kind == job.Main && made:
		if in.settling && in.state == "spawned" {
			n.fail(in, true, -1, "PROCESS=main")
		}
		if in.start && !in.again && in.state != "stopping" && in.state != "killed" {
			n.judge(in, well, number, status, signal, result)
		}
	}
	if kind != job.Main || in.state != "stopping" && in.state != "post-start" && in.state != "pre-stop" { // (17)
		n.advance(in)
	}
}

// judge says what the end of main means (56-59).
func (n *naive) judge(in *nInstance, well bool, number, status, signal int, result []string) {
	def := in.class.def
	early := in.state == "spawned" && !upstart(def)
	normal := well && (def.Task || !def.Respawn && !early)
	for _, exit := range def.NormalExit {
		normal = normal || exit.Signal == signal && (signal != 0 || exit.Status == status)
	}
	normal = normal && !in.silent
	if normal || !def.Respawn {
		n.fail(in, !normal, number, result...)
		return
	}
	if in.deaths++; in.deaths == 1 || n.now-in.window >= def.RespawnInterval {
		in.window, in.deaths = n.now, 1
	}
	if def.RespawnLimit > 0 && def.RespawnInterval > 0 && in.deaths > def.RespawnLimit {
		n.fail(in, true, 0, "PROCESS=respawn") // (30)
		return
	}
	if (in.state == "running" || in.state == "pre-stop") && n.now-in.ran > cmp.Or(def.RespawnInterval, job.DefaultRespawnInterval) {
		in.delay = 0
	}
	if in.delay *= time.Duration(def.RespawnFactor); in.delay == 0 {
		in.delay = cmp.Or(def.RespawnDelay, time.Second*time.Duration(min(1, def.RespawnFactor)))
	}
	if def.RespawnFactor > 0 {
		in.delay = min(in.delay, def.RespawnMax)
	}
	in.again, in.delayed, in.window = true, in.delay > 0, in.window+in.delay
}
