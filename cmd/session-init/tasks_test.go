package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/session-init/session-init/supervise/logtime"
)

// tasks gives the five tasks of HACKING.md: what is wanted, and the commands, ours
// and those for systemctl.
func tasks(t *testing.T) (rows [][3][]string) {
	t.Helper()
	text, err := os.ReadFile("../../HACKING.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Five tasks\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for line := range strings.Lines(section) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 5 || !strings.Contains(cells[2], "`") {
			continue
		}
		var row [3][]string
		for i, cell := range cells[1:4] {
			if i == 0 {
				row[0] = []string{strings.TrimSpace(cell)}
				continue
			}
			for k, piece := range strings.Split(cell, "`") {
				if k%2 == 1 {
					row[i] = append(row[i], piece)
				}
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// The commands of HACKING.md do what it says, and there are no more of them than
// of systemctl's.
func TestFiveTasks(t *testing.T) {
	rows := tasks(t)
	if len(rows) != 5 {
		t.Fatalf("HACKING.md has %d tasks; want 5", len(rows))
	}
	r := newRig(t)
	r.job("X", "start on never-comes\nexec sleep 600")
	r.job("Y", "start on log-in\nexec sleep 600")
	r.job("Z", "task\nscript\n    echo the disk is on fire >&2\n    exit 3\nend script")
	r.job("on-E", "start on E\nexec sleep 600")
	r.start()
	r.command("sctl", "start", "Z")
	before := r.text("conf/X.conf")
	r.env = append(r.env, "EDITOR=echo respawn >>")
	r.ok("sctl", "edit", "X")
	if r.text("conf/X.conf") == before && r.text("conf/X.override") == "" {
		t.Fatalf("edit has changed nothing")
	}
	after := []func(out string) (ok bool){
		func(out string) bool { return strings.Contains(out, "never-comes") },
		func(string) bool {
			r.ok("sctl", "emit", "log-in")
			return r.ok("sctl", "status", "Y") == "Y waiting (stop)\n"
		},
		func(out string) bool {
			return strings.Contains(out, "terminated with status 3") && strings.Contains(out, "the disk is on fire")
		},
		func(out string) bool { return strings.Contains(out, "on-E") && strings.Contains(out, "running") },
		func(string) bool { return r.text("conf/X.conf") == before && r.text("conf/X.override") == "" },
	}
	for i, row := range rows {
		ours, theirs := row[1], row[2]
		if len(ours) != 1 || len(theirs) > 0 && len(ours) > len(theirs) {
			t.Errorf("%s: %q; want one command, and no more than systemctl's %q", row[0], ours, theirs)
		}
		if out := r.ok(strings.Fields(ours[0])...); !after[i](out) {
			t.Errorf("%s: %s does not tell or do it:\n%s", row[0][0], ours[0], out)
		}
	}
}

// text is a file below the rig's directory, empty when there is none.
func (r *rig) text(name string) string {
	text, _ := os.ReadFile(filepath.Join(r.dir, name))
	return string(text)
}

// What was printed since a time is told, over the daemon's re-exec, its crash, and
// the cutting of the log.
func TestLogSince(t *testing.T) {
	r := newRig(t)
	r.job("talk", "log limit 50K 2\nscript\n    n=0\n    while n=$((n+1)); do\n        until [ -e $W/go$n ]; do sleep 0.02; done\n"+
		"        [ $n != 4 ] || seq -f %07g 12500\n        echo line $n\n    done\nend script")
	r.start()
	r.ok("start", "talk")
	var since []string
	step := func(n string) {
		t.Helper()
		since = append(since, time.Now().Format(time.RFC3339Nano))
		r.write("go"+n, "")
		line := "line " + n + "\n"
		r.until("line "+n, func() bool { return strings.HasSuffix(r.logOf("talk.log"), line) })
		// It is noted a second later at the latest, and what is not is not left out.
		if out := r.command("sctl", "log", "--since", since[len(since)-1], "talk").out; !strings.HasSuffix(out, line) {
			t.Errorf("log --since before line %s = %q; want it at the end", n, out)
		}
		r.until("a note of line "+n, func() bool {
			info, err := os.Stat(filepath.Join(r.logs, "talk.log"))
			notes, _ := os.ReadFile(logtime.Path(filepath.Join(r.logs, "talk.log")))
			last, ok := logtime.Parse(notes).Last()
			return err == nil && ok && last.Size == info.Size()
		})
	}
	step("1")
	step("2")
	r.ok("sctl", "re-exec")
	step("3")
	r.crash()
	step("4") // and it is cut
	r.until("the cut", func() bool { return r.logOf("talk.log.1") != "" })
	step("5")
	for i, want := range []struct {
		begins string
		lines  int
	}{{"line 1\nline 2\nline 3\n0000001\n", 12505}, {"line 2\nline 3\n0000001\n", 12504}, {"line 3\n0000001\n", 12503}, {"0000001\n", 12502}, {"line 5\n", 1}} {
		got := r.command("sctl", "log", "--since", since[i], "talk")
		lines := 0
		for line := range strings.Lines(got.out) {
			if !strings.HasPrefix(line, "[older lines") && strings.Trim(line, "-\n") != "" {
				lines++
			}
		}
		if !strings.HasPrefix(got.out, want.begins) || !strings.HasSuffix(got.out, "line 5\n") || lines != want.lines {
			t.Errorf("log --since %s = %d lines, %.60q, error %q; want %d that begin %q", since[i], lines, got.out, got.errOut, want.lines, want.begins)
		}
	}
	if got := r.ok("sctl", "log", "--since", time.Now().Format(time.RFC3339Nano), "talk"); got != "" {
		t.Errorf("log since now = %q; want nothing", got)
	}
}
