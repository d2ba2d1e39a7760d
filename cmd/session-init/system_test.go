package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/testkit"
)

// The daemon of the machine, as the first process of PID namespaces: with their own
// mounts, in which /run is empty, so that nothing of the real machine is touched.

// prologue makes the mounts, and puts a shell in the place of sulogin, which would
// ask for a password.
const prologue = `set -e
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/log
printf '#!/bin/sh\nexec /bin/sh\n' >/run/shell
chmod 755 /run/shell
for shell in /sbin/sulogin /usr/sbin/sulogin; do
	if [ -e $shell ]; then mount --bind /run/shell $shell; fi
done
for dir in /etc/init /etc/event.d /usr/share/session-init/system; do
	if [ -d $dir ]; then mount -t tmpfs tmpfs $dir; fi
done
exec "$@"`

// machine is one such namespace.
type machine struct {
	t      *testing.T
	dir    string
	enter  []string // the words of nsenter
	cmd    *exec.Cmd
	log    *syncBuffer
	ended  chan struct{}
	rooted bool
	// errs is where its standard error leads, nil for log.
	errs *os.File
	// binary is the daemon's, env what it is told besides PATH.
	binary string
	env    []string
}

// eachMachine runs a test as root, and as one who is root in a user namespace only.
func eachMachine(t *testing.T, test func(t *testing.T, m *machine)) {
	for _, rooted := range []bool{true, false} {
		name := "rootless"
		if rooted {
			name = "root"
		}
		t.Run(name, func(t *testing.T) {
			m := &machine{t: t, dir: t.TempDir(), rooted: rooted, log: &syncBuffer{}, binary: filepath.Join(programs, "session-init")}
			m.enter = []string{testkit.Need(t, "nsenter")}
			if rooted {
				testkit.NeedPrivate(t)
			} else {
				testkit.NeedMounts(t)
			}
			if err := os.Chmod(m.dir, 0o755); err != nil {
				t.Fatal(err)
			}
			test(t, m)
		})
	}
}

func (m *machine) path(name string) string { return filepath.Join(m.dir, name) }

// write puts a file below the machine's directory, whole at once.
func (m *machine) write(name, text string) {
	m.t.Helper()
	temporary := m.path(".new")
	for _, err := range []error{
		os.MkdirAll(filepath.Dir(m.path(name)), 0o755),
		os.WriteFile(temporary, []byte(text), 0o755),
		os.Rename(temporary, m.path(name)),
	} {
		if err != nil {
			m.t.Fatal(err)
		}
	}
}

// boot starts it. stdin is its console; nil: none.
func (m *machine) boot(stdin *os.File, args ...string) {
	m.t.Helper()
	m.start(stdin, unix.CLONE_NEWNS, append([]string{"/bin/sh", "-c", prologue, "sh", m.binary, "--system", "--append-confdir", m.path("conf")}, args...)...)
}

// start makes a command the first process of a PID namespace; the flags are for
// further ones.
func (m *machine) start(stdin *os.File, flags uintptr, words ...string) {
	m.t.Helper()
	m.cmd = exec.Command(words[0], words[1:]...)
	m.cmd.Env = append([]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "SECRET=1"}, m.env...)
	m.cmd.Stdin, m.cmd.Stdout, m.cmd.Stderr = stdin, m.log, m.log
	m.cmd.Dir = "/"
	if m.errs != nil {
		m.cmd.Stderr = m.errs
	}
	attr := &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | flags}
	if !m.rooted {
		attr.Cloneflags |= unix.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	m.cmd.SysProcAttr = attr
	if err := m.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	cmd, ended := m.cmd, make(chan struct{})
	m.ended = ended
	go func() {
		cmd.Wait()
		close(ended)
	}()
	m.t.Cleanup(func() {
		// All in the namespace goes with its first process.
		cmd.Process.Kill()
		<-ended
		if m.t.Failed() {
			m.t.Logf("the log:\n%s", m.log)
		}
	})
}

