package session

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
	"github.com/session-init/session-init/session/socket"
	"github.com/session-init/session-init/supervise"
)

// world stands in for supervisor and bus.
type world struct {
	loop  *Loop
	woken chan struct{}
	mu    sync.Mutex
	notes []string
	specs []supervise.Spec
	// stubborn processes do not end by TERM.
	stubborn bool
}

// lines returns what has happened so far.
func (w *world) lines() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.notes)
}

// last returns what happened last.
func (w *world) last() string {
	lines := w.lines()
	return lines[len(lines)-1]
}

func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.notes = append(w.notes, fmt.Sprintf(format, args...))
}

func (w *world) Start(spec supervise.Spec) {
	w.specs = append(w.specs, spec)
	w.note("spawn %s", spec.Path)
	w.loop.supervised([]supervise.Event{supervise.Spawned{ID: spec.ID, Pid: 1000 + int(spec.ID)}})
}

func (w *world) Kill(id supervise.ProcID, signal syscall.Signal, group bool) {
	w.note("kill %d", signal)
	if !w.stubborn || signal == syscall.SIGKILL {
		w.loop.supervised([]supervise.Event{supervise.Exited{ID: id, Pid: 1000 + int(id), Signal: signal}})
	}
}

func (w *world) Settle(id supervise.ProcID) {
	w.note("settle")
	w.loop.supervised([]supervise.Event{supervise.Settled{ID: id, Forks: 1}})
}

func (w *world) Examine(id supervise.ProcID, _ []supervise.NameOwner) {
	w.note("examine")
	w.loop.supervised([]supervise.Event{supervise.Found{ID: id, On: []string{"unix:/run/x"}, Owns: []string{"org.example.Svc"}}})
}

func (w *world) Sweep(owner uint64, signal syscall.Signal, _ supervise.ProcID) {
	w.note("sweep %d", signal)
	w.loop.supervised([]supervise.Event{supervise.Vacated{Owner: owner}})
}

func (w *world) Processes(owner uint64, f func([]supervise.Stray)) {
	go f([]supervise.Stray{{Pid: int(owner), Command: "of the owner"}})
}

func (w *world) Adopt(a supervise.Adoptee) { w.note("adopt %d", a.Slot.Pid) }

func (w *world) Stepping(engine.Input) {}

func (w *world) Stepped(engine.View) {}

func (w *world) Reply(r engine.Reply) { w.note("reply %d %v", r.Call, r.Err) }

func (w *world) Notify(n engine.Notify) {
	if n.Kind == engine.StateChanged {
		w.note("state %s", n.Text)
	}
}

// newWorld makes a loop with one class, "svc".
func newWorld(edit func(*job.Class)) *world {
	started := time.Now()
	w := &world{woken: make(chan struct{}, 1)}
	w.loop = &Loop{
		sockets:     socket.New(socket.Options{}),
		engine:      engine.New(engine.Config{StopTimeout: time.Minute}),
		ended:       make(chan struct{}),
		clock:       func() time.Duration { return time.Since(started) },
		supervisor:  w,
		bus:         w,
		log:         slog.New(slog.NewTextHandler(io.Discard, nil)),
		credentials: make(map[engine.ProcID]bool),
	}
	class := job.NewClass("svc")
	class.Processes[job.Main] = &job.Process{Text: "/bin/svc"}
	if edit != nil {
		edit(class)
	}
	w.loop.Step(engine.SetClass{Class: class})
	return w
}

var svc = engine.Target{Class: "svc"}

func (w *world) Wake() {
	select {
	case w.woken <- struct{}{}:
	default:
	}
}

// run is what the supervisor's thread does for the loop.
func (w *world) run() {
	w.loop.open.Store(true)
	for {
		sleep := w.loop.turn()
		if w.loop.over {
			return
		}
		if sleep < 0 {
			sleep = 1 << 62
		}
		select {
		case <-w.woken:
		case <-time.After(sleep):
		}
	}
}

func (w *world) end() { w.loop.Step(engine.Shutdown{Type: "logout"}) }

func TestLoopOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(nil)
		w.loop.Step(engine.Start{Call: 1, Target: svc, Wait: true})
		w.loop.Read(func(v engine.View) {
			in, ok := v.Instance("svc", "")
			w.note("seen %v %v", in.State, ok)
		})
		go w.run()
		synctest.Wait()
		w.end()
		synctest.Wait()
		want := []string{"state starting", "state pre-start", "state spawned", "spawn /bin/svc", "seen spawned true",
			"state post-start", "state running", "reply 1 <nil>",
			"state pre-stop", "state stopping", "state killed", "kill 15", "state post-stop", "state waiting"}
		if !slices.Equal(w.lines(), want) {
			t.Errorf("the loop did\n%q\nwant\n%q", w.lines(), want)
		}
	})
}

// However the end of the session comes, it is told once, when it has begun.
func TestLoopTellsEnd(t *testing.T) {
	over := engine.UntilLogout{On: true}
	start, stop := engine.Start{Target: svc}, engine.Stop{Target: svc}
	opened, lost := engine.SessionOpen{Leader: 7, Since: 1}, engine.SessionLost{Leader: 7, Since: 1}
	for name, inputs := range map[string][]engine.Input{
		"somebody says so":                  {start, engine.Shutdown{Type: "logout"}},
		"the last login is over":            {over},
		"the last login session is over":    {opened, over, lost},
		"the last that lingers has stopped": {start, over, stop},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(func(c *job.Class) { c.Linger = true })
			w.loop.ending = func() { w.note("the end") }
			told := func() (n int) {
				for _, line := range w.lines() {
					if line == "the end" {
						n++
					}
				}
				return n
			}
			go w.run()
			for i, in := range inputs {
				if n := told(); n != 0 {
					t.Errorf("%s: told %d times after %d inputs; want not yet", name, n, i)
				}
				w.loop.Step(in)
				synctest.Wait()
			}
			if n := told(); n != 1 {
				t.Errorf("%s: told %d times; want once", name, n)
			}
			w.end() // for a loop that goes on
		})
	}
}

func TestLoopDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(func(c *job.Class) { c.KillTimeout = 3 * time.Second })
		w.stubborn = true
		go w.run()
		w.loop.Step(engine.Start{Target: svc})
		w.loop.Step(engine.Stop{Call: 2, Target: svc, Wait: true})
		synctest.Wait()
		if last := w.last(); last != "kill 15" {
			t.Errorf("before the timeout the last was %q; want TERM", last)
		}
		time.Sleep(3*time.Second - time.Millisecond) // virtual
		synctest.Wait()
		if last := w.last(); last != "kill 15" {
			t.Errorf("just before the timeout the last was %q; want TERM", last)
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if !slices.Contains(w.lines(), "kill 9") || !slices.Contains(w.lines(), "reply 2 <nil>") {
			t.Errorf("after the timeout: %q; want KILL and the answer", w.lines())
		}
		w.end()
	})
}

func TestLoopUnknownUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(func(c *job.Class) { c.Setuid = "no such user" })
		go w.run()
		w.loop.Step(engine.Start{Call: 1, Target: svc, Wait: true})
		synctest.Wait()
		if !slices.Contains(w.lines(), "reply 1 Job failed to start") || len(w.specs) > 0 {
			t.Errorf("an unknown user: %q", w.lines())
		}
		w.end()
	})
}

// A process whose user is still being looked up is stopped without having
// been made.
func TestLoopKillBeforeCredential(t *testing.T) {
	w := newWorld(nil)
	w.loop.perform(engine.Kill{Proc: 7, Signal: 15})
	w.loop.credentials[8] = false
	w.loop.perform(engine.Kill{Proc: 8, Signal: 15})
	if want := []string{"kill 15"}; !slices.Equal(w.lines(), want) || !w.loop.credentials[8] {
		t.Errorf("kills were %q, noted %v; want only that of a process that is there", w.lines(), w.loop.credentials)
	}
}

func TestLookupCredential(t *testing.T) {
	got, err := lookupCredential(systemNames(), "0", "")
	if err != nil || got.UID != 0 || got.GID != 0 {
		t.Errorf("lookupCredential(0) = %+v, %v", got, err)
	}
	if _, err := lookupCredential(systemNames(), "", "no such group"); err == nil {
		t.Error("an unknown group was found")
	}
}

