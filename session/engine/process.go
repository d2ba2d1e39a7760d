package engine

import (
	"fmt"

	"github.com/session-init/session-init/session/job"
)

// failure is what the events of a failed pass say.
type failure struct {
	process string // PROCESS=
	status  string // EXIT_STATUS=, EXIT_SIGNAL= entry, or empty
}

// spawn asks for a process of the instance. It reports false when the job
// has none of that kind.
func (e *Engine) spawn(in *instance, kind job.ProcessKind) bool {
	def := in.class.def
	if def.Processes[kind] == nil || e.ending.cut || kind == job.PreStop && in.ends.force {
		return false
	}
	e.lastProc++
	if in.owner == 0 {
		in.owner = uint64(e.lastProc)
	}
	in.procs[kind] = process{id: e.lastProc}
	e.procs.put(uint64(e.lastProc), in)
	if kind == job.Main {
		in.mainRan, in.main, in.forks = true, e.lastProc, 0
		if in.said = nil; def.Watchdog > 0 {
			in.hears().Watchdog = def.Watchdog
		}
	}
	if in.ends.force && kind == job.PostStop {
		e.setDeadline(in, e.now+in.hookTime(), hookDeadline)
	}
	e.do(e.spawnEffect(in, kind))
	return true
}

// spawnEffect is what asks for a process of the instance.
func (e *Engine) spawnEffect(in *instance, kind job.ProcessKind) Spawn {
	return Spawn{Proc: in.procs[kind].id, Owner: in.owner, Class: in.class.def, Instance: in.name, Kind: kind, Env: e.processEnv(in, kind), Fixed: e.fixed(in, kind), Files: in.filesFor(kind)}
}

// locate returns whose process it is, or nil for one that is not known.
func (e *Engine) locate(proc ProcID) (*instance, job.ProcessKind) {
	in := e.procs.get(uint64(proc))
	if in == nil {
		return nil, 0
	}
	for kind := range in.procs {
		if in.procs[kind].id == proc {
			return in, job.ProcessKind(kind)
		}
	}
	return nil, 0
}

func (e *Engine) spawned(msg Spawned) {
	in, kind := e.locate(msg.Proc)
	if in == nil {
		return
	}
	in.procs[kind].pid = msg.Pid
	if e.cfg.Debug {
		e.debugf(in, "process_spawn: Spawned %s process %d for %s (#%d)", kind, msg.Pid, in.class.def.Name, in.seq)
		e.debugf(in, "Active %s (#%d) %s process (%d)", in.class.def.Name, in.seq, kind, msg.Pid)
	}
	if kind == job.Main && in.state == InSpawned {
		if in.class.def.Expect == job.ExpectNone {
			e.advance(in)
		} else {
			e.awaitReady(in)
		}
	}
}

func (e *Engine) forked(msg Forked) {
	in, kind := e.locate(msg.Proc)
	if in == nil {
		return
	}
	if e.cfg.Debug {
		e.debugf(in, "%s (#%d) %s process (%d) forked new child %d", in.class.def.Name, in.seq, kind, in.procs[kind].pid, msg.Pid)
	}
	in.procs[kind].pid = msg.Pid
	if kind != job.Main || in.state != InSpawned || in.settling {
		return
	}
	in.forks++
	switch want := in.class.def.Expect; {
	case want == job.ExpectFork && in.forks == 1:
		e.becomeReady(in, "forked")
	case want == job.ExpectDaemon && in.forks == 2:
		e.becomeReady(in, "forked twice")
	}
}

func (e *Engine) selfStopped(msg SelfStopped) {
	in, kind := e.locate(msg.Proc)
	if in != nil && kind == job.Main && in.state == InSpawned && in.class.def.Expect == job.ExpectStop {
		e.becomeReady(in, "raised SIGSTOP")
	}
}

// forget takes a process off the books.
func (e *Engine) forget(in *instance, kind job.ProcessKind) {
	e.procs.drop(uint64(in.procs[kind].id))
	in.procs[kind] = process{}
	if kind == job.Main {
		e.unguard(in)
	}
}

func (e *Engine) spawnFailed(msg SpawnFailed) {
	in, kind := e.locate(msg.Proc)
	if in == nil {
		return
	}
	// A stop by force may come before a hook has begun, which is no failure.
	forced := in.endsByForce(kind)
	e.forget(in, kind)
	if in.idle() {
		// A forced stop has set it, and nothing is left to be killed.
		e.clearDeadline(in)
	}
	reason := fmt.Sprintf("%s process: %s", kind, msg.Reason)
	e.logf(Warn, in, "Failed to spawn %s %s", in.label(), reason)
	switch kind {
	case job.Main:
		switch in.state {
		case InSpawned:
			e.fail(in, failure{process: kind.String()}, -1, reason)
			e.setGoal(in, GoalStop)
			e.advance(in)
		case Killed:
			e.clearDeadline(in)
			e.advance(in)
		}
	case job.PreStart, job.PostStop:
		if !forced {
			e.fail(in, failure{process: kind.String()}, -1, reason)
		}
		e.setGoal(in, GoalStop)
		e.advance(in)
	default:
		e.advance(in)
	}
}

