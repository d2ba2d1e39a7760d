package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// drawn gives the nodes and edges of a graph in DOT, a line each, without what
// is the same for all.
func drawn(dot string) string {
	var out []string
	for line := range strings.Lines(dot) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, `"`) {
			out = append(out, strings.NewReplacer(`color="#16a34a"`, "start", `color="#dc2626" style=dashed arrowhead=tee`, "stop",
				`color="#6b7280" style=dotted`, "emits", ` shape=box style="filled,rounded"`, "", ` shape=ellipse fillcolor="#e5e7eb"`, "",
				` shape=circle fontsize=8 margin=0 width=0.3 fixedsize=true`, "").Replace(line))
		}
	}
	return strings.Join(out, "\n")
}

const graphedJobs = `"job db" [label="db"]
"job net/dhcp" [label="net/dhcp"]
"job ui" [label="ui"]
"job web" [label="web"]
"event storage-ready" [label="storage-ready"]
"event startup" [label="startup"]
"event started" [label="started"]
"event interface-up" [label="interface-up"]
"and start 1 web" [label="and"]
"job gone" [label="gone" shape=box style="dashed,rounded" fontcolor="#6b7280" tooltip="gone: missing"]
"job db" -> "event storage-ready" [emits]
"event startup" -> "job db" [start]
"job db" -> "job net/dhcp" [start label="started"]
"job ui" -> "job net/dhcp" [start label="started"]
"job web" -> "job net/dhcp" [start label="started"]
"event started" -> "job ui" [start label="TTY=tty1"]
"job db" -> "and start 1 web" [start dir=none label="started INSTANCE=\"x\\y\""]
"event interface-up" -> "and start 1 web" [start dir=none label="IFACE=eth*"]
"and start 1 web" -> "job web" [start]
"event storage-ready" -> "job web" [start]
"job db" -> "job web" [stop label="stopping"]
"job gone" -> "job web" [stop label="stopped RESULT=ok"]`

func graphed() []string {
	return []string{
		"db", "emits storage-ready\nstart on startup\nexec x",
		"net/dhcp", "start on started JOB!=net/*\nexec x",
		"ui", "start on started TTY=tty1\nexec x",
		"web", "start on (started db INSTANCE='\"x\\\\y\"' and interface-up IFACE=eth*) or storage-ready\n" +
			"stop on stopping JOB=db or stopped gone RESULT=ok or stopped gone RESULT=ok\nexec x"}
}

func TestGraph(t *testing.T) {
	w := newWorld(t, graphed()...)
	want := graphedJobs
	for _, name := range []string{"db", "net/dhcp", "ui", "web"} {
		want = strings.Replace(want, `[label="`+name+`"]`, `[label="`+name+`" tooltip="`+name+`: resting"]`, 1)
	}
	got := w.sctl(nil, "sctl", "graph")
	if got.status != 0 || got.err != "" || drawn(got.out) != want || !strings.HasPrefix(got.out, "digraph jobs {\n") || !strings.HasSuffix(got.out, "}\n") {
		t.Errorf("graph = %d, %q,\n%s\nwant\n%s", got.status, got.err, drawn(got.out), want)
	}
	// The same without a daemon, of the files.
	dir, jobs := t.TempDir(), graphed()
	for i := 0; i < len(jobs); i += 2 {
		path := filepath.Join(dir, jobs[i]+".conf")
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, path, jobs[i+1])
	}
	if got := runWith([]string{"XDG_RUNTIME_DIR=" + dir}, "sctl", "graph", "--confdir", dir); got.status != 0 || got.err != "" || drawn(got.out) != graphedJobs {
		t.Errorf("graph --confdir = %d, %q,\n%s\nwant\n%s", got.status, got.err, drawn(got.out), graphedJobs)
	}
	environ := []string{"XDG_RUNTIME_DIR=" + dir, "HOME=/nonexistent", "XDG_CONFIG_HOME=" + dir, "XDG_CONFIG_DIRS=/nonexistent", "XDG_DATA_DIRS=/nonexistent"}
	if got := runWith(environ, "sctl", "graph"); got.status != 0 || got.err != "" {
		t.Errorf("graph without a session-init = %+v; want one of the files", got)
	}
	for _, test := range []struct{ names, want string }{
		{"ui", `"job net/dhcp" "job ui" "event started"` + ` ui>net/dhcp started>ui`},
		{"db", `"job db" "job net/dhcp" "job web" "event storage-ready" "event startup" "event interface-up" "and start 1 web"` +
			` db>storage-ready startup>db db>net/dhcp db>1 web interface-up>1 web 1 web>web storage-ready>web db>web`},
	} {
		got := w.sctl(nil, append([]string{"sctl", "graph"}, strings.Fields(test.names)...)...)
		var nodes, edges []string
		for line := range strings.Lines(drawn(got.out)) {
			node, _, _ := strings.Cut(line, " [")
			from, to, isEdge := strings.Cut(node, " -> ")
			if !isEdge {
				nodes = append(nodes, node)
				continue
			}
			edges = append(edges, short(from)+">"+short(to))
		}
		if got := strings.Join(nodes, " ") + " " + strings.Join(edges, " "); got != test.want {
			t.Errorf("graph %s has %s\nwant %s", test.names, got, test.want)
		}
	}
	w.play(t, []step{
		{"sctl graph nope", 1, "", "graph: cannot draw 'nope': Unknown job\n"},
		{"sctl graph --json --svg", 2, "", "graph: --json goes without --svg and --output\n*"},
		{"sctl graph -o", 2, "", "graph: missing argument: *"},
		{"sctl list --svg", 2, "", "list: --svg is no option of list\n*"},
	})
}

