package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/conf"
	"github.com/session-init/session-init/session/job"
)

// questionVerbs are what can be asked about, each with what follows it.
func questionVerbs() []struct{ verb, argument string } {
	return []struct{ verb, argument string }{
		{"emit", "EVENT"}, {"start", "JOB"}, {"stop", "JOB"}, {"restart", "JOB"}, {"edit", "FILE"},
	}
}

// questionArgument gives what follows a verb of a question, or "".
func questionArgument(word string) string {
	for _, v := range questionVerbs() {
		if v.verb == word {
			return v.argument
		}
	}
	return ""
}

// simulate shows what would come of one thing or of several, one after the
// other. Nothing happens: session-init asks a copy of itself.
func simulate(c *command) error {
	asked, err := splitQuestions(c.args)
	if err != nil {
		return err
	}
	c.doing = "simulate '" + strings.Join(c.args, " ") + "'"
	questions := make([]api.Question, len(asked))
	for i, words := range asked {
		if questions[i], err = c.question(words, questions[:i]); err != nil {
			c.doing = "simulate '" + strings.Join(words, " ") + "'" // of several, that one
			return err
		}
	}
	const awaited = "for session-init to foresee it"
	replies, err := c.callAll(awaited, api.Simulate(questions, c.options.assume, 0))
	if err != nil {
		return err
	}
	f, err := replies[0].Foresight()
	if err != nil {
		return err
	}
	switch {
	case c.options.json:
		return c.encode(foresightReport(f))
	case isTerminal(c.stdout):
		c.printForesight(f)
	default:
		c.listForesight(f)
	}
	return nil
}

// splitQuestions takes the words of a command line apart: a verb, an event,
// job or file, and its variables; then the next verb.
func splitQuestions(words []string) (asked [][]string, err error) {
	var names []string
	for _, v := range questionVerbs() {
		names = append(names, v.verb)
	}
	for len(words) > 0 {
		argument := questionArgument(words[0])
		if argument == "" {
			return nil, usageError(fmt.Sprintf("cannot simulate '%s': it is not %s", words[0], strings.Join(names, ", ")))
		}
		if len(words) == 1 {
			return nil, usageError("missing " + argument + " after '" + words[0] + "'")
		}
		n := 2
		for argument != "FILE" && n < len(words) && strings.Contains(words[n], "=") {
			n++
		}
		asked, words = append(asked, words[:n]), words[n:]
	}
	if asked == nil {
		return nil, usageError("missing what to simulate: " + strings.Join(names, ", "))
	}
	return asked, nil
}

// questionKinds says what can stand behind these words, for completion, and
// which of them belong to what is asked last.
func questionKinds(words []string) (kinds, last []string) {
	for i, word := range words {
		argument := questionArgument(word)
		if argument == "" || i > 0 && len(last) == 0 && questionArgument(words[i-1]) != "" {
			continue
		}
		kinds, last = []string{argument}, words[i+1:]
	}
	if len(last) == 0 && kinds != nil {
		return kinds, nil
	}
	var next []string
	for _, v := range questionVerbs() {
		next = append(next, v.verb)
	}
	if kinds != nil && kinds[0] != "FILE" {
		next = append(next, "KEY=VALUE")
	}
	return next, last
}

// question makes one of its words. A job must be there, or be defined by a
// question before.
func (c *command) question(words []string, before []api.Question) (api.Question, error) {
	q := api.Question{Verb: words[0], Name: words[1], Env: words[2:]}
	switch q.Verb {
	case "emit":
	case "edit":
		return c.edited(q.Name)
	default:
		defined := slices.ContainsFunc(before, func(b api.Question) bool { return b.Verb == "define" && b.Name == q.Name })
		if defined {
			break
		}
		if _, err := c.manager("GetJobByName", q.Name); err != nil {
			c.args = []string{q.Name} // what a hint is about
			return q, err
		}
	}
	return q, nil
}

// edited makes a question of a file: what the job would be with it in the
// place of its own, or of its override, as it is by now.
func (c *command) edited(path string) (api.Question, error) {
	q := api.Question{Verb: "define"}
	whole, err := filepath.Abs(path)
	if err != nil {
		return q, err
	}
	text, err := conf.ReadFile(path)
	if err != nil {
		return q, fmt.Errorf("%s: %w", path, reasonOf(err))
	}
	name, isOverride := jobOf(whole, c.jobDirs())
	var d definition
	body, err := c.call(api.JobPath(name), api.JobExtension, "GetDefinition")
	switch {
	case err == nil:
		if d, err = readDefinition(name, body); err != nil {
			return q, err
		}
		// The daemon may look for jobs elsewhere.
	case !gone(err):
		return q, err
	}
	base, overlay := path, besides(path)
	if isOverride {
		base, overlay = besides(path), path
	}
	class, err := c.laid(name, base, overlay, isOverride, text, d)
	if err != nil {
		return q, err
	}
	q.Name, q.Text = name, string(job.Print(class))
	if !utf8.ValidString(q.Text) {
		return q, fmt.Errorf("%s: it is not UTF-8", path)
	}
	return q, nil
}

