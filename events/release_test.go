package events

import "testing"

// TestQueueReady: only what is being handled and has no blockers left is
// ready, and only once.
func TestQueueReady(t *testing.T) {
	var q Queue
	ev := q.Emit("a", nil)
	q.Block(ev)
	q.Unblock(ev)
	if len(q.ready) != 0 {
		t.Error("an event that is pending is ready when it is let go")
	}
	q.Next()
	q.Block(ev)
	q.Block(ev)
	if q.Handled(ev) {
		t.Error("an event with two blockers finishes")
	}
	q.Unblock(ev)
	if len(q.ready) != 0 {
		t.Error("an event with a blocker left is ready")
	}
	q.Unblock(ev)
	q.Block(ev)
	q.Unblock(ev)
	if len(q.ready) != 1 {
		t.Errorf("an event that was let go twice is ready %d times; want once", len(q.ready))
	}
}

// An event that is let go right after it was handled waits for the next pass,
// behind those that are still to come in this one.
func TestQueueReleasedAtOnce(t *testing.T) {
	var q Queue
	a, b := q.Emit("a", nil), q.Emit("b", nil)
	q.Next()
	q.Block(a)
	q.Handled(a)
	q.Unblock(a)
	for _, want := range []*Event{b, a} {
		if got := q.Next(); got != want {
			t.Fatalf("Next() = %s; want %s", got.Name, want.Name)
		}
		if want == b {
			q.Handled(b)
		}
	}
}

// An event that the end of a later one lets go waits for the next pass too.
func TestQueueReleasedByLater(t *testing.T) {
	var q Queue
	a, b := q.Emit("a", nil), q.Emit("b", nil)
	for range 2 {
		ev := q.Next()
		q.Block(ev)
		q.Handled(ev)
	}
	if q.Next() != nil {
		t.Fatal("a blocked event goes on")
	}
	q.Unblock(b)
	if got := q.Next(); got != b {
		t.Fatalf("Next() = %v; want b", got)
	}
	q.Unblock(a)
	c := q.Emit("c", nil)
	for _, want := range []*Event{c, a} {
		if got := q.Next(); got != want {
			t.Fatalf("Next() = %s; want %s", got.Name, want.Name)
		}
		if want == c {
			q.Handled(c)
		}
	}
}

func TestProgressNames(t *testing.T) {
	for progress, want := range map[Progress]string{Pending: "pending", Handling: "handling", Finished: "finished"} {
		if got := progress.String(); got != want {
			t.Errorf("String of %d = %q; want %q", progress, got, want)
		}
	}
	for source, want := range map[Source]string{FromDaemon: "session-init", FromCaller: "caller", FromJob: "job", FromEvent: "event"} {
		if got := source.String(); got != want {
			t.Errorf("String of %d = %q; want %q", source, got, want)
		}
	}
}
