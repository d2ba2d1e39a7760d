package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/session-init/session-init/supervise/logtime"
)

// When the lines of a log came is known by what session-init has noted: see
// package logtime. A line has the time of the first note that has it whole. Where
// there are no notes, what is known is when a part of the log was changed last.

// pastLine is a line that is in a log. It came between from and at; each of them is
// zero when it is not known.
type pastLine struct {
	log      *logFile
	from, at time.Time
	text     string
}

// exact tells whether the time of a line is known as well as it can be.
func (l *pastLine) exact() bool {
	return !l.from.IsZero() && !l.at.IsZero() && l.at.Sub(l.from) <= exactness
}

// exactness is what session-init's notes are exact to, some time for a machine that
// is busy included.
const exactness = 5 * time.Second

// logText is the text of a log, its older parts first.
type logText struct {
	parts   [][]byte
	changed []time.Time // when each part was
	start   int64       // where in the file the last of them begins
	id      logtime.ID
	// born is when the last of them was made, zero when that is not known: what
	// stands there came later.
	born time.Time
}

// bound is a place in the text: what stands before it came before its time. One
// that is noted says too that what stands behind came later, and what is new since
// the last note came after from.
type bound struct {
	at         int
	time, from time.Time
	noted      bool
}

// lines gives the lines with their times. A line that has no end yet is one.
func (t *logText) lines(log *logFile, book logtime.Book) []pastLine {
	text := bytes.Join(t.parts, nil)
	older := len(text) - len(t.parts[len(t.parts)-1])
	bounds := t.bounds(book)
	var out []pastLine
	var last time.Time // of the note before
	i := 0
	for begin := 0; begin < len(text); {
		end, next := len(text), len(text)
		if n := bytes.IndexByte(text[begin:], '\n'); n >= 0 {
			end, next = begin+n, begin+n+1
		}
		for i < len(bounds) && bounds[i].at < next {
			if bounds[i].noted {
				last = bounds[i].time
			}
			i++
		}
		line := pastLine{log: log, from: last, text: string(text[begin:end])}
		if i < len(bounds) {
			line.at = bounds[i].time
			if bounds[i].from.After(line.from) {
				line.from = bounds[i].from
			}
		}
		// Of a copy that kept the time of its last change it says nothing.
		if begin >= older && t.born.After(line.from) && !t.born.After(line.at) {
			line.from = t.born
		}
		out = append(out, line)
		begin = next
	}
	return out
}

// placeOf gives where a place in a log is after cuts: how many bytes behind what
// is in older parts, or, below 0, how many before their end. The log begins at start.
func placeOf(at, start int64, cuts []logtime.Cut) int {
	for i, c := range cuts {
		if at <= c.End {
			at -= c.End
			for _, later := range cuts[i+1:] {
				at -= later.End - later.Start
			}
			return int(at)
		}
		at -= c.Moved
	}
	return int(at - start)
}

// kernelTick is how much older the kernel may say a file is than what was written
// to it last: its clock for that goes by ticks.
const kernelTick = 10 * time.Millisecond

// bounds gives the places in the text at which the time is known, in their order:
// those that are noted, and the ends of the parts.
func (t *logText) bounds(book logtime.Book) []bound {
	older, whole := 0, 0
	for i, part := range t.parts {
		whole += len(part)
		if i < len(t.parts)-1 {
			older = whole
		}
	}
	var list []bound
	add := func(at int, n logtime.Note) {
		if at >= 0 && at <= whole {
			list = append(list, bound{at, n.Time, n.From, true})
		}
	}
	if book.ID == t.id {
		var cuts []logtime.Cut // that came later, the first of them first
		for _, n := range slices.Backward(book.Notes) {
			if n.Cut != nil {
				cuts = slices.Insert(cuts, 0, *n.Cut)
				continue
			}
			add(older+placeOf(n.Size, t.start, cuts), n)
		}
		slices.Reverse(list)
	}
	at := 0
	for i, part := range t.parts {
		at += len(part)
		if !t.changed[i].IsZero() {
			list = append(list, bound{at: at, time: t.changed[i].Add(kernelTick)})
		}
	}
	slices.SortStableFunc(list, func(a, b bound) int { return a.at - b.at })
	// The earlier time says more.
	for i := len(list) - 2; i >= 0; i-- {
		switch next := list[i+1].time; {
		case list[i].time.Before(next):
		case list[i].noted:
			list[i].time = next
		default:
			list = slices.Delete(list, i, i+1)
		}
	}
	return list
}

// pastLines gives the lines of a log, of which the file itself reads so from the
// place start on. Without a limit, -1, all older parts are read, else what is needed.
func pastLines(log *logFile, now []byte, start int64, limit int) ([]pastLine, error) {
	older, err := readParts(log.path, 1, limit)
	if err != nil {
		return nil, err
	}
	t := logText{parts: append(older, now), start: start}
	if t.id, t.born, err = logtime.Of(log.path); err != nil && !os.IsNotExist(err) {
		return nil, fmt.Errorf("cannot look at %s: %w", log.path, reasonOf(err))
	}
	for i := range t.parts {
		name := log.path
		if n := len(t.parts) - 1 - i; n > 0 {
			name += "." + strconv.Itoa(n)
		}
		var changed time.Time
		if info, err := os.Stat(name); err == nil {
			changed = info.ModTime()
		}
		t.changed = append(t.changed, changed)
	}
	return t.lines(log, readNotes(log.path)), nil
}

