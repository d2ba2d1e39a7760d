package engine_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
)

// The desk of the naive model. What becomes of an instance, an event and a
// process, the rules, stands in naive_test.go, in less than 400 lines. Here is
// what takes an input to them and tells what came of it: the inputs with what
// is refused, the expressions and variables that the rules ask for, and the
// loading of definitions. That is also said anew here, and not the engine's.

func newNaive(cfg engine.Config) *naive {
	return &naive{cfg: cfg, table: cfg.Table, calls: make(map[engine.CallID]bool)}
}

// step is one input; what comes of it is in said and answers.
func (n *naive) step(now time.Duration, in engine.Input) {
	n.now, n.said, n.answers = now, nil, nil
	n.take(in)
	n.settle()
}

func (n *naive) say(format string, args ...any) {
	n.said = append(n.said, fmt.Sprintf(format, args...))
}

func (in *nInstance) String() string {
	return strings.TrimSuffix(in.class.def.Name+"("+in.name+")", "()")
}

func (n *naive) answer(call engine.CallID, kind string) {
	n.answers = append(n.answers, fmt.Sprintf("%d: %s", call, kind))
	delete(n.calls, call)
}

func (n *naive) answerWaiting(call engine.CallID, failed bool, kind string) {
	if !n.calls[call] {
		return
	}
	if !failed {
		kind = "ok"
	}
	n.answer(call, kind)
}

func (n *naive) setDue(in *nInstance, after time.Duration) {
	n.lastDue++
	in.due, in.dueNumber, in.watching = n.now+after, n.lastDue, false
}

// overdue is the instance whose deadline has passed; of several the earliest,
// of those the one that was set first.
func (n *naive) overdue() *nInstance {
	var all []*nInstance
	for _, c := range n.classes {
		all = append(all, c.instances...)
	}
	all = slices.DeleteFunc(all, func(in *nInstance) bool { return in.due == 0 || in.due > n.now })
	if len(all) == 0 {
		return nil
	}
	return slices.MinFunc(all, func(a, b *nInstance) int {
		return cmp.Or(cmp.Compare(a.due, b.due), cmp.Compare(a.dueNumber, b.dueNumber))
	})
}

// half is what has come of an expression, by the place of the operand.
type half map[int]*nEvent

func (h half) see(x *events.Expr, ev *nEvent, look events.Lookup) { // (41)
	for i := 0; x != nil && i < len(x.Nodes); i++ {
		if x.Nodes[i].Op == events.OpMatch && h[i] == nil && x.Nodes[i].Match.Matches(ev.name, ev.env, look) {
			h[i] = ev
			ev.blockers++
		}
	}
}

// true returns the events that make it true, in the order of the expression,
// one for each operand (43), or nil.
func (h half) true(x *events.Expr) []*nEvent {
	if x == nil {
		return nil
	}
	var stack [][]*nEvent
	for i, node := range x.Nodes {
		var came []*nEvent
		if n := len(stack); node.Op != events.OpMatch {
			if left, right := stack[n-2], stack[n-1]; node.Op == events.OpOr || left != nil && right != nil {
				came = slices.Concat(left, right)
			}
			stack = stack[:n-2]
		} else if h[i] != nil {
			came = []*nEvent{h[i]}
		}
		stack = append(stack, came)
	}
	return stack[0]
}

func (h half) drop() {
	for _, ev := range h {
		ev.blockers--
	}
	clear(h)
}

func gather(evs []*nEvent) (env events.Env, names []string) {
	for _, ev := range evs {
		env, names = env.Merge(ev.env), append(names, ev.name) // (43)
	}
	return env, names
}

func (n *naive) classEnv(c *nClass, env events.Env) events.Env { // (47, 51)
	out := n.table
	for _, entry := range c.def.Env {
		if value, inherited := n.cfg.Daemon.Get(entry); inherited && !strings.Contains(entry, "=") {
			entry += "=" + value
		}
		if strings.Contains(entry, "=") {
			out = out.Merge(events.Env{entry})
		}
	}
	return out.Merge(env)
}

// variables are what conditions and events see of an instance.
func (n *naive) variables(in *nInstance) events.Env {
	env := n.classEnv(in.class, in.env)
	if len(in.from) > 0 {
		env = env.Set("UPSTART_EVENTS=" + strings.Join(in.from, " "))
	}
	return env
}

func (n *naive) environment(in *nInstance, stopping bool) events.Env { // (47-50)
	env := n.classEnv(in.class, in.env)
	if stopping {
		env = env.Merge(in.stopEnv)
	}
	env = env.Unset("UPSTART_EVENTS").Unset("UPSTART_STOP_EVENTS").Merge(events.Env{ // "decided" at 47
		"UPSTART_JOB=" + in.class.def.Name, "UPSTART_INSTANCE=" + in.name, "UPSTART_SESSION=" + n.cfg.Session})
	if len(in.from) > 0 {
		env = env.Set("UPSTART_EVENTS=" + strings.Join(in.from, " "))
	}
	if stopping && len(in.stopFrom) > 0 {
		env = env.Set("UPSTART_STOP_EVENTS=" + strings.Join(in.stopFrom, " "))
	}
	return env
}

