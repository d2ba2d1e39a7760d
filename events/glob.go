package events

import "strings"

// Glob reports whether the whole of s matches the shell pattern, as
// fnmatch(3) without flags does: "*" and "?" match any byte, slashes and
// leading dots among them; "[...]" takes ranges, classes and "!" or "^";
// a backslash makes the next byte ordinary. Bytes, not characters: a pattern
// means the same in every locale.
func Glob(pattern, s string) bool {
	// The last star seen and where its match would end next: enough to go
	// back, since an earlier star never needs to take more than it did.
	starP, starS := -1, 0
	p, i := 0, 0
	for i < len(s) {
		if p < len(pattern) {
			if pattern[p] == '*' {
				starP, starS = p, i
				p++
				continue
			}
			if n, ok := globOne(pattern[p:], s[i]); ok {
				p += n
				i++
				continue
			}
		}
		if starP < 0 {
			return false
		}
		starS++
		p, i = starP+1, starS
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// IsLiteral reports whether pattern can match nothing but itself.
func IsLiteral(pattern string) bool {
	return !strings.ContainsAny(pattern, `*?[\`)
}

// globOne matches the first element of pattern, which is not a star, against
// c and returns the length of the element.
func globOne(pattern string, c byte) (length int, ok bool) {
	switch pattern[0] {
	case '?':
		return 1, true
	case '\\':
		if len(pattern) > 1 {
			return 2, pattern[1] == c
		}
		// fnmatch(3): a trailing backslash matches nothing.
		return 1, false
	case '[':
		if n, in, closed := globSet(pattern, c); closed {
			return n, in
		}
		// An unclosed bracket is an ordinary byte.
		return 1, c == '['
	}
	return 1, pattern[0] == c
}

// globSet matches c against the bracket expression at the start of pattern.
func globSet(pattern string, c byte) (length int, in, closed bool) {
	i := 1
	negated := i < len(pattern) && (pattern[i] == '!' || pattern[i] == '^')
	if negated {
		i++
	}
	for first := true; i < len(pattern); first = false {
		if pattern[i] == ']' && !first {
			return i + 1, in != negated, true
		}
		if strings.HasPrefix(pattern[i:], "[:") {
			if end := strings.Index(pattern[i:], ":]"); end >= 2 {
				if inClass(pattern[i+2:i+end], c) {
					in = true
				}
				i += end + 2
				continue
			}
		}
		low, n := globByte(pattern[i:])
		i += n
		high := low
		if i+1 < len(pattern) && pattern[i] == '-' && pattern[i+1] != ']' {
			high, n = globByte(pattern[i+1:])
			i += 1 + n
		}
		if low <= c && c <= high {
			in = true
		}
	}
	return 0, false, false
}

func globByte(pattern string) (c byte, length int) {
	if pattern[0] == '\\' && len(pattern) > 1 {
		return pattern[1], 2
	}
	return pattern[0], 1
}

func inClass(name string, c byte) bool {
	lower, upper, digit := c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9'
	switch name {
	case "alpha":
		return lower || upper
	case "digit":
		return digit
	case "alnum":
		return lower || upper || digit
	case "lower":
		return lower
	case "upper":
		return upper
	case "space":
		return c == ' ' || c >= '\t' && c <= '\r'
	case "blank":
		return c == ' ' || c == '\t'
	case "cntrl":
		return c < ' ' || c == 0x7f
	case "graph":
		return c > ' ' && c < 0x7f
	case "print":
		return c >= ' ' && c < 0x7f
	case "punct":
		return c > ' ' && c < 0x7f && !lower && !upper && !digit
	case "xdigit":
		return digit || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
	}
	return false
}
