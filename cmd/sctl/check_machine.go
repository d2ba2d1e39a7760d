package main

import (
	"bytes"
	"os"
	"os/user"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/lint"
)

// defaultPath is the PATH of jobs of a daemon that has none.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// lintWorld answers for a daemon that this user would start here and now, or
// for the machine's.
func (c *command) lintWorld() lint.World {
	path := c.getenv("PATH")
	system := c.forMachine()
	if path == "" || system {
		path = defaultPath
	}
	root := system || os.Geteuid() == 0
	return lint.World{
		Events:   c.options.ignoreEvents,
		Path:     path,
		Commands: []string{"sctl", "initctl", "start", "stop", "restart", "reload", "status", "emit"},
		Look:     look,
		User:     findUser,
		Group:    findGroup,
		Root:     root,
		UID:      uint32(os.Geteuid()),
		GID:      uint32(os.Getegid()),
		MinNice:  minNice(),
		MinOOM:   int(readNumber("/proc/self/oom_score_adj")),
		Ceiling:  func(resource int) (uint64, bool) { return ceiling(resource, root) },
		System:   system,
	}
}

func look(path string) lint.File {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return lint.Directory
	case err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0:
		return lint.Program
	case err == nil:
		return lint.Plain
	case os.IsNotExist(err) || reasonOf(err) == unix.ENOTDIR:
		return lint.Missing
	}
	return lint.Unknown
}

// findUser and findGroup look as the daemon does, by name, then by number.
func findUser(name string) (uint32, bool) {
	who, err := user.Lookup(name)
	if err != nil {
		if who, err = user.LookupId(name); err != nil {
			return 0, false
		}
	}
	return number(who.Uid)
}

func findGroup(name string) (uint32, bool) {
	group, err := user.LookupGroup(name)
	if err != nil {
		if group, err = user.LookupGroupId(name); err != nil {
			return 0, false
		}
	}
	return number(group.Gid)
}

func number(id string) (uint32, bool) {
	n, err := strconv.ParseUint(id, 10, 32)
	return uint32(n), err == nil
}

// ceiling gives the highest hard limit that a job can be given: our own, or for
// root whatever the kernel allows, which bounds descriptors alone.
func ceiling(resource int, root bool) (uint64, bool) {
	if root {
		if resource != unix.RLIMIT_NOFILE {
			return 0, false
		}
		most := readNumber("/proc/sys/fs/nr_open")
		return uint64(most), most > 0
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(resource, &limit); err != nil {
		return 0, false
	}
	return limit.Max, true
}

// minNice gives the lowest nice value that a process of ours can take, which
// is the one that it has, or that of RLIMIT_NICE; see getrlimit(2).
func minNice() int {
	low := 0
	if raw, err := unix.Getpriority(unix.PRIO_PROCESS, 0); err == nil {
		low = 20 - raw // the system call adds, so that no error is below 0
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NICE, &limit); err == nil {
		low = min(low, 20-int(min(limit.Cur, 40)))
	}
	return low
}

// readNumber reads a file of the kernel with one number, 0 if it cannot.
func readNumber(path string) int64 {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(bytes.TrimRight(text, "\x00"))), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
