package events

// Index finds the conditions that an event may concern without asking the
// others. Each operand is filed under its event's name and, where it has
// one, the first argument that can match only one value (JOB=dbus, or dbus
// as first word); operands with globs, "!=" or no arguments at all stand in
// a list per name. An event costs what the operands filed where it looks
// cost, however many there are elsewhere, and finds a superset of what
// matches: whoever uses it still asks Condition.Handle.
//
// The zero value is ready for use. Owner is what the caller wants back.
type Index[Owner any] struct {
	names map[string]*nameIndex[Owner]
}

// nameIndex files the operands of one event name. Most names have a single
// operand, so it is small.
type nameIndex[Owner any] struct {
	name string
	// slots are the ways in which operands of this name choose a variable;
	// few, the newest first.
	slots *slot[Owner]
	used  int
}

// slot files operands by the literal value of one variable or, when it is
// general, without regard to variables.
type slot[Owner any] struct {
	names   *nameIndex[Owner]
	next    *slot[Owner]
	key     string // of a named argument
	at      int32  // of a positional one
	named   bool
	general bool
	// one is the ring of the operands as long as all have the same value;
	// byValue, when it is there, has a ring for each value.
	one     *entry[Owner]
	byValue map[string]*entry[Owner]
}

// entry is an operand, in a ring with the others of its value. The slot knows
// the oldest of them. So an operand leaves at no cost: a hundred thousand
// instances may wait for the same event.
type entry[Owner any] struct {
	owner      Owner
	prev, next *entry[Owner]
	after      *entry[Owner] // of the same Filed
	slot       *slot[Owner]
	value      string
}

// ring returns the oldest operand of that value, or nil.
func (s *slot[Owner]) ring(value string) *entry[Owner] {
	if s.byValue != nil {
		return s.byValue[value]
	}
	if s.one != nil && s.one.value == value {
		return s.one
	}
	return nil
}

// setRing makes first the oldest operand of its value.
func (s *slot[Owner]) setRing(first *entry[Owner]) {
	if s.byValue == nil && s.one != nil && s.one.value != first.value {
		s.byValue = map[string]*entry[Owner]{s.one.value: s.one}
		s.one = nil
	}
	if s.byValue != nil {
		s.byValue[first.value] = first
	} else {
		s.one = first
	}
}

// dropRing forgets a value that has no operand any more.
func (s *slot[Owner]) dropRing(value string) {
	if s.byValue != nil {
		delete(s.byValue, value)
	} else {
		s.one = nil
	}
}

func (s *slot[Owner]) add(owner Owner, value string) *entry[Owner] {
	e := &entry[Owner]{owner: owner, slot: s, value: value}
	first := s.ring(value)
	if first == nil {
		e.prev, e.next = e, e
		s.setRing(e)
		return e
	}
	// The value of the first is kept for all, so that one copy stays.
	e.value = first.value
	e.prev, e.next = first.prev, first
	e.prev.next, first.prev = e, e
	return e
}

func (s *slot[Owner]) remove(e *entry[Owner]) {
	if e.next == e {
		s.dropRing(e.value)
		return
	}
	e.prev.next, e.next.prev = e.next, e.prev
	if s.ring(e.value) == e {
		s.setRing(e.next)
	}
}

// Filed is what Add filed; Remove takes it out again.
type Filed[Owner any] struct {
	first *entry[Owner]
}

// Add files every operand of expr under owner. Patterns are expanded by
// lookup now, so an owner whose variables change must be removed and added
// again. Operands that cannot be expanded match nothing and are not filed.
func (x *Index[Owner]) Add(expr *Expr, owner Owner, lookup Lookup) Filed[Owner] {
	var filed Filed[Owner]
	if expr == nil {
		return filed
	}
	place := &filed.first
	for i := range expr.Nodes {
		if node := &expr.Nodes[i]; node.Op == OpMatch {
			if e := x.file(node.Match, owner, lookup); e != nil {
				*place, place = e, &e.after
			}
		}
	}
	return filed
}

// file files one operand; nil when it cannot be expanded.
func (x *Index[Owner]) file(m *Match, owner Owner, lookup Lookup) *entry[Owner] {
	literal, value := -1, ""
	for i := range m.Args {
		pattern, err := Expand(m.Args[i].Pattern, lookup)
		if err != nil {
			return nil
		}
		if literal < 0 && !m.Args[i].Not && IsLiteral(pattern) {
			literal, value = i, pattern
		}
	}
	if x.names == nil {
		x.names = make(map[string]*nameIndex[Owner])
	}
	names := x.names[m.Name]
	if names == nil {
		names = &nameIndex[Owner]{name: m.Name}
		x.names[m.Name] = names
	}
	names.used++
	want := slot[Owner]{names: names, general: literal < 0}
	if literal >= 0 {
		if arg := m.Args[literal]; arg.Named {
			want.named, want.key = true, arg.Key
		} else {
			want.at = int32(literal)
		}
	}
	return names.slot(want).add(owner, value)
}

// slot returns the slot that chooses as want does.
func (n *nameIndex[Owner]) slot(want slot[Owner]) *slot[Owner] {
	for s := n.slots; s != nil; s = s.next {
		if s.general == want.general && s.named == want.named && s.key == want.key && s.at == want.at {
			return s
		}
	}
	s := &want
	s.next, n.slots = n.slots, s
	return s
}

// Remove takes out what Add filed.
func (x *Index[Owner]) Remove(filed Filed[Owner]) {
	for e := filed.first; e != nil; e = e.after {
		e.slot.remove(e)
		names := e.slot.names
		if names.used--; names.used == 0 {
			delete(x.names, names.name)
		}
	}
}

// Find calls visit for every owner with an operand that the event may match,
// once for each such operand, in an order that depends on the calls of Add
// and Remove only. visit must not change the index.
func (x *Index[Owner]) Find(name string, env Env, visit func(Owner)) {
	names := x.names[name]
	if names == nil {
		return
	}
	for s := names.slots; s != nil; s = s.next {
		value, ok := "", true
		if !s.general {
			value, ok = Arg{Named: s.named, Key: s.key}.value(int(s.at), env)
		}
		if !ok {
			continue
		}
		first := s.ring(value)
		for e := first; e != nil; {
			visit(e.owner)
			if e = e.next; e == first {
				break
			}
		}
	}
}
