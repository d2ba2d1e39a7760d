package session

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/state"
	"github.com/session-init/session-init/supervise"
)

// patience is how many daemons in a row may die over the same state, before
// they are ready, until one goes on without it.
const patience = 3

// resume makes the engine: that of an earlier daemon of this session, if one
// died or handed over, else a new one. A state that cannot be restored costs
// its memory, never a process: see salvage.
func (d *Daemon) resume(cfg engine.Config) (e *engine.Engine, resumed bool) {
	snapshot, entries, err := state.Load(d.statePath(), bootID())
	if err == nil && d.opts.Keeper != nil && d.opts.Keeper.Unready >= patience {
		err = fmt.Errorf("%d daemons died with this state", d.opts.Keeper.Unready)
	}
	if err == nil {
		if d.opts.Fail != nil {
			d.opts.Fail("resuming")
		}
		var left []state.Entry
		e, left, err = state.Replay(cfg, snapshot, entries)
		for _, entry := range left {
			d.log.Error(fmt.Sprintf("left out %T: the last daemon died of it", entry.Input))
		}
	}
	if err == nil {
		e.Forsake()
		return e, true
	}
	if !errors.Is(err, state.ErrNone) {
		d.log.Error("cannot go on where the last daemon was: " + err.Error())
		d.lost = true
	}
	return engine.New(cfg), false
}

func (d *Daemon) statePath() string { return filepath.Join(d.runtime.own, "state") }
func (d *Daemon) slotPath() string  { return filepath.Join(d.runtime.own, "slots") }

// What the keeper holds, by name.
const (
	socketName = "socket"
	lockName   = "lock"
)

// entrust has the keeper hold what must outlive this daemon.
func (d *Daemon) entrust() error {
	if d.opts.Keeper == nil {
		return nil
	}
	err := d.server.WithSocket(func(fd int) error { return d.opts.Keeper.Hold(socketName, fd) })
	if err == nil {
		err = d.server.WithReadOnly(func(fd int) error { return d.opts.Keeper.Hold(readOnlyName, fd) })
	}
	if err == nil && d.runtime.lock != nil {
		err = d.opts.Keeper.Hold(lockName, int(d.runtime.lock.Fd()))
	}
	return err
}

// monotonic is the engine's clock. It means the same to every daemon of one
// boot, and stands still while the machine sleeps.
func monotonic() time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		panic("session: no monotonic clock: " + err.Error())
	}
	return time.Duration(now.Nano())
}

// adopt takes over the processes of the last daemon: those that the engine
// believes in are compared with what was recorded when they were made. One
// that has no record was never made, and is made now.
func (d *Daemon) adopt(slots []supervise.Slot) {
	recorded := make(map[supervise.ProcID]supervise.Slot, len(slots))
	for _, slot := range slots {
		recorded[slot.ID] = slot
	}
	adopted := 0
	var lost []engine.Spawn
	for _, live := range d.engine.Live() {
		slot, found := recorded[supervise.ProcID(live.Proc)]
		delete(recorded, slot.ID)
		spawn, ok := d.engine.Reissue(live.Proc)
		if found && slot.Pid != 0 {
			adopted++
			adoptee := supervise.Adoptee{Slot: slot, Owner: live.Owner, Reported: live.Pid != 0,
				Follow: follow[live.Expect], Forks: live.Forks}
			if ok {
				spec, _ := d.translate.spec(spawn)
				if spec.Notify != "" {
					spec.Notify = d.translate.boundPath(spawn.Class, spawn.Instance)
				}
				adoptee.Spec = &spec
				d.adoptName(spawn, live)
				d.lookLater(spawn)
			}
			d.processes.Adopt(adoptee)
			if live.Watched {
				// It may have said so while nobody listened.
				d.Step(engine.Notified{Proc: live.Proc, Alive: true})
			}
			continue
		}
		if ok {
			lost = append(lost, spawn)
		}
	}
	d.processes.Adopted()
	for _, spawn := range lost {
		d.spawn(spawn)
	}
	for _, effect := range d.engine.Unsure() {
		d.perform(effect)
	}
	d.log.Log(context.Background(), levelMessage, "goes on where the last daemon was", "processes", adopted)
}

// salvage makes what it can of processes whose daemon left no state that can
// be used: each says in its environment of which instance it is. It is called
// after the first load, and reports whether there were any.
func (d *Daemon) salvage(slots []supervise.Slot) bool {
	d.found = make(map[int]supervise.Slot)
	for _, slot := range slots {
		if slot.State != supervise.SlotRunning && slot.State != supervise.SlotInFlight {
			continue
		}
		environ, ok := slot.Environ()
		if !ok {
			continue
		}
		job, isJob := events.Env(environ).Get("UPSTART_JOB")
		instance, _ := events.Env(environ).Get("UPSTART_INSTANCE")
		if isJob {
			d.found[slot.Pid] = slot
			d.Step(engine.Adopt{Class: job, Instance: instance, Pid: slot.Pid})
		}
	}
	d.Read(func(engine.View) { d.processes.Adopted() })
	return len(d.found) > 0
}

// takeOver follows a process that salvage has found.
func (l *Loop) takeOver(effect engine.TakeOver) {
	slot := l.found[effect.Pid]
	delete(l.found, effect.Pid)
	slot.ID = supervise.ProcID(effect.Proc)
	l.supervisor.Adopt(supervise.Adoptee{Slot: slot, Owner: effect.Owner, Reported: true})
}
