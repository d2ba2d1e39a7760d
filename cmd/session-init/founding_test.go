package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/session-init/session-init/session/testkit"
)

// The code blocks of the founding document, each run by the built programs.
// Programs that nobody has (apache, sobby, hersql) are stood in for; the
// jobs, commands and outputs are the document's.

// service is a main process that notes its start and its TERM.
func service(tag string) string {
	return "kill timeout 60\nscript\n    trap 'echo " + tag + "-term >> $T; exit 0' TERM\n    echo " + tag +
		" >> $T\n    while :; do sleep 0.2 & wait $! || :; done\nend script"
}

func TestDocumentHALFollowsDBus(t *testing.T) {
	r := newRig(t)
	r.job("dbus", service("dbus"))
	r.job("hal", "start on started dbus\nstop on stopping dbus\n\n"+service("hal"))
	r.start()
	r.prints("dbus running (start), process PID\n", "start", "dbus")
	r.until("both to run", func() bool { return len(r.trace()) == 2 })
	r.becomes("hal running (start), process PID\n", "hal")
	r.clear()
	r.prints("dbus waiting (stop)\n", "stop", "dbus")
	r.traced("hal-term", "dbus-term")
	r.prints("hal waiting (stop)\n", "status", "hal")
}

func TestDocumentPortmapForNFSServer(t *testing.T) {
	r := newRig(t)
	r.job("nfs-server", service("nfs-server"))
	r.job("portmap", "start on starting nfs-server\nstop on stopped nfs-server\n\n"+service("portmap"))
	r.start()
	r.ok("start", "nfs-server")
	r.until("both to run", func() bool { return len(r.trace()) == 2 })
	r.prints("portmap running (start), process PID\n", "status", "portmap")
	r.clear()
	r.ok("stop", "nfs-server")
	r.traced("nfs-server-term", "portmap-term")
	r.becomes("portmap waiting (stop)\n", "portmap")
}

// "Ready" is meant: what follows the start command is no race.
func TestDocumentStartApache(t *testing.T) {
	r := newRig(t)
	r.job("apache", "post-start script\n    while [ ! -e $W/socket ]; do sleep 0.01; done\nend script\n"+
		"script\n    sleep 0.1\n    echo up > $W/socket\n    exec sleep 600\nend script")
	r.start()
	r.prints("apache running (start), process PID\n", "start", "apache")
	if _, err := os.Stat(filepath.Join(r.dir, "socket")); err != nil {
		t.Errorf("start returned before the service was ready: %v", err)
	}
}

func TestDocumentGettyInJobsD(t *testing.T) {
	r := newRig(t)
	r.write("sbin/getty", "#!/bin/sh\necho \"getty $*\" >> $T\nexec sleep 600\n")
	r.write("conf/jobs.d/getty", "instance $TTY\nenv SPEED=38400\nexec "+r.dir+"/sbin/getty $SPEED $TTY\n")
	r.start()
	r.prints("getty (tty1) running (start), process PID\n", "start", "getty", "TTY=tty1")
	r.traced("getty 38400 tty1")
}

func TestDocumentInterfaceUp(t *testing.T) {
	r := newRig(t)
	const body = "\nscript\n    echo $UPSTART_JOB $IFACE $ADDRFAM $ADDRESS >> $T\n    exec sleep 600\nend script"
	r.job("ethernet", "start on interface-up IFACE=eth* ADDRFAM=Ethernet"+body)
	r.job("wireless", "start on interface-up wlan*"+body)
	r.start()
	r.prints("", "emit", "interface-up", "IFACE=eth0", "ADDRFAM=Ethernet", "ADDRESS=01:23:45:67:89:0a")
	r.traced("ethernet eth0 Ethernet 01:23:45:67:89:0a")
	r.prints("wireless waiting (stop)\n", "status", "wireless")
	r.ok("emit", "interface-up", "IFACE=wlan0")
	r.traced("ethernet eth0 Ethernet 01:23:45:67:89:0a", "wireless wlan0")
}

func TestDocumentGettyBoundToDevice(t *testing.T) {
	r := newRig(t)
	// The document writes "instance TTY", which makes one instance of
	// that name; the $ is what its text means.
	r.job("getty", "start on tty-added\nstop on tty-removed TTY=$TTY\n\ninstance $TTY\nexec sleep 600")
	r.start()
	r.ok("emit", "tty-added", "TTY=tty1")
	r.ok("emit", "tty-added", "TTY=tty2")
	r.ok("emit", "tty-removed", "TTY=tty1")
	r.prints("getty (tty2) running (start), process PID\n", "sctl", "list")
}

