package conf

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/conf/inotify"
	"github.com/session-init/session-init/session/conf/notice"
)

// deaf is a notifier that says what the test says, and refuses directories.
type deaf struct {
	notices chan notice.Notice
	faults  chan error
	refuse  func(dir string) error

	mu    sync.Mutex
	added []string
}

func newDeaf(refuse func(dir string) error) *deaf {
	return &deaf{notices: make(chan notice.Notice), faults: make(chan error), refuse: refuse}
}

func (n *deaf) Add(dir string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.refuse != nil {
		if err := n.refuse(dir); err != nil {
			return err
		}
	}
	n.added = append(n.added, dir)
	return nil
}

func (n *deaf) Remove(string) error { return nil }
func (n *deaf) Close() error        { close(n.notices); return nil }

func (n *deaf) Pump(tell func(notice.Notice), fault func(error)) {
	for {
		select {
		case what, ok := <-n.notices:
			if !ok {
				return
			}
			tell(what)
		case err := <-n.faults:
			fault(err)
		}
	}
}

// alone has a Watcher hear this notifier, and nothing else.
func alone(n notice.Notifier) Options {
	return Options{
		Notifier: func() (notice.Notifier, error) { return n, nil },
		outlook:  func(ear) (*outlook, error) { return nil, unix.EMFILE },
	}
}

// When the kernel's queue ran over, everything is read again.
func TestOverflow(t *testing.T) {
	n := newDeaf(nil)
	d := openWith(t, alone(n), tempDir(t), "1")
	d.put("1/a.conf", "one")
	d.live()
	d.put("1/a.conf", "two")
	d.put("1/sub/b.conf", "b")
	n.faults <- notice.ErrOverflow
	d.until("a = 1/a.conf: two", "sub/b = 1/sub/b.conf: b")
	d.drop("1/sub")
	n.faults <- errors.New("some fault")
	d.until("a = 1/a.conf: two")
}

// A notice has just the named file read, and a notice of anything else
// nothing.
func TestNoticeReadsOneFile(t *testing.T) {
	n := newDeaf(nil)
	d := openWith(t, alone(n), tempDir(t), "1")
	d.put("1/a.conf", "one")
	d.put("1/b.conf", "one")
	d.live()
	d.put("1/a.conf", "two")
	d.put("1/b.conf", "two")
	n.notices <- notice.Notice{Path: d.path("1/a.conf"), Written: true, Whole: true}
	d.until("a = 1/a.conf: two", "b = 1/b.conf: one")
	n.notices <- notice.Notice{Path: d.path("1/.b.conf.swp")}
	n.notices <- notice.Notice{Path: d.path("1/notes"), Written: true}
	n.notices <- notice.Notice{Path: d.path("other")}
	n.notices <- notice.Notice{} // the one before is dealt with now
	if _, ok := d.w.dirt.due(time.Second); ok {
		t.Error("notices that are no concern of ours make work")
	}
}

// At the kernel's limit, what is not watched can be loaded all the same.
func TestWatchLimit(t *testing.T) {
	n := newDeaf(func(string) error { return syscall.ENOSPC })
	d := openWith(t, alone(n), tempDir(t), "1", "2")
	d.put("1/a.conf", "one")
	d.put("2/sub/b.conf", "b")
	d.live()
	d.want("a = 1/a.conf: one", "sub/b = 2/sub/b.conf: b")
	d.put("1/a.conf", "two")
	d.load()
	d.want("a = 1/a.conf: two", "sub/b = 2/sub/b.conf: b")
	if n := d.times("fs.inotify.max_user_watches"); n != 1 {
		t.Errorf("the limit is said %d times; want once:\n%s", n, d.log)
	}
}

func TestNoNotifier(t *testing.T) {
	d := openWith(t, Options{Notifier: func() (notice.Notifier, error) { return nil, syscall.EMFILE }}, tempDir(t), "1")
	d.put("1/a.conf", "one")
	d.live()
	d.put("1/a.conf", "two")
	d.load()
	d.want("a = 1/a.conf: two")
	if n := d.times("an explicit reload is needed"); n != 1 {
		t.Errorf("it is said %d times; want once:\n%s", n, d.log)
	}
}

