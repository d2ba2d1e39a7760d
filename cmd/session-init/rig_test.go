package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The tests of this package run the built programs as a stranger would: in a
// private runtime directory, on job files, with the client.

// programs holds session-init, sctl and its links.
var programs string

func TestMain(m *testing.M) {
	if way := os.Getenv(serveAs); way != "" {
		os.Exit(serve(way))
	}
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	if len(os.Args) > 1 && os.Args[1] == "own-name" {
		return ownName(os.Args[2:])
	}
	if len(os.Args) > 1 && os.Args[1] == millionArg {
		return startAndStop(os.Args[2:])
	}
	if len(os.Args) > 1 && os.Args[1] == "compositor" {
		return compositor(os.Args[2:])
	}
	dir, err := os.MkdirTemp("", "session-init-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	build := exec.Command("go", "build", "-o", dir+"/", ".", "../sctl")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "cannot build the programs: %v\n%s", err, out)
		return 1
	}
	for _, name := range []string{"start", "stop", "restart", "reload", "status", "emit", "initctl"} {
		if err := os.Symlink("sctl", filepath.Join(dir, name)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	programs = dir
	for _, s := range []unix.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGPIPE, unix.SIGTERM} {
		if signal.Ignored(s) {
			// By nohup(1), say, or a shell's &; the programs would ignore it too.
			signal.Notify(make(chan os.Signal, 1), s)
		}
	}
	// Whatever a daemon of ours should leave behind comes to us, where the
	// tests find it.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// patience bounds every wait. It is no expectation: a test that runs into it
// has failed.
const patience = time.Minute

// rig is one daemon in a directory of its own.
type rig struct {
	t       testing.TB
	dir     string
	conf    string
	logs    string
	run     string
	env     []string
	args    []string
	daemon  *exec.Cmd
	stderr  *syncBuffer
	ended   chan struct{} // closed at its end
	address string
	// binary is the daemon's.
	binary string
	// root is where a program that was set apart finds its files.
	root string
	// before are words before the program's; errs is where its standard error
	// leads, nil for stderr.
	before []string
	errs   *os.File
	// group is a descriptor of the cgroup to start it in, 0 for ours.
	group int
}

type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// newRig makes the directories; nothing runs yet.
func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), binary: filepath.Join(programs, "session-init")}
	for _, p := range []struct {
		field *string
		name  string
	}{{&r.conf, "conf"}, {&r.logs, "log"}, {&r.run, "run"}} {
		*p.field = filepath.Join(r.dir, p.name)
		if err := os.Mkdir(*p.field, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	r.env = []string{"PATH=" + programs + ":" + os.Getenv("PATH"), "HOME=" + r.dir, "TERM=dumb", "XDG_RUNTIME_DIR=" + r.run,
		"XDG_CONFIG_HOME=" + r.dir + "/config", "XDG_DATA_HOME=" + r.dir + "/data", "XDG_STATE_HOME=" + r.dir + "/state",
		"XDG_CONFIG_DIRS=" + r.dir + "/etc", "XDG_DATA_DIRS=" + r.dir + "/share", "T=" + r.dir + "/trace", "W=" + r.dir}
	r.args = []string{"--confdir", r.conf, "--logdir", r.logs, "--no-startup-event"}
	r.write("trace", "")
	return r
}

// write puts a file below the rig's directory, whole at once.
func (r *rig) write(name, text string) {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		r.t.Fatal(err)
	}
	temporary := filepath.Join(r.dir, ".new")
	if err := os.WriteFile(temporary, []byte(text), 0o700); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Rename(temporary, path); err != nil {
		r.t.Fatal(err)
	}
}

// job writes a job file: name.conf, its text's own indentation kept.
func (r *rig) job(name, text string) { r.t.Helper(); r.write("conf/"+name+".conf", text+"\n") }

// start runs the daemon until it is ready.
func (r *rig) start() *rig {
	r.t.Helper()
	r.launch()
	r.until("the session file", func() bool {
		select {
		case <-r.ended:
			r.t.Fatalf("the daemon ended at once: %v\n%s", r.daemon.ProcessState, r.stderr)
		default:
		}
		matches, _ := filepath.Glob(filepath.Join(r.run, "upstart/sessions/*.session"))
		if len(matches) == 0 {
			return false
		}
		text, err := os.ReadFile(matches[0])
		if err != nil {
			return false
		}
		r.address = strings.TrimSpace(strings.TrimPrefix(string(text), "UPSTART_SESSION="))
		return true
	})
	return r
}

