package supervise

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// walkRounds bounds how often a tree is walked again because it has grown.
const walkRounds = 16

// signalTree sends a signal once to each process below us, parents first,
// and looks again until nothing new is found: a process may fork before the
// signal reaches it.
func (s *Supervisor) signalTree(sig syscall.Signal) {
	spared := make(map[int]bool)
	for pid, p := range s.byPid {
		if p.late {
			spared[pid] = true
		}
	}
	for pid, p := range s.helpers {
		if p.late {
			spared[pid] = true
		}
	}
	told := make(map[int]bool)
	for range walkRounds {
		children := childrenOf
		if !hasChildrenFiles() {
			children = scanChildren()
		}
		fresh := s.signalBelow(s.self, children, sig, told, spared)
		if keeper := s.keeper(); keeper != 0 {
			// What fell to it when an earlier daemon died.
			fresh += s.signalBelow(keeper, func(pid int) []int {
				if pid == keeper {
					return s.uncles()
				}
				return children(pid)
			}, sig, told, spared)
		}
		fresh += s.signalOutside(sig, told)
		if fresh == 0 {
			return
		}
	}
}

// signalBelow signals what descends from parent and counts those that were
// not told before. It does not recurse, so that a long chain costs no stack.
func (s *Supervisor) signalBelow(parent int, children func(int) []int, sig syscall.Signal, told, spared map[int]bool) (fresh int) {
	seen := map[int]bool{parent: true}
	for queue := []int{parent}; len(queue) > 0; queue = queue[1:] {
		for _, pid := range children(queue[0]) {
			if seen[pid] || spared[pid] {
				continue
			}
			seen[pid] = true
			queue = append(queue, pid)
			if !told[pid] && s.signalChild(pid, queue[0], sig) {
				told[pid] = true
				fresh++
			}
		}
	}
	return fresh
}

// signalChild signals pid if it is a child of parent, or of ours by now. Our
// own children are not reaped while we look; others could be, and their pid
// given away, so these are pinned by a pidfd before they are looked at.
func (s *Supervisor) signalChild(pid, parent int, sig syscall.Signal) bool {
	if parent == s.self {
		return unix.Kill(pid, sig) == nil
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	if ppid, ok := parentOf(pid); !ok || ppid != parent && ppid != s.self {
		return false
	}
	return unix.PidfdSendSignal(fd, sig, nil, 0) == nil
}

// hasChildrenFiles tells whether the kernel lists the children of a task.
func hasChildrenFiles() bool {
	_, err := os.Stat(fmt.Sprintf("/proc/self/task/%d/children", os.Getpid()))
	return err == nil
}

// childrenOf returns the children of a process, of all its threads.
func childrenOf(pid int) []int {
	dir := "/proc/" + strconv.Itoa(pid) + "/task"
	tasks, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var pids []int
	for _, task := range tasks {
		// A task that is gone has none.
		more, _ := childrenIn(dir + "/" + task.Name() + "/children")
		pids = append(pids, more...)
	}
	return pids
}

// steadyReads bounds how often a list of children is read that goes on changing.
const steadyReads = 8

// childrenIn reads a list of children that others wait for meanwhile.
func childrenIn(path string) (pids []int, err error) {
	text := steady(func() (text []byte) {
		text, err = os.ReadFile(path)
		return text
	})
	return parsePids(string(text)), err
}

// steady reads such a list until it is the same twice. The kernel finds the next
// child by the last one that it has told, and when somebody waits for that one in
// between it goes by number, and leaves out one that lives; see children_seq_next
// in fs/proc/array.c.
func steady(read func() []byte) []byte {
	last := read()
	for range steadyReads {
		now := read()
		if bytes.Equal(now, last) {
			break
		}
		last = now
	}
	return last
}

// parsePids reads numbers with blanks between them; what is none is left out.
func parsePids(text string) []int {
	var pids []int
	for _, field := range strings.Fields(text) {
		if pid, err := strconv.ParseInt(field, 10, 32); err == nil && pid > 0 {
			pids = append(pids, int(pid))
		}
	}
	return pids
}

// scanChildren reads the whole process table once, for kernels that do not
// list children, and returns a childrenOf for that moment.
func scanChildren() func(int) []int {
	below := make(map[int][]int)
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return func(int) []int { return nil }
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if ppid, ok := parentOf(pid); ok {
			below[ppid] = append(below[ppid], pid)
		}
	}
	return func(pid int) []int { return below[pid] }
}

// parentOf asks the kernel for the parent of a process.
func parentOf(pid int) (int, bool) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, false
	}
	return parseParent(data)
}

// parseParent finds the parent in a line of /proc/PID/stat, in which the name
// of the program stands in parentheses and may hold anything, these too.
func parseParent(stat []byte) (int, bool) {
	_, rest, found := bytes.Cut(stat[max(bytes.LastIndexByte(stat, ')'), 0):], []byte(") "))
	fields := bytes.Fields(rest)
	if !found || len(fields) < 2 {
		return 0, false
	}
	ppid, err := strconv.ParseInt(string(fields[1]), 10, 32)
	return int(ppid), err == nil && ppid >= 0
}
