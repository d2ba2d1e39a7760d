package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/testkit"
)

// The files of share/login are run by the programs that they are for.
const loginFiles = "../../share/login/"

// loginFile reads one, for the user who runs the test and his runtime directory.
func (r *rig) loginFile(name string) string {
	r.t.Helper()
	text, err := os.ReadFile(loginFiles + name)
	if err != nil {
		r.t.Fatal(err)
	}
	me, err := user.Current()
	if err != nil {
		r.t.Fatal(err)
	}
	return strings.NewReplacer("\nuser=user", "\nuser="+me.Username, `$(getent passwd "$user" | cut -d: -f6)`, r.dir, "/run/user/$uid", r.run,
		"/run/user/1000", r.run, "/home/user", r.dir, "s6-setuidgid user", "s6-setuidgid "+me.Username,
		"/usr/local/bin", programs).Replace(string(text))
}

// newFilesRig is a rig for somebody else to start the daemon.
func newFilesRig(t *testing.T) *rig {
	r := newLoginRig(t)
	r.userJob("svc", "start on startup\n"+service("svc"))
	return r
}

// awaitDaemon waits until it answers, and has begun.
func (r *rig) awaitDaemon() {
	r.t.Helper()
	r.until("the daemon", func() bool { return r.command("sctl", "version").status == 0 })
	r.traced("svc")
}

// over waits until the daemon has ended in order.
func (r *rig) over() {
	r.t.Helper()
	r.traced("svc", "svc-term")
	r.until("the end of the daemon", func() bool { return r.command("sctl", "version").status == 3 && len(r.processes()) == 0 })
}

// background starts a program, and ends it with the test at the latest.
func (r *rig) background(argv ...string) *exec.Cmd {
	r.t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	out := &syncBuffer{}
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = r.env, r.dir, out, out
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		if cmd.ProcessState == nil {
			cmd.Process.Signal(unix.SIGTERM)
			cmd.Wait()
		}
		if r.t.Failed() {
			r.t.Logf("%s said:\n%s", argv[0], out)
		}
	})
	return cmd
}

// Other supervisors start the daemon and end it by TERM, each by its snippet.
func TestSupervisors(t *testing.T) {
	for _, test := range []struct {
		name, snippet, place string
		mode                 os.FileMode
		argv                 []string
		root                 bool
	}{
		{"runit", "session-init.runit", "sv/run", 0o755, []string{"runsv", "sv"}, true},
		{"s6", "session-init.s6", "sv/run", 0o755, []string{"s6-supervise", "sv"}, true},
		{"dinit", "session-init.dinit", "sv/session-init", 0o644, []string{"dinit", "--user", "--services-dir", "sv", "--socket-path", "ctl", "session-init"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			program := testkit.Need(t, test.argv[0])
			if test.root {
				// They change the user, if only to the same.
				testkit.NeedRoot(t)
			}
			r := newFilesRig(t)
			if test.name == "runit" {
				// A user who has more groups than root has here.
				r.write("bin/id", "#!/bin/sh\n[ \"$1\" != -G ] || exec echo 0 29 44\nexec /usr/bin/id \"$@\"\n")
				r.userJob("groups", "start on startup\ntask\nexec /usr/bin/id -G >"+r.dir+"/groups")
				r.env = append(r.env, "PATH="+r.dir+"/bin:"+programs+":"+os.Getenv("PATH"))
			}
			r.write(test.place, r.loginFile(test.snippet))
			if err := os.Chmod(filepath.Join(r.dir, test.place), test.mode); err != nil {
				t.Fatal(err)
			}
			supervisor := r.background(append([]string{program}, test.argv[1:]...)...)
			r.awaitDaemon()
			if test.name == "dinit" {
				// It is told, or it would never call it started.
				ctl := testkit.Need(t, "dinitctl")
				r.until("dinit to call it started", func() bool {
					out, _ := exec.Command(ctl, "--socket-path", r.dir+"/ctl", "status", "session-init").CombinedOutput()
					return strings.Contains(string(out), "State: STARTED")
				})
			}
			if test.name == "runit" {
				r.until("the job of all groups", func() bool { return r.text("groups") != "" })
				if got := r.text("groups"); got != "0 29 44\n" {
					t.Errorf("the groups of a job are %q; want all of the user's, 0 29 44", got)
				}
			}
			supervisor.Process.Signal(unix.SIGTERM)
			r.over()
			supervisor.Wait()
		})
	}
}

