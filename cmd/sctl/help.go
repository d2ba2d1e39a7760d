package main

import (
	"fmt"
	"strings"
)

// showHelp is the verb; help is what --help prints.
func showHelp(c *command) error {
	if len(c.args) == 0 {
		c.verb = nil
		if c.style.isInitctl() {
			c.commandList()
			return nil
		}
		c.help()
		return nil
	}
	title := strings.Join(c.args, " ")
	isVerb := len(c.args) == 1 && findVerb(title) != nil
	stanza := stanzaHelp(title, isVerb)
	if len(c.args) == 1 {
		// A stanza may have the name of a verb; then both are meant.
		if err := c.setVerb(title); err == nil {
			c.help()
			if stanza != "" {
				c.out.WriteByte('\n')
			}
		} else if stanza == "" {
			if c.style.isInitctl() {
				return err
			}
			return usageError("neither a verb nor a stanza: " + printable(title) + insteadOfStanza(title))
		}
	}
	if stanza == "" && len(c.args) > 1 {
		return usageError("there is no stanza '" + printable(title) + "'" + insteadOfStanza(title))
	}
	c.out.WriteString(stanza)
	return nil
}

// usageLine is how the verb is called.
func usageLine(c *command) string {
	line := "usage: " + c.usageName() + " [OPTION...]"
	if c.verb.args != "" {
		line += " " + c.verb.args
	}
	return line
}

func (c *command) help() {
	switch {
	case c.verb != nil:
		c.verbHelp()
	case c.style.isInitctl():
		fmt.Fprintf(c.out, "Usage: %s [OPTION]... COMMAND [OPTION]... [ARG]...\n\n", c.program)
		c.optionList()
		fmt.Fprintf(c.out, "\nFor a list of commands, try `%s help'.\n", c.program)
	default:
		fmt.Fprintf(c.out, "usage: %s [OPTION...] VERB [ARGUMENT...]\n\nVerbs:\n", c.program)
		for _, v := range verbTable() {
			if !v.initctlOnly {
				line(c, strings.TrimRight(v.name+" "+v.args, " "), v.help)
			}
		}
		fmt.Fprintln(c.out)
		c.optionList()
		fmt.Fprintf(c.out, "\nA verb may have more, as --json and -n (do not wait): '%s help VERB' lists them.\n", c.program)
		fmt.Fprintf(c.out, "Exit status: 0 done, 1 refused or failed, 2 wrong usage, 3 no session-init, 4 timed out.\n")
	}
}

func (c *command) verbHelp() {
	fmt.Fprintf(c.out, "%s\n\n%s\n\n", usageLine(c), sentence(c.verb.help))
	c.optionList()
}

// commandList lists the verbs under initctl's headings, in the order of
// their first verb.
func (c *command) commandList() {
	groups := []string{"Job", "Event", "Environment", ""}
	for _, group := range groups {
		title := group
		if group == "" {
			title = "Other"
		}
		fmt.Fprintf(c.out, "%s commands:\n", title)
		for _, v := range verbTable() {
			if v.group == group {
				line(c, v.name, sentence(v.help))
			}
		}
		fmt.Fprintln(c.out)
	}
	fmt.Fprintf(c.out, "For more information on a command, try `%s COMMAND --help'.\n", c.program)
}

// optionList lists the options that the verb takes, or those of every verb.
func (c *command) optionList() {
	fmt.Fprintln(c.out, "Options:")
	for _, o := range optionTable() {
		if o.help == "" || !c.style.has(&o) {
			continue
		}
		if !c.takes(&o) {
			continue
		}
		name := "    --" + o.long
		if o.short != 0 && (c.verb == nil || !c.verb.system()) {
			name = "-" + string(o.short) + ", --" + o.long
		}
		if o.arg != "" {
			name += "=" + o.arg
		}
		line(c, name, o.help)
	}
}

// takes tells whether the verb, or without one every verb, takes an option. The
// programs of System V have letters of their own, which their usage names.
func (c *command) takes(o *option) bool {
	switch {
	case o.verbs != nil:
		return c.verb != nil && contains(o.verbs, c.verb.name)
	case c.verb == nil:
		return true
	case c.verb.system():
		return o.long == "help" || o.long == "version"
	}
	return !contains(o.except, c.verb.name)
}

// line writes a name and its description in two columns.
func line(c *command, name, text string) {
	const column = 28
	if len(name) >= column {
		fmt.Fprintf(c.out, "  %s\n  %*s%s\n", name, column, "", text)
		return
	}
	fmt.Fprintf(c.out, "  %-*s%s\n", column, name, text)
}

// sentence makes one of a phrase.
func sentence(phrase string) string {
	return strings.ToUpper(phrase[:1]) + phrase[1:] + "."
}
