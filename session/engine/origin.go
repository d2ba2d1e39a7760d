package engine

import (
	"slices"
	"time"

	"github.com/session-init/session-init/events"
)

// origin is who changed a variable of the table last, and when.
type origin struct {
	key string
	at  time.Duration
	by  *events.Caller
}

// SavedOrigin is an origin.
type SavedOrigin struct {
	Key string
	At  time.Duration
	By  *events.Caller
}

// noteOrigin writes down that a variable of the table was set, or unset.
func (e *Engine) noteOrigin(key string, by *events.Caller) {
	e.origins = slices.DeleteFunc(e.origins, func(o origin) bool { return o.key == key })
	e.origins = append(e.origins, origin{key, e.now, by})
}

func (e *Engine) saveOrigins() []SavedOrigin {
	var out []SavedOrigin
	for _, o := range e.origins {
		out = append(out, SavedOrigin{o.key, o.at, o.by})
	}
	return out
}

func (e *Engine) restoreOrigins(saved []SavedOrigin) {
	for _, s := range saved {
		e.origins = append(e.origins, origin{s.Key, s.At, s.By})
	}
}

// Layer is what one layer of environment says of a variable.
type Layer struct {
	// Name is "daemon", what session-init was started with, "table", what
	// was set since, or "session N".
	Name  string
	Value string
	// Set is false where the variable was unset.
	Set bool
	// Age is how long ago it was set, and By who did; of the layer "daemon"
	// neither is known.
	Age time.Duration
	By  *events.Caller
}

// Layers returns what each layer says of a variable, weakest first; the last
// is what a job of that login session, 0 for none, finds before it says
// anything itself.
func (v View) Layers(name string, session uint64) []Layer {
	var out []Layer
	e := v.e
	if value, ok := e.firstTable.Get(name); ok {
		out = append(out, Layer{Name: "daemon", Value: value, Set: true})
	}
	for _, o := range e.origins {
		if o.key == name {
			value, set := e.table.Get(name)
			out = append(out, Layer{Name: "table", Value: value, Set: set, Age: v.now - o.at, By: o.by})
		}
	}
	if s := e.login(session); s != nil {
		if value, ok := s.layer.Get(name); ok {
			out = append(out, Layer{Name: "session " + s.entry()[len(sessionKey)+1:], Value: value, Set: true, Age: v.now - s.at, By: s.by})
		}
	}
	return out
}

// SessionEnv is the environment that the jobs of a login session begin with:
// the table, and the session's layer on it; 0 is the table alone.
func (v View) SessionEnv(session uint64) (events.Env, *Error) {
	if session == Unspecified {
		return v.e.table.Clone(), nil
	}
	s := v.e.login(session)
	if s == nil {
		return nil, errorf(InvalidArgs, "No such login session: %d", session)
	}
	return v.e.table.Merge(s.layer), nil
}
