package foresee_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/foresee"
	"github.com/session-init/session-init/session/job"
)

var config = engine.Config{Table: events.Env{"PATH=/bin"}, StopTimeout: 10 * time.Second}

// class makes a job of lines that are split by "; ".
func class(t *testing.T, name, text string) *job.Class {
	t.Helper()
	c, problems := job.Parse(name, name+".conf", []byte(strings.ReplaceAll(text, "; ", "\n")+"\n"))
	if c == nil {
		t.Fatal(problems)
	}
	return c
}

// session is a live engine: inputs that it took, at one time.
func session(t *testing.T, jobs map[string]string, inputs ...engine.Input) *engine.Engine {
	t.Helper()
	e := engine.New(config)
	names := []string{}
	for name := range jobs {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		e.Step(0, engine.SetClass{Class: class(t, name, jobs[name])})
	}
	for _, in := range inputs {
		e.Step(0, in)
	}
	return e
}

// ask returns an answer as text: number, cause, time if it is not 0, line.
func ask(t *testing.T, e *engine.Engine, q foresee.Question) (string, foresee.Foresight) {
	t.Helper()
	before := e.Snapshot()
	answer, err := foresee.Ask(config, e.Snapshot(), 0, q)
	if err != nil {
		t.Fatalf("Ask(%+v) = %v", q, err)
	}
	again, _ := foresee.Ask(config, e.Snapshot(), 0, q)
	if a, b := fmt.Sprintf("%+v", answer), fmt.Sprintf("%+v", again); a != b {
		t.Errorf("Ask twice gives\n%s\nand\n%s", a, b)
	}
	if after := e.Snapshot(); !reflect.DeepEqual(after, before) {
		t.Errorf("Ask has changed the live engine from\n%+v\nto\n%+v", before, after)
	}
	var out strings.Builder
	for i, l := range answer.Lines {
		if l.Cause >= i || l.Cause < -1 {
			t.Errorf("line %d comes of %d", i, l.Cause)
		}
		at := ""
		if l.At > 0 {
			at = l.At.String() + " "
		}
		fmt.Fprintf(&out, "%d<%d %s%s\n", i, l.Cause, at, l)
	}
	return out.String(), answer
}

// target is what a client names a job by.
func target(name string) engine.Target { return engine.Target{Class: name} }