// OpenRC's supervisor runs what the snippet names.
func TestOpenRC(t *testing.T) {
	program := testkit.Need(t, "supervise-daemon")
	r := newFilesRig(t)
	text := r.loginFile("session-init.openrc")
	r.write("read", strings.Replace(text, "#!/sbin/openrc-run", "#!/bin/sh -eu", 1)+"\ndepend() { :; }\necho \"$supervisor $command\"\n")
	out, err := exec.Command(filepath.Join(r.dir, "read")).CombinedOutput()
	if got := string(out); err != nil || got != "supervise-daemon session-init\n" {
		t.Fatalf("the snippet says %q, %v; want supervise-daemon session-init", got, err)
	}
	// It keeps its own files in /run, which it shall not do here.
	words := testkit.NeedPrivate(t)
	r.env = append(r.env, "RC_SVCNAME=session-init")
	supervisor := r.background(words[0], "--mount", "sh", "-euc", `mount -t tmpfs none /run
mkdir -p /run/openrc/options/session-init /run/openrc/started /run/openrc/starting
exec "$@"`, "sh", program, "session-init", "--start", "--pidfile", r.dir+"/pid", filepath.Join(programs, "session-init"))
	r.awaitDaemon()
	supervisor.Wait()
	pid := 0
	r.until("supervise-daemon's pid file", func() bool {
		pid, _ = strconv.Atoi(strings.TrimSuffix(r.text("pid"), "\n"))
		return pid != 0 && strings.HasSuffix(r.text("pid"), "\n")
	})
	unix.Kill(pid, unix.SIGTERM)
	r.over()
}

