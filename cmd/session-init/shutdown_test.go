package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/testkit"
)

// loginRecord is one of utmp(5), of who is logged in on a terminal.
func loginRecord(line string) []byte {
	r := make([]byte, 384)
	if runtime.GOARCH == "arm64" || runtime.GOARCH == "loong64" {
		r = make([]byte, 400)
	}
	binary.NativeEndian.PutUint16(r, 7)
	copy(r[8:], line)
	copy(r[44:], "joe")
	return r
}

// An end at another time: those who are logged in hear of it, the next daemon goes on
// with it, and it is taken back, or comes.
func TestShutdownLater(t *testing.T) {
	eachMachine(t, func(t *testing.T, m *machine) {
		send := testkit.Need(t, "dbus-send")
		m.jobs()
		m.boot(nil)
		m.ready(1)
		master, slave := openPTY(t)
		var number int
		if _, err := fmt.Sscanf(slave.Name(), "/dev/pts/%d", &number); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(m.path("utmp"), loginRecord(fmt.Sprintf("pts/%d", number)), 0o644); err != nil {
			t.Fatal(err)
		}
		m.says("", "cp", m.path("utmp"), "/run/utmp")
		screen := &syncBuffer{}
		go func() {
			var part [512]byte
			for {
				n, err := master.Read(part[:])
				if err != nil {
					return
				}
				screen.Write(part[:n])
			}
		}()
		shows := func(text string) {
			t.Helper()
			m.until("the terminal to show: "+text, func() bool { return strings.Contains(strings.ReplaceAll(screen.String(), "\r", ""), text) })
		}
		why := func(want string) {
			t.Helper()
			text, _ := m.in("sctl", "why", "service")
			if got := strings.Join(strings.Fields(text), " "); !strings.Contains(got, want) {
				t.Errorf("sctl why service = %q; want %q in it", got, want)
			}
		}

		m.says("", "sctl", "shutdown", "-k", "+7", "only", "a", "test")
		shows("only a test -- The machine goes down for maintenance at ")
		const none = "shutdown: cannot take the shutdown back: none is to come\n"
		m.says(none, "sctl", "shutdown", "-c")

		text, status := m.in("sctl", "shutdown", "-r", "+90", "we\tmove")
		if !regexp.MustCompile(`^the machine goes down for reboot at \d\d:\d\d:\d\d on \d+ \w+; shutdown -c takes that back\n$`).MatchString(text) || status != 0 {
			t.Errorf("sctl shutdown -r +90 = %q, status %d", text, status)
		}
		shows("we move\nThe machine goes down for reboot at ")
		shows(", in 90 minutes.")
		why("machine it goes down for reboot at ")
		pids := regexp.MustCompile(`is ready.* pid=([0-9]+)`).FindAllStringSubmatch(m.log.String(), -1)
		m.says("", "kill", "-9", pids[len(pids)-1][1])
		m.ready(2)
		why("machine it goes down for reboot at ")
		// Another time takes its place.
		later := time.Now().Add(12 * time.Hour).Format("15:04") // not while this test runs
		m.in("sctl", "shutdown", "-h", later)
		why("machine it goes down for poweroff at " + later + ":00 on ")
		m.says("", "sctl", "shutdown", "-c", "it was a mistake")
		shows("it was a mistake\nThe machine does not go down: that was taken back.")
		m.says(none, "sctl", "shutdown", "-c")
		if text, _ := m.in("sctl", "why", "service"); strings.Contains(text, "machine") {
			t.Errorf("sctl why service tells of an end that does not come:\n%s", text)
		}

		at := fmt.Sprintf("uint64:%d", time.Now().Add(time.Second).UnixMicro())
		text, status = m.in(send, "--peer=unix:path=/run/session-init/socket", "--print-reply", "/com/ubuntu/Upstart", "org.sessioninit.SessionInit1.ScheduleEnd", "string:reboot", at, "string:")
		if status != 0 {
			t.Fatalf("ScheduleEnd() = %s", text)
		}
		if got := m.status(); got != 0 {
			t.Errorf("status = %d; want 0", got)
		}
		m.traced("runlevel 6 N\nsession-end shutdown\n")
		shows("The machine goes down for reboot now.")
	})
}

// What is refused is refused with its reason.
func TestShutdownRefuses(t *testing.T) {
	eachMachine(t, func(t *testing.T, m *machine) {
		m.jobs()
		m.boot(nil)
		m.ready(1)
		// What starts on startup may not have come so far yet.
		m.runs("--system")
		open := "--address=unix:path=/run/session-init/readonly"
		for _, test := range []struct{ args, want string }{
			{"shutdown -a -r now", "-a is not supported: nobody reads /etc/shutdown.allow"},
			{"shutdown -n -r now", "-n is not supported: a shutdown without stopping anything is 'halt -f'"},
			{"shutdown -r", "missing time"},
			{"shutdown -r 25:00", "no such time: 25:00"},
			{"shutdown -r 5:7", "no such time: 5:7"},
			{"shutdown -r -F +5", "-f and -F are for 'now' only"},
			{"shutdown -r soon", "no such time: soon"},
			{"shutdown -r +999999999", "a year is the most"},
			{"telinit 7", "no such runlevel: 7"},
			{open + " stop service", "may only read"},
		} {
			text, status := m.in(append([]string{"sctl"}, strings.Fields(test.args)...)...)
			if !strings.Contains(text, test.want) || status == 0 {
				t.Errorf("sctl %s = %q, status %d; want %q", test.args, text, status, test.want)
			}
		}
		m.says("service running (start), process PID\n", "sctl", "status", "service")
	})
}

