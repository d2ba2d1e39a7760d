package main

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/job"
)

// catJob prints the definition of a job that is in force, as a job file:
// every stanza with a comment that says where it stands. The daemon keeps no
// places; they are found in its files, as long as these say the same.
func catJob(c *command) error {
	t, err := c.target("show the definition of")
	if err != nil {
		return err
	}
	body, err := c.call(api.JobPath(t.job), api.JobExtension, "GetDefinition")
	if err != nil {
		return c.explain(t, err)
	}
	d, err := readDefinition(t.job, body)
	if err != nil {
		return err
	}
	if c.options.json {
		return c.encode(d.report(c.readJobText))
	}
	for _, line := range d.lines(c.readJobText) {
		c.print(line)
	}
	return nil
}

// definitionReport is what cat says with --json.
type definitionReport struct {
	Version  int             `json:"version"`
	Job      string          `json:"job"`
	File     string          `json:"file"` // empty: it is in none
	Override string          `json:"override,omitempty"`
	Changed  bool            `json:"changed"`
	Notes    []string        `json:"notes"`
	Stanzas  []stanzaInForce `json:"stanzas"`
}

// stanzaInForce is a stanza, and where it stands as far as that is known.
type stanzaInForce struct {
	Text string `json:"text"`
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
}

func (d *definition) report(read func(string) ([]byte, error)) definitionReport {
	said, notes := d.said(read)
	report := definitionReport{jsonVersion, d.job, d.file, d.override, d.changed, append([]string{}, notes...), []stanzaInForce{}}
	for _, s := range said {
		stanza := stanzaInForce{Text: s.Text}
		if s.Path != "" {
			stanza.File, stanza.Line = s.Path, s.Line
		}
		report.Stanzas = append(report.Stanzas, stanza)
	}
	return report
}

// definition is what the daemon says of a class.
type definition struct {
	job, file, override string
	text                []byte // as job.Print writes it
	changed             bool   // another one waits for the last instance's end
}

func readDefinition(name string, body []any) (definition, error) {
	d := definition{job: name}
	var ok [4]bool
	if len(body) == len(ok) {
		d.file, ok[0] = body[0].(string)
		d.override, ok[1] = body[1].(string)
		d.text, ok[2] = body[2].([]byte)
		d.changed, ok[3] = body[3].(bool)
	}
	if ok != [4]bool{true, true, true, true} {
		return d, fmt.Errorf("session-init answered with another type than a definition")
	}
	return d, nil
}

// lines gives the definition: comments on the whole, and its stanzas.
func (d *definition) lines(read func(string) ([]byte, error)) []string {
	head := []string{"# " + shown(d.file)}
	switch {
	case d.file == "" && d.changed:
		said, _ := d.said(read)
		return append([]string{"# " + transientText}, inColumns(said)...)
	case d.file == "":
		head[0] = "# made by session-init, for the desktop entries that 'sctl autostart' shows"
	case isEntry(d.file):
		head[0] += ", a desktop entry"
	}
	if d.override != "" {
		head = append(head, "# "+shown(d.override))
	}
	said, notes := d.said(read)
	if d.changed {
		notes = append(notes, "the job changes when its last instance has stopped")
	}
	for _, note := range notes {
		head = append(head, "# "+shown(note))
	}
	return append(head, inColumns(said)...)
}

// said gives the stanzas in force, with an empty Path where the place is not
// known, and sentences about why that is so.
func (d *definition) said(read func(string) ([]byte, error)) (said []job.Said, notes []string) {
	if d.file == "" {
		_, said, _ = job.Origins(d.job, job.Source{Text: d.text}, nil)
		return said, nil
	}
	class, said, err := d.ofFiles(read)
	if class != nil && bytes.Equal(job.Print(class), d.text) {
		return said, nil
	}
	if err != nil {
		notes = []string{err.Error()}
	} else {
		notes = []string{"this is not what the files say by now"}
	}
	_, inForce, _ := job.Origins(d.job, job.Source{Text: d.text}, nil)
	for i := range inForce {
		inForce[i] = placed(inForce[i], said)
	}
	return inForce, notes
}

// ofFiles reads the files as the daemon did.
func (d *definition) ofFiles(read func(string) ([]byte, error)) (*job.Class, []job.Said, error) {
	file := job.Source{Path: d.file}
	var err error
	if file.Text, err = read(d.file); err != nil {
		return nil, nil, fmt.Errorf("cannot read the job file: %w", err)
	}
	var override *job.Source
	if d.override != "" {
		override = &job.Source{Path: d.override}
		if override.Text, err = read(d.override); err != nil {
			_, said, _ := job.Origins(d.job, file, nil)
			return nil, ownLines(said), fmt.Errorf("cannot read the override: %w", err)
		}
	}
	class, said, problems := job.Origins(d.job, file, override)
	for _, p := range problems {
		if class == nil && !p.Warning {
			return nil, nil, p
		}
	}
	return class, ownLines(said), nil
}

// ownLines takes the places away that are not lines of the file itself: a
// desktop entry is read as the job file that is made of it.
func ownLines(said []job.Said) []job.Said {
	for i := range said {
		if isEntry(said[i].Path) {
			said[i].Path = ""
		}
	}
	return said
}

// placed gives a stanza the place of an equal one, or none.
func placed(s job.Said, known []job.Said) job.Said {
	for _, k := range known {
		if k.Text == s.Text {
			return k
		}
	}
	return job.Said{Text: s.Text}
}

// inColumns writes stanzas and behind them, as comments, their places.
func inColumns(said []job.Said) []string {
	const widest = 48
	width := 0
	for _, s := range said {
		if first, _, _ := strings.Cut(s.Text, "\n"); len(first) <= widest {
			width = max(width, len(first))
		}
	}
	var out []string
	for _, s := range said {
		first, rest, more := strings.Cut(s.Text, "\n")
		if s.Path != "" {
			first = fmt.Sprintf("%-*s  # %s:%d", width, first, shown(filepath.Base(s.Path)), s.Line)
		}
		out = append(out, first)
		if more {
			out = append(out, rest)
		}
	}
	return out
}

// shown makes of a text what can stand in a comment, and on a terminal.
func shown(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}
