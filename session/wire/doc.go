// Package wire turns D-Bus messages into bytes and back, as the D-Bus
// specification has them ("Type System", "Marshaling", "Message Protocol").
// It knows no socket, no connection and no meaning of any message.
//
// Parse checks a whole message before anything of it can be looked at, and
// allocates nothing meanwhile: what it takes is strictly what the
// specification allows, in either byte order. Only what strings hold is left
// to the caller, who may want to answer: see Message.NUL and Message.NotUTF8.
// Its strings are parts of the text that was parsed; who keeps one for long
// should copy it.
//
// A Writer makes messages, little-endian, in one buffer. The types of Go and
// of D-Bus:
//
//	y byte      n int16    q uint16    s string        v   Variant
//	b bool      i int32    u uint32    o ObjectPath    as  []string
//	d float64   x int64    t uint64    g Signature     ao  []ObjectPath
//	h FD                                               ay  []byte
//	aas [][]string   a{sv} map[string]Variant   other dictionaries []Entry
//	structures []any                            other arrays       []any
//
// Nothing here uses reflection. Dictionaries of Go are written in the order
// of their keys, so that the same values are the same bytes.
package wire
