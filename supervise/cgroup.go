package supervise

import (
	"maps"
	"slices"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/supervise/cgroup"
)

// Where cgroups of version 2 are delegated to us, each owner has one, into
// which its processes are cloned. Who is in it is the owner's, whatever else it
// has shed: session, parent, environment, limits. So a process that comes to us
// is asked for its group first (findOwner), and of an owner that has ended the
// group tells whether something is left that does not come to us: what a child
// of ours has made with CLONE_PARENT, which hangs on the wrong list, and what
// fell to somebody else when an earlier daemon died without a keeper.
//
// A group is made at the first start of an owner and given to another when it
// is empty. A start never fails for lack of one: descent and mark are there all
// the same. Without cgroups all of this is nothing.

// groups are those of the owners. They belong to the thread.
type groups struct {
	dir *cgroup.Dir // nil when there are none
	// why there are none, or why nothing is put into them any more.
	why     error
	of      map[uint64]*group
	named   map[string]*group // all of them
	free    []*group          // without an owner, and empty
	outside map[int32]int     // pids by pidfd: in a group, and not below us
	// inherited: an earlier daemon has left somebody in them, who need not be
	// below us. Set by the thread.
	inherited atomic.Bool
}

// group is the cgroup of an owner.
type group struct {
	name  string
	owner uint64 // 0 for nobody
	// empty: nobody was in it when that was looked at, and nothing was
	// started into it since.
	empty bool
	// killed: by cgroup.kill. Linux 6.18 kills at once whatever is cloned
	// into it later.
	killed bool
}

// Groups says where cgroups of version 2 are used.
type Groups int

const (
	// NoGroups: nowhere.
	NoGroups Groups = iota
	// DelegatedGroups: where our own group is delegated to us. An ordinary
	// user may not write elsewhere; root may and must not.
	DelegatedGroups
	// OwnGroups: wherever we may write, since nobody else manages the groups.
	OwnGroups
)

// keepGroups is how many groups without an owner are kept for owners to come.
const keepGroups = 256

// Ungrouped: processes are not put into cgroups from here on. It is said once,
// as the first event when there were none from the beginning.
type Ungrouped struct{ Err error }

func (Ungrouped) event() {}

// Error gives the sentence.
func (u Ungrouped) Error() string {
	return "processes are known by descent only, not by cgroups: " + u.Err.Error()
}

// openGroups finds the directory; recorded is where an earlier daemon of the
// session had it. With renumbered the owners of what is there are unknown.
func (s *Supervisor) openGroups(recorded string) {
	g := &s.groups
	dir, left, err := cgroup.Open(s.opts.Seed, recorded, s.opts.Groups == OwnGroups)
	if err != nil {
		s.noGroups(err)
		return
	}
	g.dir = dir
	g.of, g.named, g.outside = make(map[uint64]*group), make(map[string]*group), make(map[int32]int)
	for _, one := range left {
		old := &group{name: one.Name, owner: one.Owner, empty: one.Empty}
		if one.Owner != 0 && (one.Empty || s.opts.Renumbered) {
			old.owner = 0
			if dir.Give(old.name, 0) != nil {
				continue
			}
		}
		g.named[old.name] = old
		if old.owner != 0 {
			g.of[old.owner] = old
			g.inherited.Store(true)
		} else if old.empty {
			g.free = append(g.free, old)
		}
	}
	if dir.Refused != nil {
		s.noGroups(dir.Refused)
	}
}

// noGroups notes that nothing is put into groups from here on.
func (s *Supervisor) noGroups(why error) {
	if s.groups.why == nil {
		s.groups.why = why
		s.emit(Ungrouped{why})
	}
}

// path is what is recorded for the next daemon; empty for none.
func (g *groups) path() string {
	if g.dir == nil {
		return ""
	}
	return g.dir.Group
}

// enter opens the group for a process that is about to be made; -1 for none.
// The caller closes it.
func (s *Supervisor) enter(owner uint64) int {
	g := &s.groups
	if g.dir == nil || g.why != nil || owner == 0 {
		return -1
	}
	if one := g.of[owner]; one != nil && one.killed {
		g.discard(one)
	}
	if g.of[owner] == nil && !s.assign(owner) {
		return -1
	}
	one := g.of[owner]
	fd, err := g.dir.Descriptor(one.name)
	if err != nil {
		if err == unix.ENOENT {
			g.discard(one) // somebody has removed it
		}
		return -1
	}
	one.empty = false
	if fd, err = lift(fd); err != nil {
		return -1
	}
	return fd
}

