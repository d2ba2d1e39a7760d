package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/testkit"
)

// real is a daemon of a distribution's package, with the job of this name in
// testdata/real. All that it reads and writes is in the rig's directory, or in
// a name space of its own.
type real struct {
	name string
	// needs are the programs without which the test is skipped, the packages
	// of Debian that have them stand in .ci/packages.
	needs []string
	// pidFile is where the daemon writes its own idea of its pid; "" for one
	// that does not, or only by answer.
	pidFile string
	// alone: it writes to /run, so it has one of its own, and a network.
	alone bool
	// user is who it runs as, when we are root: it refuses to be that.
	user string
	// ask is a client that connects once, and is served.
	ask func(r *rig, port string) error
	// own asks the daemon for its pid.
	own func(r *rig) (string, error)
}

var reals = [...]real{
	{name: "dbus-daemon-listen", needs: []string{"dbus-daemon", "dbus-send"}, ask: askBus},
	{name: "dbus-daemon-notify", needs: []string{"dbus-daemon", "dbus-send"}, ask: askBus},
	{name: "dbus-daemon-fork", needs: []string{"dbus-daemon", "dbus-send"}, pidFile: "dbus-daemon.pid", ask: askBus},
	{name: "dbus-broker", needs: []string{"dbus-broker-launch", "dbus-send", "python3"}, alone: true, ask: askBus},
	{name: "pipewire", needs: []string{"pipewire", "pw-cli"}, ask: says("id: 0", "pw-cli", "info", "0")},
	{name: "ssh-agent-listen", needs: []string{"ssh-agent", "ssh-add"}, ask: askAgent},
	{name: "ssh-agent-fork", needs: []string{"ssh-agent", "ssh-add"}, ask: askAgent},
	{name: "gpg-agent-listen", needs: []string{"gpg-agent", "gpg-connect-agent"}, ask: askGnuPG, own: pidOfGnuPG},
	{name: "gpg-agent-fork", needs: []string{"gpg-agent", "gpg-connect-agent"}, ask: askGnuPG, own: pidOfGnuPG},
	{name: "nginx-fork", needs: []string{"nginx"}, pidFile: "nginx.pid", ask: askHTTP},
	{name: "nginx-listen", needs: []string{"nginx"}, pidFile: "nginx.pid", ask: askHTTP},
	{name: "redis-notify", needs: []string{"redis-server"}, pidFile: "redis.pid", ask: talks("PING\r\n", "+PONG\r\n")},
	{name: "redis-listen", needs: []string{"redis-server"}, pidFile: "redis.pid", ask: talks("PING\r\n", "+PONG\r\n")},
	{name: "memcached-listen", needs: []string{"memcached"}, pidFile: "memcached.pid", ask: talks("version\r\n", "VERSION ")},
	{name: "memcached-background", needs: []string{"memcached"}, pidFile: "memcached.pid", ask: talks("version\r\n", "VERSION ")},
	{name: "postgresql", needs: []string{"postgres", "initdb", "pg_isready"}, pidFile: "pg/data/postmaster.pid", user: "postgres", ask: askPostgres},
	{name: "sshd-notify", needs: []string{"sshd", "ssh-keygen"}, pidFile: "sshd.pid", user: "nobody", ask: talks("", "SSH-2.0-")},
	{name: "sshd-listen", needs: []string{"sshd", "ssh-keygen"}, pidFile: "sshd.pid", user: "nobody", ask: talks("", "SSH-2.0-")},
	{name: "cron-fork", needs: []string{"cron"}, pidFile: "/run/crond.pid", alone: true, ask: askCron},
	{name: "cron-none", needs: []string{"cron"}, pidFile: "/run/crond.pid", alone: true},
	{name: "rsyslogd-notify", needs: []string{"rsyslogd"}, ask: askLog},
	{name: "rsyslogd-listen", needs: []string{"rsyslogd"}, pidFile: "rsyslogd.pid", ask: askLog},
	{name: "dnsmasq-daemon", needs: []string{"dnsmasq"}, pidFile: "dnsmasq.pid", ask: askName},
	{name: "dnsmasq-listen", needs: []string{"dnsmasq"}, pidFile: "dnsmasq.pid", ask: askName},
	{name: "cupsd-notify", needs: []string{"cupsd"}, ask: talks("OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 200 ")},
	{name: "cupsd-listen", needs: []string{"cupsd"}, ask: talks("OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 200 ")},
	{name: "avahi-background", needs: []string{"avahi-daemon"}, pidFile: "/run/avahi-daemon/pid", alone: true, ask: askAvahi},
	{name: "avahi-listen", needs: []string{"avahi-daemon"}, pidFile: "/run/avahi-daemon/pid", alone: true, ask: askAvahi},
	{name: "java-listen", needs: []string{"java", "javac"}, pidFile: "java.pid", ask: talks("", "hello\n")},
}

