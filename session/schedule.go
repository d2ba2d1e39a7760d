package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/utmp"
)

// An end of the machine that is to come, as shutdown(8) asks for it. It stands in
// a file of the runtime directory, so that the next daemon goes on with it. Who is
// logged in is told when it is asked for, some minutes before, and when it comes;
// in the last minutes nobody may log in any more.

const (
	// scheduleName is the file: how, when (microseconds since 1970), and the
	// message, a line each.
	scheduleName = "shutdown"
	// single is the end that is none: runlevel 1.
	single = "single"
	// noLogin is what pam_nologin(8) looks for, and noLoginTime how long before
	// the end it is there.
	noLogin     = "/run/nologin"
	noLoginTime = 5 * time.Minute
	// maxAway bounds how far away it may be.
	maxAway = 366 * 24 * time.Hour
)

// reminders are how long before the end who is logged in is told again, the
// longest first; 0 is when it comes.
func reminders() []time.Duration {
	return []time.Duration{60 * time.Minute, 30 * time.Minute, 15 * time.Minute, 10 * time.Minute, noLoginTime, time.Minute, 0}
}

// schedule is that end.
type schedule struct {
	mu sync.Mutex
	// next is what is to come; nil for nothing.
	next *plannedEnd

	// files is held while its files are changed, which say what next is: one goes
	// by its own goroutine, and may be overtaken. barred: noLogin is ours.
	files  sync.Mutex
	barred bool
	// noLogin is where that file is instead, for tests.
	noLogin string
}

func (s *schedule) noLoginPath() string { return cmp.Or(s.noLogin, noLogin) }

// comes tells whether an end is still what is to come.
func (s *schedule) comes(p *plannedEnd) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next == p
}

type plannedEnd struct {
	how, message string
	at           time.Time     // of the wall clock only: that may be set meanwhile
	back         chan struct{} // closed when it is taken back
}

// String says when it comes.
func (p *plannedEnd) String() string {
	return p.purpose() + " at " + p.at.Format("15:04:05 on 2 January")
}

// purpose completes "the machine goes down".
func (p *plannedEnd) purpose() string {
	if p.how == single {
		return "for maintenance"
	}
	return "for " + p.how
}

// ScheduleEnd has the machine end at a time; see bus.System.
func (d *Daemon) ScheduleEnd(how string, at time.Time, message string) error {
	switch how {
	case "halt", "poweroff", "reboot", single:
	default:
		return fmt.Errorf("cannot end the machine by '%s': it is not halt, poweroff, reboot or single", how)
	}
	if away := time.Until(at); away > maxAway {
		return fmt.Errorf("cannot end the machine in %d days: a year is the most", int(away.Hours()/24))
	}
	p := &plannedEnd{how: how, message: oneLine(message), at: at.Round(0), back: make(chan struct{})}
	d.plan(p, false)
	return nil
}

// plan puts an end in the place of the one that there is. again: it was an earlier
// daemon's, and all know of it.
func (d *Daemon) plan(p *plannedEnd, again bool) {
	s := &d.system.schedule
	s.mu.Lock()
	if s.next != nil {
		close(s.next.back)
	}
	s.next = p
	s.mu.Unlock()
	d.guard.Go("end of the machine at a time", func() {
		if !again {
			d.log.Log(context.Background(), levelMessage, "The machine is to go down "+p.String())
			d.writeSchedule(p)
		}
		d.awaitEnd(p, again)
	})
}

// writeSchedule writes down what is to come, if it still is.
func (d *Daemon) writeSchedule(p *plannedEnd) {
	s := &d.system.schedule
	s.files.Lock()
	defer s.files.Unlock()
	if !s.comes(p) {
		return
	}
	text := fmt.Sprintf("%s\n%d\n%s\n", p.how, p.at.UnixMicro(), p.message)
	if err := writeWhole(d.schedulePath(), text); err != nil {
		d.log.Warn("cannot write down when the machine is to end: " + err.Error() + "; should this daemon die it is forgotten")
	}
}

