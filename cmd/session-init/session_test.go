package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/session-init/session-init/session/testkit"
)

func TestSessionBeginsAndEnds(t *testing.T) {
	r := newRig(t)
	r.args = []string{"--confdir", r.conf, "--logdir", r.logs}
	r.job("svc", "start on startup\n"+service("svc"))
	r.job("bye", "start on session-end\ntask\nscript\n    echo bye $TYPE >> $T\nend script")
	r.start()
	r.traced("svc")
	name := filepath.Base(files(filepath.Join(r.run, "upstart/sessions"))[0])
	if want := fmt.Sprintf("%d.session", r.daemon.Process.Pid); name != want {
		t.Errorf("the session file is %s; want %s", name, want)
	}
	if status := r.end(); status != 0 {
		t.Errorf("the daemon's exit status is %d", status)
	}
	lines := r.trace()
	slices.Sort(lines)
	if want := []string{"bye logout", "svc", "svc-term"}; !slices.Equal(lines, want) {
		t.Errorf("trace is %q; want %q", lines, want)
	}
	if left := files(r.run); len(left) > 0 {
		t.Errorf("left in the runtime directory: %q", left)
	}
}

func TestEndSessionByClient(t *testing.T) {
	r := newRig(t)
	r.job("svc", "exec sleep 600")
	r.start()
	r.ok("start", "svc")
	r.prints("", "sctl", "end-session")
	if status := r.wait(); status != 0 {
		t.Errorf("the daemon's exit status is %d", status)
	}
}

// What does not end in time is killed and named.
func TestEndIsBounded(t *testing.T) {
	r := newRig(t)
	r.args = append(r.args, "--stop-timeout", "1")
	r.job("stubborn", "kill timeout 600\nscript\n    trap '' TERM\n    echo up >> $T\n    while :; do sleep 1; done\nend script")
	r.start()
	r.ok("start", "stubborn")
	r.traced("up")
	if status := r.end(); status != 0 {
		t.Errorf("the daemon's exit status is %d", status)
	}
	if log := r.stderr.String(); !strings.Contains(log, "stubborn was still in killed after 1s") {
		t.Errorf("nothing says who was cut short:\n%s", log)
	}
}

// A process that left its group, session and parent is ended with the session.
func TestEndTakesStrays(t *testing.T) {
	testkit.Need(t, "setsid")
	r := newRig(t)
	r.job("stray", "task\nscript\n    setsid sleep 600 > /dev/null 2>&1 &\n    echo $! >> $T\nend script")
	r.start()
	r.ok("start", "stray")
	if status := r.end(); status != 0 {
		t.Errorf("the daemon's exit status is %d", status)
	}
	r.logged("Left behind by a job, ended with the session")
}

// What is left behind has the time that the jobs have not used up, and no more:
// where there is none it gets KILL. It is named, and no process is said to
// withstand KILL that was merely younger than the look at all.
func TestEndCutsStrays(t *testing.T) {
	const deaf = "task\nscript\n    sh -c \"trap '' TERM; echo deaf >> $T; while :; do sleep 0.01; done\" > /dev/null 2>&1 &\nend script"
	for _, test := range []struct{ name, seconds, stubborn string }{
		{"with time", "5", ""},
		{"without time", "1", "kill timeout 600\nscript\n    trap '' TERM\n    echo up >> $T\n    while :; do sleep 1; done\nend script"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t)
			r.args = append(r.args, "--stop-timeout", test.seconds)
			r.job("deaf", deaf)
			r.job("polite", "task\nscript\n    sh -c 'trap \"echo term >> $T; exit\" TERM; echo polite >> $T; while :; do sleep 0.01; done' > /dev/null 2>&1 &\nend script")
			r.start()
			r.ok("start", "deaf")
			r.traced("deaf")
			r.ok("start", "polite")
			r.traced("deaf", "polite")
			want := []string{"deaf", "polite", "term"}
			if test.stubborn != "" {
				r.job("stubborn", test.stubborn)
				r.becomes("stubborn waiting (stop)\n", "stubborn")
				r.ok("start", "stubborn")
				r.traced("deaf", "polite", "up")
				want = []string{"deaf", "polite", "up"}
			}
			if status := r.end(); status != 0 {
				t.Errorf("the daemon's exit status is %d", status)
			}
			if got := r.trace(); !slices.Equal(got, want) {
				t.Errorf("trace is %q; want %q", got, want)
			}
			r.logged("killed: it did not end in time")
			if log := r.stderr.String(); strings.Contains(log, "does not end even by KILL") {
				t.Errorf("a process that ends by KILL is said not to:\n%s", log)
			}
		})
	}
}

func TestLiveConfiguration(t *testing.T) {
	r := newRig(t)
	r.start()
	r.job("new", "exec sleep 600")
	r.becomes("new waiting (stop)\n", "new")
	r.ok("start", "new")
	if err := os.Remove(filepath.Join(r.conf, "new.conf")); err != nil {
		t.Fatal(err)
	}
	r.prints("", "sctl", "reload-configuration")
	r.prints("new running (start), process PID\n", "status", "new")
	r.ok("stop", "new")
	r.refused(1, "status: cannot show 'new': Unknown job\n", "status", "new")
}

