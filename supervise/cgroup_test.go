package supervise

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/testkit"
	"github.com/session-init/session-init/supervise/cgroup"
)

// groupWorld is a world with cgroups. At its end none of ours may be left.
func groupWorld(t *testing.T) *world {
	t.Helper()
	var path string
	t.Cleanup(func() {
		if _, err := os.Stat(path); path != "" && err == nil {
			t.Errorf("%s is left", path)
		}
	})
	w := newWorld(t, Options{Groups: OwnGroups})
	asked := make(chan error)
	w.send(func() {
		if w.groups.dir != nil {
			path = w.groups.dir.Path
		}
		asked <- w.groups.why
	})
	testkit.NeedGroups(t, <-asked)
	return w
}

// directories lists the groups that there are.
func (w *world) directories() []string {
	w.t.Helper()
	found, err := filepath.Glob(w.groups.dir.Path + "/*/cgroup.procs")
	if err != nil {
		w.t.Fatal(err)
	}
	for i, path := range found {
		found[i] = filepath.Base(filepath.Dir(path))
	}
	return found
}

// escape leaves a process behind of which session, parent, environment and mark
// are gone, and prints its pid.
const escape = `(env -i PATH="$PATH" prlimit --locks=7:7 setsid sh -c 'echo $$; exec sleep 1000' &)
	until [ -s "$LOG" ]; do sleep 0.01; done`

// TestGroupsEscape: what has shed all but its cgroup is found, named and ended,
// however it was made, and that of another owner is not touched.
func TestGroupsEscape(t *testing.T) {
	for _, test := range []struct {
		name    string
		sharing bool
		leader  bool
	}{{"member", true, false}, {"leader", true, true}, {"member copied", false, false}, {"leader copied", false, true}} {
		t.Run(test.name, func(t *testing.T) {
			w := groupWorld(t)
			w.send(func() { w.sharing = test.sharing && haveVM })
			var pids [3]int
			for i := 1; i <= 2; i++ {
				spec, log := w.owned(ProcID(i), uint64(100+i), escape)
				spec.Env, spec.Leader = append(spec.Env, "LOG="+log), test.leader
				w.Start(spec)
				if end := w.exited(spec.ID); !end.Left || end.Status != 0 {
					t.Fatalf("ended with %+v; want status 0 and something left", end)
				}
				pids[i] = pidsIn(t, log, 1)[0]
			}
			answer := make(chan []Stray)
			w.Processes(101, func(list []Stray) { answer <- list })
			if list := <-answer; !slices.Equal(pidsOf(list), pids[1:2]) {
				t.Errorf("Processes = %v; want %d", list, pids[1])
			}
			w.Sweep(101, unix.SIGTERM, 0)
			if found := w.swept(101, 1); !slices.Equal(pidsOf(found.Strays), pids[1:2]) {
				t.Errorf("Sweep found %+v; want %d", found, pids[1])
			}
			w.vacated(101, 1)
			if !gone(pids[1]) || gone(pids[2]) {
				t.Errorf("gone: %t, %t; want true and false", gone(pids[1]), gone(pids[2]))
			}
		})
	}
}

