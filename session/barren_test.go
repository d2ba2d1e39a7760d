package session

import (
	"testing"

	"github.com/session-init/session-init/session/job"
)

// That a machine without such a job gives a shell is seen in make qemu.
func TestStartsOn(t *testing.T) {
	for text, want := range map[string]bool{
		"start on startup\nexec true\n":                           true,
		"start on other or startup\nexec true\n":                  true,
		"start on (runlevel 2 and startup) or never\nexec true\n": true,
		"start on startups or started startup\nexec true\n":       false,
		"stop on startup\nexec true\n":                            false,
		"exec true\n":                                             false,
	} {
		class, problems := job.Parse("a", "a.conf", []byte(text))
		if class == nil {
			t.Fatalf("%q: %v", text, problems)
		}
		if got := startsOn(class, "startup"); got != want {
			t.Errorf("startsOn(%q, startup) = %t; want %t", text, got, want)
		}
	}
}
