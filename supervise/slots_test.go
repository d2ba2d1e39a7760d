package supervise

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// slotOf finds the slot of a process in a file.
func slotOf(t *testing.T, path string, id ProcID) (found Slot) {
	t.Helper()
	list, err := ReadSlots(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list {
		if s.ID == id {
			if found.ID != 0 {
				t.Errorf("two slots of process %d: %+v, %+v", id, found, s)
			}
			found = s
		}
	}
	return found
}

func startTime(t *testing.T, pid int) uint64 {
	t.Helper()
	start, err := strconv.ParseUint(statField(t, pid, 22), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return start
}

// TestSlotFile follows a process through its states in the file, for each way
// in which it can be made.
func TestSlotFile(t *testing.T) {
	for _, leader := range []bool{false, true} {
		for _, sharing := range []bool{false, haveVM} {
			t.Run(fmt.Sprintf("leader=%v/sharing=%v", leader, sharing), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "slots")
				fifo := filepath.Join(t.TempDir(), "log")
				if err := unix.Mkfifo(fifo, 0o600); err != nil {
					t.Fatal(err)
				}
				w := newWorld(t, Options{SlotFile: path})
				w.send(func() { w.sharing = sharing })
				w.Start(Spec{ID: 6, Path: "/nonexistent", Leader: leader})
				w.failed(6)
				if s := slotOf(t, path, 6); s != (Slot{}) {
					t.Errorf("slot of a start that failed = %+v", s)
				}

				spec := sleeper(7)
				spec.Output, spec.LogPath, spec.Leader = OutputFile, fifo, leader
				w.Start(spec)
				var s Slot
				poll(t, "a child that hangs", func() bool {
					s = slotOf(t, path, 7)
					return s.Pid != 0 && s.Step == StepOutput
				})
				if s.State != SlotInFlight || (s.Helper == 0) != leader || s.Began < s.Asked || !s.Is(startTime(t, s.Pid)) {
					t.Errorf("in flight: %+v, start %d", s, startTime(t, s.Pid))
				}
				if s.Is(startTime(t, 1)) || s.Is(startTime(t, s.Pid)+100) {
					t.Errorf("%+v is taken for a process that began at another time", s)
				}

				out, err := os.Open(fifo)
				if err != nil {
					t.Fatal(err)
				}
				defer out.Close()
				pid := w.spawned(7)
				if s = slotOf(t, path, 7); s.State != SlotRunning || s.Pid != pid || !s.Is(startTime(t, pid)) {
					t.Errorf("running: %+v", s)
				}
				w.Kill(7, unix.SIGUSR1, false)
				w.exited(7)
				if s = slotOf(t, path, 7); s.State != SlotEnded || s.Pid != pid || s.Status.Signal() != unix.SIGUSR1 {
					t.Errorf("ended: %+v", s)
				}
			})
		}
	}
}

// TestSlotsGrow: slots are added without moving those in use; ended ones are
// used again, the oldest first.
func TestSlotsGrow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "slots")
	table := slots{path: path, fd: -1}
	defer table.close()
	const n = 4000
	used := make([]*slot, n)
	for i := range used {
		s, err := table.take(ProcID(i + 1))
		if err != nil {
			t.Fatal(err)
		}
		s.pid = int32(i + 1)
		used[i] = s
	}
	list, err := ReadSlots(path)
	if err != nil || len(list) != n {
		t.Fatalf("ReadSlots = %d slots, %v; want %d", len(list), err, n)
	}
	slices.SortFunc(list, func(a, b Slot) int { return int(a.ID) - int(b.ID) })
	for i, s := range list {
		if s.ID != ProcID(i+1) || s.Pid != i+1 || s.State != SlotInFlight || used[i].id != uint64(i+1) {
			t.Fatalf("slot %d = %+v, in memory %+v", i, s, used[i])
		}
	}
	for i, s := range used[:n/2] {
		s.end(syscall.WaitStatus(i << 8))
		table.retire(s)
	}
	for _, s := range used[n/2:] {
		table.put(s)
	}
	size := fileSize(t, path)
	for i := range n/2 + n/4 {
		if _, err := table.take(ProcID(n + i + 1)); err != nil {
			t.Fatal(err)
		}
	}
	if now := fileSize(t, path); now != size {
		t.Errorf("the file grew from %d to %d with free slots in it", size, now)
	}
	list, _ = ReadSlots(path)
	ended := 0
	for _, s := range list {
		if s.State == SlotEnded {
			if ended++; int(s.ID) <= n/4-int(fileSize(t, path)-size) && s.ID < keepEnded {
				t.Errorf("the oldest ended slot is still there: %+v", s)
			}
		}
	}
	if ended < keepEnded {
		t.Errorf("%d ended slots are left; want %d or more", ended, keepEnded)
	}
}

