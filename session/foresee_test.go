package session

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/foresee"
	"github.com/session-init/session-init/session/job"
	"github.com/session-init/session-init/session/socket"
	"github.com/session-init/session-init/session/testkit"
	"github.com/session-init/session-init/supervise"
)

// Random worlds are foreseen and then done with real processes: each command
// is asked of Loop.Simulate first; then the loop does it, with the real
// supervisor below it, and both must tell the same.
//
// A process of these worlds waits at a gate, a named pipe, and the test opens
// the gates in the order in which the answer has their ends; in every fourth
// world, in any order. What the test does not rule is in which order the news of several processes come that
// were made, or killed, in one step. So a second prediction, a World made of
// the same snapshot, takes the news in the order in which they really come. It
// must expect each of them, as it is; and all that the loop then does must be
// what the World does, in the same order, byte for byte: announcements,
// answers, processes with arguments and environment, signals.
//
// Another World is made in the middle of each command, and must go on likewise.
//
// The answer of Simulate must hold as it was given when the news came in its
// order. When they did not, the answer must hold for each instance by itself,
// unless the order made a difference, which is then the jobs' own race; those
// are counted.

const (
	// WORLD=SEED lives one world only, SOAK=1 more of them.
	worldsInCI   = 50
	worldsInSoak = 1000
	// worldLines bounds an answer. A command with more, which most likely
	// has no end, is not done.
	worldLines = 600
	// worldPatience bounds every wait; running into it is a failure.
	worldPatience = 3 * time.Minute
)

// programs of the worlds: they say that they are ready, wait for their turn,
// and do what they are told.
var programs = map[string]string{
	"fixture": "read -r turn < \"$GATES/$UPSTART_JOB,$UPSTART_INSTANCE,$1\"\neval \"$turn\"\n",
	"stop":    "kill -STOP $$\nread -r turn < \"$GATES/$UPSTART_JOB,$UPSTART_INSTANCE,$1\"\neval \"$turn\"\n",
	"fork":    "{ read -r turn < \"$GATES/$UPSTART_JOB,$UPSTART_INSTANCE,$1\"; eval \"$turn\"; } &\n",
	"daemon":  "{ { read -r turn < \"$GATES/$UPSTART_JOB,$UPSTART_INSTANCE,$1\"; eval \"$turn\"; } & } &\n",
	"listen":  perlProgram(`$^F = 255; socket(S, AF_UNIX, SOCK_STREAM, 0) && bind(S, pack_sockaddr_un("\0world-$$")) && listen(S, 1)`),
	"notify":  perlProgram(`socket(S, AF_UNIX, SOCK_DGRAM, 0) && send(S, "READY=1", 0, pack_sockaddr_un($ENV{NOTIFY_SOCKET}))`),
}

// perlProgram does what no shell can, and becomes the fixture.
func perlProgram(code string) string {
	return "exec perl -MSocket -e '" + code + " or die; exec \"$ENV{GATES}/../fixture\", @ARGV' -- \"$1\"\n"
}

