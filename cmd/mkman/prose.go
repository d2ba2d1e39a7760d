package main

import (
	"regexp"
	"strings"
)

// pieces are what stands out of prose: `typed`, <VALUE> and page(5), with the
// punctuation around it.
var pieces = regexp.MustCompile("(\\(?)(?:`([^`]*)`|<([A-Z]+)>|([a-z_-]+)\\(([1-8])\\))([.,:;)]*)")

// prose writes paragraphs, which an empty line divides.
func (w *writer) prose(text string) {
	for i, paragraph := range strings.Split(text, "\n\n") {
		if i > 0 {
			w.line(".Pp")
		}
		w.paragraph(strings.Join(strings.Fields(paragraph), " "))
	}
}

func (w *writer) paragraph(text string) {
	for text != "" {
		at := pieces.FindStringSubmatchIndex(text)
		if at == nil {
			w.plain(text)
			return
		}
		w.plain(text[:at[0]])
		w.macro(pieces.FindStringSubmatch(text))
		text = text[at[1]:]
	}
}

// macro writes a piece: opening parenthesis, typed, value, page, section,
// punctuation.
func (w *writer) macro(m []string) {
	var line string
	switch {
	case m[4] != "":
		line = ".Xr " + lead(m[1]) + m[4] + " " + m[5]
	case m[3] != "":
		line = ".Ar " + lead(m[1]) + m[3]
	case w.find(m[2]) != nil:
		line = ".Ic " + lead(m[1]) + m[2]
	default:
		line = ".Ql " + lead(m[1]) + argument(m[2])
	}
	for _, mark := range m[6] {
		line += " " + string(mark)
	}
	w.line(line)
}

func lead(parenthesis string) string {
	if parenthesis == "" {
		return ""
	}
	return parenthesis + " "
}

// argument quotes what a macro is to take as one word, whatever it is.
func argument(text string) string {
	return `"` + strings.ReplaceAll(escape(text), `"`, `""`) + `"`
}

func escape(text string) string { return strings.ReplaceAll(text, `\`, `\e`) }

// plain writes words: a sentence begins on a line of its own, and no line is
// long.
func (w *writer) plain(text string) {
	const long = 78
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
		case ended(line), len(line)+1+len(word) > long:
			w.line(line)
			line = ""
		default:
			line += " "
		}
		line += escape(word)
	}
	if line != "" {
		w.line(line)
	}
}

// ended reports whether a line ends with a sentence.
func ended(line string) bool {
	return strings.HasSuffix(line, ".") || strings.HasSuffix(line, ".)") || strings.HasSuffix(line, `."`)
}
