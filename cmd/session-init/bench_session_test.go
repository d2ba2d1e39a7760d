package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/testkit"
)

// A desktop's 25 programs, started by us, by systemd --user and by a script of a
// shell, from exec until all are ready, which is looked for from outside, in the
// same way for each: their sockets answer, their names are on the bus. Nothing is
// asserted; `make bench-session` prints the table.

// sessionProgram is one of the 25. Command has $R for the runtime directory.
type sessionProgram struct {
	name, command string
	// socket is what it listens at, below the runtime directory, bus the name
	// that it owns; both empty: it does not tell.
	socket, bus string
}

func sessionPrograms() []sessionProgram {
	list := []sessionProgram{
		{name: "dbus", command: "dbus-daemon --session --nofork --nopidfile --address=unix:path=$R/bus", socket: "bus"},
		{name: "pipewire", command: "pipewire", socket: "pipewire-0"},
		{name: "wireplumber", command: "wireplumber"},
		{name: "pipewire-pulse", command: "pipewire-pulse", socket: "pulse/native"},
		{name: "gpg-agent", command: "gpg-agent --homedir $R/gnupg --daemon sleep 100000", socket: "gnupg/S.gpg-agent"},
		{name: "at-spi", command: "/usr/libexec/at-spi-bus-launcher --launch-immediately", bus: "org.a11y.Bus"},
		{name: "gvfs", command: "/usr/libexec/gvfsd --no-fuse", bus: "org.gtk.vfs.Daemon"},
		{name: "gvfs-metadata", command: "/usr/libexec/gvfsd-metadata", bus: "org.gtk.vfs.Metadata"},
		{name: "permissions", command: "/usr/libexec/xdg-permission-store", bus: "org.freedesktop.impl.portal.PermissionStore"},
		{name: "dconf", command: "/usr/libexec/dconf-service", bus: "ca.desrt.dconf"},
		{name: "dunst", command: "dunst", bus: "org.freedesktop.Notifications"},
		{name: "portal-gtk", command: "/usr/libexec/xdg-desktop-portal-gtk", bus: "org.freedesktop.impl.portal.desktop.gtk"},
		{name: "portal", command: "/usr/libexec/xdg-desktop-portal", bus: "org.freedesktop.portal.Desktop"},
		{name: "openbox", command: "openbox"},
		{name: "tint2", command: "tint2"},
	}
	for i := range 3 {
		list = append(list,
			sessionProgram{name: fmt.Sprintf("ssh-agent%d", i), command: fmt.Sprintf("ssh-agent -D -a $R/ssh%d", i), socket: fmt.Sprintf("ssh%d", i)},
			sessionProgram{name: fmt.Sprintf("memcached%d", i), command: fmt.Sprintf("memcached -u root -s $R/memcached%d", i), socket: fmt.Sprintf("memcached%d", i)},
			sessionProgram{name: fmt.Sprintf("redis%d", i), command: fmt.Sprintf("redis-server --port 0 --save '' --unixsocket $R/redis%d", i), socket: fmt.Sprintf("redis%d", i)})
	}
	return append(list, sessionProgram{name: "bus2", command: "dbus-daemon --session --nofork --nopidfile --address=unix:path=$R/bus2", socket: "bus2"})
}

// desk is a place where the 25 can run, and a screen.
type desk struct {
	*bench
	list []sessionProgram
}

func newDesk(b *testing.B) *desk {
	b.Helper()
	for _, program := range []string{"dbus-daemon", "pipewire", "wireplumber", "gpg-agent", "dunst", "openbox", "tint2", "ssh-agent",
		"memcached", "redis-server", "Xvfb", "/usr/libexec/gvfsd", "/usr/libexec/xdg-desktop-portal-gtk", "/usr/libexec/dconf-service"} {
		testkit.Need(b, program)
	}
	d := &desk{bench: newBench(b), list: sessionPrograms()}
	d.env = append(d.env, "DBUS_SESSION_BUS_ADDRESS=unix:path="+d.run+"/bus", "XDG_DATA_DIRS=/usr/share", "DISPLAY="+d.screen())
	b.Cleanup(d.killLeft)
	return d
}

// screen starts an X server and returns its name.
func (d *desk) screen() string {
	d.b.Helper()
	_, display := xServer(d.b, "-noreset")
	return display
}

