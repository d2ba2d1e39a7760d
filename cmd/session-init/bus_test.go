package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/testkit"
)

// The session bus: a dbus-daemon of the test's own, and jobs that own names
// there: this very program, see ownName.

const busConfig = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path=%s</listen>
  <auth>EXTERNAL</auth>
  <limit name="service_start_timeout">600000</limit>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
`

const (
	ourBusName     = "org.sessioninit.SessionInit1"
	upstartBusName = "com.ubuntu.Upstart"
)

// withBus makes the bus's configuration; its socket is where the session's is.
func withBus(t *testing.T) *rig {
	t.Helper()
	testkit.Need(t, "dbus-daemon")
	r := newRig(t)
	r.write("bus.conf", fmt.Sprintf(busConfig, r.run+"/bus"))
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r.env = append(r.env, "OWNER="+self)
	return r
}

func (r *rig) busAddress() string { return "unix:path=" + r.run + "/bus" }

// reason asks why, without the lines that the answer is broken into.
func (r *rig) reason(job string) string {
	r.t.Helper()
	return strings.Join(strings.Fields(r.command("sctl", "why", job).out), " ")
}

// startBus runs a bus that is no job, and returns what ends it.
func (r *rig) startBus(flags ...string) (stop func()) {
	r.t.Helper()
	bus := exec.Command(testkit.Need(r.t, "dbus-daemon"), append(flags, "--config-file="+r.dir+"/bus.conf", "--nofork", "--nopidfile")...)
	bus.Env = []string{"PATH=" + os.Getenv("PATH")}
	bus.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if err := bus.Start(); err != nil {
		r.t.Fatal(err)
	}
	stop = func() {
		if bus.ProcessState == nil {
			bus.Process.Kill()
			bus.Wait()
		}
	}
	r.t.Cleanup(stop)
	r.onBus()
	return stop
}

// onBus connects to the bus, as soon as there is one.
func (r *rig) onBus() (conn *dbus.Conn) {
	r.t.Helper()
	r.until("the bus", func() (ok bool) {
		var err error
		conn, err = dbus.Connect(r.busAddress())
		return err == nil
	})
	r.t.Cleanup(func() { conn.Close() })
	return conn
}

// freed waits until the bus knows that a name is nobody's any more.
func (r *rig) freed(conn *dbus.Conn, name string) {
	r.t.Helper()
	r.until(name+" to be free", func() bool { return ownerOf(conn, name) == 0 })
}

// ownerOf returns the pid that owns a name, 0 for none.
func ownerOf(conn *dbus.Conn, name string) (pid uint32) {
	conn.BusObject().Call("org.freedesktop.DBus.GetConnectionUnixProcessID", 0, name).Store(&pid)
	return pid
}

// ownName is a job that owns a bus name: own-name NAME FORKS WHAT. It forks as
// often, each time to end at once, and then comes, comes late (when $W/go is
// there), never comes, dies, or has a child own the name.
func ownName(args []string) int {
	name, what := args[0], args[2]
	forks, err := strconv.Atoi(args[1])
	if err != nil {
		return 100
	}
	again := func(forks int, what string) *exec.Cmd {
		next := exec.Command("/proc/self/exe", "own-name", name, strconv.Itoa(forks), what)
		next.SysProcAttr = &unix.SysProcAttr{Setsid: forks == 0}
		if next.Start() != nil {
			os.Exit(101)
		}
		return next
	}
	if forks > 0 {
		again(forks-1, what)
		return 0
	}
	switch what {
	case "dies":
		return 3
	case "child":
		again(0, "comes").Wait()
		return 0
	case "late":
		for {
			if _, err := os.Stat(os.Getenv("W") + "/go"); err == nil {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	conn, err := dbus.Connect(os.Getenv("DBUS_SESSION_BUS_ADDRESS"))
	for errors.Is(err, unix.ECONNREFUSED) {
		// Its socket is there, and the bus is about to listen.
		time.Sleep(5 * time.Millisecond)
		conn, err = dbus.Connect(os.Getenv("DBUS_SESSION_BUS_ADDRESS"))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 102
	}
	if what == "serves" {
		if conn.Export(serving{}, "/", "org.example.Serving") != nil {
			return 104
		}
	}
	if what != "never" {
		if _, err := conn.RequestName(name, dbus.NameFlagAllowReplacement); err != nil {
			return 103
		}
	}
	// The bus may go; the program stays.
	<-make(chan struct{})
	return 0
}

// serving is an object that says which process answers.
type serving struct{}

// Who is a method.
func (serving) Who() (int32, *dbus.Error) { return int32(os.Getpid()), nil }

// TestExpectDBus: however the job forks, and whoever owns the name, the job ends
// in a truthful state, and leaves nothing.
func TestExpectDBus(t *testing.T) {
	r := withBus(t)
	r.env = append(r.env, "DBUS_SESSION_BUS_ADDRESS="+r.busAddress())
	r.startBus()
	conn := r.onBus()
	kinds := []string{"never", "stranger", "comes", "late", "child", "dies"}
	type one struct{ job, name, kind string }
	var all []one
	for _, kind := range kinds {
		for forks := range 5 {
			c := one{fmt.Sprintf("%s%d", kind, forks), fmt.Sprintf("org.example.%s.F%d", kind, forks), kind}
			all = append(all, c)
			does, timeout := kind, 600
			if kind == "never" || kind == "stranger" {
				does, timeout = "never", 8
			}
			r.job(c.job, fmt.Sprintf("expect dbus %s\nready timeout %d\nexec \"$OWNER\" own-name %s %d %s", c.name, timeout, c.name, forks, does))
			if kind == "stranger" {
				if _, err := conn.RequestName(c.name, 0); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	r.start()
	lacks := map[string]string{"never": "nobody owns the bus name ", "stranger": "the bus name "}
	for _, c := range all {
		r.ok("sctl", "start", "--no-wait", c.job)
		// The time of these is short: that they are waited for is known before
		// there is more to do.
		if lacks := lacks[c.kind]; lacks != "" {
			r.until(c.job+" to be waited for", func() bool { return strings.Contains(r.reason(c.job), lacks+c.name) })
		}
	}
	for _, c := range all {
		if c.kind == "late" {
			r.until("the late ones to be waited for", func() bool {
				return strings.Contains(r.reason(c.job), "nobody owns the bus name "+c.name)
			})
		}
	}
	r.write("go", "")
	for _, c := range all {
		switch c.kind {
		case "comes", "late", "child":
			r.until(c.job+" to be ready", func() bool {
				out := r.command("sctl", "status", c.job).out
				return strings.HasPrefix(out, c.job+" running (start), process ") && strings.Contains(out, "\n\tready: owns bus name "+c.name+" after ")
			})
		}
	}
	for _, c := range all {
		failed := map[string]string{
			"never":    "main process was not ready within 8 seconds, as 'expect dbus " + c.name + "' declares it; nobody owns the bus name " + c.name,
			"stranger": fmt.Sprintf("main process was not ready within 8 seconds, as 'expect dbus %s' declares it; the bus name %s is owned by process %d (", c.name, c.name, os.Getpid()),
			"dies":     " before it was ready, as 'expect dbus " + c.name + "' declares it",
		}[c.kind]
		if failed != "" {
			r.until(c.job+" to have failed", func() bool {
				return strings.Contains(r.reason(c.job), failed)
			})
			continue
		}
		owner := int(ownerOf(conn, c.name))
		// Those who forked before may not have ended yet.
		r.until(fmt.Sprintf("main of %s to be process %d, who owns the name", c.job, owner), func() bool {
			main := r.main(c.job)
			return main == owner || c.kind == "child" && main == parentOf(owner)
		})
		r.ok("sctl", "stop", c.job)
		r.freed(conn, c.name)
	}
}

func parentOf(pid int) int {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(text)) {
		if rest, found := strings.CutPrefix(line, "PPid:"); found {
			parent, _ := strconv.Atoi(strings.TrimSpace(rest))
			return parent
		}
	}
	return 0
}

// TestBusIsJob: the bus is a job itself. A job that waits for a name is ready
// when the bus has come and it has the name; the bus is stopped and started
// again, and is joined each time, while those who owned a name run on.
func TestBusIsJob(t *testing.T) {
	r := withBus(t)
	r.args = append(r.args, "--session")
	// With --session there must be a bus at once; afterwards it may go.
	stop := r.startBus()
	r.job("dbus", "exec dbus-daemon --config-file="+r.dir+"/bus.conf --nofork --nopidfile")
	r.job("svc", "expect dbus org.example.Svc\nenv DBUS_SESSION_BUS_ADDRESS="+r.busAddress()+
		"\nscript\n    while ! [ -S \"${DBUS_SESSION_BUS_ADDRESS#*=}\" ]; do sleep 0.05; done\n    exec \"$OWNER\" own-name org.example.Svc 0 comes\nend script")
	r.start()
	stop()
	os.Remove(r.run + "/bus")
	r.until("the loss to be logged", func() bool {
		return strings.Contains(r.stderr.String(), "lost the session bus: it has closed the connection")
	})
	r.ok("sctl", "start", "--no-wait", "svc")
	r.until("why to say that there is no bus", func() bool {
		return strings.Contains(r.reason("svc"), "there is no session bus: "+r.busAddress())
	})
	r.ok("sctl", "start", "dbus")
	r.until("svc to be ready", func() bool {
		return strings.Contains(r.command("sctl", "status", "svc").out, "svc running (start)")
	})
	conn := r.onBus()
	r.until("our names", func() bool {
		return int(ownerOf(conn, ourBusName)) == r.pid() && int(ownerOf(conn, upstartBusName)) == r.pid()
	})
	r.prints("dbus running (start), process PID\nsvc running (start), process PID\n", "sctl", "--session", "list")
	r.ok("sctl", "restart", "dbus")
	conn = r.onBus()
	r.until("our names again", func() bool { return int(ownerOf(conn, ourBusName)) == r.pid() })
	r.until("the loss of the name to be logged", func() bool {
		return strings.Contains(r.stderr.String(), "svc is ready no longer: nobody owns the bus name org.example.Svc; it runs on")
	})
	r.prints("dbus running (start), process PID\nsvc running (start), process PID\n", "sctl", "--session", "list")
	r.until("why to say so", func() bool {
		return strings.Contains(r.reason("svc"), "nobody owns the bus name org.example.Svc")
	})
}

// TestBusOverReplacement: names, what is waited for, and the address that a
// client has told are the next daemon's, too.
func TestBusOverReplacement(t *testing.T) {
	for _, c := range []struct {
		name    string
		replace func(r *rig)
		args    []string
	}{
		{"re-exec", func(r *rig) { r.ok("sctl", "re-exec") }, nil},
		{"crash", func(r *rig) { r.crash() }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := withBus(t)
			r.args = append(r.args, "--session")
			r.startBus()
			r.job("svc", "expect dbus org.example.Svc\nexec \"$OWNER\" own-name org.example.Svc 0 late")
			r.env = append(r.env, "DBUS_SESSION_BUS_ADDRESS="+r.busAddress())
			r.start()
			// By an address that its environment does not have.
			told := r.dir + "/elsewhere"
			if err := os.Symlink(r.run+"/bus", told); err != nil {
				t.Fatal(err)
			}
			r.ok("sctl", "notify-dbus-address", "unix:path="+told)
			conn := r.onBus()
			named := func() bool { return int(ownerOf(conn, ourBusName)) == r.pid() }
			r.until("our name", named)
			r.ok("sctl", "start", "--no-wait", "svc")
			r.until("the job to be waited for", func() bool {
				return strings.Contains(r.reason("svc"), "nobody owns")
			})
			c.replace(r)
			r.until("our name again", named)
			text, err := os.ReadFile(filepath.Join(r.run, "session-init", strconv.Itoa(r.daemon.Process.Pid), "bus-address"))
			if err != nil || string(text) != "unix:path="+told+"\n" {
				t.Errorf("the address that is kept = %q, %v", text, err)
			}
			r.write("go", "")
			r.until("svc to be ready", func() bool {
				return strings.Contains(r.command("sctl", "status", "svc").out, "ready: owns bus name org.example.Svc")
			})
			c.replace(r)
			r.until("our name once more", named)
			// Its loss is noticed by a daemon that did not see it come.
			other := r.onBus()
			if _, err := other.RequestName("org.example.Svc", dbus.NameFlagReplaceExisting); err != nil {
				t.Fatal(err)
			}
			lost := fmt.Sprintf("the bus name org.example.Svc is owned by process %d (", os.Getpid())
			r.until("the loss to be told", func() bool {
				return strings.Contains(r.stderr.String(), "svc is ready no longer: "+lost) && strings.Contains(r.reason("svc"), lost)
			})
			r.ok("sctl", "stop", "svc")
		})
	}
}

// TestSessionFlag: it insists, and what forbids it does not go with it.
func TestSessionFlag(t *testing.T) {
	r := withBus(t)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--session"}, "session-init: cannot join the session bus: there is no session bus: " + r.busAddress() + ": no such file or directory\n"},
		{[]string{"--session", "--no-dbus"}, "session-init: --session insists on the session bus, and --no-dbus forbids it: use one of them\n"},
	} {
		cmd := exec.Command(r.binary, append(append(c.args, "--no-keeper"), r.args...)...)
		cmd.Env = r.env
		out, _ := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != 1 || !strings.HasSuffix(string(out), c.want) {
			t.Errorf("%q: status %d, %q; want 1, %q", c.args, cmd.ProcessState.ExitCode(), out, c.want)
		}
	}
	if left := files(r.run); len(left) != 0 && strings.Join(left, " ") != "session-init" {
		t.Errorf("left in the runtime directory: %q", left)
	}
}

// TestNoBus: without a bus a job says why it is not ready, a private daemon takes
// no names, and a client says where it has looked.
func TestNoBus(t *testing.T) {
	r := withBus(t)
	r.args = append(r.args, "--no-dbus")
	r.job("svc", "expect dbus org.example.Svc\nready timeout 1\nexec sleep 1000")
	r.start()
	r.refused(1, "start: cannot start 'svc': Job failed to start: main process was not ready within 1 second, as 'expect dbus org.example.Svc' declares it; session-init was started with --no-dbus and joins no bus\n", "sctl", "start", "svc")
	r.refused(1, "notify-dbus-address: cannot say where the session bus is: cannot join a bus: session-init was started with --no-dbus\n", "sctl", "notify-dbus-address", r.busAddress())
	r.refused(3, "list: cannot list the jobs: no session-init to talk to: there is no session bus: cannot connect to "+r.busAddress()+": no such file or directory; start one with: session-init\n", "sctl", "--session", "list")
	r.startBus()
	r.refused(3, "list: cannot list the jobs: no session-init to talk to: no session-init is on the session bus at "+r.busAddress()+"; start one with: session-init\n", "sctl", "--session", "list")
}

// TestPrivateTakesNoNames: also when it has joined the bus for a job.
func TestPrivateTakesNoNames(t *testing.T) {
	r := withBus(t)
	r.env = append(r.env, "DBUS_SESSION_BUS_ADDRESS="+r.busAddress())
	r.startBus()
	r.job("svc", "expect dbus org.example.Svc\nexec \"$OWNER\" own-name org.example.Svc 0 comes")
	r.start()
	r.ok("sctl", "start", "svc")
	conn := r.onBus()
	for _, name := range []string{ourBusName, upstartBusName} {
		if owner := ownerOf(conn, name); owner != 0 {
			t.Errorf("process %d owns %s", owner, name)
		}
	}
}

// TestOwnDaemonOnBus: the user's own daemon takes its names, and a client finds
// it there when it has nothing else to go by.
func TestOwnDaemonOnBus(t *testing.T) {
	r := withBus(t)
	r.args = []string{"--logdir", r.logs, "--no-startup-event"}
	r.write("config/session-init/svc.conf", "exec sleep 1000\n")
	r.env = append(r.env, "DBUS_SESSION_BUS_ADDRESS="+r.busAddress())
	r.startBus()
	r.start()
	conn := r.onBus()
	r.until("our name", func() bool { return int(ownerOf(conn, ourBusName)) == r.pid() })
	jobs := r.ok("sctl", "list")
	for _, test := range []struct {
		env  []string
		args []string
	}{
		{nil, []string{"--session", "list"}},
		{[]string{"DBUS_SESSION_BUS_ADDRESS=unix:path=/nonexistent"}, []string{"--session", "--address", r.busAddress(), "list"}},
		{[]string{"UPSTART_SESSION=", "XDG_RUNTIME_DIR=/nonexistent"}, []string{"list"}},
	} {
		cmd := exec.Command(filepath.Join(programs, "sctl"), test.args...)
		cmd.Env = append(append(r.env[:len(r.env):len(r.env)], "UPSTART_SESSION="+r.address), test.env...)
		out, err := cmd.CombinedOutput()
		if err != nil || string(out) != jobs {
			t.Errorf("%q %q = %q, %v; want %q", test.env, test.args, out, err, jobs)
		}
	}
	// Signals come there, too, and only ours.
	wait := exec.Command(filepath.Join(programs, "sctl"), "--session", "wait", "told")
	wait.Env = r.env
	if err := wait.Start(); err != nil {
		t.Fatal(err)
	}
	waited := make(chan error, 1)
	go func() { waited <- wait.Wait() }()
	r.until("the event to be told over the bus", func() bool {
		r.ok("sctl", "emit", "told")
		select {
		case err := <-waited:
			if err != nil {
				t.Errorf("sctl --session wait told: %v", err)
			}
			return true
		default:
			return false
		}
	})
	r.ok("sctl", "--session", "start", "svc")
	r.ok("sctl", "--session", "stop", "svc")
}
