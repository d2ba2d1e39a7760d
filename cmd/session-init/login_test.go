package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/testkit"
)

// loginProcess is a "session-init -- COMMAND" that runs.
type loginProcess struct {
	r      *rig
	cmd    *exec.Cmd
	out    *syncBuffer
	ended  chan struct{} // closed at its end
	name   string
	status int
}

// newLoginRig is a rig without a daemon: logins start it.
func newLoginRig(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	r.conf = filepath.Join(r.dir, "config/session-init")
	r.address = api.UnixAddress(r.run + "/session-init/socket")
	r.stderr = &syncBuffer{}
	t.Cleanup(func() {
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(r.dir, "state/session-init/daemon.log"))
			t.Logf("the daemon's log:\n%s", log)
		}
		r.endLoginDaemon()
	})
	return r
}

func (r *rig) userJob(name, text string) {
	r.t.Helper()
	r.write("config/session-init/"+name+".conf", text+"\n")
}

// keeperOf returns the pid that the lock names.
func (r *rig) keeperOf() int {
	text, _ := os.ReadFile(filepath.Join(r.run, "session-init/lock"))
	pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return pid
}

// loginDaemon is the daemon below the keeper that a login has started.
func (r *rig) loginDaemon() int {
	r.t.Helper()
	pid := 0
	r.until("the daemon of the login", func() bool {
		keeper := r.keeperOf()
		if keeper == 0 {
			return false
		}
		for _, child := range children(keeper) {
			tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", child))
			if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", child)); err == nil && exe == r.program() && len(tasks) > 1 {
				pid = child
			}
		}
		return pid != 0
	})
	return pid
}

// endLoginDaemon ends what a login has started and a test has not, and takes
// the zombie of the keeper, which falls to us.
func (r *rig) endLoginDaemon() {
	keeper := r.keeperOf()
	if keeper == 0 {
		return
	}
	if exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", keeper)); exe == r.program() {
		unix.Kill(keeper, unix.SIGTERM)
	}
	r.until("the end of the keeper", func() bool {
		_, err := unix.Wait4(keeper, nil, unix.WNOHANG, nil)
		return err != nil
	})
	// The command of a login that was ended is ours, and may outlive that for a
	// moment; what the daemon makes has a session of its own.
	ours, _ := unix.Getsid(0)
	r.until("the commands of logins to end", func() bool {
		for pid := range r.processes() {
			if session, err := unix.Getsid(pid); err == nil && session == ours {
				return false
			}
		}
		return true
	})
	if left := r.processes(); len(left) > 0 {
		r.t.Errorf("left behind: %v", left)
		for pid := range left {
			unix.Kill(pid, unix.SIGKILL)
		}
	}
}

// login runs a login whose command waits for the file NAME-end and then exits
// with what that holds. Its environment is in the file NAME-env.
func (r *rig) login(name string, env ...string) *loginProcess {
	r.t.Helper()
	l := &loginProcess{r: r, out: &syncBuffer{}, ended: make(chan struct{}), name: name, status: -1}
	l.cmd = exec.Command(filepath.Join(programs, "session-init"), "--", "sh", "-c",
		`env > $W/`+name+`-new; mv $W/`+name+`-new $W/`+name+`-env; while [ ! -e $W/`+name+`-end ]; do sleep 0.02; done; exit $(cat $W/`+name+`-end)`)
	l.cmd.Env, l.cmd.Dir = append(r.env[:len(r.env):len(r.env)], env...), "/"
	l.cmd.Stdout, l.cmd.Stderr = l.out, l.out
	if err := l.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	l.watch()
	r.t.Cleanup(func() {
		l.cmd.Process.Signal(unix.SIGTERM) // is nothing to one that has ended
		l.wait()
		if r.t.Failed() {
			r.t.Logf("login %s said:\n%s", name, l.out)
		}
	})
	r.until("login "+name+" to begin", func() bool {
		select {
		case <-l.ended:
			r.t.Fatalf("login %s ended at once: %v\n%s", name, l.cmd.ProcessState, l.out)
		default:
		}
		_, err := os.Stat(filepath.Join(r.dir, name+"-env"))
		return err == nil
	})
	return l
}

