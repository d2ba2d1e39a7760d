package session

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/foresee"
)

// Questions are answered in their order, beside a loop that goes on; the one
// that makes the copy panic costs the answer and nothing else.
func TestSimulate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(nil)
		var log bytes.Buffer
		w.loop.log = slog.New(slog.NewTextHandler(&log, nil))
		go w.run()
		asked := 0
		ask := func(q foresee.Question) {
			n := asked
			asked++
			w.loop.Simulate(q, func() bool { return true }, func(f foresee.Foresight, err error) {
				if err != nil {
					w.note("answer %d: %v", n, err)
					return
				}
				starts := 0
				for _, l := range f.Lines {
					if l.Kind == foresee.Process {
						starts++
					}
				}
				w.note("answer %d: %d lines, %d processes", n, len(f.Lines), starts)
			})
		}
		ask(foresee.Question{Inputs: []engine.Input{engine.Start{Target: svc}}})
		synctest.Wait()
		if got, want := w.last(), "answer 0: 11 lines, 1 processes"; got != want {
			t.Errorf("Simulate(start) = %q; want %q", got, want)
		}
		if len(w.specs) > 0 {
			t.Errorf("Simulate started %v; want nothing", w.specs)
		}

		// All at once: what the loop changes in place is no part of a copy.
		for n := range 20 {
			ask(foresee.Question{Inputs: []engine.Input{engine.Restart{Target: svc}, engine.Emit{Name: "go"}}})
			w.loop.Step(engine.SetEnv{Entries: []string{fmt.Sprintf("K=%d", n), fmt.Sprintf("K%d=%d", n, n)}, Replace: true})
			w.loop.Step(engine.SetEnv{Unset: []string{fmt.Sprintf("K%d", n-1)}})
			w.loop.Step(engine.Start{Target: svc, Env: events.Env{"A=1"}})
			w.loop.Step(engine.Stop{Target: svc})
		}
		ask(foresee.Question{Inputs: []engine.Input{engine.SetClass{}}})
		ask(foresee.Question{Inputs: []engine.Input{engine.Tick{}}})
		synctest.Wait()
		var answers []string
		for _, line := range w.lines() {
			if strings.HasPrefix(line, "answer") {
				answers = append(answers, line)
			}
		}
		if len(answers) != asked {
			t.Fatalf("%d questions have %d answers: %q", asked, len(answers), answers)
		}
		for n, line := range answers {
			if !strings.HasPrefix(line, fmt.Sprintf("answer %d: ", n)) {
				t.Errorf("answer %d is %q", n, line)
			}
		}
		if got := answers[asked-2]; !strings.Contains(got, "internal fault") || !strings.Contains(log.String(), "fault in a simulation") {
			t.Errorf("a question that panics: %q, log %q; want a fault in both", got, log.String())
		}
		if got := answers[asked-1]; !strings.Contains(got, "cannot simulate engine.Tick: it is no question") {
			t.Errorf("Simulate(Tick) = %q; want a refusal", got)
		}
		w.loop.Step(engine.Start{Call: 9, Target: svc, Wait: true})
		synctest.Wait()
		if got := w.last(); got != "reply 9 <nil>" {
			t.Errorf("after all that, the start of svc ends with %q; want its reply", got)
		}
		w.end()
	})
}

// What nobody waits for any more when its turn comes is not worked off.
func TestSimulateUnwanted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(nil)
		go w.run()
		for n := range 5 {
			w.loop.Simulate(foresee.Question{Inputs: []engine.Input{engine.Start{Target: svc}}}, func() bool { return n%3 == 0 },
				func(f foresee.Foresight, err error) { w.note("answer %d: %d lines, %v", n, len(f.Lines), err) })
		}
		synctest.Wait()
		want := []string{"answer 0: 11 lines, <nil>", "answer 1: 0 lines, <nil>", "answer 2: 0 lines, <nil>", "answer 3: 11 lines, <nil>", "answer 4: 0 lines, <nil>"}
		var got []string
		for _, line := range w.lines() {
			if strings.HasPrefix(line, "answer") {
				got = append(got, line)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("answers = %q; want %q", got, want)
		}
		if len(w.loop.simulations) != 0 {
			t.Errorf("%d simulations are left", len(w.loop.simulations))
		}
		w.end()
	})
}
