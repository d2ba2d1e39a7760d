package conf

import (
	"os"
	"testing"
	"time"
)

// slow opens a file as a shell's > does, and writes no more than this.
func (d *desk) slow(name, text string) *os.File {
	d.t.Helper()
	f, err := os.Create(d.path(name))
	must(d.t, err)
	d.t.Cleanup(func() { f.Close() })
	more(d.t, f, text)
	return f
}

// half opens a file as a shell's > does, and writes to it once that is noticed, by
// the path under which the file is a job's: a write at the moment at which the new
// file is read may be taken for all of it.
func (d *desk) half(name, job, text string) *os.File {
	d.t.Helper()
	f := d.slow(name, "")
	eventually(d.t, name+" to be waited for", func() bool {
		d.w.dirt.mu.Lock()
		defer d.w.dirt.mu.Unlock()
		_, waited := d.w.dirt.writing[target{0, d.path(job)}]
		return waited
	})
	more(d.t, f, text)
	return f
}

func more(t *testing.T, f *os.File, text string) {
	t.Helper()
	_, err := f.WriteString(text)
	must(t, err)
}

// A file that is being written goes on to count as it did, or does not count,
// until who writes it has closed it. That something was noticed is known by
// another file, which comes after it.
func TestHalfWritten(t *testing.T) {
	d := open(t, "1", "2")
	d.put("1/a.conf", "good")
	d.put("1/b.conf", "good")
	d.put("1/broken.conf", "broken")
	d.put("store/linked", "good")
	d.link("../store/linked", "1/linked.conf")
	d.live()
	want := []string{"a = 1/a.conf: good", "b = 1/b.conf: good", "linked = 1/linked.conf: good"}
	d.want(want...)

	half := map[string]*os.File{
		"1/a.conf":     d.half("1/a.conf", "1/a.conf", "ha"),
		"1/b.override": d.half("1/b.override", "1/b.override", "ha"),
		"1/new.conf":   d.half("1/new.conf", "1/new.conf", "ha"),
		"1/empty.conf": d.slow("1/empty.conf", ""),
		"store/linked": d.half("store/linked", "1/linked.conf", "ha"),
	}
	notices := d.times("broken")
	d.put("1/z.conf", "one")
	d.until(append(want, "z = 1/z.conf: one")...)
	// A look at everything leaves them alone as well, and so does what happens
	// to their mode, and more text.
	must(t, half["1/a.conf"].Chmod(0o600))
	more(t, half["1/a.conf"], "lf")
	more(t, half["1/empty.conf"], "ha")
	d.mkdir("1/sub")
	d.put("1/sub/y.conf", "one")
	d.until(append(want, "sub/y = 1/sub/y.conf: one", "z = 1/z.conf: one")...)
	d.drop("1/sub")
	d.put("1/z.conf", "two")
	d.until(append(want, "z = 1/z.conf: two")...)
	if n := d.times("broken"); n != notices {
		t.Errorf("what is wrong with another file is said %d times; want %d:\n%s", n, notices, d.log)
	}

	for name, f := range half {
		if name != "1/a.conf" && name != "1/empty.conf" {
			more(t, f, "lf")
		}
		more(t, f, " and half")
		must(t, f.Close())
	}
	d.until("a = 1/a.conf: half and half", "b = 1/b.conf: good + 1/b.override: half and half", "empty = 1/empty.conf: ha and half",
		"linked = 1/linked.conf: half and half", "new = 1/new.conf: half and half", "z = 1/z.conf: two")
}

// Who opens a file, writes it in a while and goes on writing is waited for,
// and so is who has made its directory just before.
func TestEmptyAtFirst(t *testing.T) {
	d := open(t, "1")
	d.put("1/z.conf", "one")
	d.live()
	d.mkdir("1/sub")
	f := d.slow("1/sub/a.conf", "")
	d.put("1/z.conf", "two")
	d.until("z = 1/z.conf: two")
	d.mkdir("1/other") // everything is looked at
	d.put("1/other/y.conf", "y")
	d.until("other/y = 1/other/y.conf: y", "z = 1/z.conf: two")
	more(t, f, "a")
	must(t, f.Close())
	d.until("other/y = 1/other/y.conf: y", "sub/a = 1/sub/a.conf: a", "z = 1/z.conf: two")
}

