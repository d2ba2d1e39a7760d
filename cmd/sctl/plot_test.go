package main

import (
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/session-init/session-init/session/engine"
)

// started makes the answer of GetTimings: lines of "job event by times", where
// times are those in ms of starting, pre-start, spawned, post-start, running and
// ended, "-" for none, on a clock that stood at 1000 ms when the session began.
func started(t *testing.T, now uint64, lines ...string) *startup {
	t.Helper()
	const base = 1000
	list := []any{}
	for _, line := range lines {
		words := strings.Fields(line)
		told := map[string]any{"job": strings.Trim(words[0], "*!"), "reason": "event"}
		told["task"], told["failed"] = strings.HasSuffix(words[0], "*"), strings.HasSuffix(words[0], "!")
		if words[1] != "-" {
			told["event"] = words[1]
		}
		if words[2] != "-" {
			told["by_job"] = words[2]
		}
		for i, word := range words[3:] {
			var ms uint64
			if _, err := fmt.Sscan(word, &ms); err == nil {
				told[[]string{"starting", "pre_start", "spawned", "post_start", "running", "ended"}[i]] = (base + ms) * 1000
			}
		}
		list = append(list, told)
	}
	s, err := readStartup([]any{(base + now) * 1000, uint64(1700000000000000), uint64(base * 1000), list})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestCriticalPath(t *testing.T) {
	for _, test := range []struct {
		title string
		lines []string
		want  string
		total time.Duration
	}{
		{"nothing", nil, "", 0},
		{"a chain", []string{"a startup - 1 1 1 9 9", "b started a 9 9 9 20 20", "x startup - 1 1 1 2 15"}, "a b", 20},
		{"held up", []string{"nfs starting! - 1 30 30 31 31", "port starting nfs 1 1 1 30 30", "quick starting nfs 1 1 1 2 2"}, "nfs port", 31},
		{"held up, behind a chain", []string{"net startup - 1 1 1 5 5", "nfs started net 5 30 30 31 31", "port starting nfs 5 5 5 30 30", "app started nfs 31 31 31 40 40"},
			"net nfs port app", 40},
		{"a task counts to its end", []string{"a startup - 1 1 1 2 2", "t* startup - 1 1 1 2 2 50", "u started t 2 2 2 10 10"}, "t", 50},
		{"a service to its start", []string{"a startup - 1 1 1 5 5 5000", "b startup - 1 1 1 9 9"}, "b", 9},
		{"by a caller", []string{"tour* startup - 1 1 1 2 2 -", "got - tour 60 60 60 70 70"}, "tour got", 70},
		{"in a circle", []string{"a starting b 1 2 2 3 9", "b starting a 1 2 2 3 8"}, "a b", 9},
		{"by itself", []string{"a started a 1 2 2 3 9"}, "a", 9},
		{"by who is not known", []string{"a started gone 1 2 2 3 9"}, "a", 9},
		{"failed", []string{"a! startup - 1 2 - - - 80"}, "a", 80},
		{"under way", []string{"a startup - 1 2 60 - -"}, "a", 60},
	} {
		s := started(t, 100_000, test.lines...)
		s.finish(false)
		var names []string
		for _, f := range s.path {
			if !f.critical {
				t.Errorf("%s: %s is on the path and not critical", test.title, f.name)
			}
			names = append(names, f.name)
		}
		if got := strings.Join(names, " "); got != test.want || s.total != test.total*time.Millisecond {
			t.Errorf("%s: the critical path is %s, of %v; want %s, of %d ms", test.title, got, s.total, test.want, test.total)
		}
	}
}

func TestPlotText(t *testing.T) {
	lines := []string{"db startup - 1 1 3 9 20", "web started db 20 20 20 20 25 30", "set* startup - 1 1 1 1 2 7000",
		"bad! go tour 500 500 - - - 512", "slow startup - 600 600 601 - -", "hand - - 18000 18000 18000 18000 18001", "late - - 29000 29001"}
	s := started(t, 60_000, lines...)
	s.finish(false)
	want := `7000 ms from the beginning of the session to its last start, 5 jobs; 2 started later (--all)
critical path, marked with *: set (6999 ms)

      TOOK       BEGAN    JOB
   6999 ms      1.0 ms  * set (task): event startup
     19 ms      1.0 ms    db: event startup
     12 ms      500 ms    bad (failed): event go, emitted by tour
    5.0 ms       20 ms    web: started db
    1.0 ms      600 ms    slow (under way: spawned): event startup
`
	if got := s.text(); got != want {
		t.Errorf("text() = %s\nwant %s", got, want)
	}
	if s = started(t, 60_000, lines...); s != nil {
		s.finish(true)
		if len(s.starts) != 7 || s.later != 0 || s.total != 29001*time.Millisecond {
			t.Errorf("finish(all) has %d starts, %d later, total %v; want 7, 0, 29.001s", len(s.starts), s.later, s.total)
		}
	}
	s = started(t, 1)
	s.finish(false)
	if got := s.text(); got != "nothing is known of the start of a job\n" {
		t.Errorf("text() of nothing = %q", got)
	}
}

// The chart is XML whatever jobs are called, with a row for each.
func TestPlotSVG(t *testing.T) {
	s := started(t, 100, "a<&>\"b startup - 1 1 3 9 20", "web started a<&>\"b 20 20 20 20 25 30",
		strings.Repeat("long", 20)+" startup - 1 1 - - -", "task* startup - 1 1 1 1 2 7", "bad! x y 9 9 - - - 9")
	s.finish(false)
	rows, bars, titles := 0, 0, ""
	decoder := xml.NewDecoder(strings.NewReader(s.svg()))
	for {
		token, err := decoder.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("svg() is no XML: %v\n%s", err, s.svg())
		}
		switch token := token.(type) {
		case xml.StartElement:
			switch token.Name.Local {
			case "g":
				rows++
			case "rect":
				bars++
			}
			for _, attr := range token.Attr {
				if strings.Contains(attr.Value, "NaN") || strings.Contains(attr.Value, "%!") || strings.Contains(attr.Value, "-Inf") ||
					attr.Name.Local == "width" && strings.HasPrefix(attr.Value, "-") {
					t.Errorf("svg() has %s=%s", attr.Name.Local, attr.Value)
				}
			}
		case xml.CharData:
			titles += string(token)
		}
	}
	// 6 bars of the legend, 3+3+1+2+0 of states, 2 around those of the path.
	if rows != 5 || bars != 6+3+3+1+2+0+2 {
		t.Errorf("svg() has %d rows and %d bars; want 5 and 17", rows, bars)
	}
	for _, want := range []string{"start of the session: 25 ms", "5 jobs · 2023-11-", "a<&>\"b: event startup\nstarting at 1.0 ms", "0.0 ms failed", "ended at 30 ms",
		strings.Repeat("long", 9) + "lon…", "critical path", "20 ms"} {
		if !strings.Contains(titles, want) {
			t.Errorf("svg() does not say %q:\n%s", want, titles)
		}
	}
	for _, empty := range []*startup{started(t, 0), started(t, 0, "a startup - 0 0 0 0 0")} {
		empty.finish(false)
		if err := xml.Unmarshal([]byte(empty.svg()), new(struct{})); err != nil || strings.Contains(empty.svg(), "NaN") {
			t.Errorf("svg() of next to nothing: %v\n%s", err, empty.svg())
		}
	}
}