// launch runs the daemon and sees to it that it is gone with the test.
func (r *rig) launch() {
	r.t.Helper()
	r.stderr = &syncBuffer{}
	words := append(append(r.before[:len(r.before):len(r.before)], r.binary), r.args...)
	r.daemon = exec.Command(words[0], words[1:]...)
	r.daemon.Env, r.daemon.Dir = r.env, "/"
	r.daemon.Stdout, r.daemon.Stderr = r.stderr, r.stderr
	if r.errs != nil {
		r.daemon.Stderr = r.errs
	}
	r.daemon.SysProcAttr = &unix.SysProcAttr{UseCgroupFD: r.group > 0, CgroupFD: r.group}
	if err := r.daemon.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.ended = make(chan struct{})
	daemon, ended := r.daemon, r.ended
	go func() {
		daemon.Wait()
		close(ended)
	}()
	r.t.Cleanup(func() { r.finish(daemon, ended) })
}

// dump has a daemon that hangs say where, and ends it: Go's runtime does so
// on SIGQUIT.
func (r *rig) dump() {
	for _, child := range children(r.daemon.Process.Pid) {
		if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", child)); err == nil && exe == r.program() {
			r.daemon.Process.Kill()
			unix.Kill(child, unix.SIGQUIT)
			r.until("its end", func() bool { return unix.Kill(child, 0) == unix.ESRCH })
		}
	}
}

// finish ends a daemon that still runs, and fails the test for what it left.
func (r *rig) finish(daemon *exec.Cmd, ended chan struct{}) {
	daemon.Process.Signal(unix.SIGTERM) // is nothing to one that has ended
	select {
	case <-ended:
	case <-time.After(patience):
		r.dump()
		r.t.Errorf("the daemon does not end\n%s", r.stderr)
		daemon.Process.Kill()
		<-ended
	}
	if r.t.Failed() {
		r.t.Logf("the daemon's log:\n%s", r.stderr)
	}
	if left := r.processes(); len(left) > 0 {
		r.t.Errorf("left behind: %v", left)
		for pid := range left {
			unix.Kill(pid, unix.SIGKILL)
		}
	}
}

// program is the path of the daemon as /proc shows it.
func (r *rig) program() string {
	path, err := filepath.EvalSymlinks(r.binary)
	if err != nil {
		panic(err)
	}
	return path
}

// pid returns the daemon's own pid: the keeper's child, or the process that
// was started when there is no keeper.
func (r *rig) pid() int {
	r.t.Helper()
	keeper := r.daemon.Process.Pid
	if slices.Contains(r.args, "--no-keeper") {
		return keeper
	}
	pid := 0
	r.until("the daemon below its keeper", func() bool {
		for _, child := range children(keeper) {
			// A process that a dead daemon was making looks like one too,
			// until its exec; but it has one thread.
			tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", child))
			if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", child)); err == nil && exe == r.program() && len(tasks) > 1 {
				pid = child
			}
		}
		return pid != 0
	})
	return pid
}

// children lists the children of a process, of all its threads.
func children(pid int) []int {
	var out []int
	tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	for _, task := range tasks {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, task.Name()))
		for _, field := range strings.Fields(string(text)) {
			if child, err := strconv.Atoi(field); err == nil {
				out = append(out, child)
			}
		}
	}
	return out
}

// processes are the live processes that carry this rig's directory in their
// environment, daemon and keeper apart.
func (r *rig) processes() map[int]string {
	found := map[int]string{}
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		if exe, _ := os.Readlink("/proc/" + entry.Name() + "/exe"); exe == r.program() {
			continue
		}
		environ, err := os.ReadFile("/proc/" + entry.Name() + "/environ")
		if err != nil || !bytes.Contains(environ, []byte("W="+r.dir+"\x00")) {
			continue
		}
		command, _ := os.ReadFile("/proc/" + entry.Name() + "/cmdline")
		found[pid] = strings.ReplaceAll(string(command), "\x00", " ")
	}
	return found
}

// end stops the session as its user would and returns the exit status.
func (r *rig) end() int {
	r.t.Helper()
	r.daemon.Process.Signal(unix.SIGTERM)
	return r.wait()
}

