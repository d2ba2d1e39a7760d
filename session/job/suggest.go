package job

import (
	"iter"
	"slices"
	"strings"
)

// maxSuggested bounds the words that are compared; no keyword of ours is as
// long.
const maxSuggested = 24

// suggest gives the candidate that word is most likely a slip of, or "". The
// first of the nearest ones wins.
func suggest(word string, candidates []string) string {
	return nearest(word, slices.Values(candidates))
}

// nearest does so for candidates that are no list.
func nearest(word string, candidates iter.Seq[string]) string {
	if len(word) > maxSuggested {
		return ""
	}
	word = strings.ToLower(word)
	best, at := "", 1+max(1, len(word)/3)
	for candidate := range candidates {
		if len(candidate) > maxSuggested {
			continue
		}
		if d := distance(word, candidate); d < at {
			best, at = candidate, d
		}
	}
	return best
}

// distance counts the letters that must be added, dropped, changed or swapped
// with their neighbour to make b, of at most maxSuggested bytes, of a. A file
// of a hundred unknown words asks thousands of times, so it takes no memory.
func distance(a, b string) int {
	var rows [3][maxSuggested + 1]int
	before, last, row := rows[0][:len(b)+1], rows[1][:len(b)+1], rows[2][:len(b)+1]
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
