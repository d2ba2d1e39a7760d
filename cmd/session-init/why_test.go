package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// tellsWhy asks until the answer matches each of the patterns, which see each answer
// as one line: what a process does comes a moment after what made it.
func (r *rig) tellsWhy(args []string, patterns ...string) string {
	r.t.Helper()
	var out string
	missing := ""
	done := func() bool {
		got := r.command(append([]string{"sctl", "why"}, args...)...)
		out = got.out + got.errOut
		text := regexp.MustCompile(`\n {12}(\S)`).ReplaceAllString(out, " $1")
		for _, pattern := range patterns {
			if !regexp.MustCompile("(?m)" + pattern).MatchString(text) {
				missing = pattern
				return false
			}
		}
		return true
	}
	defer func() {
		if r.t.Failed() {
			r.t.Logf("sctl why %s lacks %s:\n%s", strings.Join(args, " "), missing, out)
		}
	}()
	r.until("sctl why "+strings.Join(args, " "), done)
	if lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n"); len(lines) > 24 {
		r.t.Errorf("sctl why %s has %d lines; want a screen:\n%s", strings.Join(args, " "), len(lines), out)
	}
	return out
}

// TestWhy asks why in situations that real processes have made.
func TestWhy(t *testing.T) {
	r := newRig(t)
	r.job("fails", "start on go\nscript\n    echo hello from it\n    exit 3\nend script")
	r.job("crashes", "script\n    kill -SEGV $$\nend script")
	r.job("deaf", "kill timeout 1\nscript\n    trap '' TERM\n    touch $W/deaf\n    while :; do sleep 1; done\nend script")
	r.job("hook", "pre-start exec sleep 600\nexec sleep 600")
	r.job("half", "start on up and started never\nexec sleep 600")
	r.job("never", "exec sleep 600")
	r.job("often", "respawn\nrespawn limit 2 60\nexec false")
	r.job("ready", "expect stop\nscript\n    kill -STOP $$\n    exec sleep 600\nend script")
	r.job("missing", "exec /nonexistent/program")
	r.job("killed", "exec sleep 600")
	r.job("off", "start on startup\nexec sleep 600")
	r.write("conf/off.override", "manual\n")
	r.job("a", "stop on starting b\nexec sleep 600")
	r.job("b", "start on starting a\nexec sleep 600")
	r.job("broken", "exce sleep 600")
	r.job("several", "instance $N\nexec sleep 600")
	r.start()

	r.command("emit", "go", "N=1")
	r.tellsWhy([]string{"fails"}, `^fails is not running: it failed at \d`, `^started +by the event go from emit \(process \d+\)`,
		`^failed +main process terminated with status 3 \(fails.conf:2\)`, `it was process \d+$`, `^log .*/fails.log, written`,
		`^  \| hello from it$`, `^next +sctl log -n 50 fails `)

	r.command("start", "crashes", "--no-wait")
	r.tellsWhy([]string{"crashes"}, `killed by SEGV signal \(crashes.conf:1\)`, `session-init did not send it`)

	r.ok("start", "deaf")
	r.until("it to be deaf", func() bool { _, err := os.Stat(filepath.Join(r.dir, "deaf")); return err == nil })
	r.ok("stop", "deaf")
	r.tellsWhy([]string{"deaf"}, `^deaf is not running: it stopped at`, `^stopped +by stop \(process \d+\)`,
		`^main +at [0-9:]+ it was ended by KILL; session-init sent it, because it did not end within kill timeout \(deaf.conf:1\)`)

	r.ok("start", "hook", "--no-wait")
	r.tellsWhy([]string{"hook"}, `^hook is not running yet: in state pre-start since`, `^waits for   its pre-start process \d+ to end \(hook.conf:1\)`,
		`^next +sctl stop --force hook `)
	r.ok("stop", "--force", "hook")

	r.ok("emit", "--no-wait", "up")
	r.tellsWhy([]string{"half"}, `^start on +not all that it takes has come \(half.conf:1\)$`, `^    \+ up: came [0-9:]+ from emit \(process \d+\)$`,
		`^    - started never: has not come since this was read$`, `-> never was not started yet, and nothing starts it by itself`, `sctl why never`)

	r.command("start", "often", "--no-wait")
	r.tellsWhy([]string{"often"}, `^often is not running: it failed`, `the respawn limit of 2 in 60 s \(often.conf:2\) is reached`)

	r.ok("start", "ready")
	r.tellsWhy([]string{"ready"}, `^ready is running since [0-9:]+, [0-9.]+s ago, process \d+$`, `^ready +its main process .* after `)

	r.command("start", "missing")
	r.tellsWhy([]string{"missing"}, `/nonexistent/program`, `\(missing.conf:1\)`)

	out := strings.TrimSpace(r.ok("start", "killed"))
	pid, err := strconv.Atoi(strings.TrimSpace(out[strings.LastIndex(out, " ")+1:]))
	if err != nil {
		t.Fatalf("start printed %q", out)
	}
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.tellsWhy([]string{"killed"}, `killed by KILL signal`, `it was process `+strconv.Itoa(pid)+`; session-init did not send it; who did is not known`, `lack of memory`)

	r.tellsWhy([]string{"off"}, `off.override:1 says 'manual'`, `^next +sctl enable off `)

	r.command("start", "--no-wait", "a")
	r.tellsWhy([]string{"a"}, `^in a circle a waits for starting b, b waits for starting a`, `^next +sctl stop a +breaks the circle$`)
	r.ok("stop", "a")

	r.tellsWhy([]string{"broken"}, `^broken is no job: its file has mistakes$`, `broken.conf:1:1: unknown stanza 'exce'`)

	r.ok("start", "several", "N=1")
	r.ok("start", "several", "N=2")
	r.tellsWhy([]string{"several"}, `^several has 2 instances`, `^  1: running \(start\)`)
	r.tellsWhy([]string{"several", "2"}, `^several \(2\) is running`, `sctl stop several N=2 `)
	r.tellsWhy([]string{"several", "N=2"}, `^several \(2\) is running`)
	r.tellsWhy([]string{"several", "3"}, `^why: cannot tell about 'several \(3\)': Not running$`)

	r.tellsWhy([]string{"up"}, `^'up' is no job but an event, which came last`, `^  \+ half, not running, start on up \(half.conf:1\)`)
	r.tellsWhy([]string{"nothing"}, `^why: cannot tell about 'nothing': Unknown job$`)
}

// What is known outlives the daemon.
func TestWhyAfterCrash(t *testing.T) {
	r := newRig(t)
	r.job("svc", "start on go\nexec sleep 600")
	r.job("bad", "exec false")
	r.start()
	r.ok("emit", "go", "N=1")
	r.command("start", "bad")
	r.tellsWhy([]string{"bad"}, `terminated with status 1 \(bad.conf:1\)`)
	old := r.pid()
	if err := unix.Kill(old, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.until("another daemon", func() bool { return r.command("status", "svc").status == 0 && r.pid() != old })
	r.tellsWhy([]string{"svc"}, `^svc is running since`, `^started +by the event go from emit`)
	r.tellsWhy([]string{"bad"}, `^bad is not running: it failed`, `^started +by start`, `terminated with status 1 \(bad.conf:1\)`)
}
