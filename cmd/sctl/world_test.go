package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/bus"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/foresee"
	"github.com/session-init/session-init/session/job"
)

// world is a daemon without processes: the real bus and the real engine, on
// one goroutine, with a make-believe kernel. What a process does is its
// command: "exit N" ends at once, "litter" too and leaves a process behind, "missing" cannot be executed, anything
// else runs until it is killed. Pids count up from behind pids, which is 1000.
type world struct {
	server *bus.Server

	mu     sync.Mutex
	more   *sync.Cond
	inbox  []func() // of clients
	kernel []func() // of processes; these come first, so that a command that
	// does not wait shows the same processes every time
	ended    bool
	priority string
	pids     int            // of the loop's goroutine
	logs     string         // the directory of logs, or ""; likewise
	strays   []engine.Stray // what there is of each instance; of the loop's goroutine

	quit   chan struct{}  // closed when the engine says Quit
	engine *engine.Engine // of the loop's goroutine
}

func newWorld(t *testing.T, jobs ...string) *world {
	t.Helper()
	w := &world{engine: engine.New(engine.Config{Table: events.Env{"PATH=/bin"}}), priority: "message", pids: 1000, quit: make(chan struct{})}
	for i := 0; i < len(jobs); i += 2 {
		class, problems := job.Parse(jobs[i], jobs[i]+".conf", []byte(jobs[i+1]))
		if class == nil || len(problems) > 0 {
			t.Fatalf("job %s: %v", jobs[i], problems)
		}
		w.engine.Step(0, engine.SetClass{Class: class})
	}
	serveWorld(t, w, w)
	return w
}

// serveWorld runs the loop of a world, and serves a backend on it. It returns
// the address.
func serveWorld(t *testing.T, w *world, backend bus.Backend) string {
	t.Helper()
	w.more = sync.NewCond(&w.mu)
	// Not TempDir: its name is that of the test and may be too long.
	dir, err := os.MkdirTemp("", "sctl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	ready := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ready
		w.run()
	}()
	w.server, err = bus.Listen(filepath.Join(dir, "socket"), backend, bus.Options{Version: "session-init TEST", ReadOnly: filepath.Join(dir, "readonly")})
	close(ready)
	t.Cleanup(func() {
		if w.server != nil {
			w.server.Close(0)
		}
		w.mu.Lock()
		w.ended = true
		w.more.Signal()
		w.mu.Unlock()
		<-stopped
	})
	if err != nil {
		t.Fatal(err)
	}
	return w.server.Address()
}

// arrange does something on the loop's goroutine, and returns when it is done.
func (w *world) arrange(f func()) {
	done := make(chan struct{})
	w.post(func() {
		defer close(done)
		f()
	})
	<-done
}

func (w *world) post(f func()) { w.put(&w.inbox, f) }

func (w *world) put(queue *[]func(), f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	*queue = append(*queue, f)
	w.more.Signal()
}

// news posts what a process does.
func (w *world) news(in engine.Input) { w.put(&w.kernel, func() { w.step(in) }) }

func (w *world) run() {
	for {
		w.mu.Lock()
		for len(w.inbox)+len(w.kernel) == 0 && !w.ended {
			w.more.Wait()
		}
		if w.ended {
			w.mu.Unlock()
			return
		}
		queue := &w.kernel
		if len(w.kernel) == 0 {
			queue = &w.inbox
		}
		f := (*queue)[0]
		*queue = (*queue)[1:]
		w.mu.Unlock()
		f()
		w.mu.Lock()
		idle := len(w.kernel) == 0
		w.mu.Unlock()
		if idle && w.server != nil {
			w.server.Stepped(w.engine.View())
		}
	}
}

func (w *world) Step(in engine.Input)     { w.post(func() { w.step(in) }) }
func (w *world) Read(f func(engine.View)) { w.post(func() { f(w.engine.View()) }) }
func (w *world) Restart()                 {}

// StepWithFile keeps no descriptor.
func (w *world) StepWithFile(_ int, _ func(uint64) engine.Input, refuse func(error)) {
	w.post(func() { refuse(errors.New("no descriptor can be kept here")) })
}

// LogPath is empty for "console none", as it is without a directory of logs.
func (w *world) ConfDirs() []string { return nil }

func (w *world) Lint([]*job.Class) []bus.Finding { return nil }

// Stored and Waiting: every instance has laid aside a descriptor, and two wait
// at each socket, when the story has a job of that name.
func (w *world) Stored(class, _ string) []string {
	if class == "keeps" {
		return []string{"client", "client", "log"}
	}
	return nil
}

func (w *world) Waiting(class string) map[string]int {
	if class == "keeps" {
		return map[string]int{"unix:/run/keeps": 2, "inet:*:80": 1}
	}
	return nil
}

func (w *world) LogPath(class *job.Class, instance string) string {
	if w.logs == "" || class.Console == job.ConsoleNone {
		return ""
	}
	name := strings.ReplaceAll(class.Name, "/", "_")
	if instance != "" {
		name += "-" + instance
	}
	return filepath.Join(w.logs, name+".log")
}

