package engine

import (
	"fmt"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/job"
)

// Check looks over everything that the engine holds, between two steps, and
// returns what must never be, a sentence each. It is here for the tests of
// package engine_test, which drive the engine by a simulated world.
func (e *Engine) Check() []string {
	c := checker{e: e, events: make(map[*events.Event]int), calls: make(map[CallID]int)}
	c.classes()
	c.waiting()
	c.deadlines()
	return c.wrong
}

// SetStepBudget changes how many events a step may take, so that a circle of
// jobs without processes costs a random test little.
func (e *Engine) SetStepBudget(n int) { e.stepBudget = n }

type checker struct {
	e     *Engine
	wrong []string
	// events counts who holds an event up: conditions and instances.
	events map[*events.Event]int
	calls  map[CallID]int
	procs  int
	wanted int
	count  int
}

func (c *checker) fail(format string, args ...any) {
	c.wrong = append(c.wrong, fmt.Sprintf(format, args...))
}

func (c *checker) classes() {
	e := c.e
	if len(e.order) != len(e.classes) {
		c.fail("%d classes in order, %d by name", len(e.order), len(e.classes))
	}
	for i, class := range e.order {
		if i > 0 && e.order[i-1].def.Name >= class.def.Name {
			c.fail("classes are not sorted: %s before %s", e.order[i-1].def.Name, class.def.Name)
		}
		if e.classes[class.def.Name] != class {
			c.fail("class %s is not found by its name", class.def.Name)
		}
		c.condition("start on of "+class.def.Name, class.startOn)
		var last *instance
		n := 0
		for in := class.first; in != nil; in = in.next {
			if in.prev != last || class.instance(in.name) != in || in.class != class {
				c.fail("%s is not linked as it should be", in.label())
			}
			c.instance(in)
			last = in
			n++
		}
		if class.last != last || class.byName == nil && n > 1 || class.byName != nil && n != len(class.byName) {
			c.fail("class %s: %d instances in its list, %d by name", class.def.Name, n, len(class.byName))
		}
		if class.first == nil && (class.kept != nil || class.drop) {
			c.fail("class %s keeps a change back without an instance", class.def.Name)
		}
		c.count += n
	}
	if c.count != e.instances.count {
		c.fail("%d instances in lists, %d by number", c.count, e.instances.count)
	}
	if c.procs != e.procs.count {
		c.fail("%d processes of instances, %d by number", c.procs, e.procs.count)
	}
	if c.wanted != e.wanted {
		c.fail("%d instances have goal start, %d are counted", c.wanted, e.wanted)
	}
}

// deadlines checks that one which was set, and not cleared, is known to whom
// it was set for, and stands where it thinks.
func (c *checker) deadlines() {
	for i, d := range c.e.deadlines.heap {
		if d.place != i {
			c.fail("the deadline at place %d takes its place for %d", i, d.place)
		}
		if d.in != nil && (d.in.gone || d.in.deadline != d) {
			c.fail("%s has forgotten a deadline of kind %d at %s", d.in.label(), d.kind, d.at)
		}
	}
}

// condition counts what an expression holds. One that has come true was
// reset at once.
func (c *checker) condition(what string, cond *events.Condition) {
	if cond == nil {
		return
	}
	if cond.True() {
		c.fail("%s is true and was not reset", what)
	}
	for i := range cond.Expr().Nodes {
		if ev, _ := cond.Came(i); ev != nil {
			c.events[ev]++
		}
	}
}

// may says which processes an instance must and may have in each state.
var may = [numStates]struct {
	must    job.ProcessKind // NumProcesses for none
	alsoRun bool            // main may run
}{
	Starting:  {job.NumProcesses, false},
	PreStart:  {job.PreStart, false},
	InSpawned: {job.Main, false},
	PostStart: {job.PostStart, true},
	Running:   {job.NumProcesses, true},
	PreStop:   {job.PreStop, true},
	Stopping:  {job.NumProcesses, true},
	Killed:    {job.Main, false},
	PostStop:  {job.PostStop, false},
}

