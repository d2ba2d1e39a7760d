package engine

import (
	"bytes"
	"slices"
	"sort"
	"strings"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/job"
)

// class is a definition and its instances.
type class struct {
	def *job.Class
	// entry is "UPSTART_JOB=NAME", as an instance has its own.
	entry string
	// kept is what becomes of the class when its last instance is gone:
	// another definition, or none when drop is set.
	kept *job.Class
	drop bool

	startOn *events.Condition
	watch   *watch
	sockets *sockets // nil for none

	first, last *instance // oldest to newest
	// byName is nil until there are two instances: most classes never have
	// more than one.
	byName  map[string]*instance
	nextSeq uint64

	failure string // of the last run, for status
	past    *past  // nil before a process of it has ended
}

// watch is what the index returns: the start condition of a class, or the
// stop condition of an instance.
type watch struct {
	class *class
	in    *instance // nil: the class's start condition
	filed events.Filed[*watch]
	seen  uint64 // the event that found it last
}

// instance returns the instance of that name, or nil.
func (c *class) instance(name string) *instance {
	if c.byName != nil {
		return c.byName[name]
	}
	if c.first != nil && c.first.name == name {
		return c.first
	}
	return nil
}

// link adds an instance as the newest.
func (c *class) link(in *instance) {
	if c.first != nil && c.byName == nil {
		c.byName = map[string]*instance{c.first.name: c.first}
	}
	if c.byName != nil {
		c.byName[in.name] = in
	}
	in.prev = c.last
	if c.last != nil {
		c.last.next = in
	} else {
		c.first = in
	}
	c.last = in
}

// unlink takes an instance out. Its own links stay: whoever walks over the
// instances may stand on it.
func (c *class) unlink(in *instance) {
	delete(c.byName, in.name)
	if in.prev != nil {
		in.prev.next = in.next
	} else {
		c.first = in.next
	}
	if in.next != nil {
		in.next.prev = in.prev
	} else {
		c.last = in.prev
	}
	if c.first == nil {
		c.byName = nil
	}
}

// setClass loads a definition. One with live instances is kept back until
// the last of them is gone: properties, restart and conditions are those of
// the old one till then.
func (e *Engine) setClass(def *job.Class) {
	c := e.classes[def.Name]
	switch {
	case c == nil:
		c = &class{def: def, entry: ourPrefix + "JOB=" + def.Name}
		e.classes[def.Name] = c
		at := e.classPlace(def.Name)
		e.order = append(e.order, nil)
		copy(e.order[at+1:], e.order[at:])
		e.order[at] = c
		e.adopt(c, def)
	case sameDefinition(c.def, def):
		// As after a restart of the daemon: what is in force stays.
		c.kept, c.drop = nil, false
	case c.first != nil:
		c.kept, c.drop = def, false
	default:
		e.do(Notify{Kind: JobRemoved, Class: def.Name})
		e.adopt(c, def)
	}
}

// sameDefinition reports whether two definitions say the same, from the same
// files.
func sameDefinition(a, b *job.Class) bool {
	return a.Path == b.Path && a.Override == b.Override && bytes.Equal(job.Print(a), job.Print(b))
}

// adopt puts a definition in force and announces it. What the old start
// condition holds is kept where it matches the new one too. What is without
// effect is said once, and not again when it is the same in the new definition.
func (e *Engine) adopt(c *class, def *job.Class) {
	said := c.def != def && slices.Equal(c.def.Inert, def.Inert)
	c.def, c.kept, c.drop = def, nil, false
	old := c.startOn
	c.startOn = events.NewCondition(def.StartOn)
	c.startOn.Adopt(&e.queue, old, noVariables)
	if c.watch != nil {
		e.index.Remove(c.watch.filed)
	}
	c.watch = &watch{class: c}
	c.watch.filed = e.index.Add(def.StartOn, c.watch, e.indexVariables(def))
	e.do(Notify{Kind: JobAdded, Class: def.Name})
	if len(def.Inert) > 0 && !said {
		e.do(Log{Level: Warn, Class: def.Name, Msg: def.Name + ": without effect here: " + strings.Join(def.Inert, ", ")})
	}
	e.openSockets(c)
	// What came for the old condition may be all that the new one asks for.
	// Those events will not come to an operand that has them, so nothing
	// else would ever start the job.
	e.startIfTrue(c)
}

// noVariables is the environment of a start condition, sockets apart.
func noVariables(string) (string, bool) { return "", false }

func (e *Engine) dropClass(name string) {
	c := e.classes[name]
	switch {
	case c == nil:
	case c.first != nil:
		c.kept, c.drop = nil, true
	default:
		e.removeClass(c)
	}
}

func (e *Engine) removeClass(c *class) {
	c.startOn.Reset(&e.queue)
	e.index.Remove(c.watch.filed)
	c.watch = nil
	delete(e.classes, c.def.Name)
	if c.sockets != nil {
		e.do(Listen{Class: c.def.Name})
	}
	at := e.classPlace(c.def.Name)
	e.order = append(e.order[:at], e.order[at+1:]...)
	e.do(Notify{Kind: JobRemoved, Class: c.def.Name})
}

// classPlace returns where a class of that name stands in e.order, or would.
func (e *Engine) classPlace(name string) int {
	return sort.Search(len(e.order), func(i int) bool { return e.order[i].def.Name >= name })
}

// rested is called when the last instance of a class has gone: a definition
// that was kept back takes over, with a start condition that begins afresh.
func (e *Engine) rested(c *class) {
	switch {
	case c.drop:
		e.removeClass(c)
	case c.kept != nil:
		c.startOn.Reset(&e.queue)
		e.do(Notify{Kind: JobRemoved, Class: c.def.Name})
		e.adopt(c, c.kept)
	default:
		e.awaitConnection(c)
	}
}
