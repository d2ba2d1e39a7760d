package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/session-init/session-init/session/job"
	"github.com/session-init/session-init/session/lint"
)

// checkReport is what check-config has found, in the order of its output.
type checkReport struct {
	jobs  int // that were looked at
	found []lint.Finding
	texts map[string][]byte // by path; those of found that were shortened too
}

// shorten puts what the user has typed in the place of a whole path.
func (r *checkReport) shorten(f *lint.Finding, typed []typedPath) {
	for _, t := range typed {
		rest, ok := strings.CutPrefix(f.Path, t.whole)
		if !ok || rest != "" && rest[0] != '/' && t.whole != "/" {
			if besides(t.whole) != f.Path {
				continue
			}
			rest, t.typed = "", besides(t.typed)
		}
		short := t.typed + rest
		if text, ok := r.texts[f.Path]; ok {
			r.texts[short] = text
		}
		f.Path = short
		return
	}
}

// count gives the numbers of errors and warnings.
func (r *checkReport) count() (errors, warnings int) {
	for _, f := range r.found {
		if f.Warning {
			warnings++
		} else {
			errors++
		}
	}
	return errors, warnings
}

// printReport writes a report, and gives the status for it as an error.
func (c *command) printReport(r *checkReport) error {
	errors, warnings := r.count()
	switch {
	case c.options.json:
		if err := c.printJSON(r); err != nil {
			return err
		}
	default:
		c.printText(r)
		if isTerminal(c.stdout) && !c.options.quiet {
			fmt.Fprintf(c.out, "%s and %s in %s\n", count(errors, "error"), count(warnings, "warning"), count(r.jobs, "job"))
		}
	}
	if errors > 0 || c.options.warn && warnings > 0 {
		return statusError(exitFailed)
	}
	return nil
}

func count(n int, what string) string {
	switch n {
	case 0:
		return "no " + what + "s"
	case 1:
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func (c *command) printText(r *checkReport) {
	excerpts := c.options.source || isTerminal(c.stdout)
	for _, f := range r.found {
		if f.Warning && c.options.quiet {
			continue
		}
		if f.Path == "" {
			severity := ""
			if f.Warning {
				severity = "warning: "
			}
			fmt.Fprintln(c.out, severity+shown(f.Msg))
			continue
		}
		line := f.Problem
		line.Path, line.Msg = shown(f.Path), shown(f.Msg)
		fmt.Fprintln(c.out, line.Error())
		if text, ok := r.texts[f.Path]; ok && excerpts {
			fmt.Fprint(c.out, excerpt(text, f.Problem))
		}
	}
}

// maxExcerpt bounds the characters of a line that are shown.
const maxExcerpt = 100

// excerpt shows the line of a problem and below it a caret at the column. It
// is "" when there is no such line.
func excerpt(text []byte, p job.Problem) string {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	for range p.Line - 1 {
		_, rest, ok := bytes.Cut(text, []byte("\n"))
		if !ok {
			return ""
		}
		text = rest
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	at := min(max(p.Col-1, 0), len(line))
	before, after := visible(line[:at]), visible(line[at:])
	if cut := len(before) - maxExcerpt*2/3; cut > 0 {
		before = append([]rune("…"), before[cut+1:]...)
	}
	if room := maxExcerpt - len(before); len(after) > room {
		after = append(after[:room-1:room-1], '…')
	}
	return "    " + strings.TrimRight(string(before)+string(after), " ") + "\n    " + strings.Repeat(" ", len(before)) + "^\n"
}

// visible gives a line as a terminal can show it, each character one cell
// wide, a tab a blank.
func visible(line []byte) []rune {
	var out []rune
	for len(line) > 0 {
		r, size := utf8.DecodeRune(line)
		line = line[size:]
		switch {
		case r == '\t' || r == '\r':
			r = ' '
		case !unicode.IsPrint(r):
			r = unicode.ReplacementChar
		}
		out = append(out, r)
	}
	return out
}

// jsonVersion is that of the form of --json. New fields, and new words in
// rule, do not change it.
const jsonVersion = 1

type jsonReport struct {
	Version  int           `json:"version"`
	Jobs     int           `json:"jobs"`
	Errors   int           `json:"errors"`
	Warnings int           `json:"warnings"`
	Problems []jsonProblem `json:"problems"`
}

type jsonProblem struct {
	Severity string `json:"severity"`
	Rule     string `json:"rule"`
	Job      string `json:"job,omitempty"`
	Path     string `json:"path,omitempty"`
	Line     int    `json:"line,omitempty"`
	Column   int    `json:"column,omitempty"`
	Message  string `json:"message"`
}

func (c *command) printJSON(r *checkReport) error {
	out := jsonReport{Version: jsonVersion, Jobs: r.jobs, Problems: []jsonProblem{}}
	out.Errors, out.Warnings = r.count()
	for _, f := range r.found {
		p := jsonProblem{Severity: "error", Rule: string(f.Rule), Job: f.Job, Path: f.Path, Line: f.Line, Column: f.Col, Message: f.Msg}
		if f.Warning {
			p.Severity = "warning"
			if c.options.quiet {
				continue
			}
		}
		out.Problems = append(out.Problems, p)
	}
	encoder := json.NewEncoder(c.out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(out)
}

// reasonOf gives the reason of an error without the path, which stands
// elsewhere in the sentence.
func reasonOf(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
