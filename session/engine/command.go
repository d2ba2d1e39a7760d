package engine

import (
	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/job"
)

// find returns the instance that a target names. The error's kind is
// UnknownJob, InvalidArgs or UnknownInstance.
func (e *Engine) find(t Target, env events.Env) (*instance, *Error) {
	c := e.classes[t.Class]
	if c == nil {
		return nil, errUnknownJob(t.Class)
	}
	name := t.Instance
	if !t.ByName {
		if err := checkEnv(env); err != nil {
			return nil, err
		}
		var err *Error
		if name, err = e.instanceName(c, env); err != nil {
			return nil, err
		}
	}
	in := c.instance(name)
	if in == nil {
		return nil, errorf(UnknownInstance, "Unknown instance: %s", Label(t.Class, name))
	}
	return in, nil
}

// take lets a wish overtake whoever waits, and notes the caller: to be
// answered when the instance has come to rest, or by the caller of take when
// it does not wait.
func (e *Engine) take(in *instance, call CallID, by *events.Caller, wait bool, v verb) {
	e.release(in, false)
	in.wish = wish{reason: ByCaller, verb: v, at: e.now, by: by}
	if wait && call != 0 {
		e.await(call, by)
		in.waiters = append(in.waiters, waiter{call: call, verb: v})
		e.stir(in)
		e.noticeCycle(in)
	}
}

func (e *Engine) start(msg Start) {
	msg.Env = e.inSession(msg.Target, msg.By, msg.Env)
	in, err := e.find(msg.Target, msg.Env)
	fresh := err != nil && err.Kind == UnknownInstance && !msg.Target.ByName
	if in == nil && err.Kind != UnknownJob && checkEnv(msg.Env) == nil {
		if bare := e.displayless(msg.Target, msg.Env); bare != nil {
			err, fresh = bare, false
		}
	}
	switch {
	case err != nil && !fresh:
	case !fresh && in.goal == GoalStart && !in.waitsToRespawn():
		err = errorf(AlreadyStarted, "Job is already running: %s", in.label())
	case e.ending.begun:
		err = errEnding(verbStart)
	case fresh:
		c := e.classes[msg.Target.Class]
		name, _ := e.instanceName(c, msg.Env)
		in, err = e.newInstance(c, name), nil
	}
	if err != nil {
		e.reply(msg.Call, nil, err)
		return
	}
	if !msg.Target.ByName {
		e.begin(in, &beginning{env: msg.Env})
	}
	in.forgive()
	e.take(in, msg.Call, msg.By, msg.Wait, verbStart)
	if in.waitsToRespawn() {
		e.endDelay(in)
		e.advance(in)
	}
	e.changeGoal(in, GoalStart)
	if !msg.Wait {
		e.reply(msg.Call, in, nil)
	}
}

func (e *Engine) stop(msg Stop) {
	msg.Env = e.inSession(msg.Target, msg.By, msg.Env)
	in, err := e.find(msg.Target, msg.Env)
	if err == nil && in.goal == GoalStop && !e.inCycle(in) {
		err = errorf(AlreadyStopped, "Job has already been stopped: %s", in.label())
	}
	if err != nil {
		e.reply(msg.Call, nil, err)
		return
	}
	in.stopEnv, in.stopEvents = nil, nil
	if !msg.Target.ByName {
		in.stopEnv = msg.Env
	}
	e.take(in, msg.Call, msg.By, msg.Wait, verbStop)
	e.changeGoal(in, GoalStop)
	if !msg.Wait {
		e.reply(msg.Call, in, nil)
	}
}

// restart is goal stop and then goal start in one go. An instance that had
// main running goes round through stopping, also when a post-start or a
// pre-stop process is to end first: only a new main has new variables.
func (e *Engine) restart(msg Restart) {
	msg.Env = e.inSession(msg.Target, msg.By, msg.Env)
	in, err := e.find(msg.Target, msg.Env)
	switch {
	case err != nil:
	case e.ending.begun:
		err = errEnding(verbRestart)
	case in.goal == GoalStop:
		err = errorf(AlreadyStopped, "Job has already been stopped: %s", in.label())
	}
	if err != nil {
		e.reply(msg.Call, nil, err)
		return
	}
	if !msg.Target.ByName {
		e.begin(in, &beginning{env: msg.Env})
	}
	in.stopEnv, in.stopEvents = nil, nil
	in.forgive()
	e.take(in, msg.Call, msg.By, msg.Wait, verbRestart)
	if in.state == PostStart || in.state == Running || in.state == PreStop {
		in.again = true
	}
	waited := in.waitsToRespawn()
	if waited {
		e.endDelay(in)
	}
	e.changeGoal(in, GoalStop)
	e.changeGoal(in, GoalStart)
	if waited {
		e.advance(in)
	}
	if !msg.Wait {
		e.reply(msg.Call, in, nil)
	}
}

func (e *Engine) reload(msg Reload) {
	in, err := e.find(msg.Target, nil)
	if err == nil {
		if main := in.procs[0]; main.id != 0 && main.pid != 0 {
			signal, sender := in.class.def.ReloadSignal, SentToReload
			if msg.Signal != 0 {
				signal, sender = msg.Signal, SentByCaller
			}
			in.signalled(job.Main, signal, sender)
			e.do(Kill{Proc: main.id, Signal: signal})
		} else {
			err = e.notRunning(in)
		}
	}
	e.reply(msg.Call, nil, err)
}

func (e *Engine) emit(msg Emit) {
	if msg.Startup {
		e.startupDue = false
	}
	err := checkEnv(msg.Env)
	if msg.Name == "" {
		err = errorf(InvalidArgs, "Event name may not be empty string")
	}
	e.keepFiles(msg.File)
	if err != nil {
		e.dropFiles(msg.File)
		e.reply(msg.Call, nil, err)
		return
	}
	ev := e.newEvent(msg.Name, msg.Env)
	ev.File = msg.File
	if msg.Call != 0 || msg.By != nil {
		ev.Source, ev.By = events.FromCaller, msg.By
	}
	if msg.Wait {
		e.await(msg.Call, msg.By)
		ev.Call = uint64(msg.Call)
		return
	}
	e.reply(msg.Call, nil, nil)
}

// errEnding refuses a start when the session is ending.
func errEnding(v verb) *Error {
	err := errorf(JobFailed, "%s", failureText[v])
	err.Reason = "the session is ending"
	return err
}
