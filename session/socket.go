package session

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
	"github.com/session-init/session-init/session/socket"
	"github.com/session-init/session-init/supervise"
)

// Descriptors that a job gets: the sockets of its "start on socket", what came
// with the events that started it, and what it has stored; see sd_listen_fds(3). Package socket holds them.

// newSockets makes the set of them.
func (d *Daemon) newSockets() *socket.Set {
	return socket.New(socket.Options{
		Guard: d.guard, Holder: d.opts.Keeper, Runtime: d.runtime.base,
		Called: func(class, address string) { d.Step(engine.Connection{Class: class, Address: address}) },
		Opened: func(class string, faults []socket.Fault) {
			outcome := engine.Listening{Class: class}
			for _, fault := range faults {
				outcome.Faults = append(outcome.Faults, engine.SocketFault(fault))
			}
			d.Step(outcome)
		},
	})
}

// resumeSockets takes over what an earlier daemon has held.
func (d *Daemon) resumeSockets() {
	for _, effect := range d.engine.Sockets() {
		d.perform(effect)
	}
	if lost := d.sockets.TakeEvents(d.engine.Files()); len(lost) > 0 {
		d.log.Warn("descriptors that came with events are lost: jobs that are to get them cannot be started by those", "lost", len(lost))
	}
	view := d.engine.View()
	d.sockets.TakeStores(func(class, instance string) bool {
		_, there := view.Instance(class, instance)
		return there
	})
}

// launch starts a process that all is known of; a main one with its descriptors.
func (l *Loop) launch(spec supervise.Spec, effect engine.Spawn) {
	if effect.Kind == job.Main {
		if err := l.giveFiles(&spec, effect); err != nil {
			l.Step(engine.SpawnFailed{Proc: effect.Proc, Reason: err.Error()})
			return
		}
	}
	l.supervisor.Start(spec)
}

// giveFiles lays descriptors, and the variables that tell of them, into a spec.
// Nothing that the job sets is stronger.
func (l *Loop) giveFiles(spec *supervise.Spec, effect engine.Spawn) error {
	fds, names, told, err := l.sockets.Files(effect.Class.Name, effect.Instance, effect.Files)
	if err != nil || len(fds) == 0 {
		return err
	}
	env := events.Env(spec.Env).Clone().Unset("LISTEN_PID").
		Set("LISTEN_FDS=" + strconv.Itoa(len(fds))).
		Set("LISTEN_FDNAMES=" + strings.Join(names, ":"))
	if told > 0 {
		numbers := make([]string, told)
		for i := range numbers {
			numbers[i] = strconv.Itoa(supervise.FirstFile + i)
		}
		env = env.Set("UPSTART_FDS=" + strings.Join(numbers, " "))
	}
	spec.Env, spec.Files = env, fds
	spec.PidVariables = append(spec.PidVariables, "LISTEN_PID")
	return nil
}

// store keeps what a job has laid aside.
func (l *Loop) store(v engine.View, event supervise.Stored) {
	class, instance, ok := v.Process(engine.ProcID(event.ID))
	if !ok {
		for _, fd := range event.FDs {
			unix.Close(fd)
		}
		return
	}
	if err := l.sockets.Store(class, instance, event.Name, event.FDs); err != nil {
		l.log.Warn(engine.Label(class, instance)+": "+err.Error(), "job", class)
	}
}

// Stored lists what an instance has laid aside; see bus.Backend.
func (l *Loop) Stored(class, instance string) []string { return l.sockets.Stored(class, instance) }

// Waiting counts who waits at the sockets of a job; see bus.Backend.
func (l *Loop) Waiting(class string) map[string]int { return l.sockets.Waiting(class) }

// StepWithFile is Step for an input that carries a descriptor; see bus.Backend.
func (l *Loop) StepWithFile(fd int, in func(file uint64) engine.Input, refuse func(error)) {
	l.Read(func(engine.View) {
		file, err := l.sockets.KeepEvent(fd)
		if err != nil {
			refuse(err)
			return
		}
		l.step(in(file))
	})
}
