package conf

import (
	"fmt"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/session-init/session-init/session/conf/inotify"
	"github.com/session-init/session-init/session/job"
)

// realFiles writes job files as people have them.
func realFiles(b *testing.B, n int) string {
	dir := tempDir(b)
	for i := range n {
		put(b, filepath.Join(dir, fmt.Sprintf("group%d/job%d.conf", i%10, i)), fmt.Sprintf(`# Service number %d
description "service %d"
start on started job%d and runlevel [2345]
stop on stopping job%d
respawn
env NAME=value%d
exec /usr/bin/service --number %d --foreground
`, i, i, i-1, i-1, i, i))
	}
	return dir
}

// BenchmarkLoadClasses reads and parses 10,000 files, as the daemon does; its
// CPU time, that of the collector included, is cpu-ms/op.
func BenchmarkLoadClasses(b *testing.B) {
	dir := realFiles(b, benchFiles)
	before := cpuTime(b)
	for b.Loop() {
		n := 0
		w := New([]Dir{{Path: dir}}, Options{Notifier: inotify.Open, Parse: job.Parse, Apply: job.Apply}, func(c []Change) { n += len(c) })
		must(b, w.Load())
		w.Close()
		if n != benchFiles {
			b.Fatalf("%d jobs loaded; want %d", n, benchFiles)
		}
	}
	b.ReportMetric(float64((cpuTime(b)-before).Milliseconds())/float64(b.N), "cpu-ms/op")
}

// BenchmarkMemory is what a Watcher holds of each of 5,000 files beside their
// paths, which it shares with the classes, and of each link to one.
func BenchmarkMemory(b *testing.B) {
	for _, links := range []bool{false, true} {
		name := map[bool]string{false: "files", true: "links"}[links]
		b.Run(name, func(b *testing.B) {
			const n = 5000
			dir := realFiles(b, n)
			if links {
				farm := tempDir(b)
				for i := range n {
					link(b, filepath.Join(dir, fmt.Sprintf("group%d/job%d.conf", i%10, i)), filepath.Join(farm, fmt.Sprintf("job%d.conf", i)))
				}
				dir = farm
			}
			for b.Loop() {
				var paths [n]string
				classes, class := 0, job.NewClass("one")
				shared := func(name, path string, _ []byte) (*job.Class, []job.Problem) {
					paths[classes] = path
					classes++
					return class, nil
				}
				before := heap()
				w := New([]Dir{{Path: dir}}, Options{Notifier: inotify.Open, Parse: shared, Apply: job.Apply}, func([]Change) {})
				must(b, w.Load())
				held := heap() - before
				for _, path := range paths {
					held -= uint64(len(path)+15) &^ 15
				}
				b.ReportMetric(float64(held)/n, "B/file")
				w.Close()
				runtime.KeepAlive(paths)
			}
		})
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC() // the first has finalizers run, and pools emptied half
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// cpuTime is what this process has used.
func cpuTime(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	must(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
