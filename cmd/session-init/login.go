package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/guard"
	"github.com/session-init/session-init/session"
	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/supervise/footprint"
	"github.com/session-init/session-init/supervise/login"
)

// "session-init -- COMMAND" is a login: it joins the user's daemon, or starts
// it, begins a login session whose leader it is, and runs COMMAND until that
// ends. COMMAND is what the user came for, so nothing that goes wrong here
// keeps it from running.

const (
	// joinTime bounds how long a daemon that begins, or that ends, is waited
	// for, and joinPause is how long between two looks at it.
	joinTime  = 30 * time.Second
	joinPause = 50 * time.Millisecond
	// leaveTime is how long the end of the login session may take beyond what
	// the end of all may.
	leaveTime = 5 * time.Second
	// maxDaemonLog is how large the daemon's log may be when a login starts
	// it anew, in bytes; what is older is kept once.
	maxDaemonLog = 1 << 20
)

// loginRun is a login.
type loginRun struct {
	parsed  *parsed
	program string
	argv    []string // of a daemon that is to be started
	environ []string
	layer   []string // of the environment, what is this session's
	rest    []string
	stderr  io.Writer

	base    string // the runtime directory
	address string
	client  *api.Client // nil when there is no daemon
	id      uint32
}

// runLogin runs COMMAND, and returns its status.
func runLogin(p *parsed, program string, argv, environ []string, stderr io.Writer) int {
	path := findCommand(p.command[0], environ)
	if path == "" {
		fmt.Fprintf(stderr, "session-init: cannot run %s: there is no such command\n", p.command[0])
		return exitNoCommand
	}
	l := &loginRun{parsed: p, program: program, argv: argv, environ: environ, stderr: stderr}
	l.layer, l.rest = session.LoginVariables(environ)
	signals, stop := login.Signals(session.Terminal())
	defer stop()
	if err := l.join(); err != nil {
		fmt.Fprintf(stderr, "session-init: %v: %s runs without it\n", err, p.command[0])
	}
	command, err := login.Start(path, p.command, l.commandEnviron())
	if err != nil {
		fmt.Fprintf(stderr, "session-init: %v\n", err)
		l.leave()
		return exitNoCommand
	}
	// From here on there is nothing to do until something ends.
	footprint.GiveBack()
	var start *guard.Guard
	status, over := make(chan int, 1), make(chan struct{})
	start.Go("wait for the command", func() { status <- command.Wait() })
	if l.client != nil {
		start.Go("wait for the end of the login session", func() { l.await(over) })
		ended := make(chan struct{})
		defer close(ended)
		start.Go("wait for the command's display", func() { l.beginAlone(command.Pid(), ended) })
	}
	for {
		select {
		case s := <-signals:
			command.Signal(s.(unix.Signal))
		case <-over:
			over = nil
			fmt.Fprintf(stderr, "session-init: login session %d has ended: ends %s\n", l.id, p.command[0])
			command.Signal(unix.SIGTERM)
		case code := <-status:
			if over != nil {
				l.leave()
			}
			return code
		}
	}
}

// exitNoCommand is the status of a command that cannot be run, as a shell has
// it.
const exitNoCommand = 127

// findCommand looks for a program as a shell does; empty when there is none.
func findCommand(name string, environ []string) string {
	if strings.Contains(name, "/") {
		return name
	}
	for _, dir := range filepath.SplitList(lookup(environ, "PATH")) {
		if path := filepath.Join(dir, name); filepath.IsAbs(path) && executable(path) {
			return path
		}
	}
	return ""
}

func lookup(environ []string, name string) (value string) {
	for _, entry := range environ {
		if v, ok := strings.CutPrefix(entry, name+"="); ok {
			value = v
		}
	}
	return value
}

