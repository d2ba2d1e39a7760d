package sim

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
)

func class(t testing.TB, name, text string) *job.Class {
	t.Helper()
	c, problems := job.Parse(name, name+".conf", []byte(text))
	if c == nil {
		t.Fatalf("cannot parse job %s: %v", name, problems)
	}
	return c
}

func TestParseProgram(t *testing.T) {
	tests := []struct {
		text string
		kind job.ProcessKind
		want Program
	}{
		{"/usr/sbin/dbus-daemon", job.Main, Program{}},
		{"/usr/sbin/dbus-daemon true", job.Main, Program{}},
		{"mkdir /run/x", job.PreStart, Program{Ends: true}},
		{"true", job.Main, Program{Ends: true}},
		{"false", job.PostStop, Program{Ends: true, Status: 1}},
		{"exit 3", job.Main, Program{Ends: true, Status: 3}},
		{"die SEGV", job.Main, Program{Ends: true, Signal: 11}},
		{"sleep 2", job.Main, Program{Ends: true, After: 2 * time.Second}},
		{"sleep 2 exit 3", job.Main, Program{Ends: true, After: 2 * time.Second, Status: 3}},
		{"hang", job.PreStart, Program{}},
		{"deaf", job.Main, Program{Deaf: true}},
		{"slow 2", job.Main, Program{Slow: 2 * time.Second}},
		{"quits 1", job.Main, Program{Quits: true, QuitStatus: 1}},
		{"late 3 forks 2 stops", job.Main, Program{Late: 3 * time.Second, Forks: 2, Stops: true}},
		{"missing", job.Main, Program{Missing: "cannot execute missing: no such file or directory"}},
		{"", job.Main, Program{}},
	}
	for _, test := range tests {
		if got := ParseProgram(test.text, test.kind); got != test.want {
			t.Errorf("ParseProgram(%q, %s) = %+v; want %+v", test.text, test.kind, got, test.want)
		}
	}
}

// TestTime: what falls due on the way happens at its own time, in order.
func TestTime(t *testing.T) {
	w := New(engine.Config{})
	w.Do(engine.SetClass{Class: class(t, "a", "task\nexec sleep 2")})
	w.Do(engine.SetClass{Class: class(t, "b", "kill timeout 1\nexec deaf")})
	var at []string
	w.Observe = func(in engine.Input, _ []engine.Effect) {
		if _, ok := in.(engine.Exited); ok {
			at = append(at, w.Now().String())
		}
	}
	w.Do(engine.Start{Target: engine.Target{Class: "a"}})
	w.Do(engine.Start{Target: engine.Target{Class: "b"}})
	w.Do(engine.Stop{Target: engine.Target{Class: "b"}})
	w.Advance(500 * time.Millisecond)
	w.Advance(9500 * time.Millisecond)
	if got, want := strings.Join(at, " "), "1s 2s"; got != want {
		t.Errorf("processes ended at %s; want %s", got, want)
	}
	if w.Now() != 10*time.Second {
		t.Errorf("Now() = %s; want 10s", w.Now())
	}
	if left := w.Processes(); len(left) != 0 {
		t.Errorf("%d processes are left", len(left))
	}
}

// TestKillBefore: KILL reaches a process that is still being made, whether it
// begins before it is gone or not.
func TestKillBefore(t *testing.T) {
	for _, test := range []struct {
		late, dying time.Duration
		want        string
	}{
		{late: time.Second, dying: 2 * time.Second, want: "2s engine.Exited {Proc:1 Status:0 Signal:9 Core:false Left:false}"},
		{late: time.Second, dying: time.Second, want: "1s engine.Exited {Proc:1 Status:0 Signal:9 Core:false Left:false}"},
		{late: time.Second, want: "0s engine.SpawnFailed {Proc:1 Reason:killed by KILL signal}"},
	} {
		w := New(engine.Config{})
		w.Choose = func(engine.Spawn) Program { return Program{Late: test.late, Dying: test.dying} }
		var got string
		w.Observe = func(in engine.Input, _ []engine.Effect) {
			switch in.(type) {
			case engine.SpawnFailed, engine.Exited:
				got += fmt.Sprintf("%s %T %+v", w.Now(), in, in)
			}
		}
		w.Do(engine.SetClass{Class: class(t, "a", "kill timeout 0\nkill signal KILL\nexec daemon")})
		w.Do(engine.Start{Target: engine.Target{Class: "a"}})
		w.Do(engine.Stop{Target: engine.Target{Class: "a"}})
		w.Advance(10 * time.Second)
		if got != test.want {
			t.Errorf("late %s, dying %s: %s; want %s", test.late, test.dying, got, test.want)
		}
	}
}