func TestDocumentAndOr(t *testing.T) {
	r := newRig(t)
	r.job("x", "start on a-up and b-up\nstop on a-down or b-down\n\nexec sleep 600")
	r.start()
	for _, down := range []string{"a-down", "b-down"} {
		r.ok("emit", "--no-wait", "a-up")
		r.prints("x waiting (stop)\n", "status", "x")
		r.ok("emit", "b-up")
		r.prints("x running (start), process PID\n", "status", "x")
		r.ok("emit", down)
		r.prints("x waiting (stop)\n", "status", "x")
	}
	// Once stopped, both must happen again.
	r.ok("emit", "--no-wait", "b-up")
	r.prints("x waiting (stop)\n", "status", "x")
}

func TestDocumentHersqlBackup(t *testing.T) {
	r := newRig(t)
	r.job("hersql", "script\n    kill -SEGV $$\nend script\npost-stop exec sh -c \"echo stopped >> $T\"")
	r.job("hersql-backup", "start on stopping hersql RESULT=failed EXIT_SIGNAL=SEGV\ntask\nscript\n    echo backup of $JOB after $EXIT_SIGNAL >> $T\nend script")
	r.start()
	r.command("start", "hersql")
	r.traced("backup of hersql after SEGV", "stopped")
}

func TestDocumentExport(t *testing.T) {
	r := newRig(t)
	r.job("net", "start on interface-up\nstop on interface-down $IFACE\n\ninstance $IFACE\nexport IFACE\nexec sleep 600")
	r.job("dhcp", "start on started net\nstop on stopping net\n\ninstance $IFACE\nscript\n    echo $IFACE >> $T\n    exec sleep 600\nend script")
	r.start()
	r.ok("emit", "interface-up", "IFACE=eth0")
	r.traced("eth0")
	r.lists("dhcp (eth0) running (start), process PID\nnet (eth0) running (start), process PID\n")
	r.ok("emit", "interface-down", "IFACE=eth0")
	r.prints("dhcp waiting (stop)\nnet waiting (stop)\n", "sctl", "list")
}

func TestDocumentSobbyRespawns(t *testing.T) {
	r := newRig(t)
	r.write("bin/sobby", "#!/bin/sh\necho run >> $T\ncase $(wc -l < $T) in\n*1|*2|*3) kill -KILL $$;;\n*4) exit 3;;\n*) kill -ABRT $$;;\nesac\n")
	r.job("sobby", "  exec "+r.dir+"/bin/sobby --autosave-file=/var/lib/sobby/autosave /var/lib/sobby/autosave\n\n  respawn\n  respawn limit 10 5\n\n  normal exit 0 ABRT")
	r.job("log", "start on stopped sobby\ntask\nscript\n    echo $RESULT >> $T\nend script")
	r.start()
	r.ok("start", "--no-wait", "sobby")
	r.traced("run", "run", "run", "run", "run", "ok")
}

func TestDocumentTaskUntilZero(t *testing.T) {
	r := newRig(t)
	r.write("sbin/some-check", "#!/bin/sh\necho check $1 >> $T\n[ $(wc -l < $T) -ge 4 ]\n")
	r.job("check", "  task\n  exec "+r.dir+"/sbin/some-check $DEVICE\n\n  respawn")
	r.start()
	r.prints("check waiting (stop)\n", "start", "check", "DEVICE=sda")
	r.traced("check sda", "check sda", "check sda", "check sda")
}

func TestDocumentSingleton(t *testing.T) {
	r := newRig(t)
	r.job("sobby", "exec sleep 600")
	r.start()
	r.prints("sobby waiting (stop)\n", "sctl", "list")
	r.prints("sobby running (start), process PID\n", "start", "sobby")
	r.prints(r.ok("status", "sobby"), "sctl", "status", "sobby")
	r.refused(1, "start: cannot start 'sobby': Already running\n", "start", "sobby")
	r.refused(1, "start: cannot start 'sobby': Already running\n", "sctl", "start", "sobby")
}

func TestDocumentInstances(t *testing.T) {
	r := newRig(t)
	r.write("sbin/getty", "#!/bin/sh\nexec sleep 600\n")
	r.job("getty", "  instance $TTY\n  exec "+r.dir+"/sbin/getty 38400 $TTY")
	r.start()
	r.prints("getty (tty1) running (start), process PID\n", "start", "getty", "TTY=tty1")
	r.prints("getty (tty2) running (start), process PID\n", "start", "getty", "TTY=tty2")
	r.refused(1, "start: cannot start 'getty': Already running\n", "start", "getty", "TTY=tty1")
}

