package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/utmp"
	"github.com/session-init/session-init/supervise/pid1"
)

// The programs of System V that end a machine: shutdown, halt, poweroff and
// reboot; see telinit.go for the others. They have the options that scripts give
// them, and talk to the session-init of the machine alone.

// systemVerbs are the names of those programs, and systemVerb tells them.
var systemVerbs = [...]string{"shutdown", "halt", "poweroff", "reboot", "telinit", "runlevel"}

func (v *verb) system() bool { return contains(systemVerbs[:], v.name) }

// letters parts arguments into options of one letter, which may be joined, and the
// rest. known are those that there are; one that a ":" follows takes a value, the
// rest of its word or the next one. There are --help and --version besides, and
// --json for a verb that has it.
func (c *command) letters(known string) (options map[byte]string, rest []string, err error) {
	options = make(map[byte]string)
	args := c.args
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "--help":
			c.options.help = true
			continue
		case arg == "--version":
			c.options.version = true
			continue
		case arg == "--json" && contains(jsonVerbs(), c.verb.name):
			c.options.json = true
			continue
		case arg == "--":
			return options, append(rest, args...), nil
		case len(arg) < 2 || arg[0] != '-':
			rest = append(rest, arg)
			continue
		}
		for i := 1; i < len(arg); i++ {
			at := strings.IndexByte(known, arg[i])
			if at < 0 || arg[i] == ':' || arg[1] == '-' {
				return nil, nil, usageError("invalid option: " + arg)
			}
			if at+1 == len(known) || known[at+1] != ':' {
				options[arg[i]] = ""
				continue
			}
			value := arg[i+1:]
			if value == "" {
				if len(args) == 0 {
					return nil, nil, usageError("missing argument: -" + arg[i:i+1])
				}
				value, args = args[0], args[1:]
			}
			options[arg[i]] = value
			break
		}
	}
	return options, rest, nil
}

// told does --help and --version, if one was given.
func (c *command) told() bool {
	switch {
	case c.options.help:
		c.verbHelp()
	case c.options.version:
		fmt.Fprintln(c.out, c.style.version(c.program))
	}
	return c.options.help || c.options.version
}

// shutDown is the program shutdown. Without a letter that says how, it goes to
// runlevel 1, as it always has.
func shutDown(c *command) error {
	options, rest, err := c.letters("rhHPakcfFnt:")
	if err != nil || c.told() {
		return err
	}
	c.doing = "shut down"
	given := func(letter byte) bool { _, is := options[letter]; return is }
	switch {
	case given('a'):
		return fmt.Errorf("-a is not supported: nobody reads /etc/shutdown.allow; the job control-alt-delete says what that key does, and only root may shut down")
	case given('n'):
		return fmt.Errorf("-n is not supported: a shutdown without stopping anything is 'halt -f', 'poweroff -f' or 'reboot -f'")
	case given('c'):
		return c.cancelShutdown(strings.Join(rest, " "))
	case len(rest) == 0:
		return usageError("missing time: now, +MINUTES or HH:MM")
	}
	at, err := shutdownTime(rest[0], time.Now())
	if err != nil {
		return err
	}
	message := strings.Join(rest[1:], " ")
	how := ""
	for _, way := range [...]struct {
		letter byte
		how    string
	}{{'h', "poweroff"}, {'P', "poweroff"}, {'H', "halt"}, {'r', "reboot"}} {
		if given(way.letter) {
			how = way.how
		}
	}
	if given('k') {
		return c.announce(message, how, at)
	}
	if !at.IsZero() {
		if given('f') || given('F') {
			return fmt.Errorf("-f and -F are for 'now' only: the next start would find them if the shutdown is taken back")
		}
		return c.scheduleShutdown(how, at, message)
	}
	if err := c.announce(message, how, at); err != nil {
		return err
	}
	for _, wish := range [...]struct {
		letter byte
		path   string
	}{{'f', "/fastboot"}, {'F', "/forcefsck"}} {
		if !given(wish.letter) {
			continue
		}
		if err := os.WriteFile(wish.path, nil, 0o644); err != nil {
			return err
		}
	}
	if how == "" {
		return c.changeRunlevel('1', nil)
	}
	return c.endMachine(how)
}