// laid makes a class of a job file and what lies on top of it; one of the two
// is the text that was read, the other stands beside it or, if nothing does,
// is in force.
func (c *command) laid(name, base, overlay string, isOverride bool, text []byte, d definition) (*job.Class, error) {
	other, inForce := overlay, d.override
	if isOverride {
		other, inForce = base, d.file
	}
	beside, err := conf.ReadFile(other)
	if os.IsNotExist(err) && inForce != "" {
		other = inForce
		beside, err = conf.ReadFile(other)
	}
	none := os.IsNotExist(err)
	switch {
	case none && isOverride:
		return nil, fmt.Errorf("%s: there is no job '%s' to override", overlay, name)
	case err != nil && !none:
		return nil, fmt.Errorf("%s: %w", other, reasonOf(err))
	}
	if isOverride {
		base, text, beside, none = other, beside, text, false
	} else {
		overlay = other
	}
	class, problems := job.Parse(name, base, text)
	if class == nil {
		return nil, firstError(problems)
	}
	if !none {
		if class, problems = job.Apply(class, overlay, beside); class == nil {
			return nil, firstError(problems)
		}
	}
	return class, nil
}

// firstError gives the first problem that is no warning.
func firstError(problems []job.Problem) error {
	for _, p := range problems {
		if !p.Warning {
			return p
		}
	}
	return errors.New("it defines no job")
}

// foresight is what simulate says with --json.
type foresight struct {
	Version  int            `json:"version"`
	Lines    []foreseenLine `json:"lines"`
	Assumed  []string       `json:"assumed"`
	Complete bool           `json:"complete"`
}

// foreseenLine is one thing that would happen; what a line of its kind does
// not have is left out.
type foreseenLine struct {
	At       float64  `json:"at"` // seconds from now
	Kind     string   `json:"kind"`
	Job      string   `json:"job,omitempty"`
	Instance string   `json:"instance,omitempty"`
	Process  string   `json:"process,omitempty"`
	Text     string   `json:"text,omitempty"`
	Words    []string `json:"words,omitempty"`
	Cause    *int     `json:"cause,omitempty"` // the number of a line, from 0
}

func foresightReport(f api.Foresight) foresight {
	report := foresight{Version: jsonVersion, Lines: []foreseenLine{}, Assumed: f.Assumed, Complete: f.Complete}
	if report.Assumed == nil {
		report.Assumed = []string{}
	}
	for _, line := range f.Lines {
		told := foreseenLine{At: float64(line.At) / 1e6, Kind: line.Kind, Job: line.Job, Instance: line.Instance,
			Process: line.Process, Text: line.Text, Words: line.Words}
		if line.Cause >= 0 {
			told.Cause = &line.Cause
		}
		report.Lines = append(report.Lines, told)
	}
	return report
}

// listForesight prints a line for each thing, in order: what is done with it
// is a program's.
func (c *command) listForesight(f api.Foresight) {
	for _, line := range f.Lines {
		c.print(fmt.Sprintf("%.3f %s", seconds(line.At), foreseenText(line)))
	}
	for _, text := range f.Assumed {
		c.print("assumed: " + text)
	}
	if !f.Complete {
		c.print("and more: nothing has come to rest by then")
	}
}

func seconds(microseconds int64) float64 {
	return (time.Duration(microseconds) * time.Microsecond).Seconds()
}

// foreseenText gives the words of a line. What is quoted by others is made
// printable, as it stands on a line of a terminal.
func foreseenText(line api.Foreseen) string {
	label := instanceName(line.Job, line.Instance)
	text := ""
	switch line.Kind {
	case "asked":
		text = line.Text + " " + strings.Join(line.Words, " ")
	case "answer":
		text = "answer: " + line.Text
		if len(line.Words) > 0 {
			text += " (" + strings.Join(line.Words, " ") + ")"
		}
	case "event":
		return "event " + eventText(line.Text, line.Words)
	case "finished":
		text = "event " + line.Text + " has finished"
	case "process":
		text = label + " " + line.Process + " process: " + commandText(line.Words)
	case "end":
		text = label + " " + line.Process + " process ends: " + line.Text
	case "signal":
		text = label + " " + line.Process + " process gets " + line.Text
	case "failed":
		text = label + " fails: " + line.Text
		if line.Job == "" {
			text = "event " + line.Text + " has failed"
		}
	case "job":
		text = "job " + label + " " + line.Text
	case "waits":
		text = label + " waits for " + line.Text
	default:
		text = label + " " + line.Kind + " " + line.Text
	}
	return printable(text)
}

// commandText gives a command on one line. Of a script its text is told: that a
// shell executes it goes without saying.
func commandText(words []string) string {
	if len(words) == 4 && words[0] == "/bin/sh" && words[1] == "-e" && words[2] == "-c" {
		words = words[3:]
	}
	text := ""
	for line := range strings.Lines(strings.Join(words, " ")) {
		line = strings.TrimSpace(line)
		switch at := text[strings.LastIndexAny(text, " ;")+1:]; {
		case line == "":
		case text == "" || contains([]string{"then", "else", "do", "in", "{", "("}, at):
			text += " " + line
		default:
			text += "; " + line
		}
	}
	return strings.TrimSpace(text)
}
