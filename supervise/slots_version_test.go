package supervise

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var update = flag.Bool("update", false, "write the file of slots of this version anew")

// TestFirstSlots reads the file of slots that version 1 wrote on a 64-bit
// little-endian machine. -update writes it: only for a version that nobody
// has yet.
func TestFirstSlots(t *testing.T) {
	path := filepath.Join("testdata", "v1.slots")
	if *update {
		table := slots{path: path, fd: -1}
		for _, s := range []slot{
			{id: 1, asked: 1e9, pid: 11, helper: 10, began: unix.Timespec{Sec: 2}, step: uint32(StepExec), state: uint32(SlotRunning)},
			{id: 2, asked: 3e9, helper: 12, state: uint32(SlotInFlight), step: uint32(StepSession)},
			{id: 3, asked: 4e9, pid: 13, began: unix.Timespec{Sec: 5}, state: uint32(SlotInFlight), step: uint32(StepLimit), index: 1, errno: uint32(unix.EPERM)},
			{id: 4, asked: 6e9, pid: 14, began: unix.Timespec{Sec: 7}, step: uint32(StepExec), state: uint32(SlotEnded), status: 5 << 8},
		} {
			made, err := table.take(ProcID(s.id))
			if err != nil {
				t.Fatal(err)
			}
			*made = s
		}
		table.header().daemon = 9
		copy(table.header().boot[:], "00000000-0000-0000-0000-000000000001")
		table.header().count = 4
		table.close()
		if err := os.Truncate(path, int64(slotsChunk()+4*slotSize)); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	list, boot, err := parseSlots(data)
	if err != nil || boot != "00000000-0000-0000-0000-000000000001" {
		t.Fatalf("boot %q, %v", boot, err)
	}
	want := []Slot{
		{ID: 1, State: SlotRunning, Pid: 11, Helper: 10, Asked: time.Second, Began: 2 * time.Second, Step: StepExec},
		{ID: 2, State: SlotInFlight, Helper: 12, Asked: 3 * time.Second, Step: StepSession},
		{ID: 3, State: SlotInFlight, Pid: 13, Asked: 4 * time.Second, Began: 5 * time.Second, Step: StepLimit, Errno: unix.EPERM, index: 1},
		{ID: 4, State: SlotEnded, Pid: 14, Asked: 6 * time.Second, Began: 7 * time.Second, Step: StepExec, Status: syscall.WaitStatus(5 << 8)},
	}
	if !slices.Equal(list, want) {
		t.Errorf("parseSlots =\n%+v\nwant\n%+v", list, want)
	}
}

// TestForkFails: the kernel refuses a process, with its reason, and the next
// is made when it does not.
func TestForkFails(t *testing.T) {
	w := newWorld(t, Options{SlotFile: filepath.Join(t.TempDir(), "slots")})
	for i, test := range []struct {
		errno syscall.Errno
		want  string
	}{
		{unix.EAGAIN, "cannot fork: resource temporarily unavailable"},
		{unix.ENOMEM, "cannot fork: cannot allocate memory"},
		{unix.ENOSPC, "cannot fork: no space left on device"},
	} {
		done := make(chan func(*child) (int, syscall.Errno))
		w.send(func() {
			done <- w.forking
			w.forking = func(*child) (int, syscall.Errno) { return 0, test.errno }
		})
		real := <-done
		id := ProcID(10*i + 1)
		w.Start(sleeper(id))
		if err := w.failed(id); err.Step != StepFork || err.Error() != test.want {
			t.Errorf("%v: step %d, %q; want %q", test.errno, err.Step, err.Error(), test.want)
		}
		w.send(func() { w.forking = real })
		w.Start(sleeper(id + 1))
		w.spawned(id + 1)
	}
}

// TestAdopt: what an earlier daemon recorded is told as if it had been seen.
func TestAdopt(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "slots")
	old := writeFile(t, path, "the earlier daemon's", 0o600)
	w := newWorld(t, Options{SlotFile: path, Adopting: true})
	// A child that ends before it is adopted: its status must not be lost.
	pid, err := syscall.ForkExec("/bin/sh", []string{"sh", "-c", "exit 7"}, &syscall.ProcAttr{})
	if err != nil {
		t.Fatal(err)
	}
	st, _ := statOf(pid)
	poll(t, "its end", func() bool { st, _ := statOf(pid); return st.state == 'Z' })
	if text, _ := os.ReadFile(old); string(text) != "the earlier daemon's" {
		t.Errorf("the earlier daemon's record is gone before Adopted: %d bytes", len(text))
	}
	asked := time.Duration(st.start) * clockTick
	const nobody = 1 << 30 // more than any pid can be
	w.Adopt(Adoptee{Slot: Slot{ID: 1, State: SlotRunning, Pid: pid, Asked: asked}})
	// One that ended with us unaware.
	w.Adopt(Adoptee{Slot: Slot{ID: 2, State: SlotEnded, Pid: nobody, Status: 3 << 8}})
	// One whose set-up failed when nobody was there.
	w.Adopt(Adoptee{Slot: Slot{ID: 3, State: SlotInFlight, Pid: nobody + 1, Step: StepChdir, Errno: unix.ENOENT}, Spec: &Spec{Dir: "/nowhere"}})
	// One whose pid is a stranger's by now.
	w.Adopt(Adoptee{Slot: Slot{ID: 4, State: SlotRunning, Pid: os.Getppid(), Asked: time.Hour * 1e4}})
	w.Adopted()
	if end := w.exited(1); end.Status != 7 || end.Unknown {
		t.Errorf("%+v; want status 7", end)
	}
	if end := w.exited(2); end.Status != 3 || end.Unknown {
		t.Errorf("%+v; want status 3", end)
	}
	if err := w.failed(3); err.Error() != "cannot change directory to /nowhere: no such file or directory" {
		t.Errorf("%q", err.Error())
	}
	if end := w.exited(4); !end.Unknown {
		t.Errorf("%+v; want an unknown end", end)
	}
	list, err := ReadSlots(path)
	if err != nil || len(list) == 0 {
		t.Errorf("after Adopted: %v, %v", list, err)
	}
	w.Start(sleeper(9))
	w.spawned(9)
}
