package wire

const (
	maxSignature = 255 // bytes
	maxArray     = 64 << 20
	// maxNesting bounds arrays in arrays, structures in structures and
	// dictionaries in dictionaries in one signature; maxDepth all containers
	// together, variants too.
	maxNesting = 32
	maxDepth   = 64
)

// ValidSignature tells whether sig is a list of complete types, which may be
// empty.
func ValidSignature(sig string) bool {
	if len(sig) > maxSignature {
		return false
	}
	for sig != "" {
		n := nesting{}.single(sig)
		if n == 0 {
			return false
		}
		sig = sig[n:]
	}
	return true
}

// nesting counts the containers around a type.
type nesting struct{ arrays, structs, entries uint8 }

// single returns the length of the complete type that sig begins with; 0 when
// it begins with none.
func (in nesting) single(sig string) int {
	if sig == "" {
		return 0
	}
	switch {
	case basic(sig[0]), sig[0] == 'v':
		return 1
	case sig[0] == '(':
		return in.structure(sig)
	case sig[0] != 'a' || in.arrays == maxNesting:
		return 0
	}
	in.arrays++
	if len(sig) > 1 && sig[1] == '{' {
		return in.dictionary(sig)
	}
	if n := in.single(sig[1:]); n > 0 {
		return 1 + n
	}
	return 0
}

func (in nesting) structure(sig string) int {
	if in.structs == maxNesting {
		return 0
	}
	in.structs++
	i := 1
	for i < len(sig) && sig[i] != ')' {
		n := in.single(sig[i:])
		if n == 0 {
			return 0
		}
		i += n
	}
	if i == 1 || i == len(sig) {
		return 0 // empty, or without an end
	}
	return i + 1
}

func (in nesting) dictionary(sig string) int {
	if in.entries == maxNesting || len(sig) < 5 || !basic(sig[2]) {
		return 0
	}
	in.entries++
	n := in.single(sig[3:])
	if n == 0 || 3+n >= len(sig) || sig[3+n] != '}' {
		return 0
	}
	return 3 + n + 1
}

// first returns the complete type that a valid signature begins with.
func first(sig string) string {
	if basic(sig[0]) || sig[0] == 'v' {
		return sig[:1]
	}
	return sig[:nesting{}.single(sig)]
}

// basic tells whether a type is no container.
func basic(c byte) bool { return size(c) > 0 || c == 's' || c == 'o' || c == 'g' }

// size is that of a type's values in bytes; 0 when it is not fixed.
func size(c byte) int {
	switch c {
	case 'y':
		return 1
	case 'n', 'q':
		return 2
	case 'b', 'i', 'u', 'h':
		return 4
	case 'x', 't', 'd':
		return 8
	}
	return 0
}

// alignment is that of a type, by its first character, in bytes.
func alignment(c byte) int {
	switch c {
	case 's', 'o', 'a':
		return 4
	case '(', '{':
		return 8
	case 'g', 'v':
		return 1
	}
	return size(c)
}