// TestForever: a main that ends at once and is respawned without limit is
// found out, and told of.
func TestForever(t *testing.T) {
	w := New(engine.Config{})
	w.Do(engine.SetClass{Class: class(t, "a", "respawn\nrespawn limit unlimited\nexec true")})
	w.Do(engine.Start{Target: engine.Target{Class: "a"}})
	if got := strings.Join(w.Faults(), "; "); !strings.Contains(got, "for ever at one instant") {
		t.Errorf("Faults() = %q; want one about an instant without end", got)
	}
}

// TestFaults: the world notices an engine that breaks its promises.
func TestFaults(t *testing.T) {
	tests := []struct {
		do   func(w *World)
		want string
	}{
		{func(w *World) { w.replied(engine.Reply{Call: 7}) }, "nobody waits for"},
		{func(w *World) {
			w.Do(engine.Emit{Call: 7, Name: "a"})
			w.replied(engine.Reply{Call: 7})
		}, "second reply"},
		{func(w *World) { w.kill(engine.Kill{Signal: 15}) }, "no process"},
		{func(w *World) {
			w.Do(engine.Start{Target: engine.Target{Class: "a"}})
			w.spawn(engine.Spawn{Proc: 1, Class: class(t, "a", "exec hang")})
		}, "used before"},
	}
	for _, test := range tests {
		w := New(engine.Config{})
		w.Do(engine.SetClass{Class: class(t, "a", "exec hang")})
		test.do(w)
		if got := strings.Join(w.Faults(), "; "); !strings.Contains(got, test.want) {
			t.Errorf("Faults() = %q; want one with %q", got, test.want)
		}
	}
}

// play parses and runs one story.
func play(text string) error {
	stories, err := ParseStories(text)
	if err != nil {
		return err
	}
	if len(stories) != 1 {
		return fmt.Errorf("%d stories", len(stories))
	}
	return stories[0].Run()
}

