package sim

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
)

// teller runs a story.
type teller struct {
	cfg   engine.Config
	world *World // nil until the first step that is no "given"

	since   []Line // what happened since the last expect
	callers map[string]engine.CallID
	names   []string // of calls, by CallID - 1
	labels  map[engine.ProcID]string
	envs    map[string]events.Env // of the last process, by label and kind
	owners  map[string]uint64     // of the last process, by label
	expects int
}

// Run plays the story in a world of its own. The error names the line that
// does not hold and says what happened instead. A story that expects nothing
// at all is an error too.
func (s *Story) Run() error {
	t, err := s.tell(nil)
	if err == nil && t.expects == 0 {
		return fmt.Errorf("line %d: the story expects nothing", s.Line)
	}
	return err
}

// Play plays the story in a world that goes on afterwards, and which may have
// had jobs before. Steps that begin with "given" are errors then.
func (s *Story) Play(w *World) error {
	_, err := s.tell(w)
	return err
}

func (s *Story) tell(w *World) (*teller, error) {
	t := &teller{
		cfg:     engine.Config{StopTimeout: 10 * time.Second},
		world:   w,
		callers: make(map[string]engine.CallID),
		labels:  make(map[engine.ProcID]string),
		envs:    make(map[string]events.Env),
		owners:  make(map[string]uint64),
	}
	if w != nil {
		t.observe()
	}
	for _, step := range s.steps {
		if err := t.step(step); err != nil {
			return t, fmt.Errorf("line %d: %s: %w", step.line, strings.Join(step.words, " "), err)
		}
		if t.world != nil && len(t.world.Faults()) > 0 {
			return t, fmt.Errorf("line %d: %s: the engine: %s", step.line, strings.Join(step.words, " "), strings.Join(t.world.Faults(), "; "))
		}
	}
	return t, nil
}

// errUsage is a step that is not written as it must be.
var errUsage = errors.New("cannot read this step")

func (t *teller) step(s step) error {
	words := s.words
	if words[0] == "given" {
		return t.given(words[1:])
	}
	t.begin()
	switch words[0] {
	case "job":
		return t.job(s)
	case "run":
		return t.transient(s)
	case "drop":
		if len(words) != 2 {
			return errUsage
		}
		t.world.Do(engine.DropClass{Name: words[1]})
		return nil
	case "do":
		return t.do(words[1:])
	case "exit", "kill", "fork", "self-stop", "listen", "owns", "lack", "does", "misfit", "say":
		return t.process(words)
	case "end-leftovers":
		if len(words) != 2 {
			return errUsage
		}
		t.world.EndStrays(t.owners[words[1]])
		return nil
	case "advance":
		if len(words) != 2 {
			return errUsage
		}
		d, err := time.ParseDuration(words[1])
		if err != nil {
			return err
		}
		t.world.Advance(d)
		return nil
	case "re-exec":
		if len(words) != 1 {
			return errUsage
		}
		next, err := engine.Restore(t.cfg, t.world.Engine.Snapshot())
		if err != nil {
			return err
		}
		t.world.Engine = next
		return nil
	case "expect":
		return t.expect(words[1:], dedent(s.block))
	case "skip":
		t.since = nil
		return nil
	}
	if len(words) < 3 {
		return errUsage
	}
	return t.ask(words)
}

func (t *teller) given(words []string) error {
	if t.world != nil || len(words) < 2 {
		return errUsage
	}
	var err error
	switch words[0] {
	case "table":
		t.cfg.Table = words[1:]
	case "daemon":
		t.cfg.Daemon = words[1:]
	case "session":
		t.cfg.Session = words[1]
	case "path-end":
		t.cfg.PathEnd = words[1]
	case "until-logout":
		t.cfg.UntilLogout = words[1] == "yes"
	case "stop-timeout":
		t.cfg.StopTimeout, err = time.ParseDuration(words[1])
	default:
		err = errUsage
	}
	return err
}

// begin makes the world, once everything given has been said.
func (t *teller) begin() {
	if t.world != nil {
		return
	}
	t.world = New(t.cfg)
	t.observe()
}

// observe notes what happens.
func (t *teller) observe() {
	t.world.Observe = func(_ engine.Input, effects []engine.Effect) {
		for _, effect := range effects {
			if s, ok := effect.(engine.Spawn); ok {
				label := Label(s.Class.Name, s.Instance)
				t.labels[s.Proc] = label + " " + s.Kind.String()
				t.envs[t.labels[s.Proc]] = s.Env
				t.owners[label] = s.Owner
			}
			t.since = append(t.since, Format(effect, t.caller, t.proc))
		}
	}
}

func (t *teller) caller(call engine.CallID) string {
	if call == 0 || int(call) > len(t.names) {
		return fmt.Sprintf("call %d", call)
	}
	return t.names[call-1]
}

func (t *teller) proc(id engine.ProcID) string { return t.labels[id] }

