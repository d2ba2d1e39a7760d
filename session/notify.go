package session

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
	"github.com/session-init/session-init/supervise"
)

// What a job has to know to say how it is; see sd_notify(3). The sockets are
// those of package supervise, which can tell who a sender is; here are their
// names.

// notifies gives a spec the socket and the variables of a job that is to say
// how it is: main, and the hooks that run beside it, which may speak for it.
// Nothing that the job sets is stronger.
func (t translator) notifies(spec *supervise.Spec, s engine.Spawn) {
	def := s.Class
	if !def.Notifies() || s.Kind == job.PreStart || s.Kind == job.PostStop {
		return
	}
	path := t.notifyPath(def, s.Instance)
	if s.Kind != job.Main {
		path = t.boundPath(def, s.Instance)
	}
	env := events.Env(spec.Env).Clone().Set("NOTIFY_SOCKET=" + path)
	if s.Kind == job.Main {
		spec.Notify, spec.Label = path, def.Name
		if def.Watchdog > 0 {
			env = env.Set("WATCHDOG_USEC=" + strconv.FormatInt(def.Watchdog.Microseconds(), 10)).Unset("WATCHDOG_PID")
			spec.PidVariables = []string{"WATCHDOG_PID"}
		}
	}
	spec.Env = env
}

// notifyPath names the socket of an instance, the same as long as there is a
// session: a path below the runtime directory, with a number, since "a-b" is the
// job a-b as well as the instance b of a. It is an abstract name, see unix(7),
// where that would be too long, and where the processes would not find or reach
// the path: in another root, or as another user.
func (t translator) notifyPath(def *job.Class, instance string) string {
	h := fnv.New64a()
	h.Write([]byte(def.Name + "\x00" + instance))
	number := fmt.Sprintf("%016x", h.Sum64())
	if def.Chroot+def.Setuid+def.Setgid == "" {
		path := t.formerPath(def, instance) + "-" + number
		if len(path) > maxSocketPath {
			path = filepath.Join(t.notifyDir, number)
		}
		if len(path) <= maxSocketPath {
			return path
		}
	}
	h.Write([]byte("\x00" + t.notifyDir))
	return fmt.Sprintf("@session-init-%s-%016x", number, h.Sum64())
}

// boundPath names the socket of an instance that has begun: that of a main that
// is older than the numbers in the names goes on to be where it is.
func (t translator) boundPath(def *job.Class, instance string) string {
	path, former := t.notifyPath(def, instance), t.formerPath(def, instance)
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) && !strings.HasPrefix(path, "@") {
		if info, err := os.Lstat(former); err == nil && info.Mode().Type() == fs.ModeSocket {
			return former
		}
	}
	return path
}

// formerPath is the name of an instance's socket without a number, which
// several may have.
func (t translator) formerPath(def *job.Class, instance string) string {
	return filepath.Join(t.notifyDir, strings.TrimSuffix(logName(def.Name, instance), ".log"))
}

// notified turns what a job says into what the engine takes.
func notified(n supervise.Notified) engine.Notified {
	out := engine.Notified{
		Proc: engine.ProcID(n.ID), Ready: n.Ready, Reloading: n.Reloading, Stopping: n.Stopping,
		HasStatus: n.HasStatus, Status: n.Status, Extend: n.Extend, Alive: n.Alive, Trigger: n.Trigger,
		HasInterval: n.HasInterval, Interval: n.Interval,
	}
	if n.Errno != 0 {
		out.Errno = fmt.Sprintf("%s (%d)", n.Errno.Error(), int(n.Errno))
	}
	return out
}
