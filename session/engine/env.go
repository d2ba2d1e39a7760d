package engine

import (
	"slices"
	"strings"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/job"
)

// reservedKeys are set by us alone, last of all.
var reservedKeys = []string{"UPSTART_JOB", "UPSTART_INSTANCE", "UPSTART_SESSION", "UPSTART_EVENTS", "UPSTART_STOP_EVENTS"}

// checkEnv refuses what is not a list of KEY=VALUE.
func checkEnv(env events.Env) *Error {
	for _, entry := range env {
		if !strings.Contains(entry, "=") {
			return errorf(InvalidArgs, "Env must be KEY=VALUE pairs: '%s' has no '='", entry)
		}
	}
	return nil
}

// stanza resolves an entry of an "env" stanza: a key alone takes the
// daemon's value, and is nothing without one.
func (e *Engine) stanza(entry string) (string, bool) {
	if strings.Contains(entry, "=") {
		return entry, true
	}
	value, ok := e.cfg.Daemon.Get(entry)
	return entry + "=" + value, ok
}

// classLookup finds a variable in the given ones, the stanzas of the class
// and the table, strongest first.
func (e *Engine) classLookup(def *job.Class, env events.Env) events.Lookup {
	return func(name string) (string, bool) {
		if value, ok := env.Get(name); ok {
			return value, true
		}
		for i := len(def.Env) - 1; i >= 0; i-- {
			key, _, _ := events.SplitEntry(def.Env[i])
			if key != name {
				continue
			}
			if entry, ok := e.stanza(def.Env[i]); ok {
				_, value, _ := events.SplitEntry(entry)
				return value, true
			}
		}
		return e.table.Get(name)
	}
}

// lookup finds a variable of an instance, as its conditions and its events
// see it.
func (e *Engine) lookup(in *instance) events.Lookup {
	below := e.classLookup(in.class.def, in.env)
	return func(name string) (string, bool) {
		if strings.HasPrefix(name, "UPSTART_") && slices.Contains(reservedKeys, name) {
			return e.reserved(in).Get(name)
		}
		return below(name)
	}
}

// reserved returns the variables that say who a process is.
func (e *Engine) reserved(in *instance) events.Env {
	env := events.Env{"UPSTART_JOB=" + in.class.def.Name, "UPSTART_INSTANCE=" + in.name}
	if e.cfg.Session != "" {
		env = append(env, "UPSTART_SESSION="+e.cfg.Session)
	}
	if len(in.startEvents) > 0 {
		env = append(env, "UPSTART_EVENTS="+strings.Join(in.startEvents, " "))
	}
	return env
}

// instanceName expands the class's template in the environment that a start
// with these variables would have.
func (e *Engine) instanceName(c *class, env events.Env) (string, *Error) {
	name, err := events.Expand(c.def.Instance, e.classLookup(c.def, env))
	if err != nil {
		text := err.Error()
		return "", errorf(InvalidArgs, "%s", strings.ToUpper(text[:1])+text[1:])
	}
	return name, nil
}

// instanceEnv is the environment of an instance: table, stanzas, variables of
// its start, each key once.
func (e *Engine) instanceEnv(in *instance) events.Env {
	def := in.class.def
	own := make(events.Env, 0, len(def.Env)+len(in.env))
	for _, entry := range def.Env {
		if entry, ok := e.stanza(entry); ok {
			own = append(own, entry)
		}
	}
	return e.table.Merge(append(own, in.env...))
}

// processEnv is the complete environment of a process.
func (e *Engine) processEnv(in *instance, kind job.ProcessKind) events.Env {
	env := e.instanceEnv(in)
	stops := kind == job.PreStop || kind == job.PostStop
	if stops && len(in.stopEnv) > 0 {
		env = env.Merge(in.stopEnv)
	}
	env = slices.DeleteFunc(env, func(entry string) bool {
		key, _, _ := events.SplitEntry(entry)
		return strings.HasPrefix(key, "UPSTART_") && slices.Contains(reservedKeys, key)
	})
	env = append(env, e.reserved(in)...)
	if stops && len(in.stopEvents) > 0 {
		env = append(env, "UPSTART_STOP_EVENTS="+strings.Join(in.stopEvents, " "))
	}
	if e.cfg.PathEnd != "" {
		path, _ := env.Get("PATH")
		if path != "" {
			path += ":"
		}
		env = env.Set("PATH=" + path + e.cfg.PathEnd)
	}
	return env
}

// setEnv changes the table or, for one instance, its variables.
func (e *Engine) setEnv(msg SetEnv) {
	err := e.changeEnv(msg)
	e.reply(msg.Call, nil, err)
}

func (e *Engine) changeEnv(msg SetEnv) *Error {
	if msg.Class != "" {
		in, err := e.find(Target{Class: msg.Class, Instance: msg.Target, ByName: true}, nil)
		if err != nil {
			return err
		}
		have := e.lookup(in)
		in.env = edit(in.env.Clone(), have, msg)
		e.rewatch(in)
		return nil
	}
	if msg.Reset {
		e.table = e.firstTable.Clone()
	}
	e.table = edit(e.table, e.table.Get, msg)
	for _, c := range e.order {
		if !c.def.StopOn.HasVariables() {
			continue
		}
		for in := c.first; in != nil; in = in.next {
			e.rewatch(in)
		}
	}
	return nil
}

func edit(env events.Env, have events.Lookup, msg SetEnv) events.Env {
	for _, entry := range msg.Entries {
		key, _, ok := events.SplitEntry(entry)
		if !ok {
			entry += "="
		}
		if _, set := have(key); set && !msg.Replace {
			continue
		}
		env = env.Set(entry)
	}
	for _, key := range msg.Unset {
		env = env.Unset(key)
	}
	return env
}