func TestForesee(t *testing.T) {
	first, last := uint64(1), uint64(worldsInCI)
	if os.Getenv("SOAK") != "" {
		last = worldsInSoak
	}
	if seed, err := strconv.ParseUint(os.Getenv("WORLD"), 10, 64); err == nil {
		first, last = seed, seed
	}
	testkit.Need(t, "perl")
	dir := t.TempDir()
	for name, text := range programs {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	var sum tally
	for seed := first; seed <= last && !t.Failed(); seed++ {
		w := newRandomWorld(seed)
		r := newRealWorld(t, dir, w)
		r.live(&sum)
		if t.Failed() {
			t.Logf("the world that failed:\n%s", w.story())
		}
	}
	t.Logf("worlds %d to %d: %s", first, last, sum)
	if !t.Failed() && last > first && (sum.exact < sum.commands/2 || sum.processes < int(last) || sum.listened*sum.notified == 0) {
		t.Errorf("%s: too little of it was as foreseen to prove anything", sum)
	}
}

// tally counts what came of commands.
type tally struct {
	commands, exact, reordered, raced, endless, void, processes, lines, listened, notified int
}

func (s tally) String() string {
	return fmt.Sprintf("%d commands, %d processes, of which %d came to listen and %d said READY=1, %d lines; %d commands went as foreseen in one order, %d in another, in %d the order decided; %d had no end and were not done; %d worlds were left when a process was ended before it was ready",
		s.commands, s.processes, s.listened, s.notified, s.lines, s.exact, s.reordered, s.raced, s.endless, s.void)
}

// realWorld is the loop with a real supervisor below it. It stands between
// them, and in place of the bus, and writes down what passes.
type realWorld struct {
	*supervise.Supervisor
	t     *testing.T
	world *randomWorld
	// chance says who ends next, in some worlds.
	chance chance
	dir    string
	pipes  string // the directory of the gates
	loop   *Loop
	// childless is closed when, at the end, no process is left.
	childless chan struct{}

	mu   sync.Mutex
	came sync.Cond
	news []engine.Input
	did  []string
	// call is the one whose answer is noted: a World knows no other callers.
	call  engine.CallID
	gates map[engine.ProcID]string
	pids  map[engine.ProcID][]int // the last is the one that is followed
	late  bool
}

func newRealWorld(t *testing.T, dir string, w *randomWorld) *realWorld {
	t.Helper()
	r := &realWorld{t: t, world: w, chance: chance{rand.New(rand.NewPCG(w.seed, 5))}, dir: dir, childless: make(chan struct{}),
		gates: make(map[engine.ProcID]string), pids: make(map[engine.ProcID][]int)}
	r.came.L = &r.mu
	var err error
	if r.pipes, err = os.MkdirTemp(dir, "gates-"); err != nil {
		t.Fatal(err)
	}
	cfg := engine.Config{Table: events.Env{"PATH=/usr/bin:/bin", "GATES=" + r.pipes}, StopTimeout: time.Hour}
	r.loop = &Loop{engine: engine.New(cfg), sockets: socket.New(socket.Options{}), config: cfg, ended: make(chan struct{}), clock: monotonic, bus: r, supervisor: r,
		log: slog.New(slog.DiscardHandler), credentials: make(map[engine.ProcID]bool)}
	if r.Supervisor, err = supervise.New(supervise.Options{Turn: r.loop.turn}, r.supervised); err != nil {
		t.Fatal(err)
	}
	r.loop.translate.notifyDir = r.pipes
	r.loop.open.Store(true)
	r.Wake()
	return r
}

// supervised takes the news of processes, on the supervisor's thread.
func (r *realWorld) supervised(batch []supervise.Event) {
	// First, so that who has the news here comes after it at the loop.
	r.loop.supervised(batch)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, event := range batch {
		in := input(event)
		if _, looked := in.(engine.Found); in != nil && !looked {
			r.news = append(r.news, in)
		}
		switch event := event.(type) {
		case supervise.Childless:
			close(r.childless)
		case supervise.Spawned:
			r.pids[engine.ProcID(event.ID)] = []int{event.Pid}
		case supervise.Forked:
			r.pids[engine.ProcID(event.ID)] = append(r.pids[engine.ProcID(event.ID)], event.Pid)
		}
	}
	r.came.Broadcast()
}

func (r *realWorld) note(line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.did = append(r.did, line)
}

// Start makes a process, and its gate before it.
func (r *realWorld) Start(spec supervise.Spec) {
	r.note(specLine(spec))
	gate := r.gate(spec.Env, spec.Argv[1])
	_ = os.Remove(gate)
	if err := unix.Mkfifo(gate, 0o600); err != nil {
		r.note(err.Error())
	}
	r.mu.Lock()
	r.gates[engine.ProcID(spec.ID)] = gate
	r.mu.Unlock()
	r.Supervisor.Start(spec)
}

func (r *realWorld) gate(env events.Env, kind string) string {
	name, _ := env.Get("UPSTART_JOB")
	instance, _ := env.Get("UPSTART_INSTANCE")
	return filepath.Join(r.pipes, name+","+instance+","+kind)
}

func (r *realWorld) Kill(id supervise.ProcID, signal syscall.Signal, group bool) {
	r.note(killLine(id, int(signal), group))
	r.Supervisor.Kill(id, signal, group)
}

func (r *realWorld) Stepping(engine.Input) {}
func (r *realWorld) Stepped(engine.View)   {}

func (r *realWorld) Reply(reply engine.Reply) {
	if reply.Call == r.call {
		r.note(replyLine(reply))
	}
}
func (r *realWorld) Notify(notify engine.Notify) { r.note(notifyLine(notify)) }

func specLine(s supervise.Spec) string {
	return fmt.Sprintf("spawn %d of %d: %q, environment %q", s.ID, s.Owner, s.Argv, s.Env)
}

func killLine(id supervise.ProcID, signal int, group bool) string {
	return fmt.Sprintf("signal %d to %d, group %v", signal, id, group)
}

func replyLine(r engine.Reply) string {
	if r.Err != nil {
		return fmt.Sprintf("reply to %d: %s (%s)", r.Call, r.Err.Msg, r.Err.Reason)
	}
	return fmt.Sprintf("reply to %d: ok %s", r.Call, engine.Label(r.Class, r.Instance))
}

func notifyLine(n engine.Notify) string {
	return fmt.Sprintf("announce %d: %s %q %d %q", n.Kind, engine.Label(n.Class, n.Instance), n.Text, n.Status, n.Env)
}

// effectLine is what the loop would do for an effect; empty for nothing that
// is seen here.
func (r *realWorld) effectLine(effect engine.Effect) string {
	switch e := effect.(type) {
	case engine.Spawn:
		spec, _ := r.loop.translate.spec(e)
		return specLine(spec)
	case engine.Kill:
		return killLine(supervise.ProcID(e.Proc), e.Signal, e.Group)
	case engine.Reply:
		return replyLine(e)
	case engine.Notify:
		return notifyLine(e)
	case engine.Sweep, engine.Settle, engine.TakeOver:
		return fmt.Sprintf("%T %+v", e, e)
	}
	return ""
}

// read calls f on the loop, after all that came before, and waits for it.
func (r *realWorld) read(f func()) {
	done := make(chan struct{})
	r.loop.Read(func(engine.View) { defer close(done); f() })
	<-done
}

// live goes through the world, and leaves nothing of it.
func (r *realWorld) live(sum *tally) {
	defer r.end()
	for _, name := range r.world.names {
		r.loop.Step(engine.SetClass{Class: r.world.class(name, r.world.jobs[name], r.dir)})
	}
	for i, c := range r.world.script {
		in := r.world.input(c, r.dir, engine.CallID(i+1))
		wrong := r.do(in, engine.CallID(i+1), sum)
		if wrong == unfinished {
			sum.void++
			return
		}
		if wrong != "" {
			r.t.Errorf("world %d, command %d, %s: %s", r.world.seed, i+1, c, wrong)
			return
		}
	}
	// The end is no question that can be asked, but a World can live it too.
	if wrong := r.shutdown(); wrong == unfinished {
		sum.void++
	} else if wrong != "" {
		r.t.Errorf("world %d, the end of the session: %s", r.world.seed, wrong)
	}
}

// state is the engine between two commands, of which the next is that call.
func (r *realWorld) state(call engine.CallID) (s engine.Snapshot, now time.Duration) {
	r.read(func() { s, now, r.call = r.loop.engine.Snapshot(), r.loop.clock(), call })
	r.mu.Lock()
	defer r.mu.Unlock()
	r.did, r.news = nil, nil
	return s, now
}

// do foresees a command, does it, and compares; it says what is wrong.
func (r *realWorld) do(in engine.Input, call engine.CallID, sum *tally) string {
	answers := make(chan foresee.Foresight, 1)
	failures := make(chan error, 1)
	r.loop.Simulate(foresee.Question{Inputs: []engine.Input{in}, Assume: r.world.outcomes, Lines: worldLines},
		func() bool { return true }, func(f foresee.Foresight, err error) { failures <- err; answers <- f })
	if err := <-failures; err != nil {
		return err.Error()
	}
	foreseen := <-answers
	if !foreseen.Complete {
		sum.endless++
		return ""
	}
	before, now := r.state(call)
	shadow, err := foresee.NewWorld(r.loop.config, before, now, r.world.outcomes)
	if err != nil {
		return err.Error()
	}
	told := newAccount(r, before, call)
	inOrder, wrong := r.lockstep(shadow, now, in, told)
	if wrong != "" {
		return wrong
	}
	var after engine.Snapshot
	r.read(func() { after = r.loop.engine.Snapshot() })
	if wrong := r.compare(told); wrong != "" {
		return wrong
	}
	sum.commands++
	sum.processes += told.processes
	sum.lines += len(told.lines)
	r.mu.Lock()
	for _, news := range r.news {
		switch news.(type) {
		case engine.Ready:
			sum.listened++
		case engine.Notified:
			sum.notified++
		}
	}
	r.mu.Unlock()
	return told.against(foreseen, before, after, inOrder, sum)
}

// lockstep does a command in both worlds until nothing is left to come. told
// gets what the shadow does. inOrder is whether all news came in the order in
// which Simulate takes them.
func (r *realWorld) lockstep(shadow *foresee.World, now time.Duration, in engine.Input, told *account) (inOrder bool, wrong string) {
	told.step(shadow.Do(now, in))
	r.loop.Step(in)
	inOrder = true
	// heir is a world that is made in the midst of it all: it must go on as
	// the one that has seen the beginning.
	var heir *foresee.World
	turn := 0
	for taken := 0; ; taken++ {
		expected, shut := engine.Input(nil), func() {}
		owed := shadow.Owed()
		turns := shadow.Turns()
		switch {
		case len(owed) > 0:
			expected = owed[0]
		case len(turns) > 0:
			exit := turns[0]
			if r.world.seed%4 == 0 {
				exit = oneOf(r.chance, turns...)
				inOrder = inOrder && exit == turns[0]
			}
			var err error
			if turn++; turn == 1+int(r.world.seed)%3 {
				if heir, err = r.heir(); err != nil {
					return inOrder, err.Error()
				}
			}
			if shut, err = r.open(exit); err != nil {
				return inOrder, err.Error()
			}
			expected = exit
		default:
			return inOrder, ""
		}
		news := r.await(taken)
		shut()
		if news == nil {
			return inOrder, fmt.Sprintf("this has not come: %T %+v, after\n\t%s", expected, expected, strings.Join(told.did, "\n\t"))
		}
		effects, err := shadow.Take(monotonic(), news)
		if err != nil && r.unready(news) {
			return inOrder, unfinished
		}
		if err != nil {
			return inOrder, fmt.Sprintf("%v: what must come is %T %+v", err, expected, expected)
		}
		r.awaitForked(news)
		inOrder = inOrder && subject(news) == subject(expected)
		told.step(effects)
		if heir == nil {
			continue
		}
		inherited, err := heir.Take(monotonic(), news)
		if wrong := r.same(effects, inherited); err != nil || wrong != "" {
			return inOrder, fmt.Sprintf("a world that began in the midst of it does not go on as it must: %v%s", err, wrong)
		}
	}
}

// heir makes a world of the loop as it is now, when nothing is owed.
func (r *realWorld) heir() (*foresee.World, error) {
	var s engine.Snapshot
	var now time.Duration
	r.read(func() { s, now = r.loop.engine.Snapshot(), r.loop.clock() })
	return foresee.NewWorld(r.loop.config, s, now, r.world.outcomes)
}

// same compares effects of two worlds, but for answers: the callers of one
// are none of the other's.
func (r *realWorld) same(a, b []engine.Effect) string {
	lines := func(effects []engine.Effect) (out []string) {
		for _, effect := range effects {
			if _, answer := effect.(engine.Reply); !answer {
				out = append(out, r.effectLine(effect))
			}
		}
		return out
	}
	if one, other := lines(a), lines(b); !slices.Equal(one, other) {
		return fmt.Sprintf("\n\t%s\nmust be\n\t%s", strings.Join(other, "\n\t"), strings.Join(one, "\n\t"))
	}
	return ""
}

// unfinished is what lockstep says of a process that was ended while it was
// being made or made itself ready: real time decided how far it came, and the
// rest of the world is void.
const unfinished = "a process was ended before it was ready"

// unready reports whether news that nobody expects is that of a process which
// was ended before it was ready: it made itself ready all the same, or ended
// before its exec, or before those that forked it were gone, or before its
// program was missed (a child that is killed before its exec looks like one that
// has done it).
func (r *realWorld) unready(news engine.Input) bool {
	name, kind := r.processOf(subject(news))
	switch news := news.(type) {
	case engine.Forked, engine.SelfStopped, engine.Ready, engine.Notified:
	case engine.Spawned:
		outcome, _ := r.world.outcome(name, kind)
		return outcome.Missing
	case engine.SpawnFailed:
		return strings.Contains(news.Reason, ": killed by SIG")
	case engine.Exited:
		if !news.Left {
			return false
		}
	default:
		return false
	}
	return r.world.expects[name] != ""
}

// awaitForked waits, when news is a fork that was followed, until the process
// that forked is gone: nobody who is asked to stop shall still be at it.
func (r *realWorld) awaitForked(news engine.Input) {
	forked, ok := news.(engine.Forked)
	if !ok {
		return
	}
	r.mu.Lock()
	pids := slices.Clone(r.pids[forked.Proc])
	r.mu.Unlock()
	name, _ := r.processOf(forked.Proc)
	if len(pids) < 2 || r.world.expects[name] == "daemon" && len(pids) < 3 {
		return
	}
	for end := time.Now().Add(worldPatience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if !slices.ContainsFunc(pids[:len(pids)-1], func(pid int) bool { return unix.Kill(pid, 0) == nil }) {
			return
		}
	}
}

// processOf returns whose process it is, and which.
func (r *realWorld) processOf(id engine.ProcID) (name string, kind job.ProcessKind) {
	r.mu.Lock()
	defer r.mu.Unlock()
	words := strings.Split(filepath.Base(r.gates[id]), ",")
	for kind = range job.NumProcesses {
		if kind.String() == words[len(words)-1] {
			break
		}
	}
	return words[0], kind
}

// subject is the process that news is of.
func subject(in engine.Input) engine.ProcID {
	switch in := in.(type) {
	case engine.Spawned:
		return in.Proc
	case engine.SpawnFailed:
		return in.Proc
	case engine.Forked:
		return in.Proc
	case engine.SelfStopped:
		return in.Proc
	case engine.Ready:
		return in.Proc
	case engine.Notified:
		return in.Proc
	case engine.Exited:
		return in.Proc
	}
	return 0
}

// await returns the news of that number since the command; nil for none.
func (r *realWorld) await(number int) engine.Input {
	late := time.AfterFunc(worldPatience, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.late = true
		r.came.Broadcast()
	})
	defer late.Stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.news) <= number && !r.late {
		r.came.Wait()
	}
	if len(r.news) <= number {
		return nil
	}
	return r.news[number]
}

