package demo

import "testing"

func TestWithin(t *testing.T) {
	for n, want := range map[int]bool{-1: false, 0: true, 2: true, 3: false} {
		if within(n) != want {
			t.Errorf("within(%d) = %t", n, !want)
		}
	}
	if !loosely(1) || loosely(9) || loosely(-9) {
		t.Error("loosely")
	}
}

func TestCount(t *testing.T) {
	if n := count([]string{"a", "", "b", ".", "c"}); n != 2 {
		t.Errorf("count = %d", n)
	}
	if n := sum(4); n != 10 {
		t.Errorf("sum(4) = %d", n)
	}
	if s := reserve[string](3); len(s) != 0 || s == nil {
		t.Errorf("reserve = %q", s)
	}
}

func TestKind(t *testing.T) {
	for v, want := range map[any]string{0: "none", 1: "one", 5: "many", "": "empty", "xy": "begun", "x": "", "y": "", true: "truth", nil: ""} {
		if got, ok := kind(v); got != want || ok != (want != "") {
			t.Errorf("kind(%v) = %q, %t", v, got, ok)
		}
	}
}

func TestMove(t *testing.T) {
	t.Run("told", func(t *testing.T) {
		p := point{1, 1}
		told := point{}
		move(&p, 2, func(q point) { told = q })
		if p != (point{3, -1}) || told != p {
			t.Errorf("move = %v, %v", p, told)
		}
	})
	t.Run("not told", func(t *testing.T) { move(new(point), 1, nil) })
}
