package bus

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The manual names all that there is of ours.
func TestManual(t *testing.T) {
	file := filepath.Join("..", "..", "share", "man", "man7", "session-init-bus.7")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	said := make(map[string]bool)
	for _, word := range regexp.MustCompile(`\w+`).FindAllString(string(text), -1) {
		said[word] = true
	}
	for _, faces := range objects() {
		for _, face := range faces {
			if strings.HasPrefix(face.name, "org.freedesktop.") {
				continue
			}
			var names []string
			for _, m := range face.methods {
				names = append(names, m.name)
			}
			for _, s := range face.signals {
				names = append(names, s.name)
			}
			for _, p := range face.properties {
				names = append(names, p.name)
			}
			for _, name := range names {
				if !said[name] {
					t.Errorf("session-init-bus.7 does not say what %s.%s is", face.name, name)
				}
			}
		}
	}
}
