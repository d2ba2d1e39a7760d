package engine_test

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/session-init/session-init/session/engine"
)

// traceOf feeds a new engine these inputs at these times, and returns all
// that it does as text.
func traceOf(fed []feed) string {
	e := engine.New(modelConfig)
	e.SetStepBudget(modelBudget)
	var out strings.Builder
	for _, f := range fed {
		fmt.Fprintf(&out, "%s %T\n%s", f.at, f.in, tell(e.Step(f.at, f.in)))
	}
	return out.String()
}

// noise allocates and walks over maps, so that what comes from an address or
// from the order of a map does not come out the same twice.
func noise(n int) int {
	maps, sum := make([]map[string]int, 0, n), 0
	for i := range n {
		m := make(map[string]int)
		for k := range 20 {
			m[fmt.Sprint(i*k)] = k
		}
		maps = append(maps, m)
	}
	for i, m := range maps {
		for key, k := range m {
			sum += i*k + len(key)
			break
		}
	}
	return sum
}

// TestSameSeedSameTrace: the same inputs at the same times give the same
// effects, byte for byte, on one processor or many, alone or beside others,
// and however the memory looks.
func TestSameSeedSameTrace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newModelWorld()
		v := newWatcher(w, modelConfig.StopTimeout)
		for _, name := range classNames {
			w.Do(engine.SetClass{Class: drawClass(t, name)})
		}
		var call engine.CallID
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			act(t, w, &call, everything)
		}
		w.Do(engine.Shutdown{Type: "logout"})
		w.Advance(modelConfig.StopTimeout)

		want := traceOf(v.fed)
		if !strings.Contains(want, "session-end") {
			t.Fatalf("the trace does not tell of the end:\n%s", want)
		}
		processors := runtime.GOMAXPROCS(0)
		defer runtime.GOMAXPROCS(processors)
		for _, n := range []int{1, 2, 7} {
			runtime.GOMAXPROCS(n)
			got := make([]string, n)
			var all sync.WaitGroup
			for i := range got {
				all.Go(func() {
					noise(1 + i)
					got[i] = traceOf(v.fed)
				})
			}
			all.Wait()
			for i := range got {
				if got[i] != want {
					t.Fatalf("run %d on %d processors differs:\n%s\nfrom\n%s", i, n, got[i], want)
				}
			}
		}
	})
}

// TestSameTraceCanFail: another input, or another time, gives another trace.
func TestSameTraceCanFail(t *testing.T) {
	set := engine.SetClass{Class: mustParse(t, "a", "start on up\nexec hang\nkill timeout 3")}
	up := feed{1, engine.Emit{Call: 1, Name: "up"}}
	one := traceOf([]feed{{0, set}, up})
	if two := traceOf([]feed{{0, set}, up}); one != two {
		t.Errorf("the same inputs give\n%s\nand\n%s", one, two)
	}
	if two := traceOf([]feed{{0, set}, {1, engine.Emit{Call: 1, Name: "down"}}}); one == two {
		t.Errorf("another event gives the same trace:\n%s", one)
	}
}
