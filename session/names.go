package session

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/bus"
	"github.com/session-init/session-init/session/display/variable"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
	"github.com/session-init/session-init/supervise"
)

// The session bus: which one it is, and the jobs that are ready when they own a
// name there.
//
//	main is made                     noted
//	it runs (Spawned)                Remote.Await --> who owns the name? ---.
//	its owner is known, or changes   Supervisor.Claim --> does it belong? <-'
//	it belongs                       Ready
//	it does not, or there is none    Lacks, which "why" tells

// nameBus is what the loop needs of a bus; see bus.Remote.
type nameBus interface {
	Await(id uint64, name string)
	Forget(id uint64, name string)
	Owners(f func([]bus.NameOwner))
}

// awaitedName is that of a main of "expect dbus", for as long as main lives.
type awaitedName struct {
	name string
	// asked: the bus was. ready: main owned it. lacks is what was told last.
	asked, ready bool
	lacks        string
}

// awaitName notes that a process, which is being made, is to own a name.
func (l *Loop) awaitName(s engine.Spawn, ready bool) {
	if s.Kind == job.Main && s.Class.Expect == job.ExpectDBus {
		if l.awaited == nil {
			l.awaited = make(map[engine.ProcID]*awaitedName)
		}
		l.awaited[s.Proc] = &awaitedName{name: s.Class.BusName, ready: ready}
	}
}

// stepped asks the bus once a process runs that is to own a name, and no more
// when it has ended.
func (l *Loop) stepped(in engine.Input) {
	switch in := in.(type) {
	case engine.Spawned:
		l.askName(in.Proc)
	case engine.SpawnFailed:
		l.forgetName(in.Proc)
	case engine.Exited:
		l.forgetName(in.Proc)
	}
}

func (l *Loop) askName(proc engine.ProcID) {
	a := l.awaited[proc]
	switch {
	case a == nil || a.asked:
	case l.names == nil:
		l.lack(proc, a, "session-init was started with --no-dbus and joins no bus")
	default:
		a.asked = true
		l.names.Await(uint64(proc), a.name)
	}
}

func (l *Loop) forgetName(proc engine.ProcID) {
	if a := l.awaited[proc]; a != nil {
		delete(l.awaited, proc)
		if a.asked {
			l.names.Forget(uint64(proc), a.name)
		}
	}
}

// owned takes what the bus knows of the owner of a name; on any goroutine.
func (d *Daemon) owned(id uint64, _ string, owner bus.Owner) {
	if owner.Absent == "" {
		d.processes.Claim(supervise.ProcID(id), owner.Pid, owner.Pidfd)
		return
	}
	d.Read(func(v engine.View) {
		proc := engine.ProcID(id)
		// Who is ready and loses the bus is told of that by the line about the
		// bus.
		if a := d.awaited[proc]; a != nil && !(a.ready && owner.NoBus) {
			lacks := owner.Absent
			if !owner.NoBus {
				lacks += d.elsewhere(v)
			}
			d.lack(proc, a, lacks)
		}
	})
}

// meetBus joins the bus of a login session if there is no other, and returns a
// sentence when there is. It is called beside the loop.
func (d *Daemon) meetBus(address string) string {
	if d.remote == nil || d.IsSystem() || address == "" {
		return ""
	}
	other := d.remote.Meet(address)
	if other == "" {
		return ""
	}
	note := fmt.Sprintf("the login session is on another bus, %s, than session-init, %s: what is ready by 'expect dbus' is not found there; %s",
		address, other, oneBus)
	d.log.Warn(note)
	return note
}

// oneBus is what to do about it.
const oneBus = "start the desktop without dbus-run-session and dbus-launch"

// elsewhere says of a name that nobody owns that a login session is on another bus,
// where somebody may; else nothing.
func (d *Daemon) elsewhere(v engine.View) string {
	if d.remote == nil || d.IsSystem() {
		return ""
	}
	for _, s := range v.Logins() {
		if address, ok := s.Env.Get(variable.Bus); ok && d.remote.Other(address) != "" {
			return fmt.Sprintf("; login session %d is on another bus, %s: %s", s.ID, address, oneBus)
		}
	}
	return ""
}