func TestLogName(t *testing.T) {
	long := logName(string(make([]byte, 300)), "")
	cases := []struct{ class, instance, want string }{
		{"svc", "", "svc.log"},
		{"getty", "tty1", "getty-tty1.log"},
		{"net/dhcp", "a/b", "net_dhcp-a_b.log"},
	}
	for _, c := range cases {
		if got := logName(c.class, c.instance); got != c.want {
			t.Errorf("logName(%q, %q) = %q; want %q", c.class, c.instance, got, c.want)
		}
	}
	if len(long) > 255 || long == logName(string(make([]byte, 301)), "") {
		t.Errorf("logName of a long name = %q: too long, or not its own", long)
	}
}

func TestSpec(t *testing.T) {
	class := job.NewClass("svc")
	class.Processes[job.Main] = &job.Process{Text: "/bin/svc --x y"}
	class.Processes[job.PreStart] = &job.Process{Script: true, Text: "true\n"}
	class.SessionLeader, class.Chdir = true, "/tmp"
	class.Limits = []job.Limit{{Resource: 7, Soft: 1, Hard: 2}}
	tr := translator{logDir: "/logs", console: job.ConsoleLog}
	spec, warning := tr.spec(engine.Spawn{Proc: 3, Class: class, Instance: "i", Kind: job.Main, Env: events.Env{"A=1"}})
	if warning != "" || spec.ID != 3 || spec.Path != "/bin/svc" || !slices.Equal(spec.Argv, []string{"/bin/svc", "--x", "y"}) ||
		spec.Dir != "/tmp" || !spec.Leader || spec.Output != supervise.OutputFile || spec.LogPath != "/logs/svc-i.log" ||
		!slices.Equal(spec.Limits, []supervise.Limit{{Resource: 7, Soft: 1, Hard: 2}}) || !slices.Equal(spec.Env, []string{"A=1"}) {
		t.Errorf("spec of main = %+v, %q", spec, warning)
	}
	spec, _ = tr.spec(engine.Spawn{Class: class, Kind: job.PreStart})
	if spec.Leader || spec.Path != "/bin/sh" {
		t.Errorf("spec of pre-start = %+v; only main leads", spec)
	}
	for _, c := range []struct {
		console  job.Console
		terminal bool
		want     supervise.Output
		warns    bool
	}{
		{job.ConsoleNone, true, supervise.OutputNull, false},
		{job.ConsoleOutput, true, supervise.OutputTerminal, false},
		{job.ConsoleOwner, false, supervise.OutputFile, true},
		{job.ConsoleLog, false, supervise.OutputFile, false},
		{job.ConsolePTY, false, supervise.OutputPTY, false},
		{job.ConsoleDefault, false, supervise.OutputFile, false},
	} {
		tr.terminal, class.Console = c.terminal, c.console
		spec, warning := tr.spec(engine.Spawn{Class: class, Kind: job.Main})
		if spec.Output != c.want || warning != "" != c.warns {
			t.Errorf("console %s, terminal %v: output %d, warning %q; want %d", c.console, c.terminal, spec.Output, warning, c.want)
		}
	}
}

func TestTable(t *testing.T) {
	environ := []string{"A=1", "UPSTART_JOB=outer", "NOTIFY_SOCKET=/x", "PATH=/p", "XDG_RUNTIME_DIR=/old"}
	if got, want := table(environ, true, ""), (events.Env{"PATH=/p", "TERM=linux", "A=1", "XDG_RUNTIME_DIR=/old"}); !slices.Equal(got, want) {
		t.Errorf("table = %q; want %q", got, want)
	}
	if got, want := table(environ, false, "/new"), (events.Env{"PATH=/p", "TERM=linux", "XDG_RUNTIME_DIR=/new"}); !slices.Equal(got, want) {
		t.Errorf("table without inheritance = %q; want %q", got, want)
	}
}

func TestPriorities(t *testing.T) {
	for _, p := range priorities {
		if level, err := parsePriority(p.word); err != nil || level != p.level {
			t.Errorf("parsePriority(%s) = %v, %v", p.word, level, err)
		}
	}
	if _, err := parsePriority("loud"); err == nil {
		t.Error("parsePriority(loud) is accepted")
	}
}

// A loop that takes over what has ended already ends too.
func TestLoopEndsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(nil)
		w.loop.perform(engine.Quit{})
		go w.run()
		<-w.loop.ended
	})
}
