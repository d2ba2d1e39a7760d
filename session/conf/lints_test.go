package conf_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/session-init/session-init/session/conf"
	"github.com/session-init/session-init/session/job"
)

// What the language marks as a lint is warned of when the file is loaded, with
// its place, and the job is there all the same.
func TestLintsAreLogged(t *testing.T) {
	for text, want := range map[string]string{
		"exec get http://h/#f\n":          ":1:19: '#' begins a comment here",
		"start on a or b and c\n":         ":1:17: 'and' and 'or' without parentheses",
		"start on a && b\n":               ":1:12: '&&' is an ordinary word here",
		"stop on a AND b\n":               ":1:11: 'AND' is an ordinary word here",
		"start on not a\n":                ":1:10: 'not' is an ordinary word here",
		"start on a, b\n":                 ":1:10: 'a,': the comma is part of the word",
		"start on a !b\n":                 ":1:12: '!b' is an ordinary word here",
		"stop on (started x\nor b and c)": ":2:6: 'and' and 'or' without parentheses",
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "j.conf")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		var set []string
		w := conf.New([]conf.Dir{{Path: dir}}, conf.Options{
			Logger: slog.New(slog.NewTextHandler(&log, nil)), Parse: job.Parse, Apply: job.Apply,
			Patience: time.Hour,
		}, func(changes []conf.Change) {
			for _, c := range changes {
				if c.Set != nil {
					set = append(set, c.Set.Name)
				}
			}
		})
		if err := w.Load(); err != nil {
			t.Error(err)
		}
		w.Close()
		if got := log.String(); !strings.Contains(got, "level=WARN") || !strings.Contains(got, path+want) || strings.Count(got, want) != 1 {
			t.Errorf("%q: the log says %q; want a warning with %q, once", text, got, want)
		}
		if len(set) != 1 || set[0] != "j" {
			t.Errorf("%q: loaded %q; want j", text, set)
		}
	}
}
