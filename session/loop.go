package session

import (
	"context"
	"log/slog"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/guard"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
	"github.com/session-init/session-init/session/socket"
	"github.com/session-init/session-init/supervise"
	"github.com/session-init/session-init/supervise/footprint"
	"github.com/session-init/session-init/supervise/keeper"
)

// supervisor is what the loop needs of package supervise.
type supervisor interface {
	Start(supervise.Spec)
	Kill(id supervise.ProcID, signal syscall.Signal, group bool)
	Adopt(supervise.Adoptee)
	Settle(id supervise.ProcID)
	Examine(id supervise.ProcID, names []supervise.NameOwner)
	Sweep(owner uint64, signal syscall.Signal, group supervise.ProcID)
	Processes(owner uint64, f func([]supervise.Stray))
	Wake()
}

// announcer is what the loop needs of a bus. No method blocks; Stepping is
// called before each step, Stepped when its effects are carried out.
type announcer interface {
	Stepping(engine.Input)
	Stepped(engine.View)
	Reply(engine.Reply)
	Notify(engine.Notify)
}

// Loop owns the engine: it takes what comes from the inbox in order, lets
// the engine take its step, and carries out the effects in order. It has no
// goroutine of its own: the supervisor's thread gives it a turn whenever
// something was posted, or the engine's next deadline has come.
type Loop struct {
	engine     *engine.Engine
	inbox      inbox
	clock      func() time.Duration
	supervisor supervisor
	bus        announcer
	translate  translator
	log        *slog.Logger
	sockets    *socket.Set
	journal    *journal     // nil: nothing is written
	keeper     *keeper.Link // nil: there is none
	guard      *guard.Guard
	fail       func(string) // nil but in tests: called at named points
	// credentials holds processes whose user is being looked up, or whose env
	// files are being read; true when one was killed meanwhile.
	credentials map[engine.ProcID]bool
	// found are processes of an earlier daemon whose state is lost, by pid.
	found map[int]supervise.Slot
	quit  bool
	// names is where bus names are owned, nil when no bus is joined; awaited
	// are those of jobs.
	names   nameBus
	awaited map[engine.ProcID]*awaitedName
	// activator starts services for the bus, nil: nobody does.
	activator *activator
	// looks are when it is looked what those do that are not ready, in that
	// order.
	looks []look
	// sessionOver is called when a login session is gone; nil: nothing is.
	sessionOver func(engine.SessionOver)
	// answered is called when the engine answers our own call; nil: there is none.
	answered func()
	// defined is called with each definition that the engine gets; nil: nothing
	// is.
	defined func(*job.Class)
	// stepDone is called after each step; nil: nothing is.
	stepDone func(engine.View)
	// ending is called once, when the end of the session has begun; nil: nothing
	// is.
	ending func()
	// open: turns may begin; what is above and below is the loop's from then
	// on. ended is closed when there will be no more.
	open  atomic.Bool
	ended chan struct{}
	over  bool
	busy  int           // messages since memory was given back
	rest  time.Duration // when to give it back
	pause time.Duration // from the next message to that, when they are few
	// release asks the collector of garbage; nil until it is needed.
	release chan struct{}
	// restart: the loop ends, the session does not.
	restart bool
	// config is the engine's; simulations are asked for, the first is under
	// way.
	config      engine.Config
	simulations []simulation
	// complaints holds what was said of the output of jobs, to say it once.
	complaints map[complaint]bool
}

// Step hands an input to the engine; see bus.Backend.
func (l *Loop) Step(in engine.Input) { l.post(message{input: in}) }

// Read calls f between two steps, after all that was posted before; see
// bus.Backend.
func (l *Loop) Read(f func(engine.View)) { l.post(message{call: f}) }

// post adds messages in order, and has the loop take a turn.
func (l *Loop) post(messages ...message) {
	l.inbox.post(messages...)
	if l.open.Load() {
		l.supervisor.Wake()
	}
}

// After work the heap is larger than what it holds. Go gives the rest back bit
// by bit, and wakes up for that for minutes; we give it back at once, and are
// asleep from then on: when it has been quiet for restAfter, and, but for a
// burst, some time after the first message. That is longer each time, from
// firstRest on, so that one call a second is not answered by a collection of
// garbage a second; a burst has it begin anew.
const (
	burst     = 128 // messages
	restAfter = 100 * time.Millisecond
	firstRest = 250 * time.Millisecond
	lastRest  = time.Minute
)

// turnMessages is how many messages the loop takes before the supervisor may
// look at its children again.
const turnMessages = 256

