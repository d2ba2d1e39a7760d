package job

import "strings"

// Command is how a Process is run. With Script empty, Argv is complete: a
// program and its arguments, the program still to be looked for in PATH.
// Else the text is too long for an argument: whoever runs it makes Script
// readable under some path (a descriptor that the script's own commands do
// not inherit) and appends that path to Argv.
type Command struct {
	Argv   []string
	Script string
}

const shell = "/bin/sh"

// maxArgument is how long a text may be to go to the shell as an argument:
// the kernel takes 128 KiB for a single one (MAX_ARG_STRLEN), and a margin.
const maxArgument = 128<<10 - 4<<10

// shellBytes are the characters that make an exec line the shell's matter,
// "=" aside.
const shellBytes = "~`!$^&*()|\\{}[];\"'<>?"

// Command tells how the process is run: a script by the shell; the line of an
// "exec" split on blanks when the shell would do nothing else with it, else
// by the shell, which replaces itself by the program. The shell runs with
// -e in either case.
func (p *Process) Command() Command {
	text := p.Text
	if !p.Script {
		if argv := strings.FieldsFunc(text, isSplit); len(argv) > 0 && !needsShell(text, argv[0]) {
			return Command{Argv: argv}
		}
		text = "exec " + text
	}
	if len(text) > maxArgument {
		return Command{Argv: []string{shell, "-e"}, Script: text}
	}
	return Command{Argv: []string{shell, "-e", "-c", text}}
}

func isSplit(r rune) bool { return r == ' ' || r == '\t' || r == '\r' || r == '\n' }

// needsShell reports whether the shell would see more in the text than words.
// An "=" counts only where it makes the first word look like an assignment.
func needsShell(text, first string) bool {
	if strings.ContainsAny(text, shellBytes) {
		return true
	}
	name, _, assigned := strings.Cut(first, "=")
	return assigned && isName(name)
}

// isName reports whether the shell takes name as that of a variable.
func isName(name string) bool { return name != "" && nameEnd(name) == len(name) }

// nameEnd gives the length of the variable's name that a text begins with.
func nameEnd(text string) int {
	for i := 0; i < len(text); i++ {
		c := text[i]
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return i
		}
	}
	return len(text)
}
