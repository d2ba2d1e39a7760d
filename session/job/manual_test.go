package job

import (
	"strings"
	"testing"
)

// Every stanza that works is in one entry of the manual, with an example that
// has it and that nothing can be said against.
func TestManual(t *testing.T) {
	entry := map[string]int{}
	seen := map[string]bool{}
	section := ""
	for i, e := range Manual() {
		if e.Section != section && seen["section "+e.Section] {
			t.Errorf("the entries of the section %q do not stand together", e.Section)
		}
		section = e.Section
		seen["section "+section] = true
		first := ""
		for title := range strings.SplitSeq(e.Titles, ", ") {
			if _, twice := entry[title]; twice {
				t.Errorf("%s is in the manual twice", title)
			}
			entry[title] = i
			if first == "" {
				first = title
			}
		}
		_, said, problems := Origins("job", Source{"example", []byte(e.Example)}, nil)
		if len(problems) > 0 {
			t.Errorf("the example of %s: %v", first, problems)
		}
		if !shows(said, e) {
			t.Errorf("the example of %s = %q; it does not show it", e.Titles, e.Example)
		}
		if strings.Count(e.Text, "`")%2 != 0 {
			t.Errorf("the text of %s has an odd number of backquotes", e.Titles)
		}
	}
	for _, s := range Stanzas() {
		if _, found := entry[s.Title()]; found == s.NotYet {
			t.Errorf("%s is in the manual: %v; want %v", s.Title(), found, !s.NotYet)
		}
		delete(entry, s.Title())
	}
	if len(entry) > 0 {
		t.Errorf("the manual has stanzas that the table lacks: %v", entry)
	}
}

// shows reports whether one of an entry's stanzas is said.
func shows(said []Said, e Entry) bool {
	for _, s := range said {
		for title := range strings.SplitSeq(e.Titles, ", ") {
			if s.Text == title || strings.HasPrefix(s.Text, title+" ") || strings.HasPrefix(s.Text, title+"\n") {
				return true
			}
		}
	}
	return false
}
