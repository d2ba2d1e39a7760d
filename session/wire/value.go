package wire

import "math"

// ObjectPath is a string that names an object.
type ObjectPath string

// Signature is a list of types.
type Signature string

// FD is a descriptor that came with a message: its place among them, from 0.
type FD uint32

// Variant is a value that says what type it has: one complete type.
type Variant struct {
	Signature string
	Value     any
}

// Entry is one of a dictionary.
type Entry struct{ Key, Value any }

// at goes to an argument, and returns its type. It panics when there is none:
// the signature has to be looked at before.
func (m *Message) at(i int) (cursor, string) {
	c, sig := m.body, m.Signature
	for ; i > 0; i-- {
		one := first(sig)
		c.skip(one)
		sig = sig[len(one):]
	}
	return c, first(sig)
}

// typed goes to an argument of that type. It panics when it has another.
func (m *Message) typed(i int, want string) cursor {
	c, sig := m.at(i)
	if sig != want {
		panic("an argument is " + sig + ", not " + want)
	}
	return c
}

// Text is an argument, from 0, that is a string. All these methods panic when
// the message has no such argument, or one of another type.
func (m *Message) Text(i int) string {
	c := m.typed(i, "s")
	return c.string()
}

// Texts is an argument that is an array of strings.
func (m *Message) Texts(i int) []string {
	c := m.typed(i, "as")
	return c.strings()
}

// Bool is an argument that is a boolean.
func (m *Message) Bool(i int) bool {
	c := m.typed(i, "b")
	c.align(4)
	return c.uint32() != 0
}

// VariantSignature is the type of what an argument that is a variant holds:
// who expects one type need not take the value of another apart.
func (m *Message) VariantSignature(i int) string {
	c := m.typed(i, "v")
	return c.signature()
}

// Value is an argument of any type; see the package's table.
func (m *Message) Value(i int) any {
	c, sig := m.at(i)
	return c.value(sig)
}

// Values are all arguments; empty when there are none.
func (m *Message) Values() []any {
	c := m.body
	return c.values(m.Signature)
}

// values reads a list of complete types.
func (c *cursor) values(sig string) []any {
	out := []any{}
	for sig != "" {
		one := first(sig)
		out = append(out, c.value(one))
		sig = sig[len(one):]
	}
	return out
}

func (c *cursor) value(sig string) any {
	switch t := sig[0]; t {
	case 's':
		return c.string()
	case 'o':
		return ObjectPath(c.string())
	case 'g':
		return Signature(c.signature())
	case 'v':
		inner := c.signature()
		return Variant{inner, c.value(inner)}
	case '(':
		c.align(8)
		return c.values(sig[1 : len(sig)-1])
	case 'a':
		return c.list(sig[1:])
	default:
		c.align(alignment(t))
		return c.number(t)
	}
}

func (c *cursor) number(t byte) any {
	switch t {
	case 'y':
		c.pos++
		return c.text[c.pos-1]
	case 'b':
		return c.uint32() != 0
	case 'n':
		return int16(c.uint16())
	case 'q':
		return c.uint16()
	case 'i':
		return int32(c.uint32())
	case 'u':
		return c.uint32()
	case 'h':
		return FD(c.uint32())
	case 'x':
		return int64(c.uint64())
	case 't':
		return c.uint64()
	}
	return math.Float64frombits(c.uint64())
}

// list reads an array of a complete type, or of entries.
func (c *cursor) list(sig string) any {
	switch sig {
	case "s":
		return c.strings()
	case "o":
		list := c.strings()
		out := make([]ObjectPath, len(list))
		for i, path := range list {
			out[i] = ObjectPath(path)
		}
		return out
	case "y":
		end := c.array('y')
		out := []byte(c.text[c.pos:end])
		c.pos = end
		return out
	}
	end := c.array(sig[0])
	switch {
	case sig == "{sv}":
		out := map[string]Variant{}
		for c.pos < end {
			c.align(8)
			key := c.string()
			out[key] = c.value("v").(Variant)
		}
		return out
	case sig[0] == '{':
		out := []Entry{}
		for c.pos < end {
			c.align(8)
			key := c.value(sig[1:2])
			out = append(out, Entry{key, c.value(sig[2 : len(sig)-1])})
		}
		return out
	case sig == "as":
		out := [][]string{}
		for c.pos < end {
			out = append(out, c.strings())
		}
		return out
	}
	out := []any{}
	for c.pos < end {
		out = append(out, c.value(sig))
	}
	return out
}