// sweep removes what a run has left in the runtime directory.
func (d *desk) sweep() {
	d.b.Helper()
	d.unmount()
	names, _ := filepath.Glob(d.run + "/*")
	for _, name := range names {
		if err := os.RemoveAll(name); err != nil {
			d.b.Fatal(err)
		}
	}
	if err := os.Mkdir(d.run+"/gnupg", 0o700); err != nil {
		d.b.Fatal(err)
	}
}

// unmount takes away the portal's file system, whose server is dead.
func (d *desk) unmount() { _ = unix.Unmount(d.run+"/doc", unix.MNT_DETACH) }

// words is a command with its place in it.
func (d *desk) words(p sessionProgram) string { return strings.ReplaceAll(p.command, "$R", d.run) }

// ready waits until all that tell are ready, and returns when that was.
func (d *desk) ready() time.Duration {
	d.b.Helper()
	waits := slices.DeleteFunc(slices.Clone(d.list), func(p sessionProgram) bool { return p.socket+p.bus == "" })
	var conn *dbus.Conn
	defer func() {
		if conn != nil {
			conn.Close()
		}
	}()
	end := time.Now().Add(2 * patience)
	for len(waits) > 0 {
		if time.Now().After(end) {
			d.b.Fatalf("not ready: %v", waits)
		}
		if conn == nil {
			conn, _ = dbus.Connect("unix:path=" + d.run + "/bus")
		}
		var names []string
		if conn != nil {
			// A bus that does not answer must not hold the others up.
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			if err := conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.ListNames", 0).Store(&names); err != nil {
				conn.Close()
				conn = nil
			}
			cancel()
		}
		waits = slices.DeleteFunc(waits, func(p sessionProgram) bool {
			if p.bus != "" {
				return slices.Contains(names, p.bus)
			}
			c, err := net.Dial("unix", filepath.Join(d.run, p.socket))
			if err == nil {
				c.Close()
			}
			return err == nil
		})
		if len(waits) > 0 {
			<-time.After(2 * time.Millisecond)
		}
	}
	return d.now()
}

// sessionRow is a line of the table.
type sessionRow struct {
	who       string
	wall, own []time.Duration
}

func (r *sessionRow) add(wall, own time.Duration) {
	r.wall, r.own = append(r.wall, wall), append(r.own, own)
}

// at is the value below which a part of the sorted values lies.
func at(list []time.Duration, part float64) float64 {
	list = slices.Sorted(slices.Values(list))
	return millis(list[min(len(list)-1, int(part*float64(len(list))))])
}

// BenchmarkSession: see above. The manager's own CPU time is that of keeper and
// daemon, of systemd's manager, and of the shell.
func BenchmarkSession(b *testing.B) {
	var rows []sessionRow
	load, _ := os.ReadFile("/proc/loadavg")
	run := func(name string, once func(*desk) (wall, own time.Duration)) {
		b.Run(name, func(b *testing.B) {
			d := newDesk(b)
			row := sessionRow{who: name}
			for range b.N {
				d.sweep()
				row.add(once(d))
			}
			b.ReportMetric(at(row.wall, 0.5), "median-ms")
			b.ReportMetric(at(row.wall, 0.99), "p99-ms")
			b.ReportMetric(at(row.own, 0.5)/float64(len(d.list)), "own-cpu-ms/job")
			b.ReportMetric(0, "ns/op")
			rows = slices.DeleteFunc(rows, func(r sessionRow) bool { return r.who == name })
			rows = append(rows, row)
		})
	}
	run("session-init", (*desk).bySessionInit)
	run("systemd", (*desk).bySystemd)
	run("shell", (*desk).byShell)
	var table bytes.Buffer
	w := tabwriter.NewWriter(&table, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\truns\tmedian ms\tp99 ms\town CPU ms\tp99\tms a job\t")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%d\t%.0f\t%.0f\t%.1f\t%.1f\t%.2f\t\n", r.who, len(r.wall), at(r.wall, 0.5), at(r.wall, 0.99),
			at(r.own, 0.5), at(r.own, 0.99), at(r.own, 0.5)/float64(len(sessionPrograms())))
	}
	w.Flush()
	// The log of a benchmark that has others below it is not shown.
	fmt.Printf("25 programs from exec to all ready; load before: %s%s", load, table.String())
}