// While a machine ends, why says how far that is and what holds it up.
func TestWhyEnding(t *testing.T) {
	eachMachine(t, func(t *testing.T, m *machine) {
		m.write("conf/service.conf", "start on startup\nexec sleep 1000\npre-stop exec sh -c 'until [ -e "+m.path("two")+" ]; do sleep 0.02; done'\n")
		m.write("conf/rc.conf", "start on runlevel\ntask\nexec sh -c 'until [ -e "+m.path("one")+" ]; do sleep 0.02; done'\n")
		m.boot(nil)
		m.ready(1)
		why := func(want string) {
			t.Helper()
			got := ""
			defer func() {
				if t.Failed() {
					t.Logf("sctl why service = %q; want %q in it", got, want)
				}
			}()
			m.until("why to tell of the end", func() bool {
				text, _ := m.in("sctl", "why", "service")
				got = strings.Join(strings.Fields(text), " ")
				return strings.Contains(got, want)
			})
		}
		m.says("", "sctl", "reboot")
		why("machine it goes down for reboot: the jobs of the last runlevel come first, for 1m30s at most; it waits for rc")
		m.write("one", "")
		why("machine it goes down for reboot: all jobs are stopped; it waits for service")
		m.write("two", "")
		if got := m.status(); got != 0 {
			t.Errorf("status = %d; want 0", got)
		}
	})
}

// Programs that ask whether the init is Upstart, as Debian's init_is_upstart does,
// are told that it is not, also where our link is the initctl that they ask.
func TestNotUpstart(t *testing.T) {
	eachMachine(t, func(t *testing.T, m *machine) {
		m.boot(nil)
		m.ready(1)
		m.says("", "mount", "-t", "tmpfs", "tmpfs", "/sbin/")
		m.says("", "ln", "-s", programs+"/sctl", "/sbin/initctl")
		text, status := m.in("/sbin/initctl", "version")
		if status != 0 || !strings.Contains(text, "session-init") || strings.Contains(strings.ToLower(text), "upstart") {
			t.Errorf("initctl version = %q, status %d", text, status)
		}
		const asks = `init_is_upstart() { [ -x /sbin/initctl ] && /sbin/initctl version 2>/dev/null | grep -q upstart; }
if [ -e /lib/lsb/init-functions ]; then . /lib/lsb/init-functions 2>/dev/null; fi
if init_is_upstart; then echo yes; else echo no; fi`
		m.says("no\n", "sh", "-c", asks)
	})
}

// Users that /etc does not know are asked of getent, which may take its time: nobody
// else waits.
func TestSystemNames(t *testing.T) {
	eachMachine(t, func(t *testing.T, m *machine) {
		if !m.rooted {
			// Nobody there may have another user, or other groups.
			return
		}
		const uid, groups = "70001", "70000 70005"
		m.write("getent", "#!/bin/sh\nuntil [ -e "+m.path("answer")+" ]; do sleep 0.02; done\n[ \"$*\" = '-- passwd ada@example' ] && echo 'ada@example:*:"+uid+":"+strings.Fields(groups)[0]+":Ada:/:/bin/sh'\n")
		m.write("id", "#!/bin/sh\n[ \"$*\" = '-G -- ada@example' ] && echo '"+groups+"'\n")
		m.write("conf/who.conf", "setuid ada@example\ntask\nexec sh -c 'grep -E \"^(Uid|Gid|Groups):\" /proc/self/status'\n")
		m.write("conf/none.conf", "setuid eve@example\ntask\nexec true\n")
		m.boot(nil)
		m.ready(1)
		for _, name := range []string{"getent", "id"} {
			m.says("", "mount", "--bind", m.path(name), "/usr/bin/"+name)
		}
		m.says("", "sctl", "start", "--no-wait", "--quiet", "who")
		m.until("the question", func() bool {
			text, _ := m.in("sctl", "status", "who")
			return text == "who spawned (start)\n"
		})
		m.says("none waiting (stop)\nwho spawned (start)\n", "sctl", "list")
		m.write("answer", "")
		m.rests("who")
		text, _ := m.in("cat", "/run/session-init/log/who.log")
		const want = "Uid: 70001 70001 70001 70001 Gid: 70000 70000 70000 70000 Groups: 70000 70005"
		if got := strings.Join(strings.Fields(text), " "); !strings.HasPrefix(got, want) {
			t.Errorf("the job is %q; want %q", got, want)
		}
		if text, _ := m.in("sctl", "start", "none"); !strings.Contains(text, "eve@example") || !strings.Contains(text, "unknown user") {
			t.Errorf("sctl start none = %q; want that the user is unknown", text)
		}
		m.signal(unix.SIGTERM)
		m.status()
	})
}
