package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"

	"github.com/godbus/dbus/v5"
)

// theirs decodes a message with godbus. Its panics are refusals.
func theirs(data []byte) (msg *dbus.Message, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	data = bytes.Clone(data)
	data[2] &= NoReplyExpected | NoAutoStart | AllowInteractiveAuthorization // others it would refuse
	return dbus.DecodeMessage(bytes.NewReader(data))
}

// stricter are the faults of messages that godbus takes all the same. The
// specification forbids them all. Of a name only the last counts for godbus
// when the field comes twice.
func stricter() []Fault {
	return []Fault{BadVersion, BadSerial, BadPadding, BadTerminator, BadSignature, BadPath, BadName, BadField, FieldTwice, ArrayOverrun, BodyLeft, FDMissing}
}

// same compares a value of ours with that of godbus.
func same(our, their any) bool {
	switch their := their.(type) {
	case dbus.Variant:
		v, ok := our.(Variant)
		return ok && v.Signature == their.Signature().String() && same(v.Value, their.Value())
	case dbus.ObjectPath:
		return our == ObjectPath(their)
	case dbus.Signature:
		return our == Signature(their.String())
	case dbus.UnixFDIndex:
		return our == FD(their)
	case float64:
		v, ok := our.(float64)
		return ok && math.Float64bits(v) == math.Float64bits(their)
	}
	list, ours := reflect.ValueOf(their), reflect.ValueOf(our)
	switch list.Kind() {
	case reflect.Slice:
		if ours.Kind() != reflect.Slice || ours.Len() != list.Len() {
			return false
		}
		for i := range list.Len() {
			if !same(ours.Index(i).Interface(), list.Index(i).Interface()) {
				return false
			}
		}
		return true
	case reflect.Map:
		return sameDictionary(our, list)
	}
	return our == their
}

// sameDictionary compares by keys as text. Of keys that come twice the last
// counts, and a number that is none is like no other.
func sameDictionary(our any, their reflect.Value) bool {
	mine := map[string]any{}
	if dict, ok := our.(map[string]Variant); ok {
		for key, value := range dict {
			mine[key] = value
		}
	} else {
		for _, entry := range our.([]Entry) {
			if f, ok := entry.Key.(float64); ok && math.IsNaN(f) {
				return true
			}
			mine[fmt.Sprint(entry.Key)] = entry.Value
		}
	}
	if len(mine) != their.Len() {
		return false
	}
	for _, key := range their.MapKeys() {
		value, ok := mine[fmt.Sprint(key.Interface())]
		if !ok || !same(value, their.MapIndex(key).Interface()) {
			return false
		}
	}
	return true
}

// compare holds one message against godbus' reading of it.
func compare(t *testing.T, data []byte) {
	if len(data) < FixedHeader {
		return
	}
	// What follows a message is none of its business.
	if size, err := Size(data); err == nil && size < len(data) {
		data = data[:size]
	}
	m, err := Parse(string(data))
	if err == nil && m.Kind > Signal {
		return // to be ignored: nothing of it is read
	}
	msg, other := theirs(data)
	if err != nil {
		if other == nil && !slices.Contains(stricter(), err.(Fault)) {
			t.Fatalf("Parse(%q) = %v; godbus takes it: %v", data, err, msg)
		}
		return
	}
	if other != nil {
		if other.Error() == "dbus: invalid message: invalid header" {
			return // a field of the future
		}
		t.Fatalf("Parse(%q) = %+v; godbus refuses it: %v", data, m, other)
	}
	text := func(field dbus.HeaderField) string {
		if v := msg.Headers[field].Value(); v != nil {
			return fmt.Sprint(v)
		}
		return ""
	}
	number := func(field dbus.HeaderField) uint32 {
		n, _ := msg.Headers[field].Value().(uint32)
		return n
	}
	sig, _ := msg.Headers[dbus.FieldSignature].Value().(dbus.Signature)
	want := Header{
		Kind: Kind(msg.Type), Flags: data[2], Serial: msg.Serial(), ReplyTo: number(dbus.FieldReplySerial),
		Path: text(dbus.FieldPath), Interface: text(dbus.FieldInterface), Member: text(dbus.FieldMember),
		ErrorName: text(dbus.FieldErrorName), Destination: text(dbus.FieldDestination), Sender: text(dbus.FieldSender),
		Signature: sig.String(), FDs: number(dbus.FieldUnixFDs),
	}
	if m.Header != want {
		t.Fatalf("header = %+v; godbus says %+v", m.Header, want)
	}
	values := m.Values()
	if len(values) != len(msg.Body) {
		t.Fatalf("%d values; godbus has %d", len(values), len(msg.Body))
	}
	for i, v := range values {
		if !same(v, msg.Body[i]) {
			t.Fatalf("value %d of (%s) = %#v; godbus has %#v", i, m.Signature, v, msg.Body[i])
		}
	}
	again(t, m, values)
}

