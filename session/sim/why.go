package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
)

// FormatWhy puts in lines what the engine knows about why a job runs or does
// not, as stories write it.
func FormatWhy(why engine.ClassWhy) []string {
	var out []string
	for _, o := range why.StartOn {
		out = append(out, "start on "+formatOperand(o))
	}
	for _, s := range why.Sockets {
		text := "socket " + s.Address
		if s.Fault != "" {
			text += ": " + s.Fault
		}
		out = append(out, text)
	}
	if why.Changed {
		out = append(out, "its job file has changed")
	}
	if why.Main.At > 0 || why.Main.Pid > 0 {
		out = append(out, fmt.Sprintf("main ended at %s: %s", why.Main.At, formatEnd(why.Main)))
	}
	if why.Rest.Reason != engine.ByNobody {
		as := ""
		if why.RestedAs != "" {
			as = " as " + why.RestedAs
		}
		out = append(out, fmt.Sprintf("came to rest%s at %s: %s", as, why.Rested, formatGoal(why.Rest)))
	}
	if why.Begun.Reason != engine.ByNobody {
		out = append(out, "it was begun at "+why.Begun.At.String()+": "+formatGoal(why.Begun))
	}
	if f := why.Failure; f != nil {
		when := "failed"
		if !f.Present {
			when = "an earlier run failed"
		}
		out = append(out, fmt.Sprintf("%s at %s: %s", when, f.At, f.Reason))
	}
	for _, in := range why.Instances {
		out = append(out, formatInstance(in)...)
	}
	for _, in := range why.Blocking {
		out = append(out, formatInstance(in)...)
	}
	return append(out, FormatCycles(why.Cycles)...)
}

// FormatCycles puts each cycle in a line.
func FormatCycles(cycles []engine.Cycle) []string {
	var out []string
	for _, c := range cycles {
		out = append(out, "cycle "+c.Text)
	}
	return out
}

func formatOperand(o engine.OperandWhy) string {
	text := strings.Join(o.Words, " ") + ": "
	switch {
	case o.Last == nil:
		return text + "never came"
	case o.Came:
		return text + "came at " + formatEvent(*o.Last)
	}
	return text + "came last at " + formatEvent(*o.Last)
}

// formatEvent says when an event was emitted, and by whom.
func formatEvent(ev engine.EventWhy) string {
	text := ev.At.String() + " by "
	switch ev.Source {
	case events.FromCaller:
		return text + formatCaller(ev.By)
	case events.FromJob:
		job, _ := ev.Env.Get("JOB")
		instance, _ := ev.Env.Get("INSTANCE")
		return text + "job " + Label(job, instance)
	}
	return text + ev.Source.String()
}

func formatCaller(by *events.Caller) string {
	if by == nil {
		return "somebody"
	}
	return "'" + by.Command + "'"
}

func formatEnd(end engine.End) string {
	if end.Signal == 0 {
		return fmt.Sprintf("status %d", end.Status)
	}
	core := ""
	if end.Core {
		core = ", core dumped"
	}
	return fmt.Sprintf("%s from %s%s", job.SignalName(end.Signal), end.Sender, core)
}

// formatGoal says where a goal came from.
func formatGoal(from engine.GoalWhy) string {
	switch from.Reason {
	case engine.ByCaller:
		return from.Verb + " by " + formatCaller(from.By)
	case engine.ByEvent:
		var texts []string
		for _, ev := range from.Events {
			texts = append(texts, "event "+ev.Name+" at "+formatEvent(ev))
		}
		return strings.Join(texts, ", ")
	}
	return from.Reason.String()
}

func formatInstance(in engine.InstanceWhy) []string {
	label := Label(in.Class, in.Name)
	out := []string{
		fmt.Sprintf("%s has goal %s since %s: %s", label, in.Goal, in.From.At, formatGoal(in.From)),
		fmt.Sprintf("%s is in %s since %s", label, in.State, in.Since),
	}
	for _, w := range in.Waits {
		out = append(out, label+" waits for "+formatWait(w))
	}
	if in.Respawn.Count > 0 {
		out = append(out, fmt.Sprintf("%s died %d times since %s", label, in.Respawn.Count, in.Respawn.Window))
	}
	for _, o := range in.StopOn {
		out = append(out, label+" stop on "+formatOperand(o))
	}
	for _, h := range in.Awaited {
		out = append(out, label+" is awaited by "+formatHolder(h))
	}
	return out
}

func formatWait(w engine.WaitWhy) string {
	until := ""
	if w.Deadline > 0 {
		until = " until " + w.Deadline.Round(time.Millisecond).String()
	}
	if w.Killed {
		until += ", KILL was sent"
	}
	switch w.Kind {
	case engine.WaitsForEvent:
		var texts []string
		for _, h := range w.Holders {
			texts = append(texts, formatHolder(h))
		}
		return "event " + w.Event.Name + ", held by " + strings.Join(texts, ", ")
	case engine.WaitsForProcess:
		return w.Process.String()
	case engine.WaitsForSpawn:
		return w.Process.String() + " to be made"
	case engine.WaitsForReady:
		lacks := ""
		if w.Lacks != "" {
			lacks = ": " + w.Lacks
		}
		return fmt.Sprintf("%s to be ready after %d forks%s%s", w.Process, w.Forks, until, lacks)
	case engine.WaitsForEnd:
		return w.Process.String() + " to end" + until
	case engine.WaitsForLeftovers:
		return "leftovers to end" + until
	}
	return w.Kind.String() + until
}

func formatHolder(h engine.HolderWhy) string {
	label := Label(h.Class, h.Instance)
	var lacks []string
	for _, words := range h.Missing {
		lacks = append(lacks, strings.Join(words, " "))
	}
	switch h.Kind {
	case engine.HeldByStartOn:
		return "start on of " + label + " (lacks " + strings.Join(lacks, ", ") + ")"
	case engine.HeldByStopOn:
		return "stop on of " + label + " (lacks " + strings.Join(lacks, ", ") + ")"
	case engine.HeldByEvent:
		return "event " + h.Event
	case engine.HeldByCaller:
		return "the caller of " + h.Verb
	}
	return fmt.Sprintf("%s (%s/%s)", label, h.Goal, h.State)
}

// expectWhy compares what the engine knows: about a job, or the cycles.
func (t *teller) expectWhy(words, want []string) error {
	view := t.world.Engine.ViewAt(t.world.Now())
	var got []string
	switch {
	case words[0] == "why" && len(words) == 2 && len(want) > 0:
		class, instance := splitLabel(words[1])
		why, ok := view.WhyClass(class)
		if ok && instance != "" {
			why, ok = view.WhyInstance(class, instance)
		}
		if !ok {
			return fmt.Errorf("there is no such job")
		}
		got = FormatWhy(why)
	case words[0] == "cycles" && (len(words) == 1 && len(want) > 0 || len(words) == 2 && words[1] == "nothing" && len(want) == 0):
		for _, cycle := range view.BlockedCycles() {
			got = append(got, cycle.Text)
		}
	default:
		return errUsage
	}
	if slices.Equal(got, want) {
		return nil
	}
	return &Mismatch{Want: want, Got: got}
}
