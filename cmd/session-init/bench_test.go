package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/testkit"
)

// The workloads of a whole session, as the built programs do them, each with a
// row "floor" beside it: the same by a loop of posix_spawn(3). Times are the
// services' own, which write down when they run; CPU is that of keeper, daemon
// and services. They are figures, to be read as ratios in one run: none of them
// is asserted.

// bench is a rig for figures.
type bench struct {
	*rig
	b     *testing.B
	stamp string // the services' program
	fifo  string
	in    int // the FIFO
	sums  map[string]float64
	order []string
}

func newBench(b *testing.B) *bench {
	b.Helper()
	w := &bench{rig: newRig(b), b: b, sums: make(map[string]float64)}
	w.stamp = filepath.Join(w.dir, "stamp")
	if out, err := exec.Command(testkit.Need(b, "gcc"), "-O2", "-static", "-o", w.stamp, "testdata/cmd/stamp.c").CombinedOutput(); err != nil {
		b.Fatalf("cannot compile the services' program: %v\n%s", err, out)
	}
	w.fifo = filepath.Join(w.dir, "fifo")
	if err := unix.Mkfifo(w.fifo, 0o600); err != nil {
		b.Fatal(err)
	}
	var err error
	if w.in, err = unix.Open(w.fifo, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { unix.Close(w.in) })
	// 3000 stamps, and more, fit in it.
	if _, err := unix.FcntlInt(uintptr(w.in), unix.F_SETPIPE_SZ, 1<<20); err != nil {
		b.Logf("the FIFO is small: %v", err)
	}
	w.args = []string{"--confdir", w.conf, "--logdir", w.logs}
	return w
}

// stamps takes n stamps out of the FIFO.
func (w *bench) stamps(n int) (list []time.Duration) {
	w.b.Helper()
	data := make([]byte, 8<<10)
	w.until(fmt.Sprintf("%d stamps", n), func() bool {
		for len(list) < n {
			got, err := unix.Read(w.in, data[:min(len(data), 8*(n-len(list)))])
			if err != nil || got <= 0 {
				return false
			}
			for at := 0; at+8 <= got; at += 8 {
				list = append(list, time.Duration(binary.NativeEndian.Uint64(data[at:])))
			}
		}
		return true
	})
	return list
}

// now is the services' clock.
func (w *bench) now() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		w.b.Fatal(err)
	}
	return time.Duration(t.Nano())
}

// cpu is what keeper, daemon and the living below them have used, and the dead
// that were waited for, these to a hundredth of a second.
func (w *bench) cpu() (used time.Duration) {
	pids := []int{w.daemon.Process.Pid}
	for i := 0; i < len(pids); i++ {
		pids = append(pids, children(pids[i])...)
	}
	for _, pid := range pids {
		used += w.cpuOf(pid)
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:])); len(fields) > 14 {
			for _, field := range fields[13:15] { // cutime, cstime
				ticks, _ := strconv.ParseInt(field, 10, 64)
				used += time.Duration(ticks) * 10 * time.Millisecond
			}
		}
	}
	return used
}

// figure adds a value, of which the mean is reported.
func (w *bench) figure(value float64, unit string) {
	if _, known := w.sums[unit]; !known {
		w.order = append(w.order, unit)
	}
	w.sums[unit] += value
}

func (w *bench) report() {
	for _, unit := range w.order {
		w.b.ReportMetric(w.sums[unit]/float64(w.b.N), unit)
	}
	w.b.ReportMetric(0, "ns/op")
}

// millis gives milliseconds.
func millis(d time.Duration) float64 { return float64(d) / 1e6 }

// floor runs the same work without a manager: three numbers in nanoseconds.
func (w *bench) floor(work string, n int) (took [3]time.Duration) {
	w.b.Helper()
	out, err := exec.Command(w.stamp, "floor-"+work, strconv.Itoa(n)).Output()
	if err != nil {
		w.b.Fatalf("floor-%s: %v", work, err)
	}
	if _, err := fmt.Sscan(string(out), &took[0], &took[1], &took[2]); err != nil {
		w.b.Fatalf("floor-%s says %q: %v", work, out, err)
	}
	return took
}

// services writes n jobs that start at once, or each when the one before has.
func (w *bench) services(n int, console string, chain bool) {
	for i := range n {
		on := "startup"
		if chain && i > 0 {
			on = fmt.Sprintf("started s%d", i-1)
		}
		w.job(fmt.Sprintf("s%d", i), fmt.Sprintf("start on %s\nconsole %s\nexec %s pause %s", on, console, w.stamp, w.fifo))
	}
}

// begin starts the daemon and waits for n stamps; the last one is returned, from
// before the daemon's start.
func (w *bench) begin(n int) (last time.Duration) {
	w.b.Helper()
	began := w.now()
	w.start()
	return slices.Max(w.stamps(n)) - began
}

