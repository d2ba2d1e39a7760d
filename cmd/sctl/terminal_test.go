package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/testkit"
)

// typist is somebody at a terminal that a program runs on.
type typist struct {
	t      *testing.T
	master *os.File
	cmd    *exec.Cmd
	ended  chan error

	mu   sync.Mutex
	more *sync.Cond
	seen string // and not yet expected
	over bool   // nothing more will come
}

// typed starts a program on a terminal of its own. It is gone with the test.
func typed(t *testing.T, dir string, env []string, path string, args ...string) *typist {
	t.Helper()
	master, slave := terminal(t)
	if err := unix.IoctlSetWinsize(int(slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 50, Col: 200}); err != nil {
		t.Fatal(err)
	}
	y := &typist{t: t, master: master, cmd: exec.Command(path, args...), ended: make(chan error, 1)}
	y.more = sync.NewCond(&y.mu)
	y.cmd.Dir, y.cmd.Env = dir, env
	y.cmd.Stdin, y.cmd.Stdout, y.cmd.Stderr = slave, slave, slave
	y.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := y.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	read := make(chan struct{})
	go func() {
		defer close(read)
		buffer := make([]byte, 4096)
		for {
			n, err := master.Read(buffer)
			y.mu.Lock()
			y.seen += string(buffer[:n])
			y.over = err != nil
			y.mu.Unlock()
			y.more.Broadcast()
			if err != nil {
				return
			}
		}
	}()
	go func() { y.ended <- y.cmd.Wait() }()
	t.Cleanup(func() {
		y.cmd.Process.Kill() // of one that was waited for it is refused
		master.Close()
		<-read
	})
	return y
}

// typingTime bounds a wait for what must come.
const typingTime = 3 * time.Minute

// expect waits until a text is shown, and gives what came up to its end.
func (y *typist) expect(text string) string {
	y.t.Helper()
	late := false
	timer := time.AfterFunc(typingTime, func() {
		y.mu.Lock()
		late = true
		y.mu.Unlock()
		y.more.Broadcast()
	})
	defer timer.Stop()
	y.mu.Lock()
	defer y.mu.Unlock()
	for {
		if before, after, found := strings.Cut(y.seen, text); found {
			y.seen = after
			return before + text
		}
		if y.over || late {
			y.t.Fatalf("the terminal shows %q; want %q", y.seen, text)
		}
		y.more.Wait()
	}
}

func (y *typist) send(text string) {
	y.t.Helper()
	if _, err := y.master.WriteString(text); err != nil {
		y.t.Fatal(err)
	}
}

// end waits for the program's end, and gives its exit status.
func (y *typist) end() int {
	y.t.Helper()
	select {
	case <-y.ended:
		y.ended <- nil
		return y.cmd.ProcessState.ExitCode()
	case <-time.After(typingTime):
		y.t.Fatalf("%s does not end", y.cmd)
		return -1
	}
}

