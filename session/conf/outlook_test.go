package conf

import (
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// homely opens a Watcher of directories in a home that has none of them.
func homely(t *testing.T, pace time.Duration) (*desk, func() *outlook) {
	opts := Options{outlook: func(e ear) (*outlook, error) {
		o, err := newOutlook(e)
		if err == nil {
			o.pace = pace
		}
		return o, err
	}}
	d := openWith(t, opts, tempDir(t), "home/.config/session-init", "home/.init")
	d.mkdir("home/.config")
	d.live()
	return d, func() *outlook { return d.w.trees[0].watch.outlook }
}

// at returns the lookout of a directory, nil if there is none.
func (o *outlook) at(dir string) *lookout {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.dirs[dir]
}

// heard returns in how many turns a directory was heard. Those above the
// test's own belong to others too.
func (o *outlook) heard(l *lookout) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return l.woken
}

func (o *outlook) resting(dir string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	l := o.dirs[dir]
	return l != nil && l.resting()
}

// Writing to files in the home directory wakes nobody, however often it is
// done.
func TestHomeIsWrittenTo(t *testing.T) {
	d, above := homely(t, time.Hour)
	d.put("home/notes", "x")
	home := above().at(d.path("home"))
	eventually(t, "the notes to be heard", func() bool { return above().heard(home) == 1 })
	f, err := os.OpenFile(d.path("home/notes"), os.O_WRONLY|os.O_APPEND, 0)
	must(t, err)
	defer f.Close()
	for range 1000 {
		_, err := f.WriteString("more\n")
		must(t, err)
		d.put("home/notes", "")
	}
	d.put("home/.init/a.conf", "a")
	d.until("a = home/.init/a.conf: a")
	// One for the directory that was made.
	if n := above().heard(home) - 1; n != 1 {
		t.Errorf("a thousand writes, and a directory that was made, were heard %d times; want once", n)
	}
}

// A home where files come and go all the time is left alone, and what has
// come meanwhile is found.
func TestHomeIsNoisy(t *testing.T) {
	d, above := homely(t, time.Hour)
	for i := range 1000 {
		d.swap("home/notes", fmt.Sprint(i))
	}
	home := d.path("home")
	eventually(t, "the home to be left alone", func() bool { return above().resting(home) })
	l := above().at(home)
	eventually(t, "what was told before to be heard", func() bool {
		above().mu.Lock()
		defer above().mu.Unlock()
		return above().watches[l.wd] == nil
	})
	// The last is that there will be no more.
	before := above().heard(l)
	if before > 50 {
		t.Errorf("woken %d times by a thousand files; want a few", before)
	}
	round := func() {
		t.Helper()
		above().rouse(time.Now().Add(2 * time.Hour))
	}
	d.put("home/.init/a.conf", "a")
	round()
	d.until("a = home/.init/a.conf: a")
	if n := above().heard(l) - before; n != 0 {
		t.Errorf("woken %d times while the home is left alone; want none", n)
	}
	// It is watched again, and left alone again.
	for i := range 100 {
		d.swap("home/notes", fmt.Sprint(i))
	}
	eventually(t, "the home to be left alone again", func() bool { return above().resting(home) })
	// Another home with the same names takes its place meanwhile: that one
	// the home's own parent tells, which is quiet.
	d.put("stage/.init/b.conf", "b")
	d.move("home", "old")
	d.move("stage", "home")
	d.until("b = home/.init/b.conf: b")
	round()
	d.put("home/.config/session-init/c.conf", "c")
	d.until("b = home/.init/b.conf: b", "c = home/.config/session-init/c.conf: c")
	d.drop("home")
	d.until()
}

