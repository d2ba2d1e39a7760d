package supervise

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience bounds every wait of a test: no test passes because of it.
const patience = 60 * time.Second

func TestMain(m *testing.M) {
	if fixture := fixtures[os.Getenv("SUPERVISE_FIXTURE")]; fixture != nil {
		fixture()
		os.Exit(0)
	}
	// What Go sets up once and keeps would look like a leak of the first test.
	c := make(chan os.Signal, 1)
	signal.Notify(c, unix.SIGCHLD)
	signal.Stop(c)
	os.ReadFile("/proc/self/stat")
	os.Exit(m.Run())
}

// fixtures are what the test binary is when it is run by a test.
var fixtures = map[string]func(){"nofile": printNofile, "regroup": regroup, "numbered": writeNumbered, "fulldisk": fullDisk, "orphans": leaveOrphans, "sibling": leaveSibling, "forever": spawnForever, "followsetid": followSetID, "files": listFiles, "filtered": runFiltered, "orphaned": keepOrphaned, "alone": runAlone, "killall": killAllOf}

// world is a supervisor with what it has reported.
type world struct {
	*Supervisor
	t    *testing.T
	mu   sync.Mutex
	all  []Event
	news chan struct{}
}

// newWorld starts a supervisor; when the test ends it kills what is left and
// checks the order of events and that nothing has leaked. A test has one at a
// time: two would take each other's children.
func newWorld(t *testing.T, opts Options) *world {
	t.Helper()
	// The first makes the directory that holds all of the test's: so it is removed
	// when nobody writes there any more, which a removal does not bear.
	t.TempDir()
	fds, goroutines := openFDs(t), runtime.NumGoroutine()
	w := &world{t: t, news: make(chan struct{}, 1)}
	s, err := New(opts, func(batch []Event) {
		w.mu.Lock()
		w.all = append(w.all, batch...)
		w.mu.Unlock()
		select {
		case w.news <- struct{}{}:
		default:
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	w.Supervisor = s
	t.Cleanup(func() {
		// Also when the rest fails: it would take the children of the tests that
		// come.
		defer w.Close(context.Background())
		before := count[Childless](w.events())
		w.KillAll(unix.SIGKILL)
		w.await("childless", func(all []Event) bool { return count[Childless](all) > before })
		if err := w.Close(context.Background()); err != nil {
			t.Error(err)
		}
		checkOrder(t, w.events())
		poll(t, "goroutines to end", func() bool { return runtime.NumGoroutine() <= goroutines })
		// Go's own monitor looks into /sys now and then.
		var left []string
		for late := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
			if left = openFDs(t); slices.Equal(left, fds) || time.Now().After(late) {
				break
			}
		}
		if !slices.Equal(left, fds) {
			t.Errorf("descriptors before %q, after %q", fds, left)
		}
		if pid, err := unix.Wait4(-1, nil, unix.WNOHANG|unix.WALL, nil); err != unix.ECHILD {
			t.Errorf("wait4 after the end = %d, %v; want no child", pid, err)
		}
	})
	return w
}

func (w *world) events() []Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.all)
}

// await waits until the events so far satisfy done, and returns them.
func (w *world) await(what string, done func([]Event) bool) []Event {
	w.t.Helper()
	late := time.After(patience)
	for {
		all := w.events()
		if done(all) {
			return all
		}
		select {
		case <-w.news:
		case <-late:
			for _, pid := range childrenOf(os.Getpid()) {
				stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
				call, _ := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", pid))
				w.t.Logf("child: %sin system call %sdescriptors %q", stat, call, fdsOf(pid))
			}
			w.t.Fatalf("no %s; events: %+v", what, all)
		}
	}
}

// atOnce has the thread carry out the commands that f gives in one go, before it
// tries anything again: as many as fit in a batch.
func (w *world) atOnce(f func()) {
	begun, given := make(chan struct{}), make(chan struct{})
	defer close(given)
	w.send(func() {
		close(begun)
		<-given
	})
	<-begun
	f()
}

// spawned waits for the outcome of a start and returns the pid.
func (w *world) spawned(id ProcID) int {
	w.t.Helper()
	pid := 0
	w.await(fmt.Sprintf("outcome of %d", id), func(all []Event) bool {
		for _, ev := range all {
			switch ev := ev.(type) {
			case SpawnFailed:
				if ev.ID == id {
					w.t.Fatalf("process %d: %v", id, ev.SpawnError)
				}
			case Spawned:
				if ev.ID == id {
					pid = ev.Pid
				}
			}
		}
		return pid != 0
	})
	return pid
}

// failed waits for the failure of a start.
func (w *world) failed(id ProcID) *SpawnError {
	w.t.Helper()
	var failure *SpawnError
	w.await(fmt.Sprintf("failure of %d", id), func(all []Event) bool {
		for _, ev := range all {
			switch ev := ev.(type) {
			case SpawnFailed:
				if ev.ID == id {
					failure = ev.SpawnError
				}
			case Spawned:
				if ev.ID == id {
					w.t.Fatalf("process %d was spawned", id)
				}
			}
		}
		return failure != nil
	})
	return failure
}

