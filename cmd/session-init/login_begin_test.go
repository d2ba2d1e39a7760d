package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/testkit"
)

// compositor is a program that stands for one: it listens as that display until
// it gets TERM, and runs a command in it meanwhile, as a start-up file has it. With
// HOLD set it stops its parent first, the login, for which no time passes until the
// command has it go on.
func compositor(args []string) int {
	if os.Getenv("HOLD") != "" {
		if err := unix.Kill(os.Getppid(), unix.SIGSTOP); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, unix.SIGTERM)
	listen := func() error {
		listener, err := net.Listen("unix", filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), args[0]))
		if err != nil {
			return err
		}
		go func() {
			for {
				// Clients stay until it ends.
				if _, err := listener.Accept(); err != nil {
					return
				}
			}
		}()
		return nil
	}
	program := exec.Command("sh", "-c", args[1])
	program.Env = append(os.Environ(), "WAYLAND_DISPLAY="+args[0], "SWAYSOCK=/the/socket", fmt.Sprintf("LOGIN=%d", os.Getppid()))
	// The command that has the login go on is a client of the display. Any other is
	// there before it, since the login looks at the command a second after.
	steps := []func() error{program.Start, listen}
	if os.Getenv("HOLD") != "" {
		slices.Reverse(steps)
	}
	for _, step := range steps {
		if err := step(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	<-ended
	program.Process.Kill()
	program.Wait()
	return 0
}

// loginTo runs a login whose command is given; the caller waits for its end.
func (r *rig) loginTo(env []string, command ...string) *loginProcess {
	r.t.Helper()
	l := &loginProcess{r: r, out: &syncBuffer{}, ended: make(chan struct{}), name: "to", status: -1}
	l.cmd = exec.Command(filepath.Join(programs, "session-init"), append([]string{"--"}, command...)...)
	l.cmd.Env, l.cmd.Dir = append(r.env[:len(r.env):len(r.env)], env...), "/"
	l.cmd.Stdout, l.cmd.Stderr = l.out, l.out
	if err := l.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	l.watch()
	r.t.Cleanup(func() {
		l.cmd.Process.Signal(unix.SIGTERM) // is nothing to one that has ended
		l.wait()
		if r.t.Failed() {
			r.t.Logf("the login said:\n%s", l.out)
		}
	})
	return l
}

const aloneJob = "start on session-start\nscript\n    echo begun $SESSION $WAYLAND_DISPLAY $SWAYSOCK $XDG_SEAT $SAID >> $T\n    exec sleep 600\nend script"

// outlive runs as long as the compositor that has started it.
const outlive = "while kill -0 $PPID 2>/dev/null; do sleep 0.05; done"

// A desktop that does not say that it is up is seen to be: the display is the
// one that the command, or a process below it, listens for; another's is not
// taken. Its session ends with it, and with the session the login.
func TestLoginBeginsAlone(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, within string // the display's start-up file
		command      []string
		want         string
	}{
		{"itself", "sctl version; " + outlive, []string{self, "compositor", "wayland-7"}, "begun 1 wayland-7 /the/socket seat7"},
		{"below", outlive, []string{"sh", "-c", `"$0" "$@"; exit 3`, self, "compositor", "wayland-7"}, "begun 1 wayland-7 /the/socket seat7"},
		// What the start-up file says counts, when it says so soon.
		{"start-up file", "SAID=yes sctl session begin --with SAID; kill -CONT $LOGIN; " + outlive, []string{self, "compositor", "wayland-7"}, "begun 1 wayland-7 /the/socket seat7 yes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newLoginRig(t)
			r.userJob("panel", aloneJob)
			r.fakeDisplay("wayland-1")
			env := []string{"XDG_SEAT=seat7"}
			if strings.Contains(test.within, "$LOGIN") {
				env = append(env, "HOLD=1")
			}
			l := r.loginTo(env, append(test.command, test.within)...)
			r.traced(test.want)
			match(t, "session list", r.ok("sctl", "session", "list"), "1 begun, display wayland:"+r.run+"/wayland-7, process PID\n")
			for pid, command := range r.processes() {
				if strings.Contains(command, " compositor wayland-7") && !strings.HasPrefix(command, "sh ") && !strings.Contains(command, "session-init --") {
					unix.Kill(pid, unix.SIGKILL)
				}
			}
			if status := l.wait(); status == 0 {
				t.Errorf("the status of a login whose display was killed is 0")
			}
			r.traced(test.want)
			// It outlives the display, by which it was started, for a moment.
			r.until("the start-up file to end", func() bool {
				for _, command := range r.processes() {
					if strings.HasPrefix(command, "sh -c ") || strings.HasPrefix(command, "sleep ") {
						return false
					}
				}
				return true
			})
		})
	}
}

// A shell in which somebody types has no display of its own, whatever he starts
// there.
func TestInteractive(t *testing.T) {
	for command, want := range map[string]bool{
		"bash": true, "-zsh": true, "/bin/sh -l": true, "fish --login": true, "bash --rcfile x": false, "sh -lc sway": false,
		"sh -c sway": false, "sh /home/me/.xinitrc": false, "sway": false, "dbus-run-session sway": false, "tmux": true,
	} {
		if got := interactive(strings.Fields(command)); got != want {
			t.Errorf("interactive(%s) = %t; want %t", command, got, want)
		}
	}
}

// The X server that a display manager or startx has begun is there before the
// command; one that a session has already is left to that.
func TestLoginBeginsInX(t *testing.T) {
	testkit.Need(t, "Xvfb")
	r := newLoginRig(t)
	r.userJob("panel", strings.ReplaceAll(aloneJob, "WAYLAND_DISPLAY", "DISPLAY"))
	display := startX(t)
	one := r.loginTo([]string{"DISPLAY=" + display}, "sh", "-c", "sctl status panel; exec sleep 600")
	r.traced("begun 1 " + display)
	two := r.login("two")
	match(t, "session list", two.sctl(nil, "session", "list").out, "1 begun, display x11:"+display+", process PID\n2 opened, process PID\n")
	second := &loginRun{address: r.address, id: 2, stderr: two.out, environ: []string{"DISPLAY=" + display + ".0"}}
	name := second.inherited()
	if err := second.begin(name, nil); err != nil || name != "x11:"+display {
		t.Errorf("begin(%s) = %v; want the display that another session has", name, err)
	}
	match(t, "session list", two.sctl(nil, "session", "list").out, "1 begun, display x11:"+display+", process PID\n2 opened, process PID\n")
	one.cmd.Process.Signal(unix.SIGTERM)
	one.wait()
	two.logout(0)
	r.traced("begun 1 " + display)
}
