package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/session-init/session-init/session/engine"
)

func TestForest(t *testing.T) {
	var write func(list []processReport) string
	write = func(list []processReport) string {
		var out []string
		for _, p := range list {
			text := fmt.Sprint(p.Pid)
			if len(p.Children) > 0 {
				text += "(" + write(p.Children) + ")"
			}
			out = append(out, text)
		}
		return strings.Join(out, " ")
	}
	for _, test := range []struct {
		pids    []int
		parents map[int]int
		want    string
	}{
		{nil, nil, ""},
		{[]int{3, 4}, nil, "3 4"},
		{[]int{3, 4, 5, 6}, map[int]int{4: 3, 5: 4, 6: 3}, "3(4(5) 6)"},
		{[]int{5, 3}, map[int]int{5: 3, 3: 1}, "3(5)"},
		{[]int{3, 4, 5}, map[int]int{3: 4, 4: 3, 5: 5}, "5 3(4)"},
	} {
		var list []processReport
		for _, pid := range test.pids {
			list = append(list, processReport{Pid: pid})
		}
		if got := write(forest(list, func(pid int) int { return test.parents[pid] })); got != test.want {
			t.Errorf("forest(%v, %v) = %s; want %s", test.pids, test.parents, got, test.want)
		}
	}
}

// beyond is a pid that no kernel gives, and so is one before it.
const beyond = 1 << 30

func TestTree(t *testing.T) {
	w := newWorld(t, "svc", "exec x", "idle", "exec x", "hooked", "pre-start exec hang\nexec x", "mess", "task\nexec litter")
	const first = beyond - 1000
	w.arrange(func() {
		// The parents of all are looked up: 1001 could be that of a process here.
		w.pids = first - 1
		w.strays = []engine.Stray{{Pid: os.Getppid(), Command: "sh"}, {Pid: os.Getpid(), Command: "test\n-v"}, {Pid: beyond, Command: ""}}
	})
	w.play(t, []step{{"sctl -q start svc", 0, "", ""}, {"sctl -q start mess", 0, "", ""}, {"sctl -qn start hooked", 0, "", ""}})
	tree := fmt.Sprintf("|-%d sh\n| `-%d test?-v\n|-%d (no command)\n", os.Getppid(), os.Getpid(), beyond)
	svc := fmt.Sprintf("svc running (start)\n%s`-%d (no command)\n", tree, first)
	hooked := fmt.Sprintf("hooked pre-start (start)\n%s`-%d pre-start: (no command)\n", tree, first+2)
	mess := "mess: left behind\n`-4713 rag?\n"
	lines := strings.NewReplacer("|-", "├─", "`-", "└─", "| ", "│ ")
	w.play(t, []step{
		{"sctl tree", 0, hooked + mess + svc, ""},
		{"LANG=C.UTF-8 $ sctl tree svc", 0, lines.Replace(svc), ""},
		{"LC_ALL=C LANG=C.UTF-8 $ sctl tree svc svc", 0, svc, ""},
		{"sctl tree idle", 0, "idle waiting (stop)\n", ""},
		{"sctl tree nope", 1, "", "tree: cannot show the processes of 'nope': Unknown job\n"},
		{"sctl tree --quiet", 0, "", ""},
		{"initctl tree", 0, hooked + mess + svc, ""},
	})
}

func TestListLong(t *testing.T) {
	w := newWorld(t, "svc", "description \"a service\"\nrespawn\nexec x", "idle", "exec x", "bad", "exec missing")
	w.arrange(func() { w.strays = []engine.Stray{{Pid: os.Getpid(), Command: "test"}, {Pid: beyond, Command: "gone"}} })
	w.play(t, []step{{"sctl -q start svc", 0, "", ""}, {"sctl -q start bad", 1, "", "start: *"}})
	got := w.sctl(nil, "sctl", "list", "-l")
	want := regexp.MustCompile(`^JOB   STATE +SINCE +RESPAWNS +PROCESSES +MEMORY +CPU  DESCRIPTION\n` +
		`bad   waiting \(stop\), failed +\S+ +- +- +- +-\n` +
		`idle  waiting \(stop\) +- +- +- +- +-\n` +
		`svc   running \(start\) +\S+ +0 +2 +[0-9.]+[KMG] +[0-9.]+s  a service\n$`)
	if got.status != 0 || got.err != "" || !want.MatchString(got.out) {
		t.Errorf("list -l = %+v; want %s", got, want)
	}
	if got := w.sctl(nil, "sctl", "status", "-l", "svc"); got.status != 2 {
		t.Errorf("status -l = %+v; want exit status 2", got)
	}
	// On a terminal it has colours, unless they are not wanted.
	for environ, want := range map[string]string{"TERM=xterm": "\x1b[1mJOB", "NO_COLOR=1": "JOB", "TERM=dumb": "JOB"} {
		master, slave := terminal(t)
		var stderr bytes.Buffer
		status := runPatiently([]string{"sctl", "list", "-l"}, []string{environ, "UPSTART_SESSION=" + w.server.Address()}, slave, &stderr)
		if lines := shownOn(t, master, slave); status != 0 || !strings.HasPrefix(lines[0], want) {
			t.Errorf("list -l with %s on a terminal = %d, %q; want it to begin with %q", environ, status, lines, want)
		}
	}
}

