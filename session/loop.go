package session

import (
	"context"
	"log/slog"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/supervise"
	"github.com/session-init/session-init/supervise/keeper"
)

// supervisor is what the loop needs of package supervise.
type supervisor interface {
	Start(supervise.Spec)
	Kill(id supervise.ProcID, signal syscall.Signal, group bool)
	Adopt(supervise.Adoptee)
	Settle(id supervise.ProcID)
	Sweep(owner uint64, signal syscall.Signal, group supervise.ProcID)
	Processes(owner uint64, f func([]supervise.Stray))
}

// announcer is what the loop needs of a bus. Neither method blocks.
type announcer interface {
	Reply(engine.Reply)
	Notify(engine.Notify)
}

// Loop owns the engine: it takes what comes from the inbox in order, lets
// the engine take its step, and carries out the effects in order. One timer
// wakes it for the engine's next deadline; without deadlines and messages it
// sleeps.
type Loop struct {
	engine     *engine.Engine
	inbox      *inbox
	clock      func() time.Duration
	supervisor supervisor
	bus        announcer
	translate  translator
	log        *slog.Logger
	journal    *journal     // nil: nothing is written
	keeper     *keeper.Link // nil: there is none
	fail       func(string) // nil but in tests: called at named points
	// credentials holds processes whose user is being looked up; true when
	// one was killed meanwhile.
	credentials map[engine.ProcID]bool
	// found are processes of an earlier daemon whose state is lost, by pid.
	found map[int]supervise.Slot
	quit  bool
	// restart: the loop ends, the session does not.
	restart bool
	// complaints holds what was said of the output of jobs, to say it once.
	complaints map[complaint]bool
}

// Step hands an input to the engine; see bus.Backend.
func (l *Loop) Step(in engine.Input) { l.inbox.post(message{input: in}) }

// Read calls f between two steps, after all that was posted before; see
// bus.Backend.
func (l *Loop) Read(f func(engine.View)) { l.inbox.post(message{call: f}) }

// After a burst of work the heap is larger than what it holds. Go gives the
// rest back bit by bit, and wakes up for that for minutes; we give it back at
// once when it has become quiet, and are asleep from then on.
const (
	burst     = 128 // messages
	restAfter = 100 * time.Millisecond
)

// run works until the engine says Quit.
func (l *Loop) run() {
	timer, rest := time.NewTimer(time.Hour), time.NewTimer(time.Hour)
	defer timer.Stop()
	defer rest.Stop()
	timer.Stop()
	rest.Stop()
	busy := 0 // messages since memory was given back
	for {
		taken := l.inbox.take()
		busy += len(taken)
		for _, m := range taken {
			if m.call != nil {
				m.call(l.engine.View())
				continue
			}
			l.step(m.input)
		}
		if l.quit {
			return
		}
		if at, ok := l.engine.NextDeadline(); ok {
			timer.Reset(max(0, at-l.clock()))
		} else {
			timer.Stop()
		}
		if busy >= burst {
			rest.Reset(restAfter)
		}
		select {
		case <-l.inbox.wake:
		case <-timer.C:
			l.step(engine.Tick{})
		case <-rest.C:
			busy = 0
			go debug.FreeOSMemory()
		}
	}
}

func (l *Loop) step(in engine.Input) {
	now := l.clock()
	l.at("before-journal")
	l.journal.append(now, in)
	l.at("after-journal")
	for _, effect := range l.engine.Step(now, in) {
		l.perform(effect)
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
		if _, pending := l.credentials[effect.Proc]; pending {
			l.credentials[effect.Proc] = true
			return
		}
		l.supervisor.Kill(supervise.ProcID(effect.Proc), syscall.Signal(effect.Signal), effect.Group)
	case engine.TakeOver:
		l.takeOver(effect)
	case engine.Sweep:
		l.supervisor.Sweep(effect.Owner, syscall.Signal(effect.Signal), supervise.ProcID(effect.Group))
	case engine.Settle:
		l.supervisor.Settle(supervise.ProcID(effect.Proc))
	case engine.Reply:
		l.bus.Reply(effect)
	case engine.Notify:
		l.narrate(effect)
		l.bus.Notify(effect)
	case engine.Log:
		l.record(effect)
	case engine.Quit:
		l.quit = true
	}
}

// spawn starts a process, after its user was looked up if it has one of its
// own: name services may take their time, and the loop has none.
func (l *Loop) spawn(effect engine.Spawn) {
	spec, warning := l.translate.spec(effect)
	if warning != "" {
		l.log.Warn(warning, "job", effect.Class.Name)
	}
	if effect.Class.Setuid == "" && effect.Class.Setgid == "" {
		l.supervisor.Start(spec)
		return
	}
	l.credentials[effect.Proc] = false
	setuid, setgid := effect.Class.Setuid, effect.Class.Setgid
	go func() {
		credential, err := lookupCredential(setuid, setgid)
		l.Read(func(engine.View) {
			killed := l.credentials[effect.Proc]
			delete(l.credentials, effect.Proc)
			switch {
			case err != nil:
				l.step(engine.SpawnFailed{Proc: effect.Proc, Reason: err.Error()})
			case killed:
				l.step(engine.SpawnFailed{Proc: effect.Proc, Reason: "stopped before it began"})
			default:
				spec.Credential = credential
				l.supervisor.Start(spec)
			}
		})
	}()
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
		case supervise.Degraded:
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
		l.inbox.post(messages...)
	}
}
