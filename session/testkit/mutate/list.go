package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// listName is the file in which a package keeps its survivors.
const listName = "testdata/survivors.list"

// listed is a survivor that somebody has looked at.
type listed struct {
	name   string // as mutant.String gives it
	reason string // begins with "equal:" or "open:"
	line   int
}

// readList reads a package's list; one that is not there is empty.
func readList(dir string) ([]listed, error) {
	text, err := os.ReadFile(filepath.Join(dir, listName))
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseList(string(text))
}

// parseList reads survivors, each with its reason indented below. One reason
// may be below several. "#" begins a comment.
func parseList(text string) ([]listed, error) {
	var list []listed
	open := 0 // the first that has no reason yet
	for i, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "" || trimmed[0] == '#':
		case line[0] != ' ' && line[0] != '\t':
			if open == len(list) || list[len(list)-1].reason == "" {
				list = append(list, listed{name: trimmed, line: i + 1})
				continue
			}
			open = len(list)
			list = append(list, listed{name: trimmed, line: i + 1})
		case len(list) == 0:
			return nil, fmt.Errorf("%s:%d: a reason without a survivor", listName, i+1)
		default:
			if list[len(list)-1].reason == "" && !strings.HasPrefix(trimmed, "equal: ") && !strings.HasPrefix(trimmed, "open: ") {
				return nil, fmt.Errorf("%s:%d: a reason begins with \"equal: \" or \"open: \"", listName, i+1)
			}
			for k := open; k < len(list); k++ {
				list[k].reason = strings.TrimSpace(list[k].reason + " " + trimmed)
			}
		}
	}
	for _, l := range list {
		if l.reason == "" {
			return nil, fmt.Errorf("%s:%d: no reason is given", listName, l.line)
		}
	}
	return list, nil
}

// report says how the mutants of a package fare.
type report struct {
	out     io.Writer
	name    string
	list    []listed
	reasons map[string]string // by name
	holds   bool

	caught, byTime, equal, open, unlisted int
}

func newReport(out io.Writer, name string, list []listed) *report {
	r := &report{out: out, name: name, list: list, reasons: make(map[string]string), holds: true}
	for _, l := range list {
		r.reasons[l.name] = l.reason
	}
	return r
}

// tell takes note of a mutant that was tried, and names one that survived
// and is not listed.
func (r *report) tell(m *mutant) {
	reason := r.reasons[m.String()]
	switch {
	case m.caught != "":
		r.caught++
		if m.caught == byTime {
			r.byTime++
		}
	case strings.HasPrefix(reason, "equal:"):
		r.equal++
	case reason != "":
		r.open++
	default:
		r.unlisted++
		r.holds = false
		never := ""
		if !m.seen {
			never = "   (no test comes here)"
		}
		fmt.Fprintf(r.out, "%d: %s%s\n", m.line, m, never)
	}
}

// end compares the mutants with the list, and sums up. It reports whether the
// package holds.
func (r *report) end(tried []*mutant, o options) bool {
	byName := make(map[string]*mutant)
	for _, m := range tried {
		byName[m.String()] = m
	}
	for _, l := range r.list {
		m := byName[l.name]
		switch {
		case m == nil && o.sample == 0 && o.match == "":
			fmt.Fprintf(r.out, "%s:%d: there is no such mutant: %s\n", listName, l.line, l.name)
			r.holds = false
		case m != nil && m.caught != "":
			// Leaving out slow tests catches less, never more.
			fmt.Fprintf(r.out, "%s:%d: is caught: %s\n", listName, l.line, l.name)
			r.holds = false
		}
	}
	score := 100 * float64(r.caught) / float64(max(1, len(tried)))
	fmt.Fprintf(r.out, "%s: %d mutants, %d caught (%d of them by time), %.1f %%; survivors: %d listed as equal, %d as open, %d not listed\n",
		r.name, len(tried), r.caught, r.byTime, score, r.equal, r.open, r.unlisted)
	if score < o.min && !o.listed {
		fmt.Fprintf(r.out, "%s: fewer than %.1f %% are caught\n", r.name, o.min)
		r.holds = false
	}
	return r.holds
}