// exited waits for the end of a process.
func (w *world) exited(id ProcID) Exited {
	w.t.Helper()
	var end *Exited
	w.await(fmt.Sprintf("exit of %d", id), func(all []Event) bool {
		for _, ev := range all {
			switch ev := ev.(type) {
			case SpawnFailed:
				if ev.ID == id {
					w.t.Fatalf("process %d: %v", id, ev.SpawnError)
				}
			case Exited:
				if ev.ID == id {
					end = &ev
				}
			}
		}
		return end != nil
	})
	return *end
}

func count[E Event](all []Event) (n int) {
	for _, ev := range all {
		if _, is := ev.(E); is {
			n++
		}
	}
	return n
}

// checkOrder checks what Event promises for each process.
func checkOrder(t *testing.T, all []Event) {
	t.Helper()
	const outcome, over = 1, 2
	state := make(map[ProcID]int)
	pid := make(map[ProcID]int)
	for i, ev := range all {
		good := true
		switch ev := ev.(type) {
		case Spawned:
			good = state[ev.ID] == 0 && ev.Pid > 1
			state[ev.ID], pid[ev.ID] = outcome, ev.Pid
		case Forked:
			good = state[ev.ID] == outcome && ev.Pid > 1 && ev.Pid != pid[ev.ID]
			pid[ev.ID] = ev.Pid
		case SpawnFailed:
			good = state[ev.ID] == 0
			state[ev.ID] = over
		case Exited:
			good = state[ev.ID] == outcome && ev.Pid == pid[ev.ID]
			state[ev.ID] = over
		}
		if !good {
			t.Errorf("event %d out of order: %T%+v", i, ev, ev)
		}
	}
	for id, s := range state {
		if s != over {
			t.Errorf("process %d has no end", id)
		}
	}
}

// sh is a Spec that runs text in a shell, its output in a file of the test.
func (w *world) sh(id ProcID, text string) (Spec, string) {
	log := filepath.Join(w.t.TempDir(), "log")
	return Spec{ID: id, Path: "/bin/sh", Argv: []string{"sh", "-ec", text}, Env: []string{"PATH=" + os.Getenv("PATH")}, Output: OutputFile, LogPath: log}, log
}

// output runs a Spec to its end and returns what it wrote.
func (w *world) output(spec Spec, log string) string {
	w.t.Helper()
	w.Start(spec)
	end := w.exited(spec.ID)
	text, err := os.ReadFile(log)
	if end.Status != 0 || end.Signal != 0 || err != nil {
		w.t.Fatalf("process %d ended with %+v, %v; output %q", spec.ID, end, err, text)
	}
	return string(text)
}

func sleeper(id ProcID) Spec {
	return Spec{ID: id, Path: "sleep", Argv: []string{"sleep", "1000"}, Env: []string{"PATH=" + os.Getenv("PATH")}}
}

// poll waits for a condition that nobody announces.
func poll(t *testing.T, what string, done func() bool) {
	t.Helper()
	for late := time.Now().Add(patience); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(late) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// openFDs lists our descriptors, without the one that lists them.
func openFDs(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, entry := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + entry.Name()); err == nil {
			list = append(list, entry.Name()+" "+to)
		}
	}
	return list
}

// statusLine returns a line of /proc/PID/status.
func statusLine(t *testing.T, pid int, name string) string {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if value, found := strings.CutPrefix(line, name+":"); found {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("no %s of process %d", name, pid)
	return ""
}

// statField returns a field of /proc/PID/stat, counted from 1 as in proc(5).
func statField(t *testing.T, pid, field int) string {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	rest := string(data[strings.LastIndexByte(string(data), ')')+2:])
	return strings.Fields(rest)[field-3]
}

// gone tells whether no process has the pid.
func gone(pid int) bool { return unix.Kill(pid, 0) == unix.ESRCH }

// leaveOrphans is the fixture that makes ORPHANS processes which end at once,
// and ends before any is waited for.
func leaveOrphans() {
	n, _ := strconv.Atoi(os.Getenv("ORPHANS"))
	for range n {
		pid, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, 0, 0, 0, 0, 0, 0)
		if errno != 0 {
			os.Exit(3)
		}
		if pid == 0 {
			for {
				syscall.RawSyscall(unix.SYS_EXIT_GROUP, 3, 0, 0)
			}
		}
	}
}

func ptr[T any](v T) *T { return &v }

var isRoot = os.Geteuid() == 0

// ownCredential is who runs the test.
func ownCredential(t *testing.T) *Credential {
	groups, err := syscall.Getgroups()
	if err != nil {
		t.Fatal(err)
	}
	c := &Credential{UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}
	for _, g := range groups {
		c.Groups = append(c.Groups, uint32(g))
	}
	return c
}
