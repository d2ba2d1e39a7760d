package wire

import (
	"bytes"
	"encoding/binary"
	"reflect"
	"strings"
	"testing"
)

// message makes a message by hand: order, then fields and body as they are.
func message(order binary.AppendByteOrder, kind Kind, fields, body []byte) []byte {
	mark := byte('l')
	if order == binary.AppendByteOrder(binary.BigEndian) {
		mark = 'B'
	}
	out := []byte{mark, byte(kind), 0, 1}
	out = order.AppendUint32(out, uint32(len(body)))
	out = order.AppendUint32(out, 7)
	out = order.AppendUint32(out, uint32(len(fields)))
	out = append(out, fields...)
	for len(out)%8 != 0 {
		out = append(out, 0)
	}
	return append(out, body...)
}

// reply makes the reply to call 1, with that body.
func reply(sig string, body ...byte) []byte {
	fields := []byte{fieldReplyTo, 1, 'u', 0, 1, 0, 0, 0, fieldSignature, 1, 'g', 0, byte(len(sig))}
	return message(binary.LittleEndian, MethodReply, append(append(fields, sig...), 0), body)
}

// write makes a message of values, which must be fine.
func write(t testing.TB, h Header, values ...any) []byte {
	t.Helper()
	var w Writer
	w.Begin(&h)
	w.Values(h.Signature, values)
	if err := w.End(); err != nil {
		t.Fatalf("cannot write (%s) %v: %v", h.Signature, values, err)
	}
	return bytes.Clone(w.Bytes())
}

// samples holds values of every type, and their signatures.
func samples() map[string]any {
	return map[string]any{
		"y": byte(200), "b": true, "n": int16(-2), "q": uint16(65000), "i": int32(-70000), "u": uint32(4e9),
		"x": int64(-1 << 62), "t": uint64(1 << 63), "d": 1.5, "s": "é", "o": ObjectPath("/a/b"), "g": Signature("a{sv}"), "h": FD(1),
		"v": Variant{"as", []string{"x"}}, "as": []string{"", "abc", "d"}, "ao": []ObjectPath{"/", "/x"}, "ay": []byte{1, 2, 3},
		"aas": [][]string{{"a"}, {}, {"b", "c"}}, "ai": []any{int32(1), int32(-1)}, "at": []any{}, "a(ix)": []any{},
		"(yx)": []any{byte(1), int64(2)}, "a(si)": []any{[]any{"main", int32(7)}, []any{"", int32(0)}},
		"a{sv}":  map[string]Variant{"a": {"i", int32(1)}, "b": {"v", Variant{"s", "deep"}}, "c": {"a{sv}", map[string]Variant{}}},
		"aa{sv}": []any{map[string]Variant{"k": {"b", false}}, map[string]Variant{}},
		"a{ut}":  []Entry{{uint32(2), uint64(3)}, {uint32(1), uint64(9)}}, "a{s(ii)}": []Entry{{"p", []any{int32(1), int32(2)}}},
		"aaay": []any{[]any{[]byte{1}}, []any{}},
	}
}

func TestRoundTrip(t *testing.T) {
	for sig, want := range samples() {
		h := Header{Kind: Signal, Flags: NoReplyExpected, Serial: 3, Path: "/a", Interface: "a.b", Member: "M", Sender: ":1.1",
			Destination: "a.b", Signature: "y" + sig + "s", FDs: 2}
		// A byte before it, so that alignment counts.
		m, err := Parse(string(write(t, h, byte(9), want, "end")))
		if err != nil {
			t.Errorf("Parse(%s) = %v", sig, err)
			continue
		}
		if m.Header != h {
			t.Errorf("header = %+v; want %+v", m.Header, h)
		}
		if got := m.Values(); !reflect.DeepEqual(got, []any{byte(9), want, "end"}) {
			t.Errorf("%s = %#v; want %#v", sig, got, want)
		}
		if got := m.Value(1); !reflect.DeepEqual(got, want) {
			t.Errorf("Value(1) of %s = %#v; want %#v", sig, got, want)
		}
		if got := m.Text(2); got != "end" {
			t.Errorf("Text(2) behind %s = %q; want end", sig, got)
		}
	}
}

