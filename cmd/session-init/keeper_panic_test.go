package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// keeperPoints are where the keeper can be made to panic: a goroutine each.
var keeperPoints = [...]string{"hearing", "listening", "telling", "waiting"}

// TestKeeperPanics: a panic of a user's keeper is neither its end nor the
// daemon's, and what it holds is there for the next daemon.
func TestKeeperPanics(t *testing.T) {
	r := newFaultyRig(t)
	r.job("svc", "exec sleep 600")
	r.job("short", "exec sh -c 'while [ ! -e $W/go ]; do sleep 0.02; done; exit 7'")
	r.start()
	r.ok("start", "svc")
	r.ok("start", "short")
	svc, keeper, daemon := r.main("svc"), r.daemon.Process.Pid, r.pid()
	provoke := func(point string, what func()) {
		t.Helper()
		r.arm("keeper-"+point, "panic 1")
		what()
		r.until("a panic of "+point, func() bool {
			return !r.isArmed("keeper-"+point) && strings.Contains(r.stderr.String(), "panic in the keeper ("+point+"): fail point keeper-"+point)
		})
	}

	// The signal is not lost.
	provoke("hearing", func() {
		r.job("new", "exec true")
		r.daemon.Process.Signal(unix.SIGHUP)
	})
	r.becomes("new waiting (stop)\n", "new")
	if now := r.pid(); now != daemon {
		t.Errorf("the daemon is %d; want %d still", now, daemon)
	}
	provoke("waiting", r.crash)
	r.until("the next daemon", func() bool { return strings.Count(r.stderr.String(), " is ready") == 2 })
	// short has fallen to the keeper.
	provoke("telling", func() { r.write("go", "") })
	r.becomes("short waiting (stop)\n\tlast failure: main process terminated with status 7\n", "short")
	// The next daemon says that it is ready.
	provoke("listening", r.crash)
	r.until("the last daemon", func() bool { return strings.Count(r.stderr.String(), " is ready") == 3 })
	r.becomes(fmt.Sprintf("svc running (start), process %d\n", svc), "svc")
	if r.daemon.Process.Pid != keeper || strings.Contains(r.stderr.String(), "goes on as it is") {
		t.Errorf("the keeper was not executed anew:\n%s", r.stderr)
	}
	// A TERM might meet the keeper in the moment of its exec, and would end it.
	r.command("sctl", "end-session")
	if status := r.wait(); status != 0 {
		t.Errorf("the keeper's status is %d", status)
	}
}

// TestFirstProcessPanics: a panic of the first process is not the end of the
// machine.
func TestFirstProcessPanics(t *testing.T) {
	binary, err := buildFaulty()
	if err != nil {
		t.Fatal(err)
	}
	eachMachine(t, func(t *testing.T, m *machine) {
		m.binary, m.env = binary, []string{"SESSION_INIT_FAILPOINTS=" + m.path("points")}
		m.jobs()
		m.write("points/passed", "")
		m.boot(nil)
		m.ready(1)
		var service string
		m.until("the service", func() bool {
			service, _ = m.in("sctl", "status", "service")
			return strings.HasPrefix(service, "service running (start), process ")
		})
		trace := ""
		for _, point := range keeperPoints {
			m.write("points/keeper-"+point, "panic 1")
			if point == "hearing" {
				// The signal is not lost.
				m.signal(unix.SIGINT)
				trace += "control-alt-delete\n"
				m.traced(trace)
			} else {
				// It falls to the first process, which tells the daemon, which
				// says that it has seen it.
				m.says("", "sh", "-c", "(sh -c 'sleep 0.1 & exit' &)")
			}
			m.until("a panic of "+point, func() bool {
				_, err := os.Stat(m.path("points/keeper-" + point))
				return errors.Is(err, os.ErrNotExist) && strings.Contains(m.log.String(), "panic in the keeper ("+point+"): fail point keeper-"+point)
			})
			m.says(service, "sctl", "status", "service")
		}
		if n := strings.Count(m.log.String(), "is ready"); n != 1 || strings.Contains(m.log.String(), "goes on as it is") {
			t.Errorf("there were %d daemons; want one, and a keeper that was executed anew", n)
		}
		// While the daemon dies, and when it is gone.
		m.write("points/keeper-waiting", "panic 1")
		m.says("", "sh", "-c", "for p in $(cat /proc/1/task/*/children 2>/dev/null); do kill -9 $p; done")
		m.ready(2)
		m.says(service, "sctl", "status", "service")
		m.signal(unix.SIGTERM)
		if got := m.status(); got != 0 {
			t.Errorf("status = %d; want 0", got)
		}
		m.traced(trace + "runlevel 0 N\nsession-end shutdown\n")
	})
}
