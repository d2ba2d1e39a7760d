package main

import (
	"errors"
	"fmt"
	"os"
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
// rest of its word or the next one. --help and --version end it.
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
		fmt.Fprintf(c.out, "usage: %s %s\n\n%s\n", c.usageName(), c.verb.args, sentence(c.verb.help))
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
	for _, letter := range "kca" {
		if _, given := options[byte(letter)]; given {
			return notYet("-" + string(letter))
		}
	}
	switch {
	case len(rest) == 0:
		return usageError("missing time: now")
	case rest[0] != "now" && rest[0] != "+0" && rest[0] != "0":
		return notYet("a shutdown at another time than 'now'")
	case len(rest) > 1:
		return notYet("a message to who is logged in")
	}
	how := ""
	for _, way := range [...]struct {
		letter byte
		how    string
	}{{'h', "poweroff"}, {'P', "poweroff"}, {'H', "halt"}, {'r', "reboot"}} {
		if _, given := options[way.letter]; given {
			how = way.how
		}
	}
	if how == "" {
		return c.changeRunlevel('1', nil)
	}
	return c.endMachine(how)
}

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
	if _, given := options['w']; given {
		return nil
	}
	if _, given := options['f']; given || level == '0' || level == '6' {
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
