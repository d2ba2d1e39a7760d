package conf

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/session-init/session-init/session/job"
)

func TestPrecedence(t *testing.T) {
	d := open(t, "1", "2", "3", "none")
	d.put("1/a.conf", "first")
	d.put("2/a.conf", "second")
	d.put("3/a.conf", "third")
	d.put("2/b.conf", "second")
	d.put("3/b.conf", "third")
	d.put("3/net/c.conf", "third")
	d.load()
	d.want("a = 1/a.conf: first", "b = 2/b.conf: second", "net/c = 3/net/c.conf: third")

	d.drop("1")
	d.load()
	d.want("a = 2/a.conf: second", "b = 2/b.conf: second", "net/c = 3/net/c.conf: third")
	d.drop("2")
	d.drop("3/net")
	d.load()
	d.want("a = 3/a.conf: third", "b = 3/b.conf: third")
	d.drop("3")
	d.load()
	d.want()
}

func TestNamesInDirectories(t *testing.T) {
	d := open(t, "init", "event.d")
	d.put("init/a.conf", "x")
	d.put("init/sub/deep/z.conf", "x")
	d.put("init/d.conf/x.conf", "x")
	d.put("init/README", "broken")
	d.put("init/jobs.d/getty", "x")
	d.put("init/jobs.d/sub/plain", "broken")
	d.put("init/net/event.d/dhcp", "x")
	d.put("event.d/tty1", "x")
	for _, name := range []string{".h.conf", "a.conf~", "#a.conf#", ".a.conf.swp", "a.conf.bak", "b.conf.dpkg-new",
		"b.conf.rpmsave", ".conf", ".d/a.conf", "CVS/a.conf", "RCS/a.conf", ".git/a.conf", "old~/a.conf",
		"x.bak/a.conf", "#x#/a.conf", "jobs.d/a~", "jobs.d/a.dpkg-old"} {
		d.put("init/"+name, "broken")
	}
	d.load()
	d.want("a = init/a.conf: x", "d.conf/x = init/d.conf/x.conf: x", "getty = init/jobs.d/getty: x",
		"net/dhcp = init/net/event.d/dhcp: x", "sub/deep/z = init/sub/deep/z.conf: x", "tty1 = event.d/tty1: x")
	if log := d.log.String(); log != "" {
		t.Errorf("the log says %q; want nothing", log)
	}
}

func TestTwiceInOneDirectory(t *testing.T) {
	d := open(t, "init")
	d.put("init/a.conf", "outer")
	d.put("init/jobs.d/a", "plain")
	d.put("init/jobs.d/a.conf", "inner")
	d.load()
	d.want("a = init/jobs.d/a.conf: inner")
	for _, loser := range []string{"jobs.d/a:", "init/a.conf:"} {
		if n := d.times(loser + " not used"); n != 1 {
			t.Errorf("%q said to be unused %d times; want once", loser, n)
		}
	}
	d.load()
	if n := d.times("not used"); n != 2 {
		t.Errorf("after a second load %d files said to be unused; want 2", n)
	}
	d.drop("init/jobs.d/a.conf")
	d.load()
	d.want("a = init/jobs.d/a: plain")
}

// A jobs.d that is searched by itself is not read with the directory that
// it is in as well.
func TestSearchedTwice(t *testing.T) {
	d := open(t, "init/jobs.d", "init")
	d.put("init/jobs.d/a", "broken")
	d.put("init/a.conf", "good")
	d.load()
	d.want("a = init/a.conf: good")
	if n := d.times("jobs.d/a:3:7: broken"); n != 1 {
		t.Errorf("the error is logged %d times; want once:\n%s", n, d.log)
	}
}

