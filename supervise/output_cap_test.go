package supervise

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// capperOf is a capper that a test drives, and what it has reported, but for
// Worked.
func capperOf(t *testing.T) (c *capper, reported func() []Event) {
	t.TempDir() // is removed when the capper has ended; see newWorld
	var mu sync.Mutex
	var all []Event
	c = newCapper(func(ev Event) {
		if _, worked := ev.(Worked); worked {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		all = append(all, ev)
	})
	// The test may be held up for longer than a machine that is in use is.
	c.pace, c.delay = time.Millisecond, patience
	c.start()
	t.Cleanup(func() { <-c.stop() })
	return c, func() []Event {
		mu.Lock()
		defer mu.Unlock()
		return all
	}
}

func appendTo(t *testing.T, log, text string) {
	t.Helper()
	f, err := os.OpenFile(log, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

var manyLines = strings.Repeat("0123456789abcde\n", 4096)

func TestCapperRepeats(t *testing.T) {
	c, reported := capperOf(t)
	log := filepath.Join(t.TempDir(), "log")
	// Too large from the start, then again and again: each watch goes off.
	for round := 1; round <= 10; round++ {
		appendTo(t, log, manyLines)
		if round == 1 {
			c.watch(1, "job", log, LogLimit{50_000, 100})
		}
		poll(t, "a part", func() bool { return countParts(log) == round })
	}
	if got := reported(); len(got) > 0 {
		t.Errorf("reported %+v", got)
	}
}

// TestCapperForgets: of a log that is deleted or renamed nothing is kept, and
// the next of that name is a new one.
func TestCapperForgets(t *testing.T) {
	for _, test := range []struct {
		name string
		gone func(log string) error
	}{
		{"deleted", os.Remove},
		{"renamed", func(log string) error { return os.Rename(log, log+".old") }},
		{"a directory now", func(log string) error {
			if err := os.Remove(log); err != nil {
				return err
			}
			return os.Mkdir(log, 0o700)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, reported := capperOf(t)
			dir := t.TempDir()
			log, other := filepath.Join(dir, "log"), filepath.Join(dir, "other")
			appendTo(t, log, "x\n")
			c.watch(1, "job", log, LogLimit{50_000, 1})
			appendTo(t, other, manyLines)
			c.watch(2, "other", other, LogLimit{50_000, 9})
			poll(t, "a part of the other", func() bool { return countParts(other) == 1 })
			f, err := os.OpenFile(log, os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if err := test.gone(log); err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteString(manyLines); err != nil {
				t.Fatal(err)
			}
			f.Close()
			// When the other is cut again, this one has been looked at too.
			appendTo(t, other, manyLines)
			poll(t, "another part of the other", func() bool { return countParts(other) == 2 })
			if err := os.RemoveAll(log); err != nil {
				t.Fatal(err)
			}
			appendTo(t, log, manyLines)
			c.watch(3, "job", log, LogLimit{50_000, 1})
			poll(t, "a part", func() bool { return countParts(log) == 1 })
			<-c.stop()
			if len(c.byPath) != 2 || len(c.byWatch) > 2 {
				t.Errorf("watched are %d logs, %d watches; want 2", len(c.byPath), len(c.byWatch))
			}
			if got := reported(); len(got) > 0 {
				t.Errorf("reported %+v", got)
			}
		})
	}
}

// TestCapperLeavesAlone: what is no file is not opened, let alone waited for.
func TestCapperLeavesAlone(t *testing.T) {
	c, reported := capperOf(t)
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for id, path := range []string{fifo, dir, "/dev/full", "/dev/null", filepath.Join(dir, "none"), filepath.Join(dir, "none/none")} {
		c.watch(ProcID(id), "job", path, LogLimit{1, 1})
	}
	unlimited := filepath.Join(dir, "unlimited")
	appendTo(t, unlimited, manyLines)
	c.watch(7, "job", unlimited, LogLimit{0, 0})
	log := filepath.Join(dir, "log")
	appendTo(t, log, manyLines)
	c.watch(8, "job", log, LogLimit{50_000, 1})
	poll(t, "a part", func() bool { return countParts(log) == 1 })
	<-c.stop()
	if len(c.byPath) != 1 || len(c.byWatch) > 1 {
		t.Errorf("watched are %d logs; want 1", len(c.byPath))
	}
	if got := reported(); len(got) > 0 {
		t.Errorf("reported %+v", got)
	}
	c.watch(9, "job", log, LogLimit{1, 1})
	if len(c.mail) > 0 {
		t.Error("a log is taken after the end")
	}
}

// TestCapperWithoutWatches: then a log is looked at when a process starts.
func TestCapperWithoutWatches(t *testing.T) {
	c, reported := capperOf(t)
	<-c.stop()
	c.inotify, c.refused = -1, unix.EMFILE
	log := filepath.Join(t.TempDir(), "log")
	for range 2 {
		appendTo(t, log, manyLines)
		c.mail = []watchedLog{{id: 1, label: "job", path: log, limit: LogLimit{50_000, 9}}}
		c.fetch()
	}
	if got := countParts(log); got != 2 {
		t.Errorf("%d parts; want 2", got)
	}
	want := OutputFault{1, "job", log, ProblemWatch, unix.EMFILE}
	if got := reported(); len(got) != 2 || got[0] != want ||
		want.Error() != "cannot watch log file "+log+": too many open files: it is kept within its limit when a process starts only" {
		t.Errorf("reported %+v, %q", got, want.Error())
	}
}

// TestCapperGivesUpForAWhile: a log that cannot be cut is not tried at every
// write.
func TestCapperGivesUpForAWhile(t *testing.T) {
	c, reported := capperOf(t)
	<-c.stop()
	c.inotify = -1
	c.pace = time.Hour
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	appendTo(t, log, manyLines)
	// A directory is in the way of the copy.
	if err := os.MkdirAll(newName(log, 1), 0o700); err != nil {
		t.Fatal(err)
	}
	l := &watchedLog{id: 1, label: "job", path: log, limit: LogLimit{50_000, 1}}
	for range 5 {
		c.look(l)
	}
	want := OutputFault{1, "job", log, ProblemLimit, unix.EISDIR}
	if got := reported(); len(got) != 1 || got[0] != want ||
		want.Error() != "cannot keep log file "+log+" within its limit: is a directory" {
		t.Errorf("reported %+v, %q; want one fault", got, want.Error())
	}
	if text, err := os.ReadFile(log); string(text) != manyLines || err != nil {
		t.Errorf("the log has changed: %d bytes, %v", len(text), err)
	}
	if err := os.Remove(newName(log, 1)); err != nil {
		t.Fatal(err)
	}
	l.retry = time.Now()
	c.look(l)
	if countParts(log) != 1 || l.failures != 0 {
		t.Errorf("%d parts, %d failures; want it cut when it can be", countParts(log), l.failures)
	}
}

// TestWorked: that a log was looked at is told, since memory went to it.
func TestWorked(t *testing.T) {
	worked := make(chan struct{}, 1)
	c := newCapper(func(ev Event) {
		if _, is := ev.(Worked); is {
			select {
			case worked <- struct{}{}:
			default:
			}
		}
	})
	log := filepath.Join(t.TempDir(), "log")
	c.pace = time.Millisecond
	c.start()
	t.Cleanup(func() { <-c.stop() })
	appendTo(t, log, "one\n")
	c.watch(1, "job", log, LogLimit{1 << 20, 1})
	poll(t, "a look at the log", func() bool {
		appendTo(t, log, "another\n")
		return len(worked) == 1
	})
}
