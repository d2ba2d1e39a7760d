package supervise

import (
	"testing"
	"time"
)

// TestLingers: a parent that stays beside the child to which it was followed is
// told, with the declaration that would have been right, and one that ends is
// not.
func TestLingers(t *testing.T) {
	for _, c := range []struct {
		way        Follow
		text, want string
	}{
		{FollowFork, "sleep 1000 & wait", "'expect none' or 'expect listen' fits"},
		{FollowDaemon, "(sleep 1000 & wait) & exit 0", "'expect fork' fits"},
		{FollowDaemon, "(sleep 1000 & exit 0) & exit 0", ""},
		{FollowFork, "sleep 1000 & exit 0", ""},
	} {
		t.Run(c.text, func(t *testing.T) {
			w := newWorld(t, Options{})
			ask := func(f func()) {
				done := make(chan struct{})
				w.send(func() { f(); close(done) })
				<-done
			}
			ask(func() {
				w.linger = time.Millisecond
				if c.want == "" {
					w.linger = time.Hour
				}
			})
			spec, _ := w.sh(1, c.text)
			spec.Follow, spec.Owner, spec.Label = c.way, 1, "svc"
			w.Start(spec)
			w.await("the forks", func(all []Event) bool { return count[Forked](all) == wanted[c.way] })
			if c.want == "" {
				poll(t, "the parent to be forgotten", func() (none bool) {
					ask(func() { none = len(w.parents) == 0 })
					return none
				})
				if n := count[Lingers](w.events()); n != 0 {
					t.Errorf("a parent that ended is told %d times; want 0", n)
				}
				return
			}
			all := w.await("the news", func(all []Event) bool { return count[Lingers](all) > 0 })
			for _, ev := range all {
				if l, is := ev.(Lingers); is {
					if parent, _ := parentOf(l.Main); parent != l.Pid || l.Way != c.way || l.Label != "svc" {
						t.Errorf("%+v; want the parent of Main, %d, and way %d of svc", l, parent, c.way)
					}
					if got := l.Error(); got[len(got)-len(c.want):] != c.want {
						t.Errorf("the sentence is %q; want %q at its end", got, c.want)
					}
				}
			}
		})
	}
}
