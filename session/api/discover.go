package api

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Session is a daemon that has left its address in a session file.
type Session struct {
	Pid     int
	Address string
	File    string
}

// SessionDir returns the directory of the session files in a runtime
// directory.
func SessionDir(runtimeDir string) string {
	return filepath.Join(runtimeDir, "upstart", "sessions")
}

// Sessions returns the sessions of a directory whose daemon lives, by pid.
// Files that are no session files, that cannot be read, or that a dead
// daemon has left are passed over. Of several files with one address all but the
// last that was written are such: the pid of a dead daemon may be another
// process's by now. A directory that is not there holds none.
func Sessions(dir string) ([]Session, error) {
	entries, err := os.ReadDir(dir)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the sessions: %w", err)
	}
	var sessions []Session
	for _, entry := range entries {
		digits, found := strings.CutSuffix(entry.Name(), ".session")
		pid, err := strconv.ParseInt(digits, 10, 32)
		if !found || err != nil || pid <= 0 || strconv.FormatInt(pid, 10) != digits {
			continue
		}
		file := filepath.Join(dir, entry.Name())
		if address, err := SessionAddress(file); err == nil && alive(int(pid)) {
			sessions = add(sessions, Session{int(pid), address, file})
		}
	}
	sort.Slice(sessions, func(i, j int) bool { return sessions[i].Pid < sessions[j].Pid })
	return sessions, nil
}

// add adds a session, or has it take the place of an older one with its address.
func add(sessions []Session, session Session) []Session {
	for i, other := range sessions {
		if other.Address == session.Address {
			if written(session.File).After(written(other.File)) {
				sessions[i] = session
			}
			return sessions
		}
	}
	return append(sessions, session)
}

// written is when a file was; the zero time when that cannot be told.
func written(file string) time.Time {
	info, err := os.Stat(file)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// SessionAddress returns the address in a session file.
func SessionAddress(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("cannot read session file: %w", err)
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	address, found := strings.CutPrefix(string(line), SessionVariable+"=")
	if !found || address == "" {
		return "", fmt.Errorf("cannot read session file %s: it is none", file)
	}
	return address, nil
}

// alive tells whether there is a process of that pid, ours or another's.
func alive(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || err == syscall.EPERM
}
