package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/session-init/session-init/session/job"
	"github.com/session-init/session-init/session/testkit"
)

const readyJobs = "../../share/jobs"

// readyRig is a rig of a user who has the ready jobs as they are installed, and
// no bus yet; the daemon looks for jobs where a user's does.
func readyRig(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	installReady(r)
	r.args = []string{"--logdir", r.logs}
	r.address = ""
	return r
}

func installReady(r *rig) {
	r.t.Helper()
	all, err := filepath.Glob(readyJobs + "/*")
	if err != nil || len(all) == 0 {
		r.t.Fatal("there are no ready jobs:", err)
	}
	for _, path := range all {
		text, err := os.ReadFile(path)
		if err != nil {
			r.t.Fatal(err)
		}
		r.write("share/session-init/jobs/"+filepath.Base(path), string(text))
	}
}

// TestReadyJobsOff: each of the ready jobs waits to be enabled, by an override
// that says so, and says what it is.
func TestReadyJobsOff(t *testing.T) {
	all, _ := filepath.Glob(readyJobs + "/*.conf")
	if len(all) < 12 {
		t.Fatalf("%d ready jobs; want more", len(all))
	}
	for _, path := range all {
		name := strings.TrimSuffix(filepath.Base(path), ".conf")
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		class, problems := job.Parse(name, path, text)
		if class == nil || len(problems) > 0 {
			t.Errorf("%s: %v", path, problems)
			continue
		}
		override, err := os.ReadFile(strings.TrimSuffix(path, ".conf") + ".override")
		if want := "# Starts when you say so: sctl enable " + name + "\nmanual\n"; string(override) != want {
			t.Errorf("the override of %s is %q, %v; want %q", name, override, err, want)
		}
		if class.StartOn == nil || class.Description == "" {
			t.Errorf("%s has no start condition or no description", name)
		}
	}
}

// TestReadyJobs: "sctl enable" and a start of the session bring up the user's
// daemons, as Debian has them, in order; each serves its clients then. All is
// gone after the end.
func TestReadyJobs(t *testing.T) {
	t.Parallel()
	r := readyRig(t)
	for _, program := range []string{"dbus-daemon", "dbus-send", "pipewire", "pw-cli", "wireplumber", "wpctl", "ssh-agent", "ssh-add", "gpg-agent", "gpg-connect-agent"} {
		testkit.NeedIn(t, realPath(), program)
	}
	r.env = append(r.env, "GNUPGHOME="+r.dir+"/gnupg", "SSH_AUTH_SOCK="+r.run+"/ssh-agent")
	if err := os.Mkdir(filepath.Join(r.dir, "gnupg"), 0o700); err != nil {
		t.Fatal(err)
	}
	names := []string{"dbus", "pipewire", "wireplumber", "ssh-agent", "gpg-agent"}
	for _, name := range names {
		// There is no daemon yet: it will find them so.
		r.ok("sctl", "enable", name)
	}
	r.start()
	for _, name := range names {
		r.until(name+" to run", func() bool {
			return strings.HasPrefix(r.command("status", name).out, name+" running (start), process ")
		})
	}
	for what, ask := range map[string]func(*rig, string) error{
		"bus":         says("org.sessioninit.SessionInit1", "dbus-send", "--bus=unix:path="+r.run+"/bus", "--print-reply", "--dest=org.freedesktop.DBus", "/", "org.freedesktop.DBus.ListNames"),
		"wireplumber": says("WirePlumber", "wpctl", "status"),
		"ssh-agent":   says("no identities", "ssh-add", "-l"),
		"gpg-agent":   says("OK", "gpg-connect-agent", "getinfo pid", "/bye"),
	} {
		r.until(what+" to serve", func() bool { return ask(r, "") == nil })
	}
	r.prints("unix:path="+r.run+"/bus\n", "sctl", "get-env", "DBUS_SESSION_BUS_ADDRESS")
	r.ok("sctl", "disable", "ssh-agent")
	r.ok("stop", "ssh-agent")
	if out := r.command("sctl", "get-env", "SSH_AUTH_SOCK").out; strings.Contains(out, r.run) && !strings.Contains(strings.Join(r.env, " "), strings.TrimSpace(out)) {
		t.Errorf("ssh-agent is stopped, and SSH_AUTH_SOCK is %q", out)
	}
	made := r.below()
	r.end()
	for pid, name := range made {
		if runs(pid) {
			t.Errorf("all has ended, and process %d (%s) runs", pid, name)
		}
	}
}

