package main

import (
	"fmt"
	"strings"

	"github.com/session-init/session-init/session/api"
)

// strand is what happens to one subject of one cause: a question, or an
// instance until it comes to rest. It is shown together, and what comes of one
// of its lines below that line.
type strand struct {
	subject string // the job's label, or that of a question
	steps   []*strandStep
	above   *strand
}

type strandStep struct {
	line  *api.Foreseen
	below []*strand
}

// strands puts the lines into a tree by their causes. In it a line belongs to
// the nearest strand of its instance among those that its cause is in:
// what holds a stop up stands between the halves of that stop.
func strands(lines []api.Foreseen) *strand {
	root := &strand{}
	at := make([]*strand, len(lines))
	steps := make([]*strandStep, len(lines))
	for i := range lines {
		line := &lines[i]
		cause := root
		if line.Cause >= 0 {
			cause = at[line.Cause]
		}
		subject, own := cause.subject, cause
		switch {
		case line.Kind == "asked":
			subject, own = fmt.Sprint("asked ", i), nil
		case line.Kind == "answer":
			for own.above != nil && own.above != root {
				own = own.above
			}
			subject = own.subject
		case line.Job != "":
			subject = instanceName(line.Job, line.Instance)
			for own != nil && own.subject != subject {
				own = own.above
			}
		}
		step := &strandStep{line: line}
		if own == nil || own == root {
			own = &strand{subject: subject, above: cause}
			if line.Cause >= 0 {
				steps[line.Cause].below = append(steps[line.Cause].below, own)
			} else {
				root.steps = append(root.steps, &strandStep{below: []*strand{own}})
			}
		}
		own.steps = append(own.steps, step)
		at[i], steps[i] = own, step
	}
	return root
}

// printForesight shows for a person what would happen: indented by cause, the
// states of an instance on one line, and of the events those that matter.
func (c *command) printForesight(f api.Foresight) {
	timed := false
	for _, line := range f.Lines {
		timed = timed || line.At > 0
	}
	p := &foresightPrinter{command: c, timed: timed, arrow: " -> "}
	if c.branches().next == "├─" {
		p.arrow = " → "
	}
	root := strands(f.Lines)
	for _, step := range root.steps {
		for _, s := range step.below {
			p.print(s, 0)
		}
	}
	if len(f.Lines) > 0 && !changes(f.Lines) {
		c.print("nothing would come of it")
	}
	if len(f.Assumed) > 0 {
		c.print("assuming that")
		for _, text := range f.Assumed {
			c.print(c.cut("  " + printable(text)))
		}
	}
	if !f.Complete {
		c.print(c.paint(red, "and so on: nothing has come to rest by then"))
	}
}

// changes tells whether anything but the question, its event and its answer
// would happen.
func changes(lines []api.Foreseen) bool {
	for _, line := range lines {
		switch line.Kind {
		case "asked", "event", "finished":
		case "answer":
			if line.Text != "ok" {
				return true // which says why
			}
		default:
			return true
		}
	}
	return false
}

type foresightPrinter struct {
	*command
	timed bool
	arrow string
	last  int64 // the time of the last row
}

// print shows a strand.
func (p *foresightPrinter) print(s *strand, depth int) {
	var states []string
	var at int64
	flush := func() {
		if len(states) > 0 {
			p.row(at, depth, printable(s.subject), strings.Join(states, p.arrow), "")
			states = nil
		}
	}
	for _, step := range s.steps {
		line := step.line
		if len(states) > 0 && line.At != at {
			flush()
		}
		switch line.Kind {
		case "goal", "state":
			if len(states) == 0 {
				at = line.At
			}
			states = append(states, line.Text)
		case "finished":
			// That it has shows in what goes on.
		case "event":
			if len(step.below) == 0 || s.steps[0].line.Kind == "asked" {
				break // nobody cares, or it is the question
			}
			flush()
			p.row(line.At, depth, "", foreseenText(*line), "")
		default:
			flush()
			p.step(line, depth)
		}
		if len(step.below) > 0 {
			flush()
		}
		for _, below := range step.below {
			p.print(below, depth+1)
		}
	}
	flush()
}

// step shows a line that is neither a state nor an event.
func (p *foresightPrinter) step(line *api.Foreseen, depth int) {
	text, with := foreseenText(*line), colour("")
	switch {
	case line.Kind == "asked":
		with = bold
	case line.Kind == "answer" && line.Text == "ok":
		with = green
	case line.Kind == "answer", line.Kind == "failed":
		with = red
	}
	if line.Kind == "answer" {
		depth++
	}
	label := ""
	if line.Job != "" && line.Kind != "job" {
		label = printable(instanceName(line.Job, line.Instance))
		text = strings.TrimPrefix(text, label+" ")
	}
	p.row(line.At, depth, label, text, with)
}

// row prints one, behind its time if that is another one than that before,
// within the width of the terminal.
func (p *foresightPrinter) row(at int64, depth int, label, text string, with colour) {
	column := ""
	if p.timed {
		column = strings.Repeat(" ", 10)
		if at != p.last {
			column = fmt.Sprintf("%9s ", fmt.Sprintf("+%.3fs", seconds(at)))
			p.last = at
		}
	}
	if label != "" {
		label += ": "
	}
	before := column + strings.Repeat("  ", depth) + label
	if whole := p.cut(before + text); strings.HasPrefix(whole, before) {
		text = whole[len(before):]
	}
	if with != "" {
		text = p.paint(with, text)
	}
	if label != "" {
		label = p.paint(bold, label)
	}
	if column != "" {
		column = p.paint(faint, column)
	}
	p.command.print(column + strings.Repeat("  ", depth) + label + text)
}
