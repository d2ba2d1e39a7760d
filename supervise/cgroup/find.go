package cgroup

import (
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
)

// Hierarchy is where a cgroup v2 hierarchy is mounted.
type Hierarchy struct {
	// Mount is the directory, Root the cgroup that it shows: "/" unless only
	// a part of the hierarchy was mounted.
	Mount, Root string
}

// File returns the directory of a cgroup, given as /proc/PID/cgroup has it;
// false when the mount does not show it.
func (h Hierarchy) File(group string) (string, bool) {
	rest, found := group, true
	if h.Root != "/" {
		rest, found = strings.CutPrefix(group, h.Root)
		found = found && (rest == "" || rest[0] == '/')
	}
	if !found || !path.IsAbs(group) || path.Clean(group) != group {
		return "", false
	}
	return path.Join(h.Mount, rest), true
}

// Find looks in the text of /proc/PID/mountinfo for a cgroup v2 hierarchy that
// shows a group; see proc_pid_mountinfo(5). With controllers of version 1
// beside it, it is usually at /sys/fs/cgroup/unified.
func Find(mountinfo, group string) (Hierarchy, error) {
	found := false
	for line := range strings.Lines(mountinfo) {
		mount, kind, ok := strings.Cut(line, " - ")
		fields, types := strings.Fields(mount), strings.Fields(kind)
		if !ok || len(fields) < 6 || len(types) == 0 || types[0] != "cgroup2" {
			continue
		}
		found = true
		h := Hierarchy{Mount: unescape(fields[4]), Root: unescape(fields[3])}
		if _, shown := h.File(group); shown {
			return h, nil
		}
	}
	if found {
		return Hierarchy{}, fmt.Errorf("no cgroup v2 file system that is mounted shows the group %s", group)
	}
	return Hierarchy{}, errors.New("no cgroup v2 file system is mounted")
}

// unescape reads what the kernel writes for blanks and the like: a backslash
// and three octal digits.
func unescape(text string) string {
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+3 < len(text) {
			if c, err := strconv.ParseUint(text[i+1:i+4], 8, 8); err == nil {
				out.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		out.WriteByte(text[i])
	}
	return out.String()
}

// GroupIn returns the group of version 2 in the text of /proc/PID/cgroup; see
// cgroups(7). One that was removed while a zombie was in it is none.
func GroupIn(text string) (string, bool) {
	for line := range strings.Lines(text) {
		if group, found := strings.CutPrefix(line, "0::"); found {
			group = strings.TrimSuffix(group, "\n")
			return group, path.IsAbs(group) && !strings.HasSuffix(group, " (deleted)")
		}
	}
	return "", false
}

// common returns the nearest group above both, or one that is above the other.
func common(a, b string) string {
	for a != "/" && a != b && !strings.HasPrefix(b, a+"/") {
		a = path.Dir(a)
	}
	return a
}

// pidsIn reads the pids of cgroup.procs. A process of another pid name space
// stands there as 0.
func pidsIn(text string) []int {
	var pids []int
	for field := range strings.FieldsSeq(text) {
		if pid, err := strconv.Atoi(field); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids
}

// isEmpty reads cgroup.events: whether no live process is in the group or below,
// and whether one that enters would run.
func isEmpty(text string) (empty, running bool) {
	running = true
	for line := range strings.Lines(text) {
		switch strings.TrimSpace(line) {
		case "populated 0":
			empty = true
		case "frozen 1":
			running = false
		}
	}
	return empty, running
}
