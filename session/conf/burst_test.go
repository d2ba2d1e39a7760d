package conf

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// exchange swaps two files in one step.
func exchange(t *testing.T, a, b string) {
	t.Helper()
	must(t, unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE))
}

// readings counts how often each file was read, by its path below the root.
type readings struct {
	mu sync.Mutex
	of map[string]int
}

func (r *readings) read(path string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.of[path]++
}

// take returns what was counted, and begins anew.
func (r *readings) take() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	of := r.of
	r.of = make(map[string]int)
	return of
}

// crowd opens a Watcher of a directory with n jobs, and counts what it reads.
func crowd(t *testing.T, n int) (*desk, *readings) {
	t.Helper()
	root, reads := tempDir(t), &readings{of: make(map[string]int)}
	d := openWith(t, Options{reads: func(path string) { reads.read(strings.TrimPrefix(path, root+"/")) }}, root, "1", "2")
	for i := range n {
		d.put(member(i), "first")
	}
	settle(t, d.path(member(n-1)))
	d.live()
	if got := len(reads.take()); len(d.jobs) != n || got != n {
		t.Fatalf("%d jobs of %d files that were read; want %d of as many", len(d.jobs), got, n)
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

// all waits until every job has the text, as long as changes go on coming.
func (d *desk) all(text string, n int) {
	d.t.Helper()
	for done := 0; done < n; {
		d.take(within(d.t, fmt.Sprintf("%d jobs to say %q, of which %d do", n, text, done), d.batches))
		for len(d.batches) > 0 {
			d.take(<-d.batches)
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
	const j7 = "group7/j7"
	// How often each file was read, and may be: what was written in two steps may
	// be read between any two notices of it, and again, which may be after that is
	// known.
	got, most := make(map[string]int), make(map[string]int)
	parsed, files := d.parsed.Load(), 0
	for _, c := range []struct {
		name      string
		do        func()
		reads     string // the file; "" for none
		job, want string // what comes of it, "" for no job
	}{
		{"written", func() { d.put(member(7), "written") }, member(7), j7, "written"},
		{"renamed over", func() { d.swap(member(7), "renamed") }, member(7), j7, "renamed"},
		{"removed", func() { d.drop(member(7)) }, "", j7, ""},
		{"made", func() { d.put(member(7), "made") }, member(7), j7, "made"},
		{"removed and made", func() { d.drop(member(7)); d.put(member(7), "anew") }, member(7), j7, "anew"},
		{"a directory with one", func() { d.put("1/new/x.conf", "x") }, "1/new/x.conf", "new/x", "x"},
		{"the directory moved", func() { d.move("1/new", "1/old") }, "1/old/x.conf", "old/x", "x"},
		{"a whole directory before it", func() { d.put("2/new/x.conf", "y") }, "2/new/x.conf", "new/x", "y"},
	} {
		c.do()
		want := ""
		if c.want != "" {
			want = c.reads + ": " + c.want
			most[c.reads] += 3
			files++
		}
		for d.jobs[c.job] != want {
			d.take(within(t, c.name, d.batches))
		}
		for path, n := range reads.take() {
			if got[path] += n; got[path] > most[path] {
				t.Errorf("%s: %s was read %d times by now; want %d at most", c.name, path, got[path], most[path])
			}
		}
		if n := d.parsed.Load() - parsed; n > int64(2*files) {
			t.Errorf("%s: %d files were parsed by now; want %d at most", c.name, n, 2*files)
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
