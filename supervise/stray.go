package supervise

import (
	"bytes"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
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
// left out, those that fell to the keeper when an earlier daemon died, and who
// else is in a cgroup of an owner. It reads /proc, so it is not for the thread.
func (s *Supervisor) Strays() []Stray {
	children := childrenOf
	if !hasChildrenFiles() {
		children = scanChildren()
	}
	var strays []Stray
	roots := []int{s.self}
	if keeper := s.keeper(); keeper != 0 {
		// We are its child too, and have been seen.
		roots = append(roots, keeper)
	}
	seen := map[int]bool{s.self: true}
	for queue := roots; len(queue) > 0; queue = queue[1:] {
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
	if s.groups.inherited.Load() {
		for _, pid := range s.groups.dir.Owned() {
			if command, alive := commandOf(pid); alive && !seen[pid] {
				seen[pid] = true
				strays = append(strays, Stray{Pid: pid, Command: command})
			}
		}
	}
	return strays
}

// WaitGone waits until none of these is there any more, or timeout is over. One
// that cannot be watched, for lack of descriptors, has all of that time.
func WaitGone(strays []Stray, timeout time.Duration) {
	deadline := time.Now().Add(timeout)
	for _, stray := range strays {
		fd, err := unix.PidfdOpen(stray.Pid, 0)
		if err == unix.ESRCH || err == unix.EINVAL {
			continue // it has been waited for, or is at this moment
		}
		// Of -1 nothing is told.
		gone := pollGone(fd, deadline)
		if err == nil {
			unix.Close(fd)
		}
		if !gone {
			return
		}
	}
}

func pollGone(fd int, deadline time.Time) bool {
	for {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, int(max(0, time.Until(deadline).Milliseconds())))
		if err != unix.EINTR {
			return n > 0
		}
	}
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
			s.lookInto(o)
			roots = append(roots, s.roots(o)...)
			// Who was found and has nobody any more was nobody's before.
			s.drop(o)
		}
		s.opts.Guard.Go("lister of processes", func() { list(roots) })
	}) {
		s.opts.Guard.Go("lister of processes", func() { f(nil) })
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
