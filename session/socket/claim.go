package socket

import (
	"cmp"
	"maps"
	"slices"
)

// An address that several jobs want is that of the one that asked first, until it
// wants it no more; so it is no matter of chance who is quicker to open it, and
// the others are told whose it is.

// claim asks for the addresses that a class wants.
func (s *Set) claim(name string, c *class) {
	for _, want := range c.want {
		// What cannot be a socket at all is in nobody's way.
		if address := want.Address(); want.Fault == "" && s.claims[address] == "" {
			s.claims[address] = name
		}
	}
}

// unclaim gives up an address, unless it is another's, and has the next class
// that wants it open it.
func (s *Set) unclaim(name, address string) {
	if s.claims[address] != name {
		return
	}
	delete(s.claims, address)
	for _, next := range slices.Sorted(maps.Keys(s.classes)) {
		c := s.classes[next]
		if next != name && c.wants(address) {
			s.claims[address] = next
			s.open(next, c)
			return
		}
	}
}

// leave gives up what a class wants no more, once none of it is being opened: whoever
// opens a path next must not meet a socket of ours that is there for a moment, nor
// lose its own with that.
func (s *Set) leave(name string, c *class) {
	leaves := c.leaves
	c.leaves = nil
	for _, address := range leaves {
		if !c.wants(address) && !s.closed {
			s.unclaim(name, address)
		}
	}
}

// unclaimed lists those that a class wants and another has.
func (s *Set) unclaimed(name string, c *class) (faults []Fault) {
	for _, want := range c.want {
		if owner := cmp.Or(s.claims[want.Address()], name); owner != name {
			faults = append(faults, Fault{want.Address(), "job " + owner + " has that socket already"})
		}
	}
	return faults
}
