package engine

import "github.com/session-init/session-init/events"

// A transient job is in no file: a client defines it and starts it in one go,
// and when its instance has ended it is gone. It is a definition that is
// dropped as soon as it is in use.

func (e *Engine) runTransient(msg RunTransient) {
	def, parseErr := msg.Definition.Parse()
	err := checkEnv(msg.Env)
	switch {
	case err != nil:
	case parseErr != nil:
		err = errorf(InvalidArgs, "%s", parseErr)
	case e.classes[def.Name] != nil:
		err = errorf(InvalidArgs, "There is a job of that name already: %s", def.Name)
	case def.StartOn != nil || def.Instance != "":
		err = errorf(InvalidArgs, "cannot run job %s once: it has 'start on' or 'instance'", def.Name)
	case e.ending.begun:
		err = errEnding(verbStart)
	}
	if err != nil {
		e.reply(msg.Call, nil, err)
		return
	}
	// The variables of the caller name its own session, or an old one.
	env := events.Env{}.Merge(msg.Env).Unset(sessionKey)
	if s := e.callers(msg.By); s != nil && s.stop == nil && !def.Linger {
		env = append(env, s.entry())
	}
	e.setClass(def)
	e.start(Start{Call: msg.Call, By: msg.By, Target: Target{Class: def.Name}, Env: env, Wait: msg.Wait})
	e.dropClass(def.Name)
}