// What edit asks, and what becomes of each answer.
func TestEditOnTerminal(t *testing.T) {
	sctl := filepath.Join(programs(t), "sctl")
	h := newHome(t)
	const own = ".config/session-init/svc.conf"
	path := h.path(own)
	edit := func(script string, args ...string) *typist {
		t.Helper()
		h.put("editor", "#!/bin/sh\n"+script)
		env := append([]string{"TERM=dumb", "EDITOR=sh " + h.path("editor"), "TMPDIR=" + os.Getenv("TMPDIR")}, h.env...)
		return typed(t, h.dir, env, sctl, append([]string{"edit"}, append(args, "svc")...)...)
	}
	over := func(y *typist, status int, text string) {
		t.Helper()
		if got := y.end(); got != status {
			t.Errorf("edit ends with %d; want %d", got, status)
		}
		h.holds(own, text)
	}
	h.put(own, "exec a\n")

	y := edit(`echo respawn >>"$1"`)
	y.expect("+respawn\r\nedit: put it in place? [Y/n] ")
	h.holds(own, "exec a\n")
	y.send("n\n")
	y.expect("edit: cannot edit 'svc': it was not put in place; " + path + " is as it was\r\n")
	over(y, 1, "exec a\n")

	y = edit(`echo respawn >>"$1"`)
	y.expect("[Y/n] ")
	y.send("\n")
	y.expect("wrote " + path + "\r\n")
	over(y, 0, "exec a\nrespawn\n")

	// The end of input is no yes.
	y = edit(`echo nice 3 >>"$1"`)
	y.expect("[Y/n] ")
	y.send("\x04")
	y.expect("it was not put in place")
	over(y, 1, "exec a\nrespawn\n")

	// A mistake is shown at its place; the text is edited on, as it is.
	y = edit(`grep -q nicee "$1" && sed -i s/nicee/nice/ "$1" || echo nicee 3 >>"$1"`)
	y.expect("svc.conf:3:1: unknown stanza 'nicee' (did you mean 'nice'?)\r\n    nicee 3\r\n    ^\r\nedit: edit it again? [Y/n] ")
	y.send("y\n")
	y.expect("+nice 3\r\nedit: put it in place? [Y/n] ")
	y.send("YES\n")
	y.expect("wrote ")
	over(y, 0, "exec a\nrespawn\nnice 3\n")

	y = edit(`echo nicee 4 >>"$1"`)
	y.expect("edit it again? [Y/n] ")
	y.send("no\n")
	y.expect("edit: cannot edit 'svc': the text is no job file, and kept in ")
	kept, _, _ := strings.Cut(y.expect("; "), "; ")
	y.expect(path + " is as it was\r\n")
	over(y, 1, "exec a\nrespawn\nnice 3\n")
	if text := readText(t, kept); !strings.HasSuffix(text, "nicee 4\n") {
		t.Errorf("what is kept = %q; want the text", text)
	}

	y = edit(`echo nice 5 >>"$1"; exit 7`)
	y.expect("edit: cannot edit 'svc': the editor 'sh " + h.path("editor") + "' failed: exit status 7; the text is kept in ")
	over(y, 1, "exec a\nrespawn\nnice 3\n")

	y = edit("", "--undo")
	y.expect("-nice 3\r\nedit: put it in place? [Y/n] ")
	y.send("n\n")
	y.expect("it was not put in place")
	over(y, 1, "exec a\nrespawn\nnice 3\n")
	y = edit("", "--undo")
	y.expect("[Y/n] ")
	y.send("y\n")
	y.expect("put back " + path)
	over(y, 0, "exec a\nrespawn\n")
}

// The shells as one has them in front of oneself: TAB is pressed, and their own
// completion does the rest.
func TestTab(t *testing.T) {
	w := newWorld(t, "apache", "description \"web: server\"\nexec x", "getty", "instance $TTY\nexec x",
		"on", "start on serial-added and started apache\nexec x")
	w.play(t, []step{{"sctl -q start getty TTY=tty1", 0, "", ""}})
	dir := programs(t)
	for _, shell := range []struct {
		name  string
		args  []string
		setup string // ends with the completion of the shell in a file
	}{
		{"bash", []string{"--norc", "--noprofile", "-i"}, "set -o emacs; bind 'set bell-style none'; bind 'set enable-bracketed-paste off'; . "},
		{"zsh", []string{"-f", "-i"}, "unsetopt zle_bracketed_paste; unset zle_bracketed_paste; unsetopt beep; autoload -Uz compinit; compinit -u -D; . "},
	} {
		t.Run(shell.name, func(t *testing.T) {
			path := testkit.Need(t, shell.name)
			home := t.TempDir()
			script := filepath.Join("../../share/completions", "sctl."+shell.name)
			file, err := filepath.Abs(script)
			if err != nil {
				t.Fatal(err)
			}
			y := typed(t, home, []string{"HOME=" + home, "TERM=dumb", "PS1=", "PATH=" + dir + ":/usr/bin:/bin",
				api.SessionVariable + "=" + w.server.Address()}, path, shell.args...)
			y.send(shell.setup + file + "; printf 'rea%s\\n' dy\n")
			y.expect("ready\r\n")
			for _, test := range []struct{ keys, line string }{
				{"sctl sig\tx", "sctl signal x"},                 // a verb
				{"sctl start ap\tx", "sctl start apache x"},      // a job, and a blank
				{"start get\tT\tx", "start getty TTY=x"},         // a variable, and none
				{"sctl stop getty TTY=\tx", "TTY=tty1 x"},        // the value of an instance
				{"sctl emit ser\tx", "sctl emit serial-added x"}, // an event
				{"sctl why getty tt\tx", "sctl why getty tty1 x"},
				{"sctl --time\tx", "sctl --timeout=x"},
			} {
				// The line becomes one that does nothing, and the shell prints it.
				y.send(test.keys + "\x01: \x05\n")
				y.send("fc -ln -1 | tail -n 1; printf 'nex%s\\n' t\n")
				if got := y.expect("next\r\n"); !strings.Contains(got, test.line) {
					t.Errorf("%s makes of %q %q; want %q", shell.name, test.keys, got, test.line)
				}
			}
			y.send("exit\n")
			y.end()
		})
	}
}