// realRounds is how often a real daemon is started, restarted and stopped in a row.
func realRounds() int {
	if os.Getenv("SOAK") != "" {
		return 20
	}
	return 1
}

// TestReal: daemons as the distribution has them are followed to the process
// that they are, are started when a client is served at its first try, also
// after a restart, and are stopped with all that they made.
func TestReal(t *testing.T) {
	for _, d := range reals {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			r, port := newReal(t, d)
			r.start()
			for range realRounds() {
				p := r.dial()
				do := func(verb string) { p.call(api.JobPath(d.name), api.JobInterface, verb, []string{}, true) }
				do("Start")
				first := r.isServed(d, port)
				// Another daemon of ours knows as much.
				p.Close()
				r.ok("sctl", "re-exec")
				if now := r.isServed(d, port); now != first {
					t.Errorf("%s is process %d for the next daemon; want %d", d.name, now, first)
				}
				p = r.dial()
				do("Restart")
				second := r.isServed(d, port)
				if first == second || !isGone(first) {
					t.Errorf("%s is process %d after the restart, and process %d has ended: %v", d.name, second, first, isGone(first))
				}
				made := r.below()
				do("Stop")
				p.Close()
				for pid, name := range made {
					if runs(pid) {
						t.Errorf("%s is stopped, and process %d (%s) runs", d.name, pid, name)
					}
				}
				r.until("all processes to be reaped", func() bool { return len(r.below()) == 0 })
				if port != "" && !d.alone {
					r.isFree(port)
				}
			}
			if log := r.stderr.String(); strings.Contains(log, "level=WARN") {
				t.Errorf("the daemon finds fault with %s:\n%s", d.name, log)
			}
		})
	}
}

// realPath is where daemons are, which is not on everybody's path.
func realPath() string {
	path := os.Getenv("PATH") + ":/usr/sbin:/sbin"
	if found, _ := filepath.Glob("/usr/lib/postgresql/*/bin"); len(found) > 0 {
		path += ":" + found[len(found)-1]
	}
	return path
}

// realJob takes over a job of testdata/real, and skips the test where one of
// the programs is missing.
func (r *rig) realJob(name string, needs ...string) {
	r.t.Helper()
	for _, program := range needs {
		testkit.NeedIn(r.t, realPath(), program)
	}
	text, err := os.ReadFile("testdata/real/" + name + ".conf")
	if err != nil {
		r.t.Fatal(err)
	}
	r.job(name, strings.TrimSuffix(string(text), "\n"))
}

// newReal makes a rig that knows the job, with a free port in PORT.
func newReal(t *testing.T, d real) (*rig, string) {
	t.Helper()
	path := realPath()
	r := newRig(t)
	r.realJob(d.name, d.needs...)
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	port := r.freePort()
	r.env = append(r.env, "PATH="+programs+":"+path, "PORT="+port, "USER="+me.Username)
	if me.Uid == "0" {
		r.env = append(r.env, "NGINX_USER=user root;")
	}
	if d.user != "" && me.Uid == "0" {
		r.write("conf/"+d.name+".override", "setuid "+d.user+"\n")
		r.give(d.user)
	}
	if d.alone {
		r.setApart(d.needs[0], path)
	}
	return r, port
}

// give lets a user in, to write in directories that are the user's.
func (r *rig) give(name string) {
	r.t.Helper()
	to, err := user.Lookup(name)
	if err != nil {
		testkit.Need(r.t, "user "+name)
	}
	uid, _ := strconv.Atoi(to.Uid)
	gid, _ := strconv.Atoi(to.Gid)
	if err := errors.Join(os.Chmod(filepath.Dir(r.dir), 0o711), os.Chmod(r.dir, 0o711), os.Chown(r.dir, uid, gid)); err != nil {
		r.t.Fatal(err)
	}
}

