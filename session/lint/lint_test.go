package lint

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/job"
)

// A vector of testdata is a set of jobs and what is said of it:
//
//	[what it shows]
//	== name            a job; "== name override": its override
//	| a line of it
//	? file:line:col: rule: message
//
// A file is name.conf or name.override. All is looked at in testWorld.
type vector struct {
	title string
	files []vectorFile
	want  []string
}

type vectorFile struct {
	name     string
	override bool
	text     string
}

func readVectors(t *testing.T, path string) (out []*vector) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var v *vector
	for i, line := range strings.Split(string(data), "\n") {
		switch {
		case strings.HasPrefix(line, "["):
			v = &vector{title: strings.Trim(line, "[]")}
			out = append(out, v)
		case line == "" || v == nil:
		case strings.HasPrefix(line, "== "):
			name, override := strings.CutSuffix(line[3:], " override")
			v.files = append(v.files, vectorFile{name: name, override: override})
		case line[0] == '|':
			v.files[len(v.files)-1].text += strings.TrimPrefix(line[1:], " ") + "\n"
		case strings.HasPrefix(line, "? "):
			v.want = append(v.want, line[2:])
		default:
			t.Fatalf("%s:%d: neither a job nor a finding: %q", path, i+1, line)
		}
	}
	return out
}

func (v *vector) jobs(t *testing.T) []Job {
	t.Helper()
	var out []Job
	for _, f := range v.files {
		if !f.override {
			class, problems := job.Parse(f.name, f.name+".conf", []byte(f.text))
			if class == nil {
				t.Fatalf("%s: %v", v.title, problems)
			}
			out = append(out, Job{Class: class, Text: []byte(f.text)})
			continue
		}
		last := &out[len(out)-1]
		class, problems := job.Apply(last.Class, f.name+".override", []byte(f.text))
		if class == nil {
			t.Fatalf("%s: %v", v.title, problems)
		}
		last.Class, last.Override = class, []byte(f.text)
	}
	return out
}

// testWorld is an ordinary user's, with /bin/sh, /bin/run and few others.
func testWorld() World {
	files := map[string]File{
		"/": Directory, "/bin": Directory, "/srv": Directory, "/srv/root": Directory, "/srv/root/bin": Directory,
		"/bin/run": Program, "/bin/text": Plain, "/srv/root/bin/inner": Program, "/srv/here": Program, "/hung/x": Unknown,
	}
	ids := func(name string) (uint32, bool) {
		id, ok := map[string]uint32{"root": 0, "me": 1000}[name]
		return id, ok
	}
	return World{
		Events: []string{"told", "net-*"}, Broken: []string{"broken"}, Path: "/sbin:/bin", Commands: []string{"emit"},
		Look: func(path string) File {
			if file, ok := files[path]; ok {
				return file
			}
			return Missing
		},
		User: ids, Group: ids, UID: 1000, GID: 1000, MinNice: -5, MinOOM: 0,
		Ceiling: func(resource int) (uint64, bool) { return 4096, job.ResourceName(resource) == "nofile" },
	}
}

func told(found []Finding) []string {
	var out []string
	for _, f := range found {
		out = append(out, fmt.Sprintf("%s:%d:%d: %s: %s", f.Path, f.Line, f.Col, f.Rule, f.Msg))
	}
	return out
}

func TestVectors(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	shown := map[string]bool{}
	for _, path := range paths {
		for _, v := range readVectors(t, path) {
			got := told(Check(v.jobs(t), testWorld()))
			if !slices.Equal(got, v.want) {
				t.Errorf("%s: %s: got\n? %s\nwant\n? %s", path, v.title, strings.Join(got, "\n? "), strings.Join(v.want, "\n? "))
			}
			for _, line := range got {
				shown[strings.Split(line, ": ")[1]] = true
			}
		}
	}
	for _, rule := range Rules() {
		if !shown[string(rule)] {
			t.Errorf("no vector shows the rule %s", rule)
		}
	}
}

// What is never asked is never judged, and nothing else goes wrong for it.
func TestCheckWithoutMachine(t *testing.T) {
	text := []byte("exec /no/such\nchdir /no/where\nsetuid nobody-here\nlimit nofile 1 999999999\nnice 5\n")
	class, _ := job.Parse("a", "a.conf", text)
	if got := told(Check([]Job{{Class: class, Text: text}}, World{})); got != nil {
		t.Errorf("Check with an empty World = %q; want nothing", got)
	}
}

// Root may do what others may not.
func TestCheckRoot(t *testing.T) {
	text := []byte("chroot /srv/root\nsetuid root\nsetgid root\nnice -20\noom score never\nconsole output\n")
	class, _ := job.Parse("a", "a.conf", text)
	world := testWorld()
	world.Root, world.System = true, true
	if got := told(Check([]Job{{Class: class, Text: text}}, world)); got != nil {
		t.Errorf("Check for root = %q; want nothing", got)
	}
}

// A file of another startup event: that of the default is unknown then.
func TestCheckStartup(t *testing.T) {
	text := []byte("start on startup\n")
	class, _ := job.Parse("a", "a.conf", text)
	got := Check([]Job{{Class: class, Text: text}}, World{Startup: "go"})
	if len(got) != 2 || got[0].Rule != NeverStarts || got[1].Rule != UnknownEvent {
		t.Errorf("Check with the startup event go = %q; want never-starts and unknown-event", told(got))
	}
}

