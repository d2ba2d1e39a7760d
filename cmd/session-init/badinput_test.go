package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/api"
)

// Bad input, case by case as the specification names it: a sentence that
// names thing, place and remedy; the offender refused, the rest untouched.

// logged waits until the daemon has logged this.
func (r *rig) logged(want string) {
	r.t.Helper()
	r.until("the log to say "+want, func() bool { return strings.Contains(r.stderr.String(), want) })
}

// well starts and stops the job "good", to show that all else works.
func (r *rig) well() {
	r.t.Helper()
	r.prints("good running (start), process PID\n", "start", "good")
	r.prints("good waiting (stop)\n", "stop", "good")
}

func TestBadJobFile(t *testing.T) {
	r := newRig(t)
	r.job("good", "exec sleep 600")
	r.job("bad", "exec sleep 600\nrespwan")
	r.start()
	r.logged(r.conf + "/bad.conf:2:1: ")
	r.logged("did you mean 'respawn'?")
	r.refused(1, "start: cannot start 'bad': Unknown job\nstart: its job file has mistakes: sctl why bad tells them\n", "start", "bad")
	r.well()
	// Mended, it is there; broken again, the last good definition stays.
	r.job("bad", "exec sleep 600")
	r.becomes("bad waiting (stop)\n", "bad")
	r.job("bad", "exec sleep 600\nrespawn limit x y")
	r.logged(r.conf + "/bad.conf:2:15: ")
	r.prints("bad running (start), process PID\n", "start", "bad")
}

func TestBadExecutable(t *testing.T) {
	r := newRig(t)
	r.job("good", "exec sleep 600")
	r.job("bad", "exec /nonexistent/thing arg")
	r.start()
	got := r.command("start", "bad")
	if got.status != 1 || !strings.Contains(got.errOut, "start: cannot start 'bad': Job failed to start") ||
		!strings.Contains(got.errOut, "cannot execute /nonexistent/thing: no such file or directory") {
		t.Errorf("start: %+v", got)
	}
	r.logged("cannot execute /nonexistent/thing: no such file or directory")
	if out := r.ok("status", "bad"); !strings.HasPrefix(out, "bad waiting (stop)\n") || !strings.Contains(out, "cannot execute /nonexistent/thing") {
		t.Errorf("status does not give the reason: %q", out)
	}
	r.well()
}

func TestBadDirectoryLimitUser(t *testing.T) {
	cases := []struct{ job, want string }{
		{"chdir /nonexistent/dir", "cannot change directory to /nonexistent/dir: no such file or directory"},
		{"limit nofile 99999999999 99999999999", "cannot set limit nofile 99999999999"},
		{"setuid no-such-user", "cannot set user no-such-user: unknown user"},
		{"setgid no-such-group", "cannot set group no-such-group: unknown group"},
	}
	r := newRig(t)
	r.job("good", "exec sleep 600")
	for i, c := range cases {
		r.job(fmt.Sprintf("bad%d", i), c.job+"\nexec sleep 600")
	}
	r.start()
	for i, c := range cases {
		got := r.command("start", fmt.Sprintf("bad%d", i))
		if got.status != 1 || !strings.Contains(got.errOut, c.want) {
			t.Errorf("%s: %+v; want %q", c.job, got, c.want)
		}
	}
	r.well()
}

func TestBadEnvironmentTooLarge(t *testing.T) {
	r := newRig(t)
	r.job("good", "exec sleep 600")
	r.start()
	args := []string{"start", "good"}
	for i := range 12 {
		args = append(args, fmt.Sprintf("V%d=%s", i, strings.Repeat("x", 100_000)))
	}
	// What one asks for is allowed by itself, but is too much for the job's exec
	// beside what it has already; see execve(2). More than that is refused at once.
	conn := r.dial()
	defer conn.Close()
	fill := func(n int) (env []string) {
		for i := range n {
			env = append(env, fmt.Sprintf("V%d=%s", i, strings.Repeat("x", 123_345)))
		}
		return env
	}
	conn.fails(api.ErrLimitsExceeded, "/com/ubuntu/Upstart/jobs/good", "com.ubuntu.Upstart0_6.Job", "Start", fill(18), true)
	conn.fails("com.ubuntu.Upstart0_6.Error.JobFailed", "/com/ubuntu/Upstart/jobs/good", "com.ubuntu.Upstart0_6.Job", "Start", fill(17), true)
	r.logged("argument list too long")
	r.prints("good running (start), process PID\n", args...)
	r.ok("stop", "good")
}