// assign gives the owner a group, one that is free where there is one.
func (s *Supervisor) assign(owner uint64) bool {
	g := &s.groups
	for len(g.free) > 0 {
		last := len(g.free) - 1
		one := g.free[last]
		g.free = g.free[:last]
		if g.dir.Give(one.name, owner) == nil {
			one.owner, g.of[owner] = owner, one
			return true
		}
		g.discard(one)
	}
	name, err := g.dir.Make(owner)
	if err != nil {
		if errnoOf(err) != unix.EAGAIN && errnoOf(err) != unix.ENOMEM {
			s.noGroups(err)
		}
		return false
	}
	one := &group{name: name, owner: owner}
	g.of[owner], g.named[name] = one, one
	return true
}

// discard forgets a group, and removes it when nobody is in it. Who is stays
// known by its name, which is not used again.
func (g *groups) discard(one *group) {
	if g.of[one.owner] == one {
		delete(g.of, one.owner)
	}
	if g.dir.Remove(one.name) {
		delete(g.named, one.name)
	}
}

// giveBack takes the group of an owner of which nothing is left. One in which
// somebody is all the same, or that would hold up who enters it, is let go.
func (g *groups) giveBack(owner uint64) {
	one := g.of[owner]
	if one == nil {
		return
	}
	delete(g.of, owner)
	if !one.empty || one.killed {
		g.discard(one)
		return
	}
	one.owner = 0
	g.free = append(g.free, one)
}

// forkInto makes the first child of c, in the group of its owner where there is
// one. When the kernel refuses the group and nothing else, the child is made
// without, and a group that was used before is tried once more as a new one:
// what was in it may have made it unfit.
func (s *Supervisor) forkInto(c *child, owner uint64) (pid int, errno syscall.Errno) {
	for tries := 0; ; tries++ {
		c.cgroup = s.enter(owner)
		grouped := c.cgroup >= 0
		pid, errno = s.forking(c)
		if grouped {
			unix.Close(c.cgroup)
			c.cgroup = -1
		}
		if !grouped || errno == 0 || errno == unix.EAGAIN || errno == unix.ENOMEM {
			if errno != 0 && s.belong.owners[owner] == nil {
				s.groups.giveBack(owner)
			}
			return pid, errno
		}
		if one := s.groups.of[owner]; one != nil {
			s.groups.discard(one)
		}
		if tries > 0 {
			s.noGroups(&SpawnError{Step: StepFork, Arg: "into a cgroup", Errno: errno})
		}
	}
}

// groupOf finds the owner whose group a process is in; nil for none.
func (s *Supervisor) groupOf(pid int) *owner {
	if s.groups.dir == nil {
		return nil
	}
	one := s.groups.named[s.groups.dir.NameOf(pid)]
	if one == nil || one.owner == 0 {
		return nil
	}
	return s.ownerOf(one.owner)
}

// lookIntoEnded does what lookInto does for the owners of which a process has
// ended: of one that runs nobody asks what it has left.
func (s *Supervisor) lookIntoEnded() {
	if s.groups.dir == nil {
		return
	}
	for _, o := range s.belong.ended {
		if o.procs == 0 {
			s.lookInto(o)
		}
	}
	for _, o := range s.belong.touched {
		if o.procs == 0 || o.sweep != nil {
			s.lookInto(o)
		}
	}
}

// lookInto takes notice of who is in the group of an owner and does not come to
// us by itself.
func (s *Supervisor) lookInto(o *owner) {
	one := s.groups.of[o.id]
	if one == nil || one.empty {
		return
	}
	if len(s.groups.free) >= keepGroups && o.procs == 0 {
		// It is to go, which tells as well that it is empty.
		if s.groups.discard(one); s.groups.named[one.name] == nil {
			return
		}
		s.groups.of[o.id] = one
	}
	empty, running := s.groups.dir.Empty(one.name)
	if empty {
		one.empty = running
		return
	}
	making := slices.ContainsFunc(s.inFlight, func(p *process) bool { return p.owner == o && p.pid == 0 })
	for _, pid := range s.groups.dir.Members(one.name) {
		if _, known := o.strays[pid]; known || s.processOf(pid) != nil || s.helpers[pid] != nil || s.formers[pid] != nil {
			continue
		}
		st, there := statOf(pid)
		switch {
		case !there || !st.alive() || st.start < o.since:
		case st.parent == s.self && !making:
			s.keep(pid, o)
		case s.groups.inherited.Load() && s.isKeeper(st.parent):
			s.abroad = true
			s.keep(pid, o)
		case s.groups.inherited.Load() && s.isOutside(pid):
			s.keepOutside(pid, o, st.start)
		}
	}
}

