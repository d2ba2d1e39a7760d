package engine

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/job"
)

// Login sessions. A user logs in twice, and has one daemon: what differs from
// login to login, the display above all, is a layer of environment between
// the table, which is the same for all jobs, and what a job itself says.
//
// An instance belongs to the login session that SESSION names among the
// variables of its start: session-start carries it, a client may give it, and
// the events of an instance that belongs to one carry it on, so that what is
// started by them belongs to it too. All other instances are the user's,
// whoever starts them and from where; but for a job that is made for login
// sessions, since "start on" names session-start or "instance" names $SESSION,
// a client's own session is the one that is meant.
//
// A session ends when its leader or its display has, or when somebody says
// so. Then session-stop is emitted, what still belongs to the session when
// its conditions have been looked at is stopped, and the event waits for that;
// when it has finished, the session is gone, and its layer with it. What is there
// once may go over to another session; see move.go.

// The names that login sessions go by.
const (
	sessionStart = "session-start"
	sessionStop  = "session-stop"
	sessionKey   = "SESSION"
	// loginKey is the variable by which a process says of which it is.
	loginKey = ourPrefix + "SESSION_ID"
	// busKey is the variable with the address of the session bus.
	busKey = "DBUS_SESSION_BUS_ADDRESS"
)

// Unspecified is a login session that its caller does not name.
const Unspecified = 0

// SessionOpen adds a login session whose leader is a process: Since is when
// that began, in the kernel's clock ticks since boot, so that no other is
// taken for it. Env becomes the layer. The reply has the session's number.
type SessionOpen struct {
	Call   CallID
	By     *events.Caller
	Leader int
	Since  uint64
	Env    events.Env
}

// SessionBegin gives a login session a display, by the name of its socket,
// and lays Env on its layer. The first time session-start is emitted with
// them. ID may be Unspecified: then it is the session that has the display
// already, else the caller's if that has no other, else a new one, which has
// no leader. The reply has the session's number, and Note as it stands.
type SessionBegin struct {
	Call    CallID
	By      *events.Caller
	ID      uint64
	Display string
	Env     events.Env
	Note    string
}

// SessionEnd ends a login session; Unspecified is the caller's own. The reply
// comes when what belonged to it has stopped.
type SessionEnd struct {
	Call CallID
	By   *events.Caller
	ID   uint64
}

// SessionAwait is answered when a login session is gone, or when all ends.
type SessionAwait struct {
	Call CallID
	ID   uint64
}

// SessionLost reports the end of a leader or, when Display is not empty, of a
// display: the sessions that they had end.
type SessionLost struct {
	Leader  int
	Since   uint64
	Display string
}

// SessionOver tells that a login session is gone, and which display is not
// needed any more for it. Activation is what the bus at the address Bus is to
// be told that the session's variables are now: empty, unless another session
// has them too. It is empty when the session had no display.
type SessionOver struct {
	ID         uint64
	Display    string
	Bus        string
	Activation events.Env
}

// login is a login session.
type login struct {
	id      uint64
	leader  int // 0 for none
	since   uint64
	display string
	layer   events.Env
	// began: session-start was emitted.
	began bool
	at    time.Duration
	by    *events.Caller
	// start is its session-start, nil before; stop its session-stop, nil while it
	// goes on.
	start, stop *events.Event
	calls       []CallID // that wait for its end
	// moving are the jobs that its end stops and another session may want.
	moving []string
}

// LoginInfo is what can be seen of a login session.
type LoginInfo struct {
	ID      uint64
	Leader  int
	Since   uint64
	Display string
	Env     events.Env
	// Began: it has had its session-start; Ending: its session-stop.
	Began, Ending bool
	// Age is how long ago it was opened, or had its last session-begin.
	Age time.Duration
	By  *events.Caller
}

// SavedLogin is a login session; Start is 0 before it has begun, Stop while it goes
// on.
type SavedLogin struct {
	ID      uint64
	Leader  int
	Since   uint64
	Display string
	Layer   events.Env
	Began   bool
	At      time.Duration
	By      *events.Caller
	Start   uint64
	Stop    uint64
	Calls   []CallID
	Moving  []string
}

// login returns a login session by its number, or nil.
func (e *Engine) login(id uint64) *login {
	for _, s := range e.logins {
		if s.id == id {
			return s
		}
	}
	return nil
}

// loginOf returns the login session that variables name, or nil.
func (e *Engine) loginOf(env events.Env) *login {
	if len(e.logins) == 0 {
		return nil
	}
	value, _ := env.Get(sessionKey)
	id, err := strconv.ParseUint(value, 10, 64)
	if err != nil {
		return nil
	}
	return e.login(id)
}

