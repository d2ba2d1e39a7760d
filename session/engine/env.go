package engine

import (
	"slices"
	"strings"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/job"
)

// ourPrefix begins the names of variables that are ours.
const ourPrefix = "UPSTART_"

// reservedKeys are set by us alone, last of all.
var reservedKeys = []string{"UPSTART_JOB", "UPSTART_INSTANCE", "UPSTART_SESSION", "UPSTART_EVENTS", "UPSTART_STOP_EVENTS", loginKey}

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
	return func(name string) (string, bool) { return e.classVariable(def, env, name) }
}

func (e *Engine) classVariable(def *job.Class, env events.Env, name string) (string, bool) {
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
	if s := e.loginOf(env); s != nil {
		if value, ok := s.layer.Get(name); ok {
			return value, true
		}
	}
	return e.table.Get(name)
}

// lookup finds a variable of an instance, as its conditions and its events
// see it: what tells a process who it is, as UPSTART_JOB does, is not among
// them, but UPSTART_EVENTS came with the start like the events' variables.
func (e *Engine) lookup(in *instance) events.Lookup {
	return func(name string) (string, bool) {
		if len(in.startEvents) > 0 && name == "UPSTART_EVENTS" {
			return strings.Join(in.startEvents, " "), true
		}
		if value, set, changed := in.edited(name); changed {
			return value, set
		}
		return e.classVariable(in.class.def, in.env, name)
	}
}

// reserved returns the variables that say who a process is.
func (e *Engine) reserved(in *instance) events.Env {
	env := append(make(events.Env, 0, len(reservedKeys)), in.class.entry, in.entry)
	if e.cfg.Session != "" {
		env = append(env, "UPSTART_SESSION="+e.cfg.Session)
	}
	if s := e.loginOf(in.env); s != nil {
		env = append(env, loginKey+s.entry()[len(sessionKey):])
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

// instanceEnv is the environment of an instance: table, the layer of its login
// session, stanzas, variables of
// its start, and what was changed for it alone; each key once.
func (e *Engine) instanceEnv(in *instance) events.Env {
	def := in.class.def
	own := make(events.Env, 0, len(def.Env)+len(in.env))
	for _, entry := range def.Env {
		if entry, ok := e.stanza(entry); ok {
			own = append(own, entry)
		}
	}
	env := e.layered(in.env).Merge(append(own, in.env...))
	for _, edit := range in.edits {
		if key, _, set := events.SplitEntry(edit); set {
			env = env.Set(edit)
		} else {
			env = env.Unset(key)
		}
	}
	return env
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
		return strings.HasPrefix(key, ourPrefix) && slices.Contains(reservedKeys, key)
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

// fixed names the variables of a process that no env file decides: those of
// stanzas, of the start and the stop, those changed for the instance alone,
// and our own.
func (e *Engine) fixed(in *instance, kind job.ProcessKind) []string {
	def := in.class.def
	if len(def.EnvFiles) == 0 {
		return nil
	}
	var names []string
	name := func(entries []string) {
		for _, entry := range entries {
			key, _, _ := events.SplitEntry(entry)
			names = append(names, key)
		}
	}
	for _, entry := range def.Env {
		if entry, ok := e.stanza(entry); ok {
			name([]string{entry})
		}
	}
	name(in.env)
	name(in.edits)
	if kind == job.PreStop || kind == job.PostStop {
		name(in.stopEnv)
	}
	return append(names, reservedKeys...)
}

// editInstance changes the environment of one instance: what is set there is
// stronger than stanzas and the variables of the start, and what is unset is
// not seen, wherever it came from.
func (e *Engine) editInstance(in *instance, msg SetEnv) {
	if msg.Reset {
		in.edits = nil
	}
	have := e.lookup(in)
	for _, entry := range msg.Entries {
		key, _, ok := events.SplitEntry(entry)
		if !ok {
			entry += "="
		}
		if _, set := have(key); !set || msg.Replace {
			in.edit(key, entry)
		}
	}
	for _, key := range msg.Unset {
		if !strings.Contains(key, "=") {
			in.edit(key, key)
		}
	}
}

// edit notes a change to a variable in place of an earlier one. The list is
// made anew, since a snapshot may hold the old one.
func (in *instance) edit(key, entry string) {
	edits := slices.Clone(in.edits)
	for i := range edits {
		if have, _, _ := events.SplitEntry(edits[i]); have == key {
			edits[i] = entry
			in.edits = edits
			return
		}
	}
	in.edits = append(edits, entry)
}

// edited finds a variable among the changes to this instance alone; changed
// is false when there is none to it.
func (in *instance) edited(name string) (value string, set, changed bool) {
	for _, edit := range in.edits {
		if key, value, set := events.SplitEntry(edit); key == name {
			return value, set, true
		}
	}
	return "", false, false
}

// setEnv changes the table or, for one instance, its variables.
func (e *Engine) setEnv(msg SetEnv) {
	err := e.changeEnv(msg)
	e.reply(msg.Call, nil, err)
}

func (e *Engine) changeEnv(msg SetEnv) *Error {
	if err := overweight(0, msg.weight()); err != nil {
		return err // before there is any work with it
	}
	if msg.Class != "" {
		in, err := e.find(Target{Class: msg.Class, Instance: msg.Target, ByName: true}, nil)
		if err != nil {
			return err
		}
		// An edit makes the list anew.
		edits, had := in.edits, weight(in.edits)
		e.editInstance(in, msg)
		if err := overweight(had, weight(in.edits)); err != nil {
			in.edits = edits
			return err
		}
		e.rewatch(in)
		return nil
	}
	had := e.tableWeight()
	table, origins := e.table, e.origins
	// Each variable, with the "=" that it may get, and who set it.
	if had+2*msg.weight()+len(msg.Entries) > maxTable {
		e.table, e.origins = table.Clone(), slices.Clone(origins)
	}
	if msg.Reset {
		e.table, e.origins = e.firstTable.Clone(), nil
	}
	e.editTable(msg)
	if err := overweight(had, e.tableWeight()); err != nil {
		e.table, e.origins = table, origins
		return err
	}
	e.rewatchAll()
	return nil
}

// rewatchAll files anew the stop conditions whose variables may have other
// values than before.
func (e *Engine) rewatchAll() {
	for _, c := range e.order {
		if !c.def.StopOn.HasVariables() {
			continue
		}
		for in := c.first; in != nil; in = in.next {
			e.rewatch(in)
		}
	}
}

func (e *Engine) editTable(msg SetEnv) {
	for _, entry := range msg.Entries {
		key, _, ok := events.SplitEntry(entry)
		if !ok {
			entry += "="
		}
		if _, set := e.table.Get(key); !set || msg.Replace {
			e.table = e.table.Set(entry)
			e.noteOrigin(key, msg.By)
		}
	}
	for _, key := range msg.Unset {
		e.table = e.table.Unset(key)
		e.noteOrigin(key, msg.By)
	}
}
