package conf

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Service is what a service file of a message bus says; see dbus-daemon(1).
type Service struct {
	// Path is the file.
	Path string
	// Name is the bus name, Exec the command line that brings somebody who owns
	// it.
	Name, Exec string
}

// ServiceDirs returns the directories in which a session bus looks for service
// files, the first that holds one for a name wins. env gives the value of an
// environment variable.
func ServiceDirs(env func(string) string) []string {
	dataHome := absolute(env("XDG_DATA_HOME"))
	if dataHome == "" {
		dataHome = below(absolute(env("HOME")), ".local/share")
	}
	var list []Dir
	list = add(list, "dbus-1/services", absolute(env("XDG_RUNTIME_DIR")), dataHome)
	list = add(list, "dbus-1/services", split(env("XDG_DATA_DIRS"), "")...)
	// A bus looks there in any case.
	list = add(list, "dbus-1/services", "/usr/local/share", "/usr/share")
	paths := make([]string, len(list))
	for i, dir := range list {
		paths[i] = dir.Path
	}
	return paths
}

// maxServiceFile is how long a service file may be, in bytes.
const maxServiceFile = 1 << 16

// FindService returns the service whose file says SystemdService=unit, the first
// by directory and then by file name. It reads files, so it may take its time.
// The error says that there is none.
func FindService(dirs []string, unit string) (Service, error) {
	seen := make(map[string]bool)
	for _, dir := range dirs {
		// Sorted by name.
		entries, _ := os.ReadDir(dir)
		for _, entry := range entries {
			if seen[entry.Name()] || !strings.HasSuffix(entry.Name(), ".service") {
				continue
			}
			path := filepath.Join(dir, entry.Name())
			info, err := os.Stat(path)
			if err != nil || !info.Mode().IsRegular() || info.Size() > maxServiceFile {
				continue
			}
			text, err := os.ReadFile(path)
			if err != nil {
				continue
			}
			seen[entry.Name()] = true
			service, of := parseService(string(text))
			if of != "" && of == unit && service.Name != "" {
				service.Path = path
				return service, nil
			}
		}
	}
	return Service{}, fmt.Errorf("no service file of the bus names %s, in %s", unit, strings.Join(dirs, ", "))
}

// parseService reads a service file, and whose unit it is.
func parseService(text string) (s Service, unit string) {
	group := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			group = line
			continue
		}
		key, value, found := strings.Cut(line, "=")
		if !found || group != "[D-BUS Service]" || strings.HasPrefix(line, "#") {
			continue
		}
		value = strings.TrimSpace(value)
		switch strings.TrimSpace(key) {
		case "Name":
			s.Name = value
		case "Exec":
			s.Exec = value
		case "SystemdService":
			unit = value
		}
	}
	return s, unit
}
