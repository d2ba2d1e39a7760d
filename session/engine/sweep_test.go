package engine_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/session-init/session-init/session/engine"
)

// said gives what effects say in the log: "LEVEL CLASS SENTENCE".
func said(effects []engine.Effect) string {
	var out []string
	for _, effect := range effects {
		if l, ok := effect.(engine.Log); ok {
			out = append(out, fmt.Sprintf("%s %s %s", level[l.Level], engine.Label(l.Class, l.Instance), l.Msg))
		}
	}
	return strings.Join(out, "\n")
}

var (
	one     = engine.Stray{Pid: 11, Command: "one"}
	refused = engine.Stray{Pid: 12, Command: "two", Refused: "not permitted"}
)

// TestSweptTells: what was left behind is named, with who gets which signal,
// and why.
func TestSweptTells(t *testing.T) {
	stop := engine.Stop{Target: engine.Target{Class: "a"}}
	exit := func(status int) engine.Input { return engine.Exited{Proc: 1, Status: status, Left: true} }
	both := []engine.Stray{one, refused}
	const names = "one (11), two (12) that cannot be signalled: not permitted"
	for _, test := range []struct {
		name, text string
		do         []engine.Input
		swept      engine.Swept
		want       string
	}{
		{"stopped", "exec hang", []engine.Input{stop, exit(0)}, engine.Swept{Signal: 15, Strays: both},
			"info a a left behind: " + names + ": sending TERM"},
		{"nobody there", "exec hang", []engine.Input{stop, exit(0)}, engine.Swept{Signal: 15}, ""},
		{"another owner", "exec hang", []engine.Input{stop, exit(0)}, engine.Swept{Owner: 9, Signal: 15, Strays: both}, ""},
		{"spared", "exec hang\nkill mode group", []engine.Input{stop, exit(0)}, engine.Swept{Signal: 15, Spared: both},
			"warn a a is stopped by 'kill mode group' and leaves behind: " + names},
		{"spared, the second time", "exec hang\nkill mode group\nkill timeout 0", []engine.Input{stop, exit(0)},
			engine.Swept{Signal: 9, Spared: both}, ""},
		{"too slow", "exec hang\nkill timeout 5\nkill signal INT", []engine.Input{stop, exit(0), engine.Tick{}},
			engine.Swept{Signal: 9, Strays: both}, "warn a a did not end within 5s of INT: sending KILL to " + names},
		{"killed at once", "exec hang\nkill signal KILL", []engine.Input{stop, exit(0)}, engine.Swept{Signal: 9, Strays: both},
			"info a a left behind: " + names + ": sending KILL"},
		{"killed without a time", "exec hang\nkill timeout 0", []engine.Input{stop, exit(0)}, engine.Swept{Signal: 9, Strays: both},
			"info a a left behind: " + names + ": sending KILL"},
		{"ended by itself", "exec hang", []engine.Input{exit(0)}, engine.Swept{Signal: 15, Strays: both},
			"warn a a main process ended by itself and left behind: " + names +
				": sending TERM; if it goes into the background by itself, 'expect fork' (one fork) or 'expect daemon' (two) fits"},
		{"ended by itself, badly", "exec hang", []engine.Input{exit(1)}, engine.Swept{Signal: 15, Strays: both},
			"warn a a main process ended by itself and left behind: " + names + ": sending TERM"},
		{"one fork too few", "exec hang\nexpect fork", []engine.Input{engine.Forked{Proc: 1, Pid: 5}, exit(0)},
			engine.Swept{Signal: 15, Strays: []engine.Stray{one}}, "warn a a main process ended by itself and left behind: one (11): " +
				"sending TERM; it declares 'expect fork' and seems to fork once more: 'expect daemon' fits"},
		{"many forks", "exec hang\nexpect daemon", []engine.Input{engine.Forked{Proc: 1, Pid: 5}, engine.Forked{Proc: 1, Pid: 6}, exit(0)},
			engine.Swept{Signal: 15, Strays: []engine.Stray{one}}, "warn a a main process ended by itself and left behind: one (11): " +
				"sending TERM; it declares 'expect daemon' and seems to fork more than twice: let it stay in the foreground, without 'expect'"},
		{"did not raise STOP", "exec hang\nexpect stop", []engine.Input{exit(0)},
			engine.Swept{Signal: 15, Strays: []engine.Stray{one}}, "warn a a main process ended by itself and left behind: one (11): sending TERM; " +
				"if it goes into the background by itself, 'expect fork' (one fork) or 'expect daemon' (two) fits"},
		{"raised STOP", "exec hang\nexpect stop", []engine.Input{engine.SelfStopped{Proc: 1}, exit(0)},
			engine.Swept{Signal: 15, Strays: []engine.Stray{one}}, "warn a a main process ended by itself and left behind: one (11): sending TERM"},
		{"a task that has finished", "task\nexec hang", []engine.Input{exit(0)}, engine.Swept{Strays: both},
			"warn a a has finished and leaves behind: " + names},
		{"kill mode process", "exec hang\nkill mode process", []engine.Input{stop, exit(0)}, engine.Swept{Strays: both},
			"warn a a is stopped by 'kill mode process' and leaves behind: " + names},
	} {
		e := engine.New(engine.Config{})
		e.Step(0, engine.SetClass{Class: mustParse(t, "a", test.text)})
		e.Step(0, engine.Start{Target: engine.Target{Class: "a"}})
		e.Step(0, engine.Spawned{Proc: 1, Pid: 10})
		now := time.Duration(0)
		for _, in := range test.do {
			if _, ok := in.(engine.Tick); ok {
				now = 5 * time.Second
			}
			e.Step(now, in)
		}
		if test.swept.Owner == 0 {
			test.swept.Owner = 1
		}
		if got := said(e.Step(now, test.swept)); got != test.want {
			t.Errorf("%s: the log says %q; want %q", test.name, got, test.want)
		}
	}
}