func (e *Engine) exited(msg Exited) {
	in, kind := e.locate(msg.Proc)
	if in == nil {
		return
	}
	pid := in.procs[kind].pid
	expected := kind == job.Main && (in.state == Killed || in.goal == GoalStop) || in.endsByForce(kind)
	if msg.Status != 0 || msg.Signal != 0 {
		level := Warn
		if expected || kind == job.Main && isNormal(in.class.def, msg) {
			level = Info
		}
		e.logf(level, in, "%s %s process (%d) %s", in.label(), kind, pid, endText(msg))
	} else {
		if e.cfg.Debug {
			e.debugf(in, "%s (#%d) %s process (%d) exited normally", in.class.def.Name, in.seq, kind, pid)
		}
	}
	e.noteEnd(in, kind, msg)
	e.concluded(in, kind, msg)
}

// endsByForce reports whether a forced stop has asked a process to end: that
// of a hook is no failure then.
func (in *instance) endsByForce(kind job.ProcessKind) bool {
	return in.ends.force && (in.killDue() || in.ends.struck) && (in.goal == GoalStop || kind == job.PostStop)
}

// concluded takes a process off the books that has ended, or is given up, and
// goes on.
func (e *Engine) concluded(in *instance, kind job.ProcessKind, msg Exited) {
	forced := in.endsByForce(kind)
	e.forget(in, kind)
	in.ends.left = msg.Left
	if in.idle() && (!msg.Left || in.state != Killed) {
		// No KILL is needed, but for what main leaves behind in killed.
		e.clearDeadline(in)
	}
	switch kind {
	case job.Main:
		e.mainExited(in, msg)
	case job.PreStart, job.PostStop:
		if !forced && (msg.Status != 0 || msg.Signal != 0) {
			reason, failedAs, number := describe(kind, msg)
			e.fail(in, failedAs, number, reason)
			e.setGoal(in, GoalStop)
		}
		if kind != job.PostStop || !e.sweep(in) {
			e.advance(in)
		}
	default:
		e.advance(in)
	}
}

// mainExited decides what the end of main means, by the state it ended in.
func (e *Engine) mainExited(in *instance, msg Exited) {
	if in.lasts(msg) {
		e.last(in, msg)
		return
	}
	switch in.state {
	case Stopping:
		// The event is waited for.
		return
	case Killed:
		if !e.sweep(in) {
			e.clearDeadline(in)
			e.advance(in)
		}
		return
	case PostStart, PreStop:
		// The process beside it is let finish.
		e.judgeMain(in, msg)
		if !in.alive(job.PostStart) && !in.alive(job.PreStop) {
			e.advance(in)
		}
		return
	}
	if in.settling && in.state == InSpawned {
		e.notReady(in)
	}
	e.judgeMain(in, msg)
	e.advance(in)
}

// judgeMain sets failure and goal after main ended by itself. Main's end
// while the instance is to stop, or to go round, is as good as any: a
// pre-stop may well be what ends it.
func (e *Engine) judgeMain(in *instance, msg Exited) {
	if in.goal == GoalStop || in.again {
		return
	}
	def := in.class.def
	in.ends.byItself, in.ends.finished = true, def.Task
	bad := msg.Status != 0 || msg.Signal != 0 || def.Respawn && !def.Task
	normal := isNormal(def, msg)
	reason, failedAs, number := describe(job.Main, msg)
	switch {
	case in.heard().Silent != "":
		bad, normal, reason = true, false, in.silence(reason)
	case in.state == InSpawned && !def.Expect.Settles() && !def.Task:
		bad, reason = true, reason+in.tooEarly()
	}
	if said := in.heard(); bad && said.Errno != "" {
		reason = join(reason, join(said.Errno, said.Status))
	}
	if bad && !normal {
		if def.Respawn {
			if e.mayRespawn(in) {
				e.respawn(in)
				return
			}
			e.failRespawn(in, reason)
		} else {
			e.fail(in, failedAs, number, reason)
		}
	}
	e.setGoal(in, GoalStop)
}

// isNormal reports whether "normal exit" lists how main ended.
func isNormal(def *job.Class, msg Exited) bool {
	for _, exit := range def.NormalExit {
		if exit.Signal == msg.Signal && (exit.Signal != 0 || exit.Status == msg.Status) {
			return true
		}
	}
	return false
}

// endText puts the end of a process in words.
func endText(msg Exited) string {
	if msg.Signal != 0 {
		return "killed by " + job.SignalName(msg.Signal) + " signal"
	}
	return fmt.Sprintf("terminated with status %d", msg.Status)
}

// describe gives what the end of a process is as a failure: a sentence, the
// variables of the job's events, and the number that Failed announces.
func describe(kind job.ProcessKind, msg Exited) (reason string, f failure, number int) {
	reason = fmt.Sprintf("%s process %s", kind, endText(msg))
	f.process = kind.String()
	if msg.Signal != 0 {
		f.status = "EXIT_SIGNAL=" + job.SignalName(msg.Signal)
		return reason, f, msg.Signal << 8
	}
	f.status = fmt.Sprintf("EXIT_STATUS=%d", msg.Status)
	return reason, f, msg.Status
}

// fail records the first failure of a pass, announces it and answers whoever
// waits. A later one is told to nobody: who began to wait after the first is
// answered when the instance has come to rest.
func (e *Engine) fail(in *instance, f failure, number int, reason string) {
	if in.failed {
		return
	}
	in.failed, in.failure, in.result = true, reason, f
	in.class.failure = reason
	e.noteFailure(in, f, number, reason)
	e.do(Notify{Kind: Failed, Class: in.class.def.Name, Instance: in.name, Status: number})
	e.release(in, true)
}
