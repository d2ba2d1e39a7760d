package supervise

import (
	"errors"
	"math"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Start asks for a process. The supervisor keeps the Spec until it has
// reported Spawned or SpawnFailed; what its slices hold must not change.
func (s *Supervisor) Start(spec Spec) {
	s.send(func() { s.attempt(&spec, 0) })
}

// launch forks, after it has got hold of all that may be lacking.
func (s *Supervisor) launch(spec *Spec) (failure *SpawnError) {
	if s.byID[spec.ID] != nil || s.isPostponed(spec.ID) {
		return &SpawnError{Step: StepNone, Hint: "its number " + strconv.FormatUint(uint64(spec.ID), 10) + " is in use"}
	}
	if spec.Follow > FollowClaim {
		return &SpawnError{Step: StepFollow, Errno: unix.EINVAL, Hint: "there is no way " + strconv.Itoa(int(spec.Follow))}
	}
	if err := spec.raiseFiles(); err != nil {
		return &SpawnError{Step: StepPipe, Errno: errnoOf(err)}
	}
	c, failure := s.prepare(spec)
	if failure != nil {
		return failure
	}

	err := s.nameSlots()
	if err == nil {
		c.slot, err = s.slots.take(spec.ID)
	}
	if err != nil {
		return &SpawnError{Step: StepSlot, Errno: errnoOf(err)}
	}
	r, w, err := s.openPipe(c.trace.wanted)
	if err != nil {
		s.slots.put(c.slot)
		return &SpawnError{Step: StepPipe, Errno: errnoOf(err)}
	}
	if w, err = raise(w, c.highest()); err != nil {
		unix.Close(r)
		s.slots.put(c.slot)
		return &SpawnError{Step: StepPipe, Errno: errnoOf(err)}
	}
	// Ours must be closed for the child's end to be a hang-up.
	defer unix.Close(w)
	c.pipeFD = w
	c.slot.status = inodeOf(w)
	if spec.Script != "" {
		if c.scriptFD, err = openScript(spec.Script, c.scriptAt); err == nil {
			c.scriptFD, err = raise(c.scriptFD, c.highest())
		}
		if err != nil {
			unix.Close(r)
			s.slots.put(c.slot)
			return &SpawnError{Step: StepScript, Errno: errnoOf(err)}
		}
		defer unix.Close(c.scriptFD)
	}

	if spec.Output == OutputPTY {
		if slave := s.makeTerminal(spec, c); slave >= 0 {
			defer unix.Close(slave)
		}
	}

	sock, err := s.openNotify(spec.Notify)
	if err != nil {
		unix.Close(r)
		s.slots.put(c.slot)
		return &SpawnError{Step: StepNotify, Arg: spec.Notify, Errno: errnoOf(err)}
	}

	var listen *awaiting
	if spec.Follow == FollowListen {
		listen = s.beforeListen()
	}
	if s.oneByOne {
		c.lastFD = lastDescriptor()
	}
	s.at("before-clone")
	pid, errno := s.forkInto(c, spec.Owner)
	s.at("after-clone")
	if errno != 0 {
		s.closeNotify(sock)
		unix.Close(r)
		s.slots.put(c.slot)
		return &SpawnError{Step: StepFork, Errno: errno}
	}
	p := &process{id: spec.ID, child: c, slot: c.slot, spec: spec, pipe: r, at: len(s.inFlight), group: pid, late: s.ending != 0}
	p.follow.way, p.follow.want, p.follow.label = spec.Follow, wanted[spec.Follow], spec.Label
	p.follow.listen = listen
	if sock != nil {
		s.bindNotify(p, sock)
	}
	s.byID[p.id] = p
	s.own(p, spec.Owner)
	s.byPipe[int32(r)] = p
	s.inFlight = append(s.inFlight, p)
	if !c.leader {
		p.helper = pid
		s.helpers[pid] = p
	}
	s.learnPid(p)
	return nil
}

// lastDescriptor returns the highest number that one of ours has, or may have
// where it cannot be looked.
func lastDescriptor() (last int) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		var limit unix.Rlimit
		if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
			return math.MaxInt32
		}
		return int(min(limit.Cur, math.MaxInt32))
	}
	for _, entry := range entries {
		if fd, err := strconv.Atoi(entry.Name()); err == nil {
			last = max(last, fd)
		}
	}
	return last
}

// openPipe makes the pipe of a spawn. Nobody reads it: epoll tells its
// hang-up without being asked to. With talk it is a socket, over which the
// child asks to be traced.
func (s *Supervisor) openPipe(talk bool) (r, w int, err error) {
	var ends [2]int
	var events uint32
	if talk {
		ends, err = unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		events = unix.EPOLLIN
	} else {
		err = unix.Pipe2(ends[:], unix.O_CLOEXEC)
	}
	if err != nil {
		return -1, -1, err
	}
	r = ends[0]
	if w, err = lift(ends[1]); err != nil {
		unix.Close(r)
		return -1, -1, err
	}
	ev := unix.EpollEvent{Events: events, Fd: int32(r)}
	if err := unix.EpollCtl(s.epollFD, unix.EPOLL_CTL_ADD, r, &ev); err != nil {
		unix.Close(r)
		unix.Close(w)
		return -1, -1, err
	}
	return r, w, nil
}

// inodeOf returns the inode of a pipe or socket, which the kernel counts in 32
// bits; 0 when that cannot be told.
func inodeOf(fd int) uint32 {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return 0
	}
	return uint32(st.Ino)
}

// errnoOf returns the kernel's answer inside err.
func errnoOf(err error) syscall.Errno {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return unix.EIO
}