func TestBroken(t *testing.T) {
	d := open(t, "1", "2")
	d.put("1/a.conf", "broken one")
	d.put("2/a.conf", "second")
	d.put("1/b.conf", "broken two")
	d.put("1/c.conf", "odd")
	d.put("2/c.conf", "broken and never looked at")
	d.load()
	d.want("a = 2/a.conf: second", "c = 1/c.conf: odd")
	for _, text := range []string{
		"level=ERROR msg=\"" + d.path("1/a.conf") + ":3:7: broken one\"",
		"level=ERROR msg=\"" + d.path("1/b.conf") + ":3:7: broken two\"",
		"level=WARN msg=\"" + d.path("1/c.conf") + ":3:7: odd\"",
		"level=WARN msg=\"job a: " + d.path("1/a.conf") + " is broken; " + d.path("2/a.conf") + " is used instead\"",
	} {
		if n := d.times(text); n != 1 {
			t.Errorf("the log says %q %d times; want once:\n%s", text, n, d.log)
		}
	}
	if d.says("never looked at") {
		t.Errorf("a file that nobody uses is complained about:\n%s", d.log)
	}
	lines := d.times("\n")
	if n := d.load(); n != 0 || d.times("\n") != lines {
		t.Errorf("an unchanged load gives %d changes and the log\n%s", n, d.log)
	}

	// What is used instead is followed, until the first is good.
	d.put("2/a.conf", "second again")
	d.load()
	d.want("a = 2/a.conf: second again", "c = 1/c.conf: odd")
	d.put("1/a.conf", "first")
	d.put("1/b.conf", "two")
	d.load()
	d.want("a = 1/a.conf: first", "b = 1/b.conf: two", "c = 1/c.conf: odd")
}

func TestLastGood(t *testing.T) {
	d := open(t, "1", "2")
	d.put("1/a.conf", "first")
	d.put("2/a.conf", "second")
	d.load()
	d.put("1/a.conf", "broken")
	if n := d.load(); n != 0 {
		t.Errorf("breaking a file makes %d changes; want 0", n)
	}
	d.want("a = 1/a.conf: first")
	if !d.says("is broken; its last good definition stays") {
		t.Errorf("the log does not say what is in force:\n%s", d.log)
	}
	d.put("2/a.conf", "second again")
	d.put("1/a.conf", "broken again")
	d.put("1/a.override", "over")
	d.load()
	d.want("a = 1/a.conf: first + 1/a.override: over")
	d.drop("1/a.override")
	d.load()
	d.want("a = 1/a.conf: first")

	// The old text once more is no change, another is.
	d.put("1/a.conf", "first")
	if n := d.load(); n != 0 {
		t.Errorf("mending a file makes %d changes; want 0", n)
	}
	d.put("1/a.conf", "broken")
	d.load()
	d.put("1/a.conf", "better")
	d.load()
	d.want("a = 1/a.conf: better")

	// A broken one in an earlier directory takes nothing away either, and
	// the one that is in force can still be changed.
	d.drop("1/a.conf")
	d.load()
	d.want("a = 2/a.conf: second again")
	d.put("1/a.conf", "broken")
	d.load()
	d.want("a = 2/a.conf: second again")
	d.put("2/a.conf", "second at last")
	d.load()
	d.want("a = 2/a.conf: second at last")
	d.put("2/a.conf", "broken too")
	d.load()
	d.want("a = 2/a.conf: second at last")
	d.drop("2/a.conf")
	d.load()
	d.want()
}

func TestBrokenThenDeleted(t *testing.T) {
	d := open(t, "1", "2")
	d.put("1/a.conf", "first")
	d.put("2/a.conf", "second")
	d.put("1/b.conf", "first")
	d.load()
	d.put("1/a.conf", "broken")
	d.put("1/b.conf", "broken")
	d.load()
	d.want("a = 1/a.conf: first", "b = 1/b.conf: first")
	d.drop("1")
	d.load()
	d.want("a = 2/a.conf: second")
}

