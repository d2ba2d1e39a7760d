package keeper

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// testAtOnce is the signal that ends at once what the tests have for a machine.
const testAtOnce = realTime + 13

// testFirst is a first process that has no shell to give, and says how it ends.
func testFirst() *First {
	return &First{
		Container: true,
		Shell:     func() (int, error) { return 0, os.ErrNotExist },
		Finish:    func(how string) error { fmt.Println("finish", how); return nil },
		AtOnce: func(s syscall.Signal) string {
			if s == testAtOnce {
				return "halt"
			}
			return ""
		},
	}
}

// TestAtOnceBetweenDaemons: a signal that ends all at once is not lost when it
// comes in the pause between two daemons, and no other daemon is started.
func TestAtOnceBetweenDaemons(t *testing.T) {
	die := filepath.Join(t.TempDir(), "die")
	if err := os.WriteFile(die, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	log, theirs, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	k := startTo(t, theirs, "KEEPER_TEST_ROLE=first", "KEEPER_TEST_FAIL="+die)
	theirs.Close()
	// What it says when it has no shell, before the longest of its pauses.
	said := make([]byte, 0, 4096)
	for text := make([]byte, 512); !contains(said, "cannot have an emergency shell"); {
		n, err := log.Read(text)
		if err != nil {
			t.Fatalf("the keeper is gone: %v\n%s", err, said)
		}
		said = append(said, text[:n]...)
	}
	go io.Copy(io.Discard, log)
	if err := os.Remove(die); err != nil {
		t.Fatal(err)
	}
	k.cmd.Process.Signal(testAtOnce)
	// A daemon that was started would speak first, and go on.
	k.expect("finish halt")
	if got := k.status(); got != 0 {
		t.Errorf("the status is %d; want 0", got)
	}
}

// TestAtOnceStartsNothing: neither a daemon nor a shell is started any more.
func TestAtOnceStartsNothing(t *testing.T) {
	first := testFirst()
	first.Shell = func() (int, error) { t.Error("a shell was started"); return 0, os.ErrNotExist }
	k := newKeeper(Config{Path: "/nonexistent", Log: io.Discard, First: first})
	defer k.log.Close(time.Minute)
	k.mean(testAtOnce)
	k.mean(testAtOnce) // once more
	if err := k.spawn(0); err != errAtOnce {
		t.Errorf("spawn = %v; want %v", err, errAtOnce)
	}
	if err := k.startShell(); err != errAtOnce {
		t.Errorf("startShell = %v; want %v", err, errAtOnce)
	}
	k.pause(time.Hour) // returns
}

// TestAtOnceDaemonHangs: a daemon that does not end, also when it got KILL, does
// not hold up what is to be done at once. It is played by a process that gets none.
func TestAtOnceDaemonHangs(t *testing.T) {
	child, err := syscall.ForkExec("/bin/sh", []string{"sh", "-c", "read line"}, &syscall.ProcAttr{Files: pipeIn(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		unix.Kill(child, unix.SIGKILL)
		unix.Wait4(child, nil, 0, nil)
	}()
	k := newKeeper(Config{Log: io.Discard, First: testFirst()})
	defer k.log.Close(time.Minute)
	k.grace = time.Millisecond
	go k.watch()
	k.pid = child
	k.ends("halt")
	k.wait() // returns
	if err := unix.Kill(child, 0); err != nil || k.pid != child {
		t.Errorf("the child is gone (%v): nothing was shown", err)
	}
}

// pipeIn is the standard input of a child that is to wait until it is ended.
func pipeIn(t *testing.T) []uintptr {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Close()
		w.Close()
	})
	return []uintptr{r.Fd(), 1, 2}
}