func TestAccess(t *testing.T) {
	h := Header{Kind: MethodCall, Serial: 1, Path: "/", Member: "M", Signature: "sasbv"}
	m, err := Parse(string(write(t, h, "go", []string{"A=b", "C="}, true, Variant{"i", int32(1)})))
	if err != nil {
		t.Fatal(err)
	}
	if m.Text(0) != "go" || !reflect.DeepEqual(m.Texts(1), []string{"A=b", "C="}) || !m.Bool(2) || m.VariantSignature(3) != "i" {
		t.Errorf("arguments = %q %q %v %s", m.Text(0), m.Texts(1), m.Bool(2), m.VariantSignature(3))
	}
	for what, access := range map[string]func(){
		"another type": func() { m.Text(1) },
		"none":         func() { m.Bool(4) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("asking for %s does not panic", what)
				}
			}()
			access()
		}()
	}
}

func TestBigEndian(t *testing.T) {
	be := binary.BigEndian
	fields := []byte{fieldReplyTo, 1, 'u', 0, 0, 0, 0, 1, fieldSignature, 1, 'g', 0, 5, 'y', 'n', 'u', 't', 'd', 0}
	body := []byte{5, 0, 0xff, 0xfe, 0, 1, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0}
	m, err := Parse(string(message(be, MethodReply, fields, body)))
	want := []any{byte(5), int16(-2), uint32(65538), uint64(1<<32 | 2), 1.5}
	if got := m.Values(); err != nil || m.ReplyTo != 1 || !reflect.DeepEqual(got, want) {
		t.Errorf("values = %#v, %v; want %#v", got, err, want)
	}
}

func TestTextsThatMustNotBe(t *testing.T) {
	for _, test := range []struct {
		text         string
		nul, notUTF8 bool
	}{
		{"plain \x7f", false, false}, {"é\U0010ffff", false, false}, {"a\x00b", true, false}, {"\xff", false, true},
		{"\xed\xa0\x80", false, true}, {"\x00\xc3", true, true},
	} {
		body := binary.LittleEndian.AppendUint32(nil, uint32(len(test.text)))
		body = append(append(body, test.text...), 0)
		m, err := Parse(string(reply("s", body...)))
		if err != nil || m.NUL != test.nul || m.NotUTF8 != test.notUTF8 || m.Text(0) != test.text {
			t.Errorf("Parse(%q) = NUL %v, NotUTF8 %v, %v; want %v, %v", test.text, m.NUL, m.NotUTF8, err, test.nul, test.notUTF8)
		}
		h := Header{Kind: MethodReply, Serial: 1, ReplyTo: 1, Signature: "s"}
		var w Writer
		w.Begin(&h)
		w.String(test.text)
		if err := w.End(); (err != nil) != (test.nul || test.notUTF8) || err != nil && (err != BadText || len(w.Bytes()) != 0) {
			t.Errorf("End() after %q = %v", test.text, err)
		}
		w.Mend = true
		w.Reset(1024)
		w.Begin(&h)
		w.String(test.text)
		if err := w.End(); err != nil {
			t.Errorf("End() after %q, mended = %v", test.text, err)
		}
		if m, err := Parse(string(w.Bytes())); err != nil || m.NUL || m.NotUTF8 {
			t.Errorf("mended %q: %v, NUL %v, NotUTF8 %v", test.text, err, m.NUL, m.NotUTF8)
		}
	}
}

