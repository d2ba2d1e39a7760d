package main

import (
	"fmt"
	"io"
	"strings"
)

// bootCase is one boot and what must hold in it.
type bootCase struct {
	name, about string
	image       string // whose disk; it is what the boot before has left
	words       string // added to the kernel's command line
	// spoil breaks a copy of the disk; nil to use the disk itself.
	spoil func(image string) error
	do    func(m *machine, r *results, stdout io.Writer) error
	// end is why the machine must have ended; empty for one that is turned off
	// from outside, whose disk nobody looks at.
	end string
}

// boots are all that is done, in their order. A root that the kernel does not find
// is not among them: then it runs no first process.
func boots() []bootCase {
	return []bootCase{
		{name: "sysvinit", about: "Debian's sysvinit, to compare", image: "sysvinit",
			do: doCompare, end: poweredOff},
		{name: "session-init", about: "session-init: to the login, a killed daemon, Ctrl-Alt-Del", image: "session-init",
			do: doBoot, end: rebooted},
		{name: "single", about: "the same disk again, with the word single: a shell for one user, the login, poweroff when it is time", image: "session-init", words: "single",
			do: doSingle, end: poweredOff},
		{name: "broken-root", about: "a root that cannot be repaired by itself", image: "session-init",
			spoil: spoilRoot, do: doBrokenRoot},
		{name: "broken-jobs", about: "an /etc/init that cannot begin", image: "session-init",
			spoil: spoilJobs, do: doBrokenJobs, end: poweredOff},
		{name: "no-jobs", about: "the word emergency; then an /etc/init in which nothing can be read", image: "session-init", words: "emergency",
			spoil: spoilAllJobs, do: doNoJobs, end: poweredOff},
	}
}

// login waits for the prompt and logs in as root. The figures are of the moment
// after.
func login(m *machine) (figures, error) {
	begun, err := m.expect(`\[ *([0-9]+\.[0-9]+)\] Run /sbin/init as init process`)
	if err != nil {
		return figures{}, err
	}
	if err := logIn(m); err != nil {
		return figures{}, err
	}
	f, err := readFigures(m)
	f.handOver = seconds(begun[1])
	return f, err
}

// logIn logs in as root.
func logIn(m *machine) error {
	shown, err := m.expect(`boot login: |for maintenance|Kernel panic`)
	if err != nil {
		return err
	}
	if shown[0] != "boot login: " {
		return fmt.Errorf("the machine shows %q; want the login", shown[0])
	}
	if err := m.write("root"); err != nil {
		return err
	}
	return quiet(m)
}

// quiet waits for the prompt of a shell, and has the shell neither prompt nor
// echo.
func quiet(m *machine) error {
	if _, err := m.expect(`# `); err != nil {
		return err
	}
	return hush(m)
}

// hush is quiet when the prompt is there.
func hush(m *machine) error {
	if err := m.write("stty -echo; PS1=; PROMPT_COMMAND=; dmesg -n 1; echo 'quiet''ened'"); err != nil {
		return err
	}
	_, err := m.expect(`quietened\r?\n`)
	return err
}

// all runs commands, each of which must succeed and show what follows it.
func all(m *machine, list [][2]string) error {
	for _, c := range list {
		text, err := m.shell(c[0])
		if err != nil {
			return err
		}
		if !strings.Contains(text, c[1]) {
			return fmt.Errorf("%s = %q; want %q in it", c[0], text, c[1])
		}
	}
	return nil
}

func doCompare(m *machine, r *results, _ io.Writer) (err error) {
	if r.sysvinit, err = login(m); err != nil {
		return err
	}
	return m.write("poweroff")
}

// came is what must be there after every boot to the login.
func came() [][2]string {
	return [][2]string{
		{"readlink /proc/1/exe", "session-init"},
		{"runlevel", "2"},
		{"findmnt -n -o OPTIONS /", "rw"},
		{"findmnt -n /srv", "scratch"},
		{"hostname", "boot"},
		{"cat /sys/class/net/lo/flags", "0x9"},
		{"cat /proc/sys/kernel/printk_devkmsg", "on"},
		{"pgrep -x cron", ""},
		{"pgrep -x syslogd", ""},
		{"pgrep -P 1 -x session-init", ""},
		{"last -x reboot", "system boot"},
		{"sctl status rc-sysinit", "rc-sysinit waiting (stop)"},
		{"sctl list", "getty (ttyS0) running (start)"},
		{"grep -c . /var/log/session-init.log", ""},
		// Debian's scripts do less when they take their init for Upstart.
		{". /lib/lsb/init-functions; if init_is_upstart; then echo yes; else echo no; fi", "no"},
	}
}

func doBoot(m *machine, r *results, stdout io.Writer) (err error) {
	if r.sessionInit, err = login(m); err != nil {
		return err
	}
	if err := all(m, came()); err != nil {
		return err
	}
	plot, err := m.shell("sctl plot --text")
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, plot)

	// The daemon dies: nothing else does.
	before, err := m.shell("pgrep -x cron; pgrep -x syslogd; pgrep -x getty")
	if err != nil {
		return err
	}
	if err := all(m, [][2]string{
		{"old=$(" + daemonPid + ") && kill -KILL $old", ""},
		{"for i in 1 2 3 4 5 6 7 8 9 10; do sctl list >/dev/null 2>&1 && break; sleep 1; done; sctl list", "getty (ttyS0) running (start)"},
		{"new=$(" + daemonPid + ") && [ $new != $old ]", ""},
	}); err != nil {
		return err
	}
	after, err := m.shell("pgrep -x cron; pgrep -x syslogd; pgrep -x getty")
	if err != nil {
		return err
	}
	if before != after {
		return fmt.Errorf("services after the death of the daemon = %q; want %q", after, before)
	}
	return m.press("ctrl", "alt", "delete")
}

