package session

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
)

// TestLooks: who is waited for is looked at, less and less often and once more
// before its time is over, and what was found is told; who is ready is left
// alone.
func TestLooks(t *testing.T) {
	looks := func(w *world) int {
		n := 0
		for _, line := range w.lines() {
			if line == "examine" {
				n++
			}
		}
		return n
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(func(def *job.Class) { def.Expect, def.ReadyTimeout = job.ExpectNotify, 10*time.Second })
		w.loop.Step(engine.Start{Call: 1, Target: svc, Wait: true})
		go w.run()
		var at []int
		for second := range 10 {
			synctest.Wait()
			before := looks(w)
			time.Sleep(time.Second)
			synctest.Wait()
			if looks(w) > before {
				at = append(at, second+1)
			}
		}
		if want := []int{1, 3, 7, 9}; !slices.Equal(at, want) {
			t.Errorf("it is looked after %d seconds; want %d", at, want)
		}
		w.loop.Read(func(v engine.View) {
			why, _ := v.WhyClass("svc")
			if why.Failure == nil || !strings.Contains(why.Failure.Reason, "owns the bus name org.example.Svc: 'expect dbus org.example.Svc' fits") {
				t.Errorf("the failure is %+v; want the declaration that fits", why.Failure)
			}
		})
		w.end()
		synctest.Wait()
	})
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(func(def *job.Class) { def.Expect = job.ExpectNotify })
		w.loop.Step(engine.Start{Call: 1, Target: svc})
		w.loop.Step(engine.Notified{Proc: 1, Ready: true})
		go w.run()
		time.Sleep(2 * job.DefaultReadyTimeout)
		synctest.Wait()
		if n := looks(w); n > 0 || len(w.loop.looks) > 0 {
			t.Errorf("who is ready is looked at %d times, and %d are to be looked at; want none", n, len(w.loop.looks))
		}
		w.end()
		synctest.Wait()
	})
}