// entry is SESSION=ID.
func (s *login) entry() string { return sessionKey + "=" + strconv.FormatUint(s.id, 10) }

// layered lays the layer of the login session that variables name on the
// table.
func (e *Engine) layered(env events.Env) events.Env {
	if s := e.loginOf(env); s != nil {
		return e.table.Merge(s.layer)
	}
	return e.table
}

// inSession completes the variables of a wish of a client: in a login session
// a job that is made for them is meant as the one of this session, and a
// restart leaves an instance in its own.
func (e *Engine) inSession(t Target, by *events.Caller, env events.Env) events.Env {
	if len(e.logins) == 0 || t.ByName {
		return env
	}
	c := e.classes[t.Class]
	if _, given := env.Get(sessionKey); given || c == nil {
		return env
	}
	s := e.meant(by)
	if in := c.instance(""); c.def.Instance == "" && in != nil {
		if own := e.loginOf(in.env); own != nil {
			s = own
		}
	}
	if s == nil || !ofSessions(c.def) {
		return env
	}
	return append(env.Clone(), s.entry())
}

// callers returns the login session that a client is in, or nil.
func (e *Engine) callers(by *events.Caller) *login {
	if by == nil || by.Session == Unspecified {
		return nil
	}
	return e.login(by.Session)
}

// meant returns the login session whose job a client means: its own, unless that
// has no display and just one other has; or nil.
func (e *Engine) meant(by *events.Caller) *login {
	own := e.callers(by)
	if own != nil && own.began {
		return own
	}
	var only *login
	for _, s := range e.logins {
		switch {
		case !s.began || s.stop != nil:
		case only != nil:
			return own
		default:
			only = s
		}
	}
	if only == nil {
		return own
	}
	return only
}

// ofSessions reports whether a job is made for login sessions, also where "manual"
// keeps it from starting with them.
func ofSessions(def *job.Class) bool {
	return ofEach(def) || beginsWith(def)
}

// ofEach: it is there once for each of them.
func ofEach(def *job.Class) bool {
	return strings.Contains(def.Instance, "$"+sessionKey) || strings.Contains(def.Instance, "${"+sessionKey)
}

// beginsWith: it starts with one.
func beginsWith(def *job.Class) bool {
	made := def.Made()
	return made != nil && slices.ContainsFunc(made.Nodes, func(n events.Node) bool {
		return n.Op == events.OpMatch && n.Match.Name == sessionStart
	})
}

// displayless refuses to start a job that is made for login sessions while none
// has a display: it would run without one, and the session that comes next would
// find it so. Who gives it a display himself, or has given all jobs one, is not
// refused, nor is who says by an empty one that it needs none, which its definition
// cannot tell.
func (e *Engine) displayless(t Target, env events.Env) *Error {
	c := e.classes[t.Class]
	if t.ByName || e.loginOf(env) != nil || slices.ContainsFunc(e.logins, func(s *login) bool { return s.began && s.stop == nil }) {
		return nil
	}
	_, nameless := e.instanceName(c, env)
	if !beginsWith(c.def) && (nameless == nil || !ofEach(c.def)) {
		return nil
	}
	for _, key := range [...]string{"WAYLAND_DISPLAY", "DISPLAY"} {
		if _, said := env.Get(key); said {
			return nil
		}
		for _, layer := range [...]events.Env{c.def.Env, e.table} {
			if value, _ := layer.Get(key); value != "" {
				return nil
			}
		}
	}
	without := "; with DISPLAY= it starts without one"
	if nameless != nil {
		without = "" // nor is it known whose it would be
	}
	return errorf(InvalidArgs, "It belongs to a login session, and none has a display: "+
		"'session-init -- COMMAND' begins one, or 'sctl session begin' in the desktop's start-up file%s", without)
}

func (e *Engine) newLogin(by *events.Caller) *login {
	e.lastLogin++
	s := &login{id: e.lastLogin, at: e.now, by: by}
	e.logins = append(e.logins, s)
	return s
}

func (e *Engine) sessionOpen(msg SessionOpen) {
	err := checkEnv(msg.Env)
	if e.ending.begun {
		err = errorf(JobFailed, "the session is ending")
	}
	if err != nil {
		e.reply(msg.Call, nil, err)
		return
	}
	s := e.newLogin(msg.By)
	s.leader, s.since, s.layer = msg.Leader, msg.Since, events.Env{}.Merge(msg.Env)
	e.logf(Info, nil, "Login session %d begins with process %d", s.id, s.leader)
	e.do(Reply{Call: msg.Call, Login: s.id})
}

