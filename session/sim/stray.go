package sim

import (
	"slices"

	"github.com/session-init/session-init/session/engine"
)

// stray is a process that another left behind when it ended.
type stray struct {
	owner   uint64
	pid     int
	deaf    bool // nothing but KILL ends it
	lasting bool // nothing ends it
	outside bool // it has left the group
}

// Litter is how many processes a program leaves behind, of each kind.
type Litter struct{ Plain, Deaf, Lasting, Outside int }

// leave makes what p leaves behind when it ends.
func (w *World) leave(p *Process) {
	add := func(n int, one stray) {
		for range n {
			w.lastPid++
			one.owner, one.pid = p.Owner, w.lastPid
			w.strays = append(w.strays, one)
		}
	}
	litter := p.Program.Leaves
	add(litter.Plain, stray{})
	add(litter.Deaf, stray{deaf: true})
	add(litter.Lasting, stray{deaf: true, lasting: true})
	add(litter.Outside, stray{outside: true})
}

// Strays returns how many processes an owner left behind.
func (w *World) Strays(owner uint64) int {
	n := 0
	for _, s := range w.strays {
		if s.owner == owner {
			n++
		}
	}
	return n
}

// EndStrays ends all that an owner left behind, as if by itself.
func (w *World) EndStrays(owner uint64) {
	w.strays = slices.DeleteFunc(w.strays, func(s stray) bool { return s.owner == owner })
	w.vacate(owner)
	w.settle()
}

// sweep carries out a Sweep.
func (w *World) sweep(s engine.Sweep) {
	if s.Owner == 0 {
		w.fault("a sweep of nobody")
		return
	}
	for _, p := range w.Processes() {
		if p.Owner == s.Owner && s.Signal != 0 && !p.killed {
			w.fault("a sweep of %s while its %s runs", Label(p.Class, p.Instance), p.Kind)
		}
	}
	if report := w.carry(s); len(report.Strays)+len(report.Spared) > 0 {
		w.inbox = append(w.inbox, report)
	}
	w.sweeps[s.Owner] = s
	w.vacate(s.Owner)
}

// carry signals whom a sweep means, and names them.
func (w *World) carry(s engine.Sweep) engine.Swept {
	report := engine.Swept{Owner: s.Owner, Signal: s.Signal}
	var kept []stray
	for _, one := range w.strays {
		named := engine.Stray{Pid: one.pid, Command: "stray"}
		switch {
		case one.owner != s.Owner:
		case s.Group != 0 && one.outside:
			report.Spared = append(report.Spared, named)
		default:
			report.Strays = append(report.Strays, named)
			if s.Signal != 0 && !one.lasting && (!one.deaf || s.Signal == sigKill) {
				continue
			}
		}
		kept = append(kept, one)
	}
	w.strays = kept
	for _, p := range w.Processes() {
		if p.Owner == s.Owner && p.killed {
			report.Strays = append(report.Strays, engine.Stray{Pid: p.Pid, Command: "stuck"})
		}
	}
	return report
}

// vacate reports that nothing is left of what a sweep meant, when it is so.
func (w *World) vacate(owner uint64) {
	s, watched := w.sweeps[owner]
	if !watched {
		return
	}
	for _, one := range w.strays {
		if one.owner == owner && !(s.Group != 0 && one.outside) {
			return
		}
	}
	for _, p := range w.Processes() {
		if p.Owner == owner && p.killed {
			return
		}
	}
	delete(w.sweeps, owner)
	w.inbox = append(w.inbox, engine.Vacated{Owner: owner})
}