// rooms are the states that processes run in first.
var rooms = []string{job.Main: "spawned", job.PreStart: "pre-start", job.PostStart: "post-start", job.PreStop: "pre-stop", job.PostStop: "post-stop"}

// spawn reports whether there is such a process.
func (n *naive) spawn(in *nInstance, kind job.ProcessKind) bool {
	if in.class.def.Processes[kind] == nil {
		return false
	}
	n.lastProc++
	in.procs[kind] = n.lastProc
	if kind == job.Main {
		in.hadMain, in.nEdge = true, nEdge{watch: in.class.def.Watchdog}
	}
	env := n.environment(in, kind == job.PreStop || kind == job.PostStop)
	path, _ := env.Get("PATH")
	n.say("%s spawn %s %q", in, kind, slices.Sorted(slices.Values(env.Set("PATH="+path+":"+n.cfg.PathEnd))))
	return true
}

func (n *naive) kill(in *nInstance, signal int) {
	group := map[bool]string{true: " alone"}[in.class.def.KillMode == job.KillProcess]
	n.say("%s main gets %s%s", in, job.SignalName(signal), group)
}

func bad(env events.Env) bool { // (53)
	return slices.ContainsFunc(env, func(entry string) bool { return !strings.Contains(entry, "=") })
}

func (n *naive) take(in engine.Input) {
	switch msg := in.(type) {
	case engine.SetClass:
		n.setClass(msg.Class)
	case engine.DropClass:
		if c := n.class(msg.Name); c != nil && len(c.instances) > 0 {
			c.kept, c.drop = nil, true
		} else if c != nil {
			n.replace(c, nil)
		}
	case engine.Start:
		n.wish(msg.Call, msg.Target, msg.Env, msg.Wait, "start")
	case engine.Stop:
		n.wish(msg.Call, msg.Target, msg.Env, msg.Wait, "stop")
	case engine.Restart:
		n.wish(msg.Call, msg.Target, msg.Env, msg.Wait, "restart")
	case engine.Abandon:
		delete(n.calls, msg.Call)
	case engine.Emit:
		if bad(msg.Env) {
			n.answer(msg.Call, "InvalidArgs")
		} else if ev := n.emit(msg.Name, msg.Env, nil); msg.Wait {
			ev.call, n.calls[msg.Call] = msg.Call, true
		} else {
			n.answer(msg.Call, "ok")
		}
	case engine.SetEnv: // (52)
		for _, entry := range msg.Entries {
			key, _, named := strings.Cut(entry, "=")
			if _, set := n.table.Get(key); !set || msg.Replace {
				n.table = n.table.Merge(events.Env{entry + map[bool]string{false: "="}[named]})
			}
		}
		n.answer(msg.Call, "ok")
	case engine.Spawned:
		n.hear(msg.Proc, func(in *nInstance, _ job.ProcessKind, waits bool) {
			switch timeout := in.class.def.ReadyTimeout; {
			case waits && in.class.def.Expect == job.ExpectNone: // (21)
				n.advance(in)
			case waits && timeout > 0:
				n.setDue(in, timeout)
			case waits:
				n.setDue(in, job.DefaultReadyTimeout)
			}
		})
	case engine.Forked: // (63)
		n.hear(msg.Proc, func(in *nInstance, _ job.ProcessKind, waits bool) {
			if waits {
				in.forks++
			}
			if expect := in.class.def.Expect; waits && (expect == job.ExpectFork || expect == job.ExpectDaemon && in.forks == 2) {
				n.advance(in)
			}
		})
	case engine.SelfStopped:
		n.hear(msg.Proc, func(in *nInstance, _ job.ProcessKind, waits bool) {
			if waits && in.class.def.Expect == job.ExpectStop {
				n.advance(in)
			}
		})
	case engine.Notified, engine.Ready, engine.ListenAgain, engine.Listening, engine.Connection:
		n.outside(in)
	case engine.FollowEnded:
		n.hear(msg.Proc, func(in *nInstance, _ job.ProcessKind, _ bool) { n.advance(in) })
	case engine.SpawnFailed:
		n.hear(msg.Proc, func(in *nInstance, kind job.ProcessKind, _ bool) { n.ended(in, kind, false, 0, 0) })
	case engine.Exited:
		n.hear(msg.Proc, func(in *nInstance, kind job.ProcessKind, _ bool) { n.ended(in, kind, true, msg.Status, msg.Signal) })
	}
}

// hear is news of a process; waits says that it is a main which is to become
// ready.
func (n *naive) hear(id engine.ProcID, told func(in *nInstance, kind job.ProcessKind, waits bool)) {
	for _, c := range n.classes {
		for _, in := range c.instances {
			if kind := slices.Index(in.procs[:], id); kind >= 0 {
				told(in, job.ProcessKind(kind), kind == int(job.Main) && in.state == "spawned" && !in.settling)
				return
			}
		}
	}
}

