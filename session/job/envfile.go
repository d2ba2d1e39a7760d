package job

import "strings"

// maxEnvFileLine bounds how much of an environment one line may make: the
// kernel takes no longer string (MAX_ARG_STRLEN).
const maxEnvFileLine = 128<<10 - 1

// ParseEnvFile reads the text of a file that "env file" names: a variable a
// line, KEY=VALUE, in the order of the file. Blanks around a line, empty
// lines and those that begin with "#" do not count, nor does an "export" before
// the variable, so that files made for shells can be shared. A value that
// stands in one pair of quotes loses them; nothing else in it means anything,
// no backslash and no "$". The error is a Problem, with path for its Path.
func ParseEnvFile(path string, text []byte) ([]string, error) {
	var out []string
	number := 0
	for line := range strings.Lines(strings.TrimPrefix(string(text), "\ufeff")) {
		number++
		entry := strings.Trim(line, blanks+"\n")
		if entry == "" || entry[0] == '#' {
			continue
		}
		at := Problem{Path: path, Line: number, Col: strings.Index(line, entry) + 1}
		if rest, ok := strings.CutPrefix(entry, "export"); ok && rest != "" && isBlank(rest[0]) {
			entry = strings.TrimLeft(rest, blanks)
		}
		key, value, ok := strings.Cut(entry, "=")
		switch {
		case strings.IndexByte(entry, 0) >= 0:
			at.Msg = "NUL byte (expected text)"
		case !ok || !isName(key):
			at.Msg = named(entry) + " is no variable (expected KEY=VALUE)"
		case len(entry) > maxEnvFileLine:
			at.Msg = named(entry) + " is too long for a variable (expected less than 128 KiB)"
		}
		if at.Msg != "" {
			return nil, at
		}
		out = append(out, key+"="+unquoted(value))
	}
	return out, nil
}

// unquoted takes the quotes from a value that stands in one pair of them.
func unquoted(value string) string {
	if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') &&
		strings.IndexByte(value[1:], value[0]) == n-2 {
		return value[1 : n-1]
	}
	return value
}
