package keeper

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The test binary plays keeper and daemon too, told by its environment.
func TestMain(m *testing.M) {
	role := os.Getenv("KEEPER_TEST_ROLE")
	if os.Getenv(keptVariable) != "" {
		role = "keeper"
	}
	switch role {
	case "":
		os.Exit(m.Run())
	case "keeper":
		os.Setenv("KEEPER_TEST_ROLE", "daemon")
		os.Exit(Run(Config{Path: "/proc/self/exe", Argv: os.Args[:1], Env: os.Environ(), Log: os.Stderr,
			Fail: failPoints(os.Getenv("KEEPER_TEST_POINTS"))}))
	case "first":
		os.Setenv("KEEPER_TEST_ROLE", "daemon")
		os.Exit(Run(Config{Path: "/proc/self/exe", Argv: os.Args[:1], Env: os.Environ(), Log: os.Stderr, First: testFirst()}))
	case "daemon":
		os.Exit(daemon())
	}
}

// daemon does what it is told on standard input's pipe, line by line, and
// says what it sees on standard output.
func daemon() int {
	var mu sync.Mutex
	say := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Printf(format+"\n", args...)
	}
	link, err := Open(os.Environ())
	if err != nil || link == nil {
		say("no link: %v", err)
		return 9
	}
	if path := os.Getenv("KEEPER_TEST_FAIL"); path != "" {
		// A file: for as long as it is there.
		if _, err := os.Stat(path); err == nil || !strings.HasPrefix(path, "/") {
			return 7
		}
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, unix.SIGTERM, unix.SIGHUP)
	go func() {
		said := make(map[os.Signal]bool)
		for s := range signals {
			// It comes twice when it was passed on before "ready" was read.
			if !said[s] {
				said[s] = true
				say("signal %d", s.(syscall.Signal))
			}
		}
	}()
	go link.Exits(func(pid int, status syscall.WaitStatus) { say("exit %d %d", pid, status) }, func() { say("done") })
	held := link.Held("a")
	if held != nil {
		text := make([]byte, 16)
		n, _ := held.ReadAt(text, 0)
		say("held %s", text[:n])
	}
	link.Ready()
	say("daemon %d unready %d", os.Getpid(), link.Unready)
	commands := bufio.NewScanner(os.Stdin)
	for commands.Scan() {
		words := strings.Fields(commands.Text())
		switch words[0] {
		case "hold":
			fd, err := unix.MemfdCreate("x", unix.MFD_CLOEXEC)
			if err == nil {
				_, err = unix.Write(fd, []byte(words[1]))
			}
			if err == nil {
				err = link.Hold("a", fd)
			}
			say("holding %v", err)
		case "drop":
			say("dropping %v", link.Drop("a"))
		case "take":
			file := link.Take("a")
			say("took %t, left %q, again %t", file != nil, link.Names(), link.Take("a") != nil)
			if file != nil {
				file.Close()
			}
		case "child":
			pid, err := syscall.ForkExec("/bin/sh", []string{"sh", "-c", "kill -STOP $$; exit 5"}, &syscall.ProcAttr{
				Env: os.Environ(), Files: []uintptr{0, 1, 2}})
			say("child %d %v", pid, err)
		case "seen":
			pid, _ := strconv.Atoi(words[1])
			say("told %v", link.Seen(pid))
		case "sync":
			link.Sync()
		case "exec":
			say("executing %v", link.Exec(0, "/proc/self/exe", os.Args[:1], os.Environ(), nil, nil))
		case "signals":
			// Not of the first thread: it may be Go's own for signals, with a mask
			// of its own.
			text, _ := os.ReadFile("/proc/thread-self/status")
			for line := range strings.Lines(string(text)) {
				if strings.HasPrefix(line, "SigBlk") || strings.HasPrefix(line, "SigIgn") {
					say("%s", strings.Join(strings.Fields(line), " "))
				}
			}
		case "end":
			return 0
		}
	}
	return 1
}

// until polls for a condition that nobody announces.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for late := time.Now().Add(time.Minute); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(late) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// goOn continues a child, which stops itself and then ends.
func goOn(t *testing.T, child int) {
	t.Helper()
	until(t, "the child to stop", func() bool {
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", child))
		return strings.Contains(string(stat), ") T ")
	})
	unix.Kill(child, unix.SIGCONT)
}

// kept is a keeper under test.
type kept struct {
	t    *testing.T
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Scanner
	pipe *os.File // below out
	errs bytes.Buffer
	// daemon is the pid of the one that spoke last.
	daemon int
	// again is a line that may come once or more; agains is how often it came.
	again  string
	agains int
}

func start(t *testing.T, env ...string) *kept {
	t.Helper()
	return startTo(t, nil, env...)
}

// startTo is start with a file for standard error; nil: it is kept for the test.
func startTo(t *testing.T, log *os.File, env ...string) *kept {
	t.Helper()
	k := &kept{t: t, cmd: exec.Command("/proc/self/exe")}
	k.cmd.WaitDelay = 10 * time.Second // what a failed test leaves has its standard error
	k.cmd.Env = append(append(os.Environ(), "KEEPER_TEST_ROLE=keeper"), env...)
	var err error
	if k.in, err = k.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := k.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	k.out, k.pipe = bufio.NewScanner(out), out.(*os.File)
	if k.cmd.Stderr = &k.errs; log != nil {
		k.cmd.Stderr = log
	}
	if err := k.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if k.cmd.ProcessState == nil {
			k.cmd.Process.Kill()
			if k.daemon != 0 {
				unix.Kill(k.daemon, unix.SIGKILL)
			}
			k.cmd.Wait()
		}
	})
	return k
}

