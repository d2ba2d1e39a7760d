package supervise

import "slices"

// A process that is to do something to be ready, and does not, may do what
// another declaration waits for. That is looked for when somebody asks, and
// decides nothing.

// maxFound bounds the sockets that are told of.
const maxFound = 3

// NameOwner is a name on a bus, and the process that owns it.
type NameOwner struct {
	Name string
	Pid  int
}

// Found is the answer to Examine: what processes of the owner listen on, as in
// Listens, and which of the names they own. Sockets that we hold too do not
// count: they were given to it.
type Found struct {
	ID   ProcID
	On   []string
	Owns []string
}

func (Found) event() {}

// Examine looks what a process does, and those that belong to it, and reports
// it as Found, unless id is none that runs. What hides its descriptors is not
// seen: to ask its sockets would disturb it.
func (s *Supervisor) Examine(id ProcID, names []NameOwner) {
	s.send(func() {
		if p := s.byID[id]; p != nil && p.running {
			s.emit(s.examine(p, names))
		}
	})
}

func (s *Supervisor) examine(p *process, names []NameOwner) Found {
	found := Found{ID: p.id}
	s.survey()
	ours, _ := socketInodes(s.self)
	var roots []int
	if !p.ended {
		roots = append(roots, p.pid)
	}
	if p.owner != nil {
		s.lookForStrays()
		roots = append(roots, s.roots(p.owner)...)
	}
	var told []uint64
	s.walk(roots, func(pid int, _ stat) bool {
		// Hidden descriptors are none.
		sockets, _ := s.socketsOf(&awaiting{}, pid)
		for _, one := range sockets {
			if len(told) < maxFound && !slices.Contains(ours, one.inode) && !slices.Contains(told, one.inode) {
				told = append(told, one.inode)
				found.On = append(found.On, one.String())
			}
		}
		return len(told) < maxFound
	})
	for _, one := range names {
		if s.isOf(p.owner, one.Pid) {
			found.Owns = append(found.Owns, one.Name)
		}
	}
	if len(s.listens.waiting) == 0 {
		s.listens.close()
	}
	return found
}
