package engine

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden listings anew")

// golden compares a listing with the file of testdata/golden that a reader
// has checked.
func golden(t *testing.T, file, got string) {
	t.Helper()
	path := "testdata/golden/" + file
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) == got {
		return
	}
	have, should := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range max(len(have), len(should)) {
		var a, b string
		if i < len(have) {
			a = have[i]
		}
		if i < len(should) {
			b = should[i]
		}
		if a != b {
			t.Errorf("%s:%d:\n\tgot  %s\n\twant %s", path, i+1, a, b)
		}
	}
}

// Golden is golden for package engine_test.
func Golden(t *testing.T, file, got string) {
	t.Helper()
	golden(t, file, got)
}

// TestNextState lists where every state leads, for each goal and all facts.
func TestNextState(t *testing.T) {
	var out strings.Builder
	out.WriteString(`# Where an instance goes that has got what it waited for. Where it depends on
# more than state and goal, every case stands in a line: "main" says what
# became of main in this pass ("none": not run yet, or the job has none;
# "alive": it runs or is being made; "ended": it ran and is gone), "again" a
# respawn or a restart, "delayed" a respawn whose delay is not over. "-" is a
# state that is not left.
`)
	for state := Waiting; state < numStates; state++ {
		out.WriteString("\n")
		for _, goal := range []Goal{GoalStart, GoalStop} {
			prompt := whither(t, state, goal, false)
			out.WriteString(prompt)
			if delayed := whither(t, state, goal, true); delayed != prompt {
				out.WriteString(strings.ReplaceAll(delayed, "        ->", "delayed ->"))
			}
		}
	}
	golden(t, "table.txt", out.String())
}

// whither lists where a state leads with a goal, for all other facts.
func whither(t *testing.T, state State, goal Goal, delayed bool) string {
	t.Helper()
	var lines []string
	same := true
	first := ""
	for _, main := range []string{"none", "alive", "ended"} {
		for _, again := range []string{"", "again"} {
			to := "-"
			next, ok := nextState(state, goal, facts{mainAlive: main == "alive", mainEnded: main == "ended", again: again != "", delayed: delayed})
			if ok {
				to = next.String()
			} else if next != state {
				t.Errorf("nextState(%s, %s) = %s, false; want the state itself", state, goal, next)
			}
			if first == "" {
				first = to
			}
			same = same && to == first
			lines = append(lines, fmt.Sprintf("%-11s goal %-5s main %-5s %-5s -> %s\n", state, goal, main, again, to))
		}
	}
	if same {
		return fmt.Sprintf("%-11s goal %-5s                  -> %s\n", state, goal, first)
	}
	return strings.Join(lines, "")
}

// TestNextStateIsShort checks that no goal leads round for ever without
// passing a state that waits for an event, and that a stop always ends in
// waiting.
func TestNextStateIsShort(t *testing.T) {
	for state := Waiting; state < numStates; state++ {
		for _, f := range []facts{{}, {mainAlive: true}, {mainEnded: true}, {again: true}, {mainAlive: true, again: true}} {
			at, steps := state, 0
			for ; at != Waiting || steps == 0 && state != Waiting; steps++ {
				next, ok := nextState(at, GoalStop, f)
				if !ok || steps > int(numStates) {
					t.Errorf("with goal stop, %s leads to %s and no further", state, at)
					break
				}
				at = next
			}
		}
	}
}

// TestUnknownState checks that the table refuses what is no state.
func TestUnknownState(t *testing.T) {
	for _, goal := range []Goal{GoalStart, GoalStop} {
		if next, ok := nextState(numStates, goal, facts{}); ok || next != numStates {
			t.Errorf("nextState(no state, %s) = %d, %t; want the same, false", goal, next, ok)
		}
	}
}