// setApart sees to it that jobs which execute a program do so in name spaces
// where nobody outside sees what it mounts, writes to /run, or opens.
func (r *rig) setApart(program, path string) {
	r.t.Helper()
	words := append(testkit.NeedPrivate(r.t), "sh", "-c",
		`mount -t tmpfs none /run &&
		{ [ ! -d /etc/cron.d ] || mount -t tmpfs none /etc/cron.d; } &&
		{ [ ! -f /etc/crontab ] || mount --bind "$1" /etc/crontab; } &&
		{ [ ! -d /var/spool/cron/crontabs ] || mount -t tmpfs none /var/spool/cron/crontabs; } &&
		echo && exec cat`, "sh", filepath.Join(r.dir, "trace"))
	holder := exec.Command(words[0], words[1:]...)
	in, err := holder.StdinPipe()
	out, err2 := holder.StdoutPipe()
	holder.Stderr = os.Stderr
	if err := errors.Join(err, err2, holder.Start()); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		in.Close()
		if err := holder.Wait(); err != nil {
			r.t.Error(err)
		}
	})
	if _, err := out.Read(make([]byte, 1)); err != nil {
		r.t.Fatal(err)
	}
	r.root = fmt.Sprintf("/proc/%d/root", holder.Process.Pid)
	// dbus-broker does not run where nobody takes its log.
	journal := filepath.Join(r.root, "run/systemd/journal")
	if err := os.MkdirAll(journal, 0o755); err != nil {
		r.t.Fatal(err)
	}
	log, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: journal + "/socket", Net: "unixgram"})
	if err != nil {
		r.t.Fatal(err)
	}
	go io.Copy(io.Discard, log)
	r.t.Cleanup(func() { log.Close() })
	// It enters them in its own place: no fork that a job did not declare.
	r.write("bin/"+program, fmt.Sprintf("#!/bin/sh\nexec nsenter --target %d --net --mount %s \"$@\"\n",
		holder.Process.Pid, testkit.NeedIn(r.t, path, program)))
	r.env = append(r.env, "PATH="+r.dir+"/bin:"+programs+":"+path)
}

// ports are those that a test of this run has been given.
var ports sync.Map

// freePort finds one that nobody listens on, below those that the kernel hands
// out, so that none of them takes it meanwhile, and that no other test has, whose
// daemon may not listen yet.
func (r *rig) freePort() string {
	r.t.Helper()
	for range 100 {
		port := strconv.Itoa(10000 + rand.IntN(20000))
		if _, taken := ports.LoadOrStore(port, true); taken {
			continue
		}
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err == nil {
			l.Close()
			return port
		}
	}
	r.t.Fatal("no port is free")
	return ""
}

// isFree fails when somebody listens on a port.
func (r *rig) isFree(port string) {
	r.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		r.t.Errorf("the port is not free: %v", err)
		return
	}
	l.Close()
}

// isServed has a client ask a daemon once, and returns the pid that is known
// for it, which is the one that it knows itself.
func (r *rig) isServed(d real, port string) int {
	r.t.Helper()
	if d.ask != nil {
		if err := d.ask(r, port); err != nil {
			r.t.Errorf("%s is started, and a client says: %v\n%s", d.name, err, r.logOf(d.name))
		}
	}
	main := r.main(d.name)
	if path := d.pidFile; path != "" {
		if d.alone {
			path = r.root + path
		} else {
			path = filepath.Join(r.dir, path)
		}
		// Some write it after they serve, and some have a parent that stays for
		// a moment longer.
		r.until("the pid file of "+d.name, func() bool {
			main = r.main(d.name)
			text, _ := os.ReadFile(path)
			said, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
			return said == strconv.Itoa(main)
		})
	}
	if d.own != nil {
		if said, err := d.own(r); err != nil || said != strconv.Itoa(main) {
			r.t.Errorf("%s is process %d; it says %q, %v", d.name, main, said, err)
		}
	}
	return main
}

// below lists what descends from the daemon: its jobs, and what they made.
func (r *rig) below() map[int]string {
	found := map[int]string{}
	var walk func(pid int)
	walk = func(pid int) {
		for _, child := range children(pid) {
			name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", child))
			found[child] = strings.TrimSpace(string(name))
			walk(child)
		}
	}
	walk(r.pid())
	return found
}

