package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/desktop"
)

// lookup answers what desktop entries ask of the world.
func (c *command) lookup(desktops []string) desktop.Lookup {
	return desktop.Lookup{
		Desktops: desktops, Program: c.hasProgram, Setting: c.setting,
		File: func(name string) bool {
			_, err := os.Stat(filepath.Join(c.configHome(), name))
			return err == nil
		},
		Config: c.kdeConfig,
	}
}

func (c *command) configHome() string {
	if dir := c.getenv("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		return dir
	}
	return filepath.Join(c.getenv("HOME"), ".config")
}

// hasProgram tells whether a program can be executed: a path, or a name that is
// looked for in PATH.
func (c *command) hasProgram(name string) bool {
	if strings.Contains(name, "/") {
		return executable(name)
	}
	for _, dir := range filepath.SplitList(c.getenv("PATH")) {
		if dir != "" && executable(filepath.Join(dir, name)) {
			return true
		}
	}
	return false
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && unix.Access(path, unix.X_OK) == nil
}

// setting asks gsettings(1); without it a setting cannot be known.
func (c *command) setting(schema, key string) (string, bool) {
	if !c.hasProgram("gsettings") {
		return "", false
	}
	ask := exec.CommandContext(c.ctx, "gsettings", "get", schema, key)
	ask.Env = c.environ
	out, err := ask.Output()
	return strings.TrimSpace(string(out)), err == nil
}

// kdeConfig looks a key up in a configuration file of KDE: the user's, then the
// system's. A key may have flags in brackets behind it, such as "[$i]".
func (c *command) kdeConfig(file, group, key string) (string, bool) {
	dirs := []string{c.configHome()}
	if list := c.getenv("XDG_CONFIG_DIRS"); list != "" {
		dirs = append(dirs, filepath.SplitList(list)...)
	} else {
		dirs = append(dirs, "/etc/xdg")
	}
	for _, dir := range dirs {
		text, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			continue
		}
		if value, ok := configValue(string(text), group, key); ok {
			return value, true
		}
	}
	return "", false
}

// configValue finds the last value of a key in a group.
func configValue(text, group, key string) (value string, ok bool) {
	here := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "["):
			here = strings.TrimSuffix(strings.TrimPrefix(line, "["), "]")
		case here == group && !strings.HasPrefix(line, "#"):
			name, rest, found := strings.Cut(line, "=")
			name, _, _ = strings.Cut(strings.TrimSpace(name), "[$")
			if found && name == key {
				value, ok = strings.TrimSpace(rest), true
			}
		}
	}
	return value, ok
}