// sessionJobs writes the 25 as jobs: what needs the bus comes after it.
func (d *desk) sessionJobs() {
	for _, p := range d.list {
		on, expect := "startup", ""
		switch {
		case p.bus != "":
			expect = "expect dbus " + p.bus + "\n"
		case p.socket != "":
			expect = "expect listen\n"
		}
		switch p.name {
		case "pipewire-pulse", "wireplumber":
			on = "started pipewire"
		case "portal":
			on = "started portal-gtk"
		case "dbus", "bus2", "pipewire", "gpg-agent", "openbox", "tint2":
		default:
			if p.bus != "" {
				on = "started dbus"
			}
		}
		d.userJob(p.name, "start on "+on+"\n"+expect+"exec "+d.words(p))
	}
	// The user's own daemon: it owns its names on the bus.
	d.args = []string{"--logdir", d.logs}
}

func (d *desk) ours() []int { return []int{d.daemon.Process.Pid, d.pid()} }

func (d *desk) bySessionInit() (wall, own time.Duration) {
	d.sessionJobs()
	began := d.now()
	d.start()
	wall = d.ready() - began
	for _, pid := range d.ours() {
		own += d.cpuOf(pid)
	}
	d.end()
	return wall, own
}

// unitText has systemd wait for what can be waited for.
func (d *desk) unitText(p sessionProgram) string {
	text := "[Unit]\n"
	switch {
	case p.name == "pipewire-pulse" || p.name == "wireplumber":
		text += "After=pipewire.service\n"
	case p.name == "portal":
		text += "After=portal-gtk.service\n"
	case p.bus != "":
		text += "After=dbus.service\n"
	}
	command := d.words(p)
	if p.name == "dbus" {
		// Type=dbus brings Debian's dbus.socket with it: systemd listens, and a
		// bus with a socket of its own would leave those waiting who came before.
		command = "dbus-daemon --session --nofork --nopidfile --address=systemd:"
	}
	text += "[Service]\nExecStart=" + command + "\n"
	switch {
	case p.bus != "":
		text += "Type=dbus\nBusName=" + p.bus + "\n"
	case p.name == "dbus":
		text += "Type=notify\n"
	}
	return text
}

// systemdScript makes what systemd --user looks for: a machine that was booted
// with it, which /run/systemd/system says, and a cgroup of its own.
const systemdScript = `set -e
mount -t tmpfs none /run
mkdir -p /run/systemd/system
umount -l -R /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
mkdir -p "/sys/fs/cgroup/$1"
echo $$ >"/sys/fs/cgroup/$1/cgroup.procs"
exec /usr/lib/systemd/systemd --user --unit=all.target`

func (d *desk) bySystemd() (wall, own time.Duration) {
	testkit.Need(d.b, "/usr/lib/systemd/systemd")
	words := append(testkit.NeedPrivate(d.b)[:1], "--mount", "sh", "-c", systemdScript, "sh", fmt.Sprintf("session-init-bench-%d", os.Getpid()))
	all := "[Unit]\nDefaultDependencies=no\nWants="
	for _, p := range d.list {
		d.write("config/systemd/user/"+p.name+".service", d.unitText(p))
		all += p.name + ".service "
	}
	d.write("config/systemd/user/all.target", all+"\n")
	manager := exec.Command(words[0], words[1:]...)
	manager.Env = append(d.env[:len(d.env):len(d.env)], "SYSTEMD_LOG_TARGET=null")
	said := &syncBuffer{}
	manager.Stdout, manager.Stderr = said, said
	began := d.now()
	if err := manager.Start(); err != nil {
		d.b.Fatal(err)
	}
	wall = d.ready() - began
	own = d.cpuOf(manager.Process.Pid)
	// Stop all, and exit.
	manager.Process.Signal(unix.SIGTERM)
	done := make(chan error, 1)
	go func() { done <- manager.Wait() }()
	select {
	case <-done:
	case <-time.After(patience):
		manager.Process.Kill()
		<-done
	}
	d.killLeft()
	return wall, own
}

