package job

import "strings"

// recover goes, after an error, to where the next stanza may begin: the next
// line, behind the block if one seems to open here; or, when the end of
// something was not found, the next line that begins like a stanza.
func (p *parser) recover() {
	if p.resume >= 0 {
		p.pos, p.resume = p.resume, -1
		p.resync()
		return
	}
	sp, trouble := p.reach(p.pos, lineStops)
	if trouble != nil || quotesLines(p.text[sp.start:sp.end]) {
		// An apostrophe of a line that means nothing must not take the
		// lines after it along.
		p.resync()
		return
	}
	line := p.text[sp.start:sp.end]
	p.pos = sp.end
	p.skipLine()
	if words := strings.Fields(line); len(words) > 0 && words[len(words)-1] == "script" {
		p.skipBlock()
	}
}

// quotesLines reports whether a span that ends with its line holds other
// line ends than continuations: those can only be in quotes.
func quotesLines(text string) bool {
	for i := range len(text) {
		if text[i] == '\n' && (i == 0 || text[i-1] != '\\') {
			return true
		}
	}
	return false
}

// resync goes to the next line whose first word is the name of a stanza.
func (p *parser) resync() {
	p.skipLine()
	for p.pos < len(p.text) {
		rest := strings.TrimLeft(p.text[p.pos:], blanks)
		if i := strings.IndexAny(rest, wordStops); i >= 0 {
			rest = rest[:i]
		}
		if len(find(rest)) > 0 {
			return
		}
		p.skipLine()
	}
}
