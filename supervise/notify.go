package supervise

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// What a job says of itself; see sd_notify(3). A Spec that names a socket has
// one as long as its process is followed, at that path, and datagrams that come
// to it are reported as Notified. They are read here, and not beside, because a
// message counts only when its sender is a process of the same owner, which
// this thread alone can tell:
//
//   - the kernel adds the sender's pid, and from 6.5 on a pidfd, which says
//     whether the pid is its still;
//   - of a child of ours every message is read before it is waited for, so that
//     it is in the process table as long as somebody has to look at it there;
//   - who was found to belong is remembered by the number that the kernel gives
//     each process once (the inode of its pidfd, from 6.9 on), so that its last
//     words count too when its parent has waited for it.
//
// A sender that is none of these is a stranger, or has ended and cannot be told
// from one: its message is dropped. Each such thing is said once a process.
//
// All sockets stand in an epoll set of their own inside the thread's, so that
// one call tells whether any has something, however many there are.

// A socket is held for the next daemon under the number of its process.
const notifyPrefix = "notify."

func notifyName(id ProcID) string { return notifyPrefix + strconv.FormatUint(uint64(id), 10) }

// notifySocket belongs to the process that its Spec was for.
type notifySocket struct {
	fd   int
	path string
	p    *process
	// known are the senders that were found to belong, by the inode of their
	// pidfds, the oldest first.
	known []uint64
	told  [numNotifyFaults]bool
}

// notifying is what the thread knows of them.
type notifying struct {
	epoll int // -1 until there is a socket
	byFD  map[int32]*notifySocket
	// byPath are those that a path leads to: another may have taken it since.
	byPath map[string]*notifySocket
	// deaf: what comes is the next daemon's, and so are the sockets.
	deaf atomic.Bool
	left []*notifySocket
}

const (
	// maxNotification is what a datagram may hold; systemd takes as much.
	maxNotification = 4096
	// hearBatch is how many datagrams are read at a time, at the most, before a
	// child is waited for: more than the kernel queues for a socket, as a rule.
	hearBatch = 1024
	// maxKnown bounds how many senders are remembered for a socket.
	maxKnown = 64
	// pidfsMagic is PIDFS_MAGIC of linux/magic.h.
	pidfsMagic = 0x50494446
)

// Notified: a process of the job, Pid, has said something.
type Notified struct {
	ID  ProcID
	Pid int
	Notification
}

// Barrier: FD is to be closed when all that was reported before has been dealt
// with. It is the receiver's.
type Barrier struct {
	ID ProcID
	FD int
}

// NotifyFault is why a message, or a part of one, is not heeded.
type NotifyFault uint8

// The faults.
const (
	NotifyStranger NotifyFault = iota // the sender does not belong to the job
	NotifyGone                        // it has ended, and nobody knows whose it was
	NotifyLong                        // it is cut off, or no text
	NotifyBarrier                     // no single descriptor, or more beside it
	NotifyStore                       // no descriptors came with FDSTORE=1
	NotifyMainPid                     // MAINPID= is no process of the job
	NotifyLost                        // nobody listens to the socket
	numNotifyFaults
)

// NotifyRefused: a message was not heeded, or a part of it. It is said once a
// fault and process.
type NotifyRefused struct {
	ID      ProcID
	Label   string // Spec.Label
	Fault   NotifyFault
	Pid     int    // the sender
	Command string // its program's name, empty when it is gone
	MainPid int    // that was named
	Errno   syscall.Errno
}

func (Notified) event()      {}
func (Barrier) event()       {}
func (NotifyRefused) event() {}

// Error gives the sentence.
func (r NotifyRefused) Error() string {
	who := "process " + strconv.Itoa(r.Pid)
	if r.Command != "" {
		who = r.Command + " (" + strconv.Itoa(r.Pid) + ")"
	}
	switch r.Fault {
	case NotifyStranger:
		return who + " is no process of the job: what it says to its NOTIFY_SOCKET is not heeded"
	case NotifyGone:
		return who + " said something to NOTIFY_SOCKET and ended before it was known whose it is: that is not heeded; one that waits for an answer (BARRIER=1, as systemd-notify does) is"
	case NotifyLong:
		return "cannot read what " + who + " said to NOTIFY_SOCKET: more than " + strconv.Itoa(maxNotification) + " bytes, or no text"
	case NotifyBarrier:
		return "cannot heed BARRIER=1 of " + who + ": it goes with one descriptor and nothing else"
	case NotifyStore:
		return "cannot keep descriptors for " + who + ": none came with FDSTORE=1"
	case NotifyMainPid:
		return fmt.Sprintf("cannot follow MAINPID=%d of %s: no live process of the job has that number", r.MainPid, who)
	case NotifyLost:
		return "cannot listen to the NOTIFY_SOCKET of the job: " + r.Errno.Error() + ": what it says is not heard"
	}
	return who + ": not heeded"
}

