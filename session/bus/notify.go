package bus

import (
	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/wire"
)

// Notify announces a change to every client. It is called on the engine's
// goroutine and does not block. The message is made once, and not at all when
// nobody is connected.
func (s *Server) Notify(n engine.Notify) {
	if s.ready.Load() == 0 {
		return
	}
	if signal, body, ok := announcement(n); ok {
		s.announce(signal, body...)
	}
	if s.watchers.Load() > 0 {
		s.noteChange(n)
	}
}

// announcement makes a signal of a change; ok is false for a change that no
// signal of these interfaces tells.
func announcement(n engine.Notify) (signal wire.Header, body []any, ok bool) {
	jobPath := func() wire.ObjectPath { return wire.ObjectPath(api.JobPath(n.Class)) }
	instancePath := func() wire.ObjectPath { return wire.ObjectPath(api.InstancePath(n.Class, n.Instance)) }
	manager := func(member, sig string) wire.Header {
		return wire.Header{Path: api.ManagerPath, Interface: api.ManagerInterface, Member: member, Signature: sig}
	}
	class := func(member, sig string) wire.Header {
		return wire.Header{Path: string(jobPath()), Interface: api.JobInterface, Member: member, Signature: sig}
	}
	instance := func(member, sig string) wire.Header {
		return wire.Header{Path: string(instancePath()), Interface: api.InstanceInterface, Member: member, Signature: sig}
	}
	switch n.Kind {
	case engine.JobAdded:
		return manager("JobAdded", "o"), []any{jobPath()}, true
	case engine.JobRemoved:
		return manager("JobRemoved", "o"), []any{jobPath()}, true
	case engine.EventEmitted:
		return manager("EventEmitted", "sas"), []any{n.Text, []string(n.Env)}, true
	case engine.InstanceAdded:
		return class("InstanceAdded", "o"), []any{instancePath()}, true
	case engine.InstanceRemoved:
		return class("InstanceRemoved", "o"), []any{instancePath()}, true
	case engine.GoalChanged:
		return instance("GoalChanged", "s"), []any{n.Text}, true
	case engine.StateChanged:
		return instance("StateChanged", "s"), []any{n.Text}, true
	case engine.Failed:
		return instance("Failed", "i"), []any{int32(n.Status)}, true
	}
	return wire.Header{}, nil, false
}
