package socket

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// event makes something to keep.
func event(t *testing.T) int {
	t.Helper()
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

// What came with events is given to whoever the engine names, over the death of
// the daemon too, and what the next engine does not know is let go.
func TestEvents(t *testing.T) {
	w := newWorld(t)
	var numbers []uint64
	for range 3 {
		number, err := w.KeepEvent(event(t))
		if err != nil || slices.Contains(numbers, number) || number == 0 {
			t.Fatalf("KeepEvent() = %d, %v after %d", number, err, numbers)
		}
		numbers = append(numbers, number)
	}
	gets := func(want string, numbers ...uint64) {
		t.Helper()
		fds, names, told, err := w.Files("svc", "", numbers)
		for _, fd := range fds {
			unix.Close(fd)
		}
		got := strings.Join(names, " ")
		if err != nil {
			got = err.Error()
		}
		if got != want || told != len(names) {
			t.Errorf("Files(%d) = %q, of which %d are told; want %q", numbers, got, told, want)
		}
	}
	const lost = "the descriptor that came with its event was lost when the daemon died"
	gets("event event", numbers[0], numbers[2])
	w.DropEvent(numbers[0])
	w.DropEvent(numbers[0])
	gets(lost, numbers[0])

	w.renew()
	known := []uint64{numbers[1], 77}
	if got := w.TakeEvents(known); !slices.Equal(got, known[1:]) {
		t.Errorf("TakeEvents(%d) = %d; want %d to be lost", known, got, known[1:])
	}
	w.Forget()
	gets("event", numbers[1])
	gets(lost, 77)
	if held := sortedNames(w.holder.held); !slices.Equal(held, []string{eventName(numbers[1])}) {
		t.Errorf("%q are held; want what the engine knows", held)
	}
	if names, fds := w.Handover(); !slices.Equal(names, []string{eventName(numbers[1])}) || len(fds) != 1 {
		t.Errorf("Handover() = %q, %d", names, fds)
	}
	// A number that the engine may know is never another's.
	number, err := w.KeepEvent(event(t))
	if err != nil || number <= 77 {
		t.Errorf("KeepEvent() = %d, %v; want more than 77", number, err)
	}
	w.DropEvent(number)
	w.DropEvent(numbers[1])
	if len(w.holder.held) > 0 {
		t.Errorf("%q are held for nobody", sortedNames(w.holder.held))
	}
	for range maxEventFiles {
		if _, err := w.KeepEvent(event(t)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.KeepEvent(event(t)); err == nil || !strings.Contains(err.Error(), "256 events with descriptors are under way") {
		t.Errorf("one more: %v", err)
	}
}

// One that an earlier daemon has left is not let go when its number is another's
// by now: the state was lost, and counting began anew.
func TestEventsAfterLoss(t *testing.T) {
	w := newWorld(t)
	number, err := w.KeepEvent(event(t))
	if err != nil {
		t.Fatal(err)
	}
	w.renew()
	again, err := w.KeepEvent(event(t))
	if err != nil || again != number {
		t.Fatalf("KeepEvent() = %d, %v; want %d again", again, err, number)
	}
	w.Forget()
	if held := sortedNames(w.holder.held); !slices.Equal(held, []string{eventName(number)}) {
		t.Errorf("%q are held; want the new one", held)
	}
}