// expect reads the next line, which must be this, %d standing for a number
// that is returned.
func (k *kept) expect(format string) (number int) {
	k.t.Helper()
	line := k.line()
	if !strings.Contains(format, "%d") {
		if line != format {
			k.t.Fatalf("the daemon says %q; expected %q", line, format)
		}
		return 0
	}
	if _, err := fmt.Sscanf(line, format, &number); err != nil {
		k.t.Fatalf("the daemon says %q; expected %q", line, format)
	}
	return number
}

func (k *kept) say(line string) { fmt.Fprintln(k.in, line) }

func (k *kept) status() int {
	k.t.Helper()
	k.cmd.Wait()
	return k.cmd.ProcessState.ExitCode()
}

func TestDaemonEnds(t *testing.T) {
	k := start(t)
	k.lines("daemon unready 0")
	k.say("end")
	if got := k.status(); got != 0 {
		t.Errorf("the keeper's status is %d; want 0", got)
	}
}

func TestDaemonFailsAtOnce(t *testing.T) {
	k := start(t, "KEEPER_TEST_FAIL=1")
	if got := k.status(); got != 7 {
		t.Errorf("the keeper's status is %d; want the daemon's 7", got)
	}
}

// line reads the next line, whatever it is.
func (k *kept) line() string {
	k.t.Helper()
	for {
		k.pipe.SetReadDeadline(time.Now().Add(time.Minute))
		if !k.out.Scan() {
			k.t.Fatalf("the daemon says nothing: %v\n%s", k.out.Err(), k.errs.String())
		}
		if k.again == "" || k.out.Text() != k.again {
			return k.out.Text()
		}
		k.agains++
	}
}

// lines reads as many lines as are wanted and compares them, in any order.
func (k *kept) lines(want ...string) {
	k.t.Helper()
	var got []string
	for range want {
		line := k.line()
		if words := strings.Fields(line); words[0] == "daemon" {
			k.daemon, _ = strconv.Atoi(words[1])
			line = "daemon " + strings.Join(words[2:], " ")
		}
		got = append(got, line)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		k.t.Fatalf("the daemon says %q; expected %q", got, want)
	}
}

// What fell to the keeper when the daemon died is told to the next, until
// one has seen it; what was held is there; the last word counts.
func TestDaemonDies(t *testing.T) {
	k := start(t)
	k.lines("daemon unready 0")
	k.say("hold one")
	k.expect("holding <nil>")
	k.say("hold two")
	k.expect("holding <nil>")
	k.say("child")
	child := k.expect("child %d <nil>")
	unix.Kill(k.daemon, unix.SIGKILL)
	k.lines("held two", "daemon unready 0")
	goOn(t, child)
	exit := fmt.Sprintf("exit %d %d", child, 5<<8)
	k.lines(exit)
	unix.Kill(k.daemon, unix.SIGKILL)
	k.lines("held two", "daemon unready 0", exit)
	k.say(fmt.Sprintf("seen %d", child))
	k.expect("told <nil>")
	unix.Kill(k.daemon, unix.SIGKILL)
	k.lines("held two", "daemon unready 0")
	// Had the exit been told again, it would stand before this answer.
	k.say("sync")
	k.expect("done")
	k.say("end")
	if got := k.status(); got != 0 {
		t.Errorf("the keeper's status is %d; want 0", got)
	}
	if n := strings.Count(k.errs.String(), "the daemon died (killed by signal 9)"); n != 3 {
		t.Errorf("the keeper told of %d deaths:\n%s", n, k.errs.String())
	}
}

// What was dropped is not there for the next; what was taken is, until then.
func TestDrop(t *testing.T) {
	k := start(t)
	k.lines("daemon unready 0")
	k.say("hold one")
	k.expect("holding <nil>")
	unix.Kill(k.daemon, unix.SIGKILL)
	k.lines("held one", "daemon unready 0")
	k.say("take")
	k.expect(`took true, left [], again false`)
	unix.Kill(k.daemon, unix.SIGKILL)
	k.lines("held one", "daemon unready 0")
	k.say("drop")
	k.expect("dropping <nil>")
	k.say("drop") // of what is not there
	k.expect("dropping <nil>")
	unix.Kill(k.daemon, unix.SIGKILL)
	k.lines("daemon unready 0")
	k.say("end")
	k.status()
}

func TestSignalsArePassedOn(t *testing.T) {
	k := start(t)
	k.lines("daemon unready 0")
	k.cmd.Process.Signal(unix.SIGTERM)
	k.lines("signal 15")
	k.cmd.Process.Signal(unix.SIGHUP)
	k.lines("signal 1")
	k.say("end")
	k.status()
}

func TestOpenWithoutKeeper(t *testing.T) {
	l, err := Open([]string{"A=1"})
	if l != nil || err != nil {
		t.Errorf("Open without a keeper = %v, %v", l, err)
	}
	for _, value := range []string{"", "x", "-1", "0", "0 x", "0 0", "0 1 x", "0 1 x=", "0 1 x=999", "0 1 keeper=999"} {
		if l, err := Open([]string{variable + "=" + value}); err == nil {
			t.Errorf("Open of %q = %v; want an error", value, l)
		}
	}
	// Without a keeper, telling it is no error.
	if err := errors.Join(l.Ready(), l.Seen(1), l.Hold("x", 0), l.Drop("x")); err != nil || l.Held("x") != nil || l.Take("x") != nil || l.Names() != nil {
		t.Errorf("a link that is not there: %v", err)
	}
	if got := Without([]string{"A=1", variable + "=0", "B=2"}); !slices.Equal(got, []string{"A=1", "B=2"}) {
		t.Errorf("Without = %q", got)
	}
}
