package conf

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/session-init/session-init/session/conf/inotify"
)

func TestLiveFiles(t *testing.T) {
	d := open(t, "1", "2")
	d.put("1/a.conf", "one")
	d.put("2/a.conf", "two")
	d.put("2/b.conf", "b")
	d.live()
	d.want("a = 1/a.conf: one", "b = 2/b.conf: b")

	parsed := d.parsed.Load()
	d.put("1/a.conf", "changed")
	d.until("a = 1/a.conf: changed", "b = 2/b.conf: b")
	if n := d.parsed.Load() - parsed; n != 1 {
		t.Errorf("one change had %d files parsed; want 1", n)
	}
	d.swap("1/a.conf", "swapped")
	d.until("a = 1/a.conf: swapped", "b = 2/b.conf: b")
	d.put("1/new.conf", "new")
	d.until("a = 1/a.conf: swapped", "b = 2/b.conf: b", "new = 1/new.conf: new")
	d.move("1/new.conf", "1/other.conf")
	d.until("a = 1/a.conf: swapped", "b = 2/b.conf: b", "other = 1/other.conf: new")
	d.move("1/other.conf", "1/other.conf.bak")
	d.until("a = 1/a.conf: swapped", "b = 2/b.conf: b")
	d.drop("1/a.conf")
	d.until("a = 2/a.conf: two", "b = 2/b.conf: b")
	d.put("1/b.override", "over")
	d.until("a = 2/a.conf: two", "b = 2/b.conf: b + 1/b.override: over")
	d.put("1/b.override", "again")
	d.until("a = 2/a.conf: two", "b = 2/b.conf: b + 1/b.override: again")
	d.drop("1/b.override")
	d.until("a = 2/a.conf: two", "b = 2/b.conf: b")
	must(t, os.Link(d.path("2/b.conf"), d.path("1/hard.conf")))
	d.until("a = 2/a.conf: two", "b = 2/b.conf: b", "hard = 1/hard.conf: b")
}

func TestLiveBroken(t *testing.T) {
	d := open(t, "1")
	d.put("1/a.conf", "good")
	d.live()
	d.put("1/a.conf", "broken")
	eventually(t, "the error in the log", func() bool { return d.says("1/a.conf:3:7: broken") })
	d.put("1/a.conf", "better")
	d.until("a = 1/a.conf: better")
	d.put("1/a.conf", "broken more")
	eventually(t, "the error in the log", func() bool { return d.says("broken more") })
	d.want("a = 1/a.conf: better")
	d.drop("1/a.conf")
	d.until()
}

// What changes between Load and Start is not lost.
func TestLiveBetween(t *testing.T) {
	d := open(t, "1")
	d.put("1/a.conf", "one")
	d.load()
	d.put("1/a.conf", "two")
	d.w.Start()
	d.until("a = 1/a.conf: two")
}

func TestLiveDirectories(t *testing.T) {
	d := open(t, "1")
	d.mkdir("1")
	d.live()
	d.put("1/net/deep/a.conf", "a")
	d.until("net/deep/a = 1/net/deep/a.conf: a")
	d.put("1/net/deep/b.conf", "b")
	d.until("net/deep/a = 1/net/deep/a.conf: a", "net/deep/b = 1/net/deep/b.conf: b")
	d.move("1/net", "1/web")
	d.until("web/deep/a = 1/web/deep/a.conf: a", "web/deep/b = 1/web/deep/b.conf: b")
	d.put("1/net/deep/a.conf", "new")
	d.until("net/deep/a = 1/net/deep/a.conf: new", "web/deep/a = 1/web/deep/a.conf: a", "web/deep/b = 1/web/deep/b.conf: b")
	// The moved one is still followed where it is, the new one too.
	d.put("1/web/deep/a.conf", "moved")
	d.put("1/net/deep/a.conf", "newer")
	d.until("net/deep/a = 1/net/deep/a.conf: newer", "web/deep/a = 1/web/deep/a.conf: moved", "web/deep/b = 1/web/deep/b.conf: b")
	d.drop("1/web")
	d.until("net/deep/a = 1/net/deep/a.conf: newer")
	d.move("1/net", "elsewhere")
	d.until()
	d.move("elsewhere", "1/jobs.d")
	d.until("deep/a = 1/jobs.d/deep/a.conf: newer")
	d.put("1/jobs.d/plain", "p")
	d.until("deep/a = 1/jobs.d/deep/a.conf: newer", "plain = 1/jobs.d/plain: p")
}

