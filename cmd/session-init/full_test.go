package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/testkit"
)

// mountSmall puts a file system of that many bytes on a directory, until the
// test ends.
func mountSmall(t *testing.T, dir string, size int) {
	t.Helper()
	if os.Getuid() != 0 {
		testkit.Need(t, "a file system of one's own")
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=700", size)); err != nil {
		testkit.Need(t, "a file system of one's own")
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// fill takes all that is left of a file system.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, size := range []int{1 << 16, 1} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
	}
}

// TestFullRuntimeDirectory: what cannot be recorded is not made and says why;
// all else goes on; with room again it is as before.
func TestFullRuntimeDirectory(t *testing.T) {
	r := newRig(t)
	mountSmall(t, r.run, 512<<10)
	r.job("good", "exec sleep 600")
	r.job("many", "instance $N\nexec sleep 600")
	r.job("rock", "exec sleep 600")
	r.start()
	r.ok("start", "rock")
	rock := r.main("rock")
	fill(t, filepath.Join(r.run, "full"))

	// The first to notice is the state: it is said once, and all goes on.
	r.well()
	r.ok("emit", "ev", "V="+strings.Repeat("x", 100_000))
	r.logged("cannot write state file")
	// Then the slots: those that there are do for some.
	var failed result
	n := 0
	for failed.status == 0 && n < 2000 {
		n++
		failed = r.command("start", "many", fmt.Sprintf("N=%d", n))
	}
	if want := "cannot record the process: no space left on device"; n < 100 || !strings.Contains(failed.errOut, want) {
		t.Errorf("start %d: %+v; want %q", n, failed, want)
	}
	// A daemon that dies now costs what could not be written, and no process.
	r.crash()
	if now := r.main("rock"); now != rock {
		t.Errorf("rock was process %d and is %d", rock, now)
	}
	if err := os.Remove(filepath.Join(r.run, "full")); err != nil {
		t.Fatal(err)
	}
	r.prints(fmt.Sprintf("many (%d) running (start), process PID\n", n), "start", "many", fmt.Sprintf("N=%d", n))
	r.until("the state to be written again", func() bool {
		r.ok("emit", "ev")
		return strings.Contains(r.stderr.String(), "the state is written again")
	})
	before := r.ok("sctl", "list")
	r.crash()
	if after := r.ok("sctl", "list"); after != before {
		t.Errorf("after the crash:\n%s\nbefore:\n%s", after, before)
	}
}