// BenchmarkBoot is W1 and W8: n services from nothing, and their end.
func BenchmarkBoot(b *testing.B) {
	for _, n := range []int{100, 1000, 3000} {
		for _, console := range []string{"none", "log"} {
			b.Run(fmt.Sprintf("console=%s/n=%d", console, n), func(b *testing.B) {
				w := newBench(b)
				w.services(n, console, false)
				for range b.N {
					w.figure(millis(w.begin(n)), "boot-ms")
					before := w.cpu()
					w.figure(millis(before), "boot-cpu-ms")
					stopping := w.now()
					if status := w.end(); status != 0 {
						b.Fatalf("the daemon's status is %d", status)
					}
					w.figure(millis(w.now()-stopping), "stop-ms")
					// Of the whole session, by the kernel.
					state := w.daemon.ProcessState
					w.figure(millis(state.UserTime()+state.SystemTime()-before), "stop-cpu-ms")
				}
				w.report()
			})
		}
		b.Run(fmt.Sprintf("floor/n=%d", n), func(b *testing.B) {
			w := newBench(b)
			for range b.N {
				took := w.floor("boot", n)
				w.figure(millis(took[0]), "boot-ms")
				w.figure(millis(took[1]), "boot+stop-cpu-ms")
				w.figure(millis(took[2]), "stop-ms")
			}
			w.report()
		})
	}
}

// BenchmarkChain is W2: 500 services, each started by the one before.
func BenchmarkChain(b *testing.B) {
	const n = 500
	b.Run("session-init", func(b *testing.B) {
		w := newBench(b)
		w.services(n, "none", true)
		for range b.N {
			w.figure(millis(w.begin(n)), "chain-ms")
			w.figure(millis(w.cpu()), "cpu-ms")
			w.end()
		}
		w.report()
	})
	b.Run("floor", func(b *testing.B) {
		w := newBench(b)
		for range b.N {
			took := w.floor("chain", n)
			w.figure(millis(took[0]), "chain-ms")
			w.figure(millis(took[1]), "cpu-ms")
		}
		w.report()
	})
}

// BenchmarkReap20000 is W5: orphans that a service leaves behind.
func BenchmarkReap20000(b *testing.B) {
	const n = 20000
	b.Run("session-init", func(b *testing.B) {
		w := newBench(b)
		w.job("storm", fmt.Sprintf("task\nexec %s orphans %s %d", w.stamp, w.fifo, n))
		for range b.N {
			w.start()
			pid := w.pid()
			before, began := w.cpuOf(pid), w.now()
			w.ok("sctl", "start", "storm")
			w.stamps(2)
			w.until("all to be waited for", func() bool { return len(children(pid)) == 0 })
			w.figure(millis(w.now()-began), "ms")
			w.figure(float64(w.cpuOf(pid)-before)/1e3/n, "cpu-us/orphan")
			w.end()
		}
		w.report()
	})
	b.Run("floor", func(b *testing.B) {
		w := newBench(b)
		for range b.N {
			took := w.floor("orphans", n)
			w.figure(millis(took[0]), "ms")
			w.figure(float64(took[1])/1e3/n, "cpu-us/orphan")
		}
		w.report()
	})
}

// cpuOf is what the threads of one process have used.
func (w *bench) cpuOf(pid int) (used time.Duration) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	for _, task := range tasks {
		text, _ := os.ReadFile(task)
		first, _, _ := strings.Cut(string(text), " ")
		ns, _ := strconv.ParseInt(first, 10, 64)
		used += time.Duration(ns)
	}
	return used
}

// starts starts and stops a job n times over an open connection; it returns how
// long each start took, to its answer, and how long that came after the stamp.
func (w *bench) starts(job string, n int) (whole, since []time.Duration) {
	w.b.Helper()
	ctx := context.Background()
	client, err := api.Dial(ctx, w.address)
	if err != nil {
		w.b.Fatal(err)
	}
	defer client.Close()
	for range n {
		began := w.now()
		if _, err := client.Call(ctx, api.JobPath(job), api.JobInterface, "Start", []string{}, true); err != nil {
			w.b.Fatal(err)
		}
		done := w.now()
		ran := w.stamps(1)[0]
		whole, since = append(whole, done-began), append(since, done-ran)
		if _, err := client.Call(ctx, api.JobPath(job), api.JobInterface, "Stop", []string{}, true); err != nil {
			w.b.Fatal(err)
		}
	}
	slices.Sort(whole)
	slices.Sort(since)
	return whole, since
}

