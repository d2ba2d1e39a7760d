package engine_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/session-init/session-init/session/engine"
)

// What clients set for all jobs, or for one instance, is bounded, and so is what is
// remembered of what they unset. What is refused changes nothing, and less may come
// in the place of what was too much from the beginning.
func TestEnvironmentBound(t *testing.T) {
	refused := func(e *engine.Engine, in engine.SetEnv) bool {
		t.Helper()
		in.Call = 1
		for _, effect := range e.Step(0, in) {
			if reply, ok := effect.(engine.Reply); ok {
				if reply.Err != nil && (reply.Err.Kind != engine.LimitsExceeded || !strings.HasPrefix(reply.Err.Msg, "cannot change the environment: ")) {
					t.Fatalf("Step(%.80v) answers %v", in, reply.Err)
				}
				return reply.Err != nil
			}
		}
		t.Fatal("nothing was answered")
		return false
	}
	value := strings.Repeat("v", 100<<10)
	var many engine.SetEnv
	for i := range 10_000 {
		many.Unset = append(many.Unset, fmt.Sprint("N", i))
	}
	if !refused(engine.New(engine.Config{}), many) {
		t.Error("ten thousand names at once are taken")
	}
	for _, test := range []struct {
		name, class string
		of          func(i int) engine.SetEnv
		most        int // how many are taken, more or less
	}{
		{"set", "", func(i int) engine.SetEnv { return engine.SetEnv{Entries: []string{fmt.Sprintf("K%d=%s", i, value)}} }, 20},
		{"unset", "", func(i int) engine.SetEnv { return engine.SetEnv{Unset: []string{fmt.Sprint("K", i, value)}} }, 20},
		{"short", "", func(i int) engine.SetEnv {
			var in engine.SetEnv
			for j := range 1000 {
				in.Entries = append(in.Entries, fmt.Sprintf("K%d=%d", i, j))
				in.Unset = append(in.Unset, fmt.Sprintf("N%d-%d", i, j))
			}
			return in
		}, 8},
		{"set of one", "svc", func(i int) engine.SetEnv { return engine.SetEnv{Entries: []string{fmt.Sprintf("K%d=%s", i, value)}} }, 20},
		{"unset of one", "svc", func(i int) engine.SetEnv { return engine.SetEnv{Unset: []string{fmt.Sprint("K", i, value)}} }, 20},
	} {
		e := engine.New(engine.Config{Table: []string{"PATH=/bin"}})
		e.Step(0, engine.SetClass{Class: mustParse(t, "svc", "exec x")})
		e.Step(0, engine.Start{Target: engine.Target{Class: "svc"}})
		taken := 0
		for ; taken <= test.most; taken++ {
			in := test.of(taken)
			in.Class = test.class
			if refused(e, in) {
				break
			}
		}
		if taken > test.most || taken < test.most*9/10 {
			t.Errorf("%s: %d are taken; want nearly %d", test.name, taken, test.most)
		}
		env, err := e.View().Env(test.class, "")
		if err != nil {
			t.Fatal(err)
		}
		if _, set := env.Get(fmt.Sprint("K", taken)); set {
			t.Errorf("%s: what was refused is set", test.name)
		}
		if refused(e, engine.SetEnv{Class: test.class, Reset: true}) {
			t.Errorf("%s: what was set cannot be taken back", test.name)
		}
	}
	// By a little: each name gets a "=".
	e := engine.New(engine.Config{Table: []string{"A=1"}})
	names := engine.SetEnv{Entries: []string{"A=2"}, Replace: true}
	for i := range 3000 {
		names.Entries = append(names.Entries, fmt.Sprintf("K%04d", i))
	}
	const cost = 256 // of each beside its text
	left := 2<<20 - (cost + len("A=1")) - 2*(cost+len("A=2")) - 3000*2*(cost+len("K0000"))
	names.Entries = append(names.Entries, strings.Repeat("L", left/2-cost))
	if !refused(e, names) {
		t.Error("a little more is taken than there may be")
	}
	if env, err := e.View().Env("", ""); err != nil || len(env) != 1 || env[0] != "A=1" {
		t.Errorf("after that the table has %d variables, the first %.10q, %v; want A=1 alone", len(env), env, err)
	}
	e = engine.New(engine.Config{Table: []string{"A=" + strings.Repeat("v", 3<<20), "B=" + value}})
	if !refused(e, engine.SetEnv{Entries: []string{"C=1"}}) {
		t.Error("more is taken where there is too much already")
	}
	if refused(e, engine.SetEnv{Entries: []string{"A=1"}, Replace: true}) {
		t.Error("less is refused where there is too much already")
	}
}