// TestLeftBehind: what two tasks left behind is kept apart, under the names
// that it had at first, until it is gone.
func TestLeftBehind(t *testing.T) {
	e := engine.New(engine.Config{})
	for i, name := range []string{"a", "b"} {
		e.Step(0, engine.SetClass{Class: mustParse(t, name, "task\nexec hang")})
		e.Step(0, engine.Start{Target: engine.Target{Class: name}})
		proc := engine.ProcID(i + 1)
		e.Step(0, engine.Spawned{Proc: proc, Pid: i + 10})
		got := list(e.Step(0, engine.Exited{Proc: proc, Left: true}))
		if want := fmt.Sprintf("Sweep{Owner:%d Group:0 Signal:0}", proc); strings.Count(got, "Sweep{") != 1 || !strings.Contains(got, want) {
			t.Errorf("the end of %s does %s; want one %s", name, got, want)
		}
	}
	show := func() string { return fmt.Sprint(e.View().LeftBehind("a"), e.View().LeftBehind("b")) }
	for _, step := range []struct {
		in         engine.Input
		says, left string
	}{
		{engine.Swept{Owner: 2, Strays: []engine.Stray{one, refused}},
			"warn b b has finished and leaves behind: one (11), two (12) that cannot be signalled: not permitted",
			"[] [one (11) two (12) that cannot be signalled: not permitted]"},
		{engine.Swept{Owner: 1, Strays: []engine.Stray{{Pid: 20, Command: "x"}}}, "warn a a has finished and leaves behind: x (20)",
			"[x (20)] [one (11) two (12) that cannot be signalled: not permitted]"},
		// Another supervisor may see another name, and that some have ended.
		{engine.Swept{Owner: 2, Strays: []engine.Stray{{Pid: 11, Command: "new"}, {Pid: 13, Command: "child"}}}, "",
			"[x (20)] [one (11) child (13)]"},
		{engine.Vacated{Owner: 7}, "", "[x (20)] [one (11) child (13)]"},
		{engine.Vacated{Owner: 1}, "", "[] [one (11) child (13)]"},
		{engine.Vacated{Owner: 2}, "", "[] []"},
	} {
		if got := said(e.Step(0, step.in)); got != step.says {
			t.Errorf("%+v says %q; want %q", step.in, got, step.says)
		}
		if got := show(); got != step.left {
			t.Errorf("after %+v there are %s; want %s", step.in, got, step.left)
		}
	}
}

// TestStuckTells: what even KILL does not end is an error of its job, and its
// end is told only when it was named.
func TestStuckTells(t *testing.T) {
	for _, named := range []bool{true, false} {
		e := engine.New(engine.Config{})
		e.Step(0, engine.SetClass{Class: mustParse(t, "a", "exec hang\nkill timeout 0")})
		e.Step(0, engine.Start{Target: engine.Target{Class: "a"}})
		e.Step(0, engine.Spawned{Proc: 1, Pid: 10})
		e.Step(0, engine.Stop{Target: engine.Target{Class: "a"}})
		got := list(e.Step(time.Second, engine.Tick{}))
		if !strings.Contains(got, "Sweep{Owner:1 Group:0 Signal:9}") || len(e.View().Instances("a")) != 0 {
			t.Errorf("a second after KILL the engine does %s; want a sweep, and the instance gone", got)
		}
		want := ""
		if named {
			got := said(e.Step(time.Second, engine.Swept{Owner: 1, Signal: 9, Strays: []engine.Stray{one}}))
			if want := "error a a: even KILL does not end one (11): left behind"; got != want {
				t.Errorf("the log says %q; want %q", got, want)
			}
			want = "warn a a: what even KILL did not end is gone: one (11)"
		}
		if got := said(e.Step(2*time.Second, engine.Vacated{Owner: 1})); got != want {
			t.Errorf("its end says %q; want %q", got, want)
		}
	}
}