// watch has the end of the login be known.
func (l *loginProcess) watch() {
	go func() {
		l.cmd.Wait()
		close(l.ended)
	}()
}

// env returns a variable of the command.
func (l *loginProcess) env(name string) string {
	text, _ := os.ReadFile(filepath.Join(l.r.dir, l.name+"-env"))
	return lookup(strings.Split(string(text), "\n"), name)
}

// sctl runs the client as the command would, with more variables.
func (l *loginProcess) sctl(more []string, args ...string) result {
	l.r.t.Helper()
	env := l.r.env
	defer func() { l.r.env = env }()
	l.r.env = append(slices.Clone(env), "UPSTART_SESSION_ID="+l.env("UPSTART_SESSION_ID"))
	l.r.env = append(l.r.env, more...)
	return l.r.command(append([]string{"sctl"}, args...)...)
}

// wait waits for the end of the login and returns its status.
func (l *loginProcess) wait() int {
	l.r.t.Helper()
	if l.status >= 0 {
		return l.status
	}
	select {
	case <-l.ended:
	case <-time.After(patience):
		l.cmd.Process.Kill()
		l.r.t.Fatalf("login %s does not end\n%s", l.name, l.out)
	}
	l.status = l.cmd.ProcessState.ExitCode()
	return l.status
}

// logout has the command exit with a status, and returns that of the login.
func (l *loginProcess) logout(status int) int {
	l.r.t.Helper()
	l.r.write(l.name+"-end", strconv.Itoa(status))
	return l.wait()
}

// fakeDisplay is a compositor as its clients see it: a socket.
type fakeDisplay struct {
	listener net.Listener
	conns    chan net.Conn // closed when nobody is let in any more
}

func (r *rig) fakeDisplay(name string) *fakeDisplay {
	r.t.Helper()
	path := filepath.Join(r.run, name)
	os.Remove(path)
	listener, err := net.Listen("unix", path)
	if err != nil {
		r.t.Fatal(err)
	}
	f := &fakeDisplay{listener, make(chan net.Conn, 64)}
	go func() {
		defer close(f.conns)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			f.conns <- conn
		}
	}()
	r.t.Cleanup(f.crash)
	return f
}

// accepted waits for a client.
func (f *fakeDisplay) accepted(r *rig) {
	r.t.Helper()
	r.until("a client of the display", func() bool { return len(f.conns) > 0 })
}

// crash ends the display, as a kill does.
func (f *fakeDisplay) crash() {
	f.listener.Close()
	// Also one that is let in just now.
	for conn := range f.conns {
		conn.Close()
	}
}

const panelJob = "start on session-start\nscript\n    trap 'echo panel-term >> $T; exit 0' TERM\n    echo panel $SESSION $WAYLAND_DISPLAY >> $T\n    while :; do sleep 0.1 & wait $! || :; done\nend script"

// A login starts the daemon, which is nobody's child and ends with it; the
// status is the command's.
func TestLogin(t *testing.T) {
	r := newLoginRig(t)
	r.userJob("svc", "start on startup\n"+service("svc"))
	l := r.login("one", "XDG_SEAT=seat7")
	r.traced("svc")
	for name, want := range map[string]string{
		"UPSTART_SESSION":    r.address,
		"UPSTART_SESSION_ID": "1",
		"PATH":               lookup(r.env, "PATH") + ":" + r.run + "/session-init/bin",
		"XDG_SEAT":           "seat7",
	} {
		if got := l.env(name); got != want {
			t.Errorf("%s of the command is %q; want %q", name, got, want)
		}
	}
	keeper := r.keeperOf()
	if session, err := unix.Getsid(keeper); err != nil || session != keeper {
		t.Errorf("the keeper %d is in session %d, %v; want its own", keeper, session, err)
	}
	if slices.Contains(children(l.cmd.Process.Pid), keeper) {
		t.Error("the keeper is a child of the login")
	}
	environ, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", r.loginDaemon()))
	if bytes.Contains(environ, []byte("XDG_SEAT=")) {
		t.Error("the daemon has the variables of one login")
	}
	match(t, "session list", l.sctl(nil, "session", "list").out, "1 opened, process PID\n")
	if status := l.logout(7); status != 7 {
		t.Errorf("the login's status is %d; want 7", status)
	}
	r.traced("svc", "svc-term")
	if left, want := files(r.run), []string{"session-init", "session-init/lock", "session-init/login.lock"}; !slices.Equal(left, want) {
		t.Errorf("left in the runtime directory: %q; want %q", left, want)
	}
	// And again.
	r.clear()
	if status := r.login("two").logout(0); status != 0 {
		t.Errorf("the second login's status is %d", status)
	}
}