// leaveSibling is the fixture that makes a child of its parent's, says so, and
// ends.
func leaveSibling() {
	pid, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, unix.CLONE_PARENT|uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno == 0 && pid == 0 {
		for {
			syscall.RawSyscall6(unix.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
		}
	}
	fmt.Println(pid)
}

// TestGroupsSibling: a child that a process has made for us hangs on the list
// of those that we made, and is found by its group.
func TestGroupsSibling(t *testing.T) {
	w := groupWorld(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	spec, log := w.owned(1, 1, "")
	spec.Path, spec.Argv, spec.Env = self, nil, append(spec.Env, "SUPERVISE_FIXTURE=sibling")
	w.Start(spec)
	if end := w.exited(1); !end.Left || end.Status != 0 {
		t.Fatalf("ended with %+v; want status 0 and something left", end)
	}
	pid := pidsIn(t, log, 1)[0]
	w.Sweep(1, unix.SIGKILL, 0)
	if found := w.swept(1, 1); !slices.Equal(pidsOf(found.Strays), []int{pid}) {
		t.Errorf("Sweep found %+v; want %d", found, pid)
	}
	w.vacated(1, 1)
	if !gone(pid) {
		t.Errorf("%d lives", pid)
	}
}

// TestGroupsKilled: what the owner starts after all of it was killed runs: a
// kernel that kills what is cloned into such a group gets another one.
func TestGroupsKilled(t *testing.T) {
	w := groupWorld(t)
	spec, log := w.owned(1, 1, escape)
	spec.Env = append(spec.Env, "LOG="+log)
	w.Start(spec)
	w.exited(1)
	w.Sweep(1, unix.SIGKILL, 0)
	w.vacated(1, 1)
	after, _ := w.owned(2, 1, "exit 3")
	w.Start(after)
	if end := w.exited(2); end.Status != 3 || end.Left {
		t.Errorf("ended with %+v; want status 3", end)
	}
}

// TestGroupsReused: a group whose owner has ended is the next one's, unless it
// would hold that up; those of owners that run are their own.
func TestGroupsReused(t *testing.T) {
	w := groupWorld(t)
	run := func(id ProcID) {
		t.Helper()
		spec, _ := w.owned(id, uint64(id), "exit 0")
		// The first of a pair of children may end after the second, and then the
		// group is not empty when its owner has ended.
		spec.Leader = true
		w.Start(spec)
		if end := w.exited(id); end.Left {
			t.Errorf("%d ended with %+v", id, end)
		}
	}
	run(1)
	run(2)
	if got := w.directories(); !slices.Equal(got, []string{"0"}) {
		t.Errorf("groups %q; want one", got)
	}
	for id := ProcID(3); id <= 4; id++ {
		spec := sleeper(id)
		spec.Owner, spec.Leader = uint64(id), true
		w.Start(spec)
		if name := w.groups.dir.NameOf(w.spawned(id)); name != strconv.Itoa(int(id)-3) {
			t.Errorf("group of %d is %q; want %d", id, name, id-3)
		}
	}
	// A group that is frozen holds up who enters.
	if err := os.WriteFile(w.groups.dir.Path+"/0/cgroup.freeze", []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	w.Kill(3, unix.SIGKILL, false)
	w.exited(3)
	poll(t, "the end of its group", func() bool { return slices.Equal(w.directories(), []string{"1"}) })
	run(5)
	if got := w.directories(); !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("groups %q; want 1 and 2", got)
	}
}

// TestGroupsKept: of owners that have ended some groups are kept for others, and
// what is left in one is found all the same.
func TestGroupsKept(t *testing.T) {
	w := groupWorld(t)
	const n = keepGroups + 10
	spec, log := w.owned(n+1, n+1, escape+`
		until [ -e "$LOG.go" ]; do sleep 0.01; done`)
	spec.Env = append(spec.Env, "LOG="+log)
	w.Start(spec)
	w.spawned(n + 1)
	for id := ProcID(1); id <= n; id++ {
		spec := sleeper(id)
		spec.Owner, spec.Leader = uint64(id), true // see TestGroupsReused
		w.Start(spec)
	}
	for id := ProcID(1); id <= n; id++ {
		w.spawned(id)
	}
	if got := len(w.directories()); got != n+1 {
		t.Errorf("%d groups; want %d", got, n+1)
	}
	for id := ProcID(1); id <= n; id++ {
		w.Kill(id, unix.SIGKILL, false)
		w.exited(id)
	}
	poll(t, "fewer groups", func() bool { return len(w.directories()) == keepGroups+1 })
	if err := os.WriteFile(log+".go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if end := w.exited(n + 1); !end.Left {
		t.Errorf("ended with %+v; want something left", end)
	}
	w.Sweep(n+1, unix.SIGKILL, 0)
	w.vacated(n+1, 1)
	if pid := pidsIn(t, log, 1)[0]; !gone(pid) {
		t.Errorf("%d lives", pid)
	}
}

// TestGroupsRefused: a group that the kernel refuses keeps nothing from
// running, and is complained of once. One that was made unfit is replaced.
func TestGroupsRefused(t *testing.T) {
	w := groupWorld(t)
	refuse := 1
	w.send(func() {
		w.forking = func(c *child) (int, syscall.Errno) {
			if c.cgroup >= 0 && refuse > 0 {
				refuse--
				return 0, unix.EBUSY
			}
			return w.fork(c)
		}
	})
	for id := ProcID(1); id <= 3; id++ {
		w.send(func() {
			if id > 1 {
				refuse = 2
			}
		})
		spec := sleeper(id)
		spec.Owner = uint64(id)
		w.Start(spec)
		if name := w.groups.dir.NameOf(w.spawned(id)); (name != "") != (id == 1) {
			t.Errorf("group of %d is %q", id, name)
		}
	}
	n := 0
	for _, ev := range w.events() {
		if ev, is := ev.(Ungrouped); is {
			n++
			if want := "processes are known by descent only, not by cgroups: cannot fork into a cgroup: device or resource busy"; ev.Error() != want {
				t.Errorf("Ungrouped says %q; want %q", ev.Error(), want)
			}
		}
	}
	if n != 1 {
		t.Errorf("%d complaints; want 1", n)
	}
}

// TestGroupsRecorded: where the groups are stands in the file of slots.
func TestGroupsRecorded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "slots")
	table := slots{path: path, fd: -1, groups: "/a/session-init-1"}
	if err := table.open(); err != nil {
		t.Fatal(err)
	}
	table.close()
	if got := groupsIn(path); got != table.groups {
		t.Errorf("groupsIn = %q; want %q", got, table.groups)
	}
	for _, other := range []string{"", "/no/such/file", filepath.Join("testdata", "v1.slots")} {
		if got := groupsIn(other); got != "" {
			t.Errorf("groupsIn(%q) = %q; want none", other, got)
		}
	}
	table.groups = "/" + strings.Repeat("a", 2000)
	if err := table.open(); err != nil {
		t.Fatal(err)
	}
	table.close()
	if got := groupsIn(path); got != "" {
		t.Errorf("groupsIn of one that is too long = %q; want none", got)
	}
}