func TestLiveMissingDirectory(t *testing.T) {
	d := open(t, "home/config/session-init/jobs")
	d.live()
	for i := range 3 {
		text := fmt.Sprint("round ", i)
		d.put("home/config/session-init/jobs/a.conf", text)
		d.until("a = home/config/session-init/jobs/a.conf: " + text)
		d.put("home/config/session-init/jobs/a.conf", text+" again")
		d.until("a = home/config/session-init/jobs/a.conf: " + text + " again")
		switch i {
		case 0:
			d.drop("home")
		case 1:
			d.move("home/config", "home/elsewhere")
		case 2:
			d.drop("home/config/session-init/jobs")
		}
		d.until()
	}
	// Built beside and moved in place at once.
	d.put("stage/config/session-init/jobs/b.conf", "b")
	d.drop("home")
	d.move("stage", "home")
	d.until("b = home/config/session-init/jobs/b.conf: b")
	// A file where the directory should be.
	d.drop("home/config")
	d.until()
	d.put("home/config", "no directory")
	d.drop("home/config")
	d.put("home/config/session-init/jobs/c.conf", "c")
	d.until("c = home/config/session-init/jobs/c.conf: c")
}

func TestLiveLinks(t *testing.T) {
	d := open(t, "1")
	d.put("store/v1/a.conf", "a1")
	d.put("store/v1/sub/b.conf", "b1")
	d.put("store/v2/a.conf", "a2")
	d.put("store/v2/sub/c.conf", "c2")
	d.link("v1", "store/now")
	d.link("../store/now/a.conf", "1/a.conf")
	d.link("../store/now/sub", "1/sub")
	d.live()
	d.want("a = 1/a.conf: a1", "sub/b = 1/sub/b.conf: b1")

	// The target of a link changes.
	d.put("store/v1/a.conf", "a1 written")
	d.until("a = 1/a.conf: a1 written", "sub/b = 1/sub/b.conf: b1")
	d.swap("store/v1/a.conf", "a1 swapped")
	d.until("a = 1/a.conf: a1 swapped", "sub/b = 1/sub/b.conf: b1")
	d.put("store/v1/sub/b.conf", "b1 written")
	d.until("a = 1/a.conf: a1 swapped", "sub/b = 1/sub/b.conf: b1 written")

	// A link on the way is swapped.
	d.relink("v2", "store/now")
	d.until("a = 1/a.conf: a2", "sub/c = 1/sub/c.conf: c2")
	d.put("store/v2/sub/c.conf", "c2 written")
	d.until("a = 1/a.conf: a2", "sub/c = 1/sub/c.conf: c2 written")

	// The link itself is.
	d.put("store/x.conf", "x")
	d.relink("../store/x.conf", "1/a.conf")
	d.until("a = 1/a.conf: x", "sub/c = 1/sub/c.conf: c2 written")
	d.swap("store/x.conf", "x swapped")
	d.until("a = 1/a.conf: x swapped", "sub/c = 1/sub/c.conf: c2 written")

	// It dangles, and does not any more.
	d.drop("store/x.conf")
	d.until("sub/c = 1/sub/c.conf: c2 written")
	d.put("store/x.conf", "x back")
	d.until("a = 1/a.conf: x back", "sub/c = 1/sub/c.conf: c2 written")
	d.drop("store")
	d.until()
	d.put("store/x.conf", "x again")
	d.until("a = 1/a.conf: x again")
	d.put("store/other/d.conf", "d")
	d.link("other", "store/now")
	d.put("store/other/sub/e.conf", "e")
	d.until("a = 1/a.conf: x again", "sub/e = 1/sub/e.conf: e")

	// New links, to a file and to a directory.
	d.link(d.path("store/other/d.conf"), "1/d.conf")
	d.link(d.path("store/other"), "1/dir")
	d.until("a = 1/a.conf: x again", "d = 1/d.conf: d", "dir/d = 1/dir/d.conf: d", "dir/sub/e = 1/dir/sub/e.conf: e",
		"sub/e = 1/sub/e.conf: e")
	d.drop("1/dir")
	d.put("store/other/d.conf", "d written")
	d.until("a = 1/a.conf: x again", "d = 1/d.conf: d written", "sub/e = 1/sub/e.conf: e")
	// A file takes a directory's place, and a directory a file's.
	d.drop("1/sub")
	d.drop("1/d.conf")
	d.put("1/d.conf/f.conf", "f")
	d.until("a = 1/a.conf: x again", "d.conf/f = 1/d.conf/f.conf: f")
	d.drop("1/d.conf")
	d.put("1/d.conf", "file")
	d.until("a = 1/a.conf: x again", "d = 1/d.conf: file")
}

