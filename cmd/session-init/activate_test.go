package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/godbus/dbus/v5"

	"github.com/session-init/session-init/session/testkit"
)

// What a dbus-daemon with --systemd-activation has us start. The bus is a job
// of the daemon, as the ready one is.

// activating makes a rig whose bus hands its services over; nothing runs yet.
func activating(t *testing.T) *rig {
	t.Helper()
	r := withBus(t)
	r.args = []string{"--logdir", r.logs}
	r.env = append(r.env, "DBUS_SESSION_BUS_ADDRESS="+r.busAddress())
	services := r.dir + "/share/dbus-1/services"
	r.write("bus.conf", strings.Replace(fmt.Sprintf(busConfig, r.run+"/bus"), "</busconfig>",
		"  <servicedir>"+services+"</servicedir>\n</busconfig>", 1))
	r.service("org.freedesktop.systemd1", "", "/bin/false")
	r.users("dbus", "start on startup\nexpect listen\npost-stop exec rm -f "+r.run+"/bus\n"+
		"exec dbus-daemon --config-file="+r.dir+"/bus.conf --nofork --nopidfile --systemd-activation")
	return r
}

// users writes a job file of the user's.
func (r *rig) users(name, text string) {
	r.t.Helper()
	r.write("config/session-init/"+name+".conf", text+"\n")
}

// service writes a service file of the bus, which is to be read before it is
// used: that is, before the bus starts.
func (r *rig) service(name, unit, command string) {
	r.t.Helper()
	text := "[D-BUS Service]\nName=" + name + "\nExec=" + command + "\n"
	if unit != "" {
		text += "SystemdService=" + unit + "\n"
	}
	r.write("share/dbus-1/services/"+name+".service", text)
}

// owns is a job's main that owns a bus name and answers there.
func owns(name, what string) string {
	return "echo $UPSTART_JOB >>$T; exec \"$OWNER\" own-name " + name + " 0 " + what
}

// begin starts the daemon, and waits until the bus has somebody for its
// services.
func (r *rig) beginActivating() *dbus.Conn {
	r.t.Helper()
	r.start()
	conn := r.onBus()
	r.until("the starter of services", func() bool { return int(ownerOf(conn, "org.freedesktop.systemd1")) == r.pid() })
	return conn
}

// who calls a service and returns which process has answered. It takes less
// than the bus's own patience, and is enough for many services at a time.
func who(conn *dbus.Conn, name string) (pid int32, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 4*patience)
	defer cancel()
	err = conn.Object(name, "/").CallWithContext(ctx, "org.example.Serving.Who", 0).Store(&pid)
	return pid, err
}

// TestActivation: a call of a service that does not run starts its job: that of
// the unit's name, or that which expects the name; where there is none, the
// service's own command, as a job. The call is answered.
func TestActivation(t *testing.T) {
	r := activating(t)
	r.service("org.example.Named", "named.service", "/bin/false")
	r.users("named", "expect dbus org.example.Named\nscript\n    "+owns("org.example.Named", "serves")+"\nend script")
	r.service("org.example.Expected", "another-name.service", "/bin/false")
	r.users("expected", "expect dbus org.example.Expected\nmanual\nscript\n    "+owns("org.example.Expected", "serves")+"\nend script")
	// It says nothing of its name, and is ready at once.
	r.service("org.example.Plain", "plain.service", "/bin/false")
	r.users("plain", "script\n    "+owns("org.example.Plain", "serves")+"\nend script")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r.service("org.example.NoJob", "no-job.service", "'"+self+"' own-name org.example.NoJob 0 serves")
	conn := r.beginActivating()
	for _, test := range []struct{ name, job string }{
		{"org.example.Named", "named"}, {"org.example.Expected", "expected"}, {"org.example.Plain", "plain"}, {"org.example.NoJob", "no-job"},
	} {
		pid, err := who(conn, test.name)
		if err != nil {
			t.Fatalf("a call of %s: %v\n%s", test.name, err, r.stderr)
		}
		if main := r.main(test.job); main != int(pid) {
			t.Errorf("%s is answered by process %d, and job %s is process %d", test.name, pid, test.job, main)
		}
	}
	if why := r.reason("named"); !strings.Contains(why, "dbus-daemon") {
		t.Errorf("why named = %s; want that the bus has asked", why)
	}
	// Once stopped it is started anew by the next call. Until the bus knows of the
	// end it hands calls to nobody.
	r.ok("sctl", "stop", "named")
	r.freed(conn, "org.example.Named")
	if _, err := who(conn, "org.example.Named"); err != nil {
		t.Errorf("a call after a stop: %v", err)
	}
	r.ok("sctl", "stop", "no-job")
	r.freed(conn, "org.example.NoJob")
	if _, err := who(conn, "org.example.NoJob"); err != nil {
		t.Errorf("a call after a stop of what is no job: %v", err)
	}
	// All is answered, but for who may own its name still.
	r.until("no activation to be under way", func() bool {
		kept, err := os.ReadFile(r.activations())
		return err == nil && string(kept) == "plain.service\n"
	})
}

