package wire

import "strings"

// maxName bounds the names of interfaces, members and errors, in bytes.
const maxName = 255

// ValidPath tells whether a string is an object path.
func ValidPath(path string) bool {
	if path == "/" {
		return true
	}
	if path == "" || path[0] != '/' {
		return false
	}
	last := byte(0)
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c == '/' && last == '/' || c != '/' && !wordByte(c) {
			return false
		}
		last = c
	}
	return last != '/'
}

// ValidInterface tells whether a string is the name of an interface or an
// error: two elements at least.
func ValidInterface(name string) bool {
	if len(name) > maxName || strings.IndexByte(name, '.') < 0 {
		return false
	}
	for {
		element, rest, more := strings.Cut(name, ".")
		if !validElement(element) {
			return false
		}
		if !more {
			return true
		}
		name = rest
	}
}

// ValidMember tells whether a string is the name of a method or signal.
func ValidMember(name string) bool { return len(name) <= maxName && validElement(name) }

func validElement(element string) bool {
	if element == "" || element[0] >= '0' && element[0] <= '9' {
		return false
	}
	for i := 0; i < len(element); i++ {
		if !wordByte(element[i]) {
			return false
		}
	}
	return true
}

func wordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
}
