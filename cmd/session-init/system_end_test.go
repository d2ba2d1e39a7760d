package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// openPTY makes a terminal; both ends are the test's.
func openPTY(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	if err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	return master, slave
}

// A daemon that keeps dying gives a shell, and is tried again when that ends; from
// the shell the end is to be had without it.
func TestSystemEmergency(t *testing.T) {
	eachMachine(t, func(t *testing.T, m *machine) {
		m.jobs()
		master, slave := openPTY(t)
		m.boot(slave, "--runtime-dir", "/dev/null/none")
		for i := range 2 {
			m.until("the shell", func() bool { return strings.Count(m.log.String(), "an emergency shell runs") == i+1 })
			if i == 0 {
				fmt.Fprintf(master, "echo shell >>%s; exit\n", m.path("trace"))
				m.traced("shell\n")
			}
		}
		if n := strings.Count(m.log.String(), "cannot make runtime directory"); n < 10 {
			t.Errorf("the daemon was tried %d times; want 10", n)
		}
		fmt.Fprintf(master, "kill -%d 1\n", 34+14)
		if got := m.status(); got != 0 {
			t.Errorf("status = %d; want 0", got)
		}
	})
}

// The shell gets its signals, also from a keeper that has executed itself anew and
// had them blocked for that.
func TestSystemShellSignals(t *testing.T) {
	eachMachine(t, func(t *testing.T, m *machine) {
		m.jobs()
		_, slave := openPTY(t)
		m.boot(slave)
		m.ready(1)
		m.says("", "sctl", "re-exec")
		m.ready(2)
		shell := regexp.MustCompile(`an emergency shell runs: .*, process ([0-9]+)`)
		ready := regexp.MustCompile(`is ready.* pid=([0-9]+)`)
		m.until("the shell", func() bool {
			// Nobody else: before its exec the shell looks like a daemon.
			pids := ready.FindAllStringSubmatch(m.log.String(), -1)
			m.in("sh", "-c", "kill -9 "+pids[len(pids)-1][1]+" 2>/dev/null")
			return shell.MatchString(m.log.String())
		})
		pid := shell.FindStringSubmatch(m.log.String())[1]
		m.says("SigBlk:\t0000000000000000\n", "grep", "SigBlk", "/proc/"+pid+"/status")
		m.signal(34 + 14)
		if got := m.status(); got != 0 {
			t.Errorf("status = %d; want 0", got)
		}
	})
}

// Without a terminal nobody could use the shell.
func TestSystemDies(t *testing.T) {
	eachMachine(t, func(t *testing.T, m *machine) {
		m.boot(nil, "--runtime-dir", "/dev/null/none")
		if got := m.status(); got != 1 {
			t.Errorf("status = %d; want 1", got)
		}
	})
}

// The words of the kernel's command line: a shell first, and a runlevel.
func TestSystemWords(t *testing.T) {
	eachMachine(t, func(t *testing.T, m *machine) {
		m.write("conf/first.conf", "start on startup\ntask\nenv DEFAULT_RUNLEVEL=2\nexec sh -c 'echo $DEFAULT_RUNLEVEL >>"+m.path("trace")+"'\n")
		master, slave := openPTY(t)
		m.boot(slave, "quiet", "emergency", "single")
		m.until("the shell", func() bool { return strings.Contains(m.log.String(), "an emergency shell runs") })
		if strings.Contains(m.log.String(), "is ready") {
			t.Error("the daemon is there before the shell has ended")
		}
		fmt.Fprintf(master, "exit\n")
		m.ready(1)
		m.traced("S\n")
	})
}

// The programs of System V.
func TestSystemPrograms(t *testing.T) {
	for _, end := range []struct{ command, level string }{
		{"sctl poweroff", "0"}, {"sctl reboot", "6"}, {"sctl shutdown -r now", "6"}, {"sctl telinit 0", "0"}, {"sctl end-session", "0"}, {"sctl halt -f", ""},
	} {
		t.Run(strings.ReplaceAll(end.command, " ", "_"), func(t *testing.T) {
			eachMachine(t, func(t *testing.T, m *machine) {
				m.jobs()
				m.boot(nil)
				m.ready(1)
				m.in("sh", "-c", ": >/run/utmp")
				m.says("unknown\n", "sctl", "runlevel")
				m.says("", "sctl", "telinit", "2")
				m.traced("runlevel 2 N\n")
				m.rests("rc")
				m.says("N 2\n", "sctl", "runlevel")
				m.says("", "sctl", "telinit", "3")
				m.traced("runlevel 2 N\nrunlevel 3 2\n")
				m.rests("rc")
				m.says("2 3\n", "sctl", "runlevel")
				words := strings.Fields(end.command)
				want := "runlevel 2 N\nrunlevel 3 2\n"
				if m.in(words...); end.level != "" {
					want += "runlevel " + end.level + " 3\nsession-end shutdown\n"
				}
				if got := m.status(); got != 0 {
					t.Errorf("status = %d; want 0", got)
				}
				m.traced(want)
			})
		})
	}
}

// Logs are in /run until the disk is there, and sctl knows both.
func TestSystemLogs(t *testing.T) {
	eachMachine(t, func(t *testing.T, m *machine) {
		m.write("conf/talk.conf", "task\ninstance $N\nexec echo word $N\n")
		m.boot(nil)
		m.ready(1)
		m.in("sctl", "start", "talk", "N=1")
		m.says("word 1\n", "cat", "/run/session-init/log/talk-1.log")
		m.says("", "sctl", "notify-disk-writeable")
		m.in("sctl", "start", "talk", "N=2")
		m.in("sctl", "start", "talk", "N=1")
		m.says("word 2\n", "cat", "/var/log/session-init/talk-2.log")
		// The next daemon remembers.
		m.says("", "sctl", "re-exec")
		m.says("talk (2) waiting (stop)\n", "sctl", "start", "talk", "N=2")
		m.says("word 2\nword 2\n", "cat", "/var/log/session-init/talk-2.log")
		text, _ := m.in("sctl", "log", "talk")
		if got := strings.Count(text, "word 1"); got != 2 {
			t.Errorf("sctl log talk tells word 1 %d times; want 2:\n%s", got, text)
		}
	})
}

// As one process among others it is a container without one: TERM ends it, and
// nobody else's processes.
func TestSystemRefuses(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"--container", "session-init: --container: only with --system\n"},
		{"--system --autostart", "session-init: --system: --autostart is for the daemon of a user\n"},
		{"--system --runtime-dir auto", "session-init: --system: --runtime-dir auto is for the daemon of a user\n"},
		{"--system -- true", "session-init: --system: '-- COMMAND' is for a login of a user\n"},
	} {
		var out, errOut syncBuffer
		if got := run(strings.Fields(test.args), nil, &out, &errOut); got != exitUsage || errOut.String() != test.want && os.Geteuid() == 0 {
			t.Errorf("session-init %s = %d, %q; want %d, %q", test.args, got, errOut.String(), exitUsage, test.want)
		}
	}
}
