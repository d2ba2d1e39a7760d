package bus

import (
	"strings"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/wire"
)

// objectKind says what stands at an object path.
type objectKind uint8

const (
	noObject       objectKind = iota
	nodeObject                // a step on the way to the manager
	managerObject             // the daemon
	jobsObject                // the parent of the jobs
	jobObject                 // a job class
	instanceObject            // an instance
	busObject                 // what a bus daemon would be; see hello.go
	systemdObject             // what systemd would be; see systemd.go
)

// object is what a path names. Whether a job or instance of that name exists
// is known on the engine's goroutine only.
type object struct {
	kind          objectKind
	path          string
	job, instance string
}

func parseObject(path string) object {
	o := object{path: path}
	switch {
	case path == api.ManagerPath:
		o.kind = managerObject
	case path == api.JobsPath:
		o.kind = jobsObject
	case path == busPath:
		o.kind = busObject
	case path == systemdPath:
		o.kind = systemdObject
	case path == "/", strings.HasPrefix(api.ManagerPath, path+"/"):
		o.kind = nodeObject
	default:
		job, instance, isInstance, ok := api.ParsePath(path)
		switch {
		case !ok:
		case isInstance:
			o.kind, o.job, o.instance = instanceObject, job, instance
		default:
			o.kind, o.job = jobObject, job
		}
	}
	return o
}

// missing tells why there is no such object, or nil. The name of the error
// is the one by which Upstart's clients know a job that has gone meanwhile.
func (o object) missing(v engine.View) *failure {
	exists := true
	switch o.kind {
	case noObject:
		exists = false
	case jobObject:
		_, exists = v.Class(o.job)
	case instanceObject:
		_, exists = v.Instance(o.job, o.instance)
	}
	if exists {
		return nil
	}
	return failf(api.ErrUnknownMethod, "No such object: %s", o.path)
}

// arg is an argument of a method or signal.
type arg struct{ name, sig string }

// signature is that of all arguments together.
func signature(args []arg) string {
	switch len(args) {
	case 0:
		return ""
	case 1:
		return args[0].sig
	}
	var out strings.Builder
	for _, a := range args {
		out.WriteString(a.sig)
	}
	return out.String()
}

// takes tells whether sig is the signature of the arguments.
func takes(args []arg, sig string) bool {
	for _, a := range args {
		rest, ok := strings.CutPrefix(sig, a.sig)
		if !ok {
			return false
		}
		sig = rest
	}
	return sig == ""
}

// method is an entry of the dispatch table. Introspection is made from the
// same entry, so that it cannot say anything else.
type method struct {
	name    string
	in, out []arg
	run     func(*call)
}

// signal is an announcement of an object.
type signal struct {
	name string
	args []arg
}

// property is a value of an object. get runs on the engine's goroutine, for
// an object that exists. set is nil for what cannot be changed; it takes a
// value of the property's signature.
type property struct {
	name, sig string
	get       func(*Server, engine.View, object) any
	set       func(*Server, any) *failure
	announced announced
}

// iface is an interface of an object.
type iface struct {
	name       string
	methods    []method
	signals    []signal
	properties []property
}

// objects is the whole table: what interfaces each kind of object has.
func objects() map[objectKind][]*iface {
	peer, introspectable, properties := peerInterface(), introspectableInterface(), propertiesInterface()
	standard := func(own ...*iface) []*iface {
		return append(own, properties, introspectable, peer)
	}
	return map[objectKind][]*iface{
		nodeObject:     standard(),
		managerObject:  standard(managerInterface(), managerExtension()),
		jobsObject:     standard(),
		jobObject:      standard(jobInterface(), jobExtension()),
		instanceObject: standard(instanceInterface(), instanceExtension()),
		busObject:      standard(busInterface()),
		systemdObject:  standard(systemdManager()),
	}
}

// maxKeptPath is the longest path that a client is known to ask for again, in
// bytes.
const maxKeptPath = 4 << 10

// handle takes a method call of a client, on its reader's goroutine. The
// descriptors that came with it remain the caller's.
func (s *Server) handle(conn *conn, in wire.Message, fds []int) {
	if s.open != nil {
		select {
		case <-s.open:
		case <-s.done:
			return // it never was open; who calls is sent away
		}
	}
	at := conn.at
	if at.path != in.Path {
		at = parseObject(strings.Clone(in.Path))
		if len(at.path) <= maxKeptPath {
			conn.at = at
		}
	}
	c := &call{
		server: s, conn: conn, object: at, member: in.Member,
		serial: in.Serial, quiet: in.Flags&wire.NoReplyExpected != 0, in: in, fds: fds,
	}
	defer func() {
		if v := recover(); v != nil {
			c.answer(nil, c.fault(v))
		}
	}()
	method, fail := s.find(conn, c.object, &c.in)
	// The protocol forbids NUL in strings, and no variable or name can hold
	// it. What is no UTF-8 it forbids too, but variables can hold that.
	if fail == nil && in.NUL {
		fail = failf(api.ErrInvalidArgs, "cannot call %s: a string holds a NUL byte", in.Member)
	}
	if fail == nil {
		fail = c.carriesTooMuch(method)
	}
	if fail != nil {
		c.read(func(v engine.View) ([]any, *failure) {
			if gone := c.object.missing(v); gone != nil {
				return nil, gone
			}
			return nil, fail
		})
		return
	}
	c.method = method
	conn.weigh(method.name)
	method.run(c)
}

// find looks a method up. Without an interface in the call, the first of the
// object's interfaces that has the member counts.
func (s *Server) find(conn *conn, o object, in *wire.Message) (*method, *failure) {
	known := in.Interface == ""
	for _, face := range s.objects[o.kind] {
		if in.Interface != "" && face.name != in.Interface {
			continue
		}
		known = true
		for i := range face.methods {
			m := &face.methods[i]
			if m.name != in.Member {
				continue
			}
			if !takes(m.in, in.Signature) {
				return nil, failf(api.ErrInvalidArgs, "cannot call %s: its arguments are (%s), not (%s)",
					in.Member, signature(m.in), in.Signature)
			}
			if fail := conn.refuseChange(face.name, m.name); fail != nil {
				return nil, fail
			}
			return m, nil
		}
	}
	if !known {
		return nil, failf(api.ErrUnknownInterface, "No such interface on %s: %s", o.path, in.Interface)
	}
	return nil, failf(api.ErrUnknownMethod, "No such method on %s: %s", o.path, in.Member)
}
