package supervise

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func writeFile(t *testing.T, path, text string, mode os.FileMode) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestSpawnFailed makes each step fail.
func TestSpawnFailed(t *testing.T) {
	dir := t.TempDir()
	file := writeFile(t, filepath.Join(dir, "file"), "nothing", 0o600)
	noFormat := writeFile(t, filepath.Join(dir, "noformat"), "echo no\n", 0o700)
	noInterpreter := writeFile(t, filepath.Join(dir, "nointerpreter"), "#!/nonexistent/sh\n", 0o700)
	own := ownCredential(t)
	who := func(change func(*Credential)) *Credential {
		c := *own
		change(&c)
		return &c
	}
	groupsErrno, groupsText := unix.EPERM, "operation not permitted"
	if isRoot {
		groupsErrno, groupsText = unix.EINVAL, "invalid argument"
	}

	tests := []struct {
		name  string
		spec  Spec
		opts  Options
		step  Step
		errno syscall.Errno
		text  string
	}{
		{"unknown following", Spec{Path: "/bin/true", Follow: 77}, Options{}, StepFollow, unix.EINVAL, "cannot follow: there is no way 77"},
		{"no terminal", Spec{Path: "/bin/true", Output: OutputTerminal}, Options{}, StepTerminal, unix.ENOTTY, "cannot open terminal: the daemon was started on none"},
		{"terminal missing", Spec{Path: "/bin/true", OwnTerminal: true}, Options{Terminal: dir + "/tty"}, StepTerminal, unix.ENOENT, "cannot open terminal " + dir + "/tty: no such file or directory"},
		{"terminal is none", Spec{Path: "/bin/true", OwnTerminal: true}, Options{Terminal: file}, StepTerminal, unix.ENOTTY, "cannot open terminal " + file + ": inappropriate ioctl for device"},
		{"log with NUL", Spec{Path: "/bin/true", Output: OutputFile, LogPath: "a\x00b"}, Options{}, StepOutput, unix.EINVAL, `cannot open log file "a\x00b": it holds a NUL byte`},
		{"oom score", Spec{Path: "/bin/true", OOMScore: ptr(5000)}, Options{}, StepOOMScore, unix.EINVAL, "cannot set oom score 5000: invalid argument"},
		{"limit too high", Spec{Path: "/bin/true", Limits: []Limit{{unix.RLIMIT_CORE, 0, 0}, {unix.RLIMIT_NOFILE, 1 << 40, 1 << 40}}}, Options{}, StepLimit, unix.EPERM, "cannot set limit nofile 1099511627776: operation not permitted"},
		{"limit upside down", Spec{Path: "/bin/true", Limits: []Limit{{unix.RLIMIT_NOFILE, 10, 5}}}, Options{}, StepLimit, unix.EINVAL, "cannot set limit nofile 10 5: invalid argument"},
		{"limit unknown", Spec{Path: "/bin/true", Limits: []Limit{{99, unix.RLIM_INFINITY, unix.RLIM_INFINITY}}}, Options{}, StepLimit, unix.EINVAL, "cannot set limit 99 unlimited: invalid argument"},
		{"chroot", Spec{Path: "/bin/true", Chroot: dir + "/none"}, Options{}, StepChroot, unix.ENOENT, "cannot change root to " + dir + "/none: no such file or directory"},
		{"groups", Spec{Path: "/bin/true", Credential: who(func(c *Credential) { c.Groups = make([]uint32, 70000) })}, Options{}, StepGroups, groupsErrno, "cannot set supplementary groups: " + groupsText},
		{"group", Spec{Path: "/bin/true", Credential: who(func(c *Credential) { c.GID = 1<<32 - 1 })}, Options{}, StepGID, unix.EINVAL, "cannot set group 4294967295: invalid argument"},
		{"user", Spec{Path: "/bin/true", Credential: who(func(c *Credential) { c.UID = 1<<32 - 1 })}, Options{}, StepUID, unix.EINVAL, "cannot set user 4294967295: invalid argument"},
		{"directory missing", Spec{Path: "/bin/true", Dir: dir + "/none"}, Options{}, StepChdir, unix.ENOENT, "cannot change directory to " + dir + "/none: no such file or directory"},
		{"directory is a file", Spec{Path: "/bin/true", Dir: file}, Options{}, StepChdir, unix.ENOTDIR, "cannot change directory to " + file + ": not a directory"},
		{"program missing", Spec{Path: "/nonexistent"}, Options{}, StepExec, unix.ENOENT, "cannot execute /nonexistent: no such file or directory"},
		{"no program", Spec{}, Options{}, StepExec, unix.ENOENT, "cannot execute: no such file or directory"},
		{"program not in PATH", Spec{Path: "nonexistent", Env: []string{"PATH=/nowhere:" + file + ":" + dir}}, Options{}, StepExec, unix.ENOENT, "cannot execute nonexistent: no such file or directory"},
		{"program not executable", Spec{Path: file}, Options{}, StepExec, unix.EACCES, "cannot execute " + file + ": permission denied"},
		{"not executable in PATH", Spec{Path: "file", Env: []string{"PATH=" + dir + ":/nowhere"}}, Options{}, StepExec, unix.EACCES, "cannot execute file: permission denied"},
		{"no format", Spec{Path: noFormat}, Options{}, StepExec, unix.ENOEXEC, "cannot execute " + noFormat + ": exec format error"},
		{"no interpreter", Spec{Path: noInterpreter}, Options{}, StepExec, unix.ENOENT, "cannot execute " + noInterpreter + ": the interpreter or loader that it names does not exist"},
		{"argument too long", Spec{Path: "/bin/true", Argv: []string{"true", strings.Repeat("x", 200<<10)}}, Options{}, StepExec, unix.E2BIG, "cannot execute /bin/true: argument list too long"},
		{"argument with NUL", Spec{Path: "/bin/true", Argv: []string{"true", "a\x00b"}}, Options{}, StepExec, unix.EINVAL, "cannot execute /bin/true: argument 1 holds a NUL byte"},
		{"variable with NUL", Spec{Path: "/bin/true", Env: []string{"A=1", "B=\x00"}}, Options{}, StepExec, unix.EINVAL, `cannot execute /bin/true: variable "B" holds a NUL byte`},
	}
	if isRoot {
		tests = append(tests, tests[0])
		tests[len(tests)-1].name = "program outside the root"
		tests[len(tests)-1].spec = Spec{Path: "/bin/sh", Chroot: dir}
		tests[len(tests)-1].step, tests[len(tests)-1].errno = StepExec, unix.ENOENT
		tests[len(tests)-1].text = "cannot execute /bin/sh: no such file or directory"
	} else {
		tests = append(tests, tests[0])
		tests[len(tests)-1].name = "nice"
		tests[len(tests)-1].spec = Spec{Path: "/bin/true", Nice: ptr(-20)}
		tests[len(tests)-1].step, tests[len(tests)-1].errno = StepNice, unix.EACCES
		tests[len(tests)-1].text = "cannot set nice -20: permission denied"
	}
	for _, test := range tests {
		for _, leader := range []bool{false, true} {
			t.Run(test.name+"/leader="+strconv.FormatBool(leader), func(t *testing.T) {
				w := newWorld(t, test.opts)
				spec := test.spec
				spec.ID, spec.Leader = 1, leader
				w.Start(spec)
				err := w.failed(1)
				if err.Step != test.step || err.Errno != test.errno || err.Error() != test.text {
					t.Errorf("Start = step %d, %v, %q; want step %d, %v, %q", err.Step, err.Errno, err.Error(), test.step, test.errno, test.text)
				}
			})
		}
	}
}

