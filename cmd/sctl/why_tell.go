package main

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// What is bounded, so that the answer fits a screen.
const (
	maxInstances = 8
	maxBlocking  = 4
	maxHolders   = 4
	maxLeft      = 3
)

// minPurpose is what a command that is proposed leaves of a line, at least, to say
// what it is for.
const minPurpose = 30

// screen writes the answer for people.
func (q *whyQuestion) screen(report *whyReport) []string {
	s := &screen{marks: q.marks(), home: q.getenv("HOME"), wall: report.Time.Time, uid: q.uid, again: q.again}
	switch {
	case report.Event != nil:
		s.event(report.Event)
	case report.Broken != nil:
		s.broken(report.Broken)
	default:
		s.job(report.Job)
	}
	for i, line := range s.lines {
		s.lines[i] = q.painted(i, printable(line), s.marks)
	}
	return s.lines
}

// painted gives a line its colours.
func (q *whyQuestion) painted(i int, line string, m marks) string {
	text := strings.TrimLeft(line, " ")
	indent := line[:len(line)-len(text)]
	switch {
	case i == 0:
		return q.paint(bold, line)
	case strings.HasPrefix(text, m.came+" ") && indent != "":
		return indent + q.paint(green, m.came) + text[len(m.came):]
	case strings.HasPrefix(text, m.missing+" ") && indent != "":
		return indent + q.paint(red, m.missing) + text[len(m.missing):]
	}
	return line
}

func (s *screen) broken(f *whyFile) {
	s.lines = append(s.lines, f.Job+" is no job: its file has mistakes")
	for _, problem := range f.Problems {
		s.hang("  ", 4, s.path(printable(problem)))
	}
	s.next(f.Next)
}

// job tells of a job: what is asked for first, then why, then the details, and
// last what can be done.
func (s *screen) job(w *whyJob) {
	switch {
	case len(w.Instances) == 0:
		s.resting(w)
	case len(w.Instances) == 1:
		s.running(w, &w.Instances[0])
	default:
		s.many(w)
	}
	for i, socket := range w.Sockets {
		label, text := "", socket.Address
		if i == 0 {
			label = "sockets"
		}
		if socket.Waiting > 0 {
			text += ", " + count(socket.Waiting, "connection") + " not accepted"
		}
		if socket.Fault != "" {
			text += ", " + socket.Fault
		}
		s.say(label, s.path(printable(text)))
	}
	if w.Lingers != nil {
		s.say("lingers", w.Lingers.text())
	}
	if w.Machine != "" {
		s.say("machine", printable(w.Machine))
	}
	for _, p := range w.LeftBehind[:min(len(w.LeftBehind), maxLeft)] {
		s.say("left over", fmt.Sprintf("process %d (%s), of a run that has ended", p.Pid, printable(p.Command)))
	}
	if more := len(w.LeftBehind) - maxLeft; more > 0 {
		s.more(fmt.Sprintf("and %d more", more))
	}
	for i, problem := range w.Problems {
		label := ""
		if i == 0 {
			label = "beware"
		}
		s.say(label, s.path(printable(problem)))
	}
	if w.otherReason != "" {
		s.more(w.otherReason)
	}
	file := s.path(w.File)
	if w.Override != "" {
		file += ", with " + s.path(w.Override)
	}
	switch {
	case w.Changed && w.File == "":
		file = "none: " + transientText
	case w.Changed:
		file += "; another definition, or none, takes over when the last instance has stopped"
	}
	s.say("file", printable(file))
	for i, other := range w.OtherFiles {
		if i < 2 {
			s.more("not " + printable(s.path(other)) + ", which does not count")
		}
	}
	s.log(w)
	s.next(w.Next)
}

// resting tells of a job, or an instance, that does not run.
func (s *screen) resting(w *whyJob) {
	name := w.Job
	if w.Instance != nil {
		name = instanceName(w.Job, *w.Instance)
	} else if w.Rest != nil {
		name = instanceName(w.Job, w.Rest.Instance)
	}
	head := name + " is not running: "
	failed := w.Failure != nil && w.Failure.Present
	switch {
	case failed:
		head += "it failed at " + s.ago(w.Failure.End.At)
	case w.Rest == nil:
		head += "it was not started yet"
	case w.Task && w.Rest.Reason != "caller" && w.Rest.Reason != "session-end":
		head += "this task was done at " + s.ago(w.Rest.Rested)
	default:
		head += "it stopped at " + s.ago(w.Rest.Rested)
	}
	s.hang("", 2, head)
	if w.Begun != nil {
		s.say("started", s.goal(w.Begun, "by itself"))
	}
	if failed {
		s.failure(w, "failed")
	} else {
		if w.Rest != nil {
			s.say("stopped", s.goal(&w.Rest.whyGoal, "by itself: its main process ended"))
		}
		if end := w.MainEnd; end != nil && w.Rest != nil && (w.Rest.Reason == "itself" || end.Sender != "" && end.Sender != "stop") {
			s.say("main", "at "+s.clock(end.At)+" it "+s.ended(w, end))
			s.notes(end)
		}
		if w.Failure != nil {
			s.failure(w, "earlier")
		}
	}
	s.startOn(w)
}