// wish is a Start, Stop or Restart.
func (n *naive) wish(call engine.CallID, t engine.Target, env events.Env, wait bool, verb string) {
	c := n.class(t.Class)
	if c == nil {
		n.answer(call, "UnknownJob")
		return
	}
	name, err := t.Instance, error(nil)
	if !t.ByName {
		name, err = events.Expand(c.def.Instance, n.classEnv(c, env).Get)
	}
	if err != nil || !t.ByName && bad(env) { // (53, 54)
		n.answer(call, "InvalidArgs")
		return
	}
	// There is no login session, so that nothing has a display (SPEC 8).
	display := c.def.StartOn != nil && strings.Contains(c.def.StartOn.String(), "session-start")
	if display && verb == "start" && !t.ByName && n.find(c, name, false) == nil {
		n.answer(call, "InvalidArgs")
		return
	}
	in := n.find(c, name, verb == "start" && !t.ByName)
	delays := in != nil && in.state == "post-stop" && in.due != 0
	switch { // (1, 55)
	case in == nil:
		n.answer(call, "UnknownInstance")
		return
	case verb == "start" && in.start && !delays:
		n.answer(call, "AlreadyStarted")
		return
	case verb == "restart" && !in.start, verb == "stop" && !in.start && !in.waitsFor(n, in, nil):
		n.answer(call, "AlreadyStopped")
		return
	}
	if verb != "start" {
		in.stopEnv, in.stopFrom = nil, nil
	}
	if verb != "stop" {
		in.deaths, in.delay, in.delayed = 0, 0, false
	}
	switch { // (48-50)
	case t.ByName:
	case verb == "stop":
		in.stopEnv = env
	default:
		in.next, in.after, in.hasNext = env, nil, true
	}
	in.again = in.again || verb == "restart" && slices.Contains([]string{"post-start", "running", "pre-stop"}, in.state) // (16)
	waits := call
	if n.calls[call] = wait; !wait {
		waits = 0
	}
	if delays && verb != "stop" {
		in.due = 0
	}
	n.want(in, waits, nil, verb == "start")
	if verb == "restart" {
		n.changeGoal(in, true)
	}
	if delays && verb != "stop" {
		n.advance(in)
	}
	if !wait {
		n.answer(call, "ok")
	}
}

// waitsFor reports whether an instance waits for another one, by the event
// that holds it.
func (in *nInstance) waitsFor(n *naive, other *nInstance, seen []*nInstance) bool {
	for _, c := range n.classes {
		for _, next := range c.instances {
			if in.blocker == nil || !slices.Contains(next.events, in.blocker) {
				continue
			}
			if next == other || !slices.Contains(seen, next) && next.waitsFor(n, other, append(seen, next)) {
				return true
			}
		}
	}
	return false
}

// find returns the instance of that name, a new one if create says so; else
// nil.
func (n *naive) find(c *nClass, name string, create bool) *nInstance {
	at := slices.IndexFunc(c.instances, func(in *nInstance) bool { return in.name == name })
	switch {
	case at >= 0:
		return c.instances[at]
	case !create:
		return nil
	}
	in := &nInstance{class: c, name: name, state: "waiting", half: half{}}
	c.instances = append(c.instances, in)
	n.say("%s added", in)
	return in
}

func (n *naive) class(name string) *nClass {
	at := slices.IndexFunc(n.classes, func(c *nClass) bool { return c.def.Name == name })
	if at < 0 {
		return nil
	}
	return n.classes[at]
}

func (n *naive) setClass(def *job.Class) {
	c := n.class(def.Name)
	switch {
	case c == nil:
		n.replace(&nClass{}, def)
	case string(job.Print(c.def)) == string(job.Print(def)):
		c.kept, c.drop = nil, false
	case len(c.instances) > 0: // (67)
		c.kept, c.drop = def, false
	default:
		n.replace(c, def)
	}
}

// replace puts a definition in force; nil for none. What has come for the old
// one is kept where the new one has a place for it (45).
func (n *naive) replace(c *nClass, def *job.Class) {
	n.classes = slices.DeleteFunc(n.classes, func(other *nClass) bool { return other == c })
	old, had := c.def, c.half
	c.def, c.kept, c.drop, c.half, c.sockets = def, nil, false, half{}, nSockets{}
	if old != nil {
		n.say("job %s removed", old.Name)
	}
	for _, k := range slices.Sorted(maps.Keys(had)) {
		if def != nil {
			c.half.see(def.StartOn, had[k], nil)
		}
	}
	had.drop()
	if def == nil {
		return
	}
	n.classes = append(n.classes, c)
	slices.SortFunc(n.classes, func(a, b *nClass) int { return strings.Compare(a.def.Name, b.def.Name) })
	n.say("job %s added", def.Name)
	n.startIfTrue(c)
}
