package wire

// cursor is a place in the text of a message. Its methods but check trust
// what they read: it has been checked.
type cursor struct {
	text string
	pos  int
	big  bool // big-endian
}

// align goes on to the next multiple of n from the message's beginning.
func (c *cursor) align(n int) { c.pos = (c.pos + n - 1) &^ (n - 1) }

func (c *cursor) uint16() uint16 {
	b := c.text[c.pos : c.pos+2]
	c.pos += 2
	if c.big {
		return uint16(b[0])<<8 | uint16(b[1])
	}
	return uint16(b[1])<<8 | uint16(b[0])
}

func (c *cursor) uint32() uint32 {
	b := c.text[c.pos : c.pos+4]
	c.pos += 4
	if c.big {
		return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	}
	return uint32(b[3])<<24 | uint32(b[2])<<16 | uint32(b[1])<<8 | uint32(b[0])
}

func (c *cursor) uint64() uint64 {
	one, two := uint64(c.uint32()), uint64(c.uint32())
	if c.big {
		return one<<32 | two
	}
	return two<<32 | one
}

// string reads the text of a string or an object path.
func (c *cursor) string() string {
	c.align(4)
	return c.cut(int(c.uint32()))
}

// signature reads one.
func (c *cursor) signature() string {
	n := int(c.text[c.pos])
	c.pos++
	return c.cut(n)
}

// cut takes n bytes, and the NUL byte after them.
func (c *cursor) cut(n int) string {
	s := c.text[c.pos : c.pos+n]
	c.pos += n + 1
	return s
}

// array begins to read an array of such elements, and returns where it ends.
func (c *cursor) array(element byte) (end int) {
	c.align(4)
	n := int(c.uint32())
	c.align(alignment(element))
	return c.pos + n
}

// skip goes behind a value of one complete type.
func (c *cursor) skip(sig string) {
	switch t := sig[0]; t {
	case 's', 'o':
		c.string()
	case 'g':
		c.signature()
	case 'v':
		c.skip(c.signature())
	case 'a':
		c.pos = c.array(sig[1])
	case '(':
		c.align(8)
		for fields := sig[1 : len(sig)-1]; fields != ""; {
			one := first(fields)
			c.skip(one)
			fields = fields[len(one):]
		}
	default:
		c.align(alignment(t))
		c.pos += size(t)
	}
}

// strings reads an array of strings or object paths. Nothing is allocated by
// what a length says: the elements are counted first.
func (c *cursor) strings() []string {
	end := c.array('s')
	count := 0
	for ahead := *c; ahead.pos < end; count++ {
		ahead.string()
	}
	out := make([]string, count)
	for i := range out {
		out[i] = c.string()
	}
	return out
}
