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

type nameIndex[Owner any] struct {
	general list[Owner]
	// slots are the ways in which operands of this name choose a variable;
	// few, and in the order in which they were first needed.
	slots []*slot[Owner]
	used  int
}

// slot files operands by the literal value of one variable.
type slot[Owner any] struct {
	named   bool
	key     string // of a named argument
	at      int    // of a positional one
	byValue map[string]*list[Owner]
}

// list is a doubly linked list with a sentinel, so that an operand leaves it
// at no cost: a hundred thousand instances may wait for the same event.
type list[Owner any] struct {
	head entry[Owner]
}

type entry[Owner any] struct {
	owner      Owner
	prev, next *entry[Owner]
}

func (l *list[Owner]) add(owner Owner) *entry[Owner] {
	if l.head.next == nil {
		l.head.next, l.head.prev = &l.head, &l.head
	}
	e := &entry[Owner]{owner: owner, prev: l.head.prev, next: &l.head}
	e.prev.next, l.head.prev = e, e
	return e
}

func (l *list[Owner]) each(visit func(Owner)) {
	if l.head.next == nil {
		return
	}
	for e := l.head.next; e != &l.head; e = e.next {
		visit(e.owner)
	}
}

func (l *list[Owner]) empty() bool { return l.head.next == nil || l.head.next == &l.head }

// Filed is what Add filed; Remove takes it out again.
type Filed[Owner any] struct {
	places []place[Owner]
}

type place[Owner any] struct {
	name  string
	slot  *slot[Owner] // nil: the general list
	value string
	entry *entry[Owner]
}

// Add files every operand of expr under owner. Patterns are expanded by
// lookup now, so an owner whose variables change must be removed and added
// again. Operands that cannot be expanded match nothing and are not filed.
func (x *Index[Owner]) Add(expr *Expr, owner Owner, lookup Lookup) Filed[Owner] {
	var filed Filed[Owner]
	if expr == nil {
		return filed
	}
	for _, node := range expr.Nodes {
		if node.Op == OpMatch {
			if p, ok := x.file(node.Match, owner, lookup); ok {
				filed.places = append(filed.places, p)
			}
		}
	}
	return filed
}

func (x *Index[Owner]) file(m *Match, owner Owner, lookup Lookup) (place[Owner], bool) {
	literal, value := -1, ""
	for i, arg := range m.Args {
		pattern, err := Expand(arg.Pattern, lookup)
		if err != nil {
			return place[Owner]{}, false
		}
		if literal < 0 && !arg.Not && IsLiteral(pattern) {
			literal, value = i, pattern
		}
	}
	if x.names == nil {
		x.names = make(map[string]*nameIndex[Owner])
	}
	names := x.names[m.Name]
	if names == nil {
		names = &nameIndex[Owner]{}
		x.names[m.Name] = names
	}
	names.used++
	p := place[Owner]{name: m.Name}
	if literal < 0 {
		p.entry = names.general.add(owner)
		return p, true
	}
	p.slot, p.value = names.slot(m.Args[literal], literal), value
	values := p.slot.byValue[value]
	if values == nil {
		values = &list[Owner]{}
		p.slot.byValue[value] = values
	}
	p.entry = values.add(owner)
	return p, true
}

// slot returns the slot of an argument that stands at that place.
func (n *nameIndex[Owner]) slot(arg Arg, at int) *slot[Owner] {
	for _, s := range n.slots {
		if s.named == arg.Named && (s.named && s.key == arg.Key || !s.named && s.at == at) {
			return s
		}
	}
	s := &slot[Owner]{named: arg.Named, key: arg.Key, at: at, byValue: make(map[string]*list[Owner])}
	n.slots = append(n.slots, s)
	return s
}

// Remove takes out what Add filed.
func (x *Index[Owner]) Remove(filed Filed[Owner]) {
	for _, p := range filed.places {
		p.entry.prev.next, p.entry.next.prev = p.entry.next, p.entry.prev
		names := x.names[p.name]
		names.used--
		if p.slot != nil && p.slot.byValue[p.value].empty() {
			delete(p.slot.byValue, p.value)
		}
		if names.used == 0 {
			delete(x.names, p.name)
		}
	}
}

// Find calls visit for every owner with an operand that the event may match,
// once for each such operand, in an order that depends on the calls of Add
// and Remove only.
func (x *Index[Owner]) Find(name string, env Env, visit func(Owner)) {
	names := x.names[name]
	if names == nil {
		return
	}
	for _, s := range names.slots {
		value, ok := Arg{Named: s.named, Key: s.key}.value(s.at, env)
		if !ok {
			continue
		}
		if values := s.byValue[value]; values != nil {
			values.each(visit)
		}
	}
	names.general.each(visit)
}
