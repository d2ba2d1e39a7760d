package bus

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/godbus/dbus/v5"
)

// incoming is a message of a client, decoded.
type incoming struct {
	kind      dbus.Type
	serial    uint32
	noReply   bool
	path      string
	iface     string // may be empty in a call
	member    string
	signature string
	body      []any
	fds       int // how many descriptors belong to it
}

// decode reads one message. The frame may be changed. An error means that it
// is no valid message; after that the client cannot be trusted to send one.
func decode(frame []byte, fds []int) (in incoming, err error) {
	// The codec panics on errors that it does not expect; what a client
	// sends must not end the daemon.
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("cannot decode a message: %v", v)
		}
	}()
	in.kind = dbus.Type(frame[1])
	if in.kind == 0 {
		return in, errors.New("a message has type 0")
	}
	if in.kind > dbus.TypeSignal {
		return in, nil // to be ignored, says the protocol
	}
	// Flags that we do not know are to be ignored too; the codec would
	// refuse them.
	frame[2] &= byte(dbus.FlagNoReplyExpected | dbus.FlagNoAutoStart | dbus.FlagAllowInteractiveAuthorization)
	msg, err := dbus.DecodeMessageWithFDs(bytes.NewReader(frame), fds)
	if err != nil {
		return in, fmt.Errorf("cannot decode a message: %w", err)
	}
	in.serial = msg.Serial()
	if in.serial == 0 {
		return in, errors.New("a message has serial number 0")
	}
	in.noReply = msg.Flags&dbus.FlagNoReplyExpected != 0
	if path, ok := msg.Headers[dbus.FieldPath].Value().(dbus.ObjectPath); ok {
		in.path = strings.Clone(string(path))
	}
	in.iface = header(msg, dbus.FieldInterface)
	in.member = header(msg, dbus.FieldMember)
	if sig, ok := msg.Headers[dbus.FieldSignature].Value().(dbus.Signature); ok {
		in.signature = sig.String()
	}
	if n, ok := msg.Headers[dbus.FieldUnixFDs].Value().(uint32); ok {
		if uint64(n) > uint64(len(fds)) {
			return in, fmt.Errorf("a message has %d file descriptors, it says %d", len(fds), n)
		}
		in.fds = int(n)
	}
	in.body = msg.Body
	return in, nil
}

func header(msg *dbus.Message, field dbus.HeaderField) string {
	s, _ := msg.Headers[field].Value().(string)
	return s
}

// outgoing is a message to be encoded.
type outgoing struct {
	kind      dbus.Type
	replyTo   uint32 // replies and errors
	path      string // signals
	iface     string // signals
	member    string // signals
	errorName string // errors
	signature string
	body      []any
}

// encode gives the bytes of a message. Strings are made valid first, so that
// no byte of a job or a variable can cost a client its connection.
func encode(out outgoing, serial uint32) ([]byte, error) {
	msg := dbus.Message{
		Type:    out.kind,
		Flags:   dbus.FlagNoReplyExpected,
		Headers: map[dbus.HeaderField]dbus.Variant{},
	}
	if out.replyTo != 0 {
		msg.Headers[dbus.FieldReplySerial] = dbus.MakeVariant(out.replyTo)
	}
	if out.path != "" {
		msg.Headers[dbus.FieldPath] = dbus.MakeVariant(dbus.ObjectPath(out.path))
		msg.Headers[dbus.FieldInterface] = dbus.MakeVariant(out.iface)
		msg.Headers[dbus.FieldMember] = dbus.MakeVariant(out.member)
	}
	if out.errorName != "" {
		msg.Headers[dbus.FieldErrorName] = dbus.MakeVariant(out.errorName)
	}
	if out.signature != "" {
		sig, err := dbus.ParseSignature(out.signature)
		if err != nil {
			return nil, err
		}
		msg.Headers[dbus.FieldSignature] = dbus.MakeVariant(sig)
		for _, value := range out.body {
			msg.Body = append(msg.Body, valid(value))
		}
	}
	var buf bytes.Buffer
	if err := msg.EncodeTo(&buf, binary.LittleEndian); err != nil {
		return nil, err
	}
	// The codec keeps the serial number to itself.
	binary.LittleEndian.PutUint32(buf.Bytes()[8:], serial)
	return buf.Bytes(), nil
}

// process is an element of the property "processes".
type process struct {
	Kind string
	Pid  int32
}

// valid makes the strings of a value fit for the bus: what is no UTF-8, and
// NUL, becomes U+FFFD.
func valid(value any) any {
	switch v := value.(type) {
	case string:
		return validString(v)
	case []string:
		return validStrings(v)
	case [][]string:
		out := make([][]string, len(v))
		for i := range v {
			out[i] = validStrings(v[i])
		}
		return out
	case dbus.Variant:
		return dbus.MakeVariantWithSignature(valid(v.Value()), v.Signature())
	case map[string]dbus.Variant:
		out := make(map[string]dbus.Variant, len(v))
		for key, value := range v {
			out[key] = valid(value).(dbus.Variant)
		}
		return out
	}
	return value
}

func validString(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

func validStrings(list []string) []string {
	for i, s := range list {
		if validString(s) == s {
			continue
		}
		out := append(make([]string, 0, len(list)), list[:i]...)
		for _, s := range list[i:] {
			out = append(out, validString(s))
		}
		return out
	}
	if list == nil {
		return []string{}
	}
	return list
}
