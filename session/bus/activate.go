package bus

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/wire"
)

// A dbus-daemon that runs with --systemd-activation does not execute a service
// whose file has SystemdService=: it has whoever owns the name
// org.freedesktop.systemd1 do so, and keeps the calls of that service until then.
//
//	bus                                 we
//	                               <--  RequestName org.freedesktop.systemd1
//	ActivationRequest(unit)        -->  the job is started
//	                               <--  it owns its name: the bus sees that itself
//	                               <--  or ActivationFailure(unit, error, why)
//
// While nobody owns that name the bus keeps the requests too, so that none is
// lost before we have come. What it has sent is lost with the connection:
// see Retire. (dbus-daemon's bus/activation.c)

const (
	// handsOver is the flag of such a bus.
	handsOver = "--systemd-activation"
	// doNotQueue asks for a name now or never; see RequestName.
	doNotQueue = 4

	activatorInterface = systemdName + ".Activator"
)

// The errors of a failed activation, as a bus has them that starts services
// itself.
const (
	ErrServiceNotFound = driver + ".Error.Spawn.ServiceNotFound"
	ErrSpawnFailed     = driver + ".Error.Spawn.Failed"
)

// Activator starts services for a bus. Its methods are called on the link's
// goroutine and must not block.
type Activator interface {
	// Activate asks for a service, by a name that ends in .service. by is the
	// bus.
	Activate(unit string, by *events.Caller)
	// Ready says that failures can be told from now on: those that could not
	// be before are to be told again.
	Ready()
}

// offer takes the name by which a bus knows who starts its services, if the bus
// is a job of ours and hands them over: any other has an activator of its own,
// or needs none, and whoever looks for systemd there must not find us.
func (l *link) offer() {
	if l.remote.opts.Activator == nil {
		return
	}
	l.conn.send(l.call("GetConnectionCredentials", "s", func(m *wire.Message) {
		who, err := l.credentials(m)
		if err != nil || who.pid == 0 || !handsOverTo(who.pid, l.server.Address()) {
			return
		}
		l.bus = &events.Caller{Pid: who.pid, User: who.uid, Command: "dbus-daemon"}
		if stat, err := readSome("/proc/"+strconv.Itoa(who.pid)+"/stat", 4096); err == nil {
			l.bus.Command, l.bus.Parent = parseStat(stat)
		}
		l.conn.send(l.call("RequestName", "su", l.offered, systemdName, uint32(doNotQueue)))
	}, driver))
}

// handsOverTo tells whether a process is a bus that was started by a job of the
// daemon at an address, and hands its services over.
func handsOverTo(pid int, address string) bool {
	dir := "/proc/" + strconv.Itoa(pid)
	command, err := readSome(dir+"/cmdline", maxEnviron)
	if err != nil || !holds(command, handsOver) {
		return false
	}
	environ, err := readSome(dir+"/environ", maxEnviron)
	return err == nil && holds(environ, api.SessionVariable+"="+address)
}

// holds tells whether one of some strings, each ended by a NUL, is that.
func holds(list []byte, one string) bool {
	for entry := range bytes.SplitSeq(list, []byte{0}) {
		if string(entry) == one {
			return true
		}
	}
	return false
}

// offered takes the answer to RequestName.
func (l *link) offered(m *wire.Message) {
	if m.Kind != wire.MethodReply || m.Signature != "u" || m.Value(0) != uint32(namePrimary) {
		l.server.log.Warn("cannot start services for the bus: another has the name " + systemdName +
			"; end that program, or take " + handsOver + " from the bus's command line")
		return
	}
	l.server.log.Info("starts services for the bus", "name", systemdName)
	l.remote.setStarter(l)
	l.remote.opts.Activator.Ready()
}

// setStarter notes the link over which services are started; nil: there is none.
func (r *Remote) setStarter(l *link) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.starter = l
}

// activate takes a signal of the bus about services.
func (l *link) activate(m *wire.Message) {
	if m.Member != "ActivationRequest" || m.Signature != "s" || l.bus == nil {
		return
	}
	by := *l.bus
	l.remote.opts.Activator.Activate(strings.Clone(m.Text(0)), &by)
}

// FailActivation tells the bus that a service will not come, and why, which goes
// to all who wait for it. false: there is no bus that could be told.
func (r *Remote) FailActivation(unit, errorName, why string) bool {
	r.mu.Lock()
	l := r.starter
	r.mu.Unlock()
	if l == nil {
		return false
	}
	message, err := l.server.encode(wire.Header{Kind: wire.Signal, Destination: driver, Path: busPath, Interface: activatorInterface,
		Member: "ActivationFailure", Signature: "sss"}, unit, errorName, why)
	if err != nil {
		l.server.log.Error("cannot encode the failure of an activation", "unit", unit, "error", err)
		return true
	}
	l.conn.send(message)
	return true
}

// Retire gives back the name by which the bus finds us for its services, and
// calls done when all that it has asked for before has been taken: what it asks
// for from then on it keeps for the next daemon. Should the bus be lost before it
// answers, done is not called. It does not block.
func (r *Remote) Retire(done func()) {
	r.mu.Lock()
	l := r.starter
	r.starter = nil
	r.mu.Unlock()
	if l == nil {
		done()
		return
	}
	l.conn.send(l.call("ReleaseName", "s", func(*wire.Message) { done() }, systemdName))
}
