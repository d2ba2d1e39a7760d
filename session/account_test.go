package session

import (
	"fmt"
	"slices"
	"strings"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/foresee"
	"github.com/session-init/session-init/session/job"
)

// account is what a World says of a command.
type account struct {
	real *realWorld
	call engine.CallID
	did  []string // as realWorld notes it
	// lines are those that an answer of Simulate has too, with what both say.
	lines     []foresee.Line
	announced []string // events
	procs     map[engine.ProcID]foresee.Line
	processes int
	quit      bool
}

func newAccount(r *realWorld, before engine.Snapshot, call engine.CallID) *account {
	a := &account{real: r, call: call, procs: make(map[engine.ProcID]foresee.Line)}
	for _, class := range before.Classes {
		for _, in := range class.Instances {
			for _, p := range in.Procs {
				a.procs[p.Proc] = foresee.Line{Job: class.Definition.Name, Instance: in.Name, Process: p.Kind}
			}
		}
	}
	return a
}

// step takes the effects of a step.
func (a *account) step(effects []engine.Effect) {
	for _, effect := range effects {
		if line := a.real.effectLine(effect); line != "" {
			a.did = append(a.did, line)
		}
		switch e := effect.(type) {
		case engine.Spawn:
			l := foresee.Line{Kind: foresee.Process, Job: e.Class.Name, Instance: e.Instance, Process: e.Kind,
				Words: e.Class.Processes[e.Kind].Command().Argv}
			a.procs[e.Proc] = l
			a.lines = append(a.lines, l)
			a.processes++
		case engine.Kill:
			l := a.procs[e.Proc]
			l.Kind, l.Text, l.Words = foresee.Signal, job.SignalName(e.Signal), nil
			a.lines = append(a.lines, l)
		case engine.Reply:
			l := foresee.Line{Kind: foresee.Answer, Text: "ok"}
			if e.Err != nil {
				l.Text = e.Err.Msg
			}
			if e.Call == a.call {
				a.lines = append(a.lines, l)
			}
		case engine.Notify:
			a.notify(e)
		case engine.Quit:
			a.quit = true
		}
	}
}

func (a *account) notify(n engine.Notify) {
	l := foresee.Line{Job: n.Class, Instance: n.Instance, Text: n.Text}
	switch n.Kind {
	case engine.EventEmitted:
		a.announced = append(a.announced, eventText(n.Text, n.Env))
		return
	case engine.GoalChanged:
		l.Kind = foresee.Goal
	case engine.StateChanged:
		l.Kind = foresee.State
	case engine.Failed:
		l.Kind = foresee.Failed
	case engine.JobAdded:
		l.Kind, l.Text = foresee.Job, "added"
	case engine.JobRemoved:
		l.Kind, l.Text = foresee.Job, "removed"
	default:
		return
	}
	a.lines = append(a.lines, l)
}

func eventText(name string, env events.Env) string {
	return strings.Join(append([]string{name}, env...), " ")
}

// common returns the lines of an answer that can be seen from outside, as far
// as both sides say the same, and its events.
func common(f foresee.Foresight) (lines []foresee.Line, emitted []string) {
	for _, l := range f.Lines {
		l.At, l.Cause = 0, 0
		switch l.Kind {
		case foresee.Event:
			emitted = append(emitted, eventText(l.Text, l.Words))
			continue
		case foresee.Asked, foresee.Finished, foresee.End, foresee.Waits:
			continue
		case foresee.Answer:
			l.Words = nil
			if strings.HasPrefix(l.Text, "none") {
				continue
			}
		case foresee.Failed:
			if l.Job == "" {
				continue
			}
			l.Text = "" // the reason is announced nowhere
		case foresee.Job:
			if strings.HasPrefix(l.Text, "kept") {
				continue
			}
		}
		lines = append(lines, l)
	}
	return lines, emitted
}

// against holds what was done against what was foreseen.
func (a *account) against(f foresee.Foresight, before, after engine.Snapshot, inOrder bool, sum *tally) string {
	lines, emitted := common(f)
	foreseen, done := texts(lines), texts(a.lines)
	// An event is announced when it has finished: those that nobody has let
	// go yet were there before, or are there still.
	emitted, announced := append(emitted, pending(before)...), append(a.announced, pending(after)...)
	slices.Sort(emitted)
	slices.Sort(announced)
	switch {
	case slices.Equal(foreseen, done) && slices.Equal(emitted, announced):
		sum.exact++
	case inOrder:
		return fmt.Sprintf("this was foreseen:\n\t%s\nand this was done:\n\t%s\nevents foreseen:\n\t%s\nand announced:\n\t%s",
			strings.Join(foreseen, "\n\t"), strings.Join(done, "\n\t"), strings.Join(emitted, "\n\t"), strings.Join(announced, "\n\t"))
	case slices.Equal(byInstance(lines), byInstance(a.lines)) && slices.Equal(emitted, announced):
		sum.reordered++
	default:
		sum.raced++
	}
	return ""
}

func texts(lines []foresee.Line) []string {
	var out []string
	for _, l := range lines {
		out = append(out, l.String())
	}
	return out
}

// byInstance brings the lines of each instance together, in their order.
func byInstance(lines []foresee.Line) []string {
	lines = slices.Clone(lines)
	slices.SortStableFunc(lines, func(a, b foresee.Line) int {
		return strings.Compare(engine.Label(a.Job, a.Instance), engine.Label(b.Job, b.Instance))
	})
	return texts(lines)
}

// pending are the events that have not finished.
func pending(s engine.Snapshot) []string {
	var out []string
	for _, ev := range s.Queue.Events {
		out = append(out, eventText(ev.Name, ev.Env))
	}
	return out
}