// activations is the file of what is under way.
func (r *rig) activations() string { return filepath.Join(r.run, "session-init", "activations") }

// TestActivationFails: who calls a service that cannot come is told why, long
// before the bus gives up.
func TestActivationFails(t *testing.T) {
	r := activating(t)
	for _, name := range []string{"Missing", "Dies", "DiesLater", "Absent", "Unready", "Instance", "Stranger"} {
		r.service("org.example."+name, strings.ToLower(name)+".service", "")
	}
	r.service("org.example.Socket", "socket.socket", "")
	r.service("org.example.Command", "command.service", "/nonexistent/program --flag")
	r.service("org.example.Ends", "ends.service", "/bin/false")
	r.users("dies", "expect dbus org.example.Dies\nexec sh -c 'exit 3'")
	r.users("dieslater", "exec sh -c 'while ! [ -e $W/go ]; do sleep 0.02; done; exit 4'")
	r.users("absent", "exec /nonexistent/job")
	r.users("unready", "expect dbus org.example.Unready\nready timeout 1\nexec sleep 1000")
	r.users("instance", "instance $WHICH\nexec sleep 1000")
	r.users("stranger", "expect dbus org.example.Other\nexec \"$OWNER\" own-name org.example.Other 0 comes")
	conn := r.beginActivating()
	var later sync.WaitGroup
	for _, test := range []struct{ name, errorName, text string }{
		{"Missing", "ServiceNotFound", "there is no job missing, and "},
		{"Socket", "ServiceNotFound", "'socket.socket' cannot be a job: it does not end in .service"},
		{"Dies", "Failed", "cannot start job dies: Job failed to start: main process "},
		{"DiesLater", "Failed", "job dieslater does not run any more: main process "},
		{"Absent", "Failed", "cannot start job absent: Job failed to start: main process: cannot execute /nonexistent/job: no such file or directory"},
		{"Unready", "Failed", "cannot start job unready: Job failed to start: main process was not ready within 1 second"},
		{"Instance", "Failed", "cannot start job instance: "},
		{"Command", "Failed", "cannot execute /nonexistent/program: no such file or directory"},
		{"Ends", "Failed", "cannot start job ends: Job failed to start: main process "},
	} {
		later.Go(func() {
			_, err := who(conn, "org.example."+test.name)
			var failed dbus.Error
			if !errors.As(err, &failed) || failed.Name != "org.freedesktop.DBus.Error.Spawn."+test.errorName || !strings.Contains(failed.Error(), test.text) {
				t.Errorf("a call of %s: %v (%s); want %s: %s", test.name, err, failed.Name, test.errorName, test.text)
			}
		})
	}
	r.until("the job that dies later", func() bool {
		return strings.HasPrefix(r.command("status", "dieslater").out, "dieslater running (start)")
	})
	r.write("go", "")
	later.Wait()
	r.logged("cannot start the service missing.service that the bus asks for: there is no job missing")
}

