package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/session-init/session-init/supervise/logtime"
)

func TestParseSince(t *testing.T) {
	zone := time.FixedZone("here", 2*3600)
	now := time.Date(2026, 5, 3, 14, 30, 15, 0, zone)
	for _, test := range []struct{ text, want string }{
		{"10min", "2026-05-03T14:20:15+02:00"}, {"10m", "2026-05-03T14:20:15+02:00"}, {"90s", "2026-05-03T14:28:45+02:00"},
		{"2h30m", "2026-05-03T12:00:15+02:00"}, {"2h 30min", "2026-05-03T12:00:15+02:00"}, {"1.5h", "2026-05-03T13:00:15+02:00"},
		{"3d", "2026-04-30T14:30:15+02:00"}, {"1w", "2026-04-26T14:30:15+02:00"},
		{"14:05", "2026-05-03T14:05:00+02:00"}, {"14:31", "2026-05-02T14:31:00+02:00"}, {"07:00:01", "2026-05-03T07:00:01+02:00"},
		{"today", "2026-05-03T00:00:00+02:00"}, {"yesterday", "2026-05-02T00:00:00+02:00"},
		{"2026-05-01", "2026-05-01T00:00:00+02:00"}, {"2026-05-01 12:13", "2026-05-01T12:13:00+02:00"}, {"2026-05-01T12:13:14", "2026-05-01T12:13:14+02:00"},
		{"2026-05-01T12:13:14Z", "2026-05-01T12:13:14Z"}, {"@1700000000", "2023-11-14T22:13:20Z"},
	} {
		got, err := parseSince(test.text, now)
		want, _ := time.Parse(time.RFC3339, test.want)
		if err != nil || !got.Equal(want) {
			t.Errorf("parseSince(%s) = %v, %v; want %s", test.text, got, err, test.want)
		}
	}
	for _, text := range []string{"", "10", "min", "10x", "-5min", "5min 3", "25:00", "2026-13-01", "@", "@-1", "tomorrow", "10minutes ago"} {
		if got, err := parseSince(text, now); err == nil || !strings.Contains(err.Error(), "is no time") {
			t.Errorf("parseSince(%q) = %v, %v; want a refusal", text, got, err)
		}
	}
	if _, err := parseSince("2026-05-03 14:31", now); err == nil || err.Error() != "'2026-05-03 14:31' is a time to come" {
		t.Errorf("parseSince of a time to come = %v", err)
	}
}

// minute is a time in tests: so many minutes after the hour.
func minute(n float64) time.Time {
	return time.Date(2026, 5, 3, 12, 0, 0, 0, time.UTC).Add(time.Duration(n * float64(time.Minute)))
}

// noted is a note of a size at a minute, seen at once.
func noted(size int64, at float64) logtime.Note {
	return logtime.Note{Time: minute(at), Size: size, From: minute(at).Add(-time.Second)}
}

