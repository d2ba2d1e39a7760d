package supervise

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/testkit"
)

// TestSession looks at sessions and groups: each process has its own, and
// leads them only when it shall.
func TestSession(t *testing.T) {
	w := newWorld(t, Options{})
	const pgrp, session = 5, 6 // fields of stat
	for id, leader := range map[ProcID]bool{1: false, 2: true} {
		spec := sleeper(id)
		spec.Leader = leader
		w.Start(spec)
		pid := w.spawned(id)
		g, sid := statField(t, pid, pgrp), statField(t, pid, session)
		if g != sid || (g == strconv.Itoa(pid)) != leader || g == strconv.Itoa(unix.Getpgrp()) {
			t.Errorf("leader %v: process %d has group %s, session %s", leader, pid, g, sid)
		}
		if ppid, _ := parentOf(pid); ppid != os.Getpid() {
			t.Errorf("leader %v: parent = %d; want us, %d", leader, ppid, os.Getpid())
		}
	}
}

// TestSettings looks at a process from outside.
func TestSettings(t *testing.T) {
	// A daemon under nohup, with sockets open, and a mask of its own.
	signal.Ignore(unix.SIGPIPE, unix.SIGHUP, unix.SIGUSR1, unix.SIGTSTP)
	defer signal.Reset(unix.SIGPIPE, unix.SIGHUP, unix.SIGUSR1, unix.SIGTSTP)
	var leaky [2]int
	if err := unix.Pipe2(leaky[:], 0); err != nil { // without CLOEXEC
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(leaky[0]); unix.Close(leaky[1]) })

	w := newWorld(t, Options{})
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(dir, "a", "b", "log")
	spec := sleeper(1)
	spec.Env = []string{"PATH=" + os.Getenv("PATH"), "EMPTY=", "A=b c", "A=again", "WITHOUT"}
	spec.Dir = dir
	spec.Output, spec.LogPath = OutputFile, log
	spec.Umask, spec.Nice, spec.OOMScore = ptr(uint32(0o137)), ptr(7), ptr(900)
	spec.Limits = []Limit{{unix.RLIMIT_NOFILE, 77, 99}, {unix.RLIMIT_CORE, 0, 0}}
	spec.Credential = ownCredential(t)
	w.Start(spec)
	pid := w.spawned(1)
	proc := fmt.Sprintf("/proc/%d", pid)

	for _, test := range []struct{ name, want string }{
		{"Umask", "0137"},
		{"SigBlk", "0000000000000000"},
		{"SigIgn", "0000000000000000"},
		{"SigCgt", "0000000000000000"},
		{"TracerPid", "0"},
	} {
		if got := statusLine(t, pid, test.name); got != test.want {
			t.Errorf("%s = %s; want %s", test.name, got, test.want)
		}
	}
	if got := statField(t, pid, 19); got != "7" {
		t.Errorf("nice = %s; want 7", got)
	}
	if env, err := os.ReadFile(proc + "/environ"); err != nil || string(env) != strings.Join(spec.Env, "\x00")+"\x00" {
		t.Errorf("environment = %q, %v; want %q", env, err, spec.Env)
	}
	if cmdline, err := os.ReadFile(proc + "/cmdline"); err != nil || string(cmdline) != "sleep\x001000\x00" {
		t.Errorf("arguments = %q, %v", cmdline, err)
	}
	if cwd, err := os.Readlink(proc + "/cwd"); err != nil || cwd != dir {
		t.Errorf("directory = %q, %v; want %q", cwd, err, dir)
	}
	if score, err := os.ReadFile(proc + "/oom_score_adj"); err != nil || string(score) != "900\n" {
		t.Errorf("oom score = %q, %v", score, err)
	}
	for _, l := range spec.Limits {
		var got unix.Rlimit
		if err := unix.Prlimit(pid, l.Resource, nil, &got); err != nil || got.Cur != l.Soft || got.Max != l.Hard {
			t.Errorf("limit %v = %+v, %v", l, got, err)
		}
	}
	want := []string{"0 " + os.DevNull, "1 " + log, "2 " + log}
	// The loader may still be at work.
	poll(t, fmt.Sprintf("descriptors %q", want), func() bool { return slices.Equal(fdsOf(pid), want) })
	flags, err := os.ReadFile(proc + "/fdinfo/1")
	if err != nil || !strings.Contains(string(flags), "flags:\t0102001") && !strings.Contains(string(flags), "flags:\t0502001") {
		t.Errorf("log is open with %q, %v; want write only, append", flags, err)
	}
	if info, err := os.Stat(log); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("log = %v, %v; want mode 0600", info, err)
	}
	if info, err := os.Stat(filepath.Dir(log)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("directory of the log = %v, %v; want mode 0700", info, err)
	}
}