// The pace brings a directory back by itself.
func TestHomeIsWatchedAgain(t *testing.T) {
	d, above := homely(t, time.Millisecond)
	o := above()
	for i := range 50 {
		if l := o.at(d.path("home")); l != nil {
			o.rest(l)
		}
		// A notice sets the deadline anew, as it did for the rest.
		d.swap("home/.config/notes", "x")
		text := fmt.Sprint(i)
		d.put("home/.init/a.conf", text)
		d.until("a = home/.init/a.conf: " + text)
		d.drop("home/.init")
		d.until()
	}
}

// A link on the way is seen to go, not only to come.
func TestLinkAboveGoes(t *testing.T) {
	d := open(t, "home/config/jobs")
	d.put("store/jobs/a.conf", "a")
	d.mkdir("home")
	d.link("../store", "home/config")
	d.live()
	d.want("a = home/config/jobs/a.conf: a")
	d.drop("home/config")
	d.until()
	d.link("../store", "home/config")
	d.until("a = home/config/jobs/a.conf: a")
}

// A directory that somebody is in is gone when it is removed, though the
// kernel does not say so before he has left.
func TestRemovedWhileInUse(t *testing.T) {
	d := open(t, "home/config/jobs")
	d.put("home/config/jobs/a.conf", "a")
	d.live()
	for _, name := range []string{"home/config/jobs", "home/config", "home"} {
		f, err := os.Open(d.path(name))
		must(t, err)
		defer f.Close()
	}
	d.drop("home")
	d.until()
	d.put("home/config/jobs/a.conf", "again")
	d.until("a = home/config/jobs/a.conf: again")
	d.put("home/config/jobs/a.conf", "once more")
	d.until("a = home/config/jobs/a.conf: once more")
}

// What may not be looked at is followed once it may be.
func TestForbiddenAbove(t *testing.T) {
	for _, mode := range []os.FileMode{0, 0o400, 0o100} {
		d := open(t, "home/config/jobs")
		d.put("home/config/jobs/a.conf", "a")
		must(t, os.Chmod(d.path("home/config"), mode))
		t.Cleanup(func() { _ = os.Chmod(d.path("home/config"), 0o755) })
		d.w.Start()
		d.load()
		if os.Geteuid() != 0 && mode&0o100 == 0 {
			d.want()
		}
		must(t, os.Chmod(d.path("home/config"), 0o755))
		d.until("a = home/config/jobs/a.conf: a")
		d.put("home/config/jobs/a.conf", "changed")
		d.until("a = home/config/jobs/a.conf: changed")
		d.drop("home/config/jobs")
		d.until()
		d.put("home/config/jobs/a.conf", "a")
		d.until("a = home/config/jobs/a.conf: a")
		d.drop("home")
		d.until()
		d.put("home/config/jobs/a.conf", "a")
		d.until("a = home/config/jobs/a.conf: a")
		d.drop("home/config")
		d.until()
		d.put("home/config/jobs/a.conf", "a")
		d.until("a = home/config/jobs/a.conf: a")
		must(t, os.Chmod(d.path("home/config"), 0))
		// One that cannot be watched itself is seen to go all the same.
		d.move("home/config", "home/old")
		must(t, os.Chmod(d.path("home/old"), 0o755))
		d.drop("home/old")
		d.until()
		d.put("home/config/jobs/a.conf", "a")
		d.until("a = home/config/jobs/a.conf: a")
	}
}

// When the outlook's queue ran over, all directories are looked at.
func TestOutlookOverflow(t *testing.T) {
	d, above := homely(t, time.Hour)
	o := above()
	o.leave(d.path("home"))
	d.put("home/.init/a.conf", "a")
	o.hear(-1, unix.IN_Q_OVERFLOW, "")
	d.until("a = home/.init/a.conf: a")
}

// Without a second inotify everything works as it does with it.
func TestNoOutlook(t *testing.T) {
	opts := Options{outlook: func(ear) (*outlook, error) { return nil, unix.EMFILE }}
	d := openWith(t, opts, tempDir(t), "home/.init")
	d.mkdir("home")
	d.live()
	d.put("home/.init/a.conf", "a")
	d.until("a = home/.init/a.conf: a")
	d.drop("home")
	d.until()
}

