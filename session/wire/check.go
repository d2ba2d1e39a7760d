package wire

import (
	"strings"
	"unicode/utf8"
)

// checker goes through a message that nobody has looked at. It reads no byte
// behind the end of its text, and allocates nothing.
type checker struct {
	cursor
	fds uint32 // how many descriptors the header counts
	// What its strings hold that they must not.
	nul, notUTF8 bool
}

// room tells whether n bytes are there.
func (c *checker) room(n uint64) bool { return n <= uint64(len(c.text)-c.pos) }

// padding goes on to the next multiple of n, over zeros.
func (c *checker) padding(n int) Fault {
	for c.pos&(n-1) != 0 {
		if c.pos == len(c.text) {
			return CutShort
		}
		if c.text[c.pos] != 0 {
			return BadPadding
		}
		c.pos++
	}
	return okay
}

// number reads a uint32 with what is before it.
func (c *checker) number() (uint32, Fault) {
	if f := c.padding(4); f != okay {
		return 0, f
	}
	if !c.room(4) {
		return 0, CutShort
	}
	return c.uint32(), okay
}

// terminated reads n bytes and a NUL byte.
func (c *checker) terminated(n uint64) (string, Fault) {
	if !c.room(n + 1) {
		return "", CutShort
	}
	s := c.cut(int(n))
	if c.text[c.pos-1] != 0 {
		return "", BadTerminator
	}
	return s, okay
}

// words reads a string or an object path.
func (c *checker) words() (string, Fault) {
	n, f := c.number()
	if f != okay {
		return "", f
	}
	return c.terminated(uint64(n))
}

func (c *checker) types() (string, Fault) {
	if !c.room(1) {
		return "", CutShort
	}
	n := c.text[c.pos]
	c.pos++
	sig, f := c.terminated(uint64(n))
	if f == okay && !ValidSignature(sig) {
		f = BadSignature
	}
	return sig, f
}

// value checks one value of a complete type, within depth containers.
func (c *checker) value(sig string, depth int) Fault {
	switch t := sig[0]; t {
	case 's':
		s, f := c.words()
		if f == okay {
			c.look(s)
		}
		return f
	case 'o':
		s, f := c.words()
		if f == okay && !ValidPath(s) {
			f = BadPath
		}
		return f
	case 'g':
		_, f := c.types()
		return f
	case 'v':
		return c.variant(depth)
	case 'a':
		return c.elements(sig[1:], depth)
	case '(':
		if depth >= maxDepth {
			return TooDeep
		}
		if f := c.padding(8); f != okay {
			return f
		}
		return c.values(sig[1:len(sig)-1], depth+1)
	default:
		return c.fixed(t)
	}
}

// values checks values of a list of complete types.
func (c *checker) values(sig string, depth int) Fault {
	for sig != "" {
		one := first(sig)
		if f := c.value(one, depth); f != okay {
			return f
		}
		sig = sig[len(one):]
	}
	return okay
}

func (c *checker) fixed(t byte) Fault {
	if f := c.padding(alignment(t)); f != okay {
		return f
	}
	n := size(t)
	if !c.room(uint64(n)) {
		return CutShort
	}
	switch t {
	case 'b':
		if c.uint32() > 1 {
			return BadBool
		}
	case 'h':
		if c.uint32() >= c.fds {
			return FDMissing
		}
	default:
		c.pos += n
	}
	return okay
}

func (c *checker) variant(depth int) Fault {
	if depth >= maxDepth {
		return TooDeep
	}
	sig, f := c.types()
	if f != okay {
		return f
	}
	if sig == "" || len(first(sig)) != len(sig) {
		return BadVariant
	}
	return c.value(sig, depth+1)
}

// elements checks an array of them.
func (c *checker) elements(sig string, depth int) Fault {
	dictionary := sig[0] == '{'
	if depth >= maxDepth || dictionary && depth+1 >= maxDepth {
		return TooDeep
	}
	n, f := c.number()
	if f != okay {
		return f
	}
	if n > maxArray {
		return ArrayTooLong
	}
	if f := c.padding(alignment(sig[0])); f != okay {
		return f
	}
	if !c.room(uint64(n)) {
		return CutShort
	}
	end := c.pos + int(n)
	// Elements see no further than the array.
	all := c.text
	c.text = all[:end]
	defer func() { c.text = all }()
	if t := sig[0]; size(t) > 0 && t != 'b' && t != 'h' {
		if int(n)%size(t) != 0 {
			return ArrayOverrun
		}
		c.pos = end
		return okay
	}
	for c.pos < end {
		if dictionary {
			f = c.padding(8)
			if f == okay {
				f = c.values(sig[1:len(sig)-1], depth+2)
			}
		} else {
			f = c.value(sig, depth+1)
		}
		if f == CutShort && end < len(all) {
			return ArrayOverrun
		}
		if f != okay {
			return f
		}
	}
	return okay
}

// look notes what a string holds that the protocol forbids.
func (c *checker) look(s string) {
	if clean(s) {
		return
	}
	c.nul = c.nul || strings.IndexByte(s, 0) >= 0
	c.notUTF8 = c.notUTF8 || !utf8.ValidString(s)
}

// clean tells whether a string is plain ASCII without NUL, which most are.
func clean(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i]-1 >= 0x7f {
			return false
		}
	}
	return true
}
