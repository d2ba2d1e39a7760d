package engine

import (
	"time"

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
	// Note is what goal and state do not say: that the instance waits for its
	// respawn, and how long yet, or in a sentence that main is not what the
	// job file declares. Mostly empty.
	Note string
	// Ready is how main became ready, since it was made last.
	Ready Readiness
	// Said is what the job says of itself, in one line.
	Said string
	// Owner is the number that its processes share; 0 when none was made.
	Owner uint64
}

// View reads the engine between two steps. It changes nothing; what it
// returns is the caller's, classes and their contents apart, which are
// immutable. It is valid on the goroutine that owns the engine only.
type View struct {
	e   *Engine
	now time.Duration
}

// View returns the engine's readable side, at the time of its last step.
func (e *Engine) View() View { return View{e, e.now} }

// ViewAt returns the engine's readable side at a time, a reading of the clock
// that Step is given: what is still ahead is counted from then on.
func (e *Engine) ViewAt(now time.Duration) View { return View{e, max(now, e.now)} }

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
		out = append(out, in.info(v.now))
	}
	return out
}

// Instance returns one instance.
func (v View) Instance(class, name string) (InstanceInfo, bool) {
	if c := v.e.classes[class]; c != nil {
		if in := c.instance(name); in != nil {
			return in.info(v.now), true
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
	return v.leftovers(class, func(*leftover) bool { return true })
}

// Unkillable returns those among LeftBehind that even KILL does not end.
func (v View) Unkillable(class string) []Stray {
	return v.leftovers(class, func(l *leftover) bool { return l.stuck })
}

func (v View) leftovers(class string, meant func(*leftover) bool) []Stray {
	var out []Stray
	for _, l := range v.e.leftovers {
		if l.class != class || !meant(l) {
			continue
		}
		out = append(out, l.strays...)
		if len(l.strays) == 0 {
			// Nobody has looked at them yet.
			for _, p := range l.procs {
				out = append(out, Stray{Pid: p.pid, Command: p.kind.String() + " process"})
			}
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

// Events returns the events that have not finished, in the order of their
// emission.
func (v View) Events() []events.SavedEvent { return v.e.queue.Save(v.e.eachHeld).Events }

// ProcessOf returns the instance that a process belongs to.
func (v View) ProcessOf(proc ProcID) (class, instance string, ok bool) {
	in, _ := v.e.locate(proc)
	if in == nil {
		return "", "", false
	}
	return in.class.def.Name, in.name, true
}

func (in *instance) info(now time.Duration) InstanceInfo {
	info := InstanceInfo{
		Class: in.class.def.Name, Name: in.name, Seq: in.seq,
		Goal: in.goal, State: in.state, Failure: in.failure, Note: in.note, Ready: in.ready, Said: in.heard().text(), Owner: in.owner,
	}
	if in.waitsToRespawn() {
		info.Note = in.respawnText(now)
	}
	for kind := range in.procs {
		if in.procs[kind].pid != 0 {
			info.Processes = append(info.Processes, ProcessInfo{job.ProcessKind(kind), in.procs[kind].pid})
		}
	}
	return info
}