// TestStoryCanFail: a story that is not true is found out, by its line.
func TestStoryCanFail(t *testing.T) {
	const svc = "story x (1)\njob svc\n    exec daemon\n\n    post-stop exec true\ndo start svc A=1 as me\n"
	tests := []struct {
		text string
		want string // part of the error; empty when it holds
	}{
		{svc + "svc is start/running", ""},
		{svc + "svc is stop/waiting", "line 7: svc is stop/waiting: it is start/running"},
		{svc + "svc is gone", "it is start/running"},
		{svc + "other is gone", ""},
		{svc + "svc runs main", ""},
		{svc + "svc runs nothing", "it is main"},
		{svc + "svc main has A=1 UPSTART_JOB=svc", ""},
		{svc + "svc main has A=2", "it is A=1"},
		{svc + "svc main has B=2", "B is not set"},
		{svc + "svc main lacks A", `A is "1"`},
		{svc + "svc main lacks B", ""},
		{svc + "svc main sees A=1 UPSTART_JOB=svc UPSTART_INSTANCE=", ""},
		{svc + "svc main sees A=1 UPSTART_JOB=svc", "it is A=1 UPSTART_JOB=svc UPSTART_INSTANCE="},
		{svc + "svc pre-stop has A=1", "no such process"},
		{svc + "svc blames nothing", ""},
		{svc + "svc blames something", "it is nothing"},
		{svc + "expect spawn reply\n    svc spawn main\n    me: ok", ""},
		{svc + "expect spawn reply\n    me: ok\n    svc spawn main", "this has happened"},
		{svc + "expect spawn\n    svc spawn main\n    svc spawn main", "this has happened"},
		{svc + "expect state\n    svc state starting pre-start spawned post-start running", ""},
		{svc + "expect state\n    svc state starting pre-start spawned post-start", "svc state starting pre-start spawned post-start running"},
		{svc + "expect nothing", "svc spawn main"},
		{svc + "skip\nexpect nothing", ""},
		{svc + "expect spawn", "empty expectation"},
		{svc + "expect frogs\n    a", "cannot read this step"},
		{svc + "exit svc pre-start 0\nsvc is gone", "no such process"},
		{svc + "exit svc main 0\nsvc is gone", ""},
		{svc + "kill svc main FROG\nsvc is gone", "cannot read this step"},
		{svc + "advance soon\nsvc is gone", "invalid duration"},
		{svc + "given table A=1\nsvc is gone", "cannot read this step"},
		{svc + "do dance svc\nsvc is gone", "cannot read this step"},
		{svc + "do abandon you\nsvc is gone", "cannot read this step"},
		{svc + "frog", "cannot read this step"},
		{svc, "expects nothing"},
		{"story x (1)\njob svc\n    exac daemon\nsvc is gone", "svc.conf:1:1"},
		{"do start svc", "a step before the first story"},
		{"    exec true", "nothing above"},
		{"story x (1)\ndo start \"svc", "quote is not closed"},
	}
	for _, test := range tests {
		err := play(test.text)
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%s\n\tError: %v; want none", test.text, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s\n\tError: %v; want one with %q", test.text, err, test.want)
		}
	}
}

func TestParseStories(t *testing.T) {
	stories, err := ParseStories("# a comment\n\nstory one (1, 2)\na is gone # not this\n\nstory two\n\nb \"is\" gone\n")
	if err != nil || len(stories) != 2 {
		t.Fatalf("ParseStories = %d stories, %v; want 2", len(stories), err)
	}
	if s := stories[0]; s.Title != "one" || s.Facts != "1, 2" || s.Line != 3 || len(s.steps) != 1 || len(s.steps[0].words) != 3 {
		t.Errorf("the first story is %+v", *s)
	}
	if s := stories[1]; s.Title != "two" || s.Facts != "" || s.Line != 6 {
		t.Errorf("the second story is %+v", *s)
	}
}

// TestSameTrace: the same story gives the same trace, byte for byte.
func TestSameTrace(t *testing.T) {
	run := func() string {
		w := New(engine.Config{StopTimeout: 10 * time.Second})
		var out strings.Builder
		w.Observe = func(in engine.Input, effects []engine.Effect) {
			fmt.Fprintf(&out, "%s %T\n", w.Now(), in)
			for _, effect := range effects {
				line := Format(effect, func(c engine.CallID) string { return fmt.Sprint(c) }, func(p engine.ProcID) string { return fmt.Sprint(p) })
				out.WriteString(line.Text + "\n")
			}
		}
		w.Do(engine.SetClass{Class: class(t, "first", "start on go\nexec slow 1\nrespawn")})
		for i := range 50 {
			w.Do(engine.SetClass{Class: class(t, fmt.Sprintf("job%d", i), "start on started first\nstop on stopping first\nexec slow 1\npost-stop exec sleep 1")})
		}
		w.Do(engine.Emit{Call: 1, Name: "go", Wait: true})
		w.Exit(w.Find("first", "", job.Main), 1, 0)
		w.Advance(5 * time.Second)
		w.Do(engine.Shutdown{Type: "logout"})
		w.Advance(time.Minute)
		if !w.Over() {
			t.Errorf("the session does not end")
		}
		return out.String()
	}
	first, second := run(), run()
	if first != second {
		t.Errorf("two runs of the same session differ")
	}
	if n := strings.Count(first, "job49 spawn main"); n != 2 {
		t.Errorf("job49 was spawned %d times; want 2", n)
	}
}
