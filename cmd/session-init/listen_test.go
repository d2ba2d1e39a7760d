package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/testkit"
)

// listenScript listens on $W/NAME.sock once $W/go is there, and leaves in
// $W/NAME.at when that was: the time from the boot in nanoseconds.
const listenScript = `import os, socket, sys, time
name, forks = sys.argv[1], int(sys.argv[2])
dir = os.environ["W"]
while forks > 0:
    if os.fork(): os._exit(0)
    forks -= 1
while not os.path.exists(dir + "/go"): time.sleep(0.001)
path = dir + "/" + name + ".sock"
if os.path.exists(path): os.unlink(path)
s = socket.socket(socket.AF_UNIX)
s.bind(path)
s.listen()
at = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
with open(dir + "/" + name + ".new", "w") as f: f.write(str(at))
os.rename(dir + "/" + name + ".new", dir + "/" + name + ".at")
time.sleep(1000)
`

func newListenRig(t testing.TB) *rig {
	t.Helper()
	r := newRig(t)
	r.env = append(r.env, "PYTHON="+newListenScript(r))
	return r
}

// newListenScript lays the script into the rig's directory, and returns the
// interpreter itself: what is found by its name may be a script that forks.
func newListenScript(r *rig) string {
	r.t.Helper()
	r.write("listen.py", listenScript)
	path, err := exec.Command(testkit.Need(r.t, "python3"), "-S", "-c", "import sys; print(sys.executable)").Output()
	if err != nil {
		r.t.Fatal(err)
	}
	return strings.TrimSpace(string(path))
}

// serving waits until a job is running; then somebody takes a connection, at
// the first try, and the status says how ready was known.
func (r *rig) serving(name string) {
	r.t.Helper()
	var status string
	r.until(name+" to run", func() bool {
		status = r.ok("status", name)
		return strings.HasPrefix(status, name+" running (start), process ")
	})
	if want := "\n\tready: listens on unix:" + r.dir + "/" + name + ".sock after "; !strings.Contains(status, want) {
		r.t.Errorf("the status is %q; want %q in it", status, want)
	}
	conn, err := net.Dial("unix", filepath.Join(r.dir, name+".sock"))
	if err != nil {
		r.t.Errorf("%s is running and does not serve: %v", name, err)
		return
	}
	conn.Close()
}

// TestListen: a service that is to listen is started when it does, after its
// daemon was replaced and had died, after a respawn and a restart too.
func TestListen(t *testing.T) {
	for _, forks := range []int{0, 2} {
		t.Run(fmt.Sprintf("%d forks", forks), func(t *testing.T) {
			r := newListenRig(t)
			r.job("svc", fmt.Sprintf("expect listen\nrespawn\nexec $PYTHON $W/listen.py svc %d", forks))
			r.start()
			r.ok("start", "--no-wait", "svc")
			r.becomes("svc spawned (start), process PID\n", "svc")
			r.ok("sctl", "re-exec")
			r.crash()
			r.write("go", "")
			r.serving("svc")
			main := r.main("svc")
			os.Remove(filepath.Join(r.dir, "go"))
			os.Remove(filepath.Join(r.dir, "svc.sock"))
			unix.Kill(main, unix.SIGKILL)
			r.becomes("svc spawned (start), process PID\n", "svc")
			r.write("go", "")
			r.serving("svc")
			for range 5 {
				os.Remove(filepath.Join(r.dir, "svc.sock"))
				r.ok("restart", "svc")
				r.serving("svc")
			}
			r.ok("stop", "svc")
		})
	}
}

// TestListenNever: who does not listen is told what was waited for.
func TestListenNever(t *testing.T) {
	r := newRig(t)
	r.job("mute", "expect listen\nready timeout 1\nexec sleep 1000")
	r.job("dies", "expect listen\nexec false")
	r.job("leaves", "expect listen\nready timeout 5\nexec sh -c 'sleep 1000 & exit 0'")
	r.start()
	for name, want := range map[string]string{
		"mute":   "main process was not ready within 1 second, as 'expect listen' declares it; it did not listen on a socket: 'expect none' fits",
		"dies":   "main process terminated with status 1 before it was ready",
		"leaves": "it went into the background and did not listen on a socket: 'expect fork'",
	} {
		if got := r.command("start", name); got.status != 1 || !strings.Contains(got.errOut, want) {
			t.Errorf("start %s = %+v; want status 1 and %q", name, got, want)
		}
		r.until("the end of "+name, func() bool { return strings.HasPrefix(r.ok("status", name), name+" waiting (stop)\n") })
	}
}

// now is the time from the boot.
func now() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// listened reads when a job began to listen.
func (r *rig) listened(name string) (at time.Duration) {
	r.until(name+" to listen", func() bool {
		text, err := os.ReadFile(filepath.Join(r.dir, name+".at"))
		number, _ := strconv.ParseInt(string(text), 10, 64)
		at = time.Duration(number)
		return err == nil && number != 0
	})
	return at
}

// BenchmarkListen starts interpreters, one at a time and fifty at once, with
// and without 'expect listen': how long one takes until it listens, and how
// long after that a client hears that it is started.
func BenchmarkListen(b *testing.B) {
	for _, c := range []struct {
		name, expect string
		together     int
	}{
		{"none", "none", 1}, {"listen", "listen", 1}, {"none-50", "none", 50}, {"listen-50", "listen", 50},
	} {
		b.Run(c.name, func(b *testing.B) {
			r := newListenRig(b)
			r.write("go", "")
			r.job("svc", "expect "+c.expect+"\ninstance $N\nexec $PYTHON -S $W/listen.py svc$N 0")
			r.start()
			peers := make([]*peer, c.together)
			for i := range peers {
				peers[i] = r.dial()
				defer peers[i].Close()
			}
			var mu sync.Mutex
			var starts, reports []time.Duration
			for b.Loop() {
				var all sync.WaitGroup
				for i, p := range peers {
					all.Go(func() {
						name, env := "svc"+strconv.Itoa(i), []string{"N=" + strconv.Itoa(i)}
						os.Remove(filepath.Join(r.dir, name+".at"))
						from := now()
						p.call(api.JobPath("svc"), api.JobInterface, "Start", env, true)
						told := now()
						at := r.listened(name)
						p.call(api.JobPath("svc"), api.JobInterface, "Stop", env, true)
						mu.Lock()
						defer mu.Unlock()
						starts, reports = append(starts, at-from), append(reports, told-at)
					})
				}
				all.Wait()
			}
			slices.Sort(starts)
			slices.Sort(reports)
			ms := func(list []time.Duration, percent int) float64 {
				return float64(list[len(list)*percent/100].Microseconds()) / 1000
			}
			b.ReportMetric(ms(starts, 50), "ms-to-listen")
			b.ReportMetric(ms(starts, 90), "ms-to-listen-p90")
			if c.expect == "listen" {
				b.ReportMetric(ms(reports, 50), "ms-listen-to-started")
				b.ReportMetric(ms(reports, 99), "ms-listen-to-started-p99")
			}
		})
	}
}
