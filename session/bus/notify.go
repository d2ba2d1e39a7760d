package bus

import (
	"github.com/godbus/dbus/v5"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/engine"
)

// Notify announces a change to every client. It is called on the engine's
// goroutine and does not block. The message is made once, and not at all when
// nobody is connected.
func (s *Server) Notify(n engine.Notify) {
	if s.ready.Load() == 0 {
		return
	}
	if out, ok := announcement(n); ok {
		s.announce(out)
	}
}

// announce sends a signal to every client.
func (s *Server) announce(out outgoing) {
	out.kind = dbus.TypeSignal
	message, err := encode(out, s.nextSerial())
	if err != nil {
		s.log.Error("cannot encode a signal", "path", out.path, "signal", out.member, "error", err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		if c.ready {
			c.send(message)
		}
	}
}

// announcement makes a signal of a change; ok is false for a change that no
// signal of these interfaces tells.
func announcement(n engine.Notify) (out outgoing, ok bool) {
	manager := func(member, sig string, body ...any) (outgoing, bool) {
		return outgoing{path: api.ManagerPath, iface: api.ManagerInterface, member: member, signature: sig, body: body}, true
	}
	class := func(member, sig string, body ...any) (outgoing, bool) {
		return outgoing{path: api.JobPath(n.Class), iface: api.JobInterface, member: member, signature: sig, body: body}, true
	}
	instance := func(member, sig string, body ...any) (outgoing, bool) {
		path := api.InstancePath(n.Class, n.Instance)
		return outgoing{path: path, iface: api.InstanceInterface, member: member, signature: sig, body: body}, true
	}
	jobPath := dbus.ObjectPath(api.JobPath(n.Class))
	instancePath := dbus.ObjectPath(api.InstancePath(n.Class, n.Instance))
	switch n.Kind {
	case engine.JobAdded:
		return manager("JobAdded", "o", jobPath)
	case engine.JobRemoved:
		return manager("JobRemoved", "o", jobPath)
	case engine.EventEmitted:
		return manager("EventEmitted", "sas", n.Text, []string(n.Env))
	case engine.InstanceAdded:
		return class("InstanceAdded", "o", instancePath)
	case engine.InstanceRemoved:
		return class("InstanceRemoved", "o", instancePath)
	case engine.GoalChanged:
		return instance("GoalChanged", "s", n.Text)
	case engine.StateChanged:
		return instance("StateChanged", "s", n.Text)
	case engine.Failed:
		return instance("Failed", "i", int32(n.Status))
	}
	return outgoing{}, false
}
