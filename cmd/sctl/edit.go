package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/session-init/session-init/session/job"
)

// edition is a file of a job that is being edited.
type edition struct {
	*jobFile
	path  string // of the file that is written
	laid  bool   // it is an override
	old   []byte // what it says, nil when it is not there
	begin []byte // what the editor shows first
}

// editJob lets the user change a job: its own file where that is the user's,
// else an override of it, or with --full a copy. What the editor leaves is
// checked, and shown as a difference, before it takes effect.
func editJob(c *command) error {
	if len(c.args) == 0 {
		return usageError("missing job name")
	}
	c.doing = "edit '" + c.args[0] + "'"
	f, err := c.findJob(c.args[0])
	if err != nil {
		return err
	}
	e, err := f.edition(c.options.full)
	if err != nil {
		return err
	}
	if c.options.undo {
		return c.undo(e)
	}
	text, err := c.editUntilGood(e)
	if err != nil {
		return err
	}
	before := e.old
	if e.laid && isBlank(text) {
		text = nil // an override that says nothing is none
	}
	changes := difference(lines(before), lines(text))
	if len(changes) == 0 {
		return c.wroteNothing(e.name, "nothing was changed")
	}
	c.showChanges(changes)
	if !c.confirm("put it in place?") {
		return fmt.Errorf("it was not put in place; %s is as it was", e.path)
	}
	if before != nil {
		if err := replaceFile(e.path+"~", before); err != nil {
			return err
		}
	}
	if err := e.put(text); err != nil {
		return err
	}
	what := "wrote " + e.path
	if text == nil {
		what = "removed " + e.path
	}
	return c.wroteChanges(e.name, e.path, what, changes)
}

// edition decides what is edited.
func (f *jobFile) edition(full bool) (*edition, error) {
	e := &edition{jobFile: f}
	switch {
	case f.path == f.ownPath:
		e.path, e.begin = f.path, f.text
	case full:
		e.path, e.begin = f.ownPath, f.text
		if f.override != "" && f.override != f.ownOverride {
			// It will not be laid on a file before it.
			e.begin = bytes.Join([][]byte{f.text, []byte("\n# from " + shown(f.override) + "\n"), f.overlay}, nil)
		}
	default:
		e.path, e.laid, e.begin = f.ownOverride, true, f.overlay
		if len(e.begin) == 0 {
			e.begin = f.template()
		}
	}
	old, err := os.ReadFile(e.path)
	switch {
	case os.IsNotExist(err):
	case err != nil:
		return nil, fmt.Errorf("cannot read %s: %w", e.path, reasonOf(err))
	default:
		e.old, e.begin = old, old
	}
	return e, nil
}

// template is an override that says nothing yet.
func (f *jobFile) template() []byte {
	var out strings.Builder
	fmt.Fprintf(&out, "# What stands here comes on top of %s:\n#\n", shown(f.path))
	for line := range strings.Lines(string(f.text)) {
		out.WriteString(strings.TrimRight("#     "+shown(strings.TrimSuffix(line, "\n")), " ") + "\n")
	}
	out.WriteString("\n")
	return []byte(out.String())
}

// put writes the text, or removes the file for nil.
func (e *edition) put(text []byte) error {
	if text != nil {
		return replaceFile(e.path, text)
	}
	if err := os.Remove(e.path); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("cannot remove %s: %w", e.path, reasonOf(err))
	}
	return nil
}

// problems checks a text as session-init would.
func (e *edition) problems(text []byte) (class *job.Class, problems []job.Problem) {
	if e.laid {
		return job.Apply(e.base, e.path, text)
	}
	return job.Parse(e.name, e.path, text)
}

// editUntilGood runs the editor on a copy until its text is good. On a
// terminal a bad text is edited again if the user likes; else, or if not, it
// is kept where it is, so that no work is lost.
func (c *command) editUntilGood(e *edition) ([]byte, error) {
	pattern := strings.ReplaceAll(e.name, "/", "_") + ".*" + filepath.Ext(e.path)
	file, err := os.CreateTemp("", pattern)
	if err != nil {
		return nil, fmt.Errorf("cannot make a copy: %w", err)
	}
	copied := file.Name()
	_, err = file.Write(e.begin)
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		os.Remove(copied)
		return nil, fmt.Errorf("cannot make a copy: %w", err)
	}
	for {
		if err := c.runEditor(copied); err != nil {
			return nil, fmt.Errorf("%w; the text is kept in %s", err, copied)
		}
		text, err := os.ReadFile(copied)
		if err != nil {
			return nil, fmt.Errorf("cannot read what was edited: %w", err)
		}
		class, problems := e.problems(text)
		for _, p := range problems {
			p.Path = filepath.Base(e.path)
			fmt.Fprintf(c.stderr, "%s\n%s", p.Error(), excerpt(text, p))
		}
		if class != nil {
			os.Remove(copied)
			return text, nil
		}
		if !c.interactive() || !c.confirm("edit it again?") {
			return nil, fmt.Errorf("the text is no job file, and kept in %s; %s is as it was", copied, e.path)
		}
	}
}

// runEditor runs the user's editor, which may be a command with options.
func (c *command) runEditor(path string) error {
	editor := c.getenv("VISUAL")
	if editor == "" {
		editor = c.getenv("EDITOR")
	}
	if editor == "" {
		editor = "vi"
	}
	if err := c.out.Flush(); err != nil {
		return err
	}
	run := exec.CommandContext(c.ctx, "/bin/sh", "-c", editor+` "$1"`, editor, path)
	run.Env, run.Stdin, run.Stdout, run.Stderr = c.environ, os.Stdin, c.stdout, c.stderr
	if err := run.Run(); err != nil {
		return fmt.Errorf("the editor '%s' failed: %w", editor, err)
	}
	return nil
}

// interactive tells whether there is somebody to ask.
func (c *command) interactive() bool { return isTerminal(os.Stdin) && isTerminal(c.stderr) }

// confirm asks; where nobody can be asked the answer is yes.
func (c *command) confirm(question string) bool {
	if !c.interactive() {
		return true
	}
	c.out.Flush()
	fmt.Fprintf(c.stderr, "%s: %s [Y/n] ", c.prefix(), question)
	answer, err := bufio.NewReader(os.Stdin).ReadString('\n')
	answer = strings.ToLower(strings.TrimSpace(answer))
	return err == nil && (answer == "" || strings.HasPrefix("yes", answer))
}

// undo puts back what was there before the last edit.
func (c *command) undo(e *edition) error {
	before, err := os.ReadFile(e.path + "~")
	switch {
	case err == nil:
	case !os.IsNotExist(err):
		return fmt.Errorf("cannot read %s~: %w", e.path, reasonOf(err))
	case e.old == nil:
		return fmt.Errorf("there is no edit of it: neither %s nor %s~", e.path, e.path)
	case e.path == e.jobFile.path && !e.laid:
		return fmt.Errorf("there is no older text: %s~ is not there", e.path)
	}
	changes := difference(lines(e.old), lines(before))
	c.showChanges(changes)
	if !c.confirm("put it in place?") {
		return fmt.Errorf("it was not put in place; %s is as it was", e.path)
	}
	if err := e.put(before); err != nil {
		return err
	}
	if err := os.Remove(e.path + "~"); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("cannot remove %s~: %w", e.path, reasonOf(err))
	}
	what := "put back " + e.path
	if before == nil {
		what = "removed " + e.path
	}
	return c.wroteChanges(e.name, e.path, what, changes)
}