// wait waits for the daemon's end.
func (r *rig) wait() int {
	r.t.Helper()
	select {
	case <-r.ended:
		return r.daemon.ProcessState.ExitCode()
	case <-time.After(patience):
		r.t.Fatalf("the daemon does not end\n%s", r.stderr)
	}
	return -1
}

// until polls for a condition.
func (r *rig) until(what string, cond func() bool) {
	r.t.Helper()
	deadline := time.Now().Add(patience)
	for !cond() {
		if time.Now().After(deadline) {
			var log string
			if r.stderr != nil {
				log = r.stderr.String()
			}
			r.t.Fatalf("waited in vain for %s\n%s", what, log)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// result is what a command printed and returned.
type result struct {
	status      int
	out, errOut string
}

// command runs one of the programs against the daemon.
func (r *rig) command(args ...string) result {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(programs, args[0]), args[1:]...)
	cmd.Env = append(r.env[:len(r.env):len(r.env)], "UPSTART_SESSION="+r.address)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	if ctx.Err() != nil {
		r.dump()
		r.t.Fatalf("%q does not return\n%s", args, r.stderr)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		r.t.Fatalf("%q: %v", args, err)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errOut.String()}
}

// ok runs a command that must succeed and returns its output.
func (r *rig) ok(args ...string) string {
	r.t.Helper()
	got := r.command(args...)
	if got.status != 0 || got.errOut != "" {
		r.t.Fatalf("%s: status %d, output %q, error %q\n%s", strings.Join(args, " "), got.status, got.out, got.errOut, r.stderr)
	}
	return got.out
}

// prints runs a command that must print this; PID stands for a number.
func (r *rig) prints(want string, args ...string) {
	r.t.Helper()
	match(r.t, strings.Join(args, " "), r.ok(args...), want)
}

// refused runs a command that must fail with this status and message.
func (r *rig) refused(status int, want string, args ...string) {
	r.t.Helper()
	got := r.command(args...)
	if got.status != status || got.out != "" {
		r.t.Errorf("%s: status %d, output %q; want %d and none", strings.Join(args, " "), got.status, got.out, status)
	}
	match(r.t, strings.Join(args, " "), got.errOut, want)
}

// match compares text to a pattern in which PID stands for any number and
// the rest for itself.
func match(t testing.TB, what, got, want string) {
	t.Helper()
	pattern := strings.ReplaceAll(regexp.QuoteMeta(want), "PID", `[0-9]+`)
	if !regexp.MustCompile(`\A` + pattern + `\z`).MatchString(got) {
		t.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}

// trace returns what the jobs have written to $T, a line each.
func (r *rig) trace() []string {
	text, err := os.ReadFile(filepath.Join(r.dir, "trace"))
	if err != nil {
		r.t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// traced waits until the trace is these lines.
func (r *rig) traced(want ...string) {
	r.t.Helper()
	deadline := time.Now().Add(patience)
	for strings.Join(r.trace(), "\n") != strings.Join(want, "\n") {
		if time.Now().After(deadline) {
			r.t.Fatalf("trace is %q; want %q\n%s", r.trace(), want, r.stderr)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// clear empties the trace.
func (r *rig) clear() {
	if err := os.Truncate(filepath.Join(r.dir, "trace"), 0); err != nil {
		r.t.Fatal(err)
	}
}

// becomes waits until the client's status line is this; PID is any number.
func (r *rig) becomes(want string, args ...string) {
	r.t.Helper()
	pattern := regexp.MustCompile(`\A` + strings.ReplaceAll(regexp.QuoteMeta(want), "PID", `[0-9]+`) + `\z`)
	r.until(fmt.Sprintf("status %v to be %q", args, want), func() bool {
		return pattern.MatchString(r.command(append([]string{"status"}, args...)...).out)
	})
}

// lists waits until the client lists these; PID is any number.
func (r *rig) lists(want string) {
	r.t.Helper()
	pattern := regexp.MustCompile(`\A` + strings.ReplaceAll(regexp.QuoteMeta(want), "PID", `[0-9]+`) + `\z`)
	r.until(fmt.Sprintf("the list to be %q", want), func() bool { return pattern.MatchString(r.command("sctl", "list").out) })
}

// files lists what is below a directory, for comparison.
func files(dir string) []string {
	var list []string
	filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err == nil && path != dir {
			list = append(list, strings.TrimPrefix(path, dir+"/"))
		}
		return nil
	})
	return list
}
