package engine

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/session-init/session-init/session/job"
)

// The end of processes. Main's group gets the kill signal on entering killed;
// what its processes left behind gets it when main is gone, by a Sweep; at kill
// timeout after the first signal whatever is left gets KILL. The state is left
// when Vacated came, and an instance of which nothing was left is never swept.

const sigKill = 9

// killGrace is how long what got KILL may take to be gone: a process that hangs
// in the kernel holds up nobody for longer. It will never run its program
// again, so the instance goes on without it, and another main may begin.
const killGrace = time.Second

// ends is how far the end of an instance's processes has come in a pass.
type ends struct {
	// left: the last process that ended left something behind.
	left bool
	// byItself: main ended without being asked to.
	byItself bool
	// finished: it was a task, and what it left behind stays.
	finished bool
	// struck: kill timeout is over, only KILL is sent.
	struck   bool
	sweeping bool // waits for Vacated
	// lasting: main has ended, as status and signal say, and the instance runs
	// on with what it left behind ("lifetime tree").
	lasting        bool
	status, signal int
	force          bool // a ForceStop was asked for
}

// leftover is what stays behind of an owner, as it was found. It may outlive
// the class.
type leftover struct {
	owner  uint64
	class  string
	label  string
	strays []Stray
	why    string
	// stuck: even KILL did not end it, procs, or what they left behind.
	// signal is KILL when who of the owner's comes up later gets that too:
	// group says in which group, 0 in any.
	stuck  bool
	signal int
	group  ProcID
	procs  []stuckProcess
}

// stuckProcess is a process of an instance that went on without it.
type stuckProcess struct {
	process
	kind job.ProcessKind
}

func (l *leftover) sweep() Sweep { return Sweep{Owner: l.owner, Group: l.group, Signal: l.signal} }

// endProcesses ends what is alive of an instance that has come to killed. It
// reports whether there is anything to wait for.
func (e *Engine) endProcesses(in *instance) bool {
	if !in.alive(job.Main) {
		return e.sweep(in)
	}
	if e.ending.cut || in.ends.struck || in.killDue() {
		// It has been asked already.
		e.awaitKilled(in)
		return true
	}
	e.askToEnd(in, job.Main)
	return true
}

// killDue reports whether KILL is to follow.
func (in *instance) killDue() bool { return in.deadline != nil && in.deadline.kind == killDeadline }

// askToEnd sends a process the kill signal and sets the deadline for KILL.
func (e *Engine) askToEnd(in *instance, kind job.ProcessKind) {
	def, p := in.class.def, in.procs[kind]
	if e.cfg.Debug {
		e.debugf(in, "Sending %s signal to %s %s process (%d)", job.SignalName(def.KillSignal), in.label(), kind, p.pid)
	}
	e.kill(in, kind, def.KillSignal)
	if def.KillTimeout <= 0 {
		e.kill(in, kind, sigKill)
		in.ends.struck = true
		e.awaitKilled(in)
		return
	}
	if !in.killDue() {
		e.setDeadline(in, e.now+def.KillTimeout, killDeadline)
	}
}

// awaitKilled bounds the wait for processes that got KILL.
func (e *Engine) awaitKilled(in *instance) {
	if in.ends.struck && in.deadline == nil && !in.idle() {
		e.setDeadline(in, e.now+killGrace, graceDeadline)
	}
}

// kill sends a process that is to end a signal.
func (e *Engine) kill(in *instance, kind job.ProcessKind, signal int) {
	in.signalled(kind, signal, SentToStop)
	e.do(Kill{Proc: in.procs[kind].id, Signal: signal, Group: in.class.def.KillMode != job.KillProcess})
}

// sweep ends what the instance's processes left behind, once none of them is
// alive. It reports whether that is to be waited for.
func (e *Engine) sweep(in *instance) bool {
	if !in.ends.left && !in.ends.lasting || in.owner == 0 {
		return false
	}
	in.ends.left = false
	if in.ends.lasting {
		e.unlast(in)
	}
	mode := in.class.def.KillMode
	switch {
	case in.ends.finished:
		e.keep(in, "has finished")
		return false
	case mode == job.KillProcess, mode == job.KillGroup && in.main == 0:
		e.keep(in, "is stopped by 'kill mode "+mode.String()+"'")
		return false
	}
	in.ends.sweeping = true
	e.sweeps.put(in.owner, in)
	if in.ends.struck || e.ending.cut {
		e.sweepLast(in)
		return true
	}
	e.do(in.sweepBy(in.class.def.KillSignal))
	if in.class.def.KillTimeout <= 0 {
		e.sweepLast(in)
	} else if !in.killDue() {
		e.setDeadline(in, e.now+in.class.def.KillTimeout, killDeadline)
	}
	return true
}

