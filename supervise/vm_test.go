package supervise

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func TestMayShare(t *testing.T) {
	w := newWorld(t, Options{})
	for _, test := range []struct {
		name string
		spec Spec
		want bool
	}{
		{"plain", Spec{}, true},
		{"settings", Spec{Nice: ptr(1), Umask: ptr(uint32(7)), Dir: "/", Leader: true, Output: OutputFile, LogPath: "/x"}, true},
		{"limits", Spec{Limits: []Limit{{unix.RLIMIT_CORE, 0, 0}}}, true},
		{"user", Spec{Credential: ownCredential(t)}, false},
		{"root", Spec{Chroot: "/"}, false},
		{"oom score", Spec{OOMScore: ptr(0)}, false},
	} {
		c, err := w.prepare(&test.spec)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.mayShare(); got != test.want {
			t.Errorf("%s: mayShare() = %v", test.name, got)
		}
	}
}

// TestOurselves: what a child does to itself does not happen to us.
func TestOurselves(t *testing.T) {
	const own = "/proc/self/oom_score_adj"
	before, err := os.ReadFile(own)
	if err != nil {
		t.Fatal(err)
	}
	dumpable, _ := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	w := newWorld(t, Options{})
	for i, spec := range []Spec{
		{OOMScore: ptr(1000)},
		{Credential: ownCredential(t)},
		{Umask: ptr(uint32(0o777)), Nice: ptr(19), Dir: "/", Limits: []Limit{{unix.RLIMIT_CORE, 0, 0}, {unix.RLIMIT_AS, 1 << 40, 1 << 40}}},
	} {
		spec.ID, spec.Path, spec.Leader = ProcID(i+1), "/bin/true", i%2 == 0
		w.Start(spec)
		w.exited(spec.ID)
	}
	if after, _ := os.ReadFile(own); string(after) != string(before) {
		t.Errorf("our oom score is %q, and was %q", after, before)
	}
	if now, _ := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); now != dumpable {
		t.Errorf("our PR_GET_DUMPABLE is %d, and was %d", now, dumpable)
	}
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_AS, &limit); limit.Cur == 1<<40 {
		t.Error("a child's limit has become ours")
	}
}

// TestCollection: garbage is collected while many children hang, and what
// they need to go on is not taken for garbage.
func TestCollection(t *testing.T) {
	w := newWorld(t, Options{})
	const n = 60
	dir := t.TempDir()
	fifo := func(i int) string { return filepath.Join(dir, strconv.Itoa(i)) }
	for i := range n {
		if err := unix.Mkfifo(fifo(i), 0o600); err != nil {
			t.Fatal(err)
		}
		w.Start(Spec{ID: ProcID(i + 1), Path: "sh", Argv: []string{"sh", "-c", "echo $1 $WORD", "sh", strconv.Itoa(i)},
			Env:    []string{"PATH=" + os.Getenv("PATH"), "WORD=" + strings.Repeat(strconv.Itoa(i), 50)},
			Output: OutputFile, LogPath: fifo(i), Leader: i%2 == 0, Dir: dir})
	}
	hanging := func() (hang int) {
		for _, pid := range childrenOf(os.Getpid()) {
			if fds := fdsOf(pid); len(fds) == 4 && fds[0] == "0 "+os.DevNull {
				hang++
			}
		}
		return hang
	}
	poll(t, "all to hang", func() bool { return hanging() == n })
	var keep [][]byte
	for range 4 {
		for range 2000 {
			keep = append(keep, slices.Repeat([]byte{0xaa}, 100+len(keep)%400))
		}
		runtime.GC()
		keep = keep[:len(keep)/2]
	}
	// A look may miss one while the first of two children is waited for.
	poll(t, "all to hang after the collections", func() bool { return hanging() == n })
	count := make(chan [2]int)
	stacks := func() (free, all int) {
		w.send(func() { count <- [2]int{len(w.stacks.free), len(w.stacks.chunks) * chunkBlocks} })
		got := <-count
		return got[0], got[1]
	}
	if free, all := stacks(); haveVM && all-free != n {
		t.Errorf("%d stacks of %d are in use; want %d", all-free, all, n)
	}
	for i := range n {
		want := fmt.Sprintf("%d %s\n", i, strings.Repeat(strconv.Itoa(i), 50))
		if text, err := os.ReadFile(fifo(i)); err != nil || string(text) != want {
			t.Errorf("process %d wrote %q, %v; want %q", i, text, err, want)
		}
	}
	for i := range n {
		if end := w.exited(ProcID(i + 1)); end.Status != 0 || end.Signal != 0 {
			t.Errorf("%+v", end)
		}
	}
	if free, all := stacks(); free != all {
		t.Errorf("%d stacks of %d are free at the end", free, all)
	}
}