// openNotify makes the socket of a spec; nil when it wants none.
func (s *Supervisor) openNotify(path string) (*notifySocket, error) {
	if path == "" {
		return nil, nil
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if fd, err = lift(fd); err != nil {
		return nil, err
	}
	if !strings.HasPrefix(path, "@") {
		// What is there is an earlier daemon's, or of a main that is given up.
		if err = unix.Unlink(path); err == unix.ENOENT {
			err = nil
		}
	}
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrUnix{Name: path})
	}
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1)
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return s.keepNotify(fd, path), nil
}

// keepNotify takes over a socket.
func (s *Supervisor) keepNotify(fd int, path string) *notifySocket {
	// Before Linux 6.5 there is none.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSPIDFD, 1)
	sock := &notifySocket{fd: fd, path: path}
	s.notify.byFD[int32(fd)], s.notify.byPath[path] = sock, sock
	return sock
}

// bindNotify makes a socket that of p.
func (s *Supervisor) bindNotify(p *process, sock *notifySocket) {
	sock.p, p.notify = p, sock
	if s.opts.Holder != nil {
		// Should that fail, the keeper is gone, and whoever watches the link
		// knows.
		_ = s.opts.Holder.Hold(notifyName(p.id), sock.fd)
	}
}

// listenTo begins to read what p says, which now runs; until then it waits in
// the socket. One that has ended already is read at once.
func (s *Supervisor) listenTo(p *process) {
	if p.notify == nil {
		return
	}
	if err := s.addNotify(p.notify.fd); err != nil {
		s.emit(NotifyRefused{ID: p.id, Label: p.follow.label, Fault: NotifyLost, Pid: p.pid, Errno: errnoOf(err)})
		return
	}
	if p.ended {
		s.hear()
	}
}

func (s *Supervisor) addNotify(fd int) error {
	n := &s.notify
	if n.epoll < 0 {
		set, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		if err != nil {
			return err
		}
		ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(set)}
		if err := unix.EpollCtl(s.epollFD, unix.EPOLL_CTL_ADD, set, &ev); err != nil {
			unix.Close(set)
			return err
		}
		n.epoll = set
	}
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
	return unix.EpollCtl(n.epoll, unix.EPOLL_CTL_ADD, fd, &ev)
}

// closeNotify ends a socket, and its path unless that leads to another by now.
func (s *Supervisor) closeNotify(sock *notifySocket) {
	if sock == nil {
		return
	}
	n := &s.notify
	if holder := n.byPath[sock.path]; holder == nil || holder == sock {
		delete(n.byPath, sock.path)
		if !strings.HasPrefix(sock.path, "@") {
			unix.Unlink(sock.path)
		}
	}
	delete(n.byFD, int32(sock.fd))
	if sock.p != nil && s.opts.Holder != nil {
		_ = s.opts.Holder.Drop(notifyName(sock.p.id))
	}
	// Children in their set-up may hold copies, so closing is not enough.
	if n.epoll >= 0 {
		unix.EpollCtl(n.epoll, unix.EPOLL_CTL_DEL, sock.fd, nil)
	}
	unix.Close(sock.fd)
}

// adoptNotify gives an adopted process its socket: the one that was left, or a
// new one at the same path, which loses what was said in between.
func (s *Supervisor) adoptNotify(p *process, spec *Spec) {
	if spec == nil || spec.Notify == "" || p.ended {
		return
	}
	p.follow.label = spec.Label
	sock := (*notifySocket)(nil)
	if fd := s.heldNotify(p.id); fd >= 0 {
		sock = s.keepNotify(fd, spec.Notify)
	} else {
		var err error
		if sock, err = s.openNotify(spec.Notify); err != nil {
			s.emit(NotifyRefused{ID: p.id, Label: spec.Label, Fault: NotifyLost, Pid: p.pid, Errno: errnoOf(err)})
			return
		}
	}
	s.bindNotify(p, sock)
	if p.running {
		s.listenTo(p)
	}
}

// Deafen says that from now on what jobs say is for the next daemon. Called in
// a turn, it holds at once. Close leaves the sockets then, for NotifySockets.
func (s *Supervisor) Deafen() { s.notify.deaf.Store(true) }

// NotifySockets returns, after Deafen and Close, the sockets that are to be
// handed over, under the names that Holder.Names gives there. They are the
// caller's.
func (s *Supervisor) NotifySockets() (names []string, fds []int) {
	for _, sock := range s.notify.left {
		names, fds = append(names, notifyName(sock.p.id)), append(fds, sock.fd)
	}
	return names, fds
}

