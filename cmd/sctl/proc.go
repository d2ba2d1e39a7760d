package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// procRoot is where the kernel tells of processes; see proc(5).
const procRoot = "/proc"

// ticks is the unit of times in /proc/PID/stat: USER_HZ, which is 100 on every
// architecture that we build for.
const ticks = time.Second / 100

// use is what a process has used.
type use struct {
	memory uint64 // bytes; of what it shares with others, its part
	cpu    time.Duration
}

// readUse reads what a process uses; ok is false when it is gone. Memory that
// may not be read in detail is counted with all that is shared.
func readUse(root string, pid int) (u use, ok bool) {
	fields, ok := readStat(root, pid)
	if !ok {
		return u, false
	}
	user, _ := strconv.ParseUint(fields[statUser], 10, 64)
	system, _ := strconv.ParseUint(fields[statSystem], 10, 64)
	u.cpu = time.Duration(user+system) * ticks
	if text, err := os.ReadFile(procFile(root, pid, "smaps_rollup")); err == nil {
		if kilobytes, found := kilobytesOf(text, "Pss:"); found {
			u.memory = kilobytes << 10
			return u, true
		}
	}
	pages, _ := strconv.ParseUint(fields[statResident], 10, 64)
	u.memory = pages * uint64(os.Getpagesize())
	return u, true
}

// Fields of /proc/PID/stat, from the one behind the name on.
const (
	statParent   = 1
	statUser     = 11
	statSystem   = 12
	statResident = 21
	statFields   = 22
)

// readStat gives the fields behind the name, which may hold anything.
func readStat(root string, pid int) (fields []string, ok bool) {
	text, err := os.ReadFile(procFile(root, pid, "stat"))
	if err != nil {
		return nil, false
	}
	end := bytes.LastIndexByte(text, ')')
	if end < 0 {
		return nil, false
	}
	fields = strings.Fields(string(text[end+1:]))
	return fields, len(fields) >= statFields
}

// parentOf gives the parent of a process, 0 for one that is gone.
func parentOf(root string, pid int) int {
	fields, ok := readStat(root, pid)
	if !ok {
		return 0
	}
	parent, _ := strconv.Atoi(fields[statParent])
	return parent
}

func procFile(root string, pid int, name string) string {
	return filepath.Join(root, strconv.Itoa(pid), name)
}

// kilobytesOf reads a line "NAME: 123 kB".
func kilobytesOf(text []byte, name string) (kilobytes uint64, found bool) {
	for line := range bytes.Lines(text) {
		rest, is := bytes.CutPrefix(line, []byte(name))
		if !is {
			continue
		}
		fields := bytes.Fields(rest)
		if len(fields) == 0 {
			return 0, false
		}
		kilobytes, err := strconv.ParseUint(string(fields[0]), 10, 64)
		return kilobytes, err == nil
	}
	return 0, false
}