// A directory that hangs holds up nobody for long, and comes in later.
func TestHangingDirectory(t *testing.T) {
	gate := make(chan struct{})
	root := tempDir(t)
	d := openWith(t, Options{
		Patience: time.Second,
		before: func(dir Dir) {
			if strings.HasSuffix(dir.Path, "/hangs") {
				<-gate
			}
		},
	}, root, "hangs", "2")
	d.put("hangs/a.conf", "hung")
	d.put("2/a.conf", "two")
	d.put("2/b.conf", "two")
	d.live()
	// On a busy machine the other may be late as well.
	d.until("a = 2/a.conf: two", "b = 2/b.conf: two")
	d.put("2/b.conf", "changed")
	d.until("a = 2/a.conf: two", "b = 2/b.conf: changed")
	d.load() // done at once, though that directory is at work
	d.put("hangs/c.conf", "after")
	if n := d.times(d.path("hangs") + " yet: the file system does not answer"); n != 1 {
		t.Errorf("it is said %d times; want once:\n%s", n, d.log)
	}
	close(gate)
	d.until("a = hangs/a.conf: hung", "b = 2/b.conf: changed", "c = hangs/c.conf: after")
	if !d.says(d.path("hangs") + " can be read again") {
		t.Errorf("the log does not say so:\n%s", d.log)
	}
}

func TestCloseWhileHanging(t *testing.T) {
	before := goroutines()
	gate := make(chan struct{})
	d := openWith(t, Options{Patience: time.Millisecond, before: func(Dir) { <-gate }}, tempDir(t), "1")
	d.load()
	d.w.Close()
	close(gate)
	eventually(t, "the goroutine to end", func() bool { return goroutines() <= before })
}

func TestNothingIsLeft(t *testing.T) {
	once := func() {
		dir := tempDir(t)
		put(t, dir+"/1/sub/a.conf", "a")
		w := New([]Dir{{Path: dir + "/1"}, {Path: dir + "/none"}}, Options{Notifier: inotify.Open, Parse: parseFake, Apply: applyFake}, func([]Change) {})
		must(t, w.Load())
		w.Start()
		w.Rescan(nil)
		put(t, dir+"/1/b.conf", "b")
		w.Close()
	}
	once() // what the runtime keeps for itself
	threads, files := goroutines(), descriptors(t)
	for range 10 {
		once()
	}
	// A goroutine that has handed over its last finding, or was not waited for, is
	// still about to end.
	eventually(t, "the goroutines to end", func() bool { return goroutines() <= threads })
	eventually(t, "the descriptors to be closed", func() bool { return descriptors(t) <= files })
}

func goroutines() int { return runtime.NumGoroutine() }

func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(list)
}

// A directory that is known by two real paths, as bind mounts make it, is
// watched under one and heard under both. When the one goes, it is watched
// under the other.
func TestWatchAlias(t *testing.T) {
	root := tempDir(t)
	must(t, os.Mkdir(root+"/a", 0o755))
	n := newDeaf(nil)
	dirt := newDirt(2, time.Hour)
	ws := newWatchSet(slog.New(slog.DiscardHandler), dirt, []Dir{{Path: "/x"}, {Path: "/y"}}, n)
	ws.list(root+"/a", target{0, "/x"}, 1)
	must(t, os.Rename(root+"/a", root+"/b"))
	// The old name cannot be told from a second one by what is in memory
	// alone: it is found out by looking.
	ws.list(root+"/b", target{1, "/y"}, 1)
	if got, want := n.added, []string{root + "/a", root + "/b"}; !slices.Equal(got, want) {
		t.Fatalf("watched %q; want %q", got, want)
	}
	if got := dirt.take(); !got[0].walk {
		t.Errorf("dirt = %+v; want a look by the tree whose notice of the move went with the watch", got)
	}

	id, err := inodeOf(root + "/b")
	must(t, err)
	ws.inodes[id] = []string{root + "/b", root + "/c"}
	ws.paths[root+"/c"] = id
	ws.name(root+"/c", "sub", target{0, ""}, 1, false)
	ws.deliver(notice.Notice{Path: root + "/b/sub"})
	got := dirt.take()
	if _, ok := got[1].names["/y/sub"]; !ok || !got[0].walk {
		t.Errorf("dirt = %+v; want both paths heard", got)
	}
	ws.sweep(1, 2)
	if want := root + "/c"; n.added[len(n.added)-1] != want {
		t.Errorf("watched last: %q; want %q", n.added[len(n.added)-1], want)
	}
	if got := dirt.take(); !got[0].walk {
		t.Errorf("dirt = %+v; want a look at what may have been missed", got)
	}
}

