package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
)

func TestSplitQuestions(t *testing.T) {
	for _, test := range []struct{ words, want, err string }{
		{"emit go", "emit go", ""},
		{"emit go A=1 B= start x N=2", "emit go A=1 B=|start x N=2", ""},
		{"edit x.conf emit go", "edit x.conf|emit go", ""},
		{"start stop stop start", "start stop|stop start", ""},
		{"edit A=b.conf", "edit A=b.conf", ""},
		{"", "", "missing what to simulate: emit, start, stop, restart, edit"},
		{"emit", "", "missing EVENT after 'emit'"},
		{"emit go stop", "", "missing JOB after 'stop'"},
		{"edit x A=1", "", "cannot simulate 'A=1': it is not emit, start, stop, restart, edit"},
		{"dance", "", "cannot simulate 'dance': it is not emit, start, stop, restart, edit"},
	} {
		asked, err := splitQuestions(strings.Fields(test.words))
		var got []string
		for _, words := range asked {
			got = append(got, strings.Join(words, " "))
		}
		message := ""
		if err != nil {
			message = err.Error()
		}
		if strings.Join(got, "|") != test.want || message != test.err {
			t.Errorf("splitQuestions(%s) = %q, %q; want %s, %q", test.words, got, message, test.want, test.err)
		}
	}
}

func TestSimulate(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		write(t, path, text)
		return path
	}
	fresh := file("fresh.conf", "start on go\ntask\nexec /bin/fresh\n")
	file("svc.conf", "exec x\n")
	over := file("svc.override", "start on go\n")
	lone := file("lone.override", "manual\n")
	broken := file("broken.conf", "exec\n")
	w := newWorld(t, "svc", "pre-start exec prepare\nscript\n  one\n  two\nend script", "db", "exec x",
		"web", "stop on stopping db\nexec x\nkill timeout 3", "getty", "instance $TTY\nexec x")
	w.play(t, []step{{"sctl -q start db", 0, "", ""}, {"sctl -q start web", 0, "", ""}})
	const assumed = "assumed: every process can be executed\n"
	w.play(t, []step{
		{"sctl simulate start svc", 0, "0.000 start svc\n0.000 svc goal start\n0.000 svc state starting\n0.000 event starting JOB=svc INSTANCE=\n" +
			"0.000 svc state pre-start\n0.000 svc pre-start process: prepare\n0.000 svc pre-start process ends: status 0\n0.000 svc state spawned\n" +
			"0.000 svc main process: one; two\n0.000 svc state post-start\n0.000 svc state running\n0.000 event started JOB=svc INSTANCE=\n0.000 answer: ok\n" +
			assumed + "assumed: pre-start, post-start, pre-stop and post-stop processes exit with status 0, and before main does\n" +
			"assumed: the main process of a service runs until it is stopped\n", ""},
		{"sctl simulate stop svc", 0, "0.000 stop svc\n0.000 answer: Unknown instance: svc\n" + assumed +
			"assumed: the main process of a service runs until it is stopped\n", ""},
		{"sctl simulate start nope", 1, "", "simulate: cannot simulate 'start nope': Unknown job\n"},
		{"sctl simulate edit " + broken, 1, "", "simulate: cannot simulate 'edit " + broken + "': " + broken + ":1:*"},
		{"sctl simulate edit " + lone, 1, "", "simulate: cannot simulate 'edit " + lone + "': " + lone + ": there is no job 'lone' to override\n"},
		{"sctl simulate edit " + dir + "/none.conf", 1, "", "simulate: cannot simulate 'edit " + dir + "/none.conf': " + dir + "/none.conf: *"},
		{"sctl simulate", 2, "", "simulate: missing what to simulate: *"},
		{"sctl simulate emit go --assume nonsense", 1, "", "simulate: cannot simulate 'emit go': cannot assume 'nonsense': *"},
		{"sctl start svc --assume x", 2, "", "start: --assume is no option of start\n*"},
		{"sctl simulate -q emit go", 0, "", ""},
		// Nothing of all that was done.
		{"sctl list", 0, "db running (start), process 1001\ngetty waiting (stop)\nsvc waiting (stop)\nweb running (start), process 1002\n", ""},
	})
	has := func(want []string, line ...string) {
		t.Helper()
		got := w.sctl(nil, append([]string{"sctl", "simulate"}, line...)...)
		for _, part := range want {
			if got.status != 0 || !strings.Contains(got.out, part) {
				t.Errorf("simulate %q = %+v; want %q in it", line, got, part)
			}
		}
	}
	has([]string{"job fresh added", "fresh main process: /bin/fresh", "fresh main process ends: status 0"}, "edit", fresh, "emit", "go")
	has([]string{"job fresh added", "0.000 start fresh"}, "edit", fresh, "start", "fresh")
	has([]string{"svc main process: x", "event go"}, "edit", over, "emit", "go")
	has([]string{"web main process ends: signal KILL", "3.000 ", "assumed: web main deaf"}, "stop", "db", "--assume", "web main deaf")
	has([]string{"getty (tty1) state running"}, "start", "getty", "TTY=tty1")
	has([]string{`event go A="x y"`}, "emit", "go", "A=x y")
}

