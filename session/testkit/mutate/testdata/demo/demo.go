// Package demo is what the tests of mutate are tried on: some of it is tested
// well, some badly, some not at all.
package demo

import "strings"

const limit = 3

// point is a literal with fields.
type point struct{ x, y int }

// within is tested at its bounds.
func within(n int) bool { return n >= 0 && n < limit }

// loosely is not tested at its bounds.
func loosely(n int) bool {
	if n < 0 || n > limit {
		return false
	}
	return true
}

// count leaves out blanks and stops at a dot.
func count(words []string) (n int) {
	for _, word := range words {
		if word == "" {
			continue
		}
		if word == "." {
			break
		}
		n++
	}
	return n
}

// kind has a case for everything, and one that nobody asks for.
func kind(v any) (string, bool) {
	switch v := v.(type) {
	case int:
		switch v {
		case 0:
			return "none", true
		case 1:
			return "one", true
		default:
			return "many", true
		}
	case string:
		switch {
		case v == "":
			return "empty", true
		case strings.HasPrefix(v, "x") && !strings.HasSuffix(v, "x"):
			return "begun", true
		}
	case bool:
		return "truth", v
	}
	return "", false
}

// move changes what it is given, and says so to whoever listens.
func move(p *point, by int, listen func(point)) {
	p.x += by
	p.y = p.x - 2*by
	if listen != nil {
		listen(point{x: p.x, y: p.y})
	}
}

// sum never ends when its step is left out.
func sum(n int) int {
	total := 0
	for n > 0 {
		total += n
		n--
	}
	return total
}

// reserve has room to spare, which nobody can see.
func reserve[T any](n int) []T { return make([]T, 0, n+1) }

// untested is not tested.
func untested() error {
	const way = 1
	sizes := [...]int{way: 2}
	if sizes[1] == 2 {
		return nil
	}
	return nil
}
