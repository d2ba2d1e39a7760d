package conf

import (
	"path/filepath"
	"strings"
)

// Dir is a directory in which job files are searched for, with everything
// below it. It need not exist.
type Dir struct {
	// Path is absolute and clean.
	Path string
	// Autostart: it holds desktop entries, of which jobs are made, and nothing
	// below it counts.
	Autostart bool
}

// UserDirs returns the directories of a user's daemon, the first that holds
// a name wins. env gives the value of an environment variable; an empty one
// counts as not set, and a path that is not absolute is left out, as the XDG
// specification has it.
func UserDirs(env func(string) string) []Dir {
	home := absolute(env("HOME"))
	configHome := absolute(env("XDG_CONFIG_HOME"))
	if configHome == "" {
		configHome = below(home, ".config")
	}
	dataHome := absolute(env("XDG_DATA_HOME"))
	if dataHome == "" {
		dataHome = below(home, ".local/share")
	}
	configDirs := split(env("XDG_CONFIG_DIRS"), "/etc/xdg")
	dataDirs := split(env("XDG_DATA_DIRS"), "/usr/local/share:/usr/share")

	var list []Dir
	list = add(list, "session-init", configHome)
	list = add(list, "session-init", configDirs...)
	list = add(list, "session-init/jobs", dataHome)
	list = add(list, "session-init/jobs", dataDirs...)
	// Those of Upstart's user sessions, in its own order.
	list = add(list, "upstart", configHome)
	list = add(list, ".init", home)
	list = add(list, "upstart", configDirs...)
	return add(list, "upstart/sessions", dataDirs...)
}

// AutostartDirs returns the directories of the desktop entries that start with
// a session, the first that holds a file of a name wins. env is as above.
func AutostartDirs(env func(string) string) []Dir {
	configHome := absolute(env("XDG_CONFIG_HOME"))
	if configHome == "" {
		configHome = below(absolute(env("HOME")), ".config")
	}
	var list []Dir
	list = add(list, "autostart", configHome)
	list = add(list, "autostart", split(env("XDG_CONFIG_DIRS"), "/etc/xdg")...)
	for i := range list {
		list[i].Autostart = true
	}
	return list
}

// SystemDirs returns the directories of the daemon of the machine.
func SystemDirs() []Dir {
	return []Dir{
		{Path: "/etc/init/jobs.d"},
		{Path: "/etc/init"},
		{Path: "/etc/event.d"},
		{Path: "/usr/share/session-init/system"},
	}
}

// FromFlags returns the list that the daemon's flags make of base: confdirs,
// if there are any, replace it, prepend and append go before and behind. A
// directory named twice keeps its first place. Relative paths are taken from
// the working directory.
func FromFlags(base []Dir, confdirs, prepend, append []string) []Dir {
	var list []Dir
	list = addGiven(list, prepend)
	if len(confdirs) > 0 {
		list = addGiven(list, confdirs)
	} else {
		for _, dir := range base {
			list = add(list, "", dir.Path)
		}
	}
	return addGiven(list, append)
}

// addGiven adds paths as a user types them.
func addGiven(list []Dir, paths []string) []Dir {
	for _, path := range paths {
		if path == "" {
			continue
		}
		if whole, err := filepath.Abs(path); err == nil {
			path = whole
		}
		list = add(list, "", path)
	}
	return list
}

// add appends name below each of the parents, without what is there already
// and without empty parents.
func add(list []Dir, name string, parents ...string) []Dir {
next:
	for _, parent := range parents {
		path := below(parent, name)
		if path == "" {
			continue
		}
		for _, dir := range list {
			if dir.Path == path {
				continue next
			}
		}
		list = append(list, Dir{Path: path})
	}
	return list
}

func below(parent, name string) string {
	if parent == "" {
		return ""
	}
	return filepath.Join(parent, name)
}

// absolute returns path, or nothing if it is relative.
func absolute(path string) string {
	if !filepath.IsAbs(path) {
		return ""
	}
	return filepath.Clean(path)
}

// split takes a list of directories apart, or fallback when it is empty.
func split(list, fallback string) []string {
	if list == "" {
		list = fallback
	}
	var paths []string
	for path := range strings.SplitSeq(list, ":") {
		if path = absolute(path); path != "" {
			paths = append(paths, path)
		}
	}
	return paths
}