func TestOverrides(t *testing.T) {
	d := open(t, "1", "2", "3")
	d.put("2/a.conf", "a")
	d.put("2/a.override", "beside")
	d.put("3/a.override", "too late")
	d.put("2/b.conf", "b")
	d.put("1/b.override", "earlier")
	d.put("2/b.override", "not first")
	d.put("2/c.conf", "c")
	d.put("3/c.override", "too late")
	d.put("1/alone.override", "alone")
	d.put("2/e.conf", "e")
	d.put("1/e.override", "broken")
	d.put("2/e.override", "not tried")
	d.put("1/net/f.override", "f")
	d.put("3/net/f.conf", "f")
	d.put("2/empty.conf", "g")
	d.put("2/empty.override", "")
	d.load()
	d.want(
		"a = 2/a.conf: a + 2/a.override: beside",
		"b = 2/b.conf: b + 1/b.override: earlier",
		"c = 2/c.conf: c",
		"e = 2/e.conf: e",
		"empty = 2/empty.conf: g + 2/empty.override: ",
		"net/f = 3/net/f.conf: f + 1/net/f.override: f",
	)
	if n := d.times("1/e.override:1:2: broken"); n != 1 || !d.says("1/e.override is broken and not applied") {
		t.Errorf("the broken override is logged %d times; want once:\n%s", n, d.log)
	}
	d.put("1/alone.conf", "now")
	d.put("1/c.override", "now")
	d.drop("1/b.override")
	d.put("1/e.override", "mended")
	d.put("2/a.override", "broken")
	d.load()
	d.want(
		"a = 2/a.conf: a",
		"alone = 1/alone.conf: now + 1/alone.override: alone",
		"b = 2/b.conf: b + 2/b.override: not first",
		"c = 2/c.conf: c + 1/c.override: now",
		"e = 2/e.conf: e + 1/e.override: mended",
		"empty = 2/empty.conf: g + 2/empty.override: ",
		"net/f = 3/net/f.conf: f + 1/net/f.override: f",
	)
	// A job that moves before its override loses it.
	d.put("1/a.conf", "moved")
	d.load()
	if got, want := d.jobs["a"], "1/a.conf: moved"; got != want {
		t.Errorf("a = %q; want %q", got, want)
	}
}

// An override that is broken is complained of once, however often the job
// below it changes.
func TestBrokenOverrideOnce(t *testing.T) {
	d := open(t, "1")
	d.put("1/a.conf", "one")
	d.put("1/a.override", "broken")
	d.load()
	d.put("1/a.conf", "two")
	d.load()
	d.want("a = 1/a.conf: two")
	if n := d.times("1/a.override:1:2: broken"); n != 1 {
		t.Errorf("the broken override is logged %d times; want once", n)
	}
	if n := d.load(); n != 0 {
		t.Errorf("an unchanged load gives %d changes; want 0", n)
	}
}

func TestLinks(t *testing.T) {
	d := open(t, "1", "byLink")
	d.put("store/x.conf", "x")
	d.put("store/over", "o")
	d.put("store/sub/deep/y.conf", "y")
	d.link("../store/x.conf", "1/a.conf")
	d.link("a.conf", "1/b.conf")
	d.link("../store/over", "1/a.override")
	d.link("../store/sub", "1/sub")
	d.link("..", "1/loop")
	d.link(".", "1/self")
	d.link("../store/nothing.conf", "1/dangling.conf")
	d.link("nowhere", "1/other")
	d.link("pool.conf", "1/pool.conf")
	d.link("1/sub", "byLink")
	d.load()
	d.want(
		"a = 1/a.conf: x + 1/a.override: o",
		"b = 1/b.conf: x",
		"deep/y = byLink/deep/y.conf: y",
		"loop/byLink/deep/y = 1/loop/byLink/deep/y.conf: y",
		"loop/store/sub/deep/y = 1/loop/store/sub/deep/y.conf: y",
		"loop/store/x = 1/loop/store/x.conf: x",
		"sub/deep/y = 1/sub/deep/y.conf: y",
	)
	for text, n := range map[string]int{
		"1/dangling.conf: symbolic link leads nowhere":           1,
		"1/self: it leads back":                                  1,
		"1/loop/1: it leads back":                                1,
		"1/pool.conf: cannot read the job file: too many levels": 1,
		"1/other": 0,
	} {
		if got := d.times(text); got != n {
			t.Errorf("the log says %q %d times; want %d:\n%s", text, got, n, d.log)
		}
	}
	lines := d.times("\n")
	if n := d.load(); n != 0 || d.times("\n") != lines {
		t.Errorf("an unchanged load gives %d changes and the log\n%s", n, d.log)
	}
}