// Each fault is found, and nothing is allocated before it is.
func TestFaults(t *testing.T) {
	le := binary.LittleEndian
	good := reply("")
	changed := func(at int, with ...byte) []byte {
		out := bytes.Clone(good)
		copy(out[at:], with)
		return out
	}
	replyTo := []byte{fieldReplyTo, 1, 'u', 0, 1, 0, 0, 0}
	header := func(kind Kind, fields ...byte) []byte { return message(le, kind, fields, nil) }
	variants := func(n int) (body []byte) {
		for range n {
			body = append(body, 1, 'v', 0)
		}
		return append(body, 1, 'y', 0, 7)
	}
	for _, test := range []struct {
		name string
		data []byte
		want Fault
	}{
		{"good", good, okay},
		{"short", good[:15], CutShort},
		{"shorter than it says", good[:len(good)-1], CutShort},
		{"longer than it says", append(bytes.Clone(good), 0), CutShort},
		{"byte order", changed(0, 'L'), BadOrder},
		{"version", changed(3, 2), BadVersion},
		{"type 0", changed(1, 0), BadKind},
		{"type of the future", changed(1, 5), okay},
		{"serial 0", changed(8, 0), BadSerial},
		{"reply to 0", changed(20, 0), BadSerial},
		{"too long", changed(4, 0xff, 0xff, 0xff, 0x7f), TooLong},
		{"fields too long", changed(12, 1, 0, 0, 4), ArrayTooLong},
		{"field 0", changed(16, 0), BadField},
		{"field of another type", changed(18, 's'), BadField},
		{"no type of the field", header(MethodReply, append(replyTo, 100, 0, 0)...), BadField},
		{"field of the future", header(MethodReply, append(replyTo, 100, 1, 'y', 0, 1)...), okay},
		{"field of the future with two types", header(MethodReply, append(replyTo, 100, 2, 'y', 'y', 0, 1, 1)...), BadVariant},
		{"field of the future, cut", header(MethodReply, append(replyTo, 100, 1, 'u', 0, 1)...), ArrayOverrun},
		{"field into the body", message(le, MethodReply, append(replyTo, 100, 1, 'u', 0, 1), []byte{0, 0, 0, 0, 0, 0, 0, 0}), ArrayOverrun},
		{"field twice", header(MethodReply, append(replyTo, replyTo...)...), FieldTwice},
		{"no fields", header(MethodReply), FieldMissing},
		{"no path", header(MethodCall, fieldMember, 1, 's', 0, 1, 0, 0, 0, 'M', 0), FieldMissing},
		{"no member", header(MethodCall, fieldPath, 1, 'o', 0, 1, 0, 0, 0, '/', 0), FieldMissing},
		{"no error name", header(Error, replyTo...), FieldMissing},
		{"bad path", header(MethodCall, fieldPath, 1, 'o', 0, 1, 0, 0, 0, 'x', 0), BadPath},
		{"bad member", header(MethodCall, fieldMember, 1, 's', 0, 1, 0, 0, 0, '9', 0), BadName},
		{"bad interface", header(MethodCall, fieldInterface, 1, 's', 0, 1, 0, 0, 0, 'a', 0), BadName},
		{"bad error name", header(Error, fieldErrorName, 1, 's', 0, 1, 0, 0, 0, 'a', 0), BadName},
		{"padding after the fields", changed(len(good)-1, 1), BadPadding},
		{"body without a signature", message(le, MethodReply, replyTo, []byte{1}), BodyLeft},
		{"body left", reply("y", 1, 2), BodyLeft},
		{"body missing", reply("y"), CutShort},
		{"bool", reply("b", 2, 0, 0, 0), BadBool},
		{"padding", reply("yu", 1, 0, 9, 0, 1, 0, 0, 0), BadPadding},
		{"terminator", reply("s", 1, 0, 0, 0, 'a', 1), BadTerminator},
		{"string too long", reply("s", 255, 255, 255, 255, 'a', 0), CutShort},
		{"path", reply("o", 2, 0, 0, 0, '/', '/', 0), BadPath},
		{"signature", reply("g", 1, 'a', 0), BadSignature},
		{"signature of the body", reply("a"), BadSignature},
		{"empty structure", reply("()"), BadSignature},
		{"variant of nothing", reply("v", 0, 0), BadVariant},
		{"variant of two", reply("v", 2, 'y', 'y', 0, 1, 2), BadVariant},
		{"variants, 64", reply("v", variants(63)...), okay},
		{"variants, 65", reply("v", variants(64)...), TooDeep},
		{"array too long", reply("ay", 1, 0, 0, 4), ArrayTooLong},
		{"array longer than the message", reply("ay", 0, 0, 0, 4), CutShort},
		{"array ends amid a number", reply("ai", 6, 0, 0, 0, 1, 0, 0, 0, 1, 0), ArrayOverrun},
		{"array ends amid a string", reply("asy", 5, 0, 0, 0, 1, 0, 0, 0, 'a', 0), ArrayOverrun},
		{"padding of an empty array", reply("at", 0, 0, 0, 0, 1, 0, 0, 0), BadPadding},
		{"empty array without its padding", reply("at", 0, 0, 0, 0), CutShort},
		{"entry", reply("a{yy}", 10, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 1, 1, 1), BadPadding},
		{"descriptor", reply("h", 0, 0, 0, 0), FDMissing},
	} {
		text := string(test.data)
		if _, err := Parse(text); err != test.want.err() {
			t.Errorf("%s: Parse = %v; want %v", test.name, err, test.want)
		}
		if n := testing.AllocsPerRun(10, func() { _, _ = Parse(text) }); n != 0 {
			t.Errorf("%s: Parse allocates %v times", test.name, n)
		}
	}
}

