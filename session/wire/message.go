package wire

// Kind is the type of a message.
type Kind uint8

// The types. A message of another type is to be ignored, says the protocol;
// 0 is none.
const (
	MethodCall Kind = 1 + iota
	MethodReply
	Error
	Signal
)

// Flags of a message. Those that are not known are to be ignored.
const (
	NoReplyExpected byte = 1 << iota
	NoAutoStart
	AllowInteractiveAuthorization
)

const (
	// MaxMessage is the most that the protocol allows, in bytes.
	MaxMessage = 128 << 20
	// FixedHeader is what each message begins with, up to and with the length
	// of the header's fields, in bytes: enough for Size.
	FixedHeader = 16
)

// The numbers of the header's fields.
const (
	fieldPath = 1 + iota
	fieldInterface
	fieldMember
	fieldErrorName
	fieldReplyTo
	fieldDestination
	fieldSender
	fieldSignature
	fieldFDs
	numFields
)

// Header is what is said of a message. What a message does not have is empty,
// or 0.
type Header struct {
	Kind            Kind
	Flags           byte
	Serial, ReplyTo uint32
	// Path is the object that is called, or that sends a signal.
	Path              string
	Interface, Member string
	ErrorName         string
	// Destination and Sender are names on a bus; they are not checked.
	Destination, Sender string
	// Signature is that of the body.
	Signature string
	// FDs is how many descriptors belong to the message.
	FDs uint32
}

// Message is one that was parsed. Its strings, and those of its arguments,
// are parts of the text.
type Message struct {
	Header
	// NUL and NotUTF8 tell that a string of the body holds what the protocol
	// forbids. All that it says of the form of a message is checked.
	NUL, NotUTF8 bool

	body cursor
}

// Size returns how many bytes the message has; 0 for one that was not parsed.
func (m *Message) Size() int { return len(m.body.text) }

// Size returns the length of a message of which the fixed part of the header
// is there.
func Size(head []byte) (int, error) {
	n, f := fixed(string(head[:FixedHeader]))
	return n, f.err()
}

// fixed reads the fixed part of the header.
func fixed(head string) (size int, f Fault) {
	if head[0] != 'l' && head[0] != 'B' {
		return 0, BadOrder
	}
	if head[3] != 1 {
		return 0, BadVersion
	}
	c := cursor{text: head, pos: 4, big: head[0] == 'B'}
	body := uint64(c.uint32())
	c.pos = 12
	fields := uint64(c.uint32())
	if fields > maxArray {
		return 0, ArrayTooLong
	}
	total := FixedHeader + (fields+7)&^7 + body
	if total > MaxMessage {
		return 0, TooLong
	}
	return int(total), okay
}

// Parse reads one message, which is the whole text. The error is a Fault. Of
// a message whose type is not known only the fixed part is read.
func Parse(text string) (m Message, err error) {
	f := m.parse(text)
	return m, f.err()
}

func (m *Message) parse(text string) Fault {
	if len(text) < FixedHeader {
		return CutShort
	}
	if n, f := fixed(text); f != okay {
		return f
	} else if n != len(text) {
		return CutShort
	}
	c := checker{cursor: cursor{text: text, big: text[0] == 'B'}}
	length, f := m.head(&c)
	if f != okay || m.Kind > Signal {
		return f
	}
	if uint32(len(text)-c.pos) != length {
		return CutShort
	}
	m.body = c.cursor
	c.fds = m.FDs
	if f := c.values(m.Signature, 0); f != okay {
		return f
	}
	if c.pos != len(text) {
		return BodyLeft
	}
	m.NUL, m.NotUTF8 = c.nul, c.notUTF8
	return okay
}

// HeaderSize returns the length of a header of which the fixed part is there.
func HeaderSize(head []byte) (int, error) {
	if _, f := fixed(string(head[:FixedHeader])); f != okay {
		return 0, f
	}
	c := cursor{text: string(head[:FixedHeader]), pos: 12, big: head[0] == 'B'}
	return FixedHeader + (int(c.uint32())+7)&^7, nil
}

