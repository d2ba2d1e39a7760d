package main

import (
	"os"
	"path/filepath"
	"slices"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/conf"
)

// machinePlace says where the machine's session-init is, and its job files.
type machinePlace struct {
	// runtime is the directory of its sockets.
	runtime string
	// dirs are searched for job files, the first that holds a name wins.
	// first and own are the two of them that the administrator writes: own,
	// unless a file of the job is in first, which counts more.
	dirs       []conf.Dir
	first, own string
}

func theMachine() machinePlace {
	return machinePlace{runtime: "/run/session-init", dirs: conf.SystemDirs(), first: "/etc/init/jobs.d", own: "/etc/init"}
}

// address is where it listens: for root, and for all others, who may look only.
func (p machinePlace) address() string {
	if os.Geteuid() == 0 {
		return p.addresses()[0]
	}
	return p.addresses()[1]
}

func (p machinePlace) addresses() [2]string {
	return [2]string{api.UnixAddress(filepath.Join(p.runtime, "socket")), api.UnixAddress(filepath.Join(p.runtime, "readonly"))}
}

// isAt tells whether an address is one of the machine's.
func (p machinePlace) isAt(address string) bool {
	all := p.addresses()
	return slices.Contains(all[:], address)
}

// forMachine tells whether the machine's session-init is meant: the one that
// has answered, or that would be asked. That is found out in the order of
// connect, without asking anybody, since who reads job files needs no daemon.
func (c *command) forMachine() bool {
	switch {
	case c.options.system || c.foundMachine:
		return true
	case c.client != nil || c.options.session:
		return false
	case c.options.address != "":
		return c.machine.isAt(c.options.address)
	}
	if address := c.getenv(api.SessionVariable); address != "" {
		return c.machine.isAt(address)
	}
	if os.Geteuid() != 0 {
		return false
	}
	if sessions, err := api.Sessions(api.SessionDir(c.runtimeDir())); err != nil || len(sessions) > 0 {
		return false
	}
	_, err := os.Stat(filepath.Join(c.machine.runtime, "socket"))
	return err == nil
}

// jobDirs are the directories of job files of the session-init that is meant.
func (c *command) jobDirs() []conf.Dir {
	if c.forMachine() {
		return c.machine.dirs
	}
	return conf.UserDirs(c.getenv)
}

// allDirs are these, and those of desktop entries, which only a user's has.
func (c *command) allDirs() []conf.Dir {
	if c.forMachine() {
		return c.machine.dirs
	}
	return append(conf.UserDirs(c.getenv), conf.AutostartDirs(c.getenv)...)
}

// flagDirs are the directories that its flags make of them; see check-config.
func (c *command) flagDirs() []conf.Dir {
	return conf.FromFlags(c.jobDirs(), c.options.confDirs, c.options.prependDirs, c.options.appendDirs)
}

// ownDir is where the caller's own files of a job are: those of the user, or of
// the administrator. path and override are its files that are in force, or "".
func (c *command) ownDir(path, override string) string {
	dirs := c.jobDirs()
	switch {
	case len(dirs) == 0:
		return ""
	case !c.forMachine():
		return dirs[0].Path
	}
	for _, file := range [...]string{path, override} {
		if searched(file, dirs) == c.machine.first {
			return c.machine.first
		}
	}
	return c.machine.own
}