// What is known of each line: "text FROM-TO", in minutes, or ? for unknown.
func TestLogTimes(t *testing.T) {
	show := func(at time.Time) string {
		if at.IsZero() {
			return "?"
		}
		return fmt.Sprint(at.Sub(minute(0)).Round(time.Minute / 10).Minutes())
	}
	cut := func(start, at, end, moved int64) logtime.Note {
		return logtime.Note{Cut: &logtime.Cut{Start: start, At: at, End: end, Moved: moved}}
	}
	for _, test := range []struct {
		name    string
		parts   []string // each "TEXT@MINUTE": when it was changed
		start   int64
		notes   []logtime.Note
		foreign bool
		want    string
	}{
		{"nothing", []string{"@1"}, 0, nil, false, ""},
		{"no notes", []string{"a b@9"}, 0, nil, false, "a ?-9, b ?-9"},
		{"parts without notes", []string{"a b@3", "c@9"}, 0, nil, false, "a ?-3, b ?-3, c ?-9"},
		{"notes", []string{"a b c@9"}, 0, []logtime.Note{noted(2, 1), noted(4, 5), noted(6, 9)}, false, "a 1-1, b 5-5, c 9-9"},
		{"half a line", []string{"a bbb c@9"}, 0, []logtime.Note{noted(3, 1), noted(6, 5), noted(8, 9)}, false, "a 1-1, bbb 5-5, c 9-9"},
		{"not noted yet", []string{"a b@9"}, 0, []logtime.Note{noted(2, 1)}, false, "a 1-1, b 1-9"},
		{"from long ago", []string{"a b@9"}, 0, []logtime.Note{{Time: minute(1), Size: 2, From: minute(-5)}, noted(4, 9)}, false, "a -5-1, b 9-9"},
		{"nobody knows", []string{"a b@9"}, 0, []logtime.Note{{Time: minute(1), Size: 2}, noted(4, 9)}, false, "a ?-1, b 9-9"},
		{"of another log", []string{"a b@9"}, 0, []logtime.Note{noted(2, 1), noted(4, 5)}, true, "a ?-9, b ?-9"},
		{"beyond the end", []string{"a b@9"}, 0, []logtime.Note{noted(2, 1), noted(400, 5)}, false, "a 1-1, b 1-9"},
		{"behind a hole", []string{"c d@9"}, 100, []logtime.Note{noted(102, 7), noted(104, 9)}, false, "c 7-7, d 9-9"},
		// a b c went away, of c its last two bytes are a mark now.
		{"cut", []string{"a b ccc@6", "- d@9"}, 0, []logtime.Note{noted(2, 1), noted(4, 2), noted(8, 3), cut(0, 6, 8, 6), noted(4, 9)}, false,
			"a 1-1, b 2-2, ccc 3-3, - 9-9, d 9-9"},
		{"cut to a hole", []string{"a b ccc@6", "- d@9"}, 6, []logtime.Note{noted(2, 1), noted(4, 2), noted(8, 3), cut(0, 6, 8, 0), noted(10, 9)}, false,
			"a 1-1, b 2-2, ccc 3-3, - 9-9, d 9-9"},
		{"cut before the end", []string{"a bbb@6", "- c d@9"}, 0, []logtime.Note{noted(2, 1), noted(8, 3), cut(0, 4, 6, 4), noted(6, 9)}, false,
			"a 1-1, bbb 3-3, - 3-3, c 3-3, d 9-9"},
		{"cut twice", []string{"a b@3", "c d@6", "e@9"}, 0,
			[]logtime.Note{noted(2, 1), noted(4, 2), cut(0, 4, 4, 4), noted(2, 4), noted(4, 5), cut(0, 4, 4, 4), noted(2, 9)}, false,
			"a 1-1, b 2-2, c 4-4, d 5-5, e 9-9"},
		{"the oldest part is gone", []string{"c d@6", "e@9"}, 0,
			[]logtime.Note{noted(2, 1), noted(4, 2), cut(0, 4, 4, 4), noted(2, 4), noted(4, 5), cut(0, 4, 4, 4), noted(2, 9)}, false,
			"c 4-4, d 5-5, e 9-9"},
		{"one cut, two parts", []string{"a b@6", "c d@6", "e@9"}, 0,
			[]logtime.Note{noted(2, 1), noted(6, 4), noted(8, 5), cut(0, 8, 8, 8), noted(2, 9)}, false,
			"a 1-1, b 4-4, c 4-4, d 5-5, e 9-9"},
		{"made at 4", []string{"a b@3", "c d@9"}, 0, []logtime.Note{noted(2, 5)}, false, "a ?-3, b ?-3, c 5-5, d 5-9"},
		{"made at 4 and not noted", []string{"a b@3", "c d@9"}, 0, nil, false, "a ?-3, b ?-3, c 4-9, d 4-9"},
		{"made at 4 of what is older", []string{"c d@2"}, 0, nil, false, "c ?-2, d ?-2"},
	} {
		l := logText{start: test.start, id: logtime.ID{Inode: 7}}
		if strings.HasPrefix(test.name, "made at 4") {
			l.born = minute(4)
		}
		for _, part := range test.parts {
			text, at, _ := strings.Cut(part, "@")
			var when float64
			fmt.Sscan(at, &when)
			if text != "" {
				text = strings.ReplaceAll(text, " ", "\n") + "\n"
			}
			l.parts, l.changed = append(l.parts, []byte(text)), append(l.changed, minute(when))
		}
		book := logtime.Book{ID: l.id, Notes: test.notes}
		if test.foreign {
			book.Inode++
		}
		var got []string
		for _, line := range l.lines(nil, book) {
			got = append(got, line.text+" "+show(line.from)+"-"+show(line.at))
		}
		if text := strings.Join(got, ", "); text != test.want {
			t.Errorf("%s: the lines came %s; want %s", test.name, text, test.want)
		}
	}
}

