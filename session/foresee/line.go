package foresee

import (
	"strings"
	"time"

	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
)

// Kind says what a Line tells.
type Kind uint8

// The kinds of lines, with the fields that they use beside At and Cause. All
// but Asked, Answer, Event and Finished use Job, and those of an instance
// Instance too.
const (
	Asked    Kind = iota // Text: the verb; Words: what it was given
	Answer               // Text: "ok", or the sentence that a client would print; Words: the reason, if more is known
	Event                // an event was emitted. Text: its name; Words: its variables
	Finished             // an event that somebody waited for has. Text: its name
	Goal                 // Text: start or stop
	State                // Text: the state
	Process              // a process is started. Process; Words: its command line
	End                  // a process ends. Process; Text: "status 0", "signal TERM", or why it cannot be executed
	Signal               // a process gets a signal. Process; Text: the signal
	Failed               // an instance failed, or, without Job, an event. Text: the reason, or the event's name
	Job                  // a definition comes or goes. Text: added, removed or kept
	Waits                // an instance is not at rest at the end. Text: what it waits for
)

func (k Kind) String() string {
	return [...]string{"asked", "answer", "event", "finished", "goal", "state",
		"process", "end", "signal", "failed", "job", "waits"}[k]
}

// Line is one thing that would happen.
type Line struct {
	// At is how long after the question.
	At            time.Duration
	Kind          Kind
	Job, Instance string
	// Process is which of the five processes it is about.
	Process job.ProcessKind
	Text    string
	Words   []string
	// Cause is the number of the line, from 0, of which this one came; -1
	// when it came of what was under way before the question.
	Cause int
}

// String gives the line as it is read, without time and cause.
func (l Line) String() string {
	label := engine.Label(l.Job, l.Instance)
	var parts []string
	switch l.Kind {
	case Asked:
		parts = append([]string{"asked:", l.Text}, l.Words...)
	case Answer:
		parts = []string{"answer:", l.Text}
		if len(l.Words) > 0 {
			parts = append(parts, "("+strings.Join(l.Words, " ")+")")
		}
	case Event:
		parts = append([]string{"event", l.Text}, l.Words...)
	case Finished:
		parts = []string{"event", l.Text, "has finished"}
	case Process:
		parts = append([]string{label, "starts", l.Process.String() + ":"}, l.Words...)
	case End:
		parts = []string{label, l.Process.String(), "ends:", l.Text}
	case Signal:
		parts = []string{label, l.Process.String(), "gets", l.Text}
	case Failed:
		if l.Job == "" {
			parts = []string{"event", l.Text, "has failed"}
		} else {
			parts = []string{label, "fails:", l.Text}
		}
	case Waits:
		parts = []string{label, "waits for", l.Text}
	case Job:
		parts = []string{"job", label, l.Text}
	default:
		parts = []string{label, l.Kind.String(), l.Text}
	}
	return strings.Join(parts, " ")
}

// HasProcess reports whether the line is about a process.
func (l Line) HasProcess() bool { return l.Kind == Process || l.Kind == End || l.Kind == Signal }