// BenchmarkExecToRunning: from a program's first own act to the client's knowing
// that the job runs, of 30 starts: below 0 the client knew it before the program
// came to act.
func BenchmarkExecToRunning(b *testing.B) {
	const n = 30
	for _, console := range []string{"none", "log"} {
		b.Run("console="+console, func(b *testing.B) {
			w := newBench(b)
			w.job("svc", fmt.Sprintf("console %s\nexec %s pause %s", console, w.stamp, w.fifo))
			w.start()
			for range b.N {
				whole, since := w.starts("svc", n)
				w.figure(float64(since[n/2])/1e3, "exec-to-running-median-us")
				w.figure(float64(since[n*99/100])/1e3, "exec-to-running-p99-us")
				w.figure(float64(whole[n/2])/1e3, "start-median-us")
				w.figure(float64(whole[n*99/100])/1e3, "start-p99-us")
			}
			w.report()
		})
	}
	b.Run("floor", func(b *testing.B) {
		w := newBench(b)
		for range b.N {
			w.figure(float64(w.floor("plain", n)[0])/1e3, "start-median-us")
		}
		w.report()
	})
}

// BenchmarkFollow is W6: a service that forks twice, and what following costs.
func BenchmarkFollow(b *testing.B) {
	const n = 100
	b.Run("session-init", func(b *testing.B) {
		w := newBench(b)
		w.job("plain", fmt.Sprintf("console none\nexec %s pause %s", w.stamp, w.fifo))
		w.job("forks", fmt.Sprintf("console none\nexpect daemon\nexec %s daemon %s", w.stamp, w.fifo))
		w.start()
		for range b.N {
			plain, _ := w.starts("plain", n)
			forks, _ := w.starts("forks", n)
			w.figure(float64(forks[n/2])/1e3, "daemon-start-us")
			w.figure(float64(forks[n/2]-plain[n/2])/1e3, "tracking-us")
		}
		w.report()
	})
	b.Run("floor", func(b *testing.B) {
		w := newBench(b)
		for range b.N {
			plain, forks := w.floor("plain", n)[0], w.floor("daemon", n)[0]
			w.figure(float64(forks)/1e3, "daemon-start-us")
			w.figure(float64(forks-plain)/1e3, "tracking-us")
		}
		w.report()
	})
}

// BenchmarkRespawn is W7: a service that ends at once, again and again.
func BenchmarkRespawn(b *testing.B) {
	const n = 2000
	b.Run("session-init", func(b *testing.B) {
		w := newBench(b)
		w.job("again", fmt.Sprintf("start on startup\nconsole none\nrespawn\nrespawn limit unlimited\nexec %s exit %s", w.stamp, w.fifo))
		for range b.N {
			w.start()
			w.stamps(n / 10)
			before := w.cpu()
			list := w.stamps(n)
			w.figure(float64(n-1)/(list[n-1]-list[0]).Seconds(), "restarts/s")
			w.figure(float64(w.cpu()-before)/1e3/n, "cpu-us/restart")
			w.end()
			for left := make([]byte, 4096); ; {
				if got, err := unix.Read(w.in, left); err != nil || got <= 0 {
					break
				}
			}
		}
		w.report()
	})
	b.Run("floor", func(b *testing.B) {
		w := newBench(b)
		for range b.N {
			took := w.floor("respawn", n)
			w.figure(n/took[0].Seconds(), "restarts/s")
			w.figure(float64(took[1])/1e3/n, "cpu-us/restart")
		}
		w.report()
	})
}

// BenchmarkIdle is W9: keeper and daemon while 1000 services run and nothing
// happens, for ten seconds. The floor is nothing.
func BenchmarkIdle(b *testing.B) {
	const n, window = 1000, 10 * time.Second
	w := newBench(b)
	w.services(n, "none", false)
	w.begin(n)
	pids := []int{w.daemon.Process.Pid, w.pid()}
	wakes := func() (sum int) {
		for _, pid := range pids {
			tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
			for _, task := range tasks {
				text, _ := os.ReadFile(task)
				for line := range strings.Lines(string(text)) {
					if value, found := strings.CutPrefix(line, "voluntary_ctxt_switches:"); found {
						count, _ := strconv.Atoi(strings.TrimSpace(value))
						sum += count
					}
				}
			}
		}
		return sum
	}
	// What a burst leaves to be done is over when nothing has woken for a while.
	for last := -1; last != wakes(); {
		last = wakes()
		<-time.After(time.Second)
	}
	for range b.N {
		count, used := wakes(), w.cpuOf(pids[0])+w.cpuOf(pids[1])
		<-time.After(window)
		w.figure(float64(wakes()-count), "wakes")
		w.figure(float64(w.cpuOf(pids[0])+w.cpuOf(pids[1])-used)/1e3, "cpu-us")
	}
	w.report()
}