// maintain waits for the shell that asks for root's password, who has none.
func maintain(m *machine) error {
	if _, err := m.expect(`Press Enter for maintenance[^#]*: `); err != nil {
		return err
	}
	if err := m.insist("", `# `); err != nil {
		return err
	}
	return hush(m)
}

func doSingle(m *machine, _ *results, _ io.Writer) error {
	if err := maintain(m); err != nil {
		return err
	}
	if err := all(m, [][2]string{
		{"findmnt -n -o OPTIONS /", "rw"},
		{"! pgrep -x getty", ""},
		{"sctl status single", "single running (start)"},
	}); err != nil {
		return err
	}
	// The machine goes on when the shell ends.
	if err := m.write("exit"); err != nil {
		return err
	}
	if err := logIn(m); err != nil {
		return err
	}
	if err := all(m, came()); err != nil {
		return err
	}
	// An end that is to come goes by the clock on the wall, whoever sets that.
	if err := all(m, [][2]string{
		{"shutdown -P +60 the clock goes on", "the machine goes down for poweroff at "},
		{"! [ -e /run/nologin ]", ""},
		{"date -s '+56 minutes' >/dev/null; for i in 1 2 3 4 5 6 7 8 9 10; do [ -e /run/nologin ] && break; sleep 1; done; cat /run/nologin", "The machine goes down for poweroff at "},
		{"shutdown -c", ""},
		{"for i in 1 2 3 4 5 6 7 8 9 10; do [ -e /run/nologin ] || break; sleep 1; done; ! [ -e /run/nologin ]", ""},
		{"shutdown -P +60", "the machine goes down for poweroff at "},
	}); err != nil {
		return err
	}
	return m.write("date -s '+61 minutes'")
}

// leaveShell ends a shell, logs in where the machine goes on, and powers it off.
func leaveShell(m *machine) error {
	if err := m.write("exit"); err != nil {
		return err
	}
	if err := logIn(m); err != nil {
		return err
	}
	return m.write("poweroff")
}

// spoilRoot takes away a directory's inode and leaves its entry: what is no
// check without a person repairs.
func spoilRoot(image string) error {
	return debugfs(image, "clri /usr/share/perl5", "ssv state 0")
}

func doBrokenRoot(m *machine, _ *results, _ io.Writer) error {
	if _, err := m.expect(`UNEXPECTED INCONSISTENCY`); err != nil {
		return err
	}
	if err := maintain(m); err != nil {
		return err
	}
	return all(m, [][2]string{
		{"findmnt -n -o OPTIONS /", "ro"},
		{"sctl status rc-sysinit", "rc-sysinit running (start)"},
	})
}

// spoilJobs leaves a job that cannot begin the machine, and others that are no
// jobs at all.
func spoilJobs(image string) error {
	return withFile("start on startup\ntask\nexec /no/such/program\n", func(job string) error {
		return withFile("start on (\nexec \"\n\x00", func(garbage string) error {
			return debugfs(image, "mkdir /etc/init",
				"write "+job+" /etc/init/rc-sysinit.conf", "write "+garbage+" /etc/init/getty.conf")
		})
	})
}

func doBrokenJobs(m *machine, _ *results, _ io.Writer) error {
	if err := maintain(m); err != nil {
		return err
	}
	if err := all(m, [][2]string{
		{"sctl status emergency", "emergency running (start)"},
		{"sctl why rc-sysinit", "/no/such/program"},
		{"sctl list", "getty waiting (stop)"},
		{"mount -o remount,rw / && rm -r /etc/init && sync", ""},
	}); err != nil {
		return err
	}
	// What was mended is in force when the shell ends.
	return leaveShell(m)
}

// spoilAllJobs leaves no job that could be read: ours are moved away, for they are
// used where what is in /etc/init is none.
func spoilAllJobs(image string) error {
	return withFile("start on (\n", func(garbage string) error {
		return debugfs(image, "mkdir /etc/init", "write "+garbage+" /etc/init/rc-sysinit.conf",
			"ln /usr/share/session-init/system /usr/share/session-init/saved", "unlink /usr/share/session-init/system")
	})
}

func doNoJobs(m *machine, _ *results, _ io.Writer) error {
	// The word emergency asks for a shell before there is a daemon.
	if _, err := m.expect(`session-init: emergency: `); err != nil {
		return err
	}
	if err := maintain(m); err != nil {
		return err
	}
	if err := all(m, [][2]string{
		{"! pgrep -P 1 -x session-init", ""},
		{"findmnt -n -o OPTIONS /", "ro"},
		{"findmnt -n /run", "tmpfs"},
	}); err != nil {
		return err
	}
	if err := m.write("exit"); err != nil {
		return err
	}
	// Nothing begins the machine: the daemon says so, and there is a shell again.
	if _, err := m.expect(`cannot begin: no job`); err != nil {
		return err
	}
	if _, err := m.expect(`session-init: emergency: `); err != nil {
		return err
	}
	if err := maintain(m); err != nil {
		return err
	}
	if err := all(m, [][2]string{{"mount -o remount,rw / && rm -r /etc/init && mv /usr/share/session-init/saved /usr/share/session-init/system && sync", ""}}); err != nil {
		return err
	}
	return leaveShell(m)
}