func (in *instance) sweepBy(signal int) Sweep {
	s := Sweep{Owner: in.owner, Signal: signal}
	if in.class.def.KillMode == job.KillGroup {
		s.Group = in.main
	}
	return s
}

// sweepLast sends KILL to what is left, which has only a moment then.
func (e *Engine) sweepLast(in *instance) {
	in.ends.struck = true
	e.do(in.sweepBy(sigKill))
	e.setDeadline(in, e.now+killGrace, graceDeadline)
}

// keep lets stay what is left behind: it is named, and shown until it is gone.
func (e *Engine) keep(in *instance, why string) {
	if e.leftover(in.owner) >= 0 {
		return
	}
	e.leftovers = append(e.leftovers, &leftover{owner: in.owner, class: in.class.def.Name, label: in.label(), why: why})
	e.do(Sweep{Owner: in.owner})
}

// leftover returns the place of what an owner left behind, -1 for nothing.
func (e *Engine) leftover(owner uint64) int {
	return slices.IndexFunc(e.leftovers, func(l *leftover) bool { return l.owner == owner })
}

// swept names what a Sweep found.
func (e *Engine) swept(msg Swept) {
	if at := e.leftover(msg.Owner); at >= 0 {
		l := e.leftovers[at]
		if len(l.strays) > 0 {
			// Found again by another supervisor, which may know less.
			l.strays = renamed(msg.Strays, l.strays)
			return
		}
		l.strays = msg.Strays
		if l.stuck {
			e.do(Log{Level: ErrorLevel, Class: l.class, Msg: fmt.Sprintf("%s: even KILL does not end %s: left behind", l.label, strayText(msg.Strays))})
			return
		}
		e.do(Log{Level: Warn, Class: l.class, Msg: fmt.Sprintf("%s %s and leaves behind: %s", l.label, l.why, strayText(msg.Strays))})
		return
	}
	in := e.sweeps.get(msg.Owner)
	if in == nil {
		return
	}
	if len(msg.Strays) > 0 {
		signal, names := job.SignalName(msg.Signal), strayText(msg.Strays)
		switch {
		case in.ends.lasting:
			e.logf(Info, in, "%s main process has ended, the job runs on with: %s", in.label(), names)
		case msg.Signal == sigKill && in.class.def.KillSignal != sigKill && in.class.def.KillTimeout > 0:
			e.logf(Warn, in, "%s did not end within %s of %s: sending KILL to %s", in.label(),
				in.class.def.KillTimeout, job.SignalName(in.class.def.KillSignal), names)
		case in.ends.byItself:
			e.logf(Warn, in, "%s main process ended by itself and left behind: %s: sending %s%s", in.label(), names, signal, in.hint())
		default:
			e.logf(Info, in, "%s left behind: %s: sending %s", in.label(), names, signal)
		}
	}
	if len(msg.Spared) > 0 && !in.ends.struck {
		e.logf(Warn, in, "%s is stopped by 'kill mode group' and leaves behind: %s", in.label(), strayText(msg.Spared))
	}
}

// renamed gives processes the names by which they were known before.
func renamed(now, before []Stray) []Stray {
	now = slices.Clone(now)
	for i := range now {
		for _, known := range before {
			if known.Pid == now[i].Pid {
				now[i].Command = known.Command
			}
		}
	}
	return now
}

// hint says which declaration would have fitted, when main ended well and left
// something behind: most likely it went into the background otherwise than it
// is declared to.
func (in *instance) hint() string {
	if in.failed || in.class.def.Expect == job.ExpectStop && in.ready.How != "" {
		return ""
	}
	switch in.class.def.Expect {
	case job.ExpectNone, job.ExpectStop:
		return "; if it goes into the background by itself, 'expect fork' (one fork) or 'expect daemon' (two) fits"
	case job.ExpectFork:
		return "; it declares 'expect fork' and seems to fork once more: 'expect daemon' fits"
	case job.ExpectDaemon:
		return "; it declares 'expect daemon' and seems to fork more than twice: let it stay in the foreground, without 'expect'"
	}
	return ""
}

// vacated goes on when nothing is left.
func (e *Engine) vacated(msg Vacated) {
	if at := e.leftover(msg.Owner); at >= 0 {
		if l := e.leftovers[at]; l.stuck && len(l.strays) > 0 {
			e.do(Log{Level: Warn, Class: l.class, Msg: fmt.Sprintf("%s: what even KILL did not end is gone: %s", l.label, strayText(l.strays))})
		}
		e.leftovers = slices.Delete(e.leftovers, at, at+1)
	}
	switch in := e.sweeps.get(msg.Owner); {
	case in == nil:
	case in.ends.lasting:
		e.lastEnded(in)
	default:
		e.sweepDone(in)
	}
}