// again writes what was read: it is the same once more, byte for byte, and
// godbus reads it.
func again(t *testing.T, m Message, values []any) {
	var w Writer
	w.Begin(&m.Header)
	w.Values(m.Signature, values)
	err := w.End()
	if m.NUL || m.NotUTF8 {
		if err != BadText {
			t.Fatalf("End() = %v; want %v", err, BadText)
		}
		return
	}
	if err != nil {
		t.Fatalf("cannot write %+v %#v again: %v", m.Header, values, err)
	}
	first := bytes.Clone(w.Bytes())
	if _, err := theirs(first); err != nil {
		t.Fatalf("godbus cannot read what was written: %v\n%q", err, first)
	}
	second, err := Parse(string(first))
	if err != nil {
		t.Fatalf("cannot read what was written: %v\n%q", err, first)
	}
	w.Reset(0)
	w.Begin(&second.Header)
	w.Values(second.Signature, second.Values())
	if err := w.End(); err != nil || !bytes.Equal(w.Bytes(), first) {
		t.Fatalf("written again it is %q, %v; want %q", w.Bytes(), err, first)
	}
}

// byGodbus encodes a message with godbus.
func byGodbus(t testing.TB, order binary.ByteOrder, headers map[dbus.HeaderField]any, kind dbus.Type, body ...any) []byte {
	t.Helper()
	msg := dbus.Message{Type: kind, Headers: map[dbus.HeaderField]dbus.Variant{}, Body: body}
	for field := dbus.FieldPath; field <= dbus.FieldUnixFDs; field++ {
		if v, ok := headers[field]; ok {
			msg.Headers[field] = dbus.MakeVariant(v)
		}
	}
	if len(body) > 0 {
		msg.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(body...))
	}
	var out bytes.Buffer
	if err := msg.EncodeTo(&out, order); err != nil {
		t.Fatal(err)
	}
	order.PutUint32(out.Bytes()[8:], 5) // it has no way to say it
	return out.Bytes()
}

// seeds are messages of godbus in both byte orders, and such of ours.
func seeds(t testing.TB) [][]byte {
	call := map[dbus.HeaderField]any{dbus.FieldPath: dbus.ObjectPath("/com/ubuntu/Upstart"), dbus.FieldMember: "EmitEvent",
		dbus.FieldInterface: "com.ubuntu.Upstart0_6", dbus.FieldDestination: ""}
	answer := map[dbus.HeaderField]any{dbus.FieldReplySerial: uint32(4), dbus.FieldSender: ":1.2"}
	failure := map[dbus.HeaderField]any{dbus.FieldReplySerial: uint32(4), dbus.FieldErrorName: "a.b.C"}
	var out [][]byte
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		out = append(out,
			byGodbus(t, order, call, dbus.TypeMethodCall, "go", []string{"A=b", "é"}, true),
			byGodbus(t, order, call, dbus.TypeMethodCall),
			byGodbus(t, order, call, dbus.TypeSignal, int16(-1), uint16(2), byte(3), 2.5, uint64(1), int64(-1)),
			byGodbus(t, order, failure, dbus.TypeError, "why"),
			byGodbus(t, order, answer, dbus.TypeMethodReply, map[string]dbus.Variant{"a": dbus.MakeVariant([]int32{1, 2})},
				[]struct {
					A string
					B int32
				}{{"main", 1}, {"x", 2}}, map[uint32]uint64{1: 2}, [][]string{{"a"}, {}}, []dbus.ObjectPath{"/"},
				dbus.ParseSignatureMust("a{sv}"), []byte{1, 2}, map[string]int32{}, []uint64{}, []float64{1}, dbus.UnixFDIndex(0)),
		)
	}
	for sig, v := range samples() {
		out = append(out, write(t, Header{Kind: MethodReply, Serial: 1, ReplyTo: 2, Signature: "y" + sig, FDs: 3}, byte(1), v))
	}
	return out
}

func TestLikeGodbus(t *testing.T) {
	for _, data := range seeds(t) {
		compare(t, data)
		// Each byte in turn is another one.
		for i := range data {
			for _, b := range []byte{0, 1, data[i] + 1, data[i] ^ 0x80, 'a', 'v', '(', 255} {
				changed := bytes.Clone(data)
				changed[i] = b
				compare(t, changed)
			}
		}
	}
}

// Whatever bytes come: no panic, and godbus reads the same; but what we are
// stricter with.
func FuzzParse(f *testing.F) {
	for _, data := range seeds(f) {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		compare(t, data)
	})
}

func BenchmarkParse(b *testing.B) {
	text := string(seeds(b)[0])
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	var w Writer
	env := []string{"A=b", "é"}
	h := Header{Kind: Signal, Serial: 1, Path: "/com/ubuntu/Upstart", Interface: "com.ubuntu.Upstart0_6", Member: "EventEmitted", Signature: "sas"}
	b.ReportAllocs()
	for b.Loop() {
		w.Reset(4096)
		w.Begin(&h)
		w.String("go")
		w.Strings(env)
		if err := w.End(); err != nil {
			b.Fatal(err)
		}
	}
}

// What godbus needs for the same.
func BenchmarkGodbusParse(b *testing.B) {
	data := seeds(b)[0]
	b.ReportAllocs()
	for b.Loop() {
		if _, err := dbus.DecodeMessage(bytes.NewReader(data)); err != nil {
			b.Fatal(err)
		}
	}
}
