package job

import (
	"slices"
	"strings"
)

// Parse makes the class of that name of a job file's text; path is for
// messages and for Class.Path. The problems come in the order of their places.
// When one of them is an error the class is nil: there is no half of a job.
func Parse(name, path string, text []byte) (*Class, []Problem) {
	class := NewClass(name)
	class.Path = path
	return read(class, path, text, nil)
}

// Apply lays an override on a class: single values replace, env, export,
// emits and normal exit add up. It returns the result, or nil when a problem
// is an error; class itself never changes.
func Apply(class *Class, path string, text []byte) (*Class, []Problem) {
	result := class.clone()
	result.Override = path
	return read(result, path, text, nil)
}

// clone gives a copy whose lists can grow and change without touching c's.
// What the lists' entries point to is never changed once it is made.
func (c *Class) clone() *Class {
	out := *c
	out.Emits = slices.Clone(c.Emits)
	out.NormalExit = slices.Clone(c.NormalExit)
	out.Env = slices.Clone(c.Env)
	out.EnvFiles = slices.Clone(c.EnvFiles)
	out.Export = slices.Clone(c.Export)
	out.Limits = slices.Clone(c.Limits)
	out.CGroups = slices.Clone(c.CGroups)
	out.Inert = slices.Clone(c.Inert)
	return &out
}

func read(class *Class, path string, text []byte, said func(*Stanza, []word, int)) (*Class, []Problem) {
	p := parser{scanner: newScanner(string(text)), problems: problems{path: path}, class: class, resume: -1, said: said}
	if at := strings.IndexByte(p.text, 0); at >= 0 {
		// Not a text: what else could be said of it would help nobody.
		p.fail(at, "NUL byte (expected text)")
		return nil, p.sorted()
	}
	p.run()
	if p.errors > 0 {
		return nil, p.sorted()
	}
	if class.StartOn != nil {
		class.Manual = nil
	}
	class.Inert = inert(class)
	return class, p.sorted()
}

func inert(c *Class) []string {
	var out []string
	if c.AppArmorLoad != "" || c.AppArmorSwitch != "" {
		out = append(out, "apparmor")
	}
	if len(c.CGroups) > 0 {
		out = append(out, "cgroup")
	}
	if c.Debug {
		out = append(out, "debug")
	}
	return out
}

// parser fills a class with what the stanzas of a text say.
type parser struct {
	scanner
	problems
	class *Class
	// resume, when not -1, is where to look for the next stanza after an
	// error that left the scanner nowhere.
	resume int
	// cut: the words that are being judged end early, and it was told why.
	cut bool
	// said, when it is not nil, is told of each stanza that was read, with
	// its words and its line; see Origins.
	said func(s *Stanza, args []word, line int)
	// earlier are the stanzas that a later one replaces; see replaced.
	earlier []earlier
}

const hashInWord = "'#' begins a comment here, in the middle of a word (expected quotes around it, or a blank before it)"

func (p *parser) fail(pos int, msg string) {
	line, col := p.place(pos)
	p.add(line, col, false, msg)
}

func (p *parser) warn(pos int, msg string) {
	line, col := p.place(pos)
	p.add(line, col, true, msg)
}

// fault reports a piece without an end. What follows its first line may be
// sound: there the search for the next stanza begins.
func (p *parser) fault(f *fault) {
	p.fail(f.pos, f.msg)
	p.resume = f.pos
}

// missing reports that s needs more than the line has.
func (p *parser) missing(s *Stanza, what string) {
	p.fail(p.pos, "'"+s.Title()+"' is not complete (expected "+what+")")
}

// unexpected reports a word where a stanza should have ended.
func (p *parser) unexpected(expected string) {
	word := p.text[p.pos:]
	if i := strings.IndexAny(word, wordStops); i > 0 {
		word = word[:i]
	}
	p.fail(p.pos, "unexpected "+named(word)+" (expected "+expected+")")
}

// lintHash warns when a piece ends at a comment that nobody meant as one.
func (p *parser) lintHash(sp span) {
	if sp.end < len(p.text) && p.text[sp.end] == '#' && sp.end > sp.start {
		if before := p.text[sp.end-1]; !isBlank(before) && before != '\n' {
			p.warn(sp.end, hashInWord)
		}
	}
}

// word is a word of a stanza, as it counts.
type word struct {
	text string
	pos  int
}

// word reads a word and the blanks behind it.
func (p *parser) word(dequote bool) (word, bool) {
	sp, trouble := p.reach(p.pos, wordStops)
	if trouble != nil {
		p.fault(trouble)
		return word{}, false
	}
	p.lintHash(sp)
	p.pos = sp.end
	p.skipBlanks()
	return word{p.value(sp, dequote), sp.start}, true
}

// peek gives the next word without reading it, "" when there is none or it
// has no end.
func (p *parser) peek(dequote bool) string {
	if p.atEnd() {
		return ""
	}
	sp, trouble := p.reach(p.pos, wordStops)
	if trouble != nil {
		return ""
	}
	return p.value(sp, dequote)
}

func (p *parser) run() {
	for !p.full() {
		p.pos += len(p.text[p.pos:]) - len(strings.TrimLeft(p.text[p.pos:], blanks))
		switch {
		case p.pos >= len(p.text):
			return
		case p.atEnd():
			p.skipLine()
		case !p.stanza():
			p.recover()
		}
	}
}