// startOn says what a job waits for to be started.
func (s *screen) startOn(w *whyJob) {
	switch {
	case w.StartOn != nil:
		s.say("start on", at("not all that it takes has come", w.StartOn.Place))
		if len(w.StartOn.postfix) > 0 && len(w.StartOn.Operands) == 1 {
			s.lines[len(s.lines)-1] = at("start on"+strings.Repeat(" ", labelColumns-len("start on"))+"it waits for this event", w.StartOn.Place)
		}
		s.tree(w.StartOn)
	case w.Manual != "":
		s.say("start on", "nothing starts it by itself: "+s.path(w.Manual)+" says 'manual'")
	default:
		s.say("start on", "nothing: its file has no 'start on', it is started by hand")
	}
}

// running tells of one instance.
func (s *screen) running(w *whyJob, in *whyInstance) {
	name := instanceName(in.Job, in.Name)
	switch {
	case in.State == "running" && in.Goal == "start":
		s.hang("", 2, fmt.Sprintf("%s is running since %s%s", name, s.ago(in.Since), pids(in.Processes)))
	case in.Goal == "start":
		s.hang("", 2, fmt.Sprintf("%s is not running yet: in state %s since %s%s", name, in.State, s.ago(in.Since), pids(in.Processes)))
	default:
		s.hang("", 2, fmt.Sprintf("%s is being stopped: in state %s since %s%s", name, in.State, s.ago(in.Since), pids(in.Processes)))
	}
	label := "started"
	if in.Goal != "start" {
		label = "stopped"
	}
	if in.From.Reason != "" && in.From.Reason != "nobody" {
		s.say(label, s.goal(&in.From, "by itself: its main process ended, or a process failed"))
	}
	for i, wait := range in.Waits {
		label := ""
		if i == 0 {
			label = "waits for"
		}
		s.say(label, s.wait(w, &wait))
	}
	for i, b := range w.Blocking {
		if len(w.Cycles) > 0 {
			break // the circle tells it
		}
		label := ""
		if i == 0 {
			label = "held up by"
		}
		if i == maxBlocking {
			s.more("and " + count(len(w.Blocking)-i, "other instance"))
			break
		}
		s.say(label, s.blocker(w, &b))
	}
	for _, cycle := range w.Cycles {
		s.say("in a circle", printable(cycle)+": it would last for ever")
	}
	if len(in.Awaited) > 0 {
		s.say("awaited by", s.holders(in.Awaited))
	}
	if in.Ready != "" {
		s.say("ready", fmt.Sprintf("its main process %s after %s", printable(in.Ready), duration(time.Duration(in.ReadyAfter*float64(time.Second)))))
		if in.Lacks != "" {
			s.say("but since", printable(in.Lacks))
		}
	}
	if in.Said != "" {
		s.say("says", "of itself: "+printable(in.Said))
	}
	if len(in.Stored) > 0 {
		s.say("keeps", printable(storedText(in.Stored)))
	}
	if in.Note != "" && len(in.Waits) == 0 {
		s.say("note", printable(in.Note))
	}
	if in.Deaths > 0 && w.RespawnAt != nil {
		s.say("respawned", s.respawns(w, in))
		if w.MainEnd != nil {
			s.more("the last time, " + s.clock(w.MainEnd.At) + ", main " + s.ended(w, w.MainEnd))
		}
		s.notes(w.MainEnd)
	} else if w.Failure != nil {
		label := "earlier"
		if w.Failure.Present {
			label = "failed"
		}
		s.failure(w, label)
	}
	if len(in.StopOn) > 0 && in.Goal == "start" && len(in.StopOn) <= maxTree/2 {
		for i := range in.StopOn {
			label := ""
			if i == 0 {
				label = "stop on"
			}
			o := &in.StopOn[i]
			s.say(label, at(o.text()+": "+s.operand(o), w.places["stop on"]))
		}
	}
}

// many tells of each of several instances in a line or two.
func (s *screen) many(w *whyJob) {
	s.hang("", 2, fmt.Sprintf("%s has %d instances: %s tells of one", w.Job, len(w.Instances), s.again("sctl why "+w.Job+" INSTANCE")))
	for i := range w.Instances {
		if i == maxInstances {
			s.hang("  ", 4, "and "+count(len(w.Instances)-i, "other"))
			break
		}
		in := &w.Instances[i]
		s.hang("  ", 4, fmt.Sprintf("%s: %s (%s) since %s%s, %s", in.Name, in.State, in.Goal, s.clock(in.Since), pids(in.Processes),
			s.goal(&in.From, "by itself")))
	}
	for _, cycle := range w.Cycles {
		s.say("in a circle", printable(cycle)+": it would last for ever")
	}
	if w.Failure != nil {
		s.failure(w, "failed")
	}
}