// killLeft ends the processes that have our runtime directory, but for ourselves
// and the screen, and waits for them: they fall to us.
func (d *desk) killLeft() {
	d.b.Helper()
	mark := []byte("XDG_RUNTIME_DIR=" + d.run + "\x00")
	defer d.unmount()
	d.until("what is left to be gone", func() bool {
		left := false
		dirs, _ := filepath.Glob("/proc/[0-9]*")
		for _, dir := range dirs {
			environ, _ := os.ReadFile(dir + "/environ")
			if pid, err := strconv.Atoi(filepath.Base(dir)); err == nil && bytes.Contains(environ, mark) {
				left = true
				unix.Kill(pid, unix.SIGKILL)
			}
		}
		for _, pid := range children(os.Getpid()) {
			stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			if bytes.Contains(stat, []byte(") Z ")) {
				unix.Wait4(pid, nil, unix.WNOHANG, nil)
			}
		}
		return !left
	})
	os.Remove(fmt.Sprintf("/sys/fs/cgroup/unified/session-init-bench-%d", os.Getpid()))
	os.Remove(fmt.Sprintf("/sys/fs/cgroup/session-init-bench-%d", os.Getpid()))
}

func (d *desk) byShell() (wall, own time.Duration) {
	var script strings.Builder
	for _, p := range d.list {
		fmt.Fprintf(&script, "%s >/dev/null 2>&1 &\n", d.words(p))
		switch p.name {
		case "dbus", "pipewire":
			fmt.Fprintf(&script, "until [ -S %s ]; do sleep 0.01; done\n", filepath.Join(d.run, p.socket))
		case "portal-gtk":
			script.WriteString("sleep 0.1\n")
		}
	}
	shell := exec.Command("sh", "-c", script.String()+"wait\n")
	shell.Env, shell.SysProcAttr = d.env, &unix.SysProcAttr{Setpgid: true}
	began := d.now()
	if err := shell.Start(); err != nil {
		d.b.Fatal(err)
	}
	wall = d.ready() - began
	own = d.cpuOf(shell.Process.Pid)
	unix.Kill(-shell.Process.Pid, unix.SIGKILL)
	shell.Wait()
	d.killLeft()
	return wall, own
}

// pss is the memory of processes in kB, what they share divided by those who
// share it, once it does not fall any more; see proc(5), smaps_rollup.
func pss(b *testing.B, pids []int) int {
	b.Helper()
	once := func() (sum int) {
		for _, pid := range pids {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
			if err != nil {
				b.Fatal(err)
			}
			for line := range strings.Lines(string(text)) {
				if value, found := strings.CutPrefix(line, "Pss:"); found {
					kB, _ := strconv.Atoi(strings.Fields(value)[0])
					sum += kB
				}
			}
		}
		return sum
	}
	// What is given back is given when nothing has happened for a while, which
	// is longer each time.
	const quiet = 10 * time.Second
	least, since := once(), time.Now()
	for time.Since(since) < quiet {
		<-time.After(time.Second)
		if now := once(); now < least {
			least, since = now, time.Now()
		}
	}
	return once()
}

// BenchmarkSessionMemory: keeper and daemon with the 25 and the bus, then after
// CHURN starts and stops of another job, 20,000 unless that says it.
func BenchmarkSessionMemory(b *testing.B) {
	churn, err := strconv.Atoi(os.Getenv("CHURN"))
	if err != nil {
		churn = 20000
	}
	d := newDesk(b)
	d.sweep()
	d.sessionJobs()
	d.userJob("churn", "exec sleep 100000")
	d.start()
	d.ready()
	fresh := pss(b, d.ours())
	ctx := context.Background()
	client, err := api.Dial(ctx, d.address)
	if err != nil {
		b.Fatal(err)
	}
	began := d.now()
	for range churn {
		for _, verb := range []string{"Start", "Stop"} {
			if _, err := client.Call(ctx, api.JobPath("churn"), api.JobInterface, verb, []string{}, true); err != nil {
				b.Fatal(err)
			}
		}
	}
	took := d.now() - began
	client.Close()
	after := pss(b, d.ours())
	b.ReportMetric(float64(fresh)/1024, "fresh-MB")
	b.ReportMetric(float64(after)/1024, "churned-MB")
	b.ReportMetric(0, "ns/op")
	b.Logf("PSS of keeper and daemon, 25 jobs and the bus: %.2f MB; after %d starts and stops in %v: %.2f MB",
		float64(fresh)/1024, churn, took.Round(time.Second), float64(after)/1024)
	d.end()
}