// TestDefaults: what a Spec does not say is as the daemon has it.
func TestDefaults(t *testing.T) {
	w := newWorld(t, Options{})
	var was, raised, lowered unix.Rlimit
	if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, nil, &was); err != nil {
		t.Fatal(err)
	}
	w.Start(Spec{ID: 1, Path: "/bin/sleep", Argv: []string{"sleep", "1000"}})
	pid := w.spawned(1)
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &raised); err != nil || raised.Max != was.Max || raised.Cur > was.Cur {
		t.Errorf("limit on descriptors = %+v, %v; ours is %+v", raised, err, was)
	}
	if got, want := statusLine(t, pid, "Umask"), statusLine(t, os.Getpid(), "Umask"); got != want {
		t.Errorf("umask = %s; want %s", got, want)
	}
	if got, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid)); err != nil || got == "" {
		t.Errorf("directory = %q, %v", got, err)
	}
	want := []string{"0 " + os.DevNull, "1 " + os.DevNull, "2 " + os.DevNull}
	poll(t, fmt.Sprintf("descriptors %q", want), func() bool { return slices.Equal(fdsOf(pid), want) })

	// Whoever changed the daemon's limit from outside meant its children.
	changed := unix.Rlimit{Cur: was.Cur - 10, Max: was.Max}
	if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, &changed, nil); err != nil {
		t.Fatal(err)
	}
	defer unix.Prlimit(0, unix.RLIMIT_NOFILE, &was, nil)
	w.Start(Spec{ID: 2, Path: "/bin/sleep", Argv: []string{"sleep", "1000"}})
	if err := unix.Prlimit(w.spawned(2), unix.RLIMIT_NOFILE, nil, &lowered); err != nil || lowered != changed {
		t.Errorf("limit after a change from outside = %+v, %v; want %+v", lowered, err, changed)
	}
}

func TestCredential(t *testing.T) {
	w := newWorld(t, Options{})
	cred := ownCredential(t)
	if isRoot {
		cred = &Credential{UID: 65534, GID: 65533, Groups: []uint32{65533, 12345}}
	}
	spec := sleeper(1)
	spec.Credential, spec.Dir = cred, "/"
	w.Start(spec)
	pid := w.spawned(1)
	uid, gid := strconv.Itoa(int(cred.UID)), strconv.Itoa(int(cred.GID))
	if got, want := statusLine(t, pid, "Uid"), strings.Join([]string{uid, uid, uid, uid}, "\t"); got != want {
		t.Errorf("users = %q; want %q", got, want)
	}
	if got, want := statusLine(t, pid, "Gid"), strings.Join([]string{gid, gid, gid, gid}, "\t"); got != want {
		t.Errorf("groups = %q; want %q", got, want)
	}
	var groups []string
	slices.Sort(cred.Groups)
	for _, g := range cred.Groups {
		groups = append(groups, strconv.Itoa(int(g)))
	}
	if got := strings.Fields(statusLine(t, pid, "Groups")); !slices.Equal(got, groups) {
		t.Errorf("supplementary groups = %q; want %q", got, groups)
	}
	if isRoot {
		// The directory is entered as that user.
		closed := filepath.Join(t.TempDir(), "closed")
		if err := os.Mkdir(closed, 0o700); err != nil {
			t.Fatal(err)
		}
		spec.ID, spec.Dir = 2, closed
		w.Start(spec)
		if err := w.failed(2); err.Step != StepChdir || err.Errno != unix.EACCES {
			t.Errorf("closed directory: %v", err)
		}
	}
}