func TestOnlyRegularFiles(t *testing.T) {
	d := open(t, "1", "pipe", "file")
	d.mkdir("1")
	must(t, syscall.Mkfifo(d.path("1/fifo.conf"), 0o644))
	must(t, syscall.Mkfifo(d.path("pipe"), 0o644))
	d.put("file", "x")
	d.link("/dev/zero", "1/zero.conf")
	d.link("fifo.conf", "1/link.conf")
	d.put("1/dir.conf/a", "broken")
	d.put("1/good.conf", "good")
	d.load()
	d.want("good = 1/good.conf: good")
	for _, name := range []string{"fifo.conf", "zero.conf", "link.conf"} {
		if n := d.times("1/" + name + ": cannot be a job file: it is not a regular file"); n != 1 {
			t.Errorf("%s refused %d times; want once:\n%s", name, n, d.log)
		}
	}
	for _, name := range []string{"pipe", "file"} {
		if !d.says("cannot read job files in " + d.path(name) + ": it is not a directory") {
			t.Errorf("%s not refused:\n%s", name, d.log)
		}
	}
}

func TestLargeFile(t *testing.T) {
	d := open(t, "1", "2")
	d.put("1/a.conf", strings.Repeat("x", maxFile+1))
	d.put("2/a.conf", "small")
	d.put("1/b.conf", strings.Repeat("x", maxFile))
	d.load()
	if got, want := d.jobs["a"], "2/a.conf: small"; got != want {
		t.Errorf("a = %q; want %q", got, want)
	}
	if len(d.jobs["b"]) < maxFile {
		t.Errorf("a file of just the largest size was not read whole")
	}
	if n := d.times("1/a.conf: cannot read the job file: it is larger than 4 MiB"); n != 1 {
		t.Errorf("the size is complained of %d times; want once", n)
	}
	d.load()
	if n := d.times("4 MiB"); n != 1 {
		t.Errorf("after a second load, %d times; want once", n)
	}
	// A hole that says it is larger than memory is not read either.
	must(t, os.Truncate(d.path("1/a.conf"), 1<<40))
	d.load()
	if got, want := d.jobs["a"], "2/a.conf: small"; got != want {
		t.Errorf("a = %q; want %q", got, want)
	}
}

// Permissions keep everybody from reading but root, who may run the tests.
func TestPermissions(t *testing.T) {
	d := open(t, "1", "2")
	d.put("1/sub/a.conf", "a")
	d.put("1/b.conf", "b")
	d.put("2/b.conf", "two")
	d.put("2/c.conf", "c")
	must(t, os.Chmod(d.path("1/sub"), 0))
	must(t, os.Chmod(d.path("1/b.conf"), 0))
	t.Cleanup(func() { must(t, os.Chmod(d.path("1/sub"), 0o755)) })
	d.live()
	if os.Geteuid() == 0 {
		d.want("b = 1/b.conf: b", "c = 2/c.conf: c", "sub/a = 1/sub/a.conf: a")
		return
	}
	d.want("b = 2/b.conf: two", "c = 2/c.conf: c")
	for _, text := range []string{
		"cannot read job files in " + d.path("1/sub") + ": permission denied",
		d.path("1/b.conf") + ": cannot read the job file: permission denied",
	} {
		if n := d.times(text); n != 1 {
			t.Errorf("the log says %q %d times; want once:\n%s", text, n, d.log)
		}
	}
	must(t, os.Chmod(d.path("1/b.conf"), 0o644))
	d.until("b = 1/b.conf: b", "c = 2/c.conf: c")
	must(t, os.Chmod(d.path("1/sub"), 0o755))
	d.until("b = 1/b.conf: b", "c = 2/c.conf: c", "sub/a = 1/sub/a.conf: a")
	d.put("1/sub/a.conf", "written")
	d.until("b = 1/b.conf: b", "c = 2/c.conf: c", "sub/a = 1/sub/a.conf: written")
	must(t, os.Chmod(d.path("1/sub"), 0))
	d.load()
	d.want("b = 1/b.conf: b", "c = 2/c.conf: c", "sub/a = 1/sub/a.conf: written")
}

