package main

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/testkit"
)

// halt writes to wtmp that the machine ends, unless it is told not to, or does no
// more than that.
func TestHaltRecord(t *testing.T) {
	for _, test := range []struct {
		command string
		records int
		lives   bool
	}{
		{"halt -w", 1, true}, {"halt -w -d", 1, true},
		{"halt -f", 1, false}, {"halt -d -f", 0, false}, {"poweroff -f", 1, false}, {"reboot -fn", 0, false},
	} {
		t.Run(strings.ReplaceAll(test.command, " ", "_"), func(t *testing.T) {
			eachMachine(t, func(t *testing.T, m *machine) {
				m.jobs()
				m.write("wtmp", "")
				m.boot(nil)
				m.ready(1)
				m.says("", "sh", "-c", ": >/var/log/wtmp && mount --bind "+m.path("wtmp")+" /var/log/wtmp")
				// The answer of one that ends may be lost with it.
				text, status := m.in(append([]string{"sctl"}, strings.Fields(test.command)...)...)
				if test.lives {
					if text != "" || status != 0 {
						t.Errorf("sctl %s = %q, status %d", test.command, text, status)
					}
					m.runs("--system")
					m.signal(unix.SIGTERM)
				}
				if got := m.status(); got != 0 {
					t.Errorf("status = %d; want 0", got)
				}
				info, err := os.Stat(m.path("wtmp"))
				if err != nil {
					t.Fatal(err)
				}
				if got, want := int(info.Size()), test.records*len(loginRecord("")); got != want {
					t.Errorf("%s leaves %d bytes in wtmp; want %d", test.command, got, want)
				}
			})
		})
	}
}

// shutdown says by files what the next beginning is to do about the disks.
func TestShutdownFiles(t *testing.T) {
	eachMachine(t, func(t *testing.T, m *machine) {
		chroot := testkit.Need(t, "chroot")
		m.jobs()
		m.boot(nil)
		m.ready(1)
		// Another root, so that none of this machine is written to.
		m.says("", "sh", "-c", "mkdir -p /run/root/run && mount --bind /run /run/root/run && cp "+programs+"/sctl /run/root/")
		trace, files := "", ""
		for _, test := range []struct{ letter, file string }{{"-F", "forcefsck"}, {"-f", "fastboot"}} {
			m.says("", chroot, "/run/root", "/sctl", "shutdown", test.letter, "now")
			trace += "runlevel 1 N\n"
			m.traced(trace)
			m.rests("rc")
			// In the order of the alphabet.
			files = test.file + "\n" + files
			m.says(files+"run\nsctl\n", "ls", "/run/root")
		}
		m.signal(unix.SIGTERM)
		m.status()
	})
}
