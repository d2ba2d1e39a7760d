package supervise

import (
	"bytes"
	"os"
	"slices"
	"strconv"
	"syscall"
)

// Stray is a process below us, as it is named in the log.
type Stray struct {
	Pid int
	// Command is what /proc/PID/cmdline holds, blanks between the words.
	Command string
	// Errno is why it could not be signalled, 0 when it was.
	Errno syscall.Errno
}

// Strays lists the processes that descend from us at this moment, zombies
// left out. It reads /proc, so it is not for the thread.
func (s *Supervisor) Strays() []Stray {
	children := childrenOf
	if !hasChildrenFiles() {
		children = scanChildren()
	}
	var strays []Stray
	seen := map[int]bool{s.self: true}
	for queue := []int{s.self}; len(queue) > 0; queue = queue[1:] {
		for _, pid := range children(queue[0]) {
			if seen[pid] {
				continue
			}
			seen[pid] = true
			queue = append(queue, pid)
			if command, alive := commandOf(pid); alive {
				strays = append(strays, Stray{Pid: pid, Command: command})
			}
		}
	}
	return strays
}

// Processes lists the live processes of an owner, and calls f with them on a
// goroutine of its own: what a process runs is read from its memory, which may
// take its time. Those that we made come first.
func (s *Supervisor) Processes(id uint64, f func([]Stray)) {
	list := func(roots []int) {
		children := childrenOf
		if !hasChildrenFiles() {
			children = scanChildren()
		}
		var found []Stray
		seen := make(map[int]bool)
		for queue := roots; len(queue) > 0; queue = queue[1:] {
			pid := queue[0]
			st, ok := statOf(pid)
			if seen[pid] || !ok || !st.alive() {
				continue
			}
			seen[pid] = true
			command, ok := commandOf(pid)
			if !ok {
				command = st.command
			}
			found = append(found, Stray{Pid: pid, Command: command})
			queue = append(queue[:len(queue):len(queue)], children(pid)...)
		}
		f(found)
	}
	if !s.send(func() {
		s.lookForStrays()
		var roots []int
		for _, p := range s.byID {
			if p.owner != nil && p.owner.id == id && p.pid != 0 && !p.ended {
				roots = append(roots, p.pid)
			}
		}
		slices.Sort(roots)
		if o := s.belong.owners[id]; o != nil {
			roots = append(roots, s.roots(o)...)
			// Who was found and has nobody any more was nobody's before.
			s.drop(o)
		}
		go list(roots)
	}) {
		go f(nil)
	}
}

// commandOf reads what a process runs. A zombie has no command line.
func commandOf(pid int) (command string, alive bool) {
	dir := "/proc/" + strconv.Itoa(pid)
	line, err := os.ReadFile(dir + "/cmdline")
	if err != nil || len(line) == 0 {
		return "", false
	}
	return string(bytes.TrimRight(bytes.ReplaceAll(line, []byte{0}, []byte{' '}), " ")), true
}