// A long chain and a long cycle take no recursion and no square of their
// length.
func TestCheckLong(t *testing.T) {
	const n = 20000
	chain := func(first string) []Job {
		var out []Job
		for i := range n {
			text := []byte(fmt.Sprintf("start on started j%05d\n", i+1))
			if i == n-1 {
				text = []byte(first)
			}
			class, problems := job.Parse(fmt.Sprintf("j%05d", i), "x.conf", text)
			if class == nil {
				t.Fatal(problems)
			}
			out = append(out, Job{Class: class, Text: text})
		}
		return out
	}
	if got := Check(chain("start on startup\n"), World{}); got != nil {
		t.Errorf("a chain from startup: %d findings, the first %v; want none", len(got), got[0])
	}
	got := Check(chain("start on nothing-does\n"), World{})
	if len(got) != n+1 {
		t.Errorf("a chain from nothing: %d findings; want %d", len(got), n+1)
	}
}

func TestCycleIsNamedFromEachJob(t *testing.T) {
	var jobs []Job
	for i, text := range []string{"start on started b\n", "start on starting c\n", "start on stopped a\n", "start on started a\n"} {
		class, _ := job.Parse(string(rune('a'+i)), string(rune('a'+i))+".conf", []byte(text))
		jobs = append(jobs, Job{Class: class, Text: []byte(text)})
	}
	want := []string{
		"a.conf:1:1: cycle: job 'a' can start by hand only: a waits for b, b waits for c, c waits for a",
		"b.conf:1:1: cycle: job 'b' can start by hand only: b waits for c, c waits for a, a waits for b",
		"c.conf:1:1: cycle: job 'c' can start by hand only: c waits for a, a waits for b, b waits for c",
		"d.conf:1:1: never-starts: job 'd' can start by hand only: 'started a' never comes, for 'a' does not start by itself",
	}
	if got := told(Check(jobs, World{})); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestEmitted(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"emit a", "a"},
		{"initctl emit -n a X=1; emit 'b'", "a b"},
		{"/sbin/initctl emit --no-wait net-$IFACE-up", "net-*-up"},
		{"emit ${X}-up || emit $Y", "*-up"},
		{"# emit a\n  #emit b\nemitted c", ""},
		{"(emit a)&&$(emit b)", "a b"},
		{"emit", ""},
	} {
		if got := strings.Join(emitted(test.text), " "); got != test.want {
			t.Errorf("emitted(%q) = %q; want %q", test.text, got, test.want)
		}
	}
}

// The texts of job files can be anything, also when they fit no class.
func FuzzCheck(f *testing.F) {
	f.Add("start on started b and x\nexec a\n", "start on started a\nemits x\n")
	f.Add("start on (started * JOB!=b\n or stopped RESULT=ok EXIT_STATUS=1)\ninstance ${A\nstop on x$Y\n", "export A\nscript\nemit $x-y\nend script\n")
	f.Fuzz(func(t *testing.T, first, second string) {
		var jobs []Job
		for i, text := range []string{first, second} {
			name := string(rune('a' + i))
			if class, _ := job.Parse(name, name+".conf", []byte(text)); class != nil {
				jobs = append(jobs, Job{Class: class, Text: []byte(text)})
			}
		}
		once, again := Check(jobs, testWorld()), Check(jobs, testWorld())
		if !slices.Equal(once, again) {
			t.Errorf("Check gives %q, then %q", told(once), told(again))
		}
		for _, finding := range once {
			if finding.Line < 1 || finding.Col < 1 || finding.Path == "" || !finding.Warning {
				t.Errorf("Check gives %+v", finding)
			}
		}
		names := KnownNames(jobs, nil)
		for _, j := range jobs {
			all, some := names.Absent(j.Class.StartOn, true), names.Absent(j.Class.StartOn, false)
			if len(some) > len(all) {
				t.Errorf("Absent gives %v; want no more than %v", some, all)
			}
		}
	})
}

// Of what cannot come, that is named for which nothing stands in.
func TestAbsent(t *testing.T) {
	class := func(name, text string) Job {
		c, problems := job.Parse(name, name+".conf", []byte(text))
		if c == nil {
			t.Fatal(problems)
		}
		return Job{Class: c}
	}
	names := KnownNames([]Job{class("here", "emits e\nemits f-*\n"), class("rc", "")}, []string{"told"})
	for _, test := range []struct{ condition, some, all string }{
		{"startup", "", ""},
		{"e and f-1 and told and :sys:x and starting/failed", "", ""},
		{"x", "event x", "event x"},
		{"started nope", "job nope", "job nope"},
		{"started JOB=nope or e", "", "job nope"},
		{"e and x", "event x", "event x"},
		{"started a or started b or started here or started c", "job b job a", "job c job b job a"},
		{"starting here or (runlevel [016] and (x or stopped a or stopped b))", "job b job a event x", "job b job a event x"},
		{"starting here or (runlevel and (e or stopped a or stopped b))", "", "job b job a"},
		{"started h* and stopped X=1 and started JOB!=nope", "", ""},
		{"started n*", "job n*", "job n*"},
	} {
		x := class("t", "start on "+test.condition+"\n").Class.StartOn
		for _, all := range []bool{false, true} {
			var got []string
			for _, a := range names.Absent(x, all) {
				kind := "event "
				if a.Job {
					kind = "job "
				}
				got = append(got, kind+a.Name)
			}
			want := test.some
			if all {
				want = test.all
			}
			if got := strings.Join(got, " "); got != want {
				t.Errorf("Absent(%s, %v) = %q; want %q", test.condition, all, got, want)
			}
		}
	}
	if got := names.Absent((*events.Expr)(nil), true); got != nil {
		t.Errorf("Absent(nil) = %v; want nothing", got)
	}
}