func (e *Engine) sessionBegin(msg SessionBegin) {
	s, err := e.toBegin(msg)
	if err != nil {
		e.reply(msg.Call, nil, err)
		return
	}
	if s == nil {
		s = e.newLogin(msg.By)
	}
	s.display, s.at, s.by = msg.Display, e.now, msg.By
	s.layer = s.layer.Merge(msg.Env)
	e.rewatchAll()
	if !s.began {
		s.began = true
		e.logf(Info, nil, "Login session %d has the display %s", s.id, s.display)
		s.start = e.newEvent(sessionStart, s.variables())
		s.start.Source, s.start.By = events.FromCaller, msg.By
	}
	e.do(Reply{Call: msg.Call, Login: s.id, Text: msg.Note})
}

// toBegin finds the login session that is to have a display; nil for a new
// one.
func (e *Engine) toBegin(msg SessionBegin) (*login, *Error) {
	if err := checkEnv(msg.Env); err != nil {
		return nil, err
	}
	if e.ending.begun {
		return nil, errorf(JobFailed, "the session is ending")
	}
	if msg.ID != Unspecified {
		return e.going(msg.ID)
	}
	for _, s := range e.logins {
		if s.stop == nil && s.began && s.display == msg.Display {
			return s, nil
		}
	}
	if s := e.callers(msg.By); s != nil && s.stop == nil && !s.began {
		return s, nil
	}
	return nil, nil
}

// going returns a login session that goes on.
func (e *Engine) going(id uint64) (*login, *Error) {
	s := e.login(id)
	switch {
	case s == nil:
		return nil, errorf(InvalidArgs, "No such login session: %d", id)
	case s.stop != nil:
		return nil, errorf(AlreadyStopped, "Login session %d is ending", id)
	}
	return s, nil
}

func (e *Engine) sessionEnd(msg SessionEnd) {
	if msg.ID == Unspecified {
		if s := e.callers(msg.By); s != nil {
			msg.ID = s.id
		} else {
			e.reply(msg.Call, nil, errorf(InvalidArgs, "The caller is in no login session: name one"))
			return
		}
	}
	s := e.login(msg.ID)
	if s == nil {
		e.reply(msg.Call, nil, errorf(InvalidArgs, "No such login session: %d", msg.ID))
		return
	}
	e.awaitEnd(s, msg.Call, msg.By)
	e.endLogin(s, "as it was asked to")
}

func (e *Engine) sessionAwait(msg SessionAwait) {
	if s := e.login(msg.ID); s != nil {
		e.awaitEnd(s, msg.Call, nil)
		return
	}
	e.reply(msg.Call, nil, errorf(InvalidArgs, "No such login session: %d", msg.ID))
}

// awaitEnd notes a caller that waits for the end of a login session.
func (e *Engine) awaitEnd(s *login, call CallID, by *events.Caller) {
	s.calls = slices.DeleteFunc(s.calls, func(c CallID) bool { return !e.calls[c] })
	if call != 0 {
		e.await(call, by)
		s.calls = append(s.calls, call)
	}
}

func (e *Engine) sessionLost(msg SessionLost) {
	for _, s := range slices.Clone(e.logins) {
		switch {
		case msg.Display != "" && s.display == msg.Display:
			e.endLogin(s, "its display "+s.display+" has ended")
		case msg.Display == "" && msg.Leader != 0 && s.leader == msg.Leader && s.since == msg.Since:
			e.endLogin(s, "process "+strconv.Itoa(s.leader)+" has ended")
		}
	}
}

// endLogin begins the end of a login session, if it goes on.
func (e *Engine) endLogin(s *login, why string) {
	if s.stop != nil {
		return
	}
	e.logf(Info, nil, "Login session %d ends: %s", s.id, why)
	e.noteMoving(s)
	s.stop = e.newEvent(sessionStop, events.Env{s.entry()})
}

// stopLogin stops what belongs to the login session of this session-stop, but
// for what that has started, and lets the event wait for it.
func (e *Engine) stopLogin(ev *events.Event) {
	for _, s := range e.logins {
		if s.stop == ev {
			e.stopAllOf(s, ev)
		}
	}
}

