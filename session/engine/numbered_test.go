package engine

import (
	"testing"

	"pgregory.net/rapid"
)

// TestNumbered compares a numbered with a map.
func TestNumbered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var n numbered
		want := make(map[uint64]*instance)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			number := rapid.OneOf(rapid.Uint64Range(0, 70), rapid.Uint64()).Draw(t, "number")
			if rapid.Bool().Draw(t, "drop") {
				n.drop(number)
				delete(want, number)
			} else {
				want[number] = new(instance)
				n.put(number, want[number])
			}
			if n.count != len(want) {
				t.Fatalf("count = %d; want %d", n.count, len(want))
			}
			for number := range uint64(70) {
				if got := n.get(number); got != want[number] {
					t.Fatalf("get(%d) = %p; want %p", number, got, want[number])
				}
			}
			if got := n.get(number); got != want[number] {
				t.Fatalf("get(%d) = %p; want %p", number, got, want[number])
			}
		}
		for number := range want {
			n.drop(number)
		}
		if n.count != 0 || len(n.shelves) != 0 {
			t.Fatalf("%d are left on %d shelves", n.count, len(n.shelves))
		}
		if n.spare != nil && (n.spare.used != 0 || n.spare.places != [1 << shelfBits]*instance{}) {
			t.Fatalf("the spare shelf is not empty")
		}
	})
}

// TestNumberedSpare: one that comes and goes takes no new memory each time.
func TestNumberedSpare(t *testing.T) {
	var n numbered
	in := new(instance)
	if got := testing.AllocsPerRun(100, func() {
		n.put(1, in)
		n.drop(1)
	}); got != 0 {
		t.Errorf("put and drop allocate %v times; want 0", got)
	}
}
