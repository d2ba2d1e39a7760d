// Package engine is the machine: classes and their instances, goal and
// state, the events that hold and release them, callers who wait, respawn,
// deadlines. It is a pure function of (its state, the time, an input) that
// returns effects:
//
//	effects := engine.Step(now, input)
//
// Step never blocks, fails or panics on anything that comes from outside;
// it runs until nothing more can happen without news from the world. There
// is no goroutine, clock, file, process or map iteration here: the same
// inputs at the same times give the same effects, byte for byte. The loop in
// package session owns the one Engine, feeds it and carries out the effects.
//
// # Goal and state
//
// An instance has a goal (start or stop) and a state. A wish changes the
// goal; what the instance waits for in its state (a process, an event) is
// let finish, and then the next state follows from state and goal by one
// table, nextState. That is why a start in the middle of a stop, or the other
// way round, needs no case of its own. A new goal pushes the instance only
// where it waits for nothing but wishes: in waiting, in running, in spawned,
// which a stop leaves at once, and in the delay of a respawn.
//
//	state       waits for                     goal start     goal stop
//	waiting     a wish                        starting       -
//	starting    the event "starting"          pre-start      stopping
//	pre-start   the pre-start process         spawned        stopping
//	spawned     main to be ready (3)          post-start (1) stopping
//	post-start  the post-start process        running (1)    stopping
//	running     a wish, or the end of main    stopping       pre-stop (2)
//	pre-stop    the pre-stop process          running (1)    stopping
//	stopping    the event "stopping"          killed         killed
//	killed      the end of its processes (4)  post-stop      post-stop
//	post-stop   the post-stop process (5)     starting       waiting
//
//	(1) stopping when main has ended or the instance is to go round: a
//	    respawn or a restart.
//	(2) stopping when there is no main alive.
//	(3) but no longer than "ready timeout".
//	(4) main, and then whatever its processes left behind; see kill.go.
//	    What KILL has not ended after a second is waited for no longer, in
//	    this state or another: it is named until it is gone.
//	(5) and then, before a respawn, its delay; see respawn.go.
//
// Every state is passed through and announced, also when the job lacks its
// process. Entering starting and stopping emits the event of that name and
// waits until it has finished; entering running emits "started", entering
// waiting "stopped", and nobody waits for these.
//
// # Waiting
//
// Waiting is a record in a list, never a call that has not returned. A caller
// or an event that waits for an instance stands in instance.waiters, and is
// released once: when the instance has come to rest (a service in running, a
// task and every stop in waiting), when it failed, or when a newer wish
// overtakes. An event counts its blockers; at none it finishes when the queue
// comes to it and resumes the instance or the caller that it held. Nothing is
// resumed in the middle of something else.
//
// Instances whose events wait for each other wait for ever: a blocked cycle.
// It is looked for where a wait could close one, and named in the log when it
// forms; see blocked.go. A newer wish overtakes whoever waits for the member
// that it is for, and so breaks the cycle; a stop does so even of a member
// whose goal is stop already, and which would refuse it otherwise.
//
// # Why
//
// What happened is written down in passing for whoever asks why a job runs or
// does not: the event that an operand came with last, where a goal came from,
// how processes ended; see trail.go. None of it is ever looked at to decide
// anything, and View gives it out; see why.go.
//
// # Failure
//
// The first failure of a pass (from starting on) is the one that is told:
// Failed is announced, waiters are answered, and stopping and stopped carry
// it. A later one is told to nobody: who began to wait after the first is
// answered when the instance has come to rest. Main's end is never a failure
// while the goal is stop, nor in the pre-stop of a restart; a respawn is none
// either, as long as its limit holds.
//
// # The end of the session
//
// session-end is emitted, and what its event neither started nor waits for is
// stopped, all at once, but for those that "stop on stopped" lets outlive
// others. A stopping event waits then also for a job that it would stop and
// that the end has stopped already, so that dependents are gone first, unless
// those two would wait for each other. When every instance that is left waits
// for an event or for another, no news can help: the events are let go, and
// then all are stopped.
// At the deadline every process is killed, no other is made, and no event
// concerns anybody any more. A caller that waits is answered before Quit, also
// one who waits for what even KILL does not end.
//
// # Circles
//
// Jobs without processes can start each other for ever. A step takes so many
// events and no more, and the next step begins with the oldest that can go on, so
// that whoever else waits for an event, or for the end of the session, is not
// held up by them.
//
// # Identity
//
// Processes are known by ProcID, which is never used twice. News of a process
// that the engine does not know any more is ignored by that number.
package engine