func TestDocumentSetupAndTeardown(t *testing.T) {
	r := newRig(t)
	r.write("bin/dbus-uuidgen", "#!/bin/sh\necho \"uuidgen $*\" >> $T\n")
	r.write("bin/dbus-daemon", "#!/bin/sh\n[ -d $W/dbus ] && echo daemon >> $T\nexec sleep 600\n")
	r.job("dbus", "pre-start script\n    mkdir $W/dbus\n\n    "+r.dir+"/bin/dbus-uuidgen --ensure\nend script\n\nexec "+r.dir+
		"/bin/dbus-daemon\n\npost-stop script\n    rm -rf $W/dbus\nend script")
	r.start()
	r.prints("dbus running (start), process PID\n", "start", "dbus")
	r.traced("uuidgen --ensure", "daemon")
	r.prints("dbus waiting (stop)\n", "stop", "dbus")
	if _, err := os.Stat(filepath.Join(r.dir, "dbus")); !os.IsNotExist(err) {
		t.Errorf("post-stop has not cleaned up: %v", err)
	}
}

// daemonSource is the document's test.c.
const daemonSource = `#include <sys/types.h>

#include <stdlib.h>
#include <unistd.h>

int
main (int   argc,
      char *argv[])
{
        pid_t pid;

        pid = fork ();
        if (pid > 0)
                exit (0);

        pid = fork ();
        if (pid > 0)
                exit (0);

        pause ();
        exit (0);
}
`

// The story that --debug tells of a daemon that forks twice.
func TestDocumentDebugStory(t *testing.T) {
	gcc := testkit.Need(t, "gcc")
	r := newRig(t)
	r.write("test.c", daemonSource)
	program := filepath.Join(r.dir, "test")
	if out, err := exec.Command(gcc, "-Wall", "-g", "-O0", "-o", program, filepath.Join(r.dir, "test.c")).CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
	r.job("test", "wait for daemon\nexec "+program)
	r.args = append(r.args, "--debug")
	r.start()
	r.ok("start", "test")
	want := strings.Split(`test (#0) goal changed from stop to start
test (#0) state changed from waiting to starting
event_new: Pending starting event
Handling starting event
event_finished: Finished starting event
test (#0) state changed from starting to pre-start
test (#0) state changed from pre-start to spawned
process_spawn: Spawned main process PID for test (#0)
Active test (#0) main process (PID)
test (#0) main process (PID) forked new child PID
test (#0) main process (PID) forked new child PID
test (#0) state changed from spawned to post-start
test (#0) state changed from post-start to running
event_new: Pending started event
Handling started event
event_finished: Finished started event`, "\n")
	var got []string
	number := regexp.MustCompile(`(process|child) \(?[0-9]+\)?`)
	r.until("the story to end", func() bool {
		got = got[:0]
		for _, line := range strings.Split(r.stderr.String(), "\n") {
			if _, message, found := strings.Cut(line, `level=DEBUG msg="`); found {
				message, _, _ = strings.Cut(message, `"`)
				message = number.ReplaceAllStringFunc(message, func(s string) string {
					return regexp.MustCompile("[0-9]+").ReplaceAllString(s, "PID")
				})
				got = append(got, message)
			}
		}
		return slices.Contains(got, want[len(want)-1])
	})
	begin := slices.Index(got, want[0])
	if begin < 0 || !slices.Equal(got[begin:min(len(got), begin+len(want))], want) {
		t.Errorf("the story is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestDocumentEnvironmentAndLeadership(t *testing.T) {
	r := newRig(t)
	r.job("plain", "env OWN=1\nexec sleep 600")
	r.args = append(r.args, "--no-inherit-env")
	r.start()
	r.ok("start", "plain", "GIVEN=2")
	pid := strings.TrimSpace(r.ok("status", "plain")[strings.LastIndex(r.ok("status", "plain"), " "):])
	// In its exec the job's descriptors are gone, by which it is known to run,
	// before it has an environment that can be read.
	var environ []byte
	r.until("the environment", func() bool {
		environ, _ = os.ReadFile("/proc/" + pid + "/environ")
		return len(environ) > 0
	})
	var keys []string
	for _, entry := range strings.Split(strings.TrimSuffix(string(environ), "\x00"), "\x00") {
		key, _, _ := strings.Cut(entry, "=")
		keys = append(keys, key)
	}
	slices.Sort(keys)
	if want := []string{"GIVEN", "OWN", "PATH", "TERM", "UPSTART_INSTANCE", "UPSTART_JOB", "UPSTART_SESSION"}; !slices.Equal(keys, want) {
		t.Errorf("environment has %q; want %q", keys, want)
	}
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(stat[strings.LastIndex(string(stat), ")")+1:]))
	if group, session := fields[2], fields[3]; group == pid || session == pid || group == "0" {
		t.Errorf("process %s is in group %s and session %s; it should lead neither", pid, group, session)
	}
	for fd := 0; fd <= 2; fd++ {
		target, err := os.Readlink("/proc/" + pid + "/fd/" + string(rune('0'+fd)))
		if err != nil || fd == 0 && target != "/dev/null" {
			t.Errorf("descriptor %d leads to %q, %v", fd, target, err)
		}
	}
}
