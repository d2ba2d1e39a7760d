package session

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
	"github.com/session-init/session-init/supervise"
)

// What is wrong with the output of a job is said once, however often it is
// started, and again when something else is wrong.
func TestComplainOnce(t *testing.T) {
	var out bytes.Buffer
	l := &Loop{log: slog.New(slog.NewTextHandler(&out, nil))}
	lost := supervise.OutputLost{ID: 1, Label: "svc", Path: "/logs/svc.log", Errno: unix.EACCES}
	again, other, full := lost, lost, lost
	again.ID, again.Path = 2, "/logs/svc-i.log"
	other.Label = "other"
	full.Errno = unix.ENOSPC
	fault := supervise.OutputFault{ID: 1, Label: "svc", Path: "/logs/svc.log", Problem: supervise.ProblemFull, Errno: unix.ENOSPC}
	write := fault
	write.Problem = supervise.ProblemWrite
	l.supervised([]supervise.Event{lost, lost, again, other, full, fault, write})
	l.supervised([]supervise.Event{lost, again, other, full, fault, write})
	taken, _ := l.inbox.take(100)
	for _, m := range taken {
		if m.input != nil {
			t.Errorf("%+v became an input %+v", lost, m.input)
			continue
		}
		m.call(engine.View{})
	}
	want := []string{
		`level=WARN msg="cannot open log file /logs/svc.log: permission denied: its output is lost" job=svc`,
		`level=WARN msg="cannot open log file /logs/svc.log: permission denied: its output is lost" job=other`,
		`level=WARN msg="cannot open log file /logs/svc.log: no space left on device: its output is lost" job=svc`,
		`level=WARN msg="no space is left for log file /logs/svc.log: no space left on device: output is lost" job=svc`,
		`level=WARN msg="cannot write to log file /logs/svc.log: no space left on device: output is lost" job=svc`,
	}
	var got []string
	for line := range strings.Lines(out.String()) {
		_, line, _ = strings.Cut(strings.TrimSpace(line), " ")
		got = append(got, line)
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the log says\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestSpecOfLogs(t *testing.T) {
	class := job.NewClass("net/svc")
	class.Processes[job.Main] = &job.Process{Text: "/bin/svc"}
	class.LogLimit = job.LogLimit{Size: 5, Count: 6}
	for _, c := range []struct {
		console job.Console
		dir     string
		want    supervise.Spec
	}{
		{job.ConsoleLog, "/logs", supervise.Spec{Output: supervise.OutputFile, LogPath: "/logs/net_svc.log", LogLimit: supervise.LogLimit{Size: 5, Count: 6}, Label: "net/svc"}},
		{job.ConsolePTY, "/logs", supervise.Spec{Output: supervise.OutputPTY, LogPath: "/logs/net_svc.log", LogLimit: supervise.LogLimit{Size: 5, Count: 6}, Label: "net/svc"}},
		{job.ConsoleLog, "", supervise.Spec{}},
		{job.ConsolePTY, "", supervise.Spec{}},
		{job.ConsoleNone, "/logs", supervise.Spec{}},
	} {
		class.Console = c.console
		got, _ := translator{logDir: c.dir, console: job.ConsoleLog}.spec(engine.Spawn{Class: class})
		if got.Output != c.want.Output || got.LogPath != c.want.LogPath || got.LogLimit != c.want.LogLimit || got.Label != c.want.Label {
			t.Errorf("spec of console %v in %q = %+v; want %+v", c.console, c.dir, got, c.want)
		}
	}
}
