package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/session-init/session-init/session/job"
)

// disableJob keeps a job from starting by itself: the user's override of it
// says "manual". The job file is left alone.
func disableJob(c *command) error {
	f, err := c.switched("disable")
	if err != nil {
		return err
	}
	if f.class.StartOn == nil {
		return c.wroteNothing(f.name, f.name+" does not start by itself")
	}
	text := string(f.overlay)
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	text += "manual\n"
	if laid, problems := job.Apply(f.base, f.ownOverride, []byte(text)); laid == nil {
		return problems[0]
	} else if laid.StartOn != nil {
		return fmt.Errorf("'manual' at the end of %s would not be read as such", f.ownOverride)
	}
	if err := replaceFile(f.ownOverride, []byte(text)); err != nil {
		return err
	}
	return c.wrote(f.name, f.ownOverride, f.name+" does not start by itself any more: "+f.ownOverride+" says 'manual'")
}

// enableJob takes "manual" out of the override again.
func enableJob(c *command) error {
	f, err := c.switched("enable")
	if err != nil {
		return err
	}
	if f.class.StartOn != nil {
		return c.wroteNothing(f.name, f.name+" starts by itself")
	}
	if f.base.StartOn == nil {
		return fmt.Errorf("%s has no 'start on' in force; sctl edit %s gives it one", f.path, f.name)
	}
	text := withoutManual(string(f.overlay))
	laid, problems := job.Apply(f.base, f.ownOverride, []byte(text))
	if laid == nil {
		return problems[0]
	}
	if laid.StartOn == nil {
		return fmt.Errorf("%s takes its 'start on' away; sctl edit %s changes it", f.override, f.name)
	}
	if isBlank([]byte(text)) && f.override == f.ownOverride && !hasComment(text) {
		if err := os.Remove(f.ownOverride); err != nil {
			return fmt.Errorf("cannot remove %s: %w", f.ownOverride, reasonOf(err))
		}
		return c.wrote(f.name, f.ownOverride, f.name+" starts by itself again: removed "+f.ownOverride)
	}
	if f.override != f.ownOverride {
		text = "# In the place of " + shown(f.override) + ", without its 'manual'.\n" + text
	}
	if err := replaceFile(f.ownOverride, []byte(text)); err != nil {
		return err
	}
	return c.wrote(f.name, f.ownOverride, f.name+" starts by itself again: "+f.ownOverride+" does not say 'manual' any more")
}

// switched finds the job of enable and disable.
func (c *command) switched(action string) (*jobFile, error) {
	if len(c.args) == 0 {
		return nil, usageError("missing job name")
	}
	c.doing = action + " '" + c.args[0] + "'"
	return c.findJob(c.args[0])
}

// withoutManual takes the stanza "manual" out of a text; lines of a script are
// none.
func withoutManual(text string) string {
	var out strings.Builder
	script := false
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		switch {
		case script:
			script = len(words) < 2 || words[0] != "end" || words[1] != "script"
		case len(words) > 0 && words[0] == "manual":
			continue
		case len(words) > 0 && (words[0] == "script" || len(words) > 1 && words[1] == "script"):
			script = true
		}
		out.WriteString(line)
	}
	return out.String()
}

func hasComment(text string) bool { return strings.Contains(text, "#") }