func TestNumberInUse(t *testing.T) {
	w := newWorld(t, Options{})
	w.Start(sleeper(1))
	pid := w.spawned(1)
	w.Start(sleeper(1))
	all := w.await("refusal", func(all []Event) bool { return count[SpawnFailed](all) == 1 })
	if got := all[len(all)-1].(SpawnFailed).Error(); got != "cannot start: its number 1 is in use" || gone(pid) {
		t.Errorf("second start = %q, first is gone: %v", got, gone(pid))
	}
	// This test breaks the rule that checkOrder watches over.
	w.mu.Lock()
	w.all = w.all[:1]
	w.mu.Unlock()
}

// TestNoDescriptors takes all descriptors away: the start fails, the
// supervisor does not.
func TestNoDescriptors(t *testing.T) {
	w := newWorld(t, Options{})
	var was unix.Rlimit
	if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, nil, &was); err != nil {
		t.Fatal(err)
	}
	low := unix.Rlimit{Cur: 3, Max: was.Max}
	if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, &low, nil); err != nil {
		t.Fatal(err)
	}
	w.Start(sleeper(1))
	err := w.failed(1)
	if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, &was, nil); err != nil {
		t.Fatal(err)
	}
	if err.Step != StepPipe || err.Errno != unix.EMFILE {
		t.Errorf("Start without descriptors = %v; want no pipe", err)
	}
	w.Start(sleeper(2))
	w.spawned(2)
}

