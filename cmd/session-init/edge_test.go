package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What we are started with may be broken: a pipe that nobody reads, signals that
// are ignored, an environment without a PATH.

// brokenPipe returns a pipe to write to, of which nobody has the other end.
func brokenPipe(t *testing.T) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	t.Cleanup(func() { w.Close() })
	return w
}

// TestBrokenStandardError: whoever reads what daemon and keeper say may go.
func TestBrokenStandardError(t *testing.T) {
	r := newRig(t)
	r.errs = brokenPipe(t)
	r.job("svc", "respawn\nexec sleep 600")
	r.args = append(r.args, "--verbose")
	r.start()
	daemon := r.pid()
	r.ok("start", "svc")
	svc := r.main("svc")
	unix.Kill(svc, unix.SIGKILL) // which is logged
	r.until("a respawn", func() bool {
		line := r.command("status", "svc").out
		return strings.HasPrefix(line, "svc running (start), process ") && !strings.Contains(line, fmt.Sprint(svc))
	})
	if now := r.pid(); now != daemon {
		t.Fatalf("the daemon is %d and was %d", now, daemon)
	}
	svc = r.main("svc")
	r.crash() // which the keeper logs
	if now := r.main("svc"); now != svc {
		t.Errorf("svc is process %d; want %d still", now, svc)
	}
	if status := r.end(); status != 0 {
		t.Errorf("the keeper's status is %d", status)
	}
}

// TestBrokenStandardErrorAlone: a daemon without a keeper, which has nobody to
// start it again.
func TestBrokenStandardErrorAlone(t *testing.T) {
	r := newRig(t)
	r.errs = brokenPipe(t)
	r.args = append(r.args, "--verbose", "--no-keeper")
	r.job("svc", "exec sh -c 'exit 7'")
	r.start()
	r.command("start", "svc")
	r.until("the failure", func() bool { return strings.Contains(r.command("status", "svc").out, "status 7") })
	if status := r.end(); status != 0 {
		t.Errorf("the status is %d", status)
	}
}

// TestBrokenStandardErrorLogin: COMMAND is run, and gets the signal by default.
func TestBrokenStandardErrorLogin(t *testing.T) {
	r := newRig(t)
	cmd := exec.Command(filepath.Join(programs, "session-init"), "--", "sh", "-c", "touch $W/ran; kill -PIPE $$; exit 3")
	cmd.Env = append(r.env[:len(r.env):len(r.env)], "XDG_RUNTIME_DIR="+r.dir+"/missing")
	cmd.Stderr = brokenPipe(t)
	cmd.Run()
	if _, err := os.Stat(filepath.Join(r.dir, "ran")); err != nil || cmd.ProcessState.ExitCode() != 128+int(unix.SIGPIPE) {
		t.Errorf("COMMAND left %v, the login's end is %v; want a file and status 141", err, cmd.ProcessState)
	}
}

// TestBrokenStandardErrorContainer: the same for a first process.
func TestBrokenStandardErrorContainer(t *testing.T) {
	eachMachine(t, func(t *testing.T, m *machine) {
		m.jobs()
		m.write("conf/fails.conf", "task\nexec sh -c 'exit 7'\n")
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		m.errs = w
		m.boot(nil, "--verbose")
		w.Close()
		for text := make([]byte, 4096); !strings.Contains(m.log.String(), "is ready"); {
			n, err := r.Read(text)
			if err != nil {
				t.Fatal(err)
			}
			m.log.Write(text[:n])
		}
		r.Close()
		for range 6 {
			m.in("sctl", "start", "fails")
		}
		m.until("the service", func() bool {
			text, _ := m.in("sctl", "status", "service")
			return strings.HasPrefix(text, "service running (start), process ")
		})
		m.signal(unix.SIGTERM)
		if got := m.status(); got != 0 {
			t.Errorf("status = %d; want 0", got)
		}
	})
}

