package engine

import (
	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/job"
)

// ProcessInfo is a process of an instance that runs.
type ProcessInfo struct {
	Kind job.ProcessKind
	Pid  int
}

// InstanceInfo is what can be seen of an instance.
type InstanceInfo struct {
	Class, Name string
	// Seq counts the instances of a class, from 0.
	Seq       uint64
	Goal      Goal
	State     State
	Processes []ProcessInfo // main first
	// Failure is a sentence, empty when nothing failed in this pass.
	Failure string
	// Note is a sentence about a main that is not what the job file
	// declares; mostly empty.
	Note string
	// Owner is the number that its processes share; 0 when none was made.
	Owner uint64
}

// View reads the engine between two steps. It changes nothing; what it
// returns is the caller's, classes and their contents apart, which are
// immutable. It is valid on the goroutine that owns the engine only.
type View struct{ e *Engine }

// View returns the engine's readable side.
func (e *Engine) View() View { return View{e} }

// ClassNames returns the names of all classes, sorted by bytes.
func (v View) ClassNames() []string {
	names := make([]string, len(v.e.order))
	for i, c := range v.e.order {
		names[i] = c.def.Name
	}
	return names
}

// Class returns the definition in force: with live instances, the one that
// they were started with.
func (v View) Class(name string) (*job.Class, bool) {
	c := v.e.classes[name]
	if c == nil {
		return nil, false
	}
	return c.def, true
}

// Instances returns the instances of a class, oldest first.
func (v View) Instances(class string) []InstanceInfo {
	c := v.e.classes[class]
	if c == nil {
		return nil
	}
	var out []InstanceInfo
	for in := c.first; in != nil; in = in.next {
		out = append(out, in.info())
	}
	return out
}

// Instance returns one instance.
func (v View) Instance(class, name string) (InstanceInfo, bool) {
	if c := v.e.classes[class]; c != nil {
		if in := c.instances[name]; in != nil {
			return in.info(), true
		}
	}
	return InstanceInfo{}, false
}

// LastFailure returns a sentence about the last failure of a class, which
// outlives the instance that failed; empty when its last run did not fail.
func (v View) LastFailure(class string) string {
	if c := v.e.classes[class]; c != nil {
		return c.failure
	}
	return ""
}

// LeftBehind returns the processes that finished runs of a class left behind,
// as they were found; those of a run are in it until the last of them is gone.
func (v View) LeftBehind(class string) []Stray {
	var out []Stray
	for _, l := range v.e.leftovers {
		if l.class == class {
			out = append(out, l.strays...)
		}
	}
	return out
}

// InstanceName returns the name of the instance that the class's template
// makes of these variables. The error's kind is UnknownJob or InvalidArgs.
func (v View) InstanceName(class string, env events.Env) (string, *Error) {
	c := v.e.classes[class]
	if c == nil {
		return "", errorf(UnknownJob, "Unknown job: %s", class)
	}
	if err := checkEnv(env); err != nil {
		return "", err
	}
	return v.e.instanceName(c, env)
}

// Env returns the table of environment variables or, with a class, the
// environment of its instance. The error's kind is UnknownJob or
// UnknownInstance.
func (v View) Env(class, instance string) (events.Env, *Error) {
	if class == "" {
		return v.e.table.Clone(), nil
	}
	in, err := v.e.find(Target{Class: class, Instance: instance, ByName: true}, nil)
	if err != nil {
		return nil, err
	}
	return v.e.instanceEnv(in), nil
}

func (in *instance) info() InstanceInfo {
	info := InstanceInfo{
		Class: in.class.def.Name, Name: in.name, Seq: in.seq,
		Goal: in.goal, State: in.state, Failure: in.failure, Note: in.note, Owner: in.owner,
	}
	for kind := range in.procs {
		if in.procs[kind].pid != 0 {
			info.Processes = append(info.Processes, ProcessInfo{job.ProcessKind(kind), in.procs[kind].pid})
		}
	}
	return info
}
