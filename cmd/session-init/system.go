package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session"
	"github.com/session-init/session-init/session/utmp"
	"github.com/session-init/session-init/supervise/keeper"
	"github.com/session-init/session-init/supervise/pid1"
)

// The daemon of the machine, and the keeper as the first process of one.

// kernelWords are what the kernel's command line says to the first process: it
// gives us every word that it does not know itself.
type kernelWords struct {
	runlevel string // empty: what the jobs have for default
	rescue   bool
}

// readKernelWords parts the arguments of a first process into flags and what the
// kernel passes on. Words that mean nothing are for others who read
// /proc/cmdline.
func readKernelWords(args []string) (words kernelWords, flags []string) {
	for i, arg := range args {
		switch {
		case arg == "--":
			return words, append(flags, args[i:]...)
		case i > 0 && takesValue(args[i-1]) && len(flags) > 0 && flags[len(flags)-1] == args[i-1]:
			flags = append(flags, arg)
		case arg == "single" || arg == "-s" || arg == "s" || arg == "S" || arg == "1":
			words.runlevel = "S"
			if arg == "1" {
				words.runlevel = "1"
			}
		case arg == "emergency" || arg == "-b" || arg == "b":
			words.rescue = true
		case len(arg) == 1 && arg >= "2" && arg <= "5":
			words.runlevel = arg
		case strings.HasPrefix(arg, "--"):
			flags = append(flags, arg)
		}
	}
	return words, flags
}

// takesValue tells whether the next word belongs to a flag.
func takesValue(arg string) bool {
	name, isFlag := strings.CutPrefix(arg, "--")
	f := findFlag(name)
	return isFlag && f != nil && f.value != ""
}

// bootFlags is parseFlags for the first process of a machine, which must not end:
// where flags are wrong, or make no sense there, it goes on without any, and says
// so. args are then those that are left for the daemon.
func bootFlags(args []string, words kernelWords, environ []string, stderr io.Writer) (p *parsed, left []string) {
	_, flags := readKernelWords(args)
	p, err := parseFlags(flags)
	if err == nil {
		err = prepareSystem(p, words, environ)
	}
	switch {
	case err != nil:
	case p.help, p.version, p.noKeeper:
		err = errors.New("--help, --version and --no-keeper are not for the first process")
	default:
		return p, args
	}
	fmt.Fprintf(stderr, "session-init: %v: going on without options\n", err)
	p, _ = parseFlags(nil)
	if err := prepareSystem(p, words, environ); err != nil {
		fmt.Fprintf(stderr, "session-init: %v\n", err)
	}
	if words.runlevel != "" {
		left = []string{words.runlevel}
	}
	return p, left
}

// isFirst tells whether we are started as the first process of a machine or
// container, which needs no flag to say so.
func isFirst() bool { return os.Getpid() == 1 }

// prepareSystem refuses what makes no sense for a machine.
func prepareSystem(p *parsed, words kernelWords, environ []string) error {
	switch {
	case os.Geteuid() != 0:
		return errors.New("--system: only root may serve the machine")
	case p.command != nil:
		return errors.New("--system: '-- COMMAND' is for a login of a user")
	case p.options.RuntimeDir == "auto":
		return errors.New("--system: --runtime-dir auto is for the daemon of a user")
	case p.options.Bus:
		return errors.New("--system: --session is for the daemon of a user; the system bus is joined when there is one")
	case p.options.Autostart:
		return errors.New("--system: --autostart is for the daemon of a user")
	case p.options.UntilLogout:
		return errors.New("--system: --until-logout is for the daemon of a user")
	case p.readyFD > 0:
		return errors.New("--system: --ready-fd is for the daemon of a user")
	}
	p.options.System = &session.System{
		Container: p.container || pid1.InContainer(environ),
		Runlevel:  words.runlevel,
	}
	return nil
}