func TestBadNamesAndBytes(t *testing.T) {
	r := newRig(t)
	r.job("good", "exec sleep 600")
	r.job("any", "start on \"ev é%$x\"\nscript\n    echo \"$V\" >> $T\n    exec sleep 600\nend script")
	r.start()
	r.refused(1, "emit: cannot emit '': Event name may not be empty string\n", "emit", "")
	r.ok("emit", "ev é%$x", "V=a b\tc=d")
	r.traced("a b\tc=d")
	for _, c := range []struct{ argument, want string }{
		{"V=\xff\xfe", `argument "V=\xff\xfe" is not valid UTF-8`},
		{"novalue", "'novalue' is not KEY=VALUE"},
	} {
		if got := r.command("emit", "ev", c.argument); got.status != 2 || !strings.HasPrefix(got.errOut, "emit: "+c.want+"\n") {
			t.Errorf("emit ev %q: %+v; want status 2 and %q", c.argument, got, c.want)
		}
	}
	r.well()
}

func TestBadClientsVanish(t *testing.T) {
	r := newRig(t)
	r.job("good", "exec sleep 600")
	r.job("slow", "instance $N\npre-start exec sleep 600\nexec sleep 600")
	r.start()
	idle := r.sockets()
	for i := range 50 {
		r.dial().abandon("/com/ubuntu/Upstart/jobs/slow", "com.ubuntu.Upstart0_6.Job", "Start", []string{fmt.Sprintf("N=%d", i)}, true)
	}
	raw := r.rawDial()
	if _, err := raw.Write([]byte("\x00AUTH EXTERNAL 41\r\nrubbish\r\n")); err != nil {
		t.Fatal(err)
	}
	raw.Close()
	r.well()
	r.until("the daemon to have closed its descriptors", func() bool { return r.sockets() <= idle })
}

// sockets counts the daemon's sockets: one listens.
func (r *rig) sockets() int {
	dir := fmt.Sprintf("/proc/%d/fd", r.pid())
	entries, _ := os.ReadDir(dir)
	n := 0
	for _, entry := range entries {
		if target, _ := os.Readlink(filepath.Join(dir, entry.Name())); strings.HasPrefix(target, "socket:") {
			n++
		}
	}
	return n
}

func (r *rig) rawDial() net.Conn {
	r.t.Helper()
	conn, err := net.Dial("unix", strings.TrimPrefix(r.address, "unix:path="))
	if err != nil {
		r.t.Fatal(err)
	}
	return conn
}

func TestBadRuntimeDirectory(t *testing.T) {
	long := filepath.Join(t.TempDir(), strings.Repeat("long/", 24))
	if err := os.MkdirAll(long, 0o700); err != nil {
		t.Fatal(err)
	}
	open := filepath.Join(t.TempDir(), "open")
	if err := os.Mkdir(open, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cases := []struct{ dir, want string }{
		{"", "XDG_RUNTIME_DIR is not set"},
		{"relative", "it must be an absolute path"},
		{"/nonexistent/run", "cannot use runtime directory /nonexistent/run: no such file or directory"},
		{long, "too long"},
		{open, "others may write to it (mode 0777)"},
		{file, "not a directory"},
	}
	if os.Getuid() == 0 {
		other := filepath.Join(t.TempDir(), "other")
		if err := errors.Join(os.Mkdir(other, 0o700), os.Chown(other, 65534, 65534)); err != nil {
			t.Fatal(err)
		}
		cases = append(cases, struct{ dir, want string }{other, "it belongs to user 65534 and we are user 0"})
	}
	for _, c := range cases {
		r := newRig(t)
		r.env = append(r.env, "XDG_RUNTIME_DIR="+c.dir)
		r.launch()
		if status := r.wait(); status != 1 || !strings.Contains(r.stderr.String(), c.want) || strings.Count(r.stderr.String(), "\n") != 1 {
			t.Errorf("XDG_RUNTIME_DIR=%q: status %d, %q; want 1 and one line with %q", c.dir, status, r.stderr, c.want)
		}
	}
}

func TestBadFullDisk(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Fatal(err)
	}
	r := newRig(t)
	r.job("good", "exec sleep 600")
	r.job("writer", "task\nexec sh -c \"echo x; true\"")
	// A log file on a full disk: the job's own write fails, nothing else.
	if err := os.Symlink("/dev/full", filepath.Join(r.logs, "writer.log")); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.prints("writer waiting (stop)\n", "start", "writer")
	r.well()
}

