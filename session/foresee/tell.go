package foresee

import (
	"fmt"
	"time"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
)

// before is the Cause of what came of nothing that was asked.
const before = -1

// teller makes lines of effects. The effects of a step come in stretches:
// first what came of the input, then, each behind its Progressed, what came
// of the events that it led to. Within a stretch, what happens to an instance
// came of what happened to it last, and first of all of what began it.
type teller struct {
	lines []Line
	since time.Duration // of the first question
	now   time.Duration
	call  engine.CallID // the one that is asked
	view  engine.View

	step  int            // the first line of this step
	cause int            // of the stretch
	timed bool           // the stretch came of time alone
	last  map[string]int // the last line of an instance in the stretch
	ever  map[string]int // the last line of an instance

	events  map[uint64]int // the line of an event's emission
	handled uint64         // the event that was handled last in this step
	procs   map[engine.ProcID]*told
}

// told is what is known of a process.
type told struct {
	job, instance string
	kind          job.ProcessKind
	spawn, signal int // lines
}

func newTeller(w *World, s engine.Snapshot) *teller {
	t := &teller{since: w.now, view: w.View(), last: make(map[string]int), ever: make(map[string]int),
		events: make(map[uint64]int), procs: make(map[engine.ProcID]*told)}
	for _, class := range s.Classes {
		for _, in := range class.Instances {
			for _, p := range in.Procs {
				t.procs[p.Proc] = &told{class.Definition.Name, in.Name, p.Kind, before, before}
			}
		}
	}
	return t
}

// stretch begins one.
func (t *teller) stretch(cause int) {
	t.cause, t.timed = cause, false
	clear(t.last)
}

// tell appends a line that has its Cause.
func (t *teller) tell(l Line) int {
	l.At = t.now - t.since
	t.lines = append(t.lines, l)
	at := len(t.lines) - 1
	if l.Job != "" && l.Kind != Job {
		key := engine.Label(l.Job, l.Instance)
		t.last[key], t.ever[key] = at, at
	}
	return at
}

// follow appends a line that came of what happened to its instance last.
func (t *teller) follow(l Line) int {
	l.Cause = t.cause
	if l.Job != "" {
		key := engine.Label(l.Job, l.Instance)
		last, ok := t.last[key]
		if !ok && t.timed {
			last, ok = t.ever[key]
		}
		if ok {
			l.Cause = last
		}
	}
	return t.tell(l)
}

// ask begins a step that a question takes.
func (t *teller) ask(now time.Duration, call engine.CallID, in engine.Input) {
	t.now, t.call, t.handled, t.step = now, call, 0, len(t.lines)
	verb, words := words(in)
	t.stretch(t.tell(Line{Kind: Asked, Text: verb, Words: words, Cause: before}))
}

// news begins a step that news takes.
func (t *teller) news(now time.Duration, in engine.Input) {
	t.now, t.handled, t.step = now, 0, len(t.lines)
	switch in := in.(type) {
	case engine.Spawned:
		t.stretch(t.spawn(in.Proc))
	case engine.Forked:
		t.stretch(t.spawn(in.Proc))
	case engine.SelfStopped:
		t.stretch(t.spawn(in.Proc))
	case engine.Ready:
		t.stretch(t.spawn(in.Proc))
	case engine.Notified:
		if in.Ready {
			t.stretch(t.spawn(in.Proc))
		}
	case engine.FollowEnded:
		t.stretch(t.spawn(in.Proc))
	case engine.SpawnFailed:
		t.end(in.Proc, in.Reason)
	case engine.Exited:
		text := fmt.Sprintf("status %d", in.Status)
		if in.Signal != 0 {
			text = "signal " + job.SignalName(in.Signal)
		}
		t.end(in.Proc, text)
	case engine.Vacated:
		t.stretch(before)
		t.timed = true
	case engine.Tick:
		t.stretch(before)
		t.timed = true
	}
}

func (t *teller) spawn(id engine.ProcID) int {
	if p := t.procs[id]; p != nil {
		return p.spawn
	}
	return before
}

// end tells of the end of a process.
func (t *teller) end(id engine.ProcID, text string) {
	p := t.procs[id]
	if p == nil {
		t.stretch(before)
		return
	}
	delete(t.procs, id)
	t.stretch(max(p.spawn, p.signal))
	at := t.tell(Line{Kind: End, Job: p.job, Instance: p.instance, Process: p.kind, Text: text, Cause: t.cause})
	t.stretch(at)
}