// releaseNotify gives up the sockets at the end of the thread.
func (s *Supervisor) releaseNotify() {
	n := &s.notify
	for _, sock := range n.byFD {
		if n.deaf.Load() && sock.p != nil {
			n.left = append(n.left, sock)
		} else {
			unix.Close(sock.fd)
		}
	}
	slices.SortFunc(n.left, func(a, b *notifySocket) int { return int(a.p.id) - int(b.p.id) })
	if n.epoll >= 0 {
		unix.Close(n.epoll)
		n.epoll = -1
	}
}

// heldNotify takes the socket that an earlier daemon has left of a process; -1
// when there is none.
func (s *Supervisor) heldNotify(id ProcID) int {
	if s.opts.Holder == nil {
		return -1
	}
	file := s.opts.Holder.Take(notifyName(id))
	if file == nil {
		return -1
	}
	defer file.Close()
	fd, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, firstFree)
	if err != nil {
		return -1
	}
	return fd
}

// dropNotify lets go of what an earlier daemon has left of processes that are
// gone.
func (s *Supervisor) dropNotify() {
	if s.opts.Holder == nil {
		return
	}
	for _, name := range s.opts.Holder.Names() {
		if strings.HasPrefix(name, notifyPrefix) {
			if file := s.opts.Holder.Take(name); file != nil {
				file.Close()
			}
			_ = s.opts.Holder.Drop(name)
		}
	}
}

// hear reads what has come to all sockets, up to a batch.
func (s *Supervisor) hear() {
	n := &s.notify
	if n.epoll < 0 || len(n.byFD) == 0 || n.deaf.Load() {
		return
	}
	for left := hearBatch; left > 0; {
		var ready [64]unix.EpollEvent
		count, err := unix.EpollWait(n.epoll, ready[:], 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil || count == 0 {
			return
		}
		for _, ev := range ready[:count] {
			left--
			if sock := n.byFD[ev.Fd]; sock != nil {
				s.hearOne(sock)
			}
		}
	}
}

// hearOne reads a datagram.
func (s *Supervisor) hearOne(sock *notifySocket) {
	var data [maxNotification + 1]byte
	// Credentials, a pidfd, and as many descriptors as the kernel lets through
	// (SCM_MAX_FD in include/net/scm.h).
	oob := make([]byte, unix.CmsgSpace(unix.SizeofUcred)+unix.CmsgSpace(4)+unix.CmsgSpace(4*253))
	n, oobn, flags, _, err := unix.Recvmsg(sock.fd, data[:], oob, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return
	}
	from := readSender(oob[:oobn])
	defer from.close()
	note, isText := parseNotification(data[:n])
	switch fault := s.whose(sock, &from); {
	case fault != numNotifyFaults:
		s.refuse(sock, from.pid, fault, 0)
		return
	case flags&unix.MSG_TRUNC != 0 || n > maxNotification || !isText:
		s.refuse(sock, from.pid, NotifyLong, 0)
		return
	}
	p := sock.p
	if note.barrier {
		if len(from.fds) != 1 || note.more {
			s.refuse(sock, from.pid, NotifyBarrier, 0)
			return
		}
		s.emit(Barrier{p.id, from.fds[0]})
		from.fds = nil
		return
	}
	switch {
	case note.store && len(from.fds) == 0:
		s.refuse(sock, from.pid, NotifyStore, 0)
	case note.store:
		s.emit(Stored{p.id, note.name, from.fds})
		from.fds = nil
	case note.remove:
		s.emit(Unstored{p.id, note.name})
	}
	if note.MainPid != 0 && !s.mainIs(p, note.MainPid) {
		s.refuse(sock, from.pid, NotifyMainPid, note.MainPid)
		note.MainPid = 0
	}
	if note.Ready && p.follow.way == FollowNotify {
		// Ready, it is followed no further; unless another says so, who may be
		// what it leaves behind when its part is done.
		p.follow.way, p.follow.orphans = FollowNone, from.pid != p.pid
	}
	if note.says() {
		s.emit(Notified{p.id, from.pid, note})
	}
}

// sender is who sent a datagram, and what came with it.
type sender struct {
	pid   int
	pidfd int // -1 when the kernel gives none
	fds   []int
}

func (f *sender) close() {
	if f.pidfd >= 0 {
		unix.Close(f.pidfd)
	}
	for _, fd := range f.fds {
		unix.Close(fd)
	}
}

// readSender takes apart what the kernel put beside a datagram. A part that is
// cut off gives the descriptors before the cut.
func readSender(oob []byte) sender {
	from := sender{pidfd: -1}
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return from
	}
	for _, m := range messages {
		if m.Header.Level != unix.SOL_SOCKET {
			continue
		}
		switch m.Header.Type {
		case unix.SCM_CREDENTIALS:
			if cred, err := unix.ParseUnixCredentials(&m); err == nil {
				from.pid = int(cred.Pid)
			}
		case unix.SCM_RIGHTS:
			if fds, err := unix.ParseUnixRights(&m); err == nil {
				from.fds = append(from.fds, fds...)
			}
		case unix.SCM_PIDFD:
			// Laid out as descriptors are; the kernel may give an error in its
			// place.
			m.Header.Type = unix.SCM_RIGHTS
			if fds, err := unix.ParseUnixRights(&m); err == nil && len(fds) == 1 && fds[0] >= 0 {
				from.pidfd = fds[0]
			}
		}
	}
	return from
}