// The kernel's limit of watches is told of those above, too.
func TestOutlookLimit(t *testing.T) {
	d, above := homely(t, time.Hour)
	o := above()
	ws := d.w.trees[0].watch
	ws.refused("/somewhere", unix.ENOSPC)
	ws.refused("/elsewhere", unix.ENOSPC)
	if n := d.times("fs.inotify.max_user_watches"); n != 1 {
		t.Errorf("the limit is said %d times; want once:\n%s", n, d.log)
	}
	if err := o.guard(d.path("nothing"), inode{}, false); err != unix.ENOENT {
		t.Errorf("guard of a directory that does not exist: %v; want %v", err, unix.ENOENT)
	}
}

// One directory with two names is heard under both, and watched until both
// are left.
func TestOutlookAlias(t *testing.T) {
	root := tempDir(t)
	put(t, root+"/a/file", "x")
	heard := make(fakeEar, 100)
	o, err := newOutlook(heard)
	must(t, err)
	done := make(chan struct{})
	go func() { defer close(done); o.pump() }()
	defer func() { must(t, o.close()); <-done }()
	id, err := inodeOf(root + "/a")
	must(t, err)
	must(t, o.guard(root+"/a", id, false))
	// What a bind mount would be, a name through a link is here.
	link(t, "a", root+"/b")
	must(t, o.guard(root+"/b/.", id, false))
	put(t, root+"/a/new", "x")
	for _, want := range []string{"came " + root + "/a new", "came " + root + "/b/. new"} {
		if got := heard.next(t); got != want {
			t.Errorf("heard %q; want %q", got, want)
		}
	}
	o.leave(root + "/a")
	put(t, root+"/a/newer", "x")
	if got, want := heard.next(t), "came "+root+"/b/. newer"; got != want {
		t.Errorf("heard %q; want %q", got, want)
	}
	o.leave(root + "/b/.")
	eventually(t, "all to be forgotten", func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		return len(o.watches) == 0 && len(o.dirs) == 0
	})
}

// fakeEar says what it hears.
type fakeEar chan string

func (e fakeEar) next(t *testing.T) string {
	t.Helper()
	select {
	case said := <-e:
		return said
	case <-time.After(patience):
		t.Fatal("nothing is heard")
		return ""
	}
}

func (e fakeEar) claimed(string) []string { return nil }
func (e fakeEar) came(dir, name string) bool {
	e <- "came " + dir + " " + name
	return true
}
func (e fakeEar) gone(dir string) { e <- "gone " + dir }
func (e fakeEar) lost()           { e <- "lost" }

// What was told before a directory was left alone is heard, though it was not
// yet read by then.
func TestOutlookRestsWithNews(t *testing.T) {
	root := tempDir(t)
	heard := make(fakeEar, 100)
	o, err := newOutlook(heard)
	must(t, err)
	o.pace = time.Hour
	id, err := inodeOf(root)
	must(t, err)
	must(t, o.guard(root, id, false))
	put(t, root+"/new", "x")
	o.rest(o.dirs[root])
	if !o.resting(root) {
		t.Error("the directory is not left alone")
	}
	put(t, root+"/later", "x")
	done := make(chan struct{})
	go func() { defer close(done); o.pump() }()
	defer func() { must(t, o.close()); <-done }()
	if got, want := heard.next(t), "came "+root+" new"; got != want {
		t.Errorf("heard %q; want %q", got, want)
	}
	eventually(t, "the watch to be forgotten", func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		return len(o.watches) == 0
	})
	// The directory goes meanwhile: that is found, and nothing else.
	drop(t, root)
	o.rouse(time.Now().Add(2 * time.Hour))
	if got, want := heard.next(t), "gone "+root; got != want {
		t.Errorf("heard %q; want %q", got, want)
	}
}