func (t *teller) job(s step) error {
	if len(s.words) != 2 {
		return errUsage
	}
	name := s.words[1]
	text := strings.Join(dedent(s.block), "\n") + "\n"
	class, problems := job.Parse(name, name+".conf", []byte(text))
	for _, p := range problems {
		if !p.Warning {
			return p
		}
	}
	t.world.Do(engine.SetClass{Class: class})
	return nil
}

// call numbers a caller and remembers what it is called.
func (t *teller) call(name string) engine.CallID {
	t.names = append(t.names, name)
	id := engine.CallID(len(t.names))
	t.callers[name] = id
	return id
}

func (t *teller) do(words []string) error {
	if len(words) == 0 {
		return errUsage
	}
	verb, rest := words[0], words[1:]
	switch verb {
	case "abandon":
		if len(rest) != 1 || t.callers[rest[0]] == 0 {
			return errUsage
		}
		t.world.Do(engine.Abandon{Call: t.callers[rest[0]]})
		return nil
	case "shutdown":
		if len(rest) != 1 {
			return errUsage
		}
		t.world.Do(engine.Shutdown{Type: rest[0]})
		return nil
	case "open-session", "begin-session", "end-session", "await-session", "logged-out", "logged-in", "lose-leader", "lose-display":
		return t.session(verb, rest)
	case "connect", "lack-socket", "listen-again":
		return t.socket(verb, rest)
	case "set-env", "retain-env", "unset-env", "reset-env":
		t.setEnv(verb, rest)
		return nil
	}
	wait, as, from, session, file := true, "", (*Process)(nil), uint64(0), uint64(0)
	var left []string
	for i := 0; i < len(rest); i++ {
		switch {
		case rest[i] == "nowait":
			wait = false
		case rest[i] == "as" && i+1 < len(rest):
			i++
			as = rest[i]
		case rest[i] == "in" && i+1 < len(rest):
			i++
			session = parseID(rest[i])
		case rest[i] == "descriptor" && verb == "emit" && i+1 < len(rest):
			i++
			file = parseID(rest[i])
		case rest[i] == "by" && i+2 < len(rest):
			if from = t.find(rest[i+1], rest[i+2]); from == nil {
				return errNoProcess
			}
			i += 2
		default:
			left = append(left, rest[i])
		}
	}
	byName := len(left) > 0 && left[0] == "instance"
	if byName {
		left = left[1:]
	}
	if len(left) == 0 {
		return errUsage
	}
	if as == "" {
		as = verb + " " + left[0]
	}
	target := engine.Target{Class: left[0]}
	if byName {
		target.ByName = true
		target.Class, target.Instance = splitLabel(left[0])
	}
	env := events.Env(left[1:])
	call := t.call(as)
	by := &events.Caller{Command: as, Session: session}
	if from != nil {
		by.Parent, by.Job, by.Instance = from.Pid, from.Class, from.Instance
	}
	switch verb {
	case "start":
		t.world.Do(engine.Start{Call: call, By: by, Target: target, Env: env, Wait: wait})
	case "stop":
		t.world.Do(engine.Stop{Call: call, By: by, Target: target, Env: env, Wait: wait})
	case "force-stop":
		t.world.Do(engine.ForceStop{Call: call, By: by, Target: target, Env: env, Wait: wait})
	case "restart":
		t.world.Do(engine.Restart{Call: call, By: by, Target: target, Env: env, Wait: wait})
	case "reload":
		t.world.Do(engine.Reload{Call: call, Target: target})
	case "emit":
		t.world.Do(engine.Emit{Call: call, By: by, Name: left[0], Env: env, Wait: wait, File: file})
	default:
		return errUsage
	}
	return nil
}

func (t *teller) setEnv(verb string, words []string) {
	in := engine.SetEnv{Call: t.call(strings.Join(append([]string{verb}, words...), " ")), Replace: true}
	if len(words) > 0 && strings.HasSuffix(words[0], ":") {
		in.Class, in.Target = splitLabel(strings.TrimSuffix(words[0], ":"))
		words = words[1:]
	}
	switch verb {
	case "set-env":
		in.Entries = words
	case "retain-env":
		in.Entries, in.Replace = words, false
	case "unset-env":
		in.Unset = words
	case "reset-env":
		in.Reset = true
	}
	t.world.Do(in)
}

func parseKind(word string) (job.ProcessKind, bool) {
	for kind := range job.NumProcesses {
		if kind.String() == word {
			return kind, true
		}
	}
	return 0, false
}

var errNoProcess = errors.New("there is no such process")

// find returns the living process of a kind, or nil.
func (t *teller) find(label, kind string) *Process {
	class, instance := splitLabel(label)
	if kind, ok := parseKind(kind); ok {
		return t.world.Find(class, instance, kind)
	}
	return nil
}