// Two logins share one daemon; the last one out ends it.
func TestTwoLogins(t *testing.T) {
	r := newLoginRig(t)
	r.userJob("svc", "start on startup\n"+service("svc"))
	one := r.login("one")
	daemon := r.loginDaemon()
	two := r.login("two")
	if again := r.loginDaemon(); again != daemon {
		t.Errorf("the second login has the daemon %d; want %d", again, daemon)
	}
	if got := two.env("UPSTART_SESSION_ID"); got != "2" {
		t.Errorf("the second login is session %q; want 2", got)
	}
	if status := one.logout(0); status != 0 {
		t.Errorf("the first login's status is %d", status)
	}
	r.prints("svc running (start), process PID\n", "status", "svc")
	match(t, "session list", two.sctl(nil, "session", "list").out, "2 opened, process PID\n")
	r.traced("svc")
	two.logout(0)
	r.traced("svc", "svc-term")
}

// Many logins at the same moment start one daemon.
func TestLoginsAtOnce(t *testing.T) {
	r := newLoginRig(t)
	r.userJob("svc", "start on startup\n"+service("svc"))
	const n = 4
	started := make([]*exec.Cmd, n)
	for i := range started {
		started[i] = exec.Command(filepath.Join(programs, "session-init"), "--", "sh", "-c", "sctl status svc > $W/said-$UPSTART_SESSION_ID; while [ ! -e $W/all-end ]; do sleep 0.02; done")
		started[i].Env, started[i].Dir = r.env, "/"
		if err := started[i].Start(); err != nil {
			t.Fatal(err)
		}
	}
	said := func() int {
		matches, _ := filepath.Glob(filepath.Join(r.dir, "said-*"))
		return len(matches)
	}
	r.until("all to be in", func() bool { return said() == n })
	r.traced("svc")
	r.write("all-end", "")
	for _, cmd := range started {
		if err := cmd.Wait(); err != nil {
			t.Errorf("a login: %v", err)
		}
	}
	r.traced("svc", "svc-term")
}