// TestReadyBurst: jobs that fail together are one notification, with what they
// have said last.
func TestReadyBurst(t *testing.T) {
	r := readyRig(t)
	r.write("bin/notify-send", "#!/bin/sh\nprintf '%s|' \"$@\" >>$T\necho >>$T\n")
	r.env = append(r.env, "PATH="+r.dir+"/bin:"+programs+":"+os.Getenv("PATH"))
	for _, name := range []string{"one", "two"} {
		r.write("config/session-init/"+name+".conf", "start on go\nexec sh -c 'echo \"<"+name+"> is broken\"; exit 7'\n")
	}
	r.ok("sctl", "enable", "notify-failure")
	r.start()
	r.command("emit", "go")
	r.until("a notification", func() bool { return strings.Contains(strings.Join(r.trace(), "\n"), "two&gt; is broken") })
	r.until("notify-failure to be done", func() bool { return r.command("status", "notify-failure").out == "notify-failure waiting (stop)\n" })
	told := strings.Join(r.trace(), "\n")
	if strings.Count(told, "--app-name") != 1 || !strings.Contains(told, "2 jobs failed|") || !strings.Contains(told, "&lt;one&gt; is broken") {
		t.Errorf("notified:\n%s\nwant one notification of both", told)
	}
}

// TestEnableNow: jobs that are enabled with --now run, also those that the first of
// them starts; a client sees which are off. What is made for login sessions is
// refused, with what to do, and enabled all the same. disable --now stops whatever
// runs of a job.
func TestEnableNow(t *testing.T) {
	r := newRig(t)
	for name, on := range map[string]string{"first": "startup", "second": "started first", "panel": "session-start"} {
		r.write("etc/session-init/"+name+".conf", "start on "+on+"\n"+service(name)+"\n")
		r.write("etc/session-init/"+name+".override", "manual\n")
	}
	r.write("etc/session-init/many.conf", "start on many\ninstance $N\n"+service("many")+"\n")
	r.args = []string{"--logdir", r.logs}
	r.address = ""
	r.start()
	r.until("the jobs to be off", func() bool { return strings.Count(r.command("sctl", "list", "--json").out, `"manual": true`) == 3 })
	r.ok("sctl", "enable", "--now", "first", "second")
	for _, name := range []string{"first", "second"} {
		r.until(name+" to run", func() bool {
			return strings.HasPrefix(r.command("status", name).out, name+" running (start), process ")
		})
	}
	r.ok("stop", "second")
	got := r.command("sctl", "enable", "--now", "panel", "second")
	if got.status != 1 || !strings.Contains(got.out, "panel starts by itself") || !strings.Contains(got.out, "\nsecond running (start), process ") || !strings.Contains(got.errOut, "It belongs to a login session, and none has a display") {
		t.Errorf("enable --now panel second = %+v; want both enabled, panel refused, and second running", got)
	}
	if out := r.ok("sctl", "list", "--json"); strings.Contains(out, `"manual": true`) {
		t.Errorf("all are enabled, and list says %s", out)
	}
	r.ok("sctl", "disable", "--now", "first", "panel")
	r.until("first to be stopped", func() bool { return r.command("status", "first").out == "first waiting (stop)\n" })
	r.ok("start", "many", "N=1")
	r.ok("start", "many", "N=2")
	for range 2 {
		if out := r.ok("sctl", "disable", "--now", "many"); !strings.HasSuffix(out, "\nmany waiting (stop)\n") {
			t.Errorf("disable --now many says %q; want both stopped", out)
		}
	}
	r.end()
}
