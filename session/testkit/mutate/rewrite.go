package main

import (
	"cmp"
	"slices"
	"strings"
)

// edit changes a piece of a file, whatever became of what stands in it. Edits
// lie beside or inside each other, never across.
type edit struct {
	start, end int // offsets; equal for something that is added
	wrap       func(inner string) string
}

// rewrite applies edits to a text. Of edits at the same place the first is
// the outermost.
func rewrite(text string, edits []edit) string {
	edits = slices.Clone(edits)
	slices.SortStableFunc(edits, func(a, b edit) int {
		if a.start != b.start {
			return cmp.Compare(a.start, b.start)
		}
		if (a.start == a.end) != (b.start == b.end) {
			if a.start == a.end {
				return -1
			}
			return 1
		}
		return cmp.Compare(b.end, a.end)
	})
	var out strings.Builder
	part(&out, text, 0, len(text), &edits)
	return out.String()
}

// part writes text[start:end], and takes the edits in it off the list.
func part(out *strings.Builder, text string, start, end int, edits *[]edit) {
	for len(*edits) > 0 {
		e := (*edits)[0]
		if e.start >= end {
			// What is added right behind this piece is not in it.
			break
		}
		*edits = (*edits)[1:]
		out.WriteString(text[start:e.start])
		var inner strings.Builder
		if e.end > e.start {
			part(&inner, text, e.start, e.end, edits)
		}
		out.WriteString(e.wrap(inner.String()))
		start = e.end
	}
	out.WriteString(text[start:end])
}