// TestHangingChild has children hang in their set-up, in the open of a FIFO
// that nobody reads: nobody else may feel it.
func TestHangingChild(t *testing.T) {
	dir := t.TempDir()
	fifo, slots := filepath.Join(dir, "log"), filepath.Join(dir, "slots")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, Options{SlotFile: slots})
	for _, leader := range []bool{false, true} {
		base := ProcID(10)
		if leader {
			base = 20
		}
		hanging := sleeper(base)
		hanging.Output, hanging.LogPath, hanging.Leader = OutputFile, fifo, leader
		w.Start(hanging)
		w.Start(sleeper(base + 1))
		w.spawned(base + 1)
		runtime.GC()

		// It holds nothing of ours: null device and pipe.
		pid := inFlightAt(t, slots, base, StepOutput).Pid
		if fds := fdsOf(pid); len(fds) != 4 || fds[0] != "0 "+os.DevNull {
			t.Errorf("the child that hangs has open: %q; want the null device and a pipe", fds)
		}
		w.Kill(base+1, unix.SIGTERM, true)
		if end := w.exited(base + 1); end.Signal != unix.SIGTERM {
			t.Errorf("the other ended with %+v", end)
		}
		w.Kill(base, unix.SIGKILL, true)
		if err := w.failed(base); err.Step != StepOutput || err.Error() != "cannot open log file "+fifo+": killed by SIGKILL" {
			t.Errorf("the hanging one: step %d, %q", err.Step, err.Error())
		}
	}
}

// TestHangingChildGoesOn lets the hanging open come to an end.
func TestHangingChildGoesOn(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "log")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, Options{})
	spec, _ := w.sh(1, "echo through")
	spec.LogPath = fifo
	w.Start(spec)
	text, err := os.ReadFile(fifo)
	if err != nil || string(text) != "through\n" {
		t.Errorf("FIFO = %q, %v", text, err)
	}
	w.exited(1)
}

func TestCloseInFlight(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "log")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	fds := openFDs(t)
	t.Cleanup(func() { endChildren(t) })
	s, err := New(Options{}, func([]Event) {})
	if err != nil {
		t.Fatal(err)
	}
	spec := sleeper(1)
	spec.Output, spec.LogPath, spec.Leader = OutputFile, fifo, true
	s.Start(spec)
	for range 2 {
		if err := s.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	s.Start(sleeper(2))
	s.Kill(1, unix.SIGKILL, false)
	s.KillAll(unix.SIGKILL)
	if after := openFDs(t); strings.Join(after, "|") != strings.Join(fds, "|") {
		t.Errorf("descriptors before %q, after %q", fds, after)
	}
	// While its thread ends the child moves to another one's list.
	poll(t, "the child that hangs", func() bool { return len(childrenOf(os.Getpid())) == 1 })
}

// endChildren ends what a closed supervisor has left.
func endChildren(t *testing.T) {
	poll(t, "the end of all children", func() bool {
		for _, pid := range childrenOf(os.Getpid()) {
			unix.Kill(pid, unix.SIGKILL)
		}
		_, err := unix.Wait4(-1, nil, unix.WNOHANG|unix.WALL, nil)
		return err == unix.ECHILD
	})
}

func TestCloseBounded(t *testing.T) {
	reporting, block := make(chan struct{}, 16), make(chan struct{})
	s, err := New(Options{}, func([]Event) {
		reporting <- struct{}{}
		<-block
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start(Spec{ID: 1, Path: "/nonexistent"})
	<-reporting
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Close(cancelled) = %v", err)
	}
	close(block)
	if err := s.Close(context.Background()); err != nil {
		t.Error(err)
	}
	endChildren(t)
}

// printNofile is the fixture of TestNofileRestored: it prints the limit of a
// child.
func printNofile() {
	done := make(chan struct{})
	s, err := New(Options{}, func(batch []Event) {
		for _, ev := range batch {
			switch ev := ev.(type) {
			case SpawnFailed:
				os.Stderr.WriteString(ev.Error())
				close(done)
			case Exited:
				close(done)
			}
		}
	})
	if err != nil {
		panic(err)
	}
	s.Start(Spec{ID: 1, Path: "/bin/sh", Argv: []string{"sh", "-c", "ulimit -Sn"}, Output: OutputFile, LogPath: os.Args[len(os.Args)-1]})
	<-done
	s.Close(context.Background())
}

func TestNofileRestored(t *testing.T) {
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil || lim.Max < 200 {
		t.Fatalf("limit on descriptors is %+v, %v", lim, err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(t.TempDir(), "log")
	cmd := exec.Command("/bin/sh", "-c", `ulimit -Sn 123 && exec "$@"`, "sh", self, log)
	// With coverage the fixture wants to leave some.
	cmd.Env = append(os.Environ(), "SUPERVISE_FIXTURE=nofile", "GOCOVERDIR="+t.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("fixture: %v, %s", err, out)
	}
	if text, err := os.ReadFile(log); err != nil || string(text) != "123\n" {
		t.Errorf("limit of a child = %q, %v; want 123, which the daemon was given", text, err)
	}
}

// fdsOf lists the descriptors of a process as "NUMBER TARGET".
func fdsOf(pid int) []string {
	dir := "/proc/" + strconv.Itoa(pid) + "/fd"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var list []string
	for _, entry := range entries {
		to, _ := os.Readlink(dir + "/" + entry.Name())
		list = append(list, entry.Name()+" "+to)
	}
	return list
}