// join finds the daemon, or starts it, and begins a login session.
func (l *loginRun) join() error {
	if err := l.findBase(); err != nil {
		return err
	}
	own := filepath.Join(l.base, "session-init")
	l.address = api.UnixAddress(filepath.Join(own, "socket"))
	if err := os.Mkdir(own, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("cannot begin a login session: %w", err)
	}
	// Two logins at the same moment start one daemon.
	turn, err := os.OpenFile(filepath.Join(own, "login.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("cannot begin a login session: %w", err)
	}
	defer turn.Close()
	if err := unix.Flock(int(turn.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("cannot lock %s: %w", turn.Name(), err)
	}
	limit := time.Now().Add(joinTime)
	pause := time.NewTicker(joinPause)
	defer pause.Stop()
	for {
		err := l.open()
		if err == nil {
			return nil
		}
		switch {
		case time.Now().After(limit):
			return err
		case !l.held(filepath.Join(own, "lock")):
			if err := l.launch(); err != nil {
				return err
			}
			if err := l.open(); err == nil {
				return nil
			}
		}
		// There is a daemon that begins, or that ends.
		<-pause.C
	}
}

// findBase finds the runtime directory, also where nobody has said which it
// is: su, sudo, ssh and cron leave the variable out.
func (l *loginRun) findBase() error {
	l.base = l.parsed.options.RuntimeDir
	if l.base == "" {
		l.base = lookup(l.environ, "XDG_RUNTIME_DIR")
	}
	if l.base == "" {
		l.base = "/run/user/" + strconv.Itoa(os.Getuid())
		if _, err := os.Stat(l.base); err != nil {
			return fmt.Errorf("cannot begin a login session: XDG_RUNTIME_DIR is not set, and there is no %s", l.base)
		}
		l.environ = append(l.environ[:len(l.environ):len(l.environ)], "XDG_RUNTIME_DIR="+l.base)
		l.rest = append(l.rest, "XDG_RUNTIME_DIR="+l.base)
	}
	return nil
}

// open begins a login session of a daemon that is there.
func (l *loginRun) open() error {
	ctx, cancel := context.WithTimeout(context.Background(), joinTime)
	defer cancel()
	client, err := api.Dial(ctx, l.address)
	if err != nil {
		return err
	}
	body, err := client.Call(ctx, api.ManagerPath, api.ManagerExtension, "OpenSession", l.layer)
	if err != nil {
		client.Close()
		return fmt.Errorf("cannot begin a login session: %w", err)
	}
	id, ok := body[0].(uint32)
	if !ok {
		client.Close()
		return fmt.Errorf("cannot begin a login session: session-init answered with another type than a number")
	}
	l.client, l.id = client, id
	return nil
}

// held reports whether a daemon, or its keeper, has the lock.
func (l *loginRun) held(path string) bool {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer file.Close()
	// Taken it goes with the file.
	return errors.Is(unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB), unix.EWOULDBLOCK)
}

// launch starts a daemon that ends with the last login session, and has what
// it says written to a file.
func (l *loginRun) launch() error {
	path := l.logPath()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("cannot start the daemon: %w", err)
	}
	if info, err := os.Stat(path); err == nil && info.Size() > maxDaemonLog {
		// Else it goes on growing, which is better than no login.
		_ = os.Rename(path, path+".1")
	}
	log, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("cannot start the daemon: %w", err)
	}
	defer log.Close()
	begin := int64(0)
	if info, err := log.Stat(); err == nil {
		begin = info.Size()
	}
	if err := login.Launch(l.program, append(l.argv, "--until-logout"), l.rest, log); err != nil {
		l.show(path, begin)
		return fmt.Errorf("cannot start the daemon: %w, see %s", err, path)
	}
	return nil
}

// logPath is the file of the daemon's own log.
func (l *loginRun) logPath() string {
	state := lookup(l.environ, "XDG_STATE_HOME")
	if !filepath.IsAbs(state) {
		state = filepath.Join(lookup(l.environ, "HOME"), ".local", "state")
	}
	return filepath.Join(state, "session-init", "daemon.log")
}

