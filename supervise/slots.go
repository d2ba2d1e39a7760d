package supervise

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// slot is where the kernel and a child in flight write to us, and what is
// known of a process: memory that is shared with the child, also when the rest
// is a copy, and with the file that the next daemon reads. Go's collector does
// not know this memory, so it holds numbers only. Its layout is that of the
// file; see slotsHead.
type slot struct {
	id     uint64
	asked  int64         // when we asked for the process, before the clone
	began  unix.Timespec // when it ran first, by itself; after asked
	helper int32         // pid of the first child when there is a second, by the kernel
	pid    int32         // pid of the process, by the kernel, before it can run
	step   uint32        // the Step that the child is at
	index  uint32        // which of the step's arguments; 0 at the exec, then how often it moved
	errno  uint32        // why the step failed; 0 while it has not
	hint   uint16        // one of the hints below
	lost   uint16        // the errno of a log that could not be opened, or 0
	state  uint32        // a SlotState
	status uint32        // how it ended, as wait4(2) gives it, once it has; before its exec the inode of its pipe, or 0
}

// What a child found out about its failure beyond the errno.
const (
	hintNone = iota
	hintInterpreter
)

// SlotState is what has become of the process of a slot.
type SlotState uint32

// The states of a slot.
const (
	SlotFree     SlotState = iota // nobody's
	SlotInFlight                  // from before the clone to the exec or its failure
	SlotRunning                   // the exec succeeded
	SlotEnded                     // reaped; the status is there
)

// slotsHead begins the file of slots, in the machine's byte order. Slots
// follow from headSize on, each slotSize long, without gaps; a later version may add fields
// at the end of either. The file is on memory that was allocated in advance,
// so that writing to it, which the kernel does for us, cannot fail.
type slotsHead struct {
	magic    [8]byte
	version  uint32
	headSize uint32 // from the begin of the file to the first slot
	slotSize uint32
	count    uint32 // how many slots there are
	daemon   int32  // the daemon's pid
	_        uint32
	boot     [40]byte // /proc/sys/kernel/random/boot_id, zeros after it
	// groups is the cgroup that holds those of our processes, as
	// /proc/PID/cgroup has it, zeros after it; all zeros when there is none,
	// and when the name is longer.
	groups [1024]byte
}

var slotsMagic = [8]byte{'s', 'i', '-', 's', 'l', 'o', 't', 's'}

const (
	slotsVersion = 1
	slotSize     = int(unsafe.Sizeof(slot{}))
	// keepEnded is how many slots of ended processes are kept at least before
	// one is used again: a daemon that takes over finds there how processes
	// ended of which it had not heard.
	keepEnded = 512
)

// slotsChunk returns how many bytes of slots are mapped at a time; the head
// has as many to itself, since a mapping begins at a page.
func slotsChunk() int { return max(16<<10, os.Getpagesize()) }

// slots hands out slots. It belongs to the thread.
type slots struct {
	path string // of the file; empty for memory without a name
	fd   int    // -1 until there is a file
	head []byte // its mapping
	// unnamed: the file does not take its name before name is called.
	unnamed bool
	groups  string // for the head
	chunks  [][]byte
	free    []*slot
	ended   []*slot // the oldest first
}

// open makes the file, in place of one that another daemon left: children of
// that one in flight keep theirs.
func (t *slots) open() error {
	temporary := t.path + ".new"
	if err := os.Remove(temporary); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	fd, err := unix.Open(temporary, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return &os.PathError{Op: "open", Path: temporary, Err: err}
	}
	t.fd = fd
	if t.head, err = t.extend(0); err == nil {
		t.writeHead()
		if t.unnamed {
			return nil
		}
		if err = os.Rename(temporary, t.path); err == nil {
			return nil
		}
		unix.Munmap(t.head)
	}
	unix.Close(fd)
	os.Remove(temporary)
	t.fd, t.head = -1, nil
	return err
}

// name gives the file its name, when it was to wait for that.
func (t *slots) name() error {
	if !t.unnamed {
		return nil
	}
	if t.fd >= 0 {
		if err := os.Rename(t.path+".new", t.path); err != nil {
			return err
		}
	}
	t.unnamed = false
	return nil
}

func (t *slots) writeHead() {
	h := t.header()
	*h = slotsHead{
		magic: slotsMagic, version: slotsVersion,
		headSize: uint32(slotsChunk()), slotSize: uint32(slotSize),
		daemon: int32(os.Getpid()),
	}
	copy(h.boot[:], bootID())
	if len(t.groups) <= len(h.groups) {
		copy(h.groups[:], t.groups)
	}
}

func (t *slots) header() *slotsHead { return (*slotsHead)(unsafe.Pointer(&t.head[0])) }

// bootID names this run of the kernel; empty when the kernel does not tell.
func bootID() string {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil || len(text) < 36 {
		return ""
	}
	return string(text[:36])
}