// A directory that passes from one watch to the other is looked at by all that
// have a stake in it: notices that nobody has taken yet go with the watch. Here
// nobody takes any.
func TestWatchPassesOn(t *testing.T) {
	root := tempDir(t)
	dirt := newDirt(2, time.Hour)
	ws := newWatchSet(slog.New(slog.DiscardHandler), dirt, []Dir{{Path: "/x"}, {Path: "/y"}}, newDeaf(nil))
	o, err := newOutlook(ws)
	must(t, err)
	defer o.close()
	ws.outlook = o
	looks := func(what string, want bool) {
		t.Helper()
		if got := dirt.take(); got[0].walk != want {
			t.Errorf("%s: dirt = %+v; want a look by the first tree: %t", what, got, want)
		}
	}
	ws.name(root, "sub", target{index: 0}, 1, true)
	ws.sweep(0, 1)
	looks("asked for from afar", false)
	must(t, os.Mkdir(root+"/sub", 0o755))
	ws.list(root, target{1, "/y"}, 1)
	ws.sweep(1, 1)
	looks("watched whole from now on", true)
	ws.sweep(1, 1)
	looks("watched whole as before", false)
	ws.sweep(1, 2)
	looks("watched from afar again", true)
	ws.sweep(1, 3)
	looks("watched from afar as before", false)
}

// Only what is older than the clock's step is known by its times.
func TestSettled(t *testing.T) {
	for _, c := range []struct {
		changed, now unix.Timespec
		want         bool
	}{
		{unix.Timespec{Sec: 7, Nsec: 4}, unix.Timespec{Sec: 7, Nsec: 4}, false},
		{unix.Timespec{Sec: 7, Nsec: 5}, unix.Timespec{Sec: 7, Nsec: 4}, false},
		{unix.Timespec{Sec: 7, Nsec: 3}, unix.Timespec{Sec: 7, Nsec: 4}, true},
		{unix.Timespec{Sec: 6, Nsec: 9}, unix.Timespec{Sec: 7, Nsec: 4}, true},
		{unix.Timespec{Sec: 9, Nsec: 1}, unix.Timespec{Sec: 7, Nsec: 4}, false},
		{unix.Timespec{Sec: 6}, unix.Timespec{Sec: 7, Nsec: 4}, false},
		{unix.Timespec{Sec: 5}, unix.Timespec{Sec: 7, Nsec: 4}, true},
	} {
		if got := settled(c.changed, c.now); got != c.want {
			t.Errorf("settled(%v, %v) = %t; want %t", c.changed, c.now, got, c.want)
		}
	}
}

func TestDirtBounds(t *testing.T) {
	d := newDirt(2, time.Hour)
	if _, ok := d.due(time.Hour); ok {
		t.Error("clean dirt is due")
	}
	d.mark(target{0, "/a"}, came)
	wait, ok := d.due(time.Hour)
	if !ok || wait > time.Hour/2 {
		t.Errorf("due after a change = %v, %t; want half an hour", wait, ok)
	}
	d.mark(target{1, "/b"}, went)
	if wait, _ := d.due(time.Hour); wait <= time.Hour/2 {
		t.Errorf("due after a removal = %v; want an hour", wait)
	}
	d.first = d.first.Add(-11 * time.Hour)
	if wait, _ := d.due(time.Hour); wait != 0 {
		t.Errorf("due after ten hours = %v; want 0", wait)
	}
	for i := range maxNames + 10 {
		d.mark(target{0, fmt.Sprint(i)}, came)
	}
	got := d.take()
	if !got[0].reread || len(got[0].names) > 0 || len(got[1].names) != 1 {
		t.Errorf("too many names do not become a reading of all: %v, %d", got[0].reread, len(got[0].names))
	}
	if _, ok := d.due(time.Hour); ok {
		t.Error("dirt is due after it was taken")
	}
}

// The watch ends with Unwatch, long before Close; what changes after it is found
// when it is asked for.
func TestUnwatch(t *testing.T) {
	ended := make(chan struct{})
	n := &farewell{newDeaf(nil), ended}
	d := openWith(t, alone(n), tempDir(t), "1")
	d.put("1/a.conf", "one")
	d.live()
	d.w.Unwatch()
	d.w.Unwatch()
	<-ended
	d.put("1/a.conf", "two")
	d.w.Rescan(nil)
	d.until("a = 1/a.conf: two")
}

// farewell tells when it is closed, which panics the second time.
type farewell struct {
	*deaf
	ended chan struct{}
}

func (n *farewell) Close() error {
	close(n.ended)
	return n.deaf.Close()
}
