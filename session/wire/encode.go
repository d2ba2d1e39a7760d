package wire

import (
	"maps"
	"slices"
)

// Encoder is a value that writes itself, as a list of structures does.
type Encoder interface {
	// Signature is one complete type.
	Signature() string
	// Encode writes one value of that type.
	Encode(*Writer)
}

// SignatureOf returns the type of a value of Go: one of the package's table
// that says by itself what it is, a list of dictionaries or an Encoder. ok is
// false for all others.
func SignatureOf(v any) (sig string, ok bool) {
	switch v := v.(type) {
	case string:
		return "s", true
	case bool:
		return "b", true
	case byte:
		return "y", true
	case int16:
		return "n", true
	case uint16:
		return "q", true
	case int32:
		return "i", true
	case uint32:
		return "u", true
	case int64:
		return "x", true
	case uint64:
		return "t", true
	case float64:
		return "d", true
	case ObjectPath:
		return "o", true
	case Signature:
		return "g", true
	case FD:
		return "h", true
	case Variant:
		return "v", true
	case []string:
		return "as", true
	case []ObjectPath:
		return "ao", true
	case []byte:
		return "ay", true
	case [][]string:
		return "aas", true
	case map[string]Variant:
		return "a{sv}", true
	case []map[string]Variant:
		return "aa{sv}", true
	case Encoder:
		return v.Signature(), true
	}
	return "", false
}

// MakeVariant makes a variant of a value that says by itself what type it
// is. It panics for others: see SignatureOf.
func MakeVariant(v any) Variant {
	sig, ok := SignatureOf(v)
	if !ok {
		panic("cannot make a variant of a value that says no type")
	}
	return Variant{sig, v}
}

// Values writes the arguments of a message, whose types the signature has.
// Any other value of Go, or another number of them, is a fault.
func (w *Writer) Values(sig string, values []any) {
	w.values(sig, values, 0)
}

func (w *Writer) values(sig string, values []any, depth int) {
	for _, v := range values {
		if sig == "" {
			w.fail(BadValue)
			return
		}
		one := first(sig)
		w.value(one, v, depth)
		sig = sig[len(one):]
	}
	if sig != "" {
		w.fail(BadValue)
	}
}

// value writes a value of one complete type, within depth containers.
func (w *Writer) value(sig string, v any, depth int) {
	if depth > maxDepth {
		w.fail(TooDeep)
		return
	}
	if list, ok := v.([]any); ok {
		w.list(sig, list, depth)
		return
	}
	if entries, ok := v.([]Entry); ok {
		w.entries(sig, entries, depth)
		return
	}
	if s, ok := v.(string); ok && sig == "o" {
		w.ObjectPath(s)
		return
	}
	if list, ok := v.([]string); ok && sig == "ao" {
		w.paths(len(list), func(i int) string { return list[i] })
		return
	}
	if own, ok := SignatureOf(v); !ok || own != sig {
		w.fail(BadValue)
		return
	}
	switch v := v.(type) {
	case string:
		w.String(v)
	case bool:
		w.Bool(v)
	case byte:
		w.Byte(v)
	case int16:
		w.Uint16(uint16(v))
	case uint16:
		w.Uint16(v)
	case int32:
		w.Int32(v)
	case uint32:
		w.Uint32(v)
	case FD:
		w.Uint32(uint32(v))
	case int64:
		w.Int64(v)
	case uint64:
		w.Uint64(v)
	case float64:
		w.Float64(v)
	case ObjectPath:
		w.ObjectPath(string(v))
	case Signature:
		w.Signature(string(v))
	case Variant:
		w.variant(v, depth)
	case []string:
		w.Strings(v)
	case []ObjectPath:
		w.paths(len(v), func(i int) string { return string(v[i]) })
	case []byte:
		array := w.Array('y')
		w.buf = append(w.buf, v...)
		w.EndArray(array)
	case [][]string:
		array := w.Array('a')
		for _, list := range v {
			w.Strings(list)
		}
		w.EndArray(array)
	case map[string]Variant:
		w.dictionary(v, depth)
	case []map[string]Variant:
		array := w.Array('a')
		for _, d := range v {
			w.dictionary(d, depth+1)
		}
		w.EndArray(array)
	case Encoder:
		v.Encode(w)
	}
}

func (w *Writer) variant(v Variant, depth int) {
	if v.Signature == "" || !ValidSignature(v.Signature) || len(first(v.Signature)) != len(v.Signature) {
		w.fail(BadVariant)
		return
	}
	w.Signature(v.Signature)
	w.value(v.Signature, v.Value, depth+1)
}

func (w *Writer) paths(n int, path func(int) string) {
	array := w.Array('o')
	for i := range n {
		w.ObjectPath(path(i))
	}
	w.EndArray(array)
}

// list writes a structure or an array.
func (w *Writer) list(sig string, list []any, depth int) {
	switch {
	case sig[0] == '(':
		w.Struct()
		w.values(sig[1:len(sig)-1], list, depth+1)
	case sig[0] == 'a' && sig[1] != '{':
		array := w.Array(sig[1])
		for _, v := range list {
			w.value(sig[1:], v, depth+1)
		}
		w.EndArray(array)
	default:
		w.fail(BadValue)
	}
}

// entries writes a dictionary of any types, in the order in which it is.
func (w *Writer) entries(sig string, entries []Entry, depth int) {
	if len(sig) < 2 || sig[:2] != "a{" {
		w.fail(BadValue)
		return
	}
	array := w.Array('{')
	for _, e := range entries {
		w.Struct()
		w.value(sig[2:3], e.Key, depth+2)
		w.value(sig[3:len(sig)-1], e.Value, depth+2)
	}
	w.EndArray(array)
}

// dictionary writes an a{sv}, in the order of its keys.
func (w *Writer) dictionary(d map[string]Variant, depth int) {
	array := w.Array('{')
	for _, key := range slices.Sorted(maps.Keys(d)) {
		w.Struct()
		w.String(key)
		w.variant(d[key], depth+2)
	}
	w.EndArray(array)
}