// The whole life of a graphical session, with a daemon that dies in between.
func TestLoginDisplay(t *testing.T) {
	for _, crash := range []bool{false, true} {
		t.Run(fmt.Sprintf("crash=%t", crash), func(t *testing.T) {
			r := newLoginRig(t)
			r.userJob("svc", "start on startup\n"+service("svc"))
			r.userJob("panel", panelJob)
			other := r.login("other")
			l := r.login("desk", "XDG_SESSION_TYPE=wayland")
			r.traced("svc")
			refused := l.sctl([]string{"WAYLAND_DISPLAY=nowhere"}, "session", "begin")
			if want := "session: cannot begin the session: cannot connect to the display " + r.run + "/nowhere: no such file or directory\n"; refused.status != 1 || refused.errOut != want {
				t.Errorf("begin without a display: %+v; want %q", refused, want)
			}
			display := r.fakeDisplay("wayland-9")
			desk := []string{"WAYLAND_DISPLAY=wayland-9", "MINE=1"}
			begun := l.sctl(desk, "session", "begin", "--with", "MINE")
			if want := "session: there is no session bus: services that one starts later will not know the variables\n"; begun.status != 0 || begun.out != "session 2\n" || begun.errOut != want {
				t.Errorf("begin: %+v; want session 2 and %q", begun, want)
			}
			display.accepted(r)
			r.traced("svc", "panel 2 wayland-9")
			if again := l.sctl(desk, "session", "begin"); again.out != "session 2\n" {
				t.Errorf("begin again: %+v", again)
			}
			if crash {
				keeper, before := r.keeperOf(), r.loginDaemon()
				if err := unix.Kill(before, unix.SIGKILL); err != nil {
					t.Fatal(err)
				}
				r.until("the next daemon", func() bool { return r.loginDaemon() != before })
				if r.keeperOf() != keeper {
					t.Error("the keeper is another one")
				}
			}
			match(t, "session list", l.sctl(nil, "session", "list").out,
				"1 opened, process PID\n2 begun, display wayland:"+r.run+"/wayland-9, process PID\n")
			match(t, "session show", l.sctl(nil, "session", "show", "1").out[:len("1 opened, process ")], "1 opened, process ")
			if got := l.sctl(nil, "env", "MINE").out; got != "1\n" {
				t.Errorf("env MINE = %q; want 1", got)
			}
			if got := other.sctl(nil, "env", "MINE"); got.status != 1 || got.errOut != "env: cannot show the environment: MINE is not set\n" {
				t.Errorf("env MINE of the other login: %+v", got)
			}
			if got := l.sctl(nil, "env", "--origin", "MINE").out; !strings.HasPrefix(got, "session 2: MINE=1, ") || !strings.Contains(got, ", by process ") {
				t.Errorf("env --origin MINE = %q", got)
			}
			display.crash()
			r.traced("svc", "panel 2 wayland-9", "panel-term")
			if status := l.wait(); status != 128+int(unix.SIGTERM) {
				t.Errorf("the status of the login whose display has crashed is %d; want that of TERM", status)
			}
			if !strings.Contains(l.out.String(), "session-init: login session 2 has ended: ends sh\n") {
				t.Errorf("the login said %q", l.out)
			}
			match(t, "session list", other.sctl(nil, "session", "list").out, "1 opened, process PID\n")
			r.prints("svc running (start), process PID\n", "status", "svc")
			other.logout(0)
			r.traced("svc", "panel 2 wayland-9", "panel-term", "svc-term")
		})
	}
}

// A login that is killed has ended, also while there is no daemon to see it.
func TestLoginKilled(t *testing.T) {
	r := newLoginRig(t)
	stay := r.login("stay")
	l := r.login("victim")
	pid := l.cmd.Process.Pid
	unix.Kill(r.loginDaemon(), unix.SIGKILL)
	unix.Kill(pid, unix.SIGKILL)
	r.write("victim-end", "0")
	l.wait()
	r.until("the session to be gone", func() bool {
		out := stay.sctl(nil, "session", "list").out
		return strings.HasPrefix(out, "1 opened") && strings.Count(out, "\n") == 1
	})
	stay.logout(0)
}

// When keeper and daemon are dead nobody comes back, and a logout waits for
// neither, though their socket is there.
func TestLogoutOfNobody(t *testing.T) {
	r := newLoginRig(t)
	l := r.login("one")
	keeper, daemon := r.keeperOf(), r.loginDaemon()
	unix.Kill(daemon, unix.SIGSTOP) // it must not get over the keeper's end
	for _, pid := range []int{keeper, daemon} {
		unix.Kill(pid, unix.SIGKILL)
		r.until("its end", func() bool {
			_, err := unix.Wait4(pid, nil, unix.WNOHANG, nil)
			return err != nil
		})
	}
	if status := l.logout(4); status != 4 || strings.Contains(l.out.String(), "in time") {
		t.Errorf("the login's status is %d; want 4, and no wait:\n%s", status, l.out)
	}
}

// A daemon that was started alone stays when the last login ends.
func TestLoginJoins(t *testing.T) {
	r := newRig(t)
	r.args = []string{"--no-startup-event"}
	r.start()
	l := r.login("one")
	if status := l.logout(3); status != 3 {
		t.Errorf("the login's status is %d; want 3", status)
	}
	if got := r.ok("sctl", "session", "list"); got != "" {
		t.Errorf("sessions after the login: %q", got)
	}
	r.ok("sctl", "version")
	if status := r.end(); status != 0 {
		t.Errorf("the daemon's status is %d", status)
	}
}