// shutdownTime reads a time of shutdown; zero is now. An hour that has passed is
// tomorrow's.
func shutdownTime(word string, now time.Time) (time.Time, error) {
	if word == "now" {
		return time.Time{}, nil
	}
	if hour, minute, clock := strings.Cut(word, ":"); clock {
		h, err1 := strconv.ParseUint(hour, 10, 8)
		m, err2 := strconv.ParseUint(minute, 10, 8)
		if err1 != nil || err2 != nil || h > 23 || m > 59 || len(minute) != 2 {
			return time.Time{}, usageError("no such time: " + word)
		}
		at := time.Date(now.Year(), now.Month(), now.Day(), int(h), int(m), 0, 0, now.Location())
		if !at.After(now) {
			at = time.Date(now.Year(), now.Month(), now.Day()+1, int(h), int(m), 0, 0, now.Location())
		}
		return at, nil
	}
	minutes, err := strconv.ParseUint(strings.TrimPrefix(word, "+"), 10, 32)
	if err != nil {
		return time.Time{}, usageError("no such time: " + word + ": now, +MINUTES or HH:MM")
	}
	if minutes == 0 {
		return time.Time{}, nil
	}
	// What is more is refused as too far away, and must not become less.
	const years = 100 * 366 * 24 * 60
	return now.Add(time.Duration(min(minutes, years)) * time.Minute), nil
}

// scheduleShutdown has it come later.
func (c *command) scheduleShutdown(how string, at time.Time, message string) error {
	c.options.system = true
	if _, err := c.call(api.ManagerPath, api.ManagerExtension, "ScheduleEnd", cmp.Or(how, "single"), uint64(at.UnixMicro()), message); err != nil {
		return err
	}
	c.print("the machine goes down " + purpose(how) + " at " + at.Format("15:04:05 on 2 January") + "; shutdown -c takes that back")
	return nil
}

func (c *command) cancelShutdown(message string) error {
	c.doing = "take the shutdown back"
	c.options.system = true
	body, err := c.call(api.ManagerPath, api.ManagerExtension, "CancelEnd", message)
	if err != nil {
		return err
	}
	if was, _ := body[0].(bool); !was {
		return errors.New("none is to come")
	}
	return nil
}

// announce tells who is logged in what is to come, or would.
func (c *command) announce(message, how string, at time.Time) error {
	c.options.system = true
	when := "now"
	if !at.IsZero() {
		when = "at " + at.Format("15:04")
	}
	text := "The machine goes down " + purpose(how) + " " + when + "."
	if message != "" {
		text = message + " -- " + text
	}
	_, err := c.call(api.ManagerPath, api.ManagerExtension, "Announce", text)
	return err
}

// purpose completes "goes down".
func purpose(how string) string { return "for " + cmp.Or(how, "maintenance") }

// haltMachine is the programs halt, poweroff and reboot. In runlevel 0 and 6 it is the
// last script that calls them, and then nothing is left to be asked.
func haltMachine(c *command) error {
	options, rest, err := c.letters("fpwdinh")
	if err != nil || c.told() {
		return err
	}
	if len(rest) > 0 {
		return usageError("unexpected argument: " + rest[0])
	}
	how := c.verb.name
	if _, given := options['p']; given && how == "halt" {
		how = "poweroff"
	}
	c.doing = how
	_, level, _ := utmp.Runlevel(utmp.Current)
	given := func(letter byte) bool { _, is := options[letter]; return is }
	if given('w') {
		return utmp.Shutdown(utmp.Log, time.Now())
	}
	if given('f') || level == '0' || level == '6' {
		if !given('d') && !given('n') && os.Geteuid() == 0 {
			// What is not written down keeps nothing from ending.
			_ = utmp.Shutdown(utmp.Log, time.Now())
		}
		return pid1.EndAtOnce(how)
	}
	return c.endMachine(how)
}

// endMachine asks the daemon of the machine to end it.
func (c *command) endMachine(how string) error {
	level := byte('0')
	if how == "reboot" {
		level = '6'
	}
	env, err := c.noteRunlevel(level)
	if err != nil {
		return err
	}
	_, err = c.callFor("for session-init to answer", api.ManagerPath, api.ManagerExtension, "EndSystem", how, env)
	if errors.Is(err, api.ErrDisconnected) {
		return nil // it has gone already
	}
	return err
}

// noteRunlevel connects, so that nothing is written down where nobody can act, and
// writes a level down. It returns the variables of the event.
func (c *command) noteRunlevel(level byte) (env []string, err error) {
	c.options.system = true
	if err := c.connect(); err != nil {
		return nil, err
	}
	previous, current, err := utmp.Runlevel(utmp.Current)
	if err != nil {
		return nil, err
	}
	if current == level {
		// It is asked for again: what was before stays so.
		current = previous
	}
	if os.Geteuid() == 0 {
		if err := utmp.SetRunlevel(utmp.Current, utmp.Log, current, level, time.Now()); err != nil {
			return nil, err
		}
	}
	return []string{"RUNLEVEL=" + string(rune(level)), "PREVLEVEL=" + string(rune(current))}, nil
}

// notifyDisk says that logs can be written to the disk.
func notifyDisk(c *command) error {
	c.doing = "move the logs to the disk"
	_, err := c.call(api.ManagerPath, api.ManagerInterface, "NotifyDiskWriteable")
	return err
}
