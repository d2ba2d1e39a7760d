package session

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/display"
	"github.com/session-init/session-init/session/display/variable"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/supervise"
)

// The daemon's side of login sessions: leaders are watched by pidfd, displays
// by a connection, and the session bus is told of variables. All of it is
// done beside the loop, and ends in an input of the engine. Nothing here
// outlives the daemon: the next one watches anew, what has ended meanwhile is
// found gone.

const (
	// displayTime bounds how long a display may take to be connected to,
	// busTime how long the bus may take to say that it knows the variables.
	displayTime = 10 * time.Second
	busTime     = 5 * time.Second
	// firstLogin is how long a daemon that a login has started waits for it,
	// in case that has died meanwhile.
	firstLogin = time.Minute
)

// displays are the connections that are held.
type displays struct {
	mu   sync.Mutex
	held []*heldDisplay
}

type heldDisplay struct {
	name string
	conn *display.Conn
	gone chan struct{} // closed when its Wait has returned
	// begins counts who is about to have a session on it, or has not yet seen
	// that it has.
	begins int
}

// OpenSession watches a leader and lets its login session begin, after the user's
// own jobs if these are quick; see bus.LoginKeeper.
func (d *Daemon) OpenSession(in engine.SessionOpen) {
	d.guard.Go("beginning of a login session", func() {
		leader, err := supervise.WatchLeader(in.Leader)
		if err != nil {
			d.refuse(in.Call, fmt.Sprintf("cannot watch process %d: %v", in.Leader, err))
			return
		}
		in.Since = leader.Since
		// The answer is what the command of the login waits for.
		d.begunWithin(openTime)
		d.Step(in)
		d.watchLeader(leader, in.Leader)
	})
}

// refuse answers a call that does not come to the engine.
func (d *Daemon) refuse(call engine.CallID, why string) {
	d.Read(func(engine.View) {
		d.server.Reply(engine.Reply{Call: call, Err: &engine.Error{Kind: engine.JobFailed, Msg: why}})
	})
}

// watchLeader says when a leader has ended.
func (d *Daemon) watchLeader(leader *supervise.Leader, pid int) {
	d.guard.Go("watch over the leader of a login session", func() {
		leader.Wait()
		d.Step(engine.SessionLost{Leader: pid, Since: leader.Since})
	})
}

// BeginSession waits for the user's own jobs, connects to the display that the
// variables name, tells the session bus of them, and lets the engine go on; see
// bus.LoginKeeper.
func (d *Daemon) BeginSession(in engine.SessionBegin) {
	d.guard.Go("wait of a login session for the user's jobs", func() {
		late := d.awaitBegun()
		d.Read(func(v engine.View) {
			table, _ := v.SessionEnv(engine.Unspecified)
			d.guard.Go("beginning of a login session's display", func() { d.beginSession(in, table.Merge(in.Env), late) })
		})
	})
}

func (d *Daemon) beginSession(in engine.SessionBegin, env events.Env, late string) {
	lookup := lookupIn(env)
	// What the table says of another display is none of this session's.
	name, err := display.Name(func(key string) string {
		if value, ok := in.Env.Get(key); ok || key != "XDG_RUNTIME_DIR" {
			return value
		}
		return lookup(key)
	})
	var held *heldDisplay
	if err == nil {
		held, err = d.hold(name, lookup)
	}
	if err != nil {
		d.refuse(in.Call, err.Error())
		return
	}
	in.Display, in.Note = name, d.activate(display.BusAddress(lookup), in.Env)
	for _, note := range [...]string{d.meetBus(lookup(variable.Bus)), late} {
		if note != "" {
			in.Note = strings.TrimSuffix(note+"; "+in.Note, "; ")
		}
	}
	d.Step(in)
	d.watchDisplay(held)
	d.Read(func(v engine.View) {
		if !d.displays.release(held) {
			// It ended before it was the session's: nobody would be told.
			d.guard.Go("watch over a display anew", func() { d.rewatchDisplay(name, lookup) })
		}
		d.letGo(v, name)
		d.activator.release(v)
	})
}

func lookupIn(env events.Env) func(string) string {
	return func(key string) string {
		value, _ := env.Get(key)
		return value
	}
}

// activate tells the bus of variables, and returns a sentence when it could
// not.
func (d *Daemon) activate(address string, env []string) string {
	if address == "" {
		return "there is no session bus: services that one starts later will not know the variables"
	}
	ctx, cancel := context.WithTimeout(context.Background(), busTime)
	defer cancel()
	untold, err := display.Activate(ctx, address, env)
	var note string
	switch {
	case err != nil:
		note = err.Error()
	case len(untold) > 0:
		note = "services that the bus starts will not know " + strings.Join(untold, ", ") + ": D-Bus takes no value that is not UTF-8"
	default:
		return ""
	}
	d.log.Warn(note)
	return note
}

// hold connects to a display, or finds the connection that is there and in
// order. One that has ended counts as that before anything new begins. Until
// release it is not closed, unless the display ends.
func (d *Daemon) hold(name string, lookup func(string) string) (*heldDisplay, error) {
	if held := d.displays.want(name); held != nil {
		if !held.conn.Ended() {
			return held, nil
		}
		d.displayLost(held)
	}
	ctx, cancel := context.WithTimeout(context.Background(), displayTime)
	defer cancel()
	conn, err := display.Connect(ctx, name, lookup)
	if err != nil {
		return nil, err
	}
	return d.displays.add(name, conn), nil
}

// want returns the connection to a display, for who is about to have a session
// on it; nil when there is none.
func (s *displays) want(name string) *heldDisplay {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := s.find(name)
	if held != nil {
		held.begins++
	}
	return held
}

