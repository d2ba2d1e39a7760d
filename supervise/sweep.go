package supervise

import (
	"maps"
	"path/filepath"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// sweep is the end of what an owner has left behind, or the watch over it.
type sweep struct {
	sig   syscall.Signal // 0: nothing is signalled
	group int            // only processes of that group are; 0: all are
	// told holds the start times of those that were signalled or spared,
	// refused those among them that the kernel does not let us signal.
	told    map[int]uint64
	refused map[int]bool
}

// Sweep signals once each process that is the owner's and came to us, and
// all below it, also those that come later; with a group, only those in the
// group that this process of the owner was put into. With signal 0 it only
// looks. Processes of the owner's Specs that got KILL and have not ended are
// meant too, and not signalled again. Swept names them, at once, when there are any; Vacated is reported once
// when none of those meant is left, those apart that we may not signal. A newer
// Sweep of an owner takes the place of the older.
func (s *Supervisor) Sweep(id uint64, sig syscall.Signal, group ProcID) {
	s.send(func() {
		s.lookForStrays()
		o := s.ownerOf(id)
		o.sweep = &sweep{sig: sig, told: make(map[int]uint64), refused: make(map[int]bool)}
		if group != 0 {
			// Of a process that we do not know it is nobody's group.
			if o.sweep.group = o.groupOf(group); o.sweep.group == 0 {
				o.sweep.group = -1
			}
		}
		s.lookInto(o)
		ev := s.strike(o)
		ev.Strays = append(s.hanging(o), ev.Strays...)
		if len(ev.Strays)+len(ev.Spared) > 0 {
			s.emit(ev)
		}
		s.goOn(o)
		s.drop(o)
	})
}

// strike signals whom the sweep has not told yet, and names all that it
// found.
func (s *Supervisor) strike(o *owner) Swept {
	w, found := o.sweep, Swept{Owner: o.id, Signal: o.sweep.sig}
	for range walkRounds {
		// First all are looked up, then signalled: who is gone has no
		// children any more by which they could be found.
		var fresh []Stray
		var stats []stat
		roots := s.roots(o)
		for _, id := range slices.Sorted(maps.Keys(o.killed)) {
			if p := o.killed[id]; p.pid != 0 && !p.ended {
				roots = append(roots, p.pid)
			}
		}
		s.walk(roots, func(pid int, st stat) bool {
			if p := s.byPid[pid]; p != nil {
				return o.killed[p.id] == p
			}
			if start, told := w.told[pid]; told && start == st.start {
				return true
			}
			w.told[pid] = st.start
			s.see(o, pid, st.start)
			fresh, stats = append(fresh, Stray{Pid: pid, Command: st.command}), append(stats, st)
			return true
		})
		for i, one := range fresh {
			if w.group != 0 && stats[i].group != w.group {
				found.Spared = append(found.Spared, one)
				continue
			}
			if w.sig != 0 {
				err := s.signalPid(one.Pid, stats[i].start, w.sig)
				if err == unix.ESRCH {
					continue
				}
				if err != nil {
					one.Errno = errnoOf(err)
					w.refused[one.Pid] = true
				}
			}
			found.Strays = append(found.Strays, one)
		}
		if len(fresh) == 0 {
			break
		}
	}
	if len(found.Strays) > 0 {
		s.killGroup(o)
	}
	return found
}

// hanging names those of the owner's Specs that got KILL and live: they hang
// in the kernel. One whose program does not run yet goes by the program's name.
func (s *Supervisor) hanging(o *owner) []Stray {
	var list []Stray
	for _, id := range slices.Sorted(maps.Keys(o.killed)) {
		p := o.killed[id]
		st, there := statOf(p.pid)
		if p.ended || p.pid != 0 && !(there && st.alive()) {
			continue // its end is about to be told
		}
		one := Stray{Pid: p.pid, Command: st.command}
		if p.spec != nil {
			one.Command = filepath.Base(p.spec.Path)
		}
		list = append(list, one)
	}
	return list
}

// roots lists the owner's processes that are our children, in the order of
// their pids.
func (s *Supervisor) roots(o *owner) []int {
	var pids []int
	for pid := range o.strays {
		if s.byPid[pid] == nil {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}

// goOn carries a sweep on after something has changed: what has come to us
// since is signalled too, and the end is reported. Whoever is not our child yet
// has a parent that is the owner's, and comes to us with the parent's end.
func (s *Supervisor) goOn(o *owner) {
	w := o.sweep
	if w == nil {
		return
	}
	if w.sig != 0 {
		for pid := range o.strays {
			if _, told := w.told[pid]; !told {
				s.strike(o)
				break
			}
		}
	}
	if len(o.killed) > 0 {
		return
	}
	for pid := range o.strays {
		if s.byPid[pid] == nil && !w.refused[pid] && w.means(pid) {
			return
		}
	}
	o.sweep = nil
	s.emit(Vacated{o.id})
}

// means tells whether a child of ours is one that the sweep is to end.
func (w *sweep) means(pid int) bool {
	if w.group == 0 {
		return true
	}
	group, err := unix.Getpgid(pid)
	return err == nil && group == w.group
}

// signalPid signals a process that was seen with that start time. Our own
// children keep their pid until this thread waits for them; any other could be
// gone, and its pid given away, so it is pinned by a pidfd before it is looked
// at again.
func (s *Supervisor) signalPid(pid int, start uint64, sig syscall.Signal) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if st, ok := statOf(pid); !ok || st.start != start {
		return unix.ESRCH
	}
	return unix.PidfdSendSignal(fd, sig, nil, 0)
}
