package engine

import "github.com/session-init/session-init/session/job"

// setGoal changes the goal for what the instance itself has done.
func (e *Engine) setGoal(in *instance, goal Goal) {
	if in.goal != goal {
		if goal == GoalStop && in.wish.reason != ByNobody && in.begun == nil {
			before := in.wish
			in.begun = &before
		}
		in.wish = wish{reason: ByItself, at: e.now}
		e.turn(in, goal)
	}
}

// turn changes the goal, which is another one, and announces it; the instance
// is not pushed.
func (e *Engine) turn(in *instance, goal Goal) {
	if e.cfg.Debug {
		e.debugf(in, "%s (#%d) goal changed from %s to %s", in.class.def.Name, in.seq, in.goal, goal)
	}
	in.goal = goal
	e.stir(in)
	if goal == GoalStart {
		e.wanted++
	} else {
		e.wanted--
		in.delayed = false // what comes after a stop is no respawn
	}
	e.notify(GoalChanged, in, goal.String())
}

// changeGoal changes the goal for what in.wish says, and pushes the instance
// where it waits for nothing but a wish.
func (e *Engine) changeGoal(in *instance, goal Goal) {
	if in.goal == goal {
		return
	}
	e.turn(in, goal)
	switch in.state {
	case Waiting:
		e.advance(in)
	case Running, InSpawned:
		if goal == GoalStop {
			e.advance(in)
		}
	case PostStop:
		if in.waitsToRespawn() {
			e.endDelay(in)
			e.advance(in)
		}
	}
}

// advance takes an instance that has got what it waited for through as many
// states as need no waiting.
func (e *Engine) advance(in *instance) {
	for {
		to, ok := nextState(in.state, in.goal, in.facts())
		if !ok {
			if in.state == PostStop {
				e.delay(in)
			}
			return
		}
		from := in.state
		if from == InSpawned {
			// Whether main is ready in time does not matter any more.
			e.clearDeadline(in)
		}
		if e.cfg.Debug {
			e.debugf(in, "%s (#%d) state changed from %s to %s", in.class.def.Name, in.seq, from, to)
		}
		in.state, in.since = to, e.now
		if in.timing != nil {
			e.noteState(in)
		}
		e.notify(StateChanged, in, to.String())
		if !e.enter(in, from) {
			return
		}
	}
}

// enter does what belongs to the state that the instance has come to. It
// reports whether there is nothing to wait for in it.
func (e *Engine) enter(in *instance, from State) bool {
	switch in.state {
	case Starting:
		e.enterStarting(in)
		return false
	case PreStart:
		in.ends.force = false
		return !e.spawn(in, job.PreStart)
	case InSpawned:
		// A start that came after a forced stop goes on.
		in.ends.force, in.ends.struck = false, false
		return !e.spawn(in, job.Main)
	case PostStart:
		e.guard(in)
		return !e.spawn(in, job.PostStart)
	case Running:
		e.enterRunning(in, from)
		return false
	case PreStop:
		return !e.spawn(in, job.PreStop)
	case Stopping:
		e.unguard(in)
		in.again = false
		e.emitJobEvent(in, "stopping", true)
		return false
	case Killed:
		return !e.endProcesses(in)
	case PostStop:
		in.ends.struck = false
		return !e.spawn(in, job.PostStop)
	case Waiting:
		e.emitJobEvent(in, "stopped", false)
		e.remove(in)
		return false
	}
	return false
}

// enterStarting begins a pass: what is known of an earlier one is forgotten,
// and the variables of the newest start come into force.
func (e *Engine) enterStarting(in *instance) {
	in.failed, in.failure, in.result = false, "", failure{}
	in.class.failure = ""
	e.listenAgain(in.class)
	in.mainRan, in.main, in.forks, in.settling, in.note = false, 0, 0, false, ""
	in.ready, in.said, in.begun = Readiness{}, nil, nil
	in.owner, in.ends = 0, ends{}
	if newer := in.newer; newer != nil {
		e.dropFiles(in.files...)
		in.env, in.startEvents, in.files = newer.env, newer.events, newer.files
		in.newer = nil
		in.edits = nil
	}
	in.stopEnv, in.stopEvents = nil, nil
	in.lateStart = e.ending.begun
	e.noteStart(in)
	e.rewatch(in)
	e.emitJobEvent(in, "starting", true)
}

// enterRunning completes a start, or cancels a stop: then nothing more is to
// be waited for, with a task neither.
func (e *Engine) enterRunning(in *instance, from State) {
	if from == PreStop {
		in.stopEnv, in.stopEvents = nil, nil
	} else {
		in.ranSince = e.now
		e.emitJobEvent(in, "started", false)
	}
	if from == PreStop || !in.class.def.Task {
		e.release(in, false)
	}
}
