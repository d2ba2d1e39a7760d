package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/testkit"
)

// realTimeMin is SIGRTMIN as the C library counts.
const realTimeMin = syscall.Signal(34)

// As what container managers and people start: the entry point of an image, and the
// command of unshare(1).

// imagePrologue makes an image of two programs and a job, with no shell and with
// nothing mounted but what is named behind the directory.
const imagePrologue = `set -e
mount --make-rprivate /
image=$1 proc=$2 variable=$3 chroot=$4
mount -t tmpfs tmpfs $image
cd $image
mkdir -p bin etc/init proc sys dev run tmp
cp $PROGRAMS/session-init $PROGRAMS/sctl bin
: >dev/null
mount --bind /dev/null dev/null
printf 'start on startup\nexec /bin/sctl monitor\n' >etc/init/first.conf
if [ $proc = proc ]; then mount -t proc proc proc; fi
exec env -i $variable $chroot $image /bin/session-init`

// runs waits for the service of machine.jobs.
func (m *machine) runs(address string) {
	m.t.Helper()
	m.until("the service", func() bool {
		text, _ := m.in("sctl", address, "status", "service")
		return strings.HasPrefix(text, "service running (start), process ")
	})
}

func TestContainerEntry(t *testing.T) {
	for _, test := range []struct {
		name, proc, container string
	}{
		{"as a manager starts it", "proc", "container=docker"},
		{"without a word", "proc", "A=1"},
		{"with nothing mounted", "none", "A=1"},
	} {
		t.Run(strings.ReplaceAll(test.name, " ", "_"), func(t *testing.T) {
			eachMachine(t, func(t *testing.T, m *machine) {
				image, chroot := m.path("image"), testkit.Need(t, "chroot")
				if err := os.Mkdir(image, 0o755); err != nil {
					t.Fatal(err)
				}
				m.start(nil, unix.CLONE_NEWNS, "/bin/sh", "-c", "PROGRAMS="+programs+"\n"+imagePrologue, "sh", image, test.proc, test.container, chroot)
				m.ready(1)
				m.until("the job", func() bool {
					text, _ := m.in(chroot, image, "/bin/sctl", "list")
					return strings.HasPrefix(text, "first running (start), process ") && strings.Count(text, "\n") == 1
				})
				// TERM, which managers send to the entry point, ends it.
				m.signal(unix.SIGTERM)
				if got := m.status(); got != 0 {
					t.Errorf("status = %d; want 0", got)
				}
			})
		})
	}
}

// Where the /proc is that of others, as "unshare --pid --fork" leaves it, it has
// mounts of its own for that, and lets the directories of the machine be.
func TestContainerForeignProc(t *testing.T) {
	eachMachine(t, func(t *testing.T, m *machine) {
		m.jobs()
		m.start(nil, 0, filepath.Join(programs, "session-init"), "--confdir", m.path("conf"), "--runtime-dir", m.path("run"), "--no-dbus")
		m.ready(1)
		socket := "--address=unix:path=" + m.path("run/session-init/1/socket")
		m.runs(socket)
		if text, _ := m.in("cat", "/proc/1/comm"); text != "session-init\n" {
			t.Errorf("the first process in its /proc is %q", text)
		}
		m.signal(unix.SIGINT)
		m.traced("control-alt-delete\n")
		m.signal(realTimeMin + 3)
		if got := m.status(); got != 0 {
			t.Errorf("status = %d; want 0", got)
		}
		if text, err := os.ReadFile("/proc/self/mountinfo"); err != nil || strings.Contains(string(text), m.dir) {
			t.Errorf("its mounts are seen outside, %v:\n%s", err, text)
		}
	})
}

// A container that was killed finds its old files when it is started again, on the
// same kernel: what they tell of is gone, and it begins anew.
func TestContainerAgain(t *testing.T) {
	eachMachine(t, func(t *testing.T, m *machine) {
		m.jobs()
		m.write("conf/first.conf", "start on startup\ntask\nexec sh -c 'echo first >>"+m.path("trace")+"'\n")
		m.boot(nil, "--runtime-dir", m.path("run"))
		m.ready(1)
		m.traced("first\n")
		if _, err := os.Stat(m.path("run/session-init/state")); err != nil {
			t.Fatal(err)
		}
		m.signal(unix.SIGKILL)
		m.status()
		if _, err := os.Stat(m.path("run/session-init/state")); err != nil {
			t.Fatalf("there is nothing that it could take for its own: %v", err)
		}
		m.boot(nil, "--runtime-dir", m.path("run"))
		m.ready(2)
		m.traced("first\nfirst\n")
		m.runs("--address=unix:path=" + m.path("run/session-init/socket"))
		m.signal(unix.SIGTERM)
		if got := m.status(); got != 0 {
			t.Errorf("status = %d; want 0", got)
		}
	})
}
