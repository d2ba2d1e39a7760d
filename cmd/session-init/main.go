// Command session-init is the daemon: one for each user, or for each
// directory of jobs that it is given. It reads job files, runs what they
// define, and answers on a private socket. What is started is the keeper, which
// starts this program again as the daemon, its child, and once more whenever
// that dies. What both do is in packages supervise/keeper, session and below;
// here are flags, signals and exit statuses only.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session"
	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/supervise/keeper"
	"github.com/session-init/session-init/supervise/login"
	"github.com/session-init/session-init/supervise/pid1"
)

// Exit statuses.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	// The keeper and a login wait, in a few places at once: more than one of Go's
	// processors would be more memory, for caches and threads, and nothing else.
	runtime.GOMAXPROCS(1)
	os.Exit(run(os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// run is main with its surroundings as arguments. It returns the exit status.
func run(args, environ []string, stdout, stderr io.Writer) int {
	// Go ends a program that writes to a standard error which nobody has open any
	// more, unless it takes this signal: then the write fails, and that is all. To
	// ignore it would be inherited by all that we start.
	signal.Notify(make(chan os.Signal, 1), unix.SIGPIPE)
	var words kernelWords
	all := args
	if isFirst() || slices.Contains(args, "--system") {
		words, args = readKernelWords(args)
	}
	parsed, err := parseFlags(args)
	switch {
	case isFirst() && pid1.FirstNamespace() && !pid1.InContainer(environ):
		parsed, all = bootFlags(all, words, environ, stderr)
		err = nil
	case err != nil, parsed.help, parsed.version:
	case parsed.system || isFirst():
		err = prepareSystem(parsed, words, environ)
	case parsed.container:
		err = errors.New("--container: only with --system")
	}
	if err != nil {
		fmt.Fprintf(stderr, "session-init: %v\n", err)
		return exitUsage
	}
	switch {
	case parsed.help:
		printHelp(stdout)
		return exitDone
	case parsed.version:
		fmt.Fprintf(stdout, "session-init %s\n", api.Version)
		return exitDone
	}
	if filepath.Base(os.Args[0]) == "init" && !isFirst() && !parsed.system {
		fmt.Fprintf(stderr, "session-init: this is not the first process, and only that is called init: 'telinit LEVEL' changes the runlevel\n")
		return exitUsage
	}
	link, err := keeper.Open(environ)
	if err != nil {
		fmt.Fprintf(stderr, "session-init: %v\n", err)
		return exitFailed
	}
	program, err := os.Executable()
	if err != nil {
		program = "/proc/self/exe"
	}
	args = all
	if parsed.options.System != nil && !slices.Contains(args, "--system") {
		// The daemon is not the first process: it must be told.
		args = append([]string{"--system"}, args...)
	}
	switch {
	case link != nil:
	case parsed.options.System != nil && !parsed.noKeeper:
		return keepSystem(parsed, words, program, append([]string{os.Args[0]}, args...), environ, stderr)
	case login.Detaching(environ):
		if err := login.Detach(program, append([]string{os.Args[0]}, args...), environ); err != nil {
			fmt.Fprintf(stderr, "session-init: cannot start the daemon: %v\n", err)
			return exitFailed
		}
		return exitDone
	case parsed.command != nil:
		argv := append([]string{os.Args[0]}, args[:len(args)-len(parsed.command)-1]...)
		return runLogin(parsed, program, argv, environ, stderr)
	}
	tell, environ := login.Told(environ)
	if link == nil && !parsed.noKeeper {
		if parsed.readyFD > 0 && !keeper.Kept(environ) {
			if tell, err = openReady(parsed.readyFD); err != nil {
				fmt.Fprintf(stderr, "session-init: %v\n", err)
				return exitUsage
			}
		}
		return keeper.Run(keeper.Config{Path: program, Argv: append([]string{os.Args[0]}, args...), Env: environ, Log: stderr, Tell: tell,
			Fail: session.FailPoints(environ)})
	}
	// A boot is over before the collector has anything worth collecting, and
	// what it leaves the loop gives back when it has become quiet.
	debug.SetGCPercent(400)
	// One thread does nearly all: with more than two processors the daemon would
	// be larger, not quicker.
	runtime.GOMAXPROCS(min(runtime.NumCPU(), 2))
	if link != nil {
		// The kernel calls it by the file that it was started from, which may be
		// /proc/self/exe. Who looks for it, looks for this name.
		_ = os.WriteFile("/proc/self/comm", []byte("session-init"), 0)
	}
	environ = keeper.Without(environ)
	opts := parsed.options
	opts.Keeper = link
	opts.Argv = append([]string{os.Args[0]}, args...)
	opts.Program = program
	opts.Version = api.Version
	opts.Environ = environ
	opts.Stderr = stderr
	opts.Client = findClient(environ)
	if opts.System != nil {
		systemDaemon(&opts, stderr)
	}

	// Signals are taken before anything is made, so that none of them ends
	// the daemon with its files behind it.
	signals := make(chan os.Signal, 8)
	heeded := []os.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGUSR1}
	if opts.System != nil {
		heeded = append(heeded, unix.SIGWINCH, unix.SIGPWR)
	} else {
		// As nohup(1) and a shell's & want it.
		heeded = slices.DeleteFunc(heeded, signal.Ignored)
	}
	for _, s := range heeded {
		signal.Notify(signals, s) // of none at once it would take all
	}
	defer signal.Stop(signals)

	daemon, err := session.Start(opts)
	if err != nil {
		fmt.Fprintf(stderr, "session-init: %v\n", err)
		return exitFailed
	}
	if parsed.options.RuntimeDir == "auto" && !daemon.Resumed() {
		fmt.Fprintf(stderr, "session-init: talk to this session from another terminal:\n\n    export UPSTART_SESSION=%s\n    %s list\n\n", daemon.Address(), clientName(opts.Client))
	}
	stop := make(chan struct{})
	defer close(stop)
	daemon.Go("handler of signals", func() { handleSignals(daemon, signals, stop, session.Terminal()) })
	if err := daemon.Run(); err != nil {
		fmt.Fprintf(stderr, "session-init: %v\n", err)
		if errors.Is(err, session.ErrBarren) {
			return keeper.GivesUp
		}
		return exitFailed
	}
	return exitDone
}

// handleSignals turns signals into wishes. A hangup ends the session when it
// means that the terminal has gone; else it is the old way to say "reload".
func handleSignals(daemon *session.Daemon, signals <-chan os.Signal, stop <-chan struct{}, terminal bool) {
	for {
		select {
		case <-stop:
			return
		case s := <-signals:
			switch {
			case daemon.IsSystem():
				daemon.Signal(s.(syscall.Signal))
			case s == unix.SIGUSR1:
				daemon.LookForBus()
			case s == unix.SIGHUP && !terminal:
				daemon.Reload(nil)
			default:
				daemon.EndSession("logout")
			}
		}
	}
}

// findClient returns the path of sctl: beside this program, else in PATH.
func findClient(environ []string) string {
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), "sctl")
		if executable(beside) {
			return beside
		}
	}
	for _, entry := range environ {
		if len(entry) > 5 && entry[:5] == "PATH=" {
			for _, dir := range filepath.SplitList(entry[5:]) {
				if path := filepath.Join(dir, "sctl"); filepath.IsAbs(path) && executable(path) {
					return path
				}
			}
		}
	}
	return ""
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

func clientName(client string) string {
	if client == "" {
		return "sctl"
	}
	return client
}