func TestAsk(t *testing.T) {
	for _, test := range []struct {
		title    string
		jobs     map[string]string
		live     []engine.Input
		question []engine.Input
		assume   []string
		want     string
		assumed  int
	}{
		{
			title: "an event starts a service, on which a task follows",
			jobs: map[string]string{
				"svc":  "start on go; pre-start exec /bin/prepare -x; exec /bin/svc $N; env N=1",
				"task": "start on started svc; task; exec /bin/task",
			},
			question: []engine.Input{engine.Emit{Name: "go", Env: events.Env{"N=2"}}},
			want: `
				0<-1 asked: emit go N=2
				1<0 event go N=2
				2<1 svc goal start
				3<2 svc state starting
				4<3 event starting JOB=svc INSTANCE=
				5<4 svc state pre-start
				6<5 svc starts pre-start: /bin/prepare -x
				7<6 svc pre-start ends: status 0
				8<7 svc state spawned
				9<8 svc starts main: /bin/sh -e -c exec /bin/svc $N
				10<9 svc state post-start
				11<10 svc state running
				12<11 event started JOB=svc INSTANCE=
				13<11 event go has finished
				14<13 answer: ok
				15<12 task goal start
				16<15 task state starting
				17<16 event starting JOB=task INSTANCE=
				18<17 task state pre-start
				19<18 task state spawned
				20<19 task starts main: /bin/task
				21<20 task state post-start
				22<21 task state running
				23<22 event started JOB=task INSTANCE=
				24<20 task main ends: status 0
				25<24 task goal stop
				26<25 task state stopping
				27<26 event stopping JOB=task INSTANCE= RESULT=ok
				28<27 task state killed
				29<28 task state post-stop
				30<29 task state waiting
				31<30 event stopped JOB=task INSTANCE= RESULT=ok
				32<30 event started has finished
			`,
			assumed: 4,
		},
		{
			title:    "hooks end before main does",
			jobs:     map[string]string{"a": "task; exec /bin/a; post-start exec /bin/x"},
			live:     []engine.Input{engine.Start{Target: target("a")}},
			question: []engine.Input{engine.DropClass{Name: "b"}},
			want: `
				0<-1 asked: remove b
				1<-1 a state post-start
				2<1 a starts post-start: /bin/x
				3<2 a post-start ends: status 0
				4<3 a state running
				5<4 event started JOB=a INSTANCE=
				6<-1 a main ends: status 0
				7<6 a goal stop
				8<7 a state stopping
				9<8 event stopping JOB=a INSTANCE= RESULT=ok
				10<9 a state killed
				11<10 a state post-stop
				12<11 a state waiting
				13<12 event stopped JOB=a INSTANCE= RESULT=ok
			`,
			assumed: 3,
		},
		{
			title:    "a stop that another job's stop holds",
			jobs:     map[string]string{"db": "exec /bin/db", "web": "stop on stopping db; exec /bin/web; pre-stop exec /bin/drain"},
			live:     []engine.Input{engine.Start{Target: target("db")}, engine.Spawned{Proc: 1, Pid: 11}, engine.Start{Target: target("web")}, engine.Spawned{Proc: 2, Pid: 12}},
			question: []engine.Input{engine.Stop{Target: target("db")}},
			want: `
				0<-1 asked: stop db
				1<0 db goal stop
				2<1 db state pre-stop
				3<2 db state stopping
				4<3 event stopping JOB=db INSTANCE= RESULT=ok
				5<4 web goal stop
				6<5 web state pre-stop
				7<6 web starts pre-stop: /bin/drain
				8<7 web pre-stop ends: status 0
				9<8 web state stopping
				10<9 event stopping JOB=web INSTANCE= RESULT=ok
				11<10 web state killed
				12<11 web main gets TERM
				13<12 web main ends: signal TERM
				14<13 web state post-stop
				15<14 web state waiting
				16<15 event stopped JOB=web INSTANCE= RESULT=ok
				17<15 event stopping has finished
				18<17 db state killed
				19<18 db main gets TERM
				20<19 db main ends: signal TERM
				21<20 db state post-stop
				22<21 db state waiting
				23<22 event stopped JOB=db INSTANCE= RESULT=ok
				24<22 answer: ok
			`,
			assumed: 4,
		},
		{
			title:    "it is not there",
			jobs:     map[string]string{"a": "exec /bin/a"},
			question: []engine.Input{engine.Stop{Target: target("a")}, engine.Start{Target: target("b")}},
			want: `
				0<-1 asked: stop a
				1<0 answer: Unknown instance: a
				2<-1 asked: start b
				3<2 answer: Unknown job: b
			`,
		},
		{
			title:    "a hook that fails",
			jobs:     map[string]string{"a": "pre-start exec /bin/x; exec /bin/a"},
			question: []engine.Input{engine.Start{Target: target("a")}},
			assume:   []string{"a pre-start exits 3", "b main fails"},
			want: `
				0<-1 asked: start a
				1<0 a goal start
				2<1 a state starting
				3<2 event starting JOB=a INSTANCE=
				4<3 a state pre-start
				5<4 a starts pre-start: /bin/x
				6<5 a pre-start ends: status 3
				7<6 a fails: pre-start process terminated with status 3
				8<7 answer: Job failed to start (pre-start process terminated with status 3)
				9<7 a goal stop
				10<9 a state stopping
				11<10 event stopping JOB=a INSTANCE= RESULT=failed PROCESS=pre-start EXIT_STATUS=3
				12<11 a state killed
				13<12 a state post-stop
				14<13 a state waiting
				15<14 event stopped JOB=a INSTANCE= RESULT=failed PROCESS=pre-start EXIT_STATUS=3
			`,
			assumed: 2,
		},
		{
			title:    "a program that is not there, and a hook that does not end",
			jobs:     map[string]string{"a": "exec /bin/a", "b": "pre-start exec /bin/x; exec /bin/b"},
			question: []engine.Input{engine.Start{Target: target("a")}, engine.Start{Target: target("b")}},
			assume:   []string{"a main missing", "b pre-start stays"},
			want: `
				0<-1 asked: start a
				1<0 a goal start
				2<1 a state starting
				3<2 event starting JOB=a INSTANCE=
				4<3 a state pre-start
				5<4 a state spawned
				6<5 a starts main: /bin/a
				7<6 a main ends: cannot execute /bin/a: so it is assumed
				8<7 a fails: main process: cannot execute /bin/a: so it is assumed
				9<8 answer: Job failed to start (main process: cannot execute /bin/a: so it is assumed)
				10<8 a goal stop
				11<10 a state stopping
				12<11 event stopping JOB=a INSTANCE= RESULT=failed PROCESS=main
				13<12 a state killed
				14<13 a state post-stop
				15<14 a state waiting
				16<15 event stopped JOB=a INSTANCE= RESULT=failed PROCESS=main
				17<-1 asked: start b
				18<17 b goal start
				19<18 b state starting
				20<19 event starting JOB=b INSTANCE=
				21<20 b state pre-start
				22<21 b starts pre-start: /bin/x
				23<22 answer: none: it would wait
				24<22 b waits for the pre-start process
			`,
			assumed: 3,
		},
		{
			title:    "time passes only for what waits for it",
			jobs:     map[string]string{"a": "exec /bin/a; kill timeout 7"},
			live:     []engine.Input{engine.Start{Target: target("a")}, engine.Spawned{Proc: 1, Pid: 11}},
			question: []engine.Input{engine.Stop{Target: target("a")}},
			assume:   []string{"a main deaf"},
			want: `
				0<-1 asked: stop a
				1<0 a goal stop
				2<1 a state pre-stop
				3<2 a state stopping
				4<3 event stopping JOB=a INSTANCE= RESULT=ok
				5<4 a state killed
				6<5 a main gets TERM
				7<6 7s a main gets KILL
				8<7 7s a main ends: signal KILL
				9<8 7s a state post-stop
				10<9 7s a state waiting
				11<10 7s event stopped JOB=a INSTANCE= RESULT=ok
				12<10 7s answer: ok
			`,
			assumed: 2,
		},
		{
			title: "an edit of a job that runs, of one at rest, and a new one that the event before has started half",
			jobs:  map[string]string{"a": "exec /bin/a", "b": "exec /bin/b; start on x and y"},
			live:  []engine.Input{engine.Start{Target: target("a")}, engine.Spawned{Proc: 1, Pid: 11}, engine.Emit{Name: "x"}},
			question: []engine.Input{
				engine.SetClass{Class: class(t, "a", "exec /bin/other")},
				engine.DropClass{Name: "a"},
				engine.SetClass{Class: class(t, "b", "exec /bin/new; start on x")},
			},
			want: `
				0<-1 asked: define a
				1<0 job a kept as it is until its last instance has stopped
				2<-1 asked: remove a
				3<2 job a kept as it is until its last instance has stopped
				4<-1 asked: define b
				5<4 job b removed
				6<4 job b added
				7<4 b goal start
				8<7 b state starting
				9<8 event starting JOB=b INSTANCE=
				10<9 b state pre-start
				11<10 b state spawned
				12<11 b starts main: /bin/new
				13<12 b state post-start
				14<13 b state running
				15<14 event started JOB=b INSTANCE=
				16<14 event x has finished
			`,
			assumed: 2,
		},
		{
			title: "what is under way goes on: a is being started, b being stopped",
			jobs:  map[string]string{"a": "pre-start exec /bin/x; exec /bin/a; expect fork", "b": "exec /bin/b"},
			live: []engine.Input{engine.Start{Target: target("b")}, engine.Spawned{Proc: 1, Pid: 11}, engine.Stop{Target: target("b")},
				engine.Start{Target: target("a")}},
			question: []engine.Input{engine.Emit{Name: "nobody"}},
			want: `
				0<-1 asked: emit nobody
				1<0 event nobody
				2<1 answer: ok
				3<-1 b main ends: signal TERM
				4<3 b state post-stop
				5<4 b state waiting
				6<5 event stopped JOB=b INSTANCE= RESULT=ok
				7<-1 a pre-start ends: status 0
				8<7 a state spawned
				9<8 a starts main: /bin/a
				10<9 a state post-start
				11<10 a state running
				12<11 event started JOB=a INSTANCE=
			`,
			assumed: 5,
		},
		{
			title:    "an event that fails",
			jobs:     map[string]string{"a": "start on go; pre-start exec /bin/x; exec /bin/a"},
			question: []engine.Input{engine.Emit{Name: "go"}},
			assume:   []string{"a pre-start fails"},
			want: `
				0<-1 asked: emit go
				1<0 event go
				2<1 a goal start
				3<2 a state starting
				4<3 event starting JOB=a INSTANCE=
				5<4 a state pre-start
				6<5 a starts pre-start: /bin/x
				7<6 a pre-start ends: status 1
				8<7 a fails: pre-start process terminated with status 1
				9<8 a goal stop
				10<9 a state stopping
				11<10 event stopping JOB=a INSTANCE= RESULT=failed PROCESS=pre-start EXIT_STATUS=1
				12<8 event go has failed
				13<12 answer: Event failed
				14<12 event go/failed
				15<11 a state killed
				16<15 a state post-stop
				17<16 a state waiting
				18<17 event stopped JOB=a INSTANCE= RESULT=failed PROCESS=pre-start EXIT_STATUS=1
			`,
			assumed: 2,
		},
	} {
		var assume []foresee.Assumption
		for _, text := range test.assume {
			a, err := foresee.ParseAssumption(text)
			if err != nil {
				t.Fatal(err)
			}
			assume = append(assume, a)
		}
		got, answer := ask(t, session(t, test.jobs, test.live...), foresee.Question{Inputs: test.question, Assume: assume})
		want := strings.ReplaceAll(strings.TrimSpace(test.want), "\t", "") + "\n"
		if got != want {
			t.Errorf("%s: Ask =\n%s\nwant\n%s", test.title, got, want)
		}
		if !answer.Complete || len(answer.Assumed) != test.assumed {
			t.Errorf("%s: complete %v, assumed %q; want true and %d sentences", test.title, answer.Complete, answer.Assumed, test.assumed)
		}
	}
}

