package engine_test

import (
	"testing"
	"time"

	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
)

// TestMisfit: a main that is not what the job file declares is taken as it is,
// and the log and the status say what would fit.
func TestMisfit(t *testing.T) {
	for _, test := range []struct {
		expect string
		settle bool // it was not ready in time
		forks  int
		want   string
	}{
		{"fork", false, 0, "declares 'expect fork' but main did not fork before it ran another program: process 10 is taken for it; 'expect none' fits"},
		{"fork", true, 0, "declares 'expect fork' but main did not fork within 90 seconds: process 10 is taken for it; 'expect none' fits"},
		{"daemon", false, 0, "declares 'expect daemon' but main did not fork before it ran another program: process 10 is taken for it; 'expect none' fits"},
		{"daemon", true, 1, "declares 'expect daemon' but main forked once within 90 seconds: process 10 is taken for it; 'expect fork' fits"},
		{"daemon", true, 3, "declares 'expect daemon' but main forked 3 times within 90 seconds: process 10 is taken for it; 'expect daemon' fits"},
		{"stop", true, 1, "declares 'expect stop' but main did not raise SIGSTOP within 90 seconds: process 10 is taken for it; 'expect none' fits"},
	} {
		e := engine.New(engine.Config{})
		e.Step(0, engine.SetClass{Class: mustParse(t, "a", "exec hang\nexpect "+test.expect)})
		e.Step(0, engine.Start{Target: engine.Target{Class: "a"}})
		e.Step(0, engine.Spawned{Proc: 1, Pid: 10})
		now := time.Duration(0)
		if test.settle {
			now = job.DefaultReadyTimeout
			if got := list(e.Step(now, engine.Tick{})); got != "Settle{Proc:1}" {
				t.Errorf("expect %s: at the end of its time the engine does %q; want it settled", test.expect, got)
			}
			// News that is late does not count any more.
			e.Step(now, engine.Forked{Proc: 1, Pid: 10})
		}
		got := said(e.Step(now, engine.FollowEnded{Proc: 1, Forks: test.forks}))
		if want := "warn a a " + test.want; got != want {
			t.Errorf("expect %s after %d forks: the log says %q; want %q", test.expect, test.forks, got, want)
		}
		info, _ := e.View().Instance("a", "")
		if info.Note != test.want || info.State != engine.Running {
			t.Errorf("expect %s after %d forks: a is %s, and %q is noted; want running, %q", test.expect, test.forks, info.State, info.Note, test.want)
		}
		if got := list(e.Step(now, engine.FollowEnded{Proc: 1, Forks: 9})); got != "" {
			t.Errorf("expect %s: what comes after that does %q", test.expect, got)
		}
	}
}

// TestNotReady: a main that ends when it is late has failed for being late.
func TestNotReady(t *testing.T) {
	for _, test := range []struct {
		text string
		then engine.Input
		at   time.Duration
		want string
	}{
		{"expect fork", engine.Exited{Proc: 1}, job.DefaultReadyTimeout, "main process was not ready within 90 seconds, as 'expect fork' declares it; it did not fork: 'expect none' fits"},
		{"expect stop\nready timeout 1", nil, time.Second, "main process was not ready within 1 second, as 'expect stop' declares it; it did not raise SIGSTOP: 'expect none' fits"},
		{"expect daemon\nready timeout 7", nil, 7 * time.Second, "main process was not ready within 7 seconds, as 'expect daemon' declares it; it did not fork: 'expect none' fits"},
		{"expect daemon\nready timeout 8", engine.Forked{Proc: 1, Pid: 11}, 8 * time.Second, "main process was not ready within 8 seconds, as 'expect daemon' declares it; it forked once: 'expect fork' fits"},
	} {
		e := engine.New(engine.Config{})
		e.Step(0, engine.SetClass{Class: mustParse(t, "a", "exec hang\n"+test.text)})
		e.Step(0, engine.Start{Call: 1, Target: engine.Target{Class: "a"}, Wait: true})
		e.Step(0, engine.Spawned{Proc: 1, Pid: 10})
		if _, forks := test.then.(engine.Forked); forks {
			e.Step(0, test.then)
		}
		effects := e.Step(test.at, engine.Tick{})
		if _, ends := test.then.(engine.Exited); ends {
			effects = e.Step(test.at, test.then)
		}
		if got := replies(effects); got != `1 "a" 6 Job failed to start` {
			t.Errorf("%q: the start is answered by %q; want a failure", test.text, got)
		}
		if got, want := said(effects), "warn a a "+test.want; got != want {
			t.Errorf("%q: the log says %q; want %q", test.text, got, want)
		}
		if got := e.View().LastFailure("a"); got != test.want {
			t.Errorf("%q: the failure is %q; want %q", test.text, got, test.want)
		}
	}
}

// TestRespawnIn: whole seconds are told, rounded up, and never less than none.
func TestRespawnIn(t *testing.T) {
	e := engine.New(engine.Config{})
	e.Step(0, engine.SetClass{Class: mustParse(t, "a", "exec hang\nrespawn\nrespawn delay 4")})
	e.Step(0, engine.Start{Target: engine.Target{Class: "a"}})
	e.Step(0, engine.Spawned{Proc: 1, Pid: 10})
	e.Step(0, engine.Exited{Proc: 1, Status: 1})
	for _, test := range []struct {
		at   time.Duration
		want string
	}{
		{0, "4 seconds"}, {1, "4 seconds"}, {time.Second - 1, "4 seconds"}, {time.Second, "3 seconds"}, {time.Second + 1, "3 seconds"},
		{3 * time.Second, "1 second"}, {4*time.Second - 1, "1 second"}, {4 * time.Second, "0 seconds"}, {9 * time.Second, "0 seconds"},
	} {
		info, _ := e.ViewAt(test.at).Instance("a", "")
		if want := "respawning in " + test.want; info.Note != want {
			t.Errorf("after %s the status says %q; want %q", test.at, info.Note, want)
		}
	}
}