// ignoredSignals reads which signals a process ignores, as bits.
func ignoredSignals(t *testing.T, pid int) (set uint64) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, found := strings.CutPrefix(line, "SigIgn:"); found {
			if set, err = strconv.ParseUint(strings.TrimSpace(value), 16, 64); err != nil {
				t.Fatal(err)
			}
		}
	}
	return set
}

// TestIgnoredSignals: what is to be ignored when it is started, as by nohup(1) and
// by a shell's &, neither ends the session nor does anything else. Jobs have it as
// ever.
func TestIgnoredSignals(t *testing.T) {
	for _, args := range [][]string{nil, {"--no-keeper"}} {
		t.Run(strings.Join(append([]string{"with"}, args...), "_"), func(t *testing.T) {
			r := newRig(t)
			r.before = []string{"/bin/sh", "-c", `trap "" HUP INT; exec "$@"`, "sh"}
			r.args = append(r.args, args...)
			r.job("svc", "exec sleep 600")
			r.start()
			r.ok("start", "svc")
			const both = 1<<(unix.SIGHUP-1) | 1<<(unix.SIGINT-1)
			for _, pid := range []int{r.daemon.Process.Pid, r.pid()} {
				if got := ignoredSignals(t, pid) & both; got != both {
					t.Errorf("process %d ignores %x of HUP and INT, %x", pid, got, both)
				}
				unix.Kill(pid, unix.SIGINT)
				unix.Kill(pid, unix.SIGHUP)
			}
			if got := ignoredSignals(t, r.main("svc")) & both; got != 0 {
				t.Errorf("the job ignores %x", got)
			}
			// A new keeper, too.
			r.ok("sctl", "re-exec")
			r.daemon.Process.Signal(unix.SIGINT)
			r.prints("svc running (start), process PID\n", "status", "svc")
			// A TERM might meet the keeper in the moment of its exec, and would end it.
			r.command("sctl", "end-session")
			if status := r.wait(); status != 0 {
				t.Errorf("the status is %d", status)
			}
		})
	}
}

// lockLogins is another login, which does not let go of what keeps two from
// starting a daemon at once. It returns the path of that.
func (r *rig) lockLogins() string {
	r.t.Helper()
	if err := os.MkdirAll(filepath.Join(r.run, "session-init"), 0o700); err != nil {
		r.t.Fatal(err)
	}
	path := filepath.Join(r.run, "session-init/login.lock")
	lock, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { lock.Close() })
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		r.t.Fatal(err)
	}
	return path
}

// loginAlone starts a login in a session of its own, without a terminal.
func (r *rig) loginAlone(command string) *exec.Cmd {
	r.t.Helper()
	cmd := exec.Command(filepath.Join(programs, "session-init"), "--", "sh", "-c", command)
	cmd.Env, cmd.Stderr = r.env, r.stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		if cmd.ProcessState == nil {
			cmd.Process.Kill()
			cmd.Wait()
		}
	})
	return cmd
}

// TestLoginWaits: a login that waits for another can be ended.
func TestLoginWaits(t *testing.T) {
	for _, s := range []syscall.Signal{unix.SIGTERM, unix.SIGHUP, unix.SIGINT} {
		t.Run(unix.SignalName(s), func(t *testing.T) {
			r := newLoginRig(t)
			path := r.lockLogins()
			cmd := r.loginAlone("touch $W/ran")
			r.until("the login to find the lock", func() bool {
				fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", cmd.Process.Pid))
				return slices.ContainsFunc(fds, func(fd string) bool { to, _ := os.Readlink(fd); return to == path })
			})
			cmd.Process.Signal(unix.SIGUSR1) // is COMMAND's
			cmd.Process.Signal(s)
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			select {
			case <-ended:
			case <-time.After(patience): // it would have gone on alone, and have run COMMAND
				t.Fatal("the login does not end")
			}
			if _, err := os.Stat(filepath.Join(r.dir, "ran")); err == nil || cmd.ProcessState.ExitCode() != 128+int(s) {
				t.Errorf("the login's end is %v, COMMAND left %v; want status %d and nothing", cmd.ProcessState, err, 128+int(s))
			}
		})
	}
}

