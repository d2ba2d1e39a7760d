package supervise

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// pty is a Spec that runs text in a shell whose output is a terminal.
func (w *world) pty(id ProcID, text string) (Spec, string) {
	spec, log := w.sh(id, text)
	spec.Output = OutputPTY
	return spec, log
}

// logged waits until a log holds a text.
func logged(t *testing.T, log, want string) {
	t.Helper()
	var text []byte
	defer func() {
		if t.Failed() {
			t.Logf("the log is %.1000q", text)
		}
	}()
	poll(t, fmt.Sprintf("the log to be %.80q", want), func() bool {
		text, _ = os.ReadFile(log)
		return string(text) == want
	})
}

func TestPTY(t *testing.T) {
	tests := []struct {
		name, text, want string
		leader           bool
	}{
		{"lines stay lines", `printf 'a\nb\r\n\tc\n'`, "a\nb\r\n\tc\n", false},
		{"a terminal for output and error, none for input", "for fd in 0 1 2; do [ -t $fd ] && echo $fd; done; readlink /proc/self/fd/0", "1\n2\n/dev/null\n", false},
		{"nothing else open", "exec ls -x /proc/self/fd", "0  1  2  3\n", false},
		{"not its controlling terminal", "(: </dev/tty) 2>/dev/null || echo none", "none\n", false},
		{"nor a leader's", "(: </dev/tty) 2>/dev/null || echo none", "none\n", true},
		{"error too", "echo x >&2", "x\n", false},
		{"opened anew", "echo x >/dev/stdout", "x\n", false},
		{"an open line", "printf x", "x", false},
		{"more than a buffer", "i=0; while [ $i -lt 5000 ]; do echo 0123456789; i=$((i+1)); done", strings.Repeat("0123456789\n", 5000), false},
		{"nothing", "", "", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, Options{})
			spec, log := w.pty(1, test.text)
			spec.Leader = test.leader
			w.Start(spec)
			if end := w.exited(1); end.Status != 0 || end.Signal != 0 {
				t.Errorf("exited %+v", end)
			}
			logged(t, log, test.want)
		})
	}
}

// TestPTYAppends: both processes of a job write to one log, which exists.
func TestPTYAppends(t *testing.T) {
	w := newWorld(t, Options{})
	spec, log := w.pty(1, "echo one")
	w.Start(spec)
	w.exited(1)
	logged(t, log, "one\n")
	spec.ID, spec.Argv = 2, []string{"sh", "-c", "echo two"}
	w.Start(spec)
	w.exited(2)
	logged(t, log, "one\ntwo\n")
}

// TestPTYOutlivesMain: the copying ends with the last process that has the
// terminal, not with the first.
func TestPTYOutlivesMain(t *testing.T) {
	w := newWorld(t, Options{})
	gate := filepath.Join(t.TempDir(), "gate")
	spec, log := w.pty(1, "(until [ -e "+gate+" ]; do sleep 0.01; done; echo late) & echo early")
	w.Start(spec)
	w.exited(1)
	logged(t, log, "early\n")
	w.outputs.copiers.mu.Lock()
	if n := len(w.outputs.copiers.terminals); n != 1 {
		t.Errorf("%d terminals while a process has one", n)
	}
	w.outputs.copiers.mu.Unlock()
	writeFile(t, gate, "", 0o600)
	logged(t, log, "early\nlate\n")
	poll(t, "the copier to end", func() bool {
		w.outputs.copiers.mu.Lock()
		defer w.outputs.copiers.mu.Unlock()
		return len(w.outputs.copiers.terminals) == 0
	})
}

// TestPTYNotSpawned: nothing is left of a terminal whose process was not made.
func TestPTYNotSpawned(t *testing.T) {
	w := newWorld(t, Options{})
	spec, _ := w.pty(1, "")
	spec.Path = "/nonexistent"
	w.Start(spec)
	if err := w.failed(1); err.Step != StepExec {
		t.Errorf("failure = %v", err)
	}
	poll(t, "the copier to end", func() bool {
		w.outputs.copiers.mu.Lock()
		defer w.outputs.copiers.mu.Unlock()
		return len(w.outputs.copiers.terminals) == 0
	})
}

// TestPTYFullDisk: who writes to a terminal is not held by a log that takes
// nothing.
func TestPTYFullDisk(t *testing.T) {
	w := newWorld(t, Options{})
	spec, log := w.pty(1, "i=0; while [ $i -lt 20000 ]; do echo 0123456789; i=$((i+1)); done")
	spec.Label = "job"
	if err := os.Symlink("/dev/full", log); err != nil {
		t.Fatal(err)
	}
	w.Start(spec)
	if end := w.exited(1); end.Status != 0 || end.Signal != 0 {
		t.Errorf("exited %+v", end)
	}
	all := w.await("fault", func(all []Event) bool { return count[OutputFault](all) > 0 })
	at := slices.IndexFunc(all, func(ev Event) bool { _, is := ev.(OutputFault); return is })
	if got := all[at].(OutputFault); got != (OutputFault{1, "job", log, ProblemWrite, unix.ENOSPC}) ||
		got.Error() != "cannot write to log file "+log+": no space left on device: output is lost" {
		t.Errorf("fault = %+v, %q", got, got.Error())
	}
}