// TestActivationShared: when two services are one job, which somebody else has
// started, the callers of both are told that it fails.
func TestActivationShared(t *testing.T) {
	r := activating(t)
	r.service("org.example.One", "one.service", "")
	r.service("org.example.Two", "two.service", "")
	r.users("one", "expect dbus org.example.Two\npre-start exec sh -c 'while ! [ -e $W/go ]; do sleep 0.02; done; exit 5'\nexec sleep 1000")
	conn := r.beginActivating()
	r.ok("sctl", "start", "--no-wait", "one")
	var calls sync.WaitGroup
	for _, name := range []string{"One", "Two"} {
		calls.Go(func() {
			_, err := who(conn, "org.example."+name)
			var failed dbus.Error
			if !errors.As(err, &failed) || failed.Name != "org.freedesktop.DBus.Error.Spawn.Failed" {
				t.Errorf("a call of %s: %v (%s); want that its job has failed", name, err, failed.Name)
			}
		})
	}
	r.until("both to be asked for", func() bool {
		kept, err := os.ReadFile(r.activations())
		return err == nil && strings.Count(string(kept), "\n") == 2
	})
	r.ok("sctl", "status", "one")
	r.write("go", "")
	calls.Wait()
	// The bus is told before it is noted.
	r.until("nothing to be under way", func() bool {
		kept, err := os.ReadFile(r.activations())
		return err == nil && len(kept) == 0
	})
}

// TestActivationMany: two calls of one service start it once, and fifty
// services are started at once; while the daemon is executed anew, too.
func TestActivationMany(t *testing.T) {
	for _, replace := range []string{"", "re-exec"} {
		t.Run("and "+replace, func(t *testing.T) {
			r := activating(t)
			const many = 50
			for i := range many {
				name := fmt.Sprintf("org.example.Many%d", i)
				r.service(name, fmt.Sprintf("many%d.service", i), "/bin/false")
				r.users(fmt.Sprintf("many%d", i), "expect dbus "+name+"\nready timeout 600\nscript\n    "+owns(name, "serves")+"\nend script")
			}
			first := r.beginActivating()
			second := r.onBus()
			var all sync.WaitGroup
			for i := range many {
				for _, conn := range []*dbus.Conn{first, second} {
					all.Go(func() {
						if _, err := who(conn, fmt.Sprintf("org.example.Many%d", i)); err != nil {
							t.Errorf("a call of service %d: %v", i, err)
						}
					})
				}
			}
			if replace != "" {
				r.ok("sctl", replace)
			}
			all.Wait()
			started := map[string]int{}
			for _, line := range r.trace() {
				started[line]++
			}
			for i := range many {
				if n := started[fmt.Sprintf("many%d", i)]; n != 1 {
					t.Errorf("job many%d was started %d times", i, n)
				}
			}
			r.until("nothing to be under way", func() bool {
				kept, err := os.ReadFile(r.activations())
				return err == nil && len(kept) == 0
			})
		})
	}
}

// TestActivationOverReplacement: what is under way when the daemon is replaced
// is answered by the next one.
func TestActivationOverReplacement(t *testing.T) {
	for _, c := range []struct {
		name    string
		replace func(r *rig)
	}{
		{"re-exec", func(r *rig) { r.ok("sctl", "re-exec") }},
		{"crash", func(r *rig) { r.crash() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := activating(t)
			r.service("org.example.Late", "late.service", "/bin/false")
			r.users("late", "expect dbus org.example.Late\nscript\n    while ! [ -e $W/go ]; do sleep 0.02; done\n    "+owns("org.example.Late", "serves")+"\nend script")
			r.service("org.example.Fails", "fails.service", "/bin/false")
			r.users("fails", "expect dbus org.example.Fails\nexec sh -c 'while ! [ -e $W/go ]; do sleep 0.02; done; exit 7'")
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			r.service("org.example.NoJob", "no-job.service", "'"+self+"' own-name org.example.NoJob 0 serves")
			r.beginActivating()
			// Calls of connections of their own, which last.
			conn := r.onBus()
			var all sync.WaitGroup
			all.Go(func() {
				if _, err := who(conn, "org.example.Late"); err != nil {
					t.Errorf("a call of the late one: %v", err)
				}
			})
			all.Go(func() {
				if _, err := who(conn, "org.example.Fails"); err == nil || !strings.Contains(err.Error(), "fails") || !strings.Contains(err.Error(), "terminated with status 7") {
					t.Errorf("a call of the one that fails: %v; want its status", err)
				}
			})
			for _, job := range []string{"late", "fails"} {
				r.until(job+" to be under way", func() bool {
					return strings.Contains(r.command("status", job).out, " (start), process ")
				})
			}
			c.replace(r)
			r.until("the next daemon to start services", func() bool { return int(ownerOf(conn, "org.freedesktop.systemd1")) == r.pid() })
			r.write("go", "")
			all.Wait()
			if _, err := who(conn, "org.example.NoJob"); err != nil {
				t.Errorf("a call after that: %v", err)
			}
		})
	}
}

