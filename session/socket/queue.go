package socket

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// Who waits at a socket that listens: connections that nobody has accepted yet.

// Waiting tells how many wait at each socket of a job, by its address; those of
// which that cannot be known are left out.
func (s *Set) Waiting(name string) map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.classes[name]
	if c == nil {
		return nil
	}
	out := make(map[string]int)
	for address, h := range c.have {
		if n, ok := queued(h.fd); ok {
			out[address] = n
		}
	}
	return out
}

// queued tells how many connections wait at a socket; see tcp(7) and
// sock_diag(7). It does not block: the kernel answers before it returns.
func queued(fd int) (count int, ok bool) {
	if info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
		// Of one that listens it is sk_ack_backlog.
		return int(info.Unacked), true
	}
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return 0, false
	}
	return queuedUnix(uint32(st.Ino))
}

// What is asked and told of one Unix socket; see linux/unix_diag.h.
const (
	diagByFamily = 20     // SOCK_DIAG_BY_FAMILY
	diagQueue    = 1 << 4 // UDIAG_SHOW_RQLEN
	attrQueue    = 4      // UNIX_DIAG_RQLEN
	unixAskLen   = 24
	unixTellLen  = 16
)

func queuedUnix(inode uint32) (count int, ok bool) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return 0, false
	}
	defer unix.Close(fd)
	ask := make([]byte, unix.NLMSG_HDRLEN+unixAskLen)
	native := binary.NativeEndian
	native.PutUint32(ask, uint32(len(ask)))
	native.PutUint16(ask[4:], diagByFamily)
	native.PutUint16(ask[6:], unix.NLM_F_REQUEST)
	body := ask[unix.NLMSG_HDRLEN:]
	body[0] = unix.AF_UNIX
	native.PutUint32(body[4:], ^uint32(0))
	native.PutUint32(body[8:], inode)
	native.PutUint32(body[12:], diagQueue)
	// Whatever its cookie is.
	native.PutUint64(body[16:], ^uint64(0))
	if err := unix.Sendto(fd, ask, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, false
	}
	tell := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, tell, 0)
	if err != nil {
		return 0, false
	}
	return readQueue(tell[:n])
}

// readQueue reads the length of the queue in an answer.
func readQueue(tell []byte) (count int, ok bool) {
	const head = unix.NLMSG_HDRLEN + unixTellLen
	native := binary.NativeEndian
	if len(tell) < head || native.Uint16(tell[4:]) != diagByFamily {
		return 0, false
	}
	for attrs := tell[head:]; len(attrs) >= 4; {
		size := int(native.Uint16(attrs))
		if size < 4 || size > len(attrs) {
			break
		}
		if native.Uint16(attrs[2:]) == attrQueue && size >= 8 {
			return int(native.Uint32(attrs[4:])), true
		}
		attrs = attrs[min(len(attrs), (size+3)&^3):]
	}
	return 0, false
}