func TestSize(t *testing.T) {
	for _, test := range []struct {
		body, fields uint32
		want         int
	}{{0, 0, 16}, {5, 1, 29}, {5, 8, 29}, {5, 9, 37}, {128<<20 - 16, 0, 128 << 20}, {128<<20 - 15, 0, -1}, {0, 64<<20 + 1, -1}, {1<<32 - 1, 1<<32 - 1, -1}} {
		for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
			head := make([]byte, FixedHeader)
			if head[0], head[3] = 'l', 1; order == binary.ByteOrder(binary.BigEndian) {
				head[0] = 'B'
			}
			order.PutUint32(head[4:], test.body)
			order.PutUint32(head[12:], test.fields)
			got, err := Size(head)
			if err != nil {
				got = -1
			}
			if got != test.want {
				t.Errorf("Size(%d, %d) = %d, %v; want %d", test.body, test.fields, got, err, test.want)
			}
		}
	}
}

func TestWriterFaults(t *testing.T) {
	deep := any("x")
	for range 70 {
		deep = MakeVariant(deep)
	}
	var w Writer
	good := Header{Kind: MethodReply, Serial: 1, ReplyTo: 1}
	w.Begin(&good)
	if err := w.End(); err != nil {
		t.Fatal(err)
	}
	before := len(w.Bytes())
	for _, test := range []struct {
		name   string
		header Header
		values []any
		want   Fault
	}{
		{"no field", Header{Kind: MethodCall, Serial: 1, Path: "/"}, nil, FieldMissing},
		{"signature", Header{Signature: "a"}, nil, BadSignature},
		{"another type", Header{Signature: "i"}, []any{"x"}, BadValue},
		{"no type", Header{Signature: "i"}, []any{1}, BadValue},
		{"nil", Header{Signature: "s"}, []any{nil}, BadValue},
		{"too few", Header{Signature: "ss"}, []any{"x"}, BadValue},
		{"too many", Header{Signature: "s"}, []any{"x", "y"}, BadValue},
		{"list for a dictionary", Header{Signature: "a{ss}"}, []any{[]any{"x"}}, BadValue},
		{"entries for a list", Header{Signature: "as"}, []any{[]Entry{{"x", "y"}}}, BadValue},
		{"field of a structure", Header{Signature: "(si)"}, []any{[]any{"x"}}, BadValue},
		{"path", Header{Signature: "o"}, []any{"x"}, BadPath},
		{"paths", Header{Signature: "ao"}, []any{[]string{"/", ""}}, BadPath},
		{"variant without a type", Header{Signature: "v"}, []any{Variant{}}, BadVariant},
		{"variant of two", Header{Signature: "v"}, []any{Variant{"ss", "x"}}, BadVariant},
		{"variant of another type", Header{Signature: "v"}, []any{Variant{"s", int32(1)}}, BadValue},
		{"depth", Header{Signature: "v"}, []any{deep}, TooDeep},
		{"array", Header{Signature: "ay"}, []any{make([]byte, maxArray+1)}, ArrayTooLong},
		{"text", Header{Signature: "s"}, []any{"\xff"}, BadText},
	} {
		h := test.header
		if h.Kind == 0 {
			h.Kind, h.Serial, h.ReplyTo = MethodReply, 1, 1
		}
		w.Begin(&h)
		if ValidSignature(h.Signature) {
			w.Values(h.Signature, test.values)
		}
		if err := w.End(); err != test.want || len(w.Bytes()) != before {
			t.Errorf("%s: End() = %v, %d bytes; want %v, %d", test.name, err, len(w.Bytes()), test.want, before)
		}
	}
	w.Begin(&good)
	if err := w.End(); err != nil || !strings.HasPrefix(string(w.Bytes()[before:]), string(w.Bytes()[:before])) {
		t.Errorf("a message after faults: %v, %q", err, w.Bytes())
	}
	w.Reset(0)
	if len(w.Bytes()) != 0 || cap(w.buf) != 0 {
		t.Errorf("after Reset(0): %d bytes of %d", len(w.Bytes()), cap(w.buf))
	}
}

func TestSignatureOf(t *testing.T) {
	for sig, v := range samples() {
		if got, ok := SignatureOf(v); ok && got != sig {
			t.Errorf("SignatureOf(%#v) = %s; want %s", v, got, sig)
		}
	}
	if got, ok := SignatureOf([]map[string]Variant{}); got != "aa{sv}" || !ok {
		t.Errorf("SignatureOf(dictionaries) = %s, %v", got, ok)
	}
	if _, ok := SignatureOf(7); ok {
		t.Error("an int has a signature")
	}
	defer func() {
		if recover() == nil {
			t.Error("MakeVariant(7) does not panic")
		}
	}()
	MakeVariant(7)
}