func (w *world) Simulate(q foresee.Question, _ func() bool, done func(foresee.Foresight, error)) {
	w.post(func() {
		done(foresee.Ask(engine.Config{Table: events.Env{"PATH=/bin"}}, w.engine.Snapshot(), 0, q))
	})
}
func (w *world) Reload(done func()) { w.post(done) }
func (w *world) Processes(class, _ string, done func([]engine.Stray)) {
	w.post(func() {
		if w.strays != nil {
			done(w.strays)
			return
		}
		done([]engine.Stray{{Pid: 4711, Command: "/bin/" + class + " -x"}, {Pid: 4712, Command: "sleep 5"}})
	})
}
func (w *world) LogPriority() string           { w.mu.Lock(); defer w.mu.Unlock(); return w.priority }
func (w *world) SetLogPriority(p string) error { return w.setPriority(p) }

func (w *world) setPriority(word string) error {
	if !slices.Contains([]string{"debug", "info", "message", "warn", "error", "fatal"}, word) {
		return fmt.Errorf("cannot set log priority %q: no such priority", word)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.priority = word
	return nil
}

func (w *world) step(in engine.Input) {
	effects := w.engine.Step(0, in)
	// The processes have done what they do before a client hears anything.
	for _, effect := range effects {
		switch effect := effect.(type) {
		case engine.Kill:
			w.news(engine.Exited{Proc: effect.Proc, Signal: effect.Signal})
		case engine.Sweep:
			if effect.Signal == 0 {
				w.news(engine.Swept{Owner: effect.Owner, Strays: []engine.Stray{{Pid: 4713, Command: "rag\n"}}})
			} else {
				w.news(engine.Vacated{Owner: effect.Owner})
			}
		case engine.Spawn:
			w.spawn(effect)
		}
	}
	for _, effect := range effects {
		switch effect := effect.(type) {
		case engine.Reply:
			w.server.Reply(effect)
		case engine.Notify:
			w.server.Notify(effect)
		case engine.Quit:
			close(w.quit)
		}
	}
}

func (w *world) spawn(effect engine.Spawn) {
	command, argument, _ := strings.Cut(effect.Class.Processes[effect.Kind].Text, " ")
	if command == "missing" {
		w.news(engine.SpawnFailed{Proc: effect.Proc, Reason: "cannot execute it"})
		return
	}
	w.news(engine.Spawned{Proc: effect.Proc, Pid: w.pids + int(effect.Proc)})
	if command == "litter" {
		w.news(engine.Exited{Proc: effect.Proc, Left: true})
	}
	if command == "exit" {
		w.news(engine.Exited{Proc: effect.Proc, Status: int(argument[0] - '0')})
	}
}

// result is what a run of the program left.
type result struct {
	status   int
	out, err string
}

// sctl runs the program in the world.
func (w *world) sctl(environ []string, args ...string) result {
	environ = append([]string{api.SessionVariable + "=" + w.server.Address()}, environ...)
	return runWith(environ, args...)
}

func runWith(environ []string, args ...string) result {
	return runAt(theMachine(), environ, args...)
}

// runAt runs the program on a machine whose session-init is elsewhere.
func runAt(machine machinePlace, environ []string, args ...string) result {
	var out, err bytes.Buffer
	status := runOn(machine, patientWaits(), args, environ, &out, &err)
	return result{status, out.String(), err.String()}
}

// patientWaits are those of tests: what takes long on a busy machine is neither
// told of nor given up.
func patientWaits() waits { return waits{patience: time.Hour, completion: time.Hour} }

// runPatiently is run with the times of tests, on a terminal perhaps.
func runPatiently(args, environ []string, stdout, stderr io.Writer) int {
	return runOn(theMachine(), patientWaits(), args, environ, stdout, stderr)
}

// machineIn is a machine whose job files are below a directory.
func machineIn(dir string) machinePlace {
	m := theMachine()
	m.dirs = slices.Clone(m.dirs)
	for i := range m.dirs {
		m.dirs[i].Path = dir + m.dirs[i].Path
	}
	m.runtime, m.first, m.own = dir+m.runtime, dir+m.first, dir+m.own
	return m
}

// step is a command line, and what it must do. An err that ends in "*" is
// the beginning of the message: the rest is the daemon's to word.
type step struct {
	line   string
	status int
	out    string
	err    string
}

// play runs the steps; environment entries stand before a "$".
func (w *world) play(t *testing.T, steps []step) {
	t.Helper()
	for _, s := range steps {
		environ, args := []string{}, strings.Fields(s.line)
		if i := slices.Index(args, "$"); i >= 0 {
			environ, args = args[:i], args[i+1:]
		}
		got := w.sctl(environ, args...)
		if begin, cut := strings.CutSuffix(s.err, "*"); cut && strings.HasPrefix(got.err, begin) {
			got.err = s.err
		}
		if want := (result{s.status, s.out, s.err}); got != want {
			t.Errorf("%s = %+v\nwant %+v", s.line, got, want)
		}
	}
}
