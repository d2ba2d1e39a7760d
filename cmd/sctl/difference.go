package main

import (
	"bufio"
	"strings"
)

// change is a line of a difference: ' ' is in both texts, '-' in the old one,
// '+' in the new one, and '@' stands for lines that are left out.
type change struct {
	mark byte
	line string
}

// contextLines is how many equal lines are shown around others.
const contextLines = 2

// maxCompared bounds the work: beyond that, all of the old text goes and all
// of the new one comes.
const maxCompared = 4 << 20

func lines(text []byte) []string {
	if len(text) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// difference gives the fewest lines that make one text of the other, with some
// lines around them; nothing when they are the same.
func difference(before, after []string) []change {
	head := 0
	for head < len(before) && head < len(after) && before[head] == after[head] {
		head++
	}
	tail := 0
	for tail < len(before)-head && tail < len(after)-head && before[len(before)-1-tail] == after[len(after)-1-tail] {
		tail++
	}
	var all []change
	add := func(mark byte, lines []string) {
		for _, line := range lines {
			all = append(all, change{mark, line})
		}
	}
	add(' ', before[:head])
	old, now := before[head:len(before)-tail], after[head:len(after)-tail]
	if (len(old)+1)*(len(now)+1) > maxCompared {
		add('-', old)
		add('+', now)
	} else {
		all = append(all, compared(old, now)...)
	}
	add(' ', before[len(before)-tail:])
	return excerpted(all)
}

// compared finds the longest common part by the table of its lengths.
func compared(old, now []string) []change {
	width := len(now) + 1
	common := make([]int32, (len(old)+1)*width)
	for i := len(old) - 1; i >= 0; i-- {
		for j := len(now) - 1; j >= 0; j-- {
			if old[i] == now[j] {
				common[i*width+j] = common[(i+1)*width+j+1] + 1
			} else {
				common[i*width+j] = max(common[(i+1)*width+j], common[i*width+j+1])
			}
		}
	}
	var out []change
	for i, j := 0, 0; i < len(old) || j < len(now); {
		switch {
		case i < len(old) && j < len(now) && old[i] == now[j]:
			out = append(out, change{' ', old[i]})
			i, j = i+1, j+1
		case j == len(now) || i < len(old) && common[(i+1)*width+j] >= common[i*width+j+1]:
			out = append(out, change{'-', old[i]})
			i++
		default:
			out = append(out, change{'+', now[j]})
			j++
		}
	}
	return out
}

// excerpted leaves out what is far from any change.
func excerpted(all []change) []change {
	near := make([]bool, len(all))
	changed := false
	for i, c := range all {
		if c.mark == ' ' {
			continue
		}
		changed = true
		for k := max(0, i-contextLines); k <= min(len(all)-1, i+contextLines); k++ {
			near[k] = true
		}
	}
	if !changed {
		return nil
	}
	var out []change
	for i, c := range all {
		if near[i] {
			out = append(out, c)
		} else if i == 0 || near[i-1] {
			out = append(out, change{'@', ""})
		}
	}
	return out
}

// changeReport is a line of a difference in JSON.
type changeReport struct {
	Kind string `json:"kind"` // same, removed, added; left-out for any number of equal lines
	Line string `json:"line,omitempty"`
}

func reportChanges(changes []change) []changeReport {
	var out []changeReport
	for _, change := range changes {
		kind := "same"
		switch change.mark {
		case '-':
			kind = "removed"
		case '+':
			kind = "added"
		case '@':
			kind = "left-out"
		}
		out = append(out, changeReport{kind, change.line})
	}
	return out
}

// showChanges prints a difference before it is put in place; with --json only to
// somebody who is asked about it, since it is part of the result.
func (c *command) showChanges(changes []change) {
	if !c.options.json {
		c.printChanges(changes)
	} else if c.interactive() {
		on := *c
		on.out = bufio.NewWriter(c.stderr)
		on.printChanges(changes)
		on.out.Flush()
	}
}

// printChanges prints a difference.
func (c *command) printChanges(changes []change) {
	for _, change := range changes {
		line := string(change.mark) + shownTabs(change.line)
		switch change.mark {
		case '-':
			line = c.paint(red, line)
		case '+':
			line = c.paint(green, line)
		case '@':
			line = c.paint(faint, "...")
		}
		c.print(line)
	}
}

// shownTabs is shown for a line of a file, which may have tabs.
func shownTabs(line string) string {
	parts := strings.Split(line, "\t")
	for i := range parts {
		parts[i] = shown(parts[i])
	}
	return strings.Join(parts, "\t")
}
