package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/session-init/session-init/session/api"
)

// A machine's daemon that starts and stops jobs a million times ("make soak", with
// MILLION= for another count) is as large at the end as it was after a tenth of
// them: memory, descriptors, threads, state file, and the keeper's too. In "make
// test" it is a small count, so that this test is known to work. Goroutines are
// not seen from outside; one that is left behind is memory that is.

// millionArg has the test program be the client, inside the namespace.
const millionArg = "start-and-stop"

// size is what is looked at.
type size struct {
	memory, descriptors, threads int // of the daemon; memory in bytes
	keeper, keeperDescriptors    int
	state                        int // bytes
}

func (s size) String() string {
	return fmt.Sprintf("daemon %d KiB, %d descriptors, %d threads; keeper %d KiB, %d descriptors; state file %d KiB",
		s.memory>>10, s.descriptors, s.threads, s.keeper>>10, s.keeperDescriptors, s.state>>10)
}

// measure looks at a daemon and at its keeper, which is the first process.
func measure(pid int) (s size) {
	s.memory, s.threads = memoryOf(pid)
	s.descriptors = descriptorsOf(pid)
	s.keeper, _ = memoryOf(1)
	s.keeperDescriptors = descriptorsOf(1)
	if info, err := os.Stat("/run/session-init/state"); err == nil {
		s.state = int(info.Size())
	}
	return s
}

// memoryOf gives what a process has for itself, in bytes, and its threads.
func memoryOf(pid int) (memory, threads int) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		n, _ := strconv.Atoi(fields[1])
		switch fields[0] {
		case "RssAnon:":
			memory = n << 10
		case "Threads:":
			threads = n
		}
	}
	return memory, threads
}

func descriptorsOf(pid int) int {
	list, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return len(list)
}

// settled measures when memory has been given back: it is the least that is seen
// until nothing has become less for a second.
func settled(pid int) size {
	least := measure(pid)
	for quiet := 0; quiet < 10; quiet++ {
		time.Sleep(100 * time.Millisecond)
		now := measure(pid)
		if now.memory < least.memory || now.keeper < least.keeper || now.descriptors < least.descriptors {
			quiet = 0
		}
		least.memory, least.keeper = min(least.memory, now.memory), min(least.keeper, now.keeper)
		least.descriptors, least.threads, least.state = min(least.descriptors, now.descriptors), now.threads, now.state
		least.keeperDescriptors = min(least.keeperDescriptors, now.keeperDescriptors)
	}
	return least
}

// startAndStop is the client: the arguments are how often, and the daemon's pid.
func startAndStop(args []string) int {
	count, err := strconv.Atoi(args[0])
	if err == nil {
		err = startAndStopJobs(count, args[1])
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

func startAndStopJobs(count int, daemon string) error {
	pid, err := strconv.Atoi(daemon)
	if err != nil {
		return err
	}
	ctx := context.Background()
	client, err := api.Dial(ctx, api.UnixAddress("/run/session-init/socket"))
	if err != nil {
		return err
	}
	defer client.Close()
	var first size
	marks := []int{count / 10, count / 2, count}
	// A batch is tasks, which end by themselves, and services, which are stopped;
	// half of the instances have names that come once.
	const each = 16
	for done := 0; len(marks) > 0; {
		var starts, stops []api.Request
		for i := range each {
			env := []string{"N=" + strconv.Itoa(i)}
			if i%2 == 0 {
				env[0] = "N=" + strconv.Itoa(done+i)
			}
			starts = append(starts, api.Request{Path: api.JobPath("task"), Interface: api.JobInterface, Member: "Start", Args: []any{env, true}},
				api.Request{Path: api.JobPath("svc"), Interface: api.JobInterface, Member: "Start", Args: []any{env, true}})
			stops = append(stops, api.Request{Path: api.JobPath("svc"), Interface: api.JobInterface, Member: "Stop", Args: []any{env, true}})
		}
		for _, requests := range [][]api.Request{starts, stops} {
			replies, err := client.CallAll(ctx, requests)
			if err != nil {
				return err
			}
			for _, reply := range replies {
				if reply.Err != nil {
					return reply.Err
				}
			}
		}
		done += 2 * each
		for len(marks) > 0 && done >= marks[0] {
			now := settled(pid)
			fmt.Printf("after %d: %v\n", done, now)
			if first == (size{}) {
				first = now
			} else if err := grown(first, now); err != nil {
				return err
			}
			marks = marks[1:]
		}
	}
	return nil
}

// grown tells what has become larger than what chance explains.
func grown(first, now size) error {
	for _, part := range [...]struct {
		name            string
		first, now, may int
	}{
		{"memory of the daemon", first.memory, now.memory, first.memory/2 + 4<<20},
		{"descriptors of the daemon", first.descriptors, now.descriptors, 3},
		{"threads of the daemon", first.threads, now.threads, 6},
		{"memory of the keeper", first.keeper, now.keeper, first.keeper/4 + 1<<20},
		{"descriptors of the keeper", first.keeperDescriptors, now.keeperDescriptors, 3},
		// It is replaced when it has grown beyond 1 MiB.
		{"state file", 0, now.state, 2 << 20},
	} {
		if part.now > part.first+part.may {
			return fmt.Errorf("%s: %d after a tenth, %d now", part.name, part.first, part.now)
		}
	}
	return nil
}

func TestMillion(t *testing.T) {
	count := 2000
	if os.Getenv("SOAK") != "" {
		count = 1_000_000
	}
	if text := os.Getenv("MILLION"); text != "" {
		var err error
		if count, err = strconv.Atoi(text); err != nil || count < 100 {
			t.Fatalf("MILLION=%s is no number from 100", text)
		}
	}
	eachMachine(t, func(t *testing.T, m *machine) {
		if m.rooted && count > 2000 {
			t.Log("once is enough: without root")
			return
		}
		m.write("conf/task.conf", "task\ninstance $N\nconsole none\nexec true\n")
		m.write("conf/svc.conf", "instance $N\nconsole none\nexec sleep 1000\n")
		m.boot(nil)
		m.ready(1)
		pid := regexp.MustCompile(`is ready.* pid=([0-9]+)`).FindStringSubmatch(m.log.String())
		program, err := filepath.Abs(os.Args[0])
		if err != nil {
			t.Fatal(err)
		}
		text, status := m.in(program, millionArg, strconv.Itoa(count), pid[1])
		t.Logf("%d starts and stops:\n%s", count, text)
		if status != 0 {
			t.Error("it does not stay as it is")
		}
		m.until("nothing to be left", func() bool {
			text, _ := m.in("sctl", "list")
			return text == "svc waiting (stop)\ntask waiting (stop)\n"
		})
	})
}
