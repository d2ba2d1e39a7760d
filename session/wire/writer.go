package wire

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// Writer makes messages, one behind the other in one buffer. Begin, then the
// values of the body, then End. The zero value is ready.
//
// A fault is kept until End, which takes back what belongs to the message.
type Writer struct {
	// Mend makes strings fit: what is no UTF-8, and NUL, becomes U+FFFD.
	// Without it such a string is a fault.
	Mend bool

	buf []byte
	// start is where the message begins, body its body.
	start, body int
	fault       Fault
}

// Bytes are the messages. They are valid until the next Begin or Reset.
func (w *Writer) Bytes() []byte { return w.buf }

// Reset drops all messages. The buffer is used again, unless it is larger
// than keep bytes.
func (w *Writer) Reset(keep int) {
	w.buf = w.buf[:0]
	if cap(w.buf) > keep {
		w.buf = nil
	}
}

// Grow makes room for so many bytes, so that what is written piece by piece does
// not move on and on.
func (w *Writer) Grow(size int) { w.buf = slices.Grow(w.buf, size) }

// Begin starts a message. The fields that its type demands must be there; its
// names are not checked again.
func (w *Writer) Begin(h *Header) {
	w.start, w.fault = len(w.buf), h.complete()
	w.buf = append(w.buf, 'l', byte(h.Kind), h.Flags, 1, 0, 0, 0, 0)
	w.Uint32(h.Serial)
	w.Uint32(0) // the length of the fields, which begin at a multiple of 8
	w.textField(fieldPath, 'o', h.Path)
	w.textField(fieldInterface, 's', h.Interface)
	w.textField(fieldMember, 's', h.Member)
	w.textField(fieldErrorName, 's', h.ErrorName)
	w.numberField(fieldReplyTo, h.ReplyTo)
	w.textField(fieldDestination, 's', h.Destination)
	w.textField(fieldSender, 's', h.Sender)
	if h.Signature != "" {
		w.field(fieldSignature, 'g')
		w.Signature(h.Signature)
	}
	w.numberField(fieldFDs, h.FDs)
	binary.LittleEndian.PutUint32(w.buf[w.start+12:], uint32(len(w.buf)-w.start-FixedHeader))
	w.align(8)
	w.body = len(w.buf)
}

func (w *Writer) field(number, sig byte) {
	w.align(8)
	w.buf = append(w.buf, number, 1, sig, 0)
}

func (w *Writer) textField(number, sig byte, text string) {
	if text != "" {
		w.field(number, sig)
		w.text(text)
	}
}

func (w *Writer) numberField(number byte, n uint32) {
	if n != 0 {
		w.field(number, 'u')
		w.Uint32(n)
	}
}

// End completes the message, or takes it back when there was a Fault.
func (w *Writer) End() error {
	if size := len(w.buf) - w.start; size > MaxMessage {
		w.fail(TooLong)
	}
	if w.fault != okay {
		w.buf = w.buf[:w.start]
		return w.fault
	}
	binary.LittleEndian.PutUint32(w.buf[w.start+4:], uint32(len(w.buf)-w.body))
	return nil
}

// fail keeps the first fault.
func (w *Writer) fail(f Fault) {
	if w.fault == okay {
		w.fault = f
	}
}

func (w *Writer) align(n int) {
	for (len(w.buf)-w.start)&(n-1) != 0 {
		w.buf = append(w.buf, 0)
	}
}

// Byte writes a y.
func (w *Writer) Byte(v byte) { w.buf = append(w.buf, v) }

// Bool writes a b.
func (w *Writer) Bool(v bool) {
	n := uint32(0)
	if v {
		n = 1
	}
	w.Uint32(n)
}

// Uint16 writes a q, or an n.
func (w *Writer) Uint16(v uint16) {
	w.align(2)
	w.buf = binary.LittleEndian.AppendUint16(w.buf, v)
}

// Uint32 writes a u, or an i, or an h.
func (w *Writer) Uint32(v uint32) {
	w.align(4)
	w.buf = binary.LittleEndian.AppendUint32(w.buf, v)
}

// Int32 writes an i.
func (w *Writer) Int32(v int32) { w.Uint32(uint32(v)) }

// Uint64 writes a t, or an x.
func (w *Writer) Uint64(v uint64) {
	w.align(8)
	w.buf = binary.LittleEndian.AppendUint64(w.buf, v)
}

// Int64 writes an x.
func (w *Writer) Int64(v int64) { w.Uint64(uint64(v)) }

// Float64 writes a d.
func (w *Writer) Float64(v float64) { w.Uint64(math.Float64bits(v)) }

// String writes an s.
func (w *Writer) String(s string) {
	if !clean(s) && (strings.IndexByte(s, 0) >= 0 || !utf8.ValidString(s)) {
		if !w.Mend {
			w.fail(BadText)
		}
		s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
	}
	w.text(s)
}

// ObjectPath writes an o.
func (w *Writer) ObjectPath(path string) {
	if !ValidPath(path) {
		w.fail(BadPath)
	}
	w.text(path)
}

func (w *Writer) text(s string) {
	w.Uint32(uint32(len(s)))
	w.buf = append(append(w.buf, s...), 0)
}

// Signature writes a g.
func (w *Writer) Signature(sig string) {
	if !ValidSignature(sig) {
		w.fail(BadSignature)
		return
	}
	w.buf = append(w.buf, byte(len(sig)))
	w.buf = append(append(w.buf, sig...), 0)
}

// Strings writes an as.
func (w *Writer) Strings(list []string) {
	array := w.Array('s')
	for _, s := range list {
		w.String(s)
	}
	w.EndArray(array)
}

// Array is one that is being written.
type Array struct{ length, first int }

// Array begins an array. element is the first character of its elements'
// type.
func (w *Writer) Array(element byte) Array {
	w.Uint32(0)
	length := len(w.buf) - 4
	w.align(alignment(element))
	return Array{length, len(w.buf)}
}

// EndArray ends it.
func (w *Writer) EndArray(a Array) {
	size := len(w.buf) - a.first
	if size > maxArray {
		w.fail(ArrayTooLong)
		return
	}
	binary.LittleEndian.PutUint32(w.buf[a.length:], uint32(size))
}

// Struct begins a structure, or an entry of a dictionary; its fields follow.
func (w *Writer) Struct() { w.align(8) }