func (e *Engine) stopAllOf(s *login, ev *events.Event) {
	for _, c := range slices.Clone(e.order) {
		for in := c.first; in != nil; in = in.next {
			if in.goal == GoalStart && e.loginOf(in.startedWith()) == s && !in.holds(ev) && !c.def.Linger {
				in.stopEnv, in.stopEvents = ev.Env, []string{ev.Name}
				in.wish = wish{reason: ByEvent, at: e.now, events: []*events.Event{ev}}
				e.release(in, false)
				e.changeGoal(in, GoalStop)
			}
			if in.goal == GoalStop && !in.gone && e.loginOf(in.env) == s && !in.holds(ev) && ev.Progress == events.Handling {
				e.waitFor(in, []*events.Event{ev})
			}
		}
	}
}

// startedWith are the variables of the newest start.
func (in *instance) startedWith() events.Env {
	if in.newer != nil {
		return in.newer.env
	}
	return in.env
}

// holds reports whether an event waits for the instance.
func (in *instance) holds(ev *events.Event) bool {
	return slices.ContainsFunc(in.waiters, func(w waiter) bool { return w.event == ev })
}

// loginOver takes a login session away whose session-stop has finished.
func (e *Engine) loginOver(ev *events.Event) {
	at := slices.IndexFunc(e.logins, func(s *login) bool { return s.stop == ev })
	if at < 0 {
		return
	}
	s := e.logins[at]
	// What its own session-stop has started, and is no task.
	e.stopAllOf(s, ev)
	over := SessionOver{ID: s.id, Display: s.display}
	over.Bus, _ = e.layered(events.Env{s.entry()}).Get(busKey)
	e.logins = slices.Delete(e.logins, at, at+1)
	if s.began {
		over.Activation = e.others(s.layer)
	}
	e.rewatchAll()
	last := e.lastLogout()
	if e.endsByLogout() && len(e.logins) == 0 && !last {
		e.logf(Info, nil, "The last login session is over, session-init stays for what lingers: %s", strings.Join(e.lingering(), ", "))
	}
	e.do(over)
	e.moveJobs(s)
	e.answerAll(s)
	if last {
		e.shutdown(Shutdown{Type: "logout"})
	}
}

// others gives each variable of a layer the value that the newest session with
// a display has, or none.
func (e *Engine) others(layer events.Env) events.Env {
	out := make(events.Env, 0, len(layer))
	for _, entry := range layer {
		key, _, _ := events.SplitEntry(entry)
		value := ""
		for _, s := range e.logins {
			if have, ok := s.layer.Get(key); ok && s.began && s.stop == nil {
				value = have
			}
		}
		out = append(out, key+"="+value)
	}
	return out
}

func (e *Engine) answerAll(s *login) {
	for _, call := range s.calls {
		e.replyLater(call, nil, nil)
	}
	s.calls = nil
}

// Logins returns the login sessions, oldest first.
func (v View) Logins() []LoginInfo {
	var out []LoginInfo
	for _, s := range v.e.logins {
		out = append(out, LoginInfo{ID: s.id, Leader: s.leader, Since: s.since, Display: s.display, Env: s.layer.Clone(),
			Began: s.began, Ending: s.stop != nil, Age: v.now - s.at, By: s.by})
	}
	return out
}

// Ending reports whether the end of all has begun.
func (v View) Ending() bool { return v.e.ending.begun }

// LoginsSeen is how many login sessions there have been.
func (v View) LoginsSeen() uint64 { return v.e.lastLogin }

// InLogin returns the instances that belong to a login session, as labels, by
// class and age.
func (v View) InLogin(id uint64) []string {
	s := v.e.login(id)
	if s == nil {
		return nil
	}
	var out []string
	for _, c := range v.e.order {
		for in := c.first; in != nil; in = in.next {
			if v.e.loginOf(in.env) == s {
				out = append(out, in.label())
			}
		}
	}
	return out
}

func (s *login) save() SavedLogin {
	saved := SavedLogin{ID: s.id, Leader: s.leader, Since: s.since, Display: s.display, Layer: s.layer.Clone(),
		Began: s.began, At: s.at, By: s.by, Calls: slices.Clone(s.calls), Moving: slices.Clone(s.moving)}
	if s.start != nil {
		saved.Start = s.start.ID
	}
	if s.stop != nil {
		saved.Stop = s.stop.ID
	}
	return saved
}

// restoreLogins is the opposite of save. A session whose session-stop is not
// there any more ends anew.
func (e *Engine) restoreLogins(saved []SavedLogin, byID map[uint64]*events.Event) {
	for _, s := range saved {
		e.logins = append(e.logins, &login{id: s.ID, leader: s.Leader, since: s.Since, display: s.Display, layer: s.Layer.Clone(),
			began: s.Began, at: s.At, by: s.By, start: byID[s.Start], stop: byID[s.Stop], calls: s.Calls, moving: s.Moving})
	}
}