// What respawns is followed until it is too much, and what has no end until
// the bound.
func TestAskBounds(t *testing.T) {
	for _, test := range []struct {
		title, text, assume string
		lines               int
		complete            bool
		counts              map[string]int
	}{
		{"a respawn with a limit", "exec /bin/r; respawn; respawn limit 2 5", "r main dies SEGV", 0, true,
			map[string]int{"r starts main: /bin/r": 3, "r main ends: signal SEGV": 3, "r fails: respawned more than 2 times": 1}},
		{"a respawn without limit", "exec /bin/r; respawn; respawn limit unlimited", "r main fails", 500, false,
			map[string]int{"r fails": 0}},
		{"a circle without processes", "start on stopped r; stop on started r", "", 300, false, map[string]int{"starts main": 0}},
		{"a bound that is not reached", "exec /bin/r", "", 12, true, map[string]int{"r starts main: /bin/r": 1}},
		{"a bound that is", "exec /bin/r", "", 9, false, map[string]int{"r starts main: /bin/r": 1}},
	} {
		q := foresee.Question{Inputs: []engine.Input{engine.Start{Target: target("r")}}, Lines: test.lines}
		if test.assume != "" {
			a, err := foresee.ParseAssumption(test.assume)
			if err != nil {
				t.Fatal(err)
			}
			q.Assume = append(q.Assume, a)
		}
		got, answer := ask(t, session(t, map[string]string{"r": test.text}), q)
		if answer.Complete != test.complete || test.lines > 0 && len(answer.Lines) > test.lines || !test.complete && len(answer.Lines) != test.lines {
			t.Errorf("%s: %d lines, complete %v; want %d at most, %v\n%s", test.title, len(answer.Lines), answer.Complete, test.lines, test.complete, got)
		}
		for text, want := range test.counts {
			if n := strings.Count(got, text); n != want {
				t.Errorf("%s: %q stands there %d times; want %d\n%s", test.title, text, n, want, got)
			}
		}
	}
}