// TestActivationBusRestarts: a bus that comes again has somebody for its
// services again.
func TestActivationBusRestarts(t *testing.T) {
	r := activating(t)
	r.service("org.example.Svc", "svc.service", "/bin/false")
	r.users("svc", "expect dbus org.example.Svc\nstop on stopping dbus\nscript\n    "+owns("org.example.Svc", "serves")+"\nend script")
	r.service("org.example.Stays", "stays.service", "/bin/false")
	r.users("stays", "expect dbus org.example.Stays\nscript\n    "+owns("org.example.Stays", "serves")+"\nend script")
	conn := r.beginActivating()
	before, err := who(conn, "org.example.Svc")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := who(conn, "org.example.Stays"); err != nil {
		t.Fatal(err)
	}
	r.ok("sctl", "restart", "dbus")
	conn = r.onBus()
	// Also before we are there the bus keeps the call for us.
	after, err := who(conn, "org.example.Svc")
	if err != nil || after == before {
		t.Errorf("a call over the next bus: process %d, %v; want another than %d", after, err, before)
	}
	// One that runs on and has lost its bus will not come back by itself.
	r.until("the loss of the name to be known", func() bool {
		return strings.Contains(r.reason("stays"), "nobody owns the bus name org.example.Stays")
	})
	if _, err := who(conn, "org.example.Stays"); err == nil || !strings.Contains(err.Error(),
		"job stays runs already, but nobody owns the bus name org.example.Stays: try 'sctl restart stays'") {
		t.Errorf("a call of a job that has lost the bus: %v", err)
	}
	r.ok("sctl", "restart", "stays")
	if _, err := who(conn, "org.example.Stays"); err != nil {
		t.Errorf("a call of that job when it was restarted: %v", err)
	}
}

// TestActivationForeign: a bus that is no job of ours, or starts its services
// itself, does not find systemd in us.
func TestActivationForeign(t *testing.T) {
	for _, c := range []struct {
		name string
		bus  func(r *rig)
	}{
		{"job", func(r *rig) { r.ok("sctl", "start", "dbus") }},
		{"stranger", func(r *rig) { r.startBus("--systemd-activation") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := activating(t)
			r.users("dbus", "exec dbus-daemon --config-file="+r.dir+"/bus.conf --nofork --nopidfile")
			r.start()
			c.bus(r)
			conn := r.onBus()
			r.until("our name", func() bool { return int(ownerOf(conn, ourBusName)) == r.pid() })
			// Who has answered a call has done before what it does when it joins.
			r.ok("sctl", "--session", "list")
			if pid := ownerOf(conn, "org.freedesktop.systemd1"); pid != 0 {
				t.Errorf("process %d is systemd on this bus", pid)
			}
		})
	}
}