func TestBadLogDirectory(t *testing.T) {
	r := newRig(t)
	r.job("good", "exec sleep 600")
	// Nothing can be created there, for root neither.
	if err := os.RemoveAll(r.logs); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.logs, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.logged("cannot make log directory " + r.logs)
	// A log that cannot be written is no reason not to run.
	r.well()
	r.logged("cannot open log file " + r.logs + "/good.log: not a directory")
}

func TestBadNoMoreProcesses(t *testing.T) {
	if os.Getuid() != 0 {
		t.Log("as an ordinary user: the limit is set by the test's own")
	}
	r := newRig(t)
	r.job("good", "exec sleep 600")
	r.job("many", "instance $N\nexec sleep 600")
	r.start()
	var old unix.Rlimit
	if err := unix.Prlimit(r.pid(), unix.RLIMIT_NOFILE, nil, &old); err != nil {
		t.Fatal(err)
	}
	conn := r.dial()
	defer conn.Close()
	conn.call("/com/ubuntu/Upstart", "com.ubuntu.Upstart0_6", "GetAllJobs")
	// No more descriptors than it has, whatever it closes meanwhile: the spawn's
	// pipe cannot be made.
	tight := unix.Rlimit{Cur: 0, Max: old.Max}
	if err := unix.Prlimit(r.pid(), unix.RLIMIT_NOFILE, &tight, nil); err != nil {
		t.Fatal(err)
	}
	conn.fails("com.ubuntu.Upstart0_6.Error.JobFailed", "/com/ubuntu/Upstart/jobs/many", "com.ubuntu.Upstart0_6.Job", "Start", []string{"N=1"}, true)
	r.logged("too many open files")
	if err := unix.Prlimit(r.pid(), unix.RLIMIT_NOFILE, &old, nil); err != nil {
		t.Fatal(err)
	}
	r.well()
}

func TestBadFlags(t *testing.T) {
	cases := []struct {
		args []string
		want string
	}{
		{[]string{"--bogus"}, "unknown argument '--bogus'"},
		{[]string{"word"}, "unknown argument 'word'"},
		{[]string{"--container"}, "--container: only with --system"},
		{[]string{"--confdir"}, "--confdir needs a value"},
		{[]string{"--debug=1"}, "--debug takes no value"},
		{[]string{"--stop-timeout", "soon"}, "expected a number of seconds"},
		{[]string{"--default-console", "x"}, "expected none, log, output, owner or pty"},
	}
	for _, c := range cases {
		var out, errOut bytes.Buffer
		if status := run(c.args, nil, &out, &errOut); status != exitUsage || out.Len() > 0 || !strings.Contains(errOut.String(), c.want) {
			t.Errorf("run(%q) = %d, %q, %q; want %d and %q", c.args, status, &out, &errOut, exitUsage, c.want)
		}
	}
	var out, errOut bytes.Buffer
	if status := run([]string{"--help"}, nil, &out, &errOut); status != 0 || !strings.Contains(out.String(), "--system") || !strings.Contains(out.String(), "--confdir DIR") {
		t.Errorf("run(--help) = %d, %q", status, &out)
	}
}

func TestSecondDaemonIsRefused(t *testing.T) {
	r := newRig(t)
	r.args = []string{"--no-startup-event"}
	r.start()
	second := exec.Command(filepath.Join(programs, "session-init"))
	second.Env = r.env
	out, err := second.CombinedOutput()
	if err == nil || !strings.Contains(string(out), fmt.Sprintf("already running here (process %d)", r.daemon.Process.Pid)) {
		t.Errorf("a second daemon: %v, %q", err, out)
	}
	r.prints("", "sctl", "list")
	for _, name := range []string{"socket", "bin", "slots", "state"} {
		if _, err := os.Stat(filepath.Join(r.run, "session-init", name)); err != nil {
			t.Errorf("the refused daemon took what is the other's: %v", err)
		}
	}
}