// The whole search directory is a link, as dotfile managers make it.
func TestLiveRootLink(t *testing.T) {
	d := open(t, "config/session-init")
	d.put("gen1/jobs/a.conf", "one")
	d.put("gen2/jobs/a.conf", "two")
	d.put("gen2/jobs/b.conf", "two")
	d.link("../gen1/jobs", "config/session-init")
	d.live()
	d.want("a = config/session-init/a.conf: one")
	d.relink("../gen2/jobs", "config/session-init")
	d.until("a = config/session-init/a.conf: two", "b = config/session-init/b.conf: two")
	d.drop("gen1")
	d.put("gen2/jobs/b.conf", "b")
	d.until("a = config/session-init/a.conf: two", "b = config/session-init/b.conf: b")
	// And so is its parent.
	d.move("config", "real")
	d.link("real", "config")
	d.put("gen2/jobs/b.conf", "bb")
	d.until("a = config/session-init/a.conf: two", "b = config/session-init/b.conf: bb")
	d.drop("config")
	d.until()
}

// Two search directories that are one are both heard.
func TestLiveSameDirectoryTwice(t *testing.T) {
	d := open(t, "1", "2")
	d.put("1/a.conf", "a")
	d.link("1", "2")
	d.live()
	d.want("a = 1/a.conf: a")
	d.put("1/b.conf", "b")
	d.until("a = 1/a.conf: a", "b = 1/b.conf: b")
	d.move("1", "3")
	d.relink("3", "2")
	d.until("a = 2/a.conf: a", "b = 2/b.conf: b")
	d.put("3/a.conf", "aa")
	d.until("a = 2/a.conf: aa", "b = 2/b.conf: b")
}

// Watches follow what is looked at, and do not pile up.
func TestWatchesAreDropped(t *testing.T) {
	d := open(t, "1")
	d.put("1/a.conf", "a")
	d.live()
	before := len(d.watched())
	for i := range 20 {
		d.put(fmt.Sprintf("1/sub%d/b.conf", i), "b")
	}
	for len(d.jobs) < 21 {
		d.take(<-d.batches)
	}
	if n := len(d.watched()); n != before+20 {
		t.Errorf("%d directories watched; want %d", n, before+20)
	}
	for i := range 20 {
		d.drop(fmt.Sprintf("1/sub%d", i))
	}
	d.until("a = 1/a.conf: a")
	eventually(t, "the watches to be dropped", func() bool { return len(d.watched()) == before })
}

func TestRescan(t *testing.T) {
	d := open(t, "1")
	d.put("1/a.conf", "one")
	d.live()
	d.put("1/a.conf", "two")
	done := make(chan int, 1)
	d.w.Rescan(func() { done <- len(d.batches) })
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("Rescan is never done")
	}
	d.until("a = 1/a.conf: two")
	d.w.Rescan(nil)
	d.w.Close()
	d.w.Rescan(func() { t.Error("done called after Close") })
	if err := d.w.Load(); err == nil {
		t.Error("Load of a closed Watcher gives no error")
	}
	d.w.Close()
}

// done is called when everything that was found has been applied.
func TestRescanOrder(t *testing.T) {
	dir := tempDir(t)
	put(t, dir+"/a.conf", "a")
	var applied []string // by the Watcher's goroutine only, until done
	w := New([]Dir{{Path: dir}}, Options{Notifier: inotify.Open, Parse: parseFake, Apply: applyFake, Patience: time.Hour}, func(changes []Change) {
		for _, c := range changes {
			applied = append(applied, c.Name())
		}
	})
	defer w.Close()
	must(t, w.Load())
	if len(applied) != 1 {
		t.Fatalf("applied after Load = %q; want a", applied)
	}
	put(t, dir+"/b.conf", "b")
	done := make(chan int)
	w.Rescan(func() { done <- len(applied) })
	if n := <-done; n != 2 {
		t.Errorf("%d changes applied when done; want 2", n)
	}
}

func TestCloseUnused(t *testing.T) {
	w := New(nil, Options{Notifier: inotify.Open, Parse: parseFake, Apply: applyFake}, func([]Change) {})
	w.Close()
	w = New(nil, Options{Notifier: inotify.Open, Parse: parseFake, Apply: applyFake}, func([]Change) {})
	must(t, w.Load())
	w.Start()
	w.Close()
}

// Many files at once come in few batches.
func TestLiveBurst(t *testing.T) {
	const n = 500
	d := openWith(t, Options{Debounce: 200 * time.Millisecond}, tempDir(t), "1")
	d.mkdir("1")
	d.live()
	// They are heard at once, however long it takes to write them.
	watch := d.w.trees[0].watch
	watch.mu.Lock()
	for i := range n {
		d.put(fmt.Sprintf("1/job%d.conf", i), "x")
	}
	watch.mu.Unlock()
	batches := 0
	for len(d.jobs) < n {
		d.take(<-d.batches)
		batches++
	}
	if batches > n/10 {
		t.Errorf("%d files came in %d batches; want few", n, batches)
	}
	d.drop("1")
	d.until()
}
