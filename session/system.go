package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/bus"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/utmp"
)

// The daemon of the machine. It is the user's daemon with other directories,
// signals that mean other things, a second socket on which everybody may look,
// and an end that the keeper completes: what the daemon has not stopped is ended,
// unmounted and switched off by the process that is left.

// System says that, and how, a daemon is the machine's.
type System struct {
	// Container: TERM ends it, and the end of it is that of a program.
	Container bool
	// Runlevel is what the kernel's command line asks for; empty for nothing.
	Runlevel string
	// Console is the terminal of "console output" and "owner"; empty for none.
	Console string
	// OnDisk is called when the disk may be written to, with the directory of the
	// logs there; nil: nothing is. It may block.
	OnDisk func(dir string) error
}

const (
	// systemRuntime is the runtime directory's parent.
	systemRuntime = "/run"
	// systemLogs is where logs are when the disk may be written to.
	systemLogs = "/var/log/session-init"
	// readOnlyName names the second socket, in the runtime directory and to the
	// keeper.
	readOnlyName = "readonly"
	// diskName is the file that says that logs are on the disk, finishName the
	// one that says how the machine is to end; both in the runtime directory, for
	// the next daemon.
	diskName   = "disk-writeable"
	finishName = "finish"
	// runlevelPatience bounds how long the jobs of the last runlevel may take
	// before all the others are stopped.
	runlevelPatience = 90 * time.Second
	// endCall is the number of our own call, which no client's gets.
	endCall = engine.CallID(math.MaxUint64)
)

// system is what a daemon of the machine has besides.
type system struct {
	// Of the loop: how all ends, empty for not yet; ending: Shutdown was said.
	how    string
	ending bool
	// schedule is an end that is to come.
	schedule schedule
	// barren: nothing begins this machine. It is read when the loop has ended.
	barren error
}

// runtimeParent is where the runtime directory is when no flag says it.
func (o Options) runtimeParent() string {
	if o.System != nil {
		return systemRuntime
	}
	return o.getenv("XDG_RUNTIME_DIR")
}

// IsSystem tells whether this is the machine's daemon.
func (d *Daemon) IsSystem() bool { return d.opts.System != nil }

// busSystem is what the bus may ask of the machine's daemon.
func (d *Daemon) busSystem() bus.System {
	if !d.IsSystem() {
		return nil
	}
	return d
}

// readOnlyPath is where the second socket is; empty for none.
func (d *Daemon) readOnlyPath() string {
	if !d.IsSystem() {
		return ""
	}
	return filepath.Join(d.runtime.own, readOnlyName)
}

// openToAll lets everybody reach the read-only socket and the command links; what
// is secret has modes of its own.
func (d *Daemon) openToAll(links string) error {
	if !d.IsSystem() {
		return nil
	}
	// Who may not read a directory cannot wait for what is made there.
	err := os.Chmod(d.runtime.own, 0o755)
	if err == nil && links != "" {
		err = os.Chmod(links, 0o755)
	}
	return err
}

// hearMachine has a user's daemon hear the events of the machine, when jobs ask
// for them.
func (d *Daemon) hearMachine() {
	if d.IsSystem() {
		return
	}
	machine := d.server.Machine(bus.MachineOptions{
		Socket: filepath.Join(systemRuntime, "session-init", readOnlyName),
		Emit:   func(name string, env []string) { d.Step(engine.Emit{Name: name, Env: env}) },
	})
	view := d.engine.View()
	for _, name := range view.ClassNames() {
		if class, ok := view.Class(name); ok {
			machine.Want(class)
		}
	}
	d.defined = machine.Want
}

// earlyLogs is where logs go while there is no disk.
func (d *Daemon) earlyLogs() string { return filepath.Join(d.runtime.own, "log") }

// systemLogDir is where the logs go at the beginning of this daemon.
func (d *Daemon) systemLogDir() string {
	if _, err := os.Stat(filepath.Join(d.runtime.own, diskName)); err != nil {
		return d.earlyLogs()
	}
	if err := d.logOnDisk(); err != nil {
		d.log.Warn(err.Error())
	}
	return systemLogs
}

// logOnDisk has our own log go there too.
func (d *Daemon) logOnDisk() error {
	if on := d.opts.System.OnDisk; on != nil {
		return on(systemLogs)
	}
	return nil
}

// DiskWriteable has what jobs print go to the disk from now on; see bus.System.
// A process that runs keeps the file that it has.
func (d *Daemon) DiskWriteable(done func(error)) {
	d.guard.Go("move of the logs", func() {
		err := os.MkdirAll(systemLogs, 0o750)
		if err == nil {
			err = unix.Access(systemLogs, unix.W_OK)
		}
		if err != nil {
			done(fmt.Errorf("cannot write logs to %s: %w", systemLogs, err))
			return
		}
		err = os.WriteFile(filepath.Join(d.runtime.own, diskName), nil, 0o600)
		err = errors.Join(err, d.logOnDisk())
		d.Read(func(engine.View) {
			if d.translate.logDir != "" && d.opts.LogDir == "" {
				d.translate.logDir = systemLogs
			}
		})
		done(err)
	})
}

// Signal does what a signal means to the daemon of a machine.
func (d *Daemon) Signal(s syscall.Signal) {
	// As the C library counts them.
	const realTime syscall.Signal = 34
	switch {
	case s == unix.SIGINT:
		d.Step(engine.Emit{Name: "control-alt-delete"})
	case s == unix.SIGWINCH:
		d.Step(engine.Emit{Name: "keyboard-request"})
	case s == unix.SIGPWR:
		d.Step(engine.Emit{Name: "power-status-changed"})
	case s == unix.SIGHUP:
		d.Reload(nil)
	case s == unix.SIGUSR1:
		d.LookForBus()
	case s == unix.SIGTERM && !d.opts.System.Container:
		d.Restart()
	case s == unix.SIGTERM, s == realTime+3:
		d.endBySignal("halt")
	case s == realTime+4:
		d.endBySignal("poweroff")
	case s == realTime+5:
		d.endBySignal("reboot")
	}
}