func TestReadUse(t *testing.T) {
	root := t.TempDir()
	make := func(pid, stat, smaps string) {
		if err := os.Mkdir(filepath.Join(root, pid), 0o700); err != nil {
			t.Fatal(err)
		}
		if stat != "" {
			write(t, filepath.Join(root, pid, "stat"), stat)
		}
		if smaps != "" {
			write(t, filepath.Join(root, pid, "smaps_rollup"), smaps)
		}
	}
	line := "7 (a) b) (c) S 3 7 7 0 -1 0 0 0 0 0 150 50 0 0 20 0 1 0 100 4096 2 18446744073709551615\n"
	make("7", line, "5000-6000 ---p [rollup]\nRss:   900 kB\nPss:   12 kB\nPss_Dirty: 4 kB\n")
	make("8", line, "")
	make("9", "9 (short) S 3", "")
	make("10", "", "")
	pages := uint64(2 * os.Getpagesize())
	for _, test := range []struct {
		pid    int
		ok     bool
		want   use
		parent int
	}{
		{7, true, use{12 << 10, 2 * time.Second}, 3},
		{8, true, use{pages, 2 * time.Second}, 3},
		{9, false, use{}, 0}, {10, false, use{}, 0}, {11, false, use{}, 0},
	} {
		if got, ok := readUse(root, test.pid); ok != test.ok || got != test.want {
			t.Errorf("readUse(%d) = %+v, %v; want %+v, %v", test.pid, got, ok, test.want, test.ok)
		}
		if got := parentOf(root, test.pid); got != test.parent {
			t.Errorf("parentOf(%d) = %d; want %d", test.pid, got, test.parent)
		}
	}
}

func TestDurationAndSize(t *testing.T) {
	for _, test := range []struct {
		d    time.Duration
		want string
	}{
		{-time.Second, "0.0s"}, {0, "0.0s"}, {1500 * time.Millisecond, "1.5s"}, {12 * time.Second, "12s"}, {150 * time.Second, "2min 30s"},
		{3*time.Hour + 4*time.Minute, "3h 4min"}, {50 * time.Hour, "2d 2h"},
	} {
		if got := duration(test.d); got != test.want {
			t.Errorf("duration(%v) = %s; want %s", test.d, got, test.want)
		}
	}
	for _, test := range []struct {
		bytes uint64
		want  string
	}{
		{0, "0B"}, {1023, "1023B"}, {1536, "1.5K"}, {3 << 20, "3.0M"}, {1 << 40, "1.0T"}, {1 << 62, "4096.0P"},
	} {
		if got := size(test.bytes); got != test.want {
			t.Errorf("size(%d) = %s; want %s", test.bytes, got, test.want)
		}
	}
}

// shownOn gives the lines that a terminal shows by now.
func shownOn(t *testing.T, master, slave *os.File) (lines []string) {
	t.Helper()
	const end = "that is all"
	fmt.Fprintln(slave, end)
	for in := bufio.NewReader(master); ; {
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line = strings.TrimRight(line, "\r\n"); line == end {
			return lines
		}
		lines = append(lines, line)
	}
}

// On a terminal a refusal says what to type next.
func TestHints(t *testing.T) {
	w := newWorld(t, "apache", "exec x", "getty", "instance $TTY\nusage \"getty TTY=tty1\"\nexec x",
		"serial", "instance $DEV-$SPEED\nexec x", "bad", "start on up\nexec missing", "net/apache2", "exec x")
	w.play(t, []step{{"sctl -q start getty TTY=tty2", 0, "", ""}, {"sctl -q start apache", 0, "", ""}})
	for _, test := range []struct{ line, want string }{
		{"start apahce", "start: did you mean 'apache'?"},
		{"start pach", "start: there is apache, net/apache2"},
		{"start zzz", "start: sctl list names the jobs"},
		{"stop getty TTY=tty1", "stop: its instances are tty2; usage: getty TTY=tty1"},
		{"start getty", "start: its instances are tty2; usage: getty TTY=tty1"},
		{"start serial", "start: it takes DEV=, SPEED="},
		{"start bad", "start: sctl why bad says why, and sctl log bad what it has printed"},
		{"start apache", "start: sctl restart apache starts it anew"},
		{"stop net/apache2", "stop: sctl why net/apache2 says why"},
		{"sctl why getty 1", "why: its instances are tty2; usage: getty TTY=tty1"},
		{"sctl why apahce", "why: did you mean 'apache'?"},
		{"emit up", "emit: sctl list -l marks the jobs that have failed, and sctl why says why"},
		{"start -q zzz", ""},
		{"initctl start zzz", ""},
	} {
		master, slave := terminal(t)
		var out bytes.Buffer
		status := runPatiently(strings.Fields(test.line), []string{"UPSTART_SESSION=" + w.server.Address()}, &out, slave)
		lines := shownOn(t, master, slave)
		if got := strings.Join(lines[1:], "\n"); status != 1 || got != test.want {
			t.Errorf("%s on a terminal = %d, %q; want 1, and %q behind the message", test.line, status, lines, test.want)
		}
	}
}