// whose tells whether a sender belongs to the process that the socket is for:
// then it is numNotifyFaults.
func (s *Supervisor) whose(sock *notifySocket, from *sender) NotifyFault {
	number, numbered := pidfdNumber(from.pidfd)
	if numbered && slices.Contains(sock.known, number) {
		return numNotifyFaults
	}
	gone := func() bool {
		return from.pidfd >= 0 && unix.PidfdSendSignal(from.pidfd, 0, nil, 0) == unix.ESRCH
	}
	switch {
	case sock.p.ended && from.pid == sock.p.pid:
		// It has ended before it was known to run: nobody can have its number
		// yet.
		return numNotifyFaults
	case gone():
		return NotifyGone
	case s.isOf(sock.p.owner, from.pid):
		if numbered {
			if len(sock.known) == maxKnown {
				sock.known = slices.Delete(sock.known, 0, 1)
			}
			sock.known = append(sock.known, number)
		}
		return numNotifyFaults
	case gone():
		return NotifyGone
	}
	if _, there := statOf(from.pid); !there {
		return NotifyGone
	}
	return NotifyStranger
}

// pidfdNumber returns what tells a process from every other of this boot, where
// the kernel has it.
func pidfdNumber(fd int) (uint64, bool) {
	if fd < 0 {
		return 0, false
	}
	var fs unix.Statfs_t
	var st unix.Stat_t
	if unix.Fstatfs(fd, &fs) != nil || uint32(fs.Type) != pidfsMagic || unix.Fstat(fd, &st) != nil {
		return 0, false
	}
	return st.Ino, true
}

// refuse reports what is not heeded, once a fault.
func (s *Supervisor) refuse(sock *notifySocket, pid int, fault NotifyFault, main int) {
	if sock.told[fault] {
		return
	}
	sock.told[fault] = true
	st, _ := statOf(pid)
	s.emit(NotifyRefused{ID: sock.p.id, Label: sock.p.follow.label, Fault: fault, Pid: pid, Command: st.command, MainPid: main})
}

// isOf tells whether pid is a process of the owner: one of its Specs, one that
// it left to us, or one that descends from these.
func (s *Supervisor) isOf(o *owner, pid int) bool {
	if o == nil {
		return false
	}
	// A parent that ends while we look hands its child on to us.
	for range walkRounds {
		if is, known := s.descends(o, pid); known {
			return is
		}
	}
	return false
}

// descends is one look at a process and those above it; known is false when one
// of these went away meanwhile.
func (s *Supervisor) descends(o *owner, pid int) (is, known bool) {
	for depth := 0; pid > 1 && pid != s.self; depth++ {
		if p := s.processOf(pid); p != nil {
			return p.owner == o, true
		}
		if p := s.formers[pid]; p != nil {
			return p.owner == o, true
		}
		if of, stray := s.belong.strays[pid]; stray {
			return of == o, true
		}
		st, there := statOf(pid)
		switch {
		case !there:
			return false, depth == 0
		case st.parent == s.self, s.isKeeper(st.parent):
			return s.findOwner(pid) == o, true
		}
		pid = st.parent
	}
	return false, true
}

// mainIs follows the process that a job names as its main one, and tells whether
// that could be done.
func (s *Supervisor) mainIs(p *process, pid int) bool {
	if pid == p.pid {
		return true
	}
	if s.byPid[pid] != nil || !s.isOf(p.owner, pid) {
		return false
	}
	st, there := statOf(pid)
	if !there || !st.alive() {
		return false
	}
	current, ended := p.pid, p.ended
	parent, known := parentOf(current)
	s.cutLoose(p, 0)
	s.succeed(p, pid)
	p.ended, p.unknown = false, false
	delete(s.formers, pid)
	p.follow.formers = slices.DeleteFunc(p.follow.formers, func(one int) bool { return one == pid })
	p.foreign = false
	switch {
	case st.parent == s.self:
	case s.isKeeper(st.parent):
		s.watchForeign(p)
	default:
		s.pin(p)
	}
	if !ended && known && parent == s.self {
		s.shed(p, current)
	}
	return true
}
