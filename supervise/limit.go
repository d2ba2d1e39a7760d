package supervise

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// limitNames are the resources as job files name them.
var limitNames = [...]string{
	unix.RLIMIT_CPU:        "cpu",
	unix.RLIMIT_FSIZE:      "fsize",
	unix.RLIMIT_DATA:       "data",
	unix.RLIMIT_STACK:      "stack",
	unix.RLIMIT_CORE:       "core",
	unix.RLIMIT_RSS:        "rss",
	unix.RLIMIT_NPROC:      "nproc",
	unix.RLIMIT_NOFILE:     "nofile",
	unix.RLIMIT_MEMLOCK:    "memlock",
	unix.RLIMIT_AS:         "as",
	unix.RLIMIT_LOCKS:      "locks",
	unix.RLIMIT_SIGPENDING: "sigpending",
	unix.RLIMIT_MSGQUEUE:   "msgqueue",
	unix.RLIMIT_NICE:       "nice",
	unix.RLIMIT_RTPRIO:     "rtprio",
	unix.RLIMIT_RTTIME:     "rttime",
}

// String gives "nofile 1024 4096", or one number when both are the same.
func (l Limit) String() string {
	name := strconv.Itoa(l.Resource)
	if l.Resource >= 0 && l.Resource < len(limitNames) {
		name = limitNames[l.Resource]
	}
	if l.Soft == l.Hard {
		return name + " " + limitValue(l.Soft)
	}
	return name + " " + limitValue(l.Soft) + " " + limitValue(l.Hard)
}

func limitValue(v uint64) string {
	if v == unix.RLIM_INFINITY {
		return "unlimited"
	}
	return strconv.FormatUint(v, 10)
}
