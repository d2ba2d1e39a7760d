// Package footprint gives back memory that the process does not need while it
// has nothing to do. It knows nothing of what the process is for.
package footprint

import (
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
)

// GiveBack collects garbage, returns free memory to the kernel, and lets go of
// the pages of our program, of which a start maps all: those that are used
// again come back from the cache of files, one small fault for sixteen pages.
// It takes a millisecond or so, and what the kernel refuses, or does not tell,
// costs nothing but memory; see madvise(2).
func GiveBack() {
	// Looked at first, since that is garbage, too.
	ranges := ourRanges()
	debug.FreeOSMemory()
	for _, r := range ranges {
		_, _, _ = syscall.RawSyscall(syscall.SYS_MADVISE, r.from, r.to-r.from, syscall.MADV_DONTNEED)
	}
}

// ourRanges are the programRanges of this program; none where they are not to be
// known.
func ourRanges() []addresses {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return nil
	}
	smaps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return nil
	}
	return programRanges(string(smaps), program)
}

// Work gives back each time that it is asked, and returns when ended is closed.
// From the first time on garbage is collected when there is as much as what is
// used: for its start a program may have put that off, and a heap that has been
// large leaves tables behind which Go never gives back.
//
// It is for a goroutine of its own, which stays: when one ends, Go looks up what
// it was called, and the pages for that would be back at once.
func Work(ask, ended <-chan struct{}) {
	for started := false; ; {
		select {
		case <-ask:
			if !started {
				started = true
				debug.SetGCPercent(100)
			}
			GiveBack()
		case <-ended:
			return
		}
	}
}

// addresses are those from from to below to.
type addresses struct{ from, to uintptr }

// programRanges returns the mappings of a file which cannot be written to and
// hold nothing but the file, as /proc/PID/smaps says; see proc_pid_smaps(5). What
// is not writable any more may have been: the loader of a program that can lie
// anywhere writes addresses into its constants before they become so, and what
// the file has in that place is no program.
func programRanges(smaps, program string) (list []addresses) {
	var open bool // the last of the list may hold something else
	for line := range strings.Lines(smaps) {
		// Of a mapping, then of what it holds: "Anonymous:         4 kB".
		// The path may hold blanks, and comes after five fields.
		fields := strings.Fields(line)
		if len(fields) == 3 && fields[2] == "kB" {
			if open && fields[1] != "0" && (fields[0] == "Anonymous:" || fields[0] == "Swap:") {
				list, open = list[:len(list)-1], false
			}
			continue
		}
		if len(fields) == 0 || !strings.Contains(fields[0], "-") {
			continue
		}
		open = false
		if len(fields) < 6 || !strings.HasSuffix(line, " "+program+"\n") || !strings.HasPrefix(fields[1], "r-") {
			continue
		}
		from, to, _ := strings.Cut(fields[0], "-")
		a, errA := strconv.ParseUint(from, 16, strconv.IntSize)
		b, errB := strconv.ParseUint(to, 16, strconv.IntSize)
		if errA == nil && errB == nil && a < b {
			list, open = append(list, addresses{uintptr(a), uintptr(b)}), true
		}
	}
	return list
}
