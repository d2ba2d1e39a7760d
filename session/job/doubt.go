package job

import (
	"strconv"
	"strings"
)

// earlier is a stanza of which the last one alone holds.
type earlier struct {
	stanza *Stanza
	slot   string
	pos    int
	text   string // the stanza as it stands, without the blanks around it
}

// replaced warns of a stanza that takes the place of one above it in the same
// text, from which nothing is heard any more: whoever writes both wants both. An
// override is there to replace, and is a text of its own. What stands there
// twice word for word is lost in no way, and of words for people nothing runs. In
// a text with errors these come first.
func (p *parser) replaced(s *Stanza, args []word, at int) {
	switch {
	case p.errors > 0, s.grows, s.Name == "description", s.Name == "author", s.Name == "version", s.Name == "usage":
		return
	}
	first := ""
	if s.keyed && len(args) > 0 {
		first = args[0].text
	}
	now := earlier{s, s.slotOf(first), at, strings.Trim(p.text[at:p.pos], blanks+"\n")}
	for i := range p.earlier {
		before := &p.earlier[i]
		if before.slot != now.slot {
			continue
		}
		if before.text != now.text {
			line, _ := p.place(before.pos)
			if msg := before.lost(s, strconv.Itoa(line), p.class.Override != ""); msg != "" {
				p.warn(at, msg)
			}
		}
		*before = now
		return
	}
	p.earlier = append(p.earlier, now)
}

// lost says what becomes of a stanza of a job file, or of an override, that s
// comes after; "" for what is meant so.
func (before *earlier) lost(s *Stanza, line string, overrides bool) string {
	was := "'" + before.stanza.Title() + "' of line " + line
	switch {
	case s.Name == "manual", before.stanza.Name == "manual" && overrides:
		return "" // that is what they are for
	case before.stanza.Name == "manual":
		return "'" + s.Title() + "' undoes the 'manual' of line " + line + " (expected 'manual' behind it)"
	case s.Shape == Expression:
		return "replaces the " + was + " (expected one condition, its events joined by 'or' or 'and')"
	case s.Shape == Line || s.Shape == Block:
		script := "script"
		if s.Sub != "" {
			script = s.Name + " script"
		}
		return "replaces the " + was + ", which does not run (expected one; a '" + script + "' can do both)"
	}
	return "replaces the " + was + " (expected one of them)"
}

// lintEnv warns of a value that is written as for a shell. It is taken as it
// stands, and PATH is then a directory that nobody has.
func lintEnv(p *parser, args []word) {
	w := args[0]
	_, value, _ := strings.Cut(w.text, "=")
	if what := expandable(value); what != "" {
		p.warn(w.pos, named(what)+" is not expanded here (expected a plain value; a 'script' can set it)")
	}
}

// expandable gives what a shell would make another text of: a variable, or the
// home directory at the beginning of a path; "" for nothing.
func expandable(value string) string {
	for i := 0; i < len(value); i++ {
		rest := value[i:]
		switch {
		case rest[0] == '\\':
			i++
		case rest[0] == '~' && (i == 0 || value[i-1] == ':') && (len(rest) == 1 || rest[1] == '/'):
			return "~"
		case rest[0] == '$':
			name, braced := strings.CutPrefix(rest[1:], "{")
			end := nameEnd(name)
			if end > 0 && !braced {
				return rest[:1+end]
			}
			if closing := strings.IndexByte(name[end:], '}'); end > 0 && closing >= 0 {
				return rest[:2+end+closing+1]
			}
		}
	}
	return ""
}