// TestNoStack: without a stack to be had a child gets a copy of our memory.
func TestNoStack(t *testing.T) {
	w := newWorld(t, Options{})
	w.send(func() {
		if w.sharing {
			for len(w.stacks.chunks)*chunkBlocks < stackLimit || len(w.stacks.free) > 0 {
				w.stacks.take()
			}
		}
	})
	spec, log := w.sh(1, "echo made")
	if got := w.output(spec, log); got != "made\n" {
		t.Errorf("output = %q", got)
	}
	done := make(chan bool)
	w.send(func() { done <- len(w.stacks.free) == 0 })
	if !<-done {
		t.Error("a stack was given back that was not taken")
	}
}

func TestStacks(t *testing.T) {
	var pool stacks
	var tops []uintptr
	for top := pool.take(); top != 0; top = pool.take() {
		tops = append(tops, top)
	}
	if len(tops) != stackLimit {
		t.Fatalf("%d stacks; want %d", len(tops), stackLimit)
	}
	slices.Sort(tops)
	for i, top := range tops[1:] {
		if top-tops[i] < uintptr(blockSize()) {
			t.Errorf("stacks at %#x and %#x overlap", tops[i], top)
		}
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	low := tops[0] - uintptr(blockSize())
	if guard := fmt.Sprintf("%x-%x ---p", low, low+uintptr(os.Getpagesize())); !strings.Contains(string(maps), guard) {
		t.Errorf("no guard page %s", guard)
	}
	for _, chunk := range pool.chunks {
		*(*uint64)(unsafe.Add(chunk, blockSize()-8)) = 1
	}
	for _, top := range tops {
		pool.put(top)
	}
	if got := len(pool.chunks) * chunkBlocks; got != stackSpare || len(pool.free) != stackSpare {
		t.Errorf("%d stacks are left, %d of them free; want %d", got, len(pool.free), stackSpare)
	}
	pool.shrink(0)
	if len(pool.chunks) > 0 || pool.take() == 0 {
		t.Error("a pool that was emptied is of no use")
	}
	pool.shrink(0)
}

// TestKilledAtOnce signals processes from the moment of their clone: the
// signal must do in a child what it does by default, never what it does here.
func TestKilledAtOnce(t *testing.T) {
	w := newWorld(t, Options{})
	const n = 300
	sigs := []unix.Signal{unix.SIGTERM, unix.SIGURG, unix.SIGUSR1, unix.SIGPROF, unix.SIGKILL}
	for i := range n {
		spec := sleeper(ProcID(i + 1))
		spec.Leader = i%2 == 0
		w.Start(spec)
		w.Kill(spec.ID, sigs[i%len(sigs)], i%3 == 0)
		if sigs[i%len(sigs)] == unix.SIGURG { // ignored by default
			w.Kill(spec.ID, unix.SIGTERM, false)
		}
	}
	all := w.await("all ends", func(all []Event) bool { return count[Exited](all)+count[SpawnFailed](all) == n })
	for _, ev := range all {
		switch ev := ev.(type) {
		case Exited:
			want := sigs[int(ev.ID-1)%len(sigs)]
			if want == unix.SIGURG {
				want = unix.SIGTERM
			}
			if ev.Signal != want {
				t.Errorf("%+v; want %v", ev, want)
			}
		case SpawnFailed:
			if !strings.Contains(ev.Error(), "killed by SIG") {
				t.Errorf("%d: %v", ev.ID, ev.SpawnError)
			}
		}
	}
	runtime.GC()
}

// deadMount mounts a file system that never answers: who looks into it hangs
// until KILL or until revive, which lets all such calls fail. It returns no
// directory where that cannot be.
func deadMount(t *testing.T) (dir string, revive func()) {
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Logf("no file system that hangs: %v", err)
		return "", nil
	}
	revive = sync.OnceFunc(func() { unix.Close(fd) })
	t.Cleanup(revive)
	dir = t.TempDir()
	if err := unix.Mount("dead", dir, "fuse", unix.MS_NOSUID|unix.MS_NODEV, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", fd)); err != nil {
		t.Logf("no file system that hangs: %v", err)
		return "", nil
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir, revive
}

// TestDeadMount: the program or the directory lies on a file system that does
// not answer. Nobody else feels it, and what hangs can be killed. A signal
// that would dump core, and with it end us on an old kernel, ends the child
// alone.
func TestDeadMount(t *testing.T) {
	if !isRoot {
		return // only root mounts; the FIFOs above hang for everybody
	}
	w := newWorld(t, Options{})
	dir, revive := deadMount(t)
	if dir == "" {
		return
	}
	dying := "SIGQUIT"
	if haveVM {
		dying = "SIGKILL" // without a core
	}
	for i, test := range []struct {
		name string
		spec Spec
		sig  unix.Signal
		want string
	}{
		{"directory", Spec{Path: "/bin/true", Dir: dir + "/dir"}, unix.SIGKILL, "cannot change directory to " + dir + "/dir: killed by SIGKILL"},
		{"program", Spec{Path: dir + "/program"}, unix.SIGTERM, "cannot execute " + dir + "/program: killed by SIGTERM"},
		{"program, to be followed", Spec{Path: dir + "/program", Follow: FollowFork}, unix.SIGKILL, "cannot execute " + dir + "/program: killed by SIGKILL"},
		// The last: it lets all go on.
		{"core", Spec{Path: dir + "/program"}, unix.SIGQUIT, "cannot execute " + dir + "/program: killed by " + dying},
	} {
		id := ProcID(10*i + 1)
		spec := test.spec
		spec.ID = id
		w.Start(spec)
		w.Start(sleeper(id + 1))
		other := w.spawned(id + 1)
		var pid int
		poll(t, test.name+" to hang", func() bool {
			for _, child := range childrenOf(os.Getpid()) {
				where, _ := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", child))
				call, _, _ := strings.Cut(string(where), " ")
				if child != other && (call == strconv.Itoa(unix.SYS_EXECVE) || call == strconv.Itoa(unix.SYS_CHDIR)) {
					pid = child
				}
			}
			return pid != 0 && statField(t, pid, 3) == "D"
		})
		runtime.GC()
		if caught := statusLine(t, pid, "SigCgt"); test.spec.Dir == "" && haveVM && caught != fmt.Sprintf("%016x", coreSignals>>1) {
			t.Errorf("%s: SigCgt = %s before the exec; want %016x", test.name, caught, coreSignals>>1)
		}
		w.Kill(id, test.sig, true)
		core := test.sig == unix.SIGQUIT
		if core {
			// Such a signal does not interrupt the call, which has to fail.
			poll(t, "the signal", func() bool { return statusLine(t, pid, "ShdPnd") != "0000000000000000" })
			revive()
		}
		if err := w.failed(id); err.Error() != test.want {
			t.Errorf("%s: %q; want %q", test.name, err.Error(), test.want)
		}
		w.Kill(id+1, unix.SIGKILL, true)
		w.exited(id + 1)
	}
}
