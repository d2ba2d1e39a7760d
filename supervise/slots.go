package supervise

import (
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// slot is where the kernel and a child in flight write to us: memory that is
// shared with the child, also when the rest is a copy. Go's collector does
// not know this memory, so it holds numbers only.
type slot struct {
	helper int32  // pid of the first child when there is a second, by the kernel
	pid    int32  // pid of the process, by the kernel, before it can run
	step   uint32 // the Step that the child is at
	index  uint32 // which of the step's arguments
	errno  uint32 // why the step failed; 0 while it has not
	hint   uint32 // one of the hints below
	_      [2]uint32
}

// What a child found out about its failure beyond the errno.
const (
	hintNone uint32 = iota
	hintInterpreter
)

// slots hands out slots. The zero value is ready.
type slots struct {
	pages [][]byte
	free  []*slot
}

// take returns an empty slot.
func (t *slots) take() (*slot, error) {
	if len(t.free) == 0 {
		page, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANON)
		if err != nil {
			return nil, fmt.Errorf("cannot map memory: %w", err)
		}
		t.pages = append(t.pages, page)
		fresh := unsafe.Slice((*slot)(unsafe.Pointer(&page[0])), len(page)/int(unsafe.Sizeof(slot{})))
		for i := range fresh {
			t.free = append(t.free, &fresh[i])
		}
	}
	last := len(t.free) - 1
	s := t.free[last]
	t.free = t.free[:last]
	return s, nil
}

// put takes a slot back. No child may write to it any more.
func (t *slots) put(s *slot) {
	*s = slot{}
	t.free = append(t.free, s)
}

// close unmaps all. A child in flight keeps its own mapping.
func (t *slots) close() {
	for _, page := range t.pages {
		unix.Munmap(page)
	}
	t.pages, t.free = nil, nil
}

// loadPid returns the pid, 0 while there is none.
func (s *slot) loadPid() int { return int(atomic.LoadInt32(&s.pid)) }

// outcome returns how far the child came. It is final once the pipe has hung
// up.
func (s *slot) outcome() (step Step, index int, errno syscall.Errno, hint uint32) {
	return Step(atomic.LoadUint32(&s.step)), int(atomic.LoadUint32(&s.index)),
		syscall.Errno(atomic.LoadUint32(&s.errno)), atomic.LoadUint32(&s.hint)
}