// Signals go to the command; "session end" and "end-session" end it.
func TestLoginEnds(t *testing.T) {
	for _, test := range []struct {
		name string
		do   func(r *rig, l *loginProcess)
	}{
		{"signal", func(_ *rig, l *loginProcess) { l.cmd.Process.Signal(unix.SIGTERM) }},
		{"session end", func(r *rig, l *loginProcess) {
			if got := l.sctl(nil, "session", "end"); got.status != 0 {
				r.t.Errorf("session end: %+v", got)
			}
		}},
		{"end-session", func(r *rig, _ *loginProcess) { r.prints("", "sctl", "end-session") }},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newLoginRig(t)
			l := r.login("one")
			test.do(r, l)
			if status := l.wait(); status != 128+int(unix.SIGTERM) {
				t.Errorf("the login's status is %d; want that of TERM", status)
			}
			r.nobodyHolds()
			r.until("the end of the daemon", func() bool { return r.command("sctl", "version").status == 3 })
		})
	}
}

// What keeps the daemon away does not keep the user out.
func TestLoginWithout(t *testing.T) {
	r := newLoginRig(t)
	if err := os.Chmod(r.run, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		runtime, want string
	}{
		{r.dir + "/gone", "session-init: cannot begin a login session: mkdir " + r.dir + "/gone/session-init: no such file or directory: sh runs without it\n"},
		{r.dir + "/" + strings.Repeat("x", 100), "the socket's path would have"},
	} {
		if len(test.runtime) > 100+len(r.dir) {
			if err := os.Mkdir(test.runtime, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.Command(filepath.Join(programs, "session-init"), "--", "sh", "-c", "exit 9")
		cmd.Env = append(slices.Clone(r.env), "XDG_RUNTIME_DIR="+test.runtime)
		out, _ := cmd.CombinedOutput()
		if status := cmd.ProcessState.ExitCode(); status != 9 || !strings.Contains(string(out), test.want) {
			t.Errorf("with %s: status %d, %q; want 9 and %q", test.runtime, status, out, test.want)
		}
	}
	for _, test := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"--"}, 2, "session-init: nothing stands behind '--': expected a command\n"},
		{[]string{"--confdir", "/x", "--", "true"}, 2, "session-init: '-- COMMAND' joins the user's own daemon: with --confdir it is not supported yet\n"},
		{[]string{"--no-keeper", "--", "true"}, 2, "session-init: '-- COMMAND' starts the daemon below its keeper: --no-keeper is not supported with it\n"},
		{[]string{"--", "no-such-command"}, 127, "session-init: cannot run no-such-command: there is no such command\n"},
	} {
		cmd := exec.Command(filepath.Join(programs, "session-init"), test.args...)
		cmd.Env = r.env
		out, _ := cmd.CombinedOutput()
		if status := cmd.ProcessState.ExitCode(); status != test.status || string(out) != test.want {
			t.Errorf("%q: status %d, %q; want %d and %q", test.args, status, out, test.status, test.want)
		}
	}
}