// On a terminal it is a tree: what holds the stop of db up stands within it.
func TestSimulateTree(t *testing.T) {
	w := newWorld(t, "db", "exec x", "web", "stop on stopping db\nexec x\nkill timeout 3", "after", "start on stopped db\ntask\nexec y", "bad", "exec x")
	w.play(t, []step{{"sctl -q start db", 0, "", ""}, {"sctl -q start web", 0, "", ""}})
	tree := func(args ...string) []string {
		master, slave := terminal(t)
		var err bytes.Buffer
		environ := []string{"UPSTART_SESSION=" + w.server.Address(), "NO_COLOR=1", "LANG=C"}
		if status := runPatiently(append([]string{"sctl", "simulate"}, args...), environ, slave, &err); status != 0 {
			t.Errorf("simulate %q on a terminal = %d, %q; want 0", args, status, err.String())
		}
		lines := shownOn(t, master, slave)
		for i, line := range lines {
			if line == "assuming that" {
				return lines[:i]
			}
		}
		return lines
	}
	for _, test := range []struct{ line, want string }{
		{"stop db --assume=web main deaf", `
          stop db
            db: stop -> pre-stop -> stopping
            event stopping JOB=db INSTANCE= RESULT=ok
              web: stop -> pre-stop -> stopping -> killed
              web: main process gets TERM
  +3.000s     web: main process gets KILL
              web: main process ends: signal KILL
              web: post-stop -> waiting
            db: killed
            db: main process gets TERM
            db: main process ends: signal TERM
            db: post-stop -> waiting
            event stopped JOB=db INSTANCE= RESULT=ok
              after: start -> starting -> pre-start -> spawned
              after: main process: y
              after: post-start -> running
              after: main process ends: status 0
              after: stop -> stopping -> killed -> post-stop -> waiting
            answer: ok`},
		{"emit nothing", "\nemit nothing\n  answer: ok\nnothing would come of it"},
		{"start bad --assume=bad main missing", `
start bad
  bad: start -> starting -> pre-start -> spawned
  bad: main process: x
  bad: main process ends: cannot execute x: so it is assumed
  bad: fails: main process: cannot execute x: so it is assumed
  bad: stop -> stopping -> killed -> post-stop -> waiting
  answer: Job failed to start (main process: cannot execute x: so it is assumed)`},
	} {
		words, assume, found := strings.Cut(test.line, " --assume=")
		args := strings.Fields(words)
		if found {
			args = append(args, "--assume="+assume)
		}
		got := strings.Join(tree(args...), "\n")
		if got != strings.TrimPrefix(test.want, "\n") {
			t.Errorf("simulate %s on a terminal =\n%s\nwant%s", test.line, got, test.want)
		}
	}
}