// TestLoginJoinTime: neither another login nor a daemon that does not come to be
// ready is waited for without end.
func TestLoginJoinTime(t *testing.T) {
	r := newLoginRig(t)
	// It is nobody's child and holds what is to be told that it is ready.
	r.write("hangs", "#!/bin/sh\nsleep 600 &\necho $! > $W/hanging\n")
	l := &loginRun{parsed: &parsed{}, program: filepath.Join(r.dir, "hangs"), argv: []string{"hangs"}, environ: r.env, rest: r.env, stderr: r.stderr}
	join := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		return l.join(ctx)
	}
	if err := join(); err == nil || !strings.Contains(err.Error(), "cannot start the daemon: it was not ready in time") {
		t.Errorf("join, with a daemon that is not ready = %v", err)
	}
	pid := 0
	r.until("the one that hangs to be known", func() bool {
		text, _ := os.ReadFile(filepath.Join(r.dir, "hanging"))
		var err error
		pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
		return err == nil
	})
	unix.Kill(pid, unix.SIGKILL)
	r.until("its end", func() bool { return hasEnded(pid) })
	socket, err := net.Listen("unix", filepath.Join(r.run, "session-init/socket"))
	if err != nil {
		t.Fatal(err)
	}
	if err := join(); err == nil || !strings.Contains(err.Error(), "the daemon has not answered in time") {
		t.Errorf("join, with a daemon that does not answer = %v", err)
	}
	socket.Close()
	path := r.lockLogins()
	if err := join(); err == nil || !strings.Contains(err.Error(), "another login starts the daemon, and has "+path+" locked") {
		t.Errorf("join, beside another login = %v", err)
	}
}

// TestLoginJoinsPastLock: who only joins the daemon does not wait for one that
// holds the lock.
func TestLoginJoinsPastLock(t *testing.T) {
	r := newLoginRig(t)
	first := r.login("one")
	r.lockLogins()
	cmd := r.loginAlone("echo $UPSTART_SESSION_ID > $W/ran")
	if err := cmd.Wait(); err != nil {
		t.Errorf("the second login: %v\n%s", err, r.stderr)
	}
	if text, err := os.ReadFile(filepath.Join(r.dir, "ran")); string(text) != "2\n" {
		t.Errorf("COMMAND wrote %q, %v; want 2", text, err)
	}
	first.logout(0)
}

// TestLoginWithoutPath: COMMAND has no PATH then, and not one that names nothing
// but our links.
func TestLoginWithoutPath(t *testing.T) {
	r := newLoginRig(t)
	cmd := exec.Command(filepath.Join(programs, "session-init"), "--", "/bin/sh", "-c", "ls / >/dev/null && env | /bin/sed -n s/^PATH=//p")
	for _, entry := range r.env {
		if !strings.HasPrefix(entry, "PATH=") {
			cmd.Env = append(cmd.Env, entry)
		}
	}
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Contains(string(out), r.run) {
		t.Errorf("the login: %v, it prints %q; want no PATH of ours", err, out)
	}
}

// TestFewDescriptors: terminals of jobs do not take the descriptors that a session
// cannot do without, in this daemon and in the next, which inherits them.
func TestFewDescriptors(t *testing.T) {
	r := newRig(t)
	r.before = []string{"/bin/sh", "-c", `ulimit -n 128; exec "$@"`, "sh"}
	r.job("tty", "instance $N\nconsole pty\nexec sleep 600")
	r.start()
	const n = 60
	var list strings.Builder
	for i := range n {
		r.ok("start", "tty", fmt.Sprint("N=", 100+i))
		fmt.Fprintf(&list, "tty (%d) running (start), process PID\n", 100+i)
	}
	if held := terminals(r.pid()); held == 0 || held >= n {
		t.Errorf("the daemon has %d terminals; want some of %d", held, n)
	}
	for range 2 {
		r.crash()
		r.prints(list.String(), "sctl", "list")
	}
	if n := strings.Count(r.stderr.String(), "cannot accept a client"); n > 0 {
		t.Errorf("clients were not accepted %d times", n)
	}
}
