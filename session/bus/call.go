package bus

import (
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/wire"
)

// failure is the error that a call gets: a name and the sentence that
// clients print.
type failure struct{ name, msg string }

func failf(name, format string, args ...any) *failure {
	return &failure{name, fmt.Sprintf(format, args...)}
}

// errorName gives each kind of refusal of the engine its name on the bus.
func errorName(kind engine.ErrorKind) string {
	switch kind {
	case engine.InvalidArgs:
		return api.ErrInvalidArgs
	case engine.UnknownJob:
		return api.ErrUnknownJob
	case engine.UnknownInstance:
		return api.ErrUnknownInstance
	case engine.AlreadyStarted:
		return api.ErrAlreadyStarted
	case engine.AlreadyStopped:
		return api.ErrAlreadyStopped
	case engine.NotRunning:
		return api.ErrNotRunning
	case engine.JobFailed:
		return api.ErrJobFailed
	case engine.EventFailed:
		return api.ErrEventFailed
	case engine.LimitsExceeded:
		return api.ErrLimitsExceeded
	}
	return api.ErrFailed
}

func refusal(err *engine.Error) *failure {
	return &failure{errorName(err.Kind), err.Msg}
}

// call is a method call under way. Handlers run on the goroutine of the
// client's reader; they end in exactly one of read, answer, step or a call
// of the backend that ends in reply.
type call struct {
	server *Server
	conn   *conn
	object object
	member string
	method *method
	serial uint32
	quiet  bool // no answer is wanted
	tells  bool // the answer says how things stand; see outcome.go
	notes  bool // the answer is a note
	sets   bool // what reads it changes something, for whoever asked
	why    bool // a failure is told with its reason: nobody can ask later
	in     wire.Message
	fds    []int // that came with it, until the handler returns
}

// str, strs and flag give an argument; c.in gives those of other types. The
// method's signature has been checked. Strings are copied: those of c.in are
// parts of the whole message, and the engine may keep them for long.
func (c *call) str(i int) string { return strings.Clone(c.in.Text(i)) }

func (c *call) strs(i int) []string {
	return cloneAll(c.in.Texts(i))
}

func (c *call) flag(i int) bool { return c.in.Bool(i) }

// target is the instance that an instance's or a job's method is for.
func (c *call) target() engine.Target {
	return engine.Target{
		Class: c.object.job, Instance: c.object.instance, ByName: c.object.kind == instanceObject,
	}
}

// step hands an input to the engine, whose reply answers the call. With path
// the answer is the object path of the instance that the reply names.
func (c *call) step(path bool, make func(engine.CallID) engine.Input) {
	id, full := c.server.wait(c, path)
	if full {
		c.answer(nil, failf(api.ErrLimitsExceeded, "too many calls wait for an answer: %d", c.server.limits.calls))
		return
	}
	defer func() {
		if v := recover(); v != nil {
			c.server.forget(id)
			panic(v)
		}
	}()
	c.server.backend.Step(make(id))
}

// wait registers a call that the engine will answer. A client that wants no
// answer is no caller: its calls have the id 0.
func (s *Server) wait(c *call, path bool) (id engine.CallID, full bool) {
	if c.quiet {
		return 0, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(c.conn.waiting) >= s.limits.calls {
		return 0, true
	}
	id = engine.CallID(s.calls.Add(1))
	s.waiting[id] = waiting{c.conn, c.serial, path, c.tells, c.notes, c.why}
	c.conn.waiting[id] = struct{}{}
	return id, false
}

// waits tells whether somebody waits for the answer of a call yet.
func (s *Server) waits(id engine.CallID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.waiting[id]
	return ok
}

// forget takes a call from those that wait.
func (s *Server) forget(id engine.CallID) (waiting, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w, ok := s.waiting[id]
	if ok {
		delete(s.waiting, id)
		delete(w.conn.waiting, id)
	}
	return w, ok
}

// Reply answers a call. It is called on the engine's goroutine and does not
// block. A reply that nobody waits for any more is dropped.
func (s *Server) Reply(r engine.Reply) {
	if r.Call == 0 {
		return
	}
	w, ok := s.forget(r.Call)
	switch {
	case !ok:
	case r.Err != nil && w.why && r.Err.Reason != "":
		s.sendError(w.conn, w.serial, &failure{errorName(r.Err.Kind), r.Err.Msg + ": " + r.Err.Reason})
	case r.Err != nil:
		s.sendError(w.conn, w.serial, refusal(r.Err))
	case r.Login != 0:
		s.sendReply(w.conn, w.serial, "us", []any{uint32(r.Login), r.Text})
	case w.tells:
		s.outcomes = append(s.outcomes, outcome{w, r})
	case w.notes:
		s.sendReply(w.conn, w.serial, "s", []any{r.Text})
	case w.path:
		s.sendReply(w.conn, w.serial, "o", []any{wire.ObjectPath(api.InstancePath(r.Class, r.Instance))})
	default:
		s.sendReply(w.conn, w.serial, "", nil)
	}
}

// read calls f on the engine's goroutine, after all that the client has
// asked for before, and answers with what it returns. Nothing is read for a
// client that has gone meanwhile.
func (c *call) read(f func(engine.View) ([]any, *failure)) {
	c.server.backend.Read(func(v engine.View) {
		if c.conn.lost() && !c.sets {
			return
		}
		defer c.recover()
		c.reply(f(v))
	})
}

// answer answers when all that the client has asked for before is done.
func (c *call) answer(values []any, fail *failure) {
	c.read(func(engine.View) ([]any, *failure) { return values, fail })
}

// reply answers now. It is called on the engine's goroutine.
func (c *call) reply(values []any, fail *failure) {
	switch {
	case c.quiet:
	case fail != nil:
		c.server.sendError(c.conn, c.serial, fail)
	default:
		c.server.sendReply(c.conn, c.serial, signature(c.method.out), values)
	}
}

// recover keeps a fault in the handling of one call from ending the daemon.
// It must be deferred on the engine's goroutine.
func (c *call) recover() {
	if v := recover(); v != nil {
		c.reply(nil, c.fault(v))
	}
}

func (c *call) fault(v any) *failure {
	c.server.log.Error("fault in the handling of a call", "path", c.object.path, "member", c.member,
		"fault", v, "stack", string(debug.Stack()))
	return failf(api.ErrFailed, "cannot handle %s: internal fault: %v", c.member, v)
}

// encode makes a message of ours and numbers it.
func (s *Server) encode(h wire.Header, body ...any) ([]byte, error) {
	h.Serial = s.nextSerial()
	return s.encoder.encode(&h, body)
}

func (s *Server) sendReply(c *conn, serial uint32, sig string, values []any) {
	s.tellBefore(c)
	message, err := s.encode(wire.Header{Kind: wire.MethodReply, ReplyTo: serial, Destination: c.name, Signature: sig}, values...)
	if err != nil {
		s.sendError(c, serial, failf(api.ErrFailed, "cannot send the answer: %v", err))
		return
	}
	c.send(message)
}

func (s *Server) sendError(c *conn, serial uint32, fail *failure) {
	s.tellBefore(c)
	message, err := s.encode(wire.Header{Kind: wire.Error, ReplyTo: serial, Destination: c.name, ErrorName: fail.name, Signature: "s"}, fail.msg)
	if err != nil {
		s.log.Error("cannot encode an error", "error", err)
		return
	}
	c.send(message)
}
