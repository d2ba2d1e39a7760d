package supervise

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// listensIn reads the sockets that listen in the network namespace of a
// process, of these families, none for all; see proc(5).
func listensIn(pid int, of ...uint8) ([]socket, error) {
	var out []socket
	dir := "/proc/" + strconv.Itoa(pid) + "/net/"
	for _, table := range [...]struct {
		file   string
		family uint8
		parse  func(line string) (socket, bool)
	}{
		{"unix", unix.AF_UNIX, parseUnixLine},
		{"tcp", unix.AF_INET, parseTCPLine},
		{"tcp6", unix.AF_INET6, parseTCPLine},
	} {
		if len(of) > 0 && !slices.Contains(of, table.family) {
			continue
		}
		text, err := os.ReadFile(dir + table.file)
		if errors.Is(err, fs.ErrNotExist) {
			// A kernel without IPv6.
			continue
		}
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(text)) {
			if s, listens := table.parse(line); listens {
				out = append(out, s)
			}
		}
	}
	return out, nil
}

// parseUnixLine reads a line of /proc/net/unix; ok is false when that socket
// does not listen. A name may hold blanks.
func parseUnixLine(line string) (s socket, ok bool) {
	const accepts = 1 << 16 // __SO_ACCEPTCON
	fields := strings.Fields(line)
	if len(fields) < 7 {
		return s, false
	}
	flags, err := strconv.ParseUint(fields[3], 16, 64)
	if err != nil || flags&accepts == 0 {
		return s, false
	}
	kind, err := strconv.ParseUint(fields[4], 16, 8)
	if err != nil {
		return s, false
	}
	s = socket{family: unix.AF_UNIX, kind: uint8(kind)}
	if s.inode, err = strconv.ParseUint(fields[6], 10, 64); err != nil || s.inode == 0 {
		return s, false
	}
	if len(fields) > 7 {
		_, after, _ := strings.Cut(line, " "+fields[6]+" ")
		s.path = strings.TrimSuffix(after, "\n")
	}
	return s, true
}

// parseTCPLine reads a line of /proc/net/tcp or tcp6; ok is false when that
// socket does not listen. An address is given as the words of memory.
func parseTCPLine(line string) (s socket, ok bool) {
	const listening = "0A"
	fields := strings.Fields(line)
	if len(fields) < 10 || fields[3] != listening {
		return s, false
	}
	words, port, _ := strings.Cut(fields[1], ":")
	raw, err := hex.DecodeString(words)
	number, errPort := strconv.ParseUint(port, 16, 16)
	if err != nil || errPort != nil || len(raw) != 4 && len(raw) != 16 {
		return s, false
	}
	for at := 0; at < len(raw); at += 4 {
		binary.NativeEndian.PutUint32(raw[at:], binary.BigEndian.Uint32(raw[at:]))
	}
	addr, _ := netip.AddrFromSlice(raw)
	s = socket{family: unix.AF_INET, addr: netip.AddrPortFrom(addr, uint16(number))}
	if addr.Is6() {
		s.family = unix.AF_INET6
	}
	s.inode, err = strconv.ParseUint(fields[9], 10, 64)
	return s, err == nil && s.inode != 0
}

// netOf names the network namespace of a process; empty when it does not show
// it.
func netOf(pid int) string {
	name, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/ns/net")
	if err != nil {
		return ""
	}
	return name
}
