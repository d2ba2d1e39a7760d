package session

import (
	"testing"
	"time"

	"github.com/session-init/session-init/supervise"
)

// TestCalm: memory goes back after any work, soon after a burst, less and less
// often when there is little, and nothing wakes the loop when there was none.
func TestCalm(t *testing.T) {
	const forever, ms = time.Duration(-1), time.Millisecond
	l := &Loop{ended: make(chan struct{})}
	defer close(l.ended)
	if got := l.calm(0, 5*time.Second, forever); got != forever {
		t.Fatalf("calm with nothing done = %v; want %v", got, forever)
	}
	now := 10 * time.Second
	// some has messages taken, and returns how long it is until memory is given
	// back; after that the loop must sleep for ever.
	some := func(n int) time.Duration {
		t.Helper()
		left := l.calm(n, now, forever)
		if left < 0 || l.calm(0, now+left-1, forever) != 1 {
			t.Fatalf("after %d messages calm = %v, and less a nanosecond is not 1", n, left)
		}
		now += left
		if got := l.calm(0, now, forever); got != forever || l.busy != 0 {
			t.Fatalf("calm when it is time = %v with %d messages left; want %v and none", got, l.busy, forever)
		}
		now += time.Hour
		if got := l.calm(0, now, 7*ms); got != 7*ms {
			t.Fatalf("calm an hour later = %v; want the 7 ms that others want", got)
		}
		return left
	}
	for _, want := range []time.Duration{firstRest, 2 * firstRest, 4 * firstRest} {
		if got := some(1); got != want {
			t.Errorf("after one message calm = %v; want %v", got, want)
		}
	}
	for range 20 {
		some(3)
	}
	if got := some(1); got != lastRest {
		t.Errorf("after many times calm = %v; want %v", got, lastRest)
	}
	if got := some(burst); got != restAfter {
		t.Errorf("after a burst calm = %v; want %v", got, restAfter)
	}
	if got := some(burst - 1); got != firstRest {
		t.Errorf("after a burst and less than one calm = %v; want %v", got, firstRest)
	}
	// What comes meanwhile does not put it off, unless it is late or a burst.
	first := l.calm(1, now, forever)
	if got := l.calm(1, now+first/2, forever); got != first-first/2 {
		t.Errorf("calm with another message halfway = %v; want %v", got, first-first/2)
	}
	if got := l.calm(1, now+first-1, forever); got != restAfter {
		t.Errorf("calm with another message at the end = %v; want %v", got, restAfter)
	}
	if got := l.calm(burst, now+first/2, forever); got != restAfter {
		t.Errorf("calm with a burst halfway = %v; want %v", got, restAfter)
	}
	if got := l.calm(0, now+first/2, 3*ms); got != 3*ms {
		t.Errorf("calm before something else is due = %v; want 3ms", got)
	}
}

// TestWorkBeside: what the supervisor did beside the loop counts as work.
func TestWorkBeside(t *testing.T) {
	l := &Loop{}
	l.supervised([]supervise.Event{supervise.Worked{}})
	if taken, _ := l.inbox.take(turnMessages); len(taken) != 1 {
		t.Errorf("%d messages; want 1, which calm counts", len(taken))
	}
}
