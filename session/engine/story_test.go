package engine_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/session-init/session-init/session/sim"
)

// minStories is how many stories there are at least: a file that is lost, or
// not read to its end, must not pass unnoticed.
const minStories = 500

// TestStories plays every story of testdata. Their format stands at
// sim.Story.
func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		stories, err := sim.ParseStories(string(text))
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		count += len(stories)
		for _, story := range stories {
			t.Run(filepath.Base(file)+"/"+story.Title, func(t *testing.T) {
				if story.Facts == "" {
					t.Errorf("%s:%d: the story does not name what it shows", file, story.Line)
				}
				if err := story.Run(); err != nil {
					t.Errorf("%s: %v", file, err)
				}
			})
		}
	}
	if count < minStories {
		t.Errorf("there are %d stories; want at least %d", count, minStories)
	}
}
