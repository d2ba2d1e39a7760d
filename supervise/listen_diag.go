package supervise

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// The kernel lists the sockets of a network namespace that listen: by
// sock_diag(7), and more slowly as text in /proc/PID/net, see proc(5). The
// text is for a namespace that is not ours and a kernel without the other.

// socket is one that listens.
type socket struct {
	inode  uint64
	cookie uint64 // tells it from one that had the inode before; 0 for unknown
	family uint8
	kind   uint8  // of a Unix socket: stream or seqpacket
	path   string // of a Unix socket; "@" stands for the NUL of an abstract one
	addr   netip.AddrPort
	group  uint64 // the cgroup in which one of TCP was made; 0 for unknown
}

// String gives "unix:/run/x" or "tcp [::1]:80".
func (s socket) String() string {
	if s.family != unix.AF_UNIX {
		return "tcp " + s.addr.String()
	}
	strange := func(r rune) bool { return !unicode.IsPrint(r) }
	if strings.ContainsFunc(s.path, strange) || !utf8.ValidString(s.path) {
		return "unix:" + strconv.Quote(s.path)
	}
	return "unix:" + s.path
}

// What is asked of sock_diag: a message of linux/netlink.h, then one of
// linux/unix_diag.h or linux/inet_diag.h.
const (
	diagByFamily  = 20 // SOCK_DIAG_BY_FAMILY
	diagListening = 1 << 10
	diagName      = 1 // UDIAG_SHOW_NAME
	unixAskLen    = 24
	inetAskLen    = 56
	unixTellLen   = 16
	inetTellLen   = 72
)

