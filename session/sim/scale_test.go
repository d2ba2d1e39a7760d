package sim

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
)

// asDaemon lets the collector run as seldom as the daemon does; not at all
// under GOGC=off, which tells what of a figure is the collector's.
func asDaemon(b *testing.B) {
	before := debug.SetGCPercent(400)
	if before < 0 {
		debug.SetGCPercent(before)
	}
	b.Cleanup(func() { debug.SetGCPercent(before) })
}

// cpu is the processor time of this process, in user mode and in the kernel,
// the collector's with it. On a busy machine it says more than a clock.
func cpu(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// driver feeds an engine alone, without a world around it, so that figures
// are the engine's. Its processes run as soon as they are asked for, and end
// by the first signal; those of tasks end by themselves.
type driver struct {
	*engine.Engine
	inbox   []engine.Input
	moves   int // changes of state
	running int // processes
	// took are the times of all steps, when they are asked for.
	took []time.Duration
	time bool
}

func newDriver(b testing.TB, n int, text func(i int) string) *driver {
	d := &driver{Engine: engine.New(engine.Config{StopTimeout: 10 * time.Second,
		Table: events.Env{"PATH=/usr/bin:/bin", "TERM=linux", "HOME=/home/me", "USER=me", "LANG=C.UTF-8", "XDG_RUNTIME_DIR=/run/user/1000"}})}
	for i := range n {
		d.do(engine.SetClass{Class: class(b, fmt.Sprintf("job%d", i), text(i))})
	}
	return d
}

// do gives the engine an input, and what comes of it.
func (d *driver) do(in engine.Input) {
	d.inbox = append(d.inbox, in)
	for i := 0; i < len(d.inbox); i++ {
		d.step(d.inbox[i])
		for {
			if at, ok := d.NextDeadline(); !ok || at > 0 {
				break
			}
			d.step(engine.Tick{})
		}
	}
	d.inbox = d.inbox[:0]
}

func (d *driver) step(in engine.Input) {
	var begin time.Time
	if d.time {
		begin = time.Now()
	}
	effects := d.Step(0, in)
	if d.time {
		d.took = append(d.took, time.Since(begin))
	}
	for _, effect := range effects {
		switch effect := effect.(type) {
		case engine.Spawn:
			d.running++
			d.inbox = append(d.inbox, engine.Spawned{Proc: effect.Proc, Pid: int(effect.Proc)})
			if effect.Class.Task || effect.Kind != job.Main {
				d.ends(effect.Proc, 0)
			}
		case engine.Kill:
			d.ends(effect.Proc, effect.Signal)
		case engine.Notify:
			if effect.Kind == engine.StateChanged {
				d.moves++
			}
		}
	}
}

func (d *driver) ends(proc engine.ProcID, signal int) {
	d.running--
	d.inbox = append(d.inbox, engine.Exited{Proc: proc, Signal: signal})
}

// percentiles reports the mean of all steps, and what one in a hundred and
// one in a thousand takes at least.
func (d *driver) percentiles(b *testing.B) {
	slices.Sort(d.took)
	var sum time.Duration
	for _, t := range d.took {
		sum += t
	}
	b.ReportMetric(float64(sum.Nanoseconds())/float64(len(d.took)), "ns/step")
	b.ReportMetric(float64(d.took[len(d.took)*99/100].Nanoseconds()), "p99-ns/step")
	b.ReportMetric(float64(d.took[len(d.took)*999/1000].Nanoseconds()), "p99.9-ns/step")
	b.ReportMetric(0, "ns/op")
}

// bootJob is one of the jobs of a boot as they are in life: some wait for
// startup, most for another job, some for two; one in ten is a task, one in
// five has hooks, and all go down with what they need.
func bootJob(i int) string {
	text := "exec /usr/sbin/daemon --foreground\n"
	switch {
	case i < 10:
		return "start on startup\nstop on session-end\n" + text
	case i%10 == 1:
		return fmt.Sprintf("start on starting job%d\ntask\n", i-1) + text
	case i%7 == 0:
		text = fmt.Sprintf("start on started job%d and started job%d\n", i/2, i/3) + text
	default:
		text = fmt.Sprintf("start on started job%d\nstop on stopping job%d\n", i/2-i/2%10, i/2-i/2%10) + text
	}
	if i%5 == 0 {
		text += "pre-start exec true\npost-stop exec true\nenv A=1\nexport A\n"
	}
	return text
}

// BenchmarkBoot brings 10,000 jobs up, and beside the mean tells how long
// the slowest steps take.
func BenchmarkBoot(b *testing.B) {
	const n = 10_000
	asDaemon(b)
	var last *driver
	var took time.Duration
	for b.Loop() {
		b.StopTimer()
		last = newDriver(b, n, bootJob)
		last.time, last.moves = true, 0
		runtime.GC()
		begin := cpu(b)
		b.StartTimer()
		last.do(engine.Emit{Name: "startup"})
		took += cpu(b) - begin
	}
	if last.moves < 5*n {
		b.Fatalf("%d changes of state; want at least %d", last.moves, 5*n)
	}
	last.percentiles(b)
	b.ReportMetric(took.Seconds()*1000/float64(b.N), "cpu-ms/boot")
	b.ReportMetric(float64(took.Nanoseconds())/float64(b.N)/float64(last.moves), "cpu-ns/transition")
}

// BenchmarkTransitions starts instances of one class, all at once there, and
// stops them: the figure must not grow with their number.
func BenchmarkTransitions(b *testing.B) {
	for _, n := range []int{100, 1000, 10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			asDaemon(b)
			moves, took := 0, time.Duration(0)
			for b.Loop() {
				b.StopTimer()
				// Few instances are begun anew so often that as many
				// are timed as of many.
				for range max(1, 10_000/n) {
					d := newDriver(b, 1, func(int) string { return "start on up\nstop on down N=$N\ninstance $N\nexec daemon" })
					env := make([]events.Env, n)
					for i := range env {
						env[i] = events.Env{fmt.Sprintf("N=%d", i)}
					}
					runtime.GC()
					b.StartTimer()
					begin := cpu(b)
					for i := range n {
						d.do(engine.Emit{Name: "up", Env: env[i]})
					}
					if d.running != n {
						b.Fatalf("%d instances run; want %d", d.running, n)
					}
					for i := range n {
						d.do(engine.Emit{Name: "down", Env: env[i]})
					}
					took += cpu(b) - begin
					b.StopTimer()
					if moves += d.moves; d.running != 0 {
						b.Fatalf("%d instances are left", d.running)
					}
				}
				b.StartTimer()
			}
			b.ReportMetric(float64(took.Nanoseconds())/float64(moves), "cpu-ns/transition")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// live is how many bytes of memory are in use.
func live() uint64 {
	runtime.GC()
	runtime.GC() // what the first one found to be cached is free only now
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkMemory measures what a definition takes, its job.Class and what
// the engine keeps for it, and what an instance takes that runs.
func BenchmarkMemory(b *testing.B) {
	shapes := []struct {
		name string
		text func(i int) string
	}{
		{"least", func(int) string { return "exec /bin/sleep 1000" }},
		{"events", func(i int) string {
			return fmt.Sprintf("start on (ev-%d KEY=val and started other-%d)\nconsole none\nexec /bin/sleep 1000", i, i)
		}},
		{"stop", func(i int) string {
			return fmt.Sprintf("start on started other-%d\nstop on stopping other-%d\nconsole none\nexec /bin/sleep 1000", i, i)
		}},
	}
	for _, shape := range shapes {
		b.Run(shape.name, func(b *testing.B) {
			const n = 5000
			var perClass, perInstance float64
			for b.Loop() {
				empty := live()
				d := newDriver(b, n, shape.text)
				loaded := live()
				for _, name := range d.View().ClassNames() {
					d.do(engine.Start{Target: engine.Target{Class: name}})
				}
				d.inbox = nil
				perClass = float64(loaded-empty) / n
				perInstance = float64(live()-loaded) / n
				if d.running != n {
					b.Fatalf("%d processes run; want %d", d.running, n)
				}
			}
			b.ReportMetric(perClass, "B/class")
			b.ReportMetric(perInstance, "B/instance")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkEvent is an event that nobody waits for, and one that a single job
// of many waits for and that does not start it.
func BenchmarkEvent(b *testing.B) {
	for _, kind := range []string{"nobody", "half"} {
		for _, n := range []int{10, 1000, 100_000} {
			b.Run(fmt.Sprintf("%s/%d", kind, n), func(b *testing.B) {
				asDaemon(b)
				d := newDriver(b, n, func(i int) string {
					return fmt.Sprintf("start on (ev-%d KEY=val and started other-%d)\nexec daemon", i, i)
				})
				in := engine.Emit{Name: "nobody-listens"}
				if kind == "half" {
					in = engine.Emit{Name: "started", Env: events.Env{"JOB=other-7"}}
				}
				d.do(in)
				runtime.GC()
				b.ReportAllocs()
				b.ResetTimer()
				begin := cpu(b)
				for range b.N {
					d.Step(0, in)
				}
				b.ReportMetric(float64((cpu(b)-begin).Nanoseconds())/float64(b.N), "cpu-ns/event")
			})
		}
	}
}