// TestPTYNotToBeHad: without a terminal the log is there all the same.
func TestPTYNotToBeHad(t *testing.T) {
	w := newWorld(t, Options{})
	spec, log := w.pty(1, "[ -t 1 ] || echo plain")
	var was unix.Rlimit
	if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, nil, &was); err != nil {
		t.Fatal(err)
	}
	// Two more descriptors, for the pipe: none for the terminal.
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	highest := 0
	for _, fd := range openFDs(t) {
		n, _, _ := strings.Cut(fd, " ")
		number, _ := strconv.Atoi(n)
		highest = max(highest, number, firstFree)
	}
	for {
		fd, err := unix.FcntlInt(null.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		if fd > highest {
			unix.Close(fd)
			break
		}
		defer unix.Close(fd)
	}
	low := unix.Rlimit{Cur: uint64(highest) + 3, Max: was.Max}
	if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, &low, nil); err != nil {
		t.Fatal(err)
	}
	w.Start(spec)
	w.await("outcome", func(all []Event) bool { return count[Spawned](all)+count[SpawnFailed](all) > 0 })
	if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, &was, nil); err != nil {
		t.Fatal(err)
	}
	w.exited(1)
	logged(t, log, "plain\n")
	if fault, is := w.events()[0].(OutputFault); !is || fault.Problem != ProblemTerminal || fault.Path != log {
		t.Errorf("events %+v; want a fault of the terminal first", w.events())
	}
}

// TestCopiersStop copies what a terminal holds when the end comes.
func TestCopiersStop(t *testing.T) {
	for round := range 20 {
		dir := t.TempDir()
		master, slave, err := openPTY(1)
		if err != nil {
			t.Fatal(err)
		}
		const text = "said before the end\n"
		if _, err := unix.Write(slave, []byte(text)); err != nil {
			t.Fatal(err)
		}
		var o outputs
		o.open(func(ev Event) { t.Errorf("event %+v", ev) }, nil)
		log := filepath.Join(dir, "below", "log")
		o.copiers.copy(master, "", log, LogLimit{1 << 20, 1})
		<-o.stop()
		if got, err := os.ReadFile(log); string(got) != text || err != nil {
			t.Errorf("round %d: the log = %q, %v; want %q", round, got, err, text)
		}
		late, lateSlave, err := openPTY(1)
		if err != nil {
			t.Fatal(err)
		}
		o.copiers.copy(late, "", log, LogLimit{})
		if _, err := unix.Write(lateSlave, []byte("x")); err != unix.EIO {
			t.Errorf("a write after the end = %v; want EIO", err)
		}
		unix.Close(slave)
		unix.Close(lateSlave)
	}
}

// TestCopierSaysWhatIsMissing has a log that is full for a while.
func TestCopierSaysWhatIsMissing(t *testing.T) {
	for _, first := range []string{"line\n", "open line"} {
		var ends [2]int
		if err := unix.Pipe2(ends[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var faults []Event
		w := copier{copiers: &copiers{report: func(ev Event) {
			mu.Lock()
			defer mu.Unlock()
			faults = append(faults, ev)
		}}, terminal: &terminal{id: 1, log: ends[1]}, path: "log", whole: true}
		read := func() string {
			var all []byte
			buf := make([]byte, 1<<20)
			for {
				n, err := unix.Read(ends[0], buf)
				if err != nil || n == 0 {
					return string(all)
				}
				all = append(all, buf[:n]...)
			}
		}
		w.write([]byte(first))
		if got := read(); got != first {
			t.Errorf("log = %q; want %q", got, first)
		}
		block := []byte(strings.Repeat(first, 4096/len(first)))
		sent := 0
		for ; w.missing < 10_000; sent += len(block) {
			w.write(block)
		}
		missing := int(w.missing)
		taken := read()
		if len(taken)+missing != sent {
			t.Errorf("%d in the log and %d missing; want %d together", len(taken), missing, sent)
		}
		w.write([]byte("again\n"))
		want := fmt.Sprintf("[%d bytes are missing here: resource temporarily unavailable]\nagain\n", missing)
		if !strings.HasSuffix(taken, "\n") {
			want = "\n" + want
		}
		if got := read(); got != want || w.missing != 0 {
			t.Errorf("log = %q; want %q", got, want)
		}
		if len(faults) != 1 || faults[0].(OutputFault).Errno != unix.EAGAIN {
			t.Errorf("faults = %+v; want one", faults)
		}
		unix.Close(ends[0])
		unix.Close(ends[1])
	}
}
