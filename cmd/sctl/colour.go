package main

// colour is an attribute of text on a terminal, as SGR has it; see
// console_codes(4).
type colour string

const (
	bold  colour = "1"
	faint colour = "2"
	red   colour = "31"
	green colour = "32"
)

// jobColours tell apart the jobs of one output.
func jobColours() []colour { return []colour{"36", "33", "35", "34", "32", "96", "93", "95", "94"} }

// coloured tells whether the result may have colours: on a terminal, unless
// NO_COLOR is set to something.
func (c *command) coloured() bool {
	return isTerminal(c.stdout) && c.getenv("NO_COLOR") == "" && c.getenv("TERM") != "dumb"
}

// paint gives a text a colour, where there are colours.
func (c *command) paint(with colour, text string) string {
	if !c.coloured() {
		return text
	}
	return "\x1b[" + string(with) + "m" + text + "\x1b[0m"
}