func TestMerged(t *testing.T) {
	line := func(text string, at float64) pastLine {
		return pastLine{text: text, at: minute(at), from: minute(at)}
	}
	vague := func(text string, at float64) pastLine { return pastLine{text: text, at: minute(at)} }
	for _, test := range []struct {
		logs [][]pastLine
		want string
	}{
		{nil, ""},
		{[][]pastLine{{line("a", 1), line("b", 3)}, {line("x", 2), line("y", 4)}}, "a x b y"},
		{[][]pastLine{{line("a", 1), line("b", 1)}, {line("x", 1)}}, "a b x"},
		{[][]pastLine{{line("x", 2)}, {line("a", 1), line("b", 3)}}, "a x b"},
		{[][]pastLine{{vague("a", 9), vague("b", 9)}, {vague("x", 8)}}, "a b x"},
		{[][]pastLine{{line("a", 1), vague("b", 9), line("c", 9)}, {line("x", 5)}}, "a b x c"},
	} {
		var got []string
		for _, l := range merged(test.logs) {
			got = append(got, l.text)
		}
		if text := strings.Join(got, " "); text != test.want {
			t.Errorf("merged = %s; want %s", text, test.want)
		}
	}
}

func TestDoubt(t *testing.T) {
	for _, test := range []struct {
		line pastLine
		want string
	}{
		{pastLine{from: minute(1), at: minute(1)}, ""},
		{pastLine{from: minute(3), at: minute(9)}, ""},
		{pastLine{at: minute(9)}, "nobody has noted when they came"},
		{pastLine{from: minute(1), at: minute(9)}, "nobody has noted when they came, after 2026-05-03 12:01:00 and before 2026-05-03 12:09:00"},
		{pastLine{from: minute(1)}, "nobody has noted when they came, after 2026-05-03 12:01:00"},
	} {
		if got := test.line.doubt(minute(2)); got != test.want {
			t.Errorf("what came from %v to %v: %q; want %q", test.line.from, test.line.at, got, test.want)
		}
	}
}

// annotate writes the notes of a log: its sizes, and how many minutes ago they
// were seen. The log itself was changed last at the last of them.
func annotate(t *testing.T, log string, now time.Time, pairs ...int64) {
	t.Helper()
	id, _, err := logtime.Of(log)
	if err != nil {
		t.Fatal(err)
	}
	book := logtime.Book{ID: id}
	var at time.Time
	for i := 0; i < len(pairs); i += 2 {
		at = now.Add(-time.Duration(pairs[i+1]) * time.Minute)
		book.Notes = append(book.Notes, logtime.Note{Time: at, Size: pairs[i], From: at.Add(-time.Second)})
	}
	if err := os.MkdirAll(filepath.Dir(logtime.Path(log)), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, logtime.Path(log), book.String())
	if err := os.Chtimes(log, at, at); err != nil {
		t.Fatal(err)
	}
}

