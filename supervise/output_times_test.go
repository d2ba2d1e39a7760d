package supervise

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/supervise/logtime"
)

// notesOf polls until the notes of a log have its size, and gives them.
func notesOf(t *testing.T, log string) (b logtime.Book) {
	t.Helper()
	poll(t, "the notes of "+log, func() bool {
		info, err := os.Stat(log)
		if err != nil {
			t.Fatal(err)
		}
		b, _, _ = bookOf(log)
		last, ok := b.Last()
		return ok && last.Size == info.Size()
	})
	return b
}

// What a process writes is noted, with times between which it was written, over
// daemons, and over what others do to the log.
func TestNotes(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	limit := LogLimit{50_000, 3}
	c, reported := capperOf(t)
	begun := time.Now().Truncate(time.Millisecond)
	appendTo(t, log, "one\n")
	c.watch(1, "job", log, limit)
	first := notesOf(t, log).Notes
	if n := first[0]; len(first) != 1 || n.Size != 4 || n.Time.Before(begun) || n.Time.After(time.Now()) || n.From.After(n.Time) {
		t.Errorf("after the first line: %+v; want one note of 4 bytes, from %v on", first, begun)
	}
	before := time.Now()
	appendTo(t, log, "two\n")
	after := time.Now()
	notes := notesOf(t, log).Notes
	if n := notes[len(notes)-1]; n.Size != 8 || n.Time.Before(before.Truncate(time.Millisecond)) || n.From.After(after) || n.From.IsZero() {
		t.Errorf("after the second line: %+v; want 8 bytes, written between %v and %v", notes, before, after)
	}
	// A process that starts and writes nothing is no news.
	c.watch(2, "job", log, limit)
	appendTo(t, log, "three\n")
	if got := len(notesOf(t, log).Notes); got != 3 {
		t.Errorf("notes of three lines = %d; want 3", got)
	}
	<-c.stop()

	// What was written while nobody looked came at some time.
	appendTo(t, log, "four\n")
	c, again := capperOf(t)
	c.watch(1, "job", log, limit)
	notes = notesOf(t, log).Notes
	if last := notes[3]; len(notes) != 4 || !last.From.Equal(notes[2].Time) {
		t.Errorf("after a line that nobody saw: %+v; want it to have come since the last note", notes)
	}

	// A cut, after which what is noted fits the file again.
	appendTo(t, log, manyLines)
	poll(t, "a part", func() bool { return countParts(log) == 1 })
	appendTo(t, log, "five\n")
	book := notesOf(t, log)
	// The line may have come before the cut was noted, and is noted with it then.
	var cut *logtime.Cut
	for _, note := range book.Notes {
		if note.Cut != nil {
			cut = note.Cut
		}
	}
	info, err := os.Stat(log + ".1")
	if cut == nil || err != nil || cut.End-cut.Start != info.Size() {
		t.Errorf("after a cut: %+v, %v; want a cut of what is in the part", book, err)
	}

	// Emptied, deleted and made anew.
	if err := os.Truncate(log, 0); err != nil {
		t.Fatal(err)
	}
	appendTo(t, log, "six\n")
	// It may have been looked at while it was empty.
	notes = slices.DeleteFunc(notesOf(t, log).Notes, func(n logtime.Note) bool { return n.Size == 0 })
	if len(notes) != 1 || notes[0].Size != 4 {
		t.Errorf("after it was emptied: %+v; want one note", notes)
	}
	if err := os.Remove(log); err != nil {
		t.Fatal(err)
	}
	appendTo(t, log, "seven\n")
	c.watch(1, "job", log, limit)
	if b := notesOf(t, log); len(b.Notes) != 1 || b.Notes[0].Size != 6 {
		t.Errorf("after it was made anew: %+v; want one note", b)
	}
	if text, err := os.ReadFile(logtime.Path(log)); err != nil || strings.Count(string(text), "log ") != 1 {
		t.Errorf("the notes = %q, %v; want those of one log", text, err)
	}
	if got := append(reported(), again()...); len(got) > 0 {
		t.Errorf("reported %+v", got)
	}
}

// Notes that cannot be written are no fault; the next one says so.
func TestNotesLost(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	c, reported := capperOf(t)
	if err := os.MkdirAll(logtime.Path(log), 0o700); err != nil {
		t.Fatal(err)
	}
	appendTo(t, log, "one\n")
	other := log + "-other"
	appendTo(t, other, "one\n")
	c.watch(1, "job", log, LogLimit{50_000, 3})
	c.watch(2, "other", other, LogLimit{50_000, 3})
	notesOf(t, other) // by then the first has been looked at
	if err := os.Remove(logtime.Path(log)); err != nil {
		t.Fatal(err)
	}
	appendTo(t, log, "two\n")
	b := notesOf(t, log)
	if n := b.Notes[0]; len(b.Notes) != 1 || n.Time.Sub(n.From) < 0 {
		t.Errorf("after a note was lost: %+v; want one note", b)
	}
	if got := reported(); len(got) > 0 {
		t.Errorf("reported %+v", got)
	}
}

// The notes of a log are kept within bounds.
func TestNotesThinned(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	appendTo(t, log, "x\n")
	c, _ := capperOf(t)
	c.watch(1, "job", log, LogLimit{50_000, 3})
	b := notesOf(t, log)
	<-c.stop()
	long := logtime.Book{ID: b.ID}
	at := time.Now().Add(-24 * time.Hour)
	for range maxNotes / 30 {
		at = at.Add(time.Second)
		long.Notes = append(long.Notes, logtime.Note{Time: at, Size: 1, From: at})
	}
	if err := os.WriteFile(logtime.Path(log), []byte(long.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	c, _ = capperOf(t)
	c.watch(1, "job", log, LogLimit{50_000, 3})
	notesOf(t, log)
	poll(t, "the notes to be thinned", func() bool {
		info, err := os.Stat(logtime.Path(log))
		return err == nil && info.Size() < maxNotes/2
	})
	if b = notesOf(t, log); b.Notes[0].Size != 1 || b.Notes[len(b.Notes)-1].Size != 2 {
		t.Errorf("what is left of %d notes: %+v", len(long.Notes), b)
	}
}

// What was written before the machine slept is not told to have come after it.
func TestNotesLeap(t *testing.T) {
	c := newCapper(func(Event) {})
	now := time.Now()
	if from := c.earliest(now); from.IsZero() || from.After(now) {
		t.Errorf("what is new came after %v; want a time shortly before %v", from, now)
	}
	for _, slept := range []time.Duration{time.Hour, -time.Hour} {
		c.offset -= slept
		if from := c.earliest(now); !from.IsZero() {
			t.Errorf("when the clock has leapt by %v, what is new came after %v; want that nobody knows", slept, from)
		}
		now = now.Add(2*c.pace + wakeTime)
		if from := c.earliest(now); from.IsZero() {
			t.Errorf("some time after the clock has leapt by %v nobody knows when something came", slept)
		}
	}
	log := filepath.Join(t.TempDir(), "log")
	l := &watchedLog{path: log, noted: notedLog{read: true}}
	for i, at := range []time.Time{now, now.Add(-24 * time.Hour)} {
		appendTo(t, log, "one\n")
		var st unix.Stat_t
		if err := unix.Stat(log, &st); err != nil {
			t.Fatal(err)
		}
		l.noteSize(&st, at, time.Time{})
		b, _, err := bookOf(log)
		if err != nil || len(b.Notes) != i+1 || b.Notes[i].From.After(b.Notes[i].Time) {
			t.Errorf("the notes are %+v, %v; want %d, none of them after its own time", b, err, i+1)
		}
	}
}
