package job

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/session-init/session-init/events"
)

// SocketEvent is the event that "start on" names to have a socket: it is
// emitted when a connection waits there.
const SocketEvent = "socket"

// The values of PROTO=.
const (
	ProtoUnix  = "unix"
	ProtoInet  = "inet"
	ProtoInet6 = "inet6"
)

// Socket is one at which the daemon listens for a job: an operand
// "socket PROTO=…" of its start condition.
type Socket struct {
	Proto string
	// Path is that of a Unix socket, absolute, or one that begins with @ and
	// is abstract; see unix(7).
	Path string
	// Addr is that of another; the zero value is every address of the machine.
	Addr netip.Addr
	Port uint16
	// Name is what LISTEN_FDNAMES says of it; empty for the job's name.
	Name string
	// Mode is that of the path.
	Mode uint32
	// Env are the variables of its event.
	Env events.Env
	// Fault says why there can be none, empty when nothing speaks against it.
	// All others but Env may be missing then.
	Fault string
}

// Limits of what a job may ask for.
const (
	// MaxSocketPath is what a path may have in bytes; see unix(7).
	MaxSocketPath = 107
	// MaxSockets is how many one job may have.
	MaxSockets     = 64
	maxSocketName  = 255
	socketMode     = 0o600
	socketModeBits = 0o777
)

// Address is what tells a socket from all others: "unix:/run/x",
// "inet:127.0.0.1:80", "inet6:[::1]:80", "*" for every address of the machine.
// For one that cannot be it is the words of the operand.
func (s Socket) Address() string {
	switch {
	case s.Fault != "":
		return strings.Join(s.Env, " ")
	case s.Proto == ProtoUnix:
		return ProtoUnix + ":" + s.Path
	}
	host := "*"
	if s.Addr.IsValid() {
		host = s.Addr.String()
	}
	if s.Proto == ProtoInet6 && host != "*" {
		host = "[" + host + "]"
	}
	return s.Proto + ":" + host + ":" + strconv.Itoa(int(s.Port))
}

// Sockets lists those that a start condition asks for, in its order, each
// address once. Values are expanded by lookup. An operand without PROTO= asks for
// none: it waits for connections to the sockets of others.
func Sockets(x *events.Expr, lookup events.Lookup) (list []Socket) {
	if x == nil {
		return nil
	}
	seen := make(map[string]bool)
	for _, node := range x.Nodes {
		if node.Op != events.OpMatch || !DeclaresSocket(node.Match) {
			continue
		}
		s := readSocket(node.Match, lookup)
		if address := s.Address(); !seen[address] && len(list) < MaxSockets {
			seen[address] = true
			list = append(list, s)
		}
	}
	return list
}

// DeclaresSocket tells whether an operand asks for a socket.
func DeclaresSocket(m *events.Match) bool {
	return m.Name == SocketEvent && slices.ContainsFunc(m.Args, func(arg events.Arg) bool {
		return arg.Named && !arg.Not && arg.Key == "PROTO"
	})
}

