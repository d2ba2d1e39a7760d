package main

import (
	"slices"
	"strings"

	"github.com/session-init/session-init/session/job"
)

// helpWidth is where the lines of prose are broken, in characters.
const helpWidth = 76

// stanzaHelp gives what the manual says of a stanza, or unless exact of all
// those that begin with that keyword, as text; "" when there is none.
func stanzaHelp(title string, exact bool) string {
	stanzas := job.Stanzas()
	entries := job.Manual()
	var out strings.Builder
	for _, e := range entries {
		titles := strings.Split(e.Titles, ", ")
		if !slices.ContainsFunc(titles, func(have string) bool {
			return have == title || !exact && strings.HasPrefix(have, title+" ")
		}) {
			continue
		}
		if out.Len() > 0 {
			out.WriteByte('\n')
		}
		writeEntry(&out, stanzas, e, titles)
	}
	return out.String()
}

// writeEntry writes one entry of the manual: its stanzas, its prose, and an
// example.
func writeEntry(out *strings.Builder, stanzas []job.Stanza, e job.Entry, titles []string) {
	text, more := "", ""
	for _, title := range titles {
		i := slices.IndexFunc(stanzas, func(s job.Stanza) bool { return s.Title() == title })
		if i < 0 {
			continue
		}
		s := &stanzas[i]
		line := strings.TrimSpace(title + " " + s.Args)
		if s.Shape == job.Block {
			line = title + " ... end script"
		}
		out.WriteString(line + "\n")
		if text == "" {
			text = s.Doc + " "
		}
		if s.Default != "" {
			more += " The default is " + s.Default + "."
		}
		if s.Beyond {
			more += " Upstart has no '" + title + "'."
		}
	}
	out.WriteByte('\n')
	marks := strings.NewReplacer("`", "", "<", "", ">", "")
	for paragraph := range strings.SplitSeq(text+e.Text+more, "\n\n") {
		writeWrapped(out, marks.Replace(paragraph))
		out.WriteByte('\n')
	}
	for line := range strings.Lines(e.Example) {
		out.WriteString("    " + line)
	}
}

// writeWrapped breaks a paragraph into indented lines.
func writeWrapped(out *strings.Builder, text string) {
	column := 0
	for word := range strings.FieldsSeq(text) {
		switch {
		case column == 0:
			out.WriteString("  ")
		case column+1+len(word) > helpWidth:
			out.WriteString("\n  ")
			column = 0
		default:
			out.WriteByte(' ')
			column++
		}
		out.WriteString(word)
		column += len(word)
	}
	out.WriteByte('\n')
}