// What is empty and stays so counts at once: who made it has closed it, or it
// has come whole.
func TestEmptyOnPurpose(t *testing.T) {
	d := open(t, "1")
	d.put("store/empty", "")
	d.put("1/a.conf", "a")
	d.live()
	d.put("1/a.conf", "")
	d.until("a = 1/a.conf: ")
	d.put("1/b.conf", "")
	d.until("a = 1/a.conf: ", "b = 1/b.conf: ")
	d.swap("1/c.conf", "")
	d.until("a = 1/a.conf: ", "b = 1/b.conf: ", "c = 1/c.conf: ")
	must(t, os.Link(d.path("store/empty"), d.path("1/d.conf")))
	d.until("a = 1/a.conf: ", "b = 1/b.conf: ", "c = 1/c.conf: ", "d = 1/d.conf: ")
}

// Another file in the place of one that is being written is whole, and one that
// is removed is gone.
func TestWriterLosesFile(t *testing.T) {
	d := open(t, "1")
	d.put("1/a.conf", "good")
	d.put("1/b.conf", "good")
	d.live()
	a, b := d.slow("1/a.conf", "ha"), d.slow("1/b.conf", "ha")
	d.swap("1/a.conf", "other")
	d.drop("1/b.conf")
	d.until("a = 1/a.conf: other")
	more(t, a, "lf")
	must(t, a.Close())
	must(t, b.Close())
	d.put("1/z.conf", "z")
	d.until("a = 1/a.conf: other", "z = 1/z.conf: z")
}

// Who never closes a file does not hold it back for ever, whether something
// was written or not; what comes later counts later.
func TestWriterNeverCloses(t *testing.T) {
	d := openWith(t, Options{Writing: 20 * time.Millisecond}, tempDir(t), "1")
	d.mkdir("1")
	d.live()
	d.slow("1/a.conf", "")
	d.until("a = 1/a.conf: ")
	f := d.slow("1/b.conf", "half")
	d.until("a = 1/a.conf: ", "b = 1/b.conf: half")
	more(t, f, " and half")
	d.until("a = 1/a.conf: ", "b = 1/b.conf: half and half")
	// Nobody opens it for this, so that nobody closes it.
	d.put("1/c.conf", "cut off")
	d.until("a = 1/a.conf: ", "b = 1/b.conf: half and half", "c = 1/c.conf: cut off")
	must(t, os.Truncate(d.path("1/c.conf"), 3))
	d.until("a = 1/a.conf: ", "b = 1/b.conf: half and half", "c = 1/c.conf: cut")
}

// What is asked for is read as it is, be it half.
func TestHalfWrittenAskedFor(t *testing.T) {
	d := open(t, "1")
	d.put("1/a.conf", "good")
	d.live()
	f := d.slow("1/a.conf", "half")
	d.put("1/z.conf", "z")
	d.until("a = 1/a.conf: good", "z = 1/z.conf: z")
	d.load()
	d.want("a = 1/a.conf: half", "z = 1/z.conf: z")
	more(t, f, " and half")
	must(t, f.Close())
	d.until("a = 1/a.conf: half and half", "z = 1/z.conf: z")
}

