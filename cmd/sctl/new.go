package main

import (
	"fmt"
	"strings"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/job"
)

// newJob writes a job file that runs a command.
func newJob(c *command) error {
	switch {
	case len(c.args) == 0:
		return usageError("missing job name")
	case len(c.args) == 1:
		return usageError("missing command")
	}
	name := c.args[0]
	c.doing = "make the job '" + name + "'"
	f, err := c.findJob(name)
	switch {
	case err == nil:
		return fmt.Errorf("it is there already: %s; %s changes it", f.path, c.again("sctl edit "+name))
	case !api.IsName(err, api.ErrUnknownJob):
		return err
	}
	path, _, err := c.ownFiles(name, "", "")
	if err != nil {
		return err
	}
	text, err := commandFile(name, path, c.options.startOn, c.args[1:])
	if err != nil {
		return err
	}
	if err := createFile(path, []byte(text)); err != nil {
		return err
	}
	if c.options.json {
		return c.wrote(name, path, "")
	}
	c.print("# " + shown(path))
	for line := range strings.Lines(text) {
		c.print(strings.TrimSuffix(line, "\n"))
	}
	note, err := c.taken(name, path)
	if err != nil {
		return err
	}
	if err := c.out.Flush(); err != nil {
		return err
	}
	if note != "" {
		fmt.Fprintf(c.stderr, "%s: %s\n", c.prefix(), note)
	} else if isTerminal(c.stderr) && !c.options.quiet {
		fmt.Fprintf(c.stderr, "%s: %s starts it, %s changes it\n", c.prefix(), c.again("sctl start "+name), c.again("sctl edit "+name))
	}
	return nil
}

// commandFile gives the text of a job file whose main process is the command,
// word for word, and which starts on a condition, "" for none.
func commandFile(name, path, on string, words []string) (string, error) {
	if strings.ContainsAny(on, "\r\n") {
		return "", fmt.Errorf("the condition of --start-on is one line")
	}
	line := shellLine(words)
	text := "exec " + line + "\n"
	if strings.Contains(line, "\n") {
		text = "script\n    exec " + line + "\nend script\n"
	}
	if on != "" {
		text = "start on " + on + "\n" + text
	}
	class, problems := job.Parse(name, path, []byte(text))
	if class == nil {
		return "", problems[0]
	}
	main := class.Processes[job.Main]
	if main == nil || strings.TrimSuffix(strings.TrimPrefix(main.Text, "exec "), "\n") != line && main.Text != line {
		return "", fmt.Errorf("the command cannot be written into a job file as it is; write a script and let the job run that")
	}
	return text, nil
}

// shellLine gives a line that the shell reads as these words.
func shellLine(words []string) string {
	out := make([]string, len(words))
	for i, word := range words {
		out[i] = shellWord(word)
	}
	return strings.Join(out, " ")
}

// shellWord quotes a word where the shell would not leave it alone, or a job
// file would not. A quote and a backslash, which escapes a quote in a job file,
// stand between double quotes.
func shellWord(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-./:,@%+", r)
	}
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	if word == "" {
		return "''"
	}
	var out strings.Builder
	for word != "" {
		n := strings.IndexAny(word, `'\`)
		switch {
		case n == 0 && word[0] == '\'':
			out.WriteString(`"'"`)
			n = 1
		case n == 0:
			out.WriteString(`"\\"`)
			n = 1
		default:
			if n < 0 {
				n = len(word)
			}
			out.WriteString("'" + word[:n] + "'")
		}
		word = word[n:]
	}
	return out.String()
}