// until polls.
func (m *machine) until(what string, cond func() bool) {
	m.t.Helper()
	deadline := time.Now().Add(patience)
	for !cond() {
		if time.Now().After(deadline) {
			m.t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (m *machine) ready(times int) {
	m.t.Helper()
	m.until("the daemon", func() bool { return strings.Count(m.log.String(), "is ready") >= times })
}

func (m *machine) traced(want string) {
	m.t.Helper()
	got := ""
	defer func() {
		if m.t.Failed() {
			m.t.Logf("trace %q; want %q", got, want)
		}
	}()
	m.until("the trace", func() bool {
		text, _ := os.ReadFile(m.path("trace"))
		got = string(text)
		return got == want
	})
}

// in runs a command inside, and returns all that it prints.
func (m *machine) in(args ...string) (string, int) {
	m.t.Helper()
	words := append(m.enter[:len(m.enter):len(m.enter)], "-t", strconv.Itoa(m.cmd.Process.Pid), "-p", "-m")
	if !m.rooted {
		words = append(words, "-U", "--preserve-credentials")
	}
	for deadline := time.Now().Add(patience); ; {
		cmd := exec.Command(words[0], append(words[1:len(words):len(words)], args...)...)
		cmd.Env = []string{"PATH=" + programs + ":/usr/bin:/bin"}
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		_ = cmd.Run()
		// In the moment of its exec the first process shows no namespaces.
		if strings.HasPrefix(out.String(), "nsenter: ") && time.Now().Before(deadline) && !m.over() {
			time.Sleep(5 * time.Millisecond)
			continue
		}
		return out.String(), cmd.ProcessState.ExitCode()
	}
}

// over tells whether it has ended.
func (m *machine) over() bool {
	select {
	case <-m.ended:
		return true
	default:
		return false
	}
}

// says runs the client inside, which must print this; PID stands for a number.
func (m *machine) says(want string, args ...string) {
	m.t.Helper()
	got, _ := m.in(args...)
	match(m.t, strings.Join(args, " "), got, want)
}

// status waits for the end.
func (m *machine) status() int {
	m.t.Helper()
	select {
	case <-m.ended:
	case <-time.After(patience):
		m.t.Fatal("it does not end")
	}
	return m.cmd.ProcessState.ExitCode()
}

// rests waits until a job has ended: an event that comes while it runs would not
// start it.
func (m *machine) rests(job string) {
	m.t.Helper()
	m.until(job+" to end", func() bool { text, _ := m.in("sctl", "status", job); return text == job+" waiting (stop)\n" })
}

func (m *machine) signal(s syscall.Signal) {
	m.t.Helper()
	if err := m.cmd.Process.Signal(s); err != nil {
		m.t.Fatal(err)
	}
}

const machineJobs = 5 // what machine.jobs writes

// jobs writes those of the tests, each of which tells what started it.
func (m *machine) jobs() {
	say := "exec sh -c 'echo $UPSTART_EVENTS $RUNLEVEL $PREVLEVEL $SECRET >>" + m.path("trace") + "'\n"
	m.write("conf/service.conf", "start on startup\nexec sleep 1000\n")
	m.write("conf/key.conf", "start on control-alt-delete or keyboard-request or power-status-changed\ntask\n"+say)
	m.write("conf/rc.conf", "start on runlevel\ntask\n"+say)
	m.write("conf/last.conf", "start on session-end\ntask\n"+strings.ReplaceAll(say, "$RUNLEVEL", "$TYPE"))
	m.write("conf/orphans.conf", "task\nexec sh -c '(sh -c \"sleep 0 & exit\" &); exit 0'\n")
}

func TestSystem(t *testing.T) {
	eachMachine(t, func(t *testing.T, m *machine) {
		m.jobs()
		m.boot(nil)
		m.ready(1)
		var list string
		m.until("the service", func() bool {
			list, _ = m.in("sctl", "list")
			return strings.Contains(list, "service running")
		})
		if n := strings.Count(list, "\n"); n != machineJobs {
			t.Errorf("sctl list:\n%s", list)
		}
		pid := regexp.MustCompile(`service running \(start\), process ([0-9]+)`).FindStringSubmatch(list)
		if pid == nil {
			t.Fatalf("sctl list:\n%s", list)
		}
		service := "service running (start), process " + pid[1] + "\n"

		// What signals mean.
		trace := ""
		for _, s := range []struct {
			signal syscall.Signal
			event  string
		}{{unix.SIGINT, "control-alt-delete"}, {unix.SIGWINCH, "keyboard-request"}, {unix.SIGPWR, "power-status-changed"}} {
			m.signal(s.signal)
			trace += s.event + "\n"
			m.traced(trace)
			m.rests("key")
		}
		m.write("conf/new.conf", "exec true\n")
		m.signal(unix.SIGHUP)
		m.until("the new job", func() bool { text, _ := m.in("sctl", "status", "new"); return text == "new waiting (stop)\n" })
		// None of these is the end, of the first process least of all.
		for _, s := range []syscall.Signal{unix.SIGQUIT, unix.SIGUSR2, unix.SIGPIPE, unix.SIGALRM, 40} {
			m.signal(s)
		}

		// Everybody may look, and nobody may do more there.
		open := "--address=unix:path=/run/session-init/readonly"
		m.says(service, "sctl", open, "status", "service")
		m.says("stop: cannot stop 'service': Permission denied: a client of the read-only socket may only read\n", "sctl", open, "stop", "service")
		m.says("list-env: cannot list the environment: Permission denied: a client of the read-only socket may only read\n", "sctl", open, "list-env")
		if text, _ := m.in("sctl", "list-env"); strings.Contains(text, "SECRET") || strings.Count(text, "\n") != 2 {
			t.Errorf("list-env = %q; want PATH and TERM", text)
		}

		// A new image, and a new daemon, have the same children and no old signal.
		m.says("", "sctl", "re-exec")
		m.ready(2)
		m.says(service, "sctl", "status", "service")
		m.says("", "sh", "-c", "for p in $(cat /proc/1/task/*/children 2>/dev/null); do kill -9 $p; done")
		m.ready(3)
		m.says(service, "sctl", "status", "service")
		m.says(service, "sctl", open, "status", "service")

		// Orphans, of jobs and of others.
		m.says("", "sctl", "start", "--quiet", "orphans")
		m.says("", "sh", "-c", "(sh -c 'sleep 0.1 & exit' &)")
		m.until("all orphans to be reaped", func() bool {
			text, _ := m.in("sh", "-c", "cat /proc/[0-9]*/stat 2>/dev/null")
			return !strings.Contains(text, ") Z ") && strings.Count(text, "(sleep)") == 1
		})
		m.traced(trace)

		m.signal(unix.SIGTERM)
		if got := m.status(); got != 0 {
			t.Errorf("status = %d; want 0", got)
		}
		m.traced(trace + "runlevel 0 N\nsession-end shutdown\n")
	})
}
