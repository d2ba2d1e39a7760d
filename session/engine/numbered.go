package engine

// numbered finds instances by numbers that count up: their own, their
// processes', their owners'. A map would find them as well, but of many it
// spreads neighbours over all of its memory; here those that were numbered one
// after the other, which is how they come and mostly how they go, stand side by
// side, and what it costs to find one hardly grows with their number.
type numbered struct {
	shelves map[uint64]*shelf
	count   int
	// spare is the shelf that was emptied last: one job that comes and goes
	// needs no new one each time.
	spare *shelf
}

// shelf holds those whose numbers differ in the last bits only. It is small,
// since a few that live long may be the last of many.
type shelf struct {
	places [1 << shelfBits]*instance
	used   int
}

const shelfBits = 5

// get returns the instance of that number, or nil.
func (n *numbered) get(number uint64) *instance {
	if s := n.shelves[number>>shelfBits]; s != nil {
		return s.places[number%(1<<shelfBits)]
	}
	return nil
}

// put gives an instance a number, one that it has or that none has.
func (n *numbered) put(number uint64, in *instance) {
	s := n.shelves[number>>shelfBits]
	if s == nil {
		if s, n.spare = n.spare, nil; s == nil {
			s = new(shelf)
		}
		if n.shelves == nil {
			n.shelves = make(map[uint64]*shelf)
		}
		n.shelves[number>>shelfBits] = s
	}
	place := &s.places[number%(1<<shelfBits)]
	if *place == nil {
		s.used++
		n.count++
	}
	*place = in
}

// drop forgets a number, if it is known.
func (n *numbered) drop(number uint64) {
	s := n.shelves[number>>shelfBits]
	if s == nil || s.places[number%(1<<shelfBits)] == nil {
		return
	}
	s.places[number%(1<<shelfBits)] = nil
	n.count--
	if s.used--; s.used == 0 {
		delete(n.shelves, number>>shelfBits)
		n.spare = s
	}
}
