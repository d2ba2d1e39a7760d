package desktop

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/session-init/session-init/session/job"
)

// Group is the one group of a file that counts here.
const Group = "Desktop Entry"

// Entry is the group "Desktop Entry" of a file.
type Entry struct {
	// Path is the file, as it was given to Parse.
	Path string
	keys map[string]value
}

// value is what follows the "=", raw, and its line, from 1.
type value struct {
	text string
	line int
}

// Parse reads a desktop entry file. An entry is returned unless a problem is
// an error: then what the file says is not known well enough. The other groups
// are checked for their form and left alone.
func Parse(path string, text []byte) (*Entry, []job.Problem) {
	p := &entryParser{entry: &Entry{Path: path, keys: make(map[string]value)}, path: path, groups: make(map[string]bool)}
	line := 0
	for raw := range strings.Lines(strings.TrimPrefix(string(text), "\ufeff")) {
		line++
		p.line(strings.TrimRight(raw, "\r\n"), line)
	}
	if !p.groups[Group] {
		p.problem(1, false, "there is no group [%s]", Group)
	}
	for _, problem := range p.problems {
		if !problem.Warning {
			return nil, p.problems
		}
	}
	return p.entry, p.problems
}

// maxProblems bounds what one file can make us say.
const maxProblems = 20

type entryParser struct {
	entry    *Entry
	path     string
	groups   map[string]bool
	group    string
	problems []job.Problem
}

func (p *entryParser) problem(line int, warning bool, format string, args ...any) {
	if len(p.problems) == maxProblems {
		return
	}
	p.problems = append(p.problems, job.Problem{Path: p.path, Line: line, Col: 1, Warning: warning, Msg: fmt.Sprintf(format, args...)})
}

func (p *entryParser) line(text string, line int) {
	if strings.TrimSpace(text) == "" || text[0] == '#' {
		return
	}
	if strings.ContainsRune(text, 0) {
		p.problem(line, false, "there is a null byte in the line")
		return
	}
	if text[0] == '[' {
		name, ok := strings.CutSuffix(strings.TrimRight(text[1:], " \t"), "]")
		switch {
		case !ok || strings.ContainsAny(name, "[]"):
			p.problem(line, false, "the header of the group is not closed (expected '[NAME]')")
		case p.groups[name]:
			p.problem(line, false, "the group [%s] stands twice", name)
		}
		p.group = name
		p.groups[name] = true
		return
	}
	key, text, ok := strings.Cut(text, "=")
	key = strings.TrimRight(key, " \t")
	switch {
	case p.group == "":
		p.problem(line, false, "the line stands before the first group (expected '[%s]')", Group)
	case !ok:
		p.problem(line, false, "the line is neither a key nor a group (expected 'KEY=VALUE')")
	case !isKey(key):
		p.problem(line, p.group != Group, "'%s' cannot be a key: it may have letters, digits and '-', and a locale in brackets", key)
	case p.group != Group:
	case !utf8.ValidString(text):
		p.problem(line, true, "the value of '%s' is not UTF-8", key)
		p.set(key, text, line)
	default:
		p.set(key, text, line)
	}
}

func (p *entryParser) set(key, text string, line int) {
	if first, ok := p.entry.keys[key]; ok {
		p.problem(line, true, "'%s' stands in line %d already, and that counts", key, first.line)
		return
	}
	p.entry.keys[key] = value{strings.Trim(text, " \t"), line}
}

// isKey tells whether a text can stand before the "=".
func isKey(key string) bool {
	name, locale, localised := strings.Cut(key, "[")
	if localised {
		rest, closed := strings.CutSuffix(locale, "]")
		if !closed || rest == "" || strings.ContainsAny(rest, "[]") {
			return false
		}
	}
	for _, c := range []byte(name) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-':
		case c == '_':
			// Not allowed, and written all the same.
		default:
			return false
		}
	}
	return name != ""
}

// Has tells whether the key is there, and in which line.
func (e *Entry) Has(key string) (line int, ok bool) {
	v, ok := e.keys[key]
	return v.line, ok
}

// Text gives the value of a key of the type string, "" if it is not there.
func (e *Entry) Text(key string) string { return unescape(e.keys[key].text) }

// Localised gives the value of a key of the type localestring for a locale as
// LC_MESSAGES has it, such as de_AT.UTF-8@euro.
func (e *Entry) Localised(key, locale string) string {
	for _, suffix := range localeOrder(locale) {
		if v, ok := e.keys[key+"["+suffix+"]"]; ok {
			return unescape(v.text)
		}
	}
	return e.Text(key)
}

// localeOrder gives the locales to look for, that which fits best first.
func localeOrder(locale string) []string {
	locale, modifier, modified := strings.Cut(locale, "@")
	locale, _, _ = strings.Cut(locale, ".")
	lang, country, hasCountry := strings.Cut(locale, "_")
	if lang == "" || lang == "C" || lang == "POSIX" {
		return nil
	}
	var out []string
	if hasCountry && modified {
		out = append(out, lang+"_"+country+"@"+modifier)
	}
	if hasCountry {
		out = append(out, lang+"_"+country)
	}
	if modified {
		out = append(out, lang+"@"+modifier)
	}
	return append(out, lang)
}

// Flag gives the value of a key of the type boolean; it is false when the key
// is not there, or says neither. 0 and 1 are what was once written.
func (e *Entry) Flag(key string) bool {
	v := e.keys[key].text
	return strings.EqualFold(v, "true") || v == "1"
}

// denied tells whether a boolean key is there and says no.
func (e *Entry) denied(key string) bool {
	v := e.keys[key].text
	return strings.EqualFold(v, "false") || v == "0"
}

// List gives the value of a key of the type string(s), without empty ones.
func (e *Entry) List(key string) []string {
	var out []string
	var item strings.Builder
	text := e.keys[key].text
	end := func() {
		if item.Len() > 0 {
			out = append(out, unescape(item.String()))
		}
		item.Reset()
	}
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\' && i+1 < len(text) && text[i+1] == ';':
			item.WriteByte(';')
			i++
		case text[i] == '\\' && i+1 < len(text):
			item.WriteString(text[i : i+2])
			i++
		case text[i] == ';':
			end()
		default:
			item.WriteByte(text[i])
		}
	}
	end()
	return out
}

// unescape replaces \s \n \t \r and \\; another backslash is left as it is,
// since Exec has escapes of its own.
func unescape(text string) string {
	if !strings.Contains(text, `\`) {
		return text
	}
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' || i+1 == len(text) {
			out.WriteByte(text[i])
			continue
		}
		i++
		switch text[i] {
		case 's':
			out.WriteByte(' ')
		case 'n':
			out.WriteByte('\n')
		case 't':
			out.WriteByte('\t')
		case 'r':
			out.WriteByte('\r')
		case '\\':
			out.WriteByte('\\')
		default:
			out.WriteString(text[i-1 : i+1])
		}
	}
	return out.String()
}
