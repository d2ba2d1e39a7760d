package engine_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/session-init/session-init/session/sim"
)

// The facts about behaviour are numbered; a story names in parentheses those
// that it shows, "(8, 16 BEAT)". These are for the engine to keep.
const firstFact, lastFact = 1, 63

// shownElsewhere are the facts that stories cannot show, or not alone: the file
// and the test that hold them.
var shownElsewhere = map[int]struct{ file, test string }{
	2:  {"../api/path_test.go", "TestEscapeElement"},    // the paths of objects
	40: {"../../events/parse_test.go", "TestParse"},     // expressions on the bus
	62: {"../../supervise/trace_test.go", "TestWedges"}, // forks that do not fit, by real processes
}

// storyFacts returns the numbers of the facts in the parentheses of a title.
// Other sources (SPEC 3, seed: events) have a word before their number.
func storyFacts(list string) []int {
	var facts []int
	for _, source := range strings.Split(list, ",") {
		words := strings.Fields(source)
		if len(words) == 0 {
			continue
		}
		if n, err := strconv.Atoi(words[0]); err == nil {
			facts = append(facts, n)
		}
	}
	return facts
}

// TestFactsHaveStories checks that every fact is shown by a story, or by a
// test that is there.
func TestFactsHaveStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	shown := make(map[int]int)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		stories, err := sim.ParseStories(string(text))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, story := range stories {
			for _, fact := range storyFacts(story.Facts) {
				shown[fact]++
			}
		}
	}
	for fact := firstFact; fact <= lastFact; fact++ {
		elsewhere, ok := shownElsewhere[fact]
		switch {
		case !ok && shown[fact] == 0:
			t.Errorf("no story shows fact %d", fact)
		case ok:
			text, err := os.ReadFile(elsewhere.file)
			if err != nil {
				t.Fatal(err)
			}
			if !regexp.MustCompile(`(?m)^func ` + elsewhere.test).Match(text) {
				t.Errorf("%s has no test %s, which shows fact %d", elsewhere.file, elsewhere.test, fact)
			}
		}
	}
	t.Logf("stories of each fact: %v", shown)
}

func TestStoryFacts(t *testing.T) {
	for list, want := range map[string][]int{
		"8, 16 BEAT":               {8, 16},
		"SPEC 3":                   nil,
		"seed: events, 42":         {42},
		"issue 4, LANGUAGE 11, 54": {54},
		"45 decided":               {45},
	} {
		got := storyFacts(list)
		if len(got) != len(want) {
			t.Errorf("storyFacts(%q) = %v; want %v", list, got, want)
			continue
		}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("storyFacts(%q) = %v; want %v", list, got, want)
			}
		}
	}
}
