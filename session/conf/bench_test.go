package conf

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/session-init/session-init/session/conf/inotify"
)

const benchFiles = 10000

func benchDir(b *testing.B) string {
	dir := tempDir(b)
	for i := range benchFiles {
		put(b, filepath.Join(dir, fmt.Sprintf("group%d/job%d.conf", i%10, i)), fmt.Sprintf("start on startup\nexec /bin/job %d\n", i))
	}
	return dir
}

// BenchmarkLoad reads 10,000 files for the first time.
func BenchmarkLoad(b *testing.B) {
	dir := benchDir(b)
	for b.Loop() {
		n := 0
		w := New([]Dir{{Path: dir}}, Options{Notifier: inotify.Open, Parse: parseFake, Apply: applyFake}, func(c []Change) { n += len(c) })
		must(b, w.Load())
		w.Close()
		if n != benchFiles {
			b.Fatalf("%d jobs loaded; want %d", n, benchFiles)
		}
	}
}

// BenchmarkRescan reads 10,000 files again that have not changed.
func BenchmarkRescan(b *testing.B) {
	dir := benchDir(b)
	w := New([]Dir{{Path: dir}}, Options{Notifier: inotify.Open, Parse: parseFake, Apply: applyFake}, func([]Change) {})
	defer w.Close()
	for b.Loop() {
		must(b, w.Load())
	}
}

// BenchmarkChange is one file among 10,000, from the writing to the class,
// the wait for quiet included. reads/op is how many files were opened.
func BenchmarkChange(b *testing.B) {
	dir := benchDir(b)
	changed := make(chan []Change, 1)
	var reads atomic.Int64
	opts := Options{Notifier: inotify.Open, Parse: parseFake, Apply: applyFake, reads: func(string) { reads.Add(1) }}
	w := New([]Dir{{Path: dir}}, opts, func(c []Change) { changed <- c })
	defer w.Close()
	must(b, w.Load())
	<-changed
	w.Start()
	before := reads.Load()
	i := 0
	for b.Loop() {
		i++
		put(b, dir+"/group5/job5.conf", fmt.Sprint("changed ", i))
		if c := <-changed; len(c) != 1 || c[0].Set == nil {
			b.Fatalf("changes = %v; want one", c)
		}
	}
	b.ReportMetric(float64(reads.Load()-before)/float64(i), "reads/op")
}
