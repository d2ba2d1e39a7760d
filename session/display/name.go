package display

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// The kinds of displays, as their names begin.
const (
	wayland = "wayland:"
	x11     = "x11:"
)

// Name gives the display that variables name: "wayland:PATH", by the socket,
// or "x11:HOST:NUMBER", where HOST is mostly empty. Wayland comes first: an X
// server is then the compositor's, and may come later or go.
func Name(lookup func(string) string) (string, error) {
	if socket := lookup("WAYLAND_DISPLAY"); socket != "" {
		if !filepath.IsAbs(socket) {
			dir := lookup("XDG_RUNTIME_DIR")
			if dir == "" {
				return "", fmt.Errorf("cannot find the display %s: XDG_RUNTIME_DIR is not set", socket)
			}
			socket = filepath.Join(dir, socket)
		}
		return wayland + socket, nil
	}
	if text := lookup("DISPLAY"); text != "" {
		at := strings.LastIndexByte(text, ':')
		if at < 0 {
			return "", fmt.Errorf("cannot use the display '%s': it has no ':' and number", text)
		}
		number, _, _ := strings.Cut(text[at+1:], ".")
		if n, err := strconv.ParseUint(number, 10, 16); err != nil || n > maxNumber {
			return "", fmt.Errorf("cannot use the display '%s': there is no number from 0 to %d behind the ':'", text, maxNumber)
		}
		host := text[:at]
		if host == "unix" {
			host = ""
		}
		return x11 + host + ":" + number, nil
	}
	return "", errors.New("there is no display: neither WAYLAND_DISPLAY nor DISPLAY is set")
}

// maxNumber is the last display that has a port for TCP.
const maxNumber = 65535 - firstPort

// firstPort is the port of display 0; see X(7).
const firstPort = 6000
