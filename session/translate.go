package session

import (
	"fmt"
	"hash/fnv"
	"path/filepath"
	"strings"

	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
	"github.com/session-init/session-init/supervise"
)

// translator turns what the engine asks for into what the supervisor takes.
type translator struct {
	// logDir is where "console log" writes; empty when nothing is logged.
	logDir string
	// console is what a job gets that does not say.
	console job.Console
	// terminal says whether the daemon was started on one.
	terminal bool
	// notifyDir is where the sockets of NOTIFY_SOCKET are.
	notifyDir string
}

// spec describes a process. warning is a sentence for the log, or empty.
func (t translator) spec(s engine.Spawn) (spec supervise.Spec, warning string) {
	def := s.Class
	command := def.Processes[s.Kind].Command()
	spec = supervise.Spec{
		ID:       supervise.ProcID(s.Proc),
		Owner:    s.Owner,
		Path:     command.Argv[0],
		Argv:     command.Argv,
		Script:   command.Script,
		Env:      s.Env,
		Dir:      def.Chdir,
		Chroot:   def.Chroot,
		Leader:   def.SessionLeader && s.Kind == job.Main,
		Umask:    def.Umask,
		Nice:     def.Nice,
		OOMScore: def.OOMScore,
	}
	for _, limit := range def.Limits {
		spec.Limits = append(spec.Limits, supervise.Limit(limit))
	}
	if s.Kind == job.Main {
		spec.Follow = follow[def.Expect]
	}
	console, warning := t.consoleOf(def)
	switch {
	case console == job.ConsoleOutput:
		spec.Output = supervise.OutputTerminal
	case console == job.ConsoleOwner:
		spec.Output, spec.OwnTerminal, spec.Leader = supervise.OutputTerminal, true, true
	case t.logPath(def, s.Instance) != "":
		spec.Output = supervise.OutputFile
		if console == job.ConsolePTY {
			spec.Output = supervise.OutputPTY
		}
		spec.LogPath = t.logPath(def, s.Instance)
		spec.LogLimit = supervise.LogLimit(def.LogLimit)
		spec.Label = def.Name
	}
	t.notifies(&spec, s)
	return spec, warning
}

// consoleOf says where a job's output goes: as it asks, or as there is no
// terminal, and then a sentence about that.
func (t translator) consoleOf(def *job.Class) (console job.Console, warning string) {
	console = def.Console
	if console == job.ConsoleDefault {
		console = t.console
	}
	if (console == job.ConsoleOutput || console == job.ConsoleOwner) && !t.terminal {
		warning = fmt.Sprintf("%s: 'console %s' needs a terminal and session-init was started on none: its output is logged", def.Name, console)
		console = job.ConsoleLog
	}
	return console, warning
}

// logPath is the log file of an instance; empty when its output is not logged.
func (t translator) logPath(def *job.Class, instance string) string {
	console, _ := t.consoleOf(def)
	if (console == job.ConsoleLog || console == job.ConsolePTY) && t.logDir != "" {
		return filepath.Join(t.logDir, logName(def.Name, instance))
	}
	return ""
}

var follow = [...]supervise.Follow{
	job.ExpectNone:   supervise.FollowNone,
	job.ExpectStop:   supervise.FollowStop,
	job.ExpectDaemon: supervise.FollowDaemon,
	job.ExpectFork:   supervise.FollowFork,
	job.ExpectListen: supervise.FollowListen,
	job.ExpectNotify: supervise.FollowNotify,
	job.ExpectDBus:   supervise.FollowClaim,
}

// maxLogName keeps the names of log files below what file systems take
// (255 bytes), room for ".log" and what the older parts add included.
const maxLogName = 200

// logName is the name of an instance's log file: JOB.log or
// JOB-INSTANCE.log, "/" as "_". A name too long for a file is cut and told
// from others by a hash; NUL cannot stand in one.
func logName(class, instance string) string {
	name := class
	if instance != "" {
		name += "-" + instance
	}
	whole := name
	if strings.ContainsAny(name, "/\x00") {
		name = strings.ReplaceAll(strings.ReplaceAll(name, "/", "_"), "\x00", "_")
	}
	if len(name) > maxLogName {
		h := fnv.New64a()
		h.Write([]byte(whole))
		name = fmt.Sprintf("%s-%016x", name[:maxLogName], h.Sum64())
	}
	return name + ".log"
}

// input turns what the supervisor reports into what the engine takes; nil
// for what is no news of a process of a job.
func input(event supervise.Event) engine.Input {
	switch event := event.(type) {
	case supervise.Spawned:
		return engine.Spawned{Proc: engine.ProcID(event.ID), Pid: event.Pid}
	case supervise.SpawnFailed:
		return engine.SpawnFailed{Proc: engine.ProcID(event.ID), Reason: event.SpawnError.Error()}
	case supervise.Forked:
		return engine.Forked{Proc: engine.ProcID(event.ID), Pid: event.Pid}
	case supervise.Settled:
		if event.Blind {
			// It counts as ready.
			return engine.Forked{Proc: engine.ProcID(event.ID), Pid: event.Pid}
		}
		return engine.FollowEnded{Proc: engine.ProcID(event.ID), Forks: event.Forks}
	case supervise.Listens:
		return engine.Ready{Proc: engine.ProcID(event.ID), How: "listens on " + strings.Join(event.On, ", ")}
	case supervise.Notified:
		return notified(event)
	case supervise.Found:
		return found(event)
	case supervise.SelfStopped:
		return engine.SelfStopped{Proc: engine.ProcID(event.ID)}
	case supervise.Exited:
		return engine.Exited{Proc: engine.ProcID(event.ID), Status: event.Status, Signal: int(event.Signal), Core: event.Core, Left: event.Left}
	case supervise.Swept:
		return engine.Swept{Owner: event.Owner, Signal: int(event.Signal), Strays: strays(event.Strays), Spared: strays(event.Spared)}
	case supervise.Vacated:
		return engine.Vacated{Owner: event.Owner}
	}
	return nil
}

func strays(list []supervise.Stray) []engine.Stray {
	var out []engine.Stray
	for _, s := range list {
		stray := engine.Stray{Pid: s.Pid, Command: s.Command}
		if s.Errno != 0 {
			stray.Refused = s.Errno.Error()
		}
		out = append(out, stray)
	}
	return out
}