// endBySignal ends by a signal: nobody is there to be told why not.
func (d *Daemon) endBySignal(how string) {
	if err := d.EndSystem(how, nil); err != nil {
		d.log.Warn(err.Error())
	}
}

// signalled takes a signal from the keeper, and says so when what follows from it
// is on record.
func (d *Daemon) signalled(s syscall.Signal) {
	seen := func() {
		if err := d.opts.Keeper.Seen(-int(s)); err != nil {
			d.log.Warn(err.Error())
		}
	}
	if s == unix.SIGTERM && !d.opts.System.Container {
		// After it there is no more to be said.
		seen()
		d.Signal(s)
		return
	}
	d.Signal(s)
	d.Read(func(engine.View) { seen() })
}

// EndSystem begins the end of the machine; see bus.System. First the event
// runlevel says which jobs are to stop, and starts those that see to the end; when
// it has finished, session-end stops all that is left. A second wish changes only
// how it ends.
func (d *Daemon) EndSystem(how string, env []string) error {
	level := "0"
	switch how {
	case "halt", "poweroff":
	case "reboot":
		level = "6"
	case "":
		if !d.opts.System.Container {
			return errors.New("cannot end the session: this is the session-init of the machine; say how: shutdown, halt, poweroff or reboot")
		}
		how = "halt"
	default:
		return fmt.Errorf("cannot end the machine by '%s': it is not halt, poweroff or reboot", how)
	}
	for _, entry := range env {
		if key, _, ok := events.SplitEntry(entry); !ok || key == "" {
			return fmt.Errorf("cannot end the machine: '%s' is no variable", entry)
		}
	}
	d.guard.Go("end of the machine", func() {
		if len(env) == 0 {
			// Whoever cannot read it was in none.
			_, previous, _ := utmp.Runlevel(utmp.Current)
			env = []string{"RUNLEVEL=" + level, "PREVLEVEL=" + string(rune(previous))}
			if !d.opts.System.Container {
				if err := utmp.SetRunlevel(utmp.Current, utmp.Log, previous, level[0], time.Now()); err != nil {
					d.log.Warn(err.Error())
				}
			}
		}
		if err := os.WriteFile(filepath.Join(d.runtime.own, finishName), []byte(how+"\n"), 0o600); err != nil {
			d.log.Warn("cannot write down how the machine is to end: " + err.Error())
		}
		d.forgetEnd()
		d.removeScheduleFile()
		d.Read(func(engine.View) {
			begun := d.system.how != ""
			d.system.how = how
			if !begun {
				d.log.Log(context.Background(), levelMessage, "The machine ends", "how", how)
				d.step(engine.Emit{Call: endCall, Name: "runlevel", Env: env, Wait: true})
			}
		})
		timer := time.NewTimer(runlevelPatience)
		defer timer.Stop()
		select {
		case <-d.ended:
		case <-timer.C:
			d.Read(func(engine.View) {
				if !d.system.ending {
					d.log.Warn(fmt.Sprintf("The jobs of the last runlevel are not done after %v: going on", runlevelPatience))
				}
				d.endAll()
			})
		}
	})
	return nil
}

// endAll stops all jobs; of the loop.
func (d *Daemon) endAll() {
	if !d.system.ending {
		d.system.ending = true
		d.Step(engine.Shutdown{Type: "shutdown"})
	}
}

// resumeEnd goes on with an end that an earlier daemon has begun.
func (d *Daemon) resumeEnd() {
	path := filepath.Join(d.runtime.own, finishName)
	text, err := os.ReadFile(path)
	if err != nil {
		return
	}
	if !d.resumed && !d.lost {
		// What an earlier run of the machine has left.
		_ = os.Remove(path)
		return
	}
	d.Read(func(engine.View) {
		d.system.how = strings.TrimSpace(string(text))
		d.endAll()
	})
}

// sayEnd tells the keeper how to go on when we have ended.
func (d *Daemon) sayEnd() {
	if !d.IsSystem() {
		return
	}
	if !d.opts.System.Container {
		if err := utmp.Shutdown(utmp.Log, time.Now()); err != nil {
			d.log.Warn(err.Error())
		}
	}
	if err := d.opts.Keeper.Finish(cmp.Or(d.system.how, "halt")); err != nil {
		d.log.Warn(err.Error())
	}
}

// startup is the event of the beginning. In a machine it says what runlevel the
// kernel's command line asks for, in place of the one that a job has for default.
func (d *Daemon) startup() engine.Emit {
	emit := engine.Emit{Name: cmp.Or(d.opts.StartupEvent, "startup")}
	if d.IsSystem() && d.opts.System.Runlevel != "" {
		emit.Env = events.Env{"DEFAULT_RUNLEVEL=" + d.opts.System.Runlevel}
	}
	return emit
}

// terminal is what "console output" and "owner" mean; empty for nothing. That
// one of our own descriptors leads to a file, the log most likely, does not mean
// that we were started on no terminal.
func (d *Daemon) terminal() string {
	if d.IsSystem() {
		return d.opts.System.Console
	}
	return terminalOf(unix.Stderr, unix.Stdin, unix.Stdout)
}

// terminalOf gives the path of the first of the descriptors that is a terminal;
// empty when none is.
func terminalOf(fds ...int) string {
	for _, fd := range fds {
		if !isTerminal(fd) {
			continue
		}
		if path, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd)); err == nil {
			return path
		}
	}
	return ""
}