// barLogins keeps people from logging in when it is soon, and lets them in again
// when it no longer is: it may have been put off, or the clock been set.
func (d *Daemon) barLogins(p *plannedEnd, left time.Duration) {
	s := &d.system.schedule
	s.files.Lock()
	defer s.files.Unlock()
	if d.opts.System.Container || !s.comes(p) {
		return
	}
	if left > noLoginTime {
		d.letIn()
		return
	}
	if err := os.WriteFile(s.noLoginPath(), []byte(p.warning()+"\n"), 0o644); err != nil {
		d.log.Warn("cannot keep people from logging in: " + err.Error())
		return
	}
	s.barred = true
}

// letIn takes away what keeps people from logging in, if it is ours; with the lock
// of the files.
func (d *Daemon) letIn() {
	s := &d.system.schedule
	if !s.barred {
		return
	}
	s.barred = false
	if err := os.Remove(s.noLoginPath()); err != nil && !errors.Is(err, os.ErrNotExist) {
		d.log.Warn("cannot let people log in again: " + err.Error())
	}
}

func (d *Daemon) schedulePath() string { return filepath.Join(d.runtime.own, scheduleName) }

// awaitEnd tells who is logged in, and ends the machine when it is time by the wall
// clock, which may be set meanwhile.
func (d *Daemon) awaitEnd(p *plannedEnd, quiet bool) {
	for {
		left := time.Until(p.at)
		if !quiet && left > 0 {
			d.tell(p.warning())
		}
		d.barLogins(p, left)
		if left <= 0 {
			break
		}
		quiet = false
		if !d.awaitClock(p.at.Add(-nextReminder(left)), p.back) {
			return
		}
	}
	s := &d.system.schedule
	s.mu.Lock()
	comes := s.next == p
	if comes {
		s.next = nil
	}
	s.mu.Unlock()
	if !comes {
		return
	}
	d.tell(p.warning())
	if p.how == single {
		d.toMaintenance()
		// Only now: the daemon that comes after one that died before goes on
		// with it.
		d.Read(func(engine.View) { d.guard.Go("end of a schedule", d.removeSchedule) })
		return
	}
	if err := d.EndSystem(p.how, nil); err != nil {
		d.log.Warn(err.Error())
	}
}

// nextReminder is the longest one that is shorter than what is left.
func nextReminder(left time.Duration) time.Duration {
	for _, r := range reminders() {
		// What is a moment away is said already.
		if r < left-time.Second {
			return r
		}
	}
	return 0
}

// toMaintenance changes to runlevel 1.
func (d *Daemon) toMaintenance() {
	_, previous, _ := utmp.Runlevel(utmp.Current)
	if !d.opts.System.Container {
		if err := utmp.SetRunlevel(utmp.Current, utmp.Log, previous, '1', time.Now()); err != nil {
			d.log.Warn(err.Error())
		}
	}
	d.Step(engine.Emit{Name: "runlevel", Env: []string{"RUNLEVEL=1", "PREVLEVEL=" + string(rune(previous))}})
}

// warning is what who is logged in is told.
func (p *plannedEnd) warning() string {
	when := "now"
	if left := time.Until(p.at); left > time.Second {
		when = fmt.Sprintf("at %s, in %s", p.at.Format("15:04"), inMinutes(left))
	}
	text := "The machine goes down " + p.purpose() + " " + when + "."
	if p.message != "" {
		text = p.message + "\n" + text
	}
	return text
}

func inMinutes(left time.Duration) string {
	switch minutes := int(math.Round(left.Minutes())); {
	case minutes < 1:
		return "less than a minute"
	case minutes == 1:
		return "a minute"
	case minutes < 120:
		return strconv.Itoa(minutes) + " minutes"
	default:
		return strconv.Itoa(minutes/60) + " hours"
	}
}

// CancelEnd takes an end back that is to come; see bus.System.
func (d *Daemon) CancelEnd(message string) bool {
	p := d.forgetEnd()
	if p == nil {
		return false
	}
	d.log.Log(context.Background(), levelMessage, "The machine does not go down "+p.String())
	d.guard.Go("schedule taken back", func() {
		d.removeSchedule()
		text := "The machine does not go down: that was taken back."
		if message = oneLine(message); message != "" {
			text = message + "\n" + text
		}
		d.tell(text)
	})
	return true
}

