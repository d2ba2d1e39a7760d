package sim

import (
	"fmt"
	"testing"
	"time"

	"github.com/session-init/session-init/session/engine"
)

// load gives a new world n classes.
func load(b *testing.B, n int, text func(i int) string) *World {
	w := New(engine.Config{StopTimeout: 10 * time.Second})
	for i := range n {
		w.Do(engine.SetClass{Class: class(b, fmt.Sprintf("job%d", i), text(i))})
	}
	return w
}

// up checks that all jobs run, and goes on to the end of the session.
func up(b *testing.B, w *World, n int) {
	if got := len(w.Processes()); got != n {
		b.Fatalf("%d processes run; want %d", got, n)
	}
}

// perJob reports what one job cost.
func perJob(b *testing.B, n int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/job")
}

// BenchmarkChain brings a chain of jobs up, each started by the one before.
func BenchmarkChain(b *testing.B) {
	for _, n := range []int{100, 1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				w := load(b, n, func(i int) string {
					if i == 0 {
						return "start on go\nexec daemon"
					}
					return fmt.Sprintf("start on started job%d\nstop on stopping job%d\nexec daemon", i-1, i-1)
				})
				b.StartTimer()
				w.Do(engine.Emit{Name: "go"})
				up(b, w, n)
			}
			perJob(b, n)
		})
	}
}

// BenchmarkFan brings many jobs up by one event.
func BenchmarkFan(b *testing.B) {
	for _, n := range []int{100, 1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				w := load(b, n, func(int) string { return "start on go\nexec daemon" })
				b.StartTimer()
				w.Do(engine.Emit{Name: "go"})
				up(b, w, n)
			}
			perJob(b, n)
		})
	}
}

// BenchmarkEnd ends a session of many jobs: in a chain and side by side; and
// those that outlive others, each the one before it, or all the first.
func BenchmarkEnd(b *testing.B) {
	for _, n := range []int{100, 1000, 10_000} {
		for _, shape := range []string{"chain", "fan", "after", "last"} {
			b.Run(fmt.Sprintf("%s/%d", shape, n), func(b *testing.B) {
				for b.Loop() {
					b.StopTimer()
					w := load(b, n, func(i int) string {
						switch {
						case i == 0 || shape == "fan":
							return "start on go\nexec daemon"
						case shape == "after":
							return fmt.Sprintf("start on go\nstop on stopped job%d\nexec daemon", i-1)
						case shape == "last":
							return "start on go\nstop on stopped job0\nexec daemon"
						}
						return fmt.Sprintf("start on started job%d\nstop on stopping job%d\nexec daemon", i-1, i-1)
					})
					w.Do(engine.Emit{Name: "go"})
					b.StartTimer()
					w.Do(engine.Shutdown{Type: "logout"})
					if !w.Over() {
						b.Fatal("the session does not end")
					}
				}
				perJob(b, n)
			})
		}
	}
}

// BenchmarkInstances starts and stops instances of one class, one after the
// other, by their own events.
func BenchmarkInstances(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				w := New(engine.Config{})
				w.Do(engine.SetClass{Class: class(b, "getty", "start on up\nstop on down N=$N\ninstance $N\nexec daemon")})
				b.StartTimer()
				for i := range n {
					w.Do(engine.Emit{Name: "up", Env: []string{fmt.Sprintf("N=%d", i)}})
				}
				for i := range n {
					w.Do(engine.Emit{Name: "down", Env: []string{fmt.Sprintf("N=%d", i)}})
				}
				up(b, w, 0)
			}
			perJob(b, n)
		})
	}
}

// BenchmarkNobody is an event that nobody waits for, beside many jobs that
// wait for others of its name.
func BenchmarkNobody(b *testing.B) {
	for _, n := range []int{10, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := load(b, n, func(i int) string { return fmt.Sprintf("start on started other%d\nexec daemon", i) })
			in := engine.Emit{Name: "started", Env: []string{"JOB=nobody", "INSTANCE="}}
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				w.Engine.Step(0, in)
			}
		})
	}
}
