package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/testkit"
	"github.com/session-init/session-init/supervise/cgroup"
)

// escaping is a job that is one sleep, and another that has shed its parent,
// session, environment and mark and says its pid in the trace.
const escaping = `script
    (env -i PATH="$PATH" T=$T prlimit --locks=7:7 setsid sh -c 'echo $$ >> $T; exec sleep 1000' &)
    exec sleep 1000
end script`

// needGroups skips the test where the daemon has no cgroups, as its log says.
// The first process has been made.
func (r *rig) needGroups() {
	r.t.Helper()
	if _, why, without := strings.Cut(r.stderr.String(), "not by cgroups: "); without {
		testkit.NeedGroups(r.t, errors.New(why))
	}
}

// delegate has the daemon started in a cgroup that is delegated to it, and that
// is removed at the end.
func (r *rig) delegate() {
	r.t.Helper()
	d, _, err := cgroup.Open("", "", true)
	testkit.NeedGroups(r.t, err)
	r.t.Cleanup(d.Close)
	if _, err = d.Make(1); err == nil {
		err = unix.Setxattr(d.Path, "user.delegate", []byte("1"), 0)
	}
	if err == nil {
		r.group, err = d.Descriptor("0")
	}
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { unix.Close(r.group) })
}

// groupOf returns the cgroup of version 2 that a process is in.
func groupOf(t *testing.T, pid int) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if group, found := strings.CutPrefix(line, "0::"); found {
			return strings.TrimSpace(group)
		}
	}
	return ""
}

// hasEnded takes a process that fell to us, when its daemon died, out of the
// process table, and tells whether it is gone.
func hasEnded(pid int) bool {
	unix.Wait4(pid, nil, unix.WNOHANG, nil)
	return isGone(pid)
}

// TestEscape: what has shed all that a process can shed is shown, is ended when
// its job is stopped, also by the next daemon, and is named. No cgroup is left.
func TestEscape(t *testing.T) {
	for _, test := range []struct {
		name    string
		args    []string
		between func(r *rig)
	}{
		{"stop", nil, func(*rig) {}},
		{"crash", nil, func(r *rig) { r.crash() }},
		{"re-exec", nil, func(r *rig) { r.prints("", "sctl", "re-exec") }},
		{"crash without state", nil, func(r *rig) {
			r.write("run/session-init/state", "rubbish\n")
			r.crash()
			r.logged("is taken for its main process")
		}},
		{"crash alone", []string{"--no-keeper"}, func(r *rig) {
			unix.Kill(r.pid(), unix.SIGKILL)
			r.wait()
			r.launch()
			r.until("the next daemon", func() bool { return r.command("sctl", "list").status == 0 })
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t)
			r.delegate()
			// Not private: the next daemon has to find the same directory.
			r.args = append([]string{"--prepend-confdir", r.conf, "--logdir", r.logs, "--no-startup-event", "--verbose"}, test.args...)
			r.job("svc", escaping)
			r.start()
			r.ok("start", "svc")
			r.needGroups()
			pid := r.pids(1)[0]
			main := r.main("svc")
			// The group of the instance is in the daemon's.
			dir := filepath.Dir(groupOf(t, main))
			if group := groupOf(t, pid); group != groupOf(t, main) || !strings.HasPrefix(filepath.Base(dir), "session-init-") {
				t.Fatalf("cgroups %q and %q", group, groupOf(t, main))
			}
			r.until("its parent's end", func() bool {
				return groupOf(t, pid) != "" && !strings.Contains(r.ok("sctl", "status", "--processes", "svc"), "setsid")
			})
			test.between(r)
			want := fmt.Sprintf("process %d (sleep 1000)\n", pid)
			r.until("status to show "+want, func() bool { return strings.Contains(r.ok("sctl", "status", "--processes", "svc"), want) })
			r.prints("svc waiting (stop)\n", "stop", "svc")
			if !hasEnded(pid) || !hasEnded(main) {
				t.Errorf("processes %d and %d, gone: %t, %t", pid, main, isGone(pid), isGone(main))
			}
			if status := r.end(); status != 0 {
				t.Errorf("the status is %d", status)
			}
			for _, mount := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
				if _, err := os.Stat(mount + dir); err == nil {
					t.Errorf("%s%s is left", mount, dir)
				}
			}
		})
	}
}

// TestEscapeNamed: what a service that has ended by itself leaves behind in its
// cgroup is ended and named.
func TestEscapeNamed(t *testing.T) {
	r := newRig(t)
	r.delegate()
	r.args = append(r.args, "--verbose")
	r.job("svc", strings.Replace(escaping, "    exec sleep 1000\nend", untilAsleep+"end", 1))
	r.start()
	r.ok("start", "svc")
	r.needGroups()
	pid := r.pids(1)[0]
	r.until("the end of the job", func() bool { return r.ok("status", "svc") == "svc waiting (stop)\n" })
	if !isGone(pid) {
		t.Errorf("process %d lives", pid)
	}
	r.logged(fmt.Sprintf("sleep (%d)", pid))
}