// open lets a process have its turn. shut is called when it has ended.
func (r *realWorld) open(exit engine.Exited) (shut func(), err error) {
	r.mu.Lock()
	gate, pids := r.gates[exit.Proc], r.pids[exit.Proc]
	r.mu.Unlock()
	if exit.Signal != 0 {
		return func() {}, unix.Kill(pids[len(pids)-1], syscall.Signal(exit.Signal))
	}
	// Open for reading too, so that nobody waits for the other side.
	fd, err := unix.Open(gate, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	_, err = unix.Write(fd, fmt.Appendf(nil, "exit %d\n", exit.Status))
	return func() { unix.Close(fd) }, err
}

// compare holds what the loop did against what the shadow did.
func (r *realWorld) compare(told *account) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range max(len(r.did), len(told.did)) {
		real, foreseen := "nothing", "nothing"
		if i < len(r.did) {
			real = r.did[i]
		}
		if i < len(told.did) {
			foreseen = told.did[i]
		}
		if real != foreseen {
			return fmt.Sprintf("effect %d is\n\t%s\nand must be\n\t%s\nafter\n\t%s", i, real, foreseen, strings.Join(r.did[:min(i, len(r.did))], "\n\t"))
		}
	}
	return ""
}

// shutdown ends the session in both worlds, unless its end would not come.
func (r *realWorld) shutdown() string {
	in := engine.Shutdown{Type: "logout"}
	before, now := r.state(0)
	trial, err := foresee.NewWorld(r.loop.config, before, now, r.world.outcomes)
	if err != nil {
		return err.Error()
	}
	if !comesToEnd(trial, now, in) {
		return ""
	}
	shadow, _ := foresee.NewWorld(r.loop.config, before, now, r.world.outcomes)
	told := newAccount(r, before, 0)
	inOrder, wrong := r.lockstep(shadow, now, in, told)
	switch {
	case wrong != "":
		return wrong
	case !told.quit && inOrder:
		return "it was foreseen and does not come"
	case !told.quit:
		// In another order a task that never ends was started by the end
		// itself, which would wait for it for its whole time.
		r.read(func() {})
		return r.compare(told)
	}
	select {
	case <-r.loop.ended:
	case <-time.After(worldPatience):
		return "the loop does not end"
	}
	return r.compare(told)
}

