package logtime

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestPath(t *testing.T) {
	for _, test := range []struct{ log, want string }{
		{"/var/log/a.log", "/var/log.times/a.log"}, {"/var/log/x/a.log.1", "/var/log/x.times/a.log.1"},
	} {
		if got := Path(test.log); got != test.want {
			t.Errorf("Path(%s) = %s; want %s", test.log, got, test.want)
		}
	}
}

// What is printed is read again as it was; what is torn, or no note, is left out.
func TestParse(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"", "log 0 0\n"},
		{"log 7 5\n", "log 7 5\n"},
		{"log 7 5\nat 1000 10 0\nat 2500 30 2000\ncut 0 20 25 20\nat 3000 15 2600\n", "log 7 5\nat 1000 10 0\nat 2500 30 2000\ncut 0 20 25 20\nat 3000 15 2600\n"},
		{"log 7 5\nat 1000 10 0\nlog 8 0\nat 2000 5 1\n", "log 8 0\nat 2000 5 1\n"},
		{"log 7 5\nat 1000 10 0\nat 2000 2", "log 7 5\nat 1000 10 0\n"},
		{"log 7 5\nat 1000 10 0\nat 2000 20 5", "log 7 5\nat 1000 10 0\n"},
		{"log 7 5\nnonsense\nat x y z\nat 1 2\nat 1000 10 0\n", "log 7 5\nat 1000 10 0\n"},
	} {
		if got := Parse([]byte(test.text)).String(); got != test.want {
			t.Errorf("Parse(%q) = %q; want %q", test.text, got, test.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("log 7 5\nat 1000 10 0\ncut 0 20 25 20\n")
	f.Fuzz(func(t *testing.T, text string) {
		b := Parse([]byte(text))
		if again := Parse([]byte(b.String())); again.String() != b.String() {
			t.Errorf("Parse(%q) = %q; want %q", b.String(), again.String(), b.String())
		}
	})
}

func TestLast(t *testing.T) {
	for _, test := range []struct {
		text string
		size int64
		ok   bool
	}{
		{"", 0, false}, {"log 7 5\ncut 0 4 4 4\n", 0, false},
		{"log 7 5\nat 1000 10 0\nat 2000 30 0\n", 30, true},
		{"log 7 5\nat 1000 100 0\ncut 0 60 65 60\n", 40, true},
		{"log 7 5\nat 1000 100 0\ncut 0 60 65 60\ncut 0 20 20 0\n", 40, true},
	} {
		if n, ok := Parse([]byte(test.text)).Last(); n.Size != test.size || ok != test.ok {
			t.Errorf("Last of %q = %d, %v; want %d, %v", test.text, n.Size, ok, test.size, test.ok)
		}
	}
}

func TestThin(t *testing.T) {
	at := func(seconds, size, from int) string {
		return fmt.Sprintf("at %d %d %d\n", seconds*1000, size, from*1000)
	}
	for _, test := range []struct {
		name string
		now  int // seconds
		cuts int
		text string
		want string
	}{
		{"nothing", 100, 1, "", ""},
		{"recent", 103, 1, at(100, 1, 99) + at(101, 2, 100) + at(102, 3, 101), at(100, 1, 99) + at(101, 2, 100) + at(102, 3, 101)},
		{"long ago", 1000, 1, at(100, 1, 99) + at(101, 2, 101) + at(102, 3, 102), at(100, 1, 99) + at(102, 3, 101)},
		{"unknown from", 1000, 1, at(100, 1, 99) + at(101, 2, 0) + at(102, 3, 102), at(100, 1, 99) + at(102, 3, 0)},
		{"apart", 1000, 1, at(100, 1, 99) + at(400, 2, 399) + at(700, 3, 699), at(100, 1, 99) + at(400, 2, 399) + at(700, 3, 699)},
		{"not over a cut", 1000, 1, at(100, 1, 99) + at(101, 9, 100) + "cut 0 4 4 4\n" + at(102, 6, 101), at(100, 1, 99) + at(101, 9, 100) + "cut 0 4 4 4\n" + at(102, 6, 101)},
		{"old cuts", 103, 1, at(100, 9, 99) + "cut 0 4 4 4\n" + at(101, 8, 100) + "cut 0 4 4 4\n", at(101, 8, 100) + "cut 0 4 4 4\n"},
		{"no parts", 103, 0, at(100, 9, 99) + "cut 0 4 4 4\n" + at(101, 8, 100), at(101, 8, 100)},
	} {
		got := Parse([]byte(Head(ID{7, 5})+test.text)).Thin(time.Unix(int64(test.now), 0), test.cuts).String()
		if want := Head(ID{7, 5}) + test.want; got != want {
			t.Errorf("%s: Thin = %q; want %q", test.name, got, want)
		}
	}
}

// A year of notes, one a second at first, is some hundred.
func TestThinBounds(t *testing.T) {
	var text strings.Builder
	text.WriteString(Head(ID{7, 5}))
	const year = 365 * 24 * 3600
	for s := 1; s <= year; s += 1 + (year-s)/2000 {
		fmt.Fprintf(&text, "at %d %d %d\n", s*1000, s, s*1000-1000)
	}
	before := Parse([]byte(text.String()))
	after := before.Thin(time.Unix(year, 0), 1)
	if n := len(after.Notes); n < 100 || n > 1000 {
		t.Errorf("Thin of %d notes leaves %d; want some hundred", len(before.Notes), n)
	}
	for i, n := range after.Notes[1:] {
		if d := n.Time.Sub(after.Notes[i].Time); d > time.Hour && d > 2*time.Unix(year, 0).Sub(n.Time)/coarse+2*time.Hour {
			t.Errorf("%v lie between two notes that are %v old", d, time.Unix(year, 0).Sub(n.Time))
		}
	}
}
