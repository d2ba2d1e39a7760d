package api

import (
	"fmt"
	"strings"
)

// maxSocketPath is what fits into a sockaddr_un beside the final NUL.
const maxSocketPath = 107

// UnixAddress returns the D-Bus address of a path socket. ParseAddress is
// its inverse.
func UnixAddress(path string) string {
	return "unix:path=" + escapeValue(path)
}

// ParseAddress returns the sockets that a D-Bus address names, in its order,
// in the form of syscall.SockaddrUnix: a path, or "@" and an abstract
// name. The error says which part of the address is wrong. Transports other
// than unix are refused.
func ParseAddress(address string) ([]string, error) {
	var sockets []string
	for _, entry := range strings.Split(address, ";") {
		if entry == "" {
			continue // a trailing ";" is allowed
		}
		socket, err := parseEntry(entry)
		if err != nil {
			return nil, fmt.Errorf("cannot use address %q: %w", address, err)
		}
		sockets = append(sockets, socket)
	}
	if len(sockets) == 0 {
		return nil, fmt.Errorf("cannot use address %q: it is empty", address)
	}
	return sockets, nil
}

func parseEntry(entry string) (socket string, err error) {
	transport, rest, found := strings.Cut(entry, ":")
	if !found {
		return "", fmt.Errorf("no \":\" after the transport")
	}
	if transport != "unix" {
		return "", fmt.Errorf("unknown transport %q, only unix is known", transport)
	}
	for _, option := range strings.Split(rest, ",") {
		key, escaped, found := strings.Cut(option, "=")
		if !found {
			return "", fmt.Errorf("no \"=\" in %q", option)
		}
		if key != "path" && key != "abstract" {
			continue // guid and what may come
		}
		value, err := unescapeValue(escaped)
		switch {
		case err != nil:
			return "", err
		case socket != "":
			return "", fmt.Errorf("it names two sockets")
		case value == "":
			return "", fmt.Errorf("%s is empty", key)
		case strings.IndexByte(value, 0) >= 0:
			return "", fmt.Errorf("%s has a zero byte", key)
		case len(value) > maxSocketPath:
			return "", fmt.Errorf("%s has %d bytes, a socket's name has at most %d", key, len(value), maxSocketPath)
		}
		socket = value
		switch {
		case key == "abstract":
			socket = "@" + value
		case value[0] == '@':
			socket = "./" + value // a path: Dial would take it for an abstract name
		}
	}
	if socket == "" {
		return "", fmt.Errorf("neither path nor abstract is given")
	}
	return socket, nil
}

// escapeValue writes every byte that the D-Bus specification does not list
// as optionally escaped in the form %xx.
func escapeValue(value string) string {
	const hex = "0123456789abcdef"
	var out strings.Builder
	for i := 0; i < len(value); i++ {
		c := value[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
			strings.IndexByte("-_/.\\*", c) >= 0 {
			out.WriteByte(c)
			continue
		}
		out.WriteByte('%')
		out.WriteByte(hex[c>>4])
		out.WriteByte(hex[c&15])
	}
	return out.String()
}

func unescapeValue(escaped string) (string, error) {
	var out strings.Builder
	for i := 0; i < len(escaped); i++ {
		if escaped[i] != '%' {
			out.WriteByte(escaped[i])
			continue
		}
		high, low := -1, -1
		if i+2 < len(escaped) {
			high, low = unhex(escaped[i+1]|0x20), unhex(escaped[i+2]|0x20)
		}
		if high < 0 || low < 0 {
			return "", fmt.Errorf("%q has a %% without two hexadecimal digits after it", escaped)
		}
		out.WriteByte(byte(high<<4 | low))
		i += 2
	}
	return out.String(), nil
}
