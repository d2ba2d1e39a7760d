package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// noteEnd adds sentences about the end of a process that session-init does not
// know: where a core file is, and whether the kernel was short of memory.
func (q *whyQuestion) noteEnd(end *whyEnd) {
	if end.Core {
		end.Notes = append(end.Notes, coreNote(q.corePattern(), end.Pid))
	}
	if end.Signal == "KILL" && end.Sender == "others" {
		end.Notes = append(end.Notes, q.memoryNote(end.Pid))
	}
}

// coreNote says where a core file is, by a pattern of core(5).
func coreNote(pattern string, pid int) string {
	pattern = strings.TrimSpace(pattern)
	program, piped := strings.CutPrefix(pattern, "|")
	program, _, _ = strings.Cut(strings.TrimSpace(program), " ")
	where := strings.NewReplacer("%%", "%", "%p", strconv.Itoa(pid), "%P", strconv.Itoa(pid)).Replace(pattern)
	switch {
	case pattern == "":
		return "it dumped core; where, the kernel does not say"
	case piped && strings.Contains(program, "systemd-coredump"):
		return fmt.Sprintf("it dumped core: coredumpctl info %d", pid)
	case piped:
		return "it dumped core, which the kernel handed to " + program
	case filepath.IsAbs(where):
		return "it dumped core: " + where
	}
	return "it dumped core, named " + where + ", into its working directory"
}

// memoryNote says what is known of a KILL that was not ours. The kernel sends
// one when memory runs out.
func (q *whyQuestion) memoryNote(pid int) string {
	if lines, ok := q.kernelLog(); ok {
		for _, line := range lines {
			if strings.Contains(line, fmt.Sprintf("Killed process %d ", pid)) {
				return "the kernel's log says that it was killed for lack of memory"
			}
		}
		return "it was not the kernel for lack of memory, as far as its log goes back"
	}
	if group, kills := q.memoryKills(); kills > 0 {
		return fmt.Sprintf("perhaps it was the kernel, for lack of memory: in %s that has ended %d", group, kills)
	}
	return "perhaps it was the kernel, for lack of memory: its log may not be read"
}

func corePattern() string {
	text, err := os.ReadFile("/proc/sys/kernel/core_pattern")
	if err != nil {
		return ""
	}
	return string(text)
}

// kernelLog reads what the kernel has said, without waiting for more; see
// dev-kmsg of the kernel's documentation.
func kernelLog() ([]string, bool) {
	fd, err := unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, false
	}
	defer unix.Close(fd)
	var lines []string
	record := make([]byte, 8192)
	for {
		n, err := unix.Read(fd, record)
		switch {
		case err == unix.EPIPE || err == unix.EINTR:
			continue // what was next is overwritten by now
		case err != nil || n <= 0:
			return lines, len(lines) > 0
		}
		lines = append(lines, string(record[:n]))
	}
}

// memoryKills looks for the innermost cgroup of ours that counts processes
// killed for lack of memory; see memory.events of cgroups(7).
func memoryKills() (group string, kills int) {
	const root = "/sys/fs/cgroup"
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", 0
	}
	for line := range strings.Lines(string(text)) {
		path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::")
		for ; ok && path != "/" && path != "."; path = filepath.Dir(path) {
			events, err := os.ReadFile(filepath.Join(root, path, "memory.events"))
			if err != nil {
				continue
			}
			for entry := range strings.Lines(string(events)) {
				if n, is := strings.CutPrefix(strings.TrimSpace(entry), "oom_kill "); is {
					if kills, _ := strconv.Atoi(n); kills > 0 {
						return path, kills
					}
				}
			}
		}
	}
	return "", 0
}
