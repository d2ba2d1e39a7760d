package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// terminals counts what a process holds of terminals.
func terminals(pid int) (n int) {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	names, _ := os.ReadDir(dir)
	for _, name := range names {
		if to, _ := os.Readlink(filepath.Join(dir, name.Name())); strings.HasPrefix(to, "/dev/p") {
			n++
		}
	}
	return n
}

// A terminal in front of a log outlives the daemon that made it: nothing of the
// output is lost, nobody gets SIGHUP, and the log is kept within its limit.
func TestTerminalOutlivesDaemon(t *testing.T) {
	for _, c := range []struct {
		name    string
		replace func(r *rig)
		args    []string
	}{
		{"re-exec", func(r *rig) { r.ok("sctl", "re-exec") }, nil},
		{"re-exec alone", func(r *rig) { r.ok("sctl", "re-exec") }, []string{"--no-keeper"}},
		{"crash", func(r *rig) { r.crash() }, nil},
		{"crash without state", func(r *rig) {
			state, err := filepath.Glob(filepath.Join(r.run, "session-init/*/state"))
			if err != nil || len(state) != 1 {
				t.Fatalf("state files: %q, %v", state, err)
			}
			if err := os.WriteFile(state[0], []byte("rubbish\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			r.crash()
		}, nil},
		{"panic alone", func(r *rig) {
			ready := strings.Count(r.stderr.String(), " is ready")
			r.arm("after-step", "panic 1")
			r.command("sctl", "emit", "ev")
			r.until("the next daemon", func() bool { return strings.Count(r.stderr.String(), " is ready") > ready })
		}, []string{"--no-keeper"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newFaultyRig(t)
			r.args = append(r.args, c.args...)
			const await = "until [ -e $W/go$n ]; do sleep 0.02; done"
			r.job("tty", "console pty\nlog limit 64K 1\nscript\n    trap 'echo hung up' HUP\n    n=0; echo tty $n\n"+
				"    while n=$((n+1)); do "+await+"; [ -t 1 ] && echo tty $n; [ $n != 3 ] || seq -f %07g 12500; done\nend script")
			// Its main is over; what it has left behind writes on.
			r.job("left", "task\nconsole pty\nscript\n    ( n=1; "+await+"; echo left 1; n=2; "+await+"; echo left 2 ) &\n    echo left 0\nend script")
			r.start()
			r.ok("start", "tty")
			r.ok("start", "left")
			tty := r.main("tty")
			for n := 1; n <= 2; n++ {
				c.replace(r)
				r.write(fmt.Sprintf("go%d", n), "")
				for _, name := range []string{"tty", "left"} {
					want := name + " 0\n" + name + " 1\n"
					if n == 2 {
						want += name + " 2\n"
					}
					r.until(fmt.Sprintf("line %d of %s", n, name), func() bool { return r.logOf(name+".log") == want })
				}
			}
			if now := r.main("tty"); now != tty {
				t.Errorf("main was process %d and is %d", tty, now)
			}
			if c.name != "crash without state" { // its limit was lost with the state
				r.write("go3", "")
				r.until("the log to be cut", func() bool {
					older := r.logOf("tty.log.1")
					return strings.HasPrefix(older, "tty 0\ntty 1\ntty 2\ntty 3\n0000001\n") && strings.HasSuffix(r.logOf("tty.log"), "\n0012500\n")
				})
			}
			if strings.Contains(r.logOf("tty.log")+r.logOf("tty.log.1"), "hung up") {
				t.Error("the job got SIGHUP")
			}
			r.ok("stop", "tty")
			r.until("the terminals to be given back", func() bool {
				return terminals(r.pid()) == 0 && terminals(r.daemon.Process.Pid) == 0
			})
			if status := r.end(); status != 0 {
				t.Errorf("the status is %d", status)
			}
		})
	}
}