// show prints what the daemon has said, the end of it.
func (l *loginRun) show(path string, begin int64) {
	const most = 4096
	file, err := os.Open(path)
	if err != nil {
		return
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && info.Size()-begin > most {
		begin = info.Size() - most
	}
	if _, err := file.Seek(begin, io.SeekStart); err == nil {
		_, _ = io.Copy(l.stderr, io.LimitReader(file, most))
	}
}

// commandEnviron is the environment of COMMAND: it finds the daemon, the
// command links, and the bus that other logins have.
func (l *loginRun) commandEnviron() []string {
	if l.client == nil {
		return l.environ
	}
	env := l.environ[:len(l.environ):len(l.environ)]
	path := lookup(env, "PATH")
	links := filepath.Join(l.base, "session-init", "bin")
	if path != "" {
		path += ":"
	}
	env = append(env, "PATH="+path+links, api.SessionVariable+"="+l.address, api.LoginVariable+"="+strconv.Itoa(int(l.id)))
	const bus = "DBUS_SESSION_BUS_ADDRESS"
	if lookup(env, bus) == "" {
		ctx, cancel := context.WithTimeout(context.Background(), joinTime)
		defer cancel()
		body, err := l.client.Call(ctx, api.ManagerPath, api.ManagerInterface, "GetEnv", []string{}, bus)
		if err == nil {
			if value, ok := body[0].(string); ok && value != "" {
				env = append(env, bus+"="+value)
			}
		}
	}
	return unique(env)
}

// unique leaves the last entry of each variable: programs differ in which they
// take.
func unique(env []string) []string {
	var out []string
	for i, entry := range env {
		key, _, _ := strings.Cut(entry, "=")
		last := true
		for _, later := range env[i+1:] {
			if strings.HasPrefix(later, key+"=") {
				last = false
				break
			}
		}
		if last {
			out = append(out, entry)
		}
	}
	return out
}

// await closes over when the login session has ended, by whatever has ended
// it. A daemon that dies is followed by the next one, which has the session.
func (l *loginRun) await(over chan<- struct{}) {
	client, id, another := l.client, l.id, false
	for {
		_, err := client.Call(context.Background(), api.ManagerPath, api.ManagerExtension, "AwaitSession", id)
		if err == nil || !another && !errors.Is(err, api.ErrDisconnected) {
			// Or it was over before we asked.
			close(over)
			return
		}
		if !errors.Is(err, api.ErrDisconnected) {
			fmt.Fprintf(l.stderr, "session-init: the login session is lost: %v\n", err)
			return
		}
		client.Close()
		another = true
		if client, err = api.Dial(context.Background(), l.address); err != nil {
			if _, gone := os.Stat(filepath.Join(l.base, "session-init", "socket")); errors.Is(gone, fs.ErrNotExist) {
				// All has ended in order: else its files would be there.
				close(over)
				return
			}
			fmt.Fprintf(l.stderr, "session-init: the daemon is gone: %v\n", err)
			return
		}
	}
}

// leave ends the login session, and waits until nothing is left of it: of the
// daemon neither, if it was the last. The directory that it lives in may be
// removed in the next moment.
func (l *loginRun) leave() {
	if l.client == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), l.parsed.options.StopTimeout+leaveTime)
	defer cancel()
	// The other connection waits for the end.
	client, err := api.Dial(ctx, l.address)
	if err != nil {
		return
	}
	defer client.Close()
	if _, err := client.Call(ctx, api.ManagerPath, api.ManagerExtension, "EndSession", l.id); err != nil {
		if ctx.Err() != nil {
			fmt.Fprintf(l.stderr, "session-init: the login session has not ended in time\n")
		}
		return
	}
	body, err := client.Call(ctx, api.ManagerPath, api.PropertiesInterface, "Get", api.ManagerExtension, "ending")
	if ending, ok := false, false; err == nil {
		if ending, ok = body[0].(bool); !ok || !ending {
			return
		}
	}
	pause := time.NewTicker(joinPause)
	defer pause.Stop()
	for l.held(filepath.Join(l.base, "session-init", "lock")) {
		select {
		case <-ctx.Done():
			fmt.Fprintf(l.stderr, "session-init: the daemon has not ended in time\n")
			return
		case <-pause.C:
		}
	}
}
