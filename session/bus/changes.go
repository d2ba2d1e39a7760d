package bus

import (
	"strings"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/wire"
)

// The standard signal PropertiesChanged is for clients that keep a copy of
// properties. It goes to those that have read all properties of an object, and is
// about that object, or have asked for all of them by a match rule, from then on:
// others, who hear of states by the signals of their own, are spared it, and so
// is the engine. Changes are
// collected, and told once for each object when the engine has done what it was
// asked for; before a reply they are told at once, so that no client finds its
// copy older than the answer that it has got.

// announced says how clients learn of another value of a property.
type announced uint8

const (
	byNobody announced = iota // not at all: it is to be read anew
	constant                  // there is none while the object exists
	bySignal                  // by PropertiesChanged
)

// annotation is the value of org.freedesktop.DBus.Property.EmitsChangedSignal,
// empty for the default.
func (a announced) annotation() string { return [...]string{"false", "const", ""}[a] }

// changes are the properties with values that have not been told. They belong
// to the engine's goroutine.
type changes struct {
	// view reads the engine; it is there from the first client that watches.
	view engine.View
	// list has the objects in the order of their first change, and at where
	// they stand.
	list []changedObject
	at   map[subject]int
}

// subject is an instance or, with an empty class, the daemon.
type subject struct{ class, instance string }

type changedObject struct {
	subject
	names []string // of properties; nil when the object has gone
}

// maxWatched is how many objects a client is told of by name; one that has
// looked at more is told of all.
const maxWatched = 1024

// watching says of which objects a client, or any client, is told. The server's
// lock guards it.
type watching struct {
	all     int // clients that are told of all objects
	objects map[subject]int
}

func (w *watching) has(of subject) bool { return w.all > 0 || w.objects[of] > 0 }

func (w *watching) add(of subject, n int) {
	if w.objects == nil {
		w.objects = make(map[subject]int)
	}
	if w.objects[of] += n; w.objects[of] == 0 {
		delete(w.objects, of)
	}
}

// watch has a client told of changes of an object from now on, of all of them
// for nil. It is called on the engine's goroutine.
func (s *Server) watch(c *conn, of *subject, v engine.View) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := &c.watches
	if !c.ready || w.all > 0 || of != nil && w.has(*of) {
		return
	}
	s.changes.view = v
	if len(w.objects) == 0 {
		s.watchers.Add(1)
	}
	if of != nil && len(w.objects) < maxWatched {
		w.add(*of, 1)
		s.watched.add(*of, 1)
		return
	}
	w.all = 1
	s.watched.all++
}

// unwatch forgets a client; s.mu is held.
func (s *Server) unwatch(c *conn) {
	w := &c.watches
	if w.all > 0 || len(w.objects) > 0 {
		s.watchers.Add(-1)
	}
	s.watched.all -= w.all
	for of := range w.objects {
		s.watched.add(of, -1)
	}
	*w = watching{}
}

// watchObject is what GetAll does: who reads all that there is of an object may
// keep a copy.
func (c *call) watchObject(v engine.View) {
	switch c.object.kind {
	case managerObject:
		c.server.watch(c.conn, &subject{}, v)
	case instanceObject:
		c.server.watch(c.conn, &subject{c.object.job, c.object.instance}, v)
	}
}

// Stepping is called on the engine's goroutine before each step. What it takes
// from the input is which processes change: no announcement tells of these.
func (s *Server) Stepping(in engine.Input) {
	if s.watchers.Load() == 0 {
		return
	}
	var proc engine.ProcID
	switch in := in.(type) {
	case engine.Spawned:
		proc = in.Proc
	case engine.Forked:
		proc = in.Proc
	case engine.Exited:
		proc = in.Proc
	default:
		return
	}
	if class, instance, ok := s.changes.view.ProcessOf(proc); ok {
		s.changed(subject{class, instance}, "processes")
	}
}

// noteChange takes the changes that an announcement stands for.
func (s *Server) noteChange(n engine.Notify) {
	of := subject{n.Class, n.Instance}
	switch n.Kind {
	case engine.GoalChanged:
		s.changed(of, "goal")
	case engine.StateChanged:
		s.changed(of, "state")
	case engine.InstanceRemoved:
		if i, ok := s.changes.at[of]; ok {
			s.changes.list[i].names = nil
			delete(s.changes.at, of)
		}
	}
}

// changed notes that a property has another value.
func (s *Server) changed(of subject, name string) {
	ch := &s.changes
	i, known := ch.at[of]
	if !known {
		s.mu.Lock()
		told := s.watched.has(of)
		s.mu.Unlock()
		if !told {
			return
		}
		if len(ch.list) == 0 {
			s.backend.Read(func(v engine.View) { s.tellChanges(v) })
		}
		if ch.at == nil {
			ch.at = make(map[subject]int)
		}
		i = len(ch.list)
		ch.at[of] = i
		ch.list = append(ch.list, changedObject{subject: of})
	}
	for _, have := range ch.list[i].names {
		if have == name {
			return
		}
	}
	ch.list[i].names = append(ch.list[i].names, name)
}

// tellChanges sends what has changed to those who watch.
func (s *Server) tellChanges(v engine.View) {
	list := s.changes.list
	if len(list) == 0 {
		return
	}
	s.changes.list, s.changes.at = nil, nil
	for _, entry := range list {
		if len(entry.names) > 0 {
			s.tellChange(v, entry)
		}
	}
}

func (s *Server) tellChange(v engine.View, entry changedObject) {
	o := object{kind: managerObject, path: api.ManagerPath}
	face := api.ManagerInterface
	if entry.class != "" {
		o = object{kind: instanceObject, path: api.InstancePath(entry.class, entry.instance), job: entry.class, instance: entry.instance}
		face = api.InstanceInterface
	}
	if o.missing(v) != nil {
		return
	}
	values := map[string]wire.Variant{}
	for _, f := range s.objects[o.kind] {
		for i := range f.properties {
			p := &f.properties[i]
			for _, name := range entry.names {
				if f.name == face && p.name == name {
					values[name] = wire.Variant{Signature: p.sig, Value: p.get(s, v, o)}
				}
			}
		}
	}
	message, err := s.encode(wire.Header{Kind: wire.Signal, Path: o.path, Interface: api.PropertiesInterface,
		Member: "PropertiesChanged", Signature: "sa{sv}as"}, face, values, []string{})
	if err != nil {
		s.log.Error("cannot encode a change of properties", "path", o.path, "error", err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		if c.watches.has(entry.subject) {
			c.send(message)
		}
	}
}

// tellBefore tells a client that watches what has changed, since a reply
// follows.
func (s *Server) tellBefore(c *conn) {
	if len(s.changes.list) == 0 || s.watchers.Load() == 0 {
		return
	}
	if c.link != nil {
		c = c.link.conn
	}
	s.mu.Lock()
	watches := c.watches.all > 0 || len(c.watches.objects) > 0
	s.mu.Unlock()
	if watches {
		s.tellChanges(s.changes.view)
	}
}

// asksForChanges tells whether a match rule lets PropertiesChanged through, as
// far as members and interfaces go.
func asksForChanges(rule string) bool {
	for _, want := range []struct{ key, value string }{
		{"type", "signal"}, {"interface", api.PropertiesInterface}, {"member", "PropertiesChanged"},
	} {
		for part := range strings.SplitSeq(rule, ",") {
			if value, ok := strings.CutPrefix(strings.TrimSpace(part), want.key+"="); ok && strings.Trim(value, "'") != want.value {
				return false
			}
		}
	}
	return true
}