func TestTick(t *testing.T) {
	for _, test := range []struct{ span, want time.Duration }{
		{time.Millisecond, 200 * time.Microsecond}, {7500 * time.Millisecond, time.Second}, {16 * time.Second, 2 * time.Second},
		{100 * time.Millisecond, 20 * time.Millisecond}, {40 * time.Millisecond, 5 * time.Millisecond}, {240 * time.Hour, 50000 * time.Second * 2},
	} {
		if got := tick(test.span); got != test.want {
			t.Errorf("tick(%v) = %v; want %v", test.span, got, test.want)
		}
	}
}

func TestPlot(t *testing.T) {
	w := newWorld(t, "db", "start on go\nexec x", "web", "start on started db\nexec x")
	w.arrange(func() { w.engine.Step(time.Second, engine.Tick{}) })
	w.play(t, []step{{"sctl -q emit go", 0, "", ""},
		{"sctl plot --text", 0, "0.0 ms from the beginning of the session to its last start, 2 jobs\ncritical path, marked with *: db (0.0 ms)\n\n" +
			"      TOOK       BEGAN    JOB\n    0.0 ms      0.0 ms  * db: event go\n    0.0 ms      0.0 ms    web: started db\n", ""},
		{"sctl plot --json --text", 2, "", "plot: --json goes without --text, --svg and --output\n*"},
		{"sctl plot --svg --text", 2, "", "plot: --text goes without --svg\n*"},
		{"sctl plot x", 2, "", "plot: unexpected argument: x\n*"},
		{"sctl list --text", 2, "", "list: --text is no option of list\n*"}})
	if got := w.sctl(nil, "sctl", "plot"); got.status != 0 || got.err != "" || !strings.HasPrefix(got.out, "<svg ") || !strings.HasSuffix(got.out, "</svg>\n") {
		t.Errorf("plot = %+v; want a picture", got)
	}
	file := filepath.Join(t.TempDir(), "start.svg")
	w.play(t, []step{{"sctl plot -o " + file, 0, "", ""}})
	if text, err := os.ReadFile(file); err != nil || !strings.HasPrefix(string(text), "<svg ") {
		t.Errorf("plot -o wrote %q, %v; want a picture", text, err)
	}
	// On a terminal it is the list, and how to draw it.
	master, slave := terminal(t)
	if status := runPatiently([]string{"sctl", "plot"}, []string{"UPSTART_SESSION=" + w.server.Address()}, slave, slave); status != 0 {
		t.Errorf("plot on a terminal = %d; want 0", status)
	}
	lines := shownOn(t, master, slave)
	if text := strings.Join(lines, "\n"); !strings.Contains(text, "web: started db") || !strings.Contains(text, "plot: sctl plot -o start.svg draws it") {
		t.Errorf("plot on a terminal = %s; want the list", text)
	}
}
