package job

import "strings"

// script reads the block of a "script" stanza; the scanner stands behind the
// keyword, whose place is at. A block is lines and nothing else: quotes,
// continuations and comments in it are the shell's.
func (p *parser) script(at int) (string, bool) {
	if !p.atEnd() {
		p.unexpected("the end of the line after 'script'")
		p.skipLine()
		p.skipBlock()
		return "", false
	}
	p.skipLine()
	body, ok := p.skipBlock()
	if !ok {
		p.fail(at, "unterminated block (expected a line 'end script' after this 'script')")
		p.pos = len(p.text)
		return "", false
	}
	return dedent(body), true
}

// skipBlock goes behind the next line that ends a block, and gives what
// stands before it. Without such a line it stays where it is.
func (p *parser) skipBlock() (body string, ok bool) {
	for at := p.pos; at < len(p.text); {
		next := len(p.text)
		if n := strings.IndexByte(p.text[at:], '\n'); n >= 0 {
			next = at + n + 1
		}
		if end := p.text[at:next]; endsBlock(end) {
			if i := strings.IndexByte(end, '#'); i > 0 && !isBlank(end[i-1]) {
				p.warn(at+i, hashInWord)
			}
			body = p.text[p.pos:at]
			p.pos = next
			return body, true
		}
		at = next
	}
	return "", false
}

// endsBlock reports whether a line is "end script", blanks and a comment
// aside.
func endsBlock(line string) bool {
	line = strings.TrimSuffix(line, "\n")
	rest, ok := strings.CutPrefix(strings.TrimLeft(line, blanks), "end")
	if !ok || rest == "" || !isBlank(rest[0]) {
		return false
	}
	rest, ok = strings.CutPrefix(strings.TrimLeft(rest, blanks), "script")
	rest = strings.TrimLeft(rest, blanks)
	return ok && (rest == "" || rest[0] == '#')
}

func indentation(line string) string {
	return line[:len(line)-len(strings.TrimLeft(line, blanks))]
}

func isBlankLine(line string) bool { return strings.Trim(line, blanks+"\n") == "" }

// dedent removes the indentation that all lines of a block share, byte for
// byte. Blank lines have no say in it, or one empty line would keep all the
// others indented.
func dedent(body string) string {
	common, any := "", false
	for line := range strings.Lines(body) {
		switch {
		case isBlankLine(line):
		case !any:
			common, any = indentation(line), true
		default:
			common = common[:shared(common, line)]
		}
	}
	if !any {
		return strings.Repeat("\n", strings.Count(body, "\n"))
	}
	if common == "" {
		return body
	}
	var out strings.Builder
	out.Grow(len(body))
	for line := range strings.Lines(body) {
		out.WriteString(line[shared(common, line):])
	}
	return out.String()
}

// shared counts the bytes that the beginnings of a and b have in common.
func shared(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}
