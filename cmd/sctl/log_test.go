package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestLogOf(t *testing.T) {
	known := []string{"net", "net-dhcp", "dir/job", "dir_job-x"}
	for _, test := range []struct {
		file, job, instance string
		ok                  bool
	}{
		{"net.log", "net", "", true}, {"net-eth0.log", "net", "eth0", true}, {"net-dhcp.log", "net", "", false},
		{"net-dhcp-eth0.log", "net", "", false}, {"net-dhcp-eth0.log", "net-dhcp", "eth0", true}, {"network.log", "net", "", false},
		{"net.log.1", "net", "", false}, {"net-.log", "net", "", false}, {"dir_job.log", "dir/job", "", true},
		{"dir_job-a-b.log", "dir/job", "a-b", true}, {"dir_job-x.log", "dir/job", "", false}, {"gone-1.log", "gone", "1", true},
	} {
		if instance, ok := logOf(test.file, test.job, known); ok != test.ok || instance != test.instance {
			t.Errorf("logOf(%s, %s) = %q, %v; want %q, %v", test.file, test.job, instance, ok, test.instance, test.ok)
		}
	}
}

func TestLog(t *testing.T) {
	w := newWorld(t, "svc", "exec x", "net", "instance $IF\nexec x", "net-dhcp", "exec x", "mute", "console none\nexec x", "silent", "exec x", "odd", "exec x")
	logs := t.TempDir()
	w.arrange(func() { w.logs = logs })
	put := func(name, text string) { write(t, filepath.Join(logs, name), text) }
	put("svc.log", "")
	if err := os.Truncate(filepath.Join(logs, "svc.log"), 1<<20); err != nil {
		t.Fatal(err)
	}
	appendTo(t, filepath.Join(logs, "svc.log"), "four\nfive") // behind a hole
	put("svc.log.1", "two\nthree\n")
	put("svc.log.2", "one\n")
	put("net-eth0.log", "e0\n")
	put("net-eth1.log", "e1\n\xff\x1b[2J\n")
	put("net-dhcp.log", "d\n")
	if err := os.Mkdir(filepath.Join(logs, "odd.log"), 0o700); err != nil {
		t.Fatal(err)
	}
	state := t.TempDir()
	usual := filepath.Join(state, "session-init", "log")
	if err := os.MkdirAll(usual, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(usual, "svc.log"), "from before\n")
	write(t, filepath.Join(usual, "gone.log"), "of a job that is gone\n")
	w.play(t, []step{
		{"sctl log", 2, "", "log: missing job name\nusage: sctl log [OPTION...] JOB...\n"},
		{"sctl log svc", 0, "one\ntwo\nthree\nfour\nfive\n", ""},
		{"UPSTART_JOB=svc $ sctl log", 0, "one\ntwo\nthree\nfour\nfive\n", ""},
		{"sctl log -n 2 svc", 0, "four\nfive\n", ""},
		{"sctl log --lines=3 svc svc", 0, "three\nfour\nfive\n", ""},
		{"sctl log -n0 svc", 0, "", ""},
		{"sctl log -q svc", 0, "", ""},
		{"sctl log net", 0, "net (eth0): e0\nnet (eth1): e1\nnet (eth1): \xff\x1b[2J\n", ""},
		{"sctl log -n1 svc net-dhcp", 0, "svc: five\nnet-dhcp: d\n", ""},
		{"sctl log silent", 0, "", ""},
		{"sctl log odd", 0, "", ""},
		{"sctl log mute", 1, "", "log: cannot show the log of 'mute': the output of 'mute' is not logged: its console is not 'log' or 'pty', or session-init runs with --no-log\n"},
		{"XDG_STATE_HOME=/nonexistent $ sctl log nope", 1, "", "log: cannot show the log of 'nope': Unknown job\n"},
		{"XDG_STATE_HOME=" + state + " $ sctl log gone", 0, "of a job that is gone\n", ""},
		{"sctl log -n x svc", 2, "", "log: --lines takes a number of lines, not 'x'\nusage: sctl log [OPTION...] JOB...\n"},
		{"sctl list -f", 2, "", "list: --follow is no option of list\nusage: sctl list [OPTION...]\n"},
	})
	// Without a daemon, where the logs usually are.
	dead := []string{"UPSTART_SESSION=unix:path=/nonexistent/s", "HOME=/nonexistent", "XDG_STATE_HOME=" + state}
	if got, want := runWith(dead, "sctl", "log", "svc"), (result{0, "from before\n", ""}); got != want {
		t.Errorf("log without a daemon = %+v; want %+v", got, want)
	}
	if got := runWith(dead[:2], "sctl", "log", "svc"); got.status != exitNoDaemon {
		t.Errorf("log without a daemon and logs = %+v; want exit status 3", got)
	}
	got := w.sctl(nil, "sctl", "log", "--json", "net")
	if lines := strings.Split(strings.TrimSpace(got.out), "\n"); got.status != 0 || len(lines) != 3 {
		t.Errorf("log --json = %+v; want three lines", got)
	} else {
		for _, line := range lines {
			fits(t, "log --json", "log", line)
		}
	}
}

func TestTame(t *testing.T) {
	for _, test := range []struct{ line, want string }{
		{"", ""}, {"a\tb é", "a\tb é"}, {"a\r", "a"}, {"a\rb", "a\uFFFDb"}, {"\x1b[2Jx", "\uFFFD[2Jx"},
		{"\x1b[1;31mred", "\x1b[1;31mred\x1b[0m"}, {"\x1b[mx", "\x1b[mx\x1b[0m"}, {"\x1b[31", "\uFFFD[31"},
		{"\xffx\xc3", "\uFFFDx\uFFFD"}, {"\uFFFD!", "\uFFFD!"}, {"\x00", "\uFFFD"}, {"日本", "日本"},
	} {
		if got := tame(test.line); got != test.want {
			t.Errorf("tame(%q) = %q; want %q", test.line, got, test.want)
		}
	}
}

