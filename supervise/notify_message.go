package supervise

import (
	"bytes"
	"math"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"
)

// Notification is what a datagram of sd_notify(3) says. Assignments that are
// not known, and values that are none, say nothing.
type Notification struct {
	// Of the first three one is set at most: a message that holds several says
	// STOPPING=1 before READY=1 before RELOADING=1, as systemd takes it.
	Ready, Reloading, Stopping bool
	// Since is the MONOTONIC_USEC= that comes with RELOADING=1, 0 for none.
	Since time.Duration
	// Status is the text of STATUS=, when HasStatus is set; it may be empty.
	HasStatus bool
	Status    string
	Errno     syscall.Errno
	MainPid   int // 0 for none
	// Extend is EXTEND_TIMEOUT_USEC=, 0 for none.
	Extend time.Duration
	// Alive is WATCHDOG=1, Trigger is WATCHDOG=trigger.
	Alive, Trigger bool
	// Interval is WATCHDOG_USEC=, when HasInterval is set; 0 is no watchdog.
	HasInterval bool
	Interval    time.Duration

	barrier bool // BARRIER=1
	more    bool // something stood beside that
	// store is FDSTORE=1, remove FDSTOREREMOVE=1, name FDNAME=.
	store, remove bool
	name          string
}

// maxErrno is beyond every errno; see MAX_ERRNO in include/linux/err.h.
const maxErrno = 4095

// parseNotification reads a datagram. It is false for one that holds a NUL
// byte other than at its end. Of several assignments of one variable the first
// counts.
func parseNotification(data []byte) (n Notification, ok bool) {
	data = bytes.TrimRight(data, "\x00")
	if bytes.IndexByte(data, 0) >= 0 {
		return n, false
	}
	seen := make(map[string]bool)
	lines := 0
	for line := range strings.Lines(string(data)) {
		key, value, assigned := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if key == "" && !assigned {
			continue
		}
		lines++
		if assigned && !seen[key] {
			seen[key] = true
			n.take(key, value)
		}
	}
	n.more = lines > 1
	switch {
	case n.Stopping:
		n.Ready, n.Reloading = false, false
	case n.Ready:
		n.Reloading = false
	}
	return n, true
}

func (n *Notification) take(key, value string) {
	switch key {
	case "READY":
		n.Ready = value == "1"
	case "RELOADING":
		n.Reloading = value == "1"
	case "STOPPING":
		n.Stopping = value == "1"
	case "MONOTONIC_USEC":
		n.Since, _ = microseconds(value)
	case "STATUS":
		if utf8.ValidString(value) {
			n.HasStatus, n.Status = true, strings.TrimSpace(value)
		}
	case "ERRNO":
		if number, err := strconv.ParseUint(value, 10, 32); err == nil && number <= maxErrno {
			n.Errno = syscall.Errno(number)
		}
	case "MAINPID":
		if pid, err := strconv.ParseInt(value, 10, 32); err == nil && pid > 0 {
			n.MainPid = int(pid)
		}
	case "EXTEND_TIMEOUT_USEC":
		n.Extend, _ = microseconds(value)
	case "WATCHDOG":
		n.Alive, n.Trigger = value == "1", value == "trigger"
	case "WATCHDOG_USEC":
		n.Interval, n.HasInterval = microseconds(value)
	case "BARRIER":
		n.barrier = value == "1"
	case "FDSTORE":
		n.store = value == "1"
	case "FDSTOREREMOVE":
		n.remove = value == "1"
	case "FDNAME":
		n.name = value
	}
}

// says tells whether there is anything to report.
func (n Notification) says() bool {
	n.barrier, n.more, n.store, n.remove, n.name = false, false, false, false, ""
	return n != Notification{}
}

// maxWait is for ever: a longer time counts as this. It leaves room to add it
// to another.
const maxWait = time.Duration(math.MaxInt64 / 4)

// microseconds reads a time as systemd writes it.
func microseconds(text string) (time.Duration, bool) {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, false
	}
	return time.Duration(min(n, uint64(maxWait/time.Microsecond))) * time.Microsecond, true
}
