package engine

// "lifetime tree": an instance whose main has ended runs on until the last of
// the processes that it left behind is gone. Who they are, and when they are
// gone, is found by a Sweep that signals nobody. What main's end means is
// decided then; a stop before that ends them as it ends what any main leaves
// behind. Meanwhile the table of states is told that main is alive.

// lasts tells whether the instance runs on though main has ended so. Main must
// have been ready; then nobody must want the instance to end, or go round.
func (in *instance) lasts(msg Exited) bool {
	ready := in.state == PostStart || in.state == Running || in.state == PreStop
	return in.class.def.LifetimeTree && msg.Left && ready && in.goal == GoalStart && !in.again && in.owner != 0
}

// last has the instance run on.
func (e *Engine) last(in *instance, msg Exited) {
	in.ends.lasting, in.ends.status, in.ends.signal = true, msg.Status, msg.Signal
	e.sweeps.put(in.owner, in)
	e.do(Sweep{Owner: in.owner})
}

// unlast ends that: something else becomes of the instance.
func (e *Engine) unlast(in *instance) {
	e.sweeps.drop(in.owner)
	in.ends.lasting = false
}

// lastEnded decides what it means that the last of the processes is gone.
func (e *Engine) lastEnded(in *instance) {
	e.unlast(in)
	in.ends.left = false
	e.mainExited(in, Exited{Proc: in.main, Status: in.ends.status, Signal: in.ends.signal})
}
