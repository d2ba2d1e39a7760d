package engine

import (
	"slices"
	"strings"

	"github.com/session-init/session-init/events"
)

// failedSuffix ends the name of the event that tells of a failed one.
const failedSuffix = "/failed"

// newEvent adds an event to the queue.
func (e *Engine) newEvent(name string, env events.Env) *events.Event {
	if e.cfg.Debug {
		e.debugf(nil, "event_new: Pending %s event", name)
	}
	ev := e.queue.Emit(name, env)
	ev.At = e.now
	e.progressed(ev)
	return ev
}

// progressed tells that an event has come further, if that is asked for.
func (e *Engine) progressed(ev *events.Event) {
	if e.cfg.Progress {
		e.do(Progressed{Event: ev.ID, Name: ev.Name, Env: ev.Env, Progress: ev.Progress, Failed: ev.Failed})
	}
}

// emitJobEvent emits starting, started, stopping or stopped for an instance;
// with hold the instance waits until the event has finished.
func (e *Engine) emitJobEvent(in *instance, name string, hold bool) {
	def := in.class.def
	ends, room := name == "stopping" || name == "stopped", 2+len(def.Export)
	switch {
	case ends && in.failed:
		room += 3
	case ends:
		room++
	}
	env := append(make(events.Env, 0, room), in.class.entry[len(ourPrefix):], in.entry[len(ourPrefix):])
	if ends {
		if in.failed {
			env = append(env, "RESULT=failed", "PROCESS="+in.result.process)
			if in.result.status != "" {
				env = append(env, in.result.status)
			}
		} else {
			env = append(env, "RESULT=ok")
		}
	}
	if len(def.Export) > 0 {
		env = e.exports(in, env)
	}
	if s := e.loginOf(in.env); s != nil {
		if _, have := env.First(sessionKey); !have {
			env = append(env, s.entry())
		}
	}
	ev := e.newEvent(name, env)
	ev.Source = events.FromJob
	if hold {
		ev.Instance = in.id
		in.blocker = ev
	}
}

// exports adds the variables that a job exports to those of its event.
func (e *Engine) exports(in *instance, env events.Env) events.Env {
	lookup := e.lookup(in)
	for _, key := range in.class.def.Export {
		if _, have := env.First(key); have {
			// What the event says of the job is not for the job to say.
			continue
		}
		if value, ok := lookup(key); ok {
			env = append(env, key+"="+value)
		}
	}
	return env
}

// dispatch lets every condition see an event that may match it: by class, a
// class's running instances before the class itself, so that an event that
// both stops and starts a job stops it first.
func (e *Engine) dispatch(ev *events.Event) {
	if e.ending.cut {
		// Nothing is started any more, and everything is stopped.
		return
	}
	e.found = e.found[:0]
	e.index.Find(ev.Name, ev.Env, func(w *watch) {
		if w.seen != ev.ID {
			w.seen = ev.ID
			e.found = append(e.found, w)
		}
	})
	slices.SortFunc(e.found, compareWatch)
	for _, w := range e.found {
		switch {
		case w.in != nil:
			e.handleStop(w.in, ev)
		case w == w.class.watch:
			// Else the last instance has gone by a stop on this very event,
			// and the definition with it.
			e.handleStart(w.class, ev)
		}
	}
	clear(e.found)
	if ev.Name == sessionStop {
		e.stopLogin(ev)
	}
}

func compareWatch(a, b *watch) int {
	if a.class != b.class {
		return strings.Compare(a.class.def.Name, b.class.def.Name)
	}
	switch {
	case a.in == nil:
		return 1
	case b.in == nil:
		return -1
	case a.in.id < b.in.id:
		return -1
	}
	return 1
}

func (e *Engine) handleStop(in *instance, ev *events.Event) {
	if in.gone || !in.stopOn.Handle(&e.queue, ev, e.lookup(in)) || !in.stopOn.True() {
		return
	}
	evs, env, names := gather(in.stopOn)
	switch {
	case in.goal != GoalStop:
		in.stopEnv, in.stopEvents = env, names
		in.wish = wish{reason: ByEvent, at: e.now, events: evs}
		e.release(in, false)
		e.waitFor(in, evs)
		e.changeGoal(in, GoalStop)
	case e.ending.begun && !slices.ContainsFunc(evs, func(ev *events.Event) bool { return e.holdsUp(ev, in) }):
		// The end of the session stops all jobs at once; this one, by its
		// own rule, is to be gone before what it depends on is.
		e.waitFor(in, evs)
	}
	in.stopOn.Reset(&e.queue)
}

func (e *Engine) handleStart(c *class, ev *events.Event) {
	if c.startOn.Handle(&e.queue, ev, e.startVariables(ev.Name)) {
		e.startIfTrue(c)
	}
}

// startIfTrue starts the instance that the events of a start condition
// name, if the condition has come true, and lets it begin afresh.
func (e *Engine) startIfTrue(c *class) {
	if !c.startOn.True() {
		return
	}
	evs, env, names := gather(c.startOn)
	if name, err := e.instanceName(c, env); err != nil {
		e.do(Log{Level: Warn, Class: c.def.Name, Msg: c.def.Name + ": cannot start on " + strings.Join(names, " ") + ": " + err.Msg})
		e.serveNobody(c, names)
	} else {
		in := c.instance(name)
		if in == nil {
			in = e.newInstance(c, name)
		}
		if in.goal != GoalStart {
			e.begin(in, &beginning{env, names, filesOf(evs)})
			in.wish = wish{reason: ByEvent, at: e.now, events: evs}
			e.release(in, false)
			e.waitFor(in, evs)
			e.changeGoal(in, GoalStart)
		}
	}
	c.startOn.Reset(&e.queue)
}

// gather returns the events of a condition that has come true, each once; and
// operand by operand their variables, the later ones laid over the earlier,
// and their names: what two operands match counts at both places.
func gather(c *events.Condition) (evs []*events.Event, env events.Env, names []string) {
	for _, ev := range c.Events() {
		if !slices.Contains(evs, ev) {
			evs = append(evs, ev)
		}
		env = env.Merge(ev.Env)
		names = append(names, ev.Name)
	}
	return evs, env, names
}

// eventFinished announces the end of an event and resumes what it held.
func (e *Engine) eventFinished(ev *events.Event) {
	if e.cfg.Debug {
		e.debugf(nil, "event_finished: Finished %s event", ev.Name)
	}
	e.progressed(ev)
	e.do(Notify{Kind: EventEmitted, Text: ev.Name, Env: ev.Env})
	e.dropFiles(ev.File)
	if ev.Name == sessionStop {
		e.loginOver(ev)
	}
	if in := e.instances.get(ev.Instance); in != nil && in.blocker == ev {
		in.blocker = nil
		e.stir(in)
		e.advance(in)
	}
	if ev.Call != 0 {
		var err *Error
		if ev.Failed {
			err = errorf(EventFailed, "Event failed")
		}
		e.replyLater(CallID(ev.Call), nil, err)
	}
	if ev.Failed && !strings.HasSuffix(ev.Name, failedSuffix) {
		e.newEvent(ev.Name+failedSuffix, ev.Env).Source = events.FromEvent
	}
}