// claimed takes what the supervisor knows of such an owner.
func (l *Loop) claimed(ev supervise.Claimed) {
	proc := engine.ProcID(ev.ID)
	a := l.awaited[proc]
	switch {
	case a == nil:
	case !ev.Belongs:
		who := fmt.Sprintf("process %d", ev.Pid)
		if ev.Command != "" {
			who += " (" + ev.Command + ")"
		}
		l.lack(proc, a, fmt.Sprintf("the bus name %s is owned by %s, which is no process of the job", a.name, who))
	case !a.ready:
		a.ready = true
		l.lack(proc, a, "")
		l.step(engine.Ready{Proc: proc, How: "owns bus name " + a.name})
	default:
		l.lack(proc, a, "")
	}
}

// lack tells the engine what main lacks; nothing when text is empty.
func (l *Loop) lack(proc engine.ProcID, a *awaitedName, text string) {
	if a.lacks != text {
		a.lacks = text
		l.step(engine.Lacks{Proc: proc, What: text})
	}
}

// joinBus begins to look for the session bus, or the system's. Only a daemon that
// is the user's own, or insists, takes names there.
func (d *Daemon) joinBus() error {
	if d.opts.NoBus {
		return nil
	}
	opts := bus.RemoteOptions{Addresses: d.busAddresses(), Keep: d.keepBusAddress, Owner: d.owned, System: d.IsSystem()}
	if d.opts.Bus || !d.opts.Private() {
		opts.Names = []string{api.BusName, api.UpstartBusName}
	}
	if d.resumed || d.lost {
		text, err := os.ReadFile(d.busAddressPath())
		if err == nil {
			opts.Told = strings.TrimSpace(string(text))
		}
	} else {
		opts.Insist = d.opts.Bus
		_ = os.Remove(d.busAddressPath())
	}
	if len(opts.Names) > 0 && !d.IsSystem() {
		d.activator = d.newActivator()
		opts.Activator = d.activator
	}
	remote, err := d.server.Join(opts)
	if err != nil {
		return err
	}
	d.remote, d.names = remote, remote
	return nil
}

// systemBus is where the system bus is, if DBUS_SYSTEM_BUS_ADDRESS does not say
// it.
const systemBus = "unix:path=/run/dbus/system_bus_socket"

// busAddresses are where the bus is, as its own clients look for it.
func (d *Daemon) busAddresses() []string {
	if d.IsSystem() {
		return []string{cmp.Or(d.opts.getenv("DBUS_SYSTEM_BUS_ADDRESS"), systemBus)}
	}
	var out []string
	if address := d.opts.getenv(variable.Bus); address != "" {
		out = append(out, address)
	}
	if address := api.UnixAddress(filepath.Join(d.runtime.base, "bus")); len(out) == 0 || out[0] != address {
		out = append(out, address)
	}
	return out
}

// busAddressName is the file, in the runtime directory.
const busAddressName = "bus-address"

// busAddressPath is where an address is kept that a client has told, for the
// next daemon.
func (d *Daemon) busAddressPath() string { return filepath.Join(d.runtime.own, busAddressName) }

func (d *Daemon) keepBusAddress(address string) {
	if err := writeWhole(d.busAddressPath(), address+"\n"); err != nil {
		d.log.Warn("cannot keep the address of the bus: " + err.Error())
	}
}

// ends is called when the end of the session begins: its jobs go, the bus among
// them, and nothing new is looked out for.
func (d *Daemon) ends() {
	d.watcher.Unwatch()
	if d.remote != nil {
		d.remote.Ends()
	}
}

// LookForBus looks for the session bus now, if it is not joined.
func (d *Daemon) LookForBus() {
	if d.remote != nil {
		d.remote.Look()
	}
}

// adoptName goes on with a process of an earlier daemon that is to own a name.
func (d *Daemon) adoptName(spawn engine.Spawn, live engine.LiveProcess) {
	d.awaitName(spawn, live.Expect != job.ExpectDBus)
	if live.Pid != 0 {
		d.Read(func(engine.View) { d.askName(live.Proc) })
	}
}

// errBusFlags is for flags that contradict each other.
var errBusFlags = errors.New("--session insists on the session bus, and --no-dbus forbids it: use one of them")
