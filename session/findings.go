package session

import (
	"github.com/session-init/session-init/session/bus"
	"github.com/session-init/session-init/session/conf"
	"github.com/session-init/session-init/session/job"
	"github.com/session-init/session-init/session/lint"
)

// Lint says what is doubtful in the jobs that are loaded, looked at together;
// see bus.Backend. Of the machine nothing is asked, since name services and
// file systems may hang: for that there is "sctl check-config". A file that has
// changed since, or cannot be read, is told of without its lines.
func (d *Daemon) Lint(classes []*job.Class) []bus.Finding {
	jobs := make([]lint.Job, len(classes))
	for i, class := range classes {
		jobs[i].Class = class
		if text, err := conf.ReadFile(class.Path); err == nil {
			jobs[i].Text = text
		}
		if class.Override != "" {
			if text, err := conf.ReadFile(class.Override); err == nil {
				jobs[i].Override = text
			}
		}
	}
	found := lint.Check(jobs, lint.World{Startup: d.opts.StartupEvent})
	out := make([]bus.Finding, len(found))
	for i, f := range found {
		out[i] = bus.Finding{Job: f.Job, Rule: string(f.Rule), Path: f.Path, Line: f.Line, Column: f.Col, Text: f.Msg}
	}
	return out
}
