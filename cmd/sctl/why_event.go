package main

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/desktop"
)

// whyAbout is an event that jobs wait for.
type whyAbout struct {
	Event string `json:"event"`
	// Last is when it came last, as far as a job that waits for it knows.
	Last    *whyEvent   `json:"last,omitempty"`
	Waiting []whyWaiter `json:"jobs"`
	// More is how many jobs wait for it beside these.
	More int `json:"more,omitempty"`
	// Emitters are the jobs that say that they emit it.
	Emitters []string `json:"emitted_by,omitempty"`
	// Machine is what a job says of the machine; see whyJob.
	Machine string `json:"machine,omitempty"`
	// Comes says when an event comes that only session-init emits.
	Comes string    `json:"comes,omitempty"`
	Next  []whyNext `json:"next"`
	wall  time.Time
}

// whyWaiter is an operand of a condition with that event.
type whyWaiter struct {
	Job    string     `json:"job"`
	Stanza string     `json:"stanza"`
	Place  string     `json:"place,omitempty"`
	State  string     `json:"state"`
	On     whyOperand `json:"operand"`
}

// startupEvent is what session-init emits first.
const startupEvent = "startup"

// The events of login sessions, and when they come.
const (
	sessionStart = "session-start"
	sessionStop  = "session-stop"
	startComes   = "session-init emits it when a login session gets its display"
	stopComes    = "session-init emits it when a login session or its display has ended"
)

// noDisplay is what is said of a session-start that cannot have come.
const noDisplay = "no login session has a display"

// relateLogins says of a session-start that has not come whether there is a login
// session that would have it. A job that "manual" keeps from it needs one as well.
func (q *whyQuestion) relateLogins(w *whyJob) {
	awaits := func(o whyOperand) bool { return len(o.Words) > 0 && o.Words[0] == sessionStart && !o.Came }
	if w.StartOn != nil && !slices.ContainsFunc(w.StartOn.Operands, awaits) || w.StartOn == nil && !w.keptFromLogins {
		return
	}
	logins, err := q.logins()
	if err != nil || slices.ContainsFunc(logins, func(s loginInfo) bool { return s.state == "begun" }) {
		return // it is an addition
	}
	w.displayless = !q.haveDisplay()
	if w.StartOn == nil {
		return
	}
	for i := range w.StartOn.Operands {
		if o := &w.StartOn.Operands[i]; awaits(*o) {
			o.About = noDisplay
		}
	}
}

// haveDisplay tells whether all jobs have been given a display, as by a
// session-init that was started in a desktop.
func (q *whyQuestion) haveDisplay() bool {
	for _, key := range [...]string{"WAYLAND_DISPLAY", "DISPLAY"} {
		value, err := q.callString(api.ManagerPath, api.ManagerInterface, "GetEnv", []string{}, key)
		if err == nil && value != "" {
			return true
		}
	}
	return false
}

// relateStartup says of a startup that has not come when it does: before, it came
// to those that waited for it.
func (w *whyJob) relateStartup() {
	for i := range w.StartOn.Operands {
		if o := &w.StartOn.Operands[i]; o.Last == nil && len(o.Words) > 0 && o.Words[0] == startupEvent {
			o.About = "session-init emits it once, when it starts"
		}
	}
}

// maxWaiters bounds the jobs that are told of.
const maxWaiters = 12