// openTerminal returns a master and the path of its terminal.
func openTerminal(t *testing.T) (*os.File, string) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	// Fd would make it blocking.
	raw, err := master.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var n int
	raw.Control(func(fd uintptr) {
		if err = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); err == nil {
			n, err = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return master, "/dev/pts/" + strconv.Itoa(n)
}

func TestTerminal(t *testing.T) {
	const terminal = 7 // field of stat
	master, path := openTerminal(t)
	w := newWorld(t, Options{Terminal: path})

	spec, _ := w.sh(1, "echo for output; exec sleep 1000")
	spec.Output = OutputTerminal
	w.Start(spec)
	pid := w.spawned(1)
	want := []string{"0 " + os.DevNull, "1 " + path, "2 " + path}
	poll(t, fmt.Sprintf("descriptors %q", want), func() bool { return slices.Equal(fdsOf(pid), want) })
	if got := statField(t, pid, terminal); got != "0" {
		t.Errorf("controlling terminal = %s; want none", got)
	}

	spec, log := w.sh(2, "read word; echo $word; exec sleep 1000")
	spec.OwnTerminal = true
	w.Start(spec)
	pid = w.spawned(2)
	first := pid
	if got, sid := statField(t, pid, terminal), statField(t, pid, 6); got == "0" || sid != strconv.Itoa(pid) {
		t.Errorf("controlling terminal = %s, session of %d = %s; want one, led", got, pid, sid)
	}
	if _, err := master.WriteString("hello\n"); err != nil {
		t.Fatal(err)
	}
	poll(t, "the word", func() bool {
		text, _ := os.ReadFile(log)
		return string(text) == "hello\n"
	})
	var shown []byte
	master.SetReadDeadline(time.Now().Add(patience))
	for buf := make([]byte, 1000); !strings.Contains(string(shown), "for output\r\n"); {
		n, err := master.Read(buf)
		if err != nil {
			t.Fatalf("terminal shows %q, %v", shown, err)
		}
		shown = append(shown, buf[:n]...)
	}

	// While another session has it, it is lent.
	spec, log = w.sh(3, "exec sleep 1000")
	spec.OwnTerminal = true
	w.Start(spec)
	pid = w.spawned(3)
	want = []string{"0 " + path, "1 " + log, "2 " + log}
	poll(t, fmt.Sprintf("descriptors %q", want), func() bool { return slices.Equal(fdsOf(pid), want) })
	if got := statField(t, pid, terminal); got != "0" {
		t.Errorf("controlling terminal of the second = %s; want none", got)
	}
	if got := statField(t, first, terminal); got == "0" {
		t.Error("the first has lost its controlling terminal")
	}
	w.KillAll(unix.SIGKILL)
	w.await("childless", func(all []Event) bool { return count[Childless](all) == 1 })
}

// TestTakeTerminal: the machine's terminal is for whoever asks for it last.
func TestTakeTerminal(t *testing.T) {
	testkit.NeedRoot(t)
	const terminal = 7 // field of stat
	_, path := openTerminal(t)
	w := newWorld(t, Options{Terminal: path, TakeTerminal: true})
	var pids [2]int
	for i := range pids {
		spec := sleeper(ProcID(i + 1))
		spec.OwnTerminal = true
		w.Start(spec)
		pids[i] = w.spawned(spec.ID)
	}
	if one, two := statField(t, pids[0], terminal), statField(t, pids[1], terminal); one != "0" || two == "0" {
		t.Errorf("controlling terminals = %s, %s; want none, and one", one, two)
	}
}

func TestCandidates(t *testing.T) {
	for _, test := range []struct {
		program string
		env     []string
		want    []string
	}{
		{"/bin/x", []string{"PATH=/a"}, []string{"/bin/x"}},
		{"./x", nil, []string{"./x"}},
		{"", nil, []string{""}},
		{"x", nil, []string{"/bin/x", "/usr/bin/x"}},
		{"x", []string{"HOME=/h", "PATH=/a:/b/::", "PATH=/c"}, []string{"/a/x", "/b/x", "x", "x"}},
		{"x", []string{"PATH="}, []string{"x"}},
		{"x", []string{"PATHS=/a", "PATH=/b"}, []string{"/b/x"}},
	} {
		if got := candidates(test.program, test.env); !slices.Equal(got, test.want) {
			t.Errorf("candidates(%q, %q) = %q; want %q", test.program, test.env, got, test.want)
		}
	}
}

// TestPath finds a program behind a directory that has none and one that has
// something else of that name.
func TestPath(t *testing.T) {
	w := newWorld(t, Options{})
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "sh"), "not a program", 0o600)
	spec, log := w.sh(1, "echo found")
	spec.Path, spec.Env = "sh", []string{"PATH=/nonexistent:" + dir + ":/bin:/usr/bin"}
	if got := w.output(spec, log); got != "found\n" {
		t.Errorf("output = %q", got)
	}
}

func TestLogDirs(t *testing.T) {
	for _, test := range []struct {
		path string
		want []string
	}{
		{"/var/log//x/a.log", []string{"/var", "/var/log", "/var/log//x"}},
		{"/a.log", nil},
		{"log/a.log", []string{"log"}},
		{"a.log", nil},
		{"", nil},
	} {
		if got := logDirs(test.path); !slices.Equal(got, test.want) {
			t.Errorf("logDirs(%q) = %q; want %q", test.path, got, test.want)
		}
	}
}

func TestLimitString(t *testing.T) {
	for _, test := range []struct {
		limit Limit
		want  string
	}{
		{Limit{unix.RLIMIT_NOFILE, 5, 5}, "nofile 5"},
		{Limit{unix.RLIMIT_RTTIME, 5, unix.RLIM_INFINITY}, "rttime 5 unlimited"},
		{Limit{-1, 0, 1}, "-1 0 1"},
		{Limit{16, 0, 0}, "16 0"},
	} {
		if got := test.limit.String(); got != test.want {
			t.Errorf("%+v.String() = %q; want %q", struct{ Limit }{test.limit}, got, test.want)
		}
	}
	for i, name := range limitNames {
		if name == "" {
			t.Errorf("resource %d has no name", i)
		}
	}
}

// TestStepText: every step has its sentence.
func TestStepText(t *testing.T) {
	for step, text := range stepText {
		if !strings.HasPrefix(text, "cannot ") || strings.Count(text, "%") > 1 {
			t.Errorf("stepText[%d] = %q", step, text)
		}
	}
}