// isOutside tells whether a process descends neither from us nor from the
// keeper. One whose parents change meanwhile comes to us, or is found the next
// time.
func (s *Supervisor) isOutside(pid int) bool {
	for range 1 << 16 {
		switch {
		case pid == s.self || s.isKeeper(pid):
			return false
		case pid <= 1:
			return true
		}
		st, ok := statOf(pid)
		if !ok {
			return false
		}
		pid = st.parent
	}
	return false
}

// keepOutside has the end of a process told that is nobody's child of ours. One
// that cannot be held on to is not kept.
func (s *Supervisor) keepOutside(pid int, o *owner, start uint64) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return
	}
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
	if st, ok := statOf(pid); !ok || st.start != start || unix.EpollCtl(s.epollFD, unix.EPOLL_CTL_ADD, fd, &ev) != nil {
		unix.Close(fd)
		return
	}
	s.groups.outside[int32(fd)] = pid
	s.keep(pid, o)
}

// outsideEnded takes that news.
func (s *Supervisor) outsideEnded(fd int32) {
	pid := s.groups.outside[fd]
	delete(s.groups.outside, fd)
	unix.EpollCtl(s.epollFD, unix.EPOLL_CTL_DEL, int(fd), nil)
	unix.Close(int(fd))
	if s.byPid[pid] == nil {
		s.strayEnded(pid)
	}
}

// claim gives the group that an adopted process is in to its owner, who may
// have another number than the earlier daemon knew.
func (s *Supervisor) claim(p *process) {
	g := &s.groups
	if g.dir == nil || p.owner == nil || p.pid == 0 {
		return
	}
	one := g.named[g.dir.NameOf(p.pid)]
	if one == nil || one.owner != 0 || g.of[p.owner.id] != nil || g.dir.Give(one.name, p.owner.id) != nil {
		return
	}
	one.owner, g.of[p.owner.id] = p.owner.id, one
	g.inherited.Store(true)
}

// searchGroups looks, after all are adopted, for what an earlier daemon's
// processes have left behind and has come to nobody here.
func (s *Supervisor) searchGroups() {
	if !s.groups.inherited.Load() {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(s.groups.of)) {
		o := s.ownerOf(id)
		s.lookInto(o)
		s.drop(o)
	}
}

// signalOutside signals who is in a group and not below us, and counts those
// that were not told before.
func (s *Supervisor) signalOutside(sig syscall.Signal, told map[int]bool) (fresh int) {
	if !s.groups.inherited.Load() {
		return 0
	}
	for _, id := range slices.Sorted(maps.Keys(s.groups.of)) {
		for _, pid := range s.groups.dir.Members(s.groups.of[id].name) {
			st, ok := statOf(pid)
			if ok && st.alive() && !told[pid] && s.isOutside(pid) && s.signalPid(pid, st.start, sig) == nil {
				told[pid] = true
				fresh++
			}
		}
	}
	return fresh
}

// killGroup ends all that is in the group of an owner at once, when the sweep
// means all of that: who forks faster than it is signalled does not escape.
func (s *Supervisor) killGroup(o *owner) {
	one := s.groups.of[o.id]
	if one == nil || o.sweep.sig != unix.SIGKILL || o.sweep.group != 0 || o.procs > len(o.killed) {
		return
	}
	// Who was found has been signalled; a kernel that cannot do this has not
	// lost anything.
	one.killed = true
	_ = s.groups.dir.Kill(one.name)
}

// close removes what is empty and leaves the rest to the next daemon.
func (g *groups) close() {
	for fd := range g.outside {
		unix.Close(int(fd))
	}
	if g.dir != nil {
		g.dir.Close()
	}
}
