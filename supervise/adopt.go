package supervise

import (
	"cmp"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/supervise/scarce"
)

// A daemon that takes over finds the processes of the one before it. After a
// re-exec they are its own children. After a crash they fell to the keeper,
// or to init: then nobody here can wait for them. A pidfd holds on to each,
// so that a signal never meets a stranger, and tells of its end; how it ended
// the keeper tells, or a kernel from 6.15 on, or nobody.

// Adoptee is a process that an earlier daemon made.
type Adoptee struct {
	Slot  Slot
	Owner uint64
	// Reported: Spawned was heard of it.
	Reported bool
	// Follow is what it is still waited for to do, after Forks were
	// followed.
	Follow Follow
	Forks  int
	// Spec is what it was made from, to keep its log within its limit and to
	// explain a set-up that failed when nobody was there to be told; nil when
	// that is not known.
	Spec *Spec
}

// Adopt takes over a process. Spawned is reported unless it was, and Exited
// as of any other process; Exited.Unknown says that nobody knows how it ended.
func (s *Supervisor) Adopt(a Adoptee) {
	s.send(func() { s.adopt(a) })
}

// Ended takes the keeper's word of how a process ended that fell to it. Told
// is reported after what follows from that.
func (s *Supervisor) Ended(pid int, status syscall.WaitStatus) {
	s.send(func() {
		s.abroad = true
		// A child of our own with that pid is another process: the news of
		// the keeper's took its time.
		if p := s.byPid[pid]; p == nil || p.foreign {
			s.ended(pid, status)
		}
		s.settleBelongings()
		s.emit(Told{pid})
	})
}

// AllEnded says that the keeper has told of all that ended before it was
// asked, and it was asked after AllAdopted: nobody will tell of those that are
// gone and were not told of.
func (s *Supervisor) AllEnded() {
	s.send(func() {
		list := s.adopted
		s.adopted = nil
		for _, p := range list {
			if _, there := p.look(); !p.ended && !there {
				s.endedUnknown(p)
			}
		}
	})
}

// Adopted says that all are taken over. Only now the file of slots takes the
// place of the earlier daemon's, which a daemon that dies before leaves to the
// next; and only now children are waited for, whose ends would have been those
// of strangers before.
func (s *Supervisor) Adopted() {
	s.send(func() {
		// What hinders this hinders a start too, which tells it.
		_ = s.nameSlots()
		s.dropNotify()
		s.waiting = false
		s.resumeCopy(nil)
		for _, p := range s.mute {
			// Without a descriptor for it, its end is found with the next.
			if !p.ended && p.follow.watch == 0 {
				s.pin(p)
			}
		}
		s.mute = nil
		s.died = true
		s.searchGroups()
		s.emit(AllAdopted{})
	})
}

// KeeperGone says that there is no keeper any more, and nobody told of what ends:
// of foreign processes a pidfd tells that they end, but not how.
func (s *Supervisor) KeeperGone() {
	s.send(func() {
		s.alone.Store(true)
		s.abroad = false
		s.adopted = nil
		var list []*process
		for _, p := range s.byID {
			if p.foreign && !p.ended && p.follow.watch == 0 {
				list = append(list, p)
			}
		}
		slices.SortFunc(list, func(a, b *process) int { return cmp.Compare(a.id, b.id) })
		for _, p := range list {
			if s.pinAgain(p); p.follow.watch == 0 {
				s.endedUnknown(p)
			}
		}
		s.settleBelongings()
	})
}

// pinAgain is pin for a process that may be gone, and its number another's.
func (s *Supervisor) pinAgain(p *process) {
	s.pin(p)
	if alive, _ := p.look(); !alive {
		s.unpin(p)
	}
}

// look finds a process that is not our child in the process table, and not another
// that has its number.
func (p *process) look() (alive, there bool) {
	began := Slot{Asked: time.Duration(p.slot.asked), Began: time.Duration(p.slot.began.Nano())}
	st, there := statOf(p.pid)
	there = there && began.Is(st.start)
	return there && st.alive(), there
}

// keeper returns the pid of the keeper, 0 when there is none any more: then the
// number may be a stranger's. It may be called from any goroutine.
func (s *Supervisor) keeper() int {
	if s.opts.Keeper == 0 || s.alone.Load() || os.Getppid() != s.opts.Keeper {
		return 0
	}
	return s.opts.Keeper
}

// isKeeper tells whether a process is the keeper.
func (s *Supervisor) isKeeper(pid int) bool { return pid != 0 && pid == s.keeper() }

// nameSlots lets the file of slots take its name, once all that were adopted
// stand in it.
func (s *Supervisor) nameSlots() error {
	for len(s.unrecorded) > 0 {
		p := s.unrecorded[0]
		if s.byID[p.id] == p {
			record, err := s.slots.take(p.id)
			if err != nil {
				return err
			}
			*record = *p.slot
			p.slot = record
		}
		s.unrecorded = s.unrecorded[1:]
	}
	return s.slots.name()
}