// pids gives ", process 12" for main, and names others.
func pids(list []processReport) string {
	out := ""
	for _, p := range list {
		kind := ""
		if p.Kind != "main" {
			kind = p.Kind + " "
		}
		out += fmt.Sprintf(", %sprocess %d", kind, p.Pid)
	}
	return out
}

// failure tells of the last failure.
func (s *screen) failure(w *whyJob, label string) {
	f := w.Failure
	head := f.Reason
	if label != "failed" || f.End.Instance != "" && len(w.Instances) > 0 {
		head = s.clock(f.End.At) + ": " + head
		if f.End.Instance != "" && w.Instance == nil {
			head = instanceName(w.Job, f.End.Instance) + ", " + head
		}
	}
	process := f.End.Process
	if process == "" {
		process = f.Process
	}
	s.say(label, at(printable(head), w.place(process)))
	if text := sender(w, &f.End); text != "" {
		s.more(fmt.Sprintf("it was process %d; %s", f.End.Pid, text))
	} else if f.End.Pid > 0 {
		s.more(fmt.Sprintf("it was process %d", f.End.Pid))
	}
	if f.End.Status != nil && *f.End.Status > 0 && f.End.Pid > 0 {
		if text := shellStatus(*f.End.Status); text != "" {
			s.more(text)
		}
	}
	s.notes(&f.End)
	if f.Process == "respawn" && w.RespawnAt != nil {
		s.more(w.limit() + " is reached: it was not started again")
	}
}

// notes adds what the client has found out about the end of a process.
func (s *screen) notes(end *whyEnd) {
	if end != nil {
		for _, note := range end.Notes {
			s.more(note)
		}
	}
}

// place gives where the stanza of a process stands.
func (w *whyJob) place(process string) string {
	if process == "main" || process == "respawn" || process == "" {
		if place := w.places["exec"]; place != "" {
			return place
		}
		return w.places["script"]
	}
	if place := w.places[process+" exec"]; place != "" {
		return place
	}
	return w.places[process+" script"]
}

// limit names the respawn limit.
func (w *whyJob) limit() string {
	if w.RespawnAt.Limit == 0 || w.RespawnAt.Interval == 0 {
		return at("no respawn limit", w.places["respawn limit"])
	}
	place := w.places["respawn limit"]
	if place == "" {
		place = "the default"
	}
	return at(fmt.Sprintf("the respawn limit of %d in %v s", w.RespawnAt.Limit, w.RespawnAt.Interval), place)
}

func (s *screen) respawns(w *whyJob, in *whyInstance) string {
	times := "once"
	if in.Deaths > 1 {
		times = fmt.Sprintf("%d times", in.Deaths)
	}
	if w.RespawnAt.Limit == 0 || w.RespawnAt.Interval == 0 {
		return times + " since " + s.clock(in.Window) + ", " + w.limit()
	}
	return times + " since " + s.clock(in.Window) + "; " + w.limit() + " is not reached"
}

// log shows the end of the log, as many lines as there is room for.
func (s *screen) log(w *whyJob) {
	if w.Log == nil || len(w.Log.Lines) == 0 {
		return
	}
	room := screenLines - len(s.lines) - 1 - len(w.Next)
	room = min(max(room, minLogLines), len(w.Log.Lines))
	s.say("log", s.path(w.Log.File)+", written "+s.ago(w.Log.Written)+":")
	for _, line := range w.Log.Lines[len(w.Log.Lines)-room:] {
		text := []rune("  | " + printable(strings.ReplaceAll(line, "\t", " ")))
		if len(text) > screenColumns {
			text = append(text[:screenColumns-3], '.', '.', '.')
		}
		s.lines = append(s.lines, string(text))
	}
}

// next says what can be typed now, and behind each command what for; below it
// where that leaves too little room, as with an address.
func (s *screen) next(list []whyNext) {
	width, purpose := 0, 0
	for _, n := range list {
		width, purpose = max(width, utf8.RuneCountInString(n.Command)), max(purpose, utf8.RuneCountInString(n.For))
	}
	column := labelColumns + width + len("  ")
	narrow := column+min(purpose, minPurpose) > screenColumns
	for i, n := range list {
		label := ""
		if i == 0 {
			label = "next"
		}
		head := fmt.Sprintf("%-*s%-*s  ", labelColumns, label, width, n.Command)
		if narrow {
			s.hang(head, 0, "")
			head, column = strings.Repeat(" ", labelColumns+2), labelColumns+2
		}
		s.hang(head, column, n.For)
	}
}