// turn does what there is to do, and tells how long the loop may sleep if
// nothing is posted; less than zero is for ever. It is called on the
// supervisor's thread, so that what a process did leads to the next one
// without waking anybody, and does nothing before open and after the end.
func (l *Loop) turn() (sleep time.Duration) {
	if !l.open.Load() || l.over {
		return -1
	}
	taken, more := l.inbox.take(turnMessages)
	for _, m := range taken {
		if m.call != nil {
			m.call(l.engine.ViewAt(l.clock()))
		} else {
			l.step(m.input)
		}
	}
	now := l.clock()
	at, due := l.engine.NextDeadline()
	if due && at <= now && !l.quit {
		l.step(engine.Tick{})
		now = l.clock()
		at, due = l.engine.NextDeadline()
	}
	// Also what was so from the beginning: a daemon may take over a session
	// of which the last one had all but this done.
	if l.quit {
		l.over = true
		close(l.ended)
		return -1
	}
	sleep = -1
	if due {
		sleep = max(0, at-now)
	}
	if sleep = l.look(now, sleep); more {
		sleep = 0
	}
	return l.calm(len(taken), now, sleep)
}

// calm gives memory back some time after work, and returns the time to sleep,
// which it may shorten. Where nothing has happened it does nothing.
func (l *Loop) calm(taken int, now, sleep time.Duration) time.Duration {
	if taken > 0 {
		if l.busy == 0 {
			l.pause = max(l.pause, firstRest)
			l.rest = now + l.pause
		}
		if l.busy += taken; l.busy >= burst {
			l.rest, l.pause = now, 0
		}
		l.rest = max(l.rest, now+restAfter)
	}
	if l.busy == 0 {
		return sleep
	}
	if now >= l.rest {
		l.busy, l.pause = 0, min(2*l.pause, lastRest)
		if l.release == nil {
			l.release = make(chan struct{}, 1)
			l.guard.Go("collector of garbage", func() { footprint.Work(l.release, l.ended) })
		}
		select {
		case l.release <- struct{}{}:
		default: // it was asked already
		}
		return sleep
	}
	if left := l.rest - now; sleep < 0 || left < sleep {
		return left
	}
	return sleep
}

func (l *Loop) step(in engine.Input) {
	now := l.clock()
	l.at("before-journal")
	l.journal.append(now, in)
	l.at("after-journal")
	l.bus.Stepping(in)
	for _, effect := range l.engine.Step(now, in) {
		l.perform(effect)
	}
	l.bus.Stepped(l.engine.ViewAt(now))
	if l.stepDone != nil {
		l.stepDone(l.engine.ViewAt(now))
	}
	if len(l.awaited) > 0 {
		l.stepped(in)
	}
	if l.ending != nil && l.engine.ViewAt(now).Ending() {
		l.ending()
		l.ending = nil
	}
	if set, ok := in.(engine.SetClass); ok && l.defined != nil {
		l.defined(set.Class)
	}
	l.at("after-step")
	l.journal.taken()
}

// at passes a named point, at which a test may end the daemon.
func (l *Loop) at(point string) {
	if l.fail != nil {
		l.fail(point)
	}
}

// perform carries out one effect. Nothing here waits for anything.
func (l *Loop) perform(effect engine.Effect) {
	switch effect := effect.(type) {
	case engine.Spawn:
		l.spawn(effect)
	case engine.Kill:
		if killed, pending := l.credentials[effect.Proc]; pending {
			if !killed {
				// What is read or asked may never answer.
				l.credentials[effect.Proc] = true
				l.Step(engine.SpawnFailed{Proc: effect.Proc, Reason: "stopped before it began"})
			}
			return
		}
		l.supervisor.Kill(supervise.ProcID(effect.Proc), syscall.Signal(effect.Signal), effect.Group)
	case engine.TakeOver:
		l.takeOver(effect)
	case engine.Sweep:
		l.supervisor.Sweep(effect.Owner, syscall.Signal(effect.Signal), supervise.ProcID(effect.Group))
	case engine.Settle:
		l.supervisor.Settle(supervise.ProcID(effect.Proc))
	case engine.Listen:
		l.sockets.Listen(effect.Class, effect.Sockets)
	case engine.AwaitConnection:
		l.sockets.Await(effect.Class)
	case engine.DropFile:
		l.sockets.DropEvent(effect.File)
	case engine.Reply:
		if effect.Call == endCall && l.answered != nil {
			l.answered()
			return
		}
		if !l.activator.replied(effect) {
			l.bus.Reply(effect)
		}
	case engine.Notify:
		if effect.Kind == engine.InstanceRemoved {
			l.sockets.RemoveAll(effect.Class, effect.Instance)
		}
		l.narrate(effect)
		l.bus.Notify(effect)
		l.activator.noted(effect)
	case engine.Log:
		l.record(effect)
	case engine.SessionOver:
		if l.sessionOver != nil {
			l.sessionOver(effect)
		}
	case engine.Quit:
		l.quit = true
	}
}