func (s *Supervisor) adopt(a Adoptee) {
	s.at("adopting")
	if a.Spec != nil {
		s.resumeCopy(a.Spec)
	}
	if a.Slot.Errno != 0 && !a.Reported && !s.isOurs(a.Slot) {
		spec := a.Spec
		if spec == nil {
			spec = &Spec{}
		}
		s.emit(SpawnFailed{a.Slot.ID, explain(spec, s.opts.Terminal, a.Slot.Step, a.Slot.index, a.Slot.Errno, a.Slot.hint)})
		return
	}
	record, err := s.slots.take(a.Slot.ID)
	unrecorded := err != nil
	if unrecorded {
		// It cannot be recorded yet; it is followed all the same.
		record = &slot{id: uint64(a.Slot.ID)}
	}
	record.asked, record.began = int64(a.Slot.Asked), unix.NsecToTimespec(int64(a.Slot.Began))
	record.helper, record.pid = int32(a.Slot.Helper), int32(a.Slot.Pid)
	p := &process{
		id: a.Slot.ID, slot: record, pipe: -1,
		pid: a.Slot.Pid, group: a.Slot.Pid, running: true,
	}
	beforeExec := s.pickUp(p, a)
	if p.running {
		record.setState(SlotRunning)
	}
	if a.Slot.Helper != 0 {
		p.group = a.Slot.Helper
	}
	s.byID[p.id] = p
	if unrecorded {
		s.unrecorded = append(s.unrecorded, p)
	}
	s.own(p, a.Owner)
	s.adoptHelper(a.Slot)
	if a.Slot.State != SlotEnded {
		s.claim(p)
		s.adoptNotify(p, a.Spec)
	}
	if p.owner != nil {
		p.owner.since = min(p.owner.since, uint64(a.Slot.Asked/clockTick))
	}
	if p.running && !a.Reported {
		s.emit(Spawned{p.id, p.pid})
	}
	if p.running {
		record.index = uint32(a.Slot.moves())
	}
	s.expectAgain(p, a)
	if a.Slot.State == SlotEnded {
		// What it left behind may have fallen to the keeper.
		s.abroad = s.abroad || s.keeper() != 0
		p.ended, p.end = true, a.Slot.Status
		p.slot.end(a.Slot.Status)
		s.advance(p)
		return
	}
	s.byPid[p.pid] = p
	if p.running && a.Spec != nil && a.Spec.Output == OutputFile {
		s.outputs.capper.watch(p.id, a.Spec.Label, a.Spec.LogPath, a.Spec.LogLimit)
	}
	if !beforeExec {
		defer s.followOn(p)
	}
	st, there := statOf(p.pid)
	switch {
	case s.isOurs(a.Slot):
		// Our own, after a re-exec: it is waited for as ever.
		if silent(p.pid) {
			s.mute = append(s.mute, p)
		}
	case there && a.Slot.Is(st.start) && st.alive():
		s.watchForeign(p)
	default:
		s.gone(p)
	}
}

// expectAgain takes over what a process is still waited for to do. What it did in
// between was not seen: when it has forked meanwhile it is followed to what it
// leaves behind. Forks that are recorded, and that nobody may have heard of, are
// told again.
func (s *Supervisor) expectAgain(p *process, a Adoptee) {
	if a.Follow == FollowNone {
		return
	}
	f := &p.follow
	f.way, f.want, f.forks, f.ready = a.Follow, wanted[a.Follow], a.Forks, time.Now()
	f.orphans = a.Follow.traces() || a.Follow.announced()
	for ; f.forks < min(a.Slot.moves(), f.want); f.forks++ {
		s.emit(Forked{p.id, p.pid})
	}
	if f.want > 0 && f.forks >= f.want {
		f.way = FollowNone
	}
	if f.way == FollowListen {
		s.expectListen(p)
	}
}

// followOn traces again a process that was being followed.
func (s *Supervisor) followOn(p *process) {
	f := &p.follow
	if !f.way.traces() || p.ended {
		return
	}
	f.asked = true
	if f.denied = s.seize(p.pid); f.denied == 0 {
		s.trace(p.pid, &tracee{p: p, tgid: p.pid})
	}
}

// watchForeign follows a process that is not our child.
func (s *Supervisor) watchForeign(p *process) {
	p.foreign = true
	s.abroad = s.keeper() != 0
	s.pin(p)
	if fd := p.follow.watch; fd != 0 && s.keeper() != 0 && scarce.Descriptor(fd) {
		// The keeper tells as well.
		s.unpin(p)
	}
	if p.follow.watch == 0 {
		s.gone(p)
	}
}

// gone deals with a process that ended while there was no daemon, or whose
// end did not tell its status, or does not tell us for lack of a descriptor. The
// keeper will; without one nobody does.
func (s *Supervisor) gone(p *process) {
	p.foreign = true
	if s.keeper() == 0 {
		s.endedUnknown(p)
		return
	}
	s.adopted = append(s.adopted, p)
}

// endedUnknown reports an end of which nobody knows more.
func (s *Supervisor) endedUnknown(p *process) {
	p.unknown = true
	delete(s.byPid, p.pid)
	s.mainEnded(p, 0)
}

// isOurs tells whether the process of a slot is our child still: an earlier
// image of us has made it.
func (s *Supervisor) isOurs(slot Slot) bool {
	st, there := statOf(slot.Pid)
	return there && slot.Is(st.start) && st.parent == s.self
}

// adoptHelper has the first child of a pair waited for that was made before a
// re-exec and has not ended yet. A later process with its number began after the
// second child.
func (s *Supervisor) adoptHelper(slot Slot) {
	if slot.Helper == 0 {
		return
	}
	st, there := statOf(slot.Helper)
	second, known := statOf(slot.Pid)
	if there && st.parent == s.self && slot.Is(st.start) && (!known || !slot.Is(second.start) || st.start <= second.start) {
		s.lateHelpers = append(s.lateHelpers, slot.Helper)
	}
}

// uncles lists the keeper's children, other than us: what a dead daemon's
// processes left behind.
func (s *Supervisor) uncles() []int {
	keeper := s.keeper()
	if keeper == 0 {
		return nil
	}
	number := strconv.Itoa(keeper)
	pids, err := childrenIn("/proc/" + number + "/task/" + number + "/children")
	if err != nil {
		pids = scanChildren()(keeper)
	}
	return slices.DeleteFunc(pids, func(pid int) bool { return pid == s.self })
}