// What cannot be read is not gone.
func TestUnreadable(t *testing.T) {
	d := open(t, "1/jobs", "2")
	d.put("1/jobs/a.conf", "first")
	d.put("1/jobs/sub/b.conf", "b")
	d.put("2/a.conf", "second")
	d.load()
	d.move("1", "kept")
	d.link("1", "1")
	if n := d.load(); n != 0 {
		t.Errorf("an unreadable directory makes %d changes; want 0", n)
	}
	if n := d.times("cannot read job files in " + d.path("1/jobs") + ": too many levels"); n != 1 {
		t.Errorf("the directory is complained of %d times; want once:\n%s", n, d.log)
	}
	d.drop("1")
	d.load()
	d.want("a = 2/a.conf: second")
	d.move("kept", "1")
	d.load()
	d.want("a = 1/jobs/a.conf: first", "sub/b = 1/jobs/sub/b.conf: b")
}

func TestTooDeep(t *testing.T) {
	d := open(t, "1")
	d.put("1/"+strings.Repeat("d/", maxDepth+5)+"a.conf", "deep")
	d.put("1/z.conf", "z")
	d.load()
	d.want("z = 1/z.conf: z")
	if d.times("directories deep") != 1 {
		t.Errorf("the log does not say what was left out:\n%s", d.log)
	}
}

// Directories of which each leads to the next by two links have more paths
// than anybody could read.
func TestMaze(t *testing.T) {
	d := open(t, "1")
	d.put("1/a/x.conf", "x")
	for i := range 20 {
		for _, name := range []string{"l", "r"} {
			d.link(fmt.Sprintf("../%02d", i+1), fmt.Sprintf("maze/%02d/%s", i, name))
		}
	}
	d.mkdir("maze/20")
	d.link("../maze/00", "1/maze")
	d.load()
	d.want("a/x = 1/a/x.conf: x")
	if n := d.times("more than 10000 directories"); n != 1 {
		t.Errorf("the bound is said %d times; want once", n)
	}
	d.drop("maze")
	d.load()
	if n := len(d.w.trees[0].dirs); n != 2 {
		t.Errorf("%d directories known; want 2", n)
	}
}

func TestAnyBytesInNames(t *testing.T) {
	d := open(t, "1")
	d.put("1/\xff\n\t .conf", "x")
	d.load()
	d.want("\xff\n\t  = 1/\xff\n\t .conf: x")
}

func TestSentence(t *testing.T) {
	for _, c := range []struct {
		problem job.Problem
		want    string
	}{
		{job.Problem{Path: "/a", Line: 2, Col: 4, Msg: "no"}, "/a:2:4: no"},
		{job.Problem{Path: "/a", Line: 2, Msg: "no"}, "/a:2: no"},
		{job.Problem{Path: "/a", Msg: "no"}, "/a: no"},
	} {
		if got := sentence(c.problem); got != c.want {
			t.Errorf("sentence(%+v) = %q; want %q", c.problem, got, c.want)
		}
	}
}