// effects tells what a step did.
func (t *teller) effects(effects []engine.Effect) {
	for _, effect := range effects {
		switch effect := effect.(type) {
		case engine.Progressed:
			t.progressed(effect)
		case engine.Notify:
			t.notify(effect)
		case engine.Spawn:
			at := t.follow(Line{Kind: Process, Job: effect.Class.Name, Instance: effect.Instance, Process: effect.Kind,
				Words: effect.Class.Processes[effect.Kind].Command().Argv})
			t.procs[effect.Proc] = &told{effect.Class.Name, effect.Instance, effect.Kind, at, before}
		case engine.Kill:
			if p := t.procs[effect.Proc]; p != nil {
				p.signal = t.follow(Line{Kind: Signal, Job: p.job, Instance: p.instance, Process: p.kind,
					Text: job.SignalName(effect.Signal)})
			}
		case engine.Reply:
			if effect.Call == t.call {
				t.answer(effect)
			}
		}
	}
}

func (t *teller) answer(r engine.Reply) {
	l := Line{Kind: Answer, Text: "ok", Cause: t.cause}
	if last, ok := t.last[engine.Label(r.Class, r.Instance)]; ok {
		l.Cause = last
	}
	if r.Err != nil {
		l.Text = r.Err.Msg
		if r.Err.Reason != "" {
			l.Words = []string{r.Err.Reason}
		}
	}
	t.tell(l)
	t.call = 0
}

func (t *teller) progressed(p engine.Progressed) {
	from, known := t.events[p.Event]
	if !known {
		from = before
	}
	switch p.Progress {
	case events.Pending:
		t.events[p.Event] = t.tell(Line{Kind: Event, Text: p.Name, Words: p.Env, Cause: t.emitter(p)})
	case events.Handling:
		t.handled = p.Event
		t.stretch(from)
	case events.Finished:
		kind := Finished
		if p.Failed {
			kind = Failed
		}
		if t.handled == p.Event && !p.Failed {
			// Nobody kept it.
			t.stretch(from)
			return
		}
		t.stretch(t.tell(Line{Kind: kind, Text: p.Name, Cause: t.releaser(p.Failed)}))
	}
}

// releaser is the cause of an event's end: what happened last in this step to
// whom it waited for, be it in another stretch.
func (t *teller) releaser(failed bool) int {
	for at := len(t.lines) - 1; at >= t.step; at-- {
		kind := t.lines[at].Kind
		if t.lines[at].Job != "" && (kind == Failed || !failed && (kind == State || kind == Goal)) {
			return at
		}
	}
	return t.cause
}

// emitter is the cause of an event: the state that emits it, if it is told of
// just before, else what all of the stretch came of.
func (t *teller) emitter(p engine.Progressed) int {
	if n := len(t.lines); n > 0 && p.Name != "" {
		class, _ := p.Env.First("JOB")
		instance, _ := p.Env.First("INSTANCE")
		if l := t.lines[n-1]; l.Kind == State && l.Job == class && l.Instance == instance && l.Text == emitting(p.Name) {
			return n - 1
		}
	}
	return t.cause
}

// emitting is the state that emits an event of that name.
func emitting(event string) string {
	switch event {
	case "started":
		return engine.Running.String()
	case "stopped":
		return engine.Waiting.String()
	}
	return event
}

func (t *teller) notify(n engine.Notify) {
	l := Line{Job: n.Class, Instance: n.Instance, Text: n.Text}
	switch n.Kind {
	case engine.GoalChanged:
		l.Kind = Goal
	case engine.StateChanged:
		l.Kind = State
	case engine.Failed:
		l.Kind, l.Text = Failed, t.view.LastFailure(n.Class)
	case engine.JobAdded:
		l.Kind, l.Text = Job, "added"
	case engine.JobRemoved:
		l.Kind, l.Text = Job, "removed"
	default:
		return
	}
	t.follow(l)
}

// rest tells, when nothing can happen any more, who has not come to rest.
func (t *teller) rest(s engine.Snapshot) {
	if t.call != 0 {
		t.tell(Line{Kind: Answer, Text: "none: it would wait", Cause: t.cause})
	}
	t.stretch(before)
	t.timed = true
	names := make(map[uint64]string)
	for _, ev := range s.Queue.Events {
		names[ev.ID] = ev.Name
	}
	for _, class := range s.Classes {
		for _, in := range class.Instances {
			if text := waitsFor(in, names); text != "" {
				t.follow(Line{Kind: Waits, Job: class.Definition.Name, Instance: in.Name, Text: text})
			}
		}
	}
}

// waitsFor says what an instance waits for; nothing when it is at rest.
func waitsFor(in engine.SavedInstance, names map[uint64]string) string {
	switch {
	case in.State == engine.Running && in.Goal == engine.GoalStart:
		return ""
	case in.Blocker != 0:
		return "event " + names[in.Blocker]
	case len(in.Procs) > 0:
		// A hook that runs beside main stands behind it.
		return "the " + in.Procs[len(in.Procs)-1].Kind.String() + " process"
	}
	return "something that is not foreseen"
}
