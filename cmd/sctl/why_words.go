package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/job"
)

// goal says where a goal came from; by is what it is when it came by itself.
func (s *screen) goal(g *whyGoal, by string) string {
	switch g.Reason {
	case "caller":
		if g.Caller != nil && g.Caller.Command == g.Verb {
			return "by " + s.caller(g.Caller) + ", " + s.clock(g.At)
		}
		return fmt.Sprintf("by a %s from %s, %s", strings.ReplaceAll(g.Verb, "force-stop", "stop --force"), s.caller(g.Caller), s.clock(g.At))
	case "event":
		var texts []string
		for i := range g.Events {
			ev := &g.Events[i]
			text := ev.Name
			if ev.Source == "job" {
				text += " " + instanceName(ev.Job, ev.Instance)
			} else {
				text += s.emitter(ev)
			}
			texts = append(texts, text+", "+s.clock(ev.At))
		}
		switch len(texts) {
		case 0:
			return "by an event, " + s.clock(g.At)
		case 1:
			return "by the event " + printable(texts[0])
		}
		return "by the events " + printable(several(texts))
	case "itself":
		return by
	case "session-end":
		return "because the session ends, " + s.clock(g.At)
	case "adopted":
		return "before this session-init came, which found it running"
	}
	return "by nobody"
}

// text says what comes of it that a job lingers.
func (l *whyStay) text() string {
	switch {
	case !l.UntilLogout:
		return "it outlives its login session"
	case l.Logins > 0:
		return "it outlives its login session, and session-init, which is to end with the last one, stays for it"
	case len(l.Jobs) > 1:
		return "the last login session is over, and session-init stays for what lingers: " + listed(l.Jobs) + "; it ends with the last of these"
	}
	return "the last login session is over, and session-init stays for it, and ends with it"
}

// caller names who has asked.
func (s *screen) caller(c *whyCaller) string {
	if c == nil {
		return "somebody"
	}
	var details []string
	if c.Pid > 0 {
		details = append(details, "process "+strconv.Itoa(c.Pid))
	}
	if c.User != s.uid && c.Pid > 0 {
		details = append(details, "user "+strconv.Itoa(c.User))
	}
	if c.Job != "" {
		details = append(details, "of job "+instanceName(c.Job, c.Instance))
	}
	name := printable(c.Command)
	if name == "" {
		name = "somebody"
	}
	if len(details) > 0 {
		name += " (" + strings.Join(details, ", ") + ")"
	}
	return name
}

// sender says who sent the signal that ended a process.
func sender(w *whyJob, end *whyEnd) string {
	switch end.Sender {
	case "others":
		if end.Signal == "SEGV" || end.Signal == "ABRT" || end.Signal == "BUS" || end.Signal == "FPE" || end.Signal == "ILL" {
			return "session-init did not send it: most likely it is a fault of the program"
		}
		return "session-init did not send it; who did is not known"
	case "stop":
		return "session-init sent it, to stop it"
	case "force":
		return "session-init sent it, to stop it by force"
	case "kill-timeout":
		return at("session-init sent it, because it did not end within kill timeout", w.places["kill timeout"])
	case "session-end":
		return "session-init sent it, at the end of the session"
	case "reload":
		return at("it was the reload signal, which the program does not handle", w.places["reload signal"])
	case "watchdog":
		return at("session-init sent it, because main was silent for too long", w.places["watchdog"])
	case "caller":
		return "somebody had it sent with sctl signal"
	}
	return ""
}

// ended says how a process ended.
func (s *screen) ended(w *whyJob, end *whyEnd) string {
	switch {
	case end.Signal != "":
		return "was ended by " + end.Signal + "; " + sender(w, end)
	case end.Status != nil:
		return fmt.Sprintf("exited with status %d", *end.Status)
	}
	return "ended, nobody knows how"
}

// shellStatus says what a shell means by a status.
func shellStatus(status int) string {
	switch {
	case status == 126:
		return "of a shell, 126 means a command that may not be executed"
	case status == 127:
		return "of a shell, 127 means a command that was not found"
	case status > 128 && status <= 128+64:
		return fmt.Sprintf("of a shell, %d means a command that was ended by %s", status, job.SignalName(status-128))
	}
	return ""
}