// systemd finds nothing to say about its unit.
func TestSystemdUnit(t *testing.T) {
	program := testkit.Need(t, "systemd-analyze")
	r := newRig(t)
	r.write("session-init.service", r.loginFile("session-init.service"))
	if err := os.Chmod(r.dir+"/session-init.service", 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--user", "verify", r.dir+"/session-init.service")
	cmd.Env = r.env
	if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "session-init.service") {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

// turnstile's contract: "run" tells by the pipe what "ready" is called with,
// "stop" ends, and each mistake has its exit status.
func TestTurnstile(t *testing.T) {
	r := newFilesRig(t)
	backend, err := filepath.Abs(loginFiles + "turnstile")
	if err != nil {
		t.Fatal(err)
	}
	pipe := filepath.Join(r.dir, "ready")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	// As turnstile does it: with a short PATH, which the system's profile makes
	// longer, perhaps, and where our programs need not be.
	given := r.env
	r.env = append(given[:len(given):len(given)], "PATH=/usr/bin:/bin")
	written, err := os.ReadFile(backend)
	if err != nil {
		t.Fatal(err)
	}
	r.write("backend", strings.Replace(string(written), "programs=/usr/local/bin/\n", "programs="+programs+"/\n", 1))
	backend = filepath.Join(r.dir, "backend")
	run := func() *exec.Cmd {
		t.Helper()
		cmd := r.background("sh", backend, "run", pipe, r.dir+"/turnstile", r.dir+"/conf")
		// It is closed by the daemon, when that answers.
		word, err := os.ReadFile(pipe)
		if err != nil || strings.TrimSuffix(string(word), "\n") != r.run {
			t.Fatalf("run says %q, %v; want %s", word, err, r.run)
		}
		return cmd
	}
	daemon := run()
	word := r.run + "\n"
	call := func(args ...string) (int, string) {
		cmd := exec.Command("sh", append([]string{backend}, args...)...)
		cmd.Env = r.env
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return cmd.ProcessState.ExitCode(), string(out)
	}
	if status, out := call("ready", word); status != 0 || out != "" {
		t.Errorf("ready: status %d, %q; want 0", status, out)
	}
	if got := r.command("sctl", "version").status; got != 0 {
		t.Errorf("after ready the daemon answers with status %d; want 0", got)
	}
	r.traced("svc")
	for _, test := range []struct {
		args   string
		status int
		said   string
	}{
		{"ready " + r.dir + "/none", 69, "session-init: '" + r.dir + "/none' is no runtime directory\n"},
		{"run " + r.dir + "/none x y", 69, "session-init: '" + r.dir + "/none' is no pipe\n"},
		{"dance", 32, ""},
	} {
		if status, out := call(strings.Fields(test.args)...); status != test.status || out != test.said {
			t.Errorf("%s: status %d, %q; want %d, %q", test.args, status, out, test.status, test.said)
		}
	}
	stop := func(daemon *exec.Cmd) {
		t.Helper()
		if status, out := call("stop", strconv.Itoa(daemon.Process.Pid)); status != 0 || out != "" {
			t.Errorf("stop: status %d, %q; want 0", status, out)
		}
		r.over()
		if err := daemon.Wait(); err != nil {
			t.Errorf("what turnstile has started ends with %v; want 0", err)
		}
	}
	stop(daemon)
	// turnstile calls "run" again when the keeper is killed: the daemon and its
	// jobs stay, and end by "stop" all the same.
	r.clear()
	daemon = run()
	r.traced("svc")
	main := r.main("svc")
	daemon.Process.Kill()
	daemon.Process.Wait() // of its output the daemon has a copy
	if got := r.command("sctl", "version"); got.status != 0 {
		t.Errorf("sctl does not find the daemon whose keeper was killed: %+v", got)
	}
	daemon = run()
	if status, out := call("ready", word); status != 0 || out != "" {
		t.Errorf("ready after the death of the keeper: status %d, %q; want 0", status, out)
	}
	if got := r.main("svc"); got != main {
		t.Errorf("the job is process %d after the death of the keeper; want %d as before", got, main)
	}
	stop(daemon)
	if status, out := call("ready", r.dir); status != 69 || out != "session-init: it is not ready\n" {
		t.Errorf("ready without a daemon: status %d, %q; want 69", status, out)
	}
}

// The entries of display managers run the desktop in a login, with the user's
// profile; so does Xsession's snippet.
func TestLoginEntries(t *testing.T) {
	wrapper, err := filepath.Abs(loginFiles + "session-init-session")
	if err != nil {
		t.Fatal(err)
	}
	snippet, err := filepath.Abs(loginFiles + "55session-init")
	if err != nil {
		t.Fatal(err)
	}
	desktop := "#!/bin/sh\necho \"${0##*/} $* in $UPSTART_SESSION_ID\" >>$T\nexit 5\n"
	r := newLoginRig(t)
	for _, name := range []string{"session-init-session", "sway", "openbox"} {
		text := desktop
		if name == "session-init-session" {
			text = "#!/bin/sh\nexec " + wrapper + " \"$@\"\n"
		}
		r.write("bin/"+name, text)
	}
	// What a login shell reads may set PATH anew.
	r.write(".profile", "PATH="+r.dir+"/bin:"+programs+":$PATH\nexport PATH\n")
	r.env = append(r.env, "SHELL=/bin/sh", "PATH="+r.dir+"/bin:"+programs+":"+os.Getenv("PATH"))
	entries, _ := filepath.Glob(loginFiles + "*.desktop")
	if len(entries) != 2 {
		t.Fatalf("entries are %q; want two", entries)
	}
	run := func(shell string) {
		t.Helper()
		cmd := exec.Command("sh", "-c", shell)
		cmd.Env, cmd.Dir = r.env, r.dir
		out, _ := cmd.CombinedOutput()
		if status := cmd.ProcessState.ExitCode(); status != 5 {
			t.Errorf("%s: status %d; want that of the desktop\n%s", shell, status, out)
		}
	}
	for _, entry := range entries {
		text, err := os.ReadFile(entry)
		if err != nil {
			t.Fatal(err)
		}
		_, line, _ := strings.Cut(string(text), "\nExec=")
		line, _, _ = strings.Cut(line, "\n")
		run(line)
	}
	// As Xsession does: the snippet is sourced, and STARTUP run at the end.
	run("set -e; STARTUP='openbox --sm'; . " + snippet + "; exec $STARTUP")
	run("set -e; STARTUP='session-init -- sway'; . " + snippet + "; exec $STARTUP")
	if got, want := r.trace(), []string{"openbox  in 1", "sway  in 1", "openbox --sm in 1", "sway  in 1"}; !slices.Equal(got, want) {
		t.Errorf("run were %q; want %q", got, want)
	}
}

// The wrapper of the entries runs the desktop whatever the user's shell is, with
// every word as it was given and the profile that is read for it.
func TestLoginShells(t *testing.T) {
	wrapper, err := filepath.Abs(loginFiles + "session-init-session")
	if err != nil {
		t.Fatal(err)
	}
	const profile = ".profile"
	for _, test := range []struct {
		name    string
		shell   string // "" for the program of that name
		profile string // what is read
	}{
		{"dash", "", profile},
		{"bash", "", profile},
		{"mksh", "", profile},
		{"zsh", "", ".zprofile"},
		{"fish", "", "config/fish/config.fish"},
		// What has another language, or runs nothing.
		{"tcsh", "HERE/tcsh", profile},
		{"nologin", "HERE/nologin", profile},
		{"one that is gone", "HERE/zsh", profile},
		{"none", " ", profile},
	} {
		t.Run(test.name, func(t *testing.T) {
			shell := test.shell
			if shell == "" {
				shell = testkit.Need(t, test.name)
			}
			r := newLoginRig(t)
			for _, name := range []string{"tcsh", "nologin"} {
				r.write(name, "#!/bin/sh\necho \"this is no shell: $*\"\n")
			}
			shell = strings.TrimSpace(strings.Replace(shell, "HERE", r.dir, 1))
			r.write("bin/desktop", "#!/bin/sh\necho \"$PROFILE|$1|$2|$# in $UPSTART_SESSION_ID\" >>$T\nexit 5\n")
			r.write(test.profile, "export PROFILE="+test.profile+"\n")
			// What the system's profile says of PATH is not ours.
			if test.profile == profile {
				r.write(profile, "export PROFILE="+profile+"\nPATH="+r.dir+"/bin:"+programs+":$PATH\n")
			}
			r.env = append(r.env, "SHELL="+shell, "ZDOTDIR="+r.dir, "PATH="+r.dir+"/bin:"+programs+":"+os.Getenv("PATH"))
			cmd := exec.Command("sh", wrapper, "desktop", "two words", "a'b\"c$d")
			cmd.Env, cmd.Dir = r.env, r.dir
			out, _ := cmd.CombinedOutput()
			if status := cmd.ProcessState.ExitCode(); status != 5 {
				t.Errorf("status %d; want that of the desktop\n%s", status, out)
			}
			if got, want := r.trace(), []string{test.profile + "|two words|a'b\"c$d|2 in 1"}; !slices.Equal(got, want) {
				t.Errorf("run was %q; want %q\n%s", got, want, out)
			}
		})
	}
}

func TestLoginEntriesValid(t *testing.T) {
	program := testkit.Need(t, "desktop-file-validate")
	entries, _ := filepath.Glob(loginFiles + "*.desktop")
	for _, entry := range entries {
		text, err := os.ReadFile(entry)
		if err != nil {
			t.Fatal(err)
		}
		// DesktopNames is of display managers, and in no specification.
		checked := filepath.Join(t.TempDir(), filepath.Base(entry))
		if err := os.WriteFile(checked, []byte(strings.Replace(string(text), "\nDesktopNames=", "\nX-DesktopNames=", 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(program, checked).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", entry, err, out)
		}
	}
}

// A login by PAM starts the user's daemon before his shell begins, the second
// one joins it, and the last one out ends it, but for what lingers: that keeps
// it until it has ended, or until the next login is over.
func TestPAM(t *testing.T) {
	words := testkit.NeedPrivate(t)
	for _, program := range []string{"su", "setpriv", "flock"} {
		testkit.Need(t, program)
	}
	testkit.NeedFile(t, "pam_exec.so", "/lib/*/security/pam_exec.so", "/usr/lib/*/security/pam_exec.so", "/lib/security/pam_exec.so", "/lib64/security/pam_exec.so")
	hook, err := filepath.Abs(loginFiles + "pam-session-init")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	// What stands in these places here is seen by nobody else. nobody has no
	// home, so that the daemon says where it cannot write.
	script := fmt.Sprintf(`set -eu
mount -t tmpfs none /run
mount -t tmpfs none /usr/local/bin
cp %[1]s/session-init %[1]s/sctl /usr/local/bin
cp %[2]s /usr/local/bin/pam-session-init
cat >/usr/local/bin/slow-to-end <<'END'
#!/bin/sh
trap 'sleep 1; exit' TERM
: >$XDG_RUNTIME_DIR/up
while :; do sleep 0.05; done
END
chmod 755 /usr/local/bin /usr/local/bin/*
# What a user has in his environment is not root's, see pam_exec(8).
mkdir %[3]s/his
for name in exec id; do
	printf '#!/bin/sh\n[ "$(/usr/bin/id -u)" != 0 ] || echo %%s >>%[3]s/taken\nexec /usr/bin/env %%s "$@"\n' $name "$([ $name = exec ] || echo /usr/bin/$name)" >%[3]s/his/$name
done
chmod 755 %[3]s/his/*
cat >%[3]s/environment <<END
PATH=%[3]s/his:/usr/local/bin:/usr/bin:/bin
exec=%[3]s/his/exec
END
mkdir -p /run/user/65534 %[3]s/pam.d
chown 65534:65534 /run/user/65534
chmod 700 /run/user/65534
cat >%[3]s/pam.d/su <<END
auth sufficient pam_rootok.so
account required pam_permit.so
session optional pam_env.so readenv=1 envfile=%[3]s/environment
session optional pam_exec.so quiet type=close_session /usr/local/bin/pam-session-init
session optional pam_exec.so quiet type=open_session /usr/local/bin/pam-session-init
END
mount --bind %[3]s/pam.d /etc/pam.d
export XDG_RUNTIME_DIR=/run/user/65534 PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
su nobody -s /bin/sh -c 'sctl version >/dev/null && echo first; read go || :' <%[3]s/go >%[3]s/said &
first=$!
exec 8>%[3]s/go
until grep -qs first %[3]s/said; do sleep 0.05; done
keeper=$(cat /run/user/65534/session-init/lock)
su nobody -s /bin/sh -c 'cat $XDG_RUNTIME_DIR/session-init/lock; sctl version >/dev/null && echo second' >%[3]s/second
[ "$(cat %[3]s/second)" = "$keeper
second" ] || { echo "the second login: $(cat %[3]s/second)"; exit 1; }
setpriv --reuid 65534 --regid 65534 --clear-groups sctl version >/dev/null || { echo "the second login has ended it"; exit 1; }
exec 8>&-
wait $first
user() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
login() { su nobody -s /bin/sh -c "$1"; }
gone() {
	tries=0
	while grep -q session-init /proc/$1/cmdline 2>/dev/null; do
		tries=$((tries + 1))
		[ $tries -lt 1200 ] || { echo "the daemon is left $2"; exit 1; }
		sleep 0.05
	done
}
stays() { user sctl version >/dev/null 2>&1 && [ "$(cat /run/user/65534/session-init/lock)" = "$keeper" ] || { echo "the daemon is not left $1"; exit 1; }; }
gone $keeper "after the last logout"
login 'sctl run --quiet --linger --name tmux sleep 1000'
keeper=$(cat /run/user/65534/session-init/lock)
stays "with what lingers"
user sctl status tmux | grep -q running || { echo "what lingers has ended"; exit 1; }
login 'sctl stop --quiet tmux; sctl version >/dev/null || echo "what lingered takes it away from the next login"'
gone $keeper "after the second logout"
login 'sctl run --quiet --linger --name tmux sleep 1000'
keeper=$(cat /run/user/65534/session-init/lock)
stays "with what lingers again"
user sctl stop --quiet tmux
gone $keeper "after what lingered"
# A daemon that is ending, since somebody has said so, is followed by another.
login 'sctl run --quiet --linger --name slow slow-to-end; until [ -e $XDG_RUNTIME_DIR/up ]; do sleep 0.05; done'
keeper=$(cat /run/user/65534/session-init/lock)
user sctl end-session
login "sctl version >/dev/null && ! grep -q $keeper \$XDG_RUNTIME_DIR/session-init/lock || echo no daemon after one that was ending"
gone $keeper "after end-session"
[ ! -e %[3]s/taken ] || { echo "root took from a user's environment: $(sort -u %[3]s/taken)"; exit 1; }
echo done
`, programs, hook, dir)
	if err := unix.Mkfifo(filepath.Join(dir, "go"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(words[0], append(words[1:], "sh", "-c", script)...).CombinedOutput(); err != nil || string(out) != "done\n" {
		t.Errorf("logins by su: %v\n%s", err, out)
	}
}
