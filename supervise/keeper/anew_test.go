//go:build !race

// Under the race detector the program is linked with C, whose threads Go does
// not know: the keeper goes on as it is.

package keeper

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// executesAnew: this program can be executed anew.
const executesAnew = true

// environ returns a variable of a process.
func environ(pid int, name string) (string, bool) {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	for _, entry := range strings.Split(string(data), "\x00") {
		if value, found := strings.CutPrefix(entry, name+"="); found {
			return value, true
		}
	}
	return "", false
}

// TestAnew: when a daemon that was executed anew is ready, the keeper is too,
// in its place, and nothing of what it knew is lost.
func TestAnew(t *testing.T) {
	k := start(t)
	k.lines("daemon unready 0")
	k.say("signals")
	blocked, ignored := k.line(), k.line()
	k.say("hold one")
	k.expect("holding <nil>")
	k.say("child")
	first := k.expect("child %d <nil>")
	unix.Kill(k.daemon, unix.SIGKILL)
	k.lines("held one", "daemon unready 0")
	goOn(t, first)
	exit := fmt.Sprintf("exit %d %d", first, 5<<8)
	k.lines(exit)
	// Told, and not seen: the next image is told again, and the next keeper
	// knows of it.
	k.say("child")
	second := k.expect("child %d <nil>")
	daemon, keeper := k.daemon, k.cmd.Process.Pid
	k.say("exec")
	k.lines("daemon unready 0", exit)
	// The keeper tells it to the next image, and may be executed anew, and tell it
	// itself, before or after that.
	k.again = exit
	if k.daemon != daemon || k.cmd.Process.Pid != keeper {
		t.Errorf("the daemon is %d; want %d", k.daemon, daemon)
	}
	until(t, "the keeper to be executed anew", func() bool { _, anew := environ(keeper, keptVariable); return anew })
	// It answers when it takes signals.
	k.say("sync")
	k.expect("done")
	k.cmd.Process.Signal(unix.SIGHUP)
	k.lines("signal 1")

	// It reaps, holds, and starts the next, with the signal passed on again.
	unix.Kill(k.daemon, unix.SIGKILL)
	k.agains = 0
	k.lines("held one", "daemon unready 0", "signal 1")
	goOn(t, second)
	k.lines(fmt.Sprintf("exit %d %d", second, 5<<8))
	if k.agains == 0 {
		t.Error("the next daemon was not told of the first end")
	}
	k.say("signals")
	if now := [2]string{k.line(), k.line()}; now != [2]string{blocked, ignored} {
		t.Errorf("the next daemon has %q; want %q", now, [2]string{blocked, ignored})
	}
	k.say(fmt.Sprintf("seen %d", first))
	k.expect("told <nil>")
	k.say(fmt.Sprintf("seen %d", second))
	k.expect("told <nil>")

	// And once more.
	k.say("exec")
	k.lines("daemon unready 0", "signal 1")
	k.say("sync")
	k.expect("done")
	k.say("end")
	if got := k.status(); got != 0 {
		t.Errorf("the keeper's status is %d; want 0", got)
	}
	if n := strings.Count(k.errs.String(), "the daemon died (killed by signal 9)"); n != 2 || strings.Contains(k.errs.String(), "goes on as it is") {
		t.Errorf("the keeper told of %d deaths; want 2:\n%s", n, k.errs.String())
	}
}