func fileSize(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// TestNoSlot: what cannot be recorded is not made, and is made when it can
// be.
func TestNoSlot(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dir")
	w := newWorld(t, Options{SlotFile: filepath.Join(dir, "slots")})
	w.Start(sleeper(1))
	want := "cannot record the process: no such file or directory"
	if err := w.failed(1); err.Step != StepSlot || err.Error() != want {
		t.Errorf("Start = step %d, %q; want %q", err.Step, err.Error(), want)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	w.Start(sleeper(2))
	w.spawned(2)
}

// TestSlotsFull fills the file system below the slots. Writing to a hole of
// the file would end the daemon with SIGBUS.
func TestSlotsFull(t *testing.T) {
	if !isRoot {
		return // an ordinary user has no file system to fill
	}
	dir := t.TempDir()
	size := 4 * slotsChunk()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Logf("no tmpfs of our own: %v", err)
		return
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	table := slots{path: filepath.Join(dir, "slots"), fd: -1}
	defer table.close()
	var last *slot
	for i := range size {
		s, err := table.take(ProcID(i + 1))
		if err != nil {
			if errnoOf(err) != unix.ENOSPC || i != 3*slotsChunk()/slotSize {
				t.Errorf("after %d slots: %v", i, err)
			}
			break
		}
		last = s
	}
	table.retire(last)
	if s, err := table.take(99999); err != nil || s != last {
		t.Errorf("take with one ended slot = %p, %v; want that, %p", s, err, last)
	}
	table.put(last)
	if s, err := table.take(99999); err != nil || s != last {
		t.Errorf("take with one free slot = %p, %v; want that, %p", s, err, last)
	}
}

// TestReadSlots reads damaged files, those of others, and of a later version.
func TestReadSlots(t *testing.T) {
	path := filepath.Join(t.TempDir(), "slots")
	table := slots{path: path, fd: -1}
	defer table.close()
	for i := range 3 {
		if _, err := table.take(ProcID(i + 1)); err != nil {
			t.Fatal(err)
		}
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	order := binary.NativeEndian
	head := int(order.Uint32(good[12:]))
	for _, test := range []struct {
		name   string
		change func(b []byte) []byte
		want   int
		text   string
	}{
		{"good", func(b []byte) []byte { return b }, 3, ""},
		{"empty", func(b []byte) []byte { return nil }, 0, "it is too short"},
		{"short", func(b []byte) []byte { return b[:40] }, 0, "it is too short"},
		{"cut", func(b []byte) []byte { return b[:head+slotSize] }, 0, fmt.Sprintf("it ends before the last of %d slots", slotsChunk()/slotSize)},
		{"other", func(b []byte) []byte { b[0]++; return b }, 0, "it holds something else"},
		{"version 0", func(b []byte) []byte { b[8] = 0; return b }, 0, fmt.Sprintf("it has version 0 with slots of %d bytes, and this reads version 1", slotSize)},
		{"boot", func(b []byte) []byte { b[40]++; return b }, 0, ""},
		{"later", func(b []byte) []byte {
			order.PutUint32(b[8:], 2)
			order.PutUint32(b[16:], uint32(slotSize+24))
			order.PutUint32(b[20:], 3)
			for i := 2; i >= 0; i-- {
				copy(b[head+i*(slotSize+24):], b[head+i*slotSize:][:slotSize])
			}
			return b
		}, 3, ""},
	} {
		b := test.change(slices.Clone(good))
		path := writeFile(t, filepath.Join(t.TempDir(), "slots"), string(b), 0o600)
		list, err := ReadSlots(path)
		text := ""
		if err != nil {
			text = strings.TrimPrefix(err.Error(), "cannot read slots of "+path+": ")
		}
		if len(list) != test.want || text != test.text {
			t.Errorf("%s: ReadSlots = %d slots, %q; want %d, %q", test.name, len(list), text, test.want, test.text)
		}
		ids := 0
		for _, s := range list {
			ids += int(s.ID)
		}
		if test.want > 0 && ids != 1+2+3 {
			t.Errorf("%s: ReadSlots = %+v", test.name, list)
		}
	}
	if _, err := ReadSlots(path + "x"); err == nil {
		t.Error("ReadSlots of nothing succeeds")
	}
}

func TestSlotIs(t *testing.T) {
	const ms = time.Millisecond
	for _, test := range []struct {
		asked, began time.Duration
		start        uint64
		want         bool
	}{
		{1000 * ms, 1001 * ms, 100, true},
		{1009 * ms, 1010 * ms, 100, true}, // rounded down
		{1009 * ms, 1010 * ms, 101, true},
		{1009 * ms, 1010 * ms, 102, false},
		{1010 * ms, 1011 * ms, 100, false},
		{1000 * ms, 0, 5000, true}, // it may have begun late
		{1000 * ms, 0, 99, false},
	} {
		s := Slot{Asked: test.asked, Began: test.began}
		if got := s.Is(test.start); got != test.want {
			t.Errorf("Slot{%v, %v}.Is(%d) = %v", test.asked, test.began, test.start, got)
		}
	}
}

// FuzzSlots: no file makes the reader fall over.
func FuzzSlots(f *testing.F) {
	table := slots{path: filepath.Join(f.TempDir(), "slots"), fd: -1}
	if _, err := table.take(1); err != nil {
		f.Fatal(err)
	}
	good, err := os.ReadFile(table.path)
	table.close()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good[:int(slotsChunk())+2*slotSize], uint32(2))
	f.Fuzz(func(t *testing.T, data []byte, count uint32) {
		if len(data) >= 24 {
			binary.NativeEndian.PutUint32(data[20:], count)
		}
		list, _, err := parseSlots(data)
		if err != nil && list != nil || len(list) > int(count) {
			t.Errorf("parseSlots = %d slots of %d, %v", len(list), count, err)
		}
	})
}

// spawnForever is the fixture of TestKilledDaemon: it starts processes until
// it is killed.
func spawnForever() {
	ends := make(chan struct{}, 16)
	s, err := New(Options{SlotFile: os.Getenv("SLOT_FILE")}, func(batch []Event) {
		for _, ev := range batch {
			switch ev.(type) {
			case Exited, SpawnFailed:
				ends <- struct{}{}
			}
		}
	})
	if err != nil {
		panic(err)
	}
	for i := ProcID(1); ; i++ {
		spec := sleeper(i)
		if i%4 != 0 {
			spec = Spec{ID: i, Path: "/bin/true"}
		}
		spec.Leader = i%3 == 0
		s.Start(spec)
		if i == 40 {
			os.Stdout.WriteString("going\n")
		}
		if i%4 == 0 {
			s.Kill(i-8, unix.SIGTERM, false)
		}
		if i > 16 {
			<-ends
		}
	}
}

// TestKilledDaemon kills a daemon at any moment: each process that is left is
// recorded.
func TestKilledDaemon(t *testing.T) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	alive := 0
	for round := range 20 {
		path := filepath.Join(t.TempDir(), "slots")
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), "SUPERVISE_FIXTURE=forever", "SLOT_FILE="+path, "GOCOVERDIR="+t.TempDir())
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Read(make([]byte, 16)); err != nil {
			t.Errorf("fixture: %v", err)
		}
		// Some moment of its work, another one in each round.
		for i := range round * 50000 {
			_ = i
		}
		cmd.Process.Kill()
		cmd.Wait()
		// Who was in flight goes on; what it becomes was recorded by then.
		for {
			children := childrenOf(os.Getpid())
			if len(children) == 0 {
				break
			}
			for _, pid := range children {
				var list []Slot
				at := -1
				// The kernel lists a child that another makes a moment before it
				// writes down the number.
				poll(t, fmt.Sprintf("process %d to be recorded", pid), func() bool {
					if list, err = ReadSlots(path); err != nil {
						t.Fatal(err)
					}
					at = slices.IndexFunc(list, func(s Slot) bool { return s.Pid == pid || s.Helper == pid })
					return at >= 0
				})
				if s := list[at]; s.Pid == pid {
					if !s.Is(startTime(t, pid)) {
						t.Errorf("%+v is not process %d that began at %d", s, pid, startTime(t, pid))
					}
					alive++
				}
				unix.Kill(pid, unix.SIGKILL)
				unix.Wait4(pid, nil, unix.WALL, nil)
			}
		}
	}
	if alive == 0 {
		t.Error("no process was ever left; this test has seen nothing")
	}
}