func TestDirtOfWriters(t *testing.T) {
	const idle = time.Hour
	d := newDirt(1, idle)
	a, b := target{0, "/a"}, target{0, "/b"}
	d.mark(a, came)
	d.mark(a, written)
	d.mark(b, written)
	if got := d.take()[0]; !got.empty() || !got.writing["/a"] || !got.writing["/b"] {
		t.Errorf("work = %+v; want none, and two files that are written", got)
	}
	if wait, ok := d.due(time.Millisecond); !ok || wait <= idle/2 || wait > idle {
		t.Errorf("due = %v, %t; want an hour", wait, ok)
	}

	// Who begins anew within the time has it anew, but not for ever.
	at := func(first, last time.Duration) {
		now := time.Now()
		d.writing[a] = writing{now.Add(-first), now.Add(-last)}
	}
	at(4*idle, idle/2)
	d.mark(a, altered)
	if wait, _ := d.due(time.Millisecond); wait <= idle/2 {
		t.Errorf("due = %v; want an hour", wait)
	}
	at(5*idle, 0)
	if wait, ok := d.due(time.Millisecond); !ok || wait != 0 {
		t.Errorf("due = %v, %t; want now", wait, ok)
	}
	if got := d.take()[0]; got.names["/a"] != entire || got.writing["/a"] || !got.writing["/b"] {
		t.Errorf("work = %+v; want the one that takes too long as it is", got)
	}

	// What was heard is stronger than what it looks like.
	d.mark(a, whole)
	d.begun(0, []string{"/a", "/c"})
	if got := d.take()[0]; got.names["/a"] != entire || len(got.names) != 1 || got.writing["/a"] || !got.writing["/c"] {
		t.Errorf("work = %+v; want the closed file", got)
	}
	d.markAll()
	if got := d.take()[0]; !got.reread || got.writing != nil {
		t.Errorf("work = %+v; want all to be read: that they were closed may be lost", got)
	}
	d.mark(a, written)
	d.mark(target{index: 0}, went)
	if got := d.take()[0]; !got.walk || !got.writing["/a"] {
		t.Errorf("work = %+v; want a look that leaves the file alone", got)
	}
	d.mark(target{index: 0}, lost)
	if got := d.take()[0]; !got.walk || got.writing != nil {
		t.Errorf("work = %+v; want a look: that it was closed may be lost", got)
	}
	d.mark(a, written)
	d.drop()
	if wait, ok := d.due(time.Millisecond); ok {
		t.Errorf("due = %v after all was dropped", wait)
	}

	// The later says who writes now.
	w := work{names: map[string]standing{"/a": entire}, writing: map[string]bool{"/b": true}}
	w.merge(work{names: map[string]standing{"/a": unsaid}, writing: map[string]bool{"/c": true}})
	if w.names["/a"] != entire || w.writing["/b"] || !w.writing["/c"] {
		t.Errorf("work = %+v", w)
	}
	for range 2 * maxNames {
		d.mark(target{0, time.Duration(len(d.writing)).String()}, written)
	}
	if len(d.writing) > maxNames {
		t.Errorf("%d files are waited for; want %d", len(d.writing), maxNames)
	}
}

// Whether a file is whole is what was told of it last: of the file that was there
// before it says nothing, also when both came in one batch.
func TestStanding(t *testing.T) {
	a := target{0, "/a"}
	for _, test := range []struct {
		before, later []change // two batches
		want          standing
	}{
		{[]change{came}, nil, another},
		{[]change{came, whole}, nil, entire},
		{[]change{whole, altered}, nil, entire},
		{[]change{altered}, nil, unsaid},
		{[]change{whole, went}, nil, another},
		{[]change{whole, went, came}, nil, another},
		{[]change{whole, lost, came}, nil, another},
		{[]change{whole, went, came, altered}, nil, another},
		{[]change{whole, went, came, whole}, nil, entire},
		{[]change{whole}, []change{altered}, entire},
		{[]change{whole}, []change{went, came}, another},
		{[]change{came}, []change{whole}, entire},
		{[]change{went, came}, []change{altered}, another},
	} {
		d := newDirt(1, time.Hour)
		for _, c := range test.before {
			d.mark(a, c)
		}
		w := d.take()[0]
		for _, c := range test.later {
			d.mark(a, c)
		}
		w.merge(d.take()[0])
		if got := w.names["/a"]; got != test.want {
			t.Errorf("after %v and %v the file's standing = %v; want %v", test.before, test.later, got, test.want)
		}
	}
}