// following runs log -f; its lines come out of the reader. log is one of the
// files that it follows.
func (w *world) following(t *testing.T, log string, args ...string) *bufio.Reader {
	t.Helper()
	out, in := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		var stderr bytes.Buffer
		run(append([]string{"sctl", "log", "-f"}, args...), []string{"UPSTART_SESSION=" + w.server.Address()}, in, &stderr)
		in.CloseWithError(fmt.Errorf("it has ended: %s", stderr.String()))
	}()
	// It ends when it cannot write: whoever follows gets one more line.
	t.Cleanup(func() {
		out.Close()
		appendTo(t, log, "the end\n")
		<-done
	})
	return bufio.NewReader(out)
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

func TestLogFollow(t *testing.T) {
	w := newWorld(t, "svc", "exec x", "net", "instance $IF\nexec x")
	logs := t.TempDir()
	w.arrange(func() { w.logs = logs })
	svc := filepath.Join(logs, "svc.log")
	write(t, svc, "before\nlast\n")
	write(t, svc+".1", "older\n")
	lines := w.following(t, svc, "-n", "2", "svc", "net")
	expect := func(pattern string) {
		t.Helper()
		line, err := lines.ReadString('\n')
		if err != nil || !regexp.MustCompile("^"+pattern+"\n$").MatchString(line) {
			t.Fatalf("log -f shows %q, %v; want %s", line, err, pattern)
		}
	}
	const time = `\d\d:\d\d:\d\d `
	expect("svc: before")
	expect("svc: last")
	appendTo(t, svc, "one\nha")
	expect(time + "svc: one")
	appendTo(t, svc, "lf\n")
	expect(time + "svc: half")
	// An instance that comes, and a log that is made anew.
	appendTo(t, filepath.Join(logs, "net-eth0.log"), "up\n")
	expect(time + `net \(eth0\): up`)
	if err := os.Remove(svc); err != nil {
		t.Fatal(err)
	}
	appendTo(t, svc, "anew\n")
	expect(time + "svc: anew")
	// One that someone has emptied.
	if err := os.Truncate(svc, 0); err != nil {
		t.Fatal(err)
	}
	appendTo(t, svc, "emptied\n")
	expect(time + "svc: emptied")
}

// Following ends when its time is over, and has shown what there was: the time
// ends when that is seen.
func TestLogFollowEnds(t *testing.T) {
	w := newWorld(t, "svc", "exec x")
	logs := t.TempDir()
	w.arrange(func() { w.logs = logs })
	write(t, filepath.Join(logs, "svc.log"), "one\ntwo\n")
	ctx, end := context.WithCancelCause(context.Background())
	defer end(nil)
	var shown, stderr bytes.Buffer
	out := writerFunc(func(text []byte) (int, error) {
		defer end(context.DeadlineExceeded)
		return shown.Write(text)
	})
	c := &command{environ: []string{"UPSTART_SESSION=" + w.server.Address()}, out: bufio.NewWriter(out), stdout: out, stderr: &stderr, ctx: ctx, options: options{lines: -1}}
	err := c.parse(c.setProgram([]string{"sctl", "log", "-f", "-n", "1", "svc"}))
	if err != nil {
		t.Fatal(err)
	}
	err = c.verb.run(c)
	c.client.Close()
	c.options.timeout = 100 * time.Millisecond // for the message
	status := c.report(err)
	if got, want := (result{status, shown.String(), stderr.String()}), (result{exitTimeout, "two\n", "log: timed out after 100ms of waiting for lines\n"}); got != want {
		t.Errorf("log -f until its time is over = %+v; want %+v", got, want)
	}
}

// writerFunc is a function that is written to.
type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(text []byte) (int, error) { return f(text) }

// A log that session-init cuts loses its beginning, by blocks: what was read is
// found again, and nothing is shown twice or lost.
func TestFollowedMoves(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.log")
	number, next := 0, 0
	grow := func(bytes int) string {
		var out strings.Builder
		for out.Len() < bytes {
			fmt.Fprintf(&out, "line %d\n", number)
			number++
		}
		return out.String()
	}
	write(t, path, grow(5*blockBytes))
	f := &followed{logFile: &logFile{path: path}}
	if err := f.open(); err != nil {
		t.Fatal(err)
	}
	defer f.close()
	read := func(what string) {
		t.Helper()
		err := f.read(func(line string) {
			if want := fmt.Sprint("line ", next); line != want {
				t.Fatalf("%s: the next line = %q; want %q", what, line, want)
			}
			next++
		})
		if err != nil || next != number {
			t.Fatalf("%s: %d lines, %v; want %d", what, next, err, number)
		}
	}
	read("at first")
	cut := func(blocks int) {
		text := readText(t, path)
		write(t, path, text[blocks*blockBytes:])
	}
	cut(3)
	read("after a cut")
	appendTo(t, path, grow(9*blockBytes))
	cut(1)
	read("after lines and a cut")
	cut(6)
	appendTo(t, path, grow(8*blockBytes))
	read("after a cut and lines beyond what there was")
	appendTo(t, path, grow(10))
	read("after a line")
	// A line without an end is shown in pieces, and kept within bounds.
	appendTo(t, path, strings.Repeat("x", 3*maxPartial))
	pieces := 0
	if err := f.read(func(line string) { pieces += len(line) }); err != nil || pieces < 2*maxPartial {
		t.Errorf("a long line: %d bytes, %v; want at least %d", pieces, err, 2*maxPartial)
	}
}