// readSocket makes a socket of an operand.
func readSocket(m *events.Match, lookup events.Lookup) (s Socket) {
	s.Mode = socketMode
	have := make(map[string]string)
	fault := ""
	refuse := func(format string, args ...any) {
		if fault == "" {
			fault = fmt.Sprintf(format, args...)
		}
	}
	for _, arg := range m.Args {
		value, err := events.Expand(arg.Pattern, lookup)
		switch {
		case err != nil:
			refuse("%s cannot be expanded: %v", named(arg.Pattern), err)
			value = arg.Pattern
		case arg.Not || !arg.Named:
			refuse("%s says nothing about a socket that is to be made (expected KEY=VALUE)", named(arg.Pattern))
		case strings.ContainsAny(value, `*?[\`):
			refuse("%s is a pattern (expected one value)", named(value))
		case strings.IndexByte(value, 0) >= 0:
			refuse("%s has a NUL byte, which ends a name for the kernel", named(value))
		}
		if arg.Named && !arg.Not {
			s.Env = append(s.Env, arg.Key+"="+value)
			have[arg.Key] = value
		}
	}
	if fault == "" {
		s.read(have, refuse)
	}
	s.Fault = fault
	return s
}

// inline is a value within a sentence: of a bounded length, and on one line.
func inline(value string) string {
	quoted := named(value)
	return quoted[1 : len(quoted)-1]
}

// read takes the values.
func (s *Socket) read(have map[string]string, refuse func(string, ...any)) {
	lack := func(key, of string) bool {
		_, ok := have[key]
		if !ok {
			refuse("%s is missing (a socket of %s has one)", key, of)
		}
		return !ok
	}
	excess := func(of string, keys ...string) {
		for _, key := range keys {
			if _, ok := have[key]; ok {
				refuse("%s is not for a socket of %s", key, of)
			}
		}
	}
	s.Proto = have["PROTO"]
	of := "PROTO=" + inline(s.Proto)
	switch s.Proto {
	case ProtoUnix:
		excess(of, "ADDR", "PORT")
		if lack("SOCKET_PATH", of) {
			return
		}
		s.Path = have["SOCKET_PATH"]
		switch {
		case len(s.Path) < 2 || s.Path[0] != '/' && s.Path[0] != '@':
			refuse("SOCKET_PATH=%s is neither an absolute path nor an abstract name (@…)", inline(s.Path))
		case len(s.Path) > MaxSocketPath:
			refuse("SOCKET_PATH has %d bytes: a socket's path has %d at the most", len(s.Path), MaxSocketPath)
		}
	case ProtoInet, ProtoInet6:
		excess(of, "SOCKET_PATH", "MODE")
		if lack("PORT", of) {
			return
		}
		port, err := strconv.ParseUint(have["PORT"], 10, 16)
		if err != nil || port == 0 {
			refuse("PORT=%s is no port (expected 1 to 65535)", inline(have["PORT"]))
		}
		s.Port = uint16(port)
		if text, ok := have["ADDR"]; ok {
			s.Addr, err = netip.ParseAddr(text)
			if err != nil || s.Addr.Zone() != "" || s.Addr.Is4() != (s.Proto == ProtoInet) {
				refuse("ADDR=%s is no address of PROTO=%s (expected one as 127.0.0.1, or ::1 for inet6)", inline(text), s.Proto)
			}
		}
	default:
		refuse("PROTO=%s is not known (expected unix, inet or inet6)", inline(s.Proto))
	}
	if mode, ok := have["MODE"]; ok {
		bits, err := strconv.ParseUint(mode, 8, 32)
		if err != nil || bits&^socketModeBits != 0 {
			refuse("MODE=%s is no mode (expected one as 0660)", inline(mode))
		}
		s.Mode = uint32(bits)
	}
	if name, ok := have["FDNAME"]; ok {
		if !ValidFDName(name) {
			refuse("FDNAME=%s is no name of a descriptor (expected up to %d characters without blanks and colons)", inline(name), maxSocketName)
		}
		s.Name = name
	}
}

// ValidFDName tells whether a name can stand in LISTEN_FDNAMES; see
// sd_listen_fds_with_names(3).
func ValidFDName(name string) bool {
	return name != "" && len(name) <= maxSocketName && !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' })
}

// checkSockets reports operands that ask for sockets which can never be.
// Values with variables are for the daemon to judge.
func (p *parser) checkSockets(tokens []events.Token, x *events.Expr) {
	if x == nil {
		return
	}
	var operands []events.Token
	for i, t := range tokens {
		if t.Kind == events.Word && (i == 0 || tokens[i-1].Kind != events.Word) {
			operands = append(operands, t)
		}
	}
	count := 0
	for _, node := range x.Nodes {
		if node.Op != events.OpMatch {
			continue
		}
		at := operands[min(count, len(operands)-1)]
		count++
		if !DeclaresSocket(node.Match) || slices.ContainsFunc(node.Match.Args, func(arg events.Arg) bool { return strings.Contains(arg.Pattern, "$") }) {
			continue
		}
		if s := readSocket(node.Match, nil); s.Fault != "" {
			p.add(at.Line, at.Col, false, "no such socket can be made: "+s.Fault)
		}
	}
}