// forgetEnd returns what was to come, which does not come any more.
func (d *Daemon) forgetEnd() *plannedEnd {
	s := &d.system.schedule
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.next
	if p != nil {
		close(p.back)
		s.next = nil
	}
	return p
}

// removeSchedule removes the files of what was to come, unless there is another by
// now.
func (d *Daemon) removeSchedule() {
	s := &d.system.schedule
	s.files.Lock()
	defer s.files.Unlock()
	if !s.comes(nil) {
		return
	}
	d.letIn()
	if err := os.Remove(d.schedulePath()); err != nil && !errors.Is(err, os.ErrNotExist) {
		d.log.Warn("cannot forget the end of the machine: " + err.Error())
	}
}

// removeScheduleFile is that when the end comes, and nobody is to log in any more.
func (d *Daemon) removeScheduleFile() {
	s := &d.system.schedule
	s.files.Lock()
	defer s.files.Unlock()
	if s.comes(nil) {
		_ = os.Remove(d.schedulePath())
	}
}

// resumeSchedule goes on with what an earlier daemon was told.
func (d *Daemon) resumeSchedule() {
	text, err := os.ReadFile(d.schedulePath())
	if err != nil {
		return
	}
	lines := strings.SplitN(strings.TrimSuffix(string(text), "\n"), "\n", 3)
	if d.resumed || d.lost {
		if len(lines) == 3 {
			if at, err := strconv.ParseInt(lines[1], 10, 64); err == nil {
				d.plan(&plannedEnd{how: lines[0], message: lines[2], at: time.UnixMicro(at).Round(0), back: make(chan struct{})}, true)
				return
			}
		}
		d.log.Warn("cannot tell when the machine was to end: " + d.schedulePath() + " is broken")
	}
	_ = os.Remove(d.schedulePath())
}

// Announce tells who is logged in; see bus.System.
func (d *Daemon) Announce(message string) {
	d.guard.Go("message to who is logged in", func() { d.tell(oneLine(message)) })
}

// tell writes to the terminals of who is logged in. It may take a moment, and
// waits for no terminal.
func (d *Daemon) tell(text string) {
	host, err := os.Hostname()
	if err != nil {
		host = "this machine"
	}
	head := fmt.Sprintf("Message of session-init on %s, %s:\n\n", host, time.Now().Format("15:04"))
	if err := utmp.Tell(utmp.Current, "/dev", head+text); err != nil {
		d.log.Warn("cannot tell who is logged in: " + err.Error())
	}
}

// oneLine keeps a message from doing more to a terminal than to be read.
func oneLine(message string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, message))
}

// EndState says how far the end is; see bus.System.
func (d *Daemon) EndState(v engine.View) string {
	if d.system.how == "" {
		s := &d.system.schedule
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.next == nil {
			return ""
		}
		return "it goes down " + s.next.String() + "; 'shutdown -c' takes that back"
	}
	text := "it goes down for " + d.system.how + ": "
	if d.system.ending {
		text += "all jobs are stopped"
	} else {
		text += "the jobs of the last runlevel come first, for " + runlevelPatience.String() + " at most"
	}
	if names := atWork(v, d.system.ending); len(names) > 0 {
		text += "; it waits for " + strings.Join(names, ", ")
	}
	return text
}

// atWork names instances that have not come to rest; with all also those that
// are yet to be stopped.
func atWork(v engine.View, all bool) (names []string) {
	const most = 5
	for _, class := range v.ClassNames() {
		def, _ := v.Class(class)
		for _, in := range v.Instances(class) {
			if !all && in.Goal == engine.GoalStart && in.State == engine.Running && !def.Task {
				continue
			}
			if len(names) == most {
				return append(names, "and others")
			}
			name := in.Class
			if in.Name != "" {
				name += " (" + in.Name + ")"
			}
			names = append(names, name)
		}
	}
	return names
}
