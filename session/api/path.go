package api

import "strings"

// EscapeElement makes one element of an object path of any name: every byte
// but ASCII letters and digits becomes "_" and two lower-case hex digits; the
// empty name is "_".
func EscapeElement(name string) string {
	if name == "" {
		return "_"
	}
	const hex = "0123456789abcdef"
	var out strings.Builder
	for i := 0; i < len(name); i++ {
		c := name[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
			out.WriteByte(c)
			continue
		}
		out.WriteByte('_')
		out.WriteByte(hex[c>>4])
		out.WriteByte(hex[c&15])
	}
	return out.String()
}

// UnescapeElement is the inverse of EscapeElement. It accepts only what
// EscapeElement makes, so that every name has exactly one path.
func UnescapeElement(element string) (name string, ok bool) {
	if element == "_" {
		return "", true
	}
	var out strings.Builder
	for i := 0; i < len(element); i++ {
		c := element[i]
		if c != '_' {
			out.WriteByte(c)
			continue
		}
		if i+2 >= len(element) {
			return "", false
		}
		high, low := unhex(element[i+1]), unhex(element[i+2])
		if high < 0 || low < 0 {
			return "", false
		}
		out.WriteByte(byte(high<<4 | low))
		i += 2
	}
	name = out.String()
	return name, element != "" && EscapeElement(name) == element
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}

// JobPath returns the object path of a job.
func JobPath(job string) string {
	return JobsPath + "/" + EscapeElement(job)
}

// InstancePath returns the object path of an instance.
func InstancePath(job, instance string) string {
	return JobPath(job) + "/" + EscapeElement(instance)
}

// ParsePath takes the object path of a job or an instance apart. isInstance
// tells which it is.
func ParsePath(path string) (job, instance string, isInstance, ok bool) {
	rest, found := strings.CutPrefix(path, JobsPath+"/")
	if !found {
		return "", "", false, false
	}
	first, second, isInstance := strings.Cut(rest, "/")
	if job, ok = UnescapeElement(first); !ok {
		return "", "", false, false
	}
	if isInstance {
		if instance, ok = UnescapeElement(second); !ok {
			return "", "", false, false
		}
	}
	return job, instance, isInstance, true
}