func (e *Engine) sweepDone(in *instance) {
	e.sweeps.drop(in.owner)
	in.ends.sweeping = false
	e.clearDeadline(in)
	e.advance(in)
}

// strayText names processes, as "sleep (123), sh (456)".
func strayText(strays []Stray) string {
	names := make([]string, len(strays))
	for i, s := range strays {
		names[i] = s.String()
	}
	return strings.Join(names, ", ")
}

// String gives "sleep (123)", and why it could not be signalled.
func (s Stray) String() string {
	text := fmt.Sprintf("%s (%d)", s.Command, s.Pid)
	if s.Refused != "" {
		text += " that cannot be signalled: " + s.Refused
	}
	return text
}

// killTimedOut sends KILL to whatever did not end in time.
func (e *Engine) killTimedOut(in *instance) {
	def := in.class.def
	in.ends.struck = true
	for kind := range in.procs {
		if in.procs[kind].id == 0 {
			continue
		}
		e.logf(Warn, in, "%s %s did not end within %s of %s: sending KILL", in.label(), in.processText(job.ProcessKind(kind)),
			def.KillTimeout, job.SignalName(def.KillSignal))
		e.kill(in, job.ProcessKind(kind), sigKill)
		in.signalled(job.ProcessKind(kind), sigKill, SentAfterTime)
	}
	if in.ends.sweeping {
		e.sweepLast(in)
	}
	e.awaitKilled(in)
}

// graceTimedOut gives up on what even KILL did not end: the instance goes on as
// if it had, and whoever is there is named until it is gone.
func (e *Engine) graceTimedOut(in *instance) {
	l := &leftover{owner: in.owner, class: in.class.def.Name, label: in.label()}
	if at := e.leftover(in.owner); at >= 0 {
		l = e.leftovers[at]
	} else {
		e.leftovers = append(e.leftovers, l)
	}
	l.stuck = true
	if in.class.def.KillMode != job.KillProcess {
		last := in.sweepBy(sigKill)
		l.signal, l.group = last.Signal, last.Group
	}
	var kinds []job.ProcessKind
	for kind, p := range in.procs {
		if p.id != 0 {
			kinds = append(kinds, job.ProcessKind(kind))
			l.procs = append(l.procs, stuckProcess{p, job.ProcessKind(kind)})
		}
	}
	// Names those that are there, or says that none is.
	e.do(l.sweep())
	if in.ends.sweeping {
		e.sweepDone(in)
	}
	for _, kind := range kinds {
		if p := in.procs[kind]; p.id != 0 {
			e.concluded(in, kind, Exited{Proc: p.id, Signal: sigKill})
		}
	}
}

// forceStop stops an instance and ends its processes in whatever state it is.
func (e *Engine) forceStop(msg ForceStop) {
	msg.Env = e.inSession(msg.Target, msg.By, msg.Env)
	in, err := e.find(msg.Target, msg.Env)
	if err != nil {
		e.reply(msg.Call, nil, err)
		return
	}
	twice := in.ends.force
	in.ends.force = true
	if in.goal != GoalStop {
		in.stopEnv, in.stopEvents = nil, nil
		if !msg.Target.ByName {
			in.stopEnv = msg.Env
		}
	}
	e.take(in, msg.Call, msg.By, msg.Wait, verbStop)
	in.wish.force = true
	e.changeGoal(in, GoalStop)
	e.endNow(in, twice)
	if !msg.Wait {
		e.reply(msg.Call, in, nil)
	}
}

// endNow asks all processes of an instance to end, hooks too, or kills them.
func (e *Engine) endNow(in *instance, last bool) {
	asked, struck := in.killDue(), in.ends.struck
	for kind := range in.procs {
		switch {
		case in.procs[kind].id == 0 || e.ending.cut || struck:
		case last:
			e.kill(in, job.ProcessKind(kind), sigKill)
		case !asked:
			e.askToEnd(in, job.ProcessKind(kind))
		}
	}
	if last && !in.ends.struck {
		in.ends.struck = true
		e.clearDeadline(in)
		if in.ends.sweeping {
			e.sweepLast(in)
		}
		e.awaitKilled(in)
	}
}

// hookTimedOut asks a hook to end that a forced stop cannot wait for.
func (e *Engine) hookTimedOut(in *instance) {
	if kind := job.PostStop; in.alive(kind) {
		e.logf(Warn, in, "%s %s is ended: the stop is forced", in.label(), in.processText(kind))
		e.askToEnd(in, kind)
	}
}

// hookTime is how long post-stop has in a forced stop until it is asked to
// end.
func (in *instance) hookTime() time.Duration {
	if timeout := in.class.def.KillTimeout; timeout > 0 {
		return timeout
	}
	return job.DefaultKillTimeout
}