// comesToEnd reports whether a world comes to the end of its session before time
// has to pass.
func comesToEnd(w *foresee.World, now time.Duration, in engine.Input) bool {
	effects := w.Do(now, in)
	for range worldLines {
		if slices.Contains(effects, engine.Effect(engine.Quit{})) {
			return true
		}
		owed := w.Owed()
		exit, turn := w.Turn()
		switch {
		case len(owed) > 0:
			effects, _ = w.Take(now, owed[0])
		case turn:
			effects, _ = w.Take(now, exit)
		default:
			return false
		}
	}
	return false
}

// end takes the world apart.
func (r *realWorld) end() {
	select {
	case <-r.loop.ended:
	default:
		r.loop.Read(func(engine.View) { r.loop.quit = true })
		<-r.loop.ended
	}
	r.Supervisor.KillAll(syscall.SIGKILL)
	select {
	case <-r.childless:
	case <-time.After(worldPatience):
		r.t.Errorf("world %d: processes are left", r.world.seed)
	}
	ctx, cancel := context.WithTimeout(context.Background(), worldPatience)
	defer cancel()
	if err := r.Supervisor.Close(ctx); err != nil {
		r.t.Errorf("world %d: %v", r.world.seed, err)
	}
	if err := os.RemoveAll(r.pipes); err != nil {
		r.t.Error(err)
	}
}
