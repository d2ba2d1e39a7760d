package session

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/bus"
	"github.com/session-init/session-init/session/conf"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
)

// Services that the bus has us start; see bus.Activator. The bus names a unit,
// NAME.service, and the first of these that there is, is started:
//
//	the job NAME
//	the job that expects the bus name which the unit's service file offers
//	a transient job of the Exec line of that file
//
// The bus sees by itself that a service has come. It has to be told that it
// will not, or all who call it wait for two minutes. What is under way stands
// in a file, so that the next daemon answers it.

// activator is what there is of that. A nil one has nothing to do.
type activator struct {
	daemon *Daemon
	// asked are the services under way, the loop's own; call numbers our
	// starts.
	asked []*activation
	call  engine.CallID

	mu   sync.Mutex
	kept []string // units, as they stand in the file
}

// activation is a service that is under way.
type activation struct {
	unit string
	by   *events.Caller
	at   time.Duration
	// call is our start of it, 0 once it was answered.
	call engine.CallID
	// job and instance are known when it was asked for.
	job, instance string
	// held: it waits for the display of a login session.
	held bool
	// errorName and why are a failure that could not be told yet.
	errorName, why string
}

const (
	// activationCalls is the first number of our starts: no client's call gets
	// so far.
	activationCalls = engine.CallID(1) << 62
	// activationTime is how long a bus waits for a service, and somewhat more:
	// then nobody wants to hear of it (service_start_timeout in session.conf).
	activationTime = 150 * time.Second
	// serviceTimeout is how long the process of a service that is no job may
	// take until it owns its name, in seconds: less than a bus waits, so that
	// the answer says why.
	serviceTimeout = 100
	// activationsName is the file, in the runtime directory.
	activationsName = "activations"
)

// Activate starts a service; see bus.Activator.
func (a *activator) Activate(unit string, by *events.Caller) {
	a.keep(unit, true)
	a.daemon.Read(func(v engine.View) { a.begin(v, unit, by) })
}

// Ready tells what could not be told before; see bus.Activator.
func (a *activator) Ready() {
	a.daemon.Read(func(engine.View) {
		for _, one := range slices.Clone(a.asked) {
			if one.why != "" {
				a.fail(one, one.errorName, one.why)
			}
		}
	})
}

// newActivator makes the one of a daemon, with what an earlier daemon of this
// session had under way.
func (d *Daemon) newActivator() *activator {
	a := &activator{daemon: d}
	if !d.resumed && !d.lost {
		_ = os.Remove(a.path())
		return a
	}
	text, err := os.ReadFile(a.path())
	if err == nil {
		a.kept = strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' })
	}
	return a
}

// resume goes on with that: what is not started is. What has failed meanwhile is
// tried once more.
func (a *activator) resume() {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, unit := range a.kept {
		a.daemon.Read(func(v engine.View) { a.begin(v, unit, nil) })
	}
}

func (a *activator) path() string { return filepath.Join(a.daemon.runtime.own, activationsName) }

// keep notes in the file that a unit is under way, or is not any more.
func (a *activator) keep(unit string, under bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch i := slices.Index(a.kept, unit); {
	case under == (i >= 0) || strings.Contains(unit, "\n"):
		return
	case under:
		a.kept = append(a.kept, unit)
	default:
		a.kept = slices.Delete(a.kept, i, i+1)
	}
	text := ""
	for _, one := range a.kept {
		text += one + "\n"
	}
	if err := writeWhole(a.path(), text); err != nil {
		a.daemon.log.Warn("cannot keep what the bus has asked for: " + err.Error())
	}
}

