package engine_test

import (
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
	"github.com/session-init/session-init/session/sim"
)

// What the random sessions have besides jobs, their processes and their
// callers: what is known of main from outside, sockets, login sessions, and
// descriptors that come with events.

// busName is what jobs of random sessions own, and addresses where they listen.
const busName = "org.example.A"

var addresses = []string{"unix:/x", "inet:*:1", "unix:/nobody"}

// loginEnv are the layers of login sessions.
var loginEnv = []events.Env{nil, {"DISPLAY=:1"}, {"N=2"}, {"DISPLAY=:2", "N=1"}, {"BAD"}}

// drawBy draws a client: in a login session, or in none.
func drawBy(t *rapid.T) *events.Caller {
	session := rapid.SampledFrom([]uint64{0, 0, 0, 1, 2, 3}).Draw(t, "session")
	if session == 0 {
		return nil
	}
	return &events.Caller{Command: "client", Session: session}
}

// main draws one of the main processes whose program runs; nil for none.
func drawMain(t *rapid.T, w *sim.World) *sim.Process {
	procs := slices.DeleteFunc(w.Processes(), func(p *sim.Process) bool { return p.Kind != job.Main || p.Pid == 0 })
	if len(procs) == 0 {
		return nil
	}
	return procs[rapid.IntRange(0, len(procs)-1).Draw(t, "main")]
}

// speak has something be known of a main: that it is ready, in whichever way it
// declares it, what it lacks or does instead, or what it says of itself.
func speak(t *rapid.T, w *sim.World, may scope) {
	p := drawMain(t, w)
	if p == nil {
		return
	}
	switch rapid.IntRange(0, 6).Draw(t, "is known") {
	case 0, 1:
		w.Do(engine.Ready{Proc: p.ID, How: "listens on unix:/x"})
	case 2:
		w.Do(engine.Lacks{Proc: p.ID, What: rapid.SampledFrom([]string{"", "nobody owns it"}).Draw(t, "lacks")})
	case 3:
		w.Do(engine.Found{Proc: p.ID, Listens: rapid.SampledFrom([]string{"", "tcp *:1"}).Draw(t, "listens"),
			Owns: rapid.SampledFrom([]string{"", busName, "org.example.B"}).Draw(t, "owns")})
	case 4:
		w.Do(engine.Misfit{Proc: p.ID, What: "declares what it does not do"})
	default:
		// Nobody else has a socket for it.
		if class, _ := w.Engine.View().Class(p.Class); class.Notifies() {
			w.Say(p, drawSaid(t, may))
		}
	}
}

// drawSaid draws what a job may say of itself.
func drawSaid(t *rapid.T, may scope) engine.Notified {
	said := engine.Notified{
		HasStatus: rapid.Bool().Draw(t, "has status"), Status: rapid.SampledFrom([]string{"", "well"}).Draw(t, "status"),
		Errno:   rapid.SampledFrom([]string{"", "interrupted (4)"}).Draw(t, "errno"),
		Alive:   rapid.Bool().Draw(t, "alive"),
		Trigger: rapid.IntRange(0, 5).Draw(t, "trigger") == 0,
	}
	if may != predictable && rapid.Bool().Draw(t, "extends") {
		said.Extend = time.Duration(rapid.IntRange(1, 2000).Draw(t, "extend")) * time.Millisecond
	}
	switch rapid.IntRange(0, 5).Draw(t, "says") {
	case 0, 1, 2:
		said.Ready = true
	case 3:
		said.Reloading = true
	case 4:
		said.Stopping = true
	case 5:
		said.HasInterval, said.Interval = true, time.Duration(rapid.IntRange(0, 1500).Draw(t, "interval"))*time.Millisecond
	}
	return said
}

// meet is something that happens at a socket.
func meet(t *rapid.T, w *sim.World) {
	class := rapid.SampledFrom(classNames).Draw(t, "socket of")
	address := rapid.SampledFrom(addresses).Draw(t, "address")
	switch rapid.IntRange(0, 5).Draw(t, "at a socket") {
	case 0:
		w.Do(engine.ListenAgain{})
	case 1:
		faults := []engine.SocketFault{{Address: address, Reason: "address already in use"}}
		w.Do(engine.Listening{Class: class, Faults: faults[:rapid.IntRange(0, 1).Draw(t, "faults")]})
	default:
		w.Do(engine.Connection{Class: class, Address: address})
	}
}

// dwell is something that happens to login sessions.
func dwell(t *rapid.T, w *sim.World, call engine.CallID) {
	id := rapid.Uint64Range(0, 4).Draw(t, "login")
	leader := rapid.IntRange(1, 3).Draw(t, "leader")
	display := rapid.SampledFrom([]string{"wayland-1", "X1"}).Draw(t, "display")
	env := rapid.SampledFrom(loginEnv).Draw(t, "layer")
	switch rapid.IntRange(0, 9).Draw(t, "logs") {
	case 0, 1:
		w.Do(engine.SessionOpen{Call: call, By: drawBy(t), Leader: leader, Since: 1, Env: env})
	case 2, 3, 4:
		w.Do(engine.SessionBegin{Call: call, By: drawBy(t), ID: id, Display: display, Env: env})
	case 5:
		w.Do(engine.SessionEnd{Call: call, By: drawBy(t), ID: id})
	case 6:
		w.Do(engine.SessionAwait{Call: call, ID: id})
	case 7:
		w.Do(engine.SessionLost{Leader: leader, Since: 1})
	case 8:
		w.Do(engine.SessionLost{Display: display})
	case 9:
		w.Do(engine.UntilLogout{Call: call, By: drawBy(t), On: rapid.IntRange(0, 3).Draw(t, "last logout") == 0})
	}
}