// TestSystemdManager: what programs want of systemd is answered at once.
func TestSystemdManager(t *testing.T) {
	tool := testkit.Need(t, "dbus-update-activation-environment")
	r := activating(t)
	conn := r.beginActivating()
	systemd := conn.Object("org.freedesktop.systemd1", "/org/freedesktop/systemd1")
	call := func(method string, args ...any) error {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		return systemd.CallWithContext(ctx, "org.freedesktop.systemd1.Manager."+method, 0, args...).Err
	}
	if err := call("SetEnvironment", []string{"ONE=1", "TWO=2", "DISPLAY=:77"}); err != nil {
		t.Error(err)
	}
	r.prints("1\n", "sctl", "get-env", "ONE")
	if got := r.command("sctl", "get-env", "DISPLAY"); got.status == 0 {
		t.Errorf("DISPLAY is %q for all; want it in no table", got.out)
	}
	if err := call("UnsetAndSetEnvironment", []string{"ONE", "TWO"}, []string{"TWO=3"}); err != nil {
		t.Error(err)
	}
	r.prints("3\n", "sctl", "get-env", "TWO")
	if got := r.command("sctl", "get-env", "ONE"); got.status == 0 {
		t.Errorf("ONE is %q, and was unset", got.out)
	}
	if err := call("UnsetEnvironment", []string{"TWO"}); err != nil {
		t.Error(err)
	}
	for _, test := range []struct {
		method, errorName string
		args              []any
	}{
		{"SetEnvironment", "InvalidArgs", []any{[]string{"NO"}}},
		{"StartUnit", "UnknownMethod", []any{"a.service", "replace"}},
		{"StartTransientUnit", "UnknownMethod", []any{"a.scope", "fail", []string{}, []string{}}},
	} {
		var failed dbus.Error
		if err := call(test.method, test.args...); !errors.As(err, &failed) || failed.Name != "org.freedesktop.DBus.Error."+test.errorName {
			t.Errorf("%s: %v; want %s", test.method, err, test.errorName)
		}
	}
	if err := conn.Object("org.freedesktop.systemd1", "/org/freedesktop/systemd1/unit/a_2eservice").Call("org.freedesktop.DBus.Properties.GetAll", 0, "x").Err; err == nil {
		t.Error("there is a unit")
	}
	// The real client of it.
	// It looks there whether there is systemd.
	if err := os.MkdirAll(r.run+"/systemd", 0o700); err != nil {
		t.Fatal(err)
	}
	client := exec.Command(tool, "--systemd", "FROM_CLIENT")
	client.Env = append(r.env, "FROM_CLIENT=yes")
	if out, err := client.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("dbus-update-activation-environment: %q, %v", out, err)
	}
	r.prints("yes\n", "sctl", "get-env", "FROM_CLIENT")
}

// TestActivationNoDisplay: a service whose job belongs to login sessions is not
// started while none has a display, enabled or not, and is refused at once; but for
// a login that has just begun, whose display is waited for.
func TestActivationNoDisplay(t *testing.T) {
	r := activating(t)
	jobs := map[string]string{"enabled": "start on session-start\n", "off": "start on session-start\n",
		"chained": "start on starting off\n", "users": ""}
	for name, on := range jobs {
		r.service("org.example."+name, name+".service", "/bin/false")
		r.users(name, on+"expect dbus org.example."+name+"\nscript\n    echo $UPSTART_JOB $SESSION $WAYLAND_DISPLAY >>$T\n    exec \"$OWNER\" own-name org.example."+name+" 0 serves\nend script")
	}
	r.write("config/session-init/off.override", "manual\n")
	conn := r.beginActivating()
	for name := range jobs {
		_, err := who(conn, "org.example."+name)
		want := "cannot start job " + name + ": it belongs to a login session, and none has a display"
		if name == "users" {
			if err != nil {
				t.Errorf("a call of a job that is the user's: %v", err)
			}
		} else if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("a call of job %s, and nobody has a display: %v; want %q", name, err, want)
		}
	}
	if got := strings.Join(r.trace(), ","); got != "users" {
		t.Errorf("there is no display, and these ran: %q; want the user's alone", got)
	}
	l := r.login("desk")
	answered := make(chan error, 1)
	go func() {
		_, err := who(conn, "org.example.off")
		answered <- err
	}()
	r.until("the bus to have asked", func() bool {
		kept, err := os.ReadFile(r.activations())
		return err == nil && string(kept) == "off.service\n"
	})
	display := r.fakeDisplay("wayland-1")
	if got := l.sctl([]string{"WAYLAND_DISPLAY=wayland-1"}, "session", "begin"); got.status != 0 {
		t.Fatalf("begin: %+v", got)
	}
	if err := <-answered; err != nil {
		t.Errorf("a call before the display of a login that has just begun: %v", err)
	}
	r.tracedAll("chained 1 wayland-1", "enabled 1 wayland-1", "off 1 wayland-1", "users")
	display.crash()
	l.logout(0)
	for _, job := range []string{"enabled", "off", "chained"} {
		r.becomes(job+" waiting (stop)\n", job)
	}
	if _, err := who(conn, "org.example.enabled"); err == nil {
		t.Error("the login is over, and its job was started")
	}
}
