// Package footprint gives back memory that the process does not need while it
// has nothing to do. It knows nothing of what the process is for.
package footprint

import (
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// GiveBack collects garbage, returns free memory to the kernel, and lets go of
// the pages of our program, of which a start maps all: those that are used
// again come back from the cache of files, one small fault for sixteen pages.
// A debugger loses its breakpoints by that. It takes a millisecond or so, and
// what the kernel refuses costs nothing but memory; see madvise(2).
func GiveBack() {
	debug.FreeOSMemory()
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return
	}
	for _, r := range programRanges(string(maps), program) {
		unix.RawSyscallNoError(unix.SYS_MADVISE, r.from, r.to-r.from, unix.MADV_DONTNEED)
	}
}

// Work gives back each time that it is asked, and returns when ended is closed.
// It is for a goroutine of its own, which stays: when one ends, Go looks up what
// it was called, and the pages for that would be back at once.
func Work(ask, ended <-chan struct{}) {
	for {
		select {
		case <-ask:
			GiveBack()
		case <-ended:
			return
		}
	}
}

// addresses are those from from to below to.
type addresses struct{ from, to uintptr }

// programRanges returns the mappings of a file which cannot be written to, so
// that they hold nothing but the file; see proc_pid_maps(5).
func programRanges(maps, program string) (list []addresses) {
	for line := range strings.Lines(maps) {
		// The path may hold blanks, and comes after five fields.
		fields := strings.Fields(line)
		if len(fields) < 6 || !strings.HasSuffix(line, " "+program+"\n") || !strings.HasPrefix(fields[1], "r-") {
			continue
		}
		from, to, _ := strings.Cut(fields[0], "-")
		a, errA := strconv.ParseUint(from, 16, strconv.IntSize)
		b, errB := strconv.ParseUint(to, 16, strconv.IntSize)
		if errA == nil && errB == nil && a < b {
			list = append(list, addresses{uintptr(a), uintptr(b)})
		}
	}
	return list
}