// bring emits an event with a descriptor. The number is the call's: no other
// has it.
func bring(t *rapid.T, w *sim.World, call engine.CallID) {
	w.Do(engine.Emit{Call: call, By: drawBy(t), Name: rapid.SampledFrom(eventNames).Draw(t, "brings"), Env: drawEnv(t),
		Wait: rapid.Bool().Draw(t, "waits"), File: uint64(call)})
}

// edge is one thing of these.
func edge(t *rapid.T, w *sim.World, call engine.CallID, may scope) {
	what := rapid.IntRange(0, 12).Draw(t, "edge")
	switch {
	case what == 12 && may == predictable:
	case what == 12:
		text := rapid.SampledFrom([]string{"exec sleep 1\n", "task\nexec false\n", "exec hang\n"}).Draw(t, "transient")
		w.Do(engine.RunTransient{Call: call, By: drawBy(t), Env: drawEnv(t), Wait: rapid.Bool().Draw(t, "waits"),
			Definition: engine.SavedDefinition{Name: rapid.SampledFrom([]string{"run-1", "run-2", "a"}).Draw(t, "runs"), Text: text}})
	case what == 10:
		// Longer than main may take to be ready, where nothing says how long.
		if rapid.IntRange(0, 3).Draw(t, "long") == 0 {
			w.Advance(job.DefaultReadyTimeout + time.Second)
		}
	case what == 11:
		for _, in := range w.Engine.View().Instances(rapid.SampledFrom(classNames).Draw(t, "left by")) {
			w.EndStrays(in.Owner)
		}
	case what < 4 || may == predictable && what < 6:
		speak(t, w, may)
	case what < 6:
		meet(t, w)
	case may == predictable:
		meet(t, w)
	case what < 9:
		dwell(t, w, call)
	default:
		bring(t, w, call)
	}
}

// files follows descriptors: each is dropped once, and who gets one gets one
// that is held.
func (v *watcher) files(in engine.Input, effects []engine.Effect) {
	if emit, ok := in.(engine.Emit); ok && emit.File != 0 {
		v.held = append(v.held, emit.File)
	}
	for _, effect := range effects {
		switch e := effect.(type) {
		case engine.Spawn:
			for _, file := range e.Files {
				if !slices.Contains(v.held, file) {
					v.fail("%s gets the descriptor %d, which nobody holds", sim.Label(e.Class.Name, e.Instance), file)
				}
			}
		case engine.DropFile:
			at := slices.Index(v.held, e.File)
			if at < 0 {
				v.fail("the descriptor %d is dropped, which nobody holds", e.File)
				continue
			}
			v.held = slices.Delete(v.held, at, at+1)
		}
	}
	if got := v.world.Engine.Files(); !slices.Equal(got, v.held) {
		v.fail("the descriptors %d are held; want %d", got, v.held)
	}
}

// logins follows login sessions: none is over that was not opened, none twice,
// and none is over while something of it runs that was there before its end.
func (v *watcher) logins(in engine.Input, effects []engine.Effect) {
	for _, effect := range effects {
		switch e := effect.(type) {
		case engine.Reply:
			if e.Login != 0 && !slices.Contains(v.open, e.Login) {
				if slices.Contains(v.over, e.Login) {
					v.fail("login session %d begins again", e.Login)
				}
				v.open = append(v.open, e.Login)
			}
		case engine.SessionOver:
			at := slices.Index(v.open, e.ID)
			if at < 0 {
				v.fail("login session %d is over and does not go on", e.ID)
				continue
			}
			v.open, v.over = slices.Delete(v.open, at, at+1), append(v.over, e.ID)
		}
	}
	var have []uint64
	for _, info := range v.world.Engine.View().Logins() {
		have = append(have, info.ID)
	}
	if !slices.Equal(have, v.open) {
		v.fail("after %T the login sessions %d go on; want %d", in, have, v.open)
	}
}

// edges adds to a job file what this file is about.
func drawEdges(add func(format string, args ...any), maybe func(what string, percent int) bool, t *rapid.T) {
	if maybe("watchdog", 15) {
		add("watchdog %d %s", rapid.IntRange(1, 3).Draw(t, "watchdog seconds"), rapid.SampledFrom([]string{"ABRT", "KILL", "TERM"}).Draw(t, "watchdog signal"))
	}
	if maybe("lifetime", 20) {
		add("lifetime tree")
	}
}

// expectations are what "expect" says, with fork, daemon and stop as often as
// the rest.
var expectations = []string{"fork", "daemon", "stop", "fork", "daemon", "stop", "listen", "notify", "notify", "dbus " + busName}

// bystanders are conditions about sockets and login sessions; X stands for the
// name of a job.
var bystanders = []string{
	"socket PROTO=unix SOCKET_PATH=/x", "up or socket PROTO=inet PORT=1", "socket PROTO=unix SOCKET_PATH=/x or socket PROTO=inet PORT=1",
	"socket PROTO=unix SOCKET_PATH=/x and go", "session-start", "session-start and up", "session-stop", "session-stop SESSION=1",
	"session-start DISPLAY=:1 or started X", "stopping X SESSION=$SESSION",
}