// short leaves the kind of a node out.
func short(id string) string {
	id = strings.Trim(id, `"`)
	for _, kind := range []string{"job ", "event ", "and start "} {
		id = strings.TrimPrefix(id, kind)
	}
	return id
}

func TestGraphStates(t *testing.T) {
	w := newWorld(t, "getty", "instance $N\nexec x", "half", "pre-start exec hang\nexec x", "bad", "exec missing", "idle", "exec x", "one", "exec x")
	w.play(t, []step{{"sctl -q start getty N=1", 0, "", ""}, {"sctl -q start getty N=2", 0, "", ""}, {"sctl -qn start half", 0, "", ""},
		{"sctl -q start bad", 1, "", "start: *"}, {"sctl -q start one", 0, "", ""}})
	got := w.sctl(nil, "sctl", "graph", "--dot")
	want := `"job bad" [label="bad" fillcolor="#fecaca" tooltip="bad: failed"]
"job getty" [label="getty\n2 instances" fillcolor="#bbf7d0" tooltip="getty: running"]
"job half" [label="half" fillcolor="#fef08a" tooltip="half: changing"]
"job idle" [label="idle" tooltip="idle: resting"]
"job one" [label="one" fillcolor="#bbf7d0" tooltip="one: running"]`
	if got.status != 0 || drawn(got.out) != want {
		t.Errorf("graph = %+v\n%s\nwant\n%s", got, drawn(got.out), want)
	}
}

// dot is what is found in PATH; what it writes is what is written.
func TestGraphPicture(t *testing.T) {
	w := newWorld(t, "db", "start on startup\nexec x")
	bin, out := t.TempDir(), t.TempDir()
	t.Setenv("PATH", bin)
	file := filepath.Join(out, "jobs.svg")
	for _, test := range []struct {
		dot, line  string
		status     int
		begin, err string
		file       string
	}{
		{"", "graph --svg", 1, "digraph jobs {", "graph: dot is not installed (it is part of Graphviz), here is DOT\n", ""},
		{"", "graph --svg -o " + file, 1, "", "graph: cannot draw the jobs: dot is not installed (it is part of Graphviz); without --svg the graph is written as DOT\n", ""},
		{"#!/bin/sh\necho \"<svg>$1\"; while read -r line; do echo \"$line\"; done\n", "graph --svg", 0, "<svg>-Tsvg\ndigraph jobs {", "", ""},
		{"#!/bin/sh\necho \"<svg>$1\"; while read -r line; do :; done\n", "graph --svg -o " + file, 0, "", "", "<svg>-Tsvg\n"},
		{"#!/bin/sh\necho picky >&2; exit 3\n", "graph --svg -o " + file, 1, "", "graph: cannot draw the jobs: dot: exit status 3: picky\n", "<svg>-Tsvg\n"},
		{"", "graph -o " + file + " -q", 0, "", "", "digraph jobs {"},
	} {
		if test.dot != "" {
			write(t, filepath.Join(bin, "dot"), test.dot)
			if err := os.Chmod(filepath.Join(bin, "dot"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		got := w.sctl(nil, append([]string{"sctl"}, strings.Fields(test.line)...)...)
		text, _ := os.ReadFile(file)
		if got.status != test.status || got.err != test.err || !strings.HasPrefix(got.out, test.begin) || test.begin == "" && got.out != "" ||
			!strings.HasPrefix(string(text), test.file) || test.file == "" && len(text) > 0 {
			t.Errorf("%s = %+v, file %q; want %+v", test.line, got, text, test)
		}
	}
}