// begin finds out what a unit is, on the loop's goroutine, and starts it.
func (a *activator) begin(v engine.View, unit string, by *events.Caller) {
	a.expire()
	one := a.find(func(one *activation) bool { return one.unit == unit })
	if one == nil {
		one = &activation{unit: unit}
		a.asked = append(a.asked, one)
	}
	one.by, one.at, one.why, one.held = by, a.daemon.clock(), "", false
	name, isService := strings.CutSuffix(unit, ".service")
	switch _, isJob := v.Class(name); {
	case isJob:
		a.start(v, one, name)
	case !isService || name == "":
		a.fail(one, bus.ErrServiceNotFound, fmt.Sprintf("'%s' cannot be a job: it does not end in .service", unit))
	default:
		// Files may be on a disk that takes its time.
		dirs := conf.ServiceDirs(a.daemon.opts.getenv)
		a.daemon.guard.Go("lookup of a service", func() {
			service, err := conf.FindService(dirs, unit)
			a.daemon.Read(func(v engine.View) { a.found(v, one, name, service, err) })
		})
	}
}

// found starts a unit that has no job of its name.
func (a *activator) found(v engine.View, one *activation, name string, service conf.Service, err error) {
	if err != nil {
		a.fail(one, bus.ErrServiceNotFound, fmt.Sprintf("there is no job %s, and %v", name, err))
		return
	}
	for _, other := range v.ClassNames() {
		if class, _ := v.Class(other); class.Expect == job.ExpectDBus && class.BusName == service.Name {
			a.start(v, one, other)
			return
		}
	}
	if service.Exec == "" {
		a.fail(one, bus.ErrServiceNotFound, fmt.Sprintf("there is no job %s, and %s has no Exec", name, service.Path))
		return
	}
	text := fmt.Sprintf("description \"what %s says\"\nexpect dbus %s\nready timeout %d\nexec %s\n",
		strings.ReplaceAll(service.Path, `"`, "'"), service.Name, serviceTimeout, service.Exec)
	class, problems := job.Parse(name, service.Path, []byte(text))
	if class == nil {
		a.fail(one, bus.ErrSpawnFailed, fmt.Sprintf("cannot make a job of %s: %s", service.Path, problems[0].Msg))
		return
	}
	class.Path = ""
	one.job = name
	a.daemon.step(engine.RunTransient{Call: a.number(one), By: a.caller(v, one), Definition: engine.Define(class), Wait: true})
}

// startNow starts the job of an activation, in a login session if there is one
// and it may need that.
func (a *activator) startNow(v engine.View, one *activation) {
	by := a.caller(v, one)
	var env events.Env
	if by.Session != engine.Unspecified && reachesLogin(v, one.job) {
		env = events.Env{"SESSION=" + strconv.FormatUint(by.Session, 10)}
	}
	if instance, err := v.InstanceName(one.job, env); err == nil {
		one.instance = instance
	}
	a.daemon.step(engine.Start{Call: a.number(one), By: by, Target: engine.Target{Class: one.job}, Env: env, Wait: true})
}

func (a *activator) number(one *activation) engine.CallID {
	a.call++
	one.call = activationCalls + a.call
	return one.call
}

// caller is the bus, in the login session that has got its display last: the
// bus says for nobody whom it asks, and its own variables are that session's.
func (a *activator) caller(v engine.View, one *activation) *events.Caller {
	by := events.Caller{Command: "dbus-daemon", User: uint32(os.Getuid())}
	if one.by != nil {
		by = *one.by
	}
	by.Session = newestDisplay(v)
	return &by
}

// replied takes the answer to a start, if it is one of ours.
func (a *activator) replied(r engine.Reply) bool {
	if a == nil || r.Call < activationCalls {
		return false
	}
	one := a.find(func(one *activation) bool { return one.call == r.Call })
	if one == nil {
		return true // it has ended meanwhile
	}
	one.call = 0
	switch {
	case r.Err == nil:
		a.rests(one)
	case r.Err.Kind == engine.AlreadyStarted:
		a.already(one)
	default:
		why := r.Err.Msg
		if r.Err.Reason != "" {
			why += ": " + r.Err.Reason
		}
		a.fail(one, bus.ErrSpawnFailed, "cannot start job "+one.job+": "+why)
	}
	return true
}

