package conf

import (
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// exchange swaps two files in one step.
func exchange(t *testing.T, a, b string) {
	t.Helper()
	must(t, unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE))
}

// crowd opens a Watcher of a directory with n jobs, and counts what it reads.
func crowd(t *testing.T, n int) (*desk, *atomic.Int64) {
	t.Helper()
	reads := new(atomic.Int64)
	d := openWith(t, Options{reads: func(string) { reads.Add(1) }}, tempDir(t), "1", "2")
	for i := range n {
		d.put(member(i), "first")
	}
	settle(t, d.path(member(n-1)))
	d.live()
	if len(d.jobs) != n || reads.Load() != int64(n) {
		t.Fatalf("%d jobs of %d files that were read; want %d of as many", len(d.jobs), reads.Load(), n)
	}
	return d, reads
}

// settle waits until what is read of a file may be known by its times.
func settle(t *testing.T, path string) {
	t.Helper()
	var r reader
	eventually(t, path+" to be older than a tick", func() bool {
		_, s, err := r.read(path)
		return err == nil && s != stamp{}
	})
}

func member(i int) string { return fmt.Sprintf("1/group%d/j%d.conf", i%10, i) }

// all waits until every job has the text.
func (d *desk) all(text string, n int) {
	d.t.Helper()
	late := time.After(patience)
	for done := 0; done < n; {
		select {
		case batch := <-d.batches:
			d.take(batch)
		case <-late:
			d.t.Fatalf("in vain waited for %d jobs to say %q", n, text)
		}
		done = 0
		for i := range n {
			if d.jobs[fmt.Sprintf("group%d/j%d", i%10, i)] == member(i)+": "+text {
				done++
			}
		}
	}
}

// A change of one file among many reads that one, however it comes.
func TestOneAmongMany(t *testing.T) {
	const n = 2000
	d, reads := crowd(t, n)
	for _, c := range []struct {
		name  string
		do    func()
		reads int64
	}{
		{"written", func() { d.put(member(7), "written") }, 1},
		{"renamed over", func() { d.swap(member(7), "renamed") }, 1},
		{"removed", func() { d.drop(member(7)) }, 0},
		{"made", func() { d.put(member(7), "made") }, 1},
		{"removed and made", func() { d.drop(member(7)); d.put(member(7), "anew") }, 1},
		{"a directory with one", func() { d.put("1/new/x.conf", "x") }, 1},
		{"the directory moved", func() { d.move("1/new", "1/old") }, 1},
		{"a whole directory before it", func() { d.put("2/new/x.conf", "x") }, 1},
	} {
		before, parsed := reads.Load(), d.parsed.Load()
		c.do()
		d.take(<-d.batches)
		// What was written in two steps may be read in between, and again.
		if got := reads.Load() - before; got > 2*c.reads {
			t.Errorf("%s: %d files were read; want %d", c.name, got, c.reads)
		}
		if got := d.parsed.Load() - parsed; got > 2*c.reads {
			t.Errorf("%s: %d files were parsed; want %d", c.name, got, c.reads)
		}
	}
}

// Ten thousand files that change at once are all followed, whether the
// kernel could tell of each or not.
func TestTenThousandAtOnce(t *testing.T) {
	const n = 10000
	d, _ := crowd(t, n)
	for i := range n {
		d.put(member(i), "second")
	}
	d.all("second", n)
	d.move("1", "away")
	d.until()
	for i := range n {
		swap(t, d.path("away/"+member(i)[2:]), "third")
	}
	d.move("away", "1")
	d.all("third", n)
	d.drop("1")
	d.until()
}

// When the kernel's own queue runs over, nothing is lost: files, directories
// and links that were made meanwhile are found, and are followed from then on.
func TestKernelOverflow(t *testing.T) {
	d := open(t, "1")
	d.put("1/a.conf", "one")
	d.put("1/b.conf", "one")
	d.put("1/noise-1", "")
	d.put("1/noise-2", "")
	d.live()
	text, err := os.ReadFile("/proc/sys/fs/inotify/max_queued_events")
	must(t, err)
	var room int
	_, err = fmt.Sscan(string(text), &room)
	must(t, err)

	// Who takes notices is held up, as a busy machine does it.
	watch := d.w.trees[0].watch
	watch.mu.Lock()
	// The same notice twice in a row is one; who reads them has room for some
	// more.
	for i := range room + 3*4096 {
		must(t, os.Chmod(d.path(fmt.Sprint("1/noise-", 1+i%2)), 0o600+os.FileMode(i/2%2)<<6))
	}
	d.put("1/a.conf", "two")
	d.drop("1/b.conf")
	d.put("1/sub/deep/c.conf", "c")
	d.put("store/d", "d")
	d.link("../store/d", "1/d.conf")
	watch.mu.Unlock()

	d.until("a = 1/a.conf: two", "d = 1/d.conf: d", "sub/deep/c = 1/sub/deep/c.conf: c")
	if !d.says("changes of job files came faster than they could be told") {
		t.Errorf("the queue did not run over; the log:\n%s", d.log)
	}
	d.put("1/sub/deep/c.conf", "written")
	d.put("store/d", "written")
	d.until("a = 1/a.conf: two", "d = 1/d.conf: written", "sub/deep/c = 1/sub/deep/c.conf: written")
}