// stanza reads one stanza with the end of its line. It reports whether it
// could; a bad value is an error in a stanza that was read.
func (p *parser) stanza() bool {
	at := p.pos
	name, ok := p.word(false)
	if !ok {
		return false
	}
	s := p.choose(name)
	if s == nil {
		return false
	}
	if s.NotYet {
		p.fail(at, "'"+s.Title()+"' is not supported yet")
		return false
	}
	var args []word
	switch s.Shape {
	case Block:
		if text, ok := p.script(at); ok {
			p.process(s, true, text)
			p.tell(s, nil, at)
		}
		return true
	case Line:
		ok = p.line(s)
	case Expression:
		expr, good := p.condition(s)
		if ok = good; ok {
			*s.expr(p.class) = expr
		}
	case Words:
		args, ok = p.words(s)
	}
	if ok {
		p.tell(s, args, at)
		p.skipLine()
	}
	return ok
}

// tell takes note of a stanza that was read and begins at at.
func (p *parser) tell(s *Stanza, args []word, at int) {
	p.replaced(s, args, at)
	if s.doubt != nil {
		s.doubt(p, args)
	}
	if p.said != nil {
		line, _ := p.place(at)
		p.said(s, args, line)
	}
}

// choose gives the entry of the table for the stanza that begins with name,
// its sub-keyword read, or reports that there is none and gives nil.
func (p *parser) choose(name word) *Stanza {
	family := find(name.text)
	if len(family) == 0 {
		p.unknown(name)
		return nil
	}
	if family[0].alias != "" && p.peek(false) == family[0].Sub {
		// An older spelling: what follows is the newer one's.
		p.word(false)
		family = find(family[0].alias)
	}
	var bare *Stanza
	for i := range family {
		if family[i].Sub == "" {
			bare = &family[i]
		}
	}
	if bare != nil && (p.atEnd() || len(family) == 1) {
		return bare
	}
	at := p.pos
	sub := p.peek(family[0].loose)
	for i := range family {
		s := &family[i]
		if s.Sub != sub || s.Sub == "" || s.alias != "" {
			continue
		}
		from := p.scanner
		p.word(family[0].loose)
		if s.weak && p.atEnd() {
			// "env file" is the variable of that name.
			p.scanner = from
			break
		}
		return s
	}
	if bare != nil && bare.Max > 0 {
		return bare
	}
	if p.atEnd() {
		p.fail(at, named(name.text)+" is not complete (expected "+titles(family)+")")
	} else if sub == "" {
		// A word without an end: reading it says so.
		p.word(false)
	} else {
		p.fail(name.pos, "unknown stanza "+named(name.text+" "+sub)+" (expected "+titles(family)+")")
	}
	return nil
}

// unknown reports a stanza that does not exist.
func (p *parser) unknown(name word) {
	msg := "unknown stanza " + named(name.text)
	key, _, assigned := strings.Cut(name.text, "=")
	if whose := foreigner(name.text); whose != "" && p.errors == 0 && len(p.earlier) == 0 {
		// All that follows would be as wrong.
		p.fail(name.pos, msg+" (this is "+whose+")")
		p.pos = len(p.text)
		return
	}
	instead := ""
	if dependency, ok := strings.CutSuffix(name.text, ":"); ok {
		instead = foreignKey(dependency) // dinit's
	} else if assigned || p.peek(false) == "=" {
		instead = foreignKey(key)
	}
	switch best := nearest(name.text, names); {
	case strings.HasPrefix(p.text[name.pos:], "\\\n"):
		msg = "nothing to continue (expected a stanza before the backslash)"
	case name.text == "end" && p.peek(false) == "script":
		msg = "'end script' without a block (expected 'script' before it)"
	case name.text == "and" || name.text == "or":
		msg += " (expected parentheses around a condition of several lines)"
	case instead != "":
		msg += " (here: " + instead + ")"
	case assigned && len(key) <= maxNamed && isName(key):
		msg += " (did you mean 'env " + key + "=…'?)"
	case best != "":
		msg += " (did you mean '" + best + "'?)"
	default:
		msg += " (expected the name of a stanza)"
	}
	p.fail(name.pos, msg)
}

// line reads the command of an "exec", as it stands.
func (p *parser) line(s *Stanza) bool {
	if p.atEnd() {
		p.missing(s, s.expected())
		return false
	}
	sp, trouble := p.reach(p.pos, lineStops)
	if trouble != nil {
		p.fault(trouble)
		return false
	}
	p.lintHash(sp)
	p.pos = sp.end
	p.process(s, false, p.value(sp, false))
	return true
}

func (p *parser) process(s *Stanza, script bool, text string) {
	p.class.Processes[s.process] = &Process{Script: script, Text: text}
}

// judge hands a stanza its words. Those of a stanza that takes several are
// judged also when there are too few, since what is wrong with them comes
// before what is missing behind them; what the class then holds does not
// matter.
func (s *Stanza) judge(p *parser, args []word) {
	if len(args) > 0 || s.Min == 0 {
		s.say(p, args)
	}
}

// words reads the words of a stanza and hands them to it.
func (p *parser) words(s *Stanza) (args []word, ok bool) {
	for !p.atEnd() && (s.Max < 0 || len(args) < s.Max) {
		w, good := p.word(true)
		if good && w.text == "" {
			p.fail(w.pos, "empty word after '"+s.Title()+"' (expected "+s.expected()+")")
			good = false
		}
		if !good {
			p.cut = true
			s.judge(p, args)
			p.cut = false
			return nil, false
		}
		args = append(args, w)
	}
	if len(args) < s.Min {
		p.missing(s, s.choices())
	}
	s.judge(p, args)
	if len(args) < s.Min {
		return nil, false
	}
	if !p.atEnd() {
		p.unexpected(s.nothingMore())
		return nil, false
	}
	return args, true
}