// runs tells whether a process has not ended; one that nobody has waited for yet
// has.
func runs(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return rest[0] != 'Z' && rest[0] != 'X'
}

// says is a client that is a program, and what it prints.
func says(want string, words ...string) func(r *rig, _ string) error {
	return func(r *rig, _ string) error {
		cmd := exec.Command(words[0], words[1:]...)
		cmd.Env = r.env
		out, err := cmd.CombinedOutput()
		if !strings.Contains(string(out), want) {
			return fmt.Errorf("%q: %v, %q; want %q in it", words, err, out, want)
		}
		return nil
	}
}

func askBus(r *rig, _ string) error {
	return says("string \"org.freedesktop.DBus\"", "dbus-send", "--bus=unix:path="+r.dir+"/bus", "--print-reply",
		"--dest=org.freedesktop.DBus", "/", "org.freedesktop.DBus.ListNames")(r, "")
}

func askAgent(r *rig, _ string) error {
	return says("The agent has no identities.", "env", "SSH_AUTH_SOCK="+r.dir+"/agent", "ssh-add", "-l")(r, "")
}

func askGnuPG(r *rig, _ string) error {
	_, err := pidOfGnuPG(r)
	return err
}

func pidOfGnuPG(r *rig) (string, error) {
	cmd := exec.Command("gpg-connect-agent", "--homedir", r.dir+"/gnupg", "--no-autostart", "GETINFO pid", "/bye")
	cmd.Env = r.env
	out, err := cmd.CombinedOutput()
	said := regexp.MustCompile(`^D ([0-9]+)\nOK\n$`).FindSubmatch(out)
	if said == nil {
		return "", fmt.Errorf("gpg-connect-agent: %v, %q", err, out)
	}
	return string(said[1]), nil
}

// talk connects once, says something and returns what comes first.
func talk(network, address, line string) (string, error) {
	conn, err := net.Dial(network, address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, line); err != nil {
		return "", err
	}
	return bufio.NewReader(conn).ReadString('\n')
}

// talks is a client of a TCP port.
func talks(line, want string) func(r *rig, port string) error {
	return func(_ *rig, port string) error {
		got, err := talk("tcp", "127.0.0.1:"+port, line)
		if err != nil || !strings.HasPrefix(got, want) {
			return fmt.Errorf("it answers %q, %v; want %q", got, err, want)
		}
		return nil
	}
}

func askHTTP(_ *rig, port string) error {
	return talks("GET / HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK")(nil, port)
}

func askPostgres(r *rig, port string) error {
	return says("accepting connections", "pg_isready", "-h", "127.0.0.1", "-p", port)(r, "")
}

// askCron finds the lock taken by which cron keeps a second one from starting.
func askCron(r *rig, _ string) error {
	f, err := os.Open(r.root + "/run/crond.pid")
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != unix.EWOULDBLOCK {
		return fmt.Errorf("the lock of cron: %v", err)
	}
	return nil
}

// askLog has a line logged.
func askLog(r *rig, port string) error {
	conn, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		return err
	}
	defer conn.Close()
	line := fmt.Sprintf("line %d", rand.Int64())
	fmt.Fprintf(conn, "<13>real: %s\n", line)
	r.until("the line that was logged", func() bool {
		text, _ := os.ReadFile(filepath.Join(r.dir, "messages"))
		return strings.Contains(string(text), line+"\n")
	})
	return nil
}

// askName asks for the address of here.example, which is 192.0.2.1, by UDP.
func askName(_ *rig, port string) error {
	conn, err := net.Dial("udp", "127.0.0.1:"+port)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	question := "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x04here\x07example\x00\x00\x01\x00\x01"
	if _, err := io.WriteString(conn, question); err != nil {
		return err
	}
	answer := make([]byte, 512)
	n, err := conn.Read(answer)
	if err != nil || !bytes.HasSuffix(answer[:n], []byte{192, 0, 2, 1}) {
		return fmt.Errorf("the name server answers %q, %v", answer[:n], err)
	}
	return nil
}

// askAvahi speaks to its socket, which is in its own /run.
func askAvahi(r *rig, _ string) error {
	got, err := talk("unix", r.root+"/run/avahi-daemon/socket", "HELP\n")
	if err != nil || !strings.HasPrefix(got, "+ ") {
		return fmt.Errorf("avahi answers %q, %v", got, err)
	}
	return nil
}