// add returns the connection of somebody who was quicker, or this one.
func (s *displays) add(name string, conn *display.Conn) *heldDisplay {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := s.find(name)
	if held == nil {
		held = &heldDisplay{name: name, conn: conn}
		s.held = append(s.held, held)
	} else {
		conn.Close()
	}
	held.begins++
	return held
}

// release takes back what hold has given. It returns false when the display has
// ended since.
func (s *displays) release(held *heldDisplay) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	held.begins--
	return slices.Contains(s.held, held)
}

// find is for who holds mu.
func (s *displays) find(name string) *heldDisplay {
	for _, held := range s.held {
		if held.name == name {
			return held
		}
	}
	return nil
}

// drop closes a connection; false when that was done before. mu is held.
func (s *displays) drop(held *heldDisplay) bool {
	at := slices.Index(s.held, held)
	if at < 0 {
		return false
	}
	s.held = slices.Delete(s.held, at, at+1)
	held.conn.Close()
	return true
}

// displayLost says that a display has ended. Nobody can connect to another of
// that name in between, and have a session on that end by it.
func (d *Daemon) displayLost(held *heldDisplay) {
	d.displays.mu.Lock()
	defer d.displays.mu.Unlock()
	if d.displays.drop(held) {
		d.Step(engine.SessionLost{Display: held.name})
	}
}

// displayGone says that a display was not there, unless somebody has connected
// to it since.
func (d *Daemon) displayGone(name string) {
	d.displays.mu.Lock()
	defer d.displays.mu.Unlock()
	if d.displays.find(name) == nil {
		d.Step(engine.SessionLost{Display: name})
	}
}

// watchDisplay says when a display has ended, unless somebody does already.
func (d *Daemon) watchDisplay(held *heldDisplay) {
	d.displays.mu.Lock()
	defer d.displays.mu.Unlock()
	if held.gone != nil {
		return
	}
	held.gone = make(chan struct{})
	d.guard.Go("watch over the display of a login session", func() {
		defer close(held.gone)
		held.conn.Wait()
		d.displayLost(held)
	})
}

// letGo closes the connection to a display that no session has any more, and
// none is about to. It is called on the loop's goroutine.
func (d *Daemon) letGo(v engine.View, name string) {
	for _, s := range v.Logins() {
		if s.Display == name && !s.Ending {
			return
		}
	}
	d.displays.mu.Lock()
	defer d.displays.mu.Unlock()
	if held := d.displays.find(name); held != nil && held.begins == 0 {
		d.displays.drop(held)
	}
}

// sessionOver does what is left to do when a login session is gone.
func (d *Daemon) leftSession(over engine.SessionOver) {
	if over.Display != "" {
		d.Read(func(v engine.View) { d.letGo(v, over.Display) })
	}
	if len(over.Activation) > 0 {
		d.guard.Go("activation environment", func() {
			if address := display.BusAddress(lookupIn(events.Env{variable.Bus + "=" + over.Bus, "XDG_RUNTIME_DIR=" + d.runtime.base})); address != "" {
				_ = d.activate(address, over.Activation)
			}
		})
	}
}

// rewatch watches the login sessions of the last daemon.
func (d *Daemon) rewatch() {
	d.Read(func(v engine.View) {
		table, _ := v.SessionEnv(engine.Unspecified)
		for _, s := range v.Logins() {
			if s.Ending {
				continue
			}
			d.guard.Go("watch over a login session", func() { d.rewatchOne(s, lookupIn(table.Merge(s.Env))) })
		}
	})
}

func (d *Daemon) rewatchOne(s engine.LoginInfo, lookup func(string) string) {
	if s.Leader != 0 {
		leader, err := supervise.WatchLeader(s.Leader)
		if err == nil && leader.Since == s.Since {
			d.watchLeader(leader, s.Leader)
		} else {
			if err == nil {
				leader.Close()
			}
			d.Step(engine.SessionLost{Leader: s.Leader, Since: s.Since})
		}
	}
	if s.Display != "" {
		d.rewatchDisplay(s.Display, lookup)
	}
}

// rewatchDisplay watches the display of a session that has begun.
func (d *Daemon) rewatchDisplay(name string, lookup func(string) string) {
	held, err := d.hold(name, lookup)
	switch {
	case err == nil:
		d.watchDisplay(held)
		d.Read(func(v engine.View) {
			d.displays.release(held)
			d.letGo(v, name)
		})
	case display.Gone(err):
		d.displayGone(name)
	default:
		d.log.Warn(fmt.Sprintf("the end of login sessions on %s will not be noticed: %v", name, err))
	}
}

// awaitLogin ends a daemon that a login has started if none comes.
func (d *Daemon) awaitLogin() {
	if !d.opts.UntilLogout {
		return
	}
	time.AfterFunc(firstLogin, func() {
		d.Read(func(v engine.View) {
			if v.LoginsSeen() == 0 {
				d.log.Warn("no login session has come: session-init ends")
				d.Step(engine.Shutdown{Type: "logout"})
			}
		})
	})
}

// LoginVariables parts an environment: what tells one login session from
// another, for its layer, and the rest, for a daemon that serves more of them.
func LoginVariables(environ []string) (layer, rest []string) {
	layer = variable.Taken(lookupIn(environ))
	own := variable.Names()
	for _, entry := range environ {
		// The bus is mostly the user's, and the daemon is on it, too.
		key, _, _ := strings.Cut(entry, "=")
		if key == variable.Bus || !slices.Contains(own, key) {
			rest = append(rest, entry)
		}
	}
	return layer, rest
}