func TestLogSince(t *testing.T) {
	w := newWorld(t, "svc", "exec x", "net", "instance $IF\nexec x", "old", "exec x", "silent", "exec x")
	logs := t.TempDir()
	w.arrange(func() { w.logs = logs })
	now := time.Now()
	svc, eth0, old := filepath.Join(logs, "svc.log"), filepath.Join(logs, "net-eth0.log"), filepath.Join(logs, "old.log")
	write(t, svc, "one\ntwo\nthree\nfour\n")
	annotate(t, svc, now, 4, 300, 8, 60, 14, 20, 19, 5)
	write(t, eth0, "up\ndown\n")
	annotate(t, eth0, now, 3, 59, 8, 6)
	write(t, old, "by a daemon of before\n")
	older := now.Add(-time.Hour)
	if err := os.Chtimes(old, older, older); err != nil {
		t.Fatal(err)
	}
	usage := "usage: sctl log [OPTION...] JOB...\n"
	w.play(t, []step{
		{"sctl log svc", 0, "one\ntwo\nthree\nfour\n", ""},
		{"sctl log --since 10min svc", 0, "four\n", ""},
		{"sctl log --since 30min svc", 0, "three\nfour\n", ""},
		{"sctl log --since=2h svc", 0, "two\nthree\nfour\n", ""},
		{"sctl log --since 2h -n 2 svc", 0, "three\nfour\n", ""},
		{"sctl log --since 1w svc", 0, "one\ntwo\nthree\nfour\n", ""},
		{"sctl log --since 1min svc", 0, "", ""},
		{"sctl log --since 1min silent", 0, "", ""},
		// By their times.
		{"sctl log svc net", 0, "svc: one\nsvc: two\nnet (eth0): up\nsvc: three\nnet (eth0): down\nsvc: four\n", ""},
		{"sctl log --since 30min net svc", 0, "svc: three\nnet (eth0): down\nsvc: four\n", ""},
		// Of which only is known when it was changed.
		{"sctl log --since 30min old", 0, "", ""},
		{"sctl log --since 2h -q old", 0, "", ""},
		{"sctl log --since 2h old", 0, "by a daemon of before\n", "log: the first lines of old may be older: nobody has noted when they came\n"},
		{"sctl log --since soon svc", 2, "", "log: --since: 'soon' is no time: these are 10min, 2h30m, 3d, 14:05, yesterday, '2006-01-02 15:04'\n" + usage},
		{"sctl list --since 1h", 2, "", "list: --since is no option of list\nusage: sctl list [OPTION...]\n"},
	})
	// Printed while nobody looked, to a file that is a moment old; when it seems to
	// have been changed later, or does not say when it was made, nobody knows.
	appendTo(t, svc, "five\n")
	if got := w.sctl(nil, "sctl", "log", "--since", "1min", "svc"); got.status != 0 || got.out != "five\n" {
		t.Errorf("log --since of what nobody saw = %+v; want the line", got)
	}
	for _, later := range []time.Duration{0, time.Hour} {
		times := 1
		_, changed, _ := logtime.Of(svc)
		if changed.IsZero() {
			changed = time.Now()
		} else if later == 0 {
			times = 2
		}
		// As long after it was made as is said here, however long all this took.
		changed = changed.Add(later)
		if err := os.Chtimes(svc, changed, changed); err != nil {
			t.Fatal(err)
		}
		if got := w.sctl(nil, "sctl", "log", "--json", "--since", "10min", "-n", "2", "svc"); strings.Count(got.out, `"time"`) != times || strings.Count(got.out, "\n") != 2 {
			t.Errorf("log --json = %+v; want two lines, a time in the first %d", got, times)
		}
	}
	// Followed, from then on.
	lines := w.following(t, svc, "--since", "10min", "svc", "net")
	for _, want := range []string{"net (eth0): down", "svc: four", "svc: five"} {
		if line, err := lines.ReadString('\n'); line != want+"\n" {
			t.Fatalf("log -f --since shows %q, %v; want %s", line, err, want)
		}
	}
	appendTo(t, eth0, "up again\n")
	if line, err := lines.ReadString('\n'); !strings.HasSuffix(line, " net (eth0): up again\n") {
		t.Errorf("log -f --since goes on with %q, %v", line, err)
	}
}
