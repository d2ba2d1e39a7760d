package bus

import (
	"time"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
	"github.com/session-init/session-init/session/wire"
)

// whyVersion is that of what Why returns. Keys may come to it without another
// version; one that is there keeps its name, type and meaning.
const whyVersion = 1

// The answer of Why, the same for a job and for an instance, which is told
// alone. A key is left out where there is nothing to say. Times are t,
// microseconds of the daemon's clock; "now" and "wall" (since 1970) are the
// same moment, so that every other time can be told by the wall clock.
//
//	version      u        1
//	now, wall    t
//	job, file    s        the job's name, and its job file
//	override     s        the override that was applied
//	changed      b        true: another definition waits for the last instance's end
//	start_on     aas      the conditions, in postfix order as the properties
//	stop_on      aas
//	operands     aa{sv}   of start on, in its order: OPERAND
//	sockets      aa{sv}   those that the daemon holds for the job: address s,
//	                      waiting u (connections that nobody has accepted), and
//	                      fault s where there is none, or nobody listens
//	main_end     a{sv}    how main ended last: END
//	rest         a{sv}    who or what stopped the instance that came to rest last:
//	                      GOAL, and rested t, instance s
//	begun        a{sv}    who or what had started that one, when it ended by
//	                      itself: GOAL
//	failure      a{sv}    the last failure: END, and process s, reason s, number i
//	                      (as Failed has it), present b (it was in the last run)
//	respawn      b        and respawn_limit u, respawn_interval t
//	left_behind  a(is)    as the property of that name
//	instances    aa{sv}   INSTANCE
//	blocking     aa{sv}   INSTANCE: those that they wait for, in the end
//	cycles       as       those that an instance of the job is in
//	lingers      b        of a job with "linger" that has instances; and until_logout b
//	                      (the end of all comes with the last login), logins u (how
//	                      many login sessions there are), lingering as (the
//	                      instances that linger, of other jobs too)
//	machine      s        of a job that waits for ":sys:" events: why they do not come;
//	                      from the machine's own daemon: the end that is under way
//
//	OPERAND   words as, came b (it is held until the others come), last EVENT
//	EVENT     a{sv}: name s, env as, at t, source s (caller, job, event,
//	          session-init); of a job job s, instance s; of a caller CALLER
//	CALLER    pid i, user u, command s; when it is a process of a job
//	          caller_job s, caller_instance s
//	END       at t, instance s; of a process that ran kind s, pid i, and
//	          status i or signal s with sender s (others, stop, force,
//	          kill-timeout, session-end, reload, watchdog, caller: all but others are ours)
//	          and core b, true when it dumped core
//	GOAL      reason s (caller, event, itself, session-end, adopted), at t;
//	          of a caller verb s, CALLER; of an event events aa{sv}: EVENT
//	INSTANCE  job s, instance s, goal s, state s, since t, from a{sv}: GOAL,
//	          processes a(si), log s (its path), failure s, note s,
//	          ready s, ready_after t (how main became ready, and how long that
//	          took), lacks s (what it has lost of that since, or lacks yet),
//	          said s (of itself, as sd_notify(3) has it), stored as (the names of
//	          what it has laid aside),
//	          operands aa{sv} (of stop on), waits aa{sv}: WAIT,
//	          awaited_by aa{sv}: HOLDER, and when it was respawned deaths u,
//	          window t, delay t
//	WAIT      for s (event, process, spawn, ready, end, leftovers, respawn),
//	          since t, deadline t, event a{sv}: EVENT, held_by aa{sv}: HOLDER,
//	          process s, pid i, forks u, killed b, lacks s (what keeps
//	          it from being ready)
//	HOLDER    kind s (instance, start-on, stop-on, event, caller), job s,
//	          instance s, goal s, state s, missing aas, event s, verb s

type dict = map[string]wire.Variant

// put sets a key; empty strings and times that are never are left out.
func put(d dict, key string, value any) {
	switch v := value.(type) {
	case string:
		if v == "" {
			return
		}
	case time.Duration:
		if v <= 0 {
			return
		}
		value = uint64(v.Microseconds())
	}
	d[key] = wire.MakeVariant(value)
}

// putAll sets a key to a list, unless that is empty.
func putAll[T any](d dict, key string, list []T, tell func(T) dict) {
	if len(list) == 0 {
		return
	}
	out := make([]dict, len(list))
	for i, v := range list {
		out[i] = tell(v)
	}
	d[key] = wire.MakeVariant(out)
}