// ParseHeader reads a header, which is the whole text: HeaderSize bytes of a
// message. The error is a Fault.
func ParseHeader(text string) (Header, error) {
	var m Message
	if len(text) < FixedHeader {
		return m.Header, CutShort
	}
	if n, err := HeaderSize([]byte(text)); err != nil {
		return m.Header, err
	} else if n != len(text) {
		return m.Header, CutShort
	}
	_, f := m.head(&checker{cursor: cursor{text: text, big: text[0] == 'B'}})
	return m.Header, f.err()
}

// head reads the header, up to where the body begins, and returns the body's
// length. Of a message whose type is not known only the fixed part is read.
func (m *Message) head(c *checker) (body uint32, f Fault) {
	text := c.text
	m.Kind, m.Flags = Kind(text[1]), text[2]
	c.pos = 4
	body = c.uint32()
	m.Serial = c.uint32()
	switch {
	case m.Kind == 0:
		return 0, BadKind
	case m.Serial == 0:
		return 0, BadSerial
	case m.Kind > Signal:
		return body, okay
	}
	fields := c.uint32()
	c.text = text[:FixedHeader+int(fields)]
	f = m.fields(c)
	if f == CutShort && len(c.text) < len(text) {
		f = ArrayOverrun
	}
	if f != okay {
		return 0, f
	}
	c.text = text
	if f := c.padding(8); f != okay {
		return 0, f
	}
	return body, m.complete()
}

// fields reads the header's fields: an array of structures of a byte and a
// variant.
func (m *Message) fields(c *checker) Fault {
	seen := 0
	for c.pos < len(c.text) {
		if f := c.padding(8); f != okay {
			return f
		}
		if !c.room(1) {
			return CutShort
		}
		number := c.text[c.pos]
		c.pos++
		sig, f := c.types()
		if f != okay {
			return f
		}
		if number == 0 || sig == "" {
			return BadField
		}
		if number >= numFields {
			// One of the future, to be ignored.
			if len(first(sig)) != len(sig) {
				return BadVariant
			}
			if f := c.value(sig, 3); f != okay { // in array, structure, variant
				return f
			}
			continue
		}
		if sig != string(fieldType(number)) {
			return BadField
		}
		if seen&(1<<number) != 0 {
			return FieldTwice
		}
		seen |= 1 << number
		if f := m.field(c, number); f != okay {
			return f
		}
	}
	return okay
}

// fieldType is the type of a field of the header.
func fieldType(number byte) byte {
	switch number {
	case fieldPath:
		return 'o'
	case fieldReplyTo, fieldFDs:
		return 'u'
	case fieldSignature:
		return 'g'
	}
	return 's'
}

// field reads the value of one.
func (m *Message) field(c *checker, number byte) (f Fault) {
	switch fieldType(number) {
	case 'u':
		var n uint32
		if n, f = c.number(); number == fieldReplyTo {
			m.ReplyTo = n
			if f == okay && n == 0 {
				f = BadSerial
			}
		} else {
			m.FDs = n
		}
		return f
	case 'g':
		m.Signature, f = c.types()
		return f
	}
	s, f := c.words()
	if f != okay {
		return f
	}
	valid := true
	switch number {
	case fieldPath:
		m.Path = s
		if !ValidPath(s) {
			return BadPath
		}
	case fieldInterface:
		m.Interface, valid = s, ValidInterface(s)
	case fieldMember:
		m.Member, valid = s, ValidMember(s)
	case fieldErrorName:
		m.ErrorName, valid = s, ValidInterface(s)
	case fieldDestination:
		// Where there is no bus some clients (godbus) name an empty one.
		m.Destination = s
	case fieldSender:
		m.Sender = s
	}
	if !valid {
		return BadName
	}
	return okay
}

// complete checks that a message has the fields that its type demands.
func (h *Header) complete() Fault {
	has := false
	switch h.Kind {
	case MethodCall:
		has = h.Path != "" && h.Member != ""
	case MethodReply:
		has = h.ReplyTo != 0
	case Error:
		has = h.ErrorName != "" && h.ReplyTo != 0
	case Signal:
		has = h.Path != "" && h.Interface != "" && h.Member != ""
	}
	if !has {
		return FieldMissing
	}
	return okay
}