// keepSystem is the keeper of a machine or container: it does what a kernel
// leaves to its first process, keeps the daemon, and ends the machine.
func keepSystem(p *parsed, words kernelWords, program string, argv, environ []string, stderr io.Writer) int {
	told := p.options.System.Container
	place, err := pid1.WhereAmI(told)
	if errors.Is(err, pid1.ErrForeign) {
		// Whoever made the PID namespace has not mounted its /proc.
		if err = pid1.OwnMounts(program, argv, environ); err != nil {
			fmt.Fprintf(stderr, "session-init: %v: mount one at /proc (unshare --mount-proc)\n", err)
			return exitFailed
		}
	}
	if err != nil {
		fmt.Fprintf(stderr, "session-init: %v\n", err)
	}
	if place == pid1.Machine {
		unix.Umask(0o022)
	}
	log := stderr
	if again := keeper.Kept(environ); !again {
		pid1.Run(stderr, pid1.Begin(place))
		if place == pid1.Machine {
			bootRecord(stderr)
		}
	}
	if place == pid1.Machine {
		log = pid1.OpenLog(stderr)
	}
	// Before there was a /proc nobody could tell. The name matters: an upgrade
	// puts another file there.
	if path, err := os.Readlink("/proc/self/exe"); err == nil && program == "/proc/self/exe" {
		program = path
	}
	first := &keeper.First{
		Rescue:    words.rescue,
		Container: place != pid1.Machine,
		AtOnce:    pid1.ByOnce,
		Finish:    func(how string) error { return pid1.Finish(place, how, log) },
	}
	if _, err := unix.IoctlGetTermios(0, unix.TCGETS); place == pid1.Machine || err == nil {
		first.Shell = func() (int, error) { return pid1.Emergency(place, log) }
	}
	return keeper.Run(keeper.Config{Path: program, Argv: argv, Env: environ, Log: log, First: first,
		Fail: session.FailPoints(environ)})
}

// bootRecord writes down that the machine has begun. What has been is added when
// there is a disk for it: see systemDaemon.
func bootRecord(log io.Writer) {
	if err := utmp.Boot(utmp.Current, "", time.Now()); err != nil {
		fmt.Fprintf(log, "session-init: %v\n", err)
	}
}

// systemDaemon completes the options of the machine's daemon. The keeper above it
// knows where it is; here it is found out again, after a re-exec as well.
func systemDaemon(opts *session.Options, stderr io.Writer) {
	unix.Umask(0o022)
	system := opts.System
	place := pid1.Elsewhere
	if opts.Keeper != nil && opts.Keeper.Pid() == 1 && !system.Container && pid1.FirstNamespace() {
		place = pid1.Machine
	}
	system.Container = place != pid1.Machine
	system.Console = consolePath(place)
	if place != pid1.Machine {
		return
	}
	log := pid1.OpenLog(stderr)
	opts.Stderr = log
	system.OnDisk = func(dir string) error {
		return errors.Join(log.ToFile(filepath.Join(dir, "..", "session-init.log")), utmp.BootOnce(utmp.Current, utmp.Log, booted()))
	}
	spared(stderr)
}

// booted is when the machine began, by the clock of now: it may have been wrong
// then.
func booted() time.Time {
	var since unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &since) != nil {
		return time.Now()
	}
	return time.Now().Add(-time.Duration(since.Nano()))
}

// sparedPath names who is not ended by Debian's scripts that end everybody, which
// would be no harm, but no use either: the keeper starts the next daemon.
const sparedPath = "/run/sendsigs.omit.d/session-init"

func spared(log io.Writer) {
	err := os.MkdirAll(filepath.Dir(sparedPath), 0o755)
	if err == nil {
		err = os.WriteFile(sparedPath, fmt.Appendln(nil, os.Getpid()), 0o644)
	}
	if err != nil {
		fmt.Fprintf(log, "session-init: cannot write down who is not to be ended: %v\n", err)
	}
}

// consolePath is the terminal of jobs that ask for one; empty for none.
func consolePath(place pid1.Place) string {
	const console = "/dev/console"
	if place == pid1.Machine {
		return console
	}
	if _, err := unix.IoctlGetTermios(2, unix.TCGETS); err == nil {
		if path, err := os.Readlink("/proc/self/fd/2"); err == nil {
			return path
		}
	}
	fd, err := unix.Open(console, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	unix.Close(fd)
	return console
}