// diagRequest asks for the sockets of a family that listen.
func diagRequest(family uint8) []byte {
	size := unixAskLen
	if family != unix.AF_UNIX {
		size = inetAskLen
	}
	out := make([]byte, unix.NLMSG_HDRLEN+size)
	binary.NativeEndian.PutUint32(out, uint32(len(out)))
	binary.NativeEndian.PutUint16(out[4:], diagByFamily)
	binary.NativeEndian.PutUint16(out[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	ask := out[unix.NLMSG_HDRLEN:]
	ask[0] = family
	binary.NativeEndian.PutUint32(ask[4:], diagListening)
	if family == unix.AF_UNIX {
		binary.NativeEndian.PutUint32(ask[12:], diagName)
	} else {
		ask[1] = unix.IPPROTO_TCP
	}
	return out
}

// diag is a socket of sock_diag. It belongs to the thread and never blocks:
// the answer to a question is there when the question has been sent.
type diag struct {
	fd       int // -1 when it is not open
	requests [len(families)][]byte
	buf      []byte
	// absent are families that the kernel has no module for, or cannot load it:
	// it would try that again at each question, by a program that we wait for.
	absent [len(families)]bool
}

// families are those of which is asked.
var families = [...]uint8{unix.AF_UNIX, unix.AF_INET, unix.AF_INET6}

// open makes it ready for dump, unless it is.
func (d *diag) open() error {
	if d.fd >= 0 {
		return nil
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_SOCK_DIAG)
	if err == unix.EPROTONOSUPPORT {
		for i := range d.absent {
			d.absent[i] = true
		}
	}
	if err != nil {
		return err
	}
	d.fd, d.buf = fd, make([]byte, 32<<10)
	for i, family := range families {
		d.requests[i] = diagRequest(family)
	}
	return nil
}

func (d *diag) close() {
	if d.fd >= 0 {
		unix.Close(d.fd)
		d.fd, d.buf = -1, nil
	}
}

// dump visits each socket that listens in our network namespace; tell holds
// what is told of it, see readSocket, until visit returns. It returns the families
// of which not all was told.
func (d *diag) dump(visit func(tell []byte)) (untold []uint8) {
	for i, family := range families {
		if d.absent[i] || d.open() != nil {
			untold = append(untold, family)
			continue
		}
		switch err := d.ask(d.requests[i], visit); {
		case err == unix.ENOENT:
			d.absent[i] = true
			untold = append(untold, family)
		case err != nil:
			// The rest of the answer must not be taken for the next one.
			d.close()
			untold = append(untold, family)
		}
	}
	return untold
}

func (d *diag) ask(request []byte, visit func(tell []byte)) error {
	if err := unix.Sendto(d.fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	for {
		n, _, err := unix.Recvfrom(d.fd, d.buf, unix.MSG_TRUNC)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		if n > len(d.buf) {
			return unix.EMSGSIZE
		}
		if over, err := readMessages(d.buf[:n], visit); over || err != nil {
			return err
		}
	}
}

// readMessages takes a part of an answer, and tells whether it was the last.
func readMessages(data []byte, visit func(tell []byte)) (over bool, err error) {
	for len(data) >= unix.NLMSG_HDRLEN {
		size := int(binary.NativeEndian.Uint32(data))
		if size < unix.NLMSG_HDRLEN || size > len(data) {
			return false, unix.EBADMSG
		}
		body := data[unix.NLMSG_HDRLEN:size]
		switch binary.NativeEndian.Uint16(data[4:]) {
		case unix.NLMSG_DONE:
			return true, nil
		case unix.NLMSG_ERROR:
			if len(body) < 4 {
				return false, unix.EBADMSG
			}
			return true, syscall.Errno(-int32(binary.NativeEndian.Uint32(body)))
		case diagByFamily:
			visit(body)
		}
		data = data[min(len(data), (size+3)&^3):]
	}
	return false, nil
}

// identify reads the two numbers of a socket that is told of; ok is false for
// one that nobody holds a descriptor of.
func identify(tell []byte) (inode, cookie uint64, ok bool) {
	switch {
	case len(tell) >= unixTellLen && tell[0] == unix.AF_UNIX:
		inode, cookie = uint64(binary.NativeEndian.Uint32(tell[4:])), binary.NativeEndian.Uint64(tell[8:])
	case len(tell) >= inetTellLen && (tell[0] == unix.AF_INET || tell[0] == unix.AF_INET6):
		inode, cookie = uint64(binary.NativeEndian.Uint32(tell[68:])), binary.NativeEndian.Uint64(tell[44:])
	}
	return inode, cookie, inode != 0
}

// readSocket reads all that is told of a socket which identify takes.
func readSocket(tell []byte) socket {
	s := socket{family: tell[0]}
	s.inode, s.cookie, _ = identify(tell)
	switch s.family {
	case unix.AF_UNIX:
		s.kind, s.path = tell[1], unixName(tell[unixTellLen:])
	default:
		addr := netip.AddrFrom16([16]byte(tell[8:24]))
		if s.family == unix.AF_INET {
			addr = netip.AddrFrom4([4]byte(tell[8:12]))
		}
		s.addr = netip.AddrPortFrom(addr, binary.BigEndian.Uint16(tell[4:]))
		if id := attribute(tell[inetTellLen:], attrGroup); len(id) == 8 {
			s.group = binary.NativeEndian.Uint64(id)
		}
	}
	return s
}

// The attributes that are read; see linux/unix_diag.h and linux/inet_diag.h.
const (
	attrName  = 0  // UNIX_DIAG_NAME
	attrGroup = 21 // INET_DIAG_CGROUP_ID, from Linux 5.9 on
)

// unixName finds the name among the attributes of a Unix socket.
func unixName(attrs []byte) string {
	name := string(attribute(attrs, attrName))
	if rest, abstract := strings.CutPrefix(name, "\x00"); abstract {
		return "@" + rest
	}
	return strings.TrimRight(name, "\x00")
}

// attribute finds one by its number; nil when there is none.
func attribute(attrs []byte, number uint16) []byte {
	for len(attrs) >= 4 {
		size := int(binary.NativeEndian.Uint16(attrs))
		if size < 4 || size > len(attrs) {
			break
		}
		if binary.NativeEndian.Uint16(attrs[2:]) == number {
			return attrs[4:size]
		}
		attrs = attrs[min(len(attrs), (size+3)&^3):]
	}
	return nil
}