// maxNotes bounds what is read of notes, in bytes; session-init keeps them below.
const maxNotes = 1 << 20

// readNotes gives what is noted of a log; nothing where that cannot be read.
func readNotes(path string) logtime.Book {
	file, err := openLog(logtime.Path(path))
	if err != nil {
		return logtime.Book{}
	}
	defer file.Close()
	text := make([]byte, maxNotes)
	n, _ := file.ReadAt(text, 0)
	return logtime.Parse(text[:n])
}

// chosen takes of the lines of one log those that the options ask for: what came
// since a time, and of that the last lines, all for -1.
func (c *command) chosen(lines []pastLine, limit int) []pastLine {
	since := c.options.since
	if since.IsZero() {
		return lastOf(lines, limit)
	}
	first := len(lines)
	for first > 0 && (lines[first-1].at.IsZero() || lines[first-1].at.After(since)) {
		first--
	}
	lines = lastOf(lines[first:], limit)
	if len(lines) > 0 && !c.options.quiet {
		if doubt := lines[0].doubt(since); doubt != "" {
			fmt.Fprintf(c.stderr, "%s: the first lines of %s may be older: %s\n", c.prefix(), printable(lines[0].log.name()), doubt)
		}
	}
	return lines
}

// doubt says why a line that is shown may be older than was asked for; empty when
// it is not.
func (l *pastLine) doubt(since time.Time) string {
	if l.exact() || l.from.After(since) {
		return ""
	}
	age := "nobody has noted when they came"
	if !l.from.IsZero() {
		age = "nobody has noted when they came, after " + l.from.Format(time.DateTime)
		if !l.at.IsZero() {
			age += " and before " + l.at.Format(time.DateTime)
		}
	}
	return age
}

// merged puts the lines of several logs into one order, by their times; those of
// one log stay in theirs. A line whose time is not known stays behind the one before.
func merged(logs [][]pastLine) []pastLine {
	var out []pastLine
	at := func(lines []pastLine) time.Time {
		if lines[0].exact() {
			return lines[0].at
		}
		return time.Time{}
	}
	for {
		best := -1
		for i, lines := range logs {
			if len(lines) > 0 && (best < 0 || at(lines).Before(at(logs[best]))) {
				best = i
			}
		}
		if best < 0 {
			return out
		}
		out = append(out, logs[best][0])
		logs[best] = logs[best][1:]
	}
}

// parseSince reads a time, or how long ago it is: "10min", "2h30m", "3d", "14:05",
// "yesterday", "2006-01-02 15:04", RFC 3339, "@SECONDS".
func parseSince(text string, now time.Time) (time.Time, error) {
	at, ok := timeIn(strings.TrimSpace(text), now)
	switch {
	case !ok:
		return at, fmt.Errorf("'%s' is no time: these are 10min, 2h30m, 3d, 14:05, yesterday, '2006-01-02 15:04'", text)
	case at.After(now):
		return at, fmt.Errorf("'%s' is a time to come", text)
	}
	return at, nil
}

func timeIn(text string, now time.Time) (at time.Time, ok bool) {
	midnight := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, now.Location())
	switch text {
	case "today":
		return midnight, true
	case "yesterday":
		return midnight.AddDate(0, 0, -1), true
	}
	if rest, isUnix := strings.CutPrefix(text, "@"); isUnix {
		seconds, err := strconv.ParseInt(rest, 10, 40)
		return time.Unix(seconds, 0), err == nil && seconds >= 0
	}
	if ago, isAgo := agoIn(text); isAgo {
		return now.Add(-ago), true
	}
	for _, form := range []string{"15:04", "15:04:05"} {
		if clock, err := time.Parse(form, text); err == nil {
			at = time.Date(now.Year(), now.Month(), now.Day(), clock.Hour(), clock.Minute(), clock.Second(), 0, now.Location())
			if at.After(now) {
				at = at.AddDate(0, 0, -1) // that of yesterday
			}
			return at, true
		}
	}
	for _, form := range []string{time.RFC3339, "2006-01-02", "2006-01-02 15:04", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02T15:04:05"} {
		if at, err := time.ParseInLocation(form, text, now.Location()); err == nil {
			return at, true
		}
	}
	return at, false
}

// agoIn reads how long ago: numbers, each with its unit.
func agoIn(text string) (ago time.Duration, ok bool) {
	for text != "" {
		digits := strings.IndexFunc(text, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
		if digits <= 0 {
			return 0, false
		}
		rest := text[digits:]
		letters := strings.IndexFunc(rest, func(r rune) bool { return r < 'a' || r > 'z' })
		if letters < 0 {
			letters = len(rest)
		}
		number, err := strconv.ParseFloat(text[:digits], 64)
		unit, known := map[string]time.Duration{"s": time.Second, "sec": time.Second, "m": time.Minute, "min": time.Minute,
			"h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour}[rest[:letters]]
		if err != nil || !known || number > 1e6 {
			return 0, false
		}
		ago += time.Duration(number * float64(unit))
		text, ok = strings.TrimSpace(rest[letters:]), true
	}
	return ago, ok && ago >= 0
}
