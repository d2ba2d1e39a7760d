package main

import (
	"bufio"
	"bytes"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/engine"
)

func TestProgress(t *testing.T) {
	var out bytes.Buffer
	p := &progress{out: &out, line: "start: waiting for 'a' to start", job: "a"}
	state := func(job, instance, member string, body ...any) {
		p.signal(api.Signal{Path: api.InstancePath(job, instance), Interface: api.InstanceInterface, Member: member, Body: body})
	}
	check := func(what, want string) {
		t.Helper()
		if got := out.String(); got != want {
			t.Errorf("after %s: %q; want %q", what, got, want)
		}
		out.Reset()
	}
	p.signal(api.Signal{Path: api.JobPath("a"), Interface: api.JobInterface, Member: "InstanceAdded"})
	state("a", "", "GoalChanged", "start")
	state("a", "", "StateChanged", "starting")
	check("states in time", "")
	p.speak()
	check("the time of patience", "start: waiting for 'a' to start: a is in starting\n")
	state("b", "", "StateChanged", "running")
	state("a", "", "StateChanged")
	state("a", "", "StateChanged", int32(1))
	check("what is no state of it", "")
	state("a", "x", "StateChanged", "pre-start")
	check("a state", "start: waiting for 'a' to start: a (x) is in pre-start\n")
	p.over = true
	state("a", "x", "StateChanged", "running")
	p.speak()
	check("the end", "")
}

// On a terminal a command that waits says so, and what it waits for.
func TestProgressOnTerminal(t *testing.T) {
	master, slave := terminal(t)
	w := newWorld(t, "slow", "pre-start exec hang\nexec x")
	var out bytes.Buffer
	done := make(chan int)
	go func() {
		done <- runOn(theMachine(), waits{patience: time.Millisecond}, []string{"sctl", "start", "slow"},
			[]string{"UPSTART_SESSION=" + w.server.Address()}, &out, slave)
	}()
	lines := bufio.NewReader(master)
	// Its patience can be over before it has heard of any state, and then it tells
	// of each.
	const waiting = "start: waiting for 'slow' to start"
	early := []string{waiting + "\r\n", waiting + ": slow is in starting\r\n"}
	line, err := lines.ReadString('\n')
	for slices.Contains(early, line) {
		line, err = lines.ReadString('\n')
	}
	if want := waiting + ": slow is in pre-start\r\n"; line != want || err != nil {
		t.Errorf("the terminal shows %q, %v; want %q", line, err, want)
	}
	// The engine's first process is the hook: it ends now.
	w.Step(engine.Exited{Proc: 1})
	if status := <-done; status != 0 || out.String() != "slow running (start), process 1002\n" {
		t.Errorf("start = %d, %q; want 0 and the status", status, out.String())
	}
	slave.Close()
	for _, want := range []string{"spawned", "post-start", "running"} {
		line, err := lines.ReadString('\n')
		if want := "start: waiting for 'slow' to start: slow is in " + want + "\r\n"; line != want || err != nil {
			t.Errorf("the terminal shows %q, %v; want %q", line, err, want)
		}
	}
	if rest, _ := lines.ReadString('\n'); rest != "" {
		t.Errorf("the terminal shows %q after the end", rest)
	}
}

// terminal opens a pseudo-terminal.
func terminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	return master, slave
}
