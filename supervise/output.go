package supervise

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/guard"
	"github.com/session-init/session-init/supervise/scarce"
)

// The process holds its log itself, opened for appending: what it writes
// costs the daemon nothing and survives the daemon. The child opens the file,
// since that may hang with the file system.

// logDirs returns the directories above a log file, the outermost first. The
// child makes those that are missing (0700), so that jobs go on starting when
// someone has cleaned up below the daemon.
func logDirs(path string) []string {
	var dirs []string
	for i := 1; i < len(path); i++ {
		if path[i] == '/' && path[i-1] != '/' {
			dirs = append(dirs, path[:i])
		}
	}
	return dirs
}

// OutputProblem is what may go wrong with output beside the opening of the
// log.
type OutputProblem uint8

// The problems.
const (
	ProblemFull     OutputProblem = iota // no space is left where the log is
	ProblemLimit                         // the log cannot be kept within its limit
	ProblemWatch                         // it cannot be watched
	ProblemTerminal                      // no terminal for OutputPTY
	ProblemWrite                         // what came through the terminal cannot be written
	numProblems
)

// problemText says what each problem means; %s is the log and then the errno.
var problemText = [numProblems]string{
	ProblemFull:     "no space is left for log file %s: %s: output is lost",
	ProblemLimit:    "cannot keep log file %s within its limit: %s",
	ProblemWatch:    "cannot watch log file %s: %s: it is kept within its limit when a process starts only",
	ProblemTerminal: "cannot make a terminal in front of log file %s: %s: output goes to the file itself",
	ProblemWrite:    "cannot write to log file %s: %s: output is lost",
}

// OutputFault: something is wrong with the output of a process, which runs
// on. It may come at any time, also after Exited, and more than once.
type OutputFault struct {
	ID      ProcID
	Label   string // Spec.Label
	Path    string // of the log
	Problem OutputProblem
	Errno   syscall.Errno
}

// Error gives the sentence: "cannot write to log file /x: no space left on
// device: output is lost".
func (f OutputFault) Error() string {
	return fmt.Sprintf(problemText[f.Problem], f.Path, f.Errno.Error())
}

// Error gives the sentence: "cannot open log file /x: permission denied: its
// output is lost".
func (l OutputLost) Error() string {
	return fmt.Sprintf("cannot open log file %s: %s: its output is lost", l.Path, l.Errno.Error())
}

// reportOutput tells where the output of a process goes that is about to be
// reported as running. Its Spec and slot are still there.
func (s *Supervisor) reportOutput(p *process) {
	spec := p.spec
	if p.child.logPath == nil {
		return
	}
	if errno := p.child.slot.outputLost(); errno != 0 {
		s.emit(OutputLost{p.id, spec.Label, spec.LogPath, errno})
		return
	}
	s.outputs.capper.watch(p.id, spec.Label, spec.LogPath, spec.LogLimit)
}

// outputs is what the supervisor keeps of output: the logs that have limits,
// and the terminals in front of logs.
type outputs struct {
	capper  *capper
	copiers copiers
	guard   *guard.Guard
}

// open prepares for work; report may be called from any goroutine.
func (o *outputs) open(report func(Event), start *guard.Guard) {
	o.capper = newCapper(report)
	o.guard, o.capper.guard, o.copiers.guard = start, start, start
	o.copiers.report = report
	o.copiers.opened = o.capper.watch
	o.capper.start()
}

// stop ends the work with what is at hand. The channel is closed when it has
// ended, which may take as long as the disk does.
func (o *outputs) stop() <-chan struct{} {
	o.copiers.stop()
	done := make(chan struct{})
	o.guard.Go("end of output", func() {
		defer close(done)
		o.copiers.running.Wait()
		<-o.capper.stop()
	})
	return done
}

// makeTerminal puts a terminal in front of the log of a process to be made,
// and a copier behind it, which ends by itself when no process comes of it.
// Without a terminal the process gets the log itself, and it is said; slave
// is -1 then.
func (s *Supervisor) makeTerminal(spec *Spec, c *child) (slave int) {
	t, slave, err := openPTY(spec.ID)
	if err == nil && scarce.Descriptor(t.fd) {
		t.close()
		unix.Close(slave)
		err = unix.EMFILE
	}
	if err != nil {
		s.emit(OutputFault{spec.ID, spec.Label, spec.LogPath, ProblemTerminal, errnoOf(err)})
		return -1
	}
	if spec.Credential != nil {
		// So that it can open /dev/stdout anew. Who may not do this can not
		// become another user either.
		unix.Fchown(slave, int(spec.Credential.UID), -1)
	}
	c.outFD, c.logPath = slave, nil
	s.outputs.copiers.hold(masterPrefix, t, t.fd)
	s.outputs.copiers.copy(t, spec.Label, spec.LogPath, spec.LogLimit)
	return slave
}
