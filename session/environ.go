package session

import (
	"slices"
	"strings"

	"github.com/session-init/session-init/events"
)

// defaultPath is PATH where the daemon has none.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// notInherited are variables that another manager set for the daemon itself.
// A job that saw them would notify the wrong one.
var notInherited = []string{"NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID",
	"WATCHDOG_PID", "WATCHDOG_USEC", "MAINPID", "MANAGERPID", "INVOCATION_ID", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID"}

// table makes the environment table of the daemon's own environment: PATH
// and TERM are always there; without inherit, nothing else is. runtime is
// the runtime directory when it is not the one of the environment.
func table(environ []string, inherit bool, runtime string) events.Env {
	own := events.Env(environ)
	path, ok := own.Get("PATH")
	if !ok || path == "" {
		path = defaultPath
	}
	term, ok := own.Get("TERM")
	if !ok {
		term = "linux"
	}
	out := events.Env{"PATH=" + path, "TERM=" + term}
	if inherit {
		for _, entry := range own {
			key, _, ok := events.SplitEntry(entry)
			if ok && key != "" && key != "PATH" && key != "TERM" && !slices.Contains(notInherited, key) && !strings.HasPrefix(key, "UPSTART_") {
				out = append(out, entry)
			}
		}
	}
	if runtime != "" {
		out = out.Set("XDG_RUNTIME_DIR=" + runtime)
	}
	return out
}
