package job

import "testing"

// What "manual" takes away is known, survives being printed, and is gone when
// there is another condition.
func TestMade(t *testing.T) {
	for _, test := range []struct {
		text, override  string
		startOn, manual string
	}{
		{"start on a\n", "", "a", ""},
		{"manual\n", "", "", ""},
		{"start on a\nmanual\n", "", "", "a"},
		{"start on a\nmanual\nmanual\n", "", "", "a"},
		{"start on a\nmanual\nstart on b\n", "", "b", ""},
		{"start on a\nmanual\nstart on b\nmanual\n", "", "", "b"},
		{"start on a\n", "manual\n", "", "a"},
		{"start on a\nmanual\n", "start on b or c\n", "(b or c)", ""},
		{"start on a\nmanual\n", "nice 1\n", "", "a"},
	} {
		class := parses(t, test.text)
		if test.override != "" {
			class, _ = Apply(class, "o", []byte(test.override))
		}
		made := test.startOn + test.manual
		for _, c := range []*Class{class, parses(t, string(Print(class)))} {
			if got, manual := c.StartOn.String(), c.Manual.String(); got != test.startOn || manual != test.manual || c.Made().String() != made {
				t.Errorf("%q, %q: StartOn, Manual, Made = %q, %q, %q; want %q, %q, %q", test.text, test.override, got, manual, c.Made().String(), test.startOn, test.manual, made)
			}
		}
	}
}