// spawn starts a process, after its user was looked up and its env files were
// read, if it has such: name services and file systems may take their time,
// and the loop has none.
func (l *Loop) spawn(effect engine.Spawn) {
	l.awaitName(effect, false)
	l.lookLater(effect)
	spec, warning := l.translate.spec(effect)
	if warning != "" {
		l.log.Warn(warning, "job", effect.Class.Name)
	}
	setuid, setgid := effect.Class.Setuid, effect.Class.Setgid
	opening := effect.Kind == job.Main && l.sockets.Busy(effect.Class.Name)
	if setuid == "" && setgid == "" && len(effect.Class.EnvFiles) == 0 && !opening {
		l.launch(spec, effect)
		return
	}
	l.credentials[effect.Proc] = false
	pathEnd, translate := l.config.PathEnd, l.translate
	l.guard.Go("preparation of a process", func() {
		env, err := withEnvFiles(effect, pathEnd)
		if err == nil && setuid+setgid != "" {
			spec.Credential, err = lookupCredential(systemNames(), setuid, setgid)
		}
		spec.Env = env
		translate.notifies(&spec, effect)
		if opening {
			l.sockets.WaitFor(effect.Class.Name)
		}
		l.Read(func(engine.View) {
			killed := l.credentials[effect.Proc]
			delete(l.credentials, effect.Proc)
			switch {
			case killed:
				// It was told when that happened.
			case err != nil:
				l.step(engine.SpawnFailed{Proc: effect.Proc, Reason: err.Error()})
			default:
				l.launch(spec, effect)
			}
		})
	})
}

// LogPath is where an instance's output goes; see bus.Backend. It is called
// between two steps.
func (l *Loop) LogPath(class *job.Class, instance string) string {
	return l.translate.logPath(class, instance)
}

// Processes lists the live processes of an instance, main first where it is
// the oldest; see bus.Backend. /proc is read beside the loop.
func (l *Loop) Processes(class, instance string, done func([]engine.Stray)) {
	l.Read(func(v engine.View) {
		info, _ := v.Instance(class, instance)
		if info.Owner == 0 {
			done(nil)
			return
		}
		l.supervisor.Processes(info.Owner, func(list []supervise.Stray) {
			l.Read(func(engine.View) { done(strays(list)) })
		})
	})
}

// supervised takes what the supervisor reports; called on its thread.
func (l *Loop) supervised(batch []supervise.Event) {
	messages := make([]message, 0, len(batch))
	for _, event := range batch {
		switch event := event.(type) {
		case supervise.Orphan:
			if l.log.Enabled(context.Background(), slog.LevelDebug) {
				l.log.Debug("Reaped an orphan", "pid", event.Pid, "status", event.Status, "signal", int(event.Signal))
			}
		case supervise.AllAdopted:
			messages = append(messages, message{call: func(engine.View) {
				if err := l.keeper.Sync(); err != nil {
					l.log.Warn(err.Error())
				}
			}})
		case supervise.Worked:
			messages = append(messages, message{call: func(engine.View) {}}) // calm counts it
		case supervise.Told:
			messages = append(messages, message{call: func(engine.View) {
				l.at("before-seen")
				if err := l.keeper.Seen(event.Pid); err != nil {
					l.log.Warn(err.Error())
				}
			}})
		case supervise.OutputLost:
			messages = append(messages, message{call: func(engine.View) { l.complain(event.Label, 0, event.Errno, event) }})
		case supervise.OutputFault:
			messages = append(messages, message{call: func(engine.View) { l.complain(event.Label, 1+event.Problem, event.Errno, event) }})
		case supervise.Ungrouped:
			l.log.Info(event.Error())
		case supervise.Claimed:
			messages = append(messages, message{call: func(engine.View) { l.claimed(event) }})
		case supervise.NotifyRefused:
			l.log.Warn(event.Error(), "job", event.Label)
		case supervise.Barrier:
			// After all that was said before has been dealt with.
			messages = append(messages, message{call: func(engine.View) { unix.Close(event.FD) }})
		case supervise.Stored:
			messages = append(messages, message{call: func(v engine.View) { l.store(v, event) }})
		case supervise.Unstored:
			messages = append(messages, message{call: func(v engine.View) {
				if class, instance, ok := v.Process(engine.ProcID(event.ID)); ok {
					l.sockets.Remove(class, instance, event.Name)
				}
			}})
		case supervise.Unprivileged:
			l.log.Warn(event.Error(), "job", event.Label)
		case supervise.Lingers:
			l.log.Warn(event.Error(), "job", event.Label)
			messages = append(messages, message{input: engine.Misfit{Proc: engine.ProcID(event.ID), What: event.Error()}})
		case supervise.Degraded:
			l.log.Warn(event.Error(), "job", event.Label)
		case supervise.Retrying:
			l.log.Warn(event.Error(), "job", event.Label)
		case supervise.UnexpectedStop:
			l.log.Warn(event.Error(), "job", event.Label)
		default:
			if in := input(event); in != nil {
				messages = append(messages, message{input: in})
			}
		}
	}
	if len(messages) > 0 {
		l.post(messages...)
	}
}