func TestAskRefuses(t *testing.T) {
	e := session(t, nil)
	if _, err := foresee.Ask(config, e.Snapshot(), 0, foresee.Question{Inputs: []engine.Input{engine.Spawned{}}}); err == nil {
		t.Error("Ask(Spawned) is answered; want an error")
	}
	broken := e.Snapshot()
	broken.Version = -1
	if _, err := foresee.Ask(config, broken, 0, foresee.Question{}); err == nil {
		t.Error("Ask of a snapshot of another version is answered; want an error")
	}
}

func TestParseAssumption(t *testing.T) {
	for _, text := range []string{"a main exits 3", "a b pre-start ends", "main main missing", "x post-stop stays", "x main deaf", "x pre-stop dies KILL"} {
		a, err := foresee.ParseAssumption(text)
		if err != nil || a.String() != text {
			t.Errorf("ParseAssumption(%q) = %q, %v; want the same", text, a, err)
		}
	}
	if a, err := foresee.ParseAssumption("a  main fails"); err != nil || a.String() != "a main exits 1" {
		t.Errorf("ParseAssumption(a main fails) = %q, %v; want exits 1", a, err)
	}
	for _, text := range []string{"", "a", "a main", "main fails", "a hook fails", "a main exits", "a main exits 256", "a main exits -1",
		"a main dies", "a main dies NOISE", "a main fails now"} {
		if a, err := foresee.ParseAssumption(text); err == nil {
			t.Errorf("ParseAssumption(%q) = %q; want an error", text, a)
		}
	}
}

