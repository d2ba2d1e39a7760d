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
	// joinTime bounds how long the daemon, or another login that starts it, is
	// waited for, and joinPause is how long between two looks at it.
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
	signals, typed, stop := login.Signals(session.Terminal())
	defer stop()
	early, end := l.joinUnless(signals, typed)
	if end != 0 {
		return exitSignal + int(end)
	}
	command, err := login.Start(path, p.command, l.commandEnviron())
	if err != nil {
		fmt.Fprintf(stderr, "session-init: %v\n", err)
		l.leave()
		return exitNoCommand
	}
	for _, s := range early {
		command.Signal(s)
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
			l.leave()
			return code
		}
	}
}

// exitNoCommand is the status of a command that cannot be run, and exitSignal plus
// its number that of what a signal has ended, as a shell has them.
const (
	exitNoCommand = 127
	exitSignal    = 128
)

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
func (l *loginRun) open(ctx context.Context) error {
	client, err := api.Dial(ctx, l.address)
	if err != nil {
		return err
	}
	body, err := l.opened(ctx, client)
	if err != nil {
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

// opened asks for a login session, and returns the answer. Once the daemon has been
// asked nothing takes that back: a session that begins when ctx is done, which
// would last as long as this process, is ended. After an error the client is closed,
// when ctx was done as soon as the daemon has answered.
func (l *loginRun) opened(ctx context.Context, client *api.Client) ([]any, error) {
	type answer struct {
		body []any
		err  error
	}
	answers := make(chan answer)
	var start *guard.Guard
	start.Go("open a login session", func() {
		body, err := client.Call(context.Background(), api.ManagerPath, api.ManagerExtension, "OpenSession", l.layer)
		if err != nil {
			client.Close()
		}
		select {
		case answers <- answer{body, err}:
		case <-ctx.Done():
			if err == nil && len(body) > 0 {
				end, cancel := context.WithTimeout(context.Background(), l.parsed.options.StopTimeout+leaveTime)
				defer cancel()
				_, _ = client.Call(end, api.ManagerPath, api.ManagerExtension, "EndSession", body[0])
			}
			client.Close()
		}
	})
	select {
	case a := <-answers:
		return a.body, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
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
func (l *loginRun) launch(ctx context.Context) error {
	path, log, err := l.openLog()
	if err != nil {
		return fmt.Errorf("cannot start the daemon: %w", err)
	}
	defer log.Close()
	begin := int64(0)
	if info, err := log.Stat(); err == nil {
		begin = info.Size()
	}
	if err := login.Launch(ctx, l.program, append(l.argv, "--until-logout"), l.rest, log); err != nil {
		if path == os.DevNull {
			return fmt.Errorf("cannot start the daemon: %w", err)
		}
		l.show(path, begin)
		return fmt.Errorf("cannot start the daemon: %w, see %s", err, path)
	}
	return nil
}

// logTime is how long a file for the daemon's log is waited for, where the file
// system does not answer.
const logTime = 2 * time.Second

// openLog opens the daemon's log. A disk that is full, belongs to another or hangs
// costs its place, never the daemon: then it is in the runtime directory, or
// nowhere.
func (l *loginRun) openLog() (path string, log *os.File, err error) {
	last := os.DevNull
	places := []string{l.logPath(), filepath.Join(l.base, "session-init", "daemon.log"), last}
	for i, path := range places {
		if log, err = openLogFile(path); err == nil {
			return path, log, nil
		}
		if path != last {
			fmt.Fprintf(l.stderr, "session-init: cannot write the daemon's log: %v: it goes to %s\n", err, places[i+1])
		}
	}
	return "", nil, err
}

// openLogFile opens one of these files, and makes it where there is none.
func openLogFile(path string) (*os.File, error) {
	type opened struct {
		log *os.File
		err error
	}
	made := make(chan opened)
	late := make(chan struct{})
	var start *guard.Guard
	start.Go("open the daemon's log", func() {
		log, err := makeLogFile(path)
		select {
		case made <- opened{log, err}:
		case <-late:
			if err == nil {
				log.Close()
			}
		}
	})
	patience := time.NewTimer(logTime)
	defer patience.Stop()
	select {
	case file := <-made:
		return file.log, file.err
	case <-patience.C:
		close(late)
		return nil, fmt.Errorf("%s: the file system does not answer", path)
	}
}

func makeLogFile(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	if info, err := os.Stat(path); err == nil && info.Size() > maxDaemonLog {
		// Else it goes on growing, which is better than no login.
		_ = os.Rename(path, path+".1")
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
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
// command links, and what the user's jobs have said for all.
func (l *loginRun) commandEnviron() []string {
	if l.client == nil {
		return l.environ
	}
	env := l.environ[:len(l.environ):len(l.environ)]
	// Without a PATH programs have one of their own, which is better than the
	// links alone.
	if path := lookup(env, "PATH"); path != "" {
		env = append(env, "PATH="+path+":"+filepath.Join(l.base, "session-init", "bin"))
	}
	env = append(env, api.SessionVariable+"="+l.address, api.LoginVariable+"="+strconv.Itoa(int(l.id)))
	env = append(env, l.table(env)...)
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
	pause := time.NewTicker(joinPause)
	defer pause.Stop()
	late := func(what string) { fmt.Fprintf(l.stderr, "session-init: the %s has not ended in time\n", what) }
	for {
		ends, known := l.finish(ctx)
		if known && !ends {
			return
		}
		if known {
			break
		}
		select {
		case <-ctx.Done():
			late("login session")
			return
		case <-pause.C:
		}
	}
	for l.held(filepath.Join(l.base, "session-init", "lock")) {
		select {
		case <-ctx.Done():
			late("daemon")
			return
		case <-pause.C:
		}
	}
}

// finish ends the login session, and tells whether the daemon ends with it; known
// is false when nobody has said so, as of a daemon that has just died.
func (l *loginRun) finish(ctx context.Context) (ends, known bool) {
	// The other connection waits for the end.
	client, err := api.Dial(ctx, l.address)
	if err != nil {
		// One that has died keeps its socket, and goes on while its keeper, which
		// has the lock then, is there to start it.
		own := filepath.Join(l.base, "session-init")
		_, err := os.Lstat(filepath.Join(own, "socket"))
		return true, errors.Is(err, fs.ErrNotExist) || !l.held(filepath.Join(own, "lock"))
	}
	defer client.Close()
	// That it is over already is as good.
	_, _ = client.Call(ctx, api.ManagerPath, api.ManagerExtension, "EndSession", l.id)
	body, err := client.Call(ctx, api.ManagerPath, api.PropertiesInterface, "Get", api.ManagerExtension, "ending")
	if err != nil {
		return false, false
	}
	ends, known = body[0].(bool)
	return ends, known
}