// wait says what an instance waits for.
func (s *screen) wait(w *whyJob, wait *whyWait) string {
	until := func(what string) string {
		switch {
		case wait.Killed:
			return "; KILL was sent, and has not ended it"
		case wait.Deadline.IsZero():
			return ""
		}
		return "; " + what + " at " + s.ago(wait.Deadline)
	}
	process := "its " + wait.Process + " process"
	if wait.Pid > 0 {
		process += " " + strconv.Itoa(wait.Pid)
	}
	switch wait.For {
	case "event":
		return "what its event '" + wait.Event.Name + "' has set going: " + s.holders(wait.HeldBy)
	case "process":
		return at(process+" to end", w.place(wait.Process))
	case "spawn":
		return process + " to be made"
	case "ready":
		text := at(process+" to be ready", w.places["expect"])
		if wait.Forks > 0 {
			text += ", which has forked " + count(wait.Forks, "time")
		}
		if wait.Lacks != "" {
			text += " (" + printable(wait.Lacks) + ")"
		}
		if w.guesses {
			return text + until("it is taken as it is")
		}
		return text + until("else it fails")
	case "end":
		return at(process+" to end, which it was asked to", w.places["kill timeout"]) + until("KILL follows")
	case "leftovers":
		return at("what its main process left behind to end", w.places["kill timeout"]) + until("KILL follows")
	case "respawn":
		return at("its respawn", w.places["respawn delay"]) + until("it is")
	}
	return wait.For
}

// holders names who holds up something, or waits.
func (s *screen) holders(list []whyHolder) string {
	var texts []string
	for i, h := range list {
		if i == maxHolders {
			texts = append(texts, count(len(list)-i, "other"))
			break
		}
		texts = append(texts, s.holder(h))
	}
	if len(texts) == 0 {
		return "nobody any more"
	}
	return several(texts)
}

func (s *screen) holder(h whyHolder) string {
	name := instanceName(h.Job, h.Instance)
	var lacks []string
	for _, words := range h.Missing {
		lacks = append(lacks, strings.Join(words, " "))
	}
	switch h.Kind {
	case "start-on":
		return printable("the start on of " + name + ", which lacks " + several(lacks))
	case "stop-on":
		return printable("the stop on of " + name + ", which lacks " + several(lacks))
	case "event":
		return printable("the event '" + h.Event + "'")
	case "caller":
		return "whoever called " + h.Verb
	}
	return fmt.Sprintf("%s (%s, goal %s)", name, h.State, h.Goal)
}

// blocker tells of an instance that is waited for, in the end.
func (s *screen) blocker(w *whyJob, in *whyInstance) string {
	parts := []string{fmt.Sprintf("%s, %s since %s%s", instanceName(in.Job, in.Name), in.State, s.clock(in.Since), pids(in.Processes))}
	other := &whyJob{places: map[string]string{}}
	if in.Job == w.Job {
		other = w
	}
	for i := range in.Waits {
		parts = append(parts, "waits for "+s.wait(other, &in.Waits[i]))
	}
	if len(in.Waits) == 0 && in.State == "running" {
		parts = append(parts, "a task that is not done yet")
	}
	return strings.Join(parts, "; ")
}

// about says in a sentence what another job does.
func (q *whyQuestion) about(w *whyJob) string {
	s := &screen{marks: q.marks(), wall: w.wall, uid: q.uid, again: q.again}
	next := "; " + q.again("sctl why "+w.Job)
	if len(w.Instances) > 0 {
		in := &w.Instances[0]
		text := fmt.Sprintf("%s is in state %s (goal %s) since %s", instanceName(w.Job, in.Name), in.State, in.Goal, s.clock(in.Since))
		if in.State == "running" && in.Goal == "start" {
			return text + next
		}
		if len(in.Waits) > 0 {
			w.places = map[string]string{}
			text += ", waits for " + s.wait(w, &in.Waits[0])
		}
		return text + next
	}
	switch {
	case w.Failure != nil && w.Failure.Present:
		return fmt.Sprintf("%s failed at %s: %s", w.Job, s.clock(w.Failure.End.At), printable(w.Failure.Reason)) + next
	case w.Rest != nil:
		return fmt.Sprintf("%s stopped at %s, %s", w.Job, s.clock(w.Rest.Rested), s.goal(&w.Rest.whyGoal, "by itself")) + next
	case w.StartOn == nil:
		return w.Job + " was not started yet, and nothing starts it by itself" + next
	}
	var lacks []string
	for _, o := range w.StartOn.Operands {
		if !o.Came {
			lacks = append(lacks, o.text())
		}
	}
	if len(lacks) > 3 {
		lacks = append(lacks[:3], "others")
	}
	return w.Job + " was not started yet: it waits for " + several(lacks) + next
}

// nearest gives the name of a job that was most likely meant, or "".
func (q *whyQuestion) nearest(name string) string {
	paths, err := q.callStrings(api.ManagerPath, api.ManagerInterface, "GetAllJobs")
	if err != nil {
		return ""
	}
	var names []string
	for _, path := range paths {
		if have, _, _, ok := api.ParsePath(path); ok {
			names = append(names, have)
		}
	}
	return job.Suggest(name, names)
}