// why is the method Why of a job and of an instance.
func why(c *call) {
	c.readObject(func(v engine.View) ([]any, *failure) {
		var answer engine.ClassWhy
		var ok bool
		if c.object.kind == instanceObject {
			answer, ok = v.WhyInstance(c.object.job, c.object.instance)
		} else {
			answer, ok = v.WhyClass(c.object.job)
		}
		if !ok {
			return nil, failf(api.ErrUnknownMethod, "No such object: %s", c.object.path)
		}
		t := teller{v, c.server.backend}
		d := t.class(answer)
		t.stay(d, answer)
		put(d, "machine", c.server.tellMachine(v, answer.Class))
		put(d, "wall", time.Duration(time.Now().UnixNano()))
		return []any{d}, nil
	})
}

// teller makes dictionaries of what the engine knows.
type teller struct {
	view    engine.View
	backend Backend
}

// stay tells of a job that lingers what that keeps the daemon for.
func (t teller) stay(d dict, why engine.ClassWhy) {
	if !why.Class.Linger || len(why.Instances) == 0 {
		return
	}
	stay := t.view.Stay()
	put(d, "lingers", true)
	put(d, "until_logout", stay.UntilLogout)
	put(d, "logins", uint32(stay.Logins))
	put(d, "lingering", stay.Lingering)
}

func (t teller) class(why engine.ClassWhy) dict {
	def := why.Class
	d := dict{"version": wire.MakeVariant(uint32(whyVersion)), "respawn": wire.MakeVariant(def.Respawn)}
	d["now"] = wire.MakeVariant(uint64(why.Now.Microseconds()))
	put(d, "job", def.Name)
	put(d, "file", def.Path)
	put(d, "override", def.Override)
	if why.Changed {
		put(d, "changed", true)
	}
	if def.StartOn != nil {
		put(d, "start_on", def.StartOn.Postfix())
	}
	if def.StopOn != nil {
		put(d, "stop_on", def.StopOn.Postfix())
	}
	putAll(d, "operands", why.StartOn, tellOperand)
	waiting := map[string]int(nil)
	if len(why.Sockets) > 0 {
		waiting = t.backend.Waiting(def.Name)
	}
	putAll(d, "sockets", why.Sockets, func(s engine.SocketWhy) dict { return tellSocket(s, waiting) })
	if why.Main.Pid > 0 {
		put(d, "main_end", tellEnd(why.Main))
	}
	if why.Rest.Reason != engine.ByNobody {
		rest := tellGoal(why.Rest)
		put(rest, "rested", why.Rested)
		put(rest, "instance", why.RestedAs)
		put(d, "rest", rest)
	}
	if why.Begun.Reason != engine.ByNobody {
		put(d, "begun", tellGoal(why.Begun))
	}
	if f := why.Failure; f != nil {
		told := tellEnd(f.End)
		put(told, "process", f.Process)
		put(told, "reason", f.Reason)
		put(told, "number", int32(f.Number))
		put(told, "present", f.Present)
		put(d, "failure", told)
	}
	if def.Respawn {
		put(d, "respawn_limit", uint32(def.RespawnLimit))
		put(d, "respawn_interval", def.RespawnInterval)
	}
	if left := t.view.LeftBehind(def.Name); len(left) > 0 {
		put(d, "left_behind", strays(left))
	}
	putAll(d, "instances", why.Instances, t.instance)
	putAll(d, "blocking", why.Blocking, t.instance)
	if len(why.Cycles) > 0 {
		put(d, "cycles", cycleTexts(why.Cycles))
	}
	return d
}

func cycleTexts(cycles []engine.Cycle) []string {
	out := make([]string, len(cycles))
	for i, c := range cycles {
		out[i] = c.Text
	}
	return out
}

func tellOperand(o engine.OperandWhy) dict {
	d := dict{"came": wire.MakeVariant(o.Came)}
	put(d, "words", o.Words)
	if o.Last != nil {
		put(d, "last", tellEvent(*o.Last))
	}
	return d
}

func tellSocket(s engine.SocketWhy, waiting map[string]int) dict {
	d := dict{}
	put(d, "address", s.Address)
	if n := waiting[s.Address]; n > 0 {
		put(d, "waiting", uint32(n))
	}
	put(d, "fault", s.Fault)
	return d
}