// A real X server: with its cookie the session begins and outlives others that
// come to the server, and it ends when the server is killed.
func TestLoginX(t *testing.T) {
	testkit.Need(t, "Xvfb")
	testkit.Need(t, "xauth")
	r := newLoginRig(t)
	r.userJob("panel", strings.ReplaceAll(panelJob, "WAYLAND_DISPLAY", "DISPLAY"))
	stay, l := r.login("stay"), r.login("desk")
	authority := "XAUTHORITY=" + r.dir + "/authority"
	for _, file := range []string{"authority", "server"} {
		cookie := exec.Command("xauth", "-f", r.dir+"/"+file, "add", ":0", "MIT-MAGIC-COOKIE-1", "00112233445566778899aabbccddeeff")
		if out, err := cookie.CombinedOutput(); err != nil && !strings.Contains(string(out), "does not exist") {
			t.Fatalf("xauth: %v\n%s", err, out)
		}
	}
	server, display := xServer(t, "-auth", r.dir+"/server")
	t.Cleanup(func() {
		// A server that is killed leaves its files.
		os.Remove("/tmp/.X11-unix/X" + display[1:])
		os.Remove("/tmp/.X" + display[1:] + "-lock")
	})
	if out, err := exec.Command("xauth", "-f", r.dir+"/authority", "add", display, "MIT-MAGIC-COOKIE-1", "00112233445566778899aabbccddeeff").CombinedOutput(); err != nil {
		t.Fatalf("xauth: %v\n%s", err, out)
	}
	without := l.sctl([]string{"DISPLAY=" + display, "XAUTHORITY=" + r.dir + "/none"}, "session", "begin")
	if without.status != 1 || !strings.Contains(without.errOut, "the X server says: ") {
		t.Errorf("begin without the cookie: %+v; want what the server says", without)
	}
	if got := l.sctl([]string{"DISPLAY=" + display, authority}, "session", "begin"); got.status != 0 {
		t.Fatalf("begin: %+v", got)
	}
	r.traced("panel 2 " + display)
	unix.Kill(r.loginDaemon(), unix.SIGKILL)
	match(t, "session list", stay.sctl(nil, "session", "list").out, "1 opened, process PID\n2 begun, display x11:"+display+", process PID\n")
	server.Process.Kill()
	l.wait()
	r.traced("panel 2 "+display, "panel-term")
	stay.logout(0)
}

// The session bus gives the variables to the services that it starts, and
// empty ones when the session is over.
func TestLoginActivation(t *testing.T) {
	testkit.Need(t, "dbus-daemon")
	testkit.Need(t, "dbus-send")
	r := newLoginRig(t)
	r.userJob("panel", panelJob)
	// One service for each look, since one that runs is not started again.
	names := []string{"During"}
	for i := range 200 {
		names = append(names, fmt.Sprintf("After%d", i))
	}
	for _, name := range names {
		r.write("services/"+name+".service", "[D-BUS Service]\nName=org.example."+name+"\nExec=/bin/sh -c 'echo \"$MINE.\" > "+r.dir+"/seen-"+name+"'\n")
	}
	r.write("bus.conf", `<busconfig><type>session</type><listen>unix:path=`+r.run+`/bus</listen><servicedir>`+r.dir+`/services</servicedir>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>`)
	bus := exec.Command("dbus-daemon", "--nofork", "--config-file", r.dir+"/bus.conf")
	bus.Env = r.env
	if err := bus.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		bus.Process.Kill()
		bus.Wait()
	})
	r.until("the bus", func() bool {
		conn, err := net.Dial("unix", r.run+"/bus")
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	seen := func(name string) string {
		// It owns no name, so that there is no answer.
		exec.Command("dbus-send", "--bus=unix:path="+r.run+"/bus", "--print-reply", "--reply-timeout=200", "--dest=org.freedesktop.DBus", "/org/freedesktop/DBus",
			"org.freedesktop.DBus.StartServiceByName", "string:org.example."+name, "uint32:0").Run()
		var text []byte
		r.until("service "+name, func() bool {
			text, _ = os.ReadFile(r.dir + "/seen-" + name)
			return bytes.HasSuffix(text, []byte("\n"))
		})
		return strings.TrimSpace(string(text))
	}
	stay, l := r.login("stay"), r.login("desk")
	display := r.fakeDisplay("wayland-9")
	if got := l.sctl([]string{"WAYLAND_DISPLAY=wayland-9", "MINE=here"}, "session", "begin", "--with", "MINE"); got.status != 0 || got.errOut != "" {
		t.Errorf("begin: %+v", got)
	}
	// No event before the bus has answered.
	r.traced("panel 2 wayland-9")
	if got := seen("During"); got != "here." {
		t.Errorf("a service that the bus starts sees %q; want here", got)
	}
	display.accepted(r)
	display.crash()
	l.wait()
	r.until("the session to be gone", func() bool { return strings.Count(stay.sctl(nil, "session", "list").out, "\n") == 1 })
	var after string
	for _, name := range names[1:] {
		if after = seen(name); after == "." {
			break
		}
	}
	if after != "." {
		t.Errorf("a service that the bus starts after the session sees %q; want nothing", after)
	}
	stay.logout(0)
}
