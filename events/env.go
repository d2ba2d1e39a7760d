package events

import (
	"errors"
	"fmt"
	"strings"
)

// Env is an ordered list of KEY=VALUE entries. It may hold a key more than
// once (an event is announced exactly as it was emitted); First and Get say
// which of the entries counts. Values are bytes: nothing is decoded.
//
// An Env is shared freely between events, instances and effects; whoever
// changes one first clones it (Set and Merge do so where they must).
type Env []string

// SplitEntry returns the key and the value of a KEY=VALUE entry. Without "="
// the whole entry is the key and ok is false.
func SplitEntry(entry string) (key, value string, ok bool) {
	return strings.Cut(entry, "=")
}

// First returns the value of the first entry of that key: the one that
// counts when conditions are matched.
func (e Env) First(key string) (string, bool) {
	for _, entry := range e {
		if len(entry) > len(key) && entry[len(key)] == '=' && entry[:len(key)] == key {
			return entry[len(key)+1:], true
		}
	}
	return "", false
}

// Get returns the value of the last entry of that key: the one that counts
// in the environment of a process.
func (e Env) Get(key string) (string, bool) {
	for i := len(e) - 1; i >= 0; i-- {
		entry := e[i]
		if len(entry) > len(key) && entry[len(key)] == '=' && entry[:len(key)] == key {
			return entry[len(key)+1:], true
		}
	}
	return "", false
}

// Clone returns a copy that can be changed without changing e.
func (e Env) Clone() Env {
	return append(Env(nil), e...)
}

// Set returns e with entry (KEY=VALUE) in place of an earlier entry of that
// key, else appended. It changes e in place: the caller must own it.
func (e Env) Set(entry string) Env {
	key, _, _ := SplitEntry(entry)
	for i := len(e) - 1; i >= 0; i-- {
		if len(e[i]) > len(key) && e[i][len(key)] == '=' && e[i][:len(key)] == key {
			e[i] = entry
			return e
		}
	}
	return append(e, entry)
}

// Unset returns e without the entries of key, in place.
func (e Env) Unset(key string) Env {
	out := e[:0]
	for _, entry := range e {
		if k, _, _ := SplitEntry(entry); k != key {
			out = append(out, entry)
		}
	}
	return out
}

// mergeByMap is the size of a merge from which a map pays for itself. A
// client may send thousands of variables, and a scan for each is quadratic.
const mergeByMap = 32

// Merge returns a new Env: e, then every entry of over laid on it in order.
// The result holds each key once.
func (e Env) Merge(over Env) Env {
	out := make(Env, 0, len(e)+len(over))
	if len(e)+len(over) < mergeByMap {
		for _, entry := range e {
			out = out.Set(entry)
		}
		for _, entry := range over {
			out = out.Set(entry)
		}
		return out
	}
	at := make(map[string]int, len(e)+len(over))
	for _, part := range [2]Env{e, over} {
		for _, entry := range part {
			key, _, _ := SplitEntry(entry)
			if i, seen := at[key]; seen {
				out[i] = entry
				continue
			}
			at[key] = len(out)
			out = append(out, entry)
		}
	}
	return out
}

// Lookup gives the value of a variable; see Expand. A nil Lookup knows none.
type Lookup func(name string) (value string, ok bool)

// ErrUnknownParameter is wrapped by the error of Expand for a variable that
// is not set and has no default.
var ErrUnknownParameter = errors.New("unknown parameter")

// Expand replaces the variable references of s:
//
//	$NAME ${NAME} ${NAME-word} ${NAME:-word} ${NAME+word} ${NAME:+word} ${}
//
// "${}" stands for a literal "$", as does a "$" before anything that cannot
// begin a name. Names and words may contain references in turn; substituted
// text is not scanned again. An unset variable without a default is an error
// that wraps ErrUnknownParameter.
func Expand(s string, lookup Lookup) (string, error) {
	if !strings.Contains(s, "$") {
		return s, nil
	}
	if lookup == nil {
		lookup = func(string) (string, bool) { return "", false }
	}
	x := expander{src: s, lookup: lookup}
	return x.text(false)
}

// expandDepth bounds the nesting of references: a value is a client's or a
// file's, and a stack is finite.
const expandDepth = 200

type expander struct {
	src    string
	pos    int
	depth  int
	lookup Lookup
}

// text expands up to the end of the source or, inside braces, up to the
// closing brace, which it leaves unread.
func (x *expander) text(inBraces bool) (string, error) {
	var out strings.Builder
	for x.pos < len(x.src) {
		c := x.src[x.pos]
		switch {
		case c == '}' && inBraces:
			return out.String(), nil
		case c == '$':
			x.pos++
			if err := x.reference(&out); err != nil {
				return "", err
			}
		default:
			out.WriteByte(c)
			x.pos++
		}
	}
	if inBraces {
		return "", errors.New("mismatched braces")
	}
	return out.String(), nil
}

func isNameStart(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func isNameByte(c byte) bool {
	return isNameStart(c) || c >= '0' && c <= '9'
}

// reference expands what follows a "$".
func (x *expander) reference(out *strings.Builder) error {
	if x.pos < len(x.src) && x.src[x.pos] == '{' {
		x.pos++
		return x.braced(out)
	}
	start := x.pos
	for x.pos < len(x.src) && (isNameStart(x.src[x.pos]) || x.pos > start && isNameByte(x.src[x.pos])) {
		x.pos++
	}
	if x.pos == start {
		out.WriteByte('$')
		return nil
	}
	return x.substitute(out, x.src[start:x.pos])
}

func (x *expander) substitute(out *strings.Builder, name string) error {
	value, ok := x.lookup(name)
	if !ok {
		return fmt.Errorf("%w: %s", ErrUnknownParameter, name)
	}
	out.WriteString(value)
	return nil
}

// braced expands what follows a "${", with its closing brace.
func (x *expander) braced(out *strings.Builder) error {
	x.depth++
	defer func() { x.depth-- }()
	if x.depth > expandDepth {
		return errors.New("references nested too deeply")
	}
	name, err := x.bracedName()
	if err != nil {
		return err
	}
	if x.src[x.pos] == '}' {
		x.pos++
		if name == "" {
			out.WriteByte('$')
			return nil
		}
		return x.substitute(out, name)
	}
	emptyIsUnset := x.src[x.pos] == ':'
	if emptyIsUnset {
		x.pos++
		if x.pos >= len(x.src) || x.src[x.pos] != '-' && x.src[x.pos] != '+' {
			return errors.New("expected operator")
		}
	}
	operator := x.src[x.pos]
	x.pos++
	word, err := x.text(true)
	if err != nil {
		return err
	}
	x.pos++
	value, set := x.lookup(name)
	set = set && !(emptyIsUnset && value == "")
	switch {
	case operator == '+' && set, operator == '-' && !set:
		out.WriteString(word)
	case operator == '-':
		out.WriteString(value)
	}
	return nil
}

// bracedName reads the name of a braced reference, references in it
// expanded, up to an operator or the closing brace.
func (x *expander) bracedName() (string, error) {
	var name strings.Builder
	for x.pos < len(x.src) {
		switch c := x.src[x.pos]; c {
		case '}', ':', '-', '+':
			return name.String(), nil
		case '$':
			x.pos++
			if err := x.reference(&name); err != nil {
				return "", err
			}
		default:
			name.WriteByte(c)
			x.pos++
		}
	}
	return "", errors.New("mismatched braces")
}
