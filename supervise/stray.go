package supervise

import (
	"bytes"
	"os"
	"strconv"
)

// Stray is a process below us, as it is named in the log.
type Stray struct {
	Pid int
	// Command is what /proc/PID/cmdline holds, blanks between the words.
	Command string
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

// commandOf reads what a process runs. A zombie has no command line.
func commandOf(pid int) (command string, alive bool) {
	dir := "/proc/" + strconv.Itoa(pid)
	line, err := os.ReadFile(dir + "/cmdline")
	if err != nil || len(line) == 0 {
		return "", false
	}
	return string(bytes.TrimRight(bytes.ReplaceAll(line, []byte{0}, []byte{' '}), " ")), true
}