func (c *checker) instance(in *instance) {
	e := c.e
	if e.instances.get(in.id) != in || in.gone {
		c.fail("%s is not found by its number", in.label())
	}
	if in.goal == GoalStart {
		c.wanted++
	}
	if in.state == Waiting {
		c.fail("%s is waiting and still there", in.label())
		return
	}
	rule := may[in.state]
	for kind := range in.procs {
		if in.procs[kind].id != 0 {
			c.procs++
			if e.procs.get(uint64(in.procs[kind].id)) != in {
				c.fail("%s: process %d is not found by its number", in.label(), in.procs[kind].id)
			}
		}
		alive, kind := in.alive(job.ProcessKind(kind)), job.ProcessKind(kind)
		switch {
		case kind == rule.must && !alive && in.ends.sweeping && (in.state == Killed || in.state == PostStop):
			// What it left behind is waited for.
		case kind == rule.must && !alive && in.waitsToRespawn() && in.state == PostStop:
		case kind == rule.must && !alive:
			c.fail("%s is in %s without its %s process", in.label(), in.state, kind)
		case kind != rule.must && alive && !(kind == job.Main && rule.alsoRun):
			c.fail("%s is in %s and has a %s process", in.label(), in.state, kind)
		}
	}
	if in.state == Running && in.mainRan && !in.alive(job.Main) && !in.ends.lasting {
		c.fail("%s is running without its main", in.label())
	}
	if in.goal == GoalStop && (in.state == Running || in.state == InSpawned) {
		c.fail("%s is to stop and rests in %s", in.label(), in.state)
	}
	if held := in.state == Starting || in.state == Stopping; held != (in.blocker != nil) {
		c.fail("%s in %s: held by an event: %t", in.label(), in.state, in.blocker != nil)
	}
	if ev := in.blocker; ev != nil {
		if ev.Instance != in.id || ev.Progress == events.Finished {
			c.fail("%s is held by %s, which does not hold it", in.label(), ev.Name)
		}
		if ev.Name != in.state.String() {
			c.fail("%s in %s is held by %s", in.label(), in.state, ev.Name)
		}
		if _, known := c.events[ev]; !known {
			c.events[ev] = 0
		}
	}
	if d := in.deadline; d != nil {
		due := map[deadlineKind]bool{
			killDeadline:     in.state == Killed || in.ends.sweeping || in.ends.force,
			graceDeadline:    in.ends.sweeping || in.ends.struck && !in.idle(),
			watchdogDeadline: in.guarded(),
			readyDeadline:    in.state == InSpawned && in.alive(job.Main),
			respawnDeadline:  in.state == PostStop && in.goal == GoalStart && in.delayed && in.idle(),
			hookDeadline:     in.ends.force && in.alive(job.PostStop),
		}
		if !due[d.kind] || c.e.deadlines.heap[d.place] != d || d.in != in || d.at <= e.now {
			c.fail("%s in %s has a deadline of kind %d at %s", in.label(), in.state, d.kind, d.at)
		}
	}
	if (in.ends.sweeping || in.ends.lasting) != (in.owner != 0 && e.sweeps.get(in.owner) == in) {
		c.fail("%s in %s: sweeping is %t", in.label(), in.state, in.ends.sweeping)
	}
	if in.ends.lasting && (in.alive(job.Main) || in.state == Waiting || in.state == Killed || in.state == PostStop) {
		c.fail("%s in %s lasts", in.label(), in.state)
	}
	if in.ends.sweeping && !in.idle() {
		c.fail("%s in %s is swept while a process of it runs", in.label(), in.state)
	}
	c.ending(in)
	c.condition("stop on of "+in.label(), in.stopOn)
	for _, w := range in.waiters {
		if w.event != nil {
			c.events[w.event]++
		} else {
			c.calls[w.call]++
		}
	}
}

// ending looks at what settleEnd need not look at: nobody is forgotten who is
// to be stopped, or who still moves.
func (c *checker) ending(in *instance) {
	e := c.e
	if !e.ending.surveyed || e.ending.quit {
		return
	}
	outlives := in.stopOn != nil && !e.ending.cut && e.findOutlived(in) != nil
	if !in.stirred && !e.unfinished && in.goal == GoalStart && !e.mayFinish(in) && !outlives {
		c.fail("%s is to be stopped with the session, and forgotten", in.label())
	}
	if in.moves() && !in.mover {
		c.fail("%s moves, and the end of the session does not know it", in.label())
	}
}

// waiting compares what is held up with what is counted.
func (c *checker) waiting() {
	e := c.e
	live := 0
	for ev, holders := range c.events {
		live++
		if ev.Blockers != holders {
			c.fail("event %s (%d) counts %d blockers and has %d", ev.Name, ev.ID, ev.Blockers, holders)
		}
		if ev.Progress == events.Finished {
			c.fail("event %s (%d) is finished and held up", ev.Name, ev.ID)
		}
		if !e.unfinished && (ev.Progress != events.Handling || holders == 0) {
			c.fail("nothing moves, and event %s (%d) is %s with %d blockers", ev.Name, ev.ID, ev.Progress, holders)
		}
		if ev.Call != 0 {
			c.calls[CallID(ev.Call)]++
		}
	}
	if !e.unfinished && e.queue.Len() != live {
		c.fail("nothing moves, and of %d events %d are held up by somebody", e.queue.Len(), live)
	}
	for _, login := range e.logins {
		for _, call := range login.calls {
			if _, waits := e.calls[call]; waits {
				c.calls[call]++
			}
		}
		if login.stop != nil && login.stop.Progress == events.Finished {
			c.fail("login session %d goes on after its session-stop", login.id)
		}
	}
	for call, n := range c.calls {
		if n != 1 {
			c.fail("call %d waits in %d places", call, n)
		}
	}
	if !e.unfinished {
		for call := range e.calls {
			if c.calls[call] != 1 {
				c.fail("call %d waits for nothing", call)
			}
		}
	}
}

// CheckIndex compares the conditions that the index finds for an event with
// those that a look at every condition finds.
func (e *Engine) CheckIndex(name string, env events.Env) []string {
	var wrong []string
	found := make(map[*watch]bool)
	e.index.Find(name, env, func(w *watch) { found[w] = true })
	see := func(w *watch, expr *events.Expr, lookup events.Lookup, what string) {
		matches := false
		if expr != nil {
			for _, node := range expr.Nodes {
				if node.Op == events.OpMatch && node.Match.Matches(name, env, lookup) {
					matches = true
				}
			}
		}
		if matches && (w == nil || !found[w]) {
			wrong = append(wrong, fmt.Sprintf("the index does not find the %s for %s %v", what, name, env))
		}
		delete(found, w)
	}
	for _, c := range e.order {
		see(c.watch, c.def.StartOn, noVariables, "start on of "+c.def.Name)
		for in := c.first; in != nil; in = in.next {
			see(in.watch, c.def.StopOn, e.lookup(in), "stop on of "+in.label())
		}
	}
	if len(found) > 0 {
		wrong = append(wrong, fmt.Sprintf("the index finds %d conditions that are not there any more", len(found)))
	}
	return wrong
}