// event finds out who waits for an event of that name; nil for nobody.
func (q *whyQuestion) event() (*whyAbout, error) {
	paths, err := q.callStrings(api.ManagerPath, api.ManagerInterface, "GetAllJobs")
	if err != nil {
		return nil, err
	}
	configs, err := q.readConfigs(paths)
	if err != nil {
		return nil, err
	}
	about := &whyAbout{Event: q.job, Waiting: []whyWaiter{}}
	var names []string
	for _, config := range configs {
		for _, stanza := range config.stanzas {
			if len(stanza.condition) == 0 && slices.Contains(stanza.words, q.job) {
				about.Emitters = append(about.Emitters, config.name)
			}
			for _, words := range stanza.condition {
				if !isOperator(words) && len(words) > 0 && words[0] == q.job && !slices.Contains(names, config.name) {
					names = append(names, config.name)
				}
			}
		}
	}
	if len(names) > maxAsked {
		about.More, names = len(names)-maxAsked, names[:maxAsked]
	}
	for _, name := range names {
		w, err := q.ask(api.JobPath(name))
		if gone(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		q.readPlaces(w)
		about.wall = w.wall
		about.Machine = cmp.Or(about.Machine, w.Machine)
		about.add(w)
	}
	ours := q.job == sessionStart || q.job == sessionStop
	if len(about.Waiting) == 0 && !ours {
		return nil, nil
	}
	about.Next = []whyNext{}
	if ours {
		// Emitted by hand it would be of no login session: its jobs would run
		// without a display.
		about.Comes = startComes
		if q.job == sessionStop {
			about.Comes = stopComes
		}
	} else {
		about.Next = []whyNext{{"sctl emit " + shellWord(q.job), "emits it, with the variables that conditions ask for"}}
	}
	q.nextOfEvent(about, ours)
	return about, nil
}

// nextOfEvent adds what leads on: of the events of login sessions first which of
// these there are, or how one begins; then the job that is most likely meant.
func (q *whyQuestion) nextOfEvent(a *whyAbout, ours bool) {
	next := nexts{list: a.Next}
	if ours {
		logins, err := q.logins()
		none := err == nil && !slices.ContainsFunc(logins, func(s loginInfo) bool { return s.state == "begun" })
		if a.Event == sessionStart && none {
			next.addLogin()
		} else {
			next.add("sctl session list", "tells which login sessions there are")
		}
	}
	if name := a.meant(); name != "" {
		next.add("sctl why "+shellWord(name), "tells of that job")
	}
	a.Next = next.list
}

// meant gives the job of those that wait that is most likely meant: one that the
// event has not brought to run, of a job file rather than of a desktop entry, of
// which there are many, or of a phase of those; empty for none.
func (a *whyAbout) meant() string {
	rank := func(w whyWaiter) int {
		n := 0
		if strings.HasPrefix(w.Job, desktop.JobPrefix) || strings.HasPrefix(w.Job, desktop.PhasePrefix) {
			n += 2
		}
		if w.State != "not running" {
			n++
		}
		return n
	}
	if len(a.Waiting) == 0 {
		return ""
	}
	return slices.MinFunc(a.Waiting, func(x, y whyWaiter) int { return rank(x) - rank(y) }).Job
}

// add notes the operands of a job that are about the event.
func (a *whyAbout) add(w *whyJob) {
	state := "not running"
	if len(w.Instances) > 0 {
		state = w.Instances[0].State
	}
	note := func(stanza string, operands []whyOperand) {
		for _, o := range operands {
			if len(o.Words) == 0 || o.Words[0] != a.Event {
				continue
			}
			a.Waiting = append(a.Waiting, whyWaiter{w.Job, stanza, w.places[stanza], state, o})
			if o.Last != nil && (a.Last == nil || o.Last.At.After(a.Last.At.Time)) {
				a.Last = o.Last
			}
		}
	}
	if w.StartOn != nil {
		note("start on", w.StartOn.Operands)
	}
	for i := range w.Instances {
		note("stop on", w.Instances[i].StopOn)
	}
	if stop := w.stopOn(); len(w.Instances) == 0 {
		note("stop on", stop)
	}
}

// event tells of an event.
func (s *screen) event(a *whyAbout) {
	head := "'" + printable(a.Event) + "' is no job but an event, "
	switch {
	case len(a.Waiting) == 0:
		head += "for which no job waits"
	case a.Last == nil:
		head += "which has not come to these jobs yet"
	default:
		head += "which came last " + s.ago(a.Last.At) + s.emitter(a.Last)
	}
	s.hang("", 2, head)
	if a.Last != nil && len(a.Last.Env) > 0 {
		s.say("it had", printable(strings.Join(a.Last.Env, " ")))
	}
	if a.Comes != "" {
		s.say("comes", a.Comes)
	}
	if len(a.Emitters) > 0 {
		s.say("emitted by", several(a.Emitters))
	}
	for i := range a.Waiting {
		w := &a.Waiting[i]
		if i == maxWaiters {
			s.hang("  ", 4, "and "+count(len(a.Waiting)-i+a.More, "other condition"))
			break
		}
		mark, came := s.missing, s.operand(&w.On)
		if w.On.Came {
			mark = s.came
		}
		s.hang("  "+mark+" ", 4, at(w.Job+", "+w.State+", "+w.Stanza+" "+w.On.text(), w.Place)+": "+came)
	}
	if a.Machine != "" {
		s.say("machine", printable(a.Machine))
	}
	s.next(a.Next)
}