// A World takes what it owes, in the order of each process, and nothing else.
func TestWorldExpects(t *testing.T) {
	e := session(t, map[string]string{"a": "exec /bin/a; expect fork", "b": "task; exec /bin/b"})
	w, err := foresee.NewWorld(config, e.Snapshot(), 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.Do(0, engine.Start{Target: target("a")})
	w.Do(0, engine.Start{Target: target("b")})
	for _, step := range []struct {
		news engine.Input
		ok   bool
	}{
		{engine.Forked{Proc: 1, Pid: 5}, false},
		{engine.Exited{Proc: 2}, false},
		{engine.SpawnFailed{Proc: 1}, false},
		{engine.Spawned{Proc: 2, Pid: 22}, true},
		{engine.Spawned{Proc: 2, Pid: 22}, false},
		{engine.Spawned{Proc: 3}, false},
		{engine.Spawned{Proc: 1, Pid: 11}, true},
		{engine.Exited{Proc: 2, Status: 1}, false},
		{engine.Forked{Proc: 1, Pid: 12}, true},
		{engine.Vacated{Owner: 1}, false},
		{engine.Exited{Proc: 1}, false},
		{engine.Exited{Proc: 2, Left: true}, false},
		{engine.Exited{Proc: 2}, true},
	} {
		if _, err := w.Take(0, step.news); (err == nil) != step.ok {
			t.Errorf("Take(%T %+v) = %v; want it taken: %v", step.news, step.news, err, step.ok)
		}
	}
	if info, _ := w.View().Instance("a", ""); info.State != engine.Running {
		t.Errorf("a is %s; want running", info.State)
	}
}

// A process that is told to end while it makes itself ready does not come to
// that.
func TestWorldEndsUnready(t *testing.T) {
	w, err := foresee.NewWorld(config, session(t, map[string]string{"a": "exec /bin/a; expect daemon"}).Snapshot(), 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.Do(0, engine.Start{Target: target("a")})
	w.Do(0, engine.Stop{Target: target("a")})
	want := []engine.Input{engine.Spawned{Proc: 1, Pid: 1}, engine.Exited{Proc: 1, Signal: 15}}
	if got := w.Owed(); !slices.Equal(got, want) {
		t.Errorf("after start and stop of a daemon these are owed: %+v; want %+v", got, want)
	}
}
