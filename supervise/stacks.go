package supervise

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The stacks of children that share our memory. Two children make a process:
// both run on one block, the first on the part at the top.
//
//	guard | <--- second child | <-- first child
//
// No signal reaches the first child, and Go's linker bounds what functions
// use that may not grow their stack (to 800 bytes); the second may also run
// vmDie, on top of a frame of the kernel that has 12 KiB with AMX. A page
// that nobody touched takes no memory: a process in flight has one or two.
const (
	firstStack = 2 << 10
	stackSize  = 32 << 10
	// chunkBlocks is how many blocks are mapped at a time, stackLimit how
	// many there may be: beyond that, children get a copy of our memory.
	chunkBlocks = 16
	stackLimit  = 512
	// stackSpare is how many blocks stay when nothing is in flight: the pages
	// that were used stay with them.
	stackSpare = chunkBlocks
)

// stacks hands out blocks. The zero value is ready.
type stacks struct {
	chunks []unsafe.Pointer // of chunkBlocks each
	free   []uintptr        // the upper ends
}

// blockSize returns the size of a guard page and the stack above it.
func blockSize() int { return os.Getpagesize() + max(os.Getpagesize(), stackSize) }

// take returns the upper end of a block, 0 when there is none to be had.
func (t *stacks) take() uintptr {
	if len(t.free) == 0 && (len(t.chunks)*chunkBlocks >= stackLimit || t.grow() != nil) {
		return 0
	}
	last := len(t.free) - 1
	top := t.free[last]
	t.free = t.free[:last]
	return top
}

func (t *stacks) grow() error {
	block, guard := uintptr(blockSize()), uintptr(os.Getpagesize())
	chunk, err := unix.MmapPtr(-1, 0, nil, chunkBlocks*block, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE|unix.MAP_STACK)
	if err != nil {
		return fmt.Errorf("cannot map stacks: %w", err)
	}
	for at := uintptr(0); at < chunkBlocks*block; at += block {
		if err := unix.Mprotect(unsafe.Slice((*byte)(unsafe.Add(chunk, at)), guard), unix.PROT_NONE); err != nil {
			unix.MunmapPtr(chunk, chunkBlocks*block)
			return fmt.Errorf("cannot guard stacks: %w", err)
		}
	}
	t.chunks = append(t.chunks, chunk)
	t.hand(chunk)
	return nil
}

// hand adds the blocks of a chunk to the free ones, so that the first is
// taken first.
func (t *stacks) hand(chunk unsafe.Pointer) {
	block := uintptr(blockSize())
	for i := uintptr(chunkBlocks); i > 0; i-- {
		t.free = append(t.free, uintptr(chunk)+i*block)
	}
}

// put takes a block back. No child may run on it any more.
func (t *stacks) put(top uintptr) {
	t.free = append(t.free, top)
	// After a burst of starts the memory goes back, once none is in use.
	if len(t.chunks)*chunkBlocks > stackSpare && len(t.free) == len(t.chunks)*chunkBlocks {
		t.shrink(stackSpare / chunkBlocks)
	}
}

// shrink unmaps all chunks but some. Every block must be free.
func (t *stacks) shrink(keep int) {
	for _, chunk := range t.chunks[keep:] {
		unix.MunmapPtr(chunk, chunkBlocks*uintptr(blockSize()))
	}
	t.chunks, t.free = t.chunks[:keep], nil
	for _, chunk := range t.chunks {
		t.hand(chunk)
	}
}