// A job calls the client by its links, about itself, and does not wait.
func TestJobVetoesItself(t *testing.T) {
	r := newRig(t)
	r.job("no", "pre-start script\n    echo veto >> $T\n    stop\n    exit 0\nend script\nexec sleep 600\npost-stop exec sh -c \"echo post-stop >> $T\"")
	r.job("keep", "pre-stop script\n    echo keep >> $T\n    start\nend script\nexec sleep 600")
	r.job("path", "task\nexec sh -c \"echo ${PATH##*:} >> $T\"")
	r.start()
	// The start is overtaken by the stop, which is no error.
	r.ok("start", "no")
	r.until("post-stop", func() bool { return slices.Equal(r.trace(), []string{"veto", "post-stop"}) })
	r.clear()
	before := r.ok("start", "keep")
	r.command("stop", "keep")
	r.traced("keep")
	r.becomes(before, "keep")
	r.clear()
	r.ok("start", "path")
	r.traced(fmt.Sprintf("%s/session-init/%d/bin", r.run, r.daemon.Process.Pid))
}

func TestEnvironmentByClients(t *testing.T) {
	r := newRig(t)
	r.job("show", "task\nscript\n    echo \"$A\" >> $T\nend script")
	r.start()
	conn := r.dial()
	defer conn.Close()
	conn.call("/com/ubuntu/Upstart", "com.ubuntu.Upstart0_6", "SetEnv", []string{}, "A=table", true)
	r.ok("start", "show")
	conn.call("/com/ubuntu/Upstart", "com.ubuntu.Upstart0_6", "ResetEnv", []string{})
	r.ok("start", "show")
	r.traced("table", "")
}

func TestInitctl(t *testing.T) {
	r := newRig(t)
	r.job("sobby", "start on a and (b or c X=1)\nstop on d\nexec sleep 600")
	r.job("getty", "instance $TTY\nexec sleep 600")
	r.start()
	r.prints("sobby stop/waiting\n", "initctl", "status", "sobby")
	r.prints("sobby start/running, process PID\n", "initctl", "start", "sobby")
	r.prints("getty (tty1) start/running, process PID\n", "initctl", "start", "getty", "TTY=tty1")
	r.prints("getty (tty1) start/running, process PID\nsobby start/running, process PID\n", "initctl", "list")
	r.refused(1, "initctl: Job is already running: sobby\n", "initctl", "start", "sobby")
	r.refused(1, "initctl: Unknown job: nope\n", "initctl", "start", "nope")
	r.prints("sobby stop/waiting\n", "initctl", "stop", "sobby")
	r.refused(1, "initctl: Unknown instance: sobby\n", "initctl", "stop", "sobby")
	r.prints("sobby\n  start on (a and (b or c X=1))\n  stop on d\n", "initctl", "show-config", "sobby")
}

// Clients of others, unchanged.
func TestForeignClients(t *testing.T) {
	clients := []struct {
		need string
		argv []string
		want string
	}{
		{"dbus-send", []string{"dbus-send", "--peer=ADDRESS", "--print-reply", "/com/ubuntu/Upstart",
			"com.ubuntu.Upstart0_6.GetJobByName", "string:svc"}, `object path "/com/ubuntu/Upstart/jobs/svc"`},
		{"gdbus", []string{"gdbus", "call", "--address", "ADDRESS", "--dest", "com.ubuntu.Upstart", "--object-path", "/com/ubuntu/Upstart",
			"--method", "com.ubuntu.Upstart0_6.GetAllJobs"}, "/com/ubuntu/Upstart/jobs/svc"},
		{"gdbus", []string{"gdbus", "call", "--address", "ADDRESS", "--dest", "com.ubuntu.Upstart", "--object-path", "/com/ubuntu/Upstart/jobs/svc",
			"--method", "com.ubuntu.Upstart0_6.Job.Start", "['A=1']", "true"}, "/com/ubuntu/Upstart/jobs/svc/_"},
		{"gdbus", []string{"gdbus", "introspect", "--address", "ADDRESS", "--dest", "com.ubuntu.Upstart", "--object-path", "/com/ubuntu/Upstart/jobs/svc/_"},
			"interface com.ubuntu.Upstart0_6.Instance"},
		{"dbus-send", []string{"dbus-send", "--peer=ADDRESS", "--print-reply", "/com/ubuntu/Upstart/jobs/svc/_",
			"org.freedesktop.DBus.Properties.GetAll", "string:com.ubuntu.Upstart0_6.Instance"}, `string "running"`},
	}
	r := newRig(t)
	r.job("svc", "exec sleep 600")
	r.start()
	for _, c := range clients {
		t.Run(c.argv[0]+" "+c.argv[len(c.argv)-1], func(t *testing.T) {
			testkit.Need(t, c.need)
			argv := slices.Clone(c.argv)
			for i := range argv {
				argv[i] = strings.ReplaceAll(argv[i], "ADDRESS", r.address)
			}
			cmd := exec.Command(argv[0], argv[1:]...)
			cmd.Env = r.env
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), c.want) {
				t.Errorf("%v: %s\nwant %q", err, out, c.want)
			}
		})
	}
}

// The jobs of share/examples load without a word of complaint.
func TestExamplesLoad(t *testing.T) {
	r := newRig(t)
	examples, err := filepath.Abs("../../share/examples")
	if err != nil {
		t.Fatal(err)
	}
	r.args = []string{"--confdir", examples, "--logdir", r.logs, "--no-startup-event"}
	r.start()
	list := r.ok("sctl", "list")
	for _, file := range files(examples) {
		name, isJob := strings.CutSuffix(file, ".conf")
		if isJob && !strings.Contains(list, strings.TrimPrefix(name, "jobs.d/")+" waiting (stop)\n") {
			t.Errorf("%s is not listed:\n%s", name, list)
		}
	}
	if log := r.stderr.String(); strings.Contains(log, "level=WARN") || strings.Contains(log, "level=ERROR") {
		t.Errorf("the examples are complained of:\n%s", log)
	}
}
