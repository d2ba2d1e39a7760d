package supervise

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/testkit"
)

// The keeper may go before us: then nobody tells any more how ends what fell to
// it, and its number may become a stranger's.

// keepOrphaned is the fixture that is the keeper of a daemon, and of a process
// which an earlier daemon has made. It waits for that, and tells nobody.
func keepOrphaned() {
	files := []uintptr{0, 1, 2}
	process, err := syscall.ForkExec("/bin/sleep", []string{"sleep", "1000"}, &syscall.ProcAttr{Files: files})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("process", process)
	// Of two variables of one name a program of Go sees the first, and would be this
	// fixture again, and so on without end.
	os.Setenv("SUPERVISE_FIXTURE", "alone")
	env := append(os.Environ(), "PROCESS="+strconv.Itoa(process))
	if _, err := syscall.ForkExec("/proc/self/exe", os.Args[:1], &syscall.ProcAttr{Files: files, Env: env}); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for {
		unix.Wait4(process, nil, 0, nil)
	}
}

// runAlone is the fixture that is the daemon, on a kernel before Linux 6.15. It
// adopts the process and is told when the keeper is gone.
func runAlone() {
	mustFilter(rule{call: unix.SYS_IOCTL, arg1: unix.PIDFD_GET_INFO, errno: unix.ENOTTY})
	process, _ := strconv.Atoi(os.Getenv("PROCESS"))
	st, there := statOf(process)
	if !there {
		fmt.Println("no process", process)
		os.Exit(1)
	}
	keeper := os.Getppid()
	s, err := New(Options{Keeper: keeper, Adopting: true}, func(batch []Event) {
		for _, ev := range batch {
			switch ev := ev.(type) {
			case AllAdopted:
				fmt.Println("daemon", os.Getpid())
			case Exited:
				fmt.Println("exited", ev.ID, ev.Unknown)
				os.Exit(0)
			}
		}
	})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	began := time.Duration(st.start+1) * clockTick
	s.Adopt(Adoptee{Slot: Slot{ID: 1, Pid: process, State: SlotRunning, Began: began}, Owner: 7, Reported: true})
	s.Adopted()
	for os.Getppid() == keeper {
		time.Sleep(time.Millisecond)
	}
	s.KeeperGone()
	fmt.Println("alone")
	select {}
}

// TestKeeperGone: an adopted process ends, of which the keeper alone could tell,
// and the keeper is gone, or goes: the end is reported, as one of which nothing is
// known.
func TestKeeperGone(t *testing.T) {
	for _, c := range []struct {
		name   string
		before bool // the process ends before the keeper does
	}{{"while it runs", false}, {"after its end", true}} {
		t.Run(c.name, func(t *testing.T) {
			// What falls to nobody comes to us.
			if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("/proc/self/exe")
			cmd.Env = append(os.Environ(), "SUPERVISE_FIXTURE=orphaned")
			// Not the command's: the daemon speaks on when that is gone.
			out, theirs, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { out.Close() })
			out.SetReadDeadline(time.Now().Add(patience))
			cmd.Stdout = theirs
			err = cmd.Start()
			theirs.Close()
			if err != nil {
				t.Fatal(err)
			}
			process, daemon := 0, 0
			var said []string
			lines := bufio.NewScanner(out)
			await := func(prefix string) string {
				t.Helper()
				for lines.Scan() {
					said = append(said, lines.Text())
					if rest, found := strings.CutPrefix(lines.Text(), prefix); found {
						return strings.TrimSpace(rest)
					}
				}
				if n := len(said); n > 0 && strings.HasPrefix(said[n-1], noFilter) {
					testkit.NeedFilter(t, errors.New(said[n-1]))
				}
				t.Fatalf("it says %q; want %s", said, prefix)
				return ""
			}
			t.Cleanup(func() {
				cmd.Process.Kill()
				cmd.Wait()
				for _, pid := range []int{process, daemon} {
					if pid > 0 {
						unix.Kill(pid, unix.SIGKILL)
						unix.Wait4(pid, nil, 0, nil)
					}
				}
			})
			process, _ = strconv.Atoi(await("process"))
			daemon, _ = strconv.Atoi(await("daemon"))
			pidfds := func() (n int) {
				list, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", daemon))
				for _, fd := range list {
					if to, _ := os.Readlink(fd); to == "anon_inode:[pidfd]" {
						n++
					}
				}
				return n
			}
			had := pidfds()
			// It must not see the status in the process table.
			unix.Kill(daemon, unix.SIGSTOP)
			poll(t, "the daemon to stop", func() bool { return statField(t, daemon, 3) == "T" })
			if !c.before {
				cmd.Process.Kill()
				cmd.Wait()
			}
			unix.Kill(process, unix.SIGKILL)
			if !c.before {
				unix.Wait4(process, nil, 0, nil)
			}
			poll(t, "the process to be waited for", func() bool { return gone(process) })
			process = 0
			unix.Kill(daemon, unix.SIGCONT)
			if c.before {
				poll(t, "the news", func() bool { return pidfds() < had })
				cmd.Process.Kill()
				cmd.Wait()
			}
			if got := await("exited"); got != "1 true" {
				t.Errorf("it says exited %q; want 1 true", got)
			}
		})
	}
}

// killAllOf is the fixture of a daemon whose keeper has gone, and whose number is
// that of STRANGER.
func killAllOf() {
	stranger, _ := strconv.Atoi(os.Getenv("STRANGER"))
	childless := make(chan struct{}, 1)
	s, err := New(Options{Keeper: stranger}, func(batch []Event) {
		if count[Childless](batch) > 0 {
			childless <- struct{}{}
		}
	})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("strays", len(s.Strays()))
	s.KillAll(unix.SIGKILL)
	<-childless
	_ = s.Close(context.Background())
}

// TestKeeperStranger: the children of a process that has the number which was the
// keeper's are nobody's.
func TestKeeperStranger(t *testing.T) {
	cmd := exec.Command("/bin/sh", "-c", "sleep 1000 & echo $!; wait")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var child int
	if _, err := fmt.Fscan(out, &child); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		unix.Kill(child, unix.SIGKILL)
		cmd.Wait()
	})
	if got := fixture(t, "killall", "STRANGER="+strconv.Itoa(cmd.Process.Pid)); got != "strays 0\n" {
		t.Errorf("it says %q; want strays 0", got)
	}
	if st, there := statOf(child); !there || !st.alive() {
		t.Error("the stranger's child was killed")
	}
}