// rests takes it that a start has come to rest: the job runs, or somebody has
// stopped it meanwhile, itself in its pre-start perhaps.
func (a *activator) rests(one *activation) {
	in, ok := a.daemon.engine.View().Instance(one.job, one.instance)
	switch {
	case !ok:
		a.gone(one)
	case in.Goal == engine.GoalStart:
		a.runs(one)
	}
}

// runs takes it that a job is ready. One that is so by owning its name is what
// the bus has waited for. Of another it is not known, until it ends.
func (a *activator) runs(one *activation) {
	if class, ok := a.daemon.engine.View().Class(one.job); !ok || class.Expect == job.ExpectDBus {
		a.forget(one)
	}
}

// already looks at an instance that somebody else has started.
func (a *activator) already(one *activation) {
	v := a.daemon.engine.View()
	in, ok := v.Instance(one.job, one.instance)
	class, known := v.Class(one.job)
	if !ok || !known || in.State != engine.Running || class.Expect != job.ExpectDBus {
		return
	}
	lacks := a.daemon.lacking(v, one.job)
	if lacks == "" {
		a.forget(one)
		return
	}
	a.fail(one, bus.ErrSpawnFailed, fmt.Sprintf("job %s runs already, but %s: try 'sctl restart %s'", one.job, lacks, one.job))
}

// lacking says what a job lacks to own its bus name, empty for nothing.
func (l *Loop) lacking(v engine.View, class string) string {
	for proc, awaited := range l.awaited {
		if of, _, ok := v.ProcessOf(proc); ok && of == class && awaited.lacks != "" {
			return awaited.lacks
		}
	}
	return ""
}

// noted takes an announcement of the engine.
func (a *activator) noted(n engine.Notify) {
	if a == nil || len(a.asked) == 0 {
		return
	}
	if n.Kind != engine.StateChanged && n.Kind != engine.InstanceRemoved {
		return
	}
	// Several units may be one job.
	for _, one := range slices.Clone(a.asked) {
		switch {
		case one.job != n.Class || one.instance != n.Instance || one.call != 0 || one.why != "":
		case n.Kind == engine.InstanceRemoved:
			a.gone(one)
		case n.Text == engine.Running.String():
			a.runs(one)
		}
	}
}

// gone takes it that a job has ended that was started.
func (a *activator) gone(one *activation) {
	why := a.daemon.engine.View().LastFailure(one.job)
	if why == "" {
		why = "it was stopped, or has ended by itself (sctl log " + one.job + ")"
	}
	a.fail(one, bus.ErrSpawnFailed, "job "+one.job+" does not run any more: "+why)
}

// fail tells the bus that a service will not come, or has it told once there is
// a bus.
func (a *activator) fail(one *activation, errorName, why string) {
	if one.why == "" {
		a.daemon.log.Warn(fmt.Sprintf("cannot start the service %s that the bus asks for: %s", one.unit, why))
	}
	one.errorName, one.why = errorName, why
	if a.daemon.remote != nil && a.daemon.remote.FailActivation(one.unit, errorName, why) {
		a.forget(one)
	}
}

func (a *activator) find(is func(*activation) bool) *activation {
	if i := slices.IndexFunc(a.asked, is); i >= 0 {
		return a.asked[i]
	}
	return nil
}

func (a *activator) forget(one *activation) {
	a.asked = slices.DeleteFunc(a.asked, func(other *activation) bool { return other == one })
	a.keep(one.unit, false)
}

// expire forgets what no bus waits for any more.
func (a *activator) expire() {
	now := a.daemon.clock()
	for _, one := range slices.Clone(a.asked) {
		if now-one.at > activationTime {
			a.forget(one)
		}
	}
}

// retireTime is how long a bus may take to give us our name back.
const retireTime = time.Second

// retire has the bus keep for the next daemon what it asks for from now on, and
// calls then once, when all before is in the file, or the bus takes too long.
func (a *activator) retire(then func()) {
	if a == nil || a.daemon.remote == nil {
		then()
		return
	}
	done := sync.OnceFunc(then)
	time.AfterFunc(retireTime, done)
	a.daemon.remote.Retire(done)
}