// extend gives the file the nth chunk and maps it. What is mapped already
// stays where it is.
func (t *slots) extend(n int) ([]byte, error) {
	size := slotsChunk()
	offset := int64(n) * int64(size)
	err := fallocate(t.fd, 0, offset, int64(size))
	if errors.Is(err, unix.EOPNOTSUPP) {
		_, err = unix.Pwrite(t.fd, make([]byte, size), offset)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot enlarge %s: %w", t.path, err)
	}
	chunk, err := unix.Mmap(t.fd, offset, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("cannot map %s: %w", t.path, err)
	}
	return chunk, nil
}

// grow adds a chunk.
func (t *slots) grow() error {
	var chunk []byte
	var err error
	if t.path == "" {
		chunk, err = unix.Mmap(-1, 0, slotsChunk(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANON)
	} else {
		if t.fd < 0 {
			err = t.open()
		}
		if err == nil {
			chunk, err = t.extend(1 + len(t.chunks))
		}
	}
	if err != nil {
		return err
	}
	t.chunks = append(t.chunks, chunk)
	fresh := unsafe.Slice((*slot)(unsafe.Pointer(&chunk[0])), len(chunk)/slotSize)
	for i := range fresh {
		t.free = append(t.free, &fresh[len(fresh)-1-i])
	}
	if t.head != nil {
		atomic.StoreUint32(&t.header().count, uint32(len(t.chunks)*len(fresh)))
	}
	return nil
}

// take returns a slot for a process that is about to be made.
func (t *slots) take(id ProcID) (*slot, error) {
	if len(t.free) == 0 && len(t.ended) < keepEnded {
		if err := t.grow(); err != nil && len(t.ended) == 0 {
			return nil, err
		}
	}
	var s *slot
	if last := len(t.free) - 1; last >= 0 {
		s, t.free = t.free[last], t.free[:last]
	} else {
		s, t.ended = t.ended[0], t.ended[1:]
	}
	s.clear()
	s.id, s.asked = uint64(id), bootTime()
	s.setState(SlotInFlight)
	return s, nil
}

// bootTime returns nanoseconds since the kernel began, the clock of start
// times in /proc/PID/stat.
func bootTime() int64 {
	var now unix.Timespec
	syscall.RawSyscall(unix.SYS_CLOCK_GETTIME, unix.CLOCK_BOOTTIME, uintptr(unsafe.Pointer(&now)), 0)
	return now.Nano()
}

// put takes a slot back that has nothing to tell. No child may write to it
// any more.
func (t *slots) put(s *slot) {
	s.clear()
	t.free = append(t.free, s)
}

// retire takes back the slot of a process that has ended.
func (t *slots) retire(s *slot) { t.ended = append(t.ended, s) }

// close unmaps all. The file stays; a child in flight that does not share our
// memory keeps its own mapping.
func (t *slots) close() {
	for _, chunk := range t.chunks {
		unix.Munmap(chunk)
	}
	if t.head != nil {
		unix.Munmap(t.head)
	}
	t.closeFile()
	t.head, t.chunks, t.free, t.ended = nil, nil, nil, nil
}

func (t *slots) closeFile() {
	if t.fd >= 0 {
		unix.Close(t.fd)
		t.fd = -1
	}
}

// clear frees the slot before it forgets, for whoever reads the file.
func (s *slot) clear() {
	s.setState(SlotFree)
	*s = slot{}
}

func (s *slot) setState(state SlotState) { atomic.StoreUint32(&s.state, uint32(state)) }

// end notes how the process ended.
func (s *slot) end(status syscall.WaitStatus) {
	atomic.StoreUint32(&s.status, uint32(status))
	s.setState(SlotEnded)
}

// move notes that the process to follow is now another one, a descendant that
// began since the first was asked for.
func (s *slot) move(pid int) {
	s.began = unix.NsecToTimespec(bootTime())
	atomic.StoreInt32(&s.pid, int32(pid))
	// Counted last: who finds the number without it follows the process on, and
	// counts then.
	atomic.AddUint32(&s.index, 1)
	if SlotState(s.state) == SlotEnded {
		// That was the end of the one before.
		s.setState(SlotRunning)
	}
}

// loadPid returns the pid, 0 while there is none.
func (s *slot) loadPid() int { return int(atomic.LoadInt32(&s.pid)) }

// outcome returns how far the child came. It is final once the pipe has hung
// up.
func (s *slot) outcome() (step Step, index int, errno syscall.Errno, hint uint32) {
	return Step(atomic.LoadUint32(&s.step)), int(atomic.LoadUint32(&s.index)),
		syscall.Errno(atomic.LoadUint32(&s.errno)), uint32(s.hint)
}

// outputLost returns why the log could not be opened; 0 when it could.
func (s *slot) outputLost() syscall.Errno { return syscall.Errno(s.lost) }
