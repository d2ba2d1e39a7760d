package session

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// planner is a machine's daemon of which there is no more than its schedule.
func planner(t *testing.T) *Daemon {
	t.Helper()
	dir := t.TempDir()
	d := &Daemon{
		Loop:    &Loop{ended: make(chan struct{}), log: slog.New(slog.NewTextHandler(io.Discard, nil))},
		opts:    Options{System: &System{}},
		runtime: &runtimeDir{own: dir},
	}
	d.system.schedule.noLogin = filepath.Join(dir, "nologin")
	return d
}

func planned(how string, left time.Duration) *plannedEnd {
	return &plannedEnd{how: how, at: time.Now().Add(left).Round(0), back: make(chan struct{})}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// Who writes the file down, or takes it away, may come late: it says what is to
// come, whatever was wanted before.
func TestScheduleOvertaken(t *testing.T) {
	d := planner(t)
	s := &d.system.schedule
	first, second := planned("halt", time.Hour), planned("reboot", time.Hour)

	s.next = first
	d.forgetEnd()
	d.removeSchedule()
	d.writeSchedule(first)
	if exists(d.schedulePath()) {
		t.Error("an end that was taken back is written down")
	}

	s.next = second
	d.writeSchedule(second)
	d.writeSchedule(first)
	d.removeSchedule()
	d.removeScheduleFile()
	text, err := os.ReadFile(d.schedulePath())
	if err != nil || string(text[:len("reboot\n")]) != "reboot\n" {
		t.Errorf("what is to come is written down as %q, %v; want the second end", text, err)
	}

	d.forgetEnd()
	d.removeSchedule()
	if exists(d.schedulePath()) {
		t.Error("the file is left of an end that was taken back")
	}
}

// Nobody may log in when the end is soon, and only then.
func TestBarLogins(t *testing.T) {
	d := planner(t)
	s := &d.system.schedule
	path := s.noLoginPath()
	s.next = planned("halt", time.Hour)
	for _, step := range []struct {
		what string
		left time.Duration
		want bool
	}{
		{"an hour before", time.Hour, false},
		{"at five minutes", noLoginTime, true},
		{"a minute before", time.Minute, true},
		{"when the clock was set back", time.Hour, false},
		{"when it comes", 0, true},
	} {
		if d.barLogins(s.next, step.left); exists(path) != step.want {
			t.Errorf("%s logins are barred: %t; want %t", step.what, exists(path), step.want)
		}
	}
	// Another end, in an hour, takes its place.
	old := s.next
	s.next = planned("reboot", time.Hour)
	d.barLogins(old, time.Minute)
	if d.barLogins(s.next, time.Hour); exists(path) {
		t.Error("logins are barred for an end that is an hour away")
	}
	d.barLogins(s.next, time.Minute)
	d.forgetEnd()
	if d.removeSchedule(); exists(path) {
		t.Error("logins are barred when the end was taken back")
	}
	if d.barLogins(old, time.Minute); exists(path) {
		t.Error("who comes late bars logins for an end that does not come")
	}

	// What somebody else has put there stays.
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.next = planned("reboot", time.Hour)
	d.barLogins(s.next, time.Hour)
	d.forgetEnd()
	if d.removeSchedule(); !exists(path) {
		t.Error("another's file is gone")
	}
	// A container's logins are not ours.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	d.opts.System.Container = true
	s.next = planned("reboot", 0)
	if d.barLogins(s.next, 0); exists(path) {
		t.Error("logins are barred in a container")
	}
}

// That a clock that is set is noticed is seen in make qemu.
func TestAwaitClock(t *testing.T) {
	d := planner(t)
	for _, at := range []time.Time{time.Now().Add(10 * time.Millisecond), time.Now().Add(-time.Hour), time.Unix(0, 0), time.Unix(-1, 0)} {
		if !d.awaitClock(at, nil) {
			t.Errorf("awaitClock(%v) = false; want true", at)
		}
	}
	far := time.Now().Add(maxAway)
	back := make(chan struct{})
	close(back)
	if d.awaitClock(far, back) {
		t.Error("awaitClock of what was taken back = true")
	}
	close(d.ended)
	if d.awaitClock(far, nil) {
		t.Error("awaitClock of a daemon that has ended = true")
	}
	timer, err := wallTimer(far)
	if err != nil {
		t.Fatal(err)
	}
	defer timer.Close()
	if err := timer.SetReadDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	if n, err := timer.Read(make([]byte, 8)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the timer of a year from now = %d, %v; want to wait", n, err)
	}
	// None may wake a machine or hold it, and the rest of the program waits for
	// it like for any file.
	raw, err := timer.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) {
		flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0)
		if err != nil || flags&unix.O_NONBLOCK == 0 {
			t.Errorf("flags of the timer = %#x, %v; want O_NONBLOCK", flags, err)
		}
	}); err != nil {
		t.Fatal(err)
	}
}

func TestReminders(t *testing.T) {
	for _, test := range []struct{ left, want time.Duration }{
		{24 * time.Hour, time.Hour},
		{time.Hour, 30 * time.Minute},
		{time.Hour + 500*time.Millisecond, 30 * time.Minute},
		{11 * time.Minute, 10 * time.Minute},
		{noLoginTime, time.Minute},
		{30 * time.Second, 0},
		{time.Millisecond, 0},
	} {
		if got := nextReminder(test.left); got != test.want {
			t.Errorf("nextReminder(%v) = %v; want %v", test.left, got, test.want)
		}
	}
	for left, want := range map[time.Duration]string{
		20 * time.Second: "less than a minute", 50 * time.Second: "a minute", 5 * time.Minute: "5 minutes", 119 * time.Minute: "119 minutes", 3 * time.Hour: "3 hours",
	} {
		if got := inMinutes(left); got != want {
			t.Errorf("inMinutes(%v) = %q; want %q", left, got, want)
		}
	}
}

// A message may do no more to a terminal than to be read.
func TestOneLine(t *testing.T) {
	for text, want := range map[string]string{
		"we\tmove": "we move", " a\nb\r": "a b", "\x1b[2Jx": "[2Jx", "süß": "süß", "\u202eabc": "abc", "": "",
	} {
		if got := oneLine(text); got != want {
			t.Errorf("oneLine(%q) = %q; want %q", text, got, want)
		}
	}
}
