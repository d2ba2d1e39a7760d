package utmp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// userProcess is the kind of who is logged in: USER_PROCESS.
const userProcess = 7

// Terminals are those of who is logged in, by a file such as Current: their
// names below /dev, each once, in the order of the file. What is no name of one
// there is left out, as that of a display. A file that is not there has none.
func Terminals(path string) ([]string, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read who is logged in: %w", err)
	}
	size, _, _ := layout(runtime.GOARCH)
	var out []string
	seen := map[string]bool{}
	for ; len(data) >= size; data = data[size:] {
		if binary.NativeEndian.Uint16(data) != userProcess {
			continue
		}
		line, _, _ := bytes.Cut(data[atLine:atID], []byte{0})
		name := string(line)
		if name == "" || !filepath.IsLocal(name) || strings.HasPrefix(name, ":") || seen[name] {
			continue
		}
		seen[name] = true
		out = append(out, name)
	}
	return out, nil
}

// Tell writes a text to the terminals of who is logged in; dev is where these
// are, /dev. It waits for none: one that takes nothing gets nothing, and the
// next has its turn. The error is that of the file.
func Tell(path, dev, text string) error {
	names, err := Terminals(path)
	if err != nil {
		return err
	}
	message := []byte("\r\n" + strings.ReplaceAll(text, "\n", "\r\n") + "\r\n")
	for _, name := range names {
		// A login that died has left its line there.
		fd, err := unix.Open(filepath.Join(dev, name), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
		if err != nil {
			continue
		}
		if _, err := unix.IoctlGetTermios(fd, unix.TCGETS); err == nil {
			_, _ = unix.Write(fd, message)
		}
		_ = unix.Close(fd)
	}
	return nil
}