func tellEvent(ev engine.EventWhy) dict {
	d := dict{}
	put(d, "name", ev.Name)
	put(d, "env", []string(ev.Env))
	put(d, "at", ev.At)
	put(d, "source", ev.Source.String())
	switch ev.Source {
	case events.FromJob:
		name, _ := ev.Env.Get("JOB")
		instance, _ := ev.Env.Get("INSTANCE")
		put(d, "job", name)
		put(d, "instance", instance)
	case events.FromCaller:
		putCaller(d, ev.By)
	}
	return d
}

func putCaller(d dict, by *events.Caller) {
	if by == nil {
		return
	}
	put(d, "pid", int32(by.Pid))
	put(d, "user", by.User)
	put(d, "command", by.Command)
	put(d, "caller_job", by.Job)
	put(d, "caller_instance", by.Instance)
}

func tellEnd(end engine.End) dict {
	d := dict{}
	put(d, "at", end.At)
	put(d, "instance", end.Instance)
	if end.Pid == 0 {
		return d
	}
	put(d, "kind", end.Kind.String())
	put(d, "pid", int32(end.Pid))
	if end.Signal == 0 {
		put(d, "status", int32(end.Status))
		return d
	}
	put(d, "signal", job.SignalName(end.Signal))
	put(d, "sender", end.Sender.String())
	if end.Core {
		put(d, "core", true)
	}
	return d
}

func tellGoal(from engine.GoalWhy) dict {
	d := dict{}
	put(d, "reason", from.Reason.String())
	put(d, "at", from.At)
	put(d, "verb", from.Verb)
	putCaller(d, from.By)
	putAll(d, "events", from.Events, tellEvent)
	return d
}

func (t teller) instance(in engine.InstanceWhy) dict {
	d := dict{"processes": wire.MakeVariant(processes(in.Processes))}
	put(d, "job", in.Class)
	d["instance"] = wire.MakeVariant(in.Name)
	put(d, "goal", in.Goal.String())
	put(d, "state", in.State.String())
	put(d, "since", in.Since)
	put(d, "from", tellGoal(in.From))
	put(d, "failure", in.Failure)
	put(d, "note", in.Note)
	put(d, "ready", in.Ready.How)
	put(d, "ready_after", in.Ready.Took)
	put(d, "lacks", in.Ready.Lacks)
	put(d, "said", in.Said)
	if names := t.backend.Stored(in.Class, in.Name); len(names) > 0 {
		put(d, "stored", names)
	}
	if def, ok := t.view.Class(in.Class); ok {
		put(d, "log", t.backend.LogPath(def, in.Name))
	}
	putAll(d, "operands", in.StopOn, tellOperand)
	putAll(d, "waits", in.Waits, tellWait)
	putAll(d, "awaited_by", in.Awaited, tellHolder)
	if in.Respawn.Count > 0 || in.Respawn.Delay > 0 {
		put(d, "deaths", uint32(in.Respawn.Count))
		put(d, "window", in.Respawn.Window)
		put(d, "delay", in.Respawn.Delay)
	}
	return d
}

func tellWait(w engine.WaitWhy) dict {
	d := dict{}
	put(d, "for", w.Kind.String())
	put(d, "since", w.Since)
	put(d, "deadline", w.Deadline)
	switch w.Kind {
	case engine.WaitsForEvent:
		put(d, "event", tellEvent(*w.Event))
		putAll(d, "held_by", w.Holders, tellHolder)
		return d
	case engine.WaitsForLeftovers, engine.WaitsForRespawn:
	default:
		put(d, "process", w.Process.String())
		if w.Pid > 0 {
			put(d, "pid", int32(w.Pid))
		}
	}
	if w.Kind == engine.WaitsForReady {
		put(d, "forks", uint32(w.Forks))
		put(d, "lacks", w.Lacks)
	}
	if w.Killed {
		put(d, "killed", true)
	}
	return d
}

func tellHolder(h engine.HolderWhy) dict {
	d := dict{}
	put(d, "kind", h.Kind.String())
	put(d, "job", h.Class)
	put(d, "event", h.Event)
	put(d, "verb", h.Verb)
	switch h.Kind {
	case engine.HeldByInstance, engine.HeldByStopOn:
		d["instance"] = wire.MakeVariant(h.Instance)
		put(d, "goal", h.Goal.String())
		put(d, "state", h.State.String())
	}
	if len(h.Missing) > 0 {
		put(d, "missing", h.Missing)
	}
	return d
}