// process is what a process does by itself, or somebody else to it.
func (t *teller) process(words []string) error {
	if len(words) < 3 {
		return errUsage
	}
	if _, ok := parseKind(words[2]); !ok {
		return errUsage
	}
	p := t.find(words[1], words[2])
	if p == nil {
		return errNoProcess
	}
	switch {
	case words[0] == "fork" && len(words) == 3:
		t.world.Fork(p)
	case words[0] == "self-stop" && len(words) == 3:
		t.world.SelfStop(p)
	case words[0] == "owns" && len(words) == 4:
		t.world.Do(engine.Ready{Proc: p.ID, How: "owns bus name " + words[3]})
	case words[0] == "lack":
		t.world.Do(engine.Lacks{Proc: p.ID, What: strings.Join(words[3:], " ")})
	case words[0] == "does" && len(words) > 4 && words[3] == "listen":
		t.world.Do(engine.Found{Proc: p.ID, Listens: strings.Join(words[4:], " ")})
	case words[0] == "does" && len(words) == 5 && words[3] == "own":
		t.world.Do(engine.Found{Proc: p.ID, Owns: words[4]})
	case words[0] == "misfit":
		t.world.Do(engine.Misfit{Proc: p.ID, What: strings.Join(words[3:], " ")})
	case words[0] == "does" && len(words) == 3:
		t.world.Do(engine.Found{Proc: p.ID})
	case words[0] == "listen" && len(words) > 3:
		t.world.Listen(p, strings.Join(words[3:], " "))
	case words[0] == "say":
		said, ok := parseSaid(words[3:])
		if !ok {
			return errUsage
		}
		t.world.Say(p, said)
	case words[0] == "exit" && len(words) == 4:
		status, err := strconv.Atoi(words[3])
		if err != nil {
			return err
		}
		t.world.Exit(p, status, 0)
	case words[0] == "kill" && (len(words) == 4 || len(words) == 5 && words[4] == "core"):
		signal, ok := job.ParseSignal(words[3])
		if !ok {
			return errUsage
		}
		p.core = len(words) == 5
		t.world.Exit(p, 0, signal)
	default:
		return errUsage
	}
	return nil
}

func (t *teller) expect(words []string, block []string) error {
	t.expects++
	var want []string
	for _, line := range block {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			want = append(want, line)
		}
	}
	if len(words) > 0 && (words[0] == "why" || words[0] == "cycles") {
		return t.expectWhy(words, want)
	}
	nothing := len(words) == 1 && words[0] == "nothing"
	if nothing {
		words = nil
	} else if len(want) == 0 {
		return errors.New(`an empty expectation: say "expect nothing"`)
	}
	for _, word := range words {
		if !slices.Contains(kinds, word) {
			return errUsage
		}
	}
	got := choose(t.since, words)
	t.since = nil
	if slices.Equal(got, spread(want)) {
		return nil
	}
	return &Mismatch{Want: want, Got: gather(got)}
}

// Mismatch is the error of an expectation that does not hold.
type Mismatch struct {
	Want, Got []string
}

func (m *Mismatch) Error() string {
	var text strings.Builder
	text.WriteString("this was expected:")
	for _, line := range m.Want {
		text.WriteString("\n\t" + line)
	}
	text.WriteString("\nand this has happened:")
	for _, line := range m.Got {
		text.WriteString("\n\t" + line)
	}
	return text.String()
}

// ask looks at an instance.
func (t *teller) ask(words []string) error {
	t.expects++
	label := words[0]
	class, instance := splitLabel(label)
	view := t.world.Engine.ViewAt(t.world.Now())
	info, exists := view.Instance(class, instance)
	switch words[1] {
	case "is":
		got := "gone"
		if exists {
			got = info.Goal.String() + "/" + info.State.String()
		}
		return compare(got, words[2])
	case "runs":
		got := "nothing"
		var running []string
		for _, p := range info.Processes {
			running = append(running, p.Kind.String())
		}
		if len(running) > 0 {
			got = strings.Join(running, " ")
		}
		return compare(got, strings.Join(words[2:], " "))
	case "left":
		return compare(strconv.Itoa(len(view.LeftBehind(class))), words[2])
	case "leaves":
		return compare(strconv.Itoa(t.world.Strays(t.owners[label])), words[2])
	case "says":
		got := info.Note
		if got == "" {
			got = "nothing"
		}
		return compare(got, strings.Join(words[2:], " "))
	case "blames":
		got := view.LastFailure(class)
		if got == "" {
			got = "nothing"
		}
		return compare(got, strings.Join(words[2:], " "))
	}
	if _, ok := parseKind(words[1]); !ok || len(words) < 4 {
		return errUsage
	}
	env, ok := t.envs[label+" "+words[1]]
	if !ok {
		return errors.New("there was no such process")
	}
	if words[2] == "sees" {
		return compare(strings.Join(env, " "), strings.Join(words[3:], " "))
	}
	for _, word := range words[3:] {
		key, want, _ := events.SplitEntry(word)
		value, set := env.Get(key)
		switch words[2] {
		case "has":
			if !set {
				return fmt.Errorf("%s is not set", key)
			}
			if err := compare(key+"="+value, key+"="+want); err != nil {
				return err
			}
		case "lacks":
			if set {
				return fmt.Errorf("%s is %q", key, value)
			}
		default:
			return errUsage
		}
	}
	return nil
}

func compare(got, want string) error {
	if got != want {
		return fmt.Errorf("it is %s", got)
	}
	return nil
}