// TestGroupsWithout: a supervisor that has no cgroups says so once, and works;
// one that has them says nothing.
func TestGroupsWithout(t *testing.T) {
	w := newWorld(t, Options{Groups: OwnGroups})
	why := make(chan error)
	w.send(func() { why <- w.groups.why })
	refused := <-why
	spec := sleeper(1)
	spec.Owner = 1
	w.Start(spec)
	w.spawned(1)
	var said []string
	for _, ev := range w.events() {
		if ev, is := ev.(Ungrouped); is {
			said = append(said, ev.Error())
		}
	}
	if (refused != nil) != (len(said) == 1) || len(said) > 1 {
		t.Errorf("refused: %v; said: %q", refused, said)
	}
	t.Logf("said: %q", said)
}

// TestGroupsDelegated runs tests of the above as an ordinary user: in a group
// that was delegated to it, and in one that was not.
func TestGroupsDelegated(t *testing.T) {
	d, _, err := cgroup.Open("", "", true)
	if err == nil && !isRoot {
		err = unix.EPERM
	}
	testkit.NeedGroups(t, err)
	defer d.Close()
	dir, err := os.MkdirTemp("", "session-init-groups-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "test")
	copyTo(t, program, self)
	const nobody = 65534
	run := func(group string, tests string) string {
		fd, err := unix.Open(group, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		cmd := &exec.Cmd{Path: program, Args: []string{program, "-test.run=^(" + tests + ")$", "-test.v"},
			Env: []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + dir}, Dir: dir,
			SysProcAttr: &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: fd, Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("as an ordinary user in %s: %v\n%s", group, err, out)
		}
		return string(out)
	}
	const tests = "TestGroupsEscape|TestGroupsReused|TestGroupsWithout"
	group := filepath.Join(d.Path, "delegated")
	if err := os.Mkdir(group, 0o755); err != nil {
		t.Fatal(err)
	}
	if out := run(group, tests); strings.Count(out, "--- SKIP: TestGroups") != 5 ||
		!strings.Contains(out, `said: ["processes are known by descent only, not by cgroups: cannot move processes in the cgroup `+group+`: permission denied"]`) {
		t.Errorf("without delegation:\n%s", out)
	}
	for _, file := range []string{"", "/cgroup.procs", "/cgroup.threads", "/cgroup.subtree_control"} {
		if err := os.Chown(group+file, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	if out := run(group, tests); strings.Contains(out, "--- SKIP") || strings.Count(out, "--- PASS: TestGroups") < 3 || !strings.Contains(out, "said: []") {
		t.Errorf("with delegation:\n%s", out)
	}
}

func copyTo(t *testing.T, to, from string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}
